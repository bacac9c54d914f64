"""Residual generator and discriminator with spectral normalisation and self-attention, with or without a code.

Zhang et al., Self-Attention Generative Adversarial Networks, 2019: residual blocks, spectral normalisation in both
networks, self-attention at one size in the middle, ReLU, a sum over positions ahead of the logit. The generator's
classes enter by conditional normalisation and the discriminator's by projection (Miyato and Koyama, cGANs with
Projection Discriminator, 2018). We depart in what second-order meta-learning on a few images asks for:

- In place of a class there is a task's code, float[embedding_dim], which an encoder makes of the support set. In the
  generator it stands, next to z as in BigGAN (Brock et al., 2019), behind every normalisation, which is
  `MetaBatchNormalization` in place of conditional batch normalisation: no number of an image depends on another.
- Without a code the generator has instance normalisation, for the same reason.
- Spectral normalisation does not stop what a right second derivative needs, see `meta_gan.layers.spectral`.
- Upsampling repeats pixels and downsampling takes means, and keys and values are pooled by the mean.
- The number of halvings follows the image, and channels double towards the base only up to 4 * width. The
  discriminator starts with a convolution at full size, so that attention can stand there in small images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from meta_gan import layers
from meta_gan.checks import check_integer
from meta_gan.networks.base import Discriminator, Generator, read_task_embedding, seeded_normal
from meta_gan.networks.dcgan import count_levels

_ATTENTIVE_SIDE = 15  # between 14 and 16
# Of the kernels that read the code: at 0 the code's encoder would get no gradient until the first step.
_DEVIATION = 0.02
# Of a row's own moments: the task's start at 0 and 1, far from those of spectrally normalised features.
_BLEND = 0.9


def attention_level(example_shape: Sequence[int]) -> int:
    """Return at how many halvings the longer side is nearest to 14-16 pixels; of two, the smaller images.

    Args:
        example_shape: (height, width, channels), see `meta_gan.networks.dcgan.count_levels`.

    Returns:
        int in [0, `count_levels(example_shape)`].

    Raises:
        ValueError: if no such images can be halved.

    Example:
        >>> attention_level((28, 28, 1)), attention_level((64, 64, 3))
        (1, 2)
    """
    levels, side = count_levels(example_shape), max(example_shape[:2])
    return min(range(levels, -1, -1), key=lambda level: abs((side >> level) - _ATTENTIVE_SIDE))


def _channels(width: int, level: int) -> int:
    """Return the channels at `level` halvings below full size."""
    return width * min(2**level, 4)


def _convolution(filters: int, size: int, kernel: Any, name: str, dtype: Any, bias: bool = True) -> keras.layers.Layer:
    return layers.SpectralConv2D(
        filters,
        size,
        padding="same",
        data_format="channels_last",
        use_bias=bias,
        kernel_initializer=kernel,
        name=name,
        dtype=dtype,
    )


def _halve(x: Any) -> Any:
    return ops.average_pool(x, 2, strides=2, data_format="channels_last")


class _Attentive(keras.Model):
    """What both networks share: the arguments, a body of layers, attention and the configuration."""

    def _set_up(self, width: int, embedding_dim: int, attention: bool, input_shape: tuple[int, ...]) -> None:
        """Keep the arguments and make the body, as the last act of the constructor."""
        self.width = check_integer(width, "width", 1)
        self.embedding_dim = check_integer(embedding_dim, "embedding_dim", 0)
        self.attention = bool(attention)
        self.body = self._make_body(count_levels(self.example_shape))
        self.build((None, *input_shape))

    def _attend(self, x: Any, level: int, normal: Callable[..., Any]) -> Any:
        if not self.attention or level != attention_level(self.example_shape):
            return x
        return layers.SelfAttention2D(True, normal(1).seed, name="attention", dtype=self.dtype_policy)(x)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        own = {"width": self.width, "embedding_dim": self.embedding_dim, "attention": self.attention}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("meta_gan")
class SAGANGenerator(_Attentive, Generator):
    """A dense layer to the base, then residual blocks up to the image, the code and z behind every normalisation.

    Args:
        example_shape: (height, width, channels), see `meta_gan.networks.dcgan.count_levels`.
        latent_dim: int >= 1, the size of `z`.
        width: int >= 1, channels at full size; they double towards the base, up to 4 * width.
        embedding_dim: int >= 0, the size of the task's code; with 0 the generator is unconditioned.
        attention: bool, whether it has `SelfAttention2D`, at the size nearest to 14-16 pixels.
        seed: int >= 0, the seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range; in a call, if there is no code [embedding_dim], or a conditioning
            where `embedding_dim` is 0.

    Example:
        >>> generator = SAGANGenerator((28, 28, 1), latent_dim=16, width=8, embedding_dim=3)
        >>> generator(tf.zeros([5, 16]), conditioning={"task_embedding": tf.zeros([3])}).shape
        TensorShape([5, 28, 28, 1])
    """

    def __init__(
        self,
        example_shape: Sequence[int],
        latent_dim: int = 64,
        width: int = 32,
        embedding_dim: int = 0,
        attention: bool = True,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, latent_dim, seed, **kwargs)
        self._set_up(width, embedding_dim, attention, (self.latent_dim,))

    def _make_body(self, levels: int) -> Any:
        """Return the Keras model of z, or of z and the rows of code and z, to images."""
        normal, dtype = seeded_normal(self.seed, "SAGANGenerator"), self.dtype_policy
        z = keras.Input((self.latent_dim,), dtype=self.compute_dtype)
        rows = (
            keras.Input((self.embedding_dim + self.latent_dim,), dtype=self.compute_dtype)
            if self.embedding_dim
            else None
        )
        base = (self.example_shape[0] >> levels, self.example_shape[1] >> levels, _channels(self.width, levels))
        options = {"kernel_initializer": normal(self.latent_dim, 0.0), "name": "project", "dtype": dtype}
        x = ops.reshape(layers.SpectralDense(math.prod(base), **options)(z), (-1, *base))
        x = self._attend(x, levels, normal)
        for level in reversed(range(levels)):
            x = self._attend(self._up(x, rows, level, normal), level, normal)
        x = self._rectify(x, rows, "image", normal)
        images = ops.tanh(_convolution(self.example_shape[2], 3, normal(9 * self.width), "image", dtype)(x))
        return keras.Model([z] if rows is None else [z, rows], images, name="body")

    def _up(self, x: Any, rows: Any, level: int, normal: Callable[..., Any]) -> Any:
        """Return `x` after the residual block that leads up to `level`."""
        inputs, channels, dtype = x.shape[-1], _channels(self.width, level), self.dtype_policy
        # No biases: the normalisations that follow would cancel them, or have their own.
        skip = _convolution(channels, 1, normal(inputs), f"up_{level}_skip", dtype, bias=False)
        y = self._rectify(x, rows, f"up_{level}_0", normal)
        grow = layers.UpsampleNearest(2, name=f"up_{level}_grow", dtype=dtype)
        y = _convolution(channels, 3, normal(9 * inputs, 0.0), f"up_{level}_0", dtype, bias=False)(grow(y))
        y = self._rectify(y, rows, f"up_{level}_1", normal)
        y = _convolution(channels, 3, normal(9 * channels, 0.0), f"up_{level}_1", dtype, bias=False)(y)
        # A 1x1 convolution and repeated pixels commute; this order costs a quarter.
        return y + grow(skip(x))

    def _rectify(self, x: Any, rows: Any, name: str, normal: Callable[..., Any]) -> Any:
        common = {"name": f"{name}_normalize", "dtype": self.dtype_policy}
        if rows is None:
            return ops.relu(layers.InstanceNormalization(**common)(x))
        film = {"initial_deviation": _DEVIATION, "seed": normal(1).seed}
        return ops.relu(layers.MetaBatchNormalization(blend=_BLEND, **film, **common)(x, rows))

    def call(self, z: Any, conditioning: Any = None, training: bool = False) -> Any:
        """Return images float[n, *example_shape] in [-1, 1] of `z` float[n, latent_dim].

        `conditioning` is `{"task_embedding": float[embedding_dim]}`, or None where `embedding_dim` is 0; `training` moves the state of
        the spectral normalisation.
        """
        if not self.embedding_dim:
            return super().call(z, conditioning, training)
        tiled = ops.zeros_like(z[:, :1]) + read_task_embedding(self, conditioning)
        return self.body([z, ops.concatenate([tiled, z], axis=-1)], training=training)


@keras.saving.register_keras_serializable("meta_gan")
class SAGANDiscriminator(_Attentive, Discriminator):
    """A convolution, residual blocks down, a sum over positions to features h, and the logit w h + b + <h, V code>.

    There is no normalisation but the spectral one, so every image is scored on its own.

    Args:
        example_shape: (height, width, channels), see `meta_gan.networks.dcgan.count_levels`.
        width: int >= 1, channels at full size; they double towards the base, up to 4 * width.
        embedding_dim: int >= 0, the size of the task's code; with 0 the discriminator is unconditioned.
        attention: bool, whether it has `SelfAttention2D`, at the size nearest to 14-16 pixels.
        seed: int >= 0, the seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range; in a call, if there is no code [embedding_dim], or a conditioning
            where `embedding_dim` is 0.

    Example:
        >>> discriminator = SAGANDiscriminator((28, 28, 1), width=8, embedding_dim=3)
        >>> discriminator(tf.zeros([5, 28, 28, 1]), conditioning={"task_embedding": tf.zeros([3])}).shape
        TensorShape([5, 1])
    """

    def __init__(
        self,
        example_shape: Sequence[int],
        width: int = 32,
        embedding_dim: int = 0,
        attention: bool = True,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, seed, **kwargs)
        self._set_up(width, embedding_dim, attention, self.example_shape)

    def _make_body(self, levels: int) -> Any:
        """Return the Keras model of images, or of images and the code float[1, embedding_dim], to logits."""
        normal, dtype = seeded_normal(self.seed, "SAGANDiscriminator"), self.dtype_policy
        images = keras.Input(self.example_shape, dtype=self.compute_dtype)
        code = keras.Input((self.embedding_dim,), dtype=self.compute_dtype) if self.embedding_dim else None
        x = _convolution(self.width, 3, normal(9 * self.example_shape[2]), "image", dtype)(images)
        x = self._attend(x, 0, normal)
        for level in range(1, levels + 1):
            x = self._attend(self._down(x, level, normal), level, normal)
        features = ops.sum(ops.relu(x), axis=(1, 2))
        channels = features.shape[-1]
        logit = layers.SpectralDense(1, kernel_initializer=normal(channels), name="logit", dtype=dtype)(features)
        if code is None:
            return keras.Model([images], logit, name="body")
        options = {"kernel_initializer": normal(self.embedding_dim), "name": "project", "dtype": dtype}
        project = layers.SpectralDense(channels, use_bias=False, **options)
        return keras.Model([images, code], [logit, features * project(code)], name="body")

    def _down(self, x: Any, level: int, normal: Callable[..., Any]) -> Any:
        """Return `x` after the residual block that leads down to `level`."""
        inputs, channels, dtype = x.shape[-1], _channels(self.width, level), self.dtype_policy
        y = _convolution(channels, 3, normal(9 * inputs, 0.0), f"down_{level}_0", dtype)(ops.relu(x))
        y = _convolution(channels, 3, normal(9 * channels, 0.0), f"down_{level}_1", dtype)(ops.relu(y))
        # A 1x1 convolution and a mean of pixels commute; this order costs a quarter.
        skip = _convolution(channels, 1, normal(inputs), f"down_{level}_skip", dtype, bias=False)
        return _halve(y) + skip(_halve(x))

    def call(self, images: Any, conditioning: Any = None, training: bool = False) -> Any:
        """Return logits float[n, 1] of `images` float[n, *example_shape]; see `SAGANGenerator.call`."""
        if not self.embedding_dim:
            return super().call(images, conditioning, training)
        logit, product = self.body([images, read_task_embedding(self, conditioning)[None]], training=training)
        return logit + ops.sum(product, axis=-1, keepdims=True)


def sagan(
    example_shape: Sequence[int],
    latent_dim: int = 64,
    width: int = 32,
    embedding_dim: int = 0,
    seed: int = 0,
    **kwargs: Any,
) -> tuple[SAGANGenerator, SAGANDiscriminator]:
    """Return a generator and a discriminator of one width.

    Args:
        example_shape: (height, width, channels), see `meta_gan.networks.dcgan.count_levels`.
        latent_dim: int >= 1, the size of `z`.
        width: int >= 1, channels at the images' end of both networks.
        embedding_dim: int >= 0, the size of the task's code, which both need in every call; 0 for none.
        seed: int >= 0, the seed of the initial weights; the two networks draw from different streams of it.
        **kwargs: `attention`, `dtype` and other arguments of both networks.

    Returns:
        (generator, discriminator).

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> generator, discriminator = sagan((28, 28, 1), width=8)
        >>> discriminator(generator(tf.zeros([5, 64]))).shape
        TensorShape([5, 1])
    """
    generator = SAGANGenerator(example_shape, latent_dim, width, embedding_dim, seed=seed, **kwargs)
    return generator, SAGANDiscriminator(example_shape, width, embedding_dim, seed=seed, **kwargs)
