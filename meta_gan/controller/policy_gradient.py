"""`PolicyGradient`: a policy gradient estimator that trains a controller from the outcomes of its decisions."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_bool, check_integer, check_number
from meta_gan.controller.policy import drawn
from meta_gan.controller.schedule_controller import PolicySteering, ScheduleController
from meta_gan.functional import HERE, TaskMap
from meta_gan.meta.estimators import Estimate, Estimator, metrics_of
from meta_gan.meta.evolution_strategies import (
    DIVERGED,
    check_spread,
    first_log_distance,
    log_distance,
    rate_factor,
)
from meta_gan.meta.inner_loop import InnerLoop
from meta_gan.meta_learners.base import MetaLearner
from meta_gan.types import Carry, Episode, MetaWeights, Tensor, Tensors

# The role of what the policy draws, one key a rollout, among those listed in `meta.inner_loop`.
ROLLOUT = 11
_LEAST_DEVIATION = 1e-3  # of advantages, in nats, by which they are divided


class Trajectory(NamedTuple):
    """The decisions of a rollout and their outcomes.

    Attributes:
        observations: float32[decisions, width], the policy's inputs.
        actions: int32[decisions, knobs].
        rewards: float32[decisions].
        made: float32[decisions], 1 for decisions that were made and 0 for those after the end.
        diverged: float32[decisions], 1 where the task diverged before the next decision.
        observed: float32[decisions], 1 where the policy decided, and 0 after a stop.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    made: Tensor
    diverged: Tensor
    observed: Tensor


