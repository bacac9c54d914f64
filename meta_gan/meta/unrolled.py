"""The meta-gradient by differentiating the inner loop, through all of it or at its end.

For long inner loops there are checkpoints, which save memory, and windows, which truncate the derivative; for learned
meta-learners also a mean over the last steps and random units of the params.

References: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016, for the checkpoints; Lv, Jiang and Li,
    "Learning gradient descent: better generalization and longer horizons", 2017, for the random units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_integer, check_number
from meta_gan.meta import masks
from meta_gan.meta.estimators import Estimate, Estimator, end_gradients, metrics_of
from meta_gan.meta.inner_loop import InnerLoop
from meta_gan.meta_learners.base import MetaLearner
from meta_gan.types import ByPlayer, Carry, Episode, Examples, Mask, MetaWeights, Snapshot, Tensor, Tensors, Tree

# The role of the draws of units, among those listed in `inner_loop`.
UNITS = 7


@keras.saving.register_keras_serializable("meta_gan")
class Unrolled(Estimator):
    """Differentiate the query objectives through the inner loop (order 2), or only at its end point (order 1).

    With `partial`, every player's inner gradient and outer objective hold the other players fixed: the effect of a
    player's initial weights on how its opponents adapt is left out, as in a GAN's own gradient. Without it the
    derivative is total, and takes one backward pass a player.

    A learned meta-learner is trained on the game's `distance` by total derivatives, even at order 1: partial ones
    would be zero for its discriminator part. At order 1 the part for a player that affects the distance only through
    another's later moves is not trained. `last`, `window` and `rescale` are for learned meta-learners.

    Args:
        order: 1 (FOMAML) or 2 (MAML).
        partial: partial (True) or total derivatives between the players.
        checkpoint: inner steps between checkpoints, >= 1: the backward pass computes those steps again in place of
            keeping their intermediate values. 0 keeps everything. Needs order 2 and a number of inner steps known when
            traced.
        last: number >= 1 of the last inner steps (of a window) after each of which the distance is measured; their
            mean is the objective.
        window: inner steps, >= 1, beyond which no gradient passes: the inner steps are cut into windows of that many,
            each goes on where the one before it ended, and the outer gradient is the mean of theirs. They must divide
            the inner steps. None for one window of all.
        rescale: largest absolute log factor, >= 0. A factor is drawn for each tensor and task; params are divided by it
            before the meta-learner receives them, and its updates multiplied: the same game in other units, so that it
            does not learn the sizes of the networks that it is trained on.

    Raises:
        ValueError: an argument out of its range; a checkpoint without order 2; or, within an `Algorithm`, options for
            learned meta-learners with one that is not, or inner steps that do not fit.

    Reference: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning", 2017.
    """

    trains_meta_learner = True

    def __init__(
        self,
        order: int = 2,
        partial: bool = True,
        checkpoint: int = 0,
        last: int = 1,
        window: int | None = None,
        rescale: float = 0.0,
    ):
        if order not in (1, 2):
            raise ValueError(f"'order' must be 1 or 2. Received: {order!r}")
        self.checkpoint = check_integer(checkpoint, "checkpoint", 0)
        if checkpoint and order == 1:
            raise ValueError(f"'checkpoint' must be 0 at order 1, which keeps no steps. Received: {checkpoint!r}")
        self.order, self.partial = int(order), bool(partial)
        self.last = check_integer(last, "last", 1)
        self.window = None if window is None else check_integer(window, "window", self.last)
        self.rescale = check_number(rescale, "rescale", least=0)
        self.fixed_steps, self.least_steps = bool(self.checkpoint or self.window), self.last

    def check(self, meta_learner: MetaLearner, inner_steps: int) -> None:
        super().check(meta_learner, inner_steps)
        given = {"last": self.last, "window": self.window, "rescale": self.rescale}
        if not meta_learner.learned and (self.last > 1 or self.window or self.rescale):
            raise ValueError(
                f"'last', 'window' and 'rescale' are for learned meta-learners. Received: "
                f"{type(meta_learner).__name__} with {given}"
            )
        if self.last > max(inner_steps, 1) or (self.window and (not inner_steps or inner_steps % self.window)):
            raise ValueError(
                f"'window' must divide the inner steps, and 'last' be at most as many. Received: {given} with "
                f"{inner_steps} inner steps"
            )

    def task(self, loop: InnerLoop, meta: MetaWeights, episode: Episode, steps: int | Tensor) -> Estimate:
        if loop.meta_learner.learned:
            return self._through_windows(loop, meta, episode, steps)
        if self.order == 1:
            carry, records = loop.adapt(meta, episode.support, steps, episode.seed)
            gradients, values = end_gradients(loop.final(meta, carry), lambda end: loop.objectives(end, episode))
            return Estimate(gradients, [], carry.state, metrics_of(loop, records, values))
        return self._through_objectives(loop, meta, episode, steps)

    def _advance(
        self, loop: InnerLoop, meta: MetaWeights, carry: Carry, episode: Episode, steps: int | Tensor, partial: bool
    ) -> tuple[Carry, Tensor]:
        if self.checkpoint:
            return self._with_checkpoints(loop, meta, carry, episode, steps, partial)
        return loop.advance(meta, carry, episode.support, steps, episode.seed, self.order, partial)

    def _with_checkpoints(
        self, loop: InnerLoop, meta: MetaWeights, carry: Carry, episode: Episode, steps: int, partial: bool
    ) -> tuple[Carry, Tensor]:
        """Advance, keeping only the carry between pieces of `checkpoint` steps."""

        def piece(carry: Carry, length: int) -> tuple[Carry, Tensor]:
            def run(meta: MetaWeights, carry: Carry, support: Examples, seed: Tensor) -> tuple[Carry, Tensor]:
                return loop.advance(meta, carry, support, length, seed, self.order, partial)

            return recomputed(run, meta, carry, episode.support, episode.seed)

        def body(i: Tensor, carry: Carry, records: tf.TensorArray) -> tuple[Tensor, Carry, tf.TensorArray]:
            carry, losses = piece(carry, self.checkpoint)
            return i + 1, carry, records.write(i, tf.stop_gradient(losses))

        whole, rest = divmod(steps, self.checkpoint)
        width = len(loop.columns)
        records = tf.TensorArray(tf.float32, size=whole, element_shape=[self.checkpoint, width])
        _, carry, records = tf.while_loop(
            lambda i, *_: i < whole, body, (tf.constant(0), carry, records), maximum_iterations=whole
        )
        losses = tf.reshape(records.stack(), [whole * self.checkpoint, width])
        if rest:
            carry, final = piece(carry, rest)
            losses = tf.concat([losses, final], axis=0)
        return carry, losses

    def _through_objectives(
        self, loop: InnerLoop, meta: MetaWeights, episode: Episode, steps: int | Tensor
    ) -> Estimate:
        """Differentiate every player's objective, in one backward pass where that is exact."""
        together = self.partial and not loop.meta_learner.coupled
        weights = meta.initial.weights
        with tf.GradientTape(persistent=not together, watch_accessed_variables=False) as tape:
            tape.watch(functional.flat(weights))
            carry, records = self._advance(loop, meta, loop.begin(meta), episode, steps, self.partial)
            values = loop.objectives(loop.final(meta, carry), episode, own=together)
            goal = tf.add_n(list(values.values()))
        if together:
            gradients = functional.gradient(tape, goal, weights)
        else:
            gradients = {
                net: functional.gradient(tape, values[player], weights[net])
                for player, nets in loop.game.players.items()
                for net in nets
            }
        return Estimate(gradients, [], carry.state, metrics_of(loop, records, values))

    def _through_windows(self, loop: InnerLoop, meta: MetaWeights, episode: Episode, steps: int | Tensor) -> Estimate:
        """Differentiate the sample-to-query distance for a learned meta-learner, window by window."""
        adapting, sources = loop, (meta.initial.weights, meta.meta_learner)
        if self.rescale:
            units = draw_units(meta.initial, loop.mask, self.rescale, episode.seed)
            adapting = InOtherUnits(loop.game, loop.meta_learner, loop.mask, units=units)

        def run(carry: Carry, steps: int | Tensor) -> tuple[Carry, Tensor]:
            return self._advance(adapting, meta, carry, episode, steps, False)

        def measure(carry: Carry) -> Tensor:
            return loop.distance(loop.final(meta, carry), episode)

        def window(carry: Carry | None) -> tuple[Carry, Tensor, Tree]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(functional.flat(sources))
                start = adapting.begin(meta) if carry is None else carry
                end, records, goal = mean_of_last(run, measure, start, self.window or steps, self.last)
            return end, records, functional.gradient(tape, goal, sources)

        windows = int(steps) // self.window if self.window else 1
        carry, records, (gradients, learned) = _in_windows(window, windows)
        values = loop.objectives(loop.final(meta, carry), episode)
        return Estimate(gradients, learned, carry.state, metrics_of(loop, records, values))


