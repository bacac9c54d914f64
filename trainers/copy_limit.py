"""`CopyLimit`: stops a run whose samples become copies of the support set, and chooses which model it keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meta_gan.tasks import DomainTasks, Tasks
from trainers import run_folder
from trainers.config import TrainConfig

RATE = "validation/copy_rate/after"
"""The key in `metrics.jsonl` of the mean copy rate of adapted samples over the validation tasks."""


class CopyLimit:
    """Decides from the copy rates of the validations so far whether to go on, and whether to save the current model.

    A run that has kept the limit once stops after `patience` validations in a row that exceed it. Copies at the start
    are no reason to stop, for a generator that begins by copying its support images has yet to learn. The untrained
    model of step 0 does not count.

    Args:
        limit: the greatest copy rate, in (0, 1]; 0 to never stop and to save every model.
        patience: validations in a row over the limit, >= 1.

    Example:
        >>> copies = CopyLimit(limit=0.1, patience=1)
        >>> for step, rate in ((100, 0.4), (200, 0.05), (300, 0.3)):
        ...     copies.add(step, {RATE: rate})
        >>> copies.exceeded, copies.keeps(300)
        (True, False)
    """

    def __init__(self, limit: float, patience: int):
        self.limit, self.patience = limit, patience
        self.rates: dict[int, float | None] = {}

    @classmethod
    def of_run(cls, config: TrainConfig, game: Any, tasks: Tasks | DomainTasks) -> CopyLimit:
        """Make the limit that a run's settings define.

        Raises:
            ValueError: a `copy_limit` for a game that draws no samples of one domain, or without validation classes.
        """
        if config.copy_limit and not (game.has_copy_rate and tasks.splits["validation"]):
            raise ValueError(
                "'copy_limit' needs a game that draws samples, and validation classes. Received: "
                f"{type(game).__name__}, {len(tasks.splits['validation'])} validation classes"
            )
        return cls(config.copy_limit, config.copy_patience)

    def read(self, folder: Path) -> None:
        """Add the validations in the `metrics.jsonl` of a run folder."""
        for line in (folder / run_folder.METRICS).read_text("utf-8").splitlines():
            values = json.loads(line)
            if RATE in values:
                self.add(values["step"], values)

    def add(self, step: int, values: Mapping[str, Any]) -> None:
        """Add the validation after `step` outer steps; a diverged model has a rate of None or NaN."""
        if self.limit and step:
            # Rounded as in the log, so that a resumed run compares the same number.
            self.rates[step] = None if values[RATE] is None else run_folder.number(values[RATE])

    def _within(self, step: int) -> bool:
        rate = self.rates[step]
        return rate is not None and rate <= self.limit

    @property
    def ever_kept(self) -> bool:
        """True if any validation kept the limit."""
        return any(map(self._within, self.rates))

    @property
    def exceeded(self) -> bool:
        """True if the run should stop: the limit was kept once, but not by the last `patience` validations."""
        return self.ever_kept and not any(map(self._within, sorted(self.rates)[-self.patience :]))

    def keeps(self, step: int) -> bool:
        """Return True if the model after `step` should be saved: its validation kept the limit, or none has so far."""
        return not self.ever_kept or (step in self.rates and self._within(step))
