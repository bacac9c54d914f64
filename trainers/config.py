"""`TrainConfig`: the settings of a training run, apart from the model's recipe."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from meta_gan.checks import check_bool, check_choice, check_integer, check_number
from meta_gan.tasks.episodes import EpisodeStream

_COUNTS = ("steps", "meta_batch", "log_every", "validate_every", "checkpoint_every", "keep", "validation_batches")


@dataclass(frozen=True)
class TrainConfig:
    """Length, episodes and reporting intervals of a run.

    Attributes:
        steps: outer steps, >= 1.
        meta_batch: tasks per outer step, >= 1.
        log_every: steps between lines of `metrics.jsonl`, >= 1.
        validate_every: steps between validations and pictures, >= 1.
        checkpoint_every: steps between checkpoints, >= 1.
        keep: number of checkpoints to keep, >= 1.
        validation_batches: meta-batches per validation, >= 1.
        picture_classes: validation classes in the picture, >= 1.
        symmetries: whether to rotate and mirror every training task at random, see `Tasks.train`.
        minutes: training time after which the run stops, at the end of a step, >= 0; 0 for no limit.
        processor_time: whether `minutes`, and the seconds in `metrics.jsonl`, count the processor time of all threads
            instead of wall time, so that runs on a busy machine can be compared.
        fewest_shots: fewest support images of a training step, 1 to the shots of the tasks: each step draws its number
            of support images; 0 to use all of them in every step. See `Tasks.train`.
        picture_steps: inner steps at which the picture shows samples, each >= 0.
        copy_limit: largest share, in (0, 1], of samples for the validation tasks that may be copies of support images;
            0 for no limit. A run that was within the limit and then exceeds it stops, and its saved model is that of
            the last validation within it; a run that was never within the limit goes on to its end. See
            `copy_limit.CopyLimit`.
        copy_patience: consecutive validations over `copy_limit` after which the run stops, >= 1.
        keep_best: whether the saved model is that of the validation with the least distance from samples of the adapted
            model to the query sets, instead of the last one, see `selection.BestModel`; not with `copy_limit`.
        bad_steps: consecutive steps that update nothing because a value is not finite, >= 1, after which the run goes
            back to its newest checkpoint and on with other tasks, at most twice, and then stops.
        on_alarm: "log" to go on after an alarm of `health.alarms` (a dead discriminator, collapsed samples, validation
            that is not finite), or "stop" to save a checkpoint and stop as a run that diverged.
        worker_timeout: seconds >= 5 that one of several workers waits for the others in a step (with its tracing), a
            validation or a save, before it ends and names those that did not come.

    Raises:
        ValueError: a setting is out of range.
    """

    steps: int = 1000
    meta_batch: int = 8
    log_every: int = 10
    validate_every: int = 200
    checkpoint_every: int = 200
    keep: int = 3
    validation_batches: int = 4
    picture_classes: int = 8
    symmetries: bool = False
    minutes: float = 0.0
    processor_time: bool = False
    fewest_shots: int = 0
    picture_steps: tuple[int, ...] = (0, 10, 50)
    copy_limit: float = 0.0
    copy_patience: int = 3
    keep_best: bool = False
    bad_steps: int = 10
    on_alarm: str = "log"
    worker_timeout: float = 600.0

    def __post_init__(self) -> None:
        for field in (*_COUNTS, "picture_classes", "copy_patience", "bad_steps"):
            check_integer(getattr(self, field), field, 1)
        check_integer(self.fewest_shots, "fewest_shots", 0)
        check_number(self.minutes, "minutes", least=0)
        check_number(self.copy_limit, "copy_limit", least=0, most=1)
        check_choice(self.on_alarm, "on_alarm", ("log", "stop"))
        check_number(self.worker_timeout, "worker_timeout", least=5)
        for field in ("symmetries", "processor_time", "keep_best"):
            check_bool(getattr(self, field), field)
        if not isinstance(self.picture_steps, (tuple, list)) or not self.picture_steps:
            raise ValueError(f"'picture_steps' must be a tuple of integers. Received: {self.picture_steps!r}")
        steps = tuple(check_integer(step, "picture_steps", 0) for step in self.picture_steps)
        object.__setattr__(self, "picture_steps", steps)

    def episodes(self, tasks: EpisodeStream, start_step: int = 0) -> tf.data.Dataset:
        """Return the training episodes of a run, from a step on.

        Raises:
            DataError: `meta_batch` or `fewest_shots` is more than the data has, or `symmetries` is set for images that
                are not square.
        """
        return tasks.train(self.meta_batch, start_step, self.symmetries, self.fewest_shots or None)
