"""The classes of an evaluation, and which of their images are support, oracle and reference images.

Everything is decided by sha256 of names and not by a random generator: it is the same with all versions of all
libraries, and an added class changes nothing for the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meta_gan.checks import check_integer
from meta_gan.metrics import copy_threshold
from meta_gan.protocol.settings import NAME
from meta_gan.tasks import Source

MOST_ORACLE = 15
REFERENCE_SHARE = 0.4
MOST_REFERENCES = 1000
THRESHOLD_IMAGES = 100
"""Images of a class that its copy threshold is measured on, at most."""

Images = Sequence[np.ndarray | None]
"""For each class uint8[n, *example], or None where a row has no image of the class."""


@dataclass(frozen=True)
class ClassParts:
    """The support, oracle and reference images of a class, as disjoint indices into the source.

    Attributes:
        support: int64[shots], what a method adapts to.
        oracle: int64[n], n <= 15, real images that are scored as if they were generated; empty if fewer than 2.
        references: int64[n], n >= 2, what every row is scored against; the same for all draws and shots.
    """

    support: np.ndarray
    oracle: np.ndarray
    references: np.ndarray


@dataclass(frozen=True)
class Allocation:
    """The evaluated classes and the parts of their images, for one draw of the support sets.

    Attributes:
        source: labelled images.
        classes: int64[classes], in the order of the evaluation.
        parts: for each class.
    """

    source: Source
    classes: np.ndarray
    parts: Sequence[ClassParts]

    @property
    def names(self) -> list[str]:
        """The names of the classes."""
        return [self.source.class_names[index] for index in self.classes]

    def images(self, part: str) -> list[np.ndarray]:
        """Return the images of a part ("support", "oracle" or "references") of each class."""
        return [self.source.images[getattr(parts, part)] for parts in self.parts]

    def oracle(self) -> list[np.ndarray | None]:
        """Return the oracle images of each class, None where there are none."""
        return [images if len(images) else None for images in self.images("oracle")]

    def wrong(self, count: int) -> list[np.ndarray | None]:
        """Return for each class up to `count` real images of the class half-way round; None for a single class."""
        images = [np.concatenate(parts) for parts in zip(self.images("support"), self.images("oracle"), strict=True)]
        half = len(images) // 2
        return [images[(place + half) % len(images)][:count] if half else None for place in range(len(images))]

    def pooled_counts(self, samples: int) -> list[int]:
        """Return how many images of each class pooled distances use: as many as the oracle has, at most `samples`."""
        return [min(len(parts.oracle), len(parts.references), samples) for parts in self.parts]

    def others(self) -> list[int]:
        """Return the source's classes that have images and are not evaluated."""
        return [int(index) for index in np.unique(self.source.labels) if index not in self.classes]

    def members(self, index: int) -> np.ndarray:
        """Return the first 100 images of a class."""
        return self.source.images[np.flatnonzero(self.source.labels == index)[:THRESHOLD_IMAGES]]

    def thresholds(self) -> list[float]:
        """Return the `metrics.copy_threshold` of each class."""
        return [copy_threshold(self.members(index)) for index in self.classes]


