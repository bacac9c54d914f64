"""Steps that update nothing, and weights with which nothing can be computed."""

import keras
import numpy as np
import pytest

from tests.trainers import helpers
from trainers import TrainingStopped, run_folder
from trainers.divergence import LARGEST, BadSteps, bad_values

PATIENCE = 10  # the default of `TrainConfig.bad_steps`
NAN = float("nan")
GOOD = {"loss/generator": 1.0, "gradient_norm/generator": 0.5}
SKIPPED = {**GOOD, "loss/generator": NAN, "gradient_norm/generator": NAN, "skipped": 1.0}
IDLE = {"loss/generator": NAN, "gradient_norm/generator": 0.0}


def counted(*steps):
    bad = BadSteps(PATIENCE)
    for step in steps:
        bad.add(step)
    return bad


@pytest.mark.parametrize(
    ("steps", "count", "ruined"),
    [
        ([GOOD], 0, False),
        ([GOOD, SKIPPED], 1, False),
        ([SKIPPED], 1, True),
        ([GOOD, IDLE], 1, True),
        ([GOOD, IDLE, SKIPPED], 2, True),
        ([IDLE, GOOD], 0, False),
        ([{"loss/generator": float("inf"), "gradient_norm/generator": 0.5}], 0, False),
        ([{"loss/generator": 0.0, "gradient_norm/generator": 0.0}], 0, False),
        ([{"loss/generator": 0.25}], 0, False),
    ],
)
def test_bad_steps_are_those_that_update_nothing(steps, count, ruined):
    bad = counted(*steps)
    assert bad.count == count and bad.ruins(started=False) == ruined and not bad.hopeless


def test_a_run_is_hopeless_after_ten_bad_steps_in_a_row():
    assert not counted(*[SKIPPED] * (PATIENCE - 1)).hopeless and counted(*[SKIPPED] * PATIENCE).hopeless
    assert not counted(*[SKIPPED] * (PATIENCE - 1), GOOD, SKIPPED).hopeless
    assert not counted(SKIPPED).ruins(started=True) and counted(IDLE).ruins(started=True)


@pytest.mark.parametrize("value", [NAN, np.inf, -np.inf, LARGEST, -1e38])
def test_weights_that_cannot_be_used_are_found(value):
    good = [keras.Variable(np.float32(0.99 * LARGEST)), keras.Variable(np.array([2**31 - 1], "int32"))]
    bad = keras.Variable(np.array([0.0, value], "float32"), name="ruined")
    assert bad_values(good, []) == [] and bad_values([*good, bad], []) == ["ruined"]
    assert bad_values([], [bad]) == ([] if np.isfinite(value) else ["ruined"])


@pytest.mark.parametrize("metrics", [SKIPPED, IDLE])
@pytest.mark.parametrize("steps", [3, 30])
def test_a_run_that_updates_nothing_saves_nothing(tmp_path, monkeypatch, metrics, steps):
    trained = helpers.trainer(
        run_folder.new_run(tmp_path, "toy"), data=helpers.tasks((0,) * 4), steps=steps, checkpoint_every=1
    )
    monkeypatch.setattr(trained, "_meta_step", lambda episodes: metrics)
    with pytest.raises(TrainingStopped, match=rf"the last {min(steps, PATIENCE)} steps updated nothing.*no checkpoint"):
        trained.run()
    made = {p.name for p in trained.folder.iterdir()}
    assert {"config.json", "metrics.jsonl"} <= made and not {"model", "served"} & made
    assert list((trained.folder / "checkpoints").iterdir()) == []


@pytest.mark.slow
def test_a_run_saves_again_after_bad_steps(tmp_path, monkeypatch):
    trained = helpers.trainer(
        run_folder.new_run(tmp_path, "toy"), data=helpers.tasks((0,) * 4), steps=5, checkpoint_every=1, keep=9
    )
    script = iter([GOOD, SKIPPED, SKIPPED, GOOD, SKIPPED])
    monkeypatch.setattr(trained, "_meta_step", lambda episodes: next(script))
    trained.run()
    assert sorted(trained.store.checkpoints.files()) == [1, 4, 5]
