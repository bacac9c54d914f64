"""`MetaTrainer`: long meta-training runs that can be interrupted at any time and resumed with bit-identical results."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
import re
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan import storage
from meta_gan.checks import check_choice
from meta_gan.environment import check_settings, graphs
from meta_gan.errors import first_line
from meta_gan.model import MetaModel
from meta_gan.tasks.episodes import EpisodeStream
from meta_gan.tasks.media import of_card
from meta_gan.types import Episode
from trainers import fingerprints, previews, run_folder
from trainers.callbacks import RunCallbacks
from trainers.checkpoints import plain
from trainers.config import TrainConfig
from trainers.copy_limit import CopyLimit
from trainers.divergence import LARGEST, BadSteps, bad_values
from trainers.follower_store import FollowerStore, NoLog
from trainers.health import ROLLBACKS, Rollback, alarms, data_step
from trainers.interruption import Interruption
from trainers.metrics_log import MetricsLog
from trainers.progress import ProgressLine
from trainers.run_store import RunStore
from trainers.selection import BestModel
from trainers.workers import WorkerLost, Workers


class TrainingStopped(RuntimeError):
    """Raised when training has diverged; the message names the last good checkpoint."""


class Diverged(TrainingStopped):
    """Raised when training has diverged in a way that a rollback may cure."""


class MetaTrainer:
    """Train a compiled `MetaModel` on tasks of any kind, with all files of the run in one folder.

    The folder contains `config.json`, `metrics.jsonl`, `checkpoints/`, `reals.png` and `samples_NNNNNN.png`: for fixed
    validation classes, the support images, then samples or translations after 0, 10 and 50 steps (`.txt` for texts).
    `model/` is the saved model with its card, updated at every checkpoint (but see `copy_limit` and `keep_best`).
    `served/STEPS/`, its SavedModel, is written at the end.

    Every random draw is keyed by the step. A run resumed from weights, optimizers and step therefore gives the same
    bits as a run that was never interrupted.

    Args:
        model: a compiled `MetaModel`.
        tasks: training and validation episodes.
        folder: an existing run folder, from `run_folder.new_run`; ignored on workers other than the chief.
        config: length and intervals.
        description: further entries of `config.json`, such as the recipe.
        allow_changed: what may differ when a run is resumed, of `run_folder.CHANGES`: "data", "features", "start",
            "versions". What differed is recorded in `config.json`.
        strategy: a `tf.distribute.MirroredStrategy` or `MultiWorkerMirroredStrategy`, see `make_strategy`, over whose
            replicas the tasks of each meta-batch are shared out; None for one device. Of several workers the first,
            the chief, reads and writes the folder; the others use none.
        callbacks: Keras callbacks, called on the chief; the same list on all workers. A batch is an outer step, an
            epoch ends at each validation. The logs of a batch are `step` and the step's metrics; those of an epoch also
            `seconds` and, as in `fit`, `val_distance/after` for `validation/distance/after` of `metrics.jsonl`, whose
            numbers they are. A run that is resumed continues the number of the epoch, its learning rate, and the state
            of `EarlyStopping` and `ReduceLROnPlateau`; it needs the same callbacks that change the learning rate.
            `LearningRateScheduler` acts on all groups in proportion. `EarlyStopping` stops after a checkpoint. A
            `CSVLogger` of a resumed run needs `append=True`; after a kill it repeats the rows since the checkpoint.
            `TerminateOnNaN` has nothing to do. Callbacks of your own that change the training must depend on the
            numbers of epoch and batch only.
        progress: whether to show a line of progress, if standard error is a terminal.

    Raises:
        ValueError: the model is not compiled or takes another example shape, or the data do not allow the episodes or
            the `copy_limit`, see `TrainConfig.episodes` and `CopyLimit.of_run`; or a callback is refused, see
            `callbacks.REFUSED`.

    Example:
        >>> folder = trainers.run_folder.new_run("runs", "fomaml-glyphs")
        >>> trainers.MetaTrainer(model, tasks, folder, trainers.TrainConfig(steps=1000)).run()
    """

    def __init__(
        self,
        model: MetaModel,
        tasks: EpisodeStream,
        folder: str | Path | None,
        config: TrainConfig,
        description: dict[str, Any] | None = None,
        allow_changed: Collection[str] = (),
        strategy: tf.distribute.Strategy | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        progress: bool = True,
    ):
        if not getattr(model, "optimizers", None):
            raise ValueError("'model' must be compiled: call model.compile(). Received: a model that is not")
        if model.game.example_shape != tasks.example_shape:
            received = f"a model of {model.game.example_shape}"
            raise ValueError(
                f"'model' must take the example shape {tasks.example_shape} of the data. Received: {received}"
            )
        if getattr(model.game, "truth", 0) and not tasks.paired:
            raise ValueError(
                "the term 'truth' needs pairs of domains whose query sets are paired: `DomainTasks(paired=True)`. "
                f"Received: {tasks.name}, which are not"
            )
        # Created now to raise errors of the data before the first file is written.
        spec = config.episodes(tasks).element_spec
        self.model, self.tasks, self.folder, self.config = model, tasks, Path(folder or ""), config
        self.workers = Workers(strategy, config.worker_timeout)
        self.callbacks = RunCallbacks(callbacks, model, config, self.workers, bool(tasks.splits["validation"]))
        self.store = RunStore(self.folder, config.keep) if self.workers.chief else FollowerStore()
        self.progress = ProgressLine(config, progress and self.workers.chief)
        self.description = description or {}
        self.allow_changed = [check_choice(kind, "allow_changed", tuple(run_folder.CHANGES)) for kind in allow_changed]
        self._fingerprints = fingerprints.of_run(model, tasks)
        self.rollbacks: list[Rollback] = []
        self._validation: tf.data.Dataset | None = None
        self._changed: list[dict[str, Any]] = []
        self.copy_limit, self.best = CopyLimit.of_run(config, model.game, tasks), BestModel.of_run(config, tasks)
        self._selections = (self.copy_limit, self.best)
        model.data_card = {
            "name": tasks.name,
            **tasks.card,
            "example_shape": model.game.card["example_shape"],
            "splits": tasks.splits,
        }
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False, name="seconds")
        # A list of all variables: the checkpoint of a whole Keras model silently omits the averages and other state,
        # which a resumed run would then start anew.
        self.checkpoint = tf.train.Checkpoint(
            step=self.step, seconds=self.seconds, variables=[v.value for v in self._variables()]
        )
        # Part of the format, as `tf.train.CheckpointManager` wrote it; the property makes the variable.
        self.checkpoint.save_counter.assign(0)
        # With the signature of the data set, steps with different numbers of shots share one trace.
        replicas = self.workers.replicas
        self._meta_step = tf.function(lambda e: model.meta_step(e, replicas), autograph=False, input_signature=[spec])
        self._assess = tf.function(lambda e: model.assess(e, replicas), autograph=False)

    def _variables(self) -> list[keras.Variable]:
        """Return all variables that a run changes: weights, state, averages, and the optimizers' variables."""
        optimizers = [v for group in sorted(self.model.optimizers) for v in self.model.optimizers[group].variables]
        return [*self.model.variables, *optimizers]

    def _resolved(self) -> dict[str, Any]:
        """Return the content of `config.json`, with which runs are compared and resumed."""
        return {
            "kind": "run",
            "versions": fingerprints.versions(),
            "train": dataclasses.asdict(self.config),
            "model": keras.saving.serialize_keras_object(self.model),
            "data": self.model.data_card,
            "episodes": {"shots": self.tasks.shots, "queries": self.tasks.queries, "seed": self.tasks.seed},
            **({"callbacks": self.callbacks.names} if self.callbacks.used else {}),
            **self.description,
            "fingerprints": {**self._fingerprints, **self.description.get("fingerprints", {})},
        }

    def check_resumable(self) -> list[dict[str, Any]]:
        """Raise a ValueError if the folder's run has another recipe, source, data, or other episodes.

        Returns:
            The entry `changed` of `config.json`: what was allowed to differ, now and at earlier resumptions.
        """
        recorded = self.store.read_config()
        if recorded is None:
            return []
        found = run_folder.check_same(recorded, self._resolved(), self.folder, allowed=self.allow_changed)
        before = [{name: {"before": old, "now": new} for name, (old, new) in found.items()}] if found else []
        return [*recorded.get("changed", []), *before]

    def restore(self) -> int:
        """Restore the newest whole checkpoint, if there is one, and return the step to continue from.

        Raises:
            ValueError: the checkpoint is of another model.
        """
        return self._restore(run_folder.latest_checkpoint(self.folder))

    def _restore(self, path: str | None) -> int:
        if path is not None:
            try:
                with plain(path) as readable:
                    self.checkpoint.restore(readable).assert_existing_objects_matched().assert_consumed()
            except (tf.errors.OpError, IndexError, AssertionError, ValueError) as error:
                raise ValueError(
                    f"the checkpoint {path!r} must be of this model. Received: {first_line(error)}"
                ) from error
        self.callbacks.restore(path)
        return int(self.step.numpy())

    def run(self) -> Path:
        """Train to the end, starting from the folder's newest checkpoint.

        After SIGINT or SIGTERM the run completes its step, saves a checkpoint and stops. A second signal stops it at
        once.

        Returns:
            The folder of the saved model.

        Raises:
            ValueError: the folder is in use, its run had other settings or more steps, or no checkpoint of it is whole.
            TrainingStopped: a meta-gradient or a weight was not finite, after the rollbacks for bad steps; or an alarm
                was raised, with `on_alarm` "stop".
            OSError: a file could not be written; the message names the last good checkpoint.
            KeyboardInterrupt: after a checkpoint has been saved; its argument is the signal's number.
            WorkerLost: another worker ended; the chief has saved a checkpoint.
        """
        check_settings()
        with graphs(), self.workers.together(), self.store.locked(), Interruption() as interruption:
            self.workers.compare(self._compared() if self.workers.count > 1 else {})
            start, fresh = self._begin()
            try:
                with self.callbacks.running():
                    self._train(start, fresh, interruption)
            except WorkerLost as error:
                # Every update is of a whole step, so nothing that has been computed is lost.
                if self.workers.chief and int(self.step.numpy()) > start:
                    self._save()
                raise WorkerLost(self._stopped(str(error))) from error
            except OSError as error:
                why = f"{error.strerror}: {error.filename}" if error.strerror and error.filename else str(error)
                raise OSError(error.errno or errno.EIO, self._stopped(why)) from error
            finally:
                self.progress.end()
        return self.folder / "model"

    def _compared(self) -> dict[str, str]:
        """Return what must be the same on all workers."""
        settings, own = self._resolved(), json.dumps(self._fingerprints, sort_keys=True)
        settings.pop("fingerprints")
        return {
            "settings": json.dumps(settings, sort_keys=True, default=str),
            "data": own,
            "code": fingerprints.of_code(),
        }

    def _train(self, start: int, fresh: bool, interruption: Interruption) -> None:
        """Train from a step on, with what precedes the first step and follows the last one."""
        log = self.store.metrics(-1 if fresh else start)
        if fresh:
            split = "validation" if self.tasks.splits["validation"] else "train"
            if self.workers.chief:
                self._preview("reals", previews.real_rows(self._picture_episodes(split)))
            self.validate(log)
            if self.best.used:  # the model at the start may stay the best; a model needs a checkpoint beside it
                self._save()
        else:
            if self.workers.chief:
                for selection in self._selections:
                    selection.read(self.folder)
            # The process may have been killed between this checkpoint and its model.
            self._save_model()
        ended = False
        while not ended:
            try:
                self._loop(start, log, interruption)
                ended = True
            except Diverged as error:
                start, log = self._roll_back(error)
        if self.workers.chief:
            self._export()

    def _roll_back(self, error: Diverged) -> tuple[int, MetricsLog | NoLog]:
        """Return to the newest checkpoint of a run that diverged, or raise the error.

        The run goes on with the meta-batches that follow, see `health.data_step`, so that it does not diverge again in
        the same way; `config.json` has the rollbacks, so that a resumed run has the same ones.
        """
        at = int(self.step.numpy())
        path = run_folder.latest_checkpoint(self.folder) if self.workers.chief else None
        possible = bool(self.workers.gather([path is not None])[0, 0])
        if not possible or len(self.rollbacks) >= ROLLBACKS:
            raise error
        seconds = float(self.seconds.numpy())
        self._restore(path)
        self.workers.adopt([self.step, *self._variables()])
        self.seconds.assign(seconds)
        start = int(self.step.numpy())
        self.rollbacks.append(Rollback(at, start))
        self._write_config()
        for selection in self._selections:
            selection.forget(start)
        log = self.store.metrics(start)
        log.write(start, {"rolled_back_from": at})
        self._warn(f"{error}; rolled back to step {start} ({len(self.rollbacks)} of {ROLLBACKS} times)")
        return start, log

    def _warn(self, message: str) -> None:
        if self.workers.chief:
            self.progress.end()
            print(f"warning: {message}", file=sys.stderr, flush=True)

    def _write_config(self) -> None:
        config = {**self._resolved(), **({"changed": self._changed} if self._changed else {})}
        if self.rollbacks:
            config["rollbacks"] = [dataclasses.asdict(back) for back in self.rollbacks]
        self.store.write_config(config)

    def _begin(self) -> tuple[int, bool]:
        """Prepare the folder; return the step to continue from and whether the run is new."""
        self._changed = self.check_resumable()
        recorded = (self.store.read_config() or {}).get("rollbacks", [])
        path = self.store.open()
        self._restore(path)
        self.workers.adopt([self.step, self.seconds, *self._variables()])
        start, fresh = int(self.step.numpy()), bool(self.workers.gather([path is None])[0, 0])
        self._adopt_rollbacks([Rollback(**back) for back in recorded])
        if start > self.config.steps:
            raise ValueError(
                f"'steps' must be >= {start}, those of the checkpoint in {str(self.folder)!r}. "
                f"Received: {self.config.steps}"
            )
        self._write_config()
        return start, fresh

    def _adopt_rollbacks(self, recorded: list[Rollback]) -> None:
        """Take the chief's rollbacks; the others have no `config.json`."""
        numbers = [number for back in recorded for number in (back.at, back.to)]
        found = self.workers.gather([*numbers, *[-1.0] * (2 * ROLLBACKS - len(numbers))])[0].reshape(-1, 2)
        self.rollbacks = [Rollback(int(at), int(to)) for at, to in found if at >= 0]

    def _episodes(self, start: int) -> Iterator[Episode]:
        """Yield the meta-batch of each step after `start`."""
        stops = sorted({back.to for back in self.rollbacks if back.to > start})
        for stop in [*stops, None]:
            stream = iter(self.config.episodes(self.tasks, data_step(start, self.rollbacks)))
            yield from itertools.islice(stream, None if stop is None else stop - start)
            start = start if stop is None else stop

    def _loop(self, start: int, log: MetricsLog | NoLog, interruption: Interruption) -> None:
        config, time_now = self.config, time.process_time if self.config.processor_time else time.monotonic
        clock = time_now()
        if self._ended():
            return
        bad = BadSteps(config.bad_steps)
        episodes = self._episodes(start)
        for step in range(start + 1, config.steps + 1):
            self.callbacks.begin_step(step)
            metrics = self._step(next(episodes))
            self.step.assign(step)
            bad.add(metrics)
            self.callbacks.end_step(step, metrics)
            now = time_now()
            self.seconds.assign_add(now - clock)
            if step == start + 1:
                self.progress.begin(step, float(self.seconds.numpy()))
            clock, last = now, step == config.steps or self._ended()
            validates, raised = last or step % config.validate_every == 0, {}
            if step % config.log_every == 0 or last:
                values = {key: float(value) for key, value in metrics.items()}
                log.write(step, {**values, "seconds": self.seconds.numpy()})
                self.progress.show(step, float(self.seconds.numpy()), values)
            if validates:
                validation = self.validate(log)
                raised = self._raise_alarms(log, metrics, validation)
                self.callbacks.end_epoch(step, float(self.seconds.numpy()), validation)
                last = last or self._ended()
                clock = time_now()  # Validation is not training time.
            stops = bool(raised) and config.on_alarm == "stop"
            selects = validates and any(selection.used for selection in self._selections)
            saves = step % config.checkpoint_every == 0 or last or stops or selects
            if bad.hopeless or (last and bad.ruins(start > 0)):
                why = "their gradients or losses are not finite: lower the inner or outer rate"
                raise Diverged(self._stopped(f"the last {bad.count} steps updated nothing, because {why}"))
            # All workers stop after the same step, whichever of them received a signal.
            signal = int(self.workers.gather([interruption.received or 0]).max())
            # A resumed run repeats bad steps; it does not start from one.
            if (saves or signal) and (bad.count == 0 or last):
                self._save()
            elif validates and self.best.used:  # a bad step changed nothing: what was validated may be the best
                self._save_model()
            if stops:
                raise TrainingStopped(self._stopped(next(iter(raised.values()))))
            if last:
                return
            if signal:
                raise KeyboardInterrupt(signal)

    def _raise_alarms(
        self, log: MetricsLog | NoLog, metrics: dict[str, tf.Tensor], validation: dict[str, float]
    ) -> dict[str, str]:
        """Log and print the alarms after a validation, and return them."""
        step = int(self.step.numpy())
        found = alarms({name: float(value) for name, value in metrics.items()}, validation)
        if found:
            log.write(step, {f"alarm/{name}": 1.0 for name in found})
        for name, what in found.items():
            self._warn(f"alarm {name!r} after step {step}: {what}")
        return found

    def _ended(self) -> bool:
        """Return True if the run should end early: time is up, the copy limit is exceeded, or a callback stops it."""
        ended = 0 < 60.0 * self.config.minutes <= float(self.seconds.numpy()) or self.copy_limit.exceeded
        ended = ended or self.callbacks.stop
        if not (self.config.minutes or self.config.copy_limit or self.callbacks.used):
            return False
        return bool(self.workers.gather([ended])[0, 0])  # as the chief's clock says

    def _step(self, episodes: Episode) -> dict[str, tf.Tensor]:
        try:
            with self.workers.waiting():
                return self._meta_step(episodes)
        except tf.errors.InvalidArgumentError as error:
            # The line of the model's own check in the graph's report; any other error is not divergence.
            own = [line for line in error.message.splitlines() if "is not finite" in line]
            if not own:
                raise
            # Without the name that TensorFlow gives the function that the check is in.
            raise TrainingStopped(self._stopped(re.sub(r"^\{\{.*?\}\} ?", "", own[0].strip()))) from error

    def _save(self) -> None:
        """Save a checkpoint, and then its model."""
        self._require_finite()
        self.store.save_checkpoint(int(self.step.numpy()), self._write_checkpoint)
        self._save_model()

    def _write_checkpoint(self, prefix: str) -> None:
        self.checkpoint.write(prefix)
        self.callbacks.write(prefix)

    def _export(self) -> None:
        """Export the saved model for TF Serving; its version is the number of its outer steps."""
        saved = storage.read_config(self.folder / "model")["training"]["steps"]
        current = saved == int(self.step.numpy())
        model = self.model if current else MetaModel.from_folder(self.folder / "model")
        self.store.save_served(saved, model.export)

    def _require_finite(self) -> None:
        """Raise `TrainingStopped` for values that overflow, though the gradients may still be finite."""
        others = [v for optimizer in self.model.optimizers.values() for v in optimizer.variables]
        if bad := bad_values(self.model.variables, others):
            why = f"{bad[0]!r} and {len(bad) - 1} other variables are not finite, or larger than {LARGEST:g}"
            raise Diverged(self._stopped(why))

    def _save_model(self) -> None:
        """Save the model, unless `copy_limit` or `keep_best` keeps an earlier one."""
        step, seconds = int(self.step.numpy()), round(float(self.seconds.numpy()), 1)
        if not all(selection.keeps(step) for selection in self._selections):
            return
        training = {"steps": step, "meta_batch": self.config.meta_batch, "seconds": seconds}
        self.store.save_model(lambda place: self.model.save(place, training=training))

    def validate(self, log: MetricsLog | NoLog) -> dict[str, float]:
        """Adapt to fixed validation episodes, log the means before and after, and write a preview.

        Without validation classes this does nothing.
        """
        if not self.tasks.splits["validation"]:
            return {}
        if self._validation is None:  # kept, because TensorFlow traces every new pipeline
            batch = min(self.config.meta_batch, len(self.tasks.splits["validation"]))
            self._validation = self.tasks.validation(batch, self.config.validation_batches)
        self.callbacks.begin_validation()
        with self.workers.waiting():
            each = [self._assess(episode) for episode in self._validation]
        means = {f"validation/{key}": float(np.mean([m[key] for m in each])) for key in each[0]}
        self.callbacks.end_validation(means)
        step = int(self.step.numpy())
        log.write(step, means)
        for selection in self._selections:
            selection.add(step, means)
        if self.workers.chief:
            self._preview(f"samples_{step:06d}", self.picture())
        return means

    def _preview(self, name: str, rows: list[np.ndarray]) -> None:
        with self.store.pictures() as folder:
            of_card(self.tasks.card).preview(folder / name, rows)

    def _picture_episodes(self, split: str = "validation") -> Episode:
        classes = min(self.config.picture_classes, len(self.tasks.splits[split]))
        return self.tasks.episode_batch(split, 0, classes)

    def picture(self) -> list[np.ndarray]:
        """Return a row for each fixed validation task; see `previews.sample_rows`."""
        return previews.sample_rows(self.model, self._picture_episodes(), self.config.picture_steps)

    def _stopped(self, why: str) -> str:
        if not self.workers.chief:
            return f"training stopped after step {int(self.step.numpy())}: {why}"
        path = run_folder.latest_checkpoint(self.folder)
        good = f"the last good checkpoint is {path}" if path else "there is no checkpoint yet"
        return f"training stopped after step {int(self.step.numpy())}: {why}; {good}"
