"""`Tasks`: episodes drawn from a `Source`, each a pure function of (seed, split, step); and what all tasks share.

Nothing here keeps a state: step k of a split is drawn by stateless operations from a key of the seed, the split and k,
so a run that stops at step k and starts again with `start_step=k` receives exactly the same episodes. The examples stay
one tensor on the host, as they are stored; only the drawn ones become floats.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan.checks import check_choice, check_integer
from meta_gan.tasks.base import SPLITS, Source
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.sampling import ALGORITHM, smallest
from meta_gan.tasks.tracks import Tracks
from meta_gan.types import Episode

_TURN, _COUNT = 0x7475726E, 0x636F756E  # folded into a key that is also split: numbers that no split reaches


def by_domain(value: Any) -> dict[str, Any]:
    """Return `{domain: value}` of a value that is a dict for several domains; one domain is named "".

    Example:
        >>> by_domain((28, 28, 1)), by_domain({"source": 1, "target": 2})
        ({'': (28, 28, 1)}, {'source': 1, 'target': 2})
    """
    return dict(value) if isinstance(value, Mapping) else {"": value}


def join_domains(values: Mapping[str, Any]) -> Any:
    """Return the value of the only domain, or `values` if there are several; the inverse of `by_domain`."""
    return values[""] if "" in values else dict(values)


class EpisodeStream(abc.ABC):
    """Base of tasks of one and of two domains; subclasses draw a task's classes and examples.

    With several domains, support and query are dicts by domain, and so are `example_shape` and `polarity`.
    """

    domains: dict[str, Source]  # The only domain is named "".
    drawable: dict[str, np.ndarray]  # By split, the class (int32[n]) or the pair of classes (int32[n, 2]) of each task.
    unit: str  # What a task is, for messages.
    shots: int
    queries: int
    seed: int
    paired = False  # True if example i of the query sets of both domains shows the same thing.

    @property
    def name(self) -> str:
        """The name in messages and model cards, such as "mnist.npz", or "usps > mnist" for two domains."""
        return " > ".join(source.name for source in self.domains.values())

    @property
    def example_shape(self) -> Any:
        """The shape of every example, such as (height, width, channels), or a dict of it by domain."""
        return join_domains({domain: source.example_shape for domain, source in self.domains.items()})

    @property
    def polarity(self) -> Any:
        """The polarity of pictures, or a dict of it by domain; see `Source.polarity`."""
        return join_domains({domain: source.polarity for domain, source in self.domains.items()})

    @property
    def card(self) -> dict[str, Any]:
        """The entries of a model card that are needed to read a user's examples; see `Medium.card`."""
        cards = {domain: source.medium.card(source.images) for domain, source in self.domains.items()}
        (medium,) = {card.pop("medium") for card in cards.values()}
        keys = next(iter(cards.values()))
        made = {"medium": medium, **{k: join_domains({d: card[k] for d, card in cards.items()}) for k in keys}}
        skipped = {domain: list(source.skipped) for domain, source in self.domains.items()}
        return {**made, "skipped": join_domains(skipped)} if any(skipped.values()) else made

    @property
    def splits(self) -> dict[str, list[str]]:
        """The names of the tasks of "train", "validation" and "test"."""
        return {split: [self._name_of(entry) for entry in entries] for split, entries in self.drawable.items()}

    def describe(self) -> str:
        """Return a few lines for people; see `Source.describe`."""
        return "\n".join(source.describe() for source in dict.fromkeys(self.domains.values()))

    def train(
        self, meta_batch: int = 8, start_step: int = 0, symmetries: bool = False, fewest_shots: int | None = None
    ) -> tf.data.Dataset:
        """Return the endless stream of training episodes from step `start_step` on.

        Args:
            meta_batch: tasks of an element, all different, from 1 to the number of training tasks.
            start_step: >= 0, the step of the first element.
            symmetries: whether each task is rotated and mirrored by one of the eight symmetries of the square, the same
                for its support and query and for both domains: a class of drawings becomes eight. The classes and
                examples of a task do not depend on it.
            fewest_shots: from 1 to `shots`. The number of support examples of each step is drawn uniformly from this
                to `shots`, one number for all tasks of an element, so that a model learns from few examples and from
                many. None for always `shots`. No other draw depends on it.

        Returns:
            A dataset of `Episode`: support float32[meta_batch, shots, *example], query likewise, task_id
            int32[meta_batch], the class, or the index of the pair in its split, seed int32[meta_batch, 2]. With
            `fewest_shots` the number of shots is unknown to a graph.

        Raises:
            ValueError: an argument is out of range.
            DataError: there are fewer training tasks than `meta_batch`, or images to be rotated are not square.
        """
        meta_batch = self._check(meta_batch, "train")
        start_step = check_integer(start_step, "start_step", 0)
        fewest = None if fewest_shots is None else check_integer(fewest_shots, "fewest_shots", 1, self.shots)
        for shape in by_domain(self.example_shape).values():
            if symmetries and (len(shape) != 3 or shape[0] != shape[1]):
                raise DataError(f"{self.name}: 'symmetries' needs square images. Received: {shape}")
        return self._episodes(tf.data.Dataset.counter(start_step), "train", meta_batch, symmetries, fewest)

    def validation(self, meta_batch: int = 8, batches: int = 4) -> tf.data.Dataset:
        """Return `batches` elements of the validation split, the same ones at every call; see `train`."""
        return self._fixed("validation", meta_batch, batches)

    def test(self, meta_batch: int = 8, batches: int = 4) -> tf.data.Dataset:
        """Return `batches` elements of the test split, the same ones at every call; see `train`."""
        return self._fixed("test", meta_batch, batches)

    def episode_batch(self, split: str, step: int, meta_batch: int) -> Episode:
        """Return the element of step `step` of a split's stream, as eager tensors; see `train`.

        Raises:
            ValueError: an argument is out of range.
            DataError: the split has fewer tasks than `meta_batch`.

        Example:
            `tasks.episode_batch("test", 0, 1).support` is what the first test task adapts to.
        """
        meta_batch = self._check(meta_batch, split)
        check_integer(step, "step", 0)
        with tf.device("CPU:0"):
            return self._draw(tf.constant(step, tf.int64), split, meta_batch)

    def _fixed(self, split: str, meta_batch: int, batches: int) -> tf.data.Dataset:
        meta_batch = self._check(meta_batch, split)
        return self._episodes(tf.data.Dataset.range(check_integer(batches, "batches", 1)), split, meta_batch)

    def _check(self, meta_batch: int, split: str) -> int:
        """Return `meta_batch`, or refuse an unknown or empty split, or more tasks than the split has."""
        count = len(self.drawable[check_choice(split, "split", SPLITS)])
        if count == 0:
            counts = ", ".join(f"{name} {len(entries)}" for name, entries in self.drawable.items())
            raise DataError(f"{self.name}: the {split} split needs at least 1 {self.unit}. Received: {counts}")
        if check_integer(meta_batch, "meta_batch", 1) > count:
            raise DataError(
                f"{self.name}: 'meta_batch' must be at most the {count} tasks of the {split} split, because the "
                f"tasks of a batch are different; lower it (--set meta_batch={count}), or add classes. "
                f"Received: {meta_batch}"
            )
        return int(meta_batch)

    def _episodes(
        self, steps: tf.data.Dataset, split: str, meta_batch: int, symmetries: bool = False, fewest: int | None = None
    ) -> tf.data.Dataset:
        episodes = steps.map(
            lambda step: self._draw(step, split, meta_batch, symmetries, fewest),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        return episodes.prefetch(2)

    def _draw(
        self, step: tf.Tensor, split: str, meta_batch: int, symmetries: bool = False, fewest: int | None = None
    ) -> Episode:
        """Draw one meta-batch; `step` is an int64[] tensor, the rest is static."""
        root = tf.constant([self.seed, SPLITS.index(split)], tf.int32)
        key = tf.random.fold_in(root, tf.cast(step, tf.int32), alg=ALGORITHM)
        task_id, drawn, task_key = self._examples(key, split, meta_batch)
        if symmetries:
            turn_key = tf.random.fold_in(task_key, _TURN, alg=ALGORITHM)
            drawn = {domain: turned(examples, turn_key) for domain, examples in drawn.items()}
        shots: int | tf.Tensor = self.shots
        if fewest is not None:
            count_key = tf.random.fold_in(task_key, _COUNT, alg=ALGORITHM)
            shots = tf.random.stateless_uniform([], count_key, fewest, self.shots + 1, tf.int32, alg=ALGORITHM)
        return Episode(
            support=join_domains({domain: examples[:, :shots] for domain, examples in drawn.items()}),
            query=join_domains({domain: examples[:, self.shots :] for domain, examples in drawn.items()}),
            task_id=task_id,
            seed=tf.random.split(task_key, meta_batch, alg=ALGORITHM),
        )

    @abc.abstractmethod
    def _name_of(self, entry: Any) -> str:
        """Return the name of the task of an entry of `drawable`."""

    @abc.abstractmethod
    def _examples(
        self, key: tf.Tensor, split: str, meta_batch: int
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor]:
        """Draw `(task_id, {domain: float32[tasks, shots + queries, *example]}, task key)`."""


def turned(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Rotate and mirror float[tasks, n, side, side, channels] by a symmetry of the square, drawn for each task."""
    which = tf.random.stateless_uniform([tf.shape(images)[0]], key, 0, 8, tf.int32, alg=ALGORITHM)
    changes = (
        lambda x: tf.reverse(x, [2]),
        lambda x: tf.reverse(x, [3]),
        lambda x: tf.transpose(x, [0, 1, 3, 2, 4]),
    )
    for bit, change in enumerate(changes):
        chosen = tf.bitwise.bitwise_and(which, 1 << bit) > 0
        images = tf.where(chosen[:, None, None, None, None], change(images), images)
    return images


class Tasks(EpisodeStream):
    """Few-shot tasks over the classes of a source.

    Examples are drawn without replacement, so support and query are disjoint. If the source has groups, an episode
    takes one example from each of `shots + queries` different groups. If it has tracks, support and query take their
    examples from different ones; about the share of the support set's examples is that of its tracks.

    Args:
        source: the labelled examples.
        shots: support examples of a task, at least 1.
        queries: query examples of a task, at least 1.
        seed: 0..2**31-1, the key of every draw.
        classes: int[k], the classes that must have enough examples; None for all. No other may be drawn.

    Raises:
        ValueError: an argument is out of range.
        DataError: a class has too few examples (or groups) for an episode.

    Example:
        >>> images, labels = np.zeros((24, 8, 8, 1), np.uint8), np.repeat(np.arange(2, dtype=np.int32), 12)
        >>> source = Source(images, labels, ["a", "b"], np.array([0, 0], np.int8))
        >>> next(iter(Tasks(source).train(meta_batch=2))).support.shape
        TensorShape([2, 5, 8, 8, 1])
    """

    unit = "class"

    def __init__(
        self, source: Source, shots: int = 5, queries: int = 7, seed: int = 0, classes: np.ndarray | None = None
    ) -> None:
        """See the class."""
        self.source, self.domains = source, {"": source}
        self.shots, self.queries = check_integer(shots, "shots", 1), check_integer(queries, "queries", 1)
        self.seed = check_integer(seed, "seed", 0)
        self._tracks = None if source.tracks is None else Tracks(source.labels, source.tracks, shots, queries)
        self._index()
        self._require_examples(np.arange(len(source.class_names)) if classes is None else classes)
        self.drawable = {split: found.astype(np.int32) for split, found in source.classes_by_split().items()}
        with tf.device("CPU:0"):
            self._images = tf.constant(source.images)

    def _index(self) -> None:
        """Sort the examples by class and group into cells; an example without a group is a cell by itself."""
        source = self.source
        groups = np.arange(len(source.labels)) if source.groups is None else source.groups
        order = np.lexsort((groups, source.labels))
        label, group = source.labels[order], groups[order]
        first = np.ones(len(order), bool)
        first[1:] = (label[1:] != label[:-1]) | (group[1:] != group[:-1])
        starts = np.flatnonzero(first)
        self._order = order.astype(np.int32)
        self._cell_start = starts.astype(np.int32)
        self._cell_size = np.diff(np.append(starts, len(order))).astype(np.int32)
        bounds = np.searchsorted(label[starts], np.arange(len(source.class_names) + 1))
        self._class_start = bounds[:-1].astype(np.int32)
        self._class_cells = np.diff(bounds).astype(np.int32)

    def _require_examples(self, classes: np.ndarray) -> None:
        needed = self.shots + self.queries
        if self._tracks is not None:
            self._tracks.require(classes, self.source.class_names, self.name)
        short = classes[self._class_cells[classes] < needed]
        if len(short) == 0:
            return
        name, size = self.source.class_names[short[0]], self._class_cells[short[0]]
        what = "examples" if self.source.groups is None else "groups of examples"
        raise DataError(
            f"{self.name}: every class needs at least shots + queries = {needed} {what}; class {name!r} has {size} "
            f"({len(short)} of {len(self._class_cells)} classes have too few). "
            f"Received: shots={self.shots}, queries={self.queries}{self._cure(int(self._class_cells[short].min()))}"
        )

    @staticmethod
    def _cure(least: int) -> str:
        """Return the end of the message on small classes, the smallest of which has `least` examples."""
        lower = f"lower shots and queries to {least} together, " if least > 1 else ""
        return f". Add examples, {lower}or leave the small classes out (--small-classes skip)"

    def _name_of(self, entry: Any) -> str:
        return self.source.class_names[entry]

    def _examples(
        self, key: tf.Tensor, split: str, meta_batch: int
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor]:
        class_key, cell_key, member_key, task_key = tf.unstack(tf.random.split(key, 4, alg=ALGORITHM))
        chosen = tf.constant(self.drawable[split])
        picks = smallest(class_key, 1, len(chosen), tf.constant([len(chosen)]), meta_batch)
        classes = tf.gather(chosen, picks[0])
        return classes, {"": self.draw_of(classes, cell_key, member_key, meta_batch)}, task_key

    def draw_of(self, classes: tf.Tensor, cell_key: tf.Tensor, member_key: tf.Tensor, meta_batch: int) -> tf.Tensor:
        """Draw float32[tasks, shots + queries, *example] of given classes, int32[tasks]; a pure function.

        Each example is from another cell of its class. The keys, int32[2] each, choose groups (or examples, if there
        are no groups) and the members of groups; or tracks, and their examples.
        """
        if self._tracks is not None:
            return self.images_of(self._tracks.draw(classes, cell_key, member_key))
        needed = self.shots + self.queries
        limits = tf.gather(tf.constant(self._class_cells), classes)
        cells = smallest(cell_key, meta_batch, int(self._class_cells.max()), limits, needed)
        cells += tf.gather(tf.constant(self._class_start), classes)[:, None]
        sizes = tf.gather(tf.constant(self._cell_size), cells)
        fractions = tf.random.stateless_uniform([meta_batch, needed], member_key, alg=ALGORITHM)
        members = tf.cast(fractions * tf.cast(sizes, tf.float32), tf.int32)
        # A fraction just below 1 times a large size rounds up to the size itself.
        members = tf.minimum(members, sizes - 1)
        return self.images_of(
            tf.gather(tf.constant(self._order), tf.gather(tf.constant(self._cell_start), cells) + members)
        )

    def images_of(self, examples: tf.Tensor) -> tf.Tensor:
        """Return float32[..., *example] of examples by their indices, int32[...]; a pure function."""
        return self.source.medium.seen(tf.gather(self._images, examples))
