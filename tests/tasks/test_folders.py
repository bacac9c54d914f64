"""`from_folder`: class folders of image files."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from meta_gan.tasks import DataError, from_folder, open_source
from meta_gan.tasks.base import default_split
from tests.tasks.helpers import square, write_image


@pytest.fixture
def folder(tmp_path):
    for rank, name in enumerate(("βήτα", "alpha", "gamma")):
        for index in range(4):
            write_image(tmp_path / "set" / name / f"{index}.png", square(12, 0, 50 * (rank + 1) + index))
    return tmp_path / "set"


def open_folder(path, image_shape=None):
    return from_folder(path, image_shape, shots=1, queries=3)


def test_classes_are_the_folders_in_order(folder):
    tasks = open_folder(folder)
    assert tasks.source.class_names == ["alpha", "gamma", "βήτα"]
    np.testing.assert_array_equal(tasks.source.labels, np.repeat([0, 1, 2], 4))
    assert tasks.source.name == str(folder)
    np.testing.assert_array_equal(tasks.source.class_split, default_split(tasks.source.class_names))


def test_images_are_those_of_the_files(folder):
    source = open_folder(folder).source
    assert source.images.max(axis=(1, 2, 3)).tolist() == [
        100,
        101,
        102,
        103,
        150,
        151,
        152,
        153,
        50,
        51,
        52,
        53,
    ]
    np.testing.assert_array_equal(source.images[0, ..., 0], square(12, 0, 100))


def test_a_shared_size_and_grey_pixels_are_found(folder):
    assert open_folder(folder).example_shape == (12, 12, 1)


def test_grey_saved_as_colour_is_grey(tmp_path):
    for index in range(4):
        write_image(tmp_path / "a" / f"{index}.png", np.repeat(square(12)[..., None], 3, axis=-1))
    assert open_folder(tmp_path).example_shape == (12, 12, 1)


def test_one_colour_image_makes_three_channels(folder):
    colour = np.zeros((12, 12, 3), np.uint8)
    colour[4:8, 4:8, 0] = 255
    write_image(folder / "alpha" / "3.png", colour)
    assert open_folder(folder).example_shape == (12, 12, 3)


def test_mixed_sizes_become_32_by_32(folder):
    write_image(folder / "alpha" / "9.png", square(20))
    assert open_folder(folder).example_shape == (32, 32, 1)


def test_large_pictures_become_32_by_32_unless_requested(tmp_path):
    for index in range(4):
        write_image(tmp_path / "a" / f"{index}.png", square(132))
    assert open_folder(tmp_path).example_shape == (32, 32, 1)
    assert open_folder(tmp_path, (132, 132, 1)).example_shape == (132, 132, 1)


def test_a_shape_that_is_asked_for(folder):
    tasks = open_folder(folder, (6, 6, 3))
    assert tasks.example_shape == (6, 6, 3)
    assert tasks.source.images[0, 3, 3].tolist() == [100, 100, 100]


def test_episodes_have_the_shape_of_the_folder(folder):
    source = open_folder(folder).source
    split = ("train", "validation", "test")[int(source.class_split[0])]
    episode = open_folder(folder).episode_batch(split, 0, 1)
    assert episode.support.shape == (1, 1, 12, 12, 1)
    assert episode.query.shape == (1, 3, 12, 12, 1)


def test_all_formats_side_by_side(tmp_path):
    for suffix in ("png", "jpg", "bmp", "gif", "webp"):
        write_image(tmp_path / "a" / f"x.{suffix}", square(16))
    source = from_folder(tmp_path, (16, 16, 1), shots=2, queries=3).source
    assert len(source.images) == 5
    assert source.images[:, 8, 8, 0].min() > 230


def test_other_files_are_passed_over(folder):
    (folder / "README.md").write_text("about")
    (folder / "alpha" / "notes.txt").write_text("about")
    (folder / ".git").mkdir()
    (folder / "alpha" / ".0.png").write_bytes(b"junk")
    assert len(open_folder(folder).source.images) == 12


def test_black_icons_on_a_transparent_ground_stay_visible(tmp_path):
    pixels = np.zeros((12, 12, 4), np.uint8)
    pixels[3:9, 3:9, 3] = 255
    for index in range(4):
        write_image(tmp_path / "a" / f"{index}.png", pixels)
    source = open_folder(tmp_path).source
    np.testing.assert_array_equal(source.images[0, ..., 0], square(12, 255, 0))
    assert source.polarity == "dark-on-light"


def test_no_such_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"A folder of class folders must exist. Received: .*nowhere"):
        open_folder(tmp_path / "nowhere")


def test_an_empty_folder_and_one_of_loose_images(tmp_path):
    with pytest.raises(DataError, match=r"one folder of images for each class. Received: 0 files and no folder"):
        open_folder(tmp_path)
    write_image(tmp_path / "a.png", square())
    with pytest.raises(DataError, match=r"Received: 1 files and no folder"):
        open_folder(tmp_path)


def test_an_empty_class_folder_is_named(folder):
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"Received: none in 1 of 4 folders, such as 'empty'"):
        open_folder(folder)


def test_a_class_with_too_few_images_is_named(folder):
    for index in (1, 2, 3):
        (folder / "gamma" / f"{index}.png").unlink()
    with pytest.raises(DataError, match=r"at least shots \+ queries = 4 examples; class 'gamma' has 1 \(1 of 3"):
        open_folder(folder)


@pytest.mark.parametrize("image_shape", [None, (12, 12, 1)])
def test_broken_files_are_named(folder, image_shape):
    path = folder / "alpha" / "2.png"
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(DataError, match=r"alpha/2.png: must be a whole image"):
        open_folder(folder, image_shape)


def test_a_decompression_bomb_is_named(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    write_image(folder / "gamma" / "0.png", square(40))
    with pytest.raises(DataError, match=r"gamma/0.png: an image may have at most 200 pixels"):
        open_folder(folder)


def test_a_wrong_image_shape(folder):
    with pytest.raises(ValueError, match=r"'image_shape' must be \(height, width, channels\).*Received: \(12, 12\)"):
        open_folder(folder, (12, 12))


def test_channels_that_no_picture_has(folder):
    with pytest.raises(DataError, match=r"3 channels cannot become images of 4 channels"):
        open_folder(folder, (12, 12, 4))


def classes(path, names, count=4):
    for name in names:
        for index in range(count):
            write_image(path / name / f"{index}.png", square(12, 0, 100 + index))
    return path


@pytest.mark.parametrize("litter", ["__MACOSX", "__pycache__", "lost+found", ".git", "$RECYCLE.BIN", "@eaDir"])
def test_folders_that_systems_leave_behind_are_no_classes(tmp_path, litter):
    (classes(tmp_path, ["a", "b"]) / litter).mkdir()
    (tmp_path / litter / "x.png").write_bytes(b"no picture")
    tasks = from_folder(tmp_path, shots=2, queries=2)
    assert tasks.source.class_names == ["a", "b"] and tasks.source.passed == () and "passed" not in tasks.describe()
    assert open_source(str(tmp_path), shots=2, queries=2).source.class_names == ["a", "b"]


@pytest.mark.parametrize("litter", ["Thumbs.db", "desktop.ini", ".DS_Store", "._0.png"])
def test_files_that_systems_leave_behind_are_passed_over_without_a_word(tmp_path, litter):
    (classes(tmp_path, ["a"]) / "a" / litter).write_bytes(b"x")
    assert "passed" not in from_folder(tmp_path, shots=2, queries=2).describe()


def test_other_files_are_counted_and_named(tmp_path):
    folder = classes(tmp_path, ["a", "b\x1b[31m"])
    (folder / "a" / "notes.txt").touch()
    os.mkfifo(folder / "b\x1b[31m" / "f.png")
    (folder / "a" / "gone.png").symlink_to("nowhere")
    tasks = from_folder(folder, shots=2, queries=2)
    assert tasks.source.class_sizes.tolist() == [4, 4]
    shown = "passed over 3 files: a/gone.png (a broken link), a/notes.txt (not of images), b\\x1b[31m/f.png (a FIFO)"
    assert tasks.describe().endswith(shown)
    assert "\x1b" not in tasks.describe() and tasks.source.class_names[1] == "b\\x1b[31m"
    assert "skipped" not in tasks.card


def test_bad_files_and_small_classes_are_skipped_on_request(tmp_path):
    folder = classes(tmp_path, ["a", "b", "c"])
    (folder / "b" / "1.png").write_bytes(b"no picture")
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"none in 1 of 4 folders, such as 'empty'"):
        from_folder(folder, shots=2, queries=2, on_bad_file="skip")
    with pytest.raises(DataError, match=r"b/1.png: must be a whole image"):
        from_folder(folder, shots=2, queries=2, small_classes="skip")
    tasks = open_source(str(folder), shots=2, queries=2, on_bad_file="skip", small_classes="skip")
    assert tasks.source.class_names == ["a", "c"] and tasks.source.class_sizes.tolist() == [4, 4]
    assert "b/1.png: must be a whole image" in tasks.card["skipped"][0]
    assert tasks.card["skipped"][1:] == ["class 'b' of 3, below 4", "class 'empty' of 0, below 4"]
    np.testing.assert_array_equal(tasks.source.images.max(axis=(1, 2, 3)), [100, 101, 102, 103] * 2)


@pytest.mark.parametrize("name", [b"caf\xe9", b"\xff\xfe", b"a\xed\xa0\x80"])
def test_class_names_that_are_not_utf8(tmp_path, name):
    folder = classes(tmp_path, ["a"])
    (folder / os.fsdecode(name)).mkdir()
    with pytest.raises(
        DataError, match=r"every class folder must have a name in UTF-8; rename it. Received: '"
    ) as caught:
        from_folder(folder, shots=2, queries=2)
    assert "\\x" in str(caught.value)
    str(caught.value).encode()
    with pytest.raises(DataError, match=r"SOURCE must have a name in UTF-8; rename it"):
        open_source(os.fsdecode(bytes(folder) + b"/" + name))


def test_the_split_is_that_of_the_names_themselves(tmp_path):
    names = [f"class {index}\n" for index in range(12)]
    tasks = from_folder(classes(tmp_path, names), shots=2, queries=2)
    np.testing.assert_array_equal(tasks.source.class_split, default_split(sorted(names)))
