"""Draws without replacement, by stateless random numbers."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

# Pinned: the automatic choice depends on the device, and with it the episodes would.
ALGORITHM = "philox"


def smallest(key: tf.Tensor, rows: int, columns: int, limits: tf.Tensor, count: int) -> tf.Tensor:
    """Draw int32[rows, count]: in each row distinct columns below the row's limit, uniform over orders."""
    keys = tf.random.stateless_uniform([rows, columns], key, alg=ALGORITHM)
    # 2 exceeds every key, so columns past the limit are never among the smallest.
    keys = tf.where(tf.range(columns)[None, :] < limits[:, None], keys, 2.0)
    return tf.math.top_k(-keys, k=count).indices


def picked(key: tf.Tensor, entries: np.ndarray, count: int) -> tf.Tensor:
    """Draw int32[count] different entries."""
    return tf.gather(tf.constant(entries), smallest(key, 1, len(entries), tf.constant([len(entries)]), count)[0])
