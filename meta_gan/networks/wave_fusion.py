"""Support-conditioned generator of sounds: warps a support sound in time, and turns its bands up and down.

As for images (`networks.fusion`), every sample starts from one support sound, the anchor, and leans towards another,
the partner; both are chosen by the first two numbers of z. A decoder that sees spectrograms of both, matched in time,
says where in the anchor each moment is taken from, and how loud every band is there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan.checks import check_integer, check_number, check_shape
from meta_gan.layers import FiLM
from meta_gan.layers.sound import Bands, LogMel, sound_at
from meta_gan.layers.warping import cubic_matrix
from meta_gan.networks.base import Discriminator, Generator, seeded_normal
from meta_gan.networks.fusion import CHOICES, choose
from meta_gan.networks.fusion_discriminator import FusionDiscriminator
from meta_gan.networks.fusion_parts import SLOPE, dense, leaky, require_support

_STYLE, _KEY, _NOISE, _MELS, _FRAMES = 64, 24, 6, 32, 32
_SMALL = 0.02
# Of a stretch, of a start and of a local way in frames, and of the log of a band's loudness: bounded smoothly, for a
# sound that is warped off its own ends is silent, and silence has no gradient that would bring it back.
_STRETCH, _START, _LOCAL, _LOUDNESS = 0.3, 4.0, 3.0, 3.0


def require_sound(sound_shape: Sequence[int]) -> tuple[int, int]:
    """Return (samples, 1), refused with a ValueError unless the samples are a multiple of 32, from 1024 on."""
    shape = check_shape(sound_shape)
    if len(shape) != 2 or shape[1] != 1 or shape[0] % _FRAMES or shape[0] < 32 * _FRAMES:
        raise ValueError(
            f"`example_shape` of sounds must be (samples, 1), a multiple of {_FRAMES} from {32 * _FRAMES} on. "
            f"Received: example_shape={tuple(sound_shape)}"
        )
    return shape[0], shape[1]


def bounded(x: Any, most: float) -> Any:
    """Return x within (-most, most), as it is near 0."""
    return most * tf.tanh(x / most)


def pairs(z: Any, count: Any) -> tuple[Any, Any]:
    """Return anchors and partners, int32[n] in [0, count), of `z` float[n, 2 or more]: every pair as likely.

    A partner is another sound than its anchor where there is another: what leans towards itself is a copy.
    """
    anchor = choose(z[:, 0], count)
    return anchor, (anchor + 1 + choose(z[:, 1], tf.maximum(count - 1, 1))) % count


def line(make: Any, given: int, channels: int, name: str, dtype: Any, kernel: int = 5) -> keras.layers.Conv1D:
    """Return a built convolution along time, its kernel drawn by `make`."""
    layer = keras.layers.Conv1D(
        channels,
        kernel,
        padding="same",
        kernel_initializer=make(kernel * given, SLOPE),
        name=name,
        dtype=dtype,
    )
    layer.build((None, None, given))
    return layer


@keras.saving.register_keras_serializable("meta_gan")
class WaveFusionGenerator(Generator):
    """Makes new sounds of a class from z and its support sounds.

    Args:
        example_shape: (samples, 1), a multiple of 32 from 1024 on; a sound has 32 frames.
        latent_dim: int >= 3; `stratified` = 2 of them choose the anchor and the partner.
        width: int >= 1, features of a frame.
        rate: > 0, samples a second.
        bands: int >= 2, that are turned up and down.
        embedding_dim: int >= 0, the size of the task code; 0 for none.
        temperature: float > 0, what z, beyond the choices, is multiplied by when not training.
        seed: int >= 0, of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    `call(z, conditioning)` takes a dict with `support` float[k, samples, 1], any k >= 1, and with `embedding_dim` > 0
    `code` float[embedding_dim]. Row i depends on row i of z alone.

    Raises:
        ValueError: if an argument is out of range, or the conditioning lacks an entry.

    Example:
        >>> generator = WaveFusionGenerator((8192, 1), latent_dim=16, width=8)
        >>> generator(tf.zeros([3, 16]), conditioning={"support": tf.zeros([5, 8192, 1])}).shape
        TensorShape([3, 8192, 1])
    """

    sees_support = True
    stratified = CHOICES

    def __init__(
        self,
        example_shape: Sequence[int],
        latent_dim: int = 32,
        width: int = 32,
        rate: float = 8000.0,
        bands: int = 20,
        embedding_dim: int = 0,
        temperature: float = 1.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, latent_dim, seed, **kwargs)
        self.samples, _ = require_sound(example_shape)
        check_integer(latent_dim, "latent_dim", CHOICES + 1)
        self.width, self.embedding_dim = (
            check_integer(width, "width", 1),
            check_integer(embedding_dim, "embedding_dim", 0),
        )
        self.rate, self.bands = check_number(rate, "rate", above=0), check_integer(bands, "bands", 2)
        self.temperature = check_number(temperature, "temperature", above=0)
        make, policy, w = seeded_normal(self.seed, type(self).__name__), self.dtype_policy, self.width
        self.spectrogram = LogMel(self.rate, self.samples // _FRAMES, _MELS, name="spectrogram", dtype=policy)
        self.splitter = Bands(self.rate, self.bands, name="bands", dtype=policy)
        self.reading = [line(make, _MELS, 2 * w, "reading_0", policy), line(make, 2 * w, 2 * w, "reading_1", policy)]
        self.key = dense(make, 2 * w, _KEY, "key", policy)
        self.noise = dense(make, self.latent_dim - CHOICES, _FRAMES * _NOISE, "noise", policy)
        told = self.latent_dim - CHOICES + 6 * w + self.embedding_dim
        self.style = [dense(make, told, _STYLE, "style_0", policy), dense(make, _STYLE, _STYLE, "style_1", policy)]
        sizes = [6 * w + 1 + _NOISE, 4 * w, 4 * w, 2 * w]
        self.decoder = [line(make, a, b, f"decoder_{i}", policy) for i, (a, b) in enumerate(pairwise(sizes))]
        self.modulations = [self._modulation(size, i) for i, size in enumerate(sizes[1:])]
        small = seeded_normal(self.seed, "wave_fusion_readouts")

        def tiny(fan_in: int, slope: float) -> Any:
            return small(fan_in / _SMALL**2, slope)

        self.readout = line(tiny, 2 * w, 1 + self.bands, "readout", policy)
        # A stretch, a start, the share of the way to the partner, and a loudness.
        self.globals = dense(tiny, _STYLE, 4, "globals", policy)
        self._spread = cubic_matrix(_FRAMES, self.samples // _FRAMES)
        self.build((None, self.latent_dim))

    def _modulation(self, channels: int, index: int) -> keras.layers.Layer:
        layer = FiLM(0.05, self.seed + 7 * index, name=f"modulation_{index}", dtype=self.dtype_policy)
        layer.build((None, None, channels), (None, _STYLE))
        return layer

    def call(self, z: Any, conditioning: Any = None, training: bool = False) -> Any:
        """Return sounds float[n, samples, 1] of `z` float[n, latent_dim], for the support set in `conditioning`."""
        support, code = require_support(conditioning, type(self).__name__, self.embedding_dim)
        count, rows = tf.shape(support)[0], tf.shape(z)[0]
        anchor, partner = pairs(z, count)
        noise = z[:, CHOICES:] if training else self.temperature * z[:, CHOICES:]
        read = self.spectrogram(support)[..., 0]
        for layer in self.reading:
            read = leaky(layer(read))
        shift, found = self._matched(read, anchor, partner)
        style = self._style(noise, read, code, anchor, partner)
        x = [tf.gather(read, anchor), found, tf.reduce_mean(read, axis=0)[None] + tf.zeros_like(found)]
        x = tf.concat([*x, shift, tf.reshape(self.noise(noise), [rows, _FRAMES, _NOISE])], axis=-1)
        for layer, modulate in zip(self.decoder, self.modulations, strict=True):
            x = leaky(modulate(layer(x), style))
        local, gains = tf.split(self.readout(x), [1, self.bands], axis=-1)
        return self._rendered(tf.gather(support, anchor), local, shift, gains, self.globals(style))

    def _matched(self, read: Any, anchor: Any, partner: Any) -> tuple[Any, Any]:
        """For every frame of the partner the way to where the anchor is alike, in frames float[n, frames, 1], as a way
        to warp the anchor to the partner's timing; and what is there in the partner, float[n, frames, features]."""
        keys = self.key(read)
        keys = keys * tf.math.rsqrt(tf.reduce_mean(tf.square(keys), axis=-1, keepdims=True) + 1e-3)
        own, other = tf.gather(keys, anchor), tf.gather(keys, partner)
        place = np.arange(_FRAMES)
        # Near frames match before far ones.
        nearness = -np.square(place[:, None] - place[None]) / 32.0
        scores = 4.0 * tf.matmul(other, own, transpose_b=True) / math.sqrt(_KEY) + tf.cast(nearness, read.dtype)
        share = tf.nn.softmax(scores)
        where = tf.reduce_sum(share * tf.cast(place, read.dtype), axis=-1, keepdims=True)
        return where - tf.cast(place[None, :, None], read.dtype), tf.gather(read, partner)

    def _style(self, z: Any, read: Any, code: Any, anchor: Any, partner: Any) -> Any:
        """Return float[n, style]: z, the task's code, the set's mean, and how anchor and partner differ from it."""
        each = tf.reduce_mean(read, axis=1)
        mean = tf.reduce_mean(each, axis=0, keepdims=True)
        rows = [mean] if code is None else [mean, code[None]]
        tiled = [tf.repeat(row, tf.shape(z)[0], axis=0) for row in rows]
        told = tf.concat([z, *tiled, tf.gather(each, anchor) - mean, tf.gather(each, partner) - mean], axis=-1)
        return leaky(self.style[1](leaky(self.style[0](told))))

    def _rendered(self, sounds: Any, local: Any, shift: Any, gains: Any, settings: Any) -> Any:
        """Return the sounds, warped and with their bands turned up or down."""
        hop = self.samples // _FRAMES
        spread = tf.cast(self._spread, sounds.dtype)
        share = tf.sigmoid(settings[:, 2, None, None])
        way = float(hop) * tf.einsum("nfc,tf->nt", bounded(local, _LOCAL) + share * shift, spread)
        time = tf.cast(np.arange(self.samples), sounds.dtype)[None]
        stretch, start = bounded(settings[:, :1], _STRETCH), bounded(settings[:, 1:2], _START)
        affine = stretch * time + float(hop) * start
        warped = sound_at(sounds[..., 0], time + way + affine)
        levels = tf.einsum("nfb,tf->ntb", bounded(gains + settings[:, 3, None, None], _LOUDNESS), spread)
        made = tf.reduce_sum(tf.exp(levels) * self.splitter(warped[..., None]), axis=-1, keepdims=True)
        return tf.clip_by_value(made, -1.0, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        names = ("width", "rate", "bands", "embedding_dim", "temperature")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("meta_gan")
class WaveFusionDiscriminator(Discriminator):
    """Judges a sound beside every support sound, by their log-mel spectrograms: a `FusionDiscriminator` of these.

    Args:
        example_shape: (samples, 1), a multiple of 32 from 1024 on.
        width: int >= 1, see `FusionDiscriminator`.
        rate: > 0, samples a second.
        embedding_dim: int >= 0, the size of the task code; 0 for none.
        seed: int >= 0, of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range, or the conditioning lacks an entry.

    Example:
        >>> discriminator = WaveFusionDiscriminator((8192, 1), width=8)
        >>> discriminator(tf.zeros([3, 8192, 1]), conditioning={"support": tf.zeros([5, 8192, 1])}).shape
        TensorShape([3, 1])
    """

    sees_support = True

    def __init__(
        self,
        example_shape: Sequence[int],
        width: int = 16,
        rate: float = 8000.0,
        embedding_dim: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, seed, **kwargs)
        samples, _ = require_sound(example_shape)
        self.width, self.embedding_dim = (
            check_integer(width, "width", 1),
            check_integer(embedding_dim, "embedding_dim", 0),
        )
        self.rate, policy = check_number(rate, "rate", above=0), self.dtype_policy
        self.spectrogram = LogMel(self.rate, samples // _FRAMES, _MELS, name="spectrogram", dtype=policy)
        shape = (_FRAMES, _MELS, 1)
        self.critic = FusionDiscriminator(
            shape, self.width, self.embedding_dim, "none", seed, name="critic", dtype=policy
        )
        self.build((None, *self.example_shape))

    def call(self, images: Any, conditioning: Any = None, training: bool = False) -> Any:
        """Return logits float[n, 1] of sounds float[n, samples, 1], beside the support set in `conditioning`."""
        support, _ = require_support(conditioning, type(self).__name__, self.embedding_dim)
        told = {**conditioning, "support": self.spectrogram(support)}
        return self.critic(self.spectrogram(images), conditioning=told, training=training)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "width": self.width, "rate": self.rate, "embedding_dim": self.embedding_dim}
