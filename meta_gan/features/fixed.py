"""Feature networks of sounds and texts that need no training."""

from __future__ import annotations

import keras

from meta_gan.layers import LogMel, SymbolPairs

FRAMES, BANDS = 32, 32
"""The size of the log-mel spectrograms that feature networks of sounds receive."""


def log_mel(shape: tuple[int, ...], rate: int) -> LogMel:
    """Return the layer from sounds of a shape to log-mel spectrograms of 32 frames and 32 bands.

    Args:
        shape: (samples, 1).
        rate: samples per second.
    """
    return LogMel(rate, -(-shape[0] // FRAMES), BANDS, name="spectrogram")


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
    average = [keras.layers.AveragePooling2D(2), keras.layers.Flatten(), keras.layers.Rescaling(1 / 8)]
    return keras.Sequential([keras.Input(shape), log_mel(shape, rate), *average], name="features")


def symbol_pairs(shape: tuple[int, ...]) -> keras.Model:
    """Return a model from texts to counts of pairs of symbols, scaled so that real texts are about 1 apart.

    Args:
        shape: (length, symbols).

    Example:
        >>> symbol_pairs((9, 5))(tf.zeros([2, 9, 5])).shape[0]
        2
    """
    layers = [keras.Input(shape), SymbolPairs(name="pairs"), keras.layers.Rescaling(0.3)]
    return keras.Sequential(layers, name="features")
