"""Scores of generated examples, computed with numpy alone."""

from meta_gan.metrics import intervals, neighbours, pooled, scores, texts

__all__ = ["intervals", "neighbours", "pooled", "scores", "texts"]
