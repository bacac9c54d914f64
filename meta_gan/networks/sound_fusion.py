"""Support-conditioned networks for sounds: samples that warp a support sound in time and change its bands' loudness.

As for images (`networks.image_fusion`), every sample starts from one support sound, the anchor, and moves towards
another, the partner; the first two numbers of z choose both. A decoder receives spectrograms of both, matched in time,
and returns from where in the anchor each moment is taken, and how loud each band is there.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan.checks import check_integer, check_number, check_shape
from meta_gan.layers.resampling import cubic_matrix, sound_at
from meta_gan.layers.sequences import Bands, LogMel
from meta_gan.networks.base import Discriminator, LayerFactory, Shape, leaky_relu
from meta_gan.networks.image_fusion import CHOICES, AnchoredGenerator, FusionDiscriminator, choose
from meta_gan.types import Tensor

_STYLE, _KEY, _NOISE, _MELS, _FRAMES = 64, 24, 6, 32, 32
_SMALL = 0.02  # scale of the readouts: the first samples are nearly support sounds
# Bounds of a stretch, of a start and of a local shift in frames, and of the log of a band's loudness. They are smooth,
# because a sound that is warped off its own ends is silent, and silence has no gradient that would bring it back.
_STRETCH, _START, _LOCAL, _LOUDNESS = 0.3, 4.0, 3.0, 3.0


def check_samples(example_shape: Shape) -> int:
    """Return the samples of a sound's shape (samples, 1), if they are a multiple of 32 and at least 1024."""
    samples, channels = check_shape(example_shape, axes=("samples", "channels"))
    if channels != 1 or samples % _FRAMES or samples < 32 * _FRAMES:
        raise ValueError(
            f"'example_shape' of sounds must be (samples, 1), a multiple of {_FRAMES} >= {32 * _FRAMES}. "
            f"Received: {tuple(example_shape)}"
        )
    return samples


def bounded(x: Tensor, most: float) -> Tensor:
    """Return x mapped smoothly into (-most, most), with slope 1 at 0."""
    return most * tf.tanh(x / most)


def pairs(z: Tensor, count: Any) -> tuple[Tensor, Tensor]:
    """Return anchors and partners, int32[n] in [0, count), of `z` float[n, >= 2]; all pairs are equally likely.

    A partner differs from its anchor unless there is only one sound: moved towards itself, a sound would be a copy.
    """
    anchor = choose(z[:, 0], count)
    return anchor, (anchor + 1 + choose(z[:, 1], tf.maximum(count - 1, 1))) % count


