"""`from_npz`: both forms, what is optional, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from meta_gan.tasks import DataError, from_npz
from meta_gan.tasks.base import default_split
from tests.tasks.helpers import numbered_images, numbers


def write(folder, name="set.npz", **arrays):
    path = folder / name
    np.savez(path, **arrays)
    return path


def common(**changes):
    arrays = {
        "images": numbered_images(36)[..., 0],
        "labels": np.repeat([0, 1, 2], 12),
        "class_names": np.array(["α", "β", "γ"]),
        "class_split": np.array([0, 1, 2], np.int8),
    }
    return {**arrays, **changes}


def test_the_common_form(tmp_path):
    tasks = from_npz(write(tmp_path, **common()), shots=2, queries=3, seed=5)
    assert tasks.splits == {"train": ["α"], "validation": ["β"], "test": ["γ"]}
    assert tasks.example_shape == (4, 4, 1)
    assert (tasks.shots, tasks.queries, tasks.seed, tasks.source.name) == (2, 3, 5, "set.npz")
    drawn = numbers(tasks.episode_batch("test", 0, 1).support)
    assert set(drawn.ravel().tolist()) <= set(range(24, 36))


def test_train_and_test_parts_are_joined(tmp_path):
    images, labels = numbered_images(30), np.tile([0, 1], 15)
    path = write(tmp_path, x_train=images[:20], y_train=labels[:20], x_test=images[20:], y_test=labels[20:])
    source = from_npz(path, shots=1, queries=1).source
    np.testing.assert_array_equal(source.images, images)
    np.testing.assert_array_equal(source.labels, labels)
    assert source.class_names == ["0", "1"]
    np.testing.assert_array_equal(source.held_out, [False] * 20 + [True] * 10)


@pytest.mark.parametrize("part", ["train", "test"])
def test_one_part_alone_will_do(tmp_path, part):
    path = write(tmp_path, **{f"x_{part}": numbered_images(12), f"y_{part}": np.zeros(12, np.uint8)})
    source = from_npz(path).source
    assert len(source.images) == 12 and source.held_out is None, "one part alone is apart from nothing"


def test_images_and_labels_go_before_the_parts(tmp_path):
    path = write(tmp_path, **common(), x_test=numbered_images(5), y_test=np.zeros(5, int))
    assert len(from_npz(path).source.images) == 36


def test_without_a_split_the_names_decide(tmp_path):
    arrays = common()
    del arrays["class_split"]
    source = from_npz(write(tmp_path, **arrays)).source
    np.testing.assert_array_equal(source.class_split, default_split(["α", "β", "γ"]))


def test_another_split_can_be_chosen(tmp_path):
    path = write(tmp_path, **common(mine=np.array([2, 0, 0])))
    assert from_npz(path, split_key="mine").splits["test"] == ["α"]


def test_a_split_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"set.npz: 'split_key' must be one of \['images'.*Received: 'yours'"):
        from_npz(write(tmp_path, **common()), split_key="yours")


def test_resizing_and_channels(tmp_path):
    images = np.zeros((12, 4, 4), np.uint8)
    images[:, :2, :2] = 200
    images[:, :2, 2:] = 100
    path = write(tmp_path, images=images, labels=np.zeros(12, int))
    small = from_npz(path, image_shape=(2, 2, 3)).source.images
    assert small.shape == (12, 2, 2, 3)
    np.testing.assert_array_equal(small[3, ..., 1], [[200, 100], [0, 0]])


@pytest.mark.parametrize(
    "arrays",
    [
        {"sounds": np.zeros((3, 8), np.int16), "labels": np.zeros(3, int)},
        {"images": np.zeros((3, 4, 4), np.uint8), "fonts": np.zeros(3, int)},
        {"x_train": np.zeros((3, 4, 4), np.uint8), "y_test": np.zeros(3, int)},
    ],
)
def test_other_keys(tmp_path, arrays):
    with pytest.raises(DataError) as caught:
        from_npz(write(tmp_path, **arrays))
    assert str(caught.value).endswith(f"Received: {', '.join(arrays)}")
    assert "set.npz: must hold 'images' and 'labels', or 'x_train' and 'y_train'" in str(caught.value)


def test_parts_of_different_shapes(tmp_path):
    path = write(
        tmp_path,
        x_train=np.zeros((3, 4, 4), np.uint8),
        y_train=np.zeros(3, int),
        x_test=np.zeros((3, 5, 4), np.uint8),
        y_test=np.zeros(3, int),
    )
    with pytest.raises(DataError, match=r"x_train uint8\[3, 4, 4\], x_test uint8\[3, 5, 4\]"):
        from_npz(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((36, 4), np.uint8)}, r"set.npz: 'images' must have shape"),
        ({"images": np.full((36, 4, 4), 256)}, r"set.npz: 'images' of integers must be levels in 0..255"),
        ({"images": np.zeros((36, 4, 4), complex)}, r"set.npz: 'images' must be uint8 or floating"),
        ({"labels": np.zeros(35, int)}, r"set.npz: 'labels' must be 36 integers"),
        ({"labels": np.full(36, 3)}, r"set.npz: 'labels' must be integers in 0..2"),
        ({"class_split": np.zeros(2, int)}, r"set.npz: 'class_split' must be 0 \(train\)"),
    ],
)
def test_messages_name_the_file_and_the_array(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        from_npz(write(tmp_path, **common(**changes)))


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must exist. Received: .*nothing.npz"):
        from_npz(tmp_path / "nothing.npz")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 broken"])
def test_files_that_are_no_archives(tmp_path, content):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"bad.npz: must be a NumPy .npz archive. Received: "):
        from_npz(path)


def test_a_truncated_archive(tmp_path):
    path = write(tmp_path, **common())
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(DataError, match=r"set.npz: must be a NumPy .npz archive"):
        from_npz(path)


def test_an_archive_with_a_flipped_byte(tmp_path):
    path = tmp_path / "set.npz"
    np.savez_compressed(path, **common())
    content = bytearray(path.read_bytes())
    content[120] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"set.npz: 'images' must be a whole array"):
        from_npz(path)


def test_a_single_array_is_not_an_archive(tmp_path):
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(DataError, match=r"must be a .npz archive of named arrays. Received: one array, float64"):
        from_npz(tmp_path / "one.npz")


def test_pickles_are_not_opened(tmp_path):
    path = write(tmp_path, **common(labels=np.array([{"a": 1}] * 36, object)))
    with pytest.raises(DataError, match=r"'labels' must be a whole array without pickles"):
        from_npz(path)


def test_a_wrong_image_shape_is_refused_before_the_file_is_read(tmp_path):
    with pytest.raises(ValueError, match="'image_shape' must be"):
        from_npz(tmp_path / "nothing.npz", image_shape=(28, 28))
