"""Folds of labelled pictures, and groups of pictures that are alike."""

import numpy as np
import pytest

from meta_gan.protocol.folds import alike, stratified_folds


@pytest.mark.parametrize(("sizes", "count"), [([3, 3], 3), ([5, 3, 8], 4), ([4, 100], 3), ([3, 3, 3], 4)])
def test_folds_are_a_partition_with_even_shares_and_two_pictures_of_each_class_to_train_on(sizes, count):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    folds = stratified_folds(labels, count, seed=1)
    assert [fold.number for fold in folds] == list(range(count))
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.test for fold in folds])), np.arange(len(labels)))
    for fold in folds:
        np.testing.assert_array_equal(np.union1d(fold.train, fold.test), np.arange(len(labels)))
        assert len(fold.train) + len(fold.test) == len(labels)
    held_out = np.array([np.bincount(labels[fold.test], minlength=len(sizes)) for fold in folds])
    assert (np.ptp(held_out, axis=0) <= 1).all() and np.ptp(held_out.sum(axis=1)) <= 1
    assert (np.array(sizes) - held_out >= 2).all()


def test_folds_depend_on_the_seed_alone():
    labels = np.repeat([0, 1], 10)
    same, again, other = (stratified_folds(labels, 4, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(a.test, b.test) for a, b in zip(same, again, strict=True))
    assert not all(np.array_equal(a.test, b.test) for a, b in zip(same, other, strict=True))


@pytest.mark.parametrize("folds", [2, 7])
def test_too_few_or_too_many_folds_are_refused(folds):
    with pytest.raises(ValueError, match=f"'folds' must be an integer >= 3 and <= 6. Received: {folds}"):
        stratified_folds(np.zeros(6, int), folds)


def test_groups_stay_together_and_are_dealt_the_largest_first():
    labels = np.zeros(9, int)
    groups = np.array([0, 0, 0, 1, 1, 2, 3, 4, 5])
    for seed in range(5):
        held_out = [fold.test for fold in stratified_folds(labels, 3, seed, groups)]
        assert sorted(map(len, held_out)) == [3, 3, 3]
        assert [0, 1, 2] in [test.tolist() for test in held_out]
        assert any({3, 4} <= set(test) for test in held_out)


@pytest.mark.parametrize(("size", "parts"), [(3, [1, 1, 1]), (4, [2, 2]), (5, [1, 2, 2]), (8, [4, 4])])
def test_a_group_of_more_than_half_of_its_class_is_cut(size, parts):
    folds = stratified_folds(np.zeros(size, int), 3, groups=np.zeros(size, int))
    assert sorted(len(fold.test) for fold in folds if len(fold.test)) == parts


@pytest.mark.parametrize("count", [3, 4, 5])
def test_whatever_the_groups_half_of_a_class_is_left_to_train_on(count):
    draws = np.random.default_rng(count)
    for size in range(count, 40):
        labels, groups = np.zeros(size, int), draws.integers(draws.integers(1, 9), size=size)
        for fold in stratified_folds(labels, count, groups=groups):
            assert len(fold.train) >= max(2, size / 2)


def test_pictures_that_are_alike_are_a_group():
    """Three objects, photographed two, three and one times with a little noise; another class of the same objects."""
    draws = np.random.default_rng(0)
    objects = draws.uniform(40, 215, (3, 32, 32, 3))
    shown = np.array([0, 1, 1, 0, 2, 1])
    images = (objects[shown] + draws.normal(0, 3, (6, 32, 32, 3))).astype(np.uint8)
    assert alike(images, np.zeros(6, int)).tolist() == [0, 1, 1, 0, 2, 1]
    assert alike(np.concatenate([images, images]), np.repeat([4, 7], 6)).tolist() == [
        0,
        1,
        1,
        0,
        2,
        1,
        3,
        4,
        4,
        3,
        5,
        4,
    ]


def test_equal_pictures_are_one_group_and_a_single_one_is_its_own():
    images = np.zeros((4, 8, 8, 1), np.uint8)
    assert alike(images, np.array([0, 0, 0, 1])).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("shape", [(1, 1, 1), (64, 40, 3), (33, 200, 1)])
def test_pictures_of_any_size_are_grouped(shape):
    images = np.stack([np.full(shape, level, np.uint8) for level in (0, 4, 200, 100)])
    assert alike(images, np.zeros(4, int)).tolist() == [0, 0, 1, 2]
