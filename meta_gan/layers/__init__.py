"""Layers that may stand in a player: right in their derivatives of any order, in any float dtype."""

from meta_gan.layers.allowed import check_differentiable
from meta_gan.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
)
from meta_gan.layers.resizing import UpsampleBilinear, UpsampleNearest

__all__ = [
    "BatchNormalization",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "UpsampleBilinear",
    "UpsampleNearest",
    "check_differentiable",
]
