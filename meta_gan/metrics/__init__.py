"""Scores of generated examples: functions of numpy arrays, or of lists of texts, that need no network."""

from meta_gan.metrics.bootstrap import Interval, bootstrap_mean
from meta_gan.metrics.class_scores import (
    copy_rate,
    copy_threshold,
    energy_distance,
    feature_deviation,
    nearest_images,
    precision_recall_density_coverage,
    prototypical_accuracy,
    recognisability,
    relative_diversity,
    support_closeness,
)
from meta_gan.metrics.distances import pair_distances, pairwise_distances
from meta_gan.metrics.ngrams import NGramModel, ngram_distance, novelty, valid_share
from meta_gan.metrics.pooled_distances import frechet_distance, frechet_interval, kernel_distance, kernel_interval

__all__ = [
    "Interval",
    "NGramModel",
    "bootstrap_mean",
    "copy_rate",
    "copy_threshold",
    "energy_distance",
    "feature_deviation",
    "frechet_distance",
    "frechet_interval",
    "kernel_distance",
    "kernel_interval",
    "nearest_images",
    "ngram_distance",
    "novelty",
    "pair_distances",
    "pairwise_distances",
    "precision_recall_density_coverage",
    "prototypical_accuracy",
    "recognisability",
    "relative_diversity",
    "support_closeness",
    "valid_share",
]
