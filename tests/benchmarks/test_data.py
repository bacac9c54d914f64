"""The loaders of arrays with a layout of their own: classes, groups and pairs."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.families import data
from meta_gan.tasks import DataError


def emoji_file(path):
    """Three vendors, 12 names of which the last four are unseen; the third vendor lacks the first name."""
    images = np.zeros((3, 12, 4, 4, 3), np.uint8)
    images += (60 * np.arange(3)[:, None] + np.arange(12)).astype(np.uint8)[..., None, None, None]
    present = np.ones((3, 12), bool)
    present[2, 0] = False
    np.savez(path, images=images, present=present, domains=np.array(["n", "t", "e"]), split=np.repeat([0, 1], [8, 4]))
    return path


@pytest.fixture
def emoji(tmp_path):
    return data.emoji(emoji_file(tmp_path / "emoji.npz"))


def test_a_vendor_is_a_class_of_each_split_and_a_name_a_group(emoji):
    assert emoji.class_names == ["n", "n unseen", "t", "t unseen", "e", "e unseen"]
    assert emoji.class_split.tolist() == [0, 2] * 3
    assert emoji.class_sizes.tolist() == [8, 4, 8, 4, 7, 4]
    levels = emoji.images[:, 0, 0, 0]
    np.testing.assert_array_equal(levels, 60 * (emoji.labels // 2) + emoji.groups)
    assert set(emoji.groups[emoji.labels % 2 == 1]) == {8, 9, 10, 11}


def test_the_unseen_direction_is_learned_by_way_of_the_third_vendor(emoji):
    tasks = data.emoji_pairs(emoji, ("t", "e"), shots=2, queries=2)
    assert tasks.splits == {
        "train": ["emoji t > emoji n", "emoji n > emoji e"],
        "validation": [],
        "test": ["emoji t unseen > emoji e unseen"],
    }
    assert tasks.paired
    episode = tasks.episode_batch("test", 0, 1)
    levels = {d: np.round((episode.query[d].numpy()[0, :, 0, 0, 0] + 1) * 127.5) for d in ("source", "target")}
    np.testing.assert_array_equal(levels["target"] - levels["source"], 60)


@pytest.mark.parametrize("unseen", [("t", "t"), ("t", "x"), ("t unseen", "e")])
def test_other_vendors_are_refused(emoji, unseen):
    with pytest.raises(DataError, match="'unseen' must be two of three vendors"):
        data.emoji_pairs(emoji, unseen, 2, 2)


def test_a_font_is_a_class_and_a_character_a_group(tmp_path):
    images = (10 * np.arange(20)[:, None] + np.arange(6)).astype(np.uint8)[..., None, None] * np.ones((4, 4), np.uint8)
    split = np.repeat([0, 1], [15, 5])
    np.savez(tmp_path / "fonts.npz", images=images, fonts=np.array([f"f{i}" for i in range(20)]), font_split=split)
    source = data.fonts(tmp_path / "fonts.npz")
    assert source.class_split.tolist() == [0] * 14 + [1] + [2] * 5
    np.testing.assert_array_equal(source.images[:, 0, 0, 0], 10 * source.labels + source.groups)
    tasks = data.font_pairs(source, shots=2, queries=3)
    assert tasks.paired and len(tasks.pairs["train"]) == 14 * 13 and len(tasks.pairs["test"]) == 20
    np.savez(tmp_path / "short.npz", images=images, fonts=np.array(["a"]), font_split=split)
    with pytest.raises(DataError, match=r"a name for each of 20 fonts. Received: 1"):
        data.fonts(tmp_path / "short.npz")


def writers_file(path, split=(0, 0, 1, 1)):
    """Two alphabets of two characters, each drawn by the drawers 1 to 3; a drawing's level is its number."""
    labels, drawer = np.divmod(np.arange(12), 3)
    images = np.arange(12, dtype=np.uint8)[:, None, None] * np.ones((4, 4), np.uint8)
    names = np.array(["A/x", "A/y", "B/x", "B/y"])
    np.savez(path, images=images, labels=labels, drawer=drawer + 1, class_names=names, class_split=np.array(split))
    return path


def test_a_hand_is_a_class_and_a_character_a_group(tmp_path):
    source = data.writers(writers_file(tmp_path / "w.npz"))
    assert source.class_names == ["A × 01", "A × 02", "A × 03", "B × 01", "B × 02", "B × 03"]
    assert source.class_split.tolist() == [0, 0, 0, 1, 1, 1] and source.class_sizes.tolist() == [2] * 6
    np.testing.assert_array_equal(source.groups, np.arange(12) // 3)
    tasks = data.writer_pairs(source, shots=1, queries=1, most=4)
    assert {split: len(rows) for split, rows in tasks.pairs.items()} == {"train": 4, "validation": 4, "test": 0}
    for split, alphabet in (("train", "A"), ("validation", "B")):
        assert all(name.count(f"{alphabet} ×") == 2 for name in tasks.splits[split]), tasks.splits[split]


def test_hands_of_too_few_characters_are_left_out(tmp_path):
    source = data.writers(writers_file(tmp_path / "w.npz"))
    with pytest.raises(DataError, match="'pairs' must hold at least 1 pair"):
        data.writer_pairs(source, shots=2, queries=1)


def test_an_alphabet_is_in_one_split(tmp_path):
    with pytest.raises(DataError, match="characters of one alphabet must be in one split"):
        data.writers(writers_file(tmp_path / "w.npz", split=(0, 1, 1, 1)))


def test_names_are_their_letters(tmp_path):
    given = {"labels": np.array([0, 1], np.uint8), "class_names": np.array(["p", "q"]), "class_split": np.array([0, 2])}
    np.savez(tmp_path / "names.npz", names=np.array(["Bo", "Anna"]), **given)
    found = data.names(tmp_path / "names.npz")
    assert found.letters.tolist() == [[66, 111, 0, 0], [65, 110, 110, 97]]
    assert found.labels.tolist() == [0, 1] and found.class_names == ["p", "q"] and found.class_split.tolist() == [0, 2]
    np.savez(tmp_path / "other.npz", names=np.array(["Zoë", "Anna"]), **given)
    with pytest.raises(DataError, match=r"names must be ASCII. Received: \['Zoë'\]"):
        data.names(tmp_path / "other.npz")


@pytest.mark.parametrize("load", [data.emoji, data.fonts, data.writers, data.names])
def test_a_missing_array_is_named(tmp_path, load):
    np.savez(tmp_path / "empty.npz", nothing=np.zeros(1))
    with pytest.raises(DataError, match=r"empty.npz: needs the arrays .* Received: none of \["):
        load(tmp_path / "empty.npz")


@pytest.mark.data
def test_the_real_files(data_folder):
    source = data.emoji(data_folder / "emoji_domains32.npz")
    assert data.emoji_pairs(source, ("twemoji", "emojione"), 20, 60).pairs["test"].tolist() == [[3, 5]]
    assert len(data.fonts(data_folder / "fonts32.npz").class_names) == 106
    assert len(data.writers(data_folder / "omniglot28.npz").class_names) == 50 * 20
    assert data.names(data_folder / "names18.npz").letters.shape == (17993, 20)
