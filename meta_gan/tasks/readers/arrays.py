"""Tasks from arrays in memory: `from_arrays`, `from_sounds` and `from_texts`, and the conversions of all readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from meta_gan.checks import UNSIGNED, check_integer, to_bytes, value_range_of
from meta_gan.tasks import limits
from meta_gan.tasks.base import Source, default_split, without_small_classes
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError, data_errors, shown
from meta_gan.tasks.files import check_name, check_policy
from meta_gan.tasks.media import Medium, Pictures, Sounds, Texts
from meta_gan.tasks.media.sounds import to_int16
from meta_gan.tasks.media.texts import alphabet_of
from meta_gan.tasks.pixels import to_uint8

LONGEST_TEXT = 64
"""The most characters to which texts are cut unless a length is given."""
_TOGETHER = 2**20
"""Values that are converted at a time."""


def to_levels(images: ArrayLike, argument: str = "images", value_range: Any = None) -> np.ndarray:
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
    with data_errors():
        if not np.issubdtype(array.dtype, np.floating):
            return np.ascontiguousarray(to_bytes(array, argument))
        low, high = float(array.min()), float(array.max())
        if not -1 <= low <= high <= 1:
            required = "finite and lie in [-1, 1] or [0, 1]"
            raise DataError(f"'{argument}' of floats must be {required}. Received: {low:.6g} to {high:.6g}")
        unsigned = value_range_of(array, argument, value_range) == UNSIGNED
    levels = np.empty(array.shape, np.uint8)
    # In parts, since the conversion holds several arrays of floats.
    for start in range(0, len(array), step := max(1, _TOGETHER // array[0].size)):
        part = array[start : start + step]
        levels[start : start + step] = to_uint8(part * 2 - 1 if unsigned else part)
    return levels


def to_names(names: Any, argument: str = "class_names") -> list[str]:
    """Return names, str or UTF-8 bytes or numbers, as a list of str, or raise a DataError."""
    if isinstance(names, np.ndarray) and names.size > limits.CLASSES:
        raise DataError(f"'{argument}' must be at most {limits.CLASSES} names. Received: {names.size}")
    ordered = np.iterable(names) and not isinstance(names, (set, frozenset, Mapping))
    listed = names.tolist() if isinstance(names, np.ndarray) else list(names) if ordered else None
    if not isinstance(listed, list) or not all(
        isinstance(name, (str, bytes, int, float, np.generic)) for name in listed
    ):
        raise DataError(f"'{argument}' must be a list of names. Received: {str(names)[:80]}")
    return [check_name(_decoded(name, argument), f"'{argument}': every class") for name in listed]


def _decoded(name: Any, argument: str) -> str:
    if not isinstance(name, bytes):
        return str(name)
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"'{argument}' of bytes must be in UTF-8. Received: {name!r}") from error


def plain_labels(labels: ArrayLike, count: int, argument: str = "labels") -> np.ndarray:
    """Return labels in one of the usual forms as int[count] or str[count], or raise a DataError.

    Besides integers and strings these are: objects that are all integers or all strings (pandas), bytes in UTF-8, a
    column [count, 1], and one-hot rows [count, classes], which become the index of their 1.

    Example:
        >>> plain_labels(np.array([[0, 1], [1, 0]]), 2).tolist()
        [1, 0]
    """
    array = np.asarray(labels)
    if array.dtype.kind == "O":
        kinds = {type(value) for value in array.ravel().tolist()}
        if (kinds and kinds <= {str, np.str_}) or kinds == {bytes}:
            array = np.array(array.tolist())
        elif kinds and all(issubclass(kind, (int, np.integer)) and kind is not bool for kind in kinds):
            array = np.array(array.tolist(), np.int64) if _fits(array) else array
    if array.dtype.kind == "S":
        flat = [_decoded(value, argument) for value in array.ravel().tolist()]
        array = np.array(flat, dtype=str).reshape(array.shape)
    if array.ndim == 2 and len(array) == count and count:
        one_hot = array.shape[1] > 1 and array.dtype.kind in "iufb" and ((array == 0) | (array == 1)).all()
        if array.shape[1] == 1:
            array = array[:, 0]
        elif one_hot and (array.sum(axis=1) == 1).all():
            array = array.argmax(axis=1)
    if array.shape != (count,) or array.dtype.kind not in "iuU":
        received = f"{array.dtype}{list(array.shape)}"
        raise DataError(f"'{argument}' must be {count} integers or strings, one for each example. Received: {received}")
    return array


def _fits(array: np.ndarray) -> bool:
    return all(-(2**63) <= value < 2**63 for value in array.ravel().tolist())


def to_labels(
    labels: ArrayLike, class_names: Sequence[str] | None, count: int, argument: str = "labels"
) -> tuple[np.ndarray, list[str]]:
    """Return labels, as `plain_labels`, as int32[n] in 0..classes-1, and the class names, or raise a DataError.

    Integers index `class_names`; if these are None, each distinct label, in order, is its own name.

    Example:
        >>> to_labels([7, 3, 7], None, 3)[1]
        ['3', '7']
    """
    array = plain_labels(labels, count, argument)
    textual = array.dtype.kind == "U"
    if class_names is None:
        values, indices = np.unique(array, return_inverse=True)
        if len(values) > limits.CLASSES:
            raise DataError(f"'{argument}' must be of at most {limits.CLASSES} classes. Received: {len(values)}")
        return indices.astype(np.int32), to_names(values if textual else values.astype(str), argument)
    names = to_names(class_names)
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
    skipped: Sequence[str] = (),
    passed: Sequence[str] = (),
    tracks: np.ndarray | None = None,
) -> Source:
    """Make a `Source` of stored examples, whose labels, names and split are as in `from_arrays`.

    Control characters in names are stored escaped, so that no report or terminal meets them; the split is that of the
    names themselves.
    """
    indices, names = to_labels(labels, class_names, len(stored))
    split, safe = to_split(class_split, names), [shown(each) for each in names]
    notes = (tuple(skipped), tuple(passed))
    return Source(stored, indices, safe, split, groups, shown(name), held_out, medium or Pictures(), *notes, tracks)


def make_tasks(source: Source, shots: int, queries: int, seed: int, small_classes: str = "error") -> Tasks:
    """Make `Tasks` of a source; with `small_classes="skip"` without the classes that are too small for an episode."""
    if check_policy(small_classes, "small_classes") == "skip":
        needed = check_integer(shots, "shots", 1) + check_integer(queries, "queries", 1)
        source = without_small_classes(source, needed)
    return Tasks(source, shots, queries, seed)


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
    tracks: ArrayLike | None = None,
    value_range: Any = None,
    shots: int = 5,
    queries: int = 7,
    seed: int = 0,
    small_classes: str = "error",
) -> Tasks:
    """Make tasks from arrays of images.

    Args:
        images: uint8[n, height, width] or uint8[n, height, width, channels], or other integers in 0..255, or bool; or
            floats in [-1, 1], or in [0, 1] if none is negative.
        labels: int[n] or str[n], the class of each image; also as objects, bytes, a column [n, 1], or one-hot rows.
        class_names: the names that integer labels index; by default each distinct label is its own name.
        class_split: 0 train, 1 validation, 2 test for each class, in the order of `class_names` (of the sorted distinct
            labels if there are none); by default 80/10/10 by a hash of each name.
        group_by: replaces `labels` as the definition of a task: int[n] or str[n], or a pair of such arrays (speaker and
            digit, for example), and then each pair of values that occurs is a task, named "a × b".
        groups: int[n] or str[n]. An episode has at most one example of a group, so every class needs
            `shots + queries` groups.
        tracks: int[n] or str[n]. The examples of a track, such as the frames of one object, are all in the support or
            all in the query of an episode. Not together with `groups`.
        value_range: (-1, 1) or (0, 1), the range of floats; None to decide by the values, see `checks.value_range_of`.
        shots, queries, seed: see `Tasks`.
        small_classes: "error", or "skip" to go on without the classes that have fewer than `shots + queries` examples.

    Returns:
        `Tasks`.

    Raises:
        DataError: the arrays do not fit together, or a class has too few examples.

    Example:
        >>> images = np.zeros((24, 8, 8), np.uint8)
        >>> from_arrays(images, np.repeat(["a", "b"], 12), class_split=[0, 2]).splits["test"]
        ['b']
    """
    levels = to_levels(images, value_range=value_range)
    if group_by is not None:
        if class_names is not None or class_split is not None:
            raise DataError(
                "'group_by' names and splits its own classes, so 'class_names' and 'class_split' must be None. "
                f"Received: class_names={class_names!r}, class_split={class_split!r}"
            )
        labels, class_names = _grouped(group_by, len(levels))
    apart, kept = (
        None if given is None else to_labels(given, None, len(levels), name)[0]
        for given, name in ((groups, "groups"), (tracks, "tracks"))
    )
    source = make_source(levels, labels, class_names, class_split, groups=apart, tracks=kept)
    return make_tasks(source, shots, queries, seed, small_classes)


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
    small_classes: str = "error",
) -> Tasks:
    """Make tasks from arrays of sounds.

    Args:
        audio: int16 or floats in [-1, 1], [n, samples] or [n, samples, 1], all of one length and rate.
        labels: int[n] or str[n], the class of each sound.
        rate: samples a second, >= 1.
        class_names, class_split: see `from_arrays`.
        name: what messages call the data.
        shots, queries, seed: see `Tasks`.
        small_classes: see `from_arrays`.

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
    return make_tasks(source, shots, queries, seed, small_classes)


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
    small_classes: str = "error",
    skipped: Sequence[str] = (),
    passed: Sequence[str] = (),
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
        small_classes: see `from_arrays`.
        skipped, passed: see `Source`.

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
    stored = medium.encode(texts, wanted, shown(name))
    source = make_source(stored, labels, class_names, class_split, name, medium, skipped=skipped, passed=passed)
    return make_tasks(source, shots, queries, seed, small_classes)
