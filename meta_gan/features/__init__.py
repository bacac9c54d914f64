"""Frozen feature networks: for terms of a loss, for presets and, as judges, for scores."""

from meta_gan.features.feature_network import PURPOSES, FeatureNetwork, load, shipped_names
from meta_gan.features.fixed import log_mel, spectrogram, symbol_pairs
from meta_gan.features.networks import NETWORKS, conv4, residual

__all__ = [
    "NETWORKS",
    "PURPOSES",
    "FeatureNetwork",
    "conv4",
    "load",
    "log_mel",
    "residual",
    "shipped_names",
    "spectrogram",
    "symbol_pairs",
]
