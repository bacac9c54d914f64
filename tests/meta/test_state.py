"""Non-trainable state inside players: batch statistics come back, dropout is a function of the seed alone."""

import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional
from meta_gan.games import Terms
from meta_gan.losses import NonSaturating
from meta_gan.meta import Displacement, JointTraining, Unrolled
from meta_gan.meta.inner_loop import ADAPT
from tests.games.nets import batch_norm_gan, dropout_gan, point_features, support_gan
from tests.toys import adapt, flat_close, numbers, one, parts, random_episodes, weekly

EPISODES = random_episodes(tasks=3)
ESTIMATORS = {"MAML": Unrolled(2), "FOMAML": Unrolled(1), "Reptile": Displacement(), "Pretraining": JointTraining()}


@pytest.mark.parametrize("name", ["FOMAML", "Reptile", "Pretraining", *weekly("MAML")])
def test_batch_statistics_come_back_as_the_mean_over_tasks(name):
    pieces = parts(batch_norm_gan(loss=NonSaturating()))
    got = ESTIMATORS[name].estimate(*pieces, EPISODES, 2)
    start = pieces[1].initial.state
    tf.nest.assert_same_structure(got.state, start)
    assert all(np.any(a != b) for a, b in zip(tf.nest.flatten(got.state), tf.nest.flatten(start), strict=True))
    if name != "Pretraining":
        ends = [numbers(adapt(pieces, one(EPISODES, i), 2)[0].state) for i in range(3)]
        flat_close(got.state, tf.nest.map_structure(lambda *v: np.mean(v, axis=0), *ends), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["FOMAML", "Reptile", "Pretraining", *weekly("MAML")])
def test_the_state_of_a_frozen_net_is_not_averaged(name):
    """The mean of three equal numbers is off by a rounding, and would drift from step to step."""
    features = point_features()
    game = support_gan(embedding_dim=0, loss=NonSaturating(), features=features, terms=Terms(1.0, features=1.0))
    start = [v.numpy() for v in features.variables]
    rounded = [tf.reduce_mean(tf.stack([v] * 3), axis=0).numpy() for v in start]
    assert any(np.any(a != b) for a, b in zip(start, rounded, strict=True)), "the toy must have what a mean rounds"
    pieces = parts(game)
    assert pieces[1].initial.weights["features"] == []
    got = ESTIMATORS[name].estimate(*pieces, EPISODES, 1)
    assert len(got.state["features"]) == len(start) and got.weights["features"] == []
    for value, before in zip(got.state["features"], start, strict=True):
        np.testing.assert_array_equal(value, before)


def test_moving_mean_by_hand():
    """One step: the discriminator sees real, then fake (its own turn), then fake again (the generator's turn)."""
    game = batch_norm_gan(loss=NonSaturating())
    pieces = parts(game, rate=1e-12)  # no weight moves by a bit that counts
    episode = one(EPISODES)
    carry, _ = adapt(pieces, episode, 1)
    kernel, bias = pieces[1].initial.weights["discriminator"][:2]
    real = np.mean(episode.support @ kernel + bias, axis=0)
    after_real = 0.1 * real
    names = [v.name for v in game.nets["discriminator"].non_trainable_variables]
    moving = dict(zip(names, numbers(carry.state["discriminator"]), strict=True))["moving_mean"]
    # Two batches of fakes follow, each moving a tenth of the way to a mean that is drawn from the seeds.
    key = functional.fold(functional.fold(episode.seed, ADAPT), 0)
    expected = after_real
    for turn in range(2):
        seed = functional.fold(functional.fold(functional.fold(key, turn), 0), 0)
        z = game.latents(3, functional.fold(seed, 0))
        fake = game.nets["generator"](z, training=True)
        expected = 0.9 * expected + 0.1 * np.mean(fake @ kernel + bias, axis=0)
    np.testing.assert_allclose(moving, expected, rtol=1e-5, atol=1e-7)


def test_state_carries_on_between_steps():
    """2 + 1 steps end with the statistics of 3, and each step moved them."""
    pieces = parts(batch_norm_gan())
    two, _ = adapt(pieces, one(EPISODES), 2)
    three, _ = adapt(pieces, one(EPISODES), 3)
    flat_close(adapt(pieces, one(EPISODES), 1, carry=two)[0].state, three.state, rtol=1e-6)
    assert np.any(two.state["generator"][0] != three.state["generator"][0])


def test_dropout_is_a_function_of_the_seed():
    """Same seed, same losses, to the bit; another seed, other losses; and the layers' seeds stay as they were."""
    game = dropout_gan(loss=NonSaturating())
    pieces, episode = parts(game), one(EPISODES)
    before = [v.numpy() for net in game.nets.values() for v in net.non_trainable_variables]
    assert len(before) == 2, "the toy must hold the two seed variables"
    carry, records = adapt(pieces, episode, 3)
    np.testing.assert_array_equal(adapt(pieces, episode, 3)[1], records)
    assert np.all(adapt(pieces, episode._replace(seed=tf.constant([1, 2])), 3)[1] != records)
    flat_close(carry.state, pieces[1].initial.state)
    after = [v.numpy() for net in game.nets.values() for v in net.non_trainable_variables]
    flat_close(after, before)


def test_dropout_draws_anew_at_every_step_and_is_on_in_training_only():
    game = dropout_gan()
    meta = parts(game)[1].initial
    net, z = game.nets["generator"], tf.ones([4, 2])

    def outputs(training, seed):
        weights, state = meta.weights["generator"], meta.state["generator"]
        return functional.call(net, weights, state, z, None, training, seed)[0].numpy()

    assert np.any(outputs(True, (0, 1)) != outputs(True, (0, 2)))
    np.testing.assert_array_equal(outputs(False, (0, 1)), outputs(False, (0, 2)))
    assert np.any(outputs(True, (0, 1)) != outputs(False, (0, 1)))


def test_dropout_does_not_depend_on_the_seed_that_the_layer_happens_to_hold():
    """A layer that was called before must adapt as a fresh one does: its seed variable has moved on."""
    game = dropout_gan(loss=NonSaturating())
    _, records = adapt(parts(game), one(EPISODES), 2)
    for net in game.nets.values():
        for _ in range(3):
            net(tf.ones([1, 2]), training=True)
    np.testing.assert_array_equal(adapt(parts(game), one(EPISODES), 2)[1], records)


def test_an_adapted_model_samples_with_the_statistics_of_its_class():
    """The moving averages that the inner loop left, not those it started from."""
    model = mg.MetaModel(batch_norm_gan(), mg.Reptile(3, 0.1))
    adapted = model.adapt(EPISODES.support[0])
    start = model.meta_weights().initial.state["generator"]
    moved = adapted.snapshot.state["generator"]
    assert all(np.any(a != b) for a, b in zip(moved, start, strict=True))
    generator = adapted.generator
    flat_close([v.numpy() for v in generator.non_trainable_variables], numbers(moved))
    # With the averages of the start in their place, the same weights give other samples.
    samples = adapted.sample(3)
    adapted.snapshot = adapted.snapshot._replace(state=model.meta_weights().initial.state)
    assert np.abs(adapted.sample(3) - samples).max() > 1e-4
