"""The real data sets that META_GAN_DATA names: their counts, splits and polarity, and episodes from them."""

from __future__ import annotations

import numpy as np
import pytest

from meta_gan.tasks import DataError, from_arrays, from_npz, open_source

pytestmark = pytest.mark.data


@pytest.mark.parametrize(
    ("name", "count", "shape", "split"),
    [
        ("omniglot28", 32460, (28, 28, 1), (813, 151, 659)),
        ("mnist", 70000, (28, 28, 1), (6, 2, 2)),
        ("fashion_mnist", 70000, (28, 28, 1), (6, 2, 2)),
        ("kmnist_test", 10000, (28, 28, 1), (6, 2, 2)),
        ("usps", 9298, (16, 16, 1), (6, 2, 2)),
        ("icons32", 10506, (32, 32, 1), (259, 46, 0)),
    ],
)
def test_counts_splits_and_polarity(data_folder, name, count, shape, split):
    tasks = from_npz(data_folder / f"{name}.npz")
    assert len(tasks.source.images) == count
    assert tasks.example_shape == shape
    assert tuple(len(names) for names in tasks.splits.values()) == split
    assert tasks.polarity == "light-on-dark"


def test_omniglot_has_twenty_drawings_of_each_character(data_folder):
    tasks = from_npz(data_folder / "omniglot28.npz", shots=5, queries=15)
    np.testing.assert_array_equal(tasks.source.class_sizes, 20)
    episode = tasks.episode_batch("test", 0, 8)
    assert episode.query.shape == (8, 15, 28, 28, 1)
    assert set(episode.task_id.numpy()) <= set(tasks.source.split_classes("test"))


def test_the_other_split_of_omniglot(data_folder):
    tasks = from_npz(data_folder / "omniglot28.npz", split_key="class_split_vinyals")
    assert [len(names) for names in tasks.splits.values()] == [1028, 172, 423]


def test_classes_of_a_meta_batch_of_mnist(data_folder):
    tasks = open_source(str(data_folder / "mnist.npz"), shots=1, queries=1)
    assert sorted(tasks.episode_batch("train", 0, 6).task_id.numpy()) == [0, 1, 2, 3, 4, 5]
    with pytest.raises(DataError, match=r"at most the 2 tasks of the validation split"):
        tasks.validation()


def test_speaker_and_digit_as_a_task(data_folder):
    with np.load(data_folder / "fsdd_spec32.npz") as archive:
        speakers = archive["speakers"][archive["speaker"]]
        tasks = from_arrays(archive["images"], None, group_by=(speakers, archive["labels"]))
    assert len(tasks.source.class_names) == 60
    assert "george × 0" in tasks.source.class_names
    np.testing.assert_array_equal(tasks.source.class_sizes, 50)


@pytest.mark.parametrize("name", ["names18", "emoji_domains32", "fonts32", "omniglot105_packed"])
def test_files_of_other_forms_are_refused(data_folder, name):
    with pytest.raises(DataError, match=rf"{name}.npz: must hold 'images' and 'labels', or .*Received: "):
        from_npz(data_folder / f"{name}.npz")
