"""Texts: lists, files, folders and archives of them, alphabets, and what is refused."""

import os

import numpy as np
import pytest

from meta_gan.tasks import DataError, from_npz, from_text_folder, from_texts, limits, open_source
from meta_gan.tasks.media.texts import alphabet_of, read_lines

WORDS = ["ab", "ba", "aab", "bba"]


def folder_of(path, **classes):
    for name, lines in classes.items():
        (path / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    return path


def test_tasks_by_hand():
    tasks = from_texts(WORDS * 2, np.repeat(["x", "y"], 4), class_split=[0, 2], shots=1, queries=2)
    assert tasks.example_shape == (3, 3) and tasks.source.medium.alphabet == "ab"
    assert tasks.source.medium.decode(tasks.source.images) == WORDS * 2
    episode = tasks.episode_batch("test", 0, 1)
    assert episode.support.shape == (1, 1, 3, 3) and episode.query.shape == (1, 2, 3, 3)
    drawn = tasks.source.medium.decode(np.concatenate([episode.support[0], episode.query[0]]))
    assert len(set(drawn)) == 3 and set(drawn) <= set(WORDS)


def test_a_given_alphabet_and_length():
    tasks = from_texts(WORDS, ["x"] * 4, alphabet="cba", length=2, shots=1, queries=1)
    assert tasks.example_shape == (2, 4) and tasks.card == {"medium": "texts", "alphabet": "cba"}
    assert tasks.source.medium.decode(tasks.source.images) == ["ab", "ba", "aa", "bb"]
    with pytest.raises(DataError, match=r"texts: a text must be .*'ab', with 'b'"):
        from_texts(WORDS, ["x"] * 4, alphabet="a")


def test_long_texts_are_cut_at_64_by_default():
    long = ["ab" * 50, "a", "b", "ba"]
    assert from_texts(long, ["x"] * 4, shots=1, queries=1).example_shape == (64, 3)
    assert from_texts(long, ["x"] * 4, length=100, shots=1, queries=1).example_shape == (100, 3)


def test_alphabets_are_sorted():
    assert alphabet_of(["ö b", "ab"]) == " abö"


def test_a_folder(tmp_path):
    folder_of(tmp_path, Grün=["ä", " äb ", "", "b"], rot=["a", "aa", "b"])
    (tmp_path / "notes.md").write_text("no class")
    tasks = from_text_folder(tmp_path, shots=1, queries=2)
    assert tasks.source.class_names == ["Grün", "rot"] and tasks.source.class_sizes.tolist() == [3, 3]
    assert tasks.source.medium.decode(tasks.source.images[:3]) == ["ä", "äb", "b"]
    again = open_source(str(tmp_path), shots=1, queries=2, length=1)
    assert again.example_shape == (1, 4)
    with pytest.raises(DataError, match=r"'rate' for sounds\. Received: image_shape=None, rate=8000"):
        open_source(str(tmp_path), rate=8000)


def test_bad_folders_and_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="must exist"):
        from_text_folder(tmp_path / "none")
    with pytest.raises(DataError, match=r"must hold one .txt file for each class"):
        from_text_folder(tmp_path)
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(DataError, match=r"a.txt: must be a text file in UTF-8"):
        from_text_folder(tmp_path)
    (tmp_path / "a.txt").write_text("\n \n")
    with pytest.raises(DataError, match=r"a.txt: must hold at least 1 line"):
        read_lines(tmp_path / "a.txt")


def test_an_archive(tmp_path):
    arrays = {"texts": np.array(WORDS * 2), "labels": np.repeat([0, 1], 4), "class_names": np.array(["x", "y"])}
    np.savez(tmp_path / "a.npz", **arrays, class_split=np.array([0, 2]))
    tasks = from_npz(tmp_path / "a.npz", shots=1, queries=1)
    assert tasks.splits["test"] == ["y"] and tasks.name == "a.npz"
    np.savez(tmp_path / "b.npz", **{**arrays, "texts": np.arange(8)})
    with pytest.raises(DataError, match=r"b.npz: 'texts' must be strings"):
        from_npz(tmp_path / "b.npz")


