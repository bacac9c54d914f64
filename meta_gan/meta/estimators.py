"""The contract of estimators of the meta-gradient, and the two that do not differentiate the inner loop.

An estimator obtains the outer gradient of a batch of adapted tasks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.functional import HERE, TaskMap
from meta_gan.meta.inner_loop import ADAPT, InnerLoop
from meta_gan.meta_learners.base import MetaLearner
from meta_gan.types import ByNet, Episode, MetaWeights, Settings, Snapshot, Tensor, Tensors


class Estimate(NamedTuple):
    """Outer gradients, the nets' new state and metrics: of one task, or the mean over tasks."""

    weights: ByNet
    meta_learner: Tensors
    state: ByNet
    metrics: dict[str, Tensor]


class Estimator:
    """Map a meta-batch to outer gradients; a subclass defines the estimate of one task.

    Attributes:
        trains_meta_learner: whether it gives a gradient to the variables of a learned meta-learner.
        adapts: whether it uses the inner loop at all.
        fixed_steps: whether the number of inner steps must be known when traced.
        least_steps: the fewest inner steps that training may ramp up from.
        trains_policies: whether it trains steering, whose decisions are not differentiable.
    """

    trains_meta_learner = False
    adapts = True
    fixed_steps = False
    least_steps = 1
    trains_policies = False

    def check(self, meta_learner: MetaLearner, inner_steps: int) -> None:
        """Raise ValueError for a meta-learner or a number of inner steps with which something would stay untrained."""
        pair = f"{type(meta_learner).__name__} with {type(self).__name__}"
        if meta_learner.learned and not self.trains_meta_learner:
            raise ValueError(
                f"a learned meta-learner needs an estimator that trains it, such as Unrolled. Received: {pair}"
            )
        if meta_learner.steering is not None and not self.trains_policies:
            raise ValueError(
                f"a meta-learner that steers needs an estimator that trains policies, PolicyGradient or "
                f"EvolutionStrategies. Received: {pair}"
            )

    def task(self, loop: InnerLoop, meta: MetaWeights, episode: Episode, steps: int | Tensor) -> Estimate:
        """Return the estimate of one task."""
        raise NotImplementedError

    def estimate(
        self,
        loop: InnerLoop,
        meta: MetaWeights,
        episodes: Episode,
        steps: int | Tensor,
        map_tasks: TaskMap = HERE,
    ) -> Estimate:
        """Return the mean estimate over a meta-batch, tasks side by side.

        Args:
            loop: the inner loop.
            meta: the values that every task starts from.
            episodes: an `Episode` with a static leading `tasks` axis.
            steps: int or int32[], inner steps.
            map_tasks: what maps over the tasks, here or shared out over several replicas; see `Replicas`.

        Returns:
            `Estimate`: gradients shaped like `meta`, to *descend*.
        """

        def moved(episode: Episode) -> Estimate:
            found = self.task(loop, meta, episode, steps)
            return found._replace(state=tf.nest.map_structure(_change, meta.initial.state, found.state))

        mean = map_tasks.mean(moved, episodes)
        return mean._replace(state=tf.nest.map_structure(_changed, meta.initial.state, mean.state))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, which are attributes of the same names."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Estimator:
        """Make the estimator that `get_config` described."""
        return cls(**config)


def _change(initial: Tensor, value: Tensor) -> Tensor:
    """Return by how much a task changed a state; of one that is no floating-point number, such as a counter, its value.

    The mean of what no task changed, such as frozen weights, is then exactly zero. That of the values themselves would
    be off by a rounding, and drift step by step.
    """
    return value - initial if value.dtype.is_floating else value


def _changed(initial: Tensor, change: Tensor) -> Tensor:
    return initial + change if change.dtype.is_floating else change


