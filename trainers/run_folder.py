"""Run folders in an output folder: numbering, finding, and the settings that a resumed run must share."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meta_gan import storage
from trainers.checkpoints import FOLDER as CHECKPOINTS
from trainers.checkpoints import Checkpoints
from trainers.metrics_log import METRICS

__all__ = ["CHECKPOINTS", "METRICS", "SAME", "check_same", "latest_checkpoint", "latest_run", "new_run", "runs"]

# The entries of `config.json` that must not change when a run is resumed. Its length and intervals may change.
SAME = (
    *("recipe", "source", "target", "data", "episodes"),
    *("train.meta_batch", "train.symmetries", "train.fewest_shots", "train.copy_limit"),
)
_NUMBERED = re.compile(r"\d{5}-")


def runs(out: Path) -> list[Path]:
    """Return the run folders in an output folder, oldest first."""
    if not out.is_dir():
        return []
    return sorted(p for p in out.iterdir() if p.is_dir() and _NUMBERED.match(p.name))


def new_run(out: str | Path, label: str) -> Path:
    """Create the next numbered run folder, such as `out/00003-reptile-glyphs`.

    Raises:
        ValueError: the folder cannot be made, or its name is not UTF-8, which TensorFlow requires.
    """
    root = Path(out)
    try:
        str(root).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"the output folder must have a name in UTF-8. Received: {str(root)!r}") from error
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", label)
    while True:
        taken = [int(p.name[:5]) for p in root.iterdir() if _NUMBERED.match(p.name)] if root.is_dir() else []
        number = max(taken, default=-1) + 1
        folder = root / f"{number:05d}-{name}"
        try:
            folder.mkdir(parents=True)
            (folder / CHECKPOINTS).mkdir()
        except FileExistsError as error:
            if not folder.is_dir():
                raise _unwritable(root, error) from error
            continue  # Another process took the number; the next one is free.
        except OSError as error:
            if error.errno not in storage.atomic.CALLERS:
                raise
            raise _unwritable(root, error) from error
        return folder


def _unwritable(root: Path, error: OSError) -> ValueError:
    return ValueError(f"the output folder {str(root)!r} must be writable. Received: {error}")


def latest_run(out: str | Path) -> Path:
    """Return the run to resume: `out` if it is a run folder, or the newest run in it; raise a ValueError if none."""
    root = Path(out)
    if (root / CHECKPOINTS).is_dir() or (root / storage.CONFIG).is_file():
        return root
    found = runs(root)
    if not found:
        raise ValueError(f"resuming needs a folder with a run in it. Received: {str(root)!r}, without one")
    return found[-1]


def latest_checkpoint(folder: Path) -> str | None:
    """Return the newest whole checkpoint of a run folder, without endings, or None."""
    checkpoints = Checkpoints(folder)
    newest = checkpoints.newest()
    return None if newest is None else str(checkpoints.prefix(newest))


def check_same(recorded: dict[str, Any], resolved: dict[str, Any], keys: Sequence[str], folder: Path) -> None:
    """Raise a ValueError that names the differing settings if a run would be resumed with other settings.

    Args:
        recorded: the content of the run's `config.json`.
        resolved: the content that it would have now.
        keys: the entries that must not differ; dots separate nested keys.
        folder: the run folder, for the message.
    """
    before, now = _flat(recorded), _flat(json.loads(json.dumps(resolved)))
    chosen = [name for name in {**before, **now} if any(f"{name}.".startswith(f"{key}.") for key in keys)]
    different = [name for name in chosen if before.get(name) != now.get(name)]
    if different:
        shown = [reprlib.repr({name: values.get(name) for name in different}) for values in (before, now)]
        raise ValueError(f"resuming needs the settings of {str(folder)!r}: {shown[0]}. Received: {shown[1]}")


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dictionaries into one with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat
