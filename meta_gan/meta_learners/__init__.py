"""Meta-learners, which emit the updates inside a task: hand-designed, and learned ones."""

from meta_gan.meta_learners.ancestors import ALFA, CoordinatewiseLSTM, MetaCurvature, MetaLSTM
from meta_gan.meta_learners.attention import AttentionMetaLearner
from meta_gan.meta_learners.base import MetaLearner
from meta_gan.meta_learners.gradient import Adam, GradientDescent, Momentum, OptimisticGradient
from meta_gan.meta_learners.rates import LearnedAdam, MetaSGD, PerStepRates
from meta_gan.meta_learners.recurrent import RecurrentMetaLearner

__all__ = [
    "ALFA",
    "Adam",
    "AttentionMetaLearner",
    "CoordinatewiseLSTM",
    "GradientDescent",
    "LearnedAdam",
    "MetaCurvature",
    "MetaLSTM",
    "MetaLearner",
    "MetaSGD",
    "Momentum",
    "OptimisticGradient",
    "PerStepRates",
    "RecurrentMetaLearner",
]
