"""Second-order meta-gradients of real GANs against finite differences, in float64.

With a gradient penalty the inner step holds second derivatives, so the meta-gradient holds third ones.
"""

import functools

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.losses import R1, GradientPenalty, NonSaturating, Wasserstein
from meta_gan.meta import Unrolled
from tests.references.plain import descend, outcome
from tests.toys import adapt, central_difference, directions, one, parts, random_episodes, tiny_gan, weekly

STEPS, RATE = 2, 0.1
GAMES = {
    "non-saturating, R1": lambda: tiny_gan(
        "float64", activation="tanh", loss=NonSaturating(), penalty=R1(1.0), discriminator_turns=2
    ),
    "WGAN-GP": lambda: tiny_gan("float64", loss=Wasserstein(), penalty=GradientPenalty(1.0)),
}
NAMES = ["non-saturating, R1", *weekly("WGAN-GP")]
EPISODES = random_episodes(tasks=1, dtype="float64")


@functools.cache
def setting(name):
    return parts(GAMES[name](), rate=RATE)


@functools.cache
def meta_gradient(name, kind):
    """In one graph, because second-order gradients of an eager while loop are slow."""
    estimator = {"partial": Unrolled(2), "total": Unrolled(2, partial=False), "first": Unrolled(1)}[kind]
    pieces = setting(name)
    return tf.function(lambda: estimator.estimate(*pieces, EPISODES, STEPS).weights, autograph=False)()


@pytest.mark.parametrize("kind", ["partial", *weekly("total")])
@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_of_both_players(name, kind):
    loop, meta = setting(name)
    game = loop.game
    gradients, initial = meta_gradient(name, kind), meta.initial
    for player, (net,) in game.players.items():
        function = outcome(game, player, kind == "partial", initial, one(EPISODES), STEPS, RATE)
        values = [v.numpy() for v in initial.weights[net]]
        for direction in directions(values):
            measured = central_difference(
                lambda arrays, f=function: f([tf.constant(a) for a in arrays]), values, direction, step=1e-3
            )
            claimed = sum(np.sum(g * d) for g, d in zip(gradients[net], direction, strict=True))
            # Truncation is of order step^4 = 1e-12 and rounding of 1e-16 / step: both far below 1e-8.
            np.testing.assert_allclose(claimed, measured, rtol=1e-7, atol=1e-9, err_msg=f"{player} {name}")


@pytest.mark.parametrize("name", NAMES)
def test_partial_total_and_first_order_differ(name):
    """So that the test above cannot be passed by the wrong one of the three."""
    for net in ("generator", "discriminator"):
        for a, b in (("partial", "total"), ("partial", "first"), ("total", "first")):
            pairs = zip(meta_gradient(name, a)[net], meta_gradient(name, b)[net], strict=True)
            gap = max(np.abs(x - y).max() for x, y in pairs)
            assert gap > 1e-4, f"{net}: {a} and {b} meta-gradients agree to {gap}"


@pytest.mark.parametrize("name", GAMES)
def test_the_loop_equals_the_plain_one(name):
    """Losses and end points, with the same draws: the seeds of the loop are what its documentation says."""
    loop, meta = pieces = setting(name)
    game = loop.game
    carry, records = adapt(pieces, one(EPISODES), 3)
    weights, _, losses = descend(game, *meta.initial, one(EPISODES), 3, RATE)
    np.testing.assert_allclose(tf.reshape(records, [-1]), np.array(losses), rtol=1e-6)
    for player, (net,) in game.players.items():
        for a, b in zip(carry.params[player], weights[net], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)
