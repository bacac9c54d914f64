"""An exported model in this process, asked as a server would be."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan import export
from meta_gan.serving.inspection import Inspection, inspect


class Served:
    """A loaded SavedModel; made by `load`.

    It keeps nothing between requests, and any number of threads may ask it at once.

    Args:
        loaded: what `tf.saved_model.load` returned; it lives as long as this does.
        inspection: of the same folder.

    Attributes:
        about: what the export says of itself: limits, signatures with their ranges, data.
        signatures: `{name: {"inputs": {name: {"dtype", "shape"}}, "outputs": {...}}}`.
    """

    def __init__(self, loaded: Any, inspection: Inspection):
        self._loaded, self.about = loaded, inspection.about
        self.signatures = inspection.signatures

    def call(self, signature: str, /, **inputs: Any) -> dict[str, np.ndarray]:
        """Asks a signature.

        Args:
            signature: one of `signatures`.
            **inputs: all of its inputs, by name: arrays of its dtype, or Python numbers and lists.

        Returns:
            `{output: array}`.

        Raises:
            ValueError: an unknown signature, a missing or unknown input, one of another dtype, rank or size, or one
                that the model refuses, by name.

        Example:
            >>> served = meta_gan.serving.load("served/glyphs/1")
            >>> served.call("adapt_and_sample", support=five, steps=0, num=16, seed=0)["samples"].shape
            (16, 28, 28, 1)
        """
        if signature not in self.signatures:
            raise ValueError(f"the signature must be one of {sorted(self.signatures)}. Received: {signature!r}")
        wanted = self.signatures[signature]["inputs"]
        if set(inputs) != set(wanted):
            raise ValueError(f"{signature!r} must be given {sorted(wanted)}. Received: {sorted(inputs)}")
        tensors = {name: _tensor(name, inputs[name], each) for name, each in wanted.items()}
        try:
            made = self._loaded.signatures[signature](**tensors)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(f"{signature!r} refused its inputs: {_said(error)}") from error
        return {name: value.numpy() for name, value in made.items()}


def load(path: str | os.PathLike[str], allow: Sequence[str] = ()) -> Served:
    """Loads what `MetaModel.export` or `AdaptedModel.export` wrote, after looking into it.

    Args:
        path: the version folder.
        allow: operations beside those that our models are made of; see `inspect`.

    Returns:
        A `Served`.

    Raises:
        ValueError: it is no export of ours, a file in it was changed, cut short, added or taken away, or it holds
            operations that our models have no use for. Nothing of it was run then.

    Example:
        >>> served = meta_gan.serving.load("served/glyphs/1")
    """
    folder = Path(path)
    found = inspect(folder, allow)
    if found.kind != "saved_model" or found.about.get("kind") != export.KIND:
        raise ValueError(f"{str(path)!r} must be a SavedModel that meta_gan exported. Received: another {found.kind}")
    if links := [str(each) for each in folder.rglob("*") if each.is_symlink()]:
        raise ValueError(f"{str(path)!r} must hold files of its own. Received: links {links}")
    manifest = folder / export.EXTRA / export.MANIFEST
    try:
        expected = json.loads(manifest.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{str(manifest)!r} must list the files of the export. Received: {error}") from error
    actual = export.digests(folder)
    if expected != actual:
        names = sorted(set(actual) | set(expected if isinstance(expected, dict) else ()))
        changed = [n for n in names if not isinstance(expected, dict) or actual.get(n) != expected.get(n)]
        raise ValueError(f"the files of {str(path)!r} must be those that were exported. Received: others in {changed}")
    if found.refused:
        raise ValueError(f"{str(path)!r} must hold what our models are made of. Received: {list(found.refused)}")
    try:
        return Served(tf.saved_model.load(str(folder)), found)
    except (OSError, KeyError, TypeError, AttributeError, tf.errors.OpError) as error:
        raise ValueError(f"{str(path)!r} must be a whole SavedModel. Received: {error!r}") from error


def load_generator(path: str | os.PathLike[str], allow: Sequence[str] = ()) -> keras.Model:
    """Loads `generator.keras`, as `AdaptedModel.save` wrote it, after looking into it.

    Args:
        path: the `.keras` file.
        allow: classes beside those of Keras and ours; see `inspect`.

    Returns:
        The Keras model.

    Raises:
        ValueError: it is damaged, or names classes or functions that a generator has no use for, such as a `Lambda`.

    Example:
        >>> images = meta_gan.serving.load_generator("glyph/generator.keras")(z)
    """
    found = inspect(path, allow)
    if found.kind != "keras" or found.refused:
        what = list(found.refused) or found.kind
        raise ValueError(f"{str(path)!r} must be a .keras file of Keras's layers and ours. Received: {what}")
    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{str(path)!r} must be a whole model. Received: {error!r}") from error


def _tensor(name: str, value: Any, wanted: dict[str, Any]) -> Any:
    """An input as a tensor of the dtype and shape that the signature wants."""
    dtype, shape = tf.dtypes.as_dtype(wanted["dtype"]), wanted["shape"]
    said = f"{name!r} must be {dtype.name}{'' if shape is None else shape}".replace("None", "n")
    try:
        given = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{said}. Received: {error}") from error
    # A Python number or list has no dtype of its own; an array has, and its owner meant it.
    fits = given.dtype == dtype.as_numpy_dtype if isinstance(value, np.ndarray | np.generic) else True
    if not fits:
        raise ValueError(f"{said}. Received: {given.dtype}{list(given.shape)}")
    sizes = zip(shape or [], given.shape, strict=False)
    if shape is not None and (len(shape) != given.ndim or any(a not in (None, b) for a, b in sizes)):
        raise ValueError(f"{said}. Received: {given.dtype}{list(given.shape)}")
    # TensorFlow would wrap a greater number around without a word.
    limits = np.iinfo(dtype.as_numpy_dtype) if dtype.is_integer else None
    if (
        limits
        and given.dtype.kind in "iu"
        and given.size
        and not limits.min <= given.min() <= given.max() <= limits.max
    ):
        raise ValueError(f"{said} in [{limits.min}, {limits.max}]. Received: {given.min()} to {given.max()}")
    try:
        return tf.constant(value, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{said}. Received: {error}") from error


def _said(error: tf.errors.InvalidArgumentError) -> str:
    """Return the message of an assertion without the place in the graph where it stands.

    Graphs quote names in backquotes, because TensorFlow would escape other quotes.
    """
    lines = [line.strip() for line in str(error.message).splitlines()]
    kept = [line for line in lines if line.startswith(("b'", "[`")) or "`" in line]
    return kept[-1] if kept else str(error.message)
