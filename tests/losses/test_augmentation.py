"""Differentiable augmentation: each transform against numpy, its draws, and its derivatives."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.losses import DifferentiableAugmentation
from meta_gan.losses.augmentation import augmented_share
from tests.layers.finite_differences import directional_error

SEED = (3, 4)
ALL = DifferentiableAugmentation(translation=0.25, cutout=0.3, brightness=0.5, contrast=0.5)
NONE = DifferentiableAugmentation(translation=0.0)


def pictures(n=6, height=8, width=6, channels=2, dtype="float32", seed=0):
    """Images with different pixels, all above the fill of -1."""
    return np.random.default_rng(seed).uniform(-0.9, 1.0, (n, height, width, channels)).astype(dtype)


def moved(image, dy, dx, fill=-1.0):
    """Return the image shifted `dy` down and `dx` to the right."""
    out = np.full_like(image, fill)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            if 0 <= i - dy < image.shape[0] and 0 <= j - dx < image.shape[1]:
                out[i, j] = image[i - dy, j - dx]
    return out


def shift_of(image, got, fill=-1.0, furthest=2):
    """Return the only shift that turns `image` into `got` exactly."""
    steps = range(-furthest, furthest + 1)
    hits = [(dy, dx) for dy in steps for dx in steps if np.array_equal(moved(image, dy, dx, fill), got)]
    assert len(hits) == 1, "the result is no shift of the image"
    return hits[0]


@pytest.mark.parametrize("fill", [-1.0, 0.0])
def test_translation_shifts_every_image_by_its_own_whole_pixels(fill):
    """A quarter of the sides 8 and 6 is 2 and, rounded up, 2."""
    images = pictures(n=40)
    got = DifferentiableAugmentation(translation=0.25, fill=fill)(images, SEED).numpy()
    shifts = [shift_of(a, b, fill) for a, b in zip(images, got, strict=True)]
    assert {dy for dy, _ in shifts} == {dx for _, dx in shifts} == {-2, -1, 0, 1, 2}
    assert len(set(shifts)) > 12


def test_shifts_are_uniform():
    images = np.full((4000, 4, 4, 1), -1.0, np.float32)
    images[:, 1, 1] = 1.0  # one pixel, which moves by at most 1
    got = DifferentiableAugmentation(translation=0.25)(images, SEED).numpy()[..., 0]
    np.testing.assert_allclose(np.mean(got[:, :3, :3] == 1.0, axis=0), np.full((3, 3), 1 / 9), atol=0.02)


@pytest.mark.parametrize(("share", "size"), [(0.25, (2, 2)), (0.375, (3, 2)), (0.5, (4, 3))])
def test_cutout_is_a_rectangle_that_may_extend_beyond_the_edge(share, size):
    images = pictures(n=60)
    got = DifferentiableAugmentation(translation=0.0, cutout=share)(images, SEED).numpy()
    areas = []
    for image, cut in zip(images, got, strict=True):
        hit = np.all(cut == -1.0, axis=-1)
        np.testing.assert_array_equal(cut[~hit], image[~hit])
        rows, columns = np.flatnonzero(hit.any(axis=1)), np.flatnonzero(hit.any(axis=0))
        assert hit.sum() == len(rows) * len(columns) > 0
        assert rows[-1] - rows[0] + 1 == len(rows) <= size[0] and len(columns) <= size[1]
        areas.append(hit.sum())
    assert max(areas) == size[0] * size[1] > min(areas)


def test_brightness_adds_one_number_per_image():
    images = pictures(n=400, height=2, width=2)
    added = DifferentiableAugmentation(0.0, brightness=0.5)(images, SEED).numpy() - images
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1, :1, :1], added.shape), atol=1e-6)
    numbers = added[:, 0, 0, 0]
    assert -0.5 <= numbers.min() < -0.45 and 0.45 < numbers.max() <= 0.5 and abs(numbers.mean()) < 0.05


def test_contrast_multiplies_the_distance_from_an_images_own_mean():
    images = pictures(n=400, height=2, width=2, dtype="float64")
    got = DifferentiableAugmentation(0.0, contrast=0.5)(images, SEED).numpy()
    means = images.mean(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(got.mean(axis=(1, 2, 3), keepdims=True), means, atol=1e-12)
    factors = (got - means) / (images - means)
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:, :1, :1, :1], factors.shape), rtol=1e-6)
    factors = factors[:, 0, 0, 0]
    assert 0.5 <= factors.min() < 0.55 and 1.45 < factors.max() <= 1.5 and abs(factors.mean() - 1) < 0.05


def test_without_settings_images_are_unchanged():
    images = tf.constant(pictures())
    assert NONE(images, SEED) is images


def test_settings_too_small_for_one_pixel_change_nothing():
    images = pictures()
    got = DifferentiableAugmentation(translation=0.05, cutout=0.05)(images, SEED)
    np.testing.assert_array_equal(got, images)


@pytest.mark.parametrize("augment", [ALL, DifferentiableAugmentation()])
def test_row_i_does_not_depend_on_the_number_of_rows(augment):
    images = pictures(n=9)
    whole = augment(images, SEED).numpy()
    for n in (1, 2, 5):
        np.testing.assert_array_equal(augment(images[:n], SEED), whole[:n])


def test_real_and_fake_images_of_one_seed_share_transforms():
    real, fake = pictures(n=20), pictures(n=20, seed=1)
    augment = DifferentiableAugmentation(translation=0.25)
    shifts = [
        [shift_of(a, b) for a, b in zip(images, augment(images, seed).numpy(), strict=True)]
        for images, seed in [(real, SEED), (fake, SEED), (real, (3, 5))]
    ]
    assert shifts[0] == shifts[1] != shifts[2]


def test_a_setting_does_not_change_the_draws_of_another():
    images = pictures(n=20)
    alone = DifferentiableAugmentation(translation=0.25)(images, SEED).numpy()
    cut = DifferentiableAugmentation(translation=0.25, cutout=0.3)(images, SEED).numpy()
    same = cut != -1.0
    assert 0.5 < same.mean() < 1.0
    np.testing.assert_array_equal(cut[same], alone[same])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_graph_of_unknown_sizes_equals_eager(dtype):
    images = tf.constant(pictures(dtype=dtype))
    spec = tf.TensorSpec([None, None, None, None], dtype)
    graph = tf.function(lambda x, s: ALL(x, s), input_signature=[spec, tf.TensorSpec([2], tf.int32)], autograph=False)
    got, eager = graph(images, tf.constant(SEED)), ALL(images, SEED)
    assert got.dtype == eager.dtype == dtype and got.shape == images.shape
    np.testing.assert_allclose(got, eager, rtol=1e-6)


def test_known_sizes_stay_known_when_traced():
    """A dense layer after flattening needs them."""
    seen = []
    spec = tf.TensorSpec([None, 8, 6, 2])
    graph = tf.function(lambda x: seen.append(ALL(x, SEED)) or seen[-1], input_signature=[spec], autograph=False)
    graph(pictures())
    assert seen[0].shape.as_list() == [None, 8, 6, 2]


def test_the_gradient_is_moved_back_with_the_image():
    """Filled pixels have no gradient; the others have that of their new place."""
    images = tf.constant(pictures(n=12))
    readout = pictures(n=12, seed=2)
    with tf.GradientTape() as tape:
        tape.watch(images)
        got = DifferentiableAugmentation(translation=0.25)(images, SEED)
        value = tf.reduce_sum(got * readout)
    gradients = tape.gradient(value, images).numpy()
    for image, out, weight, gradient in zip(images.numpy(), got.numpy(), readout, gradients, strict=True):
        dy, dx = shift_of(image, out)
        np.testing.assert_array_equal(gradient, moved(weight, -dy, -dx, fill=0.0))


def test_second_derivatives_equal_finite_differences():
    """A critic's gradient penalty, as R1 takes it, through the augmentation."""

    def penalty(values):
        images, kernel = values
        with tf.GradientTape() as tape:
            tape.watch(images)
            seen = tf.reshape(ALL(images, SEED), [3, -1])
            logits = tf.reduce_sum(tf.tanh(seen @ kernel), axis=1)
        return tf.reduce_mean(tf.square(tape.gradient(logits, images))) * 100.0

    kernel = np.random.default_rng(1).normal(0, 0.2, (96, 4))
    assert max(directional_error(penalty, [pictures(n=3, dtype="float64"), kernel])) < 1e-7


