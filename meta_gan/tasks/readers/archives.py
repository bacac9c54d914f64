"""`from_npz`: tasks from a NumPy archive of images, sounds or texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan.checks import IMAGE_AXES, check_shape
from meta_gan.tasks import limits
from meta_gan.tasks.archive import Archive
from meta_gan.tasks.base import Source
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError, shown
from meta_gan.tasks.media.pictures import resize_images
from meta_gan.tasks.readers.arrays import from_sounds, from_texts, make_source, make_tasks, to_labels, to_levels

FORMS = (
    "'images' and 'labels', or 'x_train' and 'y_train' and/or 'x_test' and 'y_test'; or 'audio', 'rate' and 'labels' "
    "of sounds; or 'texts' and 'labels'"
)


def from_npz(
    path: str | Path,
    *,
    split_key: str = "class_split",
    image_shape: Sequence[int] | None = None,
    shots: int = 5,
    queries: int = 7,
    seed: int = 0,
    small_classes: str = "error",
) -> Tasks:
    """Make tasks from a `.npz` file.

    The file holds `images` and `labels`; or `x_train`, `y_train`, `x_test`, `y_test` (one part is enough; both are
    joined, because classes are split here, and the test part is marked `held_out`), with `tracks` if examples belong to
    some, see `from_arrays`; or sounds, `audio` int16 or floats
    [n, samples], their `rate` and `labels`; or `texts`, str[n], and `labels`. `class_names` and the split are optional.

    Args:
        path: the file. Images and labels are as in `from_arrays`. An array that was compressed may open to 64 MB, or to
            256 times its size in the file.
        split_key: the array with 0 train, 1 validation, 2 test for each class. If the file has no `class_split`, the
            classes are split 80/10/10 by a hash of their names.
        image_shape: (height, width, channels) to resize to by area, or None to keep the images as they are; None for
            sounds and texts.
        shots, queries, seed: see `Tasks`.
        small_classes: see `from_arrays`.

    Returns:
        `Tasks`.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is not such an archive, or its arrays do not fit together.

    Example:
        `from_npz("omniglot28.npz", split_key="class_split_vinyals", shots=1, queries=5)`
    """
    path = Path(path)
    episode: dict[str, Any] = {"shots": shots, "queries": queries, "seed": seed, "small_classes": small_classes}
    shape = None if image_shape is None else check_shape(image_shape, "image_shape", IMAGE_AXES)
    with Archive(path) as archive, _named(path):
        if split_key != "class_split" and split_key not in archive.names:
            raise DataError(f"{path}: 'split_key' must be one of {archive.names}. Received: {split_key!r}")
        options: dict[str, Any] = {"class_names": archive.get("class_names"), "name": path.name}
        options["class_split"] = archive.get(split_key)
        medium = next((key for key in ("audio", "texts") if {key, "labels"} <= set(archive.names)), None)
        if medium is None:
            return make_tasks(_image_source(path, archive, shape, options), **episode)
        if shape is not None:
            raise DataError(f"{path}: 'image_shape' must be None for '{medium}'. Received: {image_shape}")
        examples, labels = archive[medium], archive["labels"]
        if medium == "audio":
            return from_sounds(examples, labels, archive.rate(), **options, **episode)
        if examples.dtype.kind != "U" or examples.ndim != 1:
            raise DataError(f"'texts' must be strings, [n]. Received: {examples.dtype}{list(examples.shape)}")
        if len(examples) > limits.TEXTS:
            raise DataError(f"'texts' must be at most {limits.TEXTS}. Received: {len(examples)}")
        return from_texts(examples.tolist(), labels, **options, **episode)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Raise errors about arrays as a DataError that names the file; arrays of strangers can hold anything."""
    try:
        yield
    except (ValueError, TypeError, OverflowError, MemoryError, IndexError) as error:
        where = shown(path)
        said = str(error) or type(error).__name__
        raise DataError(said if said.startswith((where, path.name)) else f"{where}: {said}") from error


def _image_source(path: Path, archive: Archive, shape: tuple[int, ...] | None, options: dict[str, Any]) -> Source:
    keys = [pair for pair in (("x_train", "y_train"), ("x_test", "y_test")) if set(pair) <= set(archive.names)]
    keys = [("images", "labels")] if {"images", "labels"} <= set(archive.names) else keys
    if not keys:
        raise DataError(f"{path}: must hold {FORMS}. Received: {', '.join(map(shown, archive.names))}")
    parts = [[archive[key] for key in pair] for pair in keys]
    held_out = np.repeat([False, True], [len(labels) for _, labels in parts]) if len(parts) == 2 else None
    images, labels = (_joined([pair[i] for pair in keys], [pair[i] for pair in parts]) for i in (0, 1))
    levels = to_levels(images, keys[0][0])
    levels = levels if shape is None else resize_images(levels, shape)
    key = next((key for key in ("tracks", "track") if key in archive.names), None)
    tracks = None if key is None else to_labels(archive[key], None, len(levels), key)[0]
    return make_source(levels, labels, **options, held_out=held_out, tracks=tracks)


def _joined(keys: list[str], arrays: list[np.ndarray]) -> np.ndarray:
    if len({(array.dtype, array.shape[1:]) for array in arrays}) > 1:
        received = ", ".join(f"{key} {a.dtype}{list(a.shape)}" for key, a in zip(keys, arrays, strict=True))
        raise DataError(f"both parts must have one dtype and shape. Received: {received}")
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
