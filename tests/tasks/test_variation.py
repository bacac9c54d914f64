"""Families of variation: nothing without strength, each kind against its definition, one family a task."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.tasks.colours import CONTRAST, coloured, random_colours, smooth_noise
from meta_gan.tasks.variation import LIMITS, Draws, Limits, sample_bilinear, vary

NONE = Limits(*[0.0] * len(Limits._fields))
KEY = tf.constant([3, 4])
LUMINANCE = np.array([0.299, 0.587, 0.114])


def noise(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).uniform(-0.8, 0.8, shape), tf.float32)


def alone(images, **limits):
    """The pictures under one kind of variation only."""
    return vary(images, KEY, NONE._replace(**limits)).numpy()


def ramps(tasks, count, axis, size=33):
    """Pictures whose level is the distance from the middle along an axis, in units of the side's half."""
    line = np.linspace(-1, 1, size, dtype=np.float32)
    ramp = np.broadcast_to(line[:, None] if axis == 0 else line, (size, size))
    return tf.constant(np.broadcast_to(0.5 * ramp[..., None], (tasks, count, size, size, 1)))


@pytest.mark.parametrize("shape", [(2, 3, 16, 16, 3), (2, 3, 9, 13, 1)])
def test_without_strength_pictures_stay(shape):
    images = noise(*shape)
    np.testing.assert_array_equal(vary(images, KEY, NONE), images)


@pytest.mark.parametrize("field", Limits._fields)
def test_every_kind_is_present_in_some_tasks_only_and_differs_within_one(field):
    images = np.full((60, 2, 16, 16, 3), 0.9, np.float32)
    images[:, :, 5:11, 4:12] = noise(60, 1, 6, 8, 3)
    # A blur of a fraction of a pixel changes nothing.
    changed = alone(tf.constant(images), **{field: 20.0 if field == "blur" else getattr(LIMITS, field)})
    moved = np.abs(changed - images).max(axis=(2, 3, 4)) > 1e-5
    present = moved.any(axis=1)
    share = {"occlusion": 0.25, "light": 1 - 0.5**3}.get(field, 0.5)
    assert abs(present.mean() - share) < 4 * np.sqrt(share * (1 - share) / 60)
    assert np.abs(changed).max() <= 1.0
    among = np.abs(changed[:, 0] - changed[:, 1]).max(axis=(1, 2, 3))[present]
    assert np.median(among) > 1e-3


def test_draws_of_a_key_are_a_pure_function():
    images = noise(2, 3, 16, 16, 3)
    once = tf.function(vary)(images, KEY)
    np.testing.assert_array_equal(once, tf.function(vary)(images, KEY))
    assert np.abs(once - tf.function(vary)(images, tf.constant([3, 5]))).max() > 0.1


@pytest.mark.parametrize("axis", [0, 1])
def test_shifts_are_bounded_by_a_strength_of_the_task(axis):
    pictures = alone(ramps(200, 8, axis), shift=0.2)
    moves = (pictures - ramps(200, 8, axis).numpy())[:, :, 16, 16, 0] * 32  # pixels, of a ramp of 1/32 a pixel
    assert np.abs(moves).max() <= 0.2 * 33
    # Uniform in [-s, s] for s uniform in [0, 0.2 * 33] in half of the tasks.
    sizes = np.abs(moves).max(axis=1)
    assert np.mean(sizes == 0) == pytest.approx(0.5, abs=0.15)
    assert np.mean(np.square(moves)) == pytest.approx(0.5 * (0.2 * 33) ** 2 / 9, rel=0.35)


def test_rotation_turns_about_the_centre():
    down, right = (alone(ramps(40, 4, axis), rotation=0.5)[:, :, 12:21, 12:21, 0] for axis in (0, 1))
    slopes = [[np.diff(image, axis=axis + 2).mean(axis=(2, 3)) * 32 for axis in (0, 1)] for image in (down, right)]
    (dd, dr), (rd, rr) = slopes
    np.testing.assert_allclose(np.square(dd) + np.square(dr), 1.0, atol=1e-3)
    np.testing.assert_allclose([rr, rd], [dd, -dr], atol=1e-4)
    assert np.abs(np.arctan2(dr, dd)).max() == pytest.approx(0.5, abs=0.1)


def test_bilinear_sampling_is_exact_between_pixels_and_clips_outside():
    image = tf.reshape(tf.range(12, dtype=tf.float32), [1, 1, 3, 4, 1])
    rows, columns = tf.constant([[[[0.5, 2.0, -3.0, 9.0]]]]), tf.constant([[[[1.25, 3.0, 0.0, 2.5]]]])
    found = sample_bilinear(image, rows, columns).numpy().ravel()
    np.testing.assert_allclose(found, [0.5 * 4 + 1.25, 11, 0, 8 + 2.5], atol=1e-6)


def test_compression_keeps_what_is_a_multiple_of_its_step():
    flat = tf.fill([30, 2, 8, 8, 1], 0.37)
    changed = alone(flat, compression=0.5)
    # Only the mean of a block, 8 times its level, is not zero; it is rounded to a step of at most .2 * .5.
    assert 0 < np.abs(changed - 0.37).max() <= 0.5 * 0.2 * 0.5 / 8 + 1e-6
    np.testing.assert_allclose(changed, changed.mean(axis=(2, 3), keepdims=True).repeat(8, 2).repeat(8, 3), atol=1e-6)


def test_another_background_comes_behind_a_picture_on_an_even_one():
    images = np.full((40, 2, 16, 16, 3), 1.0, np.float32)
    images[:, :, 6:10, 6:10] = -0.5
    changed = alone(tf.constant(images), background=1.0)
    np.testing.assert_allclose(changed[:, :, 6:10, 6:10], -0.5, atol=1e-6)
    assert np.mean(np.abs(changed[:, :, 0] - 1.0).max(axis=(1, 2, 3)) > 0.1) > 0.9  # some papers are white
    uneven = noise(4, 2, 16, 16, 3)
    np.testing.assert_array_equal(alone(uneven, background=1.0), uneven)


def test_smooth_noise_has_one_variance_everywhere():
    field = smooth_noise(tf.random.stateless_normal([400, 2, 12, 12, 1], KEY), tf.fill([400, 1], 4.0), 20, 24).numpy()
    np.testing.assert_allclose(field.std(axis=(0, 1)), 1.0, atol=0.12)
    near, far = (np.mean(field[:, :, 10, 12] * field[:, :, 10, 12 + step]) for step in (1, 11))
    assert near > 0.9 and abs(far) < 0.3


def test_ink_and_paper_differ_enough_and_ink_is_where_the_drawing_is():
    ink = np.zeros((200, 3, 12, 12, 1), np.float32)
    ink[:, :, 4:8, 4:8] = 1.0
    images = coloured(tf.constant(ink), Draws(KEY, 200, 3)).numpy()
    paper = random_colours(Draws(KEY, 200, 3), (12, 12, 3)).numpy()
    np.testing.assert_allclose(images[:, :, :3], paper[:, :, :3], atol=1e-6)
    inked = images[:, :, 4:8, 4:8]
    np.testing.assert_allclose(inked, inked[:, :, :1, :1].repeat(4, 2).repeat(4, 3), atol=1e-6)
    contrast = np.abs((inked.mean(axis=(2, 3)) - paper.mean(axis=(2, 3))) @ LUMINANCE)
    assert contrast.min() >= CONTRAST - 1e-3
    assert np.abs(images).max() <= 1.0
