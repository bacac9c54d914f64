"""Exports by Keras of adapted and loaded generators, and to LiteRT with operations that it has."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import presets
from meta_gan.layers import portable

NET = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
SUPPORT = np.full((3, 28, 28, 1), -1, np.float32)
SUPPORT[:, 6:22, 13:15] = 1


@pytest.mark.parametrize("format", ["tf_saved_model", "litert"])
def test_functions_of_an_export(format):
    x = np.linspace(-0.97, 0.97, 41, dtype=np.float32)
    with portable.exporting(NET, (None, 2), format):
        np.testing.assert_allclose(portable.atanh(tf.constant(x)), np.arctanh(x), rtol=1e-5, atol=3e-7)
        np.testing.assert_allclose(portable.erf(tf.constant(4 * x)), [math.erf(4 * v) for v in x], atol=5e-7)
        np.testing.assert_allclose(portable.erfc(tf.constant(4 * x)), [math.erfc(4 * v) for v in x], atol=5e-7)


def test_functions_are_tensorflows_own_outside_of_an_export():
    x = tf.linspace(-0.9, 0.9, 33)
    with portable.exporting(NET, (None, 2), "litert"):
        assert np.any(portable.erf(x) != tf.math.erf(x))
    np.testing.assert_array_equal(portable.atanh(x), tf.atanh(x))
    np.testing.assert_array_equal(portable.erf(x), tf.math.erf(x))
    np.testing.assert_array_equal(portable.erfc(x), tf.math.erfc(x))


def assert_serves(folder, generator):
    z = np.random.default_rng(0).normal(size=(3, generator.latent_dim)).astype(np.float32)
    served = tf.saved_model.load(str(folder))
    np.testing.assert_allclose(served.serve(z), generator(z), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["plain", "conditioned"])
def test_keras_exports_an_adapted_generator_and_a_loaded_one(kind, tmp_path):
    generator, discriminator = mg.networks.dcgan((8, 8, 1), latent_dim=4, width=2)
    encoder = None
    if kind == "conditioned":
        generator = mg.networks.SAGANGenerator((8, 8, 1), latent_dim=4, width=2, embedding_dim=3)
        discriminator = mg.networks.SAGANDiscriminator((8, 8, 1), width=2, embedding_dim=3)
        encoder = mg.networks.TaskEncoder((8, 8, 1), 3, width=2)
    model = mg.MetaModel(mg.games.GAN(generator, discriminator, encoder=encoder), mg.FOMAML(inner_steps=0))
    adapted = model.adapt(SUPPORT[:, :8, :8]).generator
    adapted.export(tmp_path / "adapted", verbose=False)
    assert_serves(tmp_path / "adapted", adapted)
    adapted.save(tmp_path / "generator.keras")
    keras.saving.load_model(tmp_path / "generator.keras").export(tmp_path / "loaded", verbose=False)
    assert_serves(tmp_path / "loaded", adapted)


def test_a_conditioned_network_is_exported_with_its_conditioning_only(tmp_path):
    network = mg.networks.SetPrior(mg.networks.dcgan((8, 8, 1), width=2)[0], embedding_dim=3)
    with pytest.raises(ValueError, match=r"must be exported with its conditioning.*SetPrior"):
        network.export(tmp_path / "out", verbose=False)


def lite(adapted, path):
    """Outputs of an exported file and of Keras for the same inputs."""
    adapted.export(path, format="litert")
    game = adapted.adaptation.game
    (spec,) = game.endpoints[game.default_endpoint].inputs.values()
    z = np.tanh(np.random.default_rng(0).normal(size=(2, *spec.shape[1:]))).astype(np.float32)
    interpreter = tf.lite.Interpreter(model_path=str(path))
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], z.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], z)
    interpreter.invoke()
    return interpreter.get_tensor(made["index"]), adapted.generator(z).numpy()


@pytest.mark.slow
def test_the_shipped_model_in_litert(tmp_path):
    found, wanted = lite(mg.load("omniglot").adapt(SUPPORT, steps=0), tmp_path / "glyph.tflite")
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(presets.PRESETS))
def test_every_preset_in_litert(name, tmp_path):
    image = (28, 28, 1)
    pair = {"source": image, "target": image}
    shape = {"sound": (2048, 1), "text": (9, 5), "translation": pair, "cyclegan": pair}.get(name, image)
    model = presets.build(presets.get(name), shape, **({"rate": 8000} if name == "sound" else {}))
    support = tf.nest.map_structure(
        lambda spec: np.zeros((2, *spec.shape[1:]), np.float32), model.adaptation.support_spec
    )
    found, wanted = lite(model.adapt(support, steps=0), tmp_path / "net.tflite")
    np.testing.assert_allclose(found, wanted, atol=1e-4)
