"""How good a few-shot generator is: judges, scores a class, the protocol few-shot-28, and its reports."""

from meta_gan.evaluation.attention_figure import save_attention
from meta_gan.evaluation.entrants import Entry
from meta_gan.evaluation.evaluator import Evaluation
from meta_gan.evaluation.html import html
from meta_gan.evaluation.judge_networks import NETWORKS
from meta_gan.evaluation.judge_training import METHODS, PURPOSES, JudgeRecipe, train_judge
from meta_gan.evaluation.judges import Judge, load_judge, shipped_judges
from meta_gan.evaluation.report import markdown
from meta_gan.evaluation.settings import Settings

__all__ = [
    "METHODS",
    "NETWORKS",
    "PURPOSES",
    "Entry",
    "Evaluation",
    "Judge",
    "JudgeRecipe",
    "Settings",
    "html",
    "load_judge",
    "markdown",
    "save_attention",
    "shipped_judges",
    "train_judge",
]
