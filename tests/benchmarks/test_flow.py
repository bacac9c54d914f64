"""The commands that train the flow of drawings, and a tiny run of all three parts."""

import sys

import numpy as np
import pytest

import meta_gan as mg
from benchmarks.flow import training
from meta_gan.cli import program, settings
from meta_gan.games import FlowMatching


def test_the_commands_are_of_known_settings(monkeypatch, tmp_path):
    monkeypatch.setattr(training.loading, "resolve", lambda path: path)
    for stage in ("flow", "few-steps"):
        words = training.command(stage, "glyphs", tmp_path)
        parsed = program.parser().parse_args(words)
        assert parsed.out == str(tmp_path / stage) and parsed.shots == 10
        chosen, _ = settings.resolve(parsed)
        assert chosen.recipe.network.solver_steps == training.FEW and chosen.train.fewest_shots == 1
    assert chosen.recipe.game.teacher_steps == training.FINE and chosen.recipe.network.guidance == 1


@pytest.mark.slow
def test_all_parts(monkeypatch, tmp_path):
    monkeypatch.setattr(training, "STEPS", 2)
    monkeypatch.setattr(training, "DISTILLATION_STEPS", 2)
    monkeypatch.setattr(training, "SHOTS", ("--shots", "3"))
    monkeypatch.setattr(training, "TASKS", (*training.TASKS, "network.width=4"))
    monkeypatch.setattr(sys, "argv", ["training", "--data", "glyphs", "--out", str(tmp_path)])
    training.main()
    folder = tmp_path / "omniglot-flow"
    model = mg.load(folder)
    assert type(model.game) is FlowMatching and model.game.nets["generator"].guidance == 1.0
    assert model.game.nets["generator"].solver_steps == training.FEW
    assert (folder / "README.md").is_file()
    support = np.random.default_rng(0).integers(0, 256, (1, 28, 28, 1), np.uint8)
    student = mg.load(tmp_path / "few-steps").adapt(support).sample(3, seed=1)
    np.testing.assert_allclose(model.adapt(support).sample(3, seed=1), student, atol=1e-5)
