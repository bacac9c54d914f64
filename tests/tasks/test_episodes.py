"""`Tasks`: what is drawn, that it is a pure function of (seed, split, step), and that it is uniform."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.tasks import DataError, Tasks
from meta_gan.tasks.episodes import whole_number
from meta_gan.types import Episode
from tests.tasks.helpers import numbered_source, numbers

SIZES = [12, 15, 20, 13, 40, 12, 12, 300, 14, 12]
SPLITS = [0, 0, 0, 0, 1, 1, 0, 0, 2, 2]


@pytest.fixture(scope="module")
def tasks() -> Tasks:
    return Tasks(numbered_source(SIZES, SPLITS), shots=5, queries=7, seed=4)


def batches(dataset, count: int) -> list[Episode]:
    return list(dataset.take(count))


def assert_same(first: Episode, second: Episode) -> None:
    for name, one, other in zip(Episode._fields, first, second, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=name)


def test_static_shapes_and_types(tasks):
    spec = tasks.train(meta_batch=3).element_spec
    assert isinstance(spec, Episode)
    assert spec.support == tf.TensorSpec([3, 5, 4, 4, 1], tf.float32)
    assert spec.query == tf.TensorSpec([3, 7, 4, 4, 1], tf.float32)
    assert spec.task_id == tf.TensorSpec([3], tf.int32)
    assert spec.seed == tf.TensorSpec([3, 2], tf.int32)


def test_finite_splits_have_the_same_structure(tasks):
    assert tasks.validation(meta_batch=2).element_spec == tasks.train(meta_batch=2).element_spec
    assert tasks.test(meta_batch=2).element_spec == tasks.train(meta_batch=2).element_spec


def test_cardinality(tasks):
    assert tasks.train(2).cardinality() == tf.data.INFINITE_CARDINALITY
    assert tasks.validation(2, batches=3).cardinality() == 3
    assert tasks.test(2).cardinality() == 4


def test_properties(tasks):
    assert tasks.image_shape == (4, 4, 1)
    assert (tasks.shots, tasks.queries, tasks.seed) == (5, 7, 4)
    assert tasks.splits["validation"] == ["class 4", "class 5"]
    assert tasks.splits["test"] == ["class 8", "class 9"]
    assert len(tasks.splits["train"]) == 6
    assert tasks.polarity == tasks.source.polarity


def test_values_are_the_levels_of_the_source(tasks):
    episode = tasks.episode_batch("train", 0, 6)
    drawn = np.concatenate([episode.support, episode.query], axis=1)
    expected = tasks.source.images[numbers(drawn)] / 127.5 - 1
    np.testing.assert_allclose(drawn, expected, rtol=0, atol=1e-7)
    assert drawn.min() == -1.0


def test_examples_are_of_the_class_that_task_id_names(tasks):
    for episode in batches(tasks.train(6), 20):
        for part in (episode.support, episode.query):
            labels = tasks.source.labels[numbers(part)]
            np.testing.assert_array_equal(labels, np.broadcast_to(episode.task_id[:, None], labels.shape))


def test_support_and_query_are_disjoint_and_without_repetition(tasks):
    for episode in batches(tasks.train(6), 50):
        drawn = np.concatenate([numbers(episode.support), numbers(episode.query)], axis=1)
        assert [len(set(row)) for row in drawn.tolist()] == [12] * 6


def test_classes_of_a_batch_are_all_different(tasks):
    for episode in batches(tasks.train(5), 50):
        assert len(set(episode.task_id.numpy().tolist())) == 5


def test_a_batch_of_all_classes_holds_each_once(tasks):
    for episode in batches(tasks.train(6), 10):
        assert sorted(episode.task_id.numpy().tolist()) == [0, 1, 2, 3, 6, 7]


@pytest.mark.parametrize(("split", "classes"), [("train", {0, 1, 2, 3, 6, 7}), ("validation", {4, 5}), ("test", {8, 9})])
def test_a_split_draws_its_own_classes_only(tasks, split, classes):
    drawn = {int(tasks.episode_batch(split, step, 1).task_id[0]) for step in range(40)}
    assert drawn == classes


@pytest.mark.parametrize("start", [0, 1, 7, 1000])
def test_eager_equals_the_dataset(tasks, start):
    for offset, episode in enumerate(batches(tasks.train(4, start_step=start), 3)):
        assert_same(episode, tasks.episode_batch("train", start + offset, 4))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_eager_equals_the_fixed_splits(tasks, split):
    for step, episode in enumerate(getattr(tasks, split)(2, batches=3)):
        assert_same(episode, tasks.episode_batch(split, step, 2))


def test_resuming_continues_the_stream(tasks):
    whole = batches(tasks.train(3), 8)
    for before, after in zip(whole[5:], batches(tasks.train(3, start_step=5), 3), strict=True):
        assert_same(before, after)


def test_the_fixed_splits_are_the_same_at_every_call(tasks):
    for first, second in zip(tasks.validation(2), tasks.validation(2), strict=True):
        assert_same(first, second)


def test_the_same_seed_gives_the_same_tasks_in_another_object(tasks):
    other = Tasks(numbered_source(SIZES, SPLITS), shots=5, queries=7, seed=4)
    assert_same(other.episode_batch("train", 3, 4), tasks.episode_batch("train", 3, 4))


def test_inside_a_function_nothing_changes(tasks):
    drawn = tf.function(lambda: tasks.episode_batch("train", 2, 4))()
    assert_same(drawn, tasks.episode_batch("train", 2, 4))


def test_seed_split_and_step_all_matter(tasks):
    one_split = Tasks(numbered_source([30] * 4), seed=0)
    other_seed = Tasks(numbered_source([30] * 4), seed=1)
    first = numbers(one_split.episode_batch("train", 0, 4).support)
    assert not np.array_equal(first, numbers(one_split.episode_batch("train", 1, 4).support))
    assert not np.array_equal(first, numbers(other_seed.episode_batch("train", 0, 4).support))
    validation = Tasks(numbered_source([30] * 4, [1] * 4), seed=0).episode_batch("validation", 0, 4)
    assert not np.array_equal(first, numbers(validation.support))


def test_steps_do_not_repeat(tasks):
    draws = {tuple(numbers(episode.support).ravel().tolist()) for episode in batches(tasks.train(2), 200)}
    assert len(draws) == 200


def test_task_seeds_are_all_different(tasks):
    seeds = [tuple(seed) for episode in batches(tasks.train(6), 100) for seed in episode.seed.numpy().tolist()]
    assert len(set(seeds)) == 600


def test_consuming_keras_and_global_seeds_changes_nothing(tasks):
    before = tasks.episode_batch("train", 0, 3)
    tf.random.set_seed(99)
    tf.random.uniform([3])
    assert_same(tasks.episode_batch("train", 0, 3), before)


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
        (int(numbers(episode.support)[0, 0]), int(numbers(episode.query)[0, 0])) for episode in tasks.train(1).take(1200)
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
    with pytest.raises(DataError, match="shots \\+ queries = 12 groups of examples; class 'class 0' has 5"):
        Tasks(numbered_source([60], groups=(np.arange(60) % 5).astype(np.int32)))


def test_too_few_examples_names_the_class_its_size_and_how_many():
    with pytest.raises(DataError) as caught:
        Tasks(numbered_source([12, 11, 40, 3]))
    assert str(caught.value) == (
        "numbered: every class needs at least shots + queries = 12 examples; class 'class 1' has 11 "
        "(2 of 4 classes have too few). Received: shots=5, queries=7"
    )


def test_a_class_without_examples_is_too_small():
    source = numbered_source([12, 0, 12])
    with pytest.raises(DataError, match="class 'class 1' has 0"):
        Tasks(source)


def test_more_tasks_than_classes():
    tasks = Tasks(numbered_source([12] * 3, [0, 0, 1]))
    with pytest.raises(DataError, match="at most the number of classes of the train split, 2.*Received: 8"):
        tasks.train()
    with pytest.raises(DataError, match="of the validation split, 1.*Received: 2"):
        tasks.validation(2)


def test_an_empty_split_is_an_error_only_when_it_is_used():
    tasks = Tasks(numbered_source([12] * 3))
    assert tasks.train(3).element_spec.support.shape[0] == 3
    assert tasks.splits["test"] == []
    for use in (tasks.validation, tasks.test):
        with pytest.raises(DataError, match="needs at least 1 class. Received: train 3, validation 0, test 0"):
            use(1)
    with pytest.raises(DataError, match="the test split needs at least 1 class"):
        tasks.episode_batch("test", 0, 1)


@pytest.mark.parametrize("argument", ["shots", "queries"])
@pytest.mark.parametrize("value", [0, -1, 1.0, "5", None, True])
def test_shots_and_queries_out_of_range(argument, value):
    with pytest.raises(DataError, match=f"`{argument}` must be a whole number from 1 to .* Received: {value!r}"):
        Tasks(numbered_source([12]), **{argument: value})


@pytest.mark.parametrize("seed", [-1, 2**31, 0.5])
def test_seed_out_of_range(seed):
    with pytest.raises(DataError, match="`seed` must be a whole number from 0 to 2147483647"):
        Tasks(numbered_source([12]), seed=seed)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"meta_batch": 0}, "meta_batch"), ({"meta_batch": 2.0}, "meta_batch"), ({"start_step": -1}, "start_step")],
)
def test_train_arguments_out_of_range(tasks, arguments, name):
    with pytest.raises(DataError, match=f"`{name}` must be a whole number"):
        tasks.train(**{"meta_batch": 2, **arguments})


def test_batches_and_step_out_of_range(tasks):
    with pytest.raises(DataError, match="`batches` must be a whole number from 1"):
        tasks.validation(2, batches=0)
    with pytest.raises(DataError, match="`step` must be a whole number from 0"):
        tasks.episode_batch("train", -1, 2)
    with pytest.raises(DataError, match="`split` must be one of"):
        tasks.episode_batch("all", 0, 2)


def test_numpy_integers_are_whole_numbers():
    assert whole_number(np.int64(3), "x", 1) == 3
    assert type(whole_number(np.uint8(3), "x", 1)) is int


def test_the_largest_seed_and_step_work():
    tasks = Tasks(numbered_source([12]), seed=2**31 - 1)
    episode = tasks.episode_batch("train", 2**31 - 1, 1)
    assert episode.support.shape == (1, 5, 4, 4, 1)


def test_a_dataset_feeds_keras_style_iteration_twice(tasks):
    dataset = tasks.test(2, batches=2)
    first, second = list(dataset), list(dataset)
    assert len(first) == 2
    for one, other in zip(first, second, strict=True):
        assert_same(one, other)
