"""One-dimensional convolutions: a generator of sounds after WaveGAN, and a discriminator of sounds or texts.

Donahue, McAuley and Puckette, Adversarial Audio Synthesis, 2019. As in the paper: convolutions of 25 taps and stride 4,
phase shuffling, tanh at the output. The departures are those of `networks.convolutional`: layer normalisation in the
generator, channels that double up to four times `width`, and initial weights after He et al. In addition, upsampling
repeats values ahead of a convolution, because the period of a transposed convolution is audible.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from meta_gan import layers
from meta_gan.checks import check_bool, check_integer, check_shape
from meta_gan.layers.sequences import PhaseShuffle
from meta_gan.networks.base import SLOPE, Discriminator, Generator, LayerFactory, Shape, channels_at
from meta_gan.types import Tensor

_STRIDE, _TAPS = 4, 25
_SHORTEST, _SHORTEST_BASE = 8, 16


@keras.saving.register_keras_serializable("meta_gan")
class WaveGenerator(Generator):
    """Sounds from z: a dense layer to 16 or more steps, then convolutions that quadruple the length, tanh out.

    Args:
        example_shape: (samples, channels), samples a multiple of 4, at least 64; divided by 4 while 16 or more remain.
        latent_dim: int >= 1, size of z.
        width: int >= 1, channels of the last block; they double towards the base, up to 4 * width.
        seed: int >= 0, seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> WaveGenerator((1024, 1), latent_dim=8, width=4)(tf.zeros([3, 8])).shape
        TensorShape([3, 1024, 1])
    """

    def __init__(
        self, example_shape: Shape, latent_dim: int = 64, width: int = 16, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(example_shape, latent_dim, seed, width=width, **kwargs)
        base, channels = check_shape(example_shape, axes=("samples", "channels"))
        levels = 0
        while base % _STRIDE == 0 and base // _STRIDE >= _SHORTEST_BASE:
            base, levels = base // _STRIDE, levels + 1
        if not levels:
            raise ValueError(
                "'example_shape' of sounds must be (samples, channels), samples a multiple of 4 and >= 64. "
                f"Received: {example_shape}"
            )
        policy = self.dtype_policy
        make = LayerFactory(self.seed, type(self).__name__, policy, build=False)
        inputs = channels_at(self.width, levels - 1)
        stack = [make.dense(latent_dim, base * inputs, "base", 1.0)]
        stack.append(keras.layers.Reshape((base, inputs), dtype=policy))
        for index, level in enumerate(reversed(range(levels))):
            outputs = channels_at(self.width, level)
            stack += [
                layers.LayerNormalization(name=f"normalization_{index}", dtype=policy),
                keras.layers.LeakyReLU(SLOPE, dtype=policy),
                keras.layers.UpSampling1D(_STRIDE, dtype=policy),
                make.convolution(inputs, outputs, _TAPS, f"up_{index}", rank=1),
            ]
            inputs = outputs
        stack.append(keras.layers.LeakyReLU(SLOPE, dtype=policy))
        stack.append(make.convolution(inputs, channels, _TAPS, "sound", slope=1.0, rank=1))
        self.stack((self.latent_dim,), [*stack, keras.layers.Activation("tanh", dtype=policy)])


@keras.saving.register_keras_serializable("meta_gan")
class SequenceDiscriminator(Discriminator):
    """Strided convolutions along a sequence; conditioned on a support set, it compares features with their mean there.

    Args:
        example_shape: (length, channels), a length of at least 8: sounds (samples, 1), texts (length, symbols).
        width: int >= 1, channels of the first convolution; they double at each convolution, up to 4 * width.
        stride: int >= 2, of every convolution of 6 * stride + 1 taps; 4 for sounds, 2 for texts.
        shuffle: int >= 0, steps by which features are shifted in training, see `PhaseShuffle`; 0 for none.
        attends: whether it is conditioned on the support set.
        embedding_dim: int >= 0, size of the task embedding; 0 for none.
        seed: int >= 0, seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    `call(x, conditioning)` takes None, or a dict with `support` float[k, length, channels] if `attends`, and
    `task_embedding` float[embedding_dim] if `embedding_dim` > 0.

    Raises:
        ValueError: if an argument is out of range, or the conditioning lacks an entry or is not used.

    Example:
        >>> SequenceDiscriminator((1024, 1), width=4, shuffle=2)(tf.zeros([3, 1024, 1])).shape
        TensorShape([3, 1])

    References:
        Donahue et al., 2019; Miyato and Koyama, cGANs with Projection Discriminator, 2018, for the projections of the
        task embedding and of the mean features that are added to the logit.
    """

    def __init__(
        self,
        example_shape: Shape,
        width: int = 16,
        stride: int = _STRIDE,
        shuffle: int = 0,
        attends: bool = False,
        embedding_dim: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, seed, width, embedding_dim, **kwargs)
        length, inputs = check_shape(example_shape, axes=("length", "channels"))
        if length < _SHORTEST:
            raise ValueError(f"'example_shape' must have a length >= {_SHORTEST}. Received: {example_shape}")
        self.stride, self.shuffle = check_integer(stride, "stride", 2), check_integer(shuffle, "shuffle", 0)
        self.attends = self.sees_support = check_bool(attends, "attends")
        policy, taps, level, stack = self.dtype_policy, 6 * self.stride + 1, 0, []
        make = LayerFactory(self.seed, type(self).__name__, policy, build=False)
        while length >= _SHORTEST:
            outputs = channels_at(self.width, level)
            # Not ahead of the first, which receives the sequence itself: shifted, it would be another sequence.
            if self.shuffle and level:
                stack.append(PhaseShuffle(self.shuffle, self.seed + level, name=f"shuffle_{level}", dtype=policy))
            stack.append(make.convolution(inputs, outputs, taps, f"down_{level}", self.stride, rank=1))
            stack.append(keras.layers.LeakyReLU(SLOPE, dtype=policy))
            length, inputs, level = -(-length // self.stride), outputs, level + 1
        self.size = length * inputs
        make.build = True
        self.readout = make.dense(self.size, 1, "readout")
        if self.attends:
            self.likeness = make.dense(self.size, self.size, "likeness")
        if self.embedding_dim:
            self.projection = make.dense(self.embedding_dim, self.size, "projection")
        self.stack(self.example_shape, [*stack, keras.layers.Flatten("channels_last", dtype=policy)])

    def call(self, images: Tensor, conditioning: Any = None, training: bool = False) -> Tensor:
        """Return logits float[n, 1] of `images` float[n, length, channels]."""
        support, embedding = self.read_conditioning(conditioning)
        features = self.body(images, training=training)
        logits = self.readout(features)
        if support is not None:
            mean = tf.reduce_mean(self.body(support, training=training), axis=0)
            logits += self._projected(features, self.likeness(mean[None]))
        if embedding is not None:
            logits += self._projected(features, self.projection(embedding[None]))
        return logits

    def _projected(self, features: Tensor, direction: Tensor) -> Tensor:
        return tf.reduce_sum(features * direction, axis=-1, keepdims=True) / math.sqrt(self.size)
