"""Layers for players: their derivatives of any order are right, in any float dtype."""

from meta_gan.layers.attention import SelfAttention2D
from meta_gan.layers.conditioning import FiLM, MetaBatchNormalization
from meta_gan.layers.differentiability import check_differentiable
from meta_gan.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
)
from meta_gan.layers.players import check_honoured, foreign
from meta_gan.layers.resampling import UpsampleBilinear, UpsampleNearest
from meta_gan.layers.sequences import Bands, LogMel, PhaseShuffle, SymbolPairs
from meta_gan.layers.spectral import SpectralConv2D, SpectralDense

__all__ = [
    "Bands",
    "BatchNormalization",
    "FiLM",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "LogMel",
    "MetaBatchNormalization",
    "PhaseShuffle",
    "SelfAttention2D",
    "SpectralConv2D",
    "SpectralDense",
    "SymbolPairs",
    "UpsampleBilinear",
    "UpsampleNearest",
    "check_differentiable",
    "check_honoured",
    "foreign",
]
