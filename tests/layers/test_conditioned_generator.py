"""A generator that holds its conditioning is an ordinary Keras model: saved, exported, nested, in any dtype."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan import layers, networks
from meta_gan.layers.conditioned_generator import ConditionedGenerator
from tests.games.nets import Beside, Conditioned

Z = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
SUPPORT = np.random.default_rng(1).uniform(-1, 1, (5, 8, 8, 1)).astype("float32")
CODE = np.array([0.5, -1.0, 2.0], "float32")


def fusion():
    return networks.FusionGenerator((8, 8, 1), latent_dim=4, width=2, embedding_dim=3, detail=1)


@pytest.fixture(scope="module")
def held():
    return ConditionedGenerator(fusion(), {"support": SUPPORT, "task_embedding": tf.constant(CODE)}, 4, (8, 8, 1))


@pytest.fixture(scope="module")
def expected(held):
    return held.generator(Z, conditioning={"support": SUPPORT, "task_embedding": CODE}).numpy()


def test_it_equals_the_generator_with_its_conditioning(held, expected):
    np.testing.assert_allclose(held(Z), expected, atol=1e-6)
    np.testing.assert_allclose(held.predict(Z, verbose=0), expected, atol=1e-5)
    assert (held.latent_dim, held.example_shape) == (4, (8, 8, 1))
    assert held.compute_output_shape((None, 4)) == (None, 8, 8, 1)


def test_it_holds_a_copy_as_non_trainable_weights(held):
    assert {v.name: v.numpy().shape for v in held.held} == {"task_embedding": (3,), "support": (5, 8, 8, 1)}
    assert len(held.trainable_variables) == len(held.generator.trainable_variables)
    assert len(held.variables) == len(held.generator.variables) + 2
    np.testing.assert_array_equal(held.conditioning["support"], SUPPORT)


def test_another_conditioning_gives_another_generator(held, expected):
    other = ConditionedGenerator(held.generator, {"support": SUPPORT[:2], "task_embedding": CODE}, 4, (8, 8, 1))
    assert np.abs(other(Z) - expected).max() > 1e-3


def test_a_keras_file_gives_the_same_bits(tmp_path, held):
    held.save(tmp_path / "x.keras")
    again = keras.models.load_model(tmp_path / "x.keras")
    assert type(again) is ConditionedGenerator and again.example_shape == (8, 8, 1)
    np.testing.assert_array_equal(again(Z), held(Z))
    np.testing.assert_array_equal(again.conditioning["support"], SUPPORT)


@pytest.mark.slow
def test_a_fresh_process_needs_only_the_imported_package(tmp_path, held):
    held.save(tmp_path / "x.keras")
    np.save(tmp_path / "z.npy", Z)
    code = """
import keras, numpy as np, meta_gan
np.save("images.npy", keras.models.load_model("x.keras")(np.load("z.npy")))
"""
    environment = {"PYTHONPATH": str(pathlib.Path(layers.__file__).parents[2]), "TF_NUM_INTRAOP_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    np.testing.assert_allclose(np.load(tmp_path / "images.npy"), held(Z), atol=1e-6)


@pytest.mark.slow
def test_it_is_exported_with_its_conditioning(tmp_path, held, expected):
    """Keras also traces the models inside a model, and the generator cannot be called without its conditioning."""
    held.export(str(tmp_path / "1"), format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    np.testing.assert_allclose(loaded.serve(Z), expected, atol=1e-5)
    assert len(loaded.variables) == len(held.variables)
    (spec,) = loaded.signatures["serving_default"].structured_input_signature[1].values()
    assert spec.shape.as_list() == [None, 4]
    tf.saved_model.save(held, str(tmp_path / "2"))
    loaded = tf.saved_model.load(str(tmp_path / "2"))
    (images,) = loaded.signatures["serving_default"](tf.constant(Z)).values()
    np.testing.assert_allclose(images, expected, atol=1e-5)


@pytest.mark.slow
def test_it_can_be_a_layer_of_another_model(tmp_path, held, expected):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Rescaling(0.5, 0.5)(held(inputs)))
    assert model.output_shape == (None, 8, 8, 1)
    np.testing.assert_allclose(model(Z), 0.5 * expected + 0.5, atol=1e-6)
    model.save(tmp_path / "x.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "x.keras")(Z), model(Z), atol=1e-6)
    model.export(str(tmp_path / "1"), format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    np.testing.assert_allclose(loaded.serve(Z), model(Z), atol=1e-5)


def test_its_conditioning_may_be_one_tensor(tmp_path):
    """Not every game's conditioning is a dict."""
    held = ConditionedGenerator(Conditioned(2, 2, 6), tf.constant([CODE]), 2, (2,))
    z = tf.ones([4, 2])
    np.testing.assert_allclose(held(z), held.generator(z, conditioning=tf.constant([CODE])), rtol=1e-6)
    held.save(tmp_path / "x.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "x.keras")(z), held(z))


def test_it_may_take_images_instead_of_z(tmp_path):
    """A translator with the task embedding of its adaptation."""
    translator = networks.Translator((8, 8, 1), width=2, embedding_dim=3)
    made = translator(SUPPORT, conditioning={"task_embedding": CODE})
    model = ConditionedGenerator(translator, {"task_embedding": CODE}, (8, 8, 1), (8, 8, 1))
    np.testing.assert_array_equal(model(SUPPORT), made)
    model.save(tmp_path / "held.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "held.keras")(SUPPORT), made)
    assert ConditionedGenerator(fusion(), {"support": SUPPORT, "task_embedding": CODE}, (4,), (8, 8, 1)).latent_dim == 4


@pytest.mark.parametrize("dtype", ["float64", "mixed_float16"])
def test_it_computes_in_the_generators_dtype(dtype):
    generator = networks.FusionGenerator((8, 8, 1), latent_dim=4, width=2, detail=1, dtype=dtype)
    held = ConditionedGenerator(generator, {"support": SUPPORT.astype("float64")}, 4, (8, 8, 1))
    images = held(Z)
    assert images.dtype == generator.compute_dtype and held.dtype_policy.name == dtype
    z = tf.cast(Z, generator.compute_dtype)
    expected = generator(z, conditioning={"support": tf.constant(SUPPORT, generator.compute_dtype)})
    np.testing.assert_allclose(images, expected, atol=1e-12 if dtype == "float64" else 1e-2)
    again = ConditionedGenerator.from_config(held.get_config())
    assert again.dtype_policy.name == dtype and again.held[0].dtype == "float64"


@pytest.mark.parametrize(
    "bad", [None, {}, {"support": SUPPORT, "task_embedding": None}], ids=["none", "empty", "an absent one"]
)
def test_an_empty_conditioning_is_refused(bad):
    with pytest.raises(ValueError, match=r"'conditioning' must be a tensor, or tensors by name\. Received"):
        ConditionedGenerator(Beside(2, 2), bad, 2, (2,))


def test_an_unbuilt_generator_is_refused():
    with pytest.raises(ValueError, match=r"'generator' must be a built keras\.Model. Received"):
        ConditionedGenerator(keras.Sequential([keras.layers.Dense(2)]), CODE, 2, (2,))
