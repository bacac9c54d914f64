"""Warping images smoothly, with derivatives that are right to any order in the positions and in the images.

TensorFlow's own resampling kernels have no second derivatives. Here a bilinear sample is a sum of four gathered
pixels with weights that are products of the position's fractions, and a resize is a product with a constant matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

_SHARPNESS = -0.5  # Keys's parameter, for which the interpolation is right to the third order


def cubic_matrix(size: int, factor: int) -> np.ndarray:
    """Return the matrix that interpolates `size` values cubically at `factor` times as many points.

    Args:
        size: int >= 1, values along the input's axis.
        factor: int >= 1, outputs for every input.

    Returns:
        float64[size * factor, size]; every row sums to 1. Output p lies at (p + 1/2) / factor - 1/2 of the input's
        axis, and beyond the ends the end values are repeated.

    Example:
        >>> cubic_matrix(4, 1).round(2).tolist() == np.eye(4).tolist()
        True

    Reference:
        Keys, Cubic convolution interpolation for digital image processing, 1981, equation 15.
    """
    centre = (np.arange(size * factor) + 0.5) / factor - 0.5
    first = np.floor(centre).astype(int) - 1
    matrix = np.zeros((size * factor, size))
    for tap in range(4):
        t = np.abs(centre - (first + tap))
        near = (_SHARPNESS + 2) * t**3 - (_SHARPNESS + 3) * t**2 + 1
        far = _SHARPNESS * (t**3 - 5 * t**2 + 8 * t - 4)
        weight = np.where(t <= 1, near, np.where(t < 2, far, 0.0))
        np.add.at(matrix, (np.arange(size * factor), np.clip(first + tap, 0, size - 1)), weight)
    return matrix


def resize(images: Any, rows: np.ndarray, columns: np.ndarray) -> Any:
    """Return float[n, p, q, channels], `images` float[n, h, w, channels] by the matrices [p, h] and [q, w]."""
    along_rows = tf.einsum("nhwc,ph->npwc", images, tf.cast(rows, images.dtype))
    return tf.einsum("npwc,qw->npqc", along_rows, tf.cast(columns, images.dtype))


def grid(height: int, width: int) -> np.ndarray:
    """Return float64[height, width, 2], the (row, column) of every pixel's centre, from -1 to 1 between the edges."""
    axes = [(2.0 * np.arange(side) + 1.0) / side - 1.0 for side in (height, width)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def sample_at(images: Any, positions: Any) -> Any:
    """Sample images bilinearly.

    Args:
        images: float[n, h, w, channels] of known h and w; beyond the edges the edge's pixels are repeated.
        positions: float[n, p, q, 2], (row, column) in units of half an image, -1 and 1 being its edges.

    Returns:
        float[n, p, q, channels].

    Example:
        >>> image = tf.reshape([0.0, 1.0], [1, 1, 2, 1])
        >>> float(sample_at(image, tf.zeros([1, 1, 1, 2]))[0, 0, 0, 0])  # half way between the two pixels
        0.5

    Reference:
        Jaderberg et al., Spatial Transformer Networks, 2015, equation 5.
    """
    height, width, channels = images.shape[1:]
    count = tf.shape(images)[0]
    flat = tf.reshape(images, [count, height * width, channels])
    sides = tf.constant([height, width], positions.dtype)
    place = (positions + 1.0) * sides / 2.0 - 0.5
    corner = tf.floor(place)
    fraction = place - corner
    # Before the cast: a place too far away for an int32 would come back at the opposite edge.
    corner = tf.cast(tf.clip_by_value(corner, -1.0, sides), tf.int32)
    shape = tf.concat([tf.shape(positions)[:3], [channels]], axis=0)
    total = tf.zeros([], images.dtype)
    for down in (0, 1):
        for right in (0, 1):
            row = tf.clip_by_value(corner[..., 0] + down, 0, height - 1)
            column = tf.clip_by_value(corner[..., 1] + right, 0, width - 1)
            index = tf.reshape(row * width + column, [count, -1])
            pixels = tf.reshape(tf.gather(flat, index, batch_dims=1), shape)
            share = [fraction[..., 0] if down else 1.0 - fraction[..., 0]]
            share.append(fraction[..., 1] if right else 1.0 - fraction[..., 1])
            total += pixels * (share[0] * share[1])[..., None]
    return total
