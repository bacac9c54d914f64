"""ALFA of Baik et al., 2020: rates and weight decays that a network generates at every step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan.checks import check_integer
from meta_gan.meta_learners.rates import LearnedRates, exponential
from meta_gan.types import ByPlayer, ParamInfo, Tensor, Tensors

_SCALE = 1e-3  # below it, a mean gradient or weight counts as small


def symmetric_log(x: Tensor) -> Tensor:
    """Return `asinh(x / .002)`: linear near 0, where it has a derivative; far away `sign(x) log(|x| / .001)`."""
    return tf.math.asinh(x / (2 * _SCALE))


@keras.saving.register_keras_serializable("meta_gan")
class ALFA(LearnedRates):
    """Generate the rate and the weight decay of every tensor, at every step, from its mean gradient and mean weight.

    A network of one hidden layer for each player maps the means of all its tensors to two numbers per tensor, (r, d):
    `delta = -rate_i exp(r_i) g - d_i w`. Its last layer starts at 0, so ALFA starts as gradient descent.

    Args:
        rate: initial step size > 0, one for all players or `{player: rate}`.
        hidden: units of the hidden layer, >= 1; None for as many as it has inputs, as in the paper.
        seed: of the hidden layer's weights, >= 0.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> meta_learner = ALFA(rate=0.01, hidden=16)

    Reference: Baik et al., "Meta-Learning with Adaptive Hyperparameters", 2020, equations 4 to 6. Departs in encoding
        the means on a logarithmic scale, because a GAN's gradients span many orders, and in a rate that stays positive.
    """

    arguments = ("hidden", "seed")

    def __init__(self, rate: float | Mapping[str, float], hidden: int | None = None, seed: int = 0, **kwargs: Any):
        super().__init__(rate, **kwargs)
        self.hidden = None if hidden is None else check_integer(hidden, "hidden", 1)
        self.seed = check_integer(seed, "seed", 0)

    def _make_player(self, player: str, infos: Sequence[ParamInfo]) -> Any:
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
        self, state: Any, player: str, params: ByPlayer, gradients: Tensors, signals: Mapping[str, Tensor], seed: Tensor
    ) -> tuple[Any, Tensors]:
        made = {name: tf.convert_to_tensor(value) for name, value in self.made[player].items()}
        means = [tf.reduce_mean(t) for t in (*gradients, *params[player])]
        inputs = symmetric_log(tf.stack([tf.cast(mean, made["kernel"].dtype) for mean in means]))
        hidden = tf.nn.relu(tf.linalg.matvec(made["kernel"], inputs, transpose_a=True) + made["bias"])
        by_rate, decay = tf.split(tf.linalg.matvec(made["readout"], hidden, transpose_a=True), 2)
        log_rates = made["log_rates"] + by_rate
        return state, [
            -exponential(log_rates[i], g.dtype) * g - tf.cast(decay[i], g.dtype) * w
            for i, (g, w) in enumerate(zip(gradients, params[player], strict=True))
        ]
