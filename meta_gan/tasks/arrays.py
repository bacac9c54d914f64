"""`from_arrays`: tasks from arrays in memory, and the conversions that the other loaders share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from meta_gan.tasks.base import Source, default_split
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.pixels import to_uint8


def to_levels(images: Any, argument: str = "images") -> np.ndarray:
    """Return images as uint8[n, height, width, channels].

    Args:
        images: uint8[n, height, width] or uint8[n, height, width, channels]; or floats of such a shape,
            finite and within [-1, 1]: with a negative value among them they are read as [-1, 1], with none as
            [0, 1].
        argument: the name that the messages use.

    Returns:
        uint8[n, height, width, channels].

    Raises:
        DataError: for anything else.

    Example:
        >>> to_levels(np.array([[[0.0, 1.0]]])).ravel().tolist()
        [0, 255]
    """
    array = np.asarray(images)
    if array.ndim not in (3, 4) or array.size == 0:
        raise DataError(
            f"`{argument}` must have shape [n, height, width] or [n, height, width, channels] with nothing "
            "of size 0. "
            f"Received: shape {array.shape}"
        )
    array = array[..., None] if array.ndim == 3 else array
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"`{argument}` must be uint8 or floating point. Received: dtype {array.dtype}")
    low, high = float(array.min()), float(array.max())
    if not -1 <= low <= high <= 1:
        raise DataError(
            f"`{argument}` of floats must be finite and lie in [-1, 1] or [0, 1]. Received: {low:.6g} to {high:.6g}"
        )
    return to_uint8(array if low < 0 else array * 2 - 1)


def to_labels(
    labels: Any, class_names: Sequence[str] | None, count: int, argument: str = "labels"
) -> tuple[np.ndarray, list[str]]:
    """Return labels as int32 in 0..classes-1, and the class names.

    Args:
        labels: int[n] or str[n].
        class_names: the names that integer labels index; None to name each distinct label, in order, by
            itself.
        count: n.
        argument: the name that the messages use.

    Returns:
        int32[n], and the names.

    Raises:
        DataError: for another dtype or shape, a label without a name, or names given with labels that are
            names.

    Example:
        >>> to_labels([7, 3, 7], None, 3)[1]
        ['3', '7']
    """
    array = np.asarray(labels)
    textual = array.dtype.kind == "U"
    if array.shape != (count,) or not (textual or array.dtype.kind in "iu"):
        raise DataError(
            f"`{argument}` must be {count} integers or strings, one for each image. "
            f"Received: {array.dtype}{list(array.shape)}"
        )
    if class_names is None:
        values, indices = np.unique(array, return_inverse=True)
        return indices.astype(np.int32), [str(value) for value in values]
    names = [str(name) for name in class_names]
    if textual or array.min() < 0 or array.max() >= len(names):
        received = "strings" if textual else f"{array.min()} to {array.max()}"
        raise DataError(
            f"`{argument}` must be integers in 0..{len(names) - 1}, indices of the {len(names)} class names. "
            f"Received: {received}"
        )
    return array.astype(np.int32), names


def to_split(class_split: Any, class_names: Sequence[str], argument: str = "class_split") -> np.ndarray:
    """Return int8[classes] of 0, 1, 2; None is split by the names, see `default_split`.

    Raises:
        DataError: if there is not one of 0, 1, 2 for each class.
    """
    if class_split is None:
        return default_split(class_names)
    array = np.asarray(class_split)
    if array.shape != (len(class_names),) or not np.isin(array, (0, 1, 2)).all():
        raise DataError(
            f"`{argument}` must be 0 (train), 1 (validation) or 2 (test) for each of the {len(class_names)} "
            "classes. "
            f"Received: {array.dtype}{list(array.shape)} with values {np.unique(array)[:5].tolist()}"
        )
    return array.astype(np.int8)


def _grouped(group_by: Any, count: int) -> tuple[np.ndarray, list[str]]:
    """Return the labels and names of the distinct values, or pairs of values, of `group_by`."""
    if not isinstance(group_by, tuple):
        return to_labels(group_by, None, count, "group_by")
    if len(group_by) != 2:
        raise DataError(f"`group_by` must be an array or a pair of arrays. Received: a tuple of {len(group_by)}")
    first, first_names = to_labels(group_by[0], None, count, "group_by[0]")
    second, second_names = to_labels(group_by[1], None, count, "group_by[1]")
    pairs, labels = np.unique(first.astype(np.int64) * len(second_names) + second, return_inverse=True)
    names = [f"{first_names[pair // len(second_names)]} × {second_names[pair % len(second_names)]}" for pair in pairs]
    return labels.astype(np.int32), names


def from_arrays(
    images: Any,
    labels: Any,
    *,
    class_names: Sequence[str] | None = None,
    class_split: Any = None,
    group_by: Any = None,
    groups: Any = None,
    shots: int = 5,
    queries: int = 7,
    seed: int = 0,
) -> Tasks:
    """Make tasks from arrays.

    Args:
        images: uint8[n, height, width] or uint8[n, height, width, channels]; or floats in [-1, 1], or in [0,
            1] when none is negative.
        labels: int[n] or str[n], the class of each image.
        class_names: the names that integer labels index; by default each distinct label is its own name.
        class_split: 0 train, 1 validation, 2 test for each class, in the order of `class_names` (of the
            sorted distinct labels where there are none); by default 80/10/10 by a hash of each name.
        group_by: replaces `labels` as the definition of a task: int[n] or str[n], or a pair of such arrays
            (speaker and digit, say), and then each pair of values that occurs is a task, named "a × b".
        groups: int[n] or str[n]: no two examples of a group occur in one episode. Every class then needs
            `shots + queries` groups.
        shots: support images of a task.
        queries: query images of a task.
        seed: the key of every draw.

    Returns:
        `Tasks`.

    Raises:
        DataError: if the arrays do not fit together or a class has too few examples.

    Example:
        >>> images = np.zeros((24, 8, 8), np.uint8)
        >>> from_arrays(images, np.repeat(["a", "b"], 12), class_split=[0, 2]).splits["test"]
        ['b']
    """
    levels = to_levels(images)
    if group_by is None:
        indices, names = to_labels(labels, class_names, len(levels))
    elif class_names is not None or class_split is not None:
        raise DataError(
            "`group_by` names and splits its own classes, so `class_names` and `class_split` must be None. "
            f"Received: class_names={class_names!r}, class_split={class_split!r}"
        )
    else:
        indices, names = _grouped(group_by, len(levels))
    apart = None if groups is None else to_labels(groups, None, len(levels), "groups")[0]
    source = Source(levels, indices, names, to_split(class_split, names), apart)
    return Tasks(source, shots, queries, seed)
