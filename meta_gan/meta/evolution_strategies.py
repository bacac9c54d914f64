"""Evolution strategies: meta-gradients for learned meta-learners without differentiation.

The outcome of a task, a bounded logarithm of the distance, and its random rate factor are shared with the policy
gradient of `meta_gan.controller`.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_bool, check_integer, check_number
from meta_gan.meta.estimators import Estimate, Estimator, metrics_of
from meta_gan.meta.inner_loop import InnerLoop
from meta_gan.meta_learners.base import MetaLearner
from meta_gan.types import Carry, Episode, MetaWeights, Snapshot, Tensor, Tensors

NEAREST, FURTHEST = 1e-3, 1e30
"""Bounds of distances before their logarithm is taken."""
DIVERGED = math.log(10.0)
"""Increase of the log distance since the start, in nats, above which a task counts as diverged."""
# Roles of draws, among those listed in `inner_loop`: of a perturbation, and of a task's rate factor.
PERTURBATION, RATE_FACTOR = 6, 10


@keras.saving.register_keras_serializable("meta_gan")
class EvolutionStrategies(Estimator):
    """Estimate the meta-gradient from distances under antithetic random perturbations of the meta-learner's weights.

    For long or chaotic inner loops, whose derivative explodes though the outcome does not, and for meta-learners that
    have no derivative. Each pair adapts once with the weights moved by `sigma e` and once by `-sigma e`, on the same
    draws, and takes `(d+ - d-) e / (2 sigma)`: an estimate of the gradient of the distance smoothed by a normal of
    deviation sigma.

    With `window`, the inner steps are cut into windows of that many; the distance is the mean of those at the windows'
    ends, each window draws a new perturbation, and its difference is credited to the sum of all so far. That
    has no bias, and less variance where early steps matter little for late ones.

    With `logarithm` the distance is that of the sets as they are (`Game.distance`, biased), at least .001, and the
    objective is its logarithm, capped at ten times the distance at the start: so a task that diverged does not drown
    another whose distance fell by a tenth. With `spread` every task's rates are multiplied by a factor drawn
    log-uniformly over that ratio, so that the meta-learner does not rely on a well-tuned rate.

    A `ScheduleController` takes its most likely actions here too, so a move of its weights has an effect only where it
    changes one: it needs a `calm` near 0 and a large `sigma`, such as .1 and .2. Inner steps cost nothing.

    Only the meta-learner is trained. The nets' initial weights, too many to perturb, have no gradient.

    Args:
        sigma: deviation of the perturbations, > 0.
        pairs: perturbations of a task, >= 1.
        window: inner steps of a window, >= 1; None for all of them. They must divide the inner steps.
        logarithm: whether the objective is the logarithm of the distance.
        spread: >= 1, the ratio of the largest to the smallest factor of a task's rates.

    Raises:
        ValueError: an argument out of range; when used, a meta-learner without weights, or windows that do not fit.

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
        self.sigma = check_number(sigma, "sigma", above=0)
        self.pairs = check_integer(pairs, "pairs", 1)
        self.window = None if window is None else check_integer(window, "window", 1)
        check_bool(logarithm, "logarithm")
        self.logarithm, self.spread = logarithm, check_spread(spread)

    def check(self, meta_learner: MetaLearner, inner_steps: int) -> None:
        super().check(meta_learner, inner_steps)
        if not meta_learner.learned:
            raise ValueError(
                f"EvolutionStrategies needs a learned meta-learner to train. Received: {type(meta_learner).__name__}"
            )
        window = inner_steps if self.window is None else self.window
        if not isinstance(inner_steps, int) or inner_steps < 1 or inner_steps % window:
            raise ValueError(
                f"'window' must divide the inner steps, which are >= 1. Received: {window} of {inner_steps}"
            )

    def task(self, loop: InnerLoop, meta: MetaWeights, episode: Episode, steps: int | Tensor) -> Estimate:
        self.check(loop.meta_learner, steps)
        pairs = tf.range(self.pairs)
        each = functional.map_tasks(lambda pair: self._pair(loop, meta, episode, steps, pair), pairs, 1)
        learned = [tf.reduce_mean(g, axis=0) for g in each]
        carry, records = loop.adapt(meta, episode.support, steps, episode.seed)
        values = loop.objectives(loop.final(meta, carry), episode)
        zeros = tf.nest.map_structure(tf.zeros_like, meta.initial.weights)
        return Estimate(zeros, learned, carry.state, metrics_of(loop, records, values))

    def _pair(self, loop: InnerLoop, meta: MetaWeights, episode: Episode, steps: int, pair: Tensor) -> Tensors:
        """Estimate the gradient from one pair of trajectories."""
        window = self.window or steps
        windows = steps // window
        seed = functional.fold(functional.fold(episode.seed, PERTURBATION), pair)
        scale = 1.0 / (2.0 * self.sigma**2 * windows)

        def body(number: Tensor, carries: list[Carry], total: Tensors, gradient: Tensors) -> Any:
            moves = self._draw(meta.meta_learner, functional.fold(seed, number))
            ended = [
                self._outcome(loop, _moved(meta, moves, sign), carry, episode, window)
                for sign, carry in zip((1.0, -1.0), carries, strict=True)
            ]
            total = [t + m for t, m in zip(total, moves, strict=True)]
            worse = scale * (ended[0][1] - ended[1][1])
            gradient = [g + tf.cast(worse, g.dtype) * t for g, t in zip(gradient, total, strict=True)]
            return number + 1, [carry for carry, _ in ended], total, gradient

        start = loop.begin(meta)
        zeros = [tf.zeros_like(v) for v in meta.meta_learner]
        first = (tf.constant(0), [start, start], zeros, list(zeros))
        *_, gradient = tf.while_loop(lambda number, *_: number < windows, body, first, maximum_iterations=windows)
        return gradient

    def _draw(self, values: Tensors, seed: Tensor) -> Tensors:
        return [
            self.sigma * tf.random.stateless_normal(tf.shape(v), functional.fold(seed, i), dtype=v.dtype, alg="philox")
            for i, v in enumerate(values)
        ]

    def _outcome(
        self, loop: InnerLoop, meta: MetaWeights, carry: Carry, episode: Episode, window: int
    ) -> tuple[Carry, Tensor]:
        """Make one window of steps; return the carry and the distance after it."""
        factor = rate_factor(self.spread, episode.seed)
        carry, _ = loop.advance(meta, carry, episode.support, window, episode.seed, rate_scale=factor)
        snapshot = loop.final(meta, carry)
        if self.logarithm:
            first = first_log_distance(loop, meta.initial, episode)
            return carry, tf.minimum(log_distance(loop, snapshot, episode), first + DIVERGED)
        return carry, loop.distance(snapshot, episode)


