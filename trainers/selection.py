"""`Selection` decides from the validations of a run which model to save; `BestModel` saves the best one."""

from __future__ import annotations

import abc
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from meta_gan.tasks.episodes import EpisodeStream
from trainers import metrics_log
from trainers.config import TrainConfig


class Selection(abc.ABC):
    """Base class: keep one value of every validation, and decide from these values whether to save the current model.

    Args:
        used: False to save every model.

    Attributes:
        values: the value after each validated step; None where the model had diverged.
    """

    key: ClassVar[str]
    """The name of the value in `metrics.jsonl`."""

    def __init__(self, used: bool):
        self.used = used
        self.values: dict[int, float | None] = {}

    def read(self, folder: Path) -> None:
        """Add the validations in the `metrics.jsonl` of a run folder."""
        for line in (folder / metrics_log.METRICS).read_text("utf-8").splitlines():
            values = json.loads(line)
            if self.key in values:
                self.add(values["step"], values)

    def add(self, step: int, values: Mapping[str, Any]) -> None:
        """Add the values of the validation after `step` outer steps; those of a diverged model are None or NaN."""
        if self.used and self.counts(step):
            # Rounded as in the log, so that a resumed run compares the same numbers.
            self.values[step] = None if values[self.key] is None else metrics_log.number(values[self.key])

    def forget(self, step: int) -> None:
        """Remove all validations later than `step`, the outer step that a run went back to."""
        self.values = {number: value for number, value in self.values.items() if number <= step}

    def counts(self, step: int) -> bool:
        """Return True if the validation after `step` outer steps is taken into account."""
        return True

    @abc.abstractmethod
    def keeps(self, step: int) -> bool:
        """Return True if the model after `step` outer steps should be saved."""


class BestModel(Selection):
    """Save the model with the smallest energy distance from adapted samples to the query sets of the validation tasks.

    This includes the initial model: a run that only makes it worse saves the initial model.

    Example:
        >>> best = BestModel(used=True)
        >>> for step, distance in ((0, 0.3), (50, 0.2), (100, 0.25)):
        ...     best.add(step, {BestModel.key: distance})
        >>> best.step, best.keeps(50), best.keeps(100)
        (50, True, False)
    """

    key = "validation/distance/after"

    @classmethod
    def of_run(cls, config: TrainConfig, tasks: EpisodeStream) -> BestModel:
        """Return the selection for the settings of a run.

        Raises:
            ValueError: `keep_best` is set without validation classes, or together with `copy_limit`.
        """
        if config.keep_best and (config.copy_limit or not tasks.splits["validation"]):
            raise ValueError(
                "'keep_best' needs validation classes and no 'copy_limit'. Received: "
                f"{len(tasks.splits['validation'])} validation classes, copy_limit {config.copy_limit}"
            )
        return cls(config.keep_best)

    @property
    def step(self) -> int | None:
        """The first step with the smallest distance; None if no distance is finite."""
        found = {step: value for step, value in self.values.items() if value is not None}
        return min(found, key=lambda step: (found[step], step)) if found else None

    def keeps(self, step: int) -> bool:
        """Return True if the model after `step` is the best so far, or if no distance is finite yet."""
        return self.step is None or step == self.step
