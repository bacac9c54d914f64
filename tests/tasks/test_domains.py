"""`DomainTasks`: pairs of classes of two sources, and what of them an episode holds."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.tasks import DataError, DomainTasks, Source, pair_classes, pair_domains
from meta_gan.tasks.domains import merged

SIZES, SPLITS = [12, 13, 15, 12], [0, 0, 1, 2]


def flat_source(start, name="left", classes="abcd", split=SPLITS, shape=(4, 4, 1), **options):
    """Images of one level each, class i of the level `start + i`."""
    labels = np.repeat(np.arange(len(SIZES)), SIZES).astype(np.int32)
    images = np.tile((start + labels).astype(np.uint8)[:, None, None, None], (1, *shape))
    return Source(images, labels, list(classes), np.array(split, np.int8), name=name, **options)


LEFT, RIGHT = flat_source(0), flat_source(100, "right")


def level(images):
    """The level, 0..255, of images of one level."""
    found = np.unique(np.round((np.asarray(images) + 1) * 127.5))
    assert len(found) == 1
    return int(found[0])


@pytest.fixture(scope="module")
def tasks():
    return pair_classes(LEFT, RIGHT, shots=5, queries=7, seed=3)


def test_every_class_meets_every_class_of_its_split(tasks):
    assert {split: pairs.tolist() for split, pairs in tasks.pairs.items()} == {
        "train": [[0, 0], [0, 1], [1, 0], [1, 1]],
        "validation": [[2, 2]],
        "test": [[3, 3]],
    }
    assert tasks.splits["train"][1] == "left a > right b"
    assert tasks.example_shape == {"source": (4, 4, 1), "target": (4, 4, 1)}


def test_pairs_by_name_are_those_of_both():
    other = flat_source(100, "right", classes="bxcd")
    assert pair_classes(LEFT, other, by="name").splits == {
        "train": ["left b > right b"],
        "validation": ["left c > right c"],
        "test": ["left d > right d"],
    }


def test_both_ways_are_pairs_of_one_source():
    tasks = pair_classes(LEFT, RIGHT, by="name", both_ways=True)
    assert tasks.splits["train"] == [
        "left and right left a > left and right right a",
        "left and right left b > left and right right b",
        "left and right right a > left and right left a",
        "left and right right b > left and right left b",
    ]
    episode = tasks.episode_batch("train", 0, 4)
    found = {(level(episode.support["source"][i]), level(episode.query["target"][i])) for i in range(4)}
    assert found == {(0, 100), (1, 101), (100, 0), (101, 1)}


def test_sources_of_one_name_are_numbered():
    """`from_arrays` calls every source the same."""
    tasks = pair_classes(flat_source(0), flat_source(100), by="name", both_ways=True)
    assert tasks.splits["test"] == [
        "left (1) and left (2) left (1) d > left (1) and left (2) left (2) d",
        "left (1) and left (2) left (2) d > left (1) and left (2) left (1) d",
    ]
    with pytest.raises(DataError, match="images of one shape"):
        pair_classes(flat_source(0), flat_source(0, shape=(8, 8, 1)), both_ways=True)


def test_no_class_is_paired_with_itself():
    assert pair_classes(LEFT, LEFT).pairs["train"].tolist() == [[0, 1], [1, 0]]


def test_a_class_that_no_pair_has_may_be_small():
    labels = np.append(LEFT.labels, 4).astype(np.int32)
    images = np.concatenate([LEFT.images, LEFT.images[:1]])
    more = Source(images, labels, [*"abcd", "rare"], np.array([*SPLITS, 0], np.int8), name="more")
    assert pair_classes(more, RIGHT, by="name").splits["train"] == ["more a > right a", "more b > right b"]
    with pytest.raises(DataError, match="class 'rare' has 1"):
        pair_classes(more, RIGHT)


def test_pairs_of_domains_are_ordered_and_of_two():
    assert {split: pairs.tolist() for split, pairs in pair_domains(LEFT).pairs.items()} == {
        "train": [[0, 1], [1, 0]],
        "validation": [],
        "test": [],
    }


def test_an_episode_holds_the_classes_of_its_pair(tasks):
    spec = tasks.train(meta_batch=3).element_spec
    assert spec.support == dict.fromkeys(("source", "target"), tf.TensorSpec([3, 5, 4, 4, 1], tf.float32))
    assert spec.query == dict.fromkeys(("source", "target"), tf.TensorSpec([3, 7, 4, 4, 1], tf.float32))
    seen = set()
    for episode in tasks.train(meta_batch=3).take(8):
        assert len(set(episode.task_id.numpy())) == 3, "all of an element are different pairs"
        for i, number in enumerate(episode.task_id.numpy()):
            a, b = tasks.pairs["train"][number]
            for images in (episode.support, episode.query):
                assert (level(images["source"][i]), level(images["target"][i])) == (a, 100 + b)
            seen.add((a, b))
    assert seen == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_support_and_query_are_different_images():
    """Each image of a class its own level: 12 of 12 are drawn, none twice."""
    labels = np.repeat([0, 1], 12).astype(np.int32)
    images = np.tile(np.arange(24, dtype=np.uint8)[:, None, None, None], (1, 4, 4, 1))
    source = Source(images, labels, ["a", "b"], np.array([0, 0], np.int8))
    episode = DomainTasks(source, source, {"train": [[0, 1]]}).episode_batch("train", 0, 1)
    for domain, first in (("source", 0), ("target", 12)):
        both = np.concatenate([episode.support[domain][0], episode.query[domain][0]])
        assert sorted(np.round((both[:, 0, 0, 0] + 1) * 127.5).tolist()) == list(range(first, first + 12))


def test_a_stream_is_a_function_of_seed_and_step(tasks):
    whole = list(tasks.train(meta_batch=2).take(4))
    later = list(tasks.train(meta_batch=2, start_step=2).take(2))
    for a, b in zip(whole[2:], later, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, a, b)
    again = pair_classes(LEFT, RIGHT, shots=5, queries=7, seed=3)
    tf.nest.map_structure(
        np.testing.assert_array_equal, tasks.episode_batch("train", 1, 2), again.episode_batch("train", 1, 2)
    )
    other = pair_classes(LEFT, RIGHT, shots=5, queries=7, seed=4)
    assert np.any(other.episode_batch("train", 1, 2).seed != whole[1].seed)


def test_the_draws_of_both_domains_differ():
    """One source as both domains of a pair of two equal classes: the same numbers would be drawn by one key."""
    labels = np.repeat([0, 1], 40).astype(np.int32)
    images = np.tile(np.tile(np.arange(40, dtype=np.uint8), 2)[:, None, None, None], (1, 4, 4, 1))
    source = Source(images, labels, ["a", "b"], np.array([0, 0], np.int8))
    episode = DomainTasks(source, source, {"train": [[0, 1]]}).episode_batch("train", 0, 1)
    assert np.any(episode.support["source"] != episode.support["target"])


def test_validation_and_test_are_fixed(tasks):
    once, again = list(tasks.validation(1, 2)), list(tasks.validation(1, 2))
    tf.nest.map_structure(np.testing.assert_array_equal, once, again)
    assert np.any(once[0].seed != once[1].seed)
    assert level(next(iter(tasks.test(1, 1))).query["target"]) == 103


def test_merged_sources_keep_groups_apart():
    groups = np.tile(np.arange(5, 18), 4).astype(np.int32)
    both = merged(flat_source(0, groups=groups), flat_source(100, "right"))
    assert both.class_names[:1] + both.class_names[4:5] == ["left a", "right a"]
    assert both.class_split.tolist() == SPLITS * 2
    assert both.groups[: sum(SIZES)].tolist() == (groups - 5).tolist()
    rest = both.groups[sum(SIZES) :]
    assert len(set(rest.tolist())) == sum(SIZES) and rest.min() == 13
    assert merged(LEFT, RIGHT).groups is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: pair_classes(LEFT, flat_source(0, "right", shape=(4, 4, 3))),
            r"images of one size and number of channels.*\(4, 4, 1\) and right of \(4, 4, 3\)",
        ),
        (lambda: pair_classes(LEFT, flat_source(0, "right", shape=(8, 8, 1))), r"images of one size.*\(8, 8, 1\)"),
        (
            lambda: pair_classes(LEFT, flat_source(0, "right", split=[2, 0, 1, 2]), by="name"),
            "the same split of both. Received: 'a', in train of left and in test of right",
        ),
        (lambda: pair_classes(LEFT, flat_source(0, "right", classes="wxyz"), by="name"), "Received: none"),
        (lambda: pair_classes(LEFT, RIGHT, shots=6), r"shots \+ queries = 13 examples"),
        (lambda: pair_domains(flat_source(0, split=[0, 1, 2, 2], classes="abcd"), shots=6), r"shots \+ queries = 13"),
        (lambda: DomainTasks(LEFT, RIGHT, {"train": [[0, 4]]}), "indices of 4 and 4 classes"),
        (lambda: DomainTasks(LEFT, RIGHT, {"train": [[0, -1]]}), "indices of 4 and 4 classes"),
        (lambda: DomainTasks(LEFT, RIGHT, {"train": [[0.9, 1.2]]}), "rows of two integers"),
        (lambda: DomainTasks(LEFT, RIGHT, {"train": [["0", "1"]]}), "rows of two integers"),
        (lambda: DomainTasks(LEFT, RIGHT, {"train": [[0, 1, 1, 0]]}), "rows of two integers"),
        (lambda: DomainTasks(LEFT, RIGHT, {"train": [[0, 1], [2]]}), "rows of two integers"),
        (lambda: DomainTasks(LEFT, RIGHT, {"train": [[0, 1], [0, 1]]}), "occur once, in one split"),
        (
            lambda: DomainTasks(LEFT, LEFT, {"train": [[1, 1]]}),
            "a pair must be of two different classes.* Received: 'b' and 'b'",
        ),
        (lambda: DomainTasks(LEFT, RIGHT, {}), "'pairs' must hold at least 1 pair"),
        (lambda: DomainTasks(LEFT, RIGHT, [[0, 1]]), "'pairs' must be a dict .* Received: list"),
        (lambda: pair_classes(LEFT, LEFT, by="name"), "Received: none"),
        (
            lambda: DomainTasks(LEFT, RIGHT, {"trian": [[0, 1]]}),
            r"'pairs' must be a dict .*\['trian'\]",
        ),
        (
            lambda: DomainTasks(LEFT, RIGHT, {"train": [[0, 1]], "test": [[0, 1]]}),
            "occur once, in one split. Received: 'a' and 'b' in train and test",
        ),
        (lambda: merged(LEFT, flat_source(0, "right", shape=(8, 8, 1))), "images of one shape"),
    ],
)
def test_bad_input_raises_a_clear_error(make, message):
    with pytest.raises(DataError, match=message):
        make()


def test_a_split_of_one_class_has_no_pair():
    three = Source(LEFT.images[:12], LEFT.labels[:12], ["a"], np.array([0], np.int8), name="alone")
    with pytest.raises(DataError, match="alone: a split needs 2 classes"):
        pair_domains(three)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.train(meta_batch=5), "'meta_batch' must be at most the 4 tasks of the train split.*Received: 5"),
        (lambda t: t.episode_batch("tset", 0, 1), "'split' must be one of 'train', 'validation', 'test'"),
        (lambda t: t.episode_batch("test", -1, 1), "'step' must be"),
        (lambda t: pair_classes(LEFT, RIGHT, by="size"), "'by' must be one of 'all', 'name'. Received: 'size'"),
        (lambda t: pair_domains(LEFT).test(1, 1), "the test split needs at least 1 pair"),
    ],
)
def test_bad_requests_are_refused(tasks, call, message):
    with pytest.raises(ValueError, match=message):
        call(tasks)
