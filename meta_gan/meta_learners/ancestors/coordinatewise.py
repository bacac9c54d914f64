"""The named ancestors: recurrent networks that follow every parameter by itself, with the same weights for all.

They cost some 5,000 multiplications a parameter and step, and as much memory under differentiation, where
`RecurrentMetaLearner` follows tensors and costs about 180.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_integer
from meta_gan.meta_learners.base import MetaLearner, Rates
from meta_gan.meta_learners.blocks import Blocks
from meta_gan.types import ByPlayer, ParamInfo, Tensors

_RANGE = 10.0  # orders of magnitude, in powers of e, over which a number is told by its logarithm
_KEPT = -12.0  # of a weight, all but a share of sigmoid(-12) = 6e-6 a step, before training


def logarithm_and_sign(x: Any) -> Any:
    """Float[n] as float[n, 2]: (log|x| / 10, sign x), and for |x| below e^-10 (-1, e^10 x).

    Reference: Andrychowicz et al., 2016, appendix A.
    """
    large = tf.abs(x) >= math.exp(-_RANGE)
    safe = tf.where(large, x, tf.ones_like(x))
    size = tf.where(large, tf.math.log(tf.abs(safe)) / _RANGE, -tf.ones_like(x))
    return tf.stack([size, tf.where(large, tf.sign(x), math.exp(_RANGE) * x)], axis=-1)


class _CoordinatewiseRule(MetaLearner):
    """An LSTM for each parameter, and what is read from it."""

    learned = True

    def __init__(self, rate: float | Mapping[str, float], hidden: int, seed: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.rates = Rates(rate)
        self.hidden, self.seed = check_integer(hidden, "hidden", 1), check_integer(seed, "seed", 0)

    def check_params(self, params: Mapping[str, list[ParamInfo]]) -> None:
        self.rates.check([player for player, infos in params.items() if infos])

    def setup(self, params: Mapping[str, list[ParamInfo]], signals: Mapping[str, int]) -> None:
        self.check_params(params)
        self._make()
        super().setup(params, signals)

    def _make(self) -> None:
        raise NotImplementedError

    def _cell(self, name: str, inputs: int, number: int) -> keras.layers.LSTMCell:
        cell = keras.layers.LSTMCell(
            self.hidden,
            kernel_initializer=keras.initializers.GlorotUniform(seed=1000 * self.seed + number),
            recurrent_initializer=keras.initializers.Orthogonal(seed=1000 * self.seed + number + 1),
            name=name,
            dtype=self.dtype_policy,
        )
        cell.build((None, inputs))
        return cell

    def _zeros(self, params: ByPlayer, width: int) -> dict[str, Any]:
        sizes = {player: Blocks(tensors, 1).rows for player, tensors in params.items() if tensors}
        return {player: tf.zeros([size, width], self.compute_dtype) for player, size in sizes.items()}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rates.value, "hidden": self.hidden, "seed": self.seed}


@keras.saving.register_keras_serializable("meta_gan")
class CoordinatewiseLSTM(_CoordinatewiseRule):
    """Emits each parameter's update by an LSTM of two layers that is told of its gradient alone.

    `delta = rate * readout(LSTM(gradient))`: the gradient by its logarithm and sign. Its readout starts small, so
    before any meta-training the weights hardly move.

    Args:
        rate: what the network's word is multiplied by, > 0, one for all players or `{player: rate}`.
        hidden: units of each layer, >= 1.
        seed: of its initial weights, >= 0.

    Raises:
        ValueError: an argument outside its range.

    Example:
        >>> rule = CoordinatewiseLSTM(rate=0.1, hidden=20)

    Reference: Andrychowicz et al., "Learning to learn by gradient descent by gradient descent", 2016, section 2.1.
    """

    def __init__(self, rate: float | Mapping[str, float] = 0.1, hidden: int = 20, seed: int = 0, **kwargs: Any):
        super().__init__(rate, hidden, seed, **kwargs)

    def _make(self) -> None:
        self.cells = [self._cell("cell_0", 2, 0), self._cell("cell_1", self.hidden, 2)]
        small = keras.initializers.RandomNormal(stddev=0.01, seed=1000 * self.seed + 4)
        self.readout = keras.layers.Dense(1, kernel_initializer=small, name="readout", dtype=self.dtype_policy)
        self.readout.build((None, self.hidden))

    def begin(self, params: ByPlayer) -> Any:
        return [[self._zeros(params, self.hidden) for _ in range(2)] for _ in range(2)]

    def update(
        self,
        state: Any,
        player: str,
        params: ByPlayer,
        gradients: Tensors,
        signals: Mapping[str, Any],
        seed: Any,
    ) -> tuple[Any, Tensors]:
        rows, moved = Blocks(gradients, 1), []
        x = logarithm_and_sign(rows.join(gradients, self.compute_dtype)[:, 0])
        for cell, kept in zip(self.cells, state, strict=True):
            x, now = cell(x, [part[player] for part in kept])
            moved.append([{**part, player: value} for part, value in zip(kept, now, strict=True)])
        step = self.rates.of(player) * self.readout(x)[:, 0]
        return moved, rows.split(step, gradients)


@keras.saving.register_keras_serializable("meta_gan")
class MetaLSTM(_CoordinatewiseRule):
    """Treats each weight as the memory of an LSTM cell: a learned rate lets the gradient in, a learned gate forgets.

    `w' = (1 - forget) w - rate * gradient`. Both gates are sigmoids of what an LSTM makes of gradient and loss, of the
    weight, and of the gate's value before. Their kernels start at 0, the rate's bias at the rate given and the other's
    at a share of 6e-6, so the rule starts as gradient descent but for that share.

    Args:
        rate: starting step size in (0, 1), one for all players or `{player: rate}`.
        hidden: units of the LSTM, >= 1.
        seed: of its initial weights, >= 0.

    Raises:
        ValueError: an argument outside its range.

    Example:
        >>> rule = MetaLSTM(rate=0.01)

    Reference: Ravi and Larochelle, "Optimization as a Model for Few-Shot Learning", 2017, section 3. We depart in
        starting at gradient descent, where the paper's biases start near it, and in one network for all players,
        each with a starting rate of its own.
    """

    def __init__(self, rate: float | Mapping[str, float] = 0.01, hidden: int = 20, seed: int = 0, **kwargs: Any):
        super().__init__(rate, hidden, seed, **kwargs)
        given = self.rates.value
        if any(value >= 1 for value in (given.values() if isinstance(given, dict) else [given])):
            raise ValueError(f"'rate' must lie in (0, 1): it is a sigmoid's value. Received: {rate!r}")

    def _make(self) -> None:
        self.cell = self._cell("cell", 4, 0)
        self.gates = [
            keras.layers.Dense(1, kernel_initializer="zeros", name=name, dtype=self.dtype_policy)
            for name in ("rate_gate", "forget_gate")
        ]
        for gate in self.gates:
            gate.build((None, self.hidden + 2))

    def begin(self, params: ByPlayer) -> Any:
        start = {player: self._zeros({player: tensors}, 2) for player, tensors in params.items() if tensors}
        offset = {player: tf.constant(self._biases(player), self.compute_dtype) for player in start}
        gates = {player: zeros[player] + tf.sigmoid(offset[player]) for player, zeros in start.items()}
        return {"gates": gates, "cell": [self._zeros(params, self.hidden) for _ in range(2)]}

    def _biases(self, player: str) -> list[float]:
        rate = self.rates.of(player)
        return [math.log(rate / (1.0 - rate)), _KEPT]

    def update(
        self,
        state: Any,
        player: str,
        params: ByPlayer,
        gradients: Tensors,
        signals: Mapping[str, Any],
        seed: Any,
    ) -> tuple[Any, Tensors]:
        rows, dtype = Blocks(gradients, 1), self.compute_dtype
        gradient, weights = (rows.join(tensors, dtype)[:, 0] for tensors in (gradients, params[player]))
        loss = logarithm_and_sign(tf.cast(signals[player], dtype)[:1])
        told = tf.concat([logarithm_and_sign(gradient), tf.tile(loss, [gradient.shape[0], 1])], axis=1)
        hidden, cell = self.cell(told, [part[player] for part in state["cell"]])
        gates = []
        for i, (gate, bias) in enumerate(zip(self.gates, self._biases(player), strict=True)):
            before = state["gates"][player][:, i : i + 1]
            gates.append(tf.sigmoid(gate(tf.concat([hidden, weights[:, None], before], axis=1)) + bias))
        step = -gates[1][:, 0] * weights - gates[0][:, 0] * gradient
        moved = [{**part, player: value} for part, value in zip(state["cell"], cell, strict=True)]
        return {
            "gates": {**state["gates"], player: tf.concat(gates, axis=1)},
            "cell": moved,
        }, rows.split(step, gradients)
