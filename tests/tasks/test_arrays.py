"""`from_arrays`: pixel rules, labels, names, splits, `group_by` and `groups`."""

from __future__ import annotations

import numpy as np
import pytest

from meta_gan.tasks import DataError, from_arrays
from meta_gan.tasks.base import default_split
from meta_gan.tasks.readers.arrays import to_labels, to_levels, to_split
from tests.tasks.helpers import numbered_images, numbers


def test_bytes_stay_and_gain_a_channel():
    images = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    levels = to_levels(images)
    assert levels.shape == (2, 4, 4, 1)
    np.testing.assert_array_equal(levels[..., 0], images)


def test_floats_with_a_negative_are_minus_one_to_one():
    # (-1 + 1) * 127.5 = 0, (0 + 1) * 127.5 = 127.5 rounds to even 128, (.6 + 1) * 127.5 = 204, (1 + 1) *
    # 127.5 = 255
    levels = to_levels(np.array([-1.0, 0.0, 0.6, 1.0]).reshape(1, 2, 2))
    np.testing.assert_array_equal(levels.ravel(), [0, 128, 204, 255])


def test_floats_without_a_negative_are_zero_to_one():
    levels = to_levels(np.array([0.0, 0.2, 0.6, 1.0], np.float32).reshape(1, 2, 2))
    np.testing.assert_array_equal(levels.ravel(), [0, 51, 153, 255])


def test_every_level_survives_both_float_forms():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    np.testing.assert_array_equal(to_levels((levels / 255).astype(np.float32)), levels)
    np.testing.assert_array_equal(to_levels((levels / 127.5 - 1).astype(np.float32)), levels)


@pytest.mark.parametrize("value", [1.01, -1.01, np.nan, np.inf, 255.0])
def test_floats_out_of_range(value):
    images = np.zeros((1, 2, 2))
    images[0, 0, 0] = value
    with pytest.raises(DataError, match=r"'images' of floats must be finite and lie in \[-1, 1\] or \[0, 1\]"):
        to_levels(images)


@pytest.mark.parametrize("dtype", [complex, "U3", "M8[s]"])
def test_other_dtypes(dtype):
    with pytest.raises(DataError, match=r"must be uint8 or floating point. Received: dtype"):
        to_levels(np.zeros((1, 2, 2), dtype))


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.int16, np.float64])
def test_levels_of_other_integers_are_the_levels(dtype):
    levels = np.array([0, 1, 128, 255]).reshape(1, 2, 2).astype(dtype)
    images = levels / 255 if dtype is np.float64 else levels
    np.testing.assert_array_equal(to_levels(images).ravel(), [0, 1, 128, 255])


def test_bools_are_black_and_white():
    np.testing.assert_array_equal(to_levels(np.array([[[True, False]]])).ravel(), [255, 0])


@pytest.mark.parametrize("values", [[0, 256], [-1, 5], [0, 1], [0, 65535]])
def test_integers_of_doubtful_meaning(values):
    with pytest.raises(DataError, match=r"'images' of integers must be levels in 0..255.*Received: int32, "):
        to_levels(np.array(values, np.int32).reshape(1, 1, 2))


def test_light_floats_of_the_signed_form_are_not_rescaled():
    levels = np.array([128, 200, 255], np.uint8).reshape(1, 1, 3)
    signed = (levels / 127.5 - 1).astype(np.float32)
    assert signed.min() > 0
    np.testing.assert_array_equal(to_levels(signed)[..., 0], levels)
    np.testing.assert_array_equal(to_levels(np.array([[[0.5]]]), value_range=(-1, 1)).ravel(), [191])
    np.testing.assert_array_equal(to_levels(np.array([[[0.5]]])).ravel(), [128])
    with pytest.raises(DataError, match=r"must lie in \[0, 1\], as 'value_range' says"):
        to_levels(np.array([[[-0.5]]]), value_range=(0, 1))
    with pytest.raises(DataError, match=r"'value_range' must be"):
        to_levels(np.array([[[-0.5]]]), value_range=(0, 255))


@pytest.mark.parametrize("shape", [(4, 4), (0, 4, 4), (1, 0, 4, 1), (1, 1, 4, 4, 1), ()])
def test_other_shapes(shape):
    with pytest.raises(DataError, match=r"'images' must have shape \[n, height, width\]"):
        to_levels(np.zeros(shape, np.uint8))


def test_labels_without_names_name_themselves_in_order():
    labels, names = to_labels([30, -2, 30, 7], None, 4)
    np.testing.assert_array_equal(labels, [2, 0, 2, 1])
    assert names == ["-2", "7", "30"]
    assert labels.dtype == np.int32


def test_string_labels_in_any_script():
    labels, names = to_labels(["я", "a", "я"], None, 3)
    np.testing.assert_array_equal(labels, [1, 0, 1])
    assert names == ["a", "я"]


def test_integer_labels_index_names():
    labels, names = to_labels(np.array([2, 0], np.uint8), ["x", "y", "z"], 2)
    np.testing.assert_array_equal(labels, [2, 0])
    assert names == ["x", "y", "z"]


