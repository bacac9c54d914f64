"""`Streams`: training, validation and test episodes over a draw that is a pure function of (seed, split, step)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from meta_gan.checks import check_integer
from meta_gan.tasks.errors import DataError
from meta_gan.types import Episode

MAX_SEED = 2**31 - 1


class Streams:
    """What all tasks have in common; who derives from it draws an element and says how large one may be.

    A task is a class, or a pair of classes of two domains, whose support and query sets are dicts of `source` and
    `target`.

    Attributes:
        name: what messages and model cards call the data.
        shots: support images of a task.
        example_shape: of every image, or a dict of the domains'.
    """

    name: Any
    shots: int
    example_shape: Any

    def train(
        self, meta_batch: int = 8, start_step: int = 0, symmetries: bool = False, fewest_shots: int | None = None
    ) -> tf.data.Dataset:
        """Return the endless stream of training episodes from step `start_step` on.

        Args:
            meta_batch: tasks of an element, from 1 to the number of training classes, or pairs; all different.
            start_step: >= 0, the step of the first element.
            symmetries: whether every task is turned and mirrored by one of the eight symmetries of the square, the
                same for its support and query, and for both domains: a class of drawings becomes eight. Without it,
                and with it, a task has the same classes and examples.
            fewest_shots: from 1 to `shots`: the number of support images is drawn for every step, uniformly from this
                to `shots`, the same for all tasks of an element, and the rest is left out: so that a model learns to
                be given few images and many. None for always `shots`. All other draws are the same with it.

        Returns:
            A dataset of `Episode`: support float32[meta_batch, shots, height, width, channels] in [-1, 1], query
            likewise (of domains a dict of such), task_id int32[meta_batch], the class or the number of the pair in
            its split, seed int32[meta_batch, 2]. Where shots are drawn, their number is unknown to a graph.

        Raises:
            DataError: if an argument is out of range, there are no training classes, or images that are not square
                are to be turned.
        """
        meta_batch = self._check(meta_batch, "train")
        start_step = check_integer(start_step, "start_step", 0)
        shapes = list(self.example_shape.values()) if isinstance(self.example_shape, Mapping) else [self.example_shape]
        if symmetries and any(len(shape) != 3 or shape[0] != shape[1] for shape in shapes):
            raise DataError(f"{self.name}: `symmetries` needs square images. Received: {shapes[0]}")
        fewest = None if fewest_shots is None else check_integer(fewest_shots, "fewest_shots", 1, self.shots)
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
            DataError: if an argument is out of range, or the split has nothing to draw.

        Example:
            `tasks.episode_batch("test", 0, 1).support` is what the first test task adapts to.
        """
        meta_batch = self._check(meta_batch, split)
        step = check_integer(step, "step", 0)
        with tf.device("CPU:0"):
            return self._draw(tf.constant(step, tf.int64), split, meta_batch)

    def _fixed(self, split: str, meta_batch: int, batches: int) -> tf.data.Dataset:
        meta_batch = self._check(meta_batch, split)
        return self._episodes(tf.data.Dataset.range(check_integer(batches, "batches", 1)), split, meta_batch)

    def _episodes(
        self, steps: tf.data.Dataset, split: str, meta_batch: int, symmetries: bool = False, fewest: int | None = None
    ) -> tf.data.Dataset:
        episodes = steps.map(
            lambda step: self._draw(step, split, meta_batch, symmetries, fewest),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        return episodes.prefetch(2)

    def _check(self, meta_batch: int, split: str) -> int:
        """`meta_batch` as an int, or a DataError: an unknown or empty split, or more than it holds."""
        raise NotImplementedError

    def _draw(
        self, step: Any, split: str, meta_batch: int, symmetries: bool = False, fewest: int | None = None
    ) -> Episode:
        """One meta-batch; `step` is an int64[] tensor, the rest is static."""
        raise NotImplementedError
