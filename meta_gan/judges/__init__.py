"""Judges, the feature networks that score generated images, and their training."""

from meta_gan.judges.judge import Judge, load_judge, shipped_judges
from meta_gan.judges.training import METHODS, JudgeRecipe, train_judge

__all__ = ["METHODS", "Judge", "JudgeRecipe", "load_judge", "shipped_judges", "train_judge"]
