"""When a run has diverged: steps that update nothing, and values with which nothing can be computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

LARGEST = 1e18
"""The largest weight of a good model: the square of a larger one is near the end of float32."""


class BadSteps:
    """Count the consecutive steps that updated nothing, or whose losses cannot be computed.

    A step is bad if the model skipped it because its gradient is not finite, or if a loss is not finite while every
    gradient is zero or not finite. Estimators that survive diverged tasks, such as evolution strategies, report
    infinite losses with useful gradients; those steps are good.

    Args:
        patience: consecutive bad steps after which the run does not go on as it is, >= 1.

    Attributes:
        count: consecutive bad steps up to now.
        good: whether any step was good.
        skipped: whether all of the `count` bad steps were skipped, so that no variable changed in them.

    Example:
        >>> bad = BadSteps(10)
        >>> bad.add({"loss/generator": float("nan"), "gradient_norm/generator": 0.0})
        >>> bad.count
        1
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.count, self.good, self.skipped = 0, False, True

    def add(self, metrics: Mapping[str, Any]) -> None:
        """Count a step by its metrics."""
        skipped = float(metrics.get("skipped", 0.0)) > 0
        losses = [float(value) for name, value in metrics.items() if name.startswith("loss/")]
        norms = [float(value) for name, value in metrics.items() if name.startswith("gradient_norm/")]
        idle = not any(0.0 < norm < np.inf for norm in norms)
        if skipped or (idle and not np.isfinite(losses).all()):
            self.count, self.skipped = self.count + 1, skipped and (self.skipped or self.count == 0)
        else:
            self.count, self.good, self.skipped = 0, True, True

    @property
    def hopeless(self) -> bool:
        """True if the run should stop now."""
        return self.count >= self.patience

    def ruins(self, started: bool) -> bool:
        """Return whether a run that ends now has no good model.

        Args:
            started: whether the run had good steps before, in another process.
        """
        return self.count > 0 and not (self.skipped and (started or self.good))


def bad_values(weights: Iterable[keras.Variable], others: Iterable[keras.Variable]) -> list[str]:
    """Return the paths of variables with which training cannot go on.

    Args:
        weights: variables of the model: finite, and smaller than `LARGEST`.
        others: variables of optimizers, which may be large: finite.
    """
    limits = [*((v, LARGEST) for v in weights), *((v, np.inf) for v in others)]
    # NaN is not smaller than anything. Integers and keys of random draws are as large as they like.
    return [v.path for v, most in limits if "float" in str(v.dtype) and not _below(v, most)]


def _below(variable: keras.Variable, most: float) -> bool:
    values = variable.numpy()
    return values.size == 0 or bool(np.abs(values).max() < most)
