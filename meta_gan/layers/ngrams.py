"""Counts of symbols and of pairs of symbols in a relaxed text: what two sets of texts can be compared by."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("meta_gan")
class SymbolPairs(keras.layers.Layer):
    """Counts of every symbol and of every pair of neighbours, up to the first end (symbol 0), that end included.

    Of relaxed texts, whose rows are shares of symbols, the counts are products of shares.

    Args:
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Raises:
        ValueError: an input that is not [n, length, symbols].

    Example:
        >>> text = tf.one_hot([[1, 2, 0, 0]], 3)  # "ab": one a, one b, one end; ab and b-end
        >>> SymbolPairs()(text).numpy().tolist()
        [[1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]]
    """

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Check the shape; there are no weights."""
        if len(shape) != 3 or None in shape[1:]:
            raise ValueError(f"texts must be [n, length, symbols]. Received: shape {tuple(shape)}")

    def call(self, texts: Any) -> Any:
        """Return float[n, symbols + symbols^2] of `texts` float[n, length, symbols]."""
        symbols = texts.shape[2]
        # The share of a text that has not ended ahead of a place; `cumprod` has no derivative where a factor is 0.
        alive = [tf.ones_like(texts[:, 0, 0])]
        for position in range(texts.shape[1] - 1):
            alive.append(alive[-1] * (1.0 - texts[:, position, 0]))
        seen = tf.stack(alive, axis=1)[..., None] * texts
        # After an end there is nothing: a pair whose first is the end does not count.
        first = seen[:, :-1] * (1.0 - tf.one_hot(0, symbols, dtype=texts.dtype))
        pairs = tf.einsum("nta,ntb->nab", first, texts[:, 1:])
        return tf.concat([tf.reduce_sum(seen, axis=1), tf.reshape(pairs, [-1, symbols * symbols])], axis=1)

    def compute_output_shape(self, shape: Any) -> tuple[int | None, ...]:
        """Return [n, symbols + symbols^2]."""
        return shape[0], shape[2] + shape[2] ** 2
