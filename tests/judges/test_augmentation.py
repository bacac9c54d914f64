"""Random affine warps: measured on ramps, on which bilinear sampling is exact, and at the border."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.judges.augmentation import border_level, random_affine

NONE = {"rotation": 0.0, "scale": 0.0, "shear": 0.0, "shift": 0.0}
KEY = tf.constant([3, 4])
SIDE, COUNT = 21, 300
MIDDLE = (SIDE - 1) / 2
# The value of a pixel is its distance from the middle, along x in channel 0 and along y in channel 1.
Y, X = np.meshgrid(np.arange(SIDE) - MIDDLE, np.arange(SIDE) - MIDDLE, indexing="ij")
RAMPS = np.stack([X, Y], axis=-1).astype(np.float32)
INSIDE = slice(6, -6)  # a part that no warp below takes out of the image


def maps(key=KEY, **limits):
    """float[COUNT, 2, 3]: for each image the map from an output (x, y, 1), about the middle, to an input (x, y)."""
    warped = random_affine(tf.constant(np.repeat(RAMPS[None], COUNT, 0)), key, **limits).numpy()[:, INSIDE, INSIDE]
    places = np.stack([X, Y, np.ones_like(X)], axis=-1)[INSIDE, INSIDE].reshape(-1, 3)
    found = np.linalg.lstsq(places, warped.transpose(1, 2, 0, 3).reshape(len(places), -1), rcond=None)[0]
    fitted = (places @ found).reshape(*X[INSIDE, INSIDE].shape, COUNT, 2).transpose(2, 0, 1, 3)
    np.testing.assert_allclose(fitted, warped, atol=1e-3)  # the warp is affine
    return found.reshape(3, COUNT, 2).transpose(1, 2, 0)


def fills(values, most):
    """Whether values are spread over the whole of [-most, most], as a uniform draw of COUNT is."""
    return np.abs(values).max() <= most + 1e-4 and values.min() < -0.95 * most and values.max() > 0.95 * most


def test_limits_of_zero_change_nothing():
    images = np.random.default_rng(0).uniform(-1, 1, (4, 9, 12, 3)).astype(np.float32)
    np.testing.assert_allclose(random_affine(tf.constant(images), KEY, **NONE), images, atol=1e-6)


def test_a_shift_is_a_shift():
    found = maps(**{**NONE, "shift": 2.0})
    np.testing.assert_allclose(found[:, :, :2], np.broadcast_to(np.eye(2), (COUNT, 2, 2)), atol=1e-4)
    assert fills(found[:, 0, 2], 2.0) and fills(found[:, 1, 2], 2.0)
    assert abs(np.corrcoef(found[:, 0, 2], found[:, 1, 2])[0, 1]) < 0.2


def test_a_rotation_keeps_lengths_and_the_middle():
    found = maps(**{**NONE, "rotation": 0.25})
    turn = found[:, :, :2]
    np.testing.assert_allclose(turn @ turn.transpose(0, 2, 1), np.broadcast_to(np.eye(2), (COUNT, 2, 2)), atol=1e-3)
    np.testing.assert_allclose(found[:, :, 2], 0, atol=1e-3)
    assert fills(np.arctan2(turn[:, 1, 0], turn[:, 0, 0]), 0.25)


def test_a_scale_is_along_each_axis_about_the_middle():
    found = maps(**{**NONE, "scale": 0.15})
    np.testing.assert_allclose(found[:, [0, 1], [1, 0]], 0, atol=1e-4)
    np.testing.assert_allclose(found[:, :, 2], 0, atol=1e-3)
    assert fills(found[:, 0, 0] - 1, 0.15) and fills(found[:, 1, 1] - 1, 0.15)


def test_a_shear_shifts_rows_relative_to_each_other():
    found = maps(**{**NONE, "shear": 0.2})
    np.testing.assert_allclose(found[:, :, 0], np.broadcast_to([1.0, 0.0], (COUNT, 2)), atol=1e-4)
    np.testing.assert_allclose(found[:, 1, 1], 1, atol=1e-4)
    assert fills(found[:, 0, 1], 0.2)


def test_all_together_is_rotation_times_shear_times_scale():
    found = maps(shift=0.0)
    # The determinant of rotation and shear is 1, so that of the product is the two scales'.
    assert np.all(np.abs(np.linalg.det(found[:, :, :2]) - 1) < 1.15**2 - 1 + 1e-3)
    assert np.std(np.linalg.det(found[:, :, :2])) > 0.05


def test_the_border_level_is_a_median_per_channel():
    """Of a 3x3 image, the eight pixels around the middle; of 1..8 the upper median is 5."""
    image = np.array([[1, 2, 3], [4, 100, 5], [6, 7, 8]], np.float32)
    both = np.stack([image, -image], axis=-1)[None]
    np.testing.assert_array_equal(border_level(tf.constant(both)), [[[[5.0, -4.0]]]])


@pytest.mark.parametrize("paper", [-1.0, 0.3, 1.0])
def test_pixels_from_outside_have_the_level_of_the_border(paper):
    images = np.full((COUNT, 12, 12, 1), paper, np.float32)
    images[:, 4:8, 4:8] = -paper
    warped = random_affine(tf.constant(images), KEY, shift=9.0).numpy()
    low, high = sorted([paper, -paper])
    assert warped.min() >= low - 1e-6 and warped.max() <= high + 1e-6
    moved_out = np.abs(warped - paper).max(axis=(1, 2, 3)) < 1e-6
    assert moved_out.any(), "a shift by nine pixels takes some squares out, and leaves nothing but paper"
    assert not moved_out.all()


def test_each_image_keeps_its_own_level():
    levels = np.linspace(-1, 1, 5, dtype=np.float32)
    images = np.broadcast_to(levels[:, None, None, None], (5, 8, 8, 1))
    np.testing.assert_allclose(random_affine(tf.constant(images), KEY), images, atol=1e-6)


def test_draws_are_a_function_of_the_key():
    images = tf.constant(np.random.default_rng(0).uniform(-1, 1, (4, 8, 9, 2)), tf.float32)
    first = random_affine(images, KEY)
    assert first.shape == (4, 8, 9, 2) and first.dtype == tf.float32
    np.testing.assert_array_equal(first, tf.function(random_affine)(images, KEY))
    for other in ([3, 5], [4, 4]):
        assert np.abs(first - random_affine(images, tf.constant(other))).max() > 0.1


def test_images_of_a_batch_are_warped_independently():
    image = np.random.default_rng(0).uniform(-1, 1, (1, 8, 8, 1)).astype(np.float32)
    warped = random_affine(tf.constant(np.repeat(image, 5, 0)), KEY).numpy()
    gaps = np.abs(warped[:, None] - warped[None]).max(axis=(2, 3, 4))
    assert gaps[~np.eye(5, dtype=bool)].min() > 0.01
