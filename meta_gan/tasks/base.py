"""`Source`: labelled examples split by class, which every loader of this package produces."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from meta_gan.checks import check_choice
from meta_gan.tasks.errors import DataError, data_errors
from meta_gan.tasks.files import note_of
from meta_gan.tasks.media import Medium, Pictures

SPLITS = ("train", "validation", "test")
"""The names of the values 0, 1 and 2 of `Source.class_split`."""


def default_split(class_names: Iterable[str]) -> np.ndarray:
    """Split classes 80/10/10 by a hash of each name alone, so that adding classes moves none of the others.

    The first eight bytes of the sha256 of the UTF-8 name, read as a fraction of 2**64: below .8 is train, below .9
    validation, the rest test. With few classes a split can be empty.

    Args:
        class_names: the names.

    Returns:
        int8[classes]: 0 train, 1 validation, 2 test.

    Example:
        >>> default_split(["a", "b", "c"]).shape
        (3,)
    """
    digests = (hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest() for name in class_names)
    fractions = [int.from_bytes(digest[:8], "big") / 2.0**64 for digest in digests]
    return np.array([(part >= 0.8) + (part >= 0.9) for part in fractions], np.int8)


@dataclass(frozen=True, eq=False)
class Source:
    """Labelled examples with a split by class: a class is a task, and belongs to exactly one split.

    Attributes:
        images: the examples as their medium stores them; pictures are uint8[n, height, width, channels].
        labels: int32[n] in 0..classes-1, the class of each example.
        class_names: the name of each class, in any script.
        class_split: int8[classes]: 0 train, 1 validation, 2 test.
        groups: int32[n] or None. An episode has at most one example of a group, so that a group (a font face, a
            writer) is never in both support and query.
        tracks: int32[n] or None. An episode may have several examples of a track (frames of one object, pages of one
            book), all of them in its support or all in its query. Not together with `groups`.
        name: what messages call the data.
        held_out: bool[n] or None: the examples that the publisher reserved for testing. Episodes draw from all;
            evaluation takes its references from these, and support from the others.
        medium: what the examples are: `Pictures`, `Sounds` or `Texts`.
        skipped: a line on each file and class that could not be used and was skipped on request.
        passed: a line on each file that was passed over because it is of another kind.

    Raises:
        DataError: the arrays do not fit together.

    Example:
        >>> source = Source(np.zeros((2, 8, 8, 1), np.uint8), np.array([0, 1], np.int32), ["a", "b"],
        ...                 np.array([0, 2], np.int8), name="two")
        >>> source.class_sizes.tolist()
        [1, 1]
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: list[str]
    class_split: np.ndarray
    groups: np.ndarray | None = None
    name: str = "arrays"
    held_out: np.ndarray | None = None
    medium: Medium = field(default_factory=Pictures)
    skipped: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    tracks: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Check that the arrays fit together."""
        images, count, classes = self.images, len(self.images), len(self.class_names)
        if not self.medium.fits(images):
            self._refuse("images", self.medium.stored, images)
        if self.labels.dtype != np.int32 or self.labels.shape != (count,):
            self._refuse("labels", f"int32[{count}]", self.labels)
        if self.labels.min() < 0 or self.labels.max() >= classes:
            received = f"{self.labels.min()} to {self.labels.max()}"
            raise DataError(f"{self.name}: 'labels' must lie in 0..{classes - 1}. Received: {received}")
        if self.class_split.shape != (classes,) or not np.isin(self.class_split, (0, 1, 2)).all():
            self._refuse("class_split", f"one of 0, 1, 2 for each of the {classes} classes", self.class_split)
        if self.groups is not None and self.groups.shape != (count,):
            self._refuse("groups", f"int32[{count}]", self.groups)
        if self.tracks is not None and self.tracks.shape != (count,):
            self._refuse("tracks", f"int32[{count}]", self.tracks)
        if self.groups is not None and self.tracks is not None:
            raise DataError(f"{self.name}: 'groups' and 'tracks' must not both be given. Received: both")
        if self.held_out is not None and (self.held_out.shape != (count,) or self.held_out.dtype != np.bool_):
            self._refuse("held_out", f"bool[{count}]", self.held_out)

    def _refuse(self, argument: str, required: str, array: np.ndarray) -> None:
        received = f"{array.dtype}{list(array.shape)}"
        raise DataError(f"{self.name}: '{argument}' must be {required}. Received: {received}")

    @property
    def example_shape(self) -> tuple[int, ...]:
        """The shape of every example as a model receives it; of pictures (height, width, channels)."""
        return self.medium.shape_of(self.images)

    @cached_property
    def sha256(self) -> dict[str, str]:
        """The sha256 by name of `images`, `labels`, `class_split`, and of `groups` or `tracks` if there are any."""
        found = {}
        for name in ("images", "labels", "class_split", "groups", "tracks"):
            array = getattr(self, name)
            if array is not None:
                digest = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
                found[name] = digest.hexdigest()
        return found

    @cached_property
    def class_sizes(self) -> np.ndarray:
        """The number of examples of each class, int64[classes]."""
        return np.bincount(self.labels, minlength=len(self.class_names))

    @cached_property
    def polarity(self) -> str:
        """The polarity of pictures, "light-on-dark" or "dark-on-light"; see `pixels.votes`."""
        with data_errors(self.name):
            return self.medium.polarity(self.images)

    def split_classes(self, split: str) -> np.ndarray:
        """Return int64[k], the indices of the classes of "train", "validation" or "test", in order."""
        return np.flatnonzero(self.class_split == SPLITS.index(check_choice(split, "split", SPLITS)))

    def classes_by_split(self) -> dict[str, np.ndarray]:
        """Return `{split: int64[k]}`, the indices of the classes of every split."""
        return {split: self.split_classes(split) for split in SPLITS}

    def describe(self) -> str:
        """Return a few lines for people: counts, what the examples are, and a line for each split."""
        lines = [f"{self.name}: {len(self.class_names)} classes, {self.medium.describe(self.images)}"]
        for split, chosen in self.classes_by_split().items():
            if len(chosen) == 0:
                lines.append(f"  {split:<10} no classes")
                continue
            sizes = self.class_sizes[chosen]
            names = ", ".join(self.class_names[index] for index in chosen[:5])
            more = ", ..." if len(chosen) > 5 else ""
            each = f"{sizes.min()}" if sizes.min() == sizes.max() else f"{sizes.min()} to {sizes.max()}"
            lines.append(f"  {split:<10} {len(chosen):>5} classes of {each} {self.medium.plural}: {names}{more}")
        lines += [f"  skipped: {line}" for line in self.skipped]
        passed = note_of(self.passed, "passed over")
        return "\n".join([*lines, f"  {passed}"] if passed else lines)


def without_small_classes(source: Source, needed: int) -> Source:
    """Return a source without the classes that have fewer than `needed` examples (or groups of examples).

    Args:
        source: the source.
        needed: examples of an episode, `shots + queries`.

    Returns:
        A source of the other classes, in order and in their splits, whose `skipped` names those that are gone; the same
        source if there are none.

    Raises:
        DataError: no class has enough.
    """
    pairs = source.labels.astype(np.int64)
    if source.groups is not None:
        pairs = np.unique(np.stack([source.labels, source.groups]), axis=1)[0]
    sizes = np.bincount(pairs, minlength=len(source.class_names))
    kept = np.flatnonzero(sizes >= needed)
    if len(kept) == len(sizes):
        return source
    if not len(kept):
        required = f"at least 1 class must have shots + queries = {needed} examples"
        raise DataError(f"{source.name}: {required}. Received: at most {sizes.max(initial=0)}")
    number = np.full(len(sizes), -1, np.int32)
    number[kept] = np.arange(len(kept))
    chosen = np.flatnonzero(number[source.labels] >= 0)
    gone = [f"class '{source.class_names[i]}' of {sizes[i]}, below {needed}" for i in np.flatnonzero(sizes < needed)]
    return dataclasses.replace(
        source,
        images=source.images[chosen],
        labels=number[source.labels[chosen]],
        class_names=[source.class_names[index] for index in kept],
        class_split=source.class_split[kept],
        groups=None if source.groups is None else source.groups[chosen],
        held_out=None if source.held_out is None else source.held_out[chosen],
        skipped=(*source.skipped, *gone),
    )
