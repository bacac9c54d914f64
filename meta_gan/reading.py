"""Reading of model files that may be damaged: regular files only, of bounded size, with one type of error.

Every function raises a `DamagedFileError` that names the file. Sizes are compared before anything is allocated.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from meta_gan.errors import DamagedFileError, DivergenceError

LARGEST_CONFIG = 2**24
"""Bytes of a configuration in JSON."""
LARGEST_WEIGHTS = 2**34
"""Bytes of a file of weights."""
LARGEST_SIDE, LARGEST_EXAMPLE = {3: 2048}, 2**23
"""The longest axis of shapes of a rank, and the most values of an example, or of any other shape of a configuration."""
MOST_EXPANSION = 20
"""The largest ratio of an archive's contents to its size, above 2^20 bytes."""
DEEPEST = 100
"""Levels of nesting of a configuration."""
# Names in the configurations of layers and networks: axes of their weights, numbers of layers, factors of enlargement.
WIDTHS = {"width", "latent_dim", "embedding_dim", "hidden", "bands", "units", "filters", "input_dim", "output_dim"}
WIDTHS |= {"heads", "num_heads"}
DEPTHS = {"depth", "blocks"}
FACTORS, LARGEST_FACTOR = {"detail"}, 16


@contextmanager
def undamaged(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Turn every error of a block that reads or rebuilds `path` into a `DamagedFileError`.

    Args:
        path: the file or folder, for the message.
        what: what it must be, such as "a whole .npz file".

    Raises:
        DamagedFileError: any exception but a `DivergenceError`, which names its file already.

    Example:
        >>> with undamaged("model/config.json", "JSON"):
        ...     json.loads("{")
    """
    try:
        yield
    except (DamagedFileError, DivergenceError):
        raise
    # What a damaged configuration raises depends on where the damage meets Keras, so every type is caught.
    except Exception as error:
        # Keras quotes whole configurations, and then the reason.
        reason = str(error).rpartition("Exception encountered: ")[2].strip() or str(error)
        said = " ".join(f"{type(error).__name__}: {reason}".split())[:300]
        raise DamagedFileError(f"{str(path)!r} must be {what}. Received: {said}") from error


def read_bytes(path: str | os.PathLike[str], most: int) -> bytes:
    """Read a regular file of at most `most` bytes.

    Raises:
        DamagedFileError: it does not exist, is no regular file (such as a folder, a pipe or a device), may not be
            read, or is larger.

    Example:
        >>> read_bytes("model/weights.npz", LARGEST_WEIGHTS)[:2]
        b'PK'
    """
    try:
        # A pipe without a writer would block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DamagedFileError(f"{str(path)!r} must be a readable file. Received: {error}") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise DamagedFileError(
            f"{str(path)!r} must be a regular file, and no folder, pipe, socket or device. "
            f"Received: {stat.filemode(status.st_mode)}"
        )
    with open(descriptor, "rb") as file:
        if status.st_size > most:
            raise DamagedFileError(f"{str(path)!r} must be of at most {most} bytes. Received: {status.st_size}")
        return file.read(most)


def read_json(path: str | os.PathLike[str], most: int = LARGEST_CONFIG) -> Any:
    """Read a JSON file, whose objects and lists are nested at most `DEEPEST` levels deep.

    Raises:
        DamagedFileError: as in `read_bytes`, or the contents are no such JSON.

    Example:
        >>> read_json("model/config.json")["kind"]
        'meta_model'
    """
    return parse_json(read_bytes(path, most), path)


def parse_json(data: bytes, path: str | os.PathLike[str]) -> Any:
    """Return the value of JSON in UTF-8; see `read_json`."""
    with undamaged(path, "readable JSON"):
        value = json.loads(data.decode("utf-8"))
        level, depth = [value], 0
        while level := [
            each
            for node in level
            for each in (node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
        ]:
            depth += 1
            if depth > DEEPEST:
                raise ValueError(f"more than {DEEPEST} levels")
        return value


def canonical_digest(value: Any) -> str:
    """Return the sha256 of a JSON value, whatever its layout and the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def open_archive(data: bytes, path: str | os.PathLike[str]) -> zipfile.ZipFile:
    """Return a zip archive of different names, whose contents are not much larger than the archive.

    Raises:
        DamagedFileError: `data` is no such archive.
    """
    with undamaged(path, "a whole archive"):
        archive = zipfile.ZipFile(io.BytesIO(data))
        names, total = archive.namelist(), sum(entry.file_size for entry in archive.infolist())
        if len(set(names)) < len(names):
            raise ValueError("a name twice")
        if total > max(2**20, MOST_EXPANSION * len(data)):
            raise ValueError(f"contents of {total} bytes in an archive of {len(data)}")
        return archive


def read_arrays(path: str | os.PathLike[str], data: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of an `.npz` file, none of them of Python objects.

    Args:
        path: the file, for the message.
        data: its contents.

    Raises:
        DamagedFileError: the contents are not of this format.

    Example:
        >>> sorted(read_arrays(file, read_bytes(file, LARGEST_WEIGHTS)))[:1]
        ['variable_0000']
    """
    with undamaged(path, "a whole .npz file"), open_archive(data, path) as archive:
        return {name.removesuffix(".npy"): _array(archive.read(name)) for name in archive.namelist()}


def _array(data: bytes) -> np.ndarray:
    """Return an array in numpy's format; its header is compared with the length before anything is allocated."""
    stream = io.BytesIO(data)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, fortran, dtype = readers[np.lib.format.read_magic(stream)](stream)
    rest = len(data) - stream.tell()
    if dtype.hasobject:
        raise ValueError("objects, which need pickle")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != rest:
        raise ValueError(f"an array of {dtype}{list(shape)} in {rest} bytes")
    # A copy, because arrays of a buffer cannot be written to.
    return np.frombuffer(data, dtype, offset=stream.tell()).reshape(shape, order="F" if fortran else "C").copy("K")


def check_sizes(config: Any, path: str | os.PathLike[str], shapes: Iterable[tuple[int, ...]]) -> None:
    """Raise a `DamagedFileError` if a configuration is `oversized` for the stored weights.

    Args:
        config: JSON values that describe networks.
        path: the file, for the message.
        shapes: of the stored weights.

    Example:
        >>> check_sizes({"width": 16, "seed": 10**6}, "config.json", [(3, 3, 16, 32)])
    """
    if found := oversized(config, shapes):
        raise DamagedFileError(f"{str(path)!r} must describe networks that fit its weights. Received: {found[0]}")


def oversized(config: Any, shapes: Iterable[tuple[int, ...]]) -> list[str]:
    """Return the sizes of a configuration that cannot belong to stored weights, before a network is built from it.

    A layer's width is about the length of an axis of its weights, and every layer of a stack has weights. So no width
    may be many times the longest axis, and no depth larger than the number of arrays.

    Args:
        config: JSON values that describe networks.
        shapes: of the stored weights.

    Returns:
        A description of each size, depth or shape that is too large, with its place in the configuration.

    Example:
        >>> oversized({"layers": [{"width": 10**9}]}, [(3, 3, 16, 32)])
        ["'layers.0.width' of 1000000000, at most 256"]
    """
    stored, found = list(shapes), []
    width = 4 * max([64, *(side for shape in stored for side in shape)])
    for place, value in _leaves(config, ()):
        key = next((part for part in reversed(place) if isinstance(part, str)), "")
        if isinstance(value, list):
            sides, most = [abs(side) for side in value if side], LARGEST_EXAMPLE
            longest = LARGEST_SIDE.get(len(sides), LARGEST_EXAMPLE)
            large = "shape" in key and len(value) <= 4 and (max([*sides, 0]) > longest or math.prod(sides) > most)
            # The tensors of a conditioning are stored with the weights.
            large |= "conditioning" in place and tuple(value) not in stored
        else:
            most = width if key in WIDTHS else max(2, len(stored)) if key in DEPTHS else LARGEST_FACTOR
            large = key in WIDTHS | DEPTHS | FACTORS and not abs(value) <= most
        if large:
            found.append(f"'{'.'.join(map(str, place))}' of {value}, at most {most}")
    return found


def _leaves(tree: Any, place: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the numbers, and the lists of nothing but integers or None, with their places."""
    if isinstance(tree, (int, float)) and not isinstance(tree, bool):
        yield place, tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from _leaves(value, (*place, key))
    elif isinstance(tree, list) and tree and all(type(each) is int or each is None for each in tree):
        yield place, tree
    elif isinstance(tree, list):
        for number, value in enumerate(tree):
            yield from _leaves(value, (*place, number))
