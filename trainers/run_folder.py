"""The folder of one run: numbered, locked by the process that writes it, with metrics that survive a kill."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
from pathlib import Path
from typing import Any

import tensorflow as tf

from meta_gan import storage

CHECKPOINTS, METRICS = "checkpoints", "metrics.jsonl"


def runs(out: Path) -> list[Path]:
    """The run folders of an output folder, oldest first."""
    if not out.is_dir():
        return []
    return sorted(p for p in out.iterdir() if p.is_dir() and re.match(r"\d{5}-", p.name))


def new_run(out: str | Path, label: str) -> Path:
    """Makes the next numbered run folder, such as `out/00003-reptile-glyphs`.

    Raises:
        ValueError: `out` cannot be written.
    """
    root = Path(out)
    number = int(runs(root)[-1].name[:5]) + 1 if runs(root) else 0
    folder = root / f"{number:05d}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', label)}"
    try:
        folder.mkdir(parents=True)
        (folder / CHECKPOINTS).mkdir()
    except OSError as error:
        raise ValueError(f"the output folder {str(root)!r} must be writable. Received: {error}") from error
    return folder


def latest_run(out: str | Path) -> Path:
    """The run to resume: `out` itself if it is a run folder, or the newest one in it.

    Raises:
        ValueError: there is none.
    """
    root = Path(out)
    if (root / CHECKPOINTS).is_dir():
        return root
    found = runs(root)
    if not found:
        raise ValueError(f"resuming needs a folder with a run in it. Received: {str(root)!r}, without one")
    return found[-1]


def lock(folder: Path) -> Any:
    """Locks a run folder for this process; the lock ends with it. Two writers would destroy each other's files.

    Raises:
        ValueError: another process holds the lock.
    """
    handle = (folder / ".lock").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise ValueError(
            f"the run {str(folder)!r} must not be written by two processes. Received: a folder in use"
        ) from error
    return handle


def checkpoint_manager(checkpoint: tf.train.Checkpoint, folder: Path, keep: int) -> tf.train.CheckpointManager:
    """A synchronous manager over the run's checkpoints, with what killed saves left behind cleared away."""
    for leftover in (folder / CHECKPOINTS).glob("*_temp"):
        shutil.rmtree(leftover, ignore_errors=True)
    return tf.train.CheckpointManager(checkpoint, str(folder / CHECKPOINTS), max_to_keep=keep, step_counter=None)


def latest_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint on disk, or None for a run that has none yet.

    The manager's own small index file may be lost, and it would then start over silently and overwrite the first
    checkpoint; so the files themselves are asked.

    Raises:
        ValueError: metrics were written but no checkpoint is left, or the newest one is damaged.
    """
    steps = sorted(
        int(match.group(1))
        for path in (folder / CHECKPOINTS).glob("ckpt-*.index")
        if (match := re.fullmatch(r"ckpt-(\d+)\.index", path.name))
    )
    if not steps:
        return None
    path = str(folder / CHECKPOINTS / f"ckpt-{steps[-1]}")
    try:
        tf.train.load_checkpoint(path)
    except (tf.errors.OpError, ValueError) as error:
        raise ValueError(f"the checkpoint {path!r} must be readable. Received: {error}") from error
    return path


class MetricsLog:
    """`metrics.jsonl`, and TensorBoard beside it where that is installed.

    Args:
        folder: the run's.
        step: lines of later steps, of a run that was cut off after them, are dropped.
    """

    def __init__(self, folder: Path, step: int):
        self.path = folder / METRICS
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        kept = [line for line in lines if _step_of(line) is not None and _step_of(line) <= step]
        self.path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        self.board = _tensorboard(folder)

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Appends one line and flushes it."""
        line = {"step": step, **{key: _number(value) for key, value in values.items()}}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self.board is not None:
            with self.board.as_default(step=step):
                for key, value in line.items():
                    if key != "step":
                        tf.summary.scalar(key, value)
            self.board.flush()


def _tensorboard(folder: Path) -> Any:
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        return None
    return tf.summary.create_file_writer(str(folder / "tensorboard"))


def _step_of(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return 2**62


def _number(value: Any) -> float:
    return round(float(value), 6)


def save_config(folder: Path, config: dict[str, Any]) -> None:
    """Writes the run's resolved configuration."""
    storage.write_json(folder / "config.json", config)
