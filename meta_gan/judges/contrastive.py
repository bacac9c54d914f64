"""Contrastive learning of features: each image is to be told from all others, under warps and without labels."""

from __future__ import annotations

import keras
import tensorflow as tf

from meta_gan.networks.base import seeded_normal

TEMPERATURE = 0.1
PROJECTED = 64
"""Features of the projection head, which is discarded after training."""


def projection_head(features: int, seed: int) -> keras.Sequential:
    """Return a network of two layers from float[n, features] to float[n, 64]."""
    normal = seeded_normal(seed, "projection_head")
    return keras.Sequential(
        [
            keras.Input((features,)),
            keras.layers.Dense(features, activation="relu", kernel_initializer=normal(features, 0.0)),
            keras.layers.Dense(PROJECTED, use_bias=False, kernel_initializer=normal(features)),
        ],
        name="projection_head",
    )


def contrastive_loss(projected: tf.Tensor, temperature: float = TEMPERATURE) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the cross-entropy and accuracy of finding the other view of each image among all views.

    Args:
        projected: float[2 n, d], n >= 1; rows i and n + i are two views of one image.
        temperature: > 0, divides the cosines of angles between views.

    Returns:
        (float[], float[]).

    Example:
        >>> loss, accuracy = contrastive_loss(tf.constant([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, 3.0]]))
        >>> float(accuracy)
        1.0

    Reference:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, 2020, equation 1.
    """
    count = tf.shape(projected)[0]
    unit = tf.math.l2_normalize(projected, axis=1)
    logits = tf.matmul(unit, unit, transpose_b=True) / temperature
    logits = tf.linalg.set_diag(logits, tf.fill([count], logits.dtype.min))  # no view is compared with itself
    other = tf.roll(tf.range(count), count // 2, axis=0)
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(other, logits))
    hit = tf.equal(tf.argmax(logits, 1, output_type=tf.int32), other)
    return loss, tf.reduce_mean(tf.cast(hit, tf.float32))
