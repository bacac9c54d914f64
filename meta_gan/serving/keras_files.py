"""Inspection of `.keras` files without running them: whole archives, of arrays and of classes that are harmless."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import tensorflow as tf

from meta_gan import classes, reading
from meta_gan.errors import DamagedFileError

Shapes = list[tuple[int, ...]]
FILES = {"config.json", "metadata.json", "model.weights.h5"}
LARGEST = 2**30  # bytes of a file in the archive
CONFIG_LARGEST = 2**24
# Values and variables of a model beyond its stored weights, such as the states of random generators.
MORE_VALUES, MORE_VARIABLES = 2**16, 64


def inspected(file: Path, allow: set[str]) -> classes.Contents:
    """Return the contents of a file.

    Args:
        file: the `.keras` file.
        allow: further classes to allow, as `MODULE>NAME` or by their registered names.

    Raises:
        DamagedFileError: the file is damaged, contains files that a model does not have, or is too large.
    """
    config, shapes = _read(file)
    return classes.of_config(config, shapes, allow)


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
