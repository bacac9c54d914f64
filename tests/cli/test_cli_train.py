"""`meta-gan train`: what it prints and writes, dry runs, and resuming."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import meta_gan
from meta_gan import presets
from tests.cli.conftest import SETTINGS, call, train_arguments
from tests.trainers import helpers
from trainers.copy_limit import CopyLimit


@pytest.fixture
def copy(world, tmp_path):
    """A copy of the trained runs."""
    return Path(shutil.copytree(world.runs, tmp_path / "runs"))


def resolved(printed):
    """The JSON that a command prints first, and the lines after it."""
    value, end = json.JSONDecoder().raw_decode(printed)
    return value, printed[end:].strip().splitlines()


def test_a_dry_run_prints_the_config_first_and_writes_nothing(world, tmp_path, capsys):
    out = tmp_path / "out"
    assert call(*train_arguments(world, out, "--dry-run", "--seed", "5")) == 0
    config, lines = resolved(capsys.readouterr().out)
    recipe = presets.get("fomaml", width=4, latent_dim=4, inner_steps=2, penalty="none", seed=5)
    assert presets.from_config(config["recipe"]) == recipe
    assert config["source"] == str(world.data) and config["out"] == str(out)
    assert config["episodes"] == {"shots": 3, "queries": 3, "seed": 5}
    assert config["train"]["steps"] == 2 and config["train"]["picture_steps"] == [0, 1]
    assert lines[0].startswith("noise.npz: 10 classes, 120 images of 8 x 8 x 1, ")
    count = presets.build(recipe, helpers.SHAPE).count_params()
    assert lines[-1] == f"dry run: a model of {count:,} values; nothing was written"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_that_stops_for_copies_says_which_model_is_saved(world, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(CopyLimit, "add", lambda self, step, values: self.rates.update({step: 0.9 * (step > 1)}))
    watched = ["validate_every=1", "copy_limit=0.5", "copy_patience=1"]
    assert call(*train_arguments(world, tmp_path / "out", *watched, "--steps", "4")) == 0
    lines = resolved(capsys.readouterr().out)[1]
    assert lines[-2] == "stopped after step 2: too many copies; the saved model is that of step 1"
    assert [path.name for path in (tmp_path / "out").glob("*/served/*")] == ["1"]


@pytest.mark.slow
def test_a_run_that_never_keeps_the_limit_of_copies_says_so(world, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(CopyLimit, "add", lambda self, step, values: self.rates.update({step: 0.9}))
    assert call(*train_arguments(world, tmp_path / "out", "copy_limit=0.5")) == 0
    lines = resolved(capsys.readouterr().out)[1]
    assert lines[-2] == "no validation was within 'copy_limit' 0.5: the copy rate of the saved model is higher"


@pytest.mark.slow
def test_a_run_starts_from_a_saved_model(world, tmp_path, capsys):
    out, still = tmp_path / "out", ["algorithm=reptile", "outer_rate=1e-30"]
    assert call(*train_arguments(world, out, *still, "--start", world.runs)) == 0
    assert resolved(capsys.readouterr().out)[0]["start"] == str(world.runs)
    support = helpers.arrays(seed=1)["images"][:5]
    started, first = (meta_gan.load(runs).adapt(support).sample(4) for runs in (out, world.runs))
    np.testing.assert_allclose(started, first, atol=1e-5)


def test_a_start_that_does_not_fit_is_refused_before_anything_is_written(world, tmp_path, refused):
    arguments = train_arguments(world, tmp_path / "out", "width=5", "--start", world.runs)
    assert "a model to start from must have the same nets, of the same shapes" in refused(*arguments)
    assert not (tmp_path / "out").exists()


def test_the_run_folder_records_what_was_asked(world):
    config = json.loads((world.run / "config.json").read_text("utf-8"))
    assert config["recipe"]["name"] == "fomaml" and config["recipe"]["network"] == {
        **{"kind": "dcgan", "width": 4, "latent_dim": 4, "normalization": "layer", "scale_and_shift": False}
    }
    assert config["source"] == str(world.data)
    assert config["train"] == {
        **{"steps": 2, "meta_batch": 2, "log_every": 1, "validate_every": 2, "checkpoint_every": 2, "keep": 3},
        **{
            "validation_batches": 1,
            "picture_classes": 8,
            "picture_steps": [0, 1],
            "symmetries": False,
            "minutes": 0.0,
            "processor_time": False,
            "fewest_shots": 0,
            "copy_limit": 0.0,
            "copy_patience": 3,
            "keep_best": False,
            "bad_steps": 10,
            "on_alarm": "log",
            "worker_timeout": 600.0,
        },
    }
    assert [line["step"] for line in helpers.metrics(world.run)] == [0, 1, 2, 2]
    assert meta_gan.load(world.runs).data_card["name"] == "noise.npz"


@pytest.mark.slow
def test_resume_goes_on_to_the_bits_of_one_run(world, copy, tmp_path, capsys):
    assert call(*train_arguments(world, copy, "--resume", "--steps", "4")) == 0
    resumed = copy / "00000-fomaml-noise"
    _, lines = resolved(capsys.readouterr().out)
    assert lines[-2:] == [f"run folder: {resumed}", f"saved model: {resumed / 'model'}"]
    assert [path.name for path in copy.iterdir()] == ["00000-fomaml-noise"]
    assert call(*train_arguments(world, tmp_path / "whole", "--steps", "4")) == 0
    whole = tmp_path / "whole" / "00000-fomaml-noise"
    assert helpers.timeless(resumed) == helpers.timeless(whole)
    first, second = (np.load(run / "model" / "weights.npz") for run in (resumed, whole))
    helpers.assert_same_values(*[[loaded[key] for key in sorted(loaded.files)] for loaded in (first, second)])
    assert "- steps: 4" in (resumed / "model" / "README.md").read_text("utf-8").splitlines()


def test_a_dry_resume_writes_nothing(world, copy):
    before = helpers.files(copy)
    assert call(*train_arguments(world, copy, "--resume", "--dry-run", "--steps", "4")) == 0
    assert helpers.files(copy) == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "width=8"], "{'recipe.network.width': 4}. Received: {'recipe.network.width': 8}"),
        (["--set", "meta_batch=3"], "{'train.meta_batch': 2}. Received: {'train.meta_batch': 3}"),
        (["--shots", "4"], "{'episodes.shots': 3}. Received: {'episodes.shots': 4}"),
        (["--preset", "reptile"], "'recipe.algorithm.kind': 'fomaml'"),
        (["--seed", "1"], "'episodes.seed': 0"),
        (["--set", "copy_limit=0.5"], "'train.copy_limit': 0.0"),
        (["--steps", "1"], "'steps' must be >= 2, those of the checkpoint in "),
    ],
)
def test_resume_with_other_settings_is_refused(world, copy, refused, more, message):
    before = helpers.files(copy)
    assert message in refused(*train_arguments(world, copy, "--resume", *more))
    assert helpers.files(copy) == before


def test_resume_with_other_data_is_refused(world, copy, refused, tmp_path):
    data = tmp_path / "noise.npz"
    np.savez(data, **helpers.arrays((0,) * 7 + (1, 2, 2)))
    original = world.data.read_bytes()
    try:
        # The same path, so that its content alone is in question.
        world.data.write_bytes(data.read_bytes())
        assert "'data.splits.train': [" in refused(*train_arguments(world, copy, "--resume"))
    finally:
        world.data.write_bytes(original)
    assert "'source': '" in refused(*train_arguments(world, copy, "--resume", data=data))


@pytest.mark.parametrize("place", ["absent", "."])
def test_resume_without_a_run_is_refused(world, tmp_path, refused, place):
    out = tmp_path / place
    message = refused(*train_arguments(world, out, "--resume"), out=None if place == "." else out)
    required = "resuming needs a folder with a run in it; leave out --resume to start one"
    assert f"{required}. Received: {str(out)!r}, without one" in message
    assert list(tmp_path.iterdir()) == []


def test_divergence_is_exit_code_4_in_one_line(world, tmp_path, refused):
    blown = ["meta_learner=descent", "inner_rate=1e30", "network=mlp", "validate_every=9"]
    message = refused(*train_arguments(world, tmp_path / "runs", "--set", *blown), code=4)
    assert "training stopped after step 0: the meta-gradient of " in message
    assert message.endswith("; there is no checkpoint yet\n")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--preset", "wgan"],
            f"'preset' must be one of {', '.join(map(repr, sorted(presets.PRESETS)))}. Received: 'wgan'",
        ),
        (["--steps", "0"], "'train.steps' must be an integer >= 1 and < 2^31. Received: 0"),
        (["--steps", "-3"], "'train.steps' must be an integer >= 1 and < 2^31. Received: -3"),
        (["--shots", "0"], "'shots' must be an integer >= 1 and < 2^31. Received: 0"),
        (["--queries", "0"], "'queries' must be an integer >= 1 and < 2^31. Received: 0"),
        (["--shots", "10"], "every class needs at least shots + queries = 13 examples; class '0' has 12"),
        (["--seed", "-1"], "'recipe.seed' must be an integer >= 0 and < 2^31. Received: -1"),
        (["--seed", str(2**31)], "'recipe.seed' must be an integer >= 0 and < 2^31. Received: 2147483648"),
        (["--image-shape", "8x8"], "--image-shape must be HxWxC, such as 28x28x1. Received: '8x8'"),
        (["--image-shape", "9x9x1"], "even height and width of at least 8"),
        (["--archives", "a"], "'archives' must be None except for 'tfds:NAME'"),
        (["--set", "colour=1"], "'colour' must be a setting, one of recipe, recipe.name, recipe.network, "),
        (["--set", "width"], "--set must be KEY=VALUE. Received: 'width'"),
        (["--set", "features=x"], "'features' must name one setting, 'recipe.game.features' or 'recipe.game.terms."),
        (
            ["--set", "temperature=2"],
            "'temperature' must not be set when recipe.network is 'dcgan', but only when it is ",
        ),
        (["--set", "width=wide"], "'recipe.network.width' must be an integer. Received: 'wide'"),
        (["--set", "width=4.5"], "'recipe.network.width' must be an integer. Received: '4.5'"),
        (["--set", "width=0"], "'recipe.network.width' must be an integer >= 1 and < 2^31. Received: 0"),
        (["--set", "inner_rate=nan"], "'recipe.algorithm.meta_learner.inner_rate' must be a finite number > 0."),
        (["--set", "clip=-1"], "'recipe.outer.clip' must be a finite number >= 0. Received: -1.0"),
        (["--set", "loss=l2"], "'recipe.game.loss' must be one of "),
        (["--set", "mask=("], "'mask' must be a regular expression"),
        (["--set", "keep=0"], "'train.keep' must be an integer >= 1 and < 2^31. Received: 0"),
        (["--set", "picture_steps=0,x"], "'train.picture_steps' must be integers separated by commas. Received: '0,x'"),
        (["--set", "picture_steps=-1"], "'train.picture_steps' must be an integer >= 0 and < 2^31. Received: -1"),
        (["--set", "meta_batch=7"], "'meta_batch' must be at most the 6 tasks of the train split"),
    ],
)
def test_a_bad_setting_is_refused(world, tmp_path, refused, more, message):
    out = tmp_path / "a" / "runs"
    assert message in refused(*train_arguments(world, out, *more), out=out.parent)


def test_settings_add_up_and_the_last_one_counts(world, tmp_path, capsys):
    more = ["--set", "width=5", "--set", "width=6", "clip=0.5", "--dry-run"]
    assert call(*train_arguments(world, tmp_path / "out", *more)) == 0
    config, _ = resolved(capsys.readouterr().out)
    assert (config["recipe"]["network"]["width"], config["recipe"]["outer"]["clip"]) == (6, 0.5)
    assert config["train"]["log_every"] == 1, f"of the first --set, {SETTINGS}"


def test_a_limit_of_copies_that_nothing_can_be_held_to_is_refused(world, tmp_path, refused):
    data = tmp_path / "data.npz"
    np.savez(data, **helpers.arrays((0,) * 6 + (2, 2)))
    asked = train_arguments(world, tmp_path / "runs", "copy_limit=0.1", data=data)
    assert "'copy_limit' needs " in refused(*asked, out=tmp_path / "runs")
    assert "'copy_limit' needs " in refused(*asked, "--dry-run")


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_an_output_that_cannot_be_a_folder_is_refused(world, tmp_path, refused, place):
    (tmp_path / "file").write_text("mine")
    message = refused(*train_arguments(world, tmp_path / place))
    assert "--out must be a folder" in message or "must be writable. Received: " in message
    assert helpers.files(tmp_path) == {"file": b"mine"}
