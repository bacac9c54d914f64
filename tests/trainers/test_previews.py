"""What a run writes of its examples: pictures, waveforms, or lines of texts."""

import numpy as np
from PIL import Image

from meta_gan.tasks.media import Pictures, Sounds, Texts
from trainers import previews


def row(*parts):
    return previews._joined(list(parts))


def test_pictures_and_sounds_are_drawn(tmp_path):
    rows = [row(np.ones((2, 8, 8, 1)), np.ones((1, 8, 8, 1)))]
    assert Pictures().preview(tmp_path / "reals", rows) == tmp_path / "reals.png"
    assert Image.open(tmp_path / "reals.png").size == (4 * 10 - 2, 8)
    sounds = [row(np.ones((2, 640, 1)), np.ones((1, 640, 1)))] * 3
    Sounds(8000).preview(tmp_path / "samples_000001", sounds)
    assert Image.open(tmp_path / "samples_000001.png").size == (4 * 66 - 2, 3 * 34 - 2)


def test_texts_are_listed(tmp_path):
    medium = Texts("ab")
    first, second = (medium.seen(medium.encode(texts, 3)).numpy() for texts in (["ab", "b"], ["aaa"]))
    assert medium.preview(tmp_path / "reals", [row(first, second), row(second, first)]) == tmp_path / "reals.txt"
    assert (tmp_path / "reals.txt").read_text() == "ab, b, |, aaa\naaa, |, ab, b\n"
    assert [path.name for path in tmp_path.iterdir()] == ["reals.txt"]
