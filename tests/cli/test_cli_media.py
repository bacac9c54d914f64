"""Sounds and texts by the command line: train, adapt, sample, data and info, and what is refused."""

import html
import re
import wave

import numpy as np
import pytest
from PIL import Image

import meta_gan
from meta_gan.tasks.base import default_split
from meta_gan.tasks.media.sounds import write_wav
from tests.cli.conftest import call
from tests.toys import weekly

RATE = 8000
# Names whose hashes put them into training.
NAMES = [name for name in map("c{}".format, range(20)) if default_split([name])[0] == 0][:3]
COMMON = ("--shots", 2, "--queries", 2, "--steps", 1)
SMALL = ("meta_batch=2", "width=2", "picture_steps=0", "validate_every=1000", "checkpoint_every=1000")


def hum(seed, samples=1000):
    time = np.arange(samples) / RATE
    return 0.4 * np.sin(2 * np.pi * (200 + 50 * seed) * time) * np.sin(np.pi * np.arange(samples) / samples)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """A folder of classes of WAV files, and a model that made one step on them."""
    folder = tmp_path_factory.mktemp("sounds")
    for number, name in enumerate(NAMES):
        (folder / "data" / name).mkdir(parents=True)
        for i in range(4):
            write_wav(folder / "data" / name / f"{i}.wav", hum(4 * number + i), RATE)
    settings = (*SMALL, "latent_dim=4")
    assert (
        call(
            "train",
            "--preset",
            "sound",
            "--data",
            folder / "data",
            "--out",
            folder / "runs",
            *COMMON,
            "--set",
            *settings,
        )
        == 0
    )
    return folder


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A folder of text files, and a model that made one step on them."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "data").mkdir()
    for number, name in enumerate(NAMES):
        lines = [f"{'ab<'[number]}{'abba'[:i]}" for i in range(1, 5)]
        (folder / "data" / f"{name}.txt").write_text("\n".join(lines))
    given = ("--data", folder / "data", "--length", 8, "--out", folder / "runs", *COMMON)
    assert call("train", "--preset", "text", *given, "--set", *SMALL) == 0
    return folder


@pytest.mark.slow
def test_sounds_are_adapted_to_and_written(sounds, tmp_path, capsys):
    out = tmp_path / "made"
    support = sounds / "data" / NAMES[0]
    assert (
        call("adapt", "--model", sounds / "runs", "--support", support, "--out", out, "--sample", 3, "--seed", 5) == 0
    )
    assert capsys.readouterr().out.endswith(f"adapted model, 3 samples and grid.png and report.html: {out}\n")
    waves = sorted((out / "samples").iterdir())
    assert [path.name for path in waves] == ["0000.wav", "0001.wav", "0002.wav"]
    made = meta_gan.load_adapted(out).sample(3, seed=5)
    for path, expected in zip(waves, made, strict=True):
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.getnframes(), file.getnchannels()) == (RATE, 1024, 1)
            found = np.frombuffer(file.readframes(1024), "<i2")
        np.testing.assert_allclose(found / 32768, expected[:, 0], atol=1 / 32768)
    page = (out / "report.html").read_text()
    played = re.findall(r'src="([^"]+)"', page)
    assert len(played) == 4 + 3 and all((out / name).is_file() for name in played)
    assert Image.open(out / "grid.png").size == (4 * 34 - 2, 2 * 34 - 2)


@pytest.mark.slow
def test_more_sounds_of_an_adapted_model(sounds, tmp_path):
    first, more = tmp_path / "made", tmp_path / "more"
    support = sounds / "data" / NAMES[0] / "0.wav"
    assert call("adapt", "--model", sounds / "runs", "--support", support, "--out", first, "--sample", 2) == 0
    assert call("sample", "--model", first, "--count", 2, "--out", more) == 0
    for name in ("0000.wav", "0001.wav"):
        assert (first / "samples" / name).read_bytes() == (more / "samples" / name).read_bytes()


@pytest.mark.slow
def test_texts_are_adapted_to_and_listed(texts, tmp_path, capsys):
    out = tmp_path / "made"
    support = texts / "data" / f"{NAMES[2]}.txt"
    # No inner step: what it costs to trace one says nothing of files.
    given = ("--model", texts / "runs", "--support", support, "--out", out)
    assert call("adapt", *given, "--sample", 5, "--inner-steps", 0) == 0
    assert capsys.readouterr().out.endswith(f"adapted model, 5 samples and report.html: {out}\n")
    model = meta_gan.load(texts / "runs")
    lines = (out / "samples.txt").read_text().split("\n")
    assert len(lines) == 6 and set("".join(lines)) <= set(model.data_card["alphabet"])
    page = (out / "report.html").read_text()
    assert page.count("<li>") == 4 + 5 and "<li>&lt;a</li>" in page
    assert [html.unescape(item) for item in re.findall("<li>(.*?)</li>", page)][4:] == lines[:5]


