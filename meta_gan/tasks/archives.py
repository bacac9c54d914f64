"""`from_npz`: tasks from a NumPy archive, in either of two forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from meta_gan.checks import IMAGE_AXES, check_shape
from meta_gan.tasks.arrays import to_labels, to_levels, to_split
from meta_gan.tasks.base import Source
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.npz import open_npz, rate_of, read_array
from meta_gan.tasks.photos import resize_images
from meta_gan.tasks.sounds import from_sounds
from meta_gan.tasks.texts import from_texts

FORMS = (
    "`images` and `labels`, or `x_train` and `y_train` and/or `x_test` and `y_test`; or `audio`, `rate` and `labels` "
    "of sounds; or `texts` and `labels`"
)


def from_npz(
    path: str | Path,
    *,
    split_key: str = "class_split",
    image_shape: Any = None,
    shots: int = 5,
    queries: int = 7,
    seed: int = 0,
) -> Tasks:
    """Make tasks from a `.npz` file.

    The file holds `images` and `labels`, or `x_train`, `y_train`, `x_test`, `y_test` (either part alone will do;
    both are joined, for the split here is by class, and the test part is marked `held_out`); or sounds, `audio`
    int16 or floats [n, samples], their `rate` and `labels`; or `texts`, str[n], and `labels`. `class_names` and the
    split are optional.

    Args:
        path: the file. Images are uint8[n, height, width] or [n, height, width, channels], or floats (see
            `from_arrays`); labels are integers.
        split_key: the array with 0 train, 1 validation, 2 test for each class. Where the file has no
            `class_split` the classes are split 80/10/10 by a hash of their names.
        image_shape: (height, width, channels) to resize to by area, or None to keep the images as they are; None
            for sounds and texts.
        shots: support images of a task.
        queries: query images of a task.
        seed: the key of every draw.

    Returns:
        `Tasks`.

    Raises:
        FileNotFoundError: if the file is not there.
        DataError: if it is no such archive, or its arrays do not fit together.

    Example:
        `from_npz("omniglot28.npz", split_key="class_split_vinyals", shots=1, queries=5)`
    """
    path = Path(path)
    shape = None if image_shape is None else check_shape(image_shape, "image_shape", IMAGE_AXES)
    with open_npz(path) as archive:
        if split_key != "class_split" and split_key not in archive.files:
            raise DataError(f"{path}: `split_key` must be one of {archive.files}. Received: {split_key!r}")
        for medium in ("audio", "texts"):
            if {medium, "labels"} <= set(archive.files):
                if shape is not None:
                    raise DataError(f"{path}: `image_shape` must be None for `{medium}`. Received: {image_shape}")
                return _sequences(path, archive, medium, split_key, {"shots": shots, "queries": queries, "seed": seed})
        keys = _parts(path, archive.files)
        parts = [(read_array(path, archive, first), read_array(path, archive, second)) for first, second in keys]
        names = read_array(path, archive, "class_names").tolist() if "class_names" in archive.files else None
        split = read_array(path, archive, split_key) if split_key in archive.files else None
    images, labels = (_join(path, [part[which] for part in parts], keys, which) for which in (0, 1))
    levels = to_levels(images, f"{path}:{keys[0][0]}")
    indices, names = to_labels(labels, names, len(levels), f"{path}:{keys[0][1]}")
    split = to_split(split, names, f"{path}:{split_key}")
    levels = levels if shape is None else resize_images(levels, shape)
    sizes = [len(part[1]) for part in parts]
    held_out = np.repeat([False, True], sizes) if len(parts) == 2 else None
    return Tasks(Source(levels, indices, names, split, name=path.name, held_out=held_out), shots, queries, seed)


def _sequences(path: Path, archive: Any, medium: str, split_key: str, episode: dict[str, int]) -> Tasks:
    """Make tasks of the sounds or texts of an open archive."""
    found = {key: read_array(path, archive, key) for key in (medium, "labels")}
    names = read_array(path, archive, "class_names").tolist() if "class_names" in archive.files else None
    split = read_array(path, archive, split_key) if split_key in archive.files else None
    fixed: dict[str, Any] = {"class_names": names, "class_split": split, "name": path.name, **episode}
    rate = rate_of(path, archive) if medium == "audio" else 0
    try:
        if medium == "texts":
            if found["texts"].dtype.kind != "U":
                raise DataError(f"`texts` must be strings. Received: {found['texts'].dtype}")
            return from_texts(found["texts"].tolist(), found["labels"], **fixed)
        return from_sounds(found["audio"], found["labels"], rate, **fixed)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _parts(path: Path, keys: list[str]) -> list[tuple[str, str]]:
    """Return the pairs of (images, labels) keys that the archive holds."""
    parts = [pair for pair in (("x_train", "y_train"), ("x_test", "y_test")) if set(pair) <= set(keys)]
    parts = [("images", "labels")] if {"images", "labels"} <= set(keys) else parts
    if not parts:
        raise DataError(f"{path}: must hold {FORMS}. Received: {', '.join(keys)}")
    return parts


def _join(path: Path, arrays: list[np.ndarray], keys: list[tuple[str, str]], which: int) -> np.ndarray:
    if len({(array.dtype, array.shape[1:]) for array in arrays}) > 1:
        received = ", ".join(f"{pair[which]} {a.dtype}{list(a.shape)}" for pair, a in zip(keys, arrays, strict=True))
        raise DataError(f"{path}: both parts must have one dtype and shape. Received: {received}")
    return np.concatenate(arrays)
