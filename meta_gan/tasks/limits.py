"""The limits on files from users, which are checked on headers before any content is decoded.

A file is refused if it would open to far more memory than its size suggests ("decompression bomb"), so that a folder of
somebody else's files cannot exhaust the machine. Each limit is far above what few-shot data need.
"""

from __future__ import annotations

from pathlib import Path

from meta_gan.tasks.errors import DataError

MIB = 2**20
OPENED = 48 * MIB
"""Bytes to which any file may open, however small it is; with what is needed beside, reading takes 64 MB at most."""
EXPANSION = 256
"""A larger file may open to this many times its own size, up to `LARGEST` for one picture."""
LARGEST = 512 * MIB
SIDE = 65_535
"""Pixels of the longer side of a picture."""
MEMBERS, DIRECTORY = 1_000, MIB
"""Members of a `.npz` file, and bytes of its list of members."""
HEADER = 10_000
"""Bytes of the header of an array in a `.npz` file."""
SAMPLES, SECONDS = 2**23, 600
"""Samples of each channel of a sound file, and its seconds."""
RATES = (100, 1_000_000)
"""The lowest and the highest sampling rate in Hz."""
CHANNELS = 64
"""Channels of a sound file."""
TEXT, LINE = 64 * MIB, 65_536
"""Bytes of a file of texts, and characters of one of its lines."""
TEXTS, CLASSES = 2**20, 2**18
"""Texts, or lines, of a file, and classes of a source."""


def check_expansion(what: object, size: int, opened: int, unit: str, cure: str, most: int | None = None) -> None:
    """Refuse content that would open to far more bytes than it has.

    Args:
        what: the name in the message.
        size: bytes of the file, or of its compressed part.
        opened: bytes that its content takes in memory.
        unit: what is opened, such as "a picture of 9000 x 9000".
        cure: what the user can do.
        most: bytes that are never allowed; None for no such limit.

    Raises:
        DataError: `opened` exceeds `OPENED`, and `EXPANSION` times `size` or `most`.
    """
    allowed = max(OPENED, EXPANSION * size if most is None else min(most, EXPANSION * size))
    if opened > allowed:
        raise DataError(
            f"{what}: must open to at most {allowed / MIB:.0f} MB ({OPENED // MIB} MB, or {EXPANSION} times its size); "
            f"{cure}. Received: {unit}, which opens to {opened / MIB:.0f} MB, in {size} bytes"
        )


def check_rate(path: Path, rate: int) -> int:
    """Return the sampling rate of a file, or raise a DataError that names it."""
    low, high = RATES
    if not low <= rate <= high:
        raise DataError(f"{path}: the sampling rate must be {low} to {high} Hz; convert the file. Received: {rate} Hz")
    return rate
