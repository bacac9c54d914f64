"""Convolutional networks after DCGAN: generator, discriminator and encoder of images.

Radford et al., Unsupervised Representation Learning with Deep Convolutional GANs, 2015. As in the paper: transposed
convolutions of stride 2 up, convolutions of stride 2 down, ReLU up, LeakyReLU(.2) down, tanh at the output. The
departures serve second-order meta-learning on a few images:

- Layer normalisation in the generator and none in the discriminator by default: batch statistics of five images are
  noise, and a gradient penalty needs a discriminator that scores each image independently.
- The number of halvings follows the image size, and channels double towards the base only up to 4 * width.
- The last transposed convolution ends at full size with `width` channels, and a 3x3 convolution makes the image.
- Initial weights after He et al. instead of N(0, .02), so that the scale of the signals does not depend on `width`.
"""

from __future__ import annotations

import math
from typing import Any

import keras

from meta_gan import layers
from meta_gan.checks import IMAGE_AXES, check_choice, check_shape
from meta_gan.networks.base import SLOPE, Discriminator, Encoder, Generator, LayerFactory, Shape, channels_at

_LAYERS = {
    "layer": layers.LayerNormalization,
    "instance": layers.InstanceNormalization,
    "group": layers.GroupNormalization,
    "batch": layers.BatchNormalization,
}
NORMALIZATIONS = ("none", *_LAYERS)
_KERNEL = 4  # a multiple of the stride of 2, so that a transposed convolution covers all pixels equally often
_MOST_LEVELS, _SMALLEST_BASE, _MOST_GROUPS = 4, 4, 8


def count_levels(example_shape: Shape) -> int:
    """Return how many times images of this shape are halved: while both sides stay whole and >= 4, at most 4 times.

    Args:
        example_shape: (height, width, channels), with 1 to 4 channels.

    Returns:
        int in [1, 4].

    Raises:
        ValueError: if it is not such a shape, or the image cannot be halved once.

    Example:
        >>> count_levels((28, 28, 1)), count_levels((32, 32, 3))
        (2, 3)
    """
    height, width, channels = shape = check_shape(example_shape, axes=IMAGE_AXES)
    if channels > 4:
        raise ValueError(f"'example_shape' must have 1 to 4 channels. Received: {shape}")
    levels = 0
    while levels < _MOST_LEVELS and height % 2 == width % 2 == 0 and min(height, width) // 2 >= _SMALLEST_BASE:
        height, width, levels = height // 2, width // 2, levels + 1
    if not levels:
        raise ValueError(
            f"'example_shape' must have an even height and width of at least {2 * _SMALLEST_BASE} pixels. "
            f"Received: {shape}"
        )
    return levels


