"""The preset that `train` takes by default, symmetries, and feature networks made by `judge --purpose objective`."""

import numpy as np
import pytest

from meta_gan import features, presets
from meta_gan.judges import load_judge
from tests.cli.conftest import call, train_arguments
from tests.cli.test_cli_train import resolved
from tests.trainers import helpers

WITHOUT_FEATURES = ["terms.features=0", "game.features=", "nearness=0", "variety=0"]
SMALL = ["width=2", "latent_dim=4", "embedding_dim=3"]
JUDGE = ["--method", "prototypical", "--network", "conv4", "--width", "4", "--steps", "2"]


def bare(world, out, *more):
    """`meta-gan train` of the small world without a preset."""
    start = ["train", "--data", world.data, "--out", out, "--shots", "3", "--queries", "3"]
    return [*start, "--set", "meta_batch=2", *more]


@pytest.fixture(scope="module")
def objective(world):
    """A folder that `judge --purpose objective` made."""
    out = world.root / "objective"
    assert call("judge", "--data", world.data, "--out", out, *JUDGE, "--purpose", "objective") == 0
    return out


def test_the_default_preset_is_fusion(world, tmp_path, capsys):
    assert call(*bare(world, tmp_path / "out", *SMALL, *WITHOUT_FEATURES, "--dry-run")) == 0
    config, lines = resolved(capsys.readouterr().out)
    changes = dict(item.split("=") for item in (*SMALL, *WITHOUT_FEATURES))
    assert config["recipe"] == presets.get("fusion", changes).to_config()
    assert lines[-1].startswith("dry run: a model of ") and list(tmp_path.iterdir()) == []


def test_the_default_preset_on_other_images_says_what_to_do(world, tmp_path, refused):
    """Its shipped feature net is for 28x28 drawings."""
    message = refused(*bare(world, tmp_path / "out"), out=tmp_path / "out")
    for words in (
        "'features' must name a network for images of (8, 8, 1)",
        "--set game.features=NET",
        "--image-shape 28x28x1",
    ):
        assert words in message


def test_contradicting_settings_are_one_line(world, tmp_path, refused):
    out = tmp_path / "out"
    message = refused(*bare(world, out, *WITHOUT_FEATURES[:1], *WITHOUT_FEATURES[2:]), out=out)
    assert "'recipe.game.features' must be '' unless a term or the meta-learner uses it. Received: " in message
    message = refused(*train_arguments(world, out, "--set", "holdout=1"), out=out)
    assert "'recipe.game.holdout' must be 0 when network is 'dcgan' and game.task_encoder is 'none'." in message


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("True", True), ("false", False), ("FALSE", False)], ids=str
)
def test_symmetries_are_set_by_words(world, tmp_path, capsys, text, value):
    assert call(*train_arguments(world, tmp_path / "out", f"symmetries={text}", "--dry-run")) == 0
    config, _ = resolved(capsys.readouterr().out)
    assert config["train"]["symmetries"] is value


@pytest.mark.parametrize("text", ["maybe", "", "1", "0", "yes"])
def test_symmetries_by_another_word_are_refused(world, tmp_path, refused, text):
    message = refused(*train_arguments(world, tmp_path / "out", f"symmetries={text}"), out=tmp_path / "out")
    assert message == f"meta-gan train: error: 'train.symmetries' must be true or false. Received: {text!r}\n"


def test_symmetries_of_images_that_are_not_square_are_refused(world, tmp_path, refused):
    data, out = tmp_path / "oblong.npz", tmp_path / "out"
    arrays = helpers.arrays()
    np.savez(data, **{**arrays, "images": np.repeat(arrays["images"], 2, axis=2)})
    message = refused(*train_arguments(world, out, "symmetries=true", data=data), out=out)
    assert "oblong.npz: 'symmetries' needs square images. Received: (8, 16, 1)" in message
    assert "symmetries" in refused(*train_arguments(world, out, "symmetries=true", "--dry-run", data=data), out=out)


def test_resume_with_symmetries_is_refused(world, refused):
    """Of a run without them; the refusal writes nothing, so the shared run may be asked."""
    before = helpers.files(world.runs)
    message = refused(*train_arguments(world, world.runs, "symmetries=true", "--resume", "--steps", "4"))
    assert "{'train.symmetries': False}. Received: {'train.symmetries': True}" in message
    assert helpers.files(world.runs) == before


def test_judge_writes_a_network_of_the_purpose(world, objective):
    made = features.load(objective)
    assert made.card["purpose"] == made.card["recipe"]["purpose"] == "objective"
    assert made.example_shape == helpers.SHAPE
    assert "never a judge" in (objective / "README.md").read_text("utf-8")


def test_a_recipe_takes_it_as_features(world, objective, tmp_path, capsys):
    settings = ["network=mlp", "terms.features=1", f"game.features={objective}"]
    assert call(*train_arguments(world, tmp_path / "out", *settings, "--dry-run")) == 0
    config, _ = resolved(capsys.readouterr().out)
    assert (config["recipe"]["game"]["features"], config["recipe"]["game"]["terms"]["features"]) == (
        str(objective),
        1.0,
    )


def test_evaluate_refuses_it_as_a_judge(world, objective, tmp_path, refused):
    arguments = ["--data", world.data, "--judge", objective, "--shots", 3, "--quick", "--out", tmp_path / "o"]
    message = refused("evaluate", *arguments, out=tmp_path / "o")
    assert "a judge must never have been the objective of a training. Received: 'objective'" in message


def test_a_judge_is_refused_as_features(world, tmp_path, refused):
    judge, out = tmp_path / "judge", tmp_path / "out"
    assert call("judge", "--data", world.data, "--out", judge, *JUDGE, "--purpose", "judge") == 0
    assert load_judge(judge).card["purpose"] == "judge"
    message = refused(
        *train_arguments(world, out, "network=mlp", "terms.features=1", f"game.features={judge}"), out=out
    )
    assert "a judge must never be an objective." in message and "of the purpose 'judge'" in message


def test_another_purpose_does_not_parse(world, tmp_path, capsys):
    assert call("judge", "--data", world.data, "--out", tmp_path / "j", "--purpose", "both") == 2
    error = capsys.readouterr().err
    assert "argument --purpose: invalid choice: 'both'" in error and error.count("\n") == 1
    assert not (tmp_path / "j").exists()


def test_help_names_the_presets_and_the_default(capsys):
    assert call("train", "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"{' | '.join(sorted(presets.PRESETS))} (default: fusion)" in text
