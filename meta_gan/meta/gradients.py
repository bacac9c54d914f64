"""Estimators of the meta-gradient: how the outer gradient of a batch of adapted tasks is obtained."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.games.base import Game
from meta_gan.meta import inner_loop
from meta_gan.meta_learners.base import MetaLearner
from meta_gan.types import ByNet, Episode, Mask, MetaWeights, Settings, Snapshot


class Estimate(NamedTuple):
    """A mean over tasks: outer gradients, the nets' new state, and metrics."""

    weights: ByNet
    meta_learner: list[Any]
    state: ByNet
    metrics: dict[str, Any]


class Estimator:
    """Maps a meta-batch to outer gradients; every kind says only how one task is done.

    Attributes:
        trains_meta_learner: whether it gives a gradient to the variables of a learned rule.
        adapts: whether it uses the inner loop at all.
        fixed_steps: whether the number of inner steps must be known when traced.
        least_steps: the fewest inner steps that training may ramp up from.
        trains_policies: whether it trains a rule that decides between options, of which nothing is differentiable.
    """

    trains_meta_learner = False
    adapts = True
    fixed_steps = False
    least_steps = 1
    trains_policies = False

    def check(self, learner: MetaLearner, inner_steps: Any) -> None:
        """Raises ValueError for a rule, or a number of inner steps, with which something would stay untrained."""
        if learner.learned and not self.trains_meta_learner:
            raise ValueError(
                f"a learned rule needs an estimator that trains it, such as Unrolled. "
                f"Received: {type(learner).__name__} with {type(self).__name__}"
            )
        if learner.steers and not self.trains_policies:
            raise ValueError(
                f"a rule that steers needs an estimator that trains policies, PolicyGradient or EvolutionStrategies. "
                f"Received: {type(learner).__name__} with {type(self).__name__}"
            )

    def task(
        self, game: Game, learner: MetaLearner, mask: Mask, meta: MetaWeights, episode: Episode, steps: Any
    ) -> Estimate:
        """The estimate of one task."""
        raise NotImplementedError

    def estimate(
        self, game: Game, learner: MetaLearner, mask: Mask, meta: MetaWeights, episodes: Episode, steps: Any
    ) -> Estimate:
        """The mean estimate over a meta-batch, tasks side by side.

        Args:
            game: the game.
            learner: the rule inside a task.
            mask: what it moves.
            meta: the values that every task starts from.
            episodes: an `Episode` with a static leading `tasks` axis.
            steps: int or int32[], inner steps.

        Returns:
            `Estimate`: gradients shaped like `meta`, to *descend*.
        """
        each = functional.map_tasks(lambda episode: self.task(game, learner, mask, meta, episode, steps), episodes)
        # Non-float state (a counter) is the same for every task and has no mean.
        mean = tf.nest.map_structure(lambda t: tf.reduce_mean(t, axis=0) if t.dtype.is_floating else t[0], each)
        # Nor has what no task changed, such as frozen weights: a mean of equal numbers is off by a rounding, and would
        # drift step by step.
        kept = tf.nest.map_structure(_kept, meta.initial.state, each.state, mean.state)
        return mean._replace(state=kept)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Estimator:
        """Makes the estimator that `get_config` described."""
        return cls(**config)


def _kept(initial: Any, each: Any, mean: Any) -> Any:
    """The initial value where it is that of every task, the mean elsewhere; number by number."""
    return tf.where(tf.reduce_all(tf.equal(each, initial[None]), axis=0), initial, mean)


