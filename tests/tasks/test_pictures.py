"""Grids, PNG files and contact sheets."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from meta_gan.tasks import DataError
from meta_gan.tasks.media import Pictures
from meta_gan.tasks.media.sounds import waveforms
from meta_gan.tasks.pictures import GAP_LEVEL, grid, save_png
from tests.tasks.helpers import numbered_source


def test_grid_by_hand():
    white, black = np.ones((2, 2, 2, 1)), -np.ones((1, 2, 2, 1))
    picture = grid([white, black])[..., 0]
    gap = GAP_LEVEL
    expected = [
        [255, 255, gap, gap, 255, 255],
        [255, 255, gap, gap, 255, 255],
        [gap] * 6,
        [gap] * 6,
        [0, 0, gap, gap, gap, gap],
        [0, 0, gap, gap, gap, gap],
    ]
    np.testing.assert_array_equal(picture, expected)


def test_grid_of_one_image_is_that_image():
    image = np.random.default_rng(0).uniform(-1, 1, (1, 5, 7, 3))
    picture = grid([image])
    assert picture.shape == (5, 7, 3)
    np.testing.assert_allclose(picture / 127.5 - 1, image[0], atol=0.5 / 127.5 + 1e-9)


def test_grid_clips():
    assert grid([np.full((1, 2, 2, 1), 9.0)]).max() == 255


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [np.zeros((2, 2, 1))],
        [np.zeros((0, 2, 2, 1))],
        [np.zeros((1, 2, 2, 1)), np.zeros((1, 3, 2, 1))],
    ],
)
def test_grid_refuses(rows):
    with pytest.raises(DataError, match=r"'rows' must be arrays \[n, height, width, channels\].*Received: \["):
        grid(rows)


@pytest.mark.parametrize("channels", [1, 3])
def test_save_png_round_trip(tmp_path, channels):
    levels = np.random.default_rng(0).integers(0, 256, (6, 5, channels), np.uint8)
    save_png(tmp_path / "new" / "a.png", levels / 127.5 - 1)
    read = np.asarray(Image.open(tmp_path / "new" / "a.png"))
    np.testing.assert_array_equal(read.reshape(6, 5, channels), levels)


def test_save_png_takes_bytes_as_they_are(tmp_path):
    levels = np.arange(24, dtype=np.uint8).reshape(4, 6, 1)
    save_png(tmp_path / "a.png", levels)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), levels[..., 0])


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 2), (1, 4, 4, 1)])
def test_save_png_refuses(tmp_path, shape):
    with pytest.raises(DataError, match=r"a.png: a picture must be \[height, width, 1 or 3\]. Received: shape"):
        save_png(tmp_path / "a.png", np.zeros(shape))


def test_contact_sheet_holds_a_row_for_each_class(tmp_path):
    source = numbered_source([3, 5, 4], [0, 1, 2])
    source.medium.sheet(source, tmp_path / "sheet.png", examples=4)
    picture = np.asarray(Image.open(tmp_path / "sheet.png"))
    # Three rows and four columns of 4 x 4 images with gaps of 2.
    assert picture.shape == (16, 22)
    first = source.images[np.flatnonzero(source.labels == 0)[0], ..., 0]
    np.testing.assert_array_equal(picture[:4, :4], first)
    assert (picture[:4, 18:] == GAP_LEVEL).all()


def test_contact_sheet_takes_some_of_many_classes(tmp_path):
    Pictures().sheet(numbered_source([2] * 50), tmp_path / "sheet.png", classes=10, examples=2)
    assert Image.open(tmp_path / "sheet.png").size == (10, 58)


def test_contact_sheet_skips_classes_without_images(tmp_path):
    Pictures().sheet(numbered_source([2, 0, 2]), tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").size == (10, 10)


def test_waveforms_by_hand():
    """Four columns of two samples: bars from the least to the greatest, to the scale of the loudest sound."""
    sound = np.array([0.0, 0.5, -0.5, 0.0, 0.25, -0.25, 0.0, 0.0])
    (drawn,) = waveforms(sound[None, :, None], height=5, width=4)[..., 0]
    columns = ["".join("#" if level > 0 else "." for level in column) for column in drawn.T]
    assert columns == ["###..", "..###", ".###.", "..#.."]


def test_a_soft_sound_beside_a_loud_one_stays_soft():
    sounds = np.stack([np.full((64, 1), 0.5), np.full((64, 1), 0.05)])
    loud, soft = waveforms(sounds)[..., 0]
    assert loud[0, 0] == 1.0 and soft[0, 0] == -1.0 and waveforms(np.zeros((1, 64, 1))).max() == 1.0