@dataclass(frozen=True, eq=False, kw_only=True)
class InOtherUnits(InnerLoop):
    """An inner loop whose meta-learner updates w / c instead of w, with one factor c for each tensor.

    The loss of w is a loss of v = w / c too, with c times the gradient; a move of v moves w by c times as much. A
    meta-learner that does not depend on units would move w as before.

    Attributes:
        units: `{player: [float[]]}`, > 0, as `draw_units` returns them.
    """

    units: ByPlayer

    def _shown(self, params: ByPlayer) -> ByPlayer:
        return {p: [w / c for w, c in zip(ws, self.units[p], strict=True)] for p, ws in params.items()}

    def begin(self, meta: MetaWeights) -> Carry:
        """See `InnerLoop.begin`."""
        carry, begin = super().begin(meta), self.meta_learner.begin
        state = functional.pure(self.meta_learner, begin, meta.meta_learner, self._shown(carry.params))
        return carry._replace(meta_learner_state=state)

    def _update(
        self,
        meta: MetaWeights,
        state: Tree,
        player: str,
        params: ByPlayer,
        gradients: Tensors,
        signals: dict[str, Tensor],
        seed: Tensor,
    ) -> tuple[Tree, Tensors]:
        units = self.units[player]
        scaled = [c * g for g, c in zip(gradients, units, strict=True)]
        state, deltas = super()._update(meta, state, player, self._shown(params), scaled, signals, seed)
        return state, [c * d for d, c in zip(deltas, units, strict=True)]