@keras.saving.register_keras_serializable("meta_gan")
class Displacement(Estimator):
    """Reptile: the outer gradient is the way back from the adapted weights to the initial ones.

    Only adapted weights have a displacement; weights outside `mask`, such as an encoder that the inner loop leaves
    alone, take the direct gradient of the query objectives at the end point instead. The paper's outer step is a
    plain interpolation; here the displacement is handed to any Keras optimizer, as FIGR does with Adam.

    Reference: Nichol, Achiam and Schulman, "On First-Order Meta-Learning Algorithms", 2018, algorithm 2.
    """

    def task(
        self, game: Game, learner: MetaLearner, mask: Mask, meta: MetaWeights, episode: Episode, steps: Any
    ) -> Estimate:
        carry, records = adapt(game, learner, mask, meta, episode, steps)
        places = [place for chosen in mask.values() for place in chosen]
        if len(places) < len(functional.flat(meta.initial.weights)):
            gradients, values = end_gradients(game, mask, meta, carry, episode)
        else:
            values = inner_loop.objectives(game, inner_loop.final(mask, meta, carry), episode)
            gradients = {net: list(tensors) for net, tensors in meta.initial.weights.items()}
        params = [param for player in mask for param in carry.params[player]]
        for (net, i), adapted in zip(places, params, strict=True):
            gradients[net][i] = meta.initial.weights[net][i] - adapted
        return Estimate(gradients, [], carry.state, metrics_of(game, mask, records, values))


@keras.saving.register_keras_serializable("meta_gan")
class JointTraining(Estimator):
    """Joint training with no meta-learning: every player's loss at the initial weights, on support and query together.

    The baseline that meta-learning must beat: the same nets and data, then plain fine-tuning at test time. Players
    step at once, so a game's repeats of a turn play no part.
    """

    adapts = False

    def task(
        self, game: Game, learner: MetaLearner, mask: Mask, meta: MetaWeights, episode: Episode, steps: Any
    ) -> Estimate:
        batch = tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), episode.support, episode.query)
        seed = functional.fold(episode.seed, inner_loop.ADAPT)
        state, values = meta.initial.state, {}
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(functional.flat(meta.initial.weights))
            for number, player in enumerate(game.players):
                snapshot = game.own(player, Snapshot(meta.initial.weights, state))
                conditioning = game.condition(snapshot, episode.support)
                values[player], state, _ = game.loss(
                    player, snapshot, batch, conditioning, Settings(), functional.fold(seed, number)
                )
            goal = tf.add_n(list(values.values()))
        gradients = functional.gradient(tape, goal, meta.initial.weights)
        metrics = {f"loss/{player}": tf.cast(value, tf.float32) for player, value in values.items()}
        return Estimate(gradients, [], state, metrics)


def adapt(
    game: Game, learner: MetaLearner, mask: Mask, meta: MetaWeights, episode: Episode, steps: Any
) -> tuple[Any, Any]:
    """Makes inner steps that are not differentiated: `(carry, records)`."""
    carry = inner_loop.begin(game, learner, mask, meta)
    return inner_loop.advance(game, learner, mask, meta, carry, episode.support, steps, 1, episode.seed)


def end_gradients(
    game: Game, mask: Mask, meta: MetaWeights, carry: Any, episode: Episode
) -> tuple[ByNet, dict[str, Any]]:
    """The query gradient at the end point, for every net that of its owner.

    To first order the Jacobian of the end point for the start is the identity, so this is the whole first-order
    meta-gradient of a rule that is not learned, without a backward pass through the loop.
    """
    end = inner_loop.final(mask, meta, carry)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(functional.flat(end.weights))
        values = inner_loop.objectives(game, end, episode)
        goal = tf.add_n(list(values.values()))
    return functional.gradient(tape, goal, end.weights), values


def metrics_of(game: Game, mask: Mask, records: Any, values: dict[str, Any]) -> dict[str, Any]:
    """`loss/PLAYER`: mean over the inner steps; `query/PLAYER`: the objective after them."""
    metrics = {f"query/{player}": tf.cast(value, tf.float32) for player, value in values.items()}
    moves = inner_loop.columns(game, mask)
    for player in dict.fromkeys(moves):
        taken = [i for i, name in enumerate(moves) if name == player]
        losses = tf.gather(records, taken, axis=1)
        metrics[f"loss/{player}"] = tf.math.divide_no_nan(tf.reduce_sum(losses), tf.cast(tf.size(losses), tf.float32))
    return metrics
