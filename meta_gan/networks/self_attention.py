"""Residual generator and discriminator after SAGAN: spectral normalisation and self-attention, optionally conditioned.

Zhang et al., Self-Attention Generative Adversarial Networks, 2019: residual blocks, spectral normalisation in both
networks, self-attention at one intermediate size, ReLU, a sum over positions ahead of the logit. The generator is
conditioned by normalisation and the discriminator by projection (Miyato and Koyama, cGANs with Projection
Discriminator, 2018). The departures serve second-order meta-learning on a few images:

- The task embedding float[embedding_dim] takes the place of the class. The generator feeds it with z, as BigGAN does
  (Brock et al., 2019), to every normalisation, which is `MetaBatchNormalization` instead of conditional batch
  normalisation, so that no image depends on another.
- Without a task embedding the generator has instance normalisation, for the same reason.
- Spectral normalisation keeps the gradients that a correct second derivative needs, see `meta_gan.layers.spectral`.
- Upsampling repeats pixels, downsampling takes means, and keys and values are pooled by the mean.
- The number of halvings follows the image size, and channels double towards the base only up to 4 * width. The
  discriminator starts with a convolution at full size, so that attention is possible there in small images.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import keras
from keras import ops

from meta_gan import layers
from meta_gan.networks.base import Discriminator, Generator, LayerFactory, Network, Shape, channels_at, of_policy
from meta_gan.networks.convolutional import count_levels
from meta_gan.types import Tensor

_ATTENTION_SIDE = 15  # between 14 and 16
# Of the kernels that read the task embedding: at 0 the task encoder would get no gradient until the first step.
_DEVIATION = 0.02
# Of a row's own moments: the task's moments start at 0 and 1, far from those of spectrally normalised features.
_BLEND = 0.9


def attention_level(example_shape: Shape) -> int:
    """Return after how many halvings the longer side is nearest to 14-16 pixels; of two, the smaller size.

    Args:
        example_shape: (height, width, channels), see `networks.convolutional.count_levels`.

    Returns:
        int in [0, `count_levels(example_shape)`].

    Raises:
        ValueError: if such images cannot be halved.

    Example:
        >>> attention_level((28, 28, 1)), attention_level((64, 64, 3))
        (1, 2)
    """
    levels, side = count_levels(example_shape), max(example_shape[:2])
    return min(range(levels, -1, -1), key=lambda level: abs((side >> level) - _ATTENTION_SIDE))


class _SpectralLayers(LayerFactory):
    """A factory of layers with spectral normalisation."""

    kinds = MappingProxyType({0: layers.SpectralDense, 2: layers.SpectralConv2D})


def _halve(x: Tensor) -> Tensor:
    return ops.average_pool(x, 2, strides=2, data_format="channels_last")


class _SelfAttentionNetwork(Network):
    """Base of both networks: their common arguments, a functional body, attention."""

    def _set_up(self, attention: bool, input_shape: tuple[int, ...]) -> None:
        """Make the body, as the last step of the constructor."""
        self.attention = bool(attention)
        make = _SpectralLayers(self.seed, self._stream, self.dtype_policy, build=False)
        body = self._make_body(count_levels(self.example_shape), make)
        self.body = of_policy(body, self.dtype_policy)
        self.build((None, *input_shape))

    def _input(self, *shape: int) -> Any:
        return keras.Input(shape, dtype=self.compute_dtype)

    def _attend(self, x: Any, level: int, make: LayerFactory) -> Any:
        if not self.attention or level != attention_level(self.example_shape):
            return x
        return layers.SelfAttention2D(True, make.draw(1, 1.0).seed, name="attention", dtype=self.dtype_policy)(x)


@keras.saving.register_keras_serializable("meta_gan")
class SAGANGenerator(_SelfAttentionNetwork, Generator):
    """A dense layer to the base, then residual blocks up to the image; every normalisation receives embedding and z.

    Args:
        example_shape: (height, width, channels), see `networks.convolutional.count_levels`.
        latent_dim: int >= 1, size of `z`.
        width: int >= 1, channels at full size; they double towards the base, up to 4 * width.
        embedding_dim: int >= 0, size of the task embedding; with 0 the generator is unconditioned.
        attention: bool, whether it has `SelfAttention2D`, at the size nearest to 14-16 pixels.
        seed: int >= 0, seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range, or in a call, if the conditioning does not fit.

    Example:
        >>> generator = SAGANGenerator((28, 28, 1), latent_dim=16, width=8, embedding_dim=3)
        >>> generator(tf.zeros([5, 16]), conditioning={"task_embedding": tf.zeros([3])}).shape
        TensorShape([5, 28, 28, 1])
    """

    _stream = "SAGANGenerator"

    def __init__(
        self,
        example_shape: Shape,
        latent_dim: int = 64,
        width: int = 32,
        embedding_dim: int = 0,
        attention: bool = True,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, latent_dim, seed, width=width, embedding_dim=embedding_dim, **kwargs)
        self._set_up(attention, (self.latent_dim,))

    def _make_body(self, levels: int, make: LayerFactory) -> keras.Model:
        """Return the Keras model of z, or of z and the rows of task embedding and z, to images."""
        z = self._input(self.latent_dim)
        rows = self._input(self.embedding_dim + self.latent_dim) if self.embedding_dim else None
        base = (self.example_shape[0] >> levels, self.example_shape[1] >> levels, channels_at(self.width, levels))
        x = ops.reshape(make.dense(self.latent_dim, math.prod(base), "project", 0.0)(z), (-1, *base))
        x = self._attend(x, levels, make)
        for level in reversed(range(levels)):
            x = self._attend(self._up(x, rows, level, make), level, make)
        x = self._activation(x, rows, "image", make)
        images = ops.tanh(make.convolution(self.width, self.example_shape[2], 3, "image", slope=1.0)(x))
        return keras.Model([z] if rows is None else [z, rows], images, name="body")

    def _up(self, x: Any, rows: Any, level: int, make: LayerFactory) -> Any:
        """Return `x` after the residual block that leads up to `level`."""
        inputs, channels = x.shape[-1], channels_at(self.width, level)
        # No biases: the normalisations that follow would cancel them, or have their own.
        skip = make.convolution(inputs, channels, 1, f"up_{level}_skip", slope=1.0, use_bias=False)
        y = self._activation(x, rows, f"up_{level}_0", make)
        double = layers.UpsampleNearest(2, name=f"up_{level}_grow", dtype=self.dtype_policy)
        y = make.convolution(inputs, channels, 3, f"up_{level}_0", slope=0.0, use_bias=False)(double(y))
        y = self._activation(y, rows, f"up_{level}_1", make)
        y = make.convolution(channels, channels, 3, f"up_{level}_1", slope=0.0, use_bias=False)(y)
        # A 1x1 convolution and repeated pixels commute; this order costs a quarter.
        return y + double(skip(x))

    def _activation(self, x: Any, rows: Any, name: str, make: LayerFactory) -> Any:
        common = {"name": f"{name}_normalize", "dtype": self.dtype_policy}
        if rows is None:
            return ops.relu(layers.InstanceNormalization(**common)(x))
        film = {"initial_deviation": _DEVIATION, "seed": make.draw(1, 1.0).seed}
        return ops.relu(layers.MetaBatchNormalization(blend=_BLEND, **film, **common)(x, rows))

    def call(self, z: Tensor, conditioning: Any = None, training: bool = False) -> Tensor:
        """Return images float[n, *example_shape] in [-1, 1] of `z` float[n, latent_dim].

        `conditioning` is `{"task_embedding": float[embedding_dim]}`, or None where `embedding_dim` is 0; `training`
        updates the state of the spectral normalisation.
        """
        _, embedding = self.read_conditioning(conditioning)
        if embedding is None:
            return self.body(z, training=training)
        tiled = ops.zeros_like(z[:, :1]) + embedding
        return self.body([z, ops.concatenate([tiled, z], axis=-1)], training=training)


@keras.saving.register_keras_serializable("meta_gan")
class SAGANDiscriminator(_SelfAttentionNetwork, Discriminator):
    """A convolution, residual blocks down, a sum over positions to features h, and the logit w h + b + <h, V e>.

    Here e is the task embedding. The only normalisation is the spectral one, so each image is scored independently.

    Args:
        example_shape: (height, width, channels), see `networks.convolutional.count_levels`.
        width: int >= 1, channels at full size; they double towards the base, up to 4 * width.
        embedding_dim: int >= 0, size of the task embedding; with 0 the discriminator is unconditioned.
        attention: bool, whether it has `SelfAttention2D`, at the size nearest to 14-16 pixels.
        seed: int >= 0, seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range, or in a call, if the conditioning does not fit.

    Example:
        >>> discriminator = SAGANDiscriminator((28, 28, 1), width=8, embedding_dim=3)
        >>> discriminator(tf.zeros([5, 28, 28, 1]), conditioning={"task_embedding": tf.zeros([3])}).shape
        TensorShape([5, 1])
    """

    _stream = "SAGANDiscriminator"

    def __init__(
        self,
        example_shape: Shape,
        width: int = 32,
        embedding_dim: int = 0,
        attention: bool = True,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, seed, width, embedding_dim, **kwargs)
        self._set_up(attention, self.example_shape)

    def _make_body(self, levels: int, make: LayerFactory) -> keras.Model:
        """Return the Keras model of images, or of images and the task embedding float[1, embedding_dim], to logits."""
        images = self._input(*self.example_shape)
        embedding = self._input(self.embedding_dim) if self.embedding_dim else None
        x = make.convolution(self.example_shape[2], self.width, 3, "image", slope=1.0)(images)
        x = self._attend(x, 0, make)
        for level in range(1, levels + 1):
            x = self._attend(self._down(x, level, make), level, make)
        features = ops.sum(ops.relu(x), axis=(1, 2))
        channels = features.shape[-1]
        logit = make.dense(channels, 1, "logit", 1.0)(features)
        if embedding is None:
            return keras.Model([images], logit, name="body")
        project = make.dense(self.embedding_dim, channels, "project", 1.0, use_bias=False)
        return keras.Model([images, embedding], [logit, features * project(embedding)], name="body")

    def _down(self, x: Any, level: int, make: LayerFactory) -> Any:
        """Return `x` after the residual block that leads down to `level`."""
        inputs, channels = x.shape[-1], channels_at(self.width, level)
        y = make.convolution(inputs, channels, 3, f"down_{level}_0", slope=0.0)(ops.relu(x))
        y = make.convolution(channels, channels, 3, f"down_{level}_1", slope=0.0)(ops.relu(y))
        # A 1x1 convolution and a mean of pixels commute; this order costs a quarter.
        skip = make.convolution(inputs, channels, 1, f"down_{level}_skip", slope=1.0, use_bias=False)
        return _halve(y) + skip(_halve(x))

    def call(self, images: Tensor, conditioning: Any = None, training: bool = False) -> Tensor:
        """Return logits float[n, 1] of `images` float[n, *example_shape]; see `SAGANGenerator.call`."""
        _, embedding = self.read_conditioning(conditioning)
        if embedding is None:
            return self.body(images, training=training)
        logit, product = self.body([images, embedding[None]], training=training)
        return logit + ops.sum(product, axis=-1, keepdims=True)


def sagan(
    example_shape: Shape, latent_dim: int = 64, width: int = 32, embedding_dim: int = 0, seed: int = 0, **kwargs: Any
) -> tuple[SAGANGenerator, SAGANDiscriminator]:
    """Return a SAGAN generator and a discriminator of the same width.

    Args:
        example_shape, latent_dim, width: see `SAGANGenerator`.
        embedding_dim: int >= 0, size of the task embedding, which both need in every call; 0 for none.
        seed: int >= 0; the two networks draw their initial weights from different streams of it.
        **kwargs: `attention`, `dtype` and other arguments of both networks.

    Returns:
        `(generator, discriminator)`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> generator, discriminator = sagan((28, 28, 1), width=8)
        >>> discriminator(generator(tf.zeros([5, 64]))).shape
        TensorShape([5, 1])
    """
    generator = SAGANGenerator(example_shape, latent_dim, width, embedding_dim, seed=seed, **kwargs)
    return generator, SAGANDiscriminator(example_shape, width, embedding_dim, seed=seed, **kwargs)
