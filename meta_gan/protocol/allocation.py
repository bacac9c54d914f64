"""What few-shot-28 fixes: how many images, which ones, which classes, and the numbers of steps of the curve.

All of it is decided by sha256 of names, not by a random generator, so that it is the same with every version of
every library, and adding a class moves none of the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meta_gan.checks import check_integer
from meta_gan.tasks import Source

NAME = "few-shot-28"
CURVE = (0, 1, 5, 10, 20, 50, 100)
SAMPLES = 15
WAYS = 20
QUICK_CLASSES = 100
REFERENCE_SHARE = 0.4
MOST_REFERENCES = 1000
MANY_REFERENCES = 200
"""From this many references a class on, precision, recall, density and coverage mean something."""


@dataclass(frozen=True)
class Allocation:
    """Which images of a class play which part; indices into the source, disjoint.

    Attributes:
        support: int64[shots], what a model adapts to.
        oracle: int64[at most 15], real images that are scored as if they were generated; fewer than 2 are none.
        references: int64[>= 2], what every row is scored against, the same ones for every draw and `shots`.
    """

    support: np.ndarray
    oracle: np.ndarray
    references: np.ndarray


def _rank(*parts: object) -> str:
    return hashlib.sha256("\t".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()


def class_order(source: Source, split: str) -> np.ndarray:
    """The classes of a split, int64[classes], in the fixed order from which a form of N classes takes the first N.

    Raises:
        ValueError: an unknown split, or one without classes.
    """
    classes = source.split_classes(split)
    if len(classes) == 0:
        raise ValueError(f"{source.name}: the {split} split must have a class to evaluate. Received: 0 classes")
    return np.array(sorted(classes, key=lambda index: _rank(NAME, source.class_names[index])), np.int64)


def allocate(source: Source, index: int, shots: int, draw: int = 0) -> Allocation:
    """Deals the images of a class out.

    References are .4 of the class's images (8 of Omniglot's 20), at least 2 and at most 1000, of those that the
    publisher held out where the class has such and others. The rest is put in an order of its own for every draw: first
    the support, then up to 15 oracle images (7 of Omniglot's at 5 shots). Of each of the source's groups one image
    takes part.

    Args:
        source: the images.
        index: the class.
        shots: support images, >= 1.
        draw: which draw of the support, >= 0.

    Returns:
        An `Allocation`.

    Raises:
        ValueError: the class has fewer than `shots + 2` images (or groups).

    Example:
        >>> allocate(source, 0, shots=5).references
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
    else:
        count = max(2, min(int(REFERENCE_SHARE * len(order)), len(order) - shots, MOST_REFERENCES))
        references, pool = order[:count], order[count:]
    pool = sorted(pool, key=lambda position: _rank(NAME, name, position, "draw", draw))
    oracle = pool[shots : shots + SAMPLES]
    oracle = oracle if len(oracle) >= 2 else []
    return Allocation(*(members[np.array(part, np.int64)] for part in (pool[:shots], oracle, references)))


def opponents(names: Sequence[str], position: int, ways: int = WAYS) -> np.ndarray:
    """The classes among which samples of one must be recognised.

    Args:
        names: of the evaluated classes.
        position: of the class in question among them.
        ways: how many take part, itself included; fewer where there are fewer classes.

    Returns:
        int64[min(ways, n)] positions in `names`, `position` first, the others fixed by the names.

    Example:
        >>> opponents(["a", "b"], 1).tolist()
        [1, 0]
    """
    others = [other for other in range(len(names)) if other != position]
    others.sort(key=lambda other: _rank(NAME, "opponents", names[position], names[other]))
    return np.array([position, *others[: ways - 1]], np.int64)


def allocation_digest(source: Source, classes: np.ndarray, shots: int, draws: int) -> str:
    """The sha256 of which images play which part, over classes and draws."""
    lines = [_line(source, int(index), shots, draw) for index in classes for draw in range(draws)]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def _line(source: Source, index: int, shots: int, draw: int) -> str:
    """The class's name, then the numbers within the class, from 1, of support, oracle and references."""
    members = {int(image): place for place, image in enumerate(np.flatnonzero(source.labels == index), 1)}
    dealt = allocate(source, index, shots, draw)
    parts = [",".join(str(members[int(i)]) for i in part) for part in (dealt.support, dealt.oracle, dealt.references)]
    return "\t".join([source.class_names[index], *parts])


def allocation_lines(source: Source, classes: np.ndarray, shots: int, draw: int = 0) -> list[str]:
    """The lines of the committed `A_drawings.txt`: class name, support, oracle and reference images, counted from 1."""
    return [_line(source, int(index), shots, draw) for index in classes]
