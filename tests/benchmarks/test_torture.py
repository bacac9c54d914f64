"""The runs that are killed: their settings must stay valid, because the whole benchmark is seldom run."""

from pathlib import Path

import pytest

from benchmarks.torture import kills
from meta_gan.cli import program, settings


@pytest.mark.parametrize("scenario", kills.SCENARIOS)
def test_the_settings_of_a_run_are_valid(scenario):
    words = kills.train(scenario, Path("data.npz"))
    found, _ = settings.resolve(program.parser().parse_args(words))
    assert found.train.steps == kills.STEPS and found.recipe.inner_steps > 0
