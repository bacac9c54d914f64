"""A run that was cut off, however rudely, ends in the bits and the log of one that never was."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import meta_gan
from tests.trainers import helpers
from trainers import run_folder
from trainers.run_store import RunStore

# Killed in the middle of the second save of the model: after checkpoint 4, with its folder half made.
KILLED = """
import os, signal, sys

import trainers

trainers.configure_threads()  # as the tests have it: with more threads inside an operation, its sums end in other bits

from meta_gan import storage
from tests.trainers import test_resume

write, calls = storage.write_into, []

def write_and_die(*arguments):
    write(*arguments)
    calls.append(arguments)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

storage.write_into = write_and_die
test_resume.convolutional(sys.argv[1]).run()
"""


def made(**changes):
    """Convolutions, normalisation with moving averages, a penalty, and averaged weights."""
    rest = {"network": "dcgan", "penalty": "r1", "averaging": 0.9, **changes}
    own = {"normalization": "batch"} if rest["network"] == "dcgan" else {}
    return helpers.model(**{**own, **rest})


def convolutional(folder, steps=6):
    return helpers.trainer(folder, made(), steps=steps)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of 6 steps that nothing interrupted."""
    trained = convolutional(run_folder.new_run(tmp_path_factory.mktemp("whole"), "toy"))
    trained.run()
    return trained


