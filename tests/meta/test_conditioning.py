"""A game whose nets are conditioned on the support set, by an encoder that the generator's player owns."""

import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan.losses import NonSaturating, Wasserstein
from meta_gan.meta import Displacement, Unrolled
from tests.games.nets import conditioned_gan
from tests.toys import adapt, flat_close, numbers, one, parts, random_episodes

EPISODES = random_episodes(tasks=2)


def largest(tensors):
    return max(np.abs(t).max() for t in tensors)


@pytest.mark.parametrize("loss", [NonSaturating(), Wasserstein()])
def test_the_encoder_learns_from_the_generators_objective_alone(loss):
    """With Wasserstein a sum of live losses would leave the encoder nothing of the fake term."""
    loop, meta = parts(conditioned_gan(loss=loss))
    gradients = {}
    for player in loop.game.players:
        with tf.GradientTape() as tape:
            tape.watch(meta.initial.weights["encoder"])
            value = loop.objectives(meta.initial, one(EPISODES))[player]
        gradients[player] = tape.gradient(
            value, meta.initial.weights["encoder"], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
    assert largest(gradients["discriminator"]) == 0
    assert largest(gradients["generator"]) > 1e-3


@pytest.mark.parametrize("estimator", [Unrolled(1), Unrolled(2), Displacement()], ids=["1", "2", "Reptile"])
def test_every_estimator_trains_the_encoder(estimator):
    pieces = parts(conditioned_gan())
    gradients = estimator.estimate(*pieces, EPISODES, 2).weights
    assert set(gradients) == {"generator", "discriminator", "encoder"}
    assert all(np.any(g != 0) for net in ("generator", "encoder") for g in gradients[net])


def test_the_discriminators_turn_leaves_the_encoder_alone():
    """It would not if a turn moved all nets that its loss depends on."""
    game = conditioned_gan()
    game.turns = ((("discriminator",), 1),)
    carry, _ = adapt(parts(game), one(EPISODES), 2)
    start = parts(game)[1].initial.weights
    flat_close(carry.params["generator"], [*start["generator"], *start["encoder"]])
    assert np.any(carry.params["discriminator"][0] != start["discriminator"][0])


def test_an_encoder_outside_the_paths_takes_the_direct_gradient_under_reptile():
    pieces = parts(conditioned_gan(), pattern="^(generator|discriminator)/")
    gradients = Displacement().estimate(*pieces, EPISODES, 2).weights
    first_order = Unrolled(1).estimate(*pieces, EPISODES, 2).weights
    flat_close(gradients["encoder"], first_order["encoder"], rtol=1e-6, atol=1e-9)
    assert largest(gradients["encoder"]) > 1e-3


def make():
    return mg.MetaModel(conditioned_gan(), mg.FOMAML(inner_steps=2, inner_rate=0.1))


def test_it_adapts_and_samples_conditioned_on_the_support_set():
    """Even without an inner step two support sets give two generators; k may differ, and nothing retraces."""
    model = make()
    supports = [np.full((k, 2), value, np.float32) for k, value in ((3, 0.5), (3, -0.5), (5, 0.5))]
    samples = [model.adapt(s, steps=0).sample(4) for s in supports]
    assert np.abs(samples[0] - samples[1]).max() > 1e-3
    np.testing.assert_allclose(samples[0], samples[2], atol=1e-6)  # the encoder takes a mean
    with pytest.raises(ValueError, match="not conditioned on one"):
        model.sample(3)


def test_conditioning_is_by_the_adapted_encoder():
    model, support = make(), EPISODES.support[0].numpy()
    adapted = model.adapt(support, steps=2)
    expected = model.game.condition(adapted.snapshot, tf.constant(support))
    np.testing.assert_allclose(adapted.conditioning, expected, atol=1e-6)
    assert np.abs(expected - model.game.condition(model.meta_weights().initial, support)).max() > 1e-4


@pytest.mark.slow
def test_it_trains_saves_and_exports(tmp_path):
    model, support = make(), EPISODES.support[0].numpy()
    model.compile(optimizer="sgd")
    before = numbers(model.meta_weights().initial.weights)
    model.meta_step(EPISODES)
    after = numbers(model.meta_weights().initial.weights)
    assert all(np.any(a != b) for a, b in zip(after["encoder"], before["encoder"], strict=True))
    expected = model.adapt(support, seed=3).sample(4, seed=3)
    model.save(tmp_path / "model")
    loaded = mg.load(tmp_path / "model").adapt(support, seed=3)
    np.testing.assert_array_equal(loaded.sample(4, seed=3), expected)
    model.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served"))
    assert set(served.signatures) >= {"adapt_and_sample"} and "sample" not in served.signatures
    arguments = {"steps": 2, "num": 4, "seed": 3}
    got = served.signatures["adapt_and_sample"](
        support=tf.constant(support), **{k: tf.constant(v) for k, v in arguments.items()}
    )
    np.testing.assert_allclose(got["samples"], expected, atol=1e-5)
    loaded.save(tmp_path / "adapted")
    again = mg.load_adapted(tmp_path / "adapted")
    np.testing.assert_array_equal(again.sample(4, seed=3), expected)
    one_class = tf.saved_model.load(str(tmp_path / "adapted" / "saved_model" / "1"))
    got = one_class.signatures["sample"](num=tf.constant(4), seed=tf.constant(3))
    np.testing.assert_allclose(got["samples"], expected, atol=1e-5)
