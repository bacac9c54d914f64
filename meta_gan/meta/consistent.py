"""Consistency across tasks: a penalty on differences between adapted players on one shared probe.

The penalty keeps the adapted players of different tasks close to what all tasks have in common. With
o_t the outputs of task t's adapted player on the probe and m their mean over T tasks, R = (1/T) sum_t mean((o_t - m)^2)
is added to the player's objective. The mean is held fixed, so that every task can be differentiated on its own: that
is exact, because the derivative by m is -2 (1/T) sum_t (o_t - m) = 0, the deviations from a mean summing to 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_number
from meta_gan.functional import HERE, TaskMap
from meta_gan.meta.estimators import Displacement, Estimate, Estimator
from meta_gan.meta.inner_loop import InnerLoop
from meta_gan.meta_learners.base import MetaLearner
from meta_gan.types import Episode, MetaWeights, Snapshot, Tensor

# The role of the probe's draws, beside the inner loop's: the same for all tasks, so that only weights differ.
PROBE = 4


def disagreement(outputs: Tensor, mean: Tensor) -> Tensor:
    """Return the mean squared difference of outputs from the mean of all tasks, which passes no gradient.

    Averaged over the tasks of which `mean` is the mean, its gradient is that of their variance, exactly (see above).

    Args:
        outputs: float[*shape], one task's outputs, or float[tasks, *shape].
        mean: float[*shape].

    Returns:
        float[], >= 0.

    Example:
        >>> float(disagreement(tf.constant([1.0, 3.0]), tf.constant([0.0, 3.0])))
        0.5
    """
    return tf.reduce_mean(tf.square(outputs - tf.stop_gradient(mean)))


@dataclass(frozen=True, eq=False, kw_only=True)
class _Anchored(InnerLoop):
    """An inner loop whose objectives also pull a player's outputs on the probe towards their mean over tasks."""

    base: InnerLoop
    weights: Mapping[str, float]
    probe: Episode
    means: Mapping[str, Tensor]

    def _penalty(self, player: str, snapshot: Snapshot) -> Tensor:
        outputs = _outputs(self, player, snapshot, self.probe)
        return self.weights[player] * disagreement(outputs, self.means[player])

    def objective(self, player: str, snapshot: Snapshot, episode: Episode) -> Tensor:
        value = self.base.objective(player, snapshot, episode)
        return value + self._penalty(player, snapshot) if player in self.means else value

    def distance(self, snapshot: Snapshot, episode: Episode, biased: bool = False) -> Tensor:
        value = self.base.distance(snapshot, episode, biased)
        penalties = [self._penalty(player, snapshot) for player in self.means]
        return tf.add_n([value, *[tf.cast(penalty, value.dtype) for penalty in penalties]])


@keras.saving.register_keras_serializable("meta_gan")
class Consistent(Estimator):
    """Add a penalty to an estimator for differences between the adapted players of a meta-batch.

    The probe is the first episode of the meta-batch, the same for every task: its support set conditions, its query set
    is the players' input, and its seed keys their noise (`Game.probe`). Two passes are made: the first adapts every
    task and takes the mean outputs, the second is the wrapped estimate, with `weight * disagreement` added to the
    objective of each player that has a weight (and to the distance on which a learned meta-learner is trained). So
    every task is adapted to twice, and the metric `query/PLAYER` includes the penalty.

    Args:
        estimator: an estimator that adapts and differentiates the objectives, such as `Unrolled`.
        weights: `{player: weight}`, each a finite number >= 0; a player without one, or with 0, pays nothing.

    Raises:
        ValueError: a weight that is no finite number >= 0; an estimator that does not adapt (`JointTraining`); or
            `Displacement`, which takes no gradient of the objectives for the params, so that nothing would be trained.

    Example:
        >>> estimator = Consistent(Unrolled(order=1), {"generator": 0.1})
        >>> algorithm = Algorithm("consistent FOMAML", GradientDescent(0.01), estimator, inner_steps=10)
    """

    def __init__(self, estimator: Estimator, weights: Mapping[str, float]):
        if not isinstance(estimator, Estimator) or not estimator.adapts or isinstance(estimator, Displacement):
            raise ValueError(
                "'estimator' must adapt to the tasks and differentiate the objectives, as Unrolled does; "
                "JointTraining does not adapt, and Displacement takes no gradient of what adapts. "
                f"Received: {type(estimator).__name__}"
            )
        self.estimator = estimator
        self.weights = {
            player: check_number(weight, f"weights[{player!r}]", least=0) for player, weight in weights.items()
        }
        self.trains_meta_learner, self.adapts = estimator.trains_meta_learner, estimator.adapts
        self.fixed_steps, self.least_steps = estimator.fixed_steps, estimator.least_steps

    def check(self, meta_learner: MetaLearner, inner_steps: int) -> None:
        self.estimator.check(meta_learner, inner_steps)

    def get_config(self) -> dict[str, Any]:
        return {"estimator": keras.saving.serialize_keras_object(self.estimator), "weights": dict(self.weights)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Consistent:
        return cls(**{**config, "estimator": keras.saving.deserialize_keras_object(config["estimator"])})

    def task(self, loop: InnerLoop, meta: MetaWeights, episode: Episode, steps: int | Tensor) -> Estimate:
        """Raise an error: the penalty is not defined for a single task.

        Raises:
            NotImplementedError: always; `estimate` takes the whole meta-batch.
        """
        raise NotImplementedError("Consistent compares the tasks of a meta-batch, so it has no estimate of one task")

    def estimate(
        self,
        loop: InnerLoop,
        meta: MetaWeights,
        episodes: Episode,
        steps: int | Tensor,
        map_tasks: TaskMap = HERE,
    ) -> Estimate:
        """Return the wrapped estimate with the penalties; see `Estimator.estimate`.

        Returns:
            `Estimate`, with the metric `consistency/PLAYER` for every player with a weight > 0: the mean squared
            deviation of its outputs on the probe from the tasks' mean, before the weight, float32[] >= 0.

        Raises:
            ValueError: a weight of a player that the game does not have.
        """
        if unknown := sorted(set(self.weights) - set(loop.game.players)):
            raise ValueError(f"'weights' must name players of {sorted(loop.game.players)}. Received: {unknown}")
        players = [player for player, weight in self.weights.items() if weight > 0]
        if not players:
            return self.estimator.estimate(loop, meta, episodes, steps, map_tasks)
        probe = functional.stop(tf.nest.map_structure(lambda t: t[0], episodes))

        def probed(episode: Episode) -> dict[str, Tensor]:
            carry, _ = loop.adapt(meta, episode.support, steps, episode.seed)
            end = loop.final(meta, carry)
            return {player: _outputs(loop, player, end, probe) for player in players}

        outputs = functional.stop(map_tasks(probed, episodes))
        means = {player: tf.reduce_mean(each, axis=0) for player, each in outputs.items()}
        parts = {"base": loop, "weights": self.weights, "probe": probe, "means": means}
        anchored = _Anchored(loop.game, loop.meta_learner, loop.mask, loop.steering, **parts)
        estimate = self.estimator.estimate(anchored, meta, episodes, steps, map_tasks)
        differing = {
            f"consistency/{player}": tf.cast(disagreement(outputs[player], means[player]), tf.float32)
            for player in players
        }
        return estimate._replace(metrics={**estimate.metrics, **differing})


def _outputs(loop: InnerLoop, player: str, snapshot: Snapshot, probe: Episode) -> Tensor:
    return loop.game.probe(player, snapshot, probe, functional.fold(probe.seed, PROBE))
