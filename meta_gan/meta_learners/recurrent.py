"""The recurrent meta-learner: a GRU for every tensor, beside Adam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from meta_gan.meta_learners import features
from meta_gan.meta_learners.residual import ResidualMetaLearner
from meta_gan.types import Tensor


@keras.saving.register_keras_serializable("meta_gan")
class RecurrentMetaLearner(ResidualMetaLearner):
    """Updates by a recurrent network that follows every tensor of every player over the inner steps.

    One GRU, shared by all tensors, receives what a tensor is and how it moves, what the player knows of the game, and
    the mean hidden state of the tensors of its own player and of the other players, as it was before this move. A small
    network per parameter reads the result; see `ResidualMetaLearner` for the update.

    Args:
        rate: Adam's initial step size > 0, one for all players or `{player: rate}`; best tuned first.
        first_decay: of Adam's mean of gradients, in [0, 1).
        second_decay: of Adam's mean of squared gradients, in [0, 1).
        epsilon: > 0, in units of the gradient, under Adam's root.
        hidden: units of the GRU, >= 1.
        coupled: whether a player receives the others' loss and the mean hidden state of their tensors.
        residual: whether Adam's direction is part of the update; with False the update is the network's output alone.
        game_features: whether it receives features of the game (losses, logits, the step) at all.
        seed: of its initial weights, >= 0.
        turned: whether it receives, for every parameter, the gradient in units of the momentum, to extrapolate in games
            that rotate. On GANs of points this made training less steady.
        fused: whether, in a graph, XLA fuses the operations on parameters into one loop. Adapting networks of half a
            million weights then takes two thirds of the time, but meta-training takes twice as long: leave it off in
            training, and set the attribute before a trained model first adapts. A server of the exported model must
            have XLA.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> meta_learner = RecurrentMetaLearner(rate=2e-3)
        >>> algorithm = meta_gan.Algorithm("RNN", meta_learner, meta_gan.Unrolled(order=2), inner_steps=10)

    References: Andrychowicz et al., "Learning to learn by gradient descent by gradient descent", 2016; Metz et al.,
        "Tasks, stability, architecture, and compute", 2020, for a recurrent network per tensor and a small one per
        parameter. Departs in the residual on Adam, and in that players of a game receive one another's states.
    """

    def _make_core(self) -> None:
        self.cell = keras.layers.GRUCell(
            self.hidden,
            kernel_initializer=self._draw(0),
            recurrent_initializer=keras.initializers.Orthogonal(seed=1000 * self.seed + 1),
            seed=self.seed,
            name="cell",
            dtype=self.dtype_policy,
        )
        self.cell.build((None, features.OF_TENSOR + features.OF_GAME + 2 * self.hidden))

    def _begin(self, tensors: int) -> Tensor:
        return tf.zeros([tensors, self.hidden], self.compute_dtype)

    def _embed(self, player: str, memory: Mapping[str, Any], tensors: Tensor, game: Tensor) -> tuple[Tensor, Any]:
        own = tf.reduce_mean(memory[player], axis=0)
        others = [tf.reduce_mean(hidden, axis=0) for name, hidden in memory.items() if name != player]
        theirs = tf.add_n(others) / len(others) if others and self.coupled else tf.zeros_like(own)
        shared = tf.concat([game, own, theirs], axis=0)
        inputs = tf.concat([tensors, tf.tile(shared[None], [tensors.shape[0], 1])], axis=1)
        hidden, _ = self.cell(inputs, [memory[player]])
        return hidden, hidden
