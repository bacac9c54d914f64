"""The benchmark of the controller: hand-designed schedules, divergence, and resumed trainings."""

import json

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.controller import comparison as controller
from benchmarks.controller import schedules
from benchmarks.meta_learners import mixtures
from meta_gan.meta import InnerLoop
from meta_gan.meta.evolution_strategies import rate_factor
from meta_gan.types import MetaWeights

TASKS = mixtures.episodes(2, 3, 32)
START = mixtures.initial(1)


@pytest.fixture(scope="module")
def untrained():
    return schedules.controller()


def runs(controller, name):
    script, every, _ = schedules.GRIDS[name]
    return schedules.Runs(controller, lambda numbers: schedules.Scripted(controller, script, every, numbers))


@pytest.mark.slow
def test_a_constant_is_adam_at_that_rate(untrained):
    """Twice all rates equals Adam at twice the rate times the factor of the task."""
    found = runs(untrained, "constant")([START], TASKS, (2.0, 1.0, 0.5))
    game = mixtures.make_game()
    rate = 2.0 * schedules.BASE_RATE
    adam = type(schedules.base())({"discriminator": 0.5 * rate, "generator": rate}, 0.5, 0.99, 1e-6)
    loop, meta = InnerLoop.build(game, adam), MetaWeights(START, [])

    @tf.function(autograph=False)
    def last(episode):
        factor = rate_factor(schedules.SPREAD, episode.seed)
        start = loop.begin(meta)
        carry, _ = loop.advance(meta, start, episode.support, schedules.STEPS, episode.seed, rate_scale=factor)
        return loop.distance(loop.final(meta, carry), episode), factor

    for i in range(2):
        distance, factor = last(tf.nest.map_structure(lambda t, i=i: t[i], TASKS))
        assert found["last"][i] == pytest.approx(float(distance), rel=1e-3)
        assert found["factor"][i] == pytest.approx(float(factor)) and 30**-0.5 <= float(factor) <= 30**0.5
    np.testing.assert_allclose(found["knobs"], np.broadcast_to([1.0, 2.0, 1.0], (2, 8, 3)))


def test_the_scripts_by_hand():
    knobs, signals = {"rate/discriminator": 2.0}, {"discriminator": [0.0, 0.0, 0.0, 0.9, 0.0]}
    half = schedules.cosine(knobs, tf.constant(20), signals, [3.0, 2.0])
    assert [float(value) for value in half.values()] == pytest.approx([1.5, 1.5, 2.0])
    apart = schedules.two_time_scales(knobs, 0, signals, [0.5, 4.0])
    assert apart == {"rate/discriminator": 2.0, "rate/generator": 0.5, "turns": 4.0}
    assert {numbers[1] for numbers in schedules.GRIDS["five critic turns"][2]} == {5.0}

    def slowed(step, multiple, doublings):
        found = schedules.proportional(knobs, tf.constant(step), signals, [multiple, 1.0, doublings])
        return float(found["rate/discriminator"])

    assert slowed(5, 1.0, 0.25) == pytest.approx(2.0 * 2**-0.25)
    signals["discriminator"][3] = 0.1
    assert slowed(5, 1.0, 0.5) == pytest.approx(2.0 * 2**0.5)
    assert slowed(0, 0.5, 0.25) == 0.5


@pytest.mark.slow
def test_a_random_policy_changes_every_knob(untrained):
    found = schedules.Runs(untrained, lambda numbers: schedules.Random(untrained))([START], TASKS)
    assert all(len(np.unique(found["knobs"][..., i])) > 2 for i in range(3))


def test_runs_that_end_farther_away_diverged():
    found = {"first": np.array([1.0, 1.0, 2.0, 1.0]), "last": np.array([0.5, 1.5, np.nan, 50.0])}
    distances, lost = schedules.ended(found)
    np.testing.assert_array_equal(distances, [0.5, 1.5, 20.0, 10.0])
    np.testing.assert_array_equal(lost, [False, True, True, True])


@pytest.mark.slow
@pytest.mark.parametrize("name", [controller.CONTROLLER, controller.OPEN])
def test_a_resumed_training_has_the_same_bits(tmp_path, monkeypatch, name):
    monkeypatch.setattr(controller, "BATCH", 1)
    monkeypatch.setattr(controller, "CHECKPOINT", 1)
    whole = controller.Training(name, 1, 2, tmp_path / "whole.npz")
    whole.run()
    controller.Training(name, 1, 2, tmp_path / "part.npz").run(until=1)
    rest = controller.Training(name, 1, 2, tmp_path / "part.npz")
    assert rest.made == 1
    rest.run()
    for mine, theirs in zip(rest._variables, whole._variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part.npz", "whole.npz"]


def test_results_and_verdicts(tmp_path, capsys):
    draw = np.random.default_rng(0)
    near, far = draw.uniform(0.1, 0.2, 50), draw.uniform(0.3, 0.4, 50)
    lost = np.arange(50) < 5
    found = {controller.CONTROLLER: [(near, ~lost)], "constant": [(far, lost)], "same": [(near, ~lost)]}
    controller.write(tmp_path, found, {})
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["constant"] == {
        "mean": pytest.approx(far.mean(), abs=1e-6),
        "low": pytest.approx(far.mean(), abs=0.02),
        "high": pytest.approx(far.mean(), abs=0.02),
        "diverged": 0.1,
    }
    lines = (tmp_path / "controller.md").read_text()
    assert f"| constant | {near.mean() / far.mean():.2f} |" in lines and "| win | 0.900 / 0.100 |" in lines
    assert "| tie |" in lines and lines in capsys.readouterr().out


def test_the_picture_is_written(tmp_path):
    knobs = np.ones((9, 8, 3))
    controller.picture(tmp_path / "chosen.png", [{"knobs": knobs, "factor": np.linspace(0.2, 5.0, 9)}])
    assert (tmp_path / "chosen.png").stat().st_size > 5000
