"""Spectrograms of sounds, sources of them, and their orientation."""

import numpy as np
import pytest

from meta_gan.judges.spectrograms import judge_source, make_spectrograms, preview_drawing, upright
from meta_gan.tasks import DataError, Source
from meta_gan.tasks.media import Pictures, Sounds, Texts
from meta_gan.tasks.pixels import to_uint8


def tones(hertz, samples=4096):
    time = np.arange(samples) / 8000
    return np.stack([0.3 * np.sin(2 * np.pi * f * time) for f in hertz])[..., None]


def test_spectrograms_of_tones():
    low, high = make_spectrograms(tones([200.0, 3000.0]), 8000)[..., 0]
    assert low.shape == (32, 32) and low.dtype == np.uint8
    assert low.mean(axis=0).argmax() < 6 and high.mean(axis=0).argmax() > 20  # bands along the columns
    assert make_spectrograms(np.zeros((2, 64, 1)), 8000).max() == 0


def test_batches_do_not_change_the_spectrograms():
    sounds = np.random.default_rng(0).normal(0, 0.1, (401, 64, 1))
    np.testing.assert_array_equal(make_spectrograms(sounds, 8000)[399:], make_spectrograms(sounds[399:], 8000))


def test_upright():
    """A rising tone runs from the bottom left to the top right."""
    time = np.arange(8192) / 8000
    rising = 0.3 * np.sin(2 * np.pi * (200 * time + 1500 * time**2))[None, :, None]
    (picture,) = upright(make_spectrograms(rising, 8000))[..., 0]
    peaks = picture.argmax(axis=0)[2:30]
    assert peaks[0] > 20 and peaks[-1] < 8 and np.all(np.diff(peaks) <= 1)


def test_a_source_of_pictures():
    stored = Sounds(8000).levels(tones([200.0, 3000.0]))
    source = Source(stored, np.array([0, 1], np.int32), ["a", "b"], np.array([0, 2], np.int8), medium=Sounds(8000))
    seen = judge_source(source)
    assert seen.medium == Pictures() and seen.class_names == ["a", "b"] and seen.example_shape == (32, 32, 1)
    np.testing.assert_array_equal(seen.images, make_spectrograms(stored / 32768, 8000))
    np.testing.assert_array_equal(to_uint8(preview_drawing(source.medium)(stored / 32768)), upright(seen.images))
    assert judge_source(seen) is seen and preview_drawing(seen.medium) is None
    texts = Source(np.ones((2, 3), np.uint8), source.labels, ["a", "b"], source.class_split, medium=Texts("a"))
    with pytest.raises(DataError, match=r"must be of pictures or sounds.*Received: texts"):
        judge_source(texts)


@pytest.mark.parametrize("shape", [(0, 64, 1), (2, 64), (2, 64, 2)])
def test_sounds_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"'sounds' must have shape \[n, samples, 1\]"):
        make_spectrograms(np.zeros(shape), 8000)


@pytest.mark.parametrize("samples", [20, 64, 100, 961, 1000, 8192])
def test_sounds_of_all_lengths_have_spectrograms_of_one_size(samples):
    assert make_spectrograms(np.zeros((1, samples, 1)), 8000).shape == (1, 32, 32, 1)
