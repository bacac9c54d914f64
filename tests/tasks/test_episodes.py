"""`Tasks`: what is drawn, that it is a pure function of (seed, split, step)."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.tasks import DataError, Tasks
from meta_gan.types import Episode
from tests.tasks.helpers import assert_same, numbered_source, numbers

SIZES = [12, 15, 20, 13, 40, 12, 12, 300, 14, 12]
SPLITS = [0, 0, 0, 0, 1, 1, 0, 0, 2, 2]


@pytest.fixture(scope="module")
def tasks() -> Tasks:
    return Tasks(numbered_source(SIZES, SPLITS), shots=5, queries=7, seed=4)


def batches(dataset, count: int) -> list[Episode]:
    return list(dataset.take(count))


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
    assert tasks.example_shape == (4, 4, 1)
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


@pytest.mark.parametrize(
    ("split", "classes"), [("train", {0, 1, 2, 3, 6, 7}), ("validation", {4, 5}), ("test", {8, 9})]
)
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


def test_too_few_examples_names_the_class_its_size_and_how_many():
    with pytest.raises(DataError) as caught:
        Tasks(numbered_source([12, 11, 40, 3]))
    assert str(caught.value) == (
        "numbered: every class needs at least shots + queries = 12 examples; class 'class 1' has 11 "
        "(2 of 4 classes have too few). Received: shots=5, queries=7. Add examples, lower shots and queries to 3 "
        "together, or leave the small classes out (--small-classes skip)"
    )


def test_a_class_without_examples_is_too_small():
    source = numbered_source([12, 0, 12])
    with pytest.raises(DataError, match=r"class 'class 1' has 0"):
        Tasks(source)


def test_more_tasks_than_classes():
    tasks = Tasks(numbered_source([12] * 3, [0, 0, 1]))
    with pytest.raises(DataError, match=r"'meta_batch' must be at most the 2 tasks of the train split.*Received: 8"):
        tasks.train()
    with pytest.raises(DataError, match=r"at most the 1 tasks of the validation split.*Received: 2"):
        tasks.validation(2)


def test_an_empty_split_is_an_error_only_when_it_is_used():
    tasks = Tasks(numbered_source([12] * 3))
    assert tasks.train(3).element_spec.support.shape[0] == 3
    assert tasks.splits["test"] == []
    for use in (tasks.validation, tasks.test):
        with pytest.raises(DataError, match=r"needs at least 1 class. Received: train 3, validation 0, test 0"):
            use(1)
    with pytest.raises(DataError, match=r"the test split needs at least 1 class"):
        tasks.episode_batch("test", 0, 1)


@pytest.mark.parametrize("argument", ["shots", "queries"])
@pytest.mark.parametrize("value", [0, -1, 1.0, "5", None, True])
def test_shots_and_queries_out_of_range(argument, value):
    with pytest.raises(ValueError, match=rf"'{argument}' must be an integer >= 1 and .* Received: {value!r}"):
        Tasks(numbered_source([12]), **{argument: value})


@pytest.mark.parametrize("seed", [-1, 2**31, 0.5])
def test_seed_out_of_range(seed):
    with pytest.raises(ValueError, match=r"'seed' must be an integer >= 0 and < 2.31"):
        Tasks(numbered_source([12]), seed=seed)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"meta_batch": 0}, "meta_batch"),
        ({"meta_batch": 2.0}, "meta_batch"),
        ({"start_step": -1}, "start_step"),
    ],
)
def test_train_arguments_out_of_range(tasks, arguments, name):
    with pytest.raises(ValueError, match=rf"'{name}' must be an integer"):
        tasks.train(**{"meta_batch": 2, **arguments})


def test_batches_and_step_out_of_range(tasks):
    with pytest.raises(ValueError, match=r"'batches' must be an integer >= 1"):
        tasks.validation(2, batches=0)
    with pytest.raises(ValueError, match=r"'step' must be an integer >= 0"):
        tasks.episode_batch("train", -1, 2)
    with pytest.raises(ValueError, match="'split' must be one of"):
        tasks.episode_batch("all", 0, 2)


def test_numpy_integers_are_accepted(tasks):
    made = Tasks(numbered_source([12]), shots=np.int64(3), seed=np.uint8(3))
    assert type(made.shots) is int and type(made.seed) is int
    assert tasks.episode_batch("train", np.int64(1), np.int32(2)).support.shape[0] == 2


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
