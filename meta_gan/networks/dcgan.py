"""Convolutional generator and discriminator after DCGAN, for images of any size that can be halved.

Radford et al., Unsupervised Representation Learning with Deep Convolutional GANs, 2015. The paper's frame is
kept: transposed convolutions of stride 2 up, convolutions of stride 2 down, ReLU up, LeakyReLU(.2) down, tanh
out. We depart in what second-order meta-learning on a few images asks for:

- Layer normalisation in the generator and none in the discriminator by default: batch statistics of five
  images are noise, and a gradient penalty needs a critic that scores every image on its own.
- The number of halvings follows the image, and channels double towards the base only up to 4 * width.
- The last transposed convolution ends at full size with `width` channels, and a 3x3 convolution makes the
  image.
- Initial weights after He et al. in place of N(0, .02), so that the size of the signals does not depend on
  `width`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from meta_gan import layers
from meta_gan.checks import check_choice, check_integer, check_shape
from meta_gan.networks.base import Discriminator, Generator, seeded_normal

NORMALIZATIONS = ("none", "layer", "instance", "group", "batch")
_KERNEL = 4  # a multiple of the stride of 2, so that a transposed convolution covers all pixels alike
_MOST_LEVELS = 4
_SMALLEST_BASE = 4
_MOST_GROUPS = 8
_SLOPE = 0.2


def count_levels(example_shape: Sequence[int]) -> int:
    """Return how often images of this shape are halved: while both sides stay whole and >= 4.

    Args:
        example_shape: (height, width, channels), with 1 to 4 channels.

    Returns:
        int in [1, 4].

    Raises:
        ValueError: if it is not such a shape, or not even one halving is possible.

    Example:
        >>> count_levels((28, 28, 1)), count_levels((32, 32, 3))
        (2, 3)
    """
    shape = check_shape(example_shape)
    if len(shape) != 3 or shape[2] > 4:
        raise ValueError(
            f"`example_shape` must be (height, width, channels) with 1 to 4 channels. Received: example_shape={shape}"
        )
    height, width, _ = shape
    levels = 0
    while levels < _MOST_LEVELS and height % 2 == width % 2 == 0 and min(height, width) // 2 >= _SMALLEST_BASE:
        height, width, levels = height // 2, width // 2, levels + 1
    if not levels:
        raise ValueError(
            f"`example_shape` must have an even height and width of at least {2 * _SMALLEST_BASE} pixels. "
            f"Received: example_shape={shape}"
        )
    return levels


def _channels(width: int, level: int) -> int:
    """Return the channels at `level` halvings below full size."""
    return width * min(2**level, 4)


def count_groups(channels: int) -> int:
    """Return the most groups, up to 8, that divide `channels` and hold two or more each; 1 if none do."""
    # A group of one channel would be instance normalisation, which cancels the bias ahead of it.
    fitting = [n for n in range(2, _MOST_GROUPS + 1) if channels % n == 0 and channels // n >= 2]
    return max(fitting, default=1)


def _normalize(kind: str, channels: int, name: str, dtype: Any) -> list[keras.layers.Layer]:
    """Return the normalisation layer as a list, which is empty for "none"."""
    options = {"name": name, "dtype": dtype}
    makers = {
        "none": lambda: [],
        "layer": lambda: [layers.LayerNormalization(**options)],
        "instance": lambda: [layers.InstanceNormalization(**options)],
        "group": lambda: [layers.GroupNormalization(count_groups(channels), **options)],
        "batch": lambda: [layers.BatchNormalization(**options)],
    }
    return makers[kind]()


def _wants_bias(kind: str) -> bool:
    """Return whether a bias ahead of this normalisation does anything; two kinds subtract it exactly."""
    return kind not in ("instance", "batch")


@keras.saving.register_keras_serializable("meta_gan")
class DCGANGenerator(Generator):
    """Dense layer, then stride-2 transposed convolutions up to the image.

    Args:
        example_shape: (height, width, channels), see `count_levels`.
        latent_dim: int >= 1, the size of `z`.
        width: int >= 1, channels at full size; they double towards the base, up to 4 * width.
        normalization: "none", "layer", "instance", "group" (up to 8 groups) or "batch".
        seed: int >= 0, the seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> DCGANGenerator((28, 28, 1), latent_dim=16, width=8)(tf.zeros([5, 16])).shape
        TensorShape([5, 28, 28, 1])
    """

    def __init__(
        self,
        example_shape: Sequence[int],
        latent_dim: int = 64,
        width: int = 64,
        normalization: str = "layer",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, latent_dim, seed, **kwargs)
        self.width = check_integer(width, "width", 1)
        self.normalization = check_choice(normalization, "normalization", NORMALIZATIONS)
        self.stack((self.latent_dim,), self._layers_up(count_levels(self.example_shape)))

    def _layers_up(self, levels: int) -> list[keras.layers.Layer]:
        normal = seeded_normal(self.seed, "DCGANGenerator")
        common = {"dtype": self.dtype_policy}
        bias = {"use_bias": _wants_bias(self.normalization), **common}
        base = (self.example_shape[0] >> levels, self.example_shape[1] >> levels, _channels(self.width, levels))
        kernel = normal(self.latent_dim, 0.0)
        stack = [keras.layers.Dense(math.prod(base), kernel_initializer=kernel, name="project", **bias)]
        stack.append(keras.layers.Reshape(base, name="base", **common))
        stack += self._rectify(levels)
        for level in reversed(range(levels)):
            # Each output pixel sees a quarter of the kernel: the stride of 2 skips the rest.
            kernel = normal((_KERNEL // 2) ** 2 * _channels(self.width, level + 1), 0.0)
            stack.append(
                keras.layers.Conv2DTranspose(
                    _channels(self.width, level),
                    _KERNEL,
                    strides=2,
                    padding="same",
                    data_format="channels_last",
                    kernel_initializer=kernel,
                    name=f"up_{level}",
                    **bias,
                )
            )
            stack += self._rectify(level)
        return [*stack, self._paint(normal(9 * self.width))]

    def _rectify(self, level: int) -> list[keras.layers.Layer]:
        channels = _channels(self.width, level)
        normalize = _normalize(self.normalization, channels, f"normalize_{level}", self.dtype_policy)
        return [*normalize, keras.layers.ReLU(name=f"relu_{level}", dtype=self.dtype_policy)]

    def _paint(self, kernel: keras.initializers.Initializer) -> keras.layers.Layer:
        return keras.layers.Conv2D(
            self.example_shape[2],
            3,
            padding="same",
            data_format="channels_last",
            activation="tanh",
            kernel_initializer=kernel,
            name="image",
            dtype=self.dtype_policy,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "width": self.width, "normalization": self.normalization}


@keras.saving.register_keras_serializable("meta_gan")
class DCGANDiscriminator(Discriminator):
    """Stride-2 convolutions down from the image, then a dense layer to one logit.

    As in the paper, the first convolution has no normalisation, which would hide the image's own mean and
    contrast.

    Args:
        example_shape: (height, width, channels), see `count_levels`.
        width: int >= 1, channels after the first convolution; they double towards the base, up to 4 * width.
        normalization: "none", "layer", "instance", "group" (up to 8 groups) or "batch". Not "batch" with a
            gradient penalty, which needs every image to be scored on its own.
        seed: int >= 0, the seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> DCGANDiscriminator((28, 28, 1), width=8)(tf.zeros([5, 28, 28, 1])).shape
        TensorShape([5, 1])
    """

    def __init__(
        self,
        example_shape: Sequence[int],
        width: int = 64,
        normalization: str = "none",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, seed, **kwargs)
        self.width = check_integer(width, "width", 1)
        self.normalization = check_choice(normalization, "normalization", NORMALIZATIONS)
        self.stack(self.example_shape, self._layers_down(count_levels(self.example_shape)))

    def _layers_down(self, levels: int) -> list[keras.layers.Layer]:
        normal = seeded_normal(self.seed, "DCGANDiscriminator")
        stack: list[keras.layers.Layer] = []
        inputs = self.example_shape[2]
        for level in range(levels):
            channels = _channels(self.width, level)
            kind = self.normalization if level else "none"
            stack.append(
                keras.layers.Conv2D(
                    channels,
                    _KERNEL,
                    strides=2,
                    padding="same",
                    data_format="channels_last",
                    use_bias=_wants_bias(kind),
                    kernel_initializer=normal(_KERNEL**2 * inputs, _SLOPE),
                    name=f"down_{level}",
                    dtype=self.dtype_policy,
                )
            )
            stack += _normalize(kind, channels, f"normalize_{level}", self.dtype_policy)
            stack.append(keras.layers.LeakyReLU(_SLOPE, name=f"relu_{level}", dtype=self.dtype_policy))
            inputs = channels
        features = (self.example_shape[0] >> levels) * (self.example_shape[1] >> levels) * inputs
        stack.append(keras.layers.Flatten(name="flatten", dtype=self.dtype_policy))
        readout = keras.layers.Dense(1, kernel_initializer=normal(features), name="logit", dtype=self.dtype_policy)
        return [*stack, readout]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "width": self.width, "normalization": self.normalization}


def dcgan(
    example_shape: Sequence[int],
    latent_dim: int = 64,
    width: int = 64,
    normalization: str = "layer",
    seed: int = 0,
    **kwargs: Any,
) -> tuple[DCGANGenerator, DCGANDiscriminator]:
    """Return a generator and a discriminator of one width.

    Args:
        example_shape: (height, width, channels), see `count_levels`.
        latent_dim: int >= 1, the size of `z`.
        width: int >= 1, channels at the images' end of both networks.
        normalization: that of the generator; the discriminator has none, so that a gradient penalty is sound.
        seed: int >= 0, the seed of the initial weights; the two networks draw from different streams of it.
        **kwargs: `dtype` and other arguments of both Keras models.

    Returns:
        (generator, discriminator).

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> generator, discriminator = dcgan((28, 28, 1), width=8)
        >>> discriminator(generator(tf.zeros([5, 64]))).shape
        TensorShape([5, 1])
    """
    generator = DCGANGenerator(example_shape, latent_dim, width, normalization, seed, **kwargs)
    return generator, DCGANDiscriminator(example_shape, width, seed=seed, **kwargs)
