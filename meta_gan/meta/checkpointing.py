"""Inner steps whose backward pass computes them again, for less memory.

A second-order meta-gradient keeps every intermediate value of every inner step. With checkpoints only the carry between
pieces of so many steps is kept, and each piece is run a second time when the gradient comes to it: for about a third
more time, the memory of one piece and of the carries.

`tf.recompute_grad` and `keras.remat` give None around an inner step, which holds tapes of its own.

Reference: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from meta_gan.games.base import Game
from meta_gan.meta import inner_loop
from meta_gan.meta_learners.base import MetaLearner
from meta_gan.types import Carry, Mask, MetaWeights


def recomputed(function: Callable[..., Any], *inputs: Any) -> Any:
    """Calls a pure function, and has its backward pass call it again.

    Args:
        function: of `inputs`, to a tree of tensors; all that is to have a gradient must be in `inputs`.
        *inputs: trees of tensors.

    Returns:
        What `function` returns, with the same gradients.
    """
    flat = [tf.convert_to_tensor(t) for t in tf.nest.flatten(inputs)]
    structure: list[Any] = []

    @tf.custom_gradient
    def run(*values: Any) -> Any:
        outputs = function(*tf.nest.pack_sequence_as(inputs, list(values)))
        structure[:] = [outputs]

        def backward(*upstream: Any) -> Any:
            sources = [t for t in values if t.dtype.is_floating]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(sources)
                again = tf.nest.flatten(function(*tf.nest.pack_sequence_as(inputs, list(values))))
            pairs = [(y, g) for y, g in zip(again, upstream, strict=True) if y.dtype.is_floating]
            found = iter(
                tape.gradient(
                    [y for y, _ in pairs],
                    sources,
                    output_gradients=[g for _, g in pairs],
                    unconnected_gradients=tf.UnconnectedGradients.ZERO,
                )
            )
            return [next(found) if t.dtype.is_floating else None for t in values]

        return tf.nest.flatten(outputs), backward

    results = run(*flat)
    return tf.nest.pack_sequence_as(structure[0], list(results))


def advance(
    game: Game,
    learner: MetaLearner,
    mask: Mask,
    meta: MetaWeights,
    carry: Carry,
    support: Any,
    steps: int,
    order: int,
    seed: Any,
    partial: bool,
    every: int,
) -> tuple[Carry, Any]:
    """As `inner_loop.advance`, with a checkpoint every so many steps; `steps` is known when traced."""

    def piece(meta: MetaWeights, carry: Carry, support: Any, seed: Any, length: int) -> tuple[Carry, Any]:
        return inner_loop.advance(game, learner, mask, meta, carry, support, length, order, seed, partial)

    whole, rest = divmod(steps, every)
    width = len(inner_loop.columns(game, mask))
    records = tf.TensorArray(tf.float32, size=whole, element_shape=[every, width])

    def body(i: Any, carry: Carry, records: Any) -> Any:
        carry, losses = recomputed(functools.partial(piece, length=every), meta, carry, support, seed)
        return i + 1, carry, records.write(i, tf.stop_gradient(losses))

    _, carry, records = tf.while_loop(
        lambda i, *_: i < whole, body, (tf.constant(0), carry, records), maximum_iterations=whole
    )
    losses = tf.reshape(records.stack(), [whole * every, width])
    if rest:
        carry, last = recomputed(functools.partial(piece, length=rest), meta, carry, support, seed)
        losses = tf.concat([losses, last], axis=0)
    return carry, losses
