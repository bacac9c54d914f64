"""When a run is to stop because its samples come to be copies of what they were shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainers import run_folder
from trainers.config import TrainConfig

RATE = "validation/copy_rate/after"
"""The mean copy rate of adapted samples over the validation tasks, as `metrics.jsonl` has it."""


class CopyWatch:
    """Tells from the copy rates of validations so far whether to go on, and whether to keep the model as it is.

    A run that has once kept the limit stops after `patience` validations in a row that do not. Copies at first are no
    reason to stop: a generator that starts by handing its support images on has yet to learn. The untrained model of
    step 0 does not count.

    Args:
        limit: greatest copy rate, in (0, 1]; 0 to stop for nothing and keep every model.
        patience: validations in a row over it, >= 1.

    Example:
        >>> watch = CopyWatch(limit=0.1, patience=1)
        >>> for step, rate in ((100, 0.4), (200, 0.05), (300, 0.3)):
        ...     watch.tell(step, {RATE: rate})
        >>> watch.over, watch.keeps(300)
        (True, False)
    """

    def __init__(self, limit: float, patience: int):
        self.limit, self.patience = limit, patience
        self.rates: dict[int, float | None] = {}

    @classmethod
    def over_run(cls, config: TrainConfig, game: Any, tasks: Any) -> CopyWatch:
        """The watch that a run's settings ask for.

        Raises:
            ValueError: a `copy_limit` for a game that draws no samples of one domain, or without validation classes.
        """
        if config.copy_limit and not (game.tells_copies and tasks.splits["validation"]):
            raise ValueError(
                "'copy_limit' needs a game that draws samples, and validation classes. Received: "
                f"{type(game).__name__}, {len(tasks.splits['validation'])} validation classes"
            )
        return cls(config.copy_limit, config.copy_patience)

    def recall(self, folder: Path) -> None:
        """Takes up the validations that `metrics.jsonl` holds."""
        for line in (folder / run_folder.METRICS).read_text("utf-8").splitlines():
            values = json.loads(line)
            if RATE in values:
                self.tell(values["step"], values)

    def tell(self, step: int, values: Mapping[str, Any]) -> None:
        """Adds a validation after that many outer steps; a rate that is None or NaN is that of what diverged."""
        if self.limit and step:
            rate = values[RATE]
            # As the log has it, so that a run that goes on sees the same number.
            self.rates[step] = None if rate is None else run_folder.number(rate)

    def _within(self, step: int) -> bool:
        rate = self.rates[step]
        return rate is not None and rate <= self.limit

    @property
    def ever_within(self) -> bool:
        """Whether any validation kept the limit."""
        return any(map(self._within, self.rates))

    @property
    def over(self) -> bool:
        """Whether the run is to stop: the limit was kept, and then not by the last `patience` validations."""
        return self.ever_within and not any(map(self._within, sorted(self.rates)[-self.patience :]))

    def keeps(self, step: int) -> bool:
        """Whether the model as it is after `step` is to be the saved one: validated and within, or none was so far."""
        return not self.ever_within or (step in self.rates and self._within(step))