@pytest.mark.parametrize("images", [np.zeros((8, 8, 1)), np.zeros((2, 8)), np.zeros((2, 8, 8, 1), np.uint8)])
def test_other_tensors_are_refused(images):
    with pytest.raises(ValueError, match=r"float\[n, height, width, channels\]\. Received: shape .*dtype "):
        DifferentiableAugmentation()(images, SEED)


@pytest.mark.parametrize(
    "options",
    [{"translation": -0.1}, {"translation": 1.1}, {"cutout": 2}, {"contrast": 1.5}, {"brightness": -1.0}]
    + [{"fill": value} for value in (float("nan"), float("inf"), True, "black")],
)
def test_arguments_are_checked_at_construction(options):
    (name,) = options
    with pytest.raises(ValueError, match=rf"'{name}' must be .*Received: "):
        DifferentiableAugmentation(**options)


def test_survives_serialisation_and_is_frozen():
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(ALL)) == ALL
    assert DifferentiableAugmentation() == DifferentiableAugmentation(0.125, 0.0, 0.0, 0.0, -1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        ALL.fill = 0.0


def test_a_share_of_the_images_is_augmented():
    """Whole images, about that share of them, the same for real and fake images of one seed and any number of rows."""
    images = tf.ones([400, 4, 4, 1])
    seen = augmented_share(DifferentiableAugmentation(cutout=0.5), images, tf.constant(0.3), (0, 1)).numpy()
    changed = (seen != 1.0).any(axis=(1, 2, 3))
    assert 0.2 < changed.mean() < 0.4
    whole = DifferentiableAugmentation(cutout=0.5)(images, (0, 1)).numpy()
    np.testing.assert_array_equal(seen[changed], whole[changed])
    half = augmented_share(DifferentiableAugmentation(cutout=0.5), images[:50], tf.constant(0.3), (0, 1))
    np.testing.assert_array_equal(half, seen[:50])
