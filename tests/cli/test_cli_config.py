"""`meta-gan train --config`: a run is repeated and varied from what its folder or a dry run says."""

import json

import numpy as np
import pytest

from meta_gan import presets
from meta_gan.cli import program, settings
from tests.cli.conftest import call, train_arguments
from tests.cli.test_cli_train import resolved
from tests.trainers import helpers

TOML = """
source = "drawings.npz"
image_shape = "28x28x1"

[recipe]
name = "mine"
network = "mlp"

[recipe.game]
kind = "gan"
penalty = "none"
terms = { adversarial = 0.5 }

[train]
steps = 5

[episodes]
seed = 3
"""


def dry(capsys, *arguments):
    """The configuration that a dry run prints."""
    capsys.readouterr()
    assert call(*arguments, "--dry-run") == 0
    return resolved(capsys.readouterr().out)[0]


def resolve(*arguments):
    return settings.resolve(program.parser().parse_args(["train", "--out", "o", *map(str, arguments)]))


@pytest.fixture
def toml(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TOML, "utf-8")
    return path


@pytest.mark.parametrize("source", ["the run's folder", "what a dry run prints"])
def test_a_run_can_be_repeated_and_varied_from_its_configuration(world, tmp_path, capsys, source):
    out = tmp_path / "out"
    asked = train_arguments(world, out, *([] if source == "the run's folder" else ["name=mine", "--seed", "3"]))
    first, file = dry(capsys, *asked), world.run / "config.json"
    if source != "the run's folder":
        assert call(*asked, "--dry-run") == 0
        file = tmp_path / "printed.json"
        file.write_text(capsys.readouterr().out, "utf-8")
    again = ["train", "--config", file, "--out", out]
    assert dry(capsys, *again) == first
    varied = dry(capsys, *again, "--set", "mode_seeking=3", "--shots", "2", "--steps", "9")
    assert (varied["recipe"]["game"]["terms"]["mode_seeking"], varied["train"]["steps"]) == (3.0, 9)
    for config in (first, varied):
        del config["recipe"]["game"]["terms"]["mode_seeking"], config["episodes"]["shots"], config["train"]["steps"]
    assert varied == first


@pytest.mark.slow
def test_a_repeated_run_ends_in_the_same_bits(world, tmp_path):
    assert call("train", "--config", world.run / "config.json", "--out", tmp_path) == 0
    again = tmp_path / "00000-fomaml-noise"
    first, second = (np.load(run / "model" / "weights.npz") for run in (world.run, again))
    helpers.assert_same_values(*[[loaded[key] for key in sorted(loaded.files)] for loaded in (first, second)])
    assert helpers.timeless(again) == helpers.timeless(world.run)


def test_a_file_of_ones_own(toml):
    chosen, arguments = resolve("--config", toml)
    assert (chosen.recipe.name, chosen.recipe.game.penalty, chosen.recipe.game.terms.adversarial) == ("mine", None, 0.5)
    assert chosen.recipe.network == presets.networks.MLP() and chosen.train.steps == 5
    assert (arguments.data, arguments.image_shape, arguments.shots, arguments.seed) == ("drawings.npz", "28x28x1", 5, 3)
    assert settings.describe(chosen, arguments) == {
        **{"recipe": chosen.recipe.to_config(), "source": "drawings.npz", "image_shape": "28x28x1"}
    }


def test_what_a_run_records_beside_its_settings_is_no_setting(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"source": "glyphs", "run": "a1", "callbacks": ["CSVLogger"], "rollbacks": []}))
    chosen, arguments = resolve("--config", file)
    assert arguments.data == "glyphs" and chosen.recipe == resolve("--data", "glyphs")[0].recipe


