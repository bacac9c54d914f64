"""Losses and penalties of adversarial games: pure functions of logits, examples and a seed."""

from meta_gan.losses.adversarial import Hinge, LeastSquares, NonSaturating, Wasserstein
from meta_gan.losses.penalties import R1, GradientPenalty

__all__ = ["R1", "GradientPenalty", "Hinge", "LeastSquares", "NonSaturating", "Wasserstein"]
