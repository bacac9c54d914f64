"""What the recurrent and the attention rule share: a small network beside Adam, which starts as Adam.

`w' = w - rate exp(1.5 tanh l) [(1 + .5 tanh m) direction + r d exp(.1 s)]`: l and m are numbers of a tensor, read from
what the rule has come to think of it; d and s are numbers of a parameter; r is the root mean square of the tensor's
Adam direction. The readouts start at 0, so before any meta-training the rule is Adam at the given rate, to rounding,
and can only be compared upward. With r, what rests goes on resting, whatever was learned: where gradients are small
beside `epsilon`, the correction is as small as Adam's own step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_bool, check_integer, check_number
from meta_gan.meta_learners import features
from meta_gan.meta_learners.base import MetaLearner, Rates
from meta_gan.meta_learners.blocks import Blocks
from meta_gan.meta_learners.gradient import adam
from meta_gan.types import ByPlayer, LeafInfo, Tensors

_HIDDEN_OF_PARAMETER = 16


class ResidualRule(MetaLearner):
    """Adam and a learned correction of it; a subclass says how the rule thinks of tensors (`_begin`, `_think`).

    The rule's own weights do not depend on the networks or on the game: a trained rule may be handed to another model.
    """

    learned = True

    def __init__(
        self,
        rate: float | Mapping[str, float],
        first_decay: float,
        second_decay: float,
        epsilon: float,
        hidden: int,
        coupled: bool,
        residual: bool,
        game_features: bool,
        seed: int,
        turned: bool,
        fused: bool,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        switches = {"coupled": coupled, "residual": residual, "game_features": game_features}
        switches |= {"turned": turned, "fused": fused}
        for name, switch in switches.items():
            check_bool(switch, name)
        self.rates, self.coupled = Rates(rate), coupled
        self.first_decay = check_number(first_decay, "first_decay", least=0, below=1)
        self.second_decay = check_number(second_decay, "second_decay", least=0, below=1)
        self.epsilon = check_number(epsilon, "epsilon", above=0)
        self.hidden, self.seed = check_integer(hidden, "hidden", 1), check_integer(seed, "seed", 0)
        self.residual, self.game_features, self.turned, self.fused = residual, game_features, turned, fused

    def check_leaves(self, leaves: Mapping[str, list[LeafInfo]]) -> None:
        self.rates.check([player for player, infos in leaves.items() if infos])

    def setup(self, leaves: Mapping[str, list[LeafInfo]], signals: Mapping[str, int]) -> None:
        self.check_leaves(leaves)
        self.log_rate = self.add_weight(shape=(), initializer="zeros", name="log_rate")
        self._make_core()
        # Without Adam there would be no step to start from, and nothing to learn from it.
        last = "zeros" if self.residual else self._draw(90)
        self.of_tensor = self._dense(2, "of_tensor", self.hidden, "zeros")
        self.told = self._dense(_HIDDEN_OF_PARAMETER, "told", self.hidden, self._draw(91))
        self.seen = self._dense(_HIDDEN_OF_PARAMETER, "seen", features.OF_PARAMETER + self.turned, self._draw(92))
        self.of_parameter = self._dense(2, "of_parameter", _HIDDEN_OF_PARAMETER, last)
        super().setup(leaves, signals)

    def _draw(self, number: int) -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(seed=1000 * self.seed + number)

    def _dense(self, units: int, name: str, inputs: int, kernel: Any) -> keras.layers.Dense:
        layer = keras.layers.Dense(units, kernel_initializer=kernel, name=name, dtype=self.dtype_policy)
        layer.build((None, inputs))
        return layer

    def _make_core(self) -> None:
        """Makes the layers of `_think`."""
        raise NotImplementedError

    def _begin(self, tensors: int) -> Any:
        """What is thought of a player's tensors before its first move."""
        raise NotImplementedError

    def _think(self, player: str, thoughts: Mapping[str, Any], tensors: Any, game: Any) -> tuple[Any, Any]:
        """Thinks of a player's tensors anew.

        Args:
            player: who is to move.
            thoughts: `{player: what is thought of its tensors}`, of all that move.
            tensors: float[tensors, features.OF_TENSOR].
            game: float[features.OF_GAME + embedding_dim], what is known of the game, and the task's code.

        Returns:
            `(float[tensors, hidden], what is now thought of this player's tensors)`.
        """
        raise NotImplementedError

    def begin(self, leaves: ByPlayer) -> Any:
        moving = {player: tensors for player, tensors in leaves.items() if tensors}
        cut = {player: Blocks(tensors) for player, tensors in moving.items()}
        zeros = {player: tf.zeros([own.rows, own.length], self.compute_dtype) for player, own in cut.items()}
        return {
            "turns": {player: tf.zeros([]) for player in moving},
            "first": zeros,
            "second": dict(zeros),
            "thoughts": {player: self._begin(own.count) for player, own in cut.items()},
        }

    def update(
        self,
        state: Any,
        player: str,
        leaves: ByPlayer,
        gradients: Tensors,
        signals: Mapping[str, Any],
        seed: Any,
    ) -> tuple[Any, Tensors]:
        seen, game, moved = self._look(state, player, leaves, gradients, signals)
        blocks, *rows = seen
        hidden, moved["thoughts"] = self._think(player, state["thoughts"], features.of_tensors(*seen), game)

        def way(hidden: Any, gradient: Any, momentum: Any, direction: Any, weights: Any) -> Any:
            parameters = features.of_parameters(blocks, gradient, momentum, direction, weights, self.turned)
            return self._step(player, blocks, hidden, direction, parameters)

        # Where moves are made one by one, each would be compiled anew.
        if self.fused and not tf.executing_eagerly():
            way = tf.function(way, autograph=False, jit_compile=True)
        step = way(hidden, *rows)
        return {key: {**state[key], player: moved[key]} for key in state}, blocks.split(-step, gradients)

    def _look(
        self, state: Any, player: str, leaves: ByPlayer, gradients: Tensors, signals: Mapping[str, Any]
    ) -> tuple[Any, Any, dict[str, Any]]:
        """What a player sees before it moves: its tensors, as `features` take them; the game; and Adam's new state."""
        blocks, dtype = Blocks(gradients), self.compute_dtype
        turn = state["turns"][player] + 1.0
        gradient, weights = blocks.join(gradients, dtype), blocks.join(leaves[player], dtype)
        decays, kept = (self.first_decay, self.second_decay), (state["first"][player], state["second"][player])
        first, second, direction = adam(*kept, gradient, turn, decays, self.epsilon)
        own = {name: told[: told.shape[0] - self.embedding_dim] for name, told in signals.items()}
        game = features.of_game(player, list(leaves), own, turn, self.coupled, dtype)
        game = game if self.game_features else tf.zeros_like(game)
        if self.embedding_dim:
            game = tf.concat([game, tf.cast(signals[player][-self.embedding_dim :], dtype)], axis=0)
        moved = {"turns": turn, "first": first, "second": second}
        return (blocks, gradient, first, direction, weights), game, moved

    def _step(self, player: str, blocks: Blocks, hidden: Any, direction: Any, parameters: Any) -> Any:
        """The way to go, float[rows, length], of which the update is the negative."""
        of_tensor = tf.tanh(self.of_tensor(hidden))
        read = self._read_one_by_one if self.fused else self._read
        correction, scale = read(blocks.each(self.told(hidden)), parameters)
        # Exactly 0 for a direction of 0, and still of a bounded slope there.
        size = features.root_mean_square(blocks, direction) - features.TINY
        correction *= tf.exp(0.1 * scale) * blocks.each(size)[:, None]
        rate = self.rates.of(player) * tf.exp(tf.convert_to_tensor(self.log_rate) + 1.5 * of_tensor[:, 0])
        if self.residual:
            correction += blocks.each(1.0 + 0.5 * of_tensor[:, 1])[:, None] * direction
        return blocks.each(rate)[:, None] * correction

    def _layers_of_parameter(self) -> list[Any]:
        """Kernel and bias of the two layers that every parameter has."""
        return [tf.cast(v, self.compute_dtype) for layer in (self.seen, self.of_parameter) for v in layer.weights]

    def _read(self, told: Any, parameters: Any) -> list[Any]:
        """The two numbers of each parameter, float[rows, length] each, from its own and what its tensor is told.

        The layers' kernels from the left, row by row: parameters stay side by side, and a row in the cache.
        """
        seen, offset, read, shift = self._layers_of_parameter()
        kernels = tf.tile(tf.transpose(seen)[None], [parameters.shape[0], 1, 1])
        # What a row is told is the weight of one more number, which is always 1.
        kernels = tf.concat([kernels, (told + offset)[:, :, None]], axis=2)
        inside = tf.nn.relu(tf.matmul(kernels, tf.pad(parameters, [[0, 0], [0, 1], [0, 0]], constant_values=1.0)))
        return tf.unstack(tf.matmul(read, inside, transpose_a=True) + shift[:, None], axis=1)

    def _read_one_by_one(self, told: Any, parameters: Any) -> list[Any]:
        """The same, written out number by number: XLA makes one loop of it, which keeps all between in registers."""
        seen, offset, read, shift = self._layers_of_parameter()
        words, numbers = tf.unstack(shift), tf.unstack(parameters, axis=1)
        for unit in range(_HIDDEN_OF_PARAMETER):
            inside = (told[:, unit] + offset[unit])[:, None]
            for kernel, number in zip(tf.unstack(seen[:, unit]), numbers, strict=True):
                inside += kernel * number
            inside = tf.nn.relu(inside)
            words = [word + kernel * inside for word, kernel in zip(words, tf.unstack(read[unit]), strict=True)]
        return words

    def get_config(self) -> dict[str, Any]:
        own: tuple[str, ...] = ("first_decay", "second_decay", "epsilon", "hidden", "coupled", "residual")
        own += ("game_features", "seed", "turned", "fused")
        return {**super().get_config(), "rate": self.rates.value, **{name: getattr(self, name) for name in own}}
