"""How far a meta-gradient looks along the inner loop, and after which inner steps an outcome is measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from meta_gan import functional
from meta_gan.types import Carry

Run = Callable[[Carry, Any], tuple[Carry, Any]]
Piece = Callable[[Any], tuple[Carry, Any, Any]]


def mean_of_last(
    run: Run, measure: Callable[[Carry], Any], carry: Carry, steps: Any, last: int
) -> tuple[Carry, Any, Any]:
    """Makes inner steps, and takes the mean of a measure after each of the last of them.

    A rule that is judged after its very last step may learn to be good there only; judged after several it must stay.

    Args:
        run: `(carry, steps) -> (carry, records float32[steps, columns])`.
        measure: of a carry, float[].
        carry: where to start.
        steps: int or int32[], >= `last`.
        last: how many steps are measured, >= 1.

    Returns:
        `(carry, records, mean)`.
    """
    if last == 1:
        carry, records = run(carry, steps)
        return carry, records, measure(carry)
    carry, records = run(carry, steps - last)
    total = tf.zeros([], functional.flat(carry.params)[0].dtype)
    kept = tf.TensorArray(tf.float32, size=last, element_shape=records.shape[1:])

    def body(i: Any, carry: Carry, total: Any, kept: Any) -> Any:
        carry, losses = run(carry, 1)
        return i + 1, carry, total + measure(carry), kept.write(i, tf.stop_gradient(losses[0]))

    _, carry, total, kept = tf.while_loop(
        lambda i, *_: i < last, body, (tf.constant(0), carry, total, kept), maximum_iterations=last
    )
    return carry, tf.concat([records, kept.stack()], axis=0), total / last


def in_windows(piece: Piece, windows: int) -> tuple[Carry, Any, Any]:
    """Truncated backpropagation: windows of inner steps one after another, none seen from the next.

    Args:
        piece: `carry or None -> (carry, records, tree of gradients)` of one window; None stands for the start.
        windows: how many, >= 1.

    Returns:
        `(carry, records of all, mean gradients)`.
    """
    carry, records, gradients = piece(None)
    if windows == 1:
        return carry, records, gradients
    kept = tf.TensorArray(tf.float32, size=windows, element_shape=records.shape).write(0, records)

    def body(i: Any, carry: Carry, kept: Any, total: Any) -> Any:
        carry, records, gradients = piece(functional.stop(carry))
        total = tf.nest.map_structure(tf.add, total, gradients)
        return i + 1, carry, kept.write(i, records), total

    _, carry, kept, total = tf.while_loop(
        lambda i, *_: i < windows, body, (tf.constant(1), carry, kept, gradients), maximum_iterations=windows
    )
    records = tf.reshape(kept.stack(), [-1, records.shape[1]])
    return carry, records, tf.nest.map_structure(lambda t: t / windows, total)
