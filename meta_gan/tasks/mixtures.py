"""Tasks from several sources at once, drawings in random colours, and tasks of one picture and its variations."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan.checks import IMAGE_AXES, check_integer, check_shape
from meta_gan.tasks.base import SPLITS, Source
from meta_gan.tasks.colours import coloured
from meta_gan.tasks.episodes import EpisodeStream, Tasks
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.media import Pictures
from meta_gan.tasks.media.pictures import resize_images
from meta_gan.tasks.pixels import LIGHT_ON_DARK
from meta_gan.tasks.sampling import ALGORITHM, picked, smallest
from meta_gan.tasks.variation import LIMITS, Draws, Limits, vary
from meta_gan.types import Episode, Tensor


class _Part(abc.ABC):
    """A source of a mixture: tasks of pictures, of which some are drawn and made.

    Attributes:
        source: the pictures.
        tasks: by split, the entry of each task.
    """

    def __init__(self, source: Source, tasks: dict[str, np.ndarray], channels: int) -> None:
        self.source, self.tasks = source, tasks
        self.in_colour = source.example_shape[-1] == 1 and channels == 3

    def examples(self, entries: Tensor, key: Tensor) -> Tensor:
        """Draw float32[tasks, shots + queries, *example] of tasks, int32[tasks]; a pure function."""
        draw_key, colour_key, change_key = tf.unstack(tf.random.split(key, 3, alg=ALGORITHM))
        images = self._drawn(entries, draw_key)
        if self.in_colour:
            ink = (1.0 + images if self.source.polarity == LIGHT_ON_DARK else 1.0 - images) / 2.0
            images = coloured(ink, Draws(colour_key, *images.shape[:2]))
        return self._changed(images, change_key)

    @abc.abstractmethod
    def _drawn(self, entries: Tensor, key: Tensor) -> Tensor:
        """Draw the pictures of tasks as they are stored, float32[tasks, shots + queries, height, width, channels]."""

    def _changed(self, images: Tensor, key: Tensor) -> Tensor:
        return images


class _Classes(_Part):
    """Tasks of classes."""

    def __init__(self, tasks: Tasks, channels: int) -> None:
        super().__init__(tasks.source, tasks.drawable, channels)
        self.drawn = tasks

    def _drawn(self, entries: Tensor, key: Tensor) -> Tensor:
        cell_key, member_key = tf.unstack(tf.random.split(key, 2, alg=ALGORITHM))
        return self.drawn.draw_of(entries, cell_key, member_key, entries.shape[0])


class _Pictures(_Part):
    """Tasks of one picture and its variations."""

    def __init__(self, tasks: Variations, channels: int) -> None:
        super().__init__(tasks.source, tasks.drawable, channels)
        self.count, self.limits = tasks.shots + tasks.queries, tasks.limits
        with tf.device("CPU:0"):
            self._images = tf.constant(tasks.source.images)

    def _drawn(self, entries: Tensor, key: Tensor) -> Tensor:
        images = self.source.medium.seen(tf.gather(self._images, entries))
        return tf.repeat(images[:, None], self.count, axis=1)

    def _changed(self, images: Tensor, key: Tensor) -> Tensor:
        return vary(images, key, self.limits)


class Drawn(EpisodeStream):
    """Base of tasks that are made by many operations on floats."""

    def episode_batch(self, split: str, step: int, meta_batch: int) -> Episode:
        """Return the element of step `step` of a split's stream, as eager tensors; see `EpisodeStream.train`.

        It is drawn by the same graph as the stream: operation by operation the last digits would differ.
        """
        meta_batch = self._check(meta_batch, split)
        start = check_integer(step, "step", 0)
        with tf.device("CPU:0"):
            (episode,) = self._episodes(tf.data.Dataset.range(start, start + 1), split, meta_batch)
        return episode


class Variations(Drawn):
    """Tasks of one picture each: support and query are draws of a family of variation, see `variation.vary`.

    A model that is trained on such tasks has to infer from the support set in which ways, and how much, the pictures of
    a task differ. The pictures of training classes make the training tasks, and so on. Draws of a task depend on the
    seed, the split and the step alone.

    Args:
        source: pictures.
        shots: support examples of a task, at least 1.
        queries: query examples of a task, at least 1.
        seed: 0..2**31-1, the key of every draw.
        limits: the largest strengths of the variations.

    Raises:
        ValueError: an argument is out of range.
        DataError: the source is not of pictures.

    Example:
        >>> source = Source(np.zeros((2, 8, 8, 1), np.uint8), np.array([0, 1], np.int32), ["a", "b"],
        ...                 np.array([0, 0], np.int8))
        >>> Variations(source, shots=3, queries=2).episode_batch("train", 0, 2).support.shape
        TensorShape([2, 3, 8, 8, 1])
    """

    unit = "picture"

    def __init__(
        self, source: Source, shots: int = 5, queries: int = 7, seed: int = 0, limits: Limits = LIMITS
    ) -> None:
        """See the class."""
        _require_pictures(source)
        self.source, self.domains, self.limits = source, {"": source}, limits
        self.shots, self.queries = check_integer(shots, "shots", 1), check_integer(queries, "queries", 1)
        self.seed = check_integer(seed, "seed", 0)
        split = source.class_split[source.labels]
        self.drawable = {name: np.flatnonzero(split == i).astype(np.int32) for i, name in enumerate(SPLITS)}
        self._part = _Pictures(self, source.example_shape[-1])

    @property
    def splits(self) -> dict[str, list[str]]:
        """The names of the classes whose pictures are the tasks of "train", "validation" and "test"."""
        return {split: [self.source.class_names[i] for i in self.source.split_classes(split)] for split in SPLITS}

    def _name_of(self, entry: Any) -> str:
        return self.source.class_names[self.source.labels[entry]]

    def _examples(self, key: Tensor, split: str, meta_batch: int) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        pick_key, draw_key, task_key = tf.unstack(tf.random.split(key, 3, alg=ALGORITHM))
        entries = picked(pick_key, self.drawable[split], meta_batch)
        return entries, {"": self._part.examples(entries, draw_key)}, task_key


def variations(
    tasks: Tasks, shots: int | None = None, queries: int | None = None, seed: int | None = None, **strengths: float
) -> Variations:
    """Return tasks of one picture each, from the pictures of a data set.

    Args:
        tasks: what a reader such as `from_folder` returned.
        shots: support examples of a task; None for those of `tasks`.
        queries: query examples of a task; None for those of `tasks`.
        seed: the key of every draw; None for that of `tasks`.
        **strengths: fields of `variation.Limits` to change, such as `rotation=0.1`.

    Returns:
        `Variations`.

    Raises:
        ValueError: an argument is out of range, or an unknown strength.
        DataError: the data are not pictures.

    Example:
        `variations(tasks.from_folder("icons/"), rotation=0.0)`
    """
    if unknown := sorted(set(strengths) - set(Limits._fields)):
        raise ValueError(f"'strengths' must be among {', '.join(Limits._fields)}. Received: {unknown}")
    for name, value in strengths.items():
        if not 0.0 <= value < float("inf"):
            raise ValueError(f"{name!r} must be a finite number >= 0. Received: {value!r}")
    given = (tasks.shots if shots is None else shots, tasks.queries if queries is None else queries)
    return Variations(tasks.source, *given, tasks.seed if seed is None else seed, Limits(**strengths))


class Mixture(Drawn):
    """Tasks of several sources, drawn by weight; see `mixture`.

    Args:
        parts: `Tasks` or `Variations` of pictures of one size and one number of shots and queries. Where some are grey
            and others in colour, grey drawings get random ink and paper colours (see `colours.coloured`).
        weights: for each part the probability, up to a common factor, that a task is drawn from it; None for the
            number of its training tasks.
        seed: 0..2**31-1, the key of every draw.
        channels: 1 or 3; None for the most that a part has.

    Raises:
        ValueError: an argument is out of range.
        DataError: the parts do not fit together.
    """

    unit = "task"

    def __init__(
        self,
        parts: Sequence[Tasks | Variations],
        weights: Sequence[float] | None = None,
        seed: int = 0,
        channels: int | None = None,
    ) -> None:
        """See the class."""
        if not parts:
            raise ValueError("'parts' must be one or more. Received: none")
        shapes = [_require_pictures(part.source) for part in parts]
        if len({(part.shots, part.queries) for part in parts}) > 1 or len({shape[:2] for shape in shapes}) > 1:
            found = [f"{p.name}: {p.shots} shots, {p.queries} queries, {s}" for p, s in zip(parts, shapes, strict=True)]
            raise DataError(f"the parts of a mixture must have one size and one number of shots. Received: {found}")
        channels = max(shape[-1] for shape in shapes) if channels is None else channels
        if channels not in (1, 3) or not {shape[-1] for shape in shapes} <= {1, channels}:
            raise DataError(f"a mixture must have 1 or 3 channels. Received: {channels}, for pictures {shapes}")
        self._shape = (*shapes[0][:2], channels)
        self.shots, self.queries, self.seed = parts[0].shots, parts[0].queries, check_integer(seed, "seed", 0)
        self.domains = {f"{i}": part.source for i, part in enumerate(parts)}
        self.parts = [_part_of(part, channels) for part in parts]
        self._names = [part.splits for part in parts]
        self.weights = _checked_weights(weights, parts)
        counts = {split: [len(part.tasks[split]) for part in self.parts] for split in SPLITS}
        self._starts = {split: np.cumsum([0, *found])[:-1].astype(np.int32) for split, found in counts.items()}
        self.drawable = {split: np.arange(sum(found), dtype=np.int32) for split, found in counts.items()}

    @property
    def name(self) -> str:
        """The names of the sources, joined by a plus."""
        return " + ".join(dict.fromkeys(part.source.name for part in self.parts))

    @property
    def example_shape(self) -> tuple[int, ...]:
        """(height, width, channels) of every example."""
        return self._shape

    @property
    def polarity(self) -> str | None:
        """The polarity of the pictures; None where parts differ or drawings are coloured."""
        found = {None if part.in_colour else part.source.polarity for part in self.parts}
        return found.pop() if len(found) == 1 else None

    @property
    def card(self) -> dict[str, Any]:
        """See `EpisodeStream.card`."""
        return {"medium": Pictures.kind, "polarity": self.polarity}

    @property
    def splits(self) -> dict[str, list[str]]:
        """The names of the classes of every part, each after its source's name and a slash."""
        return {
            split: list(
                dict.fromkeys(
                    f"{part.source.name}/{name}"
                    for part, names in zip(self.parts, self._names, strict=True)
                    for name in names[split]
                )
            )
            for split in SPLITS
        }

    def _name_of(self, entry: Any) -> str:
        raise NotImplementedError  # `splits` names classes, of which a part may have many tasks

    def _examples(self, key: Tensor, split: str, meta_batch: int) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        part_key, pick_key, draw_key, task_key = tf.unstack(tf.random.split(key, 4, alg=ALGORITHM))
        chosen = self._parts_of(part_key, split, meta_batch)
        # The i-th task of a part in this meta-batch is the i-th of its own draw without replacement.
        same = tf.cast(chosen[:, None] == chosen[None, :], tf.int32)
        rank = tf.reduce_sum(tf.linalg.band_part(same, -1, 0), axis=1) - 1
        picks, draws = [], tf.random.split(draw_key, meta_batch, alg=ALGORITHM)
        for i, part in enumerate(self.parts):
            count = len(part.tasks[split])
            own = tf.random.fold_in(pick_key, i, alg=ALGORITHM)
            order = (
                smallest(own, 1, count, tf.constant([count]), min(count, meta_batch))[0]
                if count
                else tf.zeros([1], tf.int32)
            )
            # Only where a part has fewer tasks than it was drawn for does a task come twice.
            picks.append(tf.gather(order, rank % order.shape[0]))
        places = tf.gather_nd(tf.stack(picks), tf.stack([chosen, tf.range(meta_batch)], axis=1))
        branches = [self._branch(part, split) for part in self.parts]

        def one(given: tuple[Tensor, Tensor, Tensor]) -> Tensor:
            part, place, own = given
            return tf.switch_case(part, [lambda make=make: make(place, own) for make in branches])

        spec = tf.TensorSpec([self.shots + self.queries, *self._shape], tf.float32)
        examples = tf.map_fn(one, (chosen, places, draws), fn_output_signature=spec)
        return tf.gather(self._starts[split], chosen) + places, {"": examples}, task_key

    @staticmethod
    def _branch(part: _Part, split: str) -> Any:
        """Return the function that makes one task of a part, by its place in the split and a key."""
        entries = part.tasks[split] if len(part.tasks[split]) else np.zeros([1], np.int32)
        return lambda place, key: part.examples(tf.gather(tf.constant(entries), place)[None], key)[0]

    def _parts_of(self, key: Tensor, split: str, meta_batch: int) -> Tensor:
        """Draw int32[meta_batch], the part of each task, by weight among those that have tasks in the split."""
        weights = self.weights * [len(part.tasks[split]) > 0 for part in self.parts]
        ends = tf.constant(np.cumsum(weights / weights.sum()), tf.float32)
        drawn = tf.random.stateless_uniform([meta_batch], key, alg=ALGORITHM)
        return tf.minimum(tf.searchsorted(ends, drawn, side="right"), int(np.flatnonzero(weights)[-1]))


