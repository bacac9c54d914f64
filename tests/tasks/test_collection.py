"""`Collection`: which examples are held out, and what training and validation see of them."""

import numpy as np
import pytest

from meta_gan.tasks import Collection, DataError, Source
from meta_gan.tasks.collection import episode_size
from meta_gan.tasks.media import Texts

SIDE = 8


def source_of(sizes, **options):
    """Pictures whose left half says which they are, 10, 11, ... in class order, and the right half 255 less that."""
    count = sum(sizes)
    levels = np.arange(10, 10 + count, dtype=np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], (count, SIDE, SIDE, 1)).copy()
    images[:, :, SIDE // 2 :] = 255 - images[:, :, SIDE // 2 :]
    labels = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    names = [f"class {index}" for index in range(len(sizes))]
    return Source(images, labels, names, np.zeros(len(sizes), np.int8), **options)


def levels_of(examples):
    """Which pictures float[..., side, side, 1] are, as ints."""
    return np.rint((np.asarray(examples)[..., 0, 0, 0] + 1) * 127.5).astype(int)


def unchanged(examples):
    """Which tasks of float[tasks, n, side, side, 1] are of pictures as they are, not of variations: bool[tasks]."""
    left, right = np.split(np.asarray(examples), 2, axis=3)
    plain = (np.ptp(left, axis=(2, 3, 4)) == 0) & (np.ptp(right, axis=(2, 3, 4)) == 0)
    return (plain & np.isclose(left[..., 0, 0, 0], -right[..., 0, 0, 0], atol=1e-3)).all(axis=1)


@pytest.mark.parametrize(("smallest", "size"), [(2, (1, 1)), (3, (1, 2)), (8, (4, 4)), (11, (5, 6)), (50, (5, 7))])
def test_the_size_of_episodes(smallest, size):
    assert episode_size(smallest) == size


def test_validation_asks_for_what_training_never_sees():
    tasks = Collection(source_of([8, 12, 16]), seed=3)
    assert (tasks.shots, tasks.queries, tasks.queries_held_out) == (3, 3, 4)  # 2, 3 and 4 pictures are held out
    away = set()
    for step in range(4):
        episode = tasks.episode_batch("validation", step, 3)
        assert episode.query.shape == (3, 4, SIDE, SIDE, 1) and episode.support.shape == (3, 3, SIDE, SIDE, 1)
        for own, query in zip(episode.task_id.numpy(), levels_of(episode.query), strict=True):
            assert set(query - 10) <= set(np.flatnonzero(np.repeat([0, 1, 2], [8, 12, 16]) == own))
            away |= set(query)
        assert not set(levels_of(episode.support).ravel()) & away
    assert len(away) == 9, "the queries of a class are the same in every episode"

    seen = set()
    for episode in tasks.train(4).take(30):
        assert episode.support.shape == (4, 3, SIDE, SIDE, 1) and episode.query.shape == (4, 3, SIDE, SIDE, 1)
        each = np.concatenate([episode.support, episode.query], axis=1)
        seen |= set(levels_of(each[unchanged(each)]).ravel())
    assert len(seen) > 20 and not seen & away


def test_a_quarter_of_every_class_is_held_out_and_one_at_least():
    tasks = Collection(source_of([3, 4, 20]))
    assert tasks.queries_held_out == 5 and tasks.splits["validation"] == ["class 0", "class 1", "class 2"]
    assert Collection(source_of([20, 20])).queries_held_out == 5
    assert Collection(source_of([20, 20]), held_out=0.5).queries_held_out == 10
    assert Collection(source_of([100, 100]), held_out=0.5).queries_held_out == 32
    assert "2 classes of 20 images, about 25% of each held out" in Collection(source_of([20, 20])).describe()
    assert not tasks.splits["test"]


def test_groups_are_held_out_whole():
    groups = np.repeat(np.arange(8), 3)
    tasks = Collection(source_of([12, 12]), seed=1, groups=groups)
    queries = levels_of(tasks.episode_batch("validation", 0, 2).query) - 10
    for each in queries:
        assert len(set(groups[each])) == 1 and len(each) == 3
    # A class of one group is divided all the same.
    alike = Collection(source_of([12, 12]), groups=np.zeros(24, int))
    assert alike.queries_held_out == 3
    # At least two of a class are left to train on.
    assert Collection(source_of([4, 4]), held_out=0.9, groups=np.zeros(8, int)).queries_held_out == 2


@pytest.mark.slow
def test_the_seed_decides_all_draws_and_what_is_held_out():
    def episodes(seed):
        tasks = Collection(source_of([8, 8, 8]), seed=seed)
        return [tasks.episode_batch(split, 5, 2).query.numpy() for split in ("train", "validation")]

    assert all(np.array_equal(a, b) for a, b in zip(episodes(0), episodes(0), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(episodes(0), episodes(1), strict=True))


@pytest.mark.slow
def test_the_stream_is_that_of_single_episodes():
    tasks = Collection(source_of([8, 8, 8]), seed=2)
    streamed = list(tasks.train(2, start_step=3).take(2))
    for step, episode in zip((3, 4), streamed, strict=True):
        assert np.array_equal(episode.support, tasks.episode_batch("train", step, 2).support)


def test_other_media_have_no_variations():
    medium = Texts("abc")
    codes = np.zeros((8, 3), np.uint8)
    source = Source(codes, np.repeat(np.arange(2, dtype=np.int32), 4), ["x", "y"], np.zeros(2, np.int8), medium=medium)
    tasks = Collection(source)
    assert tasks.episode_batch("train", 0, 2).support.shape[:2] == (2, 1)
    assert len(tasks.drawable["train"]) == 2


def test_bad_arguments_are_refused_by_name():
    with pytest.raises(DataError, match=r"every class needs 3 or more.*2 of class 'class 1' \(1 of 2"):
        Collection(source_of([5, 2]))
    with pytest.raises(ValueError, match="'held_out' must"):
        Collection(source_of([5, 5]), held_out=1.0)
    with pytest.raises(DataError, match=r"'groups' must be int\[10\]"):
        Collection(source_of([5, 5]), groups=np.zeros(4))
    with pytest.raises(ValueError, match="'seed' must"):
        Collection(source_of([5, 5]), seed=-1)
