"""`open_source`: strings to tasks."""

from __future__ import annotations

import numpy as np
import pytest

from meta_gan.tasks import DataError, open_source
from meta_gan.tasks.readers import spec
from tests.tasks.helpers import numbered_images, square, write_image


def test_npz(tmp_path):
    np.savez(tmp_path / "a.npz", images=numbered_images(24), labels=np.repeat([0, 1], 12))
    tasks = open_source(str(tmp_path / "a.npz"), shots=2, queries=4, seed=6)
    assert (tasks.shots, tasks.queries, tasks.seed, tasks.example_shape) == (2, 4, 6, (4, 4, 1))
    assert open_source(str(tmp_path / "a.npz"), image_shape=(2, 2, 3)).example_shape == (2, 2, 3)


def test_folder(tmp_path):
    for index in range(4):
        write_image(tmp_path / "a" / f"{index}.png", square(12))
    tasks = open_source(str(tmp_path), shots=1, queries=2)
    assert tasks.source.class_names == ["a"]
    assert open_source(str(tmp_path), shots=1, queries=2, image_shape=(6, 6, 1)).example_shape == (6, 6, 1)


def test_glyphs_and_tfds_are_handed_all_arguments(monkeypatch):
    calls = []
    monkeypatch.setattr(spec, "glyphs", lambda *a, **k: calls.append((a, k)))
    monkeypatch.setattr(spec, "from_tfds", lambda *a, **k: calls.append((a, k)))
    episode = {"shots": 1, "queries": 2, "seed": 3}
    skip = {**episode, "small_classes": "skip"}
    open_source("glyphs", **episode)
    open_source("glyphs", image_shape=(16, 16, 1), **episode)
    open_source("tfds:omniglot", archives="down", image_shape=(28, 28, 1), **skip)
    assert calls == [
        (((28, 28, 1),), episode),
        (((16, 16, 1),), episode),
        (("omniglot",), {"archives": "down", "image_shape": (28, 28, 1), "rate": None, "length": None, **skip}),
    ]


@pytest.mark.parametrize("text", ["glyph", "", "no/such/folder", "TFDS:mnist"])
def test_unknown_sources(text, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    if text == "":
        with pytest.raises(DataError, match=r"must hold one folder of images for each class"):
            open_source(text)
        return
    with pytest.raises(FileNotFoundError, match=rf"SOURCE must be 'glyphs', 'tfds:NAME'.*Received: '{text}'"):
        open_source(text)


def test_a_missing_archive():
    with pytest.raises(FileNotFoundError, match=r"A .npz file must exist. Received: gone.npz"):
        open_source("gone.npz")


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "a.csv").touch()
    with pytest.raises(DataError, match=r"Received: the file .*a.csv"):
        open_source(str(tmp_path / "a.csv"))


@pytest.mark.parametrize("text", ["glyphs", "a.npz", "folder"])
def test_archives_are_for_tfds_only(text):
    with pytest.raises(DataError, match=r"'archives' must be None except for 'tfds:NAME'. Received: down with"):
        open_source(text, archives="down")


def test_text_files_beside_class_folders_are_passed_over(tmp_path):
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.new("L", (4, 4), 40 * i).save(tmp_path / name / f"{i}.png")
    (tmp_path / "README.txt").write_text("not a class\n")
    assert open_source(str(tmp_path), shots=1, queries=1).source.class_names == ["a", "b"]


def test_a_rate_of_glyphs():
    with pytest.raises(DataError, match="'rate' and 'length' are for folders of sounds or texts"):
        open_source("glyphs", rate=8000)
