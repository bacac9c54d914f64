"""The meta-gradient by differentiating the inner loop, through all of it or at its end."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_choice, check_integer, check_number
from meta_gan.games.base import Game
from meta_gan.meta import checkpointing, horizon, inner_loop
from meta_gan.meta.gradients import Estimate, Estimator, adapt, end_gradients, metrics_of
from meta_gan.meta.rescaled import Rescaled, draw_scales
from meta_gan.meta_learners.base import MetaLearner
from meta_gan.types import Carry, Episode, Mask, MetaWeights


@keras.saving.register_keras_serializable("meta_gan")
class Unrolled(Estimator):
    """Differentiates the query objectives through the inner loop (order 2), or only at its end point (order 1).

    With `partial`, every player's inner gradient and outer objective hold the other players fixed; the cross terms
    "how would the opponent have adapted, had I started elsewhere" are left out, as in a GAN's own gradient. Without
    it the derivative is total, and costs one backward pass a player.

    A learned rule is trained on the game's `distance` by total derivatives, because under partial ones its
    discriminator half would get zero; and so it does at order 1, where a player that reaches the distance only through
    another's later moves is not trained. `last`, `window` and `rescale` are for learned rules.

    Args:
        order: 1 (FOMAML) or 2 (MAML).
        partial: partial (True) or total derivatives between the players.
        checkpoint: inner steps between checkpoints, >= 1: the backward pass computes those steps again in place of
            keeping all that they made. 0 keeps everything. Needs order 2 and a number of inner steps known when
            traced.
        last: after how many of the last inner steps (of a window) the distance is measured, >= 1; the mean counts.
        window: inner steps, >= 1, beyond which no gradient passes: the inner steps are cut into windows of that many,
            each goes on where the one before it ended, and the outer gradient is the mean of theirs. They must divide
            the inner steps. None for one window of all.
        rescale: greatest size >= 0 of log factors, one drawn for each tensor and task, by which the weights that the
            rule is shown are divided and its moves multiplied: the same game in other units, so that the rule does
            not learn the sizes of the networks it is trained on.

    Raises:
        ValueError: an argument out of its range, a checkpoint without order 2, or with an `Algorithm`, what needs a
            learned rule without one, or inner steps that do not fit.

    References: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning", 2017; Lv, Jiang and Li, "Learning gradient
        descent: better generalization and longer horizons", 2017, for the rescaling, there of every parameter.
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
        check_choice(order, "order", (1, 2))
        self.checkpoint = check_integer(checkpoint, "checkpoint", 0)
        if checkpoint and order == 1:
            raise ValueError(f"'checkpoint' must be 0 at order 1, which keeps no steps. Received: {checkpoint!r}")
        self.order, self.partial = int(order), bool(partial)
        self.last = check_integer(last, "last", 1)
        self.window = None if window is None else check_integer(window, "window", self.last)
        self.rescale = check_number(rescale, "rescale", least=0)
        self.fixed_steps, self.least_steps = bool(self.checkpoint or self.window), self.last

    def get_config(self) -> dict[str, Any]:
        names = ("order", "partial", "checkpoint", "last", "window", "rescale")
        return {name: getattr(self, name) for name in names}

    def check(self, learner: MetaLearner, inner_steps: Any) -> None:
        super().check(learner, inner_steps)
        given = {"last": self.last, "window": self.window, "rescale": self.rescale}
        if not learner.learned and (self.last > 1 or self.window or self.rescale):
            raise ValueError(
                f"'last', 'window' and 'rescale' are for learned rules. Received: {type(learner).__name__} with {given}"
            )
        if self.last > max(inner_steps, 1) or (self.window and (not inner_steps or inner_steps % self.window)):
            raise ValueError(
                f"'window' must divide the inner steps, and 'last' be at most as many. Received: {given} with "
                f"{inner_steps} inner steps"
            )

    def task(
        self, game: Game, learner: MetaLearner, mask: Mask, meta: MetaWeights, episode: Episode, steps: Any
    ) -> Estimate:
        if learner.learned:
            return self._of_rule(game, learner, mask, meta, episode, steps)
        if self.order == 1:
            carry, records = adapt(game, learner, mask, meta, episode, steps)
            gradients, values = end_gradients(game, mask, meta, carry, episode)
            return Estimate(gradients, [], carry.state, metrics_of(game, mask, records, values))
        together = self.partial and not learner.coupled
        return self._of_objectives(game, learner, mask, meta, episode, steps, together)

    def _advance(
        self,
        game: Game,
        learner: MetaLearner,
        mask: Mask,
        meta: MetaWeights,
        carry: Carry,
        episode: Episode,
        steps: Any,
        partial: bool,
    ) -> tuple[Carry, Any]:
        task = (game, learner, mask, meta, carry, episode.support, steps, self.order, episode.seed, partial)
        if self.checkpoint:
            return checkpointing.advance(*task, self.checkpoint)
        return inner_loop.advance(*task)

    def _of_objectives(
        self,
        game: Game,
        learner: MetaLearner,
        mask: Mask,
        meta: MetaWeights,
        episode: Episode,
        steps: Any,
        together: bool,
    ) -> Estimate:
        """For a rule that is not learned: every player's objective, `together` in one backward pass."""
        with tf.GradientTape(persistent=not together, watch_accessed_variables=False) as tape:
            tape.watch(functional.flat(meta.initial.weights))
            carry = inner_loop.begin(game, learner, mask, meta)
            carry, records = self._advance(game, learner, mask, meta, carry, episode, steps, self.partial)
            snapshot = inner_loop.final(mask, meta, carry)
            values = inner_loop.objectives(game, snapshot, episode, own=together)
            goal = tf.add_n(list(values.values()))
        if together:
            gradients = functional.gradient(tape, goal, meta.initial.weights)
        else:
            gradients = {
                net: functional.gradient(tape, values[player], meta.initial.weights[net])
                for player, nets in game.players.items()
                for net in nets
            }
        return Estimate(gradients, [], carry.state, metrics_of(game, mask, records, values))

    def _of_rule(
        self, game: Game, learner: MetaLearner, mask: Mask, meta: MetaWeights, episode: Episode, steps: Any
    ) -> Estimate:
        """For a learned rule: the sample-to-query distance, window by window."""
        rule: Any = learner
        if self.rescale:
            rule = Rescaled(learner, draw_scales(meta.initial, mask, self.rescale, episode.seed))
        pieces = (game, rule, mask, meta)
        sources = (meta.initial.weights, meta.meta_learner)

        def measure(carry: Carry) -> Any:
            return inner_loop.distance(game, inner_loop.final(mask, meta, carry), episode)

        def run(carry: Carry, steps: Any) -> tuple[Carry, Any]:
            return self._advance(*pieces, carry, episode, steps, False)

        def piece(carry: Carry | None) -> tuple[Carry, Any, Any]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(functional.flat(sources))
                start = inner_loop.begin(*pieces) if carry is None else carry
                end, records, goal = horizon.mean_of_last(run, measure, start, self.window or steps, self.last)
            return end, records, functional.gradient(tape, goal, sources)

        windows = steps // self.window if self.window else 1
        carry, records, (gradients, learned) = horizon.in_windows(piece, windows)
        values = inner_loop.objectives(game, inner_loop.final(mask, meta, carry), episode)
        return Estimate(gradients, learned, carry.state, metrics_of(game, mask, records, values))