def assert_same_run(resumed, whole):
    helpers.assert_same_values(helpers.values(resumed), helpers.values(whole))
    assert helpers.timeless(resumed.folder) == helpers.timeless(whole.folder)
    for name in ("reals.png", "samples_000000.png", "samples_000003.png", "samples_000006.png"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    stored = [dict(np.load(run.folder / "model" / "weights.npz")) for run in (resumed, whole)]
    helpers.assert_same_values(*[[arrays[name] for name in sorted(arrays)] for arrays in stored])


def test_values_hold_weights_state_averages_and_optimizers(whole):
    nets = whole.model.game.nets.values()
    weights = [tuple(v.shape) for net in nets for v in net.trainable_variables]
    state = [tuple(v.shape) for net in nets for v in net.non_trainable_variables]
    assert len(weights) == 12 and len(state) == 4
    # Twice for the averages, twice for Adam's moments; and each of two Adams has its rate and its count of steps.
    assert sorted(v.shape for v in helpers.values(whole)) == sorted(weights * 4 + state + [()] * 4)
    # The comparisons below are worth something only where everything has moved from its start.
    fresh = helpers.values(convolutional(whole.folder))
    moved = [not np.array_equal(a, b) for a, b in zip(fresh, helpers.values(whole), strict=True)]
    assert sum(moved) >= len(moved) - 6, "at most two rates, and the last bias, its average and its moments, may rest"


@pytest.mark.slow
def test_three_steps_and_three_more_are_six(whole, tmp_path):
    folder = run_folder.new_run(tmp_path, "toy")
    half = convolutional(folder, steps=3)
    half.run()
    seconds = helpers.metrics(folder)[-2]["seconds"]
    with (folder / run_folder.METRICS).open("a") as file:
        file.write('{"step": 4, "loss/generator": 9.0}\n{"step": 5, "lo')
    (folder / "checkpoints" / "checkpoint").unlink()
    (folder / "checkpoints" / "ckpt-4_temp").mkdir()
    resumed = convolutional(folder)
    assert resumed.run() == folder / "model"
    assert_same_run(resumed, whole)
    assert not (folder / "checkpoints" / "ckpt-4_temp").exists()
    after = [line["seconds"] for line in helpers.metrics(folder) if line["step"] > 3 and "seconds" in line]
    assert all(value > seconds for value in after)


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bits(whole, tmp_path):
    folder = run_folder.new_run(tmp_path, "toy")
    root = str(Path(helpers.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    command = [sys.executable, "-c", KILLED, str(folder)]
    killed = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    assert run_folder.latest_checkpoint(folder).endswith("ckpt-4")
    assert len(list(folder.glob(".model.*.part"))) == 1
    meta_gan.load(folder)  # raises for a model that the kill left half-written
    resumed = convolutional(folder)
    resumed.run()
    assert_same_run(resumed, whole)
    assert list(folder.glob(".model.*")) == []


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of the finished run's folder."""
    return Path(shutil.copytree(whole.folder, tmp_path / whole.folder.name))


def test_a_finished_run_whose_model_was_lost_saves_it_again(whole, copy):
    shutil.rmtree(copy / "model")
    before = helpers.timeless(copy)
    resumed = convolutional(copy)
    resumed.run()
    assert_same_run(resumed, whole)
    assert helpers.timeless(copy) == before


def damage_data(checkpoints):
    path = checkpoints / "ckpt-6.data-00000-of-00001"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def truncate_data(checkpoints):
    path = checkpoints / "ckpt-6.data-00000-of-00001"
    path.write_bytes(path.read_bytes()[:-100])


def truncate_index(checkpoints):
    path = checkpoints / "ckpt-6.index"
    path.write_bytes(path.read_bytes()[:-10])


def lose_data(checkpoints):
    (checkpoints / "ckpt-6.data-00000-of-00001").unlink()


def lose_index(checkpoints):
    (checkpoints / "ckpt-6.index").unlink()


def empty_index(checkpoints):
    """What a kill between opening and writing left in earlier versions, and a full disk."""
    (checkpoints / "ckpt-6.index").write_bytes(b"")


def data_of_another_step(checkpoints):
    shutil.copy(checkpoints / "ckpt-4.data-00000-of-00001", checkpoints / "ckpt-6.data-00000-of-00001")


def damage_manifest(checkpoints):
    (checkpoints / "ckpt-6.json").write_text('{"step": 6')


def of_another_run(checkpoints):
    manifest = json.loads((checkpoints / "ckpt-6.json").read_text())
    (checkpoints / "ckpt-6.json").write_text(json.dumps({**manifest, "run": "another"}))


HARMS = [damage_data, truncate_data, truncate_index, lose_data, lose_index, empty_index, data_of_another_step]
HARMS += [damage_manifest, of_another_run]


@pytest.mark.parametrize("harm", HARMS)
def test_the_newest_whole_checkpoint_is_taken_and_named(copy, harm, capfd):
    harm(copy / "checkpoints")
    trained = convolutional(copy)
    assert trained._begin() == (4, False)
    assert f"{copy}: the newest checkpoint was ckpt-6; continuing from ckpt-4, the newest whole one" in (
        capfd.readouterr().err
    )
    foreign = sorted(p.name for p in (copy / "checkpoints").glob("ckpt-6*"))
    assert len(foreign) == (3 if harm is of_another_run else 0)
    trained.step.assign(6)
    trained.store.save_checkpoint(6, trained.checkpoint.write)
    assert run_folder.latest_checkpoint(copy).endswith("ckpt-6")


def test_a_checkpoint_without_a_manifest_is_taken_if_it_can_be_read(copy):
    (copy / "checkpoints" / "ckpt-6.json").unlink()
    assert convolutional(copy)._begin() == (6, False)
    assert (copy / "checkpoints" / "ckpt-6.json").exists()


def all_damaged(folder):
    for path in (folder / "checkpoints").iterdir():
        path.write_bytes(b"x" * 100)


def all_deleted(folder):
    for path in (folder / "checkpoints").iterdir():
        path.unlink()


def folder_deleted(folder):
    shutil.rmtree(folder / "checkpoints")


def only_the_log_is_left(folder):
    for name in ("checkpoints", "model", "served"):
        shutil.rmtree(folder / name)


def config_deleted(folder):
    (folder / "config.json").unlink()


@pytest.mark.parametrize("harm", [all_damaged, all_deleted, folder_deleted, only_the_log_is_left, config_deleted])
def test_a_run_that_lost_everything_is_not_started_anew(copy, harm):
    harm(copy)
    before = helpers.files(copy)
    with pytest.raises(ValueError, match=rf"(resuming needs a whole checkpoint in|must hold config.json).*{copy.name}"):
        convolutional(copy).run()
    assert helpers.files(copy) == before


@pytest.mark.parametrize(
    "changes",
    [{"width": 5}, {"network": "mlp"}, {"averaging": 0.0}, {"normalization": "none"}],
)
def test_the_checkpoint_of_another_model_is_refused(copy, changes):
    before = helpers.files(copy)
    with pytest.raises(ValueError, match=r"must be of this model"):
        helpers.trainer(copy, made(**changes)).run()
    assert helpers.files(copy) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"meta_batch": 3}, r"{'train.meta_batch': 2}. Received: {'train.meta_batch': 3}"),
        ({"symmetries": True}, r"{'train.symmetries': False}. Received: {'train.symmetries': True}"),
        ({"data": helpers.tasks(seed=1)}, r"{'episodes.seed': 0}. Received: {'episodes.seed': 1}"),
        ({"data": helpers.tasks(shots=4)}, r"{'episodes.shots': 3}. Received: {'episodes.shots': 4}"),
        ({"data": helpers.tasks((0,) * 8 + (1,) * 2)}, r"'data.splits.train': .*Received: .*'data.splits.train': "),
        ({"description": {"recipe": {"width": 5}}}, r"{'recipe.width': None}. Received: {'recipe.width': 5}"),
        ({"steps": 5}, r"'steps' must be >= 6, those of the checkpoint in '.*'. Received: 5"),
    ],
)
def test_other_settings_are_refused(copy, options, message):
    before = helpers.files(copy)
    with pytest.raises(ValueError, match=message):
        helpers.trainer(copy, made(), **options).run()
    assert helpers.files(copy) == before


def test_two_trainers_on_one_folder_are_refused(copy):
    before = helpers.files(copy)
    with RunStore(copy).locked(), pytest.raises(ValueError, match=r"two trainers at once. Received: a folder in use"):
        convolutional(copy).run()
    assert helpers.files(copy) == before