def test_flags_count_more_than_the_file(toml):
    flags = ["--data", "glyphs", "--seed", "0", "--shots", "2", "--image-shape", "8x8x1", "--steps", "7"]
    chosen, arguments = resolve("--config", toml, *flags, "--set", "width=5", "keep=9")
    assert (arguments.data, arguments.image_shape, arguments.shots, arguments.seed) == ("glyphs", "8x8x1", 2, 0)
    assert (chosen.recipe.name, chosen.recipe.network.width, chosen.recipe.seed) == ("mine", 5, 0)
    assert (chosen.train.steps, chosen.train.keep) == (7, 9)
    chosen, _ = resolve("--config", toml, "--preset", "maml")
    assert chosen.recipe == presets.get("maml", seed=3) and chosen.train.steps == 5


def test_a_preset_has_the_seed_of_the_run():
    chosen, arguments = resolve("--data", "d", "--seed", "4")
    assert chosen.recipe == presets.get("fusion", seed=4) and arguments.seed == 4
    chosen, arguments = resolve("--data", "d", "--seed", "4", "--set", "seed=5")
    assert chosen.recipe.seed == 5 and arguments.seed == 4


def test_every_setting_of_a_run_has_a_path():
    chosen, _ = resolve("--data", "d", "--set", "train.log_every=50", "recipe.game.terms.nearness=3", "outer.rate=0.5")
    assert (chosen.train.log_every, chosen.recipe.game.terms.nearness, chosen.recipe.outer.rate) == (50, 3.0, 0.5)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.toml", "colour = 1", "'colour' must be a setting, one of recipe, train, source, "),
        ("c.toml", "[episodes]\nways = 1", "'episodes.ways' must be a setting, one of "),
        ("c.toml", "episodes = 1", "--config and its 'episodes' must be tables of settings. Received: "),
        ("c.toml", 'source = "d"\n[recipe]\ncolour = 1', "'recipe.colour' must be a setting, one of name, network, "),
        ("c.toml", 'source = "d"\n[train]\nsteps = "1"', "'train.steps' must be an integer >= 1"),
        ("c.toml", 'source = "d"\nrecipe = "fusion"', "'recipe' must be a table of settings. Received: 'fusion'"),
        ("c.toml", "[recipe]\nseed = 1", "--data must be given, or be 'source' in the file of --config"),
        ("c.toml", "source =", "--config must be a valid .toml file. Received: "),
        ("c.json", "{", "--config must be a valid .json file. Received: "),
        ("c.json", "[1]", "--config and its 'episodes' must be tables of settings. Received: "),
        ("c.yaml", "source: d", "--config must be a .json or .toml file. Received: "),
    ],
)
def test_a_bad_file_is_refused(tmp_path, refused, name, text, message):
    (tmp_path / name).write_text(text, "utf-8")
    out = tmp_path / "out"
    assert message in refused("train", "--config", tmp_path / name, "--out", out, out=out)


def test_a_file_that_is_not_there_is_refused(tmp_path, refused):
    assert "nowhere.json" in refused("train", "--config", tmp_path / "nowhere.json", "--out", tmp_path / "out")


def test_a_run_records_how_its_data_was_opened(world, tmp_path, capsys):
    more = ["--image-shape", "8x8x1", "--target", world.data, "--pair", "all", "--both-ways"]
    config = dry(capsys, *train_arguments(world, tmp_path / "out"), *more)
    assert (config["image_shape"], config["target"]) == ("8x8x1", str(world.data))
    assert (config["pair"], config["both_ways"]) == ("all", True)
    (tmp_path / "c.json").write_text(json.dumps(config), "utf-8")
    assert dry(capsys, "train", "--config", tmp_path / "c.json", "--out", tmp_path / "out") == config


@pytest.mark.parametrize(
    "content",
    [b'{"recipe": {"outer": ""}}', b'{"train": {"steps": "x"}}', b'{"recipe": "\xff"}', b"[" * 100_000, b"[]", b""],
)
def test_a_damaged_configuration_is_named(tmp_path, refused, content):
    (tmp_path / "mine.json").write_bytes(content)
    words = ["train", "--data", "glyphs", "--config", tmp_path / "mine.json", "--out", tmp_path / "runs"]
    assert "mine.json" in refused(*words, out=tmp_path / "runs")
