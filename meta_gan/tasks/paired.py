"""Query images of two domains that show the same things: the truth of a translation, for those who have it."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan.tasks.base import Source
from meta_gan.tasks.episodes import ALGORITHM
from meta_gan.tasks.errors import DataError

_LAST = -1.0  # below every draw: what may not be drawn


class PairedDraws:
    """Draws the images of pairs of classes of one source: image i of both query sets is of one group.

    A group is what is shown, such as a character in many fonts. The support sets are of other groups than the query
    sets, and drawn apart, so nothing pairs them.

    Args:
        source: with groups, each of at most one image in a class.
        pairs: int32[n, 2], all pairs of classes that will be drawn; each class of `shots + queries` groups or more.
        shots: support images of each domain.
        queries: query images of each domain.

    Raises:
        DataError: a source without groups, two images of one group in one class, or a pair with fewer than `queries`
            groups that both classes have.

    Example:
        >>> draws = PairedDraws(fonts, np.array([[0, 1]], np.int32), shots=5, queries=7)
        >>> support, query = draws(tf.constant([[0, 1]]), tf.constant([1, 2]))  # int32[1, 12], of each domain
    """

    def __init__(self, source: Source, pairs: np.ndarray, shots: int, queries: int) -> None:
        """See the class."""
        if source.groups is None:
            raise DataError(f"{source.name}: `paired` needs groups, which say what belongs together. Received: none")
        values, groups = np.unique(source.groups, return_inverse=True)
        table = np.full((len(source.class_names), len(values)), -1, np.int32)
        table[source.labels, groups] = np.arange(len(source.labels), dtype=np.int32)
        if (table >= 0).sum() < len(source.labels):
            raise DataError(f"{source.name}: `paired` needs at most one image of a group in a class. Received: several")
        self._table, self._shots, self._queries = table, shots, queries
        for a, b in pairs.tolist():
            self._check(source, a, b)

    def _check(self, source: Source, a: int, b: int) -> None:
        both = int(((self._table[a] >= 0) & (self._table[b] >= 0)).sum())
        if both < self._queries:
            raise DataError(
                f"{source.name}: a pair needs `queries` groups that both classes have. Received: queries="
                f"{self._queries}, and {both} that {source.class_names[a]!r} and {source.class_names[b]!r} have"
            )

    def __call__(self, pairs: Any, key: Any) -> tuple[Any, Any]:
        """Draw int32[tasks, shots + queries] indices of examples for each domain, int32[tasks, 2] `pairs`; pure."""
        tables = [tf.gather(tf.constant(self._table), pairs[:, side]) for side in (0, 1)]
        shape = tf.shape(tables[0])

        def chosen(allowed: Any, index: int, count: int) -> Any:
            scores = tf.random.stateless_uniform(shape, tf.random.fold_in(key, index, alg=ALGORITHM), alg=ALGORITHM)
            return tf.math.top_k(tf.where(allowed, scores, _LAST), k=count).indices

        query = chosen((tables[0] >= 0) & (tables[1] >= 0), 0, self._queries)
        free = tf.reduce_sum(tf.one_hot(query, shape[1], dtype=tf.int32), axis=1) == 0
        drawn = []
        for side, table in enumerate(tables):
            support = chosen((table >= 0) & free, 1 + side, self._shots)
            drawn.append(tf.gather(table, tf.concat([support, query], axis=1), batch_dims=1))
        return drawn[0], drawn[1]
