"""The images of every row: made class by class, kept on disk, and made again only where they are absent."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan import functional
from meta_gan.adapted import AdaptedModel
from meta_gan.augment import augment, class_seed
from meta_gan.model import MetaModel
from meta_gan.protocol.settings import RATE_SCALES
from meta_gan.tasks.pixels import to_uint8


@dataclass(frozen=True)
class Contender:
    """What makes images of a class out of its support.

    Attributes:
        name: of its rows.
        model: a `MetaModel`, or anything with `adapt(support, steps=, seed=)` whose result has `sample(count, seed=)`.
        steps: ascending inner steps at which its one trajectory is read; `(0,)` for what has no steps.
        row_steps: the steps of its own row, one of `steps`.
        stable: whether other inner rates are tried.
        classes: the most classes that it takes part in, None for all.
    """

    name: str
    model: Any
    steps: tuple[int, ...] = (0,)
    row_steps: int = 0
    stable: bool = False
    classes: int | None = None

    def takes_part(self, position: int) -> bool:
        """Whether the class at a position of the protocol's order is its."""
        return self.classes is None or position < self.classes


def from_scratch(name: str, model: MetaModel, steps: int, classes: int) -> Contender:
    """The same game and inner rule from fresh weights: what the support alone teaches, with nothing learned before."""
    config = model.get_config()
    return Contender(name, MetaModel.from_config({**config, "averaging": None}), (steps,), steps, classes=classes)


@dataclass(frozen=True)
class Wanted:
    """What is to be made of one class: `samples` images a row, and for a classifier `extra` more, or none."""

    samples: int
    extra: int
    stability: bool


def make(contender: Contender, support: np.ndarray, wanted: Wanted, seed: int, what: str) -> dict[str, np.ndarray]:
    """Makes one class's images.

    Args:
        contender: by whom.
        support: uint8[shots, *example].
        wanted: how many.
        seed: of the class.
        what: the class's name, for messages.

    Returns:
        `{"samples/STEPS": uint8[samples, *example], "ms/STEPS": float64[], "extra": uint8[extra, *example],
        "rate/SCALE": uint8[samples or 0, *example]}`; of a diverged adaptation 0 images are kept.

    Raises:
        ValueError: samples that are not finite.
    """
    made: dict[str, np.ndarray] = {}
    key, adapting, start = class_seed(seed, 0), 0.0, time.perf_counter()
    for steps, adapted in _trajectory(contender, support, key):
        adapting += time.perf_counter() - start
        start = time.perf_counter()
        images = adapted.sample(wanted.samples, seed=key)
        # One sampling belongs to a task, not those at earlier stops of the same trajectory.
        made[f"ms/{steps}"] = np.array(1e3 * (adapting + time.perf_counter() - start))
        if not np.isfinite(images).all():
            raise ValueError(
                f"the samples of {contender.name!r} must be finite. Received: NaN or infinity for class {what!r} "
                f"after {steps} inner steps"
            )
        made[f"samples/{steps}"] = to_uint8(images)
        start = time.perf_counter()
    if wanted.extra:
        labels = np.zeros(len(support), np.int32)
        pairs = augment(contender.model, support, labels, wanted.extra, contender.row_steps, seed)
        images = np.stack([image for image, _ in pairs.as_numpy_iterator()])
        made["extra"] = to_uint8(images[len(support) :])
    if wanted.stability and contender.stable:
        for scale in RATE_SCALES:
            made[f"rate/{scale:g}"] = _at_rate(contender, support, wanted.samples, key, scale)
    return made


def _trajectory(contender: Contender, support: np.ndarray, key: int) -> Iterator[tuple[int, Any]]:
    """The adapted models at every one of a contender's steps, from one adaptation."""
    if not isinstance(contender.model, MetaModel):
        for steps in contender.steps:
            yield steps, contender.model.adapt(support, steps=steps, seed=key)
        return
    adaptation = contender.model.adaptation
    snapshots = adaptation.trajectory(support, contender.steps, key)
    for steps, snapshot in zip(contender.steps, snapshots, strict=True):
        yield steps, AdaptedModel(adaptation, snapshot, support, {})


def _at_rate(contender: Contender, support: np.ndarray, count: int, key: int, scale: float) -> np.ndarray:
    """Samples after the row's steps at another inner rate; none if anything is not finite."""
    adaptation = contender.model.adaptation
    (snapshot,) = adaptation.trajectory(support, (contender.row_steps,), key, rate_scale=scale)
    images = AdaptedModel(adaptation, snapshot, support, {}).sample(count, seed=key)
    leaves = [leaf for leaf in functional.flat(snapshot) if leaf.dtype.is_floating]
    finite = np.isfinite(images).all() and all(bool(tf.reduce_all(tf.math.is_finite(leaf))) for leaf in leaves)
    return to_uint8(images) if finite else np.zeros((0, *images.shape[1:]), np.uint8)


class Store:
    """The images of an evaluation on disk, a file for each draw and class, whole or absent.

    Args:
        folder: where; made at the first `save`.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, draw: int, index: int) -> Path:
        """The file of a draw and class."""
        return self.folder / f"draw{draw}" / f"{index:05d}.npz"

    def save(self, draw: int, index: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes one class."""
        path = self.path(draw, index)
        path.parent.mkdir(parents=True, exist_ok=True)
        work = path.with_suffix(".part")
        with work.open("wb") as file:
            np.savez_compressed(file, **dict(arrays))  # type: ignore[arg-type]
        os.replace(work, path)

    def load(self, draw: int, index: int, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """Reads some arrays of one class; keys that it has not are left out."""
        with np.load(self.path(draw, index), allow_pickle=False) as stored:
            return {key: stored[key] for key in keys if key in stored.files}


def fill(
    store: Store,
    draw: int,
    classes: Sequence[int],
    one: Callable[[int, int], dict[str, np.ndarray]],
    report: Callable[[int], None],
) -> None:
    """Makes what is absent.

    Args:
        store: where it is kept.
        draw: which draw.
        classes: class numbers, in the protocol's order.
        one: from (position, class number) to the arrays of that class.
        report: called with the number of classes done.
    """
    for position, index in enumerate(classes):
        if not store.path(draw, index).is_file():
            store.save(draw, index, one(position, index))
        report(position + 1)
