"""A user's pictures in the form of a model, and back."""

import numpy as np
import pytest

from meta_gan.augmenting.pictures import (
    classified,
    in_model_form,
    is_inverted,
    labelled_pictures,
    restore,
)
from meta_gan.augmenting.subset import MOST_CLASSES, MOST_PICTURES, compared
from meta_gan.tasks.media.pictures import resize_images

LABELS = ["b", "a"] * 3


def levels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("labels", [LABELS, np.array([7, 3] * 3), np.array(LABELS, object), np.array([b"b", b"a"] * 3)])
def test_labels_are_sorted_classes(labels):
    found = labelled_pictures(levels(6, 8, 8, 1), labels)
    assert found.indices.tolist() == [1, 0] * 3 and found.indices.dtype == np.int32
    assert found.classes.tolist() in (["a", "b"], [3, 7]) and found.sizes.tolist() == [3, 3]
    assert [found.index_of(label) for label in found.classes] == [0, 1]
    with pytest.raises(ValueError, match=r"'label' must be one of .* Received: 'c'"):
        found.index_of("c")


@pytest.mark.parametrize(
    ("images", "dtype"),
    [
        (levels(6, 8, 8, 1), np.uint8),
        (levels(6, 8, 8, 3).astype(np.int64), np.int64),
        (levels(6, 8, 8, 1) > 99, np.bool_),
        (levels(6, 8, 8, 1) / np.float32(255), np.float32),
        (levels(6, 8, 8, 1) / 127.5 - 1, np.float64),
        ((levels(6, 8, 8, 1) / 255).astype(np.float16), np.float16),
    ],
)
def test_levels_come_back_in_the_dtype_and_range_of_the_user(images, dtype):
    found = labelled_pictures(images, LABELS)
    back = found.as_given(found.levels)
    assert back.dtype == dtype and found.levels.dtype == np.uint8
    np.testing.assert_allclose(back.astype(float), images.astype(float), atol=1e-2 if dtype == np.float16 else 1e-6)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (levels(6, 8, 8), LABELS, r"'X' must have shape \[n, height, width, 1 or 3\].*Received: shape \(6, 8, 8\)"),
        (levels(6, 8, 8, 4), LABELS, r"'X' must have shape .*Received: shape \(6, 8, 8, 4\)"),
        (levels(0, 8, 8, 1), [], r"'X' must have shape .*Received: shape \(0, 8, 8, 1\)"),
        (np.full((6, 8, 8, 1), np.nan), LABELS, "'X' of floats must be finite .*Received: nan"),
        (np.full((6, 8, 8, 1), 9.0), LABELS, r"'X' of floats must be .*\[-1, 1\].*Received: 9 to 9"),
        (levels(6, 8, 8, 1), LABELS[:5], "'y' must be 6 integers or strings.*Received: "),
        (levels(6, 8, 8, 1), [1.5] * 6, "'y' must be 6 integers or strings.*Received: float64"),
        (levels(6, 8, 8, 1), ["a"] * 6, "'y' must be of two or more classes. Received: one, 'a'"),
        (levels(6, 8, 8, 1), [1, 1, 1, 1, 2, 2], r"3 or more pictures of every class.*Received: 2 of class 2 \(1 of 2"),
    ],
)
def test_what_is_no_labelled_data_set_is_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        labelled_pictures(images, labels)


def test_a_grey_model_refuses_colour_and_a_colour_model_repeats_grey():
    colour, grey = (labelled_pictures(levels(6, 8, 8, channels), LABELS) for channels in (3, 1))
    with pytest.raises(ValueError, match=r"grey pictures for the model 'm', of 28x28x1.*Received: .* of 8x8x3"):
        in_model_form(colour, (28, 28, 1), "m")
    made = in_model_form(grey, (8, 8, 3), "m")
    np.testing.assert_array_equal(made, np.repeat(grey.levels, 3, axis=-1))


@pytest.mark.parametrize("shape", [(8, 8, 1), (12, 20, 1), (20, 12, 3), (40, 16, 3)])
def test_restoring_undoes_resizing(shape):
    rows, columns = np.indices(shape[:2])
    smooth = np.stack([6 * rows * 8 / shape[0] + 20 * columns * 8 / shape[1]] * shape[-1], axis=-1)[None]
    smooth = smooth.astype(np.uint8)
    there = resize_images(smooth, (48, 48, shape[-1]))
    back = restore(there, shape).astype(int)
    assert back.shape == smooth.shape
    # The border mixes with the padding.
    assert np.abs(back - smooth)[:, 2:-2, 2:-2].max() <= 6


def test_polarity_decides_about_inversion():
    dark = np.full((4, 8, 8, 1), 255, np.uint8)
    dark[:, 3:5, 3:5] = 0
    assert is_inverted(dark, "light-on-dark") and not is_inverted(255 - dark, "light-on-dark")
    assert not is_inverted(dark, "dark-on-light") and not is_inverted(dark, None)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [((32, 32, 3), (32, 32, 3)), ((64, 64, 1), (32, 32, 1)), ((64, 16, 3), (32, 8, 3)), ((64, 4, 1), (32, 8, 1))],
)
def test_classifiers_receive_pictures_of_at_most_32_pixels(shape, wanted):
    assert classified(levels(2, *shape)).shape == (2, *wanted)


def test_reduction_averages_over_areas():
    picture = levels(1, 64, 64, 1)
    means = picture.reshape(1, 32, 2, 32, 2, 1).mean(axis=(2, 4))
    assert np.abs(classified(picture) - means).max() <= 1


def test_small_data_are_compared_as_a_whole():
    found = compared(np.array([2, 0, 1, 0]), seed=3)
    assert found.classes.tolist() == [0, 1, 2] and found.pictures.tolist() == [0, 1, 2, 3]
    assert found.labels.tolist() == [2, 0, 1, 0]


def test_of_large_data_some_classes_and_pictures_are_compared():
    indices = np.random.default_rng(0).permutation(np.repeat(np.arange(150), 4))
    found = compared(indices, seed=0)
    assert len(found.classes) == MOST_CLASSES and len(found.pictures) == 4 * MOST_CLASSES
    np.testing.assert_array_equal(found.classes[found.labels], indices[found.pictures])
    assert not np.array_equal(found.classes, compared(indices, seed=1).classes)
    large = compared(np.repeat([0, 1], [500, 3]), seed=0)
    assert np.bincount(large.labels).tolist() == [MOST_PICTURES, 3]