def draw_units(initial: Snapshot, mask: Mask, size: float, seed: Tensor) -> ByPlayer:
    """Draw a factor for every param, its logarithm uniform in [-size, size].

    Args:
        initial: the nets' values.
        mask: which of them are params.
        size: >= 0.
        seed: int32[2], the task's key.

    Returns:
        `{player: [float[]]}`, in the dtypes of the params.
    """
    params, key = masks.take(mask, initial), functional.fold(seed, UNITS)
    numbers = iter(range(len(functional.flat(params))))

    def draw(param: Tensor) -> Tensor:
        own = functional.fold(key, next(numbers))
        return tf.exp(tf.random.stateless_uniform([], own, -size, size, dtype=param.dtype, alg="philox"))

    return tf.nest.map_structure(draw, params)


def recomputed(function: Callable[..., Tree], *inputs: Tree) -> Tree:
    """Call a pure function, and recompute it in the backward pass instead of keeping its intermediate values.

    `tf.recompute_grad` and `keras.remat` give None around an inner step, which contains tapes.

    Args:
        function: of `inputs`, to a tree of tensors; everything that is to have a gradient must be in `inputs`.
        *inputs: trees of tensors.

    Returns:
        What `function` returns, with the same gradients.
    """
    flat = [tf.convert_to_tensor(t) for t in tf.nest.flatten(inputs)]
    structure: list[Tree] = []

    @tf.custom_gradient
    def run(*values: Tensor) -> Any:
        outputs = function(*tf.nest.pack_sequence_as(inputs, list(values)))
        structure[:] = [outputs]

        def backward(*upstream: Tensor) -> list[Tensor | None]:
            sources = [t for t in values if t.dtype.is_floating]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(sources)
                again = tf.nest.flatten(function(*tf.nest.pack_sequence_as(inputs, list(values))))
            pairs = [(y, g) for y, g in zip(again, upstream, strict=True) if y.dtype.is_floating]
            targets, given = [y for y, _ in pairs], [g for _, g in pairs]
            zero = tf.UnconnectedGradients.ZERO
            found = iter(tape.gradient(targets, sources, output_gradients=given, unconnected_gradients=zero))
            return [next(found) if t.dtype.is_floating else None for t in values]

        return tf.nest.flatten(outputs), backward

    results = run(*flat)
    return tf.nest.pack_sequence_as(structure[0], list(results))


def mean_of_last(
    run: Callable[[Carry, int | Tensor], tuple[Carry, Tensor]],
    measure: Callable[[Carry], Tensor],
    carry: Carry,
    steps: int | Tensor,
    last: int,
) -> tuple[Carry, Tensor, Tensor]:
    """Make inner steps, and take the mean of a measure after each of the last of them.

    A meta-learner that is judged after the very last step may learn to be good there only; judged after several, it
    must stay where it arrives.

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

    def body(i: Tensor, carry: Carry, total: Tensor, kept: tf.TensorArray) -> tuple[Any, ...]:
        carry, losses = run(carry, 1)
        return i + 1, carry, total + measure(carry), kept.write(i, tf.stop_gradient(losses[0]))

    _, carry, total, kept = tf.while_loop(
        lambda i, *_: i < last, body, (tf.constant(0), carry, total, kept), maximum_iterations=last
    )
    return carry, tf.concat([records, kept.stack()], axis=0), total / last


def _in_windows(
    window: Callable[[Carry | None], tuple[Carry, Tensor, Tree]], windows: int
) -> tuple[Carry, Tensor, Tree]:
    """Truncate backpropagation; return the carry, the records of all windows, and the mean of their gradients.

    Args:
        window: `carry or None -> (carry, records, tree of gradients)` of one window; None stands for the start.
        windows: how many, >= 1.
    """
    carry, records, gradients = window(None)
    if windows == 1:
        return carry, records, gradients
    kept = tf.TensorArray(tf.float32, size=windows, element_shape=records.shape).write(0, records)

    def body(i: Tensor, carry: Carry, kept: tf.TensorArray, total: Tree) -> tuple[Any, ...]:
        carry, records, gradients = window(functional.stop(carry))
        return i + 1, carry, kept.write(i, records), tf.nest.map_structure(tf.add, total, gradients)

    _, carry, kept, total = tf.while_loop(
        lambda i, *_: i < windows, body, (tf.constant(1), carry, kept, gradients), maximum_iterations=windows
    )
    records = tf.reshape(kept.stack(), [-1, records.shape[1]])
    return carry, records, tf.nest.map_structure(lambda t: t / windows, total)
