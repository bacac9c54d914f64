"""List the classes that Keras would instantiate from a configuration, and decide which of them are harmless.

Keras finds a class by its registered name or, if it is not registered, by module and name. Some classes load other
files, unpickle code or import modules. Therefore only the classes that networks need are allowed, in sizes that fit the
stored weights.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from meta_gan import reading, storage

# The entries of a saved configuration from which objects are built; the other entries are data.
BUILT = ("game", "algorithm", "network")
MOST_OBJECTS = 5000
OURS = "meta_gan>"
# Modules whose classes are allowed. Their functions are not, because some of them load or download files.
MODULES = {
    *("keras", "keras.layers", "keras.models", "keras.initializers", "keras.regularizers", "keras.constraints"),
    *("keras.dtype_policies", "keras.optimizers", "keras.losses", "keras.metrics", "keras.random"),
    *("keras.src.models.functional", "keras.src.models.sequential"),
}
# Layers that run arbitrary code or read arbitrary files.
DENIED = {
    *("TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "StringLookup", "IntegerLookup", "TextVectorization"),
}
# Plain data, which Keras serialises in the same form as objects.
PLAIN = {"__tuple__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__", "__keras_tensor__"}


@dataclass(frozen=True)
class Contents:
    """The contents of a configuration, read without running any of it.

    Attributes:
        named: the classes that it names.
        refused: those of `named` that are not allowed, and descriptions of sizes that do not fit the stored weights.
        shapes: the shapes of the stored weights.
    """

    named: tuple[str, ...]
    refused: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]


def of_config(config: Any, shapes: Iterable[tuple[int, ...]], allow: set[str]) -> Contents:
    """Return the classes that Keras would instantiate from a configuration.

    Args:
        config: the configuration, as JSON values.
        shapes: the shapes of the stored weights.
        allow: other classes to allow, as `MODULE>NAME` or by registered name.
    """
    shapes = tuple(shapes)
    objects = list(_objects(config))
    refused = {_called(each) for each in objects if not _harmless(each)} - allow
    refused |= set(reading.oversized(config, shapes))
    if len(objects) > MOST_OBJECTS:
        refused.add(f"{len(objects)} objects, at most {MOST_OBJECTS}")
    return Contents(tuple(sorted({_called(each) for each in objects})), tuple(sorted(refused)), shapes)


def of_folder(folder: str | os.PathLike[str], allow: set[str]) -> tuple[str, Contents]:
    """Read and verify the folder of a saved model, and return its kind and its contents.

    Args:
        folder: the folder.
        allow: see `of_config`.

    Raises:
        DamagedFileError: a file is missing or damaged.
    """
    kind = storage.read_config(folder)["kind"]
    config, arrays = storage.read_model(folder, kind)
    built = {name: config[name] for name in BUILT if name in config}
    return kind, of_config(built, (array.shape for array in arrays.values()), allow)


def _objects(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every part of a configuration from which Keras would build an object."""
    if isinstance(tree, dict):
        if {"class_name", "module", "registered_name"} & tree.keys():
            yield tree
        for value in tree.values():
            yield from _objects(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _objects(value)


def _called(described: dict[str, Any]) -> str:
    """Return the name of an object for messages: its registered name if it has one, else `MODULE>NAME`."""
    module, name, registered = (described.get(key) or "" for key in ("module", "class_name", "registered_name"))
    if name == "function":
        name = f"function {described.get('config')}"
    return str(registered) if registered and registered != name else f"{module}>{name}"


def _harmless(described: dict[str, Any]) -> bool:
    """Return True for plain data, a class of this package, or a Keras class that cannot run code of the file."""
    module, name, registered = (described.get(key) for key in ("module", "class_name", "registered_name"))
    if not isinstance(name, str) or "Lambda" in name:
        return False
    if name in PLAIN:
        return not module and not registered
    # Without a module, Keras falls back to an older lookup by class name alone.
    if not isinstance(module, str) or not module:
        return False
    if isinstance(registered, str) and registered.startswith(OURS):
        known = keras.saving.get_registered_object(registered)
        return known is not None and known.__name__ == name and module.split(".")[0] == "meta_gan"
    custom = keras.saving.get_custom_objects()
    plain = registered in (None, name) and name.isidentifier() and name[0].isupper()
    return plain and module in MODULES and name not in DENIED and name not in custom
