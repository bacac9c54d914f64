"""Inputs of learned meta-learners: a player's tensors as rows, and features that exist for any network.

A meta-learner knows a tensor by its properties (rank, fan-in, scale of gradient and weight), not by its place in a
list. So its own weights fit any network, and the order of the tensors does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan.types import Tensor, Tensors

OF_TENSOR, OF_GAME, OF_PARAMETER = 9, 8, 9
"""The number of features from `of_tensors`, `of_game` and `of_parameters` (without `turned`)."""
TINY = 1e-6  # added to scales; it also bounds the slopes of logarithms and roots
_OWN_SIGNALS = 3
_MIDDLE = 10.0  # the turn at which half the time has passed
_LONGEST = 1024  # a row of every feature of that many parameters stays in a core's cache
_ROOM = 1.25


def _length(sizes: list[int]) -> int:
    """Return the largest power of two, at most 1024, for which padding adds at most a quarter to the tensors."""
    length = _LONGEST
    while sum(-(-size // length) * length for size in sizes) > _ROOM * sum(sizes):
        length //= 2
    return length


class Blocks:
    """A player's tensors, each cut into rows of one length and padded with zeros, and back.

    Values per tensor are repeated for its rows, not for its parameters, and sums over a tensor are sums along rows
    first: on half a million weights both are an order of magnitude faster than on one flat vector. And one array for
    all tensors traces in half the time of operations tensor by tensor.

    Args:
        tensors: the player's params, of static shapes.
        length: of a row, >= 1; None for a power of two that fits the tensors.

    Example:
        >>> blocks = Blocks([tf.ones([3]), tf.ones([4])], length=2)
        >>> blocks.join([tf.ones([3]), tf.ones([4])], tf.float32).numpy().tolist()
        [[1.0, 1.0], [1.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
    """

    def __init__(self, tensors: Tensors, length: int | None = None):
        self.shapes = [tuple(int(n) for n in t.shape) for t in tensors]
        self.sizes = [math.prod(shape) for shape in self.shapes]
        self.count = len(self.shapes)
        self.length = _length(self.sizes) if length is None else length
        rows = [-(-size // self.length) for size in self.sizes]
        self.rows = sum(rows)
        self._padding = [n * self.length - size for n, size in zip(rows, self.sizes, strict=True)]
        self._owners = np.repeat(np.arange(self.count, dtype=np.int32), rows)

    def join(self, tensors: Tensors, dtype: Any) -> Tensor:
        """Return the tensors as float[rows, length]."""
        pieces = []
        for tensor, padding in zip(tensors, self._padding, strict=True):
            pieces.append(tf.cast(tf.reshape(tensor, [-1]), dtype))
            if padding:
                pieces.append(tf.zeros([padding], dtype))
        return tf.reshape(tf.concat(pieces, axis=0), [self.rows, self.length])

    def split(self, values: Tensor, like: Tensors) -> Tensors:
        """Return rows as tensors of the shapes and dtypes of `like`, without the padding."""
        pieces = [n for pair in zip(self.sizes, self._padding, strict=True) for n in pair]
        parts = tf.split(tf.reshape(values, [-1]), pieces)[::2]
        return [tf.cast(tf.reshape(v, s), t.dtype) for v, s, t in zip(parts, self.shapes, like, strict=True)]

    def mean(self, values: Tensor) -> Tensor:
        """Return the means over each tensor, float[tensors], of float[rows, length] with zeros in the padding."""
        # XLA cannot compile the sorted kind.
        sums = tf.math.unsorted_segment_sum(tf.reduce_sum(values, axis=1), self._owners, self.count)
        return sums / tf.constant(self.sizes, values.dtype)

    def each(self, values: Tensor) -> Tensor:
        """Return values per tensor, float[tensors, ...], repeated for each of its rows, float[rows, ...]."""
        return tf.gather(values, self._owners)


def root_mean_square(blocks: Blocks, values: Tensor) -> Tensor:
    """Return the scale of each tensor of float[rows, length], float[tensors] >= 1e-6."""
    return tf.sqrt(blocks.mean(tf.square(values)) + TINY**2)


def _cosine(blocks: Blocks, x: Tensor, y: Tensor) -> Tensor:
    return blocks.mean(x * y) / (root_mean_square(blocks, x) * root_mean_square(blocks, y))


def of_tensors(blocks: Blocks, gradient: Tensor, momentum: Tensor, direction: Tensor, weights: Tensor) -> Tensor:
    """Return features of each tensor and its movement.

    Args:
        blocks: the player's tensors.
        gradient: float[rows, length].
        momentum: float[rows, length], the mean of gradients.
        direction: float[rows, length], Adam's step for a rate of 1.
        weights: float[rows, length].

    Returns:
        float[tensors, 9]: log scales of gradient, momentum, direction and weights; cosines of the gradient with weights
        and with momentum; rank; log fan-in and log size. All of order 1.
    """
    scales = [tf.math.log(root_mean_square(blocks, x)) / 5.0 for x in (gradient, momentum, direction, weights)]
    cosines = [_cosine(blocks, gradient, weights), _cosine(blocks, gradient, momentum)]
    fans = [math.log(max(math.prod(shape[:-1]), 1)) / 5.0 for shape in blocks.shapes]
    sizes = [math.log(max(size, 1)) / 5.0 for size in blocks.sizes]
    ranks = [len(shape) / 2.0 for shape in blocks.shapes]
    constant = [tf.constant(values, gradient.dtype) for values in (ranks, fans, sizes)]
    return tf.stack([*scales, *cosines, *constant], axis=1)


def of_game(
    player: str, players: Sequence[str], signals: Mapping[str, Tensor], turn: Tensor, coupled: bool, dtype: Any
) -> Tensor:
    """Return features of the game for a player.

    Args:
        player: the player that moves.
        players: all, in the game's order.
        signals: `{player: float32[n]}`, what each last reported, its loss first.
        turn: float[], moves of this player so far, >= 1.
        coupled: whether it receives the others' losses.
        dtype: of the result.

    Returns:
        float[8]: the player's place among the players; its first three signals and the mean loss of the others, on a
        logarithmic scale; whether there are others whose loss it receives; turn / (turn + 10) and 1 / turn, which both
        converge, so that more steps than in training are possible.
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
    blocks: Blocks, gradient: Tensor, momentum: Tensor, direction: Tensor, weights: Tensor, turned: bool = False
) -> Tensor:
    """Return each parameter's features relative to its tensor.

    Args:
        blocks, gradient, momentum, direction, weights: as in `of_tensors`.
        turned: whether the last feature is included.

    Returns:
        float[rows, 9 or 10, length]: gradient, momentum and weight in units of their tensor's scale, clipped; Adam's
        direction; log sizes of gradient and weight relative to their tensor's; signs of gradient, momentum and weight;
        and with `turned` the gradient in units of its tensor's momentum, clipped, from which a step that extrapolates
        (an optimistic gradient) can be made.
    """
    sizes = [blocks.each(root_mean_square(blocks, x))[:, None] for x in (gradient, momentum, weights)]
    relative = [x / size for x, size in zip((gradient, momentum, weights), sizes, strict=True)]
    clipped = [tf.clip_by_value(x, -5.0, 5.0) for x in relative]
    logs = [tf.math.log(tf.abs(relative[i]) + 1e-3) / 5.0 for i in (0, 2)]
    signs = [tf.sign(x) for x in (gradient, momentum, weights)]
    ahead = [tf.clip_by_value(gradient / sizes[1], -5.0, 5.0)] if turned else []
    return tf.stack([*clipped, tf.clip_by_value(direction, -5.0, 5.0), *logs, *signs, *ahead], axis=1)
