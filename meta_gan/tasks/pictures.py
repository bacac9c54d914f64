"""Pictures for people: one image, a grid of rows, and a contact sheet of a source, as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan.tasks.base import SPLITS, Source
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.pixels import to_float, to_uint8

GAP = 2
GAP_LEVEL = 96


def _save(path: str | Path, levels: np.ndarray) -> None:
    from PIL import Image

    if levels.ndim != 3 or levels.shape[-1] not in (1, 3):
        raise DataError(f"{path}: a picture must be [height, width, 1 or 3]. Received: shape {levels.shape}")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels).save(path, format="PNG")


def save_png(path: str | Path, image: Any) -> None:
    """Write one image as a PNG file, making its folder if need be.

    Args:
        path: the file.
        image: floats[height, width, 1 or 3] in [-1, 1] (what lies outside is clipped), or uint8 of that
            shape.

    Raises:
        DataError: for another shape.

    Example:
        `save_png("sample.png", samples[0])`
    """
    array = np.asarray(image)
    _save(path, array if array.dtype == np.uint8 else to_uint8(array))


def waveforms(sounds: Any, height: int = 32, width: int = 64) -> np.ndarray:
    """Draw sounds: in every column a light bar from the least to the greatest of the samples there.

    Args:
        sounds: float[n, samples, 1] in [-1, 1]; all are drawn to the scale of the loudest.
        height: rows of a picture.
        width: its columns.

    Returns:
        float32[n, height, width, 1] in [-1, 1].

    Example:
        >>> waveforms(np.zeros((2, 640, 1))).shape
        (2, 32, 64, 1)
    """
    array = np.asarray(sounds, np.float64)[..., 0]
    bounds = np.linspace(0, array.shape[1], width + 1).astype(int)[:-1]
    loudest = max(float(np.abs(array).max()), 1e-9)
    low, high = (reduce.reduceat(array, bounds, axis=1) / loudest for reduce in (np.minimum, np.maximum))
    level = np.linspace(1.0, -1.0, height)[None, :, None]
    half = 1.0 / (height - 1)
    drawn = (level >= low[:, None] - half) & (level <= high[:, None] + half)
    return np.where(drawn, 1.0, -1.0).astype(np.float32)[..., None]


def grid(rows: Sequence[Any]) -> np.ndarray:
    """Lay rows of images out as one picture, with grey gaps; short rows leave grey at their right.

    Args:
        rows: floats[n, height, width, channels] in [-1, 1] each; n may differ, the rest may not.

    Returns:
        uint8[rows * (height + 2) - 2, most columns * (width + 2) - 2, channels].

    Raises:
        DataError: if there is no row or no image, or the shapes differ.

    Example:
        >>> grid([np.zeros((3, 8, 8, 1)), np.zeros((5, 8, 8, 1))]).shape
        (18, 48, 1)
    """
    arrays = [np.asarray(row) for row in rows]
    shapes = [array.shape for array in arrays]
    if not arrays or any(len(shape) != 4 or shape[1:] != shapes[0][1:] for shape in shapes) or not shapes[0][0]:
        raise DataError(f"`rows` must be arrays [n, height, width, channels] of one image shape. Received: {shapes}")
    height, width, channels = shapes[0][1:]
    down, across = height + GAP, width + GAP
    columns = max(shape[0] for shape in shapes)
    picture = np.full((len(arrays) * down - GAP, columns * across - GAP, channels), GAP_LEVEL, np.uint8)
    for top, row in enumerate(arrays):
        for left, image in enumerate(to_uint8(row)):
            picture[top * down : top * down + height, left * across : left * across + width] = image
    return picture


def contact_sheet(source: Source, path: str | Path, classes: int = 12, examples: int = 12) -> None:
    """Write a PNG of the first examples of some classes: a row each, evenly spaced within every split.

    Args:
        source: the data, of 1 or 3 channels.
        path: the file.
        classes: the most rows for each of train, validation and test, which follow each other in this order.
        examples: the most images of a row.

    Raises:
        DataError: if the images have neither 1 nor 3 channels.

    Example:
        `contact_sheet(tasks.source, "data.png")`
    """
    rows = []
    for split in SPLITS:
        members = source.split_classes(split)
        members = members[:: -(-len(members) // classes)] if len(members) else members
        rows += [to_float(source.images[np.flatnonzero(source.labels == index)[:examples]]) for index in members]
    _save(path, grid([row for row in rows if len(row)]))
