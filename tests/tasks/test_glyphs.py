"""`glyphs`: what is rendered, how it is split, and the cache."""

from __future__ import annotations

import logging
import time

import numpy as np
import pytest

from meta_gan.tasks import DataError, glyphs
from meta_gan.tasks.base import default_split
from meta_gan.tasks.readers import glyph_set
from meta_gan.tasks.readers.glyph_set import (
    distinct_code_points,
    render,
)

FEW = (0x21, 0x41, 0x42, 0x4D, 0x3A9)


@pytest.fixture
def few(monkeypatch, tmp_path):
    """A set of five glyphs, with a cache folder of its own; the calls of `render` are counted."""
    calls = []
    monkeypatch.setenv("META_GAN_CACHE", str(tmp_path))
    monkeypatch.setattr(glyph_set, "distinct_code_points", lambda: FEW)
    monkeypatch.setattr(glyph_set, "render", lambda *arguments: (calls.append(arguments), render(*arguments))[1])
    return calls


@pytest.fixture(scope="module")
def whole(private_cache):
    return glyphs(seed=0)


def test_the_set(whole):
    source = whole.source
    classes = len(source.class_names)
    assert classes == len(distinct_code_points()) > 2000
    assert source.images.shape == (classes * 12, 28, 28, 1)
    np.testing.assert_array_equal(source.class_sizes, 12)
    assert len(set(source.class_names)) == classes
    assert source.class_names[0] == "U+0021 !"
    assert "U+0041 A" in source.class_names
    assert source.name == "glyphs"


def test_the_set_is_white_on_black(whole):
    assert whole.polarity == "light-on-dark"
    assert np.median(whole.source.images) == 0


def test_no_image_is_blank(whole):
    assert whole.source.images.max(axis=(1, 2, 3)).min() > 100


def test_ink_stays_off_the_border(whole):
    images = whole.source.images[..., 0].astype(float)
    edge = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    assert edge.sum() / images.sum() < 0.001


def test_images_of_a_class_are_all_different(whole):
    images = whole.source.images.reshape(-1, 12, 28 * 28)
    distances = np.abs(images[:, :1].astype(int) - images[:, 1:]).sum(axis=2)
    assert distances.min() > 0


def test_the_split_is_that_of_the_names(whole):
    source = whole.source
    np.testing.assert_array_equal(source.class_split, default_split(source.class_names))
    sizes = [len(names) for names in whole.splits.values()]
    np.testing.assert_allclose(np.array(sizes) / sum(sizes), [0.8, 0.1, 0.1], atol=0.03)


def test_no_face_is_in_both_support_and_query(whole):
    np.testing.assert_array_equal(whole.source.groups[:24], list(range(12)) * 2)
    source = whole.source
    for episode in whole.train(4).take(5):
        for label, support, query in zip(episode.task_id.numpy(), episode.support, episode.query, strict=True):
            levels = np.rint((np.concatenate([support, query]) + 1) * 127.5).astype(np.uint8)
            own = source.images[source.labels == label]
            matches = (levels[:, None] == own[None]).all(axis=(2, 3, 4))
            assert matches.sum(axis=1).min() >= 1
            assert matches.any(axis=0).all()


def test_the_cache_makes_it_fast_and_equal(whole):
    begin = time.monotonic()
    again = glyphs(seed=0)
    assert time.monotonic() - begin < 3
    np.testing.assert_array_equal(again.source.images, whole.source.images)
    assert again.source.class_names == whole.source.class_names


def test_three_channels_are_equal(few):
    source = glyphs((16, 16, 3)).source
    assert source.images.shape == (60, 16, 16, 3)
    for channel in (1, 2):
        np.testing.assert_array_equal(source.images[..., 0], source.images[..., channel])


def test_shapes_that_are_not_square(few):
    assert glyphs((16, 40, 1)).example_shape == (16, 40, 1)


def test_the_cache_is_used_and_keyed_by_shape_and_seed(few):
    first = glyphs((16, 16, 1)).source.images
    np.testing.assert_array_equal(glyphs((16, 16, 1)).source.images, first)
    assert len(few) == 1
    glyphs((16, 16, 3))
    assert len(few) == 1
    glyphs((20, 16, 1))
    glyphs((16, 16, 1), seed=1)
    assert few == [(FEW, 16, 16, 0), (FEW, 20, 16, 0), (FEW, 16, 16, 1)]


def test_the_cache_is_one_file_without_leftovers(few, tmp_path):
    glyphs((16, 16, 1))
    assert [file.name for file in tmp_path.iterdir()] == [glyph_set.cache_file(16, 16, 0).name]


def test_the_key_names_the_versions():
    import matplotlib
    import PIL

    name = glyph_set.cache_file(28, 20, 7).name
    assert name == f"glyphs-v{glyph_set.FORMAT}-mpl{matplotlib.__version__}-pil{PIL.__version__}-28x20-seed7.npz"


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("META_GAN_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert glyph_set.cache_file(8, 8, 0).parent == tmp_path / "own"
    monkeypatch.delenv("META_GAN_CACHE")
    assert glyph_set.cache_file(8, 8, 0).parent == tmp_path / "xdg" / "meta_gan"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert glyph_set.cache_file(8, 8, 0).parent == tmp_path / ".cache" / "meta_gan"


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "keys", "shape"])
def test_a_cache_that_cannot_be_used_is_rendered_again(few, damage):
    expected = glyphs((16, 16, 1)).source.images
    path = glyph_set.cache_file(16, 16, 0)
    content = path.read_bytes()
    if damage == "keys":
        np.savez(path, other=np.zeros(3))
    elif damage == "shape":
        np.savez(path, code_points=np.zeros(3, np.int32), images=np.zeros((3, 12, 8, 8), np.uint8))
    else:
        path.write_bytes({"empty": b"", "text": b"nonsense", "cut": content[: len(content) // 2]}[damage])
    np.testing.assert_array_equal(glyphs((16, 16, 1)).source.images, expected)
    assert len(few) == 2
    glyphs((16, 16, 1))
    assert len(few) == 2


def test_a_folder_that_cannot_be_written_is_done_without(few, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("META_GAN_CACHE", str(tmp_path / "file" / "inside"))
    with caplog.at_level(logging.WARNING, logger="meta_gan"):
        tasks = glyphs((16, 16, 1))
    assert len(tasks.source.class_names) == len(FEW)
    assert len(caplog.records) == 1
    assert "The glyph cache cannot be written" in caplog.text


def test_a_failed_write_leaves_nothing(few, monkeypatch, tmp_path):
    monkeypatch.setattr(np, "savez_compressed", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full")))
    assert glyphs((16, 16, 1)).example_shape == (16, 16, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(7, 28, 1), (28, 7, 1), (28, 28, 2), (28, 28, 4)])
def test_shapes_out_of_range(few, shape):
    with pytest.raises(DataError, match=r"must be at least 8 x 8, with 1 or 3 channels. Received: "):
        glyphs(shape)
    assert few == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"shots": 6},
            "shots \\+ queries must be at most 12, the number of faces. Received: shots=6, queries=7",
        ),
        ({"shots": 0}, "'shots' must be an integer >= 1"),
        ({"seed": -1}, "'seed' must be an integer >= 0"),
    ],
)
def test_arguments_are_refused_before_anything_is_rendered(few, arguments, message):
    with pytest.raises(ValueError, match=message):
        glyphs(**arguments)
    assert few == []
