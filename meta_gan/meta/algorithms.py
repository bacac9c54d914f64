"""The table of named algorithms: pairs of a meta-learner and an estimator of the meta-gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_integer
from meta_gan.games.base import Game
from meta_gan.meta.estimators import Displacement, Estimator, JointTraining
from meta_gan.meta.inner_loop import InnerLoop
from meta_gan.meta.unrolled import Unrolled
from meta_gan.meta_learners import GradientDescent
from meta_gan.meta_learners.base import MetaLearner
from meta_gan.renames import current_names
from meta_gan.types import Tensor


@keras.saving.register_keras_serializable("meta_gan")
class Algorithm:
    """A meta-learner, which updates inside a task, and an estimator, which obtains the outer gradient.

    Args:
        name: the name in reports.
        meta_learner: emits the inner updates.
        estimator: gives the outer gradients.
        inner_steps: inner steps of a task, >= 0; also the default of `adapt`. With 0 nothing adapts in training, and
            the support set matters only where it conditions the nets.
        mask: regular expression for the params that the inner loop adapts (`meta.masks.select`); "" for all.
        ramp: outer steps >= 0 over which training's inner steps grow in proportion to `inner_steps`, so that a learned
            meta-learner first learns a short horizon; 0 for all from the start.

    Raises:
        ValueError: `inner_steps` or `ramp` below 0, a learned meta-learner with an estimator that would leave it
            untrained, or a ramp with an estimator that takes one number of inner steps only.

    Example:
        >>> anil_like = Algorithm("head", GradientDescent(0.01), Unrolled(order=2), 5, mask="dense")
    """

    def __init__(
        self,
        name: str,
        meta_learner: MetaLearner,
        estimator: Estimator,
        inner_steps: int,
        mask: str = "",
        ramp: int = 0,
    ):
        self.inner_steps = check_integer(inner_steps, "inner_steps", 0)
        estimator.check(meta_learner, self.inner_steps)
        self.name, self.meta_learner, self.estimator = str(name), meta_learner, estimator
        self.mask, self.ramp = str(mask), check_integer(ramp, "ramp", 0)
        if self.ramp and estimator.fixed_steps:
            raise ValueError(
                f"'ramp' must be 0 with an estimator that takes a fixed number of inner steps. Received: {ramp} with "
                f"{type(estimator).__name__}"
            )

    def loop(self, game: Game) -> InnerLoop:
        """Return the inner loop of a game: its params selected, and the meta-learner prepared for them.

        Raises:
            ValueError: see `InnerLoop.build`.
        """
        return InnerLoop.build(game, self.meta_learner, self.mask)

    def steps_at(self, made: Tensor) -> int | Tensor:
        """Return the inner steps of the training tasks of one outer step.

        Args:
            made: int[], outer steps made before it.

        Returns:
            `inner_steps`, or where there is a ramp int32[], at least the estimator's `least_steps` and at most that.
        """
        if not self.ramp:
            return self.inner_steps
        share = tf.cast(made + 1, tf.float32) / self.ramp
        grown = tf.cast(tf.math.ceil(share * self.inner_steps), tf.int32)
        least = min(self.estimator.least_steps, self.inner_steps)
        return tf.clip_by_value(grown, least, self.inner_steps)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "meta_learner": serialize(self.meta_learner),
            "estimator": serialize(self.estimator),
            "inner_steps": self.inner_steps,
            "mask": self.mask,
            "ramp": self.ramp,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Algorithm:
        """Make the algorithm that `get_config` described."""
        make, config = keras.saving.deserialize_keras_object, current_names(config)
        nested = {key: make(config[key]) for key in ("meta_learner", "estimator")}
        return cls(**{**config, **nested})


Rate = float | Mapping[str, float]


def MAML(inner_steps: int = 5, inner_rate: Rate = 1e-2, mask: str = "", partial: bool = True) -> Algorithm:
    """Return second-order MAML: gradient descent in the inner loop, which is differentiated.

    Reference: Finn, Abbeel and Levine, 2017.
    """
    return Algorithm("MAML", GradientDescent(inner_rate), Unrolled(2, partial), inner_steps, mask)


def FOMAML(inner_steps: int = 10, inner_rate: Rate = 1e-2, mask: str = "") -> Algorithm:
    """Return first-order MAML: gradient descent in the inner loop, the query gradient at its end point.

    Reference: Finn, Abbeel and Levine, 2017, section 5.2.
    """
    return Algorithm("FOMAML", GradientDescent(inner_rate), Unrolled(1), inner_steps, mask)


def Reptile(
    inner_steps: int = 10, inner_rate: Rate = 1e-2, mask: str = "", meta_learner: MetaLearner | None = None
) -> Algorithm:
    """Return Reptile: any meta-learner that is not learned, with the displacement as outer gradient.

    Reference: Nichol, Achiam and Schulman, 2018; on GANs, Clouatre and Demers, "FIGR", 2019.
    """
    inside = GradientDescent(inner_rate) if meta_learner is None else meta_learner
    return Algorithm("Reptile", inside, Displacement(), inner_steps, mask)


def Pretraining(inner_steps: int = 10, inner_rate: Rate = 1e-2, mask: str = "") -> Algorithm:
    """Return the baseline: joint training on all classes, and fine-tuning by gradient descent at test time."""
    return Algorithm("Pretraining", GradientDescent(inner_rate), JointTraining(), inner_steps, mask)
