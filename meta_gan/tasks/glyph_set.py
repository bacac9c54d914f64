"""`glyphs`: the data set that is always there, two thousand characters in twelve typefaces.

A class is a character, its examples are the twelve faces, so support and query never share a face. Rendering
takes seconds and its result is kept in a cache folder: META_GAN_CACHE, else $XDG_CACHE_HOME/meta_gan, else
~/.cache/meta_gan. A cache that cannot be read is rendered again, and one that cannot be written is done
without.
"""

from __future__ import annotations

import logging
import os
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan.checks import IMAGE_AXES, check_integer, check_shape
from meta_gan.tasks.base import Source, default_split
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.glyph_faces import FACES, distinct_code_points, render

FORMAT = 2
"""Raised by one whenever the same arguments would render other pixels."""
SMALLEST = 8

logger = logging.getLogger("meta_gan")


def glyphs(image_shape: Any = (28, 28, 1), *, shots: int = 5, queries: int = 7, seed: int = 0) -> Tasks:
    """Make tasks of characters in the twelve DejaVu faces that matplotlib ships, white on black; no download.

    Args:
        image_shape: (height, width, channels): at least 8 x 8, and 1 channel or 3 equal ones.
        shots: support images of a task; `shots + queries` is at most 12, the number of faces.
        queries: query images of a task.
        seed: the key of every draw, and of the small rotation, scale, shear and shift of each rendered image.

    Returns:
        `Tasks`, whose classes are named like "U+0041 A", split 80/10/10 by a hash of these names.

    Raises:
        DataError: if an argument is out of range.

    Example:
        `glyphs(shots=1, queries=5).train(meta_batch=4)`
    """
    height, width, channels = check_shape(image_shape, "image_shape", IMAGE_AXES)
    if min(height, width) < SMALLEST or channels not in (1, 3):
        raise DataError(
            f"`image_shape` must be at least {SMALLEST} x {SMALLEST}, with 1 or 3 channels. "
            f"Received: {(height, width, channels)}"
        )
    shots, queries = check_integer(shots, "shots", 1), check_integer(queries, "queries", 1)
    seed = check_integer(seed, "seed", 0)
    if shots + queries > len(FACES):
        raise DataError(
            f"glyphs: shots + queries must be at most {len(FACES)}, the number of faces. "
            f"Received: shots={shots}, queries={queries}"
        )
    code_points, images = load_or_render(height, width, seed)
    return Tasks(_source(code_points, images, channels), shots, queries, seed)


def class_name(code_point: int) -> str:
    """Return the name of a character's class.

    Example:
        >>> class_name(65)
        'U+0041 A'
    """
    return f"U+{code_point:04X} {chr(code_point)}"


def _source(code_points: np.ndarray, images: np.ndarray, channels: int) -> Source:
    classes, faces, height, width = images.shape
    names = [class_name(int(code_point)) for code_point in code_points]
    flat = images.reshape(classes * faces, height, width, 1)
    return Source(
        images=flat if channels == 1 else np.repeat(flat, channels, axis=-1),
        labels=np.repeat(np.arange(classes, dtype=np.int32), faces),
        class_names=names,
        class_split=default_split(names),
        groups=np.tile(np.arange(faces, dtype=np.int32), classes),
        name="glyphs",
    )


def cache_file(height: int, width: int, seed: int) -> Path:
    """Return the path at which the rendered glyphs of these arguments are kept; see the module."""
    import matplotlib
    import PIL

    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(os.environ.get("META_GAN_CACHE") or Path(base) / "meta_gan")
    versions = f"v{FORMAT}-mpl{matplotlib.__version__}-pil{PIL.__version__}"
    return folder / f"glyphs-{versions}-{height}x{width}-seed{seed}.npz"


def load_or_render(height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return int32[classes] code points and uint8[classes, faces, height, width], cached if possible."""
    path = cache_file(height, width, seed)
    cached = _read(path, height, width)
    if cached is not None:
        return cached
    code_points = distinct_code_points()
    images = render(code_points, height, width, seed)
    rendered = np.array(code_points, np.int32), images
    try:
        _write(path, *rendered)
    except OSError as error:
        logger.warning("The glyph cache cannot be written, glyphs are rendered anew each time: %s", error)
    return rendered


def _read(path: Path, height: int, width: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return what the cache holds, or None if it holds nothing that can be used."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            code_points, images = archive["code_points"], archive["images"]
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error):
        return None
    fits = code_points.dtype == np.int32 and images.dtype == np.uint8
    return (code_points, images) if fits and images.shape == (*code_points.shape, len(FACES), height, width) else None


def _write(path: Path, code_points: np.ndarray, images: np.ndarray) -> None:
    """Write the cache whole or not at all, so that a killed or a second process leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".glyphs-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, code_points=code_points, images=images)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
