"""What order 1 and 2 let through: to the initial weights, and to the variables of a learned meta-learner."""

import math

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.losses import NonSaturating
from meta_gan.meta import Unrolled
from meta_gan.meta_learners import Adam, Momentum
from meta_gan.types import MetaWeights, Snapshot
from tests.meta.meta_learners import LearnedRates
from tests.toys import (
    Quadratic,
    adapt,
    central_difference,
    constant_episodes,
    directions,
    flat_close,
    one,
    parts,
    random_episodes,
    tiny_gan,
)

EPISODES = random_episodes(tasks=2, dtype="float64")
CURVATURE, START, SUPPORT, QUERY = 2.0, 1.5, 0.25, -0.5


@pytest.mark.parametrize(
    "meta_learner",
    [None, lambda: Momentum(0.1), pytest.param(lambda: Adam(0.05), marks=pytest.mark.slow)],
    ids=["GD", "Momentum", "Adam"],
)
def test_first_order_at_the_end_point_is_backpropagation_through_a_first_order_loop(meta_learner):
    """FOMAML takes the query gradient at the end point; the same must come out of the loop at order 1."""
    pieces = parts(tiny_gan("float64", loss=NonSaturating()), meta_learner() if meta_learner else None)
    episode, estimator = one(EPISODES), Unrolled(1)

    @tf.function(autograph=False)
    def both():
        return estimator.task(*pieces, episode, 3), estimator._through_objectives(*pieces, episode, 3)

    short, long = both()
    flat_close(short.weights, long.weights, rtol=1e-12, atol=1e-15)
    flat_close(short.metrics, long.metrics, rtol=1e-6)
    assert max(np.abs(g).max() for g in tf.nest.flatten(short.weights)) > 0.01


def learned_quadratic(order, steps, rate=0.2, decay=0.1):
    meta_learner = LearnedRates(math.log(rate), decay)
    pieces = parts(Quadratic(START, CURVATURE), meta_learner)
    estimate = Unrolled(order).estimate(*pieces, constant_episodes([SUPPORT], [QUERY]), steps)
    return estimate, meta_learner


@pytest.mark.parametrize("steps", [1, 4])
def test_order_one_hides_the_params_that_a_meta_learner_receives(steps):
    """The meta-learner shrinks its params: delta = -rate g - decay w. By hand, with gradients and received params held
    fixed, d w_K / d w_0 = 1, d w_K / d log rate = -rate sum g_k and d w_K / d decay = -sum w_k. Were the params left
    open, the first would be (1 - decay)^K."""
    w, slopes, params = START, [], []
    for _ in range(steps):
        slopes.append(CURVATURE * (w - SUPPORT))
        params.append(w)
        w += -0.2 * slopes[-1] - 0.1 * params[-1]
    outer = CURVATURE * (w - QUERY)
    estimate, meta_learner = learned_quadratic(1, steps)
    np.testing.assert_allclose(estimate.weights["point"][0], outer, rtol=1e-12)
    learned = dict(zip([v.name for v in meta_learner.trainable_variables], estimate.meta_learner, strict=True))
    np.testing.assert_allclose(learned["log_rate_learner"], -outer * 0.2 * sum(slopes), rtol=1e-12)
    np.testing.assert_allclose(learned["decay"], -outer * sum(params), rtol=1e-12)


@pytest.mark.parametrize("steps", [1, 4])
def test_order_two_of_a_learned_meta_learner_by_hand(steps):
    """w' = s w + e log-linear in nothing: s = 1 - rate a - decay, so d w_K / d w_0 = s^K."""
    s = 1 - 0.2 * CURVATURE - 0.1
    w, by_rate, by_decay = START, 0.0, 0.0
    for _ in range(steps):
        by_rate = s * by_rate - 0.2 * CURVATURE * (w - SUPPORT)
        by_decay = s * by_decay - w
        w += -0.2 * CURVATURE * (w - SUPPORT) - 0.1 * w
    outer = CURVATURE * (w - QUERY)
    estimate, meta_learner = learned_quadratic(2, steps)
    np.testing.assert_allclose(estimate.weights["point"][0], outer * s**steps, rtol=1e-12)
    learned = dict(zip([v.name for v in meta_learner.trainable_variables], estimate.meta_learner, strict=True))
    np.testing.assert_allclose(learned["log_rate_learner"], outer * by_rate, rtol=1e-12)
    np.testing.assert_allclose(learned["decay"], outer * by_decay, rtol=1e-12)


def test_learned_rates_of_both_players_of_a_gan_against_finite_differences():
    """The discriminator's rate too: it acts on the distance only through the generator's later moves."""
    game = tiny_gan("float64", loss=NonSaturating())
    loop, meta = pieces = parts(game, LearnedRates(-1.5, 0.02))
    episode = one(EPISODES)

    @tf.function(autograph=False)
    def estimate():
        return Unrolled(2).task(*pieces, episode, 3)

    @tf.function(autograph=False)
    def distance(weights, learned):
        start = MetaWeights(Snapshot(weights, meta.initial.state), learned)
        carry, _ = adapt((loop, start), episode, 3)
        return loop.distance(loop.final(start, carry), episode)

    got = estimate()
    values = [v.numpy() for v in meta.meta_learner]
    for direction in directions(values):
        measured = central_difference(
            lambda a: distance(meta.initial.weights, [tf.constant(x) for x in a]), values, direction, step=1e-3
        )
        claimed = sum(np.sum(g * d) for g, d in zip(got.meta_learner, direction, strict=True))
        assert abs(measured) > 1e-6, "this number hardly matters, so nothing would be tested"
        np.testing.assert_allclose(claimed, measured, rtol=1e-6)
    for net in ("generator", "discriminator"):
        values = [v.numpy() for v in meta.initial.weights[net]]
        direction = [np.random.default_rng(3).normal(size=v.shape) for v in values]
        measured = central_difference(
            lambda a, net=net: distance({**meta.initial.weights, net: [tf.constant(x) for x in a]}, meta.meta_learner),
            values,
            direction,
            step=1e-3,
        )
        claimed = sum(np.sum(g * d) for g, d in zip(got.weights[net], direction, strict=True))
        np.testing.assert_allclose(claimed, measured, rtol=1e-6)
