"""The inner loop, masks of the params that it adapts, estimators of the meta-gradient, and the table of algorithms."""

from meta_gan.meta.algorithms import FOMAML, MAML, Algorithm, Pretraining, Reptile
from meta_gan.meta.consistent import Consistent
from meta_gan.meta.dawson import SplitOpponents
from meta_gan.meta.estimators import Displacement, Estimator, JointTraining
from meta_gan.meta.evolution_strategies import EvolutionStrategies
from meta_gan.meta.inner_loop import InnerLoop
from meta_gan.meta.unrolled import Unrolled

__all__ = [
    "FOMAML",
    "MAML",
    "Algorithm",
    "Consistent",
    "Displacement",
    "Estimator",
    "EvolutionStrategies",
    "InnerLoop",
    "JointTraining",
    "Pretraining",
    "Reptile",
    "SplitOpponents",
    "Unrolled",
]