@pytest.mark.parametrize("labels", [[0, 1, 3], [0, -1, 1], ["x", "y", "z"]])
def test_labels_that_do_not_index_the_names(labels):
    with pytest.raises(DataError, match=r"'labels' must be integers in 0..2, indices of the 3 class names. Received: "):
        to_labels(labels, ["x", "y", "z"], 3)


@pytest.mark.parametrize(
    "labels", [[0, 1], [[0, 1]] * 2, [[0, 2]] * 3, [[1, 1]] * 3, [0.0, 1.0, 2.0], [True, False, True], None]
)
def test_labels_of_other_shapes_and_dtypes(labels):
    with pytest.raises(DataError, match=r"'labels' must be 3 integers or strings, one for each example. Received: "):
        to_labels(labels, None, 3)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["x", "z", "x"], object),
        np.array([b"x", b"z", b"x"]),
        np.array([b"x", b"z", b"x"], object),
        [["x"], ["z"], ["x"]],
    ],
)
def test_labels_of_strings_in_other_forms(labels):
    found, names = to_labels(labels, None, 3)
    assert found.tolist() == [0, 1, 0] and names == ["x", "z"]


@pytest.mark.parametrize(
    "labels",
    [
        np.array([2, 0, 2], object),
        [[2], [0], [2]],
        np.eye(3, dtype=int)[[2, 0, 2]],
        np.eye(3, dtype=np.float32)[[2, 0, 2]],
        np.eye(3, dtype=bool)[[2, 0, 2]],
    ],
)
def test_labels_of_integers_in_other_forms(labels):
    found, names = to_labels(labels, ["x", "y", "z"], 3)
    assert found.tolist() == [2, 0, 2] and names == ["x", "y", "z"]


@pytest.mark.parametrize(
    "labels", [[1, "a", 2], [1, None, 2], [1.5, 2, 3], [2**70, 1, 2], [True, 1, 2], ["a", b"a", "b"]]
)
def test_mixed_objects_are_no_labels(labels):
    with pytest.raises(DataError, match=r"'labels' must be 3 integers or strings"):
        to_labels(np.array(labels, object), None, 3)


def test_names_of_bytes_and_objects():
    assert to_labels([0, 1], [b"caf\xc3\xa9", "b"], 2)[1] == ["café", "b"]
    with pytest.raises(DataError, match=r"'class_names' of bytes must be in UTF-8. Received: b'caf\\xe9'"):
        to_labels([0], [b"caf\xe9"], 1)
    for names in ([["a"]], {"a"}, {"a": 0}, 1):
        with pytest.raises(DataError, match=r"'class_names' must be a list of names"):
            to_labels([0], names, 1)
    with pytest.raises(DataError, match=r"every class must have a name in UTF-8; rename it. Received: 'caf\\xe9'"):
        to_labels([0], ["caf\udce9"], 1)


def test_control_characters_in_names_are_stored_escaped_and_split_as_they_are():
    names = ["red\x1b[31m", "new\nline", "plain"]
    source = from_arrays(numbered_images(36), np.repeat([0, 1, 2], 12), class_names=names).source
    assert source.class_names == ["red\\x1b[31m", "new\\nline", "plain"]
    np.testing.assert_array_equal(source.class_split, default_split(names))


def test_small_classes_are_skipped_by_name():
    labels = np.repeat([0, 1, 2], [12, 3, 14])
    given = {"class_names": ["a", "b", "c"], "class_split": [0, 1, 2]}
    with pytest.raises(DataError, match="class 'b' has 3"):
        from_arrays(numbered_images(29), labels, **given)
    tasks = from_arrays(numbered_images(29), labels, **given, small_classes="skip")
    assert tasks.splits == {"train": ["a"], "validation": [], "test": ["c"]}
    assert tasks.source.skipped == ("class 'b' of 3, below 12",)
    assert "skipped: class 'b' of 3, below 12" in tasks.describe() and tasks.card["skipped"] == [*tasks.source.skipped]
    assert np.dot(tasks.source.images[:, 0, :2, 0], [256, 1]).tolist() == [*range(12), *range(15, 29)]
    with pytest.raises(DataError, match=r"at least 1 class must have .* = 12 examples. Received: at most 3"):
        from_arrays(numbered_images(3), np.zeros(3, int), small_classes="skip")
    with pytest.raises(DataError, match="'small_classes' must be one of 'error', 'skip'"):
        from_arrays(numbered_images(29), labels, small_classes="drop")


def test_small_classes_of_groups_count_groups():
    labels, groups = np.repeat([0, 1], 12), np.concatenate([np.arange(12), np.repeat([0, 1], 6)])
    tasks = from_arrays(numbered_images(24), labels, groups=groups, class_split=[0, 0], small_classes="skip")
    assert tasks.source.skipped == ("class '1' of 2, below 12",)


