"""`open_source`: one string that names any data this package can read, as a command line gives it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from meta_gan.tasks.archives import from_npz
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.folders import from_folder
from meta_gan.tasks.glyph_set import glyphs
from meta_gan.tasks.tfds_sets import from_tfds

FORMS = "`glyphs`, `tfds:NAME`, a .npz file, or a folder of class folders"


def open_source(
    spec: str,
    *,
    shots: int = 5,
    queries: int = 7,
    seed: int = 0,
    image_shape: Any = None,
    archives: str | Path | None = None,
) -> Tasks:
    """Make tasks from a string: `glyphs`, `tfds:NAME`, the path of a `.npz` file, or that of a folder.

    Args:
        spec: the string.
        shots: support images of a task.
        queries: query images of a task.
        seed: the key of every draw.
        image_shape: (height, width, channels), or None for the source's own.
        archives: for `tfds:NAME` only, the folder of its downloaded archives.

    Returns:
        `Tasks`.

    Raises:
        FileNotFoundError: if `spec` is a path at which there is nothing.
        DataError: if it is none of these, or as the loader raises.

    Example:
        `open_source("glyphs", image_shape=(28, 28, 1), shots=5, queries=7)`
    """
    episode: dict[str, Any] = {"shots": shots, "queries": queries, "seed": seed}
    if spec.startswith("tfds:"):
        return from_tfds(spec.removeprefix("tfds:"), archives=archives, image_shape=image_shape, **episode)
    if archives is not None:
        raise DataError(f"`archives` must be None except for `tfds:NAME`. Received: {archives} with {spec!r}")
    if spec == "glyphs":
        return glyphs((28, 28, 1) if image_shape is None else image_shape, **episode)
    path = Path(spec)
    if path.suffix.lower() == ".npz":
        return from_npz(path, image_shape=image_shape, **episode)
    if path.is_dir():
        return from_folder(path, image_shape, **episode)
    if path.exists():
        raise DataError(f"SOURCE must be {FORMS}. Received: the file {spec}")
    raise FileNotFoundError(f"SOURCE must be {FORMS}. Received: {spec!r}, at which there is nothing")
