"""`Tasks`: episodes drawn from a `Source`, every one a pure function of (seed, split, step).

An episode is a class with `shots` support and `queries` query images. Nothing here keeps a state: step k of a
split is drawn by stateless operations from a key that names the seed, the split and k, so a run that stops at
step k and starts again with `start_step=k` sees exactly what it would have seen. The examples stay one tensor on the
host, as they are stored; only the drawn ones become float.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan.checks import check_integer
from meta_gan.tasks.base import SPLITS, Source
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.streams import Streams
from meta_gan.types import Episode

# Pinned: the automatic choice depends on the device, and with it the episodes would.
ALGORITHM = "philox"
TURN, _COUNT = 0x7475726E, 0x636F756E  # folded into a key that is also split: numbers that no split reaches


def _smallest(key: Any, rows: int, columns: int, limits: Any, count: int) -> Any:
    """Draw int32[rows, count]: in each row distinct columns below the row's limit, uniform over orders."""
    keys = tf.random.stateless_uniform([rows, columns], key, alg=ALGORITHM)
    # 2 exceeds every key, so what lies past the limit is never among the smallest.
    keys = tf.where(tf.range(columns)[None, :] < limits[:, None], keys, 2.0)
    return tf.math.top_k(-keys, k=count).indices


def turned(images: Any, key: Any) -> Any:
    """Turn and mirror float[tasks, n, side, side, channels] by a symmetry of the square, drawn for each task."""
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


def drawn_shots(task_key: Any, fewest: int, shots: int) -> Any:
    """Draw how many support images an element has, int32[], uniformly from `fewest` to `shots`."""
    count_key = tf.random.fold_in(task_key, _COUNT, alg=ALGORITHM)
    return tf.random.stateless_uniform([], count_key, fewest, shots + 1, tf.int32, alg=ALGORITHM)


