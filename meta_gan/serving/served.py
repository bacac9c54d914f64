"""Exported models loaded into this process, with the same requests as on a server."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan import export, reading
from meta_gan.checks import check_converged
from meta_gan.errors import DamagedFileError, DivergenceError
from meta_gan.serving import keras_files
from meta_gan.serving.inspection import Inspection, inspect
from meta_gan.serving.protos import decode


class Served:
    """A SavedModel, as returned by `load`.

    It keeps no state between requests, and any number of threads may call it at the same time.

    Args:
        loaded: the object that `tf.saved_model.load` returned; kept alive by this object.
        inspection: the `Inspection` of the same folder.

    Attributes:
        about: the description in the export: limits, signatures with their ranges, data.
        signatures: `{name: {"inputs": {name: {"dtype", "shape"}}, "outputs": {...}}}`.
        loaded_signatures: the names of those that the loaded object has.
    """

    def __init__(self, loaded: Any, inspection: Inspection):
        self._loaded, self.about = loaded, inspection.about
        self.loaded_signatures = tuple(loaded.signatures)
        self.signatures = inspection.signatures

    def call(self, signature: str, /, **inputs: Any) -> dict[str, np.ndarray]:
        """Run a signature.

        Args:
            signature: one of `signatures`.
            **inputs: all inputs of the signature by name: arrays of the required dtype, or Python numbers and lists.

        Returns:
            `{output: array}`.

        Raises:
            ValueError: the signature is unknown; or an input is missing, unknown, of another dtype, rank or size, or
                outside the model's limits.
            DivergenceError: an output is NaN or infinite.

        Example:
            >>> served = meta_gan.serving.load("served/glyphs/1")
            >>> served.call("adapt_and_sample", support=five, steps=0, num=16, seed=0)["samples"].shape
            (16, 28, 28, 1)
        """
        wanted = self._wanted(signature, inputs)
        tensors = {name: _tensor(name, inputs[name], each) for name, each in wanted.items()}
        try:
            made = self._loaded.signatures[signature](**tensors)
        except tf.errors.InvalidArgumentError as error:
            said = _said(error)
            if export.DIVERGED in said:
                raise DivergenceError(f"{signature!r} gave no finite result: {said}") from error
            raise ValueError(f"{signature!r} refused its inputs: {said}") from error
        outputs = {name: value.numpy() for name, value in made.items()}
        # An export of version 0.1 does not check its outputs itself.
        check_converged(outputs.values(), f"the outputs of {signature!r}")
        return outputs

    def call_protos(self, signature: str, protos: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Run a signature on the tensors of a request of TF Serving.

        Args:
            signature: one of `signatures`.
            protos: `{input: TensorProto}`, as in a `PredictRequest`. Nothing is allocated for one whose shape is not
                that of the signature, or outside the model's limits.

        Returns:
            `{output: array}`.

        Raises:
            ValueError, DivergenceError: as in `call`.

        Example:
            >>> served.call_protos("sample", {"num": tf.make_tensor_proto(3), "seed": tf.make_tensor_proto(0)})
        """
        wanted = self._wanted(signature, protos)
        described = self.about.get("signatures", {}).get(signature, {}).get("inputs", {})
        arrays = {
            name: decode(name, protos[name], each, described.get(name, {}).get("lengths", ()))
            for name, each in wanted.items()
        }
        return self.call(signature, **arrays)

    def _wanted(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the descriptions of a signature's inputs, or raise a ValueError if they are not the given ones."""
        if signature not in self.signatures:
            raise ValueError(f"the signature must be one of {sorted(self.signatures)}. Received: {signature[:80]!r}")
        wanted = self.signatures[signature]["inputs"]
        if set(inputs) != set(wanted):
            given = [name[:80] for name in sorted(inputs)[:8]]
            raise ValueError(f"{signature!r} must be given {sorted(wanted)}. Received: {given}")
        return wanted


def load(path: str | os.PathLike[str], allow: Sequence[str] = ()) -> Served:
    """Inspect and load an export of `MetaModel.export` or `AdaptedModel.export`.

    Args:
        path: the version folder.
        allow: further operations to allow; see `inspect`.

    Returns:
        A `Served`.

    Raises:
        ValueError: the folder was not exported by this package, a file in it was changed, truncated, added or removed,
            or it contains operations that are not allowed. Nothing in it has been run then.

    Example:
        >>> served = meta_gan.serving.load("served/glyphs/1")
    """
    folder = Path(path)
    found = inspect(folder, allow)
    if found.kind != "saved_model" or found.about.get("kind") != export.KIND:
        raise DamagedFileError(
            f"{str(path)!r} must be a SavedModel that meta_gan exported. Received: another {found.kind}"
        )
    _check_files(folder)
    if found.refused:
        raise DamagedFileError(f"{str(path)!r} must contain allowed operations only. Received: {list(found.refused)}")
    with reading.undamaged(path, "a whole SavedModel"):
        served = Served(tf.saved_model.load(str(folder)), found)
        if missing := sorted(set(found.signatures) - set(served.loaded_signatures)):
            raise ValueError(f"no function for the signatures {missing}")
    return served


def _check_files(folder: Path) -> None:
    """Raise a `DamagedFileError` unless the files of an export are regular and those of its manifest."""
    entries = list(folder.rglob("*"))
    if links := [str(each) for each in entries if each.is_symlink()]:
        raise DamagedFileError(f"{str(folder)!r} must contain files only, no links. Received: {links}")
    for each in entries:
        if not each.is_dir() and not each.is_file():
            raise DamagedFileError(f"{str(each)!r} must be a regular file. Received: a pipe, socket or device")
        if each.stat().st_size > reading.LARGEST_WEIGHTS:
            raise DamagedFileError(f"{str(each)!r} must be of at most {reading.LARGEST_WEIGHTS} bytes")
    manifest = folder / export.EXTRA / export.MANIFEST
    expected = reading.read_json(manifest)
    actual = export.digests(folder)
    if expected != actual:
        names = sorted(set(actual) | set(expected if isinstance(expected, dict) else ()))
        changed = [n for n in names if not isinstance(expected, dict) or actual.get(n) != expected.get(n)]
        raise DamagedFileError(
            f"the files of {str(folder)!r} must be those that were exported. Received: others in {changed}"
        )


def load_generator(path: str | os.PathLike[str], allow: Sequence[str] = ()) -> keras.Model:
    """Inspect and load a `generator.keras` that `AdaptedModel.save` wrote.

    Args:
        path: the `.keras` file.
        allow: further classes to allow; see `inspect`.

    Returns:
        The Keras model.

    Raises:
        ValueError: the file names classes or functions that are not allowed, such as a `Lambda`, or describes a model
            that is larger than its weights; a `DamagedFileError` if it is damaged.
        DivergenceError: a weight is NaN or infinite.

    Example:
        >>> images = meta_gan.serving.load_generator("glyph/generator.keras")(z)
    """
    file = Path(path)
    if not file.is_file():
        raise DamagedFileError(f"a .keras file must be an existing regular file. Received: {str(path)!r}")
    found = keras_files.inspected(file, set(allow))
    if found.refused:
        raise ValueError(
            f"{str(path)!r} must be a .keras file of Keras's layers and ours, in the sizes of its weights. "
            f"Received: {list(found.refused)}"
        )
    with keras_files.within(file, found.shapes), reading.undamaged(path, "a whole model"):
        model = keras.models.load_model(path, compile=False)
    check_converged(model.variables, f"the weights of {str(path)!r}")
    return model


def _tensor(name: str, value: Any, wanted: dict[str, Any]) -> Any:
    """Return an input as a tensor of the dtype and shape that the signature requires."""
    dtype, shape = tf.dtypes.as_dtype(wanted["dtype"]), wanted["shape"]
    said = f"{name!r} must be {dtype.name}{'' if shape is None else shape}".replace("None", "n")
    try:
        given = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{said}. Received: {error}") from error
    # Python numbers and lists have no dtype and are converted; the dtype of an array must match.
    fits = given.dtype == dtype.as_numpy_dtype if isinstance(value, np.ndarray | np.generic) else True
    if not fits:
        raise ValueError(f"{said}. Received: {given.dtype}{list(given.shape)}")
    sizes = zip(shape or [], given.shape, strict=False)
    if shape is not None and (len(shape) != given.ndim or any(a not in (None, b) for a, b in sizes)):
        raise ValueError(f"{said}. Received: {given.dtype}{list(given.shape)}")
    # TensorFlow would silently wrap larger numbers around.
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
    """Return the message of an assertion without its location in the graph.

    Graphs quote names in backquotes, because TensorFlow would escape other quotes.
    """
    lines = [line.strip() for line in str(error.message).splitlines()]
    kept = [line for line in lines if line.startswith(("b'", "[`")) or "`" in line]
    return kept[-1] if kept else str(error.message)
