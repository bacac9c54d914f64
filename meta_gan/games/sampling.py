"""Games that draw examples of a task, and how often these are copies of its support set."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from meta_gan.games.base import Game
from meta_gan.losses import pairwise_distances
from meta_gan.types import Snapshot


class Sampling(Game):
    """A game with the endpoint `sample`, of examples like those of the support set."""

    tells_copies = True

    def copy_rate(self, snapshot: Snapshot, support: Any, query: Any, conditioning: Any, seed: Any) -> Any:
        """See `Game.copy_rate`."""
        made = self.endpoints["sample"].fn(snapshot, conditioning, {"num": tf.shape(query)[0]}, seed)["samples"]
        return copied_share(made, support, query)


def copied_share(made: Any, support: Any, query: Any) -> Any:
    """Return the share of examples that are nearer to a support example than real ones are to one another.

    A copy is what lies below the first percentile of the distances of all pairs of real examples, one that occurs (the
    smallest, of up to 100 pairs), or at a distance of 0: as the evaluation has it, but of one task's examples in
    place of a whole class's. Of sounds it compares waveforms, and so tells verbatim copies alone.

    Args:
        made: float[n, *example], generated examples, n >= 1.
        support: float[k, *example], k >= 1.
        query: float[m, *example], m >= 1, other real examples of the class.

    Returns:
        float32[] in [0, 1]; NaN where a generated example is not finite, for a generator that diverged copies nothing.

    Example:
        >>> made, support, query = tf.constant([[0.1], [0.9]]), tf.constant([[0.0]]), tf.constant([[0.5]])
        >>> float(copied_share(made, support, query))
        0.5
    """
    real = tf.concat([support, tf.cast(query, support.dtype)], axis=0)
    count = tf.shape(real)[0]
    # Every example's distance of 0 from itself comes first, and then every pair twice.
    ascending = tf.sort(tf.reshape(pairwise_distances(real, real), [-1]))
    pairs = tf.math.floordiv(count * (count - 1), 2)
    threshold = ascending[count + 2 * tf.math.floordiv(pairs - 1, 100)]
    nearest = tf.reduce_min(pairwise_distances(tf.cast(made, support.dtype), support), axis=1)
    copies = tf.cast(tf.logical_or(nearest < threshold, tf.equal(nearest, 0)), tf.float32)
    return tf.reduce_mean(tf.where(tf.math.is_finite(nearest), copies, tf.constant(float("nan"))))
