"""The meta-LSTM of Ravi and Larochelle, 2017: each weight is the memory of an LSTM cell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from meta_gan.meta_learners.ancestors.coordinatewise_lstm import CoordinatewiseMetaLearner, logarithm_and_sign
from meta_gan.meta_learners.features import Blocks
from meta_gan.types import ByPlayer, Tensor, Tensors

_KEPT = -12.0  # before training a weight loses a share of sigmoid(-12) = 6e-6 per step


@keras.saving.register_keras_serializable("meta_gan")
class MetaLSTM(CoordinatewiseMetaLearner):
    """Gradient descent with a learned gate for the rate and one for forgetting the weight.

    `w' = (1 - forget) w - rate * gradient`. Both gates are sigmoids of an LSTM's output for gradient and loss, of the
    weight, and of the gate's previous value. Their kernels start at 0, the rate's bias at the given rate and the
    other's at a share of 6e-6, so it starts as gradient descent but for that share.

    Args:
        rate: initial step size in (0, 1), one for all players or `{player: rate}`.
        hidden: units of the LSTM, >= 1.
        seed: of its initial weights, >= 0.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> meta_learner = MetaLSTM(rate=0.01)

    Reference: Ravi and Larochelle, "Optimization as a Model for Few-Shot Learning", 2017, section 3. Departs in
        starting at gradient descent, where the paper's biases start near it, and in one network for all players, each
        with its own initial rate.
    """

    def __init__(self, rate: float | Mapping[str, float] = 0.01, hidden: int = 20, seed: int = 0, **kwargs: Any):
        super().__init__(rate, hidden, seed, **kwargs)
        given = self.rates.value
        if any(value >= 1 for value in (given.values() if isinstance(given, dict) else [given])):
            raise ValueError(f"'rate' must lie in (0, 1), because it is a sigmoid's value. Received: {rate!r}")

    def _make(self, params: Any) -> None:
        self.cell = self._cell("cell", 4, 0)
        self.gates = [self._readout(name, self.hidden + 2, "zeros") for name in ("rate_gate", "forget_gate")]

    def begin(self, params: ByPlayer) -> Any:
        start = {player: self._zeros({player: tensors}, 2) for player, tensors in params.items() if tensors}
        offset = {player: tf.constant(self._biases(player), self.compute_dtype) for player in start}
        gates = {player: zeros[player] + tf.sigmoid(offset[player]) for player, zeros in start.items()}
        return {"gates": gates, "cell": [self._zeros(params, self.hidden) for _ in range(2)]}

    def _biases(self, player: str) -> list[float]:
        rate = self.rates.of(player)
        return [math.log(rate / (1.0 - rate)), _KEPT]

    def update(
        self, state: Any, player: str, params: ByPlayer, gradients: Tensors, signals: Mapping[str, Tensor], seed: Tensor
    ) -> tuple[Any, Tensors]:
        rows, dtype = Blocks(gradients, 1), self.compute_dtype
        gradient, weights = (rows.join(tensors, dtype)[:, 0] for tensors in (gradients, params[player]))
        loss = logarithm_and_sign(tf.cast(signals[player], dtype)[:1])
        inputs = tf.concat([logarithm_and_sign(gradient), tf.tile(loss, [gradient.shape[0], 1])], axis=1)
        hidden, cell = self.cell(inputs, [part[player] for part in state["cell"]])
        gates = []
        for i, (gate, bias) in enumerate(zip(self.gates, self._biases(player), strict=True)):
            before = state["gates"][player][:, i : i + 1]
            gates.append(tf.sigmoid(gate(tf.concat([hidden, weights[:, None], before], axis=1)) + bias))
        step = -gates[1][:, 0] * weights - gates[0][:, 0] * gradient
        moved = [{**part, player: value} for part, value in zip(state["cell"], cell, strict=True)]
        gates_now = {**state["gates"], player: tf.concat(gates, axis=1)}
        return {"gates": gates_now, "cell": moved}, rows.split(step, gradients)
