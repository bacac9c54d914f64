"""`Tasks.train(symmetries=True)`: the same episodes, each turned and mirrored as a whole."""

from __future__ import annotations

import numpy as np
import pytest

from meta_gan.tasks import DataError, Tasks
from meta_gan.tasks.base import Source
from meta_gan.types import Episode
from tests.tasks.helpers import assert_same, numbered_source, numbers

CLASSES, EACH = 6, 6
GOLDEN = {
    "task_id": [0, 3],
    "seed": [[-580489658, 1842495097], [1343128381, 1519636818]],
    "support": [[5, 16], [9, 22]],
    "query": [[2], [25]],
}
EIGHT = [lambda x, k=k: np.rot90(x, k, (-3, -2)) for k in range(4)]
EIGHT += [lambda x, k=k: np.rot90(x, k, (-3, -2))[..., ::-1, :] for k in range(4)]
"""The symmetries of a square, of images [..., side, side, channels], by rotations and one reflection."""


def noise(side=6, width=None, channels=2, seed=4) -> Tasks:
    """Tasks of noise, which no two symmetries turn into the same image."""
    shape = (CLASSES * EACH, side, width or side, channels)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    labels = np.repeat(np.arange(CLASSES, dtype=np.int32), EACH)
    split = np.array([0, 0, 0, 0, 1, 2], np.int8)
    source = Source(images, labels, [str(k) for k in range(CLASSES)], split, None, "noise")
    return Tasks(source, shots=2, queries=3, seed=seed)


@pytest.fixture(scope="module")
def tasks() -> Tasks:
    return noise()


def images(episode: Episode) -> np.ndarray:
    """Support and query together, float[tasks, shots + queries, side, side, channels]."""
    return np.concatenate([episode.support, episode.query], axis=1)


def which(plain: np.ndarray, turned: np.ndarray) -> list[int]:
    """The numbers of the symmetries that make `turned` of `plain`."""
    return [number for number, change in enumerate(EIGHT) if np.array_equal(change(plain), turned)]


@pytest.fixture(scope="module")
def drawn(tasks) -> tuple[list[Episode], list[Episode]]:
    """200 steps of four tasks, without and with symmetries."""
    return list(tasks.train(4).take(200)), list(tasks.train(4, symmetries=True).take(200))


def test_the_eight_are_eight(tasks):
    plain = images(tasks.episode_batch("train", 0, 1))[0]
    assert [which(plain, change(plain)) for change in EIGHT] == [[k] for k in range(8)]


def test_classes_and_seeds_are_the_same(drawn):
    for plain, turned in zip(*drawn, strict=True):
        np.testing.assert_array_equal(turned.task_id, plain.task_id)
        np.testing.assert_array_equal(turned.seed, plain.seed)


def test_every_task_is_turned_as_a_whole(drawn):
    """One symmetry for support and query: a class of drawings must remain one."""
    for plain, turned in zip(*drawn, strict=True):
        for before, after in zip(images(plain), images(turned), strict=True):
            assert len(which(before, after)) == 1


@pytest.fixture(scope="module")
def chosen(drawn) -> np.ndarray:
    """int[steps, tasks], the symmetry of every task."""
    pairs = zip(*drawn, strict=True)
    return np.array([[which(*pair)[0] for pair in zip(images(p), images(t), strict=True)] for p, t in pairs])


def test_all_eight_occur_about_equally(chosen):
    # 800 tasks, 100 each expected; a standard deviation is sqrt(800 * 1/8 * 7/8) = 9.4.
    np.testing.assert_allclose(np.bincount(chosen.ravel(), minlength=8), 100, atol=40)


def test_the_tasks_of_a_batch_are_turned_apart(chosen):
    different = [len(set(row)) for row in chosen.tolist()]
    # Four draws of eight have 3.31 different ones in the mean, with a standard deviation of 0.64.
    assert abs(np.mean(different) - 3.31) < 0.2
    pairs = np.stack([chosen[:, 0], chosen[:, 1]])
    assert abs(np.corrcoef(pairs)[0, 1]) < 0.25


def test_a_class_is_seen_in_every_position(drawn, chosen):
    classes = np.array([episode.task_id.numpy() for episode in drawn[0]])
    for label in range(4):
        assert set(chosen[classes == label]) == set(range(8))


@pytest.mark.parametrize("start", [1, 7])
def test_resuming_continues_the_stream(drawn, tasks, start):
    again = tasks.train(4, start_step=start, symmetries=True).take(3)
    for before, after in zip(drawn[1][start:], again, strict=False):
        assert_same(before, after)


def test_another_object_draws_the_same_and_another_seed_does_not(drawn):
    (same,), (other,) = (list(noise(seed=seed).train(4, symmetries=True).take(1)) for seed in (4, 5))
    assert_same(same, drawn[1][0])
    assert not np.array_equal(same.support, other.support)


def test_shapes_types_and_levels_are_the_same(tasks, drawn):
    assert tasks.train(4, symmetries=True).element_spec == tasks.train(4).element_spec
    plain, turned = (np.sort(images(episodes[0]).ravel()) for episodes in drawn)
    np.testing.assert_array_equal(plain, turned)


def test_channels_stay_in_their_places(drawn):
    for plain, turned in zip(images(drawn[0][0]), images(drawn[1][0]), strict=True):
        for channel in range(2):
            np.testing.assert_array_equal(np.sort(plain[..., channel].ravel()), np.sort(turned[..., channel].ravel()))


@pytest.mark.parametrize("sides", [(6, 8), (8, 6)])
def test_images_that_are_not_square_are_refused_at_once(sides):
    tasks = noise(*sides, channels=1)
    with pytest.raises(DataError) as caught:
        tasks.train(2, symmetries=True)
    shape = (*sides, 1)
    assert str(caught.value) == f"noise: 'symmetries' needs square images. Received: {shape}"
    assert next(iter(tasks.train(2))).support.shape == (2, 2, *shape), "without it they are welcome"


def test_only_training_is_turned(tasks):
    """Validation and test are the same whatever a run trains on."""
    for split, stream in (("validation", tasks.validation(1, 2)), ("test", tasks.test(1, 2))):
        for step, episode in enumerate(stream):
            assert_same(episode, tasks.episode_batch(split, step, 1))
            drawn, stored = images(episode)[0], tasks.source.images / 127.5 - 1
            assert all(np.abs(stored - image).max(axis=(1, 2, 3)).min() < 1e-6 for image in drawn)


def test_without_symmetries_nothing_has_changed(drawn, tasks):
    """Off by default, and then the episodes that they were before there were any, number by number."""
    for step in (0, 1, 50):
        assert_same(drawn[0][step], tasks.episode_batch("train", step, 4))
        assert_same(drawn[0][step], next(iter(tasks.train(4, step, symmetries=False))))
    episode = Tasks(numbered_source([12, 15, 20, 13]), shots=2, queries=1, seed=4).episode_batch("train", 3, 2)
    assert episode.task_id.numpy().tolist() == GOLDEN["task_id"]
    assert episode.seed.numpy().tolist() == GOLDEN["seed"]
    assert numbers(episode.support).tolist() == GOLDEN["support"]
    assert numbers(episode.query).tolist() == GOLDEN["query"]
