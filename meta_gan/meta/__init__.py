"""Meta-learning proper: the inner loop, what it moves, the meta-gradients, and the table of algorithms."""

from meta_gan.meta.algorithms import FOMAML, MAML, Algorithm, Pretraining, Reptile
from meta_gan.meta.consistency import Consistent
from meta_gan.meta.evolution import EvolutionStrategies
from meta_gan.meta.gradients import Displacement, Estimator, JointTraining
from meta_gan.meta.opponents import SplitOpponents
from meta_gan.meta.unrolled import Unrolled

__all__ = [
    "FOMAML",
    "MAML",
    "Algorithm",
    "Consistent",
    "Displacement",
    "Estimator",
    "EvolutionStrategies",
    "JointTraining",
    "Pretraining",
    "Reptile",
    "SplitOpponents",
    "Unrolled",
]