class Tasks(Streams):
    """Few-shot tasks over the classes of a source.

    Examples are drawn without replacement, so support and query are disjoint. Where the source has groups, an
    episode takes one example from each of `shots + queries` different groups.

    Args:
        source: the labelled examples.
        shots: support images of a task, at least 1.
        queries: query images of a task, at least 1.
        seed: 0..2**31-1, the key of every draw.
        classes: int[k], the classes that must have enough examples; None for all. No other may be drawn.

    Raises:
        DataError: if an argument is out of range or a class has too few examples (or groups) for an episode.

    Example:
        >>> images, labels = np.zeros((24, 8, 8, 1), np.uint8), np.repeat(np.arange(2, dtype=np.int32), 12)
        >>> source = Source(images, labels, ["a", "b"], np.array([0, 0], np.int8))
        >>> next(iter(Tasks(source).train(meta_batch=2))).support.shape
        TensorShape([2, 5, 8, 8, 1])
    """

    def __init__(
        self, source: Source, shots: int = 5, queries: int = 7, seed: int = 0, classes: np.ndarray | None = None
    ) -> None:
        """See the class."""
        self.source = source
        self.shots = check_integer(shots, "shots", 1)
        self.queries = check_integer(queries, "queries", 1)
        self.seed = check_integer(seed, "seed", 0)
        self._index()
        self._require_examples(np.arange(len(source.class_names)) if classes is None else classes)
        self._split_classes = {split: source.split_classes(split).astype(np.int32) for split in SPLITS}
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
        short = classes[self._class_cells[classes] < needed]
        if len(short) == 0:
            return
        name, size = self.source.class_names[short[0]], self._class_cells[short[0]]
        what = "examples" if self.source.groups is None else "groups of examples"
        raise DataError(
            f"{self.source.name}: every class needs at least shots + queries = {needed} {what}; class "
            f"{name!r} has "
            f"{size} ({len(short)} of {len(self._class_cells)} classes have too few). "
            f"Received: shots={self.shots}, queries={self.queries}"
        )

    @property
    def name(self) -> str:
        """What messages and model cards call the data."""
        return self.source.name

    def describe(self) -> str:
        """Return a few lines for people, see `Source.describe`."""
        return self.source.describe()

    @property
    def example_shape(self) -> tuple[int, ...]:
        """The shape of every example; of pictures (height, width, channels)."""
        return self.source.example_shape

    @property
    def polarity(self) -> str:
        """The polarity of pictures, "light-on-dark" or "dark-on-light"; see `Source.polarity`."""
        return self.source.polarity

    @property
    def card(self) -> dict[str, Any]:
        """What a model card must know to read a user's own examples, see `media`: of pictures their polarity."""
        return self.source.medium.card(self.source.images)

    @property
    def splits(self) -> dict[str, list[str]]:
        """The class names of "train", "validation" and "test"."""
        names = self.source.class_names
        return {split: [names[index] for index in chosen] for split, chosen in self._split_classes.items()}

    def _check(self, meta_batch: int, split: str) -> int:
        classes = len(self.source.split_classes(split))
        if classes == 0:
            counts = ", ".join(f"{name} {len(chosen)}" for name, chosen in self._split_classes.items())
            raise DataError(f"{self.source.name}: the {split} split needs at least 1 class. Received: {counts}")
        if check_integer(meta_batch, "meta_batch", 1) > classes:
            raise DataError(
                f"{self.source.name}: `meta_batch` must be at most the number of classes of the {split} "
                "split, "
                f"{classes}, because the tasks of a batch are of different classes. Received: {meta_batch}"
            )
        return int(meta_batch)

    def _draw(
        self, step: Any, split: str, meta_batch: int, symmetries: bool = False, fewest: int | None = None
    ) -> Episode:
        """Draw one meta-batch; `step` is an int64[] tensor, the rest is static."""
        root = tf.constant([self.seed, SPLITS.index(split)], tf.int32)
        key = tf.random.fold_in(root, tf.cast(step, tf.int32), alg=ALGORITHM)
        class_key, cell_key, member_key, task_key = tf.unstack(tf.random.split(key, 4, alg=ALGORITHM))
        chosen = tf.constant(self._split_classes[split])
        picks = _smallest(class_key, 1, len(chosen), tf.constant([len(chosen)]), meta_batch)
        classes = tf.gather(chosen, picks[0])
        images = self.draw_of(classes, cell_key, member_key, meta_batch)
        if symmetries:
            images = turned(images, tf.random.fold_in(task_key, TURN, alg=ALGORITHM))
        count = self.shots if fewest is None else drawn_shots(task_key, fewest, self.shots)
        return Episode(
            support=images[:, :count],
            query=images[:, self.shots :],
            task_id=classes,
            seed=tf.random.split(task_key, meta_batch, alg=ALGORITHM),
        )

    def draw_of(self, classes: Any, cell_key: Any, member_key: Any, meta_batch: int) -> Any:
        """Draw float32[tasks, shots + queries, *example] of given classes, int32[tasks]; pure.

        The keys, int32[2] each, choose groups (or examples, where there are none) and the members of groups.
        """
        return self.images_of(self._examples(classes, cell_key, member_key, meta_batch))

    def images_of(self, examples: Any) -> Any:
        """Return float32[..., *example] in [-1, 1] of examples by their indices, int32[...]; pure."""
        return self.source.medium.seen(tf.gather(self._images, examples))

    def _examples(self, classes: Any, cell_key: Any, member_key: Any, meta_batch: int) -> Any:
        """Draw int32[tasks, shots + queries] indices of examples, each from another cell of its class."""
        needed = self.shots + self.queries
        limits = tf.gather(tf.constant(self._class_cells), classes)
        cells = _smallest(cell_key, meta_batch, int(self._class_cells.max()), limits, needed)
        cells += tf.gather(tf.constant(self._class_start), classes)[:, None]
        sizes = tf.gather(tf.constant(self._cell_size), cells)
        fractions = tf.random.stateless_uniform([meta_batch, needed], member_key, alg=ALGORITHM)
        members = tf.cast(fractions * tf.cast(sizes, tf.float32), tf.int32)
        # A fraction just below 1 times a large size rounds up to the size itself.
        members = tf.minimum(members, sizes - 1)
        return tf.gather(tf.constant(self._order), tf.gather(tf.constant(self._cell_start), cells) + members)
