"""Opening NumPy archives from anybody: no pickles, and one clear error."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan.tasks.errors import DataError


def open_npz(path: str | Path) -> Any:
    """Open a `.npz` file without pickles.

    Raises:
        FileNotFoundError: if it is not there.
        DataError: if it is no `.npz` file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"A .npz file must exist. Received: {path}")
    try:
        archive = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: must be a NumPy .npz archive. Received: {error}") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise DataError(f"{path}: must be a .npz archive of named arrays. Received: one array, {archive.dtype}")
    return archive


def read_array(path: Path, archive: Any, key: str) -> np.ndarray:
    """Read one array of an open archive, or raise a DataError that names the file and the array."""
    try:
        return archive[key]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: `{key}` must be a whole array without pickles. Received: {error}") from error


def rate_of(path: Path, archive: Any) -> int:
    """Return the `rate` of an open archive's sounds, or raise a DataError that names the file."""
    if "rate" not in archive.files:
        raise DataError(f"{path}: sounds need `rate`, samples a second. Received: {', '.join(archive.files)}")
    rate = read_array(path, archive, "rate")
    if rate.size != 1 or rate.dtype.kind not in "iu" or int(rate.ravel()[0]) < 1:
        raise DataError(f"{path}: `rate` must be one whole number >= 1. Received: {rate.dtype} {rate.ravel()[:3]}")
    return int(rate.ravel()[0])
