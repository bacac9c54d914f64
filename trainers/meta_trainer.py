"""`MetaTrainer`: one long run of meta-training, which can be interrupted anywhere and resumed to the same bits."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan import storage
from meta_gan.model import MetaModel
from meta_gan.tasks import DomainTasks, Tasks
from trainers import pictures, run_folder
from trainers.config import TrainConfig
from trainers.interruption import Interruption
from trainers.memorisation import CopyWatch


class TrainingStopped(RuntimeError):
    """A run that diverged; the message names the last good checkpoint."""


class MetaTrainer:
    """Trains a compiled `MetaModel` on `Tasks` or `DomainTasks`, and keeps all of it in one run folder.

    The folder holds `config.json`, `metrics.jsonl`, `reals.png`, `samples_NNNNNN.png` (for fixed validation classes:
    the support images, then samples or translations after 0, 10 and 50 steps), `checkpoints/`, `model/`, the saved
    model with its card, brought up to date at every checkpoint (or see `copy_limit`), and at the end `served/STEPS/`,
    its SavedModel.

    Every random draw is keyed by the step, so a resumed run needs only the weights, the optimizers and the step to
    end in the bits of one that was never interrupted.

    Args:
        model: compiled.
        tasks: training and validation episodes.
        folder: an existing run folder, of `run_folder.new_run`.
        config: length and intervals.
        description: what `config.json` records beside `config`, such as the recipe.

    Raises:
        ValueError: the model is not compiled or takes another image shape, or the data cannot give such
            episodes, or has no use for a `copy_limit`: see `TrainConfig.episodes`, `CopyWatch.over_run`.

    Example:
        >>> folder = trainers.run_folder.new_run("runs", "fomaml-glyphs")
        >>> trainers.MetaTrainer(model, tasks, folder, trainers.TrainConfig(steps=1000)).run()
    """

    def __init__(
        self,
        model: MetaModel,
        tasks: Tasks | DomainTasks,
        folder: str | Path,
        config: TrainConfig,
        description: dict[str, Any] | None = None,
    ):
        if not getattr(model, "optimizers", None):
            raise ValueError("'model' must be compiled: call model.compile(). Received: a model that is not")
        if model.game.example_shape != tasks.example_shape:
            raise ValueError(
                f"the model must take the data's image shape {tasks.example_shape}. "
                f"Received: a model of {model.game.example_shape}"
            )
        if getattr(model.game, "truth", 0) and not getattr(tasks, "paired", False):
            raise ValueError(
                "the term 'truth' needs pairs of domains whose query sets are paired: `DomainTasks(paired=True)`. "
                f"Received: {tasks.name}, which are not"
            )
        # Asked of the data now, for it would otherwise come out after the first files are written.
        spec = config.episodes(tasks).element_spec
        self.model, self.tasks, self.folder, self.config = model, tasks, Path(folder), config
        self.description = description or {}
        self.watch = CopyWatch.over_run(config, model.game, tasks)
        model.data_card = {
            "name": tasks.name,
            **tasks.card,
            "example_shape": model.game.card["example_shape"],
            "splits": tasks.splits,
        }
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False, name="seconds")
        # Every variable by itself: of a whole Keras model, TensorFlow's checkpoint passes over the averages and other
        # state without a word, and a resumed run would start them anew.
        self.checkpoint = tf.train.Checkpoint(
            step=self.step, seconds=self.seconds, variables=[v.value for v in self._variables()]
        )
        # Of the stream's own signature: steps of other numbers of shots are one and the same trace.
        self._meta_step = tf.function(model.meta_step, autograph=False, input_signature=[spec])
        self._assess = tf.function(model.assess, autograph=False)

    def _variables(self) -> list[Any]:
        """All that a run changes: weights, state, averages, and the optimizers' variables."""
        optimizers = [v for group in sorted(self.model.optimizers) for v in self.model.optimizers[group].variables]
        return [*self.model.variables, *optimizers]

    def _resolved(self) -> dict[str, Any]:
        """What `config.json` records: enough to know the run again, and for the command line to resume it."""
        return {
            "kind": "run",
            "versions": {"keras": keras.__version__, "tensorflow": tf.__version__},
            "train": dataclasses.asdict(self.config),
            "model": keras.saving.serialize_keras_object(self.model),
            "data": self.model.data_card,
            "episodes": {"shots": self.tasks.shots, "queries": self.tasks.queries, "seed": self.tasks.seed},
            **self.description,
        }

    def check_resumable(self) -> None:
        """Raises ValueError when the folder's run is of another recipe, source, data, or other episodes."""
        run_folder.check_same(self.folder, self._resolved(), run_folder.SAME)

    def restore(self) -> int:
        """Goes back to the newest checkpoint, if there is one, and returns the step to go on from.

        Raises:
            ValueError: the checkpoint is damaged, or of another model.
        """
        path = run_folder.latest_checkpoint(self.folder)
        if path is not None:
            try:
                self.checkpoint.restore(path).assert_existing_objects_matched().assert_consumed()
            # Damage is an OpError or, of a file cut short, an IndexError; another model is one of the other two.
            except (tf.errors.OpError, IndexError, AssertionError, ValueError) as error:
                raise ValueError(
                    f"the checkpoint {path!r} must be whole and of this model; to go on from the one before, delete "
                    f"{path}.* first. Received: {_first_line(error)}"
                ) from error
        return int(self.step.numpy())

    def run(self) -> Path:
        """Trains to the end, from the newest checkpoint of the folder on.

        SIGINT and SIGTERM are answered between two steps, with a checkpoint; a second one stops at once, without.

        Returns:
            The folder of the saved model.

        Raises:
            ValueError: the folder is in use, its run had other settings or more steps, or its checkpoint is damaged.
            TrainingStopped: a meta-gradient or a weight was not finite.
            OSError: the disk refused a file; the message names the last good checkpoint.
            KeyboardInterrupt: after a checkpoint has been saved; its argument is the signal's number.
        """
        with run_folder.locked(self.folder), Interruption() as interruption:
            start, fresh = self._begin()
            try:
                log = run_folder.MetricsLog(self.folder, -1 if fresh else start)
                if fresh:
                    split = "validation" if self.tasks.splits["validation"] else "train"
                    reals = pictures.reals(self._picture_episodes(split))
                    pictures.write(self.folder, "reals", reals, self.tasks.card)
                    self.validate(log)
                else:
                    self.watch.recall(self.folder)
                    # A kill may have come between this checkpoint and the model of it.
                    self._save_model()
                self._loop(start, log, interruption)
                self._export()
            except OSError as error:
                raise OSError(self._stopped(str(error))) from error
        return self.folder / "model"

    def _begin(self) -> tuple[int, bool]:
        """Takes the folder up: `(the step to go on from, whether its run is a new one)`."""
        fresh = run_folder.latest_checkpoint(self.folder) is None
        if not fresh:
            self.check_resumable()
        start = self.restore()
        if start > self.config.steps:
            raise ValueError(
                f"'steps' must be >= {start}, those of the checkpoint in {str(self.folder)!r}. "
                f"Received: {self.config.steps}"
            )
        run_folder.save_config(self.folder, self._resolved())
        self._manager = run_folder.checkpoint_manager(self.checkpoint, self.folder, self.config.keep)
        return start, fresh

    def _loop(self, start: int, log: run_folder.MetricsLog, interruption: Interruption) -> None:
        config, tell = self.config, time.process_time if self.config.processor_time else time.monotonic
        clock = tell()
        if self._ended():
            return
        bar = keras.utils.Progbar(config.steps, verbose=1 if sys.stdout.isatty() else 0)
        bar.seen_so_far = start
        episodes = iter(config.episodes(self.tasks, start))
        for step in range(start + 1, config.steps + 1):
            metrics = self._step(next(episodes))
            self.step.assign(step)
            now = tell()
            self.seconds.assign_add(now - clock)
            clock, last = now, step == config.steps or self._ended()
            validates = last or step % config.validate_every == 0
            if step % config.log_every == 0 or last:
                values = {key: float(value) for key, value in metrics.items()}
                log.write(step, {**values, "seconds": self.seconds.numpy()})
                bar.update(step, values.items())
            if validates:
                self.validate(log)
                last = last or self._ended()
                # Validation is not training time.
                clock = tell()
            saves = step % config.checkpoint_every == 0 or last or (validates and config.copy_limit)
            if saves or interruption.received is not None:
                self._save()
            if last:
                return
            interruption.raise_if_received()

    def _ended(self) -> bool:
        """Whether the run is to end before its last step: its time is up, or its samples came to be copies."""
        return 0 < 60.0 * self.config.minutes <= float(self.seconds.numpy()) or self.watch.over

    def _step(self, episodes: Any) -> dict[str, Any]:
        try:
            return self._meta_step(episodes)
        except tf.errors.InvalidArgumentError as error:
            # The line of the model's own check, out of a graph's report; any other error is not divergence.
            own = [line for line in error.message.splitlines() if "is not finite" in line]
            if not own:
                raise
            raise TrainingStopped(self._stopped(own[0].strip())) from error

    def _save(self) -> None:
        """Saves a checkpoint, and then the model of it."""
        self._require_finite()
        try:
            self._manager.save(checkpoint_number=int(self.step.numpy()))
        except tf.errors.OpError as error:
            raise OSError(f"saving a checkpoint failed: {_first_line(error)}") from error
        self._save_model()

    def _export(self) -> None:
        """Exports the saved model for TF Serving, its version the number of its outer steps."""
        saved = storage.read_config(self.folder / "model")["training"]["steps"]
        path, current = self.folder / "served" / str(saved), saved == int(self.step.numpy())
        if not path.exists():
            (self.model if current else MetaModel.from_folder(self.folder / "model")).export(path)

    def _require_finite(self) -> None:
        """An outer rate that overflows leaves its mark before the next gradient does: no checkpoint may hold it."""
        bad = [v.path for v in self._variables() if not np.isfinite(v.numpy()).all()]
        if bad:
            raise TrainingStopped(self._stopped(f"{bad[0]!r} and {len(bad) - 1} other variables are not finite"))

    def _save_model(self) -> None:
        """Saves the model, unless an earlier one with fewer copies is to stay."""
        if not self.watch.keeps(int(self.step.numpy())):
            return
        training = {
            "steps": int(self.step.numpy()),
            "meta_batch": self.config.meta_batch,
            "seconds": round(float(self.seconds.numpy()), 1),
        }
        try:
            self.model.save(self.folder / "model", overwrite=True, training=training)
        except ValueError as error:
            # What `storage` makes of a full disk; the settings have been checked by now.
            raise OSError(str(error)) from error

    def validate(self, log: run_folder.MetricsLog) -> dict[str, float]:
        """Adapts to fixed validation episodes, logs the means before and after, and draws the picture.

        A source without validation classes has nothing to validate on; the run goes on without.
        """
        if not self.tasks.splits["validation"]:
            return {}
        batch = min(self.config.meta_batch, len(self.tasks.splits["validation"]))
        episodes = self.tasks.validation(batch, self.config.validation_batches)
        each = [self._assess(episode) for episode in episodes]
        means = {f"validation/{key}": float(np.mean([m[key] for m in each])) for key in each[0]}
        log.write(int(self.step.numpy()), means)
        self.watch.tell(int(self.step.numpy()), means)
        pictures.write(self.folder, f"samples_{int(self.step.numpy()):06d}", self.picture(), self.tasks.card)
        return means

    def _picture_episodes(self, split: str = "validation") -> Any:
        classes = min(self.config.picture_classes, len(self.tasks.splits[split]))
        return self.tasks.episode_batch(split, 0, classes)

    def picture(self) -> list[np.ndarray]:
        """A row for each fixed validation task, see `pictures.progress`."""
        return pictures.progress(self.model, self._picture_episodes(), self.config.picture_steps)

    def _stopped(self, why: str) -> str:
        path = run_folder.latest_checkpoint(self.folder)
        good = f"the last good checkpoint is {path}" if path else "there is no checkpoint yet"
        return f"training stopped after step {int(self.step.numpy())}: {why}; {good}"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
