"""Query images of two domains that show the same things: which, and never those of the support."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.tasks import DataError, DomainTasks, Source, pair_domains

GROUPS = 9


def hands(missing=(), classes=3, groups=GROUPS, split=(0, 0, 0)):
    """Class c shows group g as one level, 20 c + g; without the (class, group) of `missing`."""
    there = [(c, g) for c in range(classes) for g in range(groups) if (c, g) not in missing]
    # Shuffled, so that rows and groups differ.
    order = np.random.default_rng(0).permutation(len(there))
    labels, shown = np.array(there, np.int32)[order].T
    images = np.tile((20 * labels + shown).astype(np.uint8)[:, None, None, None], (1, 4, 4, 1))
    return Source(images, labels, list("abc"[:classes]), np.array(split[:classes], np.int8), shown, name="hands")


def groups_of(images, number):
    """int[tasks, n]: the groups of images of class `number` of every task."""
    levels = np.round((np.asarray(images)[:, :, 0, 0, 0] + 1) * 127.5).astype(int)
    assert ((levels // 20) == np.asarray(number)[:, None]).all()
    return levels % 20


def test_query_images_are_of_the_same_groups_in_turn_and_support_images_are_not():
    tasks = pair_domains(hands(), shots=3, queries=4, paired=True)
    assert tasks.paired and not pair_domains(hands(), shots=3, queries=4).paired
    aligned, seen = [], set()
    for episode in tasks.train(meta_batch=4).take(20):
        numbers = tasks.pairs["train"][episode.task_id.numpy()].T
        query = [groups_of(episode.query[d], n) for d, n in zip(("source", "target"), numbers, strict=True)]
        support = [groups_of(episode.support[d], n) for d, n in zip(("source", "target"), numbers, strict=True)]
        np.testing.assert_array_equal(*query)
        for task in range(4):
            for each in support:
                assert len({*each[task], *query[0][task]}) == 3 + 4
            seen |= set(query[0][task])
        aligned.append((support[0] == support[1]).mean())
    assert seen == set(range(GROUPS)), "every group is shown at some time"
    assert np.mean(aligned) < 0.5, "of five groups that are left, one in five by chance"


def test_draws_are_pure_and_differ_by_step():
    tasks = pair_domains(hands(), shots=3, queries=4, seed=5, paired=True)
    first, again, next_one = (tasks.episode_batch("train", step, 2).query["source"].numpy() for step in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != next_one).any()


def test_only_groups_that_both_have_are_asked_for():
    """Class a lacks 0 to 2, class b lacks 3: both have five, of which four are asked for."""
    source = hands(missing=((0, 0), (0, 1), (0, 2), (1, 3)), classes=2)
    tasks = pair_domains(source, shots=2, queries=4, paired=True)
    for step in range(10):
        episode = tasks.episode_batch("train", step, 1)
        a, b = tasks.pairs["train"][int(episode.task_id[0])]
        query = groups_of(episode.query["source"], [a])
        assert set(query[0]) <= {4, 5, 6, 7, 8}
        np.testing.assert_array_equal(query, groups_of(episode.query["target"], [b]))
        assert 3 not in groups_of(episode.support["source" if b == 0 else "target"], [1])


def test_too_few_groups_are_named():
    source = hands(missing=((0, 0), (0, 1), (1, 2), (1, 3)), classes=2)
    with pytest.raises(DataError, match="Received: queries=6, and 5 of 'a' and 'b'"):
        pair_domains(source, shots=1, queries=6, paired=True)
    with pytest.raises(DataError, match=r"needs at least shots \+ queries = 10 groups"):
        pair_domains(source, shots=5, queries=5, paired=True)


def test_sources_that_cannot_be_paired_are_refused():
    source = hands()
    alone = Source(source.images, source.labels, source.class_names, source.class_split, name="hands")
    with pytest.raises(DataError, match="hands: 'paired' needs groups"):
        pair_domains(alone, shots=2, queries=2, paired=True)
    twice = Source(source.images, source.labels, list("abc"), source.class_split, source.groups // 2, name="hands")
    with pytest.raises(DataError, match="at most one image of a group"):
        pair_domains(twice, shots=2, queries=2, paired=True)
    with pytest.raises(DataError, match=r"'paired' needs one source for both domains.*Received: hands and hands"):
        DomainTasks(source, hands(), {"train": [[0, 1]]}, 2, 2, paired=True)


def test_unpaired_episodes_are_as_before():
    """Groups or not, the draws of each side are those of its own `Tasks`."""
    source = hands()
    tasks = DomainTasks(source, source, {"train": [[0, 1]]}, 3, 4, seed=2)
    episode = tasks.episode_batch("train", 0, 1)
    key = tf.random.fold_in(tf.constant([2, 0], tf.int32), tf.constant(0), alg="philox")
    keys = tf.unstack(tf.random.split(key, 6, alg="philox"))[2:]
    drawn = tasks.sides["target"].draw_of(tf.constant([1]), keys[2], keys[3], 1)
    np.testing.assert_array_equal(episode.query["target"], drawn[:, 3:])
