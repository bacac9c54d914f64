"""Upsampling layers whose derivatives are right to any order.

The gradient of TensorFlow's bilinear resize is itself not differentiable, which Keras's layers turn into
second derivatives that are silently 20 to 50 % wrong. Resizing is linear, so `UpsampleBilinear` writes it as
two products with constant matrices; it equals `tf.image.resize(..., "bilinear")` for every factor. Images are
channels-last.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from meta_gan.checks import check_integer


def bilinear_matrix(size: int, factor: int) -> np.ndarray:
    """Return the matrix that interpolates `size` values linearly at `factor` times as many points.

    Output p lies at (p + 1/2) / factor - 1/2 of the input's axis (half-pixel centres); beyond the ends the
    end values are repeated, as in `tf.image.resize`.

    Args:
        size: int >= 1, values along the input's axis.
        factor: int >= 1, outputs for every input.

    Returns:
        float64[size * factor, size] in [0, 1]; every row sums to 1.

    Example:
        >>> bilinear_matrix(2, 2) @ [0.0, 1.0]
        array([0.  , 0.25, 0.75, 1.  ])
    """
    position = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    return np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(size)[None, :]))


class _Upsample(keras.layers.Layer):
    """What both layers share: the checked factor, the output's shape and the configuration."""

    def __init__(self, factor: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_integer(factor, "factor", 1)
        self.factor = factor

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check `input_shape`, [n, height, width, channels]; there are no weights."""
        if len(input_shape) != 4:
            raise ValueError(
                f"`{type(self).__name__}` needs images [n, height, width, channels]. "
                f"Received: input_shape={tuple(input_shape)}"
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
    """Repeats every pixel `factor` times in both directions.

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

    def call(self, inputs: Any) -> Any:
        """Return float[n, factor * height, factor * width, channels]."""
        return ops.repeat(ops.repeat(inputs, self.factor, axis=1), self.factor, axis=2)


@keras.saving.register_keras_serializable("meta_gan")
class UpsampleBilinear(_Upsample):
    """Interpolates bilinearly, with half-pixel centres and repeated borders, as `tf.image.resize` does.

    Args:
        factor: int >= 1.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Raises:
        ValueError: if `factor` is not an int >= 1, or the input is not [n, height, width, channels] of known
            size.

    Example:
        >>> UpsampleBilinear(2)(tf.reshape([0.0, 1.0], [1, 1, 2, 1]))[0, 0, :, 0].numpy()
        array([0.  , 0.25, 0.75, 1.  ], dtype=float32)
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check `input_shape`; the two matrices need its height and width."""
        super().build(input_shape)
        _, height, width, _ = input_shape
        if height is None or width is None:
            raise ValueError(
                f"`UpsampleBilinear` needs a known height and width. Received: input_shape={tuple(input_shape)}"
            )

    def call(self, inputs: Any) -> Any:
        """Return float[n, factor * height, factor * width, channels]."""
        _, height, width, _ = inputs.shape
        rows, columns = (ops.cast(bilinear_matrix(side, self.factor), self.compute_dtype) for side in (height, width))
        return ops.einsum("nhwc,qw->nhqc", ops.einsum("nhwc,ph->npwc", inputs, rows), columns)