def mixture(
    parts: Sequence[Tasks | Variations],
    weights: Sequence[float] | None = None,
    image_shape: Sequence[int] | None = None,
    seed: int = 0,
) -> Mixture:
    """Return tasks of several data sets of pictures at once, drawn by weight.

    A model that is meta-trained on them sees more kinds of tasks than one data set has.

    Args:
        parts: what readers such as `from_folder`, or `variations`, returned, with one number of shots and queries.
        weights: for each part, > 0, the probability up to a common factor that a task is drawn from it; None for the
            number of its training tasks.
        image_shape: (height, width, channels) to which all pictures are brought, resized as those of a folder; grey
            drawings become drawings in random ink and paper colours where it has 3 channels. None if all have one
            size already; they are then in colour if one of them is.
        seed: 0..2**31-1, the key of every draw.

    Returns:
        A `Mixture`, to train on like other tasks. Classes of a split stay in their split.

    Raises:
        ValueError: an argument is out of range.
        DataError: parts that are not pictures, or do not fit together.

    Example:
        `mixture([from_folder("signs/"), glyphs(), variations(glyphs())], weights=[2, 1, 1], image_shape=(32, 32, 3))`
    """
    if image_shape is None:
        return Mixture(parts, weights, seed)
    shape = check_shape(image_shape, "image_shape", IMAGE_AXES)
    return Mixture([_resized(part, shape) for part in parts], weights, seed, shape[-1])


