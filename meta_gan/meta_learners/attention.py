"""The attention meta-learner: the tensors of all players attend to one another, beside Adam."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_bool, check_integer
from meta_gan.meta_learners import features
from meta_gan.meta_learners.residual import ResidualMetaLearner
from meta_gan.types import ByPlayer, Tensor, Tensors

_REMEMBERED = 0.8  # share of a tensor's moving average that is kept at each move of its player


@keras.saving.register_keras_serializable("meta_gan")
class AttentionMetaLearner(ResidualMetaLearner):
    """Updates by attention over the tensors of every player.

    A token is a tensor: its features, and a moving average of its previous embeddings. The player that moves has new
    tokens; those of the others are as they were at their last move. One more token is the game, and with
    `embedding_dim` another is the task embedding. Tokens differ by rank, size and their player's place, never by their
    number in a list. `meta.attention_maps.attention_maps` shows which token attends to which.

    Args:
        rate: Adam's initial step size > 0, one for all players or `{player: rate}`; best tuned first.
        first_decay: of Adam's mean of gradients, in [0, 1).
        second_decay: of Adam's mean of squared gradients, in [0, 1).
        epsilon: > 0, in units of the gradient, under Adam's root.
        hidden: size of a token, a multiple of `heads`.
        heads: of the attention, >= 1.
        blocks: of attention and two dense layers, >= 1; the output of each starts at 0.
        attention: False replaces attention by the mean of all tokens, for ablations.
        embedding_dim: size of the task embedding that it receives, for games with a task encoder; 0 for none. Such a
            meta-learner fits task embeddings of that size only.
        coupled, residual, game_features, seed, turned, fused: see `RecurrentMetaLearner`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> meta_learner = AttentionMetaLearner(rate=2e-3, hidden=32, heads=4)

    Reference: Vaswani et al., "Attention Is All You Need", 2017. Departs in normalising ahead of each part and of the
        readouts, and in tokens without positions.
    """

    arguments = (*ResidualMetaLearner.arguments, "heads", "blocks", "attention", "embedding_dim")

    def __init__(
        self,
        rate: float | Mapping[str, float] = 1e-3,
        first_decay: float = 0.5,
        second_decay: float = 0.99,
        epsilon: float = 1e-6,
        hidden: int = 32,
        heads: int = 4,
        blocks: int = 1,
        attention: bool = True,
        *,
        embedding_dim: int = 0,
        **kwargs: Any,
    ):
        super().__init__(rate, first_decay, second_decay, epsilon, hidden, **kwargs)
        self.heads, self.blocks = check_integer(heads, "heads", 1), check_integer(blocks, "blocks", 1)
        if self.hidden % self.heads:
            raise ValueError(f"'hidden' must be a multiple of 'heads'. Received: {hidden!r} and {heads!r}")
        self.attention = check_bool(attention, "attention")
        self.embedding_dim = check_integer(embedding_dim, "embedding_dim", 0)

    def _make_core(self) -> None:
        width = self.hidden
        self.of_seen = self._dense(width, "of_seen", features.OF_TENSOR + 1, self._draw(0))
        self.of_memory = self._dense(width, "of_memory", width, self._draw(1))
        self.of_game = self._dense(width, "of_game", features.OF_GAME, self._draw(2))
        if self.embedding_dim:
            self.of_task = self._dense(width, "of_task_embedding", self.embedding_dim, self._draw(5))
        self.layers_of_blocks = [self._make_block(10 * (i + 1)) for i in range(self.blocks)]

    def _make_block(self, number: int) -> dict[str, Any]:
        width, name = self.hidden, f"block_{number // 10 - 1}"
        parts = enumerate(self._parts)
        block = {part: self._dense(width, f"{name}_{part}", width, self._draw(number + i)) for i, part in parts}
        block["mixed"] = self._dense(width, f"{name}_mixed", width, "zeros")
        block["wide"] = self._dense(2 * width, f"{name}_wide", width, self._draw(number + 3))
        block["narrow"] = self._dense(width, f"{name}_narrow", 2 * width, "zeros")
        return block

    @property
    def _parts(self) -> tuple[str, ...]:
        return ("query", "key", "value") if self.attention else ("value",)

    def _begin(self, tensors: int) -> dict[str, Tensor]:
        seen = tf.zeros([tensors, features.OF_TENSOR + 1], self.compute_dtype)
        return {"features": seen, "average": tf.zeros([tensors, self.hidden], self.compute_dtype)}

    def _embed(self, player: str, memory: Mapping[str, Any], tensors: Tensor, game: Tensor) -> tuple[Tensor, Any]:
        own, seen, _ = self._attend(player, memory, tensors, game)
        average = _REMEMBERED * memory[player]["average"] + (1 - _REMEMBERED) * own
        return own, {"features": seen, "average": average}

    def attended(
        self, state: Any, player: str, params: ByPlayer, gradients: Tensors, signals: Mapping[str, Tensor]
    ) -> Tensor:
        """Return the attention weights of a player's move, given the arguments of `update`.

        Returns:
            float[blocks, heads, tokens, tokens], rows of sum 1. Tokens are the tensors of `player`, then, if coupled,
            those of the others in the order of `params`, then the game, and then the task embedding if there is one.
        """
        inputs, game, _ = self._inputs(state, player, params, gradients, signals)
        return tf.stack(self._attend(player, state["memory"], features.of_tensors(*inputs), game)[2])

    def _attend(
        self, player: str, memory: Mapping[str, Any], tensors: Tensor, game: Tensor
    ) -> tuple[Tensor, Tensor, Tensors]:
        """Return the embeddings of the player's tensors, their features with its place, and each block's weights."""
        place = tf.fill([tensors.shape[0], 1], game[0])
        now = {**memory, player: {**memory[player], "features": tf.concat([tensors, place], axis=1)}}
        names = [player, *(name for name in memory if name != player and self.coupled)]
        tokens = [self.of_seen(now[name]["features"]) + self.of_memory(now[name]["average"]) for name in names]
        known, embedding = game[None, : features.OF_GAME], game[None, features.OF_GAME :]
        tokens += [self.of_game(known), *([self.of_task(embedding)] if self.embedding_dim else [])]
        x, maps = tf.concat(tokens, axis=0), []
        for block in self.layers_of_blocks:
            gathered, weights = self._mix(block, _normalized(x))
            x += block["mixed"](gathered)
            x += block["narrow"](tf.nn.relu(block["wide"](_normalized(x))))
            maps.append(weights)
        # Normalised, so that neither the readouts nor the average grow over the steps.
        return _normalized(x[: tensors.shape[0]]), now[player]["features"], maps

    def _mix(self, block: Mapping[str, Any], x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the attention output, float[tokens, hidden], and its weights, float[heads, tokens, tokens]."""
        count, size = x.shape[0], self.hidden // self.heads
        cut = {part: tf.reshape(block[part](x), [count, self.heads, size]) for part in self._parts}
        heads = {part: tf.transpose(values, [1, 0, 2]) for part, values in cut.items()}
        if self.attention:
            weights = tf.nn.softmax(tf.matmul(heads["query"], heads["key"], transpose_b=True) / math.sqrt(size))
        else:
            weights = tf.fill([self.heads, count, count], tf.constant(1.0 / count, x.dtype))
        gathered = tf.transpose(tf.matmul(weights, heads["value"]), [1, 0, 2])
        return tf.reshape(gathered, [count, self.hidden]), weights


def _normalized(x: Tensor) -> Tensor:
    """Return tokens float[tokens, hidden] with mean 0 and variance 1.

    Written out, because the second derivative of Keras's layer is wrong.
    """
    centred = x - tf.reduce_mean(x, axis=1, keepdims=True)
    return centred * tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axis=1, keepdims=True) + 1e-6)
