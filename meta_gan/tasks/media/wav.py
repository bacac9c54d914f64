"""The chunks of WAV files: those that were cut off are refused, and those that a program wrote to a pipe are read.

A program that cannot seek back leaves a placeholder where the sizes belong: sox 0x7ffff000, arecord 0x80000000, ffmpeg
and espeak 0xffffffff or 0. libsndfile reads most of these whole, but a file that was cut off as well, without an error.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from meta_gan.tasks import limits
from meta_gan.tasks.errors import DataError

_PLACEHOLDER = 0x7FFF0000
"""Sizes from here on are those of streams: no file of 2 GB is a few-shot sound."""
_EMPTY = (0, 8, 36, 44)
"""RIFF sizes that count no more than a header: the sizes were never filled in."""


def readable_wav(path: Path) -> str | BinaryIO:
    """Return what libsndfile can read of a sound file: its path, or a repaired copy in memory.

    Repaired is a WAV file whose `data` chunk has the size 0 because it is of a stream, or which follows a chunk of odd
    size without the padding that the format wants. Other files are left as they are.

    Args:
        path: a regular file of any format.

    Raises:
        DataError: a WAV file whose samples are fewer than its header says; the message names it.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return str(path)
        return _checked(path, file, int.from_bytes(head[4:8], "little"))


def _checked(path: Path, file: BinaryIO, riff: int) -> str | BinaryIO:
    end, form, repair = path.stat().st_size, b"", False
    while len(head := file.read(8)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], "little")
        start = file.tell()
        if name == b"data":
            streamed = size >= _PLACEHOLDER or (size == 0 and (riff in _EMPTY or riff >= _PLACEHOLDER))
            if not streamed and size > end - start:
                raise DataError(f"{path}: must be a whole WAV file, of {start + size} bytes. Received: {end}")
            repair |= streamed and size == 0 and end > start
            return _repaired(path, file, form, end - start if streamed else size) if repair and form else str(path)
        if name == b"fmt ":
            form = file.read(min(size, 1024))
        file.seek(start + size + size % 2)
        if size % 2 and _is_name(_at(file, start + size)) and not _is_name(_at(file, start + size + 1)):
            repair = True
            file.seek(start + size)
    return str(path)


def _at(file: BinaryIO, place: int) -> bytes:
    """Return the four bytes at a place; the file stays where it is."""
    kept = file.tell()
    file.seek(place)
    found = file.read(4)
    file.seek(kept)
    return found


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(byte == 0x20 or 0x30 <= byte <= 0x7A for byte in name) and name[:1] != b" "


def _repaired(path: Path, file: BinaryIO, form: bytes, size: int) -> BinaryIO:
    """Return a WAV file of the format and the samples alone."""
    if size > limits.OPENED:
        required = f"a WAV file without sizes must have at most {limits.OPENED} bytes; convert it"
        raise DataError(f"{path}: {required}. Received: {size}")
    body = b"WAVEfmt " + len(form).to_bytes(4, "little") + form + b"\0" * (len(form) % 2)
    body += b"data" + size.to_bytes(4, "little")
    made = io.BytesIO()
    for part in (b"RIFF", (len(body) + size).to_bytes(4, "little"), body):
        made.write(part)
    while size and (piece := file.read(min(size, limits.MIB))):
        made.write(piece)
        size -= len(piece)
    made.seek(0)
    return made
