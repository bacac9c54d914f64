"""Frozen feature networks, for judges, for terms of a loss and for presets."""

from meta_gan.features.networks import NETWORKS

__all__ = ["NETWORKS"]