@keras.saving.register_keras_serializable("meta_gan")
class WaveFusionGenerator(AnchoredGenerator):
    """New sounds of a class from z and its support sounds.

    Args:
        example_shape: (samples, 1), a multiple of 32, at least 1024; a sound has 32 frames.
        latent_dim: int >= 3; `stratified` = 2 of them choose the anchor and the partner.
        width: int >= 1, features of a frame.
        rate: float > 0, samples per second.
        bands: int >= 2, frequency bands whose loudness changes.
        embedding_dim: int >= 0, size of the task embedding; 0 for none.
        temperature: float > 0, multiplies z, beyond the choices, outside training.
        one_shot_temperature: float > 0, in its place with one support example; see `AnchoredGenerator`. None for the
            same.
        seed: int >= 0, seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    `call(z, conditioning)` takes a dict with `support` float[k, samples, 1], any k >= 1, and with `embedding_dim` > 0
    `task_embedding` float[embedding_dim]. Row i depends on row i of z alone.

    Raises:
        ValueError: if an argument is out of range, or the conditioning lacks an entry.

    Example:
        >>> generator = WaveFusionGenerator((8192, 1), latent_dim=16, width=8)
        >>> generator(tf.zeros([3, 16]), conditioning={"support": tf.zeros([5, 8192, 1])}).shape
        TensorShape([3, 8192, 1])
    """

    def __init__(
        self,
        example_shape: Shape,
        latent_dim: int = 32,
        width: int = 32,
        rate: float = 8000.0,
        bands: int = 20,
        embedding_dim: int = 0,
        temperature: float = 1.0,
        seed: int = 0,
        one_shot_temperature: float | None = None,
        **kwargs: Any,
    ) -> None:
        sizes = {"width": width, "embedding_dim": embedding_dim}
        super().__init__(example_shape, latent_dim, seed, temperature, one_shot_temperature, **sizes, **kwargs)
        self.samples = check_samples(example_shape)
        self.rate, self.bands = check_number(rate, "rate", above=0), check_integer(bands, "bands", 2)
        self._make(LayerFactory(self.seed, type(self).__name__, self.dtype_policy))
        self._spread = cubic_matrix(_FRAMES, self.samples // _FRAMES)
        self.build((None, self.latent_dim))

    def _make(self, make: LayerFactory) -> None:
        w, noise, policy = self.width, self.latent_dim - CHOICES, self.dtype_policy
        self.spectrogram = LogMel(self.rate, self.samples // _FRAMES, _MELS, name="spectrogram", dtype=policy)
        self.splitter = Bands(self.rate, self.bands, name="bands", dtype=policy)
        sizes = [_MELS, 2 * w, 2 * w]
        self.reading = [make.convolution(a, b, 5, f"reading_{i}", rank=1) for i, (a, b) in enumerate(pairwise(sizes))]
        self.key = make.dense(2 * w, _KEY, "key")
        self.noise = make.dense(noise, _FRAMES * _NOISE, "noise")
        inputs = noise + 6 * w + self.embedding_dim
        self.style = [make.dense(inputs, _STYLE, "style_0"), make.dense(_STYLE, _STYLE, "style_1")]
        sizes = [6 * w + 1 + _NOISE, 4 * w, 4 * w, 2 * w]
        self.decoder = [make.convolution(a, b, 5, f"decoder_{i}", rank=1) for i, (a, b) in enumerate(pairwise(sizes))]
        self.modulations = [self._modulation(size, i, _STYLE, 1, False) for i, size in enumerate(sizes[1:])]
        readouts = LayerFactory(self.seed, "wave_fusion_readouts", policy, _SMALL)
        self.readout = readouts.convolution(2 * w, 1 + self.bands, 5, "readout", rank=1)
        # A stretch, a start, the share of the displacement towards the partner, and a loudness.
        self.globals = readouts.dense(_STYLE, 4, "globals")

    def call(self, z: Tensor, conditioning: Any = None, training: bool = False) -> Tensor:
        """Return sounds float[n, samples, 1] of `z` float[n, latent_dim] and the support set in `conditioning`."""
        support, embedding = self.read_conditioning(conditioning)
        count, rows = tf.shape(support)[0], tf.shape(z)[0]
        anchor, partner = pairs(z, count)
        noise = self._noise(z, tf.shape(support)[0], training)
        read = self.spectrogram(support)[..., 0]
        for layer in self.reading:
            read = leaky_relu(layer(read))
        shift, found = self._matched(read, anchor, partner)
        style = self._style(noise, tf.reduce_mean(read, axis=1), embedding, anchor, partner)
        x = [tf.gather(read, anchor), found, tf.reduce_mean(read, axis=0)[None] + tf.zeros_like(found)]
        x = tf.concat([*x, shift, tf.reshape(self.noise(noise), [rows, _FRAMES, _NOISE])], axis=-1)
        for layer, modulate in zip(self.decoder, self.modulations, strict=True):
            x = leaky_relu(modulate(layer(x), style))
        local, gains = tf.split(self.readout(x), [1, self.bands], axis=-1)
        return self._rendered(tf.gather(support, anchor), local, shift, gains, self.globals(style))

    def _matched(self, read: Tensor, anchor: Tensor, partner: Tensor) -> tuple[Tensor, Tensor]:
        """Return the displacement of each of the partner's frames to its match in the anchor, float[n, frames, 1] in
        frames, which warps the anchor to the partner's timing; and the partner's features float[n, frames, width]."""
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

    def _rendered(self, sounds: Tensor, local: Tensor, shift: Tensor, gains: Tensor, settings: Tensor) -> Tensor:
        """Return the sounds, warped and with the loudness of their bands changed."""
        hop = self.samples // _FRAMES
        spread = tf.cast(self._spread, sounds.dtype)
        share = tf.sigmoid(settings[:, 2, None, None])
        shifts = float(hop) * tf.einsum("nf,tf->nt", (bounded(local, _LOCAL) + share * shift)[..., 0], spread)
        time = tf.cast(np.arange(self.samples), sounds.dtype)[None]
        stretch, start = bounded(settings[:, :1], _STRETCH), bounded(settings[:, 1:2], _START)
        affine = stretch * time + float(hop) * start
        warped = sound_at(sounds[..., 0], time + shifts + affine)
        levels = tf.einsum("nfb,tf->ntb", bounded(gains + settings[:, 3, None, None], _LOUDNESS), spread)
        mixed = tf.reduce_sum(tf.exp(levels) * self.splitter(warped[..., None]), axis=-1, keepdims=True)
        return tf.clip_by_value(mixed, -1.0, 1.0)


@keras.saving.register_keras_serializable("meta_gan")
class WaveFusionDiscriminator(Discriminator):
    """Score a sound beside every support sound: a `FusionDiscriminator` of their log-mel spectrograms.

    Args:
        example_shape: (samples, 1), a multiple of 32, at least 1024.
        width: int >= 1, see `FusionDiscriminator`.
        rate: float > 0, samples per second.
        embedding_dim: int >= 0, size of the task embedding; 0 for none.
        seed: int >= 0, seed of the initial weights.
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
        example_shape: Shape,
        width: int = 16,
        rate: float = 8000.0,
        embedding_dim: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, seed, width, embedding_dim, **kwargs)
        samples, policy = check_samples(example_shape), self.dtype_policy
        self.rate = check_number(rate, "rate", above=0)
        self.spectrogram = LogMel(self.rate, samples // _FRAMES, _MELS, name="spectrogram", dtype=policy)
        shape = (_FRAMES, _MELS, 1)
        self.critic = FusionDiscriminator(
            shape, self.width, self.embedding_dim, "none", seed, name="critic", dtype=policy
        )
        self.build((None, *self.example_shape))

    def call(self, images: Tensor, conditioning: Any = None, training: bool = False) -> Tensor:
        """Return logits float[n, 1] of sounds float[n, samples, 1], beside the support set in `conditioning`."""
        support, _ = self.read_conditioning(conditioning)
        spectrograms = {**conditioning, "support": self.spectrogram(support)}
        return self.critic(self.spectrogram(images), conditioning=spectrograms, training=training)
