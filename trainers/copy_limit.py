"""`CopyLimit`: stop a run whose samples become copies of the support set, and select the model to save."""

from __future__ import annotations

from typing import Any

from meta_gan.tasks.episodes import EpisodeStream
from trainers.config import TrainConfig
from trainers.selection import Selection

RATE = "validation/copy_rate/after"
"""The key in `metrics.jsonl` of the mean copy rate of adapted samples over the validation tasks."""


class CopyLimit(Selection):
    """Decide from the copy rates of past validations whether to stop, and whether to save the current model.

    A run that has been within the limit stops after `patience` consecutive validations above it. A run does not stop
    for copies at the start, because generators often begin by copying their support images. The untrained model of step
    0 does not count.

    Args:
        limit: the largest copy rate, in (0, 1]; 0 to never stop and to save every model.
        patience: consecutive validations above the limit, >= 1.

    Example:
        >>> copies = CopyLimit(limit=0.1, patience=1)
        >>> for step, rate in ((100, 0.4), (200, 0.05), (300, 0.3)):
        ...     copies.add(step, {RATE: rate})
        >>> copies.exceeded, copies.keeps(300)
        (True, False)
    """

    key = RATE

    def __init__(self, limit: float, patience: int):
        super().__init__(used=bool(limit))
        self.limit, self.patience = limit, patience

    @classmethod
    def of_run(cls, config: TrainConfig, game: Any, tasks: EpisodeStream) -> CopyLimit:
        """Return the limit of a run's settings.

        Raises:
            ValueError: a `copy_limit` is set, but the game has no copy rate or there are no validation classes.
        """
        if config.copy_limit and not (game.has_copy_rate and tasks.splits["validation"]):
            raise ValueError(
                "'copy_limit' needs a game that draws samples, and validation classes. Received: "
                f"{type(game).__name__}, {len(tasks.splits['validation'])} validation classes"
            )
        return cls(config.copy_limit, config.copy_patience)

    def counts(self, step: int) -> bool:
        """Return True but for the untrained model."""
        return step > 0

    def _within(self, step: int) -> bool:
        rate = self.values[step]
        return rate is not None and rate <= self.limit

    @property
    def ever_kept(self) -> bool:
        """True if any validation was within the limit."""
        return any(map(self._within, self.values))

    @property
    def exceeded(self) -> bool:
        """True if the run should stop: it was within the limit once, but not in the last `patience` validations."""
        return self.ever_kept and not any(map(self._within, sorted(self.values)[-self.patience :]))

    def keeps(self, step: int) -> bool:
        """Return True if the model after `step` should be saved: it is within the limit, or none has been so far."""
        return not self.ever_kept or (step in self.values and self._within(step))
