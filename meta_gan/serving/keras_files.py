"""Inspection of `.keras` files: the classes that Keras would instantiate, read from the configuration only.

Keras finds a class by its registered name or, for classes that are not registered, by module and name. Some of these
classes load other files, unpickle code or import modules. Therefore only the classes that a network needs are allowed.
"""

from __future__ import annotations

import json
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

FILES = {"config.json", "metadata.json", "model.weights.h5"}
LARGEST = 2**30  # bytes of a file in the archive
CONFIG_LARGEST = 2**24
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
DAMAGE = (
    zipfile.BadZipFile,
    KeyError,
    OSError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
)


def inspected(file: Path, allow: set[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the classes that a file names, and those of them that are not allowed.

    Args:
        file: the `.keras` file.
        allow: further classes to allow, as `MODULE>NAME` or by their registered names.

    Returns:
        `(named, refused)`, each sorted.

    Raises:
        ValueError: the file is damaged, contains files that a model does not have, or is too large.
    """
    objects = list(_objects(_configuration(file)))
    refused = {_called(each) for each in objects if not _harmless(each)}
    return tuple(sorted({_called(each) for each in objects})), tuple(sorted(refused - allow))


def _configuration(file: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(file) as archive:
            if odd := sorted(set(archive.namelist()) - FILES):
                raise ValueError(f"{str(file)!r} must hold {sorted(FILES)} alone. Received: {odd}")
            for entry in archive.infolist():
                most = LARGEST if entry.filename.endswith(".h5") else CONFIG_LARGEST
                if entry.file_size > most:
                    raise ValueError(
                        f"{entry.filename!r} of {str(file)!r} must be of at most {most} bytes. "
                        f"Received: {entry.file_size}"
                    )
            if damaged := archive.testzip():
                raise ValueError(f"{str(file)!r} must be whole. Received: a damaged {damaged!r}")
            found = json.loads(archive.read("config.json"))
    except DAMAGE as error:
        raise ValueError(f"{str(file)!r} must be a whole .keras file. Received: {error!r}") from error
    if not isinstance(found, dict):
        raise ValueError(f"the configuration in {str(file)!r} must be an object. Received: {type(found).__name__}")
    return found


def _objects(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every part of a configuration that Keras would read as the description of an object."""
    if isinstance(tree, dict):
        if {"class_name", "module", "registered_name"} & tree.keys():
            yield tree
        for value in tree.values():
            yield from _objects(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _objects(value)


def _called(described: dict[str, Any]) -> str:
    """Return the name of a described object for messages: its registered name, else `MODULE>NAME`."""
    module, name, registered = (described.get(key) or "" for key in ("module", "class_name", "registered_name"))
    if name == "function":
        name = f"function {described.get('config')}"
    return str(registered) if registered and registered != name else f"{module}>{name}"


def _harmless(described: dict[str, Any]) -> bool:
    """Return True for plain data, a class of this package, or a Keras class that cannot run code from the file."""
    module, name, registered = (described.get(key) for key in ("module", "class_name", "registered_name"))
    if not isinstance(name, str) or "Lambda" in name:
        return False
    if name in PLAIN:
        return not module and not registered
    # Without a module, Keras uses an older lookup, by the class name alone.
    if not isinstance(module, str) or not module:
        return False
    if isinstance(registered, str) and registered.startswith(OURS):
        known = keras.saving.get_registered_object(registered)
        return known is not None and known.__name__ == name and module.split(".")[0] == "meta_gan"
    custom = keras.saving.get_custom_objects()
    plain = registered in (None, name) and name.isidentifier() and name[0].isupper()
    return plain and module in MODULES and name not in DENIED and name not in custom
