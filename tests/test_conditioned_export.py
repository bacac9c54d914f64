"""Saving, loading and serving models of games that are conditioned on the support set."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan.games import GAN, Terms
from meta_gan.layers.conditioned_generator import ConditionedGenerator
from meta_gan.meta_learners import GradientDescent
from tests.games.nets import point_features, support_gan, tiny_fusion
from tests.toys import random_episodes, stored_sizes, tiny_gan

SUPPORTS = {k: random_episodes(shots=k, seed=k).support[0].numpy() for k in (1, 2, 5)}
IMAGES = random_episodes(shots=5, shape=(8, 8, 1)).support[0].numpy()
Z = np.random.default_rng(0).normal(size=(4, 2)).astype("float32")
EVERYTHING = {"terms": Terms(features=1.0, nearness=1.0, mode_seeking=0.1), "holdout": 2}


def algorithm(mask=""):
    return mg.Algorithm("FOMAML", GradientDescent(0.05), mg.Unrolled(1), 2, mask)


@pytest.fixture(scope="module")
def model():
    return mg.MetaModel(support_gan(features=point_features(), **EVERYTHING), algorithm())


@pytest.fixture(scope="module")
def served(model, tmp_path_factory):
    """One export, for support sets of any size."""
    folder = tmp_path_factory.mktemp("served")
    model.export(folder / "1", mg.Limits(shots=5, steps=5, num=9))
    return tf.saved_model.load(str(folder / "1"))


@pytest.fixture(scope="module")
def adapted(model, tmp_path_factory):
    """An adapted model and its folder."""
    folder = tmp_path_factory.mktemp("adapted")
    made = model.adapt(SUPPORTS[5], steps=2, seed=5)
    made.save(folder / "a")
    return made, folder / "a"


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_served_inner_loop_is_pythons(model, served, k, steps):
    """With two images held out: of one image all is both, of two one is held out."""
    inputs = {"support": SUPPORTS[k], "steps": np.int32(steps), "num": np.int32(4), "seed": np.int32(-7)}
    got = served.signatures["adapt_and_sample"](**{n: tf.constant(v) for n, v in inputs.items()})["samples"]
    own = model.adapt(SUPPORTS[k], steps=steps, seed=-7)
    np.testing.assert_allclose(got, own.sample(4, seed=-7), atol=1e-5)
    inputs["z"] = Z
    inputs.pop("num")
    got = served.signatures["adapt_and_generate"](**{n: tf.constant(v) for n, v in inputs.items()})["samples"]
    np.testing.assert_allclose(got, own.generator(Z), atol=1e-5)


def test_steps_and_the_support_set_both_matter(model):
    first = model.adapt(SUPPORTS[5], steps=0).sample(4)
    assert np.abs(first - model.adapt(SUPPORTS[5], steps=2).sample(4)).max() > 1e-3
    assert np.abs(first - model.adapt(SUPPORTS[2], steps=0).sample(4)).max() > 1e-3


def test_a_conditioned_model_serves_nothing_without_a_support_set(model, served):
    # Keras serves the first signature under the default name too.
    assert not {"sample", "generate", "discriminate"} & set(served.signatures)
    assert "support" in served.signatures["serving_default"].structured_input_signature[1]
    assert len(served.variables) == sum(len(net.variables) for net in model.game.nets.values())
    with pytest.raises(ValueError, match="not conditioned on one; call adapt"):
        model.sample(1)


def test_the_generator_carries_its_support_set(adapted):
    made, folder = adapted
    generator = made.generator
    assert isinstance(generator, ConditionedGenerator)
    assert (generator.latent_dim, generator.example_shape) == (2, (2,))
    np.testing.assert_array_equal(generator.conditioning["support"], SUPPORTS[5])
    np.testing.assert_allclose(generator.conditioning["task_embedding"], made.conditioning["task_embedding"], rtol=1e-6)
    plain = made.adaptation.copy(made.snapshot).nets["generator"]
    np.testing.assert_allclose(generator(Z), plain(Z, conditioning=made.conditioning), atol=1e-6)
    loaded = keras.models.load_model(folder / "generator.keras")
    np.testing.assert_array_equal(loaded(Z), generator(Z))


def test_the_generator_of_a_game_that_is_not_conditioned_is_the_plain_one():
    model = mg.MetaModel(tiny_gan(), mg.FOMAML(1, 0.05))
    assert not isinstance(model.adapt(SUPPORTS[2]).generator, ConditionedGenerator)


def test_an_adapted_model_is_saved_loaded_and_served(adapted):
    made, folder = adapted
    again = mg.load_adapted(folder)
    np.testing.assert_array_equal(again.sample(4, seed=6), made.sample(4, seed=6))
    np.testing.assert_array_equal(again.generator(Z), made.generator(Z))
    loaded = tf.saved_model.load(str(folder / "saved_model" / "1"))
    assert set(loaded.signatures) == {"serving_default", "sample", "discriminate"}
    got = loaded.signatures["serving_default"](z=tf.constant(Z))["samples"]
    np.testing.assert_allclose(got, made.generator(Z), atol=1e-5)
    got = loaded.signatures["sample"](num=tf.constant(4), seed=tf.constant(6))["samples"]
    np.testing.assert_allclose(got, made.sample(4, seed=6), atol=1e-5)


def test_only_nets_that_an_endpoint_uses_are_stored(model, adapted):
    used = [net.variables for name, net in model.game.nets.items() if name in ("generator", "discriminator")]
    stored = stored_sizes(adapted[1] / "saved_model" / "1")
    assert stored == sorted(int(np.prod(variable.shape)) for variables in used for variable in variables)
    assert any(model.game.nets[name].variables for name in ("encoder", "features"))


def test_levels_of_bytes_are_kept_as_they_were_given(model, tmp_path):
    """The support set is stored as uint8, and conditions as numbers in [-1, 1]."""
    levels = np.array([[0, 255], [51, 204]], np.uint8)
    made = model.adapt(levels, steps=1)
    np.testing.assert_allclose(made.generator.conditioning["support"], levels / 127.5 - 1.0, atol=1e-6)
    made.save(tmp_path / "a")
    np.testing.assert_array_equal(mg.load_adapted(tmp_path / "a").sample(3), made.sample(3))


@pytest.mark.parametrize(
    ("support", "embedding_dim"), [(True, 0), (False, 3)], ids=["support alone", "task embedding alone"]
)
def test_either_condition_alone_is_held_and_served(tmp_path, support, embedding_dim):
    made = mg.MetaModel(support_gan(support, embedding_dim), algorithm()).adapt(SUPPORTS[2], steps=1, seed=2)
    assert set(made.generator.conditioning) == ({"support"} if support else {"task_embedding"})
    made.save(tmp_path / "a")
    np.testing.assert_array_equal(mg.load_adapted(tmp_path / "a").sample(3, seed=1), made.sample(3, seed=1))
    loaded = tf.saved_model.load(str(tmp_path / "a" / "saved_model" / "1"))
    got = loaded.signatures["serving_default"](z=tf.constant(Z))["samples"]
    np.testing.assert_allclose(got, made.generator(Z), atol=1e-5)


def test_context_only_adaptation_moves_the_code_and_nothing_else():
    model = mg.MetaModel(support_gan(**{**EVERYTHING, "terms": None}), algorithm("context$"))
    before, after = (model.adapt(SUPPORTS[5], steps=n) for n in (0, 3))
    for net, tensors in after.snapshot.weights.items():
        moved = [np.any(a != b) for a, b in zip(tensors, before.snapshot.weights[net], strict=True)]
        assert sum(moved) == (net == "encoder"), net
    assert np.abs(after.conditioning["task_embedding"] - before.conditioning["task_embedding"]).max() > 1e-3
    assert np.abs(after.sample(4) - before.sample(4)).max() > 1e-4


@pytest.mark.slow
def test_the_fusion_generator_is_held_saved_and_served_with_its_support_set(tmp_path):
    """Its networks cannot be called without one, and Keras would try when it writes a SavedModel."""
    model = mg.MetaModel(tiny_fusion(terms=Terms(features=1.0)), algorithm())
    # As after 0 steps, without tracing the inner loop.
    made = mg.AdaptedModel(model.adaptation, model.meta_weights().initial, IMAGES, {})
    made.save(tmp_path / "a")
    z = tf.random.stateless_normal([3, 4], (1, 2))
    images = made.generator(z)
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "a" / "generator.keras")(z), images)
    loaded = tf.saved_model.load(str(tmp_path / "a" / "saved_model" / "1"))
    np.testing.assert_allclose(loaded.signatures["serving_default"](z=z)["samples"], images, atol=1e-5)
    np.testing.assert_array_equal(mg.load_adapted(tmp_path / "a").sample(3), made.sample(3))


class Forgetful(GAN):
    """A GAN whose endpoints list no net, though they use one."""

    @property
    def endpoints(self):
        return {name: each._replace(nets=()) for name, each in super().endpoints.items()}


class Curious(GAN):
    """A GAN whose conditioning uses a net that is not listed."""

    def condition(self, snapshot, support):
        assert snapshot.weights["discriminator"]
        return super().condition(snapshot, support)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Forgetful, r"'nets' of the endpoint 'sample' must list the net 'generator', which it uses. Received: \(\)"),
        (Curious, r"'conditioners' of the game must list the net 'discriminator', which it uses. .* \('encoder',\)"),
    ],
)
def test_an_export_of_a_game_that_lists_too_few_nets_names_the_missing_one(tmp_path, kind, message):
    game = kind(**support_gan().nets)
    with pytest.raises(ValueError, match=message):
        mg.MetaModel(game, algorithm()).export(tmp_path / "1")
    assert not list(tmp_path.iterdir())
