"""`DomainTasks`: episodes of two domains, a class of a source and a class of a target, to translate between.

A task is a pair of classes. Its support and query sets are dicts `{"source": ..., "target": ...}` of unpaired images:
nothing says which image of the one domain belongs to which of the other, unless the query sets are `paired`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan.checks import check_choice, check_integer
from meta_gan.tasks.base import SPLITS, Source
from meta_gan.tasks.episodes import ALGORITHM, TURN, Tasks, drawn_shots, turned
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.media import Pictures
from meta_gan.tasks.paired import PairedDraws
from meta_gan.tasks.streams import Streams
from meta_gan.types import Episode

SOURCE, TARGET = "source", "target"


class DomainTasks(Streams):
    """Few-shot tasks over pairs of classes, every episode a pure function of (seed, split, step).

    Args:
        source: what is translated from.
        target: what is translated to; may be the same `Source`.
        pairs: `{split: int[n, 2]}` of "train", "validation", "test": the index of the source's class and that of the
            target's. See `tasks.pair_classes` and `tasks.pair_domains`.
        shots: support images of each domain, at least 1.
        queries: query images of each domain, at least 1.
        seed: 0..2**31-1, the key of every draw.
        paired: whether image i of both query sets is of one group of the source, which then must have groups and be
            the target as well, see `tasks.paired`: the truth for a game's term `truth` and for the evaluation. Support
            sets are unpaired all the same, and of other groups.

    Raises:
        DataError: domains of different channels or sizes, a pair that is there twice, names no class, or is one class
            of one source with itself, a class of a pair with too few images, or an argument out of range.

    Example:
        >>> digits = Source(np.zeros((24, 8, 8, 1), np.uint8), np.repeat([0, 1], 12).astype(np.int32), ["0", "1"],
        ...                 np.array([0, 0], np.int8))
        >>> tasks = DomainTasks(digits, digits, {"train": [[0, 1]]})
        >>> tasks.episode_batch("train", 0, 1).query["target"].shape
        TensorShape([1, 7, 8, 8, 1])
    """

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
        for side in (source, target):
            if side.medium.kind != Pictures.kind:
                raise DataError(f"domains must be of pictures. Received: {side.name}, of {side.medium.kind}")
        if source.example_shape[2] != target.example_shape[2]:
            raise DataError(
                f"both domains must have as many channels. Received: {source.name} of {source.example_shape[2]} and "
                f"{target.name} of {target.example_shape[2]}"
            )
        if source.example_shape != target.example_shape:
            raise DataError(
                f"both domains must have images of one size; load one of them with another `size`. Received: "
                f"{source.name} of {source.example_shape} and {target.name} of {target.example_shape}"
            )
        self.source, self.target = source, target
        self.pairs = _checked(pairs, source, target)
        # A class that no pair has may have few images.
        used = [np.unique(np.concatenate([rows[:, i] for rows in self.pairs.values()])) for i in (0, 1)]
        self.sides = {
            domain: Tasks(side, shots, queries, seed, classes)
            for domain, side, classes in zip((SOURCE, TARGET), (source, target), used, strict=True)
        }
        self.shots, self.queries = self.sides[SOURCE].shots, self.sides[SOURCE].queries
        self.seed = self.sides[SOURCE].seed
        if paired and source is not target:
            raise DataError(
                f"`paired` needs one source of both domains, whose groups say what belongs together. Received: "
                f"{source.name} and {target.name}"
            )
        every = np.concatenate(list(self.pairs.values()))
        self._paired = PairedDraws(source, every, self.shots, self.queries) if paired else None

    @property
    def paired(self) -> bool:
        """Whether image i of both query sets shows the same."""
        return self._paired is not None

    @property
    def name(self) -> str:
        """What messages and model cards call the data, such as "usps > mnist"."""
        return f"{self.source.name} > {self.target.name}"

    @property
    def card(self) -> dict[str, Any]:
        """What a model card must know to read a user's own examples: the medium, and the polarity of each domain."""
        return {"medium": Pictures.kind, "polarity": self.polarity}

    @property
    def polarity(self) -> dict[str, str]:
        """The polarity of each domain; see `Source.polarity`."""
        return {SOURCE: self.source.polarity, TARGET: self.target.polarity}

    def describe(self) -> str:
        """Return a few lines for people: both sources, see `Source.describe`, and how many pairs each split has."""
        counts = ", ".join(f"{len(pairs)} {split}" for split, pairs in self.pairs.items())
        sources = [self.source] if self.source is self.target else [self.source, self.target]
        return "\n".join([*(source.describe() for source in sources), f"pairs: {counts}"])

    @property
    def example_shape(self) -> dict[str, tuple[int, ...]]:
        """`{"source": (height, width, channels), "target": ...}`, the `example_shape` of a game of domains."""
        return {SOURCE: self.source.example_shape, TARGET: self.target.example_shape}

    @property
    def splits(self) -> dict[str, list[str]]:
        """The names of the pairs of every split, such as "mnist 3 > fashion Coat"."""
        return {split: [self.name_of(a, b) for a, b in self.pairs[split]] for split in SPLITS}

    def name_of(self, source_class: int, target_class: int) -> str:
        """The name of a pair of classes."""
        left, right = self.source.class_names[source_class], self.target.class_names[target_class]
        return f"{self.source.name} {left} > {self.target.name} {right}"

    def _check(self, meta_batch: int, split: str) -> int:
        count = len(self.pairs[check_choice(split, "split", SPLITS)])
        if count == 0:
            counts = ", ".join(f"{name} {len(chosen)}" for name, chosen in self.pairs.items())
            raise DataError(f"the {split} split needs at least 1 pair of classes. Received: {counts}")
        return check_integer(meta_batch, "meta_batch", 1, count)

    def _draw(
        self, step: Any, split: str, meta_batch: int, symmetries: bool = False, fewest: int | None = None
    ) -> Episode:
        root = tf.constant([self.seed, SPLITS.index(split)], tf.int32)
        key = tf.random.fold_in(root, tf.cast(step, tf.int32), alg=ALGORITHM)
        pair_key, task_key, *keys = tf.unstack(tf.random.split(key, 6, alg=ALGORITHM))
        order = tf.random.stateless_uniform([len(self.pairs[split])], pair_key, alg=ALGORITHM)
        picks = tf.math.top_k(order, k=meta_batch).indices
        pairs = tf.gather(tf.constant(self.pairs[split]), picks)
        classes, together = tf.unstack(pairs, axis=1), None
        if self._paired is not None:
            together = self._paired(pairs, keys[0])
        support, query = {}, {}
        count = self.shots if fewest is None else drawn_shots(task_key, fewest, self.shots)
        for number, (domain, side) in enumerate(self.sides.items()):
            if together is None:
                images = side.draw_of(classes[number], keys[2 * number], keys[2 * number + 1], meta_batch)
            else:
                images = side.images_of(together[number])
            if symmetries:  # by one key, so that both are turned alike
                images = turned(images, tf.random.fold_in(task_key, TURN, alg=ALGORITHM))
            support[domain], query[domain] = images[:, :count], images[:, self.shots :]
        return Episode(support, query, picks, tf.random.split(task_key, meta_batch, alg=ALGORITHM))


