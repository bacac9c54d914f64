"""Named combinations of networks, game, algorithm and outer optimizer, as frozen recipes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from meta_gan import losses, meta_learners, networks
from meta_gan.games import GAN
from meta_gan.meta import Algorithm, Displacement, Estimator, JointTraining, Unrolled
from meta_gan.model import MetaModel
from meta_gan.networks.dcgan import NORMALIZATIONS

LOSSES = {
    "non_saturating": losses.NonSaturating,
    "hinge": losses.Hinge,
    "least_squares": losses.LeastSquares,
    "wasserstein": losses.Wasserstein,
}
PENALTIES = {"none": None, "gradient": losses.GradientPenalty, "r1": losses.R1}
ALGORITHMS = ("maml", "fomaml", "reptile", "pretraining")
RULES = ("descent", "momentum", "adam")


@dataclass(frozen=True)
class Recipe:
    """All that makes a compiled `MetaModel`, but for the data.

    Attributes:
        name: the preset's name, for folders and cards.
        network: `dcgan` or `mlp`.
        width: channels (dcgan) or units (mlp) of the narrowest hidden layer, >= 1.
        latent_dim: size of z, >= 1.
        normalization: of the DCGAN generator: none, layer, instance, group or batch.
        loss: non_saturating, hinge, least_squares or wasserstein.
        penalty: none, gradient (WGAN-GP) or r1.
        penalty_weight: > 0.
        discriminator_turns: discriminator moves before one generator move, >= 1.
        algorithm: maml, fomaml, reptile or pretraining.
        paths: regular expression of the weights that adapt; empty for all.
        rule: the inner rule: descent, momentum or adam.
        inner_steps: steps of a task in meta-training, and the default of `adapt`, >= 1.
        inner_rate: of the generator, > 0.
        discriminator_inner_rate: > 0.
        outer_rate: of the outer Adam, > 0.
        outer_first_decay: of the outer Adam, in [0, 1).
        clip: greatest norm of a player's meta-gradient, > 0, or 0 for none.
        averaging: decay of the averaged meta-weights in (0, 1), or 0 for none.
        seed: of the initial weights.
    """

    name: str
    network: str = "dcgan"
    width: int = 32
    latent_dim: int = 64
    normalization: str = "layer"
    loss: str = "hinge"
    penalty: str = "r1"
    penalty_weight: float = 1.0
    discriminator_turns: int = 1
    algorithm: str = "fomaml"
    paths: str = ""
    rule: str = "adam"
    inner_steps: int = 10
    inner_rate: float = 2e-3
    discriminator_inner_rate: float = 2e-3
    outer_rate: float = 3e-4
    outer_first_decay: float = 0.5
    clip: float = 10.0
    averaging: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        choices = {
            "network": ("dcgan", "mlp"),
            "normalization": NORMALIZATIONS,
            "loss": tuple(LOSSES),
            "penalty": tuple(PENALTIES),
            "algorithm": ALGORITHMS,
            "rule": RULES,
        }
        for field, allowed in choices.items():
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field!r} must be one of {allowed}. Received: {getattr(self, field)!r}")
        for field in ("width", "latent_dim", "discriminator_turns", "inner_steps"):
            self._require(field, int, lambda n: 1 <= n < 2**31, "an int in [1, 2^31)")
        self._require("seed", int, lambda n: 0 <= n < 2**31, "an int in [0, 2^31)")
        for field in ("inner_rate", "discriminator_inner_rate", "outer_rate", "penalty_weight"):
            self._require(field, (int, float), lambda x: 0 < x < math.inf, "finite and > 0")
        for field in ("outer_first_decay", "averaging"):
            self._require(field, (int, float), lambda x: 0 <= x < 1, "in [0, 1)")
        self._require("clip", (int, float), lambda x: 0 <= x < math.inf, "finite and >= 0, 0 for none")
        self._require("paths", str, lambda text: True, "a regular expression")

    def _require(self, field: str, kind: Any, inside: Callable[[Any], bool], wanted: str) -> None:
        value = getattr(self, field)
        if isinstance(value, bool) or not isinstance(value, kind) or not inside(value):
            raise ValueError(f"{field!r} must be {wanted}. Received: {value!r}")


PRESETS = {
    recipe.name: recipe
    for recipe in (
        Recipe("reptile", algorithm="reptile", outer_rate=1e-3),
        Recipe("fomaml", algorithm="fomaml"),
        Recipe("maml", algorithm="maml", inner_steps=5),
        Recipe("pretraining", algorithm="pretraining"),
    )
}


def get(name: str, /, **changes: Any) -> Recipe:
    """A preset by name, with some of its fields changed.

    Args:
        name: see `PRESETS`.
        **changes: fields of `Recipe`.

    Returns:
        A `Recipe`.

    Raises:
        ValueError: an unknown preset or field, or a value out of its range.

    Example:
        >>> get("fomaml", width=16).width
        16
    """
    if name not in PRESETS:
        raise ValueError(f"a preset must be one of {sorted(PRESETS)}. Received: {name!r}")
    known = {field.name for field in dataclasses.fields(Recipe)} - {"name"}
    if unknown := sorted(set(changes) - known):
        raise ValueError(f"a recipe has the keys {sorted(known)}. Received: {unknown}")
    return dataclasses.replace(PRESETS[name], **changes)


def build(recipe: Recipe, image_shape: tuple[int, int, int]) -> MetaModel:
    """Makes and compiles the model of a recipe.

    Args:
        recipe: of `get`.
        image_shape: (height, width, channels).

    Returns:
        A compiled `MetaModel`.

    Raises:
        ValueError: a value that the networks or rules refuse.

    Example:
        >>> model = build(get("fomaml", width=8), (28, 28, 1))
    """
    if recipe.network == "dcgan":
        players = networks.dcgan(image_shape, recipe.latent_dim, recipe.width, recipe.normalization, seed=recipe.seed)
    else:
        players = networks.mlp(image_shape, recipe.latent_dim, recipe.width, seed=recipe.seed)
    kind = PENALTIES[recipe.penalty]
    penalty = None if kind is None else kind(weight=recipe.penalty_weight)
    game = GAN(*players, LOSSES[recipe.loss](), penalty, recipe.discriminator_turns)
    model = MetaModel(game, _algorithm(recipe), averaging=recipe.averaging or None)
    adam = keras.optimizers.Adam(recipe.outer_rate, beta_1=recipe.outer_first_decay)
    model.compile(optimizer=adam, clip=recipe.clip or None)
    return model


def _algorithm(recipe: Recipe) -> Algorithm:
    rates = {"generator": recipe.inner_rate, "discriminator": recipe.discriminator_inner_rate}
    rule = {
        "descent": meta_learners.GradientDescent,
        "momentum": meta_learners.Momentum,
        "adam": meta_learners.Adam,
    }[recipe.rule](rates)
    estimators: dict[str, Estimator] = {
        "maml": Unrolled(2),
        "fomaml": Unrolled(1),
        "reptile": Displacement(),
        "pretraining": JointTraining(),
    }
    return Algorithm(recipe.name, rule, estimators[recipe.algorithm], recipe.inner_steps, recipe.paths)
