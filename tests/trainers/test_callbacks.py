"""Keras callbacks of a run: what they are called with, what they change, and that a resumed run goes on with them."""

import csv
import json
import math
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.toys import weekly
from tests.trainers import helpers
from trainers import TrainingStopped, run_folder
from trainers.callbacks import STATE, RunCallbacks
from trainers.run_store import RunStore

EARLY = {"monitor": "val_distance/after", "mode": "min"}


@pytest.fixture
def folder(tmp_path):
    return run_folder.new_run(tmp_path, "toy")


def fixed(folder, callbacks, distances=(), data=None, made=None, **changes):
    """A trainer whose steps change nothing, and whose validations give the distances one after another."""
    trained = helpers.trainer(folder, made, data, callbacks=callbacks, **changes)
    trained._meta_step = lambda episodes: {"loss/generator": np.float32(0.25 * (1 + int(trained.step.numpy())))}
    left = iter(distances)
    trained._assess = lambda episodes: {"distance/after": np.float32(next(left))}
    return without_exports(trained)


def without_exports(trained):
    """A trainer without pictures of samples and without `served/`, which would take most of the time."""
    trained.picture = lambda: [np.zeros((1, *helpers.SHAPE), np.float32)]
    trained._export = lambda: None
    return trained


def rates(trained):
    return {group: float(each.learning_rate) for group, each in trained.model.optimizers.items()}


def recorder(calls):
    """A callback that appends `(method, its arguments)` to `calls`."""
    made = keras.callbacks.LambdaCallback()
    for name in ("on_train_begin", "on_train_end", "on_test_begin", "on_test_end"):
        setattr(made, name, lambda logs=None, name=name: calls.append((name, logs)))
    for name in ("on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end"):
        setattr(made, name, lambda number, logs=None, name=name: calls.append((name, number, logs)))
    return made


def test_the_calls_of_three_steps_with_a_validation_after_two(folder):
    calls = []
    fixed(folder, [recorder(calls)], (5, 4, 3), steps=3, validate_every=2).run()
    shown = [(name.removeprefix("on_"), *rest[:-1]) for name, *rest in calls]
    step = [[("train_batch_begin", n), ("train_batch_end", n)] for n in (0, 1)]
    test = [("test_begin",), ("test_end",)]
    first = [("epoch_begin", 0), *step[0], *step[1], *test, ("epoch_end", 0)]
    second = [("epoch_begin", 1), *step[0], *test, ("epoch_end", 1)]
    assert shown == [("train_begin",), *test, *first, *second, ("train_end",)]
    logs = {call[0]: call[-1] for call in calls}
    assert logs["on_train_batch_end"] == {"step": 3, "loss/generator": 0.75}
    assert logs["on_test_end"] == {"distance/after": 3.0}
    seconds = logs["on_epoch_end"].pop("seconds")
    assert logs["on_epoch_end"] == {"step": 3, "loss/generator": 0.75, "val_distance/after": 3.0}
    assert seconds == helpers.metrics(folder)[-2]["seconds"]


@pytest.mark.slow
def test_a_csv_has_the_numbers_of_the_metrics(folder):
    """Of a real run: every row is the lines of its step, in another form."""
    file = folder / "log.csv"
    log = keras.callbacks.CSVLogger(file)
    without_exports(helpers.trainer(folder, callbacks=[log], steps=4, validate_every=2)).run()
    with file.open() as opened:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(opened)]
    assert [(row.pop("epoch"), row["step"]) for row in rows] == [(0, 2), (1, 4)]
    for row in rows:
        lines = [line for line in helpers.metrics(folder) if line["step"] == row["step"]]
        wanted = {key.replace("validation/", "val_"): value for line in lines for key, value in line.items()}
        assert row == wanted and len(row) > 10
    assert json.loads((folder / "config.json").read_text())["callbacks"] == ["CSVLogger"]


def test_a_resumed_csv_goes_on(folder):
    file = folder / "log.csv"
    for steps, distances in ((2, (5, 4)), (4, (3,))):
        log = keras.callbacks.CSVLogger(file, append=True)
        fixed(folder, [log], distances, steps=steps, validate_every=2).run()
    epochs = [(row["epoch"], float(row["val_distance/after"])) for row in csv.DictReader(file.open())]
    assert epochs == [("0", 4.0), ("1", 3.0)]


