"""What a meta-learner that steers is shown inside a task: how far samples are from support examples held out for it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from meta_gan import functional
from meta_gan.games.base import Game
from meta_gan.types import Snapshot

# The roles of draws, which examples are held out, and of the samples that are held against them; see `inner_loop`.
APART = 8
WATCHED = 1_000_001  # in a step's key for the rule, beside its decision: turns have the lower numbers
# What is held out is repeated up to so many: as many samples are drawn, and few would tell mostly of chance.
FEWEST = 32


def apart(support: Any, share: float, seed: Any) -> tuple[Any, Any]:
    """Splits a support set into what is trained on and what a steering rule watches, the same for the same task.

    Args:
        support: float[k, *example], any k >= 1, or a dict of domains.
        share: in [0, 1), of the examples that are held out, rounded, but at least one; with 0, and of a single example,
            the same examples are both.
        seed: int32[2], the task's key.

    Returns:
        `(trained on, watched)`.
    """
    if not share:
        return support, support

    def each(number: int, examples: Any) -> tuple[Any, Any]:
        count = tf.shape(examples)[0]
        wanted = tf.maximum(tf.cast(tf.round(share * tf.cast(count, tf.float32)), tf.int32), 1)
        held = tf.minimum(wanted, count - 1)
        key = functional.fold(functional.fold(seed, APART), number)
        order = tf.argsort(tf.random.stateless_uniform([count], key, alg="philox"), stable=True)
        shuffled = tf.gather(examples, order)
        return shuffled[held:], shuffled[: tf.maximum(held, 1)]

    if not isinstance(support, dict):
        return each(0, support)
    split = {domain: each(number, support[domain]) for number, domain in enumerate(sorted(support))}
    return tuple({domain: parts[i] for domain, parts in split.items()} for i in (0, 1))  # type: ignore[return-value]


def watched_distance(game: Game, snapshot: Snapshot, support: Any, watched: Any, seed: Any) -> Any:
    """The distance from samples to the watched examples as they are, float32[] >= 0 but for rounding.

    Repeating the examples leaves them the same sample, so their number tells nothing but how many samples are drawn.
    """

    def repeated(examples: Any) -> Any:
        count = tf.shape(examples)[0]
        times = tf.math.floordiv(FEWEST + count - 1, count)
        return tf.reshape(tf.tile(examples[None], [times, *[1] * examples.shape.rank]), [-1, *examples.shape[1:]])

    conditioning = game.condition(snapshot, support)
    found = game.distance(
        snapshot, tf.nest.map_structure(repeated, watched), conditioning, functional.fold(seed, WATCHED), biased=True
    )
    return tf.cast(found, tf.float32)
