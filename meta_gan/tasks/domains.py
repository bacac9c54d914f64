"""`DomainTasks`: episodes of two domains, a class of a source and a class of a target, to translate between.

A task is a pair of classes. Its support and query sets are dicts `{"source": ..., "target": ...}` of unpaired images:
nothing says which image of one domain belongs to which of the other, unless the query sets are `paired`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan.checks import check_choice
from meta_gan.tasks.base import SPLITS, Source
from meta_gan.tasks.episodes import EpisodeStream, Tasks
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.media import Pictures
from meta_gan.tasks.sampling import ALGORITHM

SOURCE, TARGET = "source", "target"
_LAST = -1.0  # below every draw: what may not be drawn


class DomainTasks(EpisodeStream):
    """Few-shot tasks over pairs of classes, each episode a pure function of (seed, split, step).

    Args:
        source: the source to translate from.
        target: the source to translate to; may be the same `Source`.
        pairs: `{split: int[n, 2]}` of "train", "validation", "test": the index of the source's class and that of the
            target's. See `tasks.pair_classes` and `tasks.pair_domains`.
        shots: support images of each domain, at least 1.
        queries: query images of each domain, at least 1.
        seed: 0..2**31-1, the key of every draw.
        paired: whether image i of both query sets is of one group. The source must have groups, with at most one image
            of a group in a class, and be the target as well. A group is the content, such as a character in many
            fonts. A game's term `truth` and the evaluation use it. Support sets are of other groups and stay unpaired.

    Raises:
        DataError: domains of different sizes or channels; a pair that occurs twice, names no class, or is one class of
            one source with itself; or a class of a pair with too few images or groups.
        ValueError: an argument is out of range.

    Example:
        >>> digits = Source(np.zeros((24, 8, 8, 1), np.uint8), np.repeat([0, 1], 12).astype(np.int32), ["0", "1"],
        ...                 np.array([0, 0], np.int8))
        >>> tasks = DomainTasks(digits, digits, {"train": [[0, 1]]})
        >>> tasks.episode_batch("train", 0, 1).query["target"].shape
        TensorShape([1, 7, 8, 8, 1])
    """

    unit = "pair of classes"

    def __init__(
        self,
        source: Source,
        target: Source,
        pairs: Mapping[str, Any],
        shots: int = 5,
        queries: int = 7,
        seed: int = 0,
        paired: bool = False,
    ) -> None:
        """See the class."""
        _check_domains(source, target)
        self.source, self.target, self.domains = source, target, {SOURCE: source, TARGET: target}
        self.pairs = self.drawable = _checked(pairs, source, target)
        every = np.concatenate(list(self.pairs.values()))
        # A class that is in no pair may have few images.
        self.sides = {
            domain: Tasks(side, shots, queries, seed, np.unique(every[:, i]))
            for i, (domain, side) in enumerate(self.domains.items())
        }
        first = self.sides[SOURCE]
        self.shots, self.queries, self.seed, self.paired = first.shots, first.queries, first.seed, paired
        self._table = _group_table(source, target, every, self.queries) if paired else None

    def describe(self) -> str:
        """Return a few lines for people: the sources, and how many pairs each split has."""
        counts = ", ".join(f"{len(pairs)} {split}" for split, pairs in self.pairs.items())
        return f"{super().describe()}\npairs: {counts}"

    def _name_of(self, entry: Any) -> str:
        """Return the name of a pair of classes, such as "mnist 3 > fashion Coat"."""
        sides = zip(self.domains.values(), entry, strict=True)
        return " > ".join(f"{source.name} {source.class_names[index]}" for source, index in sides)

    def _examples(
        self, key: tf.Tensor, split: str, meta_batch: int
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor]:
        pair_key, task_key, *keys = tf.unstack(tf.random.split(key, 6, alg=ALGORITHM))
        order = tf.random.stateless_uniform([len(self.pairs[split])], pair_key, alg=ALGORITHM)
        picks = tf.math.top_k(order, k=meta_batch).indices
        pairs = tf.gather(tf.constant(self.pairs[split]), picks)
        if self._table is not None:
            indices = self._paired_examples(pairs, keys[0])
            drawn = [side.images_of(each) for side, each in zip(self.sides.values(), indices, strict=True)]
        else:
            drawn = [
                side.draw_of(pairs[:, i], keys[2 * i], keys[2 * i + 1], meta_batch)
                for i, side in enumerate(self.sides.values())
            ]
        return picks, dict(zip(self.domains, drawn, strict=True)), task_key

    def _paired_examples(self, pairs: tf.Tensor, key: tf.Tensor) -> list[tf.Tensor]:
        """Draw int32[tasks, shots + queries] indices of examples for each domain, of int32[tasks, 2] `pairs`."""
        tables = [tf.gather(tf.constant(self._table), pairs[:, side]) for side in (0, 1)]
        shape = tf.shape(tables[0])

        def chosen(allowed: tf.Tensor, index: int, count: int) -> tf.Tensor:
            scores = tf.random.stateless_uniform(shape, tf.random.fold_in(key, index, alg=ALGORITHM), alg=ALGORITHM)
            return tf.math.top_k(tf.where(allowed, scores, _LAST), k=count).indices

        query = chosen((tables[0] >= 0) & (tables[1] >= 0), 0, self.queries)
        free = tf.reduce_sum(tf.one_hot(query, shape[1], dtype=tf.int32), axis=1) == 0
        drawn = []
        for side, table in enumerate(tables):
            support = chosen((table >= 0) & free, 1 + side, self.shots)
            drawn.append(tf.gather(table, tf.concat([support, query], axis=1), batch_dims=1))
        return drawn


def _check_domains(source: Source, target: Source) -> None:
    """Raise a DataError unless both are of pictures of one shape."""
    for side in (source, target):
        if side.medium.kind != Pictures.kind:
            raise DataError(f"domains must be of pictures. Received: {side.name}, of {side.medium.kind}")
    if source.example_shape != target.example_shape:
        raise DataError(
            "both domains must have images of one size and number of channels; load one of them with another "
            f"'image_shape'. Received: {source.name} of {source.example_shape} and {target.name} of "
            f"{target.example_shape}"
        )


def _checked(pairs: Any, source: Source, target: Source) -> dict[str, np.ndarray]:
    """Return the pairs of every split as int32[n, 2], none for a split that is not named."""
    if not isinstance(pairs, Mapping) or set(pairs) - set(SPLITS):
        received = sorted(map(str, pairs)) if isinstance(pairs, Mapping) else type(pairs).__name__
        raise DataError(f"'pairs' must be a dict that names splits of {', '.join(SPLITS)}. Received: {received}")
    found = {split: _class_pairs(split, pairs.get(split, ()), source, target) for split in SPLITS}
    seen: dict[tuple[int, int], str] = {}
    for split, array in found.items():
        for a, b in array.tolist():
            names = f"{source.class_names[a]!r} and {target.class_names[b]!r}"
            if source is target and a == b:
                raise DataError(f"a pair must be of two different classes of a source. Received: {names}")
            if (a, b) in seen:
                received = f"{names} in {seen[a, b]} and {split}"
                raise DataError(f"a pair of classes must occur once, in one split. Received: {received}")
            seen[a, b] = split
    if not seen:
        raise DataError("'pairs' must hold at least 1 pair. Received: none")
    return found


def _class_pairs(split: str, pairs: Any, source: Source, target: Source) -> np.ndarray:
    """Return one split's pairs as int32[n, 2]."""
    counts = (len(source.class_names), len(target.class_names))
    if not len(pairs):
        return np.zeros((0, 2), np.int32)
    array = pairs if isinstance(pairs, np.ndarray) else np.array(pairs, dtype=object)
    integers = array.ndim == 2 and array.shape[1] == 2 and all(isinstance(n, (int, np.integer)) for n in array.flat)
    if not integers or (array.astype(np.int64) < 0).any() or (array.astype(np.int64) >= counts).any():
        raise DataError(
            f"'pairs' of {split!r} must be rows of two integers, indices of {counts[0]} and {counts[1]} classes. "
            f"Received: {array.tolist()[:3]}"
        )
    return array.astype(np.int32)


