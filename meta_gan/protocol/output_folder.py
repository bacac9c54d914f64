"""The output folder of an evaluation: an interrupted one is resumed, no other one is touched, and no file is cut."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan import atomic, reading, storage
from meta_gan.renames import current_names

CLAIM = "evaluation.json"


def claim(folder: Path, own: Mapping[str, Any]) -> None:
    """Make the folder of an evaluation, or resume the evaluation in it.

    Args:
        folder: absent, empty, or of the same evaluation.
        own: JSON values of everything that decides the results.

    Raises:
        ValueError: the folder has other contents, or an evaluation of other data, models or settings.
    """
    path = folder / CLAIM
    if path.is_file():
        # An earlier version may have begun it.
        if current_names(_read_json(path)) != current_names(json.loads(json.dumps(own))):
            raise ValueError(
                f"the output folder must be absent, or of the same evaluation to resume it. "
                f"Received: {str(folder)!r}, of other data, models or settings"
            )
        return
    storage.check_free(folder)
    folder.mkdir(parents=True, exist_ok=True)
    storage.write_json(path, own)


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as a compressed `.npz` file, complete or not at all, in a folder that is made if it is absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.new_file(path) as work, work.open("wb") as file:
        np.savez_compressed(file, **dict(arrays))  # type: ignore[arg-type]


def load_arrays(path: Path, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of a file of `save_arrays`; of those in `names`, the ones that are there.

    Raises:
        DamagedFileError: the file is absent or damaged. The message says to delete it, which has it made again.
    """
    what = "a whole .npz file; delete it to have it made again"
    with reading.undamaged(path, what), np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files if names is None or name in names}


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
