"""`meta-gan finetune`: what it trains, what it saves and says, and what it refuses."""

import json

import numpy as np
import pytest

import meta_gan as mg
from meta_gan import storage
from tests.cli.conftest import call
from tests.cli.test_cli_augment import folder, model
from tests.trainers import helpers
from trainers.selection import BestModel

__all__ = ["model"]
PLACE = "00000-finetuned-model"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("finetune") / "classes", (8, 9, 12))


def finetune(model, data, out, *more):
    return ["finetune", "--model", model, "--data", data, "--out", out, "--seed", 3, *more]


@pytest.fixture(scope="module")
def run(model, data, tmp_path_factory):
    """A run of 50 steps, `(folder, what it printed)`."""
    out = tmp_path_factory.mktemp("finetune") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        printed = []
        patch.setattr("meta_gan.cli.console.print", lambda *words, **_: printed.append(" ".join(words)), raising=False)
        assert call(*finetune(model, data, out, "--steps", 50)) == 0
    return out / PLACE, printed


def test_the_best_model_is_saved_and_it_says_which(run, model):
    place, printed = run
    found = {line["step"]: line[BestModel.key] for line in helpers.metrics(place) if BestModel.key in line}
    assert sorted(found) == [0, 25, 50]
    best = min(found, key=found.get)
    assert storage.read_config(place / "model")["training"]["steps"] == best
    text = "\n".join(printed)
    assert f"{found[0]:.4g} before, {found[best]:.4g} after {best} of 50 steps" in text
    assert "3 classes of 8 to 12 images, about 25% of each held out" in text
    assert printed[-1] == f"saved model: {place / 'model'}"
    tuned, given = mg.load(place), mg.load(model)
    assert type(tuned.game) is type(given.game) and tuned.algorithm.name == given.algorithm.name


@pytest.mark.slow
def test_the_same_command_gives_the_same_bits_and_resumes_to_them(run, model, data, tmp_path):
    out = tmp_path / "runs"
    assert call(*finetune(model, data, out, "--steps", 20)) == 0
    assert call(*finetune(model, data, out, "--steps", 50, "--resume")) == 0
    first, second = (
        [line for line in helpers.timeless(place) if line["step"] in (0, 25, 50)] for place in (run[0], out / PLACE)
    )
    assert first == second
    saved = [storage.read_config(place / "model") for place in (run[0], out / PLACE)]
    assert saved[0]["weights_sha256"] == saved[1]["weights_sha256"]


@pytest.mark.slow
def test_pictures_of_the_other_polarity_are_inverted(tmp_path, capsys):
    light = np.zeros((24, 8, 8, 1), np.uint8)
    light[:, 2:5, 3:5] = np.arange(200, 224, dtype=np.uint8)[:, None, None, None]
    labels = np.repeat(np.arange(3), 8)
    np.savez(tmp_path / "dark.npz", images=255 - light, labels=labels)
    made = helpers.model()
    made.data_card = {"medium": "pictures", "polarity": "light-on-dark", "example_shape": [8, 8, 1], "splits": {}}
    made.save(tmp_path / "model")
    asked = finetune(tmp_path / "model", tmp_path / "dark.npz", tmp_path / "runs", "--steps", 1)
    assert call(*asked) == 0
    assert "dark-on-light, unlike the model's data: inverted" in capsys.readouterr().out
    config = json.loads((tmp_path / "runs" / PLACE / "config.json").read_text())
    assert config["data"]["polarity"] == "light-on-dark" and config["command"] == "finetune"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--steps", 0], "--steps must be"),
        (["--minutes", 0], "--minutes must be"),
        (["--minutes", 1, "--steps", 2], "--minutes and --steps must not both be given"),
        (["--rate", -1], "--rate must be"),
        (["--seed", -1], "--seed must be"),
        (["--resume"], "resuming needs a folder with a run in it"),
        (["--allow-changed", "data"], "--allow-changed needs --resume"),
    ],
)
def test_bad_flags_are_refused(more, said, refused, model, data, tmp_path):
    message = refused(*finetune(model, data, tmp_path / "runs", *more), out=tmp_path / "runs")
    assert said in message.replace("'", "")


def test_a_class_that_is_too_small_is_named(refused, model, tmp_path):
    small = folder(tmp_path / "small", (8, 2))
    message = refused(*finetune(model, small, tmp_path / "runs"), out=tmp_path / "runs")
    assert "3 or more" in message and "'c1'" in message


def test_another_rate_or_model_is_another_run(refused, run, model, data):
    out = run[0].parent
    assert "'learning_rate': 0.0001" in refused(*finetune(model, data, out, "--steps", 60, "--resume", "--rate", 0.01))
