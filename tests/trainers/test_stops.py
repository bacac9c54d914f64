"""How a run ends before its end: divergence, signals, and a disk that takes no more."""

import errno
import signal

import numpy as np
import pytest
import tensorflow as tf

import meta_gan
from meta_gan import atomic
from tests.toys import weekly
from tests.trainers import helpers
from trainers import TrainingStopped, run_folder
from trainers.interruption import SIGNALS


@pytest.fixture
def folder(tmp_path):
    return run_folder.new_run(tmp_path, "toy")


def few():
    """Tasks without validation classes, for which nothing but the step has to be traced."""
    return helpers.tasks((0,) * 4)


def counted_out(of):
    """All values but the optimizers' counts of steps, which the model's own refusal may leave one ahead."""
    return [array for array in helpers.values(of) if np.issubdtype(array.dtype, np.floating)]


def test_divergence_keeps_the_last_good_values(folder):
    # The first step is finite and moves every weight by 1e17; the second one's gradient is NaN.
    trained = helpers.trainer(folder, helpers.model(outer_rate=1e17), few(), checkpoint_every=1)
    with pytest.raises(TrainingStopped) as error:
        trained.run()
    good = str(folder / "checkpoints" / "ckpt-1")
    message = str(error.value)
    assert message.startswith("training stopped after step 1: the meta-gradient of ") and "\n" not in message
    assert message.endswith(f"; the last good checkpoint is {good}") and "is not finite: lower the " in message
    values = counted_out(trained)
    assert all(np.isfinite(array).all() for array in values) and np.abs(values[0]).max() > 1e16
    assert int(trained.step.numpy()) == 1
    assert run_folder.latest_checkpoint(folder) == good
    again = helpers.trainer(folder, helpers.model(outer_rate=1e17), few())
    assert again.restore() == 1
    helpers.assert_same_values(counted_out(again), values)
    saved = meta_gan.load(folder)
    helpers.assert_same_values([np.array(v) for v in saved.variables], [np.array(v) for v in trained.model.variables])
    assert [line["step"] for line in helpers.metrics(folder)] == [1]


@pytest.mark.slow
def test_divergence_in_the_first_step_leaves_no_checkpoint(folder):
    trained = helpers.trainer(folder, helpers.model(meta_learner="descent", inner_rate=1e30))
    before = counted_out(trained)
    with pytest.raises(TrainingStopped, match=r"after step 0: .*; there is no checkpoint yet$"):
        trained.run()
    helpers.assert_same_values(counted_out(trained), before)
    assert run_folder.latest_checkpoint(folder) is None and not (folder / "model").exists()
    # What adaptation made of it is on record, in JSON that has no NaN.
    (line,) = helpers.metrics(folder)
    assert line["step"] == 0 and line["validation/query/generator/after"] is None
    assert np.isfinite(line["validation/query/generator/before"])


# In float32 the last rate is infinite: the gradient is sound, and the step ruins the weights.
@pytest.mark.parametrize("rate", [1e38, *weekly(1e19, 1e60)])
def test_weights_that_cannot_be_used_are_not_saved_as_good(folder, rate):
    trained = helpers.trainer(folder, helpers.model(outer_rate=rate), few(), checkpoint_every=1)
    named = r"after step 1: '.*' and \d+ other variables are not finite, or larger than 1e\+18; there is no"
    with pytest.raises(TrainingStopped, match=named):
        trained.run()
    assert run_folder.latest_checkpoint(folder) is None and not (folder / "model").exists()


def test_another_error_of_tensorflow_is_not_called_divergence(folder, monkeypatch):
    trained = helpers.trainer(folder, data=few())

    def broken(episodes):
        raise tf.errors.InvalidArgumentError(None, None, "shapes do not fit")

    monkeypatch.setattr(trained, "_meta_step", broken)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"shapes do not fit"):
        trained.run()