@keras.saving.register_keras_serializable("meta_gan")
class PolicyGradient(Estimator):
    """Train the policy of a `ScheduleController` by proximal policy optimisation against a baseline of the same task.

    Every task is adapted to several times, from the same weights and by the same draws but for the policy's own. The
    reward of a decision is the decrease of the logarithm of the distance from samples to the query set until the next
    decision, less `cost` for every inner step in between; rewards sum to the difference between start and end. A task
    whose distance becomes ten times that at the start, or is not a number, has diverged: it ends, and costs 1 more.
    The advantage of a decision is the sum of the rewards after it, less the mean of the same over the task's other
    rollouts.

    The gradient is the sum over `epochs` of that of the clipped surrogate, each taken after a plain step of size `rate`
    along the ones before it. With one epoch it is REINFORCE with a baseline. With several, SGD(rate) outside is
    proximal policy optimisation as published; Adam is the usual choice.

    Only the policy is trained. The nets' initial weights, random or those of a meta-trained model, have no gradient.

    Args:
        rollouts: adaptations to each task, >= 2.
        epochs: >= 1.
        rate: > 0, the step between epochs.
        clip: in (0, 1), how far the probability ratio may depart from 1 before a decision has no gradient.
        entropy: >= 0, weight of the policy's entropy, which keeps it exploring.
        cost: >= 0, of an inner step, in nats of distance.
        spread: >= 1, the ratio of the largest to the smallest factor of a task's rates, drawn log-uniformly.
        trials: >= 1, attempts at a task in a row: weights and knobs start anew, and the policy's memory is kept, so
            that it may learn to explore first and exploit then (RL^2). `adapt` makes one attempt.
        normalize: whether the advantages of a meta-batch are divided by their deviation.

    Raises:
        ValueError: an argument out of its range; within an `Algorithm`, a meta-learner without a policy, or a number
            of inner steps that is not a multiple of those between decisions.

    Example:
        >>> row = meta_gan.Algorithm("controller", ScheduleController(Adam(2e-3)), PolicyGradient(), inner_steps=60)
        >>> model = meta_gan.MetaModel(meta_gan.load("runs/maml").game, row)    # over meta-learned initial weights

    References: Schulman et al., "Proximal Policy Optimization Algorithms", 2017, equation 7; Duan et al., "RL^2: Fast
        Reinforcement Learning via Slow Reinforcement Learning", 2016. We depart in the baseline, which is the mean of
        rollouts of one task instead of a learned value.
    """

    trains_meta_learner = True
    trains_policies = True
    fixed_steps = True

    def __init__(
        self,
        rollouts: int = 8,
        epochs: int = 4,
        rate: float = 0.03,
        clip: float = 0.2,
        entropy: float = 0.003,
        cost: float = 0.0005,
        spread: float = 1.0,
        trials: int = 1,
        normalize: bool = True,
    ):
        self.rollouts, self.epochs = check_integer(rollouts, "rollouts", 2), check_integer(epochs, "epochs", 1)
        self.trials = check_integer(trials, "trials", 1)
        self.rate = check_number(rate, "rate", above=0)
        self.clip = check_number(clip, "clip", above=0, below=1)
        self.entropy = check_number(entropy, "entropy", least=0)
        self.cost = check_number(cost, "cost", least=0)
        check_bool(normalize, "normalize")
        self.spread, self.normalize = check_spread(spread), normalize

    def check(self, meta_learner: MetaLearner, inner_steps: int) -> None:
        super().check(meta_learner, inner_steps)
        controller = controller_of(meta_learner)
        if not isinstance(inner_steps, int) or inner_steps < 1 or inner_steps % controller.every:
            raise ValueError(
                f"inner steps must be a multiple of those between two decisions. Received: {inner_steps} of "
                f"{controller.every}"
            )

    def estimate(
        self,
        loop: InnerLoop,
        meta: MetaWeights,
        episodes: Episode,
        steps: int | Tensor,
        map_tasks: TaskMap = HERE,
    ) -> Estimate:
        """See `Estimator.estimate`; advantages are normalised over the meta-batch.

        Metrics beside those of `Unrolled` (over the rollouts in which they are finite; a loss counts as 0 in steps
        after a stop): `reward`, the mean sum of rewards, `entropy` in nats a decision, and `diverged`, the share of
        rollouts.
        """
        self.check(loop.meta_learner, steps)
        tasks = int(episodes.seed.shape[0])
        whose = tf.repeat(tf.range(tasks), self.rollouts)
        batch = tf.nest.map_structure(lambda t: tf.gather(t, whose), episodes)
        numbers = tf.tile(tf.range(self.rollouts), [tasks])
        trajectory, metrics = map_tasks(
            lambda pair: self.rollout(loop, meta, pair[0], steps, pair[1]), (batch, numbers)
        )
        advantages = self.advantages(trajectory, tasks)
        gradient, entropy = self._ascent(controller_of(loop.meta_learner), meta.meta_learner, trajectory, advantages)
        zeros = tf.nest.map_structure(tf.zeros_like, meta.initial.weights)
        means = {name: _mean_of_finite(values) for name, values in metrics.items()}
        means.update(reward=tf.reduce_mean(tf.reduce_sum(trajectory.rewards, axis=1)), entropy=entropy)
        return Estimate(zeros, gradient, meta.initial.state, means)

    def rollout(
        self, loop: InnerLoop, meta: MetaWeights, episode: Episode, steps: int, number: Tensor
    ) -> tuple[Trajectory, dict[str, Tensor]]:
        """Adapt to a task (`trials` times in a row) by drawn actions: the decisions, and metrics of the last trial."""
        controller = controller_of(loop.meta_learner)
        key = functional.fold(functional.fold(episode.seed, ROLLOUT), number)
        parts, carry = [], loop.begin(meta)
        for trial in range(self.trials):
            if trial:
                fresh = loop.begin(meta)
                state = controller.remember(fresh.meta_learner_state, carry.meta_learner_state)
                carry = fresh._replace(meta_learner_state=state)
            exploring = dataclasses.replace(loop, steering=_exploring(controller, functional.fold(key, trial)))
            carry, part, records = self._attempt(exploring, controller, meta, carry, episode, steps)
            parts.append(part)
        metrics = metrics_of(loop, records, loop.objectives(loop.final(meta, carry), episode))
        trajectory = Trajectory(*[tf.concat(each, axis=0) for each in zip(*parts, strict=True)])
        metrics["diverged"] = tf.reduce_max(trajectory.diverged)
        return trajectory, metrics

    def _attempt(
        self,
        loop: InnerLoop,
        controller: ScheduleController,
        meta: MetaWeights,
        carry: Carry,
        episode: Episode,
        steps: int,
    ) -> tuple[Carry, Trajectory, Tensor]:
        """Make one trial, decision by decision."""
        every, finished = controller.every, controller.steering.finished
        count, width = steps // every, len(loop.columns)
        factor = rate_factor(self.spread, episode.seed)
        first = first_log_distance(loop, loop.final(meta, carry), episode)
        rows: list[Any] = [(tf.float32, [controller.width]), (tf.int32, [len(controller.knobs)])]
        rows += [(tf.float32, [])] * 4 + [(tf.float32, [every, width])]
        arrays = [tf.TensorArray(kind, size=count, element_shape=shape) for kind, shape in rows]

        def body(i: Tensor, carry: Carry, last: Tensor, going: Tensor, arrays: list[tf.TensorArray]) -> Any:
            observed = 1.0 - tf.cast(finished(carry.meta_learner_state), tf.float32)
            carry, records = loop.advance(meta, carry, episode.support, every, episode.seed, rate_scale=factor)
            now = log_distance(loop, loop.final(meta, carry), episode)
            state, stopped = carry.meta_learner_state, finished(carry.meta_learner_state)
            reward, now, diverged = reward_of(first, last, now, stopped, self.cost * every)
            row = (state["observation"], state["action"], going * reward, going, going * diverged, observed, records)
            arrays = [array.write(i, value) for array, value in zip(arrays, row, strict=True)]
            going = going * (1.0 - tf.cast(stopped, tf.float32)) * (1.0 - diverged)
            return i + 1, carry, now, going, arrays

        start = (tf.constant(0), carry, first, tf.constant(1.0), arrays)
        _, carry, _, _, arrays = tf.while_loop(lambda i, *_: i < count, body, start, maximum_iterations=count)
        *parts, records = [array.stack() for array in arrays]
        return carry, Trajectory(*parts), tf.reshape(records, [steps, width])

    def advantages(self, trajectory: Trajectory, tasks: int) -> Tensor:
        """Return the sum of rewards after each decision, less its mean over the task's other rollouts.

        Args:
            trajectory: of `tasks * rollouts` rollouts, those of a task side by side.
            tasks: the meta-batch.

        Returns:
            float32[tasks * rollouts, decisions].
        """
        left = tf.cumsum(trajectory.rewards, axis=1, reverse=True)
        grouped = tf.reshape(left, [tasks, self.rollouts, left.shape[1]])
        others = (tf.reduce_sum(grouped, axis=1, keepdims=True) - grouped) / (self.rollouts - 1)
        found = tf.reshape(grouped - others, tf.shape(left))
        if not self.normalize:
            return found
        made = tf.reduce_sum(trajectory.made)
        deviation = tf.sqrt(tf.math.divide_no_nan(tf.reduce_sum(trajectory.made * tf.square(found)), made))
        return found / tf.maximum(deviation, _LEAST_DEVIATION)

    def surrogate(
        self, judged: tuple[Tensor, Tensor], before: Tensor, trajectory: Trajectory, advantages: Tensor
    ) -> Tensor:
        """Return the objective to maximise, float32[]: the clipped surrogate per rollout plus the weighted entropy.

        Args:
            judged: log-probabilities and entropies float32[n, decisions], under the present policy.
            before: float32[n, decisions], log-probabilities under the policy that decided.
            trajectory: the decisions.
            advantages: float32[n, decisions].
        """
        ratio = tf.exp(judged[0] - before)
        kept = tf.clip_by_value(ratio, 1.0 - self.clip, 1.0 + self.clip)
        value = tf.minimum(ratio * advantages, kept * advantages) + self.entropy * judged[1]
        return tf.reduce_mean(tf.reduce_sum(trajectory.made * value, axis=1))

    def _ascent(
        self, controller: ScheduleController, values: Tensors, trajectory: Trajectory, advantages: Tensor
    ) -> tuple[Tensors, Tensor]:
        """Return the gradients of all epochs, summed and to descend, and the entropy of a decision before them."""

        def judge(values: Tensors) -> tuple[Tensor, Tensor]:
            decisions = (trajectory.observations, trajectory.actions, trajectory.observed)
            return functional.pure(controller, controller.judge, values, *decisions)

        before, entropies = functional.stop(judge(values))
        start, total = values, [tf.zeros_like(v) for v in values]
        for _ in range(self.epochs):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(values)
                goal = -self.surrogate(judge(values), before, trajectory, advantages)
            total = [t + g for t, g in zip(total, functional.gradient(tape, goal, values), strict=True)]
            values = [v - self.rate * t for v, t in zip(start, total, strict=True)]
        made = tf.reduce_sum(trajectory.made)
        return total, tf.math.divide_no_nan(tf.reduce_sum(trajectory.made * entropies), made)


