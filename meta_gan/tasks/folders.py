"""`from_folder`: tasks from a folder of class folders of image files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from meta_gan.checks import IMAGE_AXES, check_shape
from meta_gan.tasks.arrays import to_split
from meta_gan.tasks.base import Source
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.photos import SUFFIXES, image_files, load_files, read_size
from meta_gan.tasks.pixels import luminance, to_channels

LARGEST = 128
"""Pictures larger than this are not kept at their own size unless `image_shape` asks for it."""
FALLBACK = (32, 32)


def from_folder(path: str | Path, image_shape: Any = None, *, shots: int = 5, queries: int = 7, seed: int = 0) -> Tasks:
    """Make tasks from a folder that holds one folder of images for each class, named after it.

    PNG, JPEG, BMP, GIF (first frame) and WebP files are read as `load_support` reads them. The classes are
    split 80/10/10 by a hash of their names. Files beside the class folders, other files in them, and hidden
    ones are passed over.

    Args:
        path: the folder.
        image_shape: (height, width, channels). None takes the size that all files share, if there is one and
            it is at most 128 x 128, else 32 x 32; and 1 channel if every pixel is grey, else 3.
        shots: support images of a task.
        queries: query images of a task.
        seed: the key of every draw.

    Returns:
        `Tasks`.

    Raises:
        FileNotFoundError: if there is no such folder.
        DataError: if it has no class folders, a class has too few images, or a file cannot be read; it names
            it.

    Example:
        `from_folder("flags/", (32, 32, 3), shots=3, queries=3)` for flags/france/1.png, flags/france/2.png,
        ...
    """
    path = Path(path)
    shape = None if image_shape is None else check_shape(image_shape, "image_shape", IMAGE_AXES)
    classes = _class_files(path)
    files = [file for _, members in classes for file in members]
    names = [folder.name for folder, _ in classes]
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), [len(members) for _, members in classes])
    height, width = shape[:2] if shape else _shared_size(files)
    levels = load_files(files, height, width)
    levels = to_channels(levels, shape[2]) if shape else _fewest_channels(levels)
    source = Source(np.ascontiguousarray(levels), labels, names, to_split(None, names), name=str(path))
    return Tasks(source, shots, queries, seed)


def _class_files(path: Path) -> list[tuple[Path, list[Path]]]:
    """Return each class folder, sorted, with its image files."""
    if not path.is_dir():
        raise FileNotFoundError(f"A folder of class folders must exist. Received: {path}")
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    classes = [(entry, image_files(entry)) for entry in entries if entry.is_dir()]
    if not classes:
        raise DataError(
            f"{path}: must hold one folder of images for each class. Received: {len(entries)} files and no folder"
        )
    empty = [folder.name for folder, members in classes if not members]
    if empty:
        raise DataError(
            f"{path}: every class folder must hold image files ({', '.join(SUFFIXES)}). "
            f"Received: none in {len(empty)} of {len(classes)} folders, such as {empty[0]!r}"
        )
    return classes


def _shared_size(files: list[Path]) -> tuple[int, int]:
    """Return the (height, width) that all files share, or the fallback."""
    sizes = {read_size(file) for file in files}
    height, width = next(iter(sizes))
    return (height, width) if len(sizes) == 1 and max(height, width) <= LARGEST else FALLBACK


def _fewest_channels(levels: np.ndarray) -> np.ndarray:
    grey = (levels[..., :1] == levels).all()
    return luminance(levels) if grey else levels
