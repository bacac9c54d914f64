"""Base of the recurrent and the attention meta-learner: Adam plus a correction by a small network.

`w' = w - rate exp(1.5 tanh l) [(1 + .5 tanh m) direction + r d exp(.1 s)]`: l and m are numbers per tensor, read from
the network's output for it; d and s are numbers per parameter; r is the root mean square of the tensor's Adam
direction. The readouts start at 0, so before meta-training the meta-learner equals Adam at the given rate, up to
rounding. Because of r, a tensor at rest stays at rest whatever was learned: where gradients are small compared with
`epsilon`, the correction is as small as Adam's own step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_bool, check_integer, check_number
from meta_gan.meta_learners import features
from meta_gan.meta_learners.features import Blocks
from meta_gan.meta_learners.gradient import Adam, RatedMetaLearner, begin_adam, update_adam
from meta_gan.types import ByPlayer, ParamInfo, Tensor, Tensors

_HIDDEN_OF_PARAMETER = 16


class ResidualMetaLearner(RatedMetaLearner):
    """Adam and a learned correction; a subclass embeds the tensors (`_begin`, `_embed`).

    Its own weights do not depend on the networks or on the game: a trained one can be used with another model.
    """

    learned = True
    arguments: tuple[str, ...] = (
        *Adam.arguments,
        "hidden",
        "coupled",
        "residual",
        "game_features",
        "seed",
        "turned",
        "fused",
    )

    def __init__(
        self,
        rate: float | Mapping[str, float] = 1e-3,
        first_decay: float = 0.5,
        second_decay: float = 0.99,
        epsilon: float = 1e-6,
        hidden: int = 24,
        coupled: bool = True,
        residual: bool = True,
        game_features: bool = True,
        seed: int = 0,
        turned: bool = False,
        fused: bool = False,
        **kwargs: Any,
    ):
        super().__init__(rate, **kwargs)
        self.first_decay = check_number(first_decay, "first_decay", least=0, below=1)
        self.second_decay = check_number(second_decay, "second_decay", least=0, below=1)
        self.epsilon = check_number(epsilon, "epsilon", above=0)
        self.hidden, self.seed = check_integer(hidden, "hidden", 1), check_integer(seed, "seed", 0)
        self.coupled, self.residual = check_bool(coupled, "coupled"), check_bool(residual, "residual")
        self.game_features = check_bool(game_features, "game_features")
        self.turned, self.fused = check_bool(turned, "turned"), check_bool(fused, "fused")

    def _make(self, params: Mapping[str, list[ParamInfo]]) -> None:
        self.log_rate = self.add_weight(shape=(), initializer="zeros", name="log_rate")
        self._make_core()
        # Without Adam, a readout of 0 would make no step, and nothing could be learned from it.
        last = "zeros" if self.residual else self._draw(90)
        self.of_tensor = self._dense(2, "of_tensor", self.hidden, "zeros")
        # The hidden layer of a parameter: from its tensor's embedding, and from its own features.
        self.from_tensor = self._dense(_HIDDEN_OF_PARAMETER, "told", self.hidden, self._draw(91))
        inputs = features.OF_PARAMETER + self.turned
        self.from_parameter = self._dense(_HIDDEN_OF_PARAMETER, "seen", inputs, self._draw(92))
        self.of_parameter = self._dense(2, "of_parameter", _HIDDEN_OF_PARAMETER, last)

    def _draw(self, number: int) -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(seed=1000 * self.seed + number)

    def _dense(self, units: int, name: str, inputs: int, kernel: Any) -> keras.layers.Dense:
        layer = keras.layers.Dense(units, kernel_initializer=kernel, name=name, dtype=self.dtype_policy)
        layer.build((None, inputs))
        return layer

    def _make_core(self) -> None:
        """Make the layers of `_embed`."""
        raise NotImplementedError

    def _begin(self, tensors: int) -> Any:
        """Return the memory of a player of that many tensors before its first move."""
        raise NotImplementedError

    def _embed(self, player: str, memory: Mapping[str, Any], tensors: Tensor, game: Tensor) -> tuple[Tensor, Any]:
        """Embed the tensors of the player that moves.

        Args:
            player: the player that moves.
            memory: `{player: what _begin or _embed returned}`, of all players that move.
            tensors: float[tensors, features.OF_TENSOR].
            game: float[features.OF_GAME + embedding_dim], features of the game, and the task embedding.

        Returns:
            `(float[tensors, hidden], this player's new memory)`.
        """
        raise NotImplementedError

    def begin(self, params: ByPlayer) -> Any:
        blocks = {player: Blocks(tensors) for player, tensors in params.items() if tensors}
        rows = {player: [tf.zeros([own.rows, own.length], self.compute_dtype)] for player, own in blocks.items()}
        return {**begin_adam(rows), "memory": {player: self._begin(own.count) for player, own in blocks.items()}}

    def update(
        self, state: Any, player: str, params: ByPlayer, gradients: Tensors, signals: Mapping[str, Tensor], seed: Tensor
    ) -> tuple[Any, Tensors]:
        inputs, game, moved = self._inputs(state, player, params, gradients, signals)
        blocks, *rows = inputs
        hidden, memory = self._embed(player, state["memory"], features.of_tensors(*inputs), game)

        def step(hidden: Tensor, gradient: Tensor, momentum: Tensor, direction: Tensor, weights: Tensor) -> Tensor:
            parameters = features.of_parameters(blocks, gradient, momentum, direction, weights, self.turned)
            return self._step(player, blocks, hidden, direction, parameters)

        # In eager mode each move would be compiled anew.
        if self.fused and not tf.executing_eagerly():
            step = tf.function(step, autograph=False, jit_compile=True)
        moved["memory"] = {**state["memory"], player: memory}
        return moved, blocks.split(-step(hidden, *rows), gradients)

    def _inputs(
        self, state: Any, player: str, params: ByPlayer, gradients: Tensors, signals: Mapping[str, Tensor]
    ) -> tuple[Any, Tensor, dict[str, Any]]:
        """Return the inputs of a player's move: its tensors, the features of the game, and Adam's new state."""
        blocks, dtype = Blocks(gradients), self.compute_dtype
        gradient, weights = blocks.join(gradients, dtype), blocks.join(params[player], dtype)
        moments, decays = {key: state[key] for key in state if key != "memory"}, (self.first_decay, self.second_decay)
        moved, (direction,) = update_adam(moments, player, [gradient], [decays], self.epsilon)
        own = {name: values[: values.shape[0] - self.embedding_dim] for name, values in signals.items()}
        game = features.of_game(player, list(params), own, moved["turns"][player], self.coupled, dtype)
        game = game if self.game_features else tf.zeros_like(game)
        if self.embedding_dim:
            game = tf.concat([game, tf.cast(signals[player][-self.embedding_dim :], dtype)], axis=0)
        return (blocks, gradient, moved["first"][player][0], direction, weights), game, moved

    def _step(self, player: str, blocks: Blocks, hidden: Tensor, direction: Tensor, parameters: Tensor) -> Tensor:
        """Return the step float[rows, length], of which the update is the negative."""
        of_tensor = tf.tanh(self.of_tensor(hidden))
        read = self._read_one_by_one if self.fused else self._read
        correction, scale = read(blocks.each(self.from_tensor(hidden)), parameters)
        # Exactly 0 for a direction of 0, with a bounded slope there.
        size = features.root_mean_square(blocks, direction) - features.TINY
        correction *= tf.exp(0.1 * scale) * blocks.each(size)[:, None]
        rate = self.rates.of(player) * tf.exp(tf.convert_to_tensor(self.log_rate) + 1.5 * of_tensor[:, 0])
        if self.residual:
            correction += blocks.each(1.0 + 0.5 * of_tensor[:, 1])[:, None] * direction
        return blocks.each(rate)[:, None] * correction

    def _layers_of_parameter(self) -> list[Tensor]:
        """Return kernel and bias of the two layers that are applied to every parameter."""
        weights = [*self.from_parameter.weights, *self.of_parameter.weights]
        return [tf.cast(weight, self.compute_dtype) for weight in weights]

    def _read(self, from_tensor: Tensor, parameters: Tensor) -> list[Tensor]:
        """Return the two numbers per parameter, float[rows, length] each, from its features and its tensor's.

        Kernels multiply from the left, row by row: parameters stay side by side, and a row in the cache.
        """
        seen, offset, read, shift = self._layers_of_parameter()
        kernels = tf.tile(tf.transpose(seen)[None], [parameters.shape[0], 1, 1])
        # The tensor's part is the weight of one more feature, which is always 1.
        kernels = tf.concat([kernels, (from_tensor + offset)[:, :, None]], axis=2)
        inside = tf.nn.relu(tf.matmul(kernels, tf.pad(parameters, [[0, 0], [0, 1], [0, 0]], constant_values=1.0)))
        return tf.unstack(tf.matmul(read, inside, transpose_a=True) + shift[:, None], axis=1)

    def _read_one_by_one(self, from_tensor: Tensor, parameters: Tensor) -> list[Tensor]:
        """Return the same as `_read`, written out unit by unit: XLA fuses it into one loop that stays in registers."""
        seen, offset, read, shift = self._layers_of_parameter()
        outputs, inputs = tf.unstack(shift), tf.unstack(parameters, axis=1)
        for unit in range(_HIDDEN_OF_PARAMETER):
            inside = (from_tensor[:, unit] + offset[unit])[:, None]
            for kernel, values in zip(tf.unstack(seen[:, unit]), inputs, strict=True):
                inside += kernel * values
            inside = tf.nn.relu(inside)
            outputs = [value + kernel * inside for value, kernel in zip(outputs, tf.unstack(read[unit]), strict=True)]
        return outputs
