"""Meta-Curvature of Park and Oliva, 2019: gradients transformed by learned factors along the axes of their tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan.checks import check_integer
from meta_gan.meta_learners.rates import LearnedRates
from meta_gan.types import ByPlayer, ParamInfo, Tensor, Tensors


def modes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes that have a factor: a kernel's positions as one axis, then inputs, then outputs."""
    return shape if len(shape) <= 2 else (math.prod(shape[:-2]), *shape[-2:])


@keras.saving.register_keras_serializable("meta_gan")
class MetaCurvature(LearnedRates):
    """Gradient descent on gradients that are multiplied by a learned factor along each axis of their tensor.

    A kernel `[positions, inputs, outputs]` has three factors, a matrix `[inputs, outputs]` two, a bias one. They start
    at the identity, so it starts as gradient descent.

    Args:
        rate: step size > 0, one for all players or `{player: rate}`; it is not learned, because the factors scale too.
        largest: >= 1; a longer axis has a diagonal factor, because a full one would be larger than the network.

    Raises:
        ValueError: if a rate is not > 0, or `largest` is below 1.

    Example:
        >>> meta_learner = MetaCurvature(rate=0.01)

    Reference: Park and Oliva, "Meta-Curvature", 2019, section 3 (MC2). Departs in the diagonal factors.
    """

    arguments = ("largest",)

    def __init__(self, rate: float | Mapping[str, float], largest: int = 256, **kwargs: Any):
        super().__init__(rate, **kwargs)
        self.largest = check_integer(largest, "largest", 1)

    def _make_player(self, player: str, infos: Sequence[ParamInfo]) -> Any:
        made = []
        for i, info in enumerate(infos):
            of_tensor = []
            for axis, size in enumerate(modes(info.shape)):
                start = np.eye(size) if size <= self.largest else np.ones(size)
                of_tensor.append(self._number(start, start.shape, f"factor_{player}_{i}_{axis}"))
            made.append(of_tensor)
        return made

    def begin(self, params: ByPlayer) -> Any:
        return ()

    def update(
        self, state: Any, player: str, params: ByPlayer, gradients: Tensors, signals: Mapping[str, Tensor], seed: Tensor
    ) -> tuple[Any, Tensors]:
        rate, pairs = self.rates.of(player), zip(gradients, self.made[player], strict=True)
        return state, [-rate * self._transformed(g, factors) for g, factors in pairs]

    def _transformed(self, gradient: Tensor, factors: Sequence[Any]) -> Tensor:
        result = tf.reshape(gradient, modes(tuple(gradient.shape)))
        for axis, factor in enumerate(factors):
            values = tf.cast(tf.convert_to_tensor(factor), gradient.dtype)
            if values.shape.rank == 1:
                result *= tf.reshape(values, [-1] + [1] * (len(factors) - axis - 1))
            else:
                # The contracted axis comes out last.
                contracted = tf.tensordot(result, values, [[axis], [1]])
                order = list(range(len(factors) - 1))
                result = tf.transpose(contracted, [*order[:axis], len(factors) - 1, *order[axis:]])
        return tf.reshape(result, gradient.shape)
