"""Losses, penalties and likelihoods: pure functions of logits, examples and a seed."""

from meta_gan.losses.adversarial import Hinge, LeastSquares, NonSaturating, RelativisticAverage, Wasserstein
from meta_gan.losses.augmentation import DifferentiableAugmentation
from meta_gan.losses.base import AdversarialLoss
from meta_gan.losses.diversity import ModeSeeking
from meta_gan.losses.energy import energy_distance, mean_within, pairwise_distances, variety_gap
from meta_gan.losses.penalties import R1, GradientPenalty
from meta_gan.losses.reconstruction import (
    Bernoulli,
    Gaussian,
    mean_absolute,
    normal_divergence,
    normal_log_density,
)

__all__ = [
    "R1",
    "AdversarialLoss",
    "Bernoulli",
    "DifferentiableAugmentation",
    "Gaussian",
    "GradientPenalty",
    "Hinge",
    "LeastSquares",
    "ModeSeeking",
    "NonSaturating",
    "RelativisticAverage",
    "Wasserstein",
    "energy_distance",
    "mean_absolute",
    "mean_within",
    "normal_divergence",
    "normal_log_density",
    "pairwise_distances",
    "variety_gap",
]