def _rank(*parts: object) -> str:
    return hashlib.sha256("\t".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()


def class_order(source: Source, split: str) -> np.ndarray:
    """Return the classes of a split, int64[classes], in the fixed order of which an evaluation of N uses the first N.

    Raises:
        ValueError: `split` is unknown or has no classes.
    """
    classes = source.split_classes(split)
    if len(classes) == 0:
        raise ValueError(f"{source.name}: the {split} split must have a class to evaluate. Received: 0 classes")
    return np.array(sorted(classes, key=lambda index: _rank(NAME, source.class_names[index])), np.int64)


def allocate(source: Source, classes: np.ndarray, shots: int, draw: int = 0) -> Allocation:
    """Return the parts of all images of `classes`, as `allocate_class` does for each."""
    return Allocation(source, classes, [allocate_class(source, int(index), shots, draw) for index in classes])


def allocate_class(source: Source, index: int, shots: int, draw: int = 0) -> ClassParts:
    """Return the parts of the images of one class.

    References are 40 % of the class's images (8 of Omniglot's 20), at least 2 and at most 1000, or those that the
    publisher held out if there are any. The rest is put in an order that depends on the draw: first the support, then
    up to 15 oracle images (7 of Omniglot's at 5 shots). Of each of the source's groups one image is used. The images of
    a track are all references, or none of them is.

    Raises:
        ValueError: the class has fewer than `shots + 2` images (or groups), or an argument is out of range.
    """
    shots, draw = check_integer(shots, "shots", 1), check_integer(draw, "draw", 0)
    name, members = source.class_names[index], np.flatnonzero(source.labels == index)
    order = sorted(range(len(members)), key=lambda position: _rank(NAME, name, position))
    if source.groups is not None:
        first = {source.groups[members[position]]: position for position in reversed(order)}
        order = [position for position in order if first[source.groups[members[position]]] == position]
    if len(order) < shots + 2:
        what = "images" if source.groups is None else "groups of images"
        raise ValueError(
            f"{source.name}: a class must have at least shots + 2 = {shots + 2} {what} to be evaluated. "
            f"Received: class {name!r} with {len(order)}"
        )
    held = [p for p in order if source.held_out is not None and source.held_out[members[p]]]
    if len(held) >= 2 and len(order) - len(held) >= shots:
        references, pool = held[:MOST_REFERENCES], [p for p in order if p not in set(held)]
    elif source.tracks is not None:
        references, pool = _by_track(source, name, members, order, shots)
    else:
        count = max(2, min(int(REFERENCE_SHARE * len(order)), len(order) - shots, MOST_REFERENCES))
        references, pool = order[:count], order[count:]
    pool = sorted(pool, key=lambda position: _rank(NAME, name, position, "draw", draw))
    oracle = pool[shots : shots + MOST_ORACLE]
    oracle = oracle if len(oracle) >= 2 else []
    return ClassParts(*(members[np.array(part, np.int64)] for part in (pool[:shots], oracle, references)))


def _by_track(
    source: Source, name: str, members: np.ndarray, order: list[int], shots: int
) -> tuple[list[int], list[int]]:
    """Return the references of a class with tracks, those of whole tracks, and the others."""
    assert source.tracks is not None
    track = {position: int(source.tracks[members[position]]) for position in order}
    tracks = sorted(set(track.values()), key=lambda found: _rank(NAME, name, "track", found))
    wanted = max(2, min(int(REFERENCE_SHARE * len(order)), len(order) - shots, MOST_REFERENCES))
    references: list[int] = []
    for count in range(1, len(tracks)):
        found = [position for position in order if track[position] in tracks[:count]]
        if len(references) >= wanted or len(order) - len(found) < shots:
            break
        references = found
    if len(references) < 2:
        raise ValueError(
            f"{source.name}: a class must have at least {shots} images beside tracks with 2 or more to be evaluated. "
            f"Received: class {name!r} with {len(order)} images in {len(tracks)} tracks"
        )
    return references[:MOST_REFERENCES], [position for position in order if position not in set(references)]


def opponents(names: Sequence[str], position: int, ways: int) -> np.ndarray:
    """Return the classes among which samples of one class must be recognised: int64[min(ways, n)] positions in `names`.

    `position`, that of the class, is first; the others are chosen by the names.
    """
    others = [other for other in range(len(names)) if other != position]
    others.sort(key=lambda other: _rank(NAME, "opponents", names[position], names[other]))
    return np.array([position, *others[: ways - 1]], np.int64)


def allocation_line(source: Source, index: int, shots: int, draw: int = 0) -> str:
    """Return a class's name and the numbers, from 1, of its support, oracle and reference images, tab-separated."""
    members = {int(image): place for place, image in enumerate(np.flatnonzero(source.labels == index), 1)}
    found = allocate_class(source, index, shots, draw)
    parts = [",".join(str(members[int(i)]) for i in part) for part in (found.support, found.oracle, found.references)]
    return "\t".join([source.class_names[index], *parts])


def allocation_digest(source: Source, classes: np.ndarray, shots: int, draws: int) -> str:
    """Return the sha256 of the `allocation_line` of all classes and draws."""
    lines = [allocation_line(source, int(index), shots, draw) for index in classes for draw in range(draws)]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