def test_too_few_texts():
    with pytest.raises(DataError, match=r"every class needs at least shots \+ queries = 40 examples"):
        from_texts(WORDS, ["x"] * 4)
    with pytest.raises(DataError, match=r"at least 1 text\. Received: none"):
        from_texts([], [], alphabet="ab")


def test_a_byte_order_mark_is_not_a_character(tmp_path):
    (tmp_path / "a.txt").write_text("ab\nb\n", encoding="utf-8-sig")
    assert read_lines(tmp_path / "a.txt") == ["ab", "b"]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("one\u2028text\nan\u0085other\na\x0bthird\n", ["one\u2028text", "an\x85other", "a\x0bthird"]),
        ("a\r\nb\rc\nd", ["a", "b", "c", "d"]),
        ("a\x1cb\x1dc\x1ed\u2029e\x0cf", ["a\x1cb\x1dc\x1ed\u2029e\x0cf"]),
        ("\ufeffa\n\n  b  \n", ["a", "b"]),
    ],
)
def test_a_text_ends_at_line_ends_only(tmp_path, content, lines):
    (tmp_path / "a.txt").write_bytes(content.encode())
    assert read_lines(tmp_path / "a.txt") == lines


def test_files_beyond_the_limits(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a" * (limits.LINE + 1))
    with pytest.raises(DataError, match=r"a.txt: a line must have at most 65536 characters"):
        read_lines(path)
    path.write_bytes(b"a" * limits.LINE + b"\nb")
    assert [len(line) for line in read_lines(path)] == [limits.LINE, 1]
    monkeypatch.setattr(limits, "TEXTS", 3)
    path.write_bytes(b"\n" * 4)
    with pytest.raises(DataError, match=r"a.txt: must have at most 3 lines; divide it"):
        read_lines(path)
    monkeypatch.setattr(limits, "TEXT", 3)
    with pytest.raises(DataError, match=r"a.txt: must have at most 3 bytes; divide it. Received: 4 bytes"):
        read_lines(path)


@pytest.mark.parametrize("content", [b"caf\xe9\n", "a\n".encode("utf-16"), b"a\n" * 9000 + b"\xff"])
def test_texts_that_are_not_utf8(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=r"a.txt: must be a text file in UTF-8"):
        read_lines(tmp_path / "a.txt")


def test_special_files(tmp_path):
    os.mkfifo(tmp_path / "f.txt")
    (tmp_path / "z.txt").symlink_to("/dev/zero")
    for name, what in (("f.txt", "a FIFO"), ("z.txt", "a device")):
        with pytest.raises(DataError, match=rf"{name}: must be a text file. Received: {what}"):
            read_lines(tmp_path / name)
    (tmp_path / "a.txt").write_text("ab\n" * 4)
    source = from_text_folder(tmp_path, shots=1, queries=1).source
    assert source.class_names == ["a"] and source.passed == ("f.txt (a FIFO)", "z.txt (a device)")


def test_a_folder_with_a_bad_file_and_a_small_class(tmp_path):
    folder_of(tmp_path, a=WORDS, b=WORDS[:1])
    (tmp_path / "c.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"c.txt: must be a text file in UTF-8"):
        from_text_folder(tmp_path, shots=1, queries=1)
    source = from_text_folder(tmp_path, shots=1, queries=1, on_bad_file="skip", small_classes="skip").source
    assert source.class_names == ["a"] and len(source.skipped) == 2


def test_a_class_name_that_is_not_utf8(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("ab\n")
    with pytest.raises(DataError, match=r"every text file must have a name in UTF-8; rename it. Received: 'caf\\xe9'"):
        from_text_folder(tmp_path)
