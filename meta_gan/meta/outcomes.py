"""How a task turned out, for estimators that know of nothing else: log distances, and rates that are set at random."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from meta_gan import functional
from meta_gan.games.base import Game
from meta_gan.meta import inner_loop
from meta_gan.types import Episode, Snapshot

NEAREST, FURTHEST = 1e-3, 1e30
LOST = math.log(10.0)
"""By how much further than at its start, in nats, a task counts as diverged."""
# The role of the draw of a task's rate factor; see `inner_loop`.
FACTOR = 10


def log_distance(game: Game, snapshot: Snapshot, episode: Episode) -> Any:
    """The logarithm float32[] of the distance from samples to the query set, as the two sets are.

    It is not below that of .001; what is no number is infinitely far.
    """
    found = tf.cast(inner_loop.distance(game, snapshot, episode, biased=True), tf.float32)
    return tf.where(tf.math.is_finite(found), tf.math.log(tf.maximum(found, NEAREST)), math.inf)


def first_distance(game: Game, snapshot: Snapshot, episode: Episode) -> Any:
    """`log_distance` before the first step: finite, so that what becomes infinite later is told from it."""
    return tf.minimum(log_distance(game, snapshot, episode), math.log(FURTHEST))


def rate_factor(spread: float, seed: Any) -> Any:
    """A task's factor of all rates, float32[]: log-uniform, its bounds 1 / sqrt(spread) and sqrt(spread); None for 1.

    Args:
        spread: >= 1.
        seed: int32[2], the task's key.
    """
    if spread == 1.0:
        return None
    half = 0.5 * math.log(spread)
    return tf.exp(tf.random.stateless_uniform([], functional.fold(seed, FACTOR), -half, half, alg="philox"))


def reward(first: Any, last: Any, now: Any, stopped: Any, cost: float) -> tuple[Any, Any, Any]:
    """What a decision earned.

    Args:
        first: float32[], the log distance at the start of the task.
        last: float32[], at the decision.
        now: float32[], at the next one.
        stopped: bool[], whether it was to stop; then no steps were made.
        cost: of the steps in between.

    Returns:
        `(reward, now, lost)`, float32[] each: `now` at most `LOST` above `first`, and `lost` 1 where it came to that,
        which costs 1 more.
    """
    lost = tf.cast(now >= first + LOST, tf.float32)
    now = tf.minimum(now, first + LOST)
    return last - now - cost * (1.0 - tf.cast(stopped, tf.float32)) - lost, now, lost
