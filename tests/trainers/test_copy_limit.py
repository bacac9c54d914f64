"""Runs that stop because samples become copies: when they stop, which model they save, and resuming them."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

import meta_gan
from tests.trainers import helpers, test_domains
from trainers import run_folder
from trainers.copy_limit import RATE, CopyLimit

pytestmark = pytest.mark.slow


def limit_of(*rates, limit=0.1, patience=2):
    """A limit with the rates of validations every ten steps."""
    made = CopyLimit(limit, patience)
    for index, rate in enumerate(rates):
        made.add(10 * (index + 1), {RATE: rate})
    return made


@pytest.mark.parametrize(
    ("rates", "over", "keeps"),
    [
        ((), False, True),
        ((0.5, 0.5, 0.5), False, True),  # nothing was ever within: there is no better model
        ((0.5, 0.1), False, True),
        ((0.1, 0.2), False, False),
        ((0.1, 0.2, 0.2), True, False),
        ((0.1, 0.2, 0.05), False, True),
        ((0.1, 0.2, 0.05, 0.2), False, False),
        ((0.5, 0.5, 0.1, 0.3, 0.3), True, False),
        ((0.1, math.nan, None), True, False),  # what diverged copies nothing, and is no reason to go on
        ((0.05, 0.10000000149), False, True),  # a mean of float32 that is .1, and is logged so
    ],
)
def test_when_a_run_stops_and_which_model_it_saves(rates, over, keeps):
    made = limit_of(*rates)
    assert made.exceeded is over and made.keeps(10 * len(rates)) is keeps


def test_a_model_between_validations_is_kept_until_one_was_within():
    assert limit_of(0.5).keeps(15) and not limit_of(0.05).keeps(15) and limit_of(0.05).keeps(10)


@pytest.mark.parametrize(("rates", "ever"), [((), False), ((0.5, None), False), ((0.5, 0.1), True), ((0.1, 0.5), True)])
def test_whether_the_limit_was_ever_kept(rates, ever):
    assert limit_of(*rates).ever_kept is ever


def test_patience_is_of_validations_in_a_row():
    assert limit_of(0.1, 0.2, patience=1).exceeded and not limit_of(0.1, 0.2, 0.2, patience=3).exceeded
    assert limit_of(0.1, 0.2, 0.2, 0.2, patience=3).exceeded


def test_the_untrained_model_does_not_count_and_without_a_limit_nothing_does():
    made = CopyLimit(0.1, 1)
    made.add(0, {RATE: 0.0})
    made.add(10, {RATE: 0.9})
    assert not made.exceeded and made.keeps(10)
    off = CopyLimit(0.0, 1)
    off.add(10, {})
    assert not off.exceeded and off.keeps(10) and off.values == {}


def scripted(folder, rates, **changes):
    """A trainer whose validations, every second step, find these copy rates; that of step 0 finds none."""
    settings = {"steps": 10, "validate_every": 2, "checkpoint_every": 3, "copy_limit": 0.1, "copy_patience": 2}
    trained = helpers.trainer(folder, **{**settings, **changes})

    def assess(episode):
        return {"copy_rate/after": np.float32(rates.get(int(trained.step.numpy()), 0.0))}

    trained._assess = assess
    return trained


def saved_steps(folder):
    return meta_gan.storage.read_config(folder / "model")["training"]["steps"]


STORY = {2: 0.9, 4: 0.05, 6: 0.3, 8: 0.4, 10: 0.4}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that kept the limit at step 4 and not at 6 and 8, and the weights that it had at step 4."""
    folder = run_folder.new_run(tmp_path_factory.mktemp("runs"), "copies")
    trained = scripted(folder, STORY)
    save, seen = trained._save_model, {}

    def remember():
        seen[int(trained.step.numpy())] = [np.array(v) for v in trained.model.variables]
        save()

    trained._save_model = remember
    assert trained.run() == folder / "model"
    return trained, seen


def test_it_stops_after_the_last_patient_validation(stopped):
    trained, _ = stopped
    assert int(trained.step.numpy()) == 8 and trained.copy_limit.exceeded
    assert trained.copy_limit.values == {2: 0.9, 4: 0.05, 6: 0.3, 8: 0.4}
    assert run_folder.latest_checkpoint(trained.folder).endswith("ckpt-8")


def test_the_saved_and_the_exported_model_are_those_of_the_last_validation_within(stopped):
    trained, seen = stopped
    assert saved_steps(trained.folder) == 4
    assert [path.name for path in (trained.folder / "served").iterdir()] == ["4"]
    loaded = [np.array(v) for v in meta_gan.load(trained.folder).variables]
    helpers.assert_same_values(loaded, seen[4])
    assert any((a != b).any() for a, b in zip(loaded, seen[8], strict=True))


def test_a_stopped_run_stays_stopped_unless_it_has_more_patience(stopped, tmp_path):
    folder = Path(shutil.copytree(stopped[0].folder, tmp_path / "copy"))
    again = scripted(folder, STORY)
    again.run()
    assert int(again.step.numpy()) == 8 and saved_steps(folder) == 4
    longer = scripted(folder, {**STORY, 10: 0.02}, copy_patience=3)
    longer.run()
    assert int(longer.step.numpy()) == 10 and saved_steps(folder) == 10
    assert sorted(path.name for path in (folder / "served").iterdir()) == ["10", "4"]


def test_cut_off_and_resumed_it_ends_in_the_same_bits(tmp_path):
    whole, cut = (run_folder.new_run(tmp_path, name) for name in ("whole", "cut"))
    scripted(whole, STORY).run()
    first = scripted(cut, STORY, steps=6)
    first.run()
    assert saved_steps(cut) == 4
    second = scripted(cut, STORY)
    second.run()
    assert int(second.step.numpy()) == 8 and second.copy_limit.values == {2: 0.9, 4: 0.05, 6: 0.3, 8: 0.4}
    models = [[np.array(v) for v in meta_gan.load(folder).variables] for folder in (whole, cut)]
    helpers.assert_same_values(*models)


def test_another_limit_is_another_run(stopped):
    with pytest.raises(ValueError, match=r"resuming needs the settings of .*'train.copy_limit': 0.1.*0.2"):
        scripted(stopped[0].folder, STORY, copy_limit=0.2).run()


def test_without_a_limit_copies_stop_nothing(tmp_path):
    folder = run_folder.new_run(tmp_path, "toy")
    trained = scripted(folder, STORY, copy_limit=0.0, steps=8)
    trained.run()
    assert int(trained.step.numpy()) == 8 and saved_steps(folder) == 8 and not trained.copy_limit.exceeded


def test_a_validation_reports_the_copy_rate_that_is_watched(tmp_path):
    """Of a real run: a limit of 1 is always kept."""
    folder = run_folder.new_run(tmp_path, "toy")
    trained = helpers.trainer(folder, copy_limit=1.0)
    trained.run()
    lines = [line for line in helpers.metrics(folder) if RATE in line]
    assert trained.copy_limit.values == {line["step"]: line[RATE] for line in lines if line["step"]}
    assert [line["step"] for line in lines] == [0, 3, 6] and saved_steps(folder) == 6


def test_a_limit_needs_validation_classes_and_samples():
    with pytest.raises(ValueError, match=r"'copy_limit' needs .* Received: GAN, 0 validation classes"):
        helpers.trainer("nowhere", data=helpers.tasks((0,) * 4), copy_limit=0.5)
    with pytest.raises(ValueError, match=r"'copy_limit' needs .* Received: Translation, 2 validation classes"):
        test_domains.trainer("nowhere", copy_limit=0.5)
