"""Looking into what a stranger sent, without running it: a SavedModel is a program, and so is a `.keras` file."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from meta_gan import export
from meta_gan.serving import graphs, weights
from meta_gan.serving.operations import SAVING, SERVED

KERAS_FILES = {"config.json", "metadata.json", "model.weights.h5"}
# Of Keras, what networks are made of: classes alone, since its functions load files and download.
KERAS_MODULES = {
    *("keras", "keras.layers", "keras.models", "keras.initializers", "keras.regularizers", "keras.constraints"),
    *("keras.dtype_policies", "keras.optimizers", "keras.losses", "keras.metrics", "keras.random"),
    *("keras.src.models.functional", "keras.src.models.sequential"),
}
# What Keras serializes beside objects of modules.
PLAIN_CLASSES = {"__tuple__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__"}


@dataclass(frozen=True)
class Inspection:
    """What was found in a file or folder, none of which was run.

    Attributes:
        path: what was looked at.
        kind: "saved_model", "keras" or "adapted_weights".
        signatures: of a SavedModel, `{name: {"inputs": {name: {"dtype", "shape"}}, "outputs": {...}}}`.
        operations: of a SavedModel, what its signatures can run; of a `.keras` file, the classes that it names.
        refused: what is not on the list of what our models are made of.
        about: what the export, or the file, says of itself; empty if it says nothing.
    """

    path: str
    kind: str
    signatures: dict[str, Any] = field(default_factory=dict)
    operations: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)


def inspect(path: str | os.PathLike[str], allow: Sequence[str] = ()) -> Inspection:
    """Looks into an exported folder, a `.keras` file or a file of adapted weights. Nothing in it is run.

    Args:
        path: of the folder or file.
        allow: further operations of a graph, or classes of a `.keras` file as `MODULE>NAME`, that are no surprise.

    Returns:
        An `Inspection`, whose `refused` names what else is in there; `load` refuses what has any.

    Raises:
        ValueError: there is nothing, or something that is cut short or of none of the three kinds.

    Example:
        >>> meta_gan.serving.inspect("served/glyphs/1").refused
        ()
    """
    place = Path(path)
    if place.is_dir():
        return _saved_model(place, set(allow))
    if not place.is_file():
        raise ValueError(f"there must be a file or folder to look into. Received: {str(path)!r}")
    if zipfile.is_zipfile(place) or place.suffix == ".keras":
        return _keras(place, set(allow))
    return Inspection(str(path), "adapted_weights", about=weights.read_header(place))


def _saved_model(folder: Path, allow: set[str]) -> Inspection:
    graph = graphs.read(folder)
    served: set[str] = set()
    signatures = {}
    for name, signature in sorted(graph.signature_def.items()):
        if name.startswith("__saved_model"):
            continue
        served |= graphs.served_operations(graph, name)
        sides = {"inputs": signature.inputs, "outputs": signature.outputs}
        signatures[name] = {
            side: {key: _tensor(given) for key, given in sorted(tensors.items())} for side, tensors in sides.items()
        }
    outside = graphs.all_operations(graph) - served - SAVING - SERVED
    refused = sorted((served - SERVED | outside) - allow)
    file = folder / export.EXTRA / export.ABOUT
    about = _json(file.read_bytes(), str(file)) if file.is_file() else {}
    return Inspection(str(folder), "saved_model", signatures, tuple(sorted(served)), tuple(refused), about)


def _tensor(info: Any) -> dict[str, Any]:
    unknown = info.tensor_shape.unknown_rank
    shape = None if unknown else [None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim]
    return {"dtype": tf.dtypes.as_dtype(info.dtype).name, "shape": shape}


def _keras(file: Path, allow: set[str]) -> Inspection:
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
            if odd := sorted(names - KERAS_FILES):
                raise ValueError(f"{str(file)!r} must hold {sorted(KERAS_FILES)} alone. Received: {odd}")
            if damaged := archive.testzip():
                raise ValueError(f"{str(file)!r} must be whole. Received: a damaged {damaged!r}")
            config = _json(archive.read("config.json"), f"{file}: config.json")
    except (zipfile.BadZipFile, KeyError, OSError, NotImplementedError) as error:
        raise ValueError(f"{str(file)!r} must be a whole .keras file. Received: {error}") from error
    named = {_called(*each) for each in _objects(config)}
    refused = sorted(name for name in named if not _harmless(name) and name not in allow)
    return Inspection(str(file), "keras", operations=tuple(sorted(named)), refused=tuple(refused))


def _objects(tree: Any) -> Iterator[tuple[str, str, str]]:
    """`(module, class, registered name)` of all that a configuration would have Keras make."""
    if isinstance(tree, dict):
        if "class_name" in tree or "module" in tree or "registered_name" in tree:
            keys = ("module", "class_name", "registered_name")
            module, name, registered = (str(tree.get(key) or "") for key in keys)
            # A function is named by its configuration.
            yield module, f"{name}:{tree.get('config')}" if name == "function" else name, registered
        for value in tree.values():
            yield from _objects(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _objects(value)


def _called(module: str, name: str, registered: str) -> str:
    # Keras takes a registered name before a module, but a module where the name is not registered.
    ours = registered.startswith("meta_gan>") and keras.saving.get_registered_object(registered) is not None
    return registered if ours and module.split(".")[0] in ("meta_gan", "") else f"{module}>{name}"


def _harmless(called: str) -> bool:
    """Whether it is a class of ours, or a layer or the like of Keras that runs no code of the file."""
    module, _, name = called.partition(">")
    if name in PLAIN_CLASSES and not module:
        return True
    return module == "meta_gan" or (module in KERAS_MODULES and name[:1].isupper() and "Lambda" not in name)


def _json(data: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError as error:
        raise ValueError(f"{what} must be JSON. Received: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{what} must be a JSON object. Received: {type(found).__name__}")
    return found
