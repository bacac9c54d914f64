"""Resampling of images and sounds, with correct derivatives of any order by values and positions.

The gradient of TensorFlow's bilinear resize is not differentiable, and second derivatives of Keras's layers that use it
are wrong by 20 to 50 % without an error. Here resizing, a linear map, is a product with constant matrices, and sampling
at given positions is a sum of gathered values weighted by functions of the positions. Images are channels-last.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from meta_gan.checks import check_integer
from meta_gan.types import Tensor

_SHARPNESS = -0.5  # Keys's parameter a; at -1/2 the error of the interpolation is of third order


def bilinear_matrix(size: int, factor: int) -> np.ndarray:
    """Return the matrix that interpolates `size` values linearly at `factor` times as many points.

    Output p is the value at position (p + 1/2) / factor - 1/2 on the input's axis (half-pixel centres). End values are
    repeated beyond the ends, as in `tf.image.resize`.

    Args:
        size: number of input values, >= 1.
        factor: number of outputs for each input, >= 1.

    Returns:
        float64[size * factor, size] in [0, 1]; every row sums to 1.

    Example:
        >>> bilinear_matrix(2, 2) @ [0.0, 1.0]
        array([0.  , 0.25, 0.75, 1.  ])
    """
    position = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    return np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(size)[None, :]))


def cubic_matrix(size: int, factor: int) -> np.ndarray:
    """Return the matrix that interpolates `size` values cubically at `factor` times as many points.

    Args:
        size: number of input values, >= 1.
        factor: number of outputs for each input, >= 1.

    Returns:
        float64[size * factor, size]; every row sums to 1. Positions and ends are as in `bilinear_matrix`.

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


def resize(images: Tensor, rows: np.ndarray, columns: np.ndarray) -> Tensor:
    """Multiply images float[n, h, w, channels] by matrices [p, h] and [q, w]: float[n, p, q, channels]."""
    along_rows = tf.einsum("nhwc,ph->npwc", images, tf.cast(rows, images.dtype))
    return tf.einsum("npwc,qw->npqc", along_rows, tf.cast(columns, images.dtype))


def grid(height: int, width: int) -> np.ndarray:
    """Return float64[height, width, 2], the (row, column) of each pixel's centre; the image's edges are at -1 and 1."""
    axes = [(2.0 * np.arange(side) + 1.0) / side - 1.0 for side in (height, width)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def sample_at(images: Tensor, positions: Tensor) -> Tensor:
    """Sample images bilinearly.

    Args:
        images: float[n, h, w, channels] with known h and w; border pixels are repeated beyond the edges.
        positions: float[n, p, q, 2], (row, column) with the edges of the image at -1 and 1.

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
    # Clip before the cast: a position outside the int32 range would wrap around to the opposite edge.
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


def sound_at(sounds: Tensor, positions: Tensor) -> Tensor:
    """Sample sounds cubically.

    Args:
        sounds: float[n, samples] with a known number of samples; 0 beyond the ends.
        positions: float[n, p], in samples, with the first sample at 0.

    Returns:
        float[n, p].

    Example:
        >>> sound_at(tf.constant([[0.0, 1.0, 0.0]]), tf.constant([[1.0, 5.0]])).numpy().tolist()
        [[1.0, 0.0]]

    Reference:
        Keys, Cubic convolution interpolation for digital image processing, 1981.
    """
    length = sounds.shape[1]
    padded = tf.pad(sounds, [[0, 0], [2, 2]])
    # Clip to the padding at either end, where all four taps are zero.
    place = tf.clip_by_value(positions, -1.0, float(length)) + 2.0
    first = tf.minimum(tf.floor(place), float(length + 1))
    t = place - first
    index = tf.cast(first, tf.int32)
    taps = [tf.gather(padded, tf.clip_by_value(index + i, 0, length + 3), batch_dims=1) for i in (-1, 0, 1, 2)]
    cubic = -taps[0] + 3.0 * taps[1] - 3.0 * taps[2] + taps[3]
    square = 2.0 * taps[0] - 5.0 * taps[1] + 4.0 * taps[2] - taps[3]
    return taps[1] + 0.5 * t * (taps[2] - taps[0] + t * (square + t * cubic))


class _Upsample(keras.layers.Layer):
    """Base of both layers: the factor, the output shape and the configuration."""

    def __init__(self, factor: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = check_integer(factor, "factor", 1)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check `input_shape`, [n, height, width, channels]; there are no weights."""
        if len(input_shape) != 4:
            raise ValueError(
                f"'input_shape' of {type(self).__name__} must be (n, height, width, channels). "
                f"Received: {tuple(input_shape)}"
            )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return [n, factor * height, factor * width, channels]."""
        batch, height, width, channels = input_shape
        grown = tuple(None if side is None else side * self.factor for side in (height, width))
        return (batch, *grown, channels)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("meta_gan")
class UpsampleNearest(_Upsample):
    """Upsample by repeating every pixel `factor` times in both directions.

    Args:
        factor: int >= 1.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Raises:
        ValueError: if `factor` is not an int >= 1, or the input is not [n, height, width, channels].

    Example:
        >>> UpsampleNearest(2)(tf.reshape([1.0, 2.0], [1, 1, 2, 1]))[0, :, :, 0].numpy()
        array([[1., 1., 2., 2.],
               [1., 1., 2., 2.]], dtype=float32)
    """

    def call(self, inputs: Tensor) -> Tensor:
        """Return float[n, factor * height, factor * width, channels]."""
        return ops.repeat(ops.repeat(inputs, self.factor, axis=1), self.factor, axis=2)


@keras.saving.register_keras_serializable("meta_gan")
class UpsampleBilinear(_Upsample):
    """Upsample by bilinear interpolation, with half-pixel centres and repeated borders as in `tf.image.resize`.

    Args:
        factor: int >= 1.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Raises:
        ValueError: if `factor` is not an int >= 1, or the input is not [n, height, width, channels] with known height
            and width.

    Example:
        >>> UpsampleBilinear(2)(tf.reshape([0.0, 1.0], [1, 1, 2, 1]))[0, 0, :, 0].numpy()
        array([0.  , 0.25, 0.75, 1.  ], dtype=float32)
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check `input_shape`, which must have a known height and width."""
        super().build(input_shape)
        _, height, width, _ = input_shape
        if height is None or width is None:
            raise ValueError(
                f"'input_shape' of UpsampleBilinear must have a known height and width. Received: {tuple(input_shape)}"
            )

    def call(self, inputs: Tensor) -> Tensor:
        """Return float[n, factor * height, factor * width, channels]."""
        _, height, width, _ = inputs.shape
        rows, columns = (ops.cast(bilinear_matrix(side, self.factor), self.compute_dtype) for side in (height, width))
        return ops.einsum("nhwc,qw->nhqc", ops.einsum("nhwc,ph->npwc", inputs, rows), columns)
