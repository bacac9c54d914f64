"""The recurrent meta-learner: a GRU for every tensor, beside Adam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from meta_gan.meta_learners import features
from meta_gan.meta_learners.residual import ResidualRule


@keras.saving.register_keras_serializable("meta_gan")
class RecurrentMetaLearner(ResidualRule):
    """Emits updates by a recurrent network that follows every tensor of every player over the inner steps.

    One GRU, the same for all tensors, is told what a tensor is and how it moves, what the player knows of the game, and
    the mean thought of all tensors of its own player and of the other players, as it was before this move. A small
    network for each parameter reads the result; see `ResidualRule` for how its word becomes an update.

    Args:
        rate: Adam's step size > 0 that it starts from, one for all players or `{player: rate}`; best tuned first.
        first_decay: of Adam's mean of gradients, in [0, 1).
        second_decay: of Adam's mean of squares, in [0, 1).
        epsilon: > 0, in units of the gradient, under Adam's root.
        hidden: units of the GRU, >= 1.
        coupled: whether a player is told of the others: their loss and the mean thought of their tensors.
        residual: whether Adam's direction is part of the update; False leaves the network's own word alone.
        game_features: whether it is told of the game (losses, logits, the step) at all.
        seed: of its initial weights, >= 0.
        turned: whether it is told, for every parameter, the gradient in units of the momentum, to look ahead in games
            that rotate. On GANs of points training with it was less steady.
        fused: whether, in a graph, XLA makes one loop of what is done for every parameter. Adapting nets of half a
            million weights then takes two thirds of the time, but training the rule takes twice as long: leave it off
            in training, and set the attribute before a trained model first adapts. A server of the exported model must
            have XLA.

    Raises:
        ValueError: an argument outside its range.

    Example:
        >>> rule = RecurrentMetaLearner(rate=2e-3)
        >>> row = meta_gan.Algorithm("RNN", rule, meta_gan.Unrolled(order=2), inner_steps=10)

    References: Andrychowicz et al., "Learning to learn by gradient descent by gradient descent", 2016; Metz et al.,
        "Tasks, stability, architecture, and compute", 2020, for a recurrent network of a tensor and a small one of a
        parameter. We depart in the residual on Adam, and in that players of a game are told of one another.
    """

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
        super().__init__(
            rate,
            first_decay,
            second_decay,
            epsilon,
            hidden,
            coupled,
            residual,
            game_features,
            seed,
            turned,
            fused,
            **kwargs,
        )

    def _make_core(self) -> None:
        self.cell = keras.layers.GRUCell(
            self.hidden,
            kernel_initializer=self._draw(0),
            recurrent_initializer=keras.initializers.Orthogonal(seed=1000 * self.seed + 1),
            name="cell",
            dtype=self.dtype_policy,
        )
        self.cell.build((None, features.OF_TENSOR + features.OF_GAME + 2 * self.hidden))

    def _begin(self, tensors: int) -> Any:
        return tf.zeros([tensors, self.hidden], self.compute_dtype)

    def _think(self, player: str, thoughts: Mapping[str, Any], tensors: Any, game: Any) -> tuple[Any, Any]:
        own = tf.reduce_mean(thoughts[player], axis=0)
        others = [tf.reduce_mean(thought, axis=0) for name, thought in thoughts.items() if name != player]
        theirs = tf.add_n(others) / len(others) if others and self.coupled else tf.zeros_like(own)
        shared = tf.concat([game, own, theirs], axis=0)
        told = tf.concat([tensors, tf.tile(shared[None], [tensors.shape[0], 1])], axis=1)
        hidden, _ = self.cell(told, [thoughts[player]])
        return hidden, hidden
