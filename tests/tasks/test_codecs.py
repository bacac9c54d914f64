"""Media as codecs: reading support sets, and writing samples, previews and sheets."""

import re

import numpy as np
import pytest
from PIL import Image

from meta_gan.tasks import DataError, Source
from meta_gan.tasks.episodes import by_domain, join_domains
from meta_gan.tasks.media import Pictures, Sounds, Texts
from meta_gan.tasks.media.sounds import write_wav
from tests.tasks.helpers import square, write_image

TEXTS = Texts("ab<")


def hum(count=3, samples=640):
    return np.sin(np.arange(samples) / 5 * np.arange(1, count + 1)[:, None])[..., None].astype(np.float32) * 0.5


def one_hot(*texts):
    return TEXTS.seen(TEXTS.encode(texts, 4)).numpy()


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_pictures_are_read_in_the_polarity_of_the_card(tmp_path):
    write_image(tmp_path / "a.png", square(8, 255, 0))
    light, note = Pictures().read_support(tmp_path, (8, 8, 1), {"polarity": "light-on-dark"})
    dark, kept = Pictures().read_support(tmp_path, (8, 8, 1), {"polarity": "dark-on-light"})
    np.testing.assert_array_equal(light, -dark)
    assert "inverted (invert='no'" in note and kept.endswith("not inverted")
    assert Pictures().read_support(tmp_path, (8, 8, 1), {})[1] is None
    np.testing.assert_array_equal(Pictures().read_support(tmp_path, (8, 8, 1), {}, "yes")[0], light)


def test_sounds_are_read_from_a_folder_a_file_and_an_archive(tmp_path):
    pytest.importorskip("soundfile", reason="needs the extra 'sound'")
    (first, second), medium = hum(2), Sounds(8000)
    write_wav(tmp_path / "a.wav", first, 8000)
    write_wav(tmp_path / "b.wav", second, 8000)
    both, note = medium.read_support(tmp_path, (640, 1), {})
    assert both.shape == (2, 640, 1) and note is None
    one, _ = medium.read_support(tmp_path / "b.wav", (640, 1), {})
    np.testing.assert_array_equal(one[0], both[1])
    np.savez(tmp_path / "c.npz", audio=medium.levels(hum(2)), rate=np.array(8000))
    np.testing.assert_allclose(medium.read_support(tmp_path / "c.npz", (640, 1), {})[0], hum(2), atol=1 / 32768)


def test_texts_are_read_from_a_file(tmp_path):
    (tmp_path / "a.txt").write_text("ab\n\nba<ab\n")
    examples, note = TEXTS.read_support(tmp_path / "a.txt", (4, 4), {})
    assert TEXTS.decode(examples) == ["ab", "ba<a"] and note is None
    with pytest.raises(FileNotFoundError, match="must be a file of one text a line"):
        TEXTS.read_support(tmp_path, (4, 4), {})


@pytest.mark.parametrize("medium", [Sounds(8000), TEXTS])
def test_only_pictures_are_inverted(tmp_path, medium):
    with pytest.raises(DataError, match=f"'invert' is for models of pictures. Received: 'yes' for .* {medium.kind}"):
        medium.read_support(tmp_path, (8, 1), {}, "yes")


def test_pictures_are_written_with_a_grid(tmp_path):
    images = np.random.default_rng(0).uniform(-1, 1, (12, 8, 8, 1))
    assert Pictures().write_samples(tmp_path, images, [images[:3], images[:4]]) == "grid.png"
    assert names(tmp_path) == ["grid.png", *(f"samples/{i:04d}.png" for i in range(12))]
    # Two rows of support sets, then rows of ten and two samples.
    assert Image.open(tmp_path / "grid.png").size == (10 * 10 - 2, 4 * 10 - 2)


def test_sounds_are_written_with_a_grid_and_a_page_that_plays_them(tmp_path):
    medium = Sounds(8000)
    written = medium.write_samples(tmp_path, hum(2), [hum(3)], lambda sounds: np.zeros((len(sounds), 5, 7, 1)), "p {}")
    assert written == "grid.png and report.html"
    page = (tmp_path / "report.html").read_text()
    played = re.findall(r'src="([^"]+)"', page)
    assert played == [f"support/0_000{i}.wav" for i in range(3)] + [f"samples/000{i}.wav" for i in range(2)]
    assert names(tmp_path) == sorted(["grid.png", "report.html", *played]) and "<style>p {}</style>" in page
    assert Image.open(tmp_path / "grid.png").size == (3 * 9 - 2, 2 * 7 - 2), "as drawn by the function"


def test_texts_are_written_as_lines_and_listed_on_a_page(tmp_path):
    assert TEXTS.write_samples(tmp_path, one_hot("a<", "b"), [one_hot("ab")]) == "report.html"
    assert names(tmp_path) == ["report.html", "samples.txt"]
    assert (tmp_path / "samples.txt").read_text() == "a<\nb\n"
    assert re.findall("<li>(.*?)</li>", (tmp_path / "report.html").read_text()) == ["ab", "a&lt;", "b"]


def test_sheets_of_sounds_and_texts(tmp_path):
    split = np.array([0, 2], np.int8)
    labels = np.array([0, 0, 1], np.int32)
    sounds = Source(Sounds(8000).levels(hum(3)), labels, ["x", "y"], split, medium=Sounds(8000))
    sounds.medium.sheet(sounds, tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").size == (2 * 66 - 2, 2 * 34 - 2)
    texts = Source(TEXTS.encode(["ab", "b", "a"], 4), labels, ["x", "y"], split, medium=TEXTS)
    texts.medium.sheet(texts, tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "x: ab, b\ny: a\n"


def test_cards_are_described():
    assert Pictures().describe_card({"polarity": "dark-on-light"}) == "polarity dark-on-light"
    assert Sounds(8000).describe_card({}) == "sounds at 8000 Hz" and TEXTS.describe_card({}) == "texts of 'ab<'"


def test_one_domain_and_two_have_one_form():
    two = {"source": (8, 8, 1), "target": (8, 8, 1)}
    assert by_domain((8, 8, 1)) == {"": (8, 8, 1)} and by_domain(two) == two
    assert join_domains(by_domain((8, 8, 1))) == (8, 8, 1) and join_domains(by_domain(two)) == two
