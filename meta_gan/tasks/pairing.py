"""Which classes of one or two sources are paired, for `DomainTasks`."""

from __future__ import annotations

import numpy as np

from meta_gan.tasks.base import SPLITS, Source
from meta_gan.tasks.domains import DomainTasks
from meta_gan.tasks.errors import DataError


def pair_classes(
    source: Source,
    target: Source,
    by: str = "all",
    both_ways: bool = False,
    shots: int = 5,
    queries: int = 7,
    seed: int = 0,
) -> DomainTasks:
    """Make tasks out of the classes of two sources: the pairs of a split are of classes of that split in both.

    Args:
        source: what is translated from.
        target: what is translated to; of the same `Source`, no class is paired with itself.
        by: "all" for every class of the source with every class of the target, or "name" for those of one name, such as
            a digit in two hands; classes that only one of the sources has are then left out.
        both_ways: whether each pair is also a task the other way round, so that one translator learns both directions.
        shots: support images of each domain.
        queries: query images of each domain.
        seed: the key of every draw.

    Returns:
        `DomainTasks`.

    Raises:
        DataError: no pair at all, with "name" a class that is in different splits of the two sources, or as
            `DomainTasks`.

    Example:
        >>> digits, clothes = open_source("mnist.npz").source, open_source("fashion_mnist.npz").source
        >>> len(pair_classes(digits, clothes).pairs["test"])
        4
    """
    if by not in ("all", "name"):
        raise DataError(f"`by` must be 'all' or 'name'. Received: {by!r}")
    if by == "name":
        _refuse_mixed(source, target)
    made = {split: _pairs_of(source, target, split, by) for split in SPLITS}
    if not any(made.values()):
        raise DataError(f"{source.name} and {target.name} must have classes to pair {by!r}. Received: none")
    if not both_ways:
        return DomainTasks(source, target, made, shots, queries, seed)
    offset, whole = len(source.class_names), merged(source, target)
    there = {split: [(a, offset + b) for a, b in pairs] for split, pairs in made.items()}
    ways = {split: pairs + [(b, a) for a, b in pairs] for split, pairs in there.items()}
    return DomainTasks(whole, whole, ways, shots, queries, seed)


def pair_domains(source: Source, shots: int = 5, queries: int = 7, seed: int = 0, paired: bool = False) -> DomainTasks:
    """Make tasks out of one source whose classes are the domains, such as fonts or the hands of writers.

    Args:
        source: its classes are the domains; see `group_by` of `from_arrays`.
        shots: support images of each domain.
        queries: query images of each domain.
        seed: the key of every draw.
        paired: whether image i of both query sets is of one group, see `DomainTasks`.

    Returns:
        `DomainTasks` of all ordered pairs of two different classes of one split.

    Raises:
        DataError: no split has two classes, or as `DomainTasks`.

    Example:
        >>> len(pair_domains(fonts).pairs["test"])  # of 11 fonts
        110
    """
    made = {}
    for split in SPLITS:
        chosen = source.split_classes(split).tolist()
        made[split] = [(a, b) for a in chosen for b in chosen if a != b]
    if not any(made.values()):
        raise DataError(f"{source.name}: a split needs 2 classes to pair. Received: {source.describe()}")
    return DomainTasks(source, source, made, shots, queries, seed, paired)


def merged(*sources: Source) -> Source:
    """Make one source of several: their classes in turn, named "SOURCE CLASS", each in the split that it was in, and
    their groups, which stay apart. Sources of one name are numbered.

    Raises:
        DataError: images of different shapes.

    Example:
        >>> merged(digits, clothes).class_names[0]
        'mnist 0'
    """
    shapes = [source.example_shape for source in sources]
    if len(set(shapes)) > 1:
        raise DataError(f"sources that are made one must have images of one shape. Received: {shapes}")
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        # Else there would be two classes of one name, and a pair would read like its reverse.
        names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    starts = np.cumsum([0, *(len(source.class_names) for source in sources)])
    return Source(
        np.concatenate([source.images for source in sources]),
        np.concatenate([s.labels + start for s, start in zip(sources, starts, strict=False)]).astype(np.int32),
        [f"{own} {name}" for own, source in zip(names, sources, strict=True) for name in source.class_names],
        np.concatenate([source.class_split for source in sources]).astype(np.int8),
        _groups_of(sources),
        name=" and ".join(names),
    )


def _groups_of(sources: tuple[Source, ...]) -> np.ndarray | None:
    """The groups of all, none in common; an image of a source without groups is one by itself."""
    if all(source.groups is None for source in sources):
        return None
    found: list[np.ndarray] = []
    for source in sources:
        own = np.arange(len(source.labels)) if source.groups is None else source.groups - source.groups.min()
        found.append(own + (found[-1].max() + 1 if found else 0))
    return np.concatenate(found).astype(np.int32)


def _pairs_of(source: Source, target: Source, split: str, by: str) -> list[tuple[int, int]]:
    left, right = source.split_classes(split).tolist(), target.split_classes(split).tolist()
    pairs = [(a, b) for a in left for b in right if source is not target or a != b]
    return [(a, b) for a, b in pairs if by == "all" or source.class_names[a] == target.class_names[b]]


def _refuse_mixed(source: Source, target: Source) -> None:
    """Raises DataError where a name is trained on in one domain and tested in the other."""
    here, there = (dict(zip(s.class_names, s.class_split.tolist(), strict=True)) for s in (source, target))
    for name in here:
        if name in there and here[name] != there[name]:
            raise DataError(
                f"a class that both domains have must be in the same split of both. Received: {name!r}, in "
                f"{SPLITS[here[name]]} of {source.name} and in {SPLITS[there[name]]} of {target.name}"
            )
