"""Run folders: numbering, locking, checkpoints, and metrics that survive a kill."""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import reprlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf

from meta_gan import storage

CHECKPOINTS, METRICS = "checkpoints", "metrics.jsonl"
# The entries of `config.json` that must not change when a run is resumed. Its length and intervals may change.
SAME = (
    *("recipe", "source", "target", "data", "episodes"),
    *("train.meta_batch", "train.symmetries", "train.fewest_shots", "train.copy_limit"),
)


def runs(out: Path) -> list[Path]:
    """Return the run folders in an output folder, oldest first."""
    if not out.is_dir():
        return []
    return sorted(p for p in out.iterdir() if p.is_dir() and re.match(r"\d{5}-", p.name))


def new_run(out: str | Path, label: str) -> Path:
    """Create the next numbered run folder, such as `out/00003-reptile-glyphs`; raise a ValueError if it fails."""
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
    """Return the run to resume: `out` if it is a run folder, or the newest run in it; raise a ValueError if none."""
    root = Path(out)
    if (root / CHECKPOINTS).is_dir():
        return root
    found = runs(root)
    if not found:
        raise ValueError(f"resuming needs a folder with a run in it. Received: {str(root)!r}, without one")
    return found[-1]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a run folder for one writer, until the block or the process ends.

    Raises:
        ValueError: another process has locked it; two writers would destroy each other's files.
    """
    with (folder / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            required = "must not be written by two trainers at once"
            raise ValueError(f"the run {str(folder)!r} {required}. Received: a folder in use") from error
        yield


def checkpoint_manager(checkpoint: tf.train.Checkpoint, folder: Path, keep: int) -> tf.train.CheckpointManager:
    """Return a manager of the run's checkpoints, after deleting leftovers of killed saves.

    The manager's index of older checkpoints may be lost, and without it the manager would not delete the oldest ones.
    Therefore the index is rewritten from the checkpoint files.
    """
    root = folder / CHECKPOINTS
    for leftover in [*root.glob("*_temp"), *folder.glob(".model.*")]:
        shutil.rmtree(leftover, ignore_errors=True)
    names = [f"ckpt-{step}" for step in _steps(folder)]
    if names:
        # Without timestamps the manager would ignore the names.
        times = [(root / f"{name}.index").stat().st_mtime for name in names]
        tf.compat.v1.train.update_checkpoint_state(str(root), names[-1], names, all_model_checkpoint_timestamps=times)
    return tf.train.CheckpointManager(checkpoint, str(root), max_to_keep=keep, step_counter=None)


def _steps(folder: Path) -> list[int]:
    """Return the steps of the checkpoints on disk, in order."""
    names = (path.name for path in (folder / CHECKPOINTS).glob("ckpt-*.index"))
    return sorted(int(match.group(1)) for name in names if (match := re.fullmatch(r"ckpt-(\d+)\.index", name)))


def latest_checkpoint(folder: Path) -> str | None:
    """Return the newest checkpoint on disk, or None; unlike TensorFlow's function, do not rely on an index file."""
    steps = _steps(folder)
    return str(folder / CHECKPOINTS / f"ckpt-{steps[-1]}") if steps else None


def check_same(folder: Path, resolved: dict[str, Any], keys: Sequence[str]) -> None:
    """Raise a ValueError that names the differing settings if a run would be resumed with other settings.

    Args:
        folder: the run folder, with its `config.json`.
        resolved: the content that `config.json` would have now.
        keys: the entries that must not differ; dots separate nested keys.
    """
    recorded, wanted = _flat(storage.read_config(folder)), _flat(json.loads(json.dumps(resolved)))
    chosen = [name for name in {**recorded, **wanted} if any(f"{name}.".startswith(f"{key}.") for key in keys)]
    different = [name for name in chosen if recorded.get(name) != wanted.get(name)]
    if different:
        before, now = ({name: values.get(name) for name in different} for values in (recorded, wanted))
        raise ValueError(
            f"resuming needs the settings of {str(folder)!r}: {reprlib.repr(before)}. Received: {reprlib.repr(now)}"
        )


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dictionaries into one with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat


class MetricsLog:
    """Writer of `metrics.jsonl` and, if TensorBoard is installed, of its log.

    Args:
        folder: the run folder.
        step: the last step to keep, -1 for a new run; lines of later steps and truncated lines are deleted.
    """

    def __init__(self, folder: Path, step: int):
        self.path = folder / METRICS
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines() if self.path.exists() else []
        kept = [line for line in lines if _step_of(line) <= step]
        # A kill during a rewrite in place would lose the whole history.
        work = self.path.with_name(f".{METRICS}.part")
        work.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        os.replace(work, self.path)
        self.board = _tensorboard(folder)

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Append one line and flush it; values that are not finite become null, because JSON has no NaN."""
        line = {"step": step, **{key: number(value) for key, value in values.items()}}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self.board is not None:
            with self.board.as_default(step=step):
                for key, value in line.items():
                    if key != "step" and value is not None:
                        tf.summary.scalar(key, value)
            self.board.flush()


def _tensorboard(folder: Path) -> Any:
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        return None
    return tf.summary.create_file_writer(str(folder / "tensorboard"))


def _step_of(line: str) -> float:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def number(value: Any) -> float | None:
    """Round a number to six significant digits, as in `metrics.jsonl`; None if it is not finite."""
    return float(f"{float(value):.6g}") if math.isfinite(float(value)) else None


def save_config(folder: Path, config: dict[str, Any]) -> None:
    """Write the run's resolved configuration."""
    storage.write_json(folder / "config.json", config)
