"""The attention meta-learner: the tensors of all players attend to one another, beside Adam."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_bool, check_integer
from meta_gan.meta_learners import features
from meta_gan.meta_learners.residual import ResidualRule
from meta_gan.types import ByPlayer, Tensors

_REMEMBERED = 0.8  # of a tensor's memory, at each move of its player


@keras.saving.register_keras_serializable("meta_gan")
class AttentionMetaLearner(ResidualRule):
    """Emits updates by attention over the tensors of every player.

    A token is a tensor: what it is and how it moves, and a moving average of what was thought of it before. The player
    that moves has new tokens; those of the others are as they were last. One token more is the game. Tokens are told
    apart by rank, size and place among the players, never by their number in a list. With `embedding_dim` the task's code is
    a token too. `meta.maps.attention_maps` shows who looks at whom.

    Args:
        rate: Adam's step size > 0 that it starts from, one for all players or `{player: rate}`; best tuned first.
        first_decay: of Adam's mean of gradients, in [0, 1).
        second_decay: of Adam's mean of squares, in [0, 1).
        epsilon: > 0, in units of the gradient, under Adam's root.
        hidden: size of a token, a multiple of `heads`.
        heads: of the attention, >= 1.
        blocks: of attention and two dense layers, >= 1; what each adds starts at 0.
        attention: False puts the mean of all tokens in the place of attention, to ask what attention is worth.
        coupled: whether a player is told of the others: their loss, and their tokens.
        residual: whether Adam's direction is part of the update; False leaves the network's own word alone.
        game_features: whether it is told of the game (losses, logits, the step) at all.
        seed: of its initial weights, >= 0.
        turned: whether it is told, for every parameter, the gradient in units of the momentum, to look ahead in games
            that rotate. On GANs of points training with it was less steady.
        fused: whether, in a graph, XLA makes one loop of what is done for every parameter. Adapting nets of half a
            million weights then takes two thirds of the time, but training the rule takes twice as long: leave it off
            in training, and set the attribute before a trained model first adapts. A server of the exported model must
            have XLA.
        embedding_dim: size of the task code that it is told, of games with an encoder; 0 for none. Such a rule fits codes of
            that size only.

    Raises:
        ValueError: an argument outside its range.

    Example:
        >>> rule = AttentionMetaLearner(rate=2e-3, hidden=32, heads=4)

    Reference: Vaswani et al., "Attention Is All You Need", 2017. We depart in normalizing ahead of each part and of
        the readouts, and in that tokens have no positions.
    """

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
        coupled: bool = True,
        residual: bool = True,
        game_features: bool = True,
        seed: int = 0,
        embedding_dim: int = 0,
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
        self.heads, self.blocks = check_integer(heads, "heads", 1), check_integer(blocks, "blocks", 1)
        if self.hidden % self.heads:
            raise ValueError(f"'hidden' must be a multiple of 'heads'. Received: {hidden!r} and {heads!r}")
        check_bool(attention, "attention")
        self.attention, self.embedding_dim = attention, check_integer(embedding_dim, "embedding_dim", 0)

    def _make_core(self) -> None:
        width = self.hidden
        self.of_seen = self._dense(width, "of_seen", features.OF_TENSOR + 1, self._draw(0))
        self.of_memory = self._dense(width, "of_memory", width, self._draw(1))
        self.of_game = self._dense(width, "of_game", features.OF_GAME, self._draw(2))
        if self.embedding_dim:
            self.of_code = self._dense(width, "of_task_embedding", self.embedding_dim, self._draw(5))
        self.layers_of_blocks = [self._make_block(10 * (i + 1)) for i in range(self.blocks)]

    def _make_block(self, number: int) -> dict[str, Any]:
        width, name = self.hidden, f"block_{number // 10 - 1}"
        made = {
            part: self._dense(width, f"{name}_{part}", width, self._draw(number + i))
            for i, part in enumerate(self._parts)
        }
        made["mixed"] = self._dense(width, f"{name}_mixed", width, "zeros")
        made["wide"] = self._dense(2 * width, f"{name}_wide", width, self._draw(number + 3))
        made["narrow"] = self._dense(width, f"{name}_narrow", 2 * width, "zeros")
        return made

    @property
    def _parts(self) -> tuple[str, ...]:
        return ("query", "key", "value") if self.attention else ("value",)

    def _begin(self, tensors: int) -> Any:
        seen = tf.zeros([tensors, features.OF_TENSOR + 1], self.compute_dtype)
        return {"seen": seen, "memory": tf.zeros([tensors, self.hidden], self.compute_dtype)}

    def _think(self, player: str, thoughts: Mapping[str, Any], tensors: Any, game: Any) -> tuple[Any, Any]:
        own, seen, _ = self._attend(player, thoughts, tensors, game)
        memory = _REMEMBERED * thoughts[player]["memory"] + (1 - _REMEMBERED) * own
        return own, {"seen": seen, "memory": memory}

    def attended(
        self, state: Any, player: str, leaves: ByPlayer, gradients: Tensors, signals: Mapping[str, Any]
    ) -> Any:
        """Where every token looks when a player is about to move, given what `update` would be given.

        Returns:
            float[blocks, heads, tokens, tokens], rows of sum 1. Tokens are the tensors of `player`, then, of a coupled
            rule, those of the others in the order of `leaves`, then the game, and then the code if there is one.
        """
        seen, game, _ = self._look(state, player, leaves, gradients, signals)
        return tf.stack(self._attend(player, state["thoughts"], features.of_tensors(*seen), game)[2])

    def _attend(self, player: str, thoughts: Mapping[str, Any], tensors: Any, game: Any) -> tuple[Any, Any, list[Any]]:
        """What comes of a player's own tokens, what was seen of them, and each block's weights."""
        place = tf.fill([tensors.shape[0], 1], game[0])
        now = {**thoughts, player: {**thoughts[player], "seen": tf.concat([tensors, place], axis=1)}}
        names = [player, *(name for name in thoughts if name != player and self.coupled)]
        tokens = [self.of_seen(now[name]["seen"]) + self.of_memory(now[name]["memory"]) for name in names]
        known, code = game[None, : features.OF_GAME], game[None, features.OF_GAME :]
        tokens += [self.of_game(known), *([self.of_code(code)] if self.embedding_dim else [])]
        x, maps = tf.concat(tokens, axis=0), []
        for block in self.layers_of_blocks:
            gathered, weights = self._mix(block, _normalized(x))
            x += block["mixed"](gathered)
            x += block["narrow"](tf.nn.relu(block["wide"](_normalized(x))))
            maps.append(weights)
        # Of one size whatever was added, so that neither the readouts nor the memory grow over the steps.
        return _normalized(x[: tensors.shape[0]]), now[player]["seen"], maps

    def _mix(self, block: Mapping[str, Any], x: Any) -> tuple[Any, Any]:
        """What each token gathers, float[tokens, hidden], and from where, float[heads, tokens, tokens]."""
        count, size = x.shape[0], self.hidden // self.heads
        heads = {
            part: tf.transpose(tf.reshape(block[part](x), [count, self.heads, size]), [1, 0, 2]) for part in self._parts
        }
        if self.attention:
            weights = tf.nn.softmax(tf.matmul(heads["query"], heads["key"], transpose_b=True) / math.sqrt(size))
        else:
            weights = tf.fill([self.heads, count, count], tf.constant(1.0 / count, x.dtype))
        gathered = tf.transpose(tf.matmul(weights, heads["value"]), [1, 0, 2])
        return tf.reshape(gathered, [count, self.hidden]), weights

    def get_config(self) -> dict[str, Any]:
        own = {
            "heads": self.heads,
            "blocks": self.blocks,
            "attention": self.attention,
            "embedding_dim": self.embedding_dim,
        }
        return {**super().get_config(), **own}


def _normalized(x: Any) -> Any:
    """Tokens float[tokens, hidden] of mean 0 and variance 1: written out, for Keras's layer is wrong in its second
    derivative."""
    centred = x - tf.reduce_mean(x, axis=1, keepdims=True)
    return centred * tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axis=1, keepdims=True) + 1e-6)
