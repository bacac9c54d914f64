"""Rules that emit the parameter updates inside a task."""

from meta_gan.meta_learners.base import MetaLearner
from meta_gan.meta_learners.gradient import Adam, GradientDescent, Momentum

__all__ = ["Adam", "GradientDescent", "MetaLearner", "Momentum"]
