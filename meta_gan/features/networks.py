"""The feature networks of judges: images in, features out.

Both are made of this package's normalisation and of average pooling, so that a network of the purpose
"objective" may stand in a loss that is differentiated twice; maximum pooling, which ProtoNets use, is avoided
for that reason. They are plain functional Keras models, which `keras.saving` stores and restores.
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
"""A larger last map is averaged over its positions, because distances in many dimensions say little."""
_SMALLEST_SIDE = 8


def _require_image_shape(example_shape: Any) -> tuple[int, int, int]:
    """Return the three sides, refused unless they are those of an image of 8x8 or more and 1 to 4 channels."""
    shape = check_shape(example_shape)
    if len(shape) != 3 or min(shape[:2]) < _SMALLEST_SIDE or shape[2] > 4:
        raise ValueError(
            f"`example_shape` must be (height, width, channels) of at least {_SMALLEST_SIDE} x {_SMALLEST_SIDE} pixels "
            f"with 1 to 4 channels. Received: example_shape={shape}"
        )
    return shape[0], shape[1], shape[2]


class _Stack:
    """What the two networks are built with: named layers of one dtype, and kernels of one seed."""

    def __init__(self, example_shape: Any, width: int, seed: int, stream: str, dtype: Any) -> None:
        self.example_shape = _require_image_shape(example_shape)
        self.width = check_integer(width, "width", 1)
        self.dtype, self.stream = dtype, stream
        self.normal = seeded_normal(check_integer(seed, "seed", 0), stream)
        self.images = keras.Input(self.example_shape, dtype=dtype or "float32", name="images")

    def convolve(self, x: Any, channels: int, name: str, kernel: int = 3, strides: int = 1) -> Any:
        """Return a convolution without a bias, which the normalisation after it would cancel or stand in for."""
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

    def rectify(self, x: Any, name: str) -> Any:
        """Return relu(normalised x)."""
        x = layers.BatchNormalization(name=f"normalize_{name}", dtype=self.dtype)(x)
        return keras.layers.ReLU(name=f"relu_{name}", dtype=self.dtype)(x)

    def halve(self, x: Any, name: str, padding: str = "valid") -> Any:
        """Return 2x2 averages."""
        pool = keras.layers.AveragePooling2D(
            2, padding=padding, data_format="channels_last", name=f"pool_{name}", dtype=self.dtype
        )
        return pool(x)

    def finish(self, features: Any) -> keras.Model:
        """Return the model from images to `features`."""
        return keras.Model(self.images, features, name=self.stream)


def conv4(example_shape: Sequence[int], width: int = 64, seed: int = 0, dtype: Any = None) -> keras.Model:
    """Return four times convolution 3x3, batch normalisation, ReLU and 2x2 average, flattened.

    Args:
        example_shape: (height, width, channels), at least 8x8 with 1 to 4 channels.
        width: int >= 1, the channels of every convolution.
        seed: int >= 0, the seed of the initial weights.
        dtype: of the weights and features; by default Keras's own.

    Returns:
        A model from float[n, *example_shape] to float[n, d]: the last map flattened if d <= 256 (d = width for
        28x28), else averaged over its positions. A map that cannot be halved any more is not.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> conv4((28, 28, 1))(tf.zeros([5, 28, 28, 1])).shape
        TensorShape([5, 64])

    Reference:
        Snell et al., Prototypical Networks for Few-shot Learning, 2017. We depart in average pooling.
    """
    stack = _Stack(example_shape, width, seed, "conv4", dtype)
    x = stack.images
    for block in range(4):
        x = stack.rectify(stack.convolve(x, stack.width, f"conv_{block}"), str(block))
        if min(x.shape[1:3]) >= 2:
            x = stack.halve(x, str(block))
    if math.prod(x.shape[1:]) > MOST_FEATURES:
        return stack.finish(keras.layers.GlobalAveragePooling2D(name="features", dtype=dtype)(x))
    return stack.finish(keras.layers.Flatten(name="features", dtype=dtype)(x))


def residual(example_shape: Sequence[int], width: int = 32, seed: int = 0, dtype: Any = None) -> keras.Model:
    """Return a small pre-activation residual network of three strided blocks.

    Args:
        example_shape: (height, width, channels), at least 8x8 with 1 to 4 channels.
        width: int >= 1, the channels of the first block; the others have 2 * width.
        seed: int >= 0, the seed of the initial weights.
        dtype: of the weights and features; by default Keras's own.

    Returns:
        A model from float[n, *example_shape] to float[n, 4 * width], averages over the positions.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> residual((28, 28, 1))(tf.zeros([5, 28, 28, 1])).shape
        TensorShape([5, 128])

    Reference:
        He et al., Identity Mappings in Deep Residual Networks, 2016; shortcuts are averaged before their 1x1
        convolution, after He et al., Bag of Tricks for Image Classification, 2019.
    """
    stack = _Stack(example_shape, width, seed, "residual", dtype)
    x = stack.convolve(stack.images, stack.width, "stem")
    for block, channels in enumerate((stack.width, 2 * stack.width, 2 * stack.width)):
        x = _residual_block(stack, x, channels, f"block_{block}")
    x = stack.rectify(stack.convolve(stack.rectify(x, "last"), 4 * stack.width, "widen", kernel=1), "features")
    return stack.finish(keras.layers.GlobalAveragePooling2D(name="features", dtype=dtype)(x))


def _residual_block(stack: _Stack, x: Any, channels: int, name: str) -> Any:
    """Return half-sized x + f(x), where f is twice normalisation, ReLU and convolution."""
    shortcut = stack.halve(x, name, padding="same")
    if channels != x.shape[-1]:
        shortcut = stack.convolve(shortcut, channels, f"{name}_shortcut", kernel=1)
    inner = stack.convolve(stack.rectify(x, f"{name}_in"), channels, f"{name}_down", strides=2)
    inner = stack.convolve(stack.rectify(inner, f"{name}_out"), channels, f"{name}_conv")
    return keras.layers.Add(name=f"{name}_add", dtype=stack.dtype)([shortcut, inner])


NETWORKS: dict[str, Callable[..., keras.Model]] = {"conv4": conv4, "residual": residual}
"""The networks that a recipe can name."""
