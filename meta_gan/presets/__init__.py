"""Named combinations of networks, game, algorithm and outer optimizer, as frozen recipes."""

from meta_gan.presets.building import build
from meta_gan.presets.named import PRESETS, get
from meta_gan.presets.recipe import ALGORITHMS, LEARNED_RULES, LOSSES, NETWORKS, PENALTIES, RULES, Recipe

__all__ = [
    "ALGORITHMS",
    "LEARNED_RULES",
    "LOSSES",
    "NETWORKS",
    "PENALTIES",
    "PRESETS",
    "RULES",
    "Recipe",
    "build",
    "get",
]
