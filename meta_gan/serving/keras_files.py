"""Inspection of `.keras` files, and of configurations: the classes that Keras would instantiate.

Keras finds a class by its registered name or, for classes that are not registered, by module and name. Some of these
classes load other files, unpickle code or import modules. Therefore only the classes that a network needs are allowed,
in sizes that fit the stored weights.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
import tensorflow as tf

from meta_gan import reading
from meta_gan.errors import DamagedFileError

Shapes = list[tuple[int, ...]]
FILES = {"config.json", "metadata.json", "model.weights.h5"}
LARGEST = 2**30  # bytes of a file in the archive
CONFIG_LARGEST = 2**24
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
# Values and variables of a model beyond its stored weights, such as the states of random generators.
MORE_VALUES, MORE_VARIABLES = 2**16, 64


@dataclass(frozen=True)
class Contents:
    """The contents of a `.keras` file, read without running any of it.

    Attributes:
        named: the classes that it names.
        refused: those of them that are not allowed, and descriptions of the sizes that do not fit the stored weights.
        shapes: the shapes of the stored weights.
    """

    named: tuple[str, ...]
    refused: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]


def inspected(file: Path, allow: set[str]) -> Contents:
    """Return the contents of a file.

    Args:
        file: the `.keras` file.
        allow: further classes to allow, as `MODULE>NAME` or by their registered names.

    Raises:
        DamagedFileError: the file is damaged, contains files that a model does not have, or is too large.
    """
    config, shapes = _read(file)
    return contents(config, shapes, allow)


def contents(config: Any, shapes: Iterable[tuple[int, ...]], allow: set[str]) -> Contents:
    """Return what a configuration would have Keras instantiate.

    Args:
        config: JSON values.
        shapes: of the stored weights.
        allow: see `inspected`.
    """
    shapes = tuple(shapes)
    objects = list(_objects(config))
    refused = {_called(each) for each in objects if not _harmless(each)} - allow
    refused |= set(reading.oversized(config, shapes))
    if len(objects) > MOST_OBJECTS:
        refused.add(f"{len(objects)} objects, at most {MOST_OBJECTS}")
    return Contents(tuple(sorted({_called(each) for each in objects})), tuple(sorted(refused)), shapes)


@contextmanager
def within(file: Path, shapes: tuple[tuple[int, ...], ...]) -> Iterator[None]:
    """Let a block create variables that fit the stored weights only; no larger one is initialised.

    Raises:
        ValueError: the block creates more variables, or of more values; whatever Keras makes of the error.
    """
    left = [2 * len(shapes) + MORE_VARIABLES, sum(map(math.prod, shapes)) + MORE_VALUES]
    said = f"{str(file)!r} must describe a model of the size of its {len(shapes)} stored arrays"

    def create(make: Callable[..., Any], **options: Any) -> Any:
        value = options["initial_value"]
        if callable(value):
            # Tracing computes the shape and allocates nothing. An initial value may depend on other variables.
            shape = tf.function(value, autograph=False).get_concrete_function().output_shapes
        else:
            shape = tf.TensorShape(value.shape)
        left[0], left[1] = left[0] - 1, left[1] - shape.num_elements()
        if min(left) < 0:
            raise ValueError(f"{said}. Received: more or larger ones, at one of shape {shape}")
        return make(**options)

    try:
        with tf.variable_creator_scope(create):
            yield
    except Exception as error:
        if min(left) < 0:
            raise ValueError(f"{said}. Received: more or larger ones") from error
        raise


def _read(file: Path) -> tuple[dict[str, Any], Shapes]:
    """Return the configuration in a file, and the shapes of its weights."""
    data = reading.read_bytes(file, LARGEST)
    with reading.undamaged(file, "a whole .keras file"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if odd := sorted(set(archive.namelist()) - FILES):
                raise DamagedFileError(f"{str(file)!r} must hold {sorted(FILES)} alone. Received: {odd}")
            for entry in archive.infolist():
                most = LARGEST if entry.filename.endswith(".h5") else CONFIG_LARGEST
                if entry.file_size > most:
                    raise DamagedFileError(
                        f"{entry.filename!r} of {str(file)!r} must be of at most {most} bytes. "
                        f"Received: {entry.file_size}"
                    )
        with reading.open_archive(data, file) as archive:
            if damaged := archive.testzip():
                raise DamagedFileError(f"{str(file)!r} must be whole. Received: a damaged {damaged!r}")
            found = reading.parse_json(archive.read("config.json"), file)
            weights = archive.read("model.weights.h5")
        if not isinstance(found, dict):
            raise ValueError(f"a configuration that is a {type(found).__name__}")
        return found, _shapes(weights)


def _shapes(data: bytes) -> Shapes:
    """Return the shapes of the arrays of an HDF5 file, whose values must be in the file itself."""
    found: Shapes = []
    size, seen = 0, set()
    with h5py.File(io.BytesIO(data), "r") as file:
        wanted: list[Any] = [file]
        while wanted:
            group = wanted.pop()
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise ValueError(f"a link to another file or place, {name!r}")
                each = group[name]
                place = h5py.h5o.get_info(each.id).addr
                if place in seen:
                    raise ValueError(f"{name!r} at two places")
                seen.add(place)
                if isinstance(each, h5py.Group):
                    wanted.append(each)
                    continue
                if not isinstance(each, h5py.Dataset) or each.is_virtual or each.external:
                    raise ValueError(f"an array {name!r} whose values are elsewhere")
                found.append(tuple(each.shape))
                size += math.prod(each.shape) * each.dtype.itemsize
    if size > max(2**20, reading.MOST_EXPANSION * len(data)):
        raise ValueError(f"arrays of {size} bytes in {len(data)}")
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
