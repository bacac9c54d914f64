"""One-dimensional convolutions: a generator of sounds after WaveGAN, and a discriminator of sounds or texts.

Donahue, McAuley and Puckette, Adversarial Audio Synthesis, 2019. Kept: convolutions of 25 taps and stride 4, phase
shuffling, tanh out. We depart as `networks.dcgan` does: layer normalisation in the generator, channels that double up
to four times `width`, and initial weights after He et al.; and up by repetition and a convolution, not by a transposed
one, whose periods one hears.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from meta_gan import layers
from meta_gan.checks import check_bool, check_integer, check_shape
from meta_gan.layers.sound import PhaseShuffle
from meta_gan.networks.base import Discriminator, Generator, read_task_embedding, refuse_conditioning, seeded_normal
from meta_gan.networks.fusion_parts import dense, require_support

_SLOPE = 0.2
_STRIDE, _TAPS = 4, 25
_SMALLEST = 4


def require_sequence(shape: Sequence[int]) -> tuple[int, int]:
    """Return (length, channels), refused with a ValueError unless there are two and a length of at least 8."""
    sides = check_shape(shape)
    if len(sides) != 2 or sides[0] < 2 * _SMALLEST:
        raise ValueError(
            f"`example_shape` of a sequence must be (length, channels), a length of at least {2 * _SMALLEST}. "
            f"Received: example_shape={tuple(shape)}"
        )
    return sides[0], sides[1]


@keras.saving.register_keras_serializable("meta_gan")
class WaveGenerator(Generator):
    """Makes a sound from z: dense to 16 or more places, then four times as many with every convolution, tanh out.

    Args:
        example_shape: (samples, channels), samples a multiple of 16 by a power of 4.
        latent_dim: int >= 1, the size of z.
        width: int >= 1, channels of the last block; they double towards the base, up to 4 * width.
        seed: int >= 0, of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> WaveGenerator((1024, 1), latent_dim=8, width=4)(tf.zeros([3, 8])).shape
        TensorShape([3, 1024, 1])
    """

    def __init__(
        self, example_shape: Sequence[int], latent_dim: int = 64, width: int = 16, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(example_shape, latent_dim, seed, **kwargs)
        self.width = check_integer(width, "width", 1)
        base, channels = require_sequence(example_shape)
        levels = 0
        while base % _STRIDE == 0 and base // _STRIDE >= 16:
            base, levels = base // _STRIDE, levels + 1
        if not levels:
            raise ValueError(
                "`example_shape` of sounds must be (samples, channels), samples a multiple of 4 from 64 on. "
                f"Received: example_shape={tuple(example_shape)}"
            )
        make, policy = seeded_normal(self.seed, type(self).__name__), self.dtype_policy
        wide = [self.width * min(2**level, 4) for level in range(levels)][::-1]
        stack: list[keras.layers.Layer] = [
            keras.layers.Dense(base * wide[0], kernel_initializer=make(latent_dim), name="base", dtype=policy),
            keras.layers.Reshape((base, wide[0]), dtype=policy),
        ]
        given = wide[0]
        for level, outputs in enumerate(wide):
            stack += [
                layers.LayerNormalization(name=f"normalization_{level}", dtype=policy),
                keras.layers.LeakyReLU(_SLOPE, dtype=policy),
                keras.layers.UpSampling1D(_STRIDE, dtype=policy),
                _convolution(make, given, outputs, _TAPS, 1, f"up_{level}", policy),
            ]
            given = outputs
        stack += [
            keras.layers.LeakyReLU(_SLOPE, dtype=policy),
            keras.layers.Conv1D(
                channels, _TAPS, padding="same", kernel_initializer=make(_TAPS * given), name="sound", dtype=policy
            ),
            keras.layers.Activation("tanh", dtype=policy),
        ]
        self.stack((self.latent_dim,), stack)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "width": self.width}


def _convolution(
    make: Any, given: int, channels: int, taps: int, stride: int, name: str, policy: Any
) -> keras.layers.Conv1D:
    return keras.layers.Conv1D(
        channels,
        taps,
        strides=stride,
        padding="same",
        kernel_initializer=make(taps * given, _SLOPE),
        name=name,
        dtype=policy,
    )


@keras.saving.register_keras_serializable("meta_gan")
class SequenceDiscriminator(Discriminator):
    """Strided convolutions along a sequence; told of the support set, it also compares features with their mean there.

    Args:
        example_shape: (length, channels), a length of at least 8: sounds (samples, 1), texts (length, symbols).
        width: int >= 1, channels of the first convolution; they double with every other, up to 4 * width.
        stride: int >= 2, of every convolution, whose taps are six times the stride and one; 4 for sounds, 2 for texts.
        shuffle: int >= 0, places by which features are shifted in training, see `PhaseShuffle`; 0 for not at all.
        attends: whether it sees the support set.
        embedding_dim: int >= 0, the size of the task code; 0 for none.
        seed: int >= 0, of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    `call(x, conditioning)` takes None, or a dict with `support` float[k, length, channels] where it attends and `code`
    float[embedding_dim] where there is one.

    Raises:
        ValueError: if an argument is out of range, or the conditioning lacks an entry or is not used.

    Example:
        >>> SequenceDiscriminator((1024, 1), width=4, shuffle=2)(tf.zeros([3, 1024, 1])).shape
        TensorShape([3, 1])

    Reference:
        Donahue et al., 2019; Miyato and Koyama, cGANs with Projection Discriminator, 2018, for what is added to the
        logit of a code or a mean.
    """

    def __init__(
        self,
        example_shape: Sequence[int],
        width: int = 16,
        stride: int = _STRIDE,
        shuffle: int = 0,
        attends: bool = False,
        embedding_dim: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, seed, **kwargs)
        length, given = require_sequence(example_shape)
        self.width, self.stride = check_integer(width, "width", 1), check_integer(stride, "stride", 2)
        self.shuffle, self.embedding_dim = (
            check_integer(shuffle, "shuffle", 0),
            check_integer(embedding_dim, "embedding_dim", 0),
        )
        check_bool(attends, "attends")
        self.attends = self.sees_support = attends
        make, policy = seeded_normal(self.seed, type(self).__name__), self.dtype_policy
        taps, level, stack = 6 * self.stride + 1, 0, []
        while length >= 2 * _SMALLEST:
            outputs = self.width * min(2**level, 4)
            # The first sees the sequence itself: shifted, it would be another sequence.
            if self.shuffle and level:
                stack.append(PhaseShuffle(self.shuffle, self.seed + level, name=f"shuffle_{level}", dtype=policy))
            stack.append(_convolution(make, given, outputs, taps, self.stride, f"down_{level}", policy))
            stack.append(keras.layers.LeakyReLU(_SLOPE, dtype=policy))
            length, given, level = -(-length // self.stride), outputs, level + 1
        self.size = length * given
        stack.append(keras.layers.Flatten(dtype=policy))
        self.readout = dense(make, self.size, 1, "readout", policy)
        if attends:
            self.likeness = dense(make, self.size, self.size, "likeness", policy)
        if self.embedding_dim:
            self.projection = dense(make, self.embedding_dim, self.size, "projection", policy)
        self.stack(self.example_shape, stack)

    def call(self, images: Any, conditioning: Any = None, training: bool = False) -> Any:
        """Return logits float[n, 1] of `images` float[n, length, channels]."""
        features = self.body(images, training=training)
        logits = self.readout(features)
        if not (self.attends or self.embedding_dim):
            refuse_conditioning(self, conditioning)
        if self.attends:
            support, _ = require_support(conditioning, type(self).__name__, self.embedding_dim)
            mean = tf.reduce_mean(self.body(tf.cast(support, features.dtype), training=training), axis=0)
            logits += self._projected(features, self.likeness(mean[None]))
        if self.embedding_dim:
            logits += self._projected(features, self.projection(read_task_embedding(self, conditioning)[None]))
        return logits

    def _projected(self, features: Any, direction: Any) -> Any:
        return tf.reduce_sum(features * direction, axis=-1, keepdims=True) / math.sqrt(self.size)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        names = ("width", "stride", "shuffle", "attends", "embedding_dim")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
