"""The command that trains the flow of drawings, and a tiny run of it to the shipped form."""

import sys

import numpy as np
import pytest

import meta_gan as mg
from benchmarks.flow import training
from meta_gan.cli import program, settings


def test_the_command_is_of_known_settings(tmp_path):
    parsed = program.parser().parse_args(training.command("glyphs", tmp_path))
    assert parsed.out == str(tmp_path / "flow") and (parsed.shots, parsed.queries) == (10, 7)
    chosen, _ = settings.resolve(parsed)
    found = {name: getattr(chosen.recipe.network, name) for name in training.SAMPLING}
    assert found == training.SAMPLING and chosen.train.fewest_shots == 1
    assert chosen.recipe.outer.decay_steps == chosen.train.steps == training.STEPS


@pytest.mark.slow
def test_the_run_becomes_a_model_with_its_card(monkeypatch, tmp_path):
    monkeypatch.setattr(training, "STEPS", 2)
    monkeypatch.setattr(training, "SHOTS", ("--shots", "3"))
    monkeypatch.setattr(training, "TASKS", (*training.TASKS, "network.width=4"))
    monkeypatch.setattr(sys, "argv", ["training", "--data", "glyphs", "--out", str(tmp_path), "--metrics", "none"])
    training.main()
    folder = tmp_path / training.NAME
    model, run = mg.load(folder), mg.load(tmp_path / "flow", sampling=training.SAMPLING)
    card = (folder / "README.md").read_text("utf-8")
    assert "benchmarks.flow.training" in card and "- metrics: none" in card
    support = np.random.default_rng(0).integers(0, 256, (1, 28, 28, 1), np.uint8)
    averaged = run.adapt(support).sample(3, seed=1)
    np.testing.assert_array_equal(model.adapt(support).sample(3, seed=1), averaged)
