"""Validation of feature networks whose features are known by hand."""

import keras
import numpy as np
import pytest

from meta_gan.judges import Judge
from meta_gan.judges.training import MOST_IMAGES, features_by_class, validate, within_class_distance
from meta_gan.tasks import Source


def mean_judge(scale=1.0):
    """A judge whose one feature is the mean of the image."""
    network = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.GlobalAveragePooling2D()])
    return Judge(network, "mean", scale=scale)


def flat_source(levels):
    """A source of flat images, `levels` a list of grey levels for each class."""
    labels = np.repeat(np.arange(len(levels), dtype=np.int32), [len(values) for values in levels])
    images = np.concatenate([np.array(values, np.uint8) for values in levels])
    images = np.broadcast_to(images[:, None, None, None], (len(labels), 8, 8, 1)).copy()
    names = [f"class {index}" for index in range(len(levels))]
    return Source(images, labels, names, np.zeros(len(levels), np.int8))


def test_features_by_class():
    source = flat_source([[0, 51], [], [255]])
    first, second, third = features_by_class(mean_judge(), source)
    np.testing.assert_allclose(sorted(first.ravel()), [-1.0, -0.6], atol=1e-6)
    assert len(second) == 0 and third.tolist() == [[1.0]]


def test_a_limited_number_of_images_is_drawn_without_replacement():
    source = flat_source([list(range(100)), [200] * 3])
    first, second = features_by_class(mean_judge(), source)
    assert len(first) == MOST_IMAGES == len(np.unique(first)) and len(second) == 3
    np.testing.assert_array_equal(first, features_by_class(mean_judge(), source)[0])
    assert len(features_by_class(mean_judge(), source, at_most=2)[0]) == 2


def test_within_class_distance_is_a_mean_over_pairs_then_over_classes():
    """Levels 0, 51, 102 are .4 apart: pairs .4, .4, .8. The second class has one pair, 2 apart; the third none."""
    source = flat_source([[0, 51, 102], [0, 255], [7]])
    expected = ((0.4 + 0.4 + 0.8) / 3 + 2.0) / 2
    assert within_class_distance(mean_judge(), source) == pytest.approx(expected, rel=1e-5)
    assert within_class_distance(mean_judge(scale=expected), source) == pytest.approx(1, rel=1e-5)


def test_a_source_without_pairs_is_refused():
    with pytest.raises(ValueError, match=r"a class must have at least 2 images. Received: none"):
        within_class_distance(mean_judge(), flat_source([[1], [2]]))


def test_separate_classes_are_classified_perfectly():
    levels = [[20 * index, 20 * index + 3] * 5 for index in range(12)]
    assert validate(mean_judge(), flat_source(levels)) == {"accuracy": 1.0, "ways": 12, "shots": 5}


def test_images_with_the_features_of_another_class_are_wrong():
    """Two of the 40 images, of the second class, have the features of the first; so have two of 40 queries."""
    levels = [[0] * 20, [0] * 2 + [200] * 18]
    accuracy = validate(mean_judge(), flat_source(levels))["accuracy"]
    assert accuracy == pytest.approx(1 - 2 / 40, abs=0.02)


def test_equal_classes_are_at_chance_or_below():
    noise = np.random.default_rng(0).integers(0, 256, (30, 20))
    measured = validate(mean_judge(), flat_source(noise.tolist()))
    assert measured["ways"] == 20 and 0.02 < measured["accuracy"] < 0.12


def test_validation_is_deterministic():
    noise = np.random.default_rng(1).integers(0, 256, (4, 20)).tolist()
    assert validate(mean_judge(), flat_source(noise)) == validate(mean_judge(), flat_source(noise))


def test_classes_of_too_few_images_are_left_out():
    far = [[0] * 6, [255] * 6]
    assert validate(mean_judge(), flat_source([*far, [0] * 5]))["ways"] == 2
    assert validate(mean_judge(), flat_source([far[0], [255] * 5])) is None
    assert validate(mean_judge(), flat_source([far[0]])) is None