def _group_table(source: Source, target: Source, pairs: np.ndarray, queries: int) -> np.ndarray:
    """Return int32[classes, groups], the example of each class and group, or -1, for `paired` draws.

    Raises:
        DataError: two sources, no groups, two images of one group in one class, or a pair whose classes have fewer than
            `queries` groups in common.
    """
    if source is not target:
        raise DataError(
            "'paired' needs one source for both domains, whose groups say what belongs together. Received: "
            f"{source.name} and {target.name}"
        )
    if source.groups is None:
        raise DataError(f"{source.name}: 'paired' needs groups, which say what belongs together. Received: none")
    values, groups = np.unique(source.groups, return_inverse=True)
    table = np.full((len(source.class_names), len(values)), -1, np.int32)
    table[source.labels, groups] = np.arange(len(source.labels), dtype=np.int32)
    if (table >= 0).sum() < len(source.labels):
        raise DataError(f"{source.name}: 'paired' needs at most one image of a group in a class. Received: several")
    for a, b in pairs.tolist():
        both = int(((table[a] >= 0) & (table[b] >= 0)).sum())
        if both < queries:
            raise DataError(
                f"{source.name}: the classes of a pair need 'queries' groups in common. Received: queries={queries}, "
                f"and {both} of {source.class_names[a]!r} and {source.class_names[b]!r}"
            )
    return table


