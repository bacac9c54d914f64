"""Architectures of feature networks: functional Keras models from images to features.

They use this package's normalisation layers, and average pooling instead of the maximum pooling of ProtoNets, because
networks with the purpose "objective" are part of a loss that is differentiated twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from meta_gan import layers
from meta_gan.checks import check_integer, check_shape
from meta_gan.networks.base import seeded_normal

MOST_FEATURES = 256
"""The number of features above which `conv4` averages its last map over positions instead of flattening it.

Distances in many dimensions are less informative.
"""
_SMALLEST_SIDE = 8


def _check_image_shape(example_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return `example_shape` as a tuple if it is that of images of at least 8x8 pixels with 1 to 4 channels."""
    shape = check_shape(example_shape)
    if len(shape) != 3 or min(shape[:2]) < _SMALLEST_SIDE or shape[2] > 4:
        raise ValueError(
            f"'example_shape' must be (height, width, channels) of at least {_SMALLEST_SIDE} x {_SMALLEST_SIDE} pixels "
            f"with 1 to 4 channels. Received: {shape}"
        )
    return shape[0], shape[1], shape[2]


class _Stack:
    """A builder of named layers that share a dtype and a seed for their kernels."""

    def __init__(self, example_shape: Sequence[int], width: int, seed: int, stream: str, dtype: Any) -> None:
        self.example_shape = _check_image_shape(example_shape)
        self.width = check_integer(width, "width", 1)
        self.dtype, self.stream = dtype or "float32", stream
        self.last = {"data_format": "channels_last", "name": "features", "dtype": self.dtype}
        self.normal = seeded_normal(check_integer(seed, "seed", 0), stream)
        self.images = keras.Input(self.example_shape, dtype=self.dtype, name="images")

    def convolve(
        self, x: keras.KerasTensor, channels: int, name: str, kernel: int = 3, strides: int = 1
    ) -> keras.KerasTensor:
        """Apply a convolution without a bias, which would have no effect before the normalisation."""
        layer = keras.layers.Conv2D(
            channels,
            kernel,
            strides=strides,
            padding="same",
            data_format="channels_last",
            use_bias=False,
            kernel_initializer=self.normal(kernel**2 * x.shape[-1], 0.0),
            name=name,
            dtype=self.dtype,
        )
        return layer(x)

    def rectify(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Apply batch normalisation and a ReLU."""
        x = layers.BatchNormalization(name=f"normalize_{name}", dtype=self.dtype)(x)
        return keras.layers.ReLU(name=f"relu_{name}", dtype=self.dtype)(x)

    def halve(self, x: keras.KerasTensor, name: str, padding: str = "valid") -> keras.KerasTensor:
        """Apply 2x2 average pooling."""
        pool = keras.layers.AveragePooling2D(
            2, padding=padding, data_format="channels_last", name=f"pool_{name}", dtype=self.dtype
        )
        return pool(x)

    def finish(self, features: keras.KerasTensor) -> keras.Model:
        """Return the model from images to `features`."""
        model = keras.Model(self.images, features, name=self.stream)
        model.dtype_policy = self.dtype
        return model


def conv4(example_shape: Sequence[int], width: int = 64, seed: int = 0, dtype: Any = None) -> keras.Model:
    """Return a network of four blocks of 3x3 convolution, batch normalisation, ReLU and 2x2 average pooling.

    Args:
        example_shape: (height, width, channels), at least 8x8 with 1 to 4 channels.
        width: channels of every convolution, >= 1.
        seed: seed of the initial weights, >= 0.
        dtype: dtype of the weights and features; None for float32.

    Returns:
        A model from float[n, *example_shape] to float[n, d]. The features are the last map, flattened if d <= 256 (for
        28x28, d = width) and averaged over its positions otherwise. A map with a side of 1 is not pooled further.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> conv4((28, 28, 1))(tf.zeros([5, 28, 28, 1])).shape
        TensorShape([5, 64])

    Reference:
        Snell et al., Prototypical Networks for Few-shot Learning, 2017. We depart in using average pooling.
    """
    stack = _Stack(example_shape, width, seed, "conv4", dtype)
    x = stack.images
    for block in range(4):
        x = stack.rectify(stack.convolve(x, stack.width, f"conv_{block}"), str(block))
        if min(x.shape[1:3]) >= 2:
            x = stack.halve(x, str(block))
    if math.prod(x.shape[1:]) > MOST_FEATURES:
        return stack.finish(keras.layers.GlobalAveragePooling2D(**stack.last)(x))
    return stack.finish(keras.layers.Flatten(**stack.last)(x))


def residual(example_shape: Sequence[int], width: int = 32, seed: int = 0, dtype: Any = None) -> keras.Model:
    """Return a small pre-activation residual network of three strided blocks.

    Args:
        example_shape: (height, width, channels), at least 8x8 with 1 to 4 channels.
        width: channels of the first block, >= 1; the others have 2 * width.
        seed: seed of the initial weights, >= 0.
        dtype: dtype of the weights and features; None for float32.

    Returns:
        A model from float[n, *example_shape] to float[n, 4 * width], features averaged over positions.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> residual((28, 28, 1))(tf.zeros([5, 28, 28, 1])).shape
        TensorShape([5, 128])

    Reference:
        He et al., Identity Mappings in Deep Residual Networks, 2016; shortcuts are average-pooled before their
        1x1 convolution, as in He et al., Bag of Tricks for Image Classification, 2019.
    """
    stack = _Stack(example_shape, width, seed, "residual", dtype)
    x = stack.convolve(stack.images, stack.width, "stem")
    for block, channels in enumerate((stack.width, 2 * stack.width, 2 * stack.width)):
        x = _residual_block(stack, x, channels, f"block_{block}")
    x = stack.rectify(stack.convolve(stack.rectify(x, "last"), 4 * stack.width, "widen", kernel=1), "features")
    return stack.finish(keras.layers.GlobalAveragePooling2D(**stack.last)(x))


def _residual_block(stack: _Stack, x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    """Apply x + f(x) at half the size, where f is two blocks of normalisation, ReLU and convolution."""
    shortcut = stack.halve(x, name, padding="same")
    if channels != x.shape[-1]:
        shortcut = stack.convolve(shortcut, channels, f"{name}_shortcut", kernel=1)
    inner = stack.convolve(stack.rectify(x, f"{name}_in"), channels, f"{name}_down", strides=2)
    inner = stack.convolve(stack.rectify(inner, f"{name}_out"), channels, f"{name}_conv")
    return keras.layers.Add(name=f"{name}_add", dtype=stack.dtype)([shortcut, inner])


NETWORKS: dict[str, Callable[..., keras.Model]] = {"conv4": conv4, "residual": residual}
"""The architectures by name."""
