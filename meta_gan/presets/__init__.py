"""Recipes, the complete settings of a compiled model without its data, and presets, which are named recipes."""

from meta_gan.presets import algorithms, games, networks
from meta_gan.presets.named import PRESETS, get
from meta_gan.presets.nodes import change
from meta_gan.presets.recipe import Outer, Recipe, build

from_config = Recipe.from_config

__all__ = ["PRESETS", "Outer", "Recipe", "algorithms", "build", "change", "from_config", "games", "get", "networks"]
