"""Judges: frozen feature networks that score generated examples, and their training."""

from meta_gan.judges.judge import Judge, load_judge, shipped_judges
from meta_gan.judges.training import METHODS, PURPOSES, JudgeRecipe, train_judge

__all__ = ["METHODS", "PURPOSES", "Judge", "JudgeRecipe", "load_judge", "shipped_judges", "train_judge"]
