"""Levels, channels, polarity and the check of a caller's arrays."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.tasks import DataError, check_images
from meta_gan.tasks.pixels import (
    LEVELS,
    luminance,
    polarity_of,
    to_channels,
    to_float,
    to_uint8,
    votes,
)
from tests.tasks.helpers import square


def test_levels_by_hand():
    # 0 / 127.5 - 1, 51 / 127.5 - 1, 102 / 127.5 - 1, 255 / 127.5 - 1
    np.testing.assert_allclose(LEVELS[[0, 51, 102, 255]], [-1.0, -0.6, -0.2, 1.0], rtol=0, atol=1e-7)
    assert LEVELS.dtype == np.float32


def test_the_ends_of_the_range_are_exact():
    assert LEVELS[0] == -1.0
    assert LEVELS[255] == 1.0
    assert np.abs(LEVELS).max() == 1.0


def test_levels_rise():
    assert (np.diff(LEVELS) > 0).all()


def test_every_level_survives_a_round_trip():
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8(to_float(levels)), levels)


def test_to_uint8_clips_and_rounds():
    # .004 is 128.01 levels, -.004 is 126.99.
    np.testing.assert_array_equal(to_uint8(np.array([-3.0, -0.004, 0.004, 3.0])), [0, 127, 128, 255])


def test_luminance_by_hand():
    # .299 * 255 = 76.2, .587 * 255 = 149.7, .114 * 255 = 29.1
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    np.testing.assert_array_equal(luminance(colours), [[76], [150], [29]])


def test_luminance_of_grey_is_that_grey():
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    np.testing.assert_array_equal(luminance(grey)[:, 0], np.arange(256))


def test_luminance_agrees_with_pillow():
    from PIL import Image

    colours = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    theirs = np.asarray(Image.fromarray(colours).convert("L")).astype(int)
    assert np.abs(luminance(colours)[..., 0].astype(int) - theirs).max() <= 1


def test_channels_one_to_three_and_back():
    grey = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    three = to_channels(grey, 3)
    assert three.shape == (1, 4, 4, 3)
    np.testing.assert_array_equal(three[..., 2], grey[..., 0])
    np.testing.assert_array_equal(to_channels(three, 1), grey)


def test_channels_that_are_right_are_the_same_object():
    grey = np.zeros((1, 4, 4, 1), np.uint8)
    assert to_channels(grey, 1) is grey


def test_channels_that_cannot_be_converted():
    with pytest.raises(DataError, match=r"2 channels cannot become images of 3 channels.*Received: \(1, 4, 4, 2\)"):
        to_channels(np.zeros((1, 4, 4, 2), np.uint8), 3)


def test_votes_by_hand():
    light, dark, flat = square(8), square(8, 255, 0), np.full((8, 8), 77, np.uint8)
    images = np.stack([light, light, dark, flat])[..., None]
    assert votes(images) == (2, 1)


def test_a_border_half_way_between_the_extremes_does_not_vote():
    image = np.full((6, 6), 100, np.uint8)
    image[2, 2], image[3, 3] = 50, 150
    assert votes(image[None, ..., None]) == (0, 0)


def test_paper_with_a_dark_edge_is_still_dark_on_light():
    # The border is darker than the mean of the picture, so means would wrongly find a dark background.
    image = np.full((16, 16), 220, np.uint8)
    image[[0, -1], :] = image[:, [0, -1]] = 180
    image[7:9, 4:12] = 20
    assert image[0, 0] < image.mean()
    assert polarity_of(image[None, ..., None]) == "dark-on-light"


@pytest.mark.parametrize(("ground", "ink", "expected"), [(0, 255, "light-on-dark"), (255, 0, "dark-on-light")])
def test_polarity(ground, ink, expected):
    assert polarity_of(square(12, ground, ink)[None, ..., None]) == expected


def test_polarity_of_a_set_is_the_majority_and_a_tie_is_light_on_dark():
    light, dark = square(8)[..., None], square(8, 255, 0)[..., None]
    assert polarity_of(np.stack([light, dark, dark])) == "dark-on-light"
    assert polarity_of(np.stack([light, dark])) == "light-on-dark"


def test_polarity_asks_evenly_spaced_images():
    # One dark-on-light image among five; a stride of 5 asks only the first.
    images = np.stack([square(8, 255, 0)] + [square(8)] * 4)[..., None]
    assert polarity_of(images, at_most=1) == "dark-on-light"
    assert polarity_of(images, at_most=5) == "light-on-dark"


def test_polarity_of_colour():
    colour = np.repeat(square(8, 255, 0)[..., None], 3, axis=-1)
    colour[2:6, 2:6, 0] = 255
    assert polarity_of(colour[None]) == "dark-on-light"


def test_inverting_flips_the_polarity():
    images = np.random.default_rng(1).integers(0, 90, (5, 9, 9, 1), np.uint8)
    images[:, 3:6, 3:6] = 255
    assert polarity_of(images) == "light-on-dark"
    assert polarity_of(255 - images) == "dark-on-light"


def test_check_images_scales_bytes():
    images = np.full((2, 4, 4, 1), 255, np.uint8)
    images[1] = 0
    checked = check_images(images, (4, 4, 1))
    assert checked.dtype == np.float32
    assert checked[0].min() == 1.0
    assert checked[1].max() == -1.0


def test_check_images_keeps_floats_and_makes_them_float32():
    images = np.linspace(-1, 1, 32).reshape(2, 4, 4, 1)
    checked = check_images(images, (4, 4, 1))
    assert checked.dtype == np.float32
    np.testing.assert_array_equal(checked, images.astype(np.float32))


def test_check_images_accepts_tensors():
    checked = check_images(tf.fill([1, 4, 4, 1], 0.5), (4, 4, 1))
    assert isinstance(checked, np.ndarray)
    assert checked.max() == 0.5


def test_check_images_tolerates_a_thousandth_and_clips_it():
    images = np.full((1, 4, 4, 1), 1.0009)
    assert check_images(images, (4, 4, 1)).max() == 1.0
    with pytest.raises(DataError, match=r"Received: values from 1.0011 to 1.0011"):
        check_images(np.full((1, 4, 4, 1), 1.0011), (4, 4, 1))


@pytest.mark.parametrize("shape", [(4, 4, 1), (2, 4, 4), (0, 4, 4, 1), (2, 4, 5, 1), (2, 4, 4, 3), (1, 2, 4, 4, 1), ()])
def test_check_images_refuses_shapes(shape):
    with pytest.raises(DataError, match=r"'support' must have shape \[n, 4, 4, 1\] with n >= 1. Received: shape"):
        check_images(np.zeros(shape, np.float32), (4, 4, 1))


@pytest.mark.parametrize("dtype", [np.int32, np.int8, bool, np.complex64, str])
def test_check_images_refuses_dtypes(dtype):
    with pytest.raises(DataError, match=r"must be uint8 in 0..255 or floating point.*Received: dtype"):
        check_images(np.zeros((1, 4, 4, 1), dtype), (4, 4, 1))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_check_images_refuses_values_that_are_not_finite(value):
    images = np.zeros((1, 4, 4, 1), np.float32)
    images[0, 1, 1, 0] = value
    with pytest.raises(DataError, match=r"must be finite. Received: 1 values"):
        check_images(images, (4, 4, 1))


def test_check_images_explains_how_to_scale_bytes_in_floats():
    with pytest.raises(DataError, match=r"x / 127.5 - 1\). Received: values from 0 to 255"):
        check_images(np.linspace(0, 255, 16).reshape(1, 4, 4, 1), (4, 4, 1))


def test_check_images_names_the_argument():
    with pytest.raises(DataError, match=r"'photos' must"):
        check_images(np.zeros(3), (4, 4, 1), "photos")


def test_data_error_is_a_value_error():
    assert issubclass(DataError, ValueError)
