"""Adapted weights as data: one file that names the model they belong to, and that no flipped bit goes through.

The file: eight bytes of name, the length of the header as 8 bytes (little-endian), the header in JSON, the numbers of
all arrays one after another (little-endian, in C order), and the sha256 of all before it as 32 bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan import functional
from meta_gan.adapted import AdaptedModel
from meta_gan.model import MetaModel

NAME = b"META-GAN"
DIGEST = 32
DTYPES = ("float32", "float64", "float16", "uint8", "int32", "int64")


def save_weights(adapted: AdaptedModel, path: str | os.PathLike[str]) -> None:
    """Writes an adapted model's values and support set as one file, to be used beside the model it comes from.

    Args:
        adapted: what `MetaModel.adapt` or `load_adapted` returned.
        path: the file to make; it must not exist.

    Raises:
        ValueError: the file exists or cannot be written, values are not finite or of a dtype that numpy lacks, or an
            adapted model was saved before models were told apart, so that nobody knows what it comes from.

    Example:
        >>> meta_gan.serving.save_weights(model.adapt(five_images), "glyph.adapted")
    """
    place = Path(path)
    if place.exists():
        raise ValueError(f"the file of adapted weights must not exist yet. Received: {str(path)!r}")
    if not adapted.base:
        raise ValueError("adapted weights must name the model that they belong to. Received: one that is not known")
    arrays = {f"value_{i:04d}": t.numpy() for i, t in enumerate(functional.flat(adapted.snapshot))}
    if isinstance(adapted.support, Mapping):
        arrays |= {f"support_{domain}": np.asarray(each) for domain, each in adapted.support.items()}
    elif adapted.support is not None:
        arrays["support"] = np.asarray(adapted.support)
    _check_finite(arrays, "the adapted model")
    header = {
        "format": 1,
        "base": adapted.base,
        "arrays": {name: [str(a.dtype), list(a.shape)] for name, a in arrays.items()},
    }
    text = json.dumps(header).encode()
    body = b"".join([NAME, len(text).to_bytes(8, "little"), text, *[_bytes(a) for a in arrays.values()]])
    work = place.with_name(f".{place.name}.part")
    try:
        work.write_bytes(body + hashlib.sha256(body).digest())
        os.replace(work, place)
    except OSError as error:
        work.unlink(missing_ok=True)
        raise ValueError(f"adapted weights must be written to a place that can be. Received: {error}") from error


def load_weights(model: MetaModel, path: str | os.PathLike[str]) -> AdaptedModel:
    """The adapted model of a file that `save_weights` wrote.

    Args:
        model: the one that it was adapted from.
        path: of the file.

    Returns:
        An `AdaptedModel` with the samples of the one that was saved.

    Raises:
        ValueError: no such file, a damaged one, one of another model, or one with numbers that are not finite.

    Example:
        >>> meta_gan.serving.load_weights(meta_gan.load("omniglot"), "glyph.adapted").sample(64)
    """
    header, arrays = _read(Path(path))
    own = model.adaptation.fingerprint()
    if header["base"] != own:
        raise ValueError(
            f"{str(path)!r} must be of this model, whose fingerprint is {own}. Received: one of {header['base']}"
        )
    _check_finite(arrays, repr(str(path)))
    fresh = model.adaptation.values().initial
    leaves = functional.flat(fresh)
    shape = model.game.example_shape
    sets = {"support": "support"} if not isinstance(shape, Mapping) else {name: f"support_{name}" for name in shape}
    given = {name: arrays.pop(key) for name, key in sets.items() if key in arrays}
    found = {name: (str(a.dtype), a.shape) for name, a in arrays.items()}
    wanted = {f"value_{i:04d}": (leaf.dtype.name, tuple(leaf.shape)) for i, leaf in enumerate(leaves)}
    if found != wanted or len(given) not in (0, len(sets)):
        odd = sorted({*found.items()} ^ {*wanted.items()})[:4]
        raise ValueError(f"{str(path)!r} must hold the values of this model. Received: others, such as {odd}")
    values = [tf.convert_to_tensor(arrays[name], leaf.dtype) for name, leaf in zip(wanted, leaves, strict=True)]
    support = given.get("support") if not isinstance(shape, Mapping) else given or None
    snapshot = tf.nest.pack_sequence_as(fresh, values)
    return AdaptedModel(model.adaptation, snapshot, support, dict(model.data_card), own)


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a file of adapted weights says of itself: `format`, `base` (a fingerprint) and `arrays`.

    Raises:
        ValueError: no such file, or a damaged one.
    """
    return _read(Path(path))[0]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"adapted weights must be a file that can be read. Received: {error}") from error
    if not data.startswith(NAME):
        raise ValueError(f"{str(path)!r} must be what `save_weights` wrote. Received: another kind of file")
    body, digest = data[:-DIGEST], data[-DIGEST:]
    if hashlib.sha256(body).digest() != digest:
        raise ValueError(f"{str(path)!r} must have the sha256 that it ends in. Received: a damaged file")
    start = len(NAME) + 8
    end = start + int.from_bytes(body[len(NAME) : start], "little")
    try:
        header = json.loads(body[start:end])
        arrays, place = {}, end
        for name, (dtype, shape) in header["arrays"].items():
            kind = np.dtype(dtype if dtype in DTYPES else "").newbyteorder("<")
            count = int(np.prod(shape, dtype=np.int64))
            arrays[name] = np.frombuffer(body, kind, count, place).reshape(shape)
            place += count * kind.itemsize
        if header["format"] != 1 or place != len(body) or not isinstance(header["base"], str):
            raise ValueError(f"format {header['format']} with {len(body) - place} bytes left over")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, MemoryError) as error:
        raise ValueError(f"{str(path)!r} must be what `save_weights` wrote. Received: {error}") from error
    return header, arrays


def _bytes(array: np.ndarray) -> bytes:
    if str(array.dtype) not in DTYPES:
        raise ValueError(f"adapted weights must be of {DTYPES}. Received: {array.dtype}")
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def _check_finite(arrays: Mapping[str, np.ndarray], what: str) -> None:
    bad = [name for name, a in arrays.items() if a.dtype.kind == "f" and not np.isfinite(a).all()]
    if bad:
        raise ValueError(f"the numbers of {what} must be finite. Received: others in {bad}")