def signalled(trained, monkeypatch, signals):
    """Sends `signals[step]` to this process right after that step has moved the weights, when it is not yet counted."""
    step = trained._meta_step

    def and_signal(episodes):
        metrics = step(episodes)
        for number in signals.get(int(trained.step.numpy()) + 1, ()):
            signal.raise_signal(number)
        return metrics

    monkeypatch.setattr(trained, "_meta_step", and_signal)


def test_a_signal_saves_between_two_steps_and_the_run_goes_on(tmp_path, monkeypatch, capfd):
    whole = helpers.trainer(run_folder.new_run(tmp_path, "whole"), data=few(), checkpoint_every=9)
    whole.run()
    cut = helpers.trainer(run_folder.new_run(tmp_path, "cut"), data=few(), checkpoint_every=9)
    signals = {2: [signal.SIGINT], 3: [signal.SIGHUP], 4: [signal.SIGTERM], 5: [signal.SIGINT] * 2}
    signalled(cut, monkeypatch, signals)
    handlers = [signal.getsignal(number) for number in SIGNALS]
    for step in (2, 3, 4):
        with pytest.raises(KeyboardInterrupt) as stop:
            cut.run()
        assert stop.value.args == (signals.pop(step)[0],)
        assert run_folder.latest_checkpoint(cut.folder).endswith(f"ckpt-{step}")
        meta_gan.load(cut.folder)  # raises for a half-written model
        assert [signal.getsignal(number) for number in SIGNALS] == handlers
    # Two in one step: no checkpoint of a step that may be half made.
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    assert int(cut.step.numpy()) == 4 and run_folder.latest_checkpoint(cut.folder).endswith("ckpt-4")
    signals.clear()
    cut.run()
    helpers.assert_same_values(helpers.values(cut), helpers.values(whole))
    assert helpers.timeless(cut.folder) == helpers.timeless(whole.folder)
    assert capfd.readouterr().err.count("finishing the step, then saving") == 4


@pytest.mark.slow
def test_a_signal_in_the_last_step_does_not_matter(folder, monkeypatch):
    trained = helpers.trainer(folder, data=few(), steps=1)
    monkeypatch.setattr(trained, "_meta_step", lambda episodes: {"loss/generator": np.float32(0.25)})
    signalled(trained, monkeypatch, {1: [signal.SIGINT]})
    assert trained.run() == folder / "model"


def full_for_models(monkeypatch):
    monkeypatch.setenv(atomic.FAULT, "model.written=ENOSPC")


def full_for_checkpoints(monkeypatch):
    def write(*arguments, **options):
        raise tf.errors.ResourceExhaustedError(None, None, "x/ckpt-2; No space left on device\nand a stack")

    monkeypatch.setattr(tf.train.Checkpoint, "write", write)


def full_for_metrics(monkeypatch):
    monkeypatch.setenv(atomic.FAULT, "metrics.line=ENOSPC")


@pytest.mark.parametrize("fill", [full_for_checkpoints, *weekly(full_for_models, full_for_metrics)])
def test_a_full_disk_names_the_last_good_checkpoint(folder, monkeypatch, fill):
    trained = helpers.trainer(folder, data=few(), steps=1)
    monkeypatch.setattr(trained, "_meta_step", lambda episodes: {"loss/generator": np.float32(0.25)})
    trained.run()
    longer = helpers.trainer(folder, data=few(), steps=2)
    monkeypatch.setattr(longer, "_meta_step", lambda episodes: {"loss/generator": np.float32(0.25)})
    monkeypatch.setattr(atomic, "_passed", {})
    fill(monkeypatch)
    with pytest.raises(OSError, match=r"No space left on device: .*; the last good checkpoint is .*ckpt-1$") as error:
        longer.run()
    assert error.value.errno == errno.ENOSPC and "\n" not in str(error.value)
    monkeypatch.undo()
    # What was there is as good as it was.
    assert helpers.trainer(folder, data=few(), steps=2).restore() == 1
    meta_gan.load(folder)  # raises for a half-written model
