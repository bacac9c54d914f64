"""The feature networks of sounds and texts that need no training."""

import numpy as np
import tensorflow as tf

from meta_gan.features import log_mel, spectrogram, symbol_pairs

SOUNDS, TEXTS = (1024, 1), (8, 4)


def test_the_spectrogram_has_32_frames_of_32_bands():
    assert log_mel(SOUNDS, 8000)(tf.zeros([2, *SOUNDS])).shape == (2, 32, 32, 1)
    assert spectrogram(SOUNDS, 8000)(tf.zeros([2, *SOUNDS])).shape == (2, 16 * 16)


def test_the_spectrogram_separates_pitches_but_not_small_delays():
    time = np.arange(1024) / 8000
    tones = np.stack([0.3 * np.sin(2 * np.pi * f * (time + delay)) for f, delay in ((300, 0), (300, 1e-3), (900, 0))])
    first, later, higher = spectrogram(SOUNDS, 8000)(tf.constant(tones[..., None], tf.float32)).numpy()
    assert np.linalg.norm(first - later) < 0.3 * np.linalg.norm(first - higher)


def test_symbol_pairs_depend_on_the_order_of_symbols():
    texts = tf.one_hot([[1, 2, 1, 2, 0, 0, 0, 0], [1, 1, 2, 2, 0, 0, 0, 0]], TEXTS[1])
    first, second = symbol_pairs(TEXTS)(texts).numpy()
    assert np.linalg.norm(first - second) > 0.1
