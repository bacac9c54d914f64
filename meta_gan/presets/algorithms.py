"""The algorithms of a recipe and their meta-learners, as configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from meta_gan import meta, meta_learners
from meta_gan.presets.nodes import Node, integer, number, one_of, text

Rates = Mapping[str, float]
"""`{player: inner rate}`."""


@dataclass(frozen=True)
class MetaLearner(Node):
    """Base of the meta-learners.

    Attributes:
        inner_rate: of the player that makes examples, and of a discriminator that has no separate rate, > 0.
        discriminator_inner_rate: of the discriminator, > 0; None for `inner_rate`.
    """

    made: ClassVar[Callable[..., meta_learners.MetaLearner]]
    inner_rate: float = number(2e-3, above=0)
    discriminator_inner_rate: float | None = number(None, above=0)

    def rates(self, players: tuple[str, ...]) -> Rates:
        """Return the inner rate of each player, of which the first one makes examples."""
        own = self.inner_rate if self.discriminator_inner_rate is None else self.discriminator_inner_rate
        return {players[0]: self.inner_rate, **dict.fromkeys(players[1:], own)}

    def build(self, rates: Rates, embedding_dim: int, seed: int) -> meta_learners.MetaLearner:
        """Return the meta-learner.

        Args:
            rates: `{player: inner rate}`.
            embedding_dim: size of the task embedding, 0 for none.
            seed: of the initial weights.
        """
        return self.made(rates)


@dataclass(frozen=True)
class GradientDescent(MetaLearner):
    """`meta_learners.GradientDescent`."""

    made = meta_learners.GradientDescent


@dataclass(frozen=True)
class Momentum(MetaLearner):
    """`meta_learners.Momentum`."""

    made = meta_learners.Momentum


@dataclass(frozen=True)
class Adam(MetaLearner):
    """`meta_learners.Adam`."""

    made = meta_learners.Adam


@dataclass(frozen=True)
class Learned(MetaLearner):
    """Base of the learned meta-learners, which start as gradient descent (`MetaSGD`) or as Adam at the inner rates.

    Attributes:
        meta_rate: of the outer Adam of the meta-learner's own weights, > 0.
    """

    meta_rate: float = number(3e-3, above=0)


@dataclass(frozen=True)
class MetaSGD(Learned):
    """`meta_learners.MetaSGD`."""

    made = meta_learners.MetaSGD


@dataclass(frozen=True)
class LearnedAdam(Learned):
    """`meta_learners.LearnedAdam`."""

    made = meta_learners.LearnedAdam


@dataclass(frozen=True)
class Recurrent(Learned):
    """`meta_learners.RecurrentMetaLearner`."""

    def build(self, rates: Rates, embedding_dim: int, seed: int) -> meta_learners.MetaLearner:
        return meta_learners.RecurrentMetaLearner(rates, seed=seed)


@dataclass(frozen=True)
class Attention(Learned):
    """`meta_learners.AttentionMetaLearner`, conditioned on the task embedding where there is one."""

    def build(self, rates: Rates, embedding_dim: int, seed: int) -> meta_learners.MetaLearner:
        return meta_learners.AttentionMetaLearner(rates, seed=seed, embedding_dim=embedding_dim)


HAND_DESIGNED: dict[str, MetaLearner] = {"descent": GradientDescent(), "momentum": Momentum(), "adam": Adam()}
LEARNED: dict[str, Learned] = {
    "meta_sgd": MetaSGD(),
    "learned_adam": LearnedAdam(),
    "recurrent": Recurrent(),
    "attention": Attention(),
}


@dataclass(frozen=True)
class AlgorithmNode(Node):
    """Base of the algorithms.

    Attributes:
        meta_learner: emits the inner updates.
        mask: regular expression of the weights that adapt; "" for all.
    """

    meta_learner: MetaLearner = one_of(HAND_DESIGNED, "adam")
    mask: str = text("")

    def estimator(self, players: tuple[str, ...]) -> meta.Estimator:
        """Return the estimator of the outer gradients, for some players."""
        raise NotImplementedError


@dataclass(frozen=True)
class Conditional(AlgorithmNode):
    """No adaptation in training: the support set conditions the networks, and that is all."""

    def estimator(self, players: tuple[str, ...]) -> meta.Estimator:
        return meta.Unrolled(1)


@dataclass(frozen=True)
class Adapting(AlgorithmNode):
    """Base of the algorithms with inner steps.

    Attributes:
        inner_steps: inner steps of a task in meta-training, and the default of `adapt`, >= 1.
    """

    inner_steps: int = integer(10, least=1)


@dataclass(frozen=True)
class Reptile(Adapting):
    """Reptile: the outer gradient is the displacement of the weights."""

    def estimator(self, players: tuple[str, ...]) -> meta.Estimator:
        return meta.Displacement()


@dataclass(frozen=True)
class DAWSON(Adapting):
    """DAWSON, for a GAN: each player's objective is against the other player's adapted weights."""

    def estimator(self, players: tuple[str, ...]) -> meta.Estimator:
        return meta.SplitOpponents()


@dataclass(frozen=True)
class Pretraining(Adapting):
    """Joint training on all classes, without inner steps in training; `adapt` takes `inner_steps`."""

    def estimator(self, players: tuple[str, ...]) -> meta.Estimator:
        return meta.JointTraining()


@dataclass(frozen=True)
class FOMAML(Adapting):
    """First-order MAML.

    Attributes:
        consistency: weight of the penalty on adapted players that differ across tasks, >= 0.
    """

    order: ClassVar[int] = 1
    consistency: float = number(0.0, least=0)

    def estimator(self, players: tuple[str, ...]) -> meta.Estimator:
        unrolled = meta.Unrolled(self.order)
        return meta.Consistent(unrolled, dict.fromkeys(players, self.consistency)) if self.consistency else unrolled


@dataclass(frozen=True)
class MAML(FOMAML):
    """Second-order MAML, which can also train a learned meta-learner.

    At order 1 the discriminator's part of a meta-learner would get no gradient.
    """

    order: ClassVar[int] = 2
    meta_learner: MetaLearner = one_of({**HAND_DESIGNED, **LEARNED}, "adam")


ALGORITHMS: dict[str, AlgorithmNode] = {
    "conditional": Conditional(),
    "dawson": DAWSON(),
    "fomaml": FOMAML(),
    "maml": MAML(),
    "pretraining": Pretraining(),
    "reptile": Reptile(),
}