def _moved(meta: MetaWeights, moves: Tensors, sign: float) -> MetaWeights:
    return meta._replace(meta_learner=[v + sign * m for v, m in zip(meta.meta_learner, moves, strict=True)])


def log_distance(loop: InnerLoop, snapshot: Snapshot, episode: Episode) -> Tensor:
    """Return the logarithm float32[] of the distance between samples and query set as they are, at least that of .001.

    It is infinite where the distance is not a finite number.
    """
    found = tf.cast(loop.distance(snapshot, episode, biased=True), tf.float32)
    return tf.where(tf.math.is_finite(found), tf.math.log(tf.maximum(found, NEAREST)), math.inf)


def first_log_distance(loop: InnerLoop, snapshot: Snapshot, episode: Episode) -> Tensor:
    """Return `log_distance` before the first step: finite, so that it differs from what becomes infinite later."""
    return tf.minimum(log_distance(loop, snapshot, episode), math.log(FURTHEST))


def check_spread(spread: Any) -> float:
    """Return `spread` as a float, or raise ValueError: it must be finite and >= 1."""
    return check_number(spread, "spread", least=1)


def rate_factor(spread: float, seed: Tensor) -> Tensor | None:
    """Draw a task's factor of all rates, float32[], log-uniform in [1 / sqrt(spread), sqrt(spread)]; None for 1.

    Args:
        spread: >= 1.
        seed: int32[2], the task's key.
    """
    if spread == 1.0:
        return None
    half = 0.5 * math.log(spread)
    return tf.exp(tf.random.stateless_uniform([], functional.fold(seed, RATE_FACTOR), -half, half, alg="philox"))