def test_a_split_that_is_given_is_kept_and_none_is_hashed():
    np.testing.assert_array_equal(to_split([0, 2, 1], "abc"), [0, 2, 1])
    np.testing.assert_array_equal(to_split(None, "abc"), default_split("abc"))


@pytest.mark.parametrize("split", [[0, 1], [0, 1, 3], [0, 1, -1], ["a", "b", "c"], [0.5, 1, 2]])
def test_splits_out_of_range(split):
    with pytest.raises(DataError, match=r"'class_split' must be 0 \(train\).*for each of the 3 classes. Received: "):
        to_split(split, "abc")


def test_from_arrays_end_to_end():
    labels = np.array(["b", "a", "c"] * 12)
    tasks = from_arrays(numbered_images(36), labels, class_split=[0, 1, 2], shots=4, queries=8, seed=9)
    assert tasks.splits == {"train": ["a"], "validation": ["b"], "test": ["c"]}
    assert (tasks.shots, tasks.queries, tasks.seed, tasks.source.name) == (4, 8, 9, "arrays")
    episode = tasks.episode_batch("validation", 0, 1)
    drawn = np.concatenate([numbers(episode.support), numbers(episode.query)], axis=1)
    np.testing.assert_array_equal(np.sort(drawn[0]), np.arange(0, 36, 3))


def test_float_images_reach_the_model_as_they_were():
    images = np.random.default_rng(0).uniform(-1, 1, (12, 4, 4, 3)).astype(np.float32)
    episode = from_arrays(images, np.zeros(12, int), class_split=[0]).episode_batch("train", 0, 1)
    drawn = np.sort(np.concatenate([episode.support[0], episode.query[0]]).ravel())
    np.testing.assert_allclose(drawn, np.sort(images.ravel()), atol=0.5 / 127.5 + 1e-6)


def test_a_pair_defines_tasks_instead_of_the_labels():
    speaker = np.repeat(["ann", "bob"], 24)
    digit = np.tile(np.repeat([0, 1], 12), 2)
    tasks = from_arrays(numbered_images(48), None, group_by=(speaker, digit))
    assert tasks.source.class_names == ["ann × 0", "ann × 1", "bob × 0", "bob × 1"]
    np.testing.assert_array_equal(tasks.source.labels, np.repeat([0, 1, 2, 3], 12))


def test_only_pairs_that_occur_are_tasks():
    first = np.array([0] * 12 + [1] * 12)
    second = np.array([5] * 12 + [6] * 12)
    tasks = from_arrays(numbered_images(24), np.zeros(24, int), group_by=(first, second))
    assert tasks.source.class_names == ["0 × 5", "1 × 6"]


def test_one_array_defines_tasks_by_its_values():
    font = np.tile(["serif", "mono"], 12)
    tasks = from_arrays(numbered_images(24), np.arange(24), group_by=font)
    assert tasks.source.class_names == ["mono", "serif"]
    np.testing.assert_array_equal(tasks.source.labels, np.tile([1, 0], 12))


def test_group_by_splits_by_the_names_it_makes():
    values = np.repeat([f"name {index}" for index in range(30)], 12)
    tasks = from_arrays(numbered_images(360), None, group_by=values)
    np.testing.assert_array_equal(tasks.source.class_split, default_split(tasks.source.class_names))


@pytest.mark.parametrize("extra", [{"class_names": ["a"]}, {"class_split": [0]}])
def test_group_by_excludes_names_and_splits(extra):
    with pytest.raises(DataError, match=r"'class_names' and 'class_split' must be None. Received: "):
        from_arrays(numbered_images(12), None, group_by=np.zeros(12, int), **extra)


def test_group_by_of_other_lengths():
    with pytest.raises(DataError, match=r"a pair of arrays. Received: a tuple of 3"):
        from_arrays(numbered_images(12), None, group_by=(np.zeros(12, int),) * 3)
    with pytest.raises(DataError, match=r"'group_by\[1\]' must be 12 integers or strings"):
        from_arrays(numbered_images(12), None, group_by=(np.zeros(12, int), np.zeros(11, int)))
    with pytest.raises(DataError, match=r"'group_by' must be 12 integers or strings"):
        from_arrays(numbered_images(12), None, group_by=np.zeros(13, int))


def test_groups_may_be_names():
    writers = np.tile([f"writer {index}" for index in range(12)], 2)
    tasks = from_arrays(numbered_images(24), np.zeros(24, int), groups=writers, class_split=[0])
    for episode in tasks.train(1).take(20):
        drawn = np.concatenate([numbers(episode.support), numbers(episode.query)], axis=1)[0]
        assert len(set(writers[drawn])) == 12


def test_groups_of_another_length():
    with pytest.raises(DataError, match=r"'groups' must be 12 integers or strings"):
        from_arrays(numbered_images(12), np.zeros(12, int), groups=np.zeros(5, int))


def test_a_class_without_examples_is_named():
    with pytest.raises(DataError, match=r"class 'ghost' has 0"):
        from_arrays(numbered_images(12), np.zeros(12, int), class_names=["real", "ghost"])
