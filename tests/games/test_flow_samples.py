"""A flow as the generator of a GAN: the samples of its few steps are trained, not its velocities."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional, losses, presets
from meta_gan.games import Terms, Transfer
from meta_gan.games.gan import coarse
from meta_gan.networks.flow import bounded
from meta_gan.types import Settings
from tests.games.nets import sampled_flow
from tests.toys import GaussianFlow, PointFlow, ring_episodes

SEED = tf.constant([3, 4])


def test_samples_are_clipped_and_in_training_what_is_out_of_range_has_a_gradient():
    net = GaussianFlow(3.0, 0.1, solver_steps=4)
    z = tf.random.stateless_normal([50, 1], SEED, dtype="float64")
    with tf.GradientTape(persistent=True) as tape:
        trained, sampled = net(z, training=True), net(z)
        less, more = tf.reduce_mean(trained), -tf.reduce_mean(trained)
    np.testing.assert_array_equal(trained, np.ones((50, 1)))
    np.testing.assert_array_equal(sampled, np.ones((50, 1)))
    assert float(tape.gradient(less, net.values[0])) > 0.5, "descent brings them back"
    assert float(tape.gradient(more, net.values[0])) == 0, "and leads none further away"
    assert float(tape.gradient(sampled, net.values[0])) == 0


def test_the_derivative_of_bounded_values():
    x = tf.constant([-2.0, -0.5, 0.5, 2.0])
    for sign, expected in ((1.0, [0.0, 1.0, 1.0, 1.0]), (-1.0, [-1.0, -1.0, -1.0, 0.0])):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = sign * tf.reduce_sum(bounded(x))
        np.testing.assert_array_equal(tape.gradient(value, x), expected)


def test_the_second_derivative_of_bounded_values_is_that_of_the_loss():
    """The first one of the square is 2 bounded(x), inside and outside; its own is twice that of `bounded`."""
    x = tf.constant([-2.0, 0.5, 3.0])
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = tf.reduce_sum(tf.square(bounded(x)))
        first = inner.gradient(value, x)
    np.testing.assert_array_equal(first, [-2.0, 1.0, 2.0])
    np.testing.assert_array_equal(outer.gradient(first, x), [0.0, 2.0, 2.0])


def test_the_loss_is_that_of_the_samples():
    """With the term `pixels` alone: twice the energy distance of what the solver makes of the noise."""
    game = sampled_flow(terms=Terms(adversarial=0.0, pixels=2.0))
    episode = ring_episodes(1, 0)
    support, query = episode.support[0], episode.query[0]
    snapshot, conditioning = functional.read(game.nets), {"support": support}
    value, _, _ = game.loss("generator", snapshot, query, conditioning, Settings(), SEED)
    z = game.latents(tf.shape(query)[0], functional.fold(SEED, 0))
    made = game.nets["generator"](z, conditioning, training=True)
    assert float(value) == pytest.approx(2 * float(losses.energy_distance(coarse(made), coarse(query))), rel=1e-5)
    assert float(value) > 0.1


def test_a_flow_that_was_trained_on_velocities_starts_the_game_and_learns_where_its_samples_lie(tmp_path):
    """From random velocities: the energy distance to points of new tasks falls to less than a third."""
    mg.MetaModel(mg.games.FlowMatching(PointFlow("euler", 2, anchored=True)), mg.FOMAML(0)).save(tmp_path / "flow")
    model = mg.MetaModel(sampled_flow(terms=Terms(adversarial=0.0, pixels=1.0)), mg.FOMAML(0))
    assert mg.start_from(model, tmp_path / "flow") == ["discriminator"]
    flow = mg.load(tmp_path / "flow").game.nets["generator"]
    for variable, value in zip(model.game.nets["generator"].variables, flow.variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value.numpy())
    model.compile(keras.optimizers.Adam(0.02))

    def distance():
        fresh = ring_episodes(20, 10_000)
        made = [model.adapt(support.numpy()).sample(16, seed=0) for support in fresh.support]
        return np.mean([float(losses.energy_distance(a, b)) for a, b in zip(made, fresh.query, strict=True)])

    before, step = distance(), tf.function(model.meta_step, autograph=False)
    for seed in range(150):
        step(ring_episodes(4, seed))
    assert distance() < before / 3


def test_the_steps_that_it_was_trained_with_stay(tmp_path):
    mg.MetaModel(sampled_flow(), mg.FOMAML(0)).save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"'sampling' of a GAN must leave \['solver', .*Received: \['solver_steps'\]"):
        mg.load(tmp_path / "model", sampling={"solver_steps": 8})
    assert mg.load(tmp_path / "model", sampling={"temperature": 2.0}).game.nets["generator"].temperature == 2.0


def test_a_transfer_keeps_them_too():
    assert (
        Transfer(sampled_flow()).fixed_sampling
        == sampled_flow().fixed_sampling
        == ("solver", "solver_steps", "guidance")
    )


def test_the_network_of_the_preset_must_see_the_support_set():
    with pytest.raises(ValueError, match=r"'network\.anchored' must be True when game is 'gan'\. Received: False"):
        presets.get("few-step-flow", anchored=False, nearness=0.0)


def test_a_model_without_the_generator_is_no_start(tmp_path):
    """A flow has no discriminator, so it cannot start from a GAN, which has one."""
    mg.MetaModel(sampled_flow(), mg.FOMAML(0)).save(tmp_path / "gan")
    flow = mg.MetaModel(mg.games.FlowMatching(PointFlow("euler", 2, anchored=True)), mg.FOMAML(0))
    with pytest.raises(ValueError, match=r"must have the same nets, .* which differs in \['discriminator'\]"):
        mg.start_from(flow, tmp_path / "gan")
