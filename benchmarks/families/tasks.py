"""The pairs of domains of `benchmarks.families`: their data, the networks that compare images, and recipe fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.families import data
from meta_gan.tasks import DomainTasks, Source, open_source, pair_classes
from meta_gan.tasks.domains import merged

SHAPE = (28, 28, 1)
TOLD = 64  # embedding_dim of the rows with a task embedding
OBJECTIVE = "omniglot28-objective"
# Images are compared in the features of the shipped network for drawings; none is trained on digits or clothes.
IN_FEATURES = {"energy": 1.0, "features": OBJECTIVE, "content": 0.0}
BY_TRUTH = {"truth": 10.0, "content": 0.0}


@dataclass(frozen=True)
class Family:
    """A family of pairs.

    Attributes:
        shots: support images of each domain in training; a step has any number down to the least of `measured`.
        measured: numbers of support images in the evaluation.
        training: creates the training pairs from a folder of data and shots.
        tests: creates the evaluated pairs likewise, by name.
        fields: changes of the recipe `translation` in every row.
        score: selects the inner steps and rate of a row on tuning pairs; lower is better.
        judged: the classes on which the judges are trained: "" for no judges, "training" for the training classes of
            both domains, "digits" for all ten digits of both sources.
        draws: draws of support and query images of every evaluated pair.
        symmetries: whether training rotates and mirrors both domains of a pair alike, which adds classes where there
            are few.
    """

    shots: int
    measured: tuple[int, ...]
    training: Callable[[Path, int], DomainTasks]
    tests: dict[str, Callable[[Path, int], DomainTasks]]
    fields: dict[str, Any]
    score: str
    judged: str = ""
    draws: int = 3
    symmetries: bool = False
    fewest: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fewest", min(self.measured) if min(self.measured) < self.shots else 0)


def digits(folder: Path) -> tuple[Source, Source]:
    """Return USPS and MNIST, both 28x28."""
    return _sources(folder, "usps.npz", "mnist.npz")


def clothes(folder: Path) -> tuple[Source, Source]:
    """Return MNIST and Fashion-MNIST."""
    return _sources(folder, "mnist.npz", "fashion_mnist.npz")


def _sources(folder: Path, *names: str) -> tuple[Source, Source]:
    first, second = (open_source(str(folder / name), shots=1, queries=1, image_shape=SHAPE).source for name in names)
    return first, second


def _classes(open_: Callable[[Path], tuple[Source, Source]], by: str, back: bool, queries: int) -> Callable[..., Any]:
    """Pair the classes of two sources in one direction, for evaluation."""

    def make(folder: Path, shots: int) -> DomainTasks:
        source, target = open_(folder)[:: -1 if back else 1]
        return pair_classes(source, target, by, shots=shots, queries=queries)

    return make


def _both_ways(open_: Callable[[Path], tuple[Source, Source]], by: str) -> Callable[..., Any]:
    """Pair the classes of two sources in both directions, which share the initial weights."""

    def make(folder: Path, shots: int) -> DomainTasks:
        return pair_classes(*open_(folder), by, both_ways=True, shots=shots, queries=20)

    return make


def _some(tasks: DomainTasks, most: int = 24) -> DomainTasks:
    """Return the same tasks with at most `most` pairs each of validation and test."""
    draw = np.random.default_rng(0)
    kept = {split: rows[np.sort(draw.permutation(len(rows))[:most])] for split, rows in tasks.pairs.items()}
    kept["train"] = tasks.pairs["train"]
    return DomainTasks(tasks.source, tasks.target, kept, tasks.shots, tasks.queries, tasks.seed, tasks.paired)


def _emoji(queries: int) -> Callable[..., Any]:
    def make(folder: Path, shots: int) -> DomainTasks:
        return data.emoji_pairs(data.emoji(folder / "emoji_domains32.npz"), ("twemoji", "emojione"), shots, queries)

    return make


def _fonts(queries: int) -> Callable[..., Any]:
    def make(folder: Path, shots: int) -> DomainTasks:
        return _some(data.font_pairs(data.fonts(folder / "fonts32.npz"), shots, queries))

    return make


def _writers(queries: int) -> Callable[..., Any]:
    def make(folder: Path, shots: int) -> DomainTasks:
        return _some(data.writer_pairs(data.writers(folder / "omniglot28.npz"), shots, queries))

    return make


FAMILIES: dict[str, Family] = {
    "USPS and MNIST": Family(
        20,
        (20,),
        _both_ways(digits, "name"),
        {"USPS to MNIST": _classes(digits, "name", False, 50), "MNIST to USPS": _classes(digits, "name", True, 50)},
        IN_FEATURES,
        "energy_distance",
        "digits",
        draws=5,
        symmetries=True,
    ),
    "MNIST and Fashion-MNIST": Family(
        20,
        (5, 20),
        _both_ways(clothes, "all"),
        {
            "MNIST to Fashion-MNIST": _classes(clothes, "all", False, 50),
            "Fashion-MNIST to MNIST": _classes(clothes, "all", True, 50),
        },
        IN_FEATURES,
        "energy_distance",
        "training",
        draws=5,
    ),
    "emoji": Family(20, (20,), _emoji(20), {"Twemoji to EmojiOne": _emoji(60)}, BY_TRUTH, "l1", draws=10),
    "fonts": Family(5, (5,), _fonts(20), {"fonts": _fonts(40)}, BY_TRUTH, "l1", draws=1),
    "writers": Family(5, (5,), _writers(8), {"writers": _writers(8)}, BY_TRUTH, "l1", draws=2),
}


def judged(family: Family, folder: Path) -> Source:
    """Return the source for training a family's judges, with all classes in the split train.

    Raises:
        ValueError: the family has no judges.
    """
    if family.judged == "digits":
        usps, mnist = digits(folder)
        images = np.concatenate([usps.images, mnist.images])
        labels = np.concatenate([usps.labels, mnist.labels])
        return Source(images, labels, mnist.class_names, np.zeros(10, np.int8), name="digits of both hands")
    if family.judged != "training":
        raise ValueError(f"a family without judges has no such source. Received: {family.judged!r}")
    whole = merged(*clothes(folder))
    kept = whole.split_classes("train")
    chosen = np.isin(whole.labels, kept)
    numbers = np.searchsorted(kept, whole.labels[chosen]).astype(np.int32)
    names = [whole.class_names[index] for index in kept]
    return Source(whole.images[chosen], numbers, names, np.zeros(len(kept), np.int8), name=whole.name)