def controller_of(meta_learner: MetaLearner) -> ScheduleController:
    """Return the meta-learner as a `ScheduleController`, or raise ValueError."""
    if not isinstance(meta_learner, ScheduleController):
        raise ValueError(f"the meta-learner must be a ScheduleController. Received: {type(meta_learner).__name__}")
    return meta_learner


def _exploring(controller: ScheduleController, key: Tensor) -> PolicySteering:
    """Return steering that draws actions at random by their probabilities."""
    return PolicySteering(controller, lambda logits, step: drawn(logits, functional.fold(key, step)))


def reward_of(first: Tensor, last: Tensor, now: Tensor, stopped: Tensor, cost: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the reward of a decision.

    Args:
        first: float32[], the log distance at the start of the task.
        last: float32[], at the decision.
        now: float32[], at the next one.
        stopped: bool[], whether the decision was to stop; then no steps were made.
        cost: of the steps in between.

    Returns:
        `(reward, now, diverged)`, float32[] each: `now` at most `DIVERGED` above `first`, and `diverged` 1 where it
        reached that, which costs 1 more.
    """
    diverged = tf.cast(now >= first + DIVERGED, tf.float32)
    now = tf.minimum(now, first + DIVERGED)
    return last - now - cost * (1.0 - tf.cast(stopped, tf.float32)) - diverged, now, diverged


def _mean_of_finite(values: Tensor) -> Tensor:
    """Return the mean of the finite values, so that one diverged rollout does not hide what the others report."""
    known = tf.math.is_finite(values)
    total = tf.reduce_sum(tf.where(known, values, tf.zeros_like(values)))
    return tf.math.divide_no_nan(total, tf.reduce_sum(tf.cast(known, values.dtype)))
