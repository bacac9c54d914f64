"""Fine-tuning of a saved model on a user's classes, again and again from the same weights, and its pictures."""

from __future__ import annotations

import math
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan.augment import class_seed
from meta_gan.augmenting.models import copy_of
from meta_gan.errors import DivergenceError
from meta_gan.model import MetaModel
from meta_gan.tasks import Source, Tasks, mixture, variations
from meta_gan.tasks.pixels import to_uint8
from meta_gan.types import Episode

MOST_TASKS = 4
"""Tasks of an outer step."""
SUPPORT = 20
"""Pictures of a class that a model adapts to at once."""
CLIP = 10.0
FIRST_DECAY = 0.5


class FineTuner:
    """Fine-tunes a copy of a model. The training step is traced once; every run starts from the same weights.

    Episodes are drawn, half of them each, from the user's classes and from variations of single pictures (see
    `tasks.variations`). The game, the algorithm and the averaging are the model's own.

    Args:
        model: a `MetaModel` of pictures; it does not change.
        rate: learning rate of Adam, > 0.
        shots, queries, meta_batch: of an episode.

    Attributes:
        model: the copy, which `run` trains.
    """

    def __init__(self, model: MetaModel, rate: float, shots: int, queries: int, meta_batch: int) -> None:
        """See the class."""
        self.model = copy_of(model)
        self.shots, self.queries, self.meta_batch = shots, queries, meta_batch
        self.model.compile(keras.optimizers.Adam(rate, beta_1=FIRST_DECAY), clip=CLIP)
        self._start = [(variable, variable.numpy()) for variable in self._variables()]
        self._step = tf.function(self.model.meta_step)

    def _variables(self) -> list[Any]:
        """Return everything that a training step changes."""
        optimizers = [v for optimizer in self.model.optimizers.values() for v in optimizer.variables]
        nets = [v for net in self.model.game.nets.values() for v in net.variables]
        # Those of the model itself include the averages of its weights.
        everything = [*nets, *self.model.meta_learner.variables, *self.model.variables, *optimizers]
        return list({id(variable): variable for variable in everything}.values())

    def reset(self) -> None:
        """Assign the weights and the optimizers' state from before any training."""
        for variable, value in self._start:
            variable.assign(value)

    def episodes(self, source: Source, seed: int) -> tf.data.Dataset:
        """Return the endless stream of episodes of a source, whose classes are all of its training split."""
        tasks = Tasks(source, self.shots, self.queries, seed)
        return mixture([tasks, variations(tasks)], [1, 1], seed=seed).train(self.meta_batch)

    def warm_up(self, source: Source) -> None:
        """Trace the training step by one step, which is undone."""
        self._train(next(iter(self.episodes(source, 0))))
        self.reset()

    def values(self) -> list[np.ndarray]:
        """Return the values of everything that training changes, for `restore`."""
        return [variable.numpy() for variable, _ in self._start]

    def restore(self, values: list[np.ndarray]) -> None:
        """Assign what `values` returned."""
        for (variable, _), value in zip(self._start, values, strict=True):
            variable.assign(value)

    def run(self, source: Source, seed: int, steps: int | None = None, seconds: float | None = None) -> int:
        """Train from the first weights on.

        Args:
            source: the pictures to train on, in one split.
            seed: of the episodes, >= 0.
            steps: most steps, >= 0; None for no such limit.
            seconds: wall time after which no other step begins; None for no such limit. One of the two must be given.

        Returns:
            The number of steps.

        Raises:
            DivergenceError: a gradient or a weight is not finite.
        """
        if steps is None and seconds is None:
            raise ValueError("'steps' or 'seconds' must be given. Received: None and None")
        deadline = math.inf if seconds is None else time.perf_counter() + seconds
        self.reset()
        made = 0
        if steps == 0 or time.perf_counter() >= deadline:
            return made
        for episode in self.episodes(source, seed):
            if made == steps or time.perf_counter() >= deadline:
                break
            self._train(episode)
            made += 1
        return made

    def _train(self, episode: Episode) -> None:
        try:
            self._step(episode)
        except tf.errors.InvalidArgumentError as error:
            raise DivergenceError(f"the fine-tuning diverged; lower 'rate'. {error.message.splitlines()[0]}") from error


def generate(model: MetaModel, images: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return pictures of one class: those that a model makes after it adapted to the class.

    A class of more than `SUPPORT` pictures is dealt at random to groups of at most that size; the model adapts to each
    group, which makes its share of the pictures.

    Args:
        model: a `MetaModel`.
        images: uint8[k, height, width, channels], k >= 1.
        count: number of pictures, >= 0.
        seed: of adaptation and samples, in the int32 range.

    Returns:
        uint8[count, height, width, channels].

    Raises:
        DivergenceError: an adapted weight or a sample is not finite.
    """
    groups = -(-len(images) // SUPPORT)
    order = np.arange(len(images))
    if groups > 1:
        order = np.random.default_rng(seed % 2**32).permutation(order)
    made = []
    for index in range(groups):
        share = count // groups + (index < count % groups)
        if share:
            key = seed if groups == 1 else class_seed(seed, index)
            support = images[np.sort(order[index::groups])]
            made.append(to_uint8(model.adapt(support, seed=key).sample(share, seed=key)))
    return np.concatenate(made) if made else images[:0]
