"""Evolution strategies: a meta-gradient of a learned rule from outcomes alone, of which none is differentiated."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_bool, check_integer, check_number
from meta_gan.games.base import Game
from meta_gan.meta import inner_loop, outcomes
from meta_gan.meta.gradients import Estimate, Estimator, metrics_of
from meta_gan.meta_learners.base import MetaLearner
from meta_gan.types import Episode, Mask, MetaWeights

# The role of a perturbation's draws; see `inner_loop`.
PERTURBATION = 6


@keras.saving.register_keras_serializable("meta_gan")
class EvolutionStrategies(Estimator):
    """Asks how the sample-to-query distance changes when the rule's own weights are moved at random, both ways.

    For long or wild inner loops, whose derivative explodes though its outcome is tame, and for what has none. Each pair
    adapts once with the rule's weights moved by `sigma e` and once by `-sigma e`, on the same draws, and takes
    `(d+ - d-) e / (2 sigma)`: an estimate of the gradient of the distance smoothed by a normal of deviation sigma.

    With `window`, the inner steps are cut into windows of that many; the distance is the mean of those at the windows'
    ends, each window draws a perturbation of its own, and its difference is credited to the sum of all so far. That
    has no bias, and less variance where early steps matter little for late ones.

    With `logarithm` the distance is that of the sets as they are (`Game.distance`, biased), not below .001, and its
    logarithm counts, up to ten times the distance at the start: what diverged then does not drown what is a tenth
    nearer. With `spread` every task's rates are multiplied by a factor that is drawn log-uniformly
    and spans that much, so that the rule does not rely on a rate that suits.

    A `ScheduleController` takes its most likely actions here too, so a move of its weights tells something only where
    it changes one: it needs a `calm` near 0 and a large `sigma`, such as .1 and .2. Inner steps cost nothing.

    Only the rule is trained. The nets' initial weights, too many to perturb, have no gradient and stay as they are.

    Args:
        sigma: deviation of the perturbations, > 0.
        pairs: perturbations of a task, >= 1.
        window: inner steps of a window, >= 1; None for all of them. They must divide the inner steps.
        logarithm: whether the logarithm of the distance is what falls.
        spread: >= 1, the greatest factor of a task's rates over the least.

    Raises:
        ValueError: an argument out of range; when used, a rule without weights, or windows that do not fit.

    References: Salimans et al., "Evolution Strategies as a Scalable Alternative to Reinforcement Learning", 2017;
        Vicol, Metz and Sohl-Dickstein, "Unbiased Gradient Estimation in Unrolled Computation Graphs with Persistent
        Evolution Strategies", 2021. We depart in that a task's windows all belong to one outer step.
    """

    trains_meta_learner = True
    trains_policies = True
    fixed_steps = True

    def __init__(
        self,
        sigma: float = 0.01,
        pairs: int = 4,
        window: int | None = None,
        logarithm: bool = False,
        spread: float = 1.0,
    ):
        self.sigma, self.pairs = check_number(sigma, "sigma", above=0), check_integer(pairs, "pairs", 1)
        self.window = None if window is None else check_integer(window, "window", 1)
        self.logarithm = check_bool(logarithm, "logarithm")
        self.spread = check_number(spread, "spread", least=1)

    def get_config(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("sigma", "pairs", "window", "logarithm", "spread")}

    def check(self, learner: MetaLearner, inner_steps: Any) -> None:
        super().check(learner, inner_steps)
        if not learner.learned:
            raise ValueError(
                f"EvolutionStrategies trains the weights of a learned rule. Received: {type(learner).__name__}"
            )
        window = inner_steps if self.window is None else self.window
        if not isinstance(inner_steps, int) or inner_steps < 1 or inner_steps % window:
            raise ValueError(
                f"'window' must divide the inner steps, which are >= 1. Received: {window} of {inner_steps}"
            )

    def task(
        self, game: Game, learner: MetaLearner, mask: Mask, meta: MetaWeights, episode: Episode, steps: Any
    ) -> Estimate:
        self.check(learner, steps)
        window = steps if self.window is None else self.window
        pieces = (game, learner, mask, meta)
        each = functional.map_tasks(
            lambda pair: self._pair(*pieces, episode, window, steps // window, pair), tf.range(self.pairs), 1
        )
        learned = [tf.reduce_mean(g, axis=0) for g in each]
        carry = inner_loop.begin(*pieces)
        carry, records = inner_loop.advance(*pieces, carry, episode.support, steps, 1, episode.seed)
        values = inner_loop.objectives(game, inner_loop.final(mask, meta, carry), episode)
        still = tf.nest.map_structure(tf.zeros_like, meta.initial.weights)
        return Estimate(still, learned, carry.state, metrics_of(game, mask, records, values))

    def _pair(
        self,
        game: Game,
        learner: MetaLearner,
        mask: Mask,
        meta: MetaWeights,
        episode: Episode,
        window: int,
        windows: int,
        pair: Any,
    ) -> list[Any]:
        """The estimate of one pair of trajectories."""
        seed = functional.fold(functional.fold(episode.seed, PERTURBATION), pair)
        scale = 1.0 / (2.0 * self.sigma**2 * windows)

        def body(number: Any, carries: Any, total: list[Any], gradient: list[Any]) -> Any:
            moves = self._draw(meta.meta_learner, functional.fold(seed, number))
            ended = [
                self._outcome(game, learner, mask, meta, moves, sign, carry, episode, window)
                for sign, carry in zip((1.0, -1.0), carries, strict=True)
            ]
            total = [t + m for t, m in zip(total, moves, strict=True)]
            worse = scale * (ended[0][1] - ended[1][1])
            gradient = [g + tf.cast(worse, g.dtype) * t for g, t in zip(gradient, total, strict=True)]
            return number + 1, [carry for carry, _ in ended], total, gradient

        start = inner_loop.begin(game, learner, mask, meta)
        zeros = [tf.zeros_like(v) for v in meta.meta_learner]
        first = (tf.constant(0), [start, start], zeros, list(zeros))
        *_, gradient = tf.while_loop(lambda number, *_: number < windows, body, first, maximum_iterations=windows)
        return gradient

    def _draw(self, values: list[Any], seed: Any) -> list[Any]:
        return [
            self.sigma * tf.random.stateless_normal(tf.shape(v), functional.fold(seed, i), dtype=v.dtype, alg="philox")
            for i, v in enumerate(values)
        ]

    def _outcome(
        self,
        game: Game,
        learner: MetaLearner,
        mask: Mask,
        meta: MetaWeights,
        moves: list[Any],
        sign: float,
        carry: Any,
        episode: Episode,
        window: int,
    ) -> tuple[Any, Any]:
        """One window with the rule moved: `(carry, distance)`."""
        moved = MetaWeights(meta.initial, [v + sign * m for v, m in zip(meta.meta_learner, moves, strict=True)])
        factor = outcomes.rate_factor(self.spread, episode.seed)
        pieces = (game, learner, mask, moved)
        carry, _ = inner_loop.advance(*pieces, carry, episode.support, window, 1, episode.seed, rate_scale=factor)
        snapshot = inner_loop.final(mask, moved, carry)
        if self.logarithm:
            first = outcomes.first_distance(game, meta.initial, episode)
            return carry, tf.minimum(outcomes.log_distance(game, snapshot, episode), first + outcomes.LOST)
        return carry, inner_loop.distance(game, snapshot, episode)
