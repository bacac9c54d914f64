"""The progress line of a run on a terminal: the step, the time of a step, and the time left."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any

from trainers.config import TrainConfig


def duration(seconds: float) -> str:
    """Return a duration in words, with at most two units.

    Example:
        >>> [duration(n) for n in (45, 1147, 7500, 190800)]
        ['45 s', '19 min', '2 h 5 min', '2 d 5 h']
    """
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h"


def time_left(step: int, steps: int, per_step: float, trained: float, per_trained: float, minutes: float) -> float:
    """Return the seconds until a run reaches its number of steps or its limit in minutes, whichever comes first.

    Args:
        step: number of completed steps, <= `steps`.
        steps: number of steps of the run.
        per_step: wall-clock seconds per step, including validations and checkpoints.
        trained: seconds of training so far, as `minutes` counts them.
        per_trained: seconds of training per step, as `minutes` counts them.
        minutes: limit of the training time; 0 for none.

    Example:
        >>> time_left(120, 2000, 0.5, trained=60.0, per_trained=0.4, minutes=2)  # 60 / .4 = 150 steps are left
        75.0
    """
    left = float(steps - step)
    if minutes and per_trained > 0:
        left = min(left, max(0.0, 60.0 * minutes - trained) / per_trained)
    return per_step * left


class ProgressLine:
    """Print the progress of a run to standard error, if that is a terminal, in one line that is overwritten.

    The time of a step is the mean over all steps of this process except the first, in which graphs are traced.

    Args:
        config: the settings of the run.
        shown: False to print nothing.

    Example:
        >>> line = ProgressLine(TrainConfig(steps=2000))
        >>> line.begin(step=1, trained=9.0)
        >>> line.show(120, 81.5, {"loss/generator": 0.25})  # step 120/2000, 0.61 s/step, 19 min left, ...
    """

    def __init__(self, config: TrainConfig, shown: bool = True):
        self._config, self._shown = config, shown and sys.stderr.isatty()
        self._began, self._open = (0, 0.0, 0.0), False

    def begin(self, step: int, trained: float) -> None:
        """Start the clock after the first step of this process; `trained` is the seconds of training so far."""
        self._began = (step, trained, time.monotonic())

    def show(self, step: int, trained: float, metrics: Mapping[str, Any]) -> None:
        """Print the line after a step."""
        if not self._shown:
            return
        steps, (first, before, at) = self._config.steps, self._began
        parts = [f"step {step}/{steps}"]
        if made := step - first:
            per_step, per_trained = (time.monotonic() - at) / made, (trained - before) / made
            left = time_left(step, steps, per_step, trained, per_trained, self._config.minutes)
            parts += [f"{per_step:.2g} s/step", f"{duration(left)} left"]
        parts += [f"{name} {value:.4g}" for name, value in metrics.items() if name.startswith("loss/")]
        # A line that wraps could not be overwritten.
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{', '.join(parts)[:width]:<{width}}", end="", file=sys.stderr, flush=True)
        self._open = True

    def end(self) -> None:
        """End the current line, if there is one, so that later output does not overwrite it."""
        if self._open:
            print(file=sys.stderr, flush=True)
            self._open = False