def _part_of(tasks: Tasks | Variations, channels: int) -> _Part:
    return _Pictures(tasks, channels) if isinstance(tasks, Variations) else _Classes(tasks, channels)


def _require_pictures(source: Source) -> tuple[int, ...]:
    if not isinstance(source.medium, Pictures):
        raise DataError(f"{source.name}: must be pictures. Received: {source.medium.kind}")
    return source.example_shape


def _checked_weights(weights: Sequence[float] | None, parts: Sequence[Tasks | Variations]) -> np.ndarray:
    if weights is None:
        return np.array([len(part.drawable["train"]) for part in parts], float)
    found = np.asarray(weights, float)
    if found.shape != (len(parts),) or not (np.isfinite(found).all() and (found > 0).all()):
        raise ValueError(f"'weights' must be {len(parts)} numbers > 0. Received: {weights!r}")
    return found


def _resized(tasks: Tasks | Variations, shape: tuple[int, ...]) -> Tasks | Variations:
    """Return the same tasks with pictures of another size; grey ones stay grey, to be coloured as they are drawn."""
    source = tasks.source
    own = source.example_shape[-1]
    wanted = (*shape[:2], 1 if shape[-1] == 3 and own == 1 else shape[-1])
    if source.example_shape == wanted:
        return tasks
    source = dataclasses.replace(source, images=resize_images(source.images, wanted))
    if isinstance(tasks, Variations):
        return Variations(source, tasks.shots, tasks.queries, tasks.seed, tasks.limits)
    return Tasks(source, tasks.shots, tasks.queries, tasks.seed, np.concatenate(list(tasks.drawable.values())))
