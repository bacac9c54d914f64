"""Mixtures of sources and tasks of one picture: who is drawn how often, splits, purity, sizes, bad arguments."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.tasks import DataError, from_arrays, mixture, variations
from meta_gan.tasks.mixtures import Mixture, Variations


def data(level, classes=6, each=7, shape=(8, 8, 1), split=(0, 0, 0, 0, 1, 2), shots=3, queries=2):
    """Tasks whose pictures have the level `level` + class in every pixel."""
    labels = np.repeat(np.arange(classes), each)
    images = np.broadcast_to((level + labels)[:, None, None, None], (len(labels), *shape)).astype(np.uint8)
    return from_arrays(images, labels, class_split=list(split), shots=shots, queries=queries)


def levels(examples):
    """The level of each task's pictures, which must be the same in all of them."""
    found = np.rint((examples.numpy() + 1) * 127.5).astype(int).reshape(len(examples), -1)
    assert (found == found[:, :1]).all()
    return found[:, 0]


def test_parts_are_drawn_by_weight_and_classes_equally():
    tasks = mixture([data(10), data(100)], weights=[1, 3])
    drawn = np.concatenate([levels(e.support) for e in tasks.train(4).take(300)])
    assert np.mean(drawn >= 100) == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / 1200))
    assert set(drawn) == {10, 11, 12, 13, 100, 101, 102, 103}
    counts = np.bincount(drawn)[[100, 101, 102, 103]]
    assert np.abs(counts - counts.mean()).max() < 4 * np.sqrt(counts.mean())


def test_by_default_every_class_is_as_likely_as_any():
    tasks = mixture([data(10), data(100, classes=2, split=(0, 1))])
    drawn = np.concatenate([levels(e.support) for e in tasks.train(3).take(300)])
    assert np.mean(drawn >= 100) == pytest.approx(1 / 5, abs=4 * np.sqrt(0.2 * 0.8 / 900))


def test_tasks_of_a_batch_differ_and_support_and_query_are_of_one_class():
    tasks = mixture([data(10), data(100)])
    for episode in tasks.train(4).take(50):
        support, query = levels(episode.support), levels(episode.query)
        np.testing.assert_array_equal(support, query)
        assert len(set(support)) == 4 == len(set(episode.task_id.numpy()))


def test_splits_stay_apart_and_a_part_without_classes_of_a_split_is_left_out():
    tasks = mixture([data(10), data(100, split=(0, 0, 0, 0, 1, 1))])
    assert {level for e in tasks.validation(2, 20) for level in levels(e.support)} == {14, 104, 105}
    assert {level for e in tasks.test(1, 20) for level in levels(e.support)} == {15}
    assert tasks.splits["test"] == ["arrays/5"] and len(tasks.splits["train"]) == 4
    with pytest.raises(DataError, match="the test split needs at least 1 task"):
        next(iter(mixture([data(10, split=[0] * 5 + [1])]).test(1)))


def test_the_stream_is_a_pure_function_of_seed_and_step():
    parts = [data(10), data(60)]
    whole = list(mixture(parts, seed=1).train(3).take(3))
    later = next(iter(mixture(parts, seed=1).train(3, start_step=2)))
    alone = mixture(parts, seed=1).episode_batch("train", 2, 3)
    for other in (later, alone):
        for mine, given in zip(whole[2], other, strict=True):
            np.testing.assert_array_equal(mine, given)
    assert np.abs(whole[0].support - mixture(parts, seed=2).episode_batch("train", 0, 3).support).max() > 0


@pytest.mark.slow
def test_an_element_drawn_alone_is_that_of_the_stream():
    tasks = mixture([data(10), variations(data(60))], [1, 5])
    for mine, given in zip(tasks.episode_batch("train", 1, 3), next(iter(tasks.train(3, 1))), strict=True):
        np.testing.assert_array_equal(mine, given)


def test_sizes_and_channels_are_brought_to_one_shape():
    rng = np.random.default_rng(0)
    grey = from_arrays(
        (rng.integers(0, 2, (24, 16, 16)) * 255).astype(np.uint8), np.repeat([0, 1], 12), class_split=[0, 1]
    )
    colour = data(100, each=12, shape=(8, 8, 3), shots=5, queries=7)
    tasks = mixture([grey, colour, variations(grey)], [1, 1, 1], image_shape=(8, 8, 3))
    assert tasks.example_shape == (8, 8, 3) and tasks.polarity is None
    assert tasks.card == {"medium": "pictures", "polarity": None}
    episode = tasks.episode_batch("train", 0, 6)
    assert episode.support.shape == (6, 5, 8, 8, 3) and episode.query.shape == (6, 7, 8, 8, 3)
    spread = np.ptp(episode.support.numpy(), axis=-1).max(axis=(1, 2, 3))
    assert (spread > 0.05).any() and (spread == 0).any()  # coloured drawings, and pictures as they are
    as_grey = mixture([colour, grey], image_shape=(8, 8, 1))
    assert as_grey.example_shape == (8, 8, 1)
    assert as_grey.episode_batch("train", 0, 2).support.shape == (2, 5, 8, 8, 1)


def test_a_task_of_variations_is_one_picture():
    tasks = variations(data(10), **dict.fromkeys(("light", "background", "noise", "occlusion", "compression"), 0.0))
    for episode in tasks.train(5).take(5):  # pictures of one level, which no warp, stroke or blur changes
        level = levels(tf.concat([episode.support, episode.query], axis=1))
        assert len(set(episode.task_id.numpy())) == 5
        np.testing.assert_array_equal(level, 10 + episode.task_id.numpy() // 7)
    assert tasks.splits == {"train": ["0", "1", "2", "3"], "validation": ["4"], "test": ["5"]}
    assert [len(entries) for entries in tasks.drawable.values()] == [28, 7, 7]


def test_variations_take_the_numbers_of_their_tasks_or_others():
    tasks = variations(data(10), shots=1, queries=4, seed=5, rotation=0.0)
    assert (tasks.shots, tasks.queries, tasks.seed, tasks.limits.rotation) == (1, 4, 5, 0.0)
    assert isinstance(tasks, Variations) and variations(data(10)).shots == 3


TEXTS = {"texts": ["ab", "ba", "aa", "bb"] * 3, "labels": [0, 1] * 6}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: mixture([]), ValueError, "'parts' must be one or more"),
        (lambda: mixture([data(1), data(2)], [1]), ValueError, "'weights' must be 2 numbers > 0"),
        (lambda: mixture([data(1), data(2)], [1, 0]), ValueError, "'weights' must be 2 numbers > 0"),
        (lambda: mixture([data(1), data(2)], [1, np.nan]), ValueError, "'weights' must be 2 numbers > 0"),
        (lambda: mixture([data(1), data(2, shape=(9, 8, 1))]), DataError, "must have one size"),
        (lambda: mixture([data(1), data(2, shots=2)]), DataError, "one number of shots"),
        (lambda: mixture([data(1)], image_shape=(8, 8, 2)), DataError, "channels"),
        (lambda: mixture([data(1)], seed=-1), ValueError, "'seed'"),
        (lambda: variations(data(1), rotation=-1.0), ValueError, "'rotation' must be a finite number >= 0"),
        (lambda: variations(data(1), wobble=1.0), ValueError, r"'strengths' must be among .*Received: \['wobble'\]"),
        (lambda: Mixture([data(1, shape=(8, 8, 3))], channels=1), DataError, "must have 1 or 3 channels"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()
