"""Gradient-based rules that see a layer at once: generated rates (ALFA), and gradients turned by learned factors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan.checks import check_integer
from meta_gan.meta_learners.rates import LearnedRule, exponential
from meta_gan.types import ByPlayer, ParamInfo, Tensors

_SCALE = 1e-3  # what a mean gradient or weight is large or small against


def symmetric_log(x: Any) -> Any:
    """`asinh(x / .002)`: linear near 0, so that it has a derivative there; far away `sign(x) log(|x| / .001)`."""
    return tf.math.asinh(x / (2 * _SCALE))


@keras.saving.register_keras_serializable("meta_gan")
class ALFA(LearnedRule):
    """Generates the rate and the weight decay of every tensor, at every step, from its mean gradient and mean weight.

    A network of one hidden layer for each player maps the means of all its tensors to two numbers a tensor, (r, d):
    `delta = -rate_i exp(r_i) g - d_i w`. Its last layer starts at 0, so the rule starts as gradient descent.

    Args:
        rate: starting step size > 0, one for all players or `{player: rate}`.
        hidden: units of the hidden layer, >= 1; None for as many as it has inputs, as in the paper.
        seed: of the hidden layer's weights, >= 0.

    Raises:
        ValueError: a rate that is not > 0, or a count out of range.

    Example:
        >>> rule = ALFA(rate=0.01, hidden=16)

    Reference: Baik et al., "Meta-Learning with Adaptive Hyperparameters", 2020, equations 4 to 6. We depart in giving
        the means on a logarithmic scale, for a GAN's gradients span many, and in a rate that stays positive.
    """

    def __init__(self, rate: float | Mapping[str, float], hidden: int | None = None, seed: int = 0, **kwargs: Any):
        super().__init__(rate, **kwargs)
        self.hidden = None if hidden is None else check_integer(hidden, "hidden", 1)
        self.seed = check_integer(seed, "seed", 0)

    def _make(self, player: str, infos: Sequence[ParamInfo]) -> Any:
        tensors, hidden = len(infos), self.hidden or 2 * len(infos)
        draw = np.random.default_rng([self.seed, *player.encode()])
        start = draw.normal(0.0, math.sqrt(2.0 / (2 * tensors)), (2 * tensors, hidden))
        return {
            "log_rates": self._number(math.log(self.rates.of(player)), (tensors,), f"log_rates_{player}"),
            "kernel": self._number(start, start.shape, f"kernel_{player}"),
            "bias": self._number(0.0, (hidden,), f"bias_{player}"),
            "readout": self._number(0.0, (hidden, 2 * tensors), f"readout_{player}"),
        }

    def begin(self, params: ByPlayer) -> Any:
        return ()

    def update(
        self,
        state: Any,
        player: str,
        params: ByPlayer,
        gradients: Tensors,
        signals: Mapping[str, Any],
        seed: Any,
    ) -> tuple[Any, Tensors]:
        made = {name: tf.convert_to_tensor(value) for name, value in self.made[player].items()}
        means = [tf.reduce_mean(t) for t in (*gradients, *params[player])]
        told = symmetric_log(tf.stack([tf.cast(mean, made["kernel"].dtype) for mean in means]))
        hidden = tf.nn.relu(tf.linalg.matvec(made["kernel"], told, transpose_a=True) + made["bias"])
        by_rate, decay = tf.split(tf.linalg.matvec(made["readout"], hidden, transpose_a=True), 2)
        log_rates = made["log_rates"] + by_rate
        return state, [
            -exponential(log_rates[i], g.dtype) * g - tf.cast(decay[i], g.dtype) * param
            for i, (g, param) in enumerate(zip(gradients, params[player], strict=True))
        ]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "hidden": self.hidden, "seed": self.seed}


def modes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes along which a tensor's gradient is turned: a kernel's places as one, then inputs, then outputs."""
    return shape if len(shape) <= 2 else (math.prod(shape[:-2]), *shape[-2:])


@keras.saving.register_keras_serializable("meta_gan")
class MetaCurvature(LearnedRule):
    """Gradient descent on gradients that learned factors turn along every axis of their tensor.

    A kernel `[places, inputs, outputs]` has three factors, a matrix `[inputs, outputs]` two, a bias one. They start at
    the identity, so the rule starts as gradient descent.

    Args:
        rate: step size > 0, one for all players or `{player: rate}`; it is not learned, for the factors scale too.
        largest: >= 1; along an axis of more entries the factor is diagonal, for its square would outgrow the network.

    Raises:
        ValueError: a rate that is not > 0, or `largest` below 1.

    Example:
        >>> rule = MetaCurvature(rate=0.01)

    Reference: Park and Oliva, "Meta-Curvature", 2019, section 3 (MC2). We depart in the diagonal factors.
    """

    def __init__(self, rate: float | Mapping[str, float], largest: int = 256, **kwargs: Any):
        super().__init__(rate, **kwargs)
        self.largest = check_integer(largest, "largest", 1)

    def _make(self, player: str, infos: Sequence[ParamInfo]) -> Any:
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
        self,
        state: Any,
        player: str,
        params: ByPlayer,
        gradients: Tensors,
        signals: Mapping[str, Any],
        seed: Any,
    ) -> tuple[Any, Tensors]:
        rate = self.rates.of(player)
        return state, [
            -rate * self._turned(g, factors) for g, factors in zip(gradients, self.made[player], strict=True)
        ]

    def _turned(self, gradient: Any, factors: Sequence[Any]) -> Any:
        turned = tf.reshape(gradient, modes(tuple(gradient.shape)))
        for axis, factor in enumerate(factors):
            values = tf.cast(tf.convert_to_tensor(factor), gradient.dtype)
            if values.shape.rank == 1:
                turned *= tf.reshape(values, [-1] + [1] * (len(factors) - axis - 1))
            else:
                # The contracted axis comes out last.
                moved = tf.tensordot(turned, values, [[axis], [1]])
                order = list(range(len(factors) - 1))
                turned = tf.transpose(moved, [*order[:axis], len(factors) - 1, *order[axis:]])
        return tf.reshape(turned, gradient.shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "largest": self.largest}
