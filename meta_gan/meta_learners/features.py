"""What a learned rule sees of a player: numbers that mean the same on any network.

A rule knows tensors by what they are (rank, fan-in, sizes of gradient and weight), never by their place in a list. So
its own weights fit any network, and the order of the tensors does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from meta_gan.meta_learners.blocks import Blocks

OF_TENSOR, OF_GAME, OF_PARAMETER = 9, 8, 9
"""How many numbers `of_tensors`, `of_game` and `of_parameters` (without `turned`) give for one of what they are of."""
TINY = 1e-6  # below it a size counts as nothing; it also bounds the slopes of logarithms and roots
_OWN_SIGNALS = 3
_MIDDLE = 10.0  # the turn half way to the end of time


def root_mean_square(blocks: Blocks, values: Any) -> Any:
    """Float[tensors] >= 1e-6: the size of each tensor of float[rows, length]."""
    return tf.sqrt(blocks.mean(tf.square(values)) + TINY**2)


def _cosine(blocks: Blocks, x: Any, y: Any) -> Any:
    return blocks.mean(x * y) / (root_mean_square(blocks, x) * root_mean_square(blocks, y))


def of_tensors(blocks: Blocks, gradient: Any, momentum: Any, direction: Any, weights: Any) -> Any:
    """What each tensor is and how it moves.

    Args:
        blocks: the player's tensors.
        gradient: float[rows, length].
        momentum: float[rows, length], the mean of gradients.
        direction: float[rows, length], Adam's step for a rate of 1.
        weights: float[rows, length].

    Returns:
        float[tensors, 9]: logarithms of the sizes of gradient, momentum, direction and weights; cosines of gradient
        with weights and with momentum; rank; logarithms of fan-in and of size. All of order 1.
    """
    sizes = [tf.math.log(root_mean_square(blocks, x)) / 5.0 for x in (gradient, momentum, direction, weights)]
    cosines = [_cosine(blocks, gradient, weights), _cosine(blocks, gradient, momentum)]
    fans = [math.log(max(math.prod(shape[:-1]), 1)) / 5.0 for shape in blocks.shapes]
    extents = [math.log(max(size, 1)) / 5.0 for size in blocks.sizes]
    ranks = [len(shape) / 2.0 for shape in blocks.shapes]
    still = [tf.constant(values, gradient.dtype) for values in (ranks, fans, extents)]
    return tf.stack([*sizes, *cosines, *still], axis=1)


def of_game(
    player: str, players: Sequence[str], signals: Mapping[str, Any], turn: Any, coupled: bool, dtype: Any
) -> Any:
    """What a player knows of the game.

    Args:
        player: who is to move.
        players: all, in the game's order.
        signals: `{player: float32[n]}`, what each last reported, its loss first.
        turn: float[], moves of this player so far, >= 1.
        coupled: whether it is told of the others' losses.
        dtype: of the result.

    Returns:
        float[8]: the player's place among the players; its first three signals and the mean loss of the others, on a
        logarithmic scale; whether there are others to be told of; turn / (turn + 10)
        and 1 / turn. Time stands still in the end, so that a rule may go on for longer than it was trained.
    """
    own = tf.cast(signals[player], dtype)[:_OWN_SIGNALS]
    own = tf.pad(own, [[0, _OWN_SIGNALS - own.shape[0]]])
    others = [tf.cast(signals[name], dtype)[0] for name in players if name != player and coupled]
    theirs = tf.add_n(others) / len(others) if others else tf.zeros([], dtype)
    place = list(players).index(player) / max(len(players) - 1, 1)
    known = tf.stack([tf.constant(place, dtype), theirs, tf.constant(float(bool(others)), dtype)])
    turn = tf.cast(turn, dtype)
    time = tf.stack([turn / (turn + _MIDDLE), 1.0 / turn])
    return tf.concat([known[:1], tf.asinh(own), tf.asinh(known[1:2]), known[2:], time], axis=0)


def of_parameters(
    blocks: Blocks, gradient: Any, momentum: Any, direction: Any, weights: Any, turned: bool = False
) -> Any:
    """What each parameter is beside the others of its tensor.

    Args:
        blocks, gradient, momentum, direction, weights: as in `of_tensors`.
        turned: whether how far the gradient has turned is told too.

    Returns:
        float[rows, 9 or 10, length]: gradient, momentum and weight in units of their tensor's, clipped; Adam's
        direction; the gradient's and the weight's logarithmic size beside their tensor's; signs of gradient, momentum
        and weight; and with `turned` the gradient in units of its tensor's momentum, clipped, which a step that
        looks ahead (an optimistic gradient) is made of.
    """
    sizes = [blocks.each(root_mean_square(blocks, x))[:, None] for x in (gradient, momentum, weights)]
    relative = [x / size for x, size in zip((gradient, momentum, weights), sizes, strict=True)]
    clipped = [tf.clip_by_value(x, -5.0, 5.0) for x in relative]
    logs = [tf.math.log(tf.abs(relative[i]) + 1e-3) / 5.0 for i in (0, 2)]
    signs = [tf.sign(x) for x in (gradient, momentum, weights)]
    ahead = [tf.clip_by_value(gradient / sizes[1], -5.0, 5.0)] if turned else []
    return tf.stack([*clipped, tf.clip_by_value(direction, -5.0, 5.0), *logs, *signs, *ahead], axis=1)
