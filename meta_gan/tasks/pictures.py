"""Pictures for people as PNG files: one image, or a grid of rows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from meta_gan.tasks.errors import DataError, data_errors
from meta_gan.tasks.pixels import to_uint8

GAP, GAP_LEVEL = 2, 96
"""The pixels between two images of a grid, and their grey level."""


def save_png(path: str | Path, image: ArrayLike) -> None:
    """Write one image as a PNG file; its folder is made if necessary.

    Args:
        path: the file.
        image: floats[height, width, 1 or 3] in [-1, 1], clipped to that range, or uint8 of that shape.

    Raises:
        DataError: another shape.

    Example:
        `save_png("sample.png", samples[0])`
    """
    with data_errors(str(path)):
        content = png(image)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(content)


def png(image: ArrayLike) -> bytes:
    """Return the content of a PNG file of one image.

    Args:
        image: as in `save_png`.

    Raises:
        ValueError: another shape.

    Example:
        >>> png(np.zeros((8, 8, 1), np.uint8))[1:4]
        b'PNG'
    """
    from PIL import Image

    array = np.asarray(image)
    levels = array if array.dtype == np.uint8 else to_uint8(array)
    if levels.ndim != 3 or levels.shape[-1] not in (1, 3):
        raise ValueError(f"a picture must be [height, width, 1 or 3]. Received: shape {levels.shape}")
    held = io.BytesIO()
    Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels).save(held, format="PNG")
    return held.getvalue()


def grid(rows: Sequence[ArrayLike]) -> np.ndarray:
    """Lay rows of images out as one picture, with grey gaps; short rows end in grey.

    Args:
        rows: floats[n, height, width, channels] in [-1, 1] each; n may differ between rows.

    Returns:
        uint8[rows * (height + 2) - 2, most columns * (width + 2) - 2, channels].

    Raises:
        DataError: no row, no image, or images of different shapes.

    Example:
        >>> grid([np.zeros((3, 8, 8, 1)), np.zeros((5, 8, 8, 1))]).shape
        (18, 48, 1)
    """
    arrays = [np.asarray(row) for row in rows]
    shapes = [array.shape for array in arrays]
    if not arrays or any(len(shape) != 4 or shape[1:] != shapes[0][1:] for shape in shapes) or not shapes[0][0]:
        raise DataError(f"'rows' must be arrays [n, height, width, channels] of one image shape. Received: {shapes}")
    height, width, channels = shapes[0][1:]
    down, across = height + GAP, width + GAP
    columns = max(shape[0] for shape in shapes)
    picture = np.full((len(arrays) * down - GAP, columns * across - GAP, channels), GAP_LEVEL, np.uint8)
    for top, row in enumerate(arrays):
        for left, image in enumerate(to_uint8(row)):
            picture[top * down : top * down + height, left * across : left * across + width] = image
    return picture
