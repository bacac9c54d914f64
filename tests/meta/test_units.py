"""A game in other units, by hand: the moves of meta-learners that depend on units and of one that does not."""

import numpy as np
import tensorflow as tf

from meta_gan import functional
from meta_gan.losses import NonSaturating
from meta_gan.meta import Unrolled
from meta_gan.meta.masks import select
from meta_gan.meta.unrolled import InOtherUnits, draw_units
from meta_gan.meta_learners import Adam, GradientDescent, MetaSGD
from tests.toys import TwoPlayers, constant_episodes, flat_close, one, parts, random_episodes, tiny_gan

UNITS = {"psi": [tf.constant(2.0, tf.float64)], "theta": [tf.constant(0.25, tf.float64)]}


def first_move(meta_learner, units=None):
    """How far each player moves in one step, of which neither depends on the other."""
    losses = {"psi": lambda psi, theta, c: psi**4 / 4 + psi, "theta": lambda psi, theta, c: tf.sin(theta)}
    loop, meta = parts(TwoPlayers(0.7, -1.3, losses), meta_learner)
    if units is not None:
        loop = InOtherUnits(loop.game, loop.meta_learner, loop.mask, units=units)
    episode = one(constant_episodes([0.0], [0.0]))
    carry, _ = loop.adapt(meta, episode.support, 1, episode.seed)
    return [carry.params[p][0].numpy() - meta.initial.weights[p][0].numpy() for p in ("psi", "theta")]


def test_gradient_descent_by_hand():
    """v = w / c has c times the gradient, and c times its move is w's: the square of c in all."""
    plain, scaled = first_move(GradientDescent(0.1)), first_move(GradientDescent(0.1), UNITS)
    for p, s, factor in zip(plain, scaled, (4.0, 0.0625), strict=True):
        np.testing.assert_allclose(s, factor * p, rtol=1e-12)


def test_adam_by_hand():
    """Adam's step does not depend on the gradient's size: w moves by c times as much."""
    plain, scaled = first_move(Adam(0.1, epsilon=1e-12)), first_move(Adam(0.1, epsilon=1e-12), UNITS)
    for p, s, factor in zip(plain, scaled, (2.0, 0.25), strict=True):
        np.testing.assert_allclose(s, factor * p, rtol=1e-6)


def test_factors_of_a_task():
    """One for every tensor, within bounds, spread over them, the same for the same task and for no other."""
    game = tiny_gan()
    snapshot, mask = functional.read(game.nets), select(game, "")

    def logs(seed, size=0.5):
        drawn = draw_units(snapshot, mask, size, tf.constant(seed))
        return np.log([float(c) for c in functional.flat(drawn)])

    drawn = np.array([logs((1, i)) for i in range(60)])
    assert drawn.shape == (60, len(functional.flat(snapshot.weights)))
    assert np.abs(drawn).max() <= 0.5 and drawn.max() > 0.45 and drawn.min() < -0.45
    assert np.abs(drawn.mean(0)).max() < 0.15
    np.testing.assert_array_equal(logs((1, 0)), drawn[0])
    assert len({tuple(row) for row in drawn}) == 60 and len(set(drawn[0])) == drawn.shape[1]
    np.testing.assert_allclose(logs((1, 0), 0.25), drawn[0] / 2, atol=1e-6)


def test_the_estimate_is_that_of_rescaled_rates():
    """With Meta-SGD, whose gradient for a log rate is the same for a scaled game as for rates times the square of c."""
    episode = one(random_episodes(dtype="float64"))
    rescaled, meta_sgd = MetaSGD(0.1, dtype="float64"), MetaSGD(0.1, dtype="float64")
    game = tiny_gan("float64", loss=NonSaturating())
    loop, meta = parts(game, meta_sgd)
    units = draw_units(meta.initial, loop.mask, 0.7, episode.seed)
    params = [c for player in meta_sgd.made for c in units[player]]
    for variable, c in zip(meta_sgd.trainable_variables, params, strict=True):
        variable.assign(variable + 2 * tf.math.log(c))
    values = [tf.convert_to_tensor(v) for v in meta_sgd.trainable_variables]
    expected = Unrolled(2).task(loop, meta._replace(meta_learner=values), episode, 3)
    found = Unrolled(2, rescale=0.7).task(*parts(game, rescaled), episode, 3)
    flat_close(found.meta_learner, expected.meta_learner, rtol=1e-8, atol=1e-12)
    flat_close(found.weights, expected.weights, rtol=1e-8, atol=1e-12)
    assert max(abs(float(tf.math.log(c))) for c in params) > 0.3
