"""The claim of an evaluation on its output folder: an interrupted one is resumed, and no other one is touched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meta_gan import storage
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


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
