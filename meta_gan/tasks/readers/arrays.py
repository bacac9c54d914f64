"""Tasks from arrays in memory: `from_arrays`, `from_sounds` and `from_texts`, and the conversions of all readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from meta_gan.checks import check_integer
from meta_gan.tasks.base import Source, default_split
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.media import Medium, Pictures, Sounds, Texts
from meta_gan.tasks.media.sounds import to_int16
from meta_gan.tasks.media.texts import alphabet_of
from meta_gan.tasks.pixels import to_uint8

LONGEST_TEXT = 64
"""The most characters to which texts are cut unless a length is given."""


def to_levels(images: ArrayLike, argument: str = "images") -> np.ndarray:
    """Return images, as in `from_arrays`, as uint8[n, height, width, channels], or raise a DataError.

    Example:
        >>> to_levels(np.array([[[0.0, 1.0]]])).ravel().tolist()
        [0, 255]
    """
    array = np.asarray(images)
    if array.ndim not in (3, 4) or array.size == 0:
        required = "[n, height, width] or [n, height, width, channels] with nothing of size 0"
        raise DataError(f"'{argument}' must have shape {required}. Received: shape {array.shape}")
    array = array[..., None] if array.ndim == 3 else array
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"'{argument}' must be uint8 or floating point. Received: dtype {array.dtype}")
    low, high = float(array.min()), float(array.max())
    if not -1 <= low <= high <= 1:
        required = "finite and lie in [-1, 1] or [0, 1]"
        raise DataError(f"'{argument}' of floats must be {required}. Received: {low:.6g} to {high:.6g}")
    return to_uint8(array if low < 0 else array * 2 - 1)


def to_labels(
    labels: ArrayLike, class_names: Sequence[str] | None, count: int, argument: str = "labels"
) -> tuple[np.ndarray, list[str]]:
    """Return int[n] or str[n] labels as int32[n] in 0..classes-1, and the class names, or raise a DataError.

    Integers index `class_names`; if these are None, each distinct label, in order, is its own name.

    Example:
        >>> to_labels([7, 3, 7], None, 3)[1]
        ['3', '7']
    """
    array = np.asarray(labels)
    textual = array.dtype.kind == "U"
    if array.shape != (count,) or not (textual or array.dtype.kind in "iu"):
        received = f"{array.dtype}{list(array.shape)}"
        raise DataError(f"'{argument}' must be {count} integers or strings, one for each example. Received: {received}")
    if class_names is None:
        values, indices = np.unique(array, return_inverse=True)
        return indices.astype(np.int32), [str(value) for value in values]
    names = [str(name) for name in class_names]
    if textual or array.min() < 0 or array.max() >= len(names):
        received = "strings" if textual else f"{array.min()} to {array.max()}"
        raise DataError(
            f"'{argument}' must be integers in 0..{len(names) - 1}, indices of the {len(names)} class names. "
            f"Received: {received}"
        )
    return array.astype(np.int32), names


def to_split(class_split: ArrayLike | None, class_names: Sequence[str]) -> np.ndarray:
    """Return a split as int8[classes] of 0, 1, 2, or raise a DataError; None is split by the names."""
    if class_split is None:
        return default_split(class_names)
    array = np.asarray(class_split)
    if array.shape != (len(class_names),) or not np.isin(array, (0, 1, 2)).all():
        raise DataError(
            f"'class_split' must be 0 (train), 1 (validation) or 2 (test) for each of the {len(class_names)} classes. "
            f"Received: {array.dtype}{list(array.shape)} with values {np.unique(array)[:5].tolist()}"
        )
    return array.astype(np.int8)


def make_source(
    stored: np.ndarray,
    labels: ArrayLike,
    class_names: Sequence[str] | None,
    class_split: ArrayLike | None = None,
    name: str = "arrays",
    medium: Medium | None = None,
    groups: np.ndarray | None = None,
    held_out: np.ndarray | None = None,
) -> Source:
    """Make a `Source` of stored examples, whose labels, names and split are as in `from_arrays`."""
    indices, names = to_labels(labels, class_names, len(stored))
    return Source(stored, indices, names, to_split(class_split, names), groups, name, held_out, medium or Pictures())


def _grouped(group_by: Any, count: int) -> tuple[np.ndarray, list[str]]:
    """Return the labels and names of the distinct values, or pairs of values, of `group_by`."""
    if not isinstance(group_by, tuple):
        return to_labels(group_by, None, count, "group_by")
    if len(group_by) != 2:
        raise DataError(f"'group_by' must be an array or a pair of arrays. Received: a tuple of {len(group_by)}")
    first, first_names = to_labels(group_by[0], None, count, "group_by[0]")
    second, second_names = to_labels(group_by[1], None, count, "group_by[1]")
    pairs, labels = np.unique(first.astype(np.int64) * len(second_names) + second, return_inverse=True)
    names = [f"{first_names[pair // len(second_names)]} × {second_names[pair % len(second_names)]}" for pair in pairs]
    return labels.astype(np.int32), names


def from_arrays(
    images: ArrayLike,
    labels: ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
    class_split: ArrayLike | None = None,
    group_by: Any = None,
    groups: ArrayLike | None = None,
    shots: int = 5,
    queries: int = 7,
    seed: int = 0,
) -> Tasks:
    """Make tasks from arrays of images.

    Args:
        images: uint8[n, height, width] or uint8[n, height, width, channels]; or floats in [-1, 1], or in [0, 1] if none
            is negative.
        labels: int[n] or str[n], the class of each image.
        class_names: the names that integer labels index; by default each distinct label is its own name.
        class_split: 0 train, 1 validation, 2 test for each class, in the order of `class_names` (of the sorted distinct
            labels if there are none); by default 80/10/10 by a hash of each name.
        group_by: replaces `labels` as the definition of a task: int[n] or str[n], or a pair of such arrays (speaker and
            digit, for example), and then each pair of values that occurs is a task, named "a × b".
        groups: int[n] or str[n]. An episode has at most one example of a group, so every class needs
            `shots + queries` groups.
        shots, queries, seed: see `Tasks`.

    Returns:
        `Tasks`.

    Raises:
        DataError: the arrays do not fit together, or a class has too few examples.

    Example:
        >>> images = np.zeros((24, 8, 8), np.uint8)
        >>> from_arrays(images, np.repeat(["a", "b"], 12), class_split=[0, 2]).splits["test"]
        ['b']
    """
    levels = to_levels(images)
    if group_by is not None:
        if class_names is not None or class_split is not None:
            raise DataError(
                "'group_by' names and splits its own classes, so 'class_names' and 'class_split' must be None. "
                f"Received: class_names={class_names!r}, class_split={class_split!r}"
            )
        labels, class_names = _grouped(group_by, len(levels))
    apart = None if groups is None else to_labels(groups, None, len(levels), "groups")[0]
    return Tasks(make_source(levels, labels, class_names, class_split, groups=apart), shots, queries, seed)


def from_sounds(
    audio: ArrayLike,
    labels: ArrayLike,
    rate: int,
    *,
    class_names: Sequence[str] | None = None,
    class_split: ArrayLike | None = None,
    name: str = "sounds",
    shots: int = 5,
    queries: int = 7,
    seed: int = 0,
) -> Tasks:
    """Make tasks from arrays of sounds.

    Args:
        audio: int16 or floats in [-1, 1], [n, samples] or [n, samples, 1], all of one length and rate.
        labels: int[n] or str[n], the class of each sound.
        rate: samples a second, >= 1.
        class_names, class_split: see `from_arrays`.
        name: what messages call the data.
        shots, queries, seed: see `Tasks`.

    Returns:
        `Tasks`, of episodes float32[tasks, n, samples, 1] in [-1, 1].

    Raises:
        ValueError: `rate` is not an integer >= 1.
        DataError: the arrays do not fit together, or a class has too few examples.

    Example:
        >>> from_sounds(np.zeros((24, 2048)), np.repeat(["a", "b"], 12), 8000, class_split=[0, 2]).example_shape
        (2048, 1)
    """
    source = make_source(to_int16(audio), labels, class_names, class_split, name, Sounds(rate))
    return Tasks(source, shots, queries, seed)


def from_texts(
    texts: Sequence[str],
    labels: ArrayLike,
    *,
    alphabet: str | None = None,
    length: int | None = None,
    class_names: Sequence[str] | None = None,
    class_split: ArrayLike | None = None,
    name: str = "texts",
    shots: int = 20,
    queries: int = 20,
    seed: int = 0,
) -> Tasks:
    """Make tasks from short texts.

    Args:
        texts: n texts of 1 or more characters.
        labels: int[n] or str[n], the class of each text.
        alphabet: the characters that may occur, at most 255; None for those that do.
        length: characters of a text; longer texts are cut. None for the longest's, at most 64.
        class_names, class_split: see `from_arrays`.
        name: what messages call the data.
        shots, queries, seed: see `Tasks`.

    Returns:
        `Tasks`, of episodes float32[tasks, n, length, characters + 1], one-hot; symbol 0 is the end.

    Raises:
        ValueError: `length` is not an integer >= 1.
        DataError: an empty text, one of other characters, or arrays that do not fit together.

    Example:
        >>> tasks = from_texts(["ab", "ba"] * 4, ["x"] * 4 + ["y"] * 4, class_split=[0, 2], shots=2, queries=2)
        >>> tasks.example_shape, tasks.source.medium.alphabet
        ((2, 3), 'ab')
    """
    texts = [str(text) for text in texts]
    medium = Texts(alphabet_of(texts) if alphabet is None else alphabet)
    longest = max((len(text) for text in texts), default=1)
    wanted = min(LONGEST_TEXT, max(1, longest)) if length is None else check_integer(length, "length", 1)
    source = make_source(medium.encode(texts, wanted, name), labels, class_names, class_split, name, medium)
    return Tasks(source, shots, queries, seed)
