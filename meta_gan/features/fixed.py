"""Feature networks of sounds and texts that need no training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from meta_gan.layers import LogMel, SymbolPairs

FRAMES, BANDS = 32, 32
"""The size of the log-mel spectrograms that feature networks of sounds receive."""


def stacked(shape: tuple[int, ...], layers: Sequence[Any]) -> keras.Model:
    """Return the model `features` of these layers, in float32 whatever Keras's global policy.

    Args:
        shape: of one example.
        layers: Keras layers and models, in order.
    """
    model = keras.Sequential([keras.Input(shape, dtype="float32"), *layers], name="features")
    model.dtype_policy = "float32"
    return model


def log_mel(shape: tuple[int, ...], rate: int) -> LogMel:
    """Return the layer from sounds of a shape to log-mel spectrograms of 32 frames and 32 bands.

    Args:
        shape: (samples, 1).
        rate: samples per second.
    """
    return LogMel(rate, -(-shape[0] // FRAMES), BANDS, name="spectrogram", dtype="float32")


def spectrogram(shape: tuple[int, ...], rate: int) -> keras.Model:
    """Return a model from sounds to averaged log-mel spectrograms, scaled so that real sounds are about 1 apart.

    Args:
        shape: (samples, 1).
        rate: samples per second.

    Example:
        >>> spectrogram((8192, 1), 8000)(tf.zeros([2, 8192, 1])).shape
        TensorShape([2, 256])
    """
    # Averages over two frames and two bands, because a shift by one frame is inaudible.
    options = {"data_format": "channels_last", "dtype": "float32"}
    average = [keras.layers.AveragePooling2D(2, **options), keras.layers.Flatten(**options)]
    return stacked(shape, [log_mel(shape, rate), *average, keras.layers.Rescaling(1 / 8, dtype="float32")])


def symbol_pairs(shape: tuple[int, ...]) -> keras.Model:
    """Return a model from texts to counts of pairs of symbols, scaled so that real texts are about 1 apart.

    Args:
        shape: (length, symbols).

    Example:
        >>> symbol_pairs((9, 5))(tf.zeros([2, 9, 5])).shape[0]
        2
    """
    pairs = SymbolPairs(name="pairs", dtype="float32")
    return stacked(shape, [pairs, keras.layers.Rescaling(0.3, dtype="float32")])
