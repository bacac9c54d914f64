"""Recipes small enough to build, and to make a step with, within a test."""

from __future__ import annotations

import numpy as np

from meta_gan import presets

SHAPE = (8, 8, 1)
TINY = {"network": "mlp", "width": 3, "latent_dim": 2, "inner_steps": 1}
OWN_SHAPES = {"sound": (1024, 1), "text": (8, 4)}
RATE = 8000
"""Of sounds; others pass it over."""
WITHOUT_FEATURES = {"energy": 0.0, "features": "", "nearness": 0.0, "variety": 0.0}
"""What frees a preset of the shipped feature network, which takes 28x28 drawings alone."""


def build(name="fomaml", shape=SHAPE, **changes):
    """A model of the preset's game and algorithm on tiny dense nets, whatever its own nets are."""
    return presets.build(presets.get(name, **{**TINY, **changes}), shape)


def small(name):
    """The preset `name` as it is, but for the size of the nets and the number of inner steps."""
    recipe = presets.PRESETS[name]
    size = {"width": 2} if recipe.family == "translation" else {"width": 2, "latent_dim": 4}
    if name == "text":
        del size["latent_dim"]  # it has no say
    if recipe.embedding_dim:
        size["embedding_dim"] = 3
    if recipe.inner_steps:
        size["inner_steps"] = 2
    return {**size, **(WITHOUT_FEATURES if recipe.energy and name not in OWN_SHAPES else {})}


def shape_of(name, shape=SHAPE):
    """What the preset `name` is built for: images of a shape, two domains of them, sounds or texts."""
    shape = OWN_SHAPES.get(name, shape)
    domains = {"source": shape, "target": shape}
    return domains if presets.PRESETS[name].family == "translation" else shape


def copies(variables):
    """Numpy copies of variables."""
    return [v.numpy().copy() for v in variables]


def still(before, variables):
    """The mask of the kernels that have not moved."""
    pairs = zip(before, variables, strict=True)
    return [v.path for old, v in pairs if old.ndim > 1 and np.array_equal(old, v.numpy())]
