"""The coordinatewise LSTM of Andrychowicz et al., 2016: one recurrent network that follows every parameter by itself.

It costs some 5,000 multiplications per parameter and step, and as much memory under differentiation, where
`RecurrentMetaLearner` follows tensors and costs about 180.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_integer
from meta_gan.meta_learners.features import Blocks
from meta_gan.meta_learners.gradient import RatedMetaLearner
from meta_gan.types import ByPlayer, Tensor, Tensors

_RANGE = 10.0  # orders of magnitude, in powers of e, over which a number is encoded by its logarithm


def logarithm_and_sign(x: Tensor) -> Tensor:
    """Return float[n] as float[n, 2]: (log|x| / 10, sign x), and for |x| below e^-10 (-1, e^10 x).

    Reference: Andrychowicz et al., 2016, appendix A.
    """
    large = tf.abs(x) >= math.exp(-_RANGE)
    safe = tf.where(large, x, tf.ones_like(x))
    size = tf.where(large, tf.math.log(tf.abs(safe)) / _RANGE, -tf.ones_like(x))
    return tf.stack([size, tf.where(large, tf.sign(x), math.exp(_RANGE) * x)], axis=-1)


class CoordinatewiseMetaLearner(RatedMetaLearner):
    """Base of meta-learners with an LSTM whose rows are parameters."""

    learned = True
    arguments = ("hidden", "seed")

    def __init__(self, rate: float | Mapping[str, float], hidden: int = 20, seed: int = 0, **kwargs: Any):
        super().__init__(rate, **kwargs)
        self.hidden, self.seed = check_integer(hidden, "hidden", 1), check_integer(seed, "seed", 0)

    def _cell(self, name: str, inputs: int, number: int) -> keras.layers.LSTMCell:
        cell = keras.layers.LSTMCell(
            self.hidden,
            kernel_initializer=keras.initializers.GlorotUniform(seed=1000 * self.seed + number),
            recurrent_initializer=keras.initializers.Orthogonal(seed=1000 * self.seed + number + 1),
            seed=self.seed,
            name=name,
            dtype=self.dtype_policy,
        )
        cell.build((None, inputs))
        return cell

    def _readout(self, name: str, inputs: int, kernel: Any) -> keras.layers.Dense:
        layer = keras.layers.Dense(1, kernel_initializer=kernel, name=name, dtype=self.dtype_policy)
        layer.build((None, inputs))
        return layer

    def _zeros(self, params: ByPlayer, width: int) -> dict[str, Tensor]:
        sizes = {player: Blocks(tensors, 1).rows for player, tensors in params.items() if tensors}
        return {player: tf.zeros([size, width], self.compute_dtype) for player, size in sizes.items()}


@keras.saving.register_keras_serializable("meta_gan")
class CoordinatewiseLSTM(CoordinatewiseMetaLearner):
    """Each parameter's update from an LSTM of two layers that receives its gradient alone.

    `delta = rate * readout(LSTM(gradient))`, with the gradient encoded by its logarithm and sign. The readout starts
    small, so before meta-training the weights hardly move.

    Args:
        rate: multiplies the network's output, > 0, one for all players or `{player: rate}`.
        hidden: units of each layer, >= 1.
        seed: of its initial weights, >= 0.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> meta_learner = CoordinatewiseLSTM(rate=0.1, hidden=20)

    Reference: Andrychowicz et al., "Learning to learn by gradient descent by gradient descent", 2016, section 2.1.
    """

    def __init__(self, rate: float | Mapping[str, float] = 0.1, hidden: int = 20, seed: int = 0, **kwargs: Any):
        super().__init__(rate, hidden, seed, **kwargs)

    def _make(self, params: Any) -> None:
        self.cells = [self._cell("cell_0", 2, 0), self._cell("cell_1", self.hidden, 2)]
        small = keras.initializers.RandomNormal(stddev=0.01, seed=1000 * self.seed + 4)
        self.readout = self._readout("readout", self.hidden, small)

    def begin(self, params: ByPlayer) -> Any:
        return [[self._zeros(params, self.hidden) for _ in range(2)] for _ in range(2)]

    def update(
        self, state: Any, player: str, params: ByPlayer, gradients: Tensors, signals: Mapping[str, Tensor], seed: Tensor
    ) -> tuple[Any, Tensors]:
        rows, moved = Blocks(gradients, 1), []
        x = logarithm_and_sign(rows.join(gradients, self.compute_dtype)[:, 0])
        for cell, kept in zip(self.cells, state, strict=True):
            x, now = cell(x, [part[player] for part in kept])
            moved.append([{**part, player: value} for part, value in zip(kept, now, strict=True)])
        step = self.rates.of(player) * self.readout(x)[:, 0]
        return moved, rows.split(step, gradients)
