"""`Source` and the default split."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest

from meta_gan.tasks import DataError, Source
from meta_gan.tasks.base import SPLITS, default_split
from tests.tasks.helpers import numbered_source, square


def make(**changes) -> Source:
    fields = {
        "images": np.zeros((6, 4, 5, 1), np.uint8),
        "labels": np.array([0, 1, 2, 0, 1, 0], np.int32),
        "class_names": ["zero", "один", "二"],
        "class_split": np.array([0, 1, 2], np.int8),
        "name": "six",
    }
    return Source(**{**fields, **changes})


def test_default_split_by_hand():
    # First bytes of sha256: a ca (.79), b 3e (.24), g cd (.80)
    first = [hashlib.sha256(name.encode()).digest()[0] / 256 for name in "abg"]
    assert first == [0xCA / 256, 0x3E / 256, 0xCD / 256]
    np.testing.assert_array_equal(default_split("abg"), [0, 0, 1])


def test_default_split_of_a_name_does_not_depend_on_the_others():
    names = [f"name {index}" for index in range(200)]
    whole = default_split(names)
    np.testing.assert_array_equal(default_split(names[::-3]), whole[::-3])
    assert default_split(["name 7"])[0] == whole[7]


def test_default_split_is_80_10_10():
    split = default_split(str(index) for index in range(10000))
    # Three standard deviations of a count of 10000 at .1 are 90.
    counts = np.bincount(split)
    np.testing.assert_allclose(counts, [8000, 1000, 1000], atol=120)
    assert split.dtype == np.int8


def test_default_split_takes_any_name():
    assert default_split(["", "é", "漢字", "\ud800"]).shape == (4,)
    assert default_split([]).shape == (0,)


def test_sizes_shape_and_split_classes():
    source = make()
    np.testing.assert_array_equal(source.class_sizes, [3, 2, 1])
    assert source.example_shape == (4, 5, 1)
    assert [source.split_classes(split).tolist() for split in SPLITS] == [[0], [1], [2]]


def test_class_sizes_count_empty_classes():
    source = make(class_names=["a", "b", "c", "d"], class_split=np.zeros(4, np.int8))
    np.testing.assert_array_equal(source.class_sizes, [3, 2, 1, 0])


def test_every_class_is_in_exactly_one_split():
    source = numbered_source([2] * 9, [0, 1, 2, 0, 1, 2, 0, 0, 0])
    together = np.concatenate([source.split_classes(split) for split in SPLITS])
    np.testing.assert_array_equal(np.sort(together), np.arange(9))


def test_polarity_is_that_of_the_images():
    dark = np.repeat(square(8, 255, 0)[None, ..., None], 6, axis=0)
    assert make(images=dark).polarity == "dark-on-light"
    assert make(images=255 - dark).polarity == "light-on-dark"


def test_describe_by_hand():
    assert make().describe().splitlines() == [
        "six: 3 classes, 6 images of 4 x 5 x 1, light-on-dark",
        "  train          1 classes of 3 images: zero",
        "  validation     1 classes of 2 images: один",
        "  test           1 classes of 1 images: 二",
    ]


def test_describe_marks_empty_splits_and_shortens_lists_of_names():
    source = numbered_source([2, 3, 4, 5, 6, 7], [0] * 6)
    lines = source.describe().splitlines()
    assert lines[1].endswith("6 classes of 2 to 7 images: class 0, class 1, class 2, class 3, class 4, ...")
    assert lines[2:] == ["  validation no classes", "  test       no classes"]


def test_a_source_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().name = "other"


def test_split_classes_refuses_other_names():
    with pytest.raises(ValueError, match=r"must be one of 'train', 'validation', 'test'. Received: 'valid'"):
        make().split_classes("valid")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "images",
            np.zeros((6, 4, 5, 1), np.float32),
            r"'images' must be uint8.*Received: float32\[6, 4, 5, 1\]",
        ),
        ("images", np.zeros((6, 4, 5), np.uint8), r"'images' must be uint8\[n.*Received: uint8\[6, 4, 5\]"),
        ("images", np.zeros((0, 4, 5, 1), np.uint8), r"with n >= 1. Received: uint8\[0, 4, 5, 1\]"),
        ("labels", np.zeros(6, np.int64), r"'labels' must be int32\[6\]. Received: int64\[6\]"),
        ("labels", np.zeros(5, np.int32), r"'labels' must be int32\[6\]. Received: int32\[5\]"),
        ("labels", np.array([0, 0, 0, 0, 0, 3], np.int32), r"must lie in 0..2. Received: 0 to 3"),
        ("labels", np.array([0, 0, 0, 0, 0, -1], np.int32), r"must lie in 0..2. Received: -1 to 0"),
        ("class_split", np.zeros(2, np.int8), r"'class_split' must be one of 0, 1, 2.*Received: int8\[2\]"),
        ("class_split", np.array([0, 1, 3], np.int8), r"for each of the 3 classes"),
        ("groups", np.zeros(5, np.int32), r"'groups' must be int32\[6\]. Received: int32\[5\]"),
        ("held_out", np.zeros(5, bool), r"'held_out' must be bool\[6\]. Received: bool\[5\]"),
        ("held_out", np.zeros(6, np.int8), r"'held_out' must be bool\[6\]. Received: int8\[6\]"),
    ],
)
def test_a_source_refuses(field, value, message):
    with pytest.raises(DataError, match=message) as caught:
        make(**{field: value})
    assert str(caught.value).startswith("six: ")
