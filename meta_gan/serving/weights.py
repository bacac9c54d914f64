"""Adapted weights as data: one safetensors file, with the fingerprint of its meta-model and a checksum.

The arrays are stored by the library `safetensors`; its metadata holds `format`, `base` (the fingerprint of the
meta-model) and `sha256` (of everything else in the file). Files in the format of version 0.1 can still be read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import tensorflow as tf

from meta_gan import atomic, functional, reading
from meta_gan.adapted import AdaptedModel
from meta_gan.checks import check_converged
from meta_gan.errors import DamagedFileError
from meta_gan.model import MetaModel

FORMAT = "meta_gan adapted weights 2"
DTYPES = ("float32", "float64", "float16", "uint8", "int32", "int64")
# The format of version 0.1: this name, the header's length (8 bytes, little-endian), a JSON header, the arrays'
# bytes one after another, and the sha256 of everything before it.
EARLIER_NAME = b"META-GAN"
DIGEST = 32
UNDAMAGED = "an undamaged file from `save_weights`"


def save_weights(adapted: AdaptedModel, path: str | os.PathLike[str]) -> None:
    """Write an adapted model's values and support set to one file, which can be loaded into the same meta-model.

    Args:
        adapted: an `AdaptedModel`, as returned by `MetaModel.adapt` or `load_adapted`.
        path: the file to create, such as `glyph.safetensors`; it must not exist.

    Raises:
        ValueError: if the file exists or cannot be written, if a value has a dtype other than those of `DTYPES`, or
            if `adapted` does not record the model it came from.
        DivergenceError: if a value is not finite.

    Example:
        >>> meta_gan.serving.save_weights(model.adapt(five_images), "glyph.safetensors")
    """
    place = Path(path)
    if place.exists():
        raise ValueError(f"'path' must not exist yet. Received: {str(path)!r}")
    if not adapted.base:
        raise ValueError("'adapted' must record which model it came from. Received: an AdaptedModel without a base")
    arrays = {f"value_{i:04d}": t.numpy() for i, t in enumerate(functional.flat(adapted.snapshot))}
    if isinstance(adapted.support, Mapping):
        arrays |= {f"support_{domain}": np.asarray(each) for domain, each in adapted.support.items()}
    elif adapted.support is not None:
        arrays["support"] = np.asarray(adapted.support)
    check_converged(arrays.values(), "the adapted model")
    if odd := sorted({str(a.dtype) for a in arrays.values()} - set(DTYPES)):
        raise ValueError(f"adapted weights must have one of the dtypes {DTYPES}. Received: {odd}")
    content = _to_bytes(adapted.base, arrays)
    try:
        with atomic.new_file(place) as work:
            work.write_bytes(content)
    except OSError as error:
        if error.errno not in atomic.CALLERS:
            raise
        raise ValueError(f"'path' must be a place that can be written to. Received: {error}") from error


def load_weights(model: MetaModel, path: str | os.PathLike[str]) -> AdaptedModel:
    """Load an adapted model from a file that `save_weights` wrote.

    Args:
        model: the `MetaModel` that the weights were adapted from.
        path: the file.

    Returns:
        An `AdaptedModel` that gives the same samples as the saved one.

    Raises:
        ValueError: if the file is missing or belongs to another model; a `DamagedFileError` if it is damaged.
        DivergenceError: if it holds values that are not finite.

    Example:
        >>> meta_gan.serving.load_weights(meta_gan.load("omniglot"), "glyph.safetensors").sample(64)
    """
    header, arrays = _read(Path(path))
    own = model.adaptation.fingerprint()
    if header["base"] != own:
        raise ValueError(
            f"{str(path)!r} must belong to this model, with the fingerprint {own}. Received: {header['base']}"
        )
    check_converged(arrays.values(), f"the adapted weights {str(path)!r}")
    fresh = model.adaptation.values().initial
    leaves = functional.flat(fresh)
    shape = model.game.example_shape
    sets = {"support": "support"} if not isinstance(shape, Mapping) else {name: f"support_{name}" for name in shape}
    given = {name: arrays.pop(key) for name, key in sets.items() if key in arrays}
    found = {name: (str(a.dtype), a.shape) for name, a in arrays.items()}
    wanted = {f"value_{i:04d}": (leaf.dtype.name, tuple(leaf.shape)) for i, leaf in enumerate(leaves)}
    if found != wanted or len(given) not in (0, len(sets)):
        odd = sorted({*found.items()} ^ {*wanted.items()})[:4]
        raise DamagedFileError(
            f"{str(path)!r} must hold arrays of this model's names, dtypes and shapes. Received: {odd}"
        )
    values = [tf.convert_to_tensor(arrays[name], leaf.dtype) for name, leaf in zip(wanted, leaves, strict=True)]
    support = given.get("support") if not isinstance(shape, Mapping) else given or None
    snapshot = tf.nest.pack_sequence_as(fresh, values)
    with reading.undamaged(path, UNDAMAGED):
        return AdaptedModel(model.adaptation, snapshot, support, dict(model.data_card), own)


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the header of a file of adapted weights.

    Args:
        path: the file.

    Returns:
        `{"format": ..., "base": fingerprint of its model, "arrays": {name: [dtype, shape]}}`.

    Raises:
        ValueError: if the file is missing or damaged.
    """
    return _read(Path(path))[0]


def _to_bytes(base: str, arrays: Mapping[str, np.ndarray]) -> bytes:
    metadata = {"format": FORMAT, "base": base, "sha256": _digest(base, arrays)}
    # Not by `ascontiguousarray`, which gives a number on its own the shape [1].
    return safetensors.numpy.save({name: np.asarray(a, order="C") for name, a in arrays.items()}, metadata)


def _digest(base: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Return the sha256 of the base and of every array's name, dtype, shape and bytes."""
    digest = hashlib.sha256(json.dumps([base, _described(dict(sorted(arrays.items())))]).encode())
    for name in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _described(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: [str(a.dtype), list(a.shape)] for name, a in arrays.items()}


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    data = reading.read_bytes(path, reading.LARGEST_WEIGHTS)
    if data.startswith(EARLIER_NAME):
        return _read_earlier(path, data)
    with reading.undamaged(path, UNDAMAGED):
        arrays = safetensors.numpy.load(data)
        size = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + size])["__metadata__"]
        if metadata["format"] != FORMAT or metadata["sha256"] != _digest(metadata["base"], arrays):
            raise ValueError("another format, or contents without the sha256 in the metadata")
    return {"format": FORMAT, "base": metadata["base"], "arrays": _described(arrays)}, arrays


def _read_earlier(path: Path, data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read the format of version 0.1."""
    body, digest = data[:-DIGEST], data[-DIGEST:]
    if hashlib.sha256(body).digest() != digest:
        raise DamagedFileError(f"{str(path)!r} must have the sha256 that it ends in. Received: a damaged file")
    start = len(EARLIER_NAME) + 8
    end = start + int.from_bytes(body[len(EARLIER_NAME) : start], "little")
    with reading.undamaged(path, UNDAMAGED):
        header = json.loads(body[start:end])
        arrays, place = {}, end
        for name, (dtype, shape) in header["arrays"].items():
            kind = np.dtype(dtype if dtype in DTYPES else "").newbyteorder("<")
            count = int(np.prod(shape, dtype=np.int64))
            arrays[name] = np.frombuffer(body, kind, count, place).reshape(shape)
            place += count * kind.itemsize
        if header["format"] != 1 or place != len(body) or not isinstance(header["base"], str):
            raise ValueError(f"format {header['format']} with {len(body) - place} bytes left over")
    return header, arrays