def test_values_that_are_not_finite_are_nan_for_callbacks(folder):
    calls = []
    fixed(folder, [recorder(calls)], (5, math.nan), steps=1).run()
    logs = next(call[-1] for call in calls if call[0] == "on_epoch_end")
    assert math.isnan(logs["val_distance/after"])


def test_tensorboard_gets_epochs(folder):
    pytest.importorskip("tensorboard", reason="the extra `train` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    callback = keras.callbacks.TensorBoard(folder / "board", write_steps_per_second=True)
    fixed(folder, [callback], (5, 4, 3), steps=4, validate_every=2).run()
    for name, tag, wanted in (
        ("validation", "epoch_distance/after", [(0, 4.0), (1, 3.0)]),
        ("train", "epoch_loss/generator", [(0, 0.5), (1, 1.0)]),
    ):
        found = EventAccumulator(str(folder / "board" / name))
        found.Reload()
        events = [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in found.Tensors(tag)]
        assert events == wanted


def halved(epoch, rate):
    """Half the rate in every epoch after the first one: it depends on the rate that the epoch begins with."""
    return rate / 2 if epoch else rate


@pytest.mark.parametrize("cut", [2, *weekly(3)])
def test_a_schedule_is_followed_by_all_groups_and_after_a_resume(folder, tmp_path, cut):
    """Three epochs of two steps; the second run is stopped at the end of an epoch, or within one."""
    made = helpers.model(outer_rate=0.25)
    made.optimizers["discriminator"].learning_rate = 1.0
    seen = []

    def watched(of):
        def step(episodes):
            seen.append(tuple(rates(of)[group] for group in ("generator", "discriminator")))
            return {}

        return step

    def scheduled():
        return [keras.callbacks.LearningRateScheduler(halved)]

    few = helpers.tasks((0,) * 4)
    whole = fixed(folder, scheduled(), made=made, data=few, validate_every=2, checkpoint_every=1)
    whole._meta_step = watched(whole)
    whole.run()
    wanted = [(0.25, 1.0)] * 2 + [(0.125, 0.5)] * 2 + [(0.0625, 0.25)] * 2
    assert seen == wanted
    seen.clear()
    again = run_folder.new_run(tmp_path, "cut")
    for stop in (cut, None):
        other = helpers.model(outer_rate=0.25)
        other.optimizers["discriminator"].learning_rate = 1.0
        part = fixed(again, scheduled(), made=other, data=few, validate_every=2, checkpoint_every=1)
        part._meta_step = watched(part)
        if stop:
            part.callbacks.begin_step = interrupted_after(part, stop)
            with pytest.raises(KeyboardInterrupt):
                part.run()
        else:
            part.run()
    assert seen == wanted and rates(part) == rates(whole)


def interrupted_after(trained, stop):
    """A `begin_step` that is interrupted as by a kill, when `stop` steps have been made and saved."""
    begin = trained.callbacks.begin_step

    def begin_step(step):
        if step == stop + 1:
            raise KeyboardInterrupt
        begin(step)

    return begin_step


def real_schedule(folder):
    """A real run with a rate that is switched off in the first epoch: its ratios must survive."""
    made = helpers.model(averaging=0.9, outer_rate=3e-4)
    made.optimizers["discriminator"].learning_rate = 3e-3
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: (0.0, 7e-4, 3e-4)[epoch])
    plateau = keras.callbacks.ReduceLROnPlateau(**EARLY, factor=0.3, patience=1, min_delta=1e9)
    often = {"steps": 6, "validate_every": 2, "checkpoint_every": 1}
    return without_exports(helpers.trainer(folder, made, callbacks=[schedule, plateau], **often))


@pytest.mark.slow
@pytest.mark.parametrize("cut", [2, 3])
def test_a_resumed_run_with_a_schedule_has_the_same_bits(folder, tmp_path, cut):
    whole = real_schedule(folder)
    whole.run()
    again = run_folder.new_run(tmp_path, "cut")
    part = real_schedule(again)
    part.callbacks.begin_step = interrupted_after(part, cut)
    with pytest.raises(KeyboardInterrupt):
        part.run()
    resumed = real_schedule(again)
    resumed.run()
    helpers.assert_same_values(helpers.values(resumed), helpers.values(whole))
    assert helpers.timeless(again) == helpers.timeless(folder)
    # The schedule is that of the first group, of the discriminator, whose rate was ten times the other.
    assert rates(whole) == pytest.approx({"discriminator": 0.3 * 3e-4, "generator": 0.3 * 3e-5})