def _checked(pairs: Any, source: Source, target: Source) -> dict[str, np.ndarray]:
    """The pairs of every split as int32[n, 2], none for a split that is not named."""
    if not isinstance(pairs, Mapping) or set(pairs) - set(SPLITS):
        received = sorted(map(str, pairs)) if isinstance(pairs, Mapping) else type(pairs).__name__
        raise DataError(f"`pairs` must be a dict that names splits of {', '.join(SPLITS)}. Received: {received}")
    found = {split: _whole_pairs(split, pairs.get(split, ()), source, target) for split in SPLITS}
    seen: dict[tuple[int, int], str] = {}
    for split, array in found.items():
        for a, b in array.tolist():
            names = f"{source.class_names[a]!r} and {target.class_names[b]!r}"
            if source is target and a == b:
                raise DataError(f"a pair must be of two classes, or its images would be of both. Received: {names}")
            if (a, b) in seen:
                raise DataError(
                    f"a pair of classes must be there once, in one split. Received: {names} in {seen[a, b]} and {split}"
                )
            seen[a, b] = split
    if not seen:
        raise DataError("`pairs` must hold at least 1 pair. Received: none")
    return found


def _whole_pairs(split: str, pairs: Any, source: Source, target: Source) -> np.ndarray:
    """One split's pairs as int32[n, 2]."""
    counts = (len(source.class_names), len(target.class_names))
    if not len(pairs):
        return np.zeros((0, 2), np.int32)
    array = np.array(pairs, dtype=object) if not isinstance(pairs, np.ndarray) else pairs
    whole = array.ndim == 2 and array.shape[1] == 2 and all(isinstance(n, (int, np.integer)) for n in array.flat)
    if not whole or (array.astype(np.int64) < 0).any() or (array.astype(np.int64) >= counts).any():
        raise DataError(
            f"`pairs` of {split!r} must be rows of two whole numbers, indices of {counts[0]} and {counts[1]} classes. "
            f"Received: {array.tolist()[:3]}"
        )
    return array.astype(np.int32)
