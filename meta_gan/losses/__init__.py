"""Losses and penalties of adversarial games: pure functions of logits, examples and a seed."""

from meta_gan.losses.adversarial import Hinge, LeastSquares, NonSaturating, Wasserstein
from meta_gan.losses.augmentation import DifferentiableAugmentation
from meta_gan.losses.diversity import ModeSeeking
from meta_gan.losses.energy import energy_distance, mean_within, pairwise_distances, variety_gap
from meta_gan.losses.penalties import R1, GradientPenalty
from meta_gan.losses.relativistic import RelativisticAverage

__all__ = [
    "R1",
    "DifferentiableAugmentation",
    "GradientPenalty",
    "Hinge",
    "LeastSquares",
    "ModeSeeking",
    "NonSaturating",
    "RelativisticAverage",
    "Wasserstein",
    "energy_distance",
    "mean_within",
    "pairwise_distances",
    "variety_gap",
]
