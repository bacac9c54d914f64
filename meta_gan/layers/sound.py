"""Layers for sounds, float[n, samples, 1] in [-1, 1]: log-mel spectrograms, bands, warping in time, phase shuffling.

All are sums, products and gathers: right to any order of derivative, in any float dtype.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan.checks import check_integer

_FLOOR = 1e-7  # of a band's mean power: -70 dB
_LOUDEST = 3e-2


def mel(frequency: Any) -> Any:
    """Return Hz as mel, 2595 log10(1 + f / 700)."""
    return 2595.0 * np.log10(1.0 + np.asarray(frequency) / 700.0)


def hertz(mels: Any) -> Any:
    """Return mel as Hz, the inverse of `mel`."""
    return 700.0 * (10.0 ** (np.asarray(mels) / 2595.0) - 1.0)


def band_matrix(bins: int, rate: float, bands: int) -> np.ndarray:
    """Return triangles, evenly spaced in mel from 0 to half the rate, over frequencies evenly spaced there.

    Args:
        bins: int >= 2, frequencies from 0 to rate / 2, both included.
        rate: > 0, samples a second.
        bands: int >= 2.

    Returns:
        float64[bins, bands]; every row sums to 1, for the first and the last band reach to the ends.

    Example:
        >>> band_matrix(3, 8000, 2).sum(axis=1).tolist()
        [1.0, 1.0, 1.0]
    """
    centres = np.linspace(0.0, mel(rate / 2.0), bands)
    places = mel(np.linspace(0.0, rate / 2.0, bins))
    return np.maximum(0.0, 1.0 - np.abs(places[:, None] - centres) / (centres[1] - centres[0]))


@keras.saving.register_keras_serializable("meta_gan")
class LogMel(keras.layers.Layer):
    """The log-mel spectrogram of sounds: power in bands that are evenly spaced in mel, in decibels, from -1 upwards.

    Frames are two hops long, under a Hann window, one for every hop; the sound is taken to be silent beyond its ends.
    -1 is a mean power far below 1e-7, 1 one of .03; a loud tone has more, and no power is too great to have a
    derivative.

    Args:
        rate: > 0, samples a second.
        hop: int >= 2, samples from one frame to the next.
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
        if not 0 < rate < math.inf or hop < 2 or bands < 2:
            raise ValueError(
                f"`rate` must be > 0, `hop` and `bands` >= 2. Received: rate={rate!r}, hop={hop!r}, bands={bands!r}"
            )
        self.rate, self.hop, self.bands = float(rate), int(hop), int(bands)
        size = 2 * self.hop
        # Periodic, so that two frames a hop apart sum to 1.
        window = 0.5 - 0.5 * np.cos(2.0 * math.pi * np.arange(size) / size)
        turns = 2.0 * math.pi * np.outer(np.arange(size), np.arange(self.hop + 1)) / size
        # A full-scale sine has the power 1/2 in the bins that see it.
        unit = window[:, None] / math.sqrt(0.5 * size * np.square(window).sum())
        self._cosines, self._sines = unit * np.cos(turns), unit * np.sin(turns)
        self._bands = band_matrix(self.hop + 1, self.rate, self.bands)
        self.built = True

    def call(self, sounds: Any) -> Any:
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
        # Silence is -1 to the last bit.
        return tf.maximum(2.0 * level - 1.0, tf.cast(-1.0, sounds.dtype))[..., None]

    def compute_output_shape(self, shape: Any) -> tuple[int | None, ...]:
        """Return [n, frames, bands, 1]."""
        return shape[0], -(-shape[1] // self.hop), self.bands, 1

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "rate": self.rate, "hop": self.hop, "bands": self.bands}


