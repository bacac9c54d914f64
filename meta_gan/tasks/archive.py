"""`Archive`: NumPy archives of anybody, read without pickles and within the limits of `limits`.

`numpy.load` ends in a dozen types of errors on archives that are damaged or were made to harm, and allocates what a
header claims. Here the list of members, their compression and each array's header are checked before any content.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from meta_gan.tasks import limits
from meta_gan.tasks.errors import DataError, shown
from meta_gan.tasks.files import check_file

_CHUNK = limits.MIB
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class _Bounded(io.FileIO):
    """A file that refuses to read more than its limit at once; `zipfile` reads the whole list of members so."""

    limit = limits.DIRECTORY

    def read(self, size: int | None = -1) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell()
        size = left if size is None or size < 0 else min(size, left)
        if size > self.limit:
            raise DataError(f"its list of members must have at most {self.limit} bytes, and has {size}")
        return super().read(max(size, 0))


class Archive:
    """A `.npz` file, opened without pickles; a context manager. `names` are those of its arrays.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is not a `.npz` file, or has too many members.

    Example:
        >>> with Archive("omniglot28.npz") as archive:
        ...     labels = archive["labels"]
    """

    def __init__(self, path: Path) -> None:
        self._path = check_file(path, "a .npz file")
        self._raw = _Bounded(path)
        try:
            with self._translated("must be a NumPy .npz archive"):
                self._zip = self._open()
                self._members = self._checked_members()
        except BaseException:
            self._raw.close()
            raise
        self.names = list(self._members)
        self._packed = self._opened = 0

    def _open(self) -> zipfile.ZipFile:
        magic = self._raw.read(6)
        self._raw.seek(0)
        if magic == b"\x93NUMPY":
            dtype = self._header(self._raw)[2]
            raise DataError(
                f"{self._path}: must be a .npz archive of named arrays. Received: one array, {dtype}"
            ) from None
        return zipfile.ZipFile(self._raw)

    def _checked_members(self) -> dict[str, zipfile.ZipInfo]:
        members = self._zip.infolist()
        if len(members) > limits.MEMBERS:
            raise DataError(f"it must have at most {limits.MEMBERS} members, and has {len(members)}")
        found: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in found:
                raise DataError(f"'{shown(name)}' must occur once")
            found[name] = member
        return found

    @contextmanager
    def _translated(self, required: str) -> Iterator[None]:
        """Raise a DataError that names the file for whatever parsers raise on a stranger's bytes."""
        try:
            yield
        except Exception as error:
            if isinstance(error, DataError) and str(error).startswith(shown(self._path)):
                raise
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"{self._path}: {required}. Received: {reason[:200]}") from error

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()
        self._raw.close()

    @staticmethod
    def _header(file: IO[bytes] | io.FileIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
        """Return the shape, the order and the dtype that the header of an array states."""
        version = np.lib.format.read_magic(file)  # type: ignore[arg-type]
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in readers:
            raise DataError(f"a header of version 1 or 2 is required, and is of {version}")
        shape, fortran, dtype = readers[version](file, max_header_size=limits.HEADER)  # type: ignore[arg-type]
        if dtype.hasobject or not dtype.itemsize:
            raise DataError(f"it is an array of {'objects, which would need a pickle' if dtype.itemsize else dtype}")
        if any(isinstance(side, bool) or side < 0 for side in shape) or len(shape) > 8:
            raise DataError(f"the shape must be of at most 8 sizes >= 0, and is {str(shape)[:80]}")
        return shape, fortran, dtype

    def __getitem__(self, name: str) -> np.ndarray:
        """Read one array, or raise a DataError that names the file and the array."""
        with self._translated(f"'{shown(name)}' must be a whole array without pickles"):
            member = self._members[name]
            if member.flag_bits & 1:
                raise DataError("it is encrypted")
            if member.compress_type not in _METHODS:
                raise DataError(f"it is compressed by method {member.compress_type}; use `numpy.savez_compressed`")
            cure = "store the array uncompressed by `numpy.savez`"
            unit = f"'{shown(name)}'"
            # Together, since many arrays are held at once.
            self._packed += min(member.compress_size, self._path.stat().st_size)
            self._opened += member.file_size
            limits.check_expansion(self._path, self._packed, self._opened, unit, cure)
            self._raw.limit = 2**63  # The list of members has been read.
            with self._zip.open(member) as file:
                return self._array(file, member.file_size)

    def _array(self, file: IO[bytes], size: int) -> np.ndarray:
        shape, fortran, dtype = self._header(file)
        needed = math.prod(shape) * dtype.itemsize
        left = size - file.tell()
        if needed != left:
            raise DataError(f"{needed} bytes are required by its shape {shape} of {dtype}, and there are {left}")
        # In pieces, into the array itself, so that nothing is held twice.
        content = np.empty(needed, np.uint8)
        done = 0
        while done < needed:
            piece = file.read(min(_CHUNK, needed - done))
            if not piece:
                raise DataError(f"{needed} bytes are required, and there are {done}")
            content[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
            done += len(piece)
        file.read(1)  # At the end of a member `zipfile` compares its checksum.
        if dtype.kind == "U":
            _check_characters(content.view(np.dtype(np.uint32).newbyteorder(dtype.byteorder)))
        array = content.view(dtype)
        return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)

    def get(self, name: str) -> np.ndarray | None:
        """Read one array, or return None if the archive does not have it."""
        return self[name] if name in self._members else None

    def rate(self) -> int:
        """Read `rate`, the samples a second of the sounds in this archive, or raise a DataError."""
        rate = self.get("rate")
        if rate is None:
            raise DataError(f"{self._path}: sounds need 'rate', samples a second. Received: {', '.join(self.names)}")
        if rate.size != 1 or rate.dtype.kind not in "iu" or int(rate.ravel()[0]) < 1:
            raise DataError(f"{self._path}: 'rate' must be one integer >= 1. Received: {rate.dtype} {rate.ravel()[:3]}")
        return limits.check_rate(self._path, int(rate.ravel()[0]))


def _check_characters(points: np.ndarray) -> None:
    """Refuse code points beyond Unicode, from which Python makes no string, and surrogates, which have no UTF-8."""
    for start in range(0, len(points), _CHUNK):
        part = points[start : start + _CHUNK]
        if (part > 0x10FFFF).any() or ((part >= 0xD800) & (part < 0xE000)).any():
            raise DataError("it has characters that Unicode does not have")
