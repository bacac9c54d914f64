"""`meta-gan train` on several sources and on variations of single pictures."""

import json
import re

import numpy as np
import pytest

import meta_gan
from tests.cli.conftest import SETTINGS, call


@pytest.fixture
def colour(tmp_path):
    """A `.npz` file of 10 classes of 8 pictures in colour, 6 x 6."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (80, 6, 6, 3), dtype=np.uint8)
    split = np.array([0] * 7 + [1] * 2 + [2])
    np.savez(tmp_path / "colour.npz", images=images, labels=np.repeat(np.arange(10), 8), class_split=split)
    return tmp_path / "colour.npz"


def arguments(out, *data, more=()):
    start = ["train", "--preset", "fomaml", "--data", *data, "--out", out, "--steps", "2"]
    return [*start, "--image-shape", "8x8x3", "--shots", "3", "--queries", "3", *more, "--set", *SETTINGS]


@pytest.mark.slow
def test_a_run_on_a_mixture_records_it_and_resumes_with_the_same_weights_only(world, colour, tmp_path, capsys):
    out, data = tmp_path / "out", [world.data, colour, f"variations:{colour}"]
    assert call(*arguments(out, *data, more=["--weights", 1, 1, 2])) == 0
    (run,) = out.iterdir()
    config = json.loads((run / "config.json").read_text())
    assert run.name == "00000-fomaml-mixture" and config["weights"] == [1, 1, 2]
    assert config["source"] == [str(each) for each in data]
    model = meta_gan.load(out)
    assert model.game.example_shape == (8, 8, 3) and model.data_card["name"] == "noise.npz + colour.npz"
    assert model.data_card["polarity"] is None
    train = model.data_card["splits"]["train"]
    assert "colour.npz/0" in train and any(name.startswith("noise.npz/") for name in train)
    capsys.readouterr()
    assert call(*arguments(out, *data, more=["--weights", 1, 1, 1, "--resume"])) == 2
    assert "weights" in capsys.readouterr().err
    assert call(*arguments(out, *data, more=["--weights", 1, 1, 2, "--resume"])) == 0


def test_variations_of_one_source_need_no_weights(colour, tmp_path, capsys):
    assert call(*arguments(tmp_path / "out", f"variations:{colour}", more=["--dry-run"])) == 0
    assert "dry run: a model of" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "more", "message"),
    [
        (1, ["--weights", 1], r"--weights needs several sources in --data"),
        (2, ["--weights", 1], r"--weights must be 2 numbers, one for each source. Received: \[1.0\]"),
        (2, ["--weights", 1, -1], r"'weights' must be 2 numbers > 0"),
        (2, ["--protocol", "A"], r"--protocol must be left out with several sources"),
        (2, ["--target", "glyphs"], r"--target must be left out with several sources"),
        (2, ["--pair", "name"], r"--pair needs --target"),
    ],
)
def test_bad_flags_are_refused(world, colour, tmp_path, refused, data, more, message):
    said = refused(*arguments(tmp_path / "out", *[world.data, colour][:data], more=more), out=tmp_path / "out")
    assert re.search(message, said)


def test_a_missing_source_is_named(world, tmp_path, refused):
    said = refused(*arguments(tmp_path / "out", world.data, tmp_path / "none.npz"), out=tmp_path / "out")
    assert "none.npz" in said
