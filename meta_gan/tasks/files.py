"""Files from users: folders of files of one kind, and NumPy archives without pickles."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from meta_gan.tasks.errors import DataError

UNREADABLE = (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error)
"""The errors that NumPy raises for archives that are damaged or of another format."""


def files_in(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files directly in a folder with one of the suffixes, sorted by name, without hidden files."""
    files = (file for file in folder.iterdir() if file.suffix.lower() in suffixes and file.is_file())
    return sorted(file for file in files if not file.name.startswith("."))


def support_files(path: Path, what: str, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files of a support set: those in the folder `path` with one of the suffixes, or the file `path`.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        DataError: the folder has no such file; the message calls it `what`, "image" or "sound".
    """
    if not path.exists():
        raise FileNotFoundError(f"A support set must be a folder of {what}s or a .npz file. Received: {path}")
    files = files_in(path, suffixes) if path.is_dir() else [path]
    if not files:
        inside = sorted(entry.name for entry in path.iterdir())[:10]
        raise DataError(f"{path}: must hold at least 1 {what} file ({', '.join(suffixes)}). Received: {inside}")
    return files


class Archive:
    """A `.npz` file, opened without pickles; a context manager. `names` are those of its arrays.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is not a `.npz` file.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"A .npz file must exist. Received: {path}")
        try:
            opened = np.load(path, allow_pickle=False)
        except UNREADABLE as error:
            raise DataError(f"{path}: must be a NumPy .npz archive. Received: {error}") from error
        if not isinstance(opened, np.lib.npyio.NpzFile):
            raise DataError(f"{path}: must be a .npz archive of named arrays. Received: one array, {opened.dtype}")
        self._path, self._file, self.names = path, opened, opened.files

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getitem__(self, name: str) -> np.ndarray:
        """Read one array, or raise a DataError that names the file and the array."""
        try:
            return self._file[name]
        except UNREADABLE as error:
            raise DataError(
                f"{self._path}: {name!r} must be a whole array without pickles. Received: {error}"
            ) from error

    def get(self, name: str) -> np.ndarray | None:
        """Read one array, or return None if the archive does not have it."""
        return self[name] if name in self.names else None

    def rate(self) -> int:
        """Read `rate`, the samples a second of the sounds in this archive, or raise a DataError."""
        rate = self.get("rate")
        if rate is None:
            raise DataError(f"{self._path}: sounds need 'rate', samples a second. Received: {', '.join(self.names)}")
        if rate.size != 1 or rate.dtype.kind not in "iu" or int(rate.ravel()[0]) < 1:
            raise DataError(f"{self._path}: 'rate' must be one integer >= 1. Received: {rate.dtype} {rate.ravel()[:3]}")
        return int(rate.ravel()[0])
