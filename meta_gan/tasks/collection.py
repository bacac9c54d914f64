"""Tasks from all classes of a user's collection: every class is trained on, and some examples of each are held out."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan.checks import check_integer, check_number
from meta_gan.tasks.base import Source
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.media import Pictures
from meta_gan.tasks.mixtures import Drawn, Mixture, Variations
from meta_gan.tasks.sampling import ALGORITHM, picked
from meta_gan.types import Tensor

LEAST = 3
"""The least number of examples of a class: a support and a query example to train on, and one held-out example."""
MOST_SHOTS, MOST_QUERIES = 5, 7
MOST_HELD_OUT = 32
"""The largest number of query examples of a validation episode."""


def episode_size(smallest: int) -> tuple[int, int]:
    """Return the shots and queries of training episodes for the size of the smallest class, >= 2.

    Example:
        >>> [episode_size(count) for count in (2, 6, 50)]
        [(1, 1), (3, 3), (5, 7)]
    """
    shots = min(MOST_SHOTS, smallest // 2)
    return shots, min(MOST_QUERIES, smallest - shots)


class Collection(Drawn):
    """Tasks to train a model further on all classes of a collection, with validation on examples that it never sees.

    Unlike `Tasks`, this holds out no class, but a share of the examples of every class. Training episodes are drawn
    from the other examples; if these are pictures, half of the episodes are variations of single pictures, see
    `Variations`. A validation episode takes its support set from the training examples of a class and its query set
    from the held-out ones.

    Args:
        source: the collection; its split by class does not matter.
        seed: 0..2**31-1, for every draw and for the choice of the held-out examples.
        held_out: in (0, 1), the approximate share of the examples of a class that is held out; at least one example.
        groups: int[n], the group of each example. All or none of the examples of a group within a class are held out,
            unless they are more than half of the class. None for the groups or tracks of the source.

    Attributes:
        shots, queries: support and query examples of a training episode, see `episode_size`.
        queries_held_out: query examples of a validation episode: the number of held-out examples of the class that has
            the most, at most 32; those of other classes are repeated.

    Raises:
        ValueError: an argument is out of range.
        DataError: a class has fewer than three examples; the message names it.

    Example:
        >>> source = Source(np.zeros((16, 8, 8, 1), np.uint8), np.repeat(np.arange(2, dtype=np.int32), 8),
        ...                 ["a", "b"], np.zeros(2, np.int8))
        >>> collection = Collection(source)
        >>> collection.shots, collection.queries, collection.queries_held_out
        (3, 3, 2)
    """

    unit = "class"

    def __init__(self, source: Source, seed: int = 0, held_out: float = 0.25, groups: np.ndarray | None = None) -> None:
        """See the class."""
        self.seed = check_integer(seed, "seed", 0)
        self._share = check_number(held_out, "held_out", above=0, below=1)
        self.domains = {"": source}
        away = self._dealt(source, groups)
        sizes = np.bincount(source.labels[~away], minlength=len(source.class_names))
        self.shots, self.queries = episode_size(int(sizes.min()))
        kept = _part(source, ~away)
        self._classes = Tasks(kept, self.shots, self.queries, seed)
        self._training = self._mixed(kept)
        self._held_out = self._fixed_queries(source, away)
        count = len(source.class_names)
        self.drawable = {
            "train": self._training.drawable["train"],
            "validation": np.arange(count, dtype=np.int32),
            "test": np.zeros(0, np.int32),
        }

    def _dealt(self, source: Source, groups: np.ndarray | None) -> np.ndarray:
        """Return bool[n], True for the examples that are held out."""
        small = np.flatnonzero(source.class_sizes < LEAST)
        if len(small):
            raise DataError(
                f"{source.name}: every class needs {LEAST} or more examples, of which some are held out. Received: "
                f"{source.class_sizes[small[0]]} of class {source.class_names[small[0]]!r} ({len(small)} of "
                f"{len(source.class_names)} classes have too few)"
            )
        own = source.tracks if groups is None and source.groups is None else source.groups if groups is None else groups
        if own is not None and np.shape(own) != source.labels.shape:
            raise DataError(f"'groups' must be int[{len(source.labels)}]. Received: shape {np.shape(own)}")
        away = np.zeros(len(source.labels), bool)
        for index in range(len(source.class_names)):
            members = np.flatnonzero(source.labels == index)
            away[members] = _held_out(
                np.arange(len(members)) if own is None else np.asarray(own)[members],
                max(1, round(self._share * len(members))),
                np.random.default_rng([self.seed, index]),
            )
        return away

    def _mixed(self, kept: Source) -> Tasks | Mixture:
        if not isinstance(kept.medium, Pictures):
            return self._classes
        return Mixture([self._classes, Variations(kept, self.shots, self.queries, self.seed)], [1, 1], self.seed)

    def _fixed_queries(self, source: Source, away: np.ndarray) -> Tensor:
        """Return float32[classes, queries_held_out, *example], held-out examples of every class."""
        of_class = [np.flatnonzero(away & (source.labels == index)) for index in range(len(source.class_names))]
        self.queries_held_out = min(MOST_HELD_OUT, max(map(len, of_class)))
        # Those of a smaller class are repeated, which shifts its distance for all models alike.
        chosen = np.stack([np.resize(each, self.queries_held_out) for each in of_class])
        with tf.device("CPU:0"):
            return source.medium.seen(tf.constant(source.images[chosen]))

    @property
    def splits(self) -> dict[str, list[str]]:
        """The names of the classes, which are the same for training and validation; there is no test split."""
        names = list(self.domains[""].class_names)
        return {"train": names, "validation": names, "test": []}

    def describe(self) -> str:
        """Return a one-line description."""
        source = self.domains[""]
        sizes, medium = source.class_sizes, source.medium
        each = f"{sizes.min()}" if sizes.min() == sizes.max() else f"{sizes.min()} to {sizes.max()}"
        of_each = f"{len(sizes)} classes of {each} {medium.plural}, about {self._share:.0%} of each held out"
        return f"{source.name}: {of_each}; {medium.describe(source.images)}"

    def _name_of(self, entry: Any) -> str:
        raise NotImplementedError  # `splits` names classes, and a class has many tasks.

    def _examples(self, key: Tensor, split: str, meta_batch: int) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        if split == "train":
            return self._training._examples(key, split, meta_batch)
        pick_key, cell_key, member_key, task_key = tf.unstack(tf.random.split(key, 4, alg=ALGORITHM))
        classes = picked(pick_key, self.drawable[split], meta_batch)
        drawn = self._classes.draw_of(classes, cell_key, member_key, meta_batch)[:, : self.shots]
        return classes, {"": tf.concat([drawn, tf.gather(self._held_out, classes)], axis=1)}, task_key


def _held_out(groups: np.ndarray, count: int, draws: np.random.Generator) -> np.ndarray:
    """Choose groups at random until they have `count` examples or more; return bool[n], True for the chosen examples.

    Two examples or more are left. If every group is too large to be chosen whole, single examples are chosen.
    """
    away = np.zeros(len(groups), bool)
    for group in draws.permutation(np.unique(groups)):
        members = np.flatnonzero(groups == group)
        if away.sum() >= count:
            break
        if away.sum() + len(members) <= max(count, len(groups) // 2) and away.sum() + len(members) <= len(groups) - 2:
            away[members] = True
    if not away.any():  # no group can be held out whole, so one is divided
        away[draws.permutation(len(groups))[: min(count, len(groups) - 2)]] = True
    return away


def _part(source: Source, chosen: np.ndarray) -> Source:
    """Return a source of the examples that `chosen`, bool[n], selects, with all classes in the training split."""
    return dataclasses.replace(
        source,
        images=source.images[chosen],
        labels=source.labels[chosen],
        class_split=np.zeros(len(source.class_names), np.int8),
        groups=None,
        tracks=None,
        held_out=None,
    )
