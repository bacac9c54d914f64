"""Inspection of files from untrusted sources without running them: SavedModels and `.keras` files are programs.

A saved model of this package names classes, which loading it instantiates.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf

from meta_gan import classes, export, reading, storage
from meta_gan.errors import DamagedFileError
from meta_gan.serving import graphs, keras_files, weights
from meta_gan.serving.operations import SAVING, SERVED

SIDES = ("inputs", "outputs")
# Allowed in the graph outside functions, where neither a request nor loading runs them.
MADE_AT_TOP = {"AssignVariableOp", "VarIsInitializedOp"}


@dataclass(frozen=True)
class Inspection:
    """The contents of a file or folder, read without running any of it.

    Attributes:
        path: the inspected file or folder.
        kind: "saved_model", "keras" or "adapted_weights"; or "meta_model", "adapted_model" or another kind of folder
            that this package saved.
        signatures: of a SavedModel, `{name: {"inputs": {name: {"dtype", "shape"}}, "outputs": {...}}}`.
        operations: of a SavedModel, the operations that its signatures can run; of the others, the classes that they
            name.
        refused: those that are not on the list of allowed operations or classes; where there are classes, also
            descriptions of sizes that do not fit the weights.
        about: the description in the export or the file; empty if there is none.
    """

    path: str
    kind: str
    signatures: dict[str, Any] = field(default_factory=dict)
    operations: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)


def inspect(path: str | os.PathLike[str], allow: Sequence[str] = ()) -> Inspection:
    """Inspect an exported or saved folder, a `.keras` file or a file of adapted weights without running any of it.

    Args:
        path: the folder or file.
        allow: further operations of a graph, or classes of a configuration as `MODULE>NAME`, to allow.

    Returns:
        An `Inspection`. `load` refuses an export whose `refused` is not empty, and `meta_gan.load` such a model of the
        Hugging Face hub.

    Raises:
        ValueError: `path` does not exist, is truncated or damaged, or is none of these kinds.

    Example:
        >>> meta_gan.serving.inspect("served/glyphs/1").refused
        ()
    """
    place = Path(path)
    if any(os.path.lexists(place / name) for name in (storage.CONFIG, storage.WEIGHTS)):
        return _saved_folder(place, set(allow))
    if place.is_dir():
        return _saved_model(place, set(allow))
    # Pipes and devices are never opened.
    if not place.is_file():
        raise DamagedFileError(f"'path' must be an existing file or folder. Received: {str(path)!r}")
    if zipfile.is_zipfile(place) or place.suffix == ".keras":
        contents = keras_files.inspected(place, set(allow))
        return Inspection(str(place), "keras", operations=contents.named, refused=contents.refused)
    return Inspection(str(path), "adapted_weights", about=weights.read_header(place))


def _saved_folder(folder: Path, allow: set[str]) -> Inspection:
    kind, found = classes.of_folder(folder, allow)
    return Inspection(str(folder), kind, operations=found.named, refused=found.refused)


def _saved_model(folder: Path, allow: set[str]) -> Inspection:
    graph = graphs.read(folder)
    with reading.undamaged(folder, "whole"):
        names = graphs.signatures(graph)
        served = {op for name in names for op in graphs.served_operations(graph, name)}
        served |= graphs.callable_operations(graph)
        unknown = served - SERVED
        unknown |= graphs.saving_operations(graph) - SAVING - SERVED
        unknown |= graphs.other_operations(graph) - SERVED - MADE_AT_TOP
        refused = sorted((unknown | set(graphs.odd_objects(graph))) - allow)
        signatures = {name: _sides(graph.signature_def[name]) for name in names}
    return Inspection(str(folder), "saved_model", signatures, tuple(sorted(served)), tuple(refused), _about(folder))


def _sides(signature: Any) -> dict[str, Any]:
    sides = {"inputs": signature.inputs, "outputs": signature.outputs}
    return {side: {key: _tensor(given) for key, given in sorted(each.items())} for side, each in sides.items()}


def _about(folder: Path) -> dict[str, Any]:
    """Return the description in an export of this package; an empty dict for any other SavedModel."""
    file = folder / export.EXTRA / export.ABOUT
    if not os.path.lexists(file):
        return {}
    with reading.undamaged(file, "a description that meta_gan wrote"):
        about = json.loads(reading.read_bytes(file, reading.LARGEST_CONFIG))
        sound = isinstance(about["limits"], dict) and all(
            isinstance(described, dict)
            for signature in about["signatures"].values()
            for side in SIDES
            for described in (signature[side], *signature[side].values())
        )
        if not sound:
            raise ValueError(str(about)[:80])
        return about


def _tensor(info: Any) -> dict[str, Any]:
    unknown = info.tensor_shape.unknown_rank
    shape = None if unknown else [None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim]
    return {"dtype": tf.dtypes.as_dtype(info.dtype).name, "shape": shape}
