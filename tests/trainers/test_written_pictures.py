"""What a run draws of its examples: pictures, waveforms, or lines of texts."""

import numpy as np
from PIL import Image

from meta_gan.tasks.media import Texts
from trainers import pictures


def gapped(*parts):
    return pictures._apart(list(parts))


def test_pictures_and_sounds_are_drawn(tmp_path):
    pictures.write(
        tmp_path, "reals", [gapped(np.ones((2, 8, 8, 1)), np.ones((1, 8, 8, 1)))], {"polarity": "light-on-dark"}
    )
    assert Image.open(tmp_path / "reals.png").size == (4 * 10 - 2, 8)
    sounds = [gapped(np.ones((2, 640, 1)), np.ones((1, 640, 1)))] * 3
    pictures.write(tmp_path, "samples_000001", sounds, {"medium": "sounds", "rate": 8000})
    assert Image.open(tmp_path / "samples_000001.png").size == (4 * 66 - 2, 3 * 34 - 2)


def test_texts_are_listed(tmp_path):
    medium = Texts("ab")
    first, second = (medium.seen(medium.encode(texts, 3)).numpy() for texts in (["ab", "b"], ["aaa"]))
    pictures.write(tmp_path, "reals", [gapped(first, second), gapped(second, first)], medium.card(np.zeros((1, 1))))
    assert (tmp_path / "reals.txt").read_text() == "ab, b, |, aaa\naaa, |, ab, b\n"
    assert [path.name for path in tmp_path.iterdir()] == ["reals.txt"]
