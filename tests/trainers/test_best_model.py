"""`BestModel`: which model of a run is saved; and a whole run that keeps its best, interrupted or not."""

import json
import sys

import numpy as np
import pytest

import meta_gan
from meta_gan import storage
from tests.trainers import helpers
from trainers import TrainConfig, run_folder
from trainers.selection import BestModel

STORY = {0: 0.5, 2: 0.4, 4: 0.3, 6: 0.35, 8: 0.6}


def of(*distances):
    best = BestModel(used=True)
    for step, distance in enumerate(distances):
        best.add(10 * step, {BestModel.key: distance})
    return best


@pytest.mark.parametrize(
    ("distances", "step"),
    [((0.3, 0.2, 0.25), 10), ((0.1, 0.2), 0), ((0.2, 0.2), 0), ((None, 0.5), 10), ((None,), None), ((), None)],
)
def test_the_first_of_the_smallest_distances_is_the_best(distances, step):
    best = of(*distances)
    assert best.step == step
    kept = [number for number in range(0, 30, 10) if best.keeps(number)]
    assert kept == ([0, 10, 20] if step is None else [step])


def test_a_roll_back_forgets_what_came_after():
    best = of(0.3, 0.2, 0.1)
    best.forget(10)
    assert best.step == 10
    best.add(20, {BestModel.key: 0.25})
    assert best.step == 10


def test_unused_it_keeps_every_model():
    best = BestModel(used=False)
    best.add(10, {BestModel.key: 0.5})
    assert best.values == {} and best.keeps(10) and best.keeps(20)


def scripted(folder, story, **changes):
    """A run whose validation distances after steps are those of a story."""
    settings = {"steps": 8, "validate_every": 2, "checkpoint_every": 4, "keep_best": True}
    made = helpers.trainer(folder, **{**settings, **changes})
    made._assess = lambda episode: {"distance/after": np.float32(story[int(made.step.numpy())])}
    return made


def saved(folder):
    """`(step, weights)` of the saved model."""
    step = storage.read_config(folder / "model")["training"]["steps"]
    return step, [np.array(v) for v in meta_gan.load(folder).variables]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = run_folder.new_run(tmp_path_factory.mktemp("runs"), "whole")
    made = scripted(folder, STORY)
    made.run()
    return folder, made


def test_the_saved_and_the_exported_model_are_the_best(whole):
    folder, made = whole
    assert int(made.step.numpy()) == 8 and saved(folder)[0] == 4
    assert [path.name for path in (folder / "served").iterdir()] == ["4"]
    assert any((np.array(a) != b).any() for a, b in zip(made.model.variables, saved(folder)[1], strict=True))


@pytest.mark.slow
def test_a_run_that_only_gets_worse_saves_the_model_that_it_started_from(tmp_path):
    folder = run_folder.new_run(tmp_path, "worse")
    made = scripted(folder, {0: 0.1, 2: 0.2, 4: 0.3}, steps=4)
    start = [np.array(v) for v in made.model.variables]
    made.run()
    step, values = saved(folder)
    assert step == 0
    helpers.assert_same_values(values, start)


@pytest.mark.slow
def test_cut_off_and_resumed_it_saves_the_same_bits(whole, tmp_path):
    folder = run_folder.new_run(tmp_path, "cut")
    for steps in (3, 6, 8):  # a run that ends is validated: 3 is a validation that the whole run does not have
        scripted(folder, {**STORY, 3: 0.45}, steps=steps).run()
    assert saved(folder)[0] == 4
    helpers.assert_same_values(saved(folder)[1], saved(whole[0])[1])


def test_it_needs_validation_classes_and_no_copy_limit(tmp_path):
    with pytest.raises(ValueError, match=r"'keep_best' needs .*Received: 2 validation classes, copy_limit 0.5"):
        helpers.trainer(tmp_path, keep_best=True, copy_limit=0.5)
    with pytest.raises(ValueError, match=r"'keep_best' needs .*Received: 0 validation classes"):
        helpers.trainer(tmp_path, data=helpers.tasks((0,) * 6), keep_best=True)
    with pytest.raises(ValueError, match="'keep_best' must be"):
        TrainConfig(keep_best=1)


@pytest.mark.slow
def test_a_real_run_saves_the_validation_with_the_least_distance(tmp_path):
    folder = run_folder.new_run(tmp_path, "real")
    helpers.trainer(folder, keep_best=True, steps=6, validate_every=2).run()
    found = {line["step"]: line[BestModel.key] for line in helpers.metrics(folder) if BestModel.key in line}
    assert sorted(found) == [0, 2, 4, 6]
    assert saved(folder)[0] == min(found, key=found.get)


@pytest.mark.slow
def test_killed_before_the_first_step_it_can_be_resumed(whole, tmp_path, monkeypatch):
    folder = run_folder.new_run(tmp_path, "killed")
    made = scripted(folder, STORY)
    monkeypatch.setattr(made, "_loop", lambda *_: sys.exit(9))
    with pytest.raises(SystemExit):
        made.run()
    assert saved(folder)[0] == 0 and run_folder.latest_checkpoint(folder).endswith("ckpt-0")
    scripted(folder, STORY).run()
    helpers.assert_same_values(saved(folder)[1], saved(whole[0])[1])


@pytest.mark.slow
def test_a_validation_after_a_bad_step_counts_with_the_model_that_it_measured(tmp_path):
    """A bad step changes nothing, and a resumed run repeats it: what it validated may be saved all the same."""
    folder = run_folder.new_run(tmp_path, "bad")
    made = scripted(folder, {0: 0.5, 2: 0.4, 4: 0.1, 6: 0.2}, steps=6, keep=9)
    step = made._step
    made._step = lambda episode: {**step(episode), "skipped": np.float32(made.step.numpy() == 3)}
    made.run()
    assert made.best.step == saved(folder)[0] == 4
    names = {path.name for path in (folder / "checkpoints").glob("ckpt-*.json")}
    assert names == {"ckpt-0.json", "ckpt-2.json", "ckpt-6.json"}, "a resumed run does not start from a bad step"


def test_a_run_of_a_version_without_the_setting_goes_on(tmp_path):
    folder = run_folder.new_run(tmp_path, "old")
    made = helpers.trainer(folder, steps=2, validate_every=2)
    config = json.loads(json.dumps(made._resolved()))
    del config["train"]["keep_best"]
    storage.write_json(folder / "config.json", config)
    helpers.trainer(folder, steps=2, validate_every=2).check_resumable()
    with pytest.raises(ValueError, match=r"'train.keep_best': False.*Received: .*True"):
        helpers.trainer(folder, steps=2, validate_every=2, keep_best=True).check_resumable()
