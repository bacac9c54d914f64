"""The committed class splits: their bytes, their counts, and how they meet a source."""

import hashlib

import numpy as np
import pytest

from meta_gan.protocol import splits
from meta_gan.protocol.allocation import allocation_line
from meta_gan.tasks import from_npz
from meta_gan.tasks.base import SPLITS, Source

DRAWINGS = "f627497f104094ba663f5692378eeba671d0cb4adeb9f37869185bd854deadb3"


def source_of(names, split=None):
    split = np.zeros(len(names), np.int8) if split is None else np.array(split, np.int8)
    images = np.zeros((len(names), 4, 4, 1), np.uint8)
    return Source(images, np.arange(len(names), dtype=np.int32), list(names), split, name="named")


@pytest.mark.parametrize("task", splits.SHA256)
def test_the_files_are_the_committed_ones(task):
    assert hashlib.sha256((splits.FOLDER / f"{task}.txt").read_bytes()).hexdigest() == splits.SHA256[task]


def test_a_file_that_was_changed_is_refused(tmp_path, monkeypatch):
    (tmp_path / "D.txt").write_text("0\ttest\t0\n")
    monkeypatch.setattr(splits, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"split of task D must have the sha256 ac07e159.*Received: [0-9a-f]{64}"):
        splits.read_folds("D")


def test_task_a_has_the_official_evaluation_characters_as_its_test_split():
    (fold,) = splits.read_folds("A")
    counts = {split: list(fold.values()).count(split) for split in SPLITS}
    assert counts == {"train": 813, "validation": 151, "test": 659}
    alphabets = {split: {name.split("/")[0] for name, s in fold.items() if s == split} for split in SPLITS}
    assert len(alphabets["validation"]) == 5 and len(alphabets["test"]) == 20
    assert not alphabets["train"] & alphabets["validation"], "whole alphabets are held out"
    assert not alphabets["test"] & (alphabets["train"] | alphabets["validation"])


def test_task_b_holds_each_digit_out_once():
    folds = splits.read_folds("B")
    assert len(folds) == 10
    for digit, fold in enumerate(folds):
        assert {name for name, split in fold.items() if split == "test"} == {str(digit)}
        assert len(fold) == 10 and "validation" not in fold.values()


def test_task_c_tests_every_class_in_one_of_five_folds():
    folds = splits.read_folds("C")
    tested = [sorted(name for name, split in fold.items() if split == "test") for fold in folds]
    assert [len(names) for names in tested] == [2] * 5
    assert len({name for names in tested for name in names}) == 10
    order = sorted(folds[0], key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert tested[1] == sorted(order[2:4])


def test_task_d_tests_every_digit():
    assert splits.read_folds("D") == [{str(digit): "test" for digit in range(10)}]


def test_the_weak_split_tests_three_characters_of_every_alphabet():
    (fold,) = splits.read_folds("weak")
    assert set(fold) == set(splits.read_folds("A")[0])
    tested = [name.split("/character") for name, split in fold.items() if split == "test"]
    alphabets = {name.split("/")[0] for name in fold}
    assert sorted(tested) == sorted([alphabet, number] for alphabet in alphabets for number in ("01", "02", "03"))
    assert {name[-2:] for name, split in fold.items() if split == "validation"} == {"04"}
    assert list(fold.values()).count("train") == 1423


@pytest.mark.parametrize(
    ("text", "parsed"), [("weak", ("weak", 0)), ("A", ("A", 0)), ("B/3", ("B", 3)), ("C/4", ("C", 4)), ("D", ("D", 0))]
)
def test_names_of_tasks(text, parsed):
    assert splits.parse_task(text) == parsed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("E", "must be one of A, B, C, D, weak. Received: 'E'"),
        ("B", r"must be B/0 to B/9. Received: 'B'"),
        ("B/10", r"must be B/0 to B/9. Received: 'B/10'"),
        ("C/x", r"must be C/0 to C/4. Received: 'C/x'"),
        ("C/-1", r"must be C/0 to C/4"),
        ("A/1", r"must be A. Received: 'A/1'"),
        ("", "must be one of"),
    ],
)
def test_other_names_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        splits.parse_task(text)


def test_a_split_is_applied_by_name_in_any_order():
    names = [str(digit) for digit in (3, 1, 4, 0, 5, 9, 2, 6, 8, 7)]
    source = splits.apply_split(source_of(names), "B/4")
    assert [names[index] for index in source.split_classes("test")] == ["4"]
    assert len(source.split_classes("train")) == 9
    assert splits.recognise_task(source) == "B/4"


@pytest.mark.parametrize("names", [list("012345678"), list("012345678a"), [*"0123456789", "10"], list("0123456788")])
def test_other_classes_are_refused(names):
    with pytest.raises(
        ValueError, match=r"named: the source must have the 10 classes of task D, each once. Received: \d+ classes"
    ):
        splits.apply_split(source_of(names), "D")


def test_other_data_is_not_recognised_as_a_task():
    assert splits.recognise_task(source_of("0123456789", [0] * 9 + [1])) is None
    assert splits.recognise_task(source_of("0123456789", [2] * 10)) == "D"
    assert splits.recognise_task(source_of("ab")) is None


def test_the_digest_is_of_names_and_splits_only():
    one = splits.split_digest(source_of("ab", [0, 2]))
    assert one == hashlib.sha256(b"test\tb\ntrain\ta").hexdigest()
    assert one == splits.split_digest(source_of("ba", [2, 0])), "in any order"
    assert one != splits.split_digest(source_of("ab", [2, 0]))


@pytest.mark.data
def test_the_real_sets_have_the_classes_of_the_tasks(data_folder):
    omniglot = from_npz(data_folder / "omniglot28.npz").source
    assert splits.recognise_task(omniglot) == "A", "the file's own split is the committed one"
    np.testing.assert_array_equal(splits.apply_split(omniglot, "A").class_split, omniglot.class_split)
    mnist, fashion = (from_npz(data_folder / f"{name}.npz").source for name in ("mnist", "fashion_mnist"))
    assert len(splits.apply_split(mnist, "B/7").split_classes("train")) == 9
    assert len(splits.apply_split(fashion, "C/2").split_classes("test")) == 2


@pytest.mark.data
def test_the_committed_drawings_are_those_of_the_allocation(data_folder):
    source = from_npz(data_folder / "omniglot28.npz").source
    classes = np.concatenate([source.split_classes(split) for split in ("validation", "test")])
    text = "".join(f"{allocation_line(source, int(index), 5)}\n" for index in classes)
    assert text == (splits.FOLDER / "A_drawings.txt").read_text("utf-8")
    assert hashlib.sha256(text.encode()).hexdigest() == DRAWINGS