@keras.saving.register_keras_serializable("meta_gan")
class Bands(keras.layers.Layer):
    """Splits sounds into bands, evenly spaced in mel, that sum to the sound itself.

    Args:
        rate: > 0, samples a second.
        bands: int >= 2.
        taps: odd int >= 3, of every band's filter: the more, the narrower the lowest bands.
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
        if not 0 < rate < math.inf or bands < 2 or taps < 3 or taps % 2 == 0:
            raise ValueError(
                f"`rate` must be > 0, `bands` >= 2 and `taps` odd and >= 3. Received: rate={rate!r}, bands={bands!r}, "
                f"taps={taps!r}"
            )
        self.rate, self.bands, self.taps = float(rate), int(bands), int(taps)
        responses = band_matrix(self.taps // 2 + 1, self.rate, self.bands)
        # Of zero phase, and as a sum the filter that changes nothing.
        filters = np.fft.irfft(responses, n=self.taps, axis=0)
        self._filters = np.roll(filters, self.taps // 2, axis=0)[:, None, :]
        self.built = True

    def call(self, sounds: Any) -> Any:
        """Return float[n, samples, bands] of `sounds` float[n, samples, 1]."""
        return tf.nn.conv1d(sounds, tf.cast(self._filters, sounds.dtype), 1, "SAME")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "rate": self.rate, "bands": self.bands, "taps": self.taps}


def sound_at(sounds: Any, positions: Any) -> Any:
    """Sample sounds cubically.

    Args:
        sounds: float[n, samples] of known length; silent beyond the ends.
        positions: float[n, p], in samples from the first one.

    Returns:
        float[n, p].

    Example:
        >>> sound_at(tf.constant([[0.0, 1.0, 0.0]]), tf.constant([[1.0, 5.0]])).numpy().tolist()
        [[1.0, 0.0]]

    Reference:
        Keys, Cubic convolution interpolation for digital image processing, 1981.
    """
    length = sounds.shape[1]
    padded = tf.pad(sounds, [[0, 0], [2, 2]])
    # Between the two first and the two last zeros, so that all four taps are silent there.
    place = tf.clip_by_value(positions, -1.0, float(length)) + 2.0
    first = tf.minimum(tf.floor(place), float(length + 1))
    t = place - first
    index = tf.cast(first, tf.int32)
    taps = [tf.gather(padded, tf.clip_by_value(index + i, 0, length + 3), batch_dims=1) for i in (-1, 0, 1, 2)]
    cubic = -taps[0] + 3.0 * taps[1] - 3.0 * taps[2] + taps[3]
    square = 2.0 * taps[0] - 5.0 * taps[1] + 4.0 * taps[2] - taps[3]
    return taps[1] + 0.5 * t * (taps[2] - taps[0] + t * (square + t * cubic))


@keras.saving.register_keras_serializable("meta_gan")
class PhaseShuffle(keras.layers.Layer):
    """In training, shifts every row of a sequence by a few places, drawn anew, and mirrors what is missing at its ends.

    So a discriminator cannot tell by where a period starts. The key of the draw is a value like any other, which every
    call of a game overwrites (`functional.call`): shifts are a function of the game's seed. Alone, the layer draws the
    same shifts every time.

    Args:
        most: int >= 1, places to either side.
        seed: int >= 0.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> PhaseShuffle(2)(tf.zeros([3, 16, 4]), training=True).shape
        TensorShape([3, 16, 4])

    Reference:
        Donahue, McAuley and Puckette, Adversarial Audio Synthesis, 2019. There one shift is drawn for a batch.
    """

    def __init__(self, most: int = 2, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_integer(most, "most", 1)
        self.most, self.seed = most, seed
        # By this name `functional.is_seed` knows it.
        self.key = self.add_weight(
            name="seed_generator_state", shape=(2,), dtype="int32", trainable=False, initializer=self._first_key
        )
        self.built = True

    def _first_key(self, shape: Any, dtype: Any = None) -> Any:
        return tf.constant([self.seed, self.most], dtype)

    def call(self, x: Any, training: bool = False) -> Any:
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
