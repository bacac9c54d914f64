"""`MetricsLog`: the metrics of a run, in lines of JSON that survive a kill."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import tensorflow as tf

from meta_gan import atomic

METRICS = "metrics.jsonl"


class MetricsLog:
    """Writer of `metrics.jsonl` and, if TensorBoard is installed, of its log.

    Args:
        folder: the run folder.
        step: the last step to keep, -1 for a new run; lines of later steps and truncated lines are deleted.

    Raises:
        OSError: the file cannot be read or written.
    """

    def __init__(self, folder: Path, step: int):
        self.path = folder / METRICS
        kept = [line for line in _lines(folder) if step_of(line) <= step]
        # A kill during a rewrite in place would lose the whole history.
        atomic.write_text(self.path, "".join(line + "\n" for line in kept), point="metrics")
        self.board = _tensorboard(folder)

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Append one line and flush it; values that are not finite become null, because JSON has no NaN."""
        line = {"step": step, **{key: number(value) for key, value in values.items()}}
        try:
            atomic.fault_point("metrics.line")
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        if self.board is not None:
            with self.board.as_default(step=step):
                for key, value in line.items():
                    if key != "step" and value is not None:
                        tf.summary.scalar(key, value)
            self.board.flush()


def last_step(folder: Path) -> int | None:
    """Return the last step in a run's log, or None if there is no line."""
    steps = [step for line in _lines(folder) if (step := step_of(line)) < math.inf]
    return int(max(steps)) if steps else None


def _lines(folder: Path) -> list[str]:
    path = folder / METRICS
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []


def _tensorboard(folder: Path) -> Any:
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        return None
    return tf.summary.create_file_writer(str(folder / "tensorboard"))


def step_of(line: str) -> float:
    """Return the step of a line, or infinity for a line that is none."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return math.inf


def number(value: Any) -> float | None:
    """Round a number to six significant digits, as in `metrics.jsonl`; None if it is not finite."""
    return float(f"{float(value):.6g}") if math.isfinite(float(value)) else None
