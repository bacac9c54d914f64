"""`RunCallbacks`: the Keras callbacks of a run, with their state in its checkpoints."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from meta_gan.model import MetaModel
from trainers.config import TrainConfig
from trainers.metrics_log import number
from trainers.workers import Workers

ENDING = ".callbacks"
"""The ending of the checkpoint file with the state of the callbacks."""
REFUSED = {
    "BackupAndRestore": "a run restores its own checkpoints",
    "ModelCheckpoint": "a run saves its own checkpoints and model, see TrainConfig.checkpoint_every",
    "OrbaxCheckpoint": "a run saves its own checkpoints and model, see TrainConfig.checkpoint_every",
    "SwapEMAWeights": "the run would save the exchanged weights; use MetaModel(averaging=...)",
}
"""Keras callbacks that a run refuses, and why."""
STATE = {
    "LearningRateScheduler": (),
    "ReduceLROnPlateau": ("best", "wait", "cooldown_counter"),
    "EarlyStopping": ("best", "best_epoch", "wait", "stopped_epoch"),
}
"""The attributes that hold the state of the Keras callbacks which change the training."""
_RATES = ("LearningRateScheduler", "ReduceLROnPlateau")
_MONITORS = ("ReduceLROnPlateau", "EarlyStopping")


class RunCallbacks:
    """Call the Keras callbacks of a run, on the chief worker only.

    The epoch of a step is `(step - 1) // validate_every`, so a resumed run continues to count its epochs. Learning
    rates that callbacks set are passed on to the other workers before every step.

    Args:
        callbacks: Keras callbacks; `MetaTrainer` describes which are allowed.
        model: the compiled model.
        config: the settings of the run.
        workers: the workers of the run.
        validated: whether there are validation classes.

    Attributes:
        names: the class names of the callbacks.

    Raises:
        ValueError: a callback is in `REFUSED`, monitors an unknown metric, or sets rates that follow a schedule.
    """

    def __init__(
        self, callbacks: Sequence[Any], model: MetaModel, config: TrainConfig, workers: Workers, validated: bool
    ):
        if not isinstance(callbacks, (list, tuple)):
            raise ValueError(f"'callbacks' must be a list of Keras callbacks. Received: {callbacks!r}")
        self._given = [_checked(callback) for callback in callbacks]
        self.names = [type(callback).__name__ for callback in self._given]
        self._model, self._workers, self._every = model, workers, config.validate_every
        self._epochs = math.ceil(config.steps / config.validate_every)
        rates = [(optimizer.learning_rate, optimizer.variables) for optimizer in model.optimizers.values()]
        self._rates = [rate for rate, variables in rates if any(rate is variable for variable in variables)]
        self._kept = {kind: [each for each in self._given if _is(each, kind)] for kind in STATE}
        if self._change_rates and len(self._rates) < len(rates):
            raise ValueError(
                f"'callbacks' must not include {self._change_rates[0]} for an optimizer whose learning rate is a "
                f"schedule, such as that of 'outer.decay_steps'. Received: {self.names}"
            )
        for callback in (each for kind in _MONITORS for each in self._kept[kind]):
            _check_monitor(callback, [metric.name for metric in model.metrics], validated)
        self._list: keras.callbacks.CallbackList | None = None
        self._state: dict[str, Any] = {}
        self._logs: dict[str, Any] = {}
        self._entering = True

    @property
    def used(self) -> bool:
        """True if there are callbacks."""
        return bool(self._given)

    @property
    def stop(self) -> bool:
        """True if a callback has asked to stop training."""
        return self.used and bool(self._model.stop_training)

    @property
    def _change_rates(self) -> list[str]:
        return [kind for kind in _RATES for _ in self._kept[kind]]

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Call `on_train_begin` and, also after an error, `on_train_end`."""
        if not self.used:
            yield
            return
        self._model.stop_training = False
        given = self._given if self._workers.chief else []
        # Made here and not earlier, because some callbacks write files as soon as they receive the model.
        self._list = keras.callbacks.CallbackList(
            given, model=self._model, epochs=self._epochs, steps=self._every, verbose=0
        )
        self._list.on_train_begin()
        self._apply()
        try:
            yield
        finally:
            self._list.on_train_end(self._logs)
            self._list = None

    def begin_step(self, step: int) -> None:
        """Call `on_train_batch_begin` for a step, counted from 1; before it `on_epoch_begin`, if an epoch begins."""
        if self._list is None:
            return
        epoch, batch = divmod(step - 1, self._every)
        if batch == 0 or self._entering:
            before = [rate.numpy() for rate in self._rates]
            self._list.on_epoch_begin(epoch)
            if batch > 0:
                # The run was interrupted within this epoch: the checkpoint has the rates that the schedule had set.
                for rate, value in zip(self._rates, before, strict=True):
                    rate.assign(value)
            self._entering = False
        self._list.on_train_batch_begin(batch)
        self._workers.adopt(self._rates)

    def end_step(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Call `on_train_batch_end`."""
        if self._list is None:
            return
        self._logs = {"step": step, **_rounded(metrics)}
        self._list.on_train_batch_end((step - 1) % self._every, self._logs)

    def begin_validation(self) -> None:
        """Call `on_test_begin`."""
        if self._list is not None:
            self._list.on_test_begin()

    def end_validation(self, means: Mapping[str, float]) -> None:
        """Call `on_test_end` with the means of a validation."""
        if self._list is not None:
            self._list.on_test_end(_rounded({_own_name(key): value for key, value in means.items()}))

    def end_epoch(self, step: int, seconds: float, means: Mapping[str, float]) -> None:
        """Call `on_epoch_end` with the metrics of the last step and the means of the validation."""
        if self._list is None:
            return
        validation = {f"val_{_own_name(key)}": value for key, value in means.items()}
        self._logs = {**self._logs, **_rounded({"seconds": seconds, **validation})}
        self._list.on_epoch_end((step - 1) // self._every, self._logs)

    def write(self, prefix: str) -> None:
        """Write the state of the callbacks, if there is any, beside the other files of a checkpoint."""
        kept = {kind: [_state_of(each, kind) for each in found] for kind, found in self._kept.items() if found}
        if kept:
            state = {**kept, "ratios": self._model.optimizer.ratios}
            Path(prefix + ENDING).write_text(json.dumps(state), encoding="utf-8")

    def restore(self, prefix: str | None) -> None:
        """Restore the state from a checkpoint; `prefix` is None for a new run.

        Raises:
            ValueError: the run had callbacks that change its learning rate, and not all of them are given.
        """
        path = Path((prefix or "") + ENDING)
        self._state = json.loads(path.read_text("utf-8")) if prefix is not None and path.exists() else {}
        recorded = [kind for kind in _RATES for _ in self._state.get(kind, [])]
        if any(recorded.count(kind) > self._change_rates.count(kind) for kind in recorded):
            raise ValueError(
                f"'callbacks' must include those that changed the learning rate of the run, {recorded}, to resume "
                f"from {str(prefix)!r}. Received: {self.names}"
            )
        self._entering = True
        if self._list is not None:
            self._model.stop_training = False
            self._apply()

    def _apply(self) -> None:
        """Set the state of the callbacks; call it after `on_train_begin`, in which Keras resets that state."""
        for kind, found in self._kept.items():
            # A callback without state in the checkpoint keeps its initial state.
            for callback, state in zip(found, self._state.get(kind, []), strict=False):
                for name, value in state.items():
                    setattr(callback, name, value)
        if "ratios" in self._state:
            self._model.optimizer.ratios = self._state["ratios"]
        if any(each.stopped_epoch > 0 and each.wait >= each.patience for each in self._kept["EarlyStopping"]):
            self._model.stop_training = True


def _is(callback: Any, kind: str) -> bool:
    return isinstance(callback, getattr(keras.callbacks, kind))


def _checked(callback: Any) -> keras.callbacks.Callback:
    """Return the callback, or raise a ValueError if a run refuses it."""
    if not isinstance(callback, keras.callbacks.Callback):
        raise ValueError(f"'callbacks' must be a list of Keras callbacks. Received: {callback!r}")
    for base in type(callback).__mro__:
        if base.__module__.startswith("keras.") and base.__name__ in REFUSED:
            raise ValueError(
                f"'callbacks' must not include {base.__name__}: {REFUSED[base.__name__]}. "
                f"Received: {type(callback).__name__}"
            )
    if getattr(callback, "restore_best_weights", False):
        raise ValueError(
            "'callbacks' must not restore weights, which the checkpoints of the run would not have. Received: "
            f"{type(callback).__name__}(restore_best_weights=True)"
        )
    return callback


def _check_monitor(callback: Any, metrics: Sequence[str], validated: bool) -> None:
    """Raise a ValueError if the monitored metric does not exist, or if the mode is left to Keras, which cannot tell."""
    name, kind = callback.monitor, type(callback).__name__
    if name not in [*metrics, *(f"val_{metric}" for metric in metrics if validated)]:
        required = "a metric of the run, such as 'val_distance/after' if there are validation classes"
        raise ValueError(f"the 'monitor' of {kind} must be {required}. Received: {name!r}")
    if callback.mode not in ("min", "max"):
        raise ValueError(f"the 'mode' of {kind} must be 'min' or 'max'. Received: {callback.mode!r}")


def _rounded(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the values as rounded in `metrics.jsonl`, with NaN where that has null."""
    rounded = {key: number(value) for key, value in values.items()}
    return {key: math.nan if value is None else value for key, value in rounded.items()}


def _own_name(key: str) -> str:
    return key.removeprefix("validation/")


def _state_of(callback: Any, kind: str) -> dict[str, Any]:
    """Return the state of a callback as JSON values; some versions of Keras keep it in NumPy numbers."""
    values = {name: getattr(callback, name) for name in STATE[kind]}
    return {name: value if value is None or isinstance(value, int) else float(value) for name, value in values.items()}
