"""Draws of support and query from different tracks, such as the frames of one object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from meta_gan.tasks.errors import DataError
from meta_gan.tasks.sampling import ALGORITHM, smallest
from meta_gan.types import Tensor


class Tracks:
    """The tracks of every class, and draws of episodes in which no track is in both support and query.

    Args:
        labels: int32[n], the class of each example.
        tracks: int32[n], the track of each example; those of different classes are different tracks.
        shots: support examples of an episode.
        queries: query examples of an episode.

    Example:
        >>> tracks = Tracks(np.zeros(4, np.int32), np.array([0, 0, 1, 1]), shots=1, queries=2)
        >>> tracks.draw(tf.constant([0]), tf.constant([0, 1]), tf.constant([0, 2])).shape
        TensorShape([1, 3])
    """

    def __init__(self, labels: np.ndarray, tracks: np.ndarray, shots: int, queries: int) -> None:
        """See the class."""
        self.shots, self.queries = shots, queries
        self._order = np.lexsort((tracks, labels)).astype(np.int32)
        label, track = labels[self._order], tracks[self._order]
        classes = int(label.max()) + 1
        self._starts = np.searchsorted(label, np.arange(classes)).astype(np.int32)
        self._sizes = np.bincount(label, minlength=classes).astype(np.int32)
        # Each example's track, numbered from 0 in its class; and the size of each track.
        fresh = np.ones(len(label), bool)
        fresh[1:] = (label[1:] != label[:-1]) | (track[1:] != track[:-1])
        number = np.cumsum(fresh) - 1
        firsts = number[np.minimum(self._starts, len(number) - 1)]
        self._counts = np.bincount(label[fresh], minlength=classes).astype(np.int32)
        self._number = (number - firsts[label]).astype(np.int32)
        self._track_sizes = np.zeros((classes, int(self._counts.max())), np.int32)
        np.add.at(self._track_sizes, (label, self._number), 1)

    def require(self, classes: np.ndarray, names: Sequence[str], name: str) -> None:
        """Check that every draw of the classes has enough examples on both sides, or raise a DataError."""
        # Whatever the order of the tracks, the last one that the support set needs may be the largest.
        needed = self.shots - 1 + self._track_sizes[classes].max(axis=1, initial=0) + self.queries
        short = np.flatnonzero(self._sizes[classes] < needed)
        if len(short):
            index, least = classes[short[0]], needed[short[0]]
            raise DataError(
                f"{name}: every class needs at least shots + queries - 1 examples beside its largest track; class "
                f"{names[index]!r} needs {least} and has {self._sizes[index]} in {self._counts[index]} tracks "
                f"({len(short)} of {len(classes)} classes have too few). "
                f"Received: shots={self.shots}, queries={self.queries}"
            )

    def draw(self, classes: Tensor, track_key: Tensor, example_key: Tensor) -> Tensor:
        """Draw examples of classes, int32[tasks], by two keys; a pure function.

        The tracks are put in random order. The first of them are the support set's: their share of the tracks is that
        of the support set in the episode, unless more are needed for one side or the other.

        Returns:
            int32[tasks, shots + queries], the indices of different examples, the support set's first.
        """
        tasks, most = classes.shape[0], self._track_sizes.shape[1]
        counts, sizes = (tf.gather(tf.constant(array), classes) for array in (self._counts, self._track_sizes))
        order = smallest(track_key, tasks, most, counts, most)
        # Tracks past the count of a class have size 0.
        sums = tf.cumsum(tf.gather(sizes, order, batch_dims=1), axis=1)
        total = tf.gather(tf.constant(self._sizes), classes)[:, None]
        least = 1 + tf.reduce_sum(tf.cast(sums < self.shots, tf.int32), axis=1)
        enough = (total - sums >= self.queries) & (tf.range(most)[None] < counts[:, None])
        largest = tf.reduce_sum(tf.cast(enough, tf.int32), axis=1)
        share = self.shots / (self.shots + self.queries)
        wanted = tf.cast(tf.round(share * tf.cast(counts, tf.float32)), tf.int32)
        split = tf.maximum(tf.minimum(wanted, largest), least)
        rank = tf.argsort(order, axis=1)  # the place of each track in the order
        places = tf.range(int(self._sizes.max()))[None]
        index = tf.gather(tf.constant(self._starts), classes)[:, None] + places
        index = tf.minimum(index, len(self._order) - 1)
        supports = tf.gather(rank, tf.gather(tf.constant(self._number), index), batch_dims=1) < split[:, None]
        keys = tf.random.stateless_uniform([tasks, places.shape[1]], example_key, alg=ALGORITHM)
        inside = places < total
        sides = ((supports & inside, self.shots), (~supports & inside, self.queries))
        # 2 exceeds every key: examples of the other side are never among the smallest.
        chosen = [tf.math.top_k(-tf.where(side, keys, 2.0), k=count).indices for side, count in sides]
        chosen = tf.gather(index, tf.concat(chosen, axis=1), batch_dims=1)
        return tf.gather(tf.constant(self._order), chosen)
