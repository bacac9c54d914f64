"""The policy gradient: what of its own decisions a controller should make more often, from how tasks turned out."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_bool, check_integer, check_number
from meta_gan.games.base import Game
from meta_gan.meta import inner_loop, outcomes
from meta_gan.meta.gradients import Estimate, Estimator, metrics_of
from meta_gan.meta.rescaled import Wrapped
from meta_gan.meta_learners.base import MetaLearner
from meta_gan.types import Carry, Episode, Mask, MetaWeights

# The role of what the policy draws, one key a rollout; see `inner_loop`.
ROLLOUT = 11
_LEAST_DEVIATION = 1e-3  # of advantages, in nats, that they are divided by


class Trajectory(NamedTuple):
    """The decisions of a rollout, and what came of them.

    Attributes:
        seen: float32[decisions, width], what the policy saw.
        chosen: int32[decisions, knobs].
        rewards: float32[decisions].
        made: float32[decisions], 1 for decisions that were made and 0 for those after the end.
        lost: float32[decisions], 1 where the task diverged before the next decision.
        observed: float32[decisions], 1 where the policy decided, and 0 after a stop.
    """

    seen: Any
    chosen: Any
    rewards: Any
    made: Any
    lost: Any
    observed: Any


class _Exploring(Wrapped):
    """A controller that draws its actions, by a key of its own."""

    def __init__(self, learner: MetaLearner, key: Any):
        super().__init__(learner)
        self._key = key

    def observe(self, state: Any, step: Any, signals: Any, distance: Any, seed: Any) -> Any:
        return self.learner.explore(state, step, signals, distance, functional.fold(self._key, step))  # type: ignore[operator]


@keras.saving.register_keras_serializable("meta_gan")
class PolicyGradient(Estimator):
    """Trains the policy of a `ScheduleController` by proximal policy optimisation against a baseline of the same task.

    Every task is adapted to several times, from the same weights and by the same draws but for the policy's own. The
    reward of a decision is by how much the logarithm of the distance from samples to the query set fell until the next
    one, less `cost` for every inner step in between; their sum tells the end from the start. A task that ends up ten
    times as far as it began, or at no number, has diverged: it goes no further, and costs 1 more. What is left to be
    earned after a decision, less what the task's other rollouts earned on average
    after theirs, is its advantage.

    The gradient is the sum over `epochs` of that of the clipped surrogate, each taken after a plain step of size `rate`
    along the one before it. With one epoch it is REINFORCE with a baseline. With several, SGD(rate) outside is
    proximal policy optimisation as published; Adam is the usual choice.

    Only the policy is trained. The nets' initial weights, random or those of a model that was meta-trained before, stay
    as they are.

    Args:
        rollouts: adaptations to each task, >= 2.
        epochs: >= 1.
        rate: > 0, the step between epochs.
        clip: in (0, 1), how far the probability ratio may go before a decision counts no more.
        entropy: >= 0, weight of the policy's entropy, which keeps it drawing.
        cost: >= 0, of an inner step, in nats of distance.
        spread: >= 1, the greatest factor of a task's rates over the least, drawn log-uniformly for every task.
        trials: >= 1, attempts at a task in a row: weights and knobs start anew, and the policy's memory goes on, so
            that it may learn to try out first what it uses then (RL^2). `adapt` makes one attempt.
        normalize: whether the advantages of a meta-batch are divided by their deviation.

    Raises:
        ValueError: an argument out of its range; with an `Algorithm`, a rule without a policy, or inner steps that its
            decisions do not divide.

    Example:
        >>> row = meta_gan.Algorithm("controller", ScheduleController(Adam(2e-3)), PolicyGradient(), inner_steps=60)
        >>> model = meta_gan.MetaModel(meta_gan.load("runs/maml").game, row)    # over meta-learned initial weights

    References: Schulman et al., "Proximal Policy Optimization Algorithms", 2017, equation 7; Duan et al., "RL^2: Fast
        Reinforcement Learning via Slow Reinforcement Learning", 2016. We depart in the baseline, which is the mean of
        rollouts of one task in place of a learned value.
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
        self.entropy, self.cost = check_number(entropy, "entropy", least=0), check_number(cost, "cost", least=0)
        self.spread, self.normalize = check_number(spread, "spread", least=1), check_bool(normalize, "normalize")

    def get_config(self) -> dict[str, Any]:
        names = ("rollouts", "epochs", "rate", "clip", "entropy", "cost", "spread", "trials", "normalize")
        return {name: getattr(self, name) for name in names}

    def check(self, learner: MetaLearner, inner_steps: Any) -> None:
        super().check(learner, inner_steps)
        if not learner.stochastic or not learner.steers:
            raise ValueError(
                f"PolicyGradient trains a rule with a policy, such as ScheduleController. Received: "
                f"{type(learner).__name__}"
            )
        if not isinstance(inner_steps, int) or inner_steps < 1 or inner_steps % learner.every:
            raise ValueError(
                f"inner steps must be a multiple of those between two decisions. Received: {inner_steps} of "
                f"{learner.every}"
            )

    def estimate(
        self, game: Game, learner: MetaLearner, mask: Mask, meta: MetaWeights, episodes: Episode, steps: Any
    ) -> Estimate:
        """See `Estimator.estimate`; advantages are of one size over the meta-batch. Metrics beside those of `Unrolled`
        (over the rollouts in which they are finite; a loss counts as 0 in steps after a stop): `reward`, what the
        rollouts earned on average, `entropy` in nats a decision, and `diverged`, their share."""
        self.check(learner, steps)
        tasks = int(episodes.seed.shape[0])
        whose = tf.repeat(tf.range(tasks), self.rollouts)
        batch = tf.nest.map_structure(lambda t: tf.gather(t, whose), episodes)
        numbers = tf.tile(tf.range(self.rollouts), [tasks])

        def one(pair: Any) -> Any:
            return self.rollout(game, learner, mask, meta, pair[0], steps, pair[1])

        trajectory, metrics = functional.map_tasks(one, (batch, numbers))
        advantages = self.advantages(trajectory, tasks)
        gradient, entropy = self._ascent(learner, meta.meta_learner, trajectory, advantages)
        still = tf.nest.map_structure(tf.zeros_like, meta.initial.weights)
        earned = tf.reduce_sum(trajectory.rewards, axis=1)
        means = {name: _mean_of_finite(values) for name, values in metrics.items()}
        means.update(reward=tf.reduce_mean(earned), entropy=entropy)
        return Estimate(still, gradient, meta.initial.state, means)

    def rollout(
        self,
        game: Game,
        learner: MetaLearner,
        mask: Mask,
        meta: MetaWeights,
        episode: Episode,
        steps: int,
        number: Any,
    ) -> tuple[Trajectory, dict[str, Any]]:
        """One adaptation to a task (`trials` of them in a row) by drawn actions: decisions, and metrics of the last."""
        key = functional.fold(functional.fold(episode.seed, ROLLOUT), number)
        parts, last, records, carry = [], None, None, None
        for trial in range(self.trials):
            exploring: Any = _Exploring(learner, functional.fold(key, trial))
            carry = inner_loop.begin(game, exploring, mask, meta)
            if last is not None:
                carry = carry._replace(learner_state=exploring.remember(carry.learner_state, last))
            carry, part, records = self._attempt(game, exploring, mask, meta, carry, episode, steps)
            parts.append(part)
            last = carry.learner_state
        values = inner_loop.objectives(game, inner_loop.final(mask, meta, carry), episode)  # type: ignore[arg-type]
        metrics = metrics_of(game, mask, records, values)
        trajectory = Trajectory(*[tf.concat(each, axis=0) for each in zip(*parts, strict=True)])
        metrics["diverged"] = tf.reduce_max(trajectory.lost)
        return trajectory, metrics

    def _attempt(
        self, game: Game, learner: Any, mask: Mask, meta: MetaWeights, carry: Carry, episode: Episode, steps: int
    ) -> tuple[Carry, Trajectory, Any]:
        """One trial, decision by decision."""
        count, every = steps // learner.every, learner.every
        factor = outcomes.rate_factor(self.spread, episode.seed)
        first = outcomes.first_distance(game, inner_loop.final(mask, meta, carry), episode)
        width = len(inner_loop.columns(game, mask))
        rows: list[Any] = [(tf.float32, [learner.width]), (tf.int32, [len(learner.knobs)])]
        rows += [(tf.float32, [])] * 4 + [(tf.float32, [every, width])]
        arrays = [tf.TensorArray(kind, size=count, element_shape=shape) for kind, shape in rows]

        def body(i: Any, carry: Carry, last: Any, going: Any, arrays: list[Any]) -> Any:
            observed = 1.0 - tf.cast(learner.finished(carry.learner_state), tf.float32)
            carry, records = inner_loop.advance(
                game, learner, mask, meta, carry, episode.support, every, 1, episode.seed, rate_scale=factor
            )
            now = outcomes.log_distance(game, inner_loop.final(mask, meta, carry), episode)
            state, stopped = carry.learner_state, learner.finished(carry.learner_state)
            reward, now, lost = outcomes.reward(first, last, now, stopped, self.cost * every)
            row = (state["seen"], state["chosen"], going * reward, going, going * lost, observed, records)
            arrays = [array.write(i, value) for array, value in zip(arrays, row, strict=True)]
            going = going * (1.0 - tf.cast(stopped, tf.float32)) * (1.0 - lost)
            return i + 1, carry, now, going, arrays

        start = (tf.constant(0), carry, first, tf.constant(1.0), arrays)
        _, carry, _, _, arrays = tf.while_loop(lambda i, *_: i < count, body, start, maximum_iterations=count)
        *parts, records = [array.stack() for array in arrays]
        return carry, Trajectory(*parts), tf.reshape(records, [steps, width])

    def advantages(self, trajectory: Trajectory, tasks: int) -> Any:
        """What is left to be earned after each decision, less the mean over the task's other rollouts.

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

    def surrogate(self, judged: tuple[Any, Any], before: Any, trajectory: Trajectory, advantages: Any) -> Any:
        """What is to rise, float32[]: the clipped surrogate a rollout, and the weighed entropy.

        Args:
            judged: log-probabilities and entropies float32[n, decisions], as the policy is now.
            before: float32[n, decisions], log-probabilities as it was when it decided.
            trajectory: the decisions.
            advantages: float32[n, decisions].
        """
        ratio = tf.exp(judged[0] - before)
        kept = tf.clip_by_value(ratio, 1.0 - self.clip, 1.0 + self.clip)
        worth = tf.minimum(ratio * advantages, kept * advantages) + self.entropy * judged[1]
        return tf.reduce_mean(tf.reduce_sum(trajectory.made * worth, axis=1))

    def _ascent(self, learner: Any, values: list[Any], trajectory: Trajectory, advantages: Any) -> tuple[Any, Any]:
        """The gradients of all epochs, summed and to descend, and the entropy of a decision before them."""

        def judge(values: list[Any]) -> Any:
            told = (trajectory.seen, trajectory.chosen, trajectory.observed)
            return functional.pure(learner, "judge", values, *told)

        before, spread = functional.stop(judge(values))
        start, total = values, [tf.zeros_like(v) for v in values]
        for _ in range(self.epochs):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(values)
                goal = -self.surrogate(judge(values), before, trajectory, advantages)
            total = [t + g for t, g in zip(total, functional.gradient(tape, goal, values), strict=True)]
            values = [v - self.rate * t for v, t in zip(start, total, strict=True)]
        made = tf.reduce_sum(trajectory.made)
        return total, tf.math.divide_no_nan(tf.reduce_sum(trajectory.made * spread), made)


def _mean_of_finite(values: Any) -> Any:
    """One rollout that went wild must not hide what the others report."""
    known = tf.math.is_finite(values)
    total = tf.reduce_sum(tf.where(known, values, tf.zeros_like(values)))
    return tf.math.divide_no_nan(total, tf.reduce_sum(tf.cast(known, values.dtype)))