@keras.saving.register_keras_serializable("meta_gan")
class Displacement(Estimator):
    """Reptile: the outer gradient points from the adapted weights to the initial ones.

    Only adapted weights have a displacement; weights outside the mask, such as a task encoder that the inner loop does
    not adapt, take the direct gradient of the query objectives at the end point instead. The paper's outer step is a
    plain interpolation; here the displacement is handed to any Keras optimizer, as FIGR does with Adam.

    Reference: Nichol, Achiam and Schulman, "On First-Order Meta-Learning Algorithms", 2018, algorithm 2.
    """

    def task(self, loop: InnerLoop, meta: MetaWeights, episode: Episode, steps: int | Tensor) -> Estimate:
        carry, records = loop.adapt(meta, episode.support, steps, episode.seed)
        places = [place for chosen in loop.mask.values() for place in chosen]
        if len(places) < len(functional.flat(meta.initial.weights)):
            gradients, values = end_gradients(loop.final(meta, carry), lambda end: loop.objectives(end, episode))
        else:
            values = loop.objectives(loop.final(meta, carry), episode)
            gradients = {net: list(tensors) for net, tensors in meta.initial.weights.items()}
        params = [param for player in loop.mask for param in carry.params[player]]
        for (net, i), adapted in zip(places, params, strict=True):
            gradients[net][i] = meta.initial.weights[net][i] - adapted
        return Estimate(gradients, [], carry.state, metrics_of(loop, records, values))


@keras.saving.register_keras_serializable("meta_gan")
class JointTraining(Estimator):
    """Joint training with no meta-learning: every player's loss at the initial weights, on support and query together.

    The baseline that meta-learning must beat: the same nets and data, then plain fine-tuning at test time. All players
    step at once, so a game's repeats of a turn have no effect.
    """

    adapts = False

    def task(self, loop: InnerLoop, meta: MetaWeights, episode: Episode, steps: int | Tensor) -> Estimate:
        game, state, values = loop.game, meta.initial.state, {}
        batch = tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), episode.support, episode.query)
        seed = functional.fold(episode.seed, ADAPT)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(functional.flat(meta.initial.weights))
            for number, player in enumerate(game.players):
                snapshot = game.own(player, Snapshot(meta.initial.weights, state))
                conditioning = game.condition(snapshot, episode.support)
                key = functional.fold(seed, number)
                values[player], state, _ = game.loss(player, snapshot, batch, conditioning, Settings(), key)
            goal = tf.add_n(list(values.values()))
        gradients = functional.gradient(tape, goal, meta.initial.weights)
        metrics = {f"loss/{player}": tf.cast(value, tf.float32) for player, value in values.items()}
        return Estimate(gradients, [], state, metrics)


def end_gradients(
    end: Snapshot, objectives: Callable[[Snapshot], dict[str, Tensor]]
) -> tuple[ByNet, dict[str, Tensor]]:
    """Differentiate the query objectives at the end point, each with respect to the nets of its player.

    To first order the Jacobian of the end point with respect to the start is the identity, so this is the whole
    first-order meta-gradient of a meta-learner that is not learned, without a backward pass through the loop.

    Args:
        end: the adapted values of all nets.
        objectives: from a snapshot to `{player: float[]}`, differentiable only for the player's own nets.

    Returns:
        `({net: gradients}, {player: objective})`.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(functional.flat(end.weights))
        values = objectives(end)
        goal = tf.add_n(list(values.values()))
    return functional.gradient(tape, goal, end.weights), values


def metrics_of(loop: InnerLoop, records: Tensor, values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return `loss/PLAYER`, the mean over the inner steps, and `query/PLAYER`, the objective after them."""
    metrics = {f"query/{player}": tf.cast(value, tf.float32) for player, value in values.items()}
    for player in dict.fromkeys(loop.columns):
        losses = tf.gather(records, [i for i, name in enumerate(loop.columns) if name == player], axis=1)
        metrics[f"loss/{player}"] = tf.math.divide_no_nan(tf.reduce_sum(losses), tf.cast(tf.size(losses), tf.float32))
    return metrics
