"""The ablations of the flagship, and the energy distance lost by knowing five drawings only."""

import argparse
import dataclasses

import numpy as np
import pytest

from benchmarks.flagship import ablations, floor
from meta_gan import presets
from meta_gan.cli import settings as cli_settings
from tests.toys import weekly

SEEN = tuple(ablations.ROWS)[:3]


def settings(row):
    """The recipe and run settings of a row, as the command line makes them."""
    preset, changes, _ = ablations.ROWS[row]
    flags = {"preset": preset, "set": list(changes), "seed": 0, "steps": 5, "data": "drawings.npz", "config": None}
    chosen, _ = cli_settings.resolve(argparse.Namespace(**flags))
    return chosen.recipe, chosen.train


@pytest.mark.parametrize("row", ablations.ROWS)
def test_every_row_is_a_recipe_that_differs_from_the_flagship(row):
    recipe, config = settings(row)
    assert config.steps == 5
    base = dataclasses.replace(presets.get("fusion"), name=recipe.name)
    assert (recipe == base) == (row == "flagship")


@pytest.mark.parametrize("row", [*SEEN, *weekly(*(row for row in ablations.ROWS if row not in SEEN))])
def test_every_row_can_be_built(row):
    """The mask of every row chooses weights of its networks."""
    recipe, _ = settings(row)
    model = presets.build(presets.change(recipe, {"width": 1}), (28, 28, 1))
    assert any(model.loop.mask.values())


@pytest.mark.parametrize("row", ablations.ROWS)
def test_adaptation_is_measured_where_it_is_trained(row):
    recipe, _ = settings(row)
    assert ablations.ROWS[row][2] == recipe.inner_steps


def test_the_table_by_hand():
    """Two seeds of energy .1 and .3: .200 (0.100, 0.300)."""
    seeds = {}
    for seed, energy in (("0", 0.1), ("1", 0.3)):
        scores = {score: {"mean": 1.0} for score in ablations.SCORES} | {"energy_distance": {"mean": energy}}
        seeds[seed] = {"rows": {"model": dict.fromkeys(ablations.JUDGES, scores)}, "training": {"steps": 7}}
        seeds[seed]["stopped"] = "training stopped after step 8" if seed == "1" else ""
    head, delimiter, line, *rest = ablations.table({"flagship": seeds}).splitlines()
    assert head.startswith("| row | seeds | outer steps | energy_distance |") and not rest
    assert delimiter.count("---") == head.count("|") - 1 == line.count("|") - 1
    assert line.startswith(
        "| flagship | 2 | 7, 7 (then diverged) | 0.200 (0.100, 0.300) / 0.200 (0.100, 0.300) | 1.000 (1.000, 1.000)"
    )


def test_only_the_given_rows_and_seeds_are_trained(tmp_path, monkeypatch):
    """The scores of a row come from the folder of its run; the networks of one row are also adapted from scratch."""
    trained = []

    def train(row, seed, data, out, minutes, core):
        trained.append((row, seed))
        return "stopped" if (row, seed) == ("figr", 3) else ""

    def measure(row, folder, source, out, classes):
        return {"rows": {"model": folder.name, "from scratch": f"scratch {folder.name}"}, "training": {"steps": 9}}

    monkeypatch.setattr(ablations, "train", train)
    monkeypatch.setattr(ablations, "measure", measure)
    monkeypatch.setattr(ablations.run_folder, "latest_run", str)
    np.savez(tmp_path / "data.npz", images=np.zeros((20, 8, 8), np.uint8), labels=np.repeat(np.arange(10), 2))
    rows = ("figr", ablations.SCRATCH)
    results = ablations.run(rows, [1, 3], str(tmp_path / "data.npz"), tmp_path, 0.0, 1)
    assert sorted(trained) == [(row, seed) for row in sorted(rows) for seed in (1, 3)]
    assert list(results) == [*rows, "from scratch"] and all(list(seeds) == ["1", "3"] for seeds in results.values())
    assert {seed: row["stopped"] for seed, row in results["figr"].items()} == {"1": "", "3": "stopped"}
    scratch = results["from scratch"]["3"]
    assert scratch["rows"]["model"] == f"scratch {ablations.SCRATCH.replace(' ', '-')}-3"
    assert scratch["training"]["steps"] == 0


@pytest.mark.slow
def test_a_failed_training_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)training 'flagship' with seed 0 failed:\n.*absent.npz"):
        ablations.train("flagship", 0, str(tmp_path / "absent.npz"), tmp_path, 0.1, 0)


@pytest.fixture(scope="module")
def normal():
    """Features of 60 classes of 20 in two dimensions: between classes 4, within 1 and 1/4."""
    draw = np.random.default_rng(0)
    means = draw.normal(0.0, 2.0, (60, 1, 2))
    return means + draw.normal(0.0, 1.0, (60, 20, 2)) * [1.0, 0.5]


def test_keeping_all_copies_and_keeping_nothing_draws_around_the_mean(normal):
    support = normal[40:, :5]
    rows = floor.predictions(normal[:40], support, seed=0)
    np.testing.assert_allclose(rows["keep 1.0"], np.repeat(support, 3, axis=1), atol=1e-9)
    spread = (rows["keep 0.0"] - rows["keep 0.0"].mean(axis=1, keepdims=True)).std(axis=(0, 1))
    np.testing.assert_allclose(spread, [1.0, 0.5], rtol=0.2)
    # Five images of variance 1 determine a mean of variance 4 well: it is hardly shrunk.
    np.testing.assert_allclose(rows["keep 0.0"].mean(axis=1), support.mean(axis=1), atol=1.0)


def test_drawing_from_the_true_model_costs_the_uncertainty_of_the_mean():
    """In one dimension of variance 1, a mean with variance 1/5 makes 2 E|x - y| - E|x - x'| - E|y - y'| about .1."""
    draw = np.random.default_rng(1)
    classes = draw.normal(0.0, 9.0, (659, 1, 1)) + draw.normal(0.0, 1.0, (659, 20, 1))

    class Level:
        def features(self, images):
            return images.reshape(len(images), -1)[:, :1]

    images = np.zeros((659, 20, 2, 1, 1))
    images[..., 0, 0, 0] = classes[..., 0]
    rows = floor.measure(images, Level())
    exact = 2 / np.sqrt(np.pi) * (2 * np.sqrt(1.1) - 2)
    assert rows["keep 0.0"] == pytest.approx(exact, abs=0.05)
    assert abs(rows["oracle"]) < 0.06 < rows["keep 1.0"]