@pytest.mark.slow
def test_info_and_data_of_sounds(sounds, tmp_path, capsys):
    assert call("info", "--model", sounds / "runs") == 0
    assert "example shape: (1024, 1), sounds at 8000 Hz" in capsys.readouterr().out
    assert call("data", "--data", sounds / "data", "--shots", 1, "--queries", 1, "--out", tmp_path / "a.png") == 0
    assert Image.open(tmp_path / "a.png").size == (4 * 34 - 2, 3 * 34 - 2)


@pytest.mark.slow
def test_info_and_data_of_texts(texts, tmp_path, capsys):
    assert call("info", "--model", texts / "runs") == 0
    assert "example shape: (8, 4), texts of '<ab'" in capsys.readouterr().out
    assert call("data", "--data", texts / "data", "--shots", 1, "--queries", 1, "--out", tmp_path / "a.txt") == 0
    assert (tmp_path / "a.txt").read_text().splitlines()[2] == f"{NAMES[2]}: <a, <ab, <abb, <abba"


@pytest.mark.parametrize(
    ("kind", "support", "flags", "said"),
    weekly(
        ("sounds", "none", (), "A support set must be a folder of sounds"),
        ("sounds", "bad.wav", (), "bad.wav: must be a whole WAV"),
        ("sounds", "empty", (), "empty: must hold at least 1 sound file"),
        ("sounds", "images.npz", (), "must hold the arrays 'audio' and 'rate'"),
        ("sounds", "bad.wav", ("--invert", "yes"), "'invert' is for models of pictures"),
        ("texts", "none", (), "must be a file of one text a line"),
        ("texts", "empty", (), "must be a file of one text a line"),
        ("texts", "other.txt", (), "'xyz', with 'xyz'"),
        ("texts", "blank.txt", (), "blank.txt: must hold at least 1 line"),
    ),
)
def test_bad_support_sets(request, tmp_path, refused, kind, support, flags, said):
    (tmp_path / "in" / "empty").mkdir(parents=True)
    (tmp_path / "in" / "bad.wav").write_bytes(b"RIFF")
    (tmp_path / "in" / "other.txt").write_text("ab\nxyz\n")
    (tmp_path / "in" / "blank.txt").write_text("\n\n")
    np.savez(tmp_path / "in" / "images.npz", images=np.zeros((2, 8, 8), np.uint8))
    model = request.getfixturevalue(kind) / "runs"
    given = ("--model", model, "--support", tmp_path / "in" / support, "--out", tmp_path / "out")
    assert said in refused("adapt", *given, *flags)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_judge_of_sounds_looks_at_spectrograms(sounds, tmp_path, capsys):
    given = ("--data", sounds / "data", "--out", tmp_path / "net", "--purpose", "objective", "--no-augmentation")
    assert call("judge", *given, "--ways", 2, "--shots", 1, "--queries", 1, "--steps", 1, "--width", 2) == 0
    assert meta_gan.features.load(str(tmp_path / "net")).example_shape == (32, 32, 1)
    features = (*SMALL, "latent_dim=4", f"game.features={tmp_path / 'net'}")
    given = ("--data", sounds / "data", "--out", tmp_path / "runs", *COMMON, "--dry-run")
    assert call("train", "--preset", "sound", *given, "--set", *features) == 0
    assert "dry run" in capsys.readouterr().out


@pytest.mark.parametrize("kind", weekly("sounds", "texts"))
def test_what_is_for_pictures_alone(request, kind, tmp_path, refused):
    folder = request.getfixturevalue(kind)
    said = refused("evaluate", "--data", folder / "data", "--model", folder / "runs", "--out", tmp_path / "report")
    assert "--data of an evaluation must be pictures; `benchmarks.modalities`" in said and f"of {kind}" in said
    if kind == "texts":
        said = refused("judge", "--data", folder / "data", "--out", tmp_path / "net")
        assert "the source must be of pictures or sounds" in said
    assert list(tmp_path.iterdir()) == []
