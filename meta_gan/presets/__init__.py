"""Named combinations of networks, game, algorithm and outer optimizer, as frozen recipes."""

from meta_gan.presets.building import build
from meta_gan.presets.named import PRESETS, get
from meta_gan.presets.recipe import ALGORITHMS, LOSSES, NETWORKS, PENALTIES, RULES, Recipe

__all__ = ["ALGORITHMS", "LOSSES", "NETWORKS", "PENALTIES", "PRESETS", "RULES", "Recipe", "build", "get"]