@pytest.mark.slow
def test_early_stopping_stops_after_a_checkpoint_and_stays_stopped(folder):
    """Without an improvement of 4 for two epochs, the run of ten steps ends after the fourth."""

    def stopping(patience=2):
        return [keras.callbacks.EarlyStopping(**EARLY, patience=patience)]

    options = {"steps": 10, "validate_every": 1, "checkpoint_every": 100}
    trained = fixed(folder, stopping(), (9, 5, 4, 4.5, 4), **options)
    assert trained.run() == folder / "model"
    assert int(trained.step.numpy()) == 4 and run_folder.latest_checkpoint(folder).endswith("ckpt-4")
    again = fixed(folder, stopping(), **options)
    again.run()
    assert int(again.step.numpy()) == 4
    # With more patience it goes on from what it had: two epochs without an improvement, and a third.
    longer = fixed(folder, stopping(3), (4.25, 1), **options)
    longer.run()
    assert int(longer.step.numpy()) == 5


@pytest.mark.slow
def test_the_patience_of_before_a_kill_counts(folder):
    options = {"steps": 10, "validate_every": 1, "checkpoint_every": 1}
    trained = fixed(folder, [keras.callbacks.EarlyStopping(**EARLY, patience=3)], (9, 4, 5, 6, 7), **options)
    trained.callbacks.begin_step = interrupted_after(trained, 3)
    with pytest.raises(KeyboardInterrupt):
        trained.run()
    kept = json.loads((folder / "checkpoints" / "ckpt-3.callbacks").read_text())
    assert kept["EarlyStopping"] == [{"best": 4.0, "best_epoch": 0, "wait": 2, "stopped_epoch": 0}]
    resumed = fixed(folder, [keras.callbacks.EarlyStopping(**EARLY, patience=3)], (7, 1), **options)
    resumed.run()
    assert int(resumed.step.numpy()) == 4


def test_the_state_of_callbacks_is_of_its_checkpoint(folder):
    trained = fixed(folder, [keras.callbacks.EarlyStopping(**EARLY, patience=9)], range(9), steps=6, validate_every=1)
    trained.run()
    files = sorted(path.name for path in (folder / "checkpoints").glob("*.callbacks"))
    assert files == ["ckpt-2.callbacks", "ckpt-4.callbacks", "ckpt-6.callbacks"]
    damaged = folder / "checkpoints" / "ckpt-6.callbacks"
    damaged.write_text(damaged.read_text().replace("1.0", "7.0"))
    store = RunStore(folder)
    assert store.open().endswith("ckpt-4") and not damaged.exists()


@pytest.mark.slow
def test_a_rollback_restores_the_state_of_its_checkpoint(folder):
    """Two bad steps after checkpoint 2: the patience that they used up is given back.

    The validations are 9 before the training, 5 and 6 until the checkpoint, 7 and 7 of the bad steps, and then 8 three
    times. After the checkpoint one epoch had passed without an improvement, so the fourth is that of step 5.
    """
    stopping = keras.callbacks.EarlyStopping(**EARLY, patience=4)
    options = {"steps": 10, "validate_every": 1, "checkpoint_every": 2, "bad_steps": 2}
    trained = fixed(folder, [stopping], (9, 5, 6, 7, 7, 8, 8, 8, 8), **options)
    losses = iter([0.5, 0.5, math.nan, math.nan, *[0.5] * 10])
    trained._meta_step = lambda episodes: {"loss/generator": np.float32(next(losses))}
    trained.run()
    assert [(back.at, back.to) for back in trained.rollbacks] == [(4, 2)]
    assert int(trained.step.numpy()) == 5 and stopping.wait == 4


def test_a_run_without_such_callbacks_has_the_files_of_before(folder):
    fixed(folder, [keras.callbacks.TerminateOnNaN()], (5, 4, 3)).run()
    assert not list((folder / "checkpoints").glob("*.callbacks"))
    assert set(STATE) == {"LearningRateScheduler", "ReduceLROnPlateau", "EarlyStopping"}