def pair_classes(
    source: Source,
    target: Source,
    by: str = "all",
    both_ways: bool = False,
    shots: int = 5,
    queries: int = 7,
    seed: int = 0,
) -> DomainTasks:
    """Make tasks of the classes of two sources; both classes of a pair are of the same split.

    Args:
        source: the source to translate from.
        target: the source to translate to. If it is the same `Source`, no class is paired with itself.
        by: "all" for every class of the source with every class of the target, or "name" for classes of the same name,
            such as a digit in two hands; classes that only one of the sources has are then left out.
        both_ways: whether each pair is also a task in the other direction, so that one translator learns both.
        shots, queries, seed: see `DomainTasks`.

    Returns:
        `DomainTasks`.

    Raises:
        DataError: there is no pair; with "name", a class is in different splits of the two sources; or as
            `DomainTasks`.

    Example:
        >>> digits, clothes = open_source("mnist.npz").source, open_source("fashion_mnist.npz").source
        >>> len(pair_classes(digits, clothes).pairs["test"])
        4
    """
    check_choice(by, "by", ("all", "name"))
    if by == "name":
        _refuse_mixed(source, target)
    right, made = target.classes_by_split(), {}
    for split, left in source.classes_by_split().items():
        pairs = [(a, b) for a in left.tolist() for b in right[split].tolist() if source is not target or a != b]
        made[split] = [(a, b) for a, b in pairs if by == "all" or source.class_names[a] == target.class_names[b]]
    if not any(made.values()):
        raise DataError(f"{source.name} and {target.name} must have classes to pair by {by!r}. Received: none")
    if not both_ways:
        return DomainTasks(source, target, made, shots, queries, seed)
    offset, whole = len(source.class_names), merged(source, target)
    there = {split: [(a, offset + b) for a, b in pairs] for split, pairs in made.items()}
    ways = {split: pairs + [(b, a) for a, b in pairs] for split, pairs in there.items()}
    return DomainTasks(whole, whole, ways, shots, queries, seed)


def pair_domains(source: Source, shots: int = 5, queries: int = 7, seed: int = 0, paired: bool = False) -> DomainTasks:
    """Make tasks of one source whose classes are the domains, such as fonts or the hands of writers.

    Args:
        source: its classes are the domains; see `group_by` of `from_arrays`.
        shots, queries, seed, paired: see `DomainTasks`.

    Returns:
        `DomainTasks` of all ordered pairs of two different classes of one split.

    Raises:
        DataError: no split has two classes, or as `DomainTasks`.

    Example:
        >>> len(pair_domains(fonts).pairs["test"])  # of 11 fonts
        110
    """
    chosen = {split: members.tolist() for split, members in source.classes_by_split().items()}
    made = {split: [(a, b) for a in members for b in members if a != b] for split, members in chosen.items()}
    if not any(made.values()):
        raise DataError(f"{source.name}: a split needs 2 classes to pair. Received: {source.describe()}")
    return DomainTasks(source, source, made, shots, queries, seed, paired)


def merged(*sources: Source) -> Source:
    """Make one source of several with images of one shape.

    Classes are named "SOURCE CLASS" and stay in their split; groups of different sources stay different; sources of one
    name are numbered.

    Example:
        >>> merged(digits, clothes).class_names[0]
        'mnist 0'
    """
    shapes = [source.example_shape for source in sources]
    if len(set(shapes)) > 1:
        raise DataError(f"sources to merge must have images of one shape. Received: {shapes}")
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        # Otherwise two classes could have one name, and a pair would read like its reverse.
        names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    starts = np.cumsum([0, *(len(source.class_names) for source in sources)])
    return Source(
        np.concatenate([source.images for source in sources]),
        np.concatenate([s.labels + start for s, start in zip(sources, starts, strict=False)]).astype(np.int32),
        [f"{own} {name}" for own, source in zip(names, sources, strict=True) for name in source.class_names],
        np.concatenate([source.class_split for source in sources]).astype(np.int8),
        _merged_groups(sources),
        name=" and ".join(names),
    )


def _merged_groups(sources: tuple[Source, ...]) -> np.ndarray | None:
    """Return the groups of all, none in common; an image of a source without groups is a group by itself."""
    if all(source.groups is None for source in sources):
        return None
    found: list[np.ndarray] = []
    for source in sources:
        own = np.arange(len(source.labels)) if source.groups is None else source.groups - source.groups.min()
        found.append(own + (found[-1].max() + 1 if found else 0))
    return np.concatenate(found).astype(np.int32)


def _refuse_mixed(source: Source, target: Source) -> None:
    """Raise a DataError if a class is in different splits of the two domains."""
    here, there = (dict(zip(s.class_names, s.class_split.tolist(), strict=True)) for s in (source, target))
    for name in here:
        if name in there and here[name] != there[name]:
            raise DataError(
                f"a class that both domains have must be in the same split of both. Received: {name!r}, in "
                f"{SPLITS[here[name]]} of {source.name} and in {SPLITS[there[name]]} of {target.name}"
            )
