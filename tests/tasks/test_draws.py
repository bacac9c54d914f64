"""Draws: uniform over classes, examples and members of groups, and never two of a group."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from meta_gan.tasks import DataError, Tasks
from tests.tasks.helpers import assert_same, numbered_source, numbers


def test_classes_are_drawn_uniformly():
    tasks = Tasks(numbered_source([12] * 8), seed=0)
    counts = np.zeros(8)
    for episode in tasks.train(2).take(1000):
        counts[episode.task_id.numpy()] += 1
    # 250 each expected; a standard deviation is sqrt(1000 * 1/4 * 3/4) = 13.7.
    assert counts.sum() == 2000
    np.testing.assert_allclose(counts, 250, atol=60)


def test_examples_are_drawn_uniformly_whatever_the_size_of_the_class():
    tasks = Tasks(numbered_source([5, 50]), shots=1, queries=1, seed=0)
    counts = np.zeros(55)
    for episode in tasks.train(2).take(1500):
        np.add.at(counts, np.concatenate([numbers(episode.support), numbers(episode.query)], axis=1).ravel(), 1)
    small, large = (counts[tasks.source.labels == label] for label in (0, 1))
    # 3000 draws of each class: 600 for each of five (standard deviation 19), 60 for each of fifty (7.7).
    np.testing.assert_allclose(small, 600, atol=90)
    np.testing.assert_allclose(large, 60, atol=38)


def test_every_ordered_pair_of_a_small_class_occurs_about_equally():
    tasks = Tasks(numbered_source([3]), shots=1, queries=1, seed=0)
    pairs = [
        (int(numbers(episode.support)[0, 0]), int(numbers(episode.query)[0, 0]))
        for episode in tasks.train(1).take(1200)
    ]
    counts = {pair: pairs.count(pair) for pair in itertools.permutations(range(3), 2)}
    # Six ordered pairs, 200 each expected; a standard deviation is 12.9.
    assert sum(counts.values()) == 1200
    assert all(140 <= count <= 260 for count in counts.values()), counts


def test_a_class_of_exactly_the_size_needed_is_used_whole():
    tasks = Tasks(numbered_source([12, 40]), seed=0)
    for episode in tasks.train(2).take(10):
        row = episode.task_id.numpy().tolist().index(0)
        drawn = np.concatenate([numbers(episode.support)[row], numbers(episode.query)[row]])
        np.testing.assert_array_equal(np.sort(drawn), np.flatnonzero(tasks.source.labels == 0))


def grouped(groups_of_a_class: int, group_size: int, classes: int = 3) -> Tasks:
    size = groups_of_a_class * group_size
    source = numbered_source([size] * classes)
    groups = np.zeros(len(source.labels), np.int32)
    for label in range(classes):
        groups[source.labels == label] = np.arange(size) % groups_of_a_class
    return Tasks(numbered_source([size] * classes, groups=groups), shots=2, queries=3, seed=0)


def test_no_group_occurs_twice_in_an_episode():
    tasks = grouped(5, 4)
    groups = tasks.source.groups
    for episode in tasks.train(3).take(60):
        drawn = np.concatenate([numbers(episode.support), numbers(episode.query)], axis=1)
        assert [sorted(row) for row in groups[drawn].tolist()] == [[0, 1, 2, 3, 4]] * 3


def test_without_groups_the_same_draw_does_repeat_them():
    with_groups = grouped(5, 4)
    without = Tasks(numbered_source([20] * 3), shots=2, queries=3, seed=0)
    groups = with_groups.source.groups
    repeated = 0
    for episode in without.train(3).take(20):
        drawn = np.concatenate([numbers(episode.support), numbers(episode.query)], axis=1)
        repeated += sum(len(set(row)) < 5 for row in groups[drawn].tolist())
    assert repeated > 0


def test_members_of_a_group_are_drawn_uniformly():
    tasks = grouped(5, 4, classes=1)
    counts = np.zeros(20)
    for episode in tasks.train(1).take(1000):
        np.add.at(counts, numbers(episode.support).ravel(), 1)
        np.add.at(counts, numbers(episode.query).ravel(), 1)
    # Each of 1000 episodes takes one of the four members of each group: 250 each, standard deviation 13.7.
    np.testing.assert_allclose(counts, 250, atol=65)


def test_groups_of_one_example_are_the_plain_draw():
    source = numbered_source([15, 15])
    order = np.zeros(30, np.int32)
    for label in (0, 1):
        order[source.labels == label] = np.arange(15)
    plain = Tasks(source, seed=2).episode_batch("train", 0, 2)
    apart = Tasks(numbered_source([15, 15], groups=order), seed=2).episode_batch("train", 0, 2)
    assert_same(plain, apart)


def test_groups_of_unequal_size_and_number():
    labels_of_groups = [[0] * 30 + [1, 2], [5, 6, 7] + [8] * 10]
    source = numbered_source([32, 13])
    groups = np.zeros(45, np.int32)
    for label, members in enumerate(labels_of_groups):
        groups[source.labels == label] = members
    tasks = Tasks(numbered_source([32, 13], groups=groups), shots=1, queries=2, seed=0)
    for episode in tasks.train(2).take(40):
        drawn = np.concatenate([numbers(episode.support), numbers(episode.query)], axis=1)
        for label, row in zip(episode.task_id.numpy().tolist(), drawn, strict=True):
            found = sorted(groups[row].tolist())
            assert found == [0, 1, 2] if label == 0 else (len(set(found)) == 3 and set(found) <= {5, 6, 7, 8})
            assert (tasks.source.labels[row] == label).all()


def test_too_few_groups():
    with pytest.raises(DataError, match=r"shots \+ queries = 12 groups of examples; class 'class 0' has 5"):
        Tasks(numbered_source([60], groups=(np.arange(60) % 5).astype(np.int32)))