def count_groups(channels: int) -> int:
    """Return the largest number of groups, up to 8, that divides `channels` into two or more each; 1 if none does."""
    # A group of one channel would be instance normalisation, which cancels the bias ahead of it.
    fitting = [n for n in range(2, _MOST_GROUPS + 1) if channels % n == 0 and channels // n >= 2]
    return max(fitting, default=1)


def _normalization(kind: str, channels: int, name: str, dtype: Any) -> list[keras.layers.Layer]:
    """Return the normalisation layer as a list, which is empty for "none"."""
    if kind == "none":
        return []
    groups = (count_groups(channels),) if kind == "group" else ()
    return [_LAYERS[kind](*groups, name=name, dtype=dtype)]


def _needs_bias(kind: str) -> bool:
    """Return whether a bias ahead of this normalisation has an effect; two kinds subtract it exactly."""
    return kind not in ("instance", "batch")


def _layers_down(
    network: DCGANDiscriminator | ImageEncoder, make: LayerFactory, normalization: str
) -> tuple[list[keras.layers.Layer], int]:
    """Return the layers from an image to its flat features, and the number of features."""
    levels, stack = count_levels(network.example_shape), []
    height, width, inputs = network.example_shape
    for level in range(levels):
        channels = channels_at(network.width, level)
        # As in the paper, none after the first convolution: it would hide the image's own mean and contrast.
        kind = normalization if level else "none"
        stack.append(make.convolution(inputs, channels, _KERNEL, f"down_{level}", 2, use_bias=_needs_bias(kind)))
        stack += _normalization(kind, channels, f"normalize_{level}", make.dtype)
        stack.append(keras.layers.LeakyReLU(SLOPE, name=f"relu_{level}", dtype=make.dtype))
        inputs = channels
    stack.append(keras.layers.Flatten("channels_last", name="flatten", dtype=make.dtype))
    return stack, (height >> levels) * (width >> levels) * inputs


@keras.saving.register_keras_serializable("meta_gan")
class DCGANGenerator(Generator):
    """Dense layer, then stride-2 transposed convolutions up to the image.

    Args:
        example_shape: (height, width, channels), see `count_levels`.
        latent_dim: int >= 1, size of `z`.
        width: int >= 1, channels at full size; they double towards the base, up to 4 * width.
        normalization: "none", "layer", "instance", "group" (up to 8 groups) or "batch".
        seed: int >= 0, seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> DCGANGenerator((28, 28, 1), latent_dim=16, width=8)(tf.zeros([5, 16])).shape
        TensorShape([5, 28, 28, 1])
    """

    def __init__(
        self,
        example_shape: Shape,
        latent_dim: int = 64,
        width: int = 64,
        normalization: str = "layer",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, latent_dim, seed, width=width, **kwargs)
        self.normalization = check_choice(normalization, "normalization", NORMALIZATIONS)
        self.stack((self.latent_dim,), self._layers_up(count_levels(self.example_shape)))

    def _layers_up(self, levels: int) -> list[keras.layers.Layer]:
        make = LayerFactory(self.seed, "DCGANGenerator", self.dtype_policy, build=False)
        height, width, channels = self.example_shape
        base = (height >> levels, width >> levels, channels_at(self.width, levels))
        bias = _needs_bias(self.normalization)
        stack = [make.dense(self.latent_dim, math.prod(base), "project", 0.0, use_bias=bias)]
        stack.append(keras.layers.Reshape(base, name="base", dtype=self.dtype_policy))
        stack += self._activation(levels)
        for level in reversed(range(levels)):
            # Each output pixel sees a quarter of the kernel: the stride of 2 skips the rest.
            kernel = make.draw((_KERNEL // 2) ** 2 * channels_at(self.width, level + 1), 0.0)
            stack.append(
                keras.layers.Conv2DTranspose(
                    channels_at(self.width, level),
                    _KERNEL,
                    strides=2,
                    padding="same",
                    data_format="channels_last",
                    use_bias=bias,
                    kernel_initializer=kernel,
                    name=f"up_{level}",
                    dtype=self.dtype_policy,
                )
            )
            stack += self._activation(level)
        return [*stack, make.convolution(self.width, channels, 3, "image", slope=1.0, activation="tanh")]

    def _activation(self, level: int) -> list[keras.layers.Layer]:
        channels = channels_at(self.width, level)
        normalization = _normalization(self.normalization, channels, f"normalize_{level}", self.dtype_policy)
        return [*normalization, keras.layers.ReLU(name=f"relu_{level}", dtype=self.dtype_policy)]


@keras.saving.register_keras_serializable("meta_gan")
class DCGANDiscriminator(Discriminator):
    """Stride-2 convolutions down from the image, then a dense layer to one logit.

    Args:
        example_shape: (height, width, channels), see `count_levels`.
        width: int >= 1, channels after the first convolution; they double towards the base, up to 4 * width.
        normalization: "none", "layer", "instance", "group" (up to 8 groups) or "batch", after every convolution but
            the first. Not "batch" with a gradient penalty, which needs each image to be scored independently.
        seed: int >= 0, seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> DCGANDiscriminator((28, 28, 1), width=8)(tf.zeros([5, 28, 28, 1])).shape
        TensorShape([5, 1])
    """

    def __init__(
        self, example_shape: Shape, width: int = 64, normalization: str = "none", seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(example_shape, seed, width, **kwargs)
        self.normalization = check_choice(normalization, "normalization", NORMALIZATIONS)
        make = LayerFactory(self.seed, "DCGANDiscriminator", self.dtype_policy, build=False)
        stack, features = _layers_down(self, make, self.normalization)
        self.stack(self.example_shape, [*stack, make.dense(features, 1, "logit", 1.0)])


@keras.saving.register_keras_serializable("meta_gan")
class ImageEncoder(Encoder):
    """Stride-2 convolutions down from the image, as in `DCGANDiscriminator`, then a dense layer to the statistics of z.

    Args:
        example_shape: (height, width, channels), see `count_levels`.
        latent_dim: int >= 1, size of z.
        width: int >= 1, channels after the first convolution; they double towards the base, up to 4 * width.
        seed: int >= 0, seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> ImageEncoder((28, 28, 1), latent_dim=16, width=8)(tf.zeros([5, 28, 28, 1])).shape
        TensorShape([5, 32])
    """

    def __init__(
        self, example_shape: Shape, latent_dim: int = 64, width: int = 64, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(example_shape, latent_dim, seed, width=width, **kwargs)
        make = LayerFactory(self.seed, "ImageEncoder", self.dtype_policy, build=False)
        stack, features = _layers_down(self, make, "none")
        self.stack(self.example_shape, [*stack, make.dense(features, 2 * self.latent_dim, "statistics", 1.0)])


def dcgan(
    example_shape: Shape,
    latent_dim: int = 64,
    width: int = 64,
    normalization: str = "layer",
    seed: int = 0,
    **kwargs: Any,
) -> tuple[DCGANGenerator, DCGANDiscriminator]:
    """Return a DCGAN generator and a discriminator of the same width.

    Args:
        example_shape, latent_dim, width: see `DCGANGenerator`.
        normalization: of the generator; the discriminator has none, so that a gradient penalty is sound.
        seed: int >= 0; the two networks draw their initial weights from different streams of it.
        **kwargs: `dtype` and other arguments of both Keras models.

    Returns:
        `(generator, discriminator)`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> generator, discriminator = dcgan((28, 28, 1), width=8)
        >>> discriminator(generator(tf.zeros([5, 64]))).shape
        TensorShape([5, 1])
    """
    generator = DCGANGenerator(example_shape, latent_dim, width, normalization, seed, **kwargs)
    return generator, DCGANDiscriminator(example_shape, width, seed=seed, **kwargs)
