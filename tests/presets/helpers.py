"""Recipes small enough to build, and to make a step with, within a test."""

from __future__ import annotations

import numpy as np

from meta_gan import presets

SHAPE = (8, 8, 1)
TINY = {"network": "mlp", "width": 3, "latent_dim": 2, "inner_steps": 1}
OWN_SHAPES = {"sound": (1024, 1), "text": (8, 4)}
RATE = 8000
"""Of sounds; it has no effect on other examples."""
WITHOUT_FEATURES = {"terms_features": 0.0, "game_features": "", "nearness": 0.0, "variety": 0.0}
"""What frees a preset of the shipped feature network, which is for 28x28 drawings alone."""
WITHOUT_NETWORK = {"terms_features": 0.0, "game_features": ""}
"""The same for a preset without the terms nearness and variety."""


def build(name="fomaml", shape=SHAPE, **changes):
    """A model of the preset's game and algorithm on tiny dense nets, whatever its own nets are."""
    return presets.build(presets.get(name, **{**TINY, **changes}), shape)


def small(name):
    """Changes that make the nets and the number of inner steps of the preset `name` small."""
    recipe = presets.PRESETS[name]
    size = {"width": 2} if name in ("translation", "cyclegan", "text") else {"width": 2, "latent_dim": 4}
    if name.endswith("flow"):
        size = {"width": 4, "solver_steps": 2}
    if recipe.game.task_encoder:
        size["embedding_dim"] = 3
    if recipe.inner_steps:
        size["inner_steps"] = 2
    free = {"fusion": WITHOUT_FEATURES, "few-step-flow": WITHOUT_FEATURES, "sagan": WITHOUT_NETWORK}
    return {**size, **free.get(name, {})}


def shape_of(name, shape=SHAPE):
    """What the preset `name` is built for: images of a shape, two domains of them, sounds or texts."""
    shape = OWN_SHAPES.get(name, shape)
    return {"source": shape, "target": shape} if name in ("translation", "cyclegan") else shape


def flat(tree, prefix=""):
    """A tree of settings as one dict, the names joined by dots."""
    found = {}
    for key, value in tree.items():
        found.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return found


def copies(variables):
    """Numpy copies of variables."""
    return [v.numpy().copy() for v in variables]


def still(before, variables):
    """The paths of the kernels that have not moved."""
    pairs = zip(before, variables, strict=True)
    return [v.path for old, v in pairs if old.ndim > 1 and np.array_equal(old, v.numpy())]
