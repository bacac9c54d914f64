"""Run folders in an output folder: numbering, finding, and the settings that a resumed run must share."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from meta_gan import storage
from trainers.checkpoints import FOLDER as CHECKPOINTS
from trainers.checkpoints import Checkpoints
from trainers.metrics_log import METRICS

__all__ = ["CHANGES", "CHECKPOINTS", "METRICS", "SAME", "check_same", "latest_checkpoint", "latest_run", "new_run"]
__all__ += ["runs"]

# The entries of `config.json` that must not change when a run is resumed. Its length and intervals may change.
SAME = (
    *("recipe", "command", "learning_rate", "source", "weights", "target", "data", "episodes"),
    *("fingerprints", "versions"),
    *("train.meta_batch", "train.symmetries", "train.fewest_shots", "train.copy_limit", "train.keep_best"),
)
# What may be allowed to change, and the entries that it decides.
CHANGES = {
    "data": r"(source|weights|target|data|fingerprints\.data)(\..*)?",
    "features": r"fingerprints\.features\..*|recipe\..*\bfeatures",
    "start": r"fingerprints\.start|start",
    "versions": r"versions\..*",
}
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
        raise ValueError(
            f"resuming needs a folder with a run in it; leave out --resume to start one. Received: {str(root)!r}, "
            "without one"
        )
    return found[-1]


def latest_checkpoint(folder: Path) -> str | None:
    """Return the newest whole checkpoint of a run folder, without endings, or None."""
    checkpoints = Checkpoints(folder)
    newest = checkpoints.newest()
    return None if newest is None else str(checkpoints.prefix(newest))


def differences(
    recorded: dict[str, Any], resolved: dict[str, Any], keys: Sequence[str] = SAME
) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ, as `{dotted name: (recorded, resolved)}`.

    Args:
        recorded: the content of the run's `config.json`.
        resolved: the content that it would have now.
        keys: the entries to compare; dots separate nested keys.
    """
    before, now = _flat(recorded), _flat(json.loads(json.dumps(resolved)))
    if "train" in recorded:
        before.setdefault("train.keep_best", False)  # as in every run before there was this setting
    # Runs of earlier versions recorded no fingerprints, and fewer versions; of those the path to start from must do.
    known = [key for key in keys if key != "fingerprints" or key in recorded]
    known += [] if "fingerprints" in recorded else ["start"]
    chosen = [name for name in {**before, **now} if any(f"{name}.".startswith(f"{key}.") for key in known)]
    chosen = [name for name in chosen if name in before or not name.startswith("versions.")]
    return {name: (before.get(name), now.get(name)) for name in chosen if before.get(name) != now.get(name)}


def kind_of(name: str) -> str | None:
    """Return which of `CHANGES` a setting belongs to, or None for one that never may change."""
    return next((kind for kind, pattern in CHANGES.items() if re.fullmatch(pattern, name)), None)


def check_same(
    recorded: dict[str, Any],
    resolved: dict[str, Any],
    folder: Path,
    keys: Sequence[str] = SAME,
    allowed: Collection[str] = (),
) -> dict[str, tuple[Any, Any]]:
    """Raise a ValueError that names the differing settings if a run would be resumed with other settings.

    Args:
        recorded: the content of the run's `config.json`.
        resolved: the content that it would have now.
        folder: the run folder, for the message.
        keys: the entries that must not differ; dots separate nested keys.
        allowed: those of `CHANGES` that may differ.

    Returns:
        The differences that are allowed.
    """
    found = differences(recorded, resolved, keys)
    refused = {name: pair for name, pair in found.items() if kind_of(name) not in allowed}
    if refused:
        shown = [_shown({name: pair[side] for name, pair in refused.items()}) for side in (0, 1)]
        kinds = sorted({kind_of(name) or "" for name in refused})
        cure = "" if "" in kinds else f"; --allow-changed {' '.join(kinds)} continues all the same"
        raise ValueError(f"resuming needs the settings of {str(folder)!r}: {shown[0]}{cure}. Received: {shown[1]}")
    return found


def _shown(settings: dict[str, Any], most: int = 4) -> str:
    """Return the first few settings, with long values cut."""
    items = [f"{name!r}: {reprlib.repr(value)}" for name, value in settings.items()]
    return "{" + ", ".join(items[:most] + ["..."] * (len(items) > most)) + "}"


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dictionaries into one with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat
