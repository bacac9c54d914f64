"""Layers for sequences: log-mel spectrograms and bands of sounds, phase shuffling, and counts of a text's symbols.

Sounds are float[n, samples, 1] in [-1, 1]. All layers are sums, products and gathers, so that their derivatives of any
order are right in any float dtype.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan.checks import check_integer, check_number
from meta_gan.types import Tensor

_FLOOR = 1e-7  # of a band's mean power: -70 dB
_LOUDEST = 3e-2


def mel(frequency: Any) -> Any:
    """Return Hz as mel, 2595 log10(1 + f / 700)."""
    return 2595.0 * np.log10(1.0 + np.asarray(frequency) / 700.0)


def hertz(mels: Any) -> Any:
    """Return mel as Hz, the inverse of `mel`."""
    return 700.0 * (10.0 ** (np.asarray(mels) / 2595.0) - 1.0)


def band_matrix(bins: int, rate: float, bands: int) -> np.ndarray:
    """Return triangular bands that are evenly spaced in mel from 0 to half the rate.

    Args:
        bins: int >= 2, evenly spaced frequencies from 0 to rate / 2, both included.
        rate: > 0, samples per second.
        bands: int >= 2.

    Returns:
        float64[bins, bands]; every row sums to 1, because the first and the last band reach the ends.

    Example:
        >>> band_matrix(3, 8000, 2).sum(axis=1).tolist()
        [1.0, 1.0, 1.0]
    """
    centres = np.linspace(0.0, mel(rate / 2.0), bands)
    places = mel(np.linspace(0.0, rate / 2.0, bins))
    return np.maximum(0.0, 1.0 - np.abs(places[:, None] - centres) / (centres[1] - centres[0]))


@keras.saving.register_keras_serializable("meta_gan")
class LogMel(keras.layers.Layer):
    """The log-mel spectrogram of sounds: power in bands that are evenly spaced in mel, in decibels, scaled to >= -1.

    There is one frame per hop, two hops long, with a Hann window; sounds are taken to be silent beyond their ends. -1
    is a mean power far below 1e-7, and 1 a power of .03. Loud tones exceed 1, so that every power has a derivative.

    Keras's `MelSpectrogram` clips levels relative to the loudest of the whole batch, so that rows depend on each other,
    and does not take float64, in which derivatives are tested.

    Args:
        rate: > 0, samples per second.
        hop: int >= 2, samples between frames.
        bands: int >= 2.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> LogMel(8000, hop=256, bands=32)(tf.zeros([2, 8192, 1])).shape
        TensorShape([2, 32, 32, 1])
    """

    def __init__(self, rate: float, hop: int = 256, bands: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate, self.hop = check_number(rate, "rate", above=0), check_integer(hop, "hop", 2)
        self.bands = check_integer(bands, "bands", 2)
        size = 2 * self.hop
        # Periodic, so that two frames a hop apart sum to 1.
        window = 0.5 - 0.5 * np.cos(2.0 * math.pi * np.arange(size) / size)
        turns = 2.0 * math.pi * np.outer(np.arange(size), np.arange(self.hop + 1)) / size
        # A full-scale sine has the power 1/2 in the bins that see it.
        unit = window[:, None] / math.sqrt(0.5 * size * np.square(window).sum())
        self._cosines, self._sines = unit * np.cos(turns), unit * np.sin(turns)
        self._bands = band_matrix(self.hop + 1, self.rate, self.bands)
        self.built = True

    def call(self, sounds: Tensor) -> Tensor:
        """Return float[n, frames, bands, 1] of `sounds` float[n, samples, 1]; frames = ceil(samples / hop)."""
        samples = sounds.shape[1]
        frames = -(-samples // self.hop)
        before = self.hop // 2
        padded = tf.pad(sounds[..., 0], [[0, 0], [before, (frames + 1) * self.hop - samples - before]])
        hops = tf.reshape(padded, [-1, frames + 1, self.hop])
        pieces = tf.concat([hops[:, :-1], hops[:, 1:]], axis=-1)
        parts = [tf.matmul(pieces, tf.cast(matrix, sounds.dtype)) for matrix in (self._cosines, self._sines)]
        power = tf.matmul(tf.add_n([tf.square(part) for part in parts]), tf.cast(self._bands, sounds.dtype))
        low, high = math.log(_FLOOR), math.log(_LOUDEST)
        level = (tf.math.log(power + _FLOOR) - low) / (high - low)
        # Silence is exactly -1.
        return tf.maximum(2.0 * level - 1.0, tf.cast(-1.0, sounds.dtype))[..., None]

    def compute_output_shape(self, shape: Any) -> tuple[int | None, ...]:
        """Return [n, frames, bands, 1]."""
        return shape[0], -(-shape[1] // self.hop), self.bands, 1

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "rate": self.rate, "hop": self.hop, "bands": self.bands}


@keras.saving.register_keras_serializable("meta_gan")
class Bands(keras.layers.Layer):
    """Split sounds into bands, evenly spaced in mel, that sum to the sound itself.

    Args:
        rate: > 0, samples per second.
        bands: int >= 2.
        taps: odd int >= 3, the length of each band's filter; longer filters make the lowest bands narrower.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> sounds = tf.random.stateless_normal([2, 64, 1], [0, 0])
        >>> bool(tf.reduce_max(tf.abs(tf.reduce_sum(Bands(8000, 4, 17)(sounds), -1) - sounds[..., 0])) < 1e-5)
        True
    """

    def __init__(self, rate: float, bands: int = 24, taps: int = 129, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate, self.bands = check_number(rate, "rate", above=0), check_integer(bands, "bands", 2)
        self.taps = check_integer(taps, "taps", 3)
        if taps % 2 == 0:
            raise ValueError(f"'taps' must be odd. Received: {taps!r}")
        responses = band_matrix(self.taps // 2 + 1, self.rate, self.bands)
        # The filters have zero phase, and their sum is the identity.
        filters = np.fft.irfft(responses, n=self.taps, axis=0)
        self._filters = np.roll(filters, self.taps // 2, axis=0)[:, None, :]
        self.built = True

    def call(self, sounds: Tensor) -> Tensor:
        """Return float[n, samples, bands] of `sounds` float[n, samples, 1]."""
        return tf.nn.conv1d(sounds, tf.cast(self._filters, sounds.dtype), 1, "SAME")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "rate": self.rate, "bands": self.bands, "taps": self.taps}


@keras.saving.register_keras_serializable("meta_gan")
class PhaseShuffle(keras.layers.Layer):
    """In training, shift every row of a sequence at random by a few places, with mirrored ends.

    A discriminator then cannot judge by where a period starts. The key of the draw is a weight, which every call of a
    game overwrites (`functional.call`), so that shifts are a function of the game's seed. On its own, the layer draws
    the same shifts every time.

    Args:
        most: int >= 1, the largest shift to either side.
        seed: int >= 0.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> PhaseShuffle(2)(tf.zeros([3, 16, 4]), training=True).shape
        TensorShape([3, 16, 4])

    Reference:
        Donahue, McAuley and Puckette, Adversarial Audio Synthesis, 2019. We depart in a shift for each row, not for a
        batch.
    """

    def __init__(self, most: int = 2, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.most, self.seed = check_integer(most, "most", 1), seed
        # `functional.is_seed` recognises it by this name.
        self.key = self.add_weight(
            name="seed_generator_state", shape=(2,), dtype="int32", trainable=False, initializer=self._first_key
        )
        self.built = True

    def _first_key(self, shape: Any, dtype: Any = None) -> Any:
        return tf.constant([self.seed, self.most], dtype)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return float[n, length, channels] of `x` of that shape."""
        if not training:
            return x
        length = x.shape[1]
        key = tf.cast(self.key, tf.int32)
        shift = tf.random.stateless_uniform([tf.shape(x)[0]], key, 0, 2 * self.most + 1, tf.int32, alg="philox")
        padded = tf.pad(x, [[0, 0], [self.most, self.most], [0, 0]], "REFLECT")
        return tf.gather(padded, tf.range(length)[None] + shift[:, None], batch_dims=1)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "most": self.most, "seed": self.seed}


@keras.saving.register_keras_serializable("meta_gan")
class SymbolPairs(keras.layers.Layer):
    """Count every symbol and every pair of neighbours of a text, up to and including its first end (symbol 0).

    For relaxed texts, whose rows are shares of symbols, the counts are products of shares. Texts are compared by them.

    Args:
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Raises:
        ValueError: an input that is not [n, length, symbols].

    Example:
        >>> text = tf.one_hot([[1, 2, 0, 0]], 3)  # "ab": one a, one b, one end; ab and b-end
        >>> SymbolPairs()(text).numpy().tolist()
        [[1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]]
    """

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Check the shape; there are no weights."""
        if len(shape) != 3 or None in shape[1:]:
            raise ValueError(f"'texts' must be [n, length, symbols]. Received: shape {tuple(shape)}")

    def call(self, texts: Tensor) -> Tensor:
        """Return float[n, symbols + symbols^2] of `texts` float[n, length, symbols]."""
        symbols = texts.shape[2]
        # The share of a text that has not ended before a place; `cumprod` has no derivative where a factor is 0.
        alive = [tf.ones_like(texts[:, 0, 0])]
        for position in range(texts.shape[1] - 1):
            alive.append(alive[-1] * (1.0 - texts[:, position, 0]))
        seen = tf.stack(alive, axis=1)[..., None] * texts
        # Nothing follows an end: pairs that begin with it do not count.
        first = seen[:, :-1] * (1.0 - tf.one_hot(0, symbols, dtype=texts.dtype))
        pairs = tf.einsum("nta,ntb->nab", first, texts[:, 1:])
        return tf.concat([tf.reduce_sum(seen, axis=1), tf.reshape(pairs, [-1, symbols * symbols])], axis=1)

    def compute_output_shape(self, shape: Any) -> tuple[int | None, ...]:
        """Return [n, symbols + symbols^2]."""
        return shape[0], shape[2] + shape[2] ** 2