@pytest.mark.parametrize("name", ["LearningRateScheduler", "ReduceLROnPlateau"])
def test_a_run_is_not_resumed_without_what_changed_its_rate(folder, name):
    made = {
        "LearningRateScheduler": keras.callbacks.LearningRateScheduler(halved),
        "ReduceLROnPlateau": keras.callbacks.ReduceLROnPlateau(**EARLY),
    }
    fixed(folder, [made[name]], (5, 4, 3), steps=3).run()
    before = helpers.files(folder)
    with pytest.raises(ValueError, match=rf"'callbacks' must include .*\['{name}'\], to resume .* Received: \[\]"):
        fixed(folder, [], (2,), steps=6).run()
    assert helpers.files(folder) == before


def test_a_callback_may_stop_after_a_step(folder):
    trained = fixed(folder, [], (5, 4))
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: setattr(trained.model, "stop_training", logs["loss/generator"] >= 0.5)
    )
    trained.callbacks = RunCallbacks([callback], trained.model, trained.config, trained.workers, True)
    trained.run()
    assert int(trained.step.numpy()) == 2 and run_folder.latest_checkpoint(folder).endswith("ckpt-2")


def test_a_run_ends_its_callbacks_whatever_happens(folder):
    calls = []
    trained = helpers.trainer(
        folder, helpers.model(outer_rate=1e38), helpers.tasks((0,) * 4), callbacks=[recorder(calls)], checkpoint_every=1
    )
    with pytest.raises(TrainingStopped):
        trained.run()
    assert calls[-1][0] == "on_train_end"


def test_the_other_workers_call_nothing():
    calls, trained = [], SimpleNamespace(chief=False, adopt=lambda variables: calls.append(len(variables)))
    callbacks = RunCallbacks([recorder(calls)], helpers.model(), helpers.config(), trained, True)
    with callbacks.running():
        callbacks.begin_step(1)
        callbacks.end_step(1, {})
        callbacks.end_epoch(1, 1.0, {})
    assert calls == [2], "they only take the two rates of the chief"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: keras.callbacks.ModelCheckpoint("x.keras"), "not include ModelCheckpoint: a run saves its own"),
        (lambda: keras.callbacks.BackupAndRestore("x"), "not include BackupAndRestore: a run restores its own"),
        (lambda: keras.callbacks.SwapEMAWeights(), r"not include SwapEMAWeights: .*averaging"),
        (lambda: keras.callbacks.EarlyStopping(**EARLY, restore_best_weights=True), "must not restore weights"),
        (lambda: keras.callbacks.EarlyStopping(), r"'monitor' of EarlyStopping must be .*Received: 'val_loss'"),
        (lambda: keras.callbacks.EarlyStopping("val_distance/after"), "'mode' of EarlyStopping must be 'min' or 'max'"),
        (lambda: keras.callbacks.ReduceLROnPlateau("val_x", mode="min"), r"'monitor' of ReduceLROnPlateau must be"),
        (lambda: "CSVLogger", r"must be a list of Keras callbacks. Received: 'CSVLogger'"),
    ],
)
def test_what_is_refused_is_refused_at_construction(tmp_path, make, message):
    with pytest.raises(ValueError, match=message):
        helpers.trainer(tmp_path, callbacks=[make()])
    assert list(tmp_path.iterdir()) == []


def test_callbacks_must_be_a_list(tmp_path):
    with pytest.raises(ValueError, match="must be a list of Keras callbacks"):
        helpers.trainer(tmp_path, callbacks=keras.callbacks.TerminateOnNaN())
    assert list(tmp_path.iterdir()) == []


def test_a_monitor_of_the_validation_needs_validation_classes(tmp_path):
    stopping = keras.callbacks.EarlyStopping(**EARLY)
    with pytest.raises(ValueError, match=r"if there are validation classes. Received: 'val_distance/after'"):
        helpers.trainer(tmp_path, data=helpers.tasks((0,) * 4), callbacks=[stopping])


def test_a_rate_that_follows_a_schedule_is_not_scheduled_twice(tmp_path):
    made = helpers.model(decay_steps=10)
    with pytest.raises(ValueError, match=r"must not include LearningRateScheduler for an optimizer whose learning"):
        helpers.trainer(tmp_path, made, callbacks=[keras.callbacks.LearningRateScheduler(halved)])
