"""`Recipe`: all that makes a compiled `MetaModel` except the data, as a tree of frozen dataclasses, and `build`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from meta_gan.games import Game, Transfer
from meta_gan.meta import Algorithm
from meta_gan.model import META_LEARNER, MetaModel
from meta_gan.networks import SCALE_AND_SHIFT
from meta_gan.presets.algorithms import ALGORITHMS, FOMAML, Adapting, AlgorithmNode, Conditional, Learned
from meta_gan.presets.games import GAMES, Adversarial, FlowGame, GameNode, GANGame, TranslationGame
from meta_gan.presets.networks import NETWORKS, Network, UNet
from meta_gan.presets.nodes import Node, always, integer, kind_of, number, one_of, text

_LOWEST_RATE = 0.02  # share of the first rate at the end of its decay


@dataclass(frozen=True)
class Outer(Node):
    """The outer optimizer, Adam.

    Attributes:
        rate: of the networks' weights, > 0.
        first_decay: of Adam, in [0, 1).
        second_decay: of Adam, in [0, 1).
        decay_steps: outer steps over which the rates fall to a fiftieth along a cosine; 0 for constant rates.
        clip: largest norm of a player's meta-gradient, > 0, or 0 for no limit.
        averaging: decay of the averaged meta-weights, in (0, 1), or 0 for no average.
    """

    rate: float = number(3e-4, above=0)
    first_decay: float = number(0.5, least=0, below=1)
    second_decay: float = number(0.999, least=0, below=1)
    decay_steps: int = integer(0)
    clip: float = number(10.0, least=0)
    averaging: float = number(0.0, least=0, below=1)

    def build(self, rate: float) -> keras.optimizers.Optimizer:
        """Return the optimizer, with a rate."""
        schedule: Any = rate
        if self.decay_steps:
            schedule = keras.optimizers.schedules.CosineDecay(rate, self.decay_steps, alpha=_LOWEST_RATE)
        return keras.optimizers.Adam(schedule, beta_1=self.first_decay, beta_2=self.second_decay)


@dataclass(frozen=True)
class Recipe(Node):
    """The complete settings of a compiled `MetaModel`, without the data.

    Every node contains the settings of one object, under that object's names; `presets.change` sets them by path.

    Attributes:
        name: for run folders and cards; that of the preset which the recipe started as.
        network: see `presets.networks`.
        game: the family of generative models, see `presets.games`.
        algorithm: what happens inside a task, and how the outer gradient is obtained, see `presets.algorithms`.
        outer: the outer optimizer.
        seed: of the initial weights, >= 0.

    Raises:
        ValueError: a setting out of its range, or settings that exclude one another.

    Example:
        >>> recipe = Recipe("mine", networks.DCGAN(width=16), games.GANGame(loss=losses.Hinge()))
        >>> change(recipe, {"algorithm": "maml", "inner_steps": 5}).algorithm.inner_steps
        5
    """

    name: str = text("custom")
    network: Network = one_of(NETWORKS, "dcgan")
    game: GameNode = one_of(GAMES, "gan")
    algorithm: AlgorithmNode = one_of(ALGORITHMS, "fomaml")
    outer: Outer = always(Outer())
    seed: int = integer(0)

    def __post_init__(self) -> None:
        super().__post_init__()
        game, algorithm = kind_of(self.game, GAMES, "game"), kind_of(self.algorithm, ALGORITHMS, "algorithm")
        network = kind_of(self.network, NETWORKS, "network")
        fitting = [name for name, kind in NETWORKS.items() if isinstance(kind, self.game.takes)]
        _require(
            network in fitting, "network", f"one of {', '.join(map(repr, fitting))} when game is {game!r}", network
        )
        _require(
            algorithm != "dawson" or game == "gan",
            "algorithm",
            f"another one than 'dawson' when game is {game!r}",
            algorithm,
        )
        self._check_conditioning(network)
        if isinstance(self.game, Adversarial):
            self._check_features(self.game)
        own = self.algorithm.meta_learner.discriminator_inner_rate
        path = "algorithm.meta_learner.discriminator_inner_rate"
        _require(own is None or isinstance(self.game, Adversarial), path, f"None when game is {game!r}", own)
        mask = self.algorithm.mask
        _require(not (self.network.wraps and mask), "algorithm.mask", "'' with network.scale_and_shift", mask)

    @property
    def inner_steps(self) -> int:
        """Inner steps of a task in meta-training; 0 if nothing adapts."""
        return self.algorithm.inner_steps if isinstance(self.algorithm, Adapting) else 0

    @property
    def learned(self) -> bool:
        """Whether the meta-learner is a learned one."""
        return isinstance(self.algorithm.meta_learner, Learned)

    def _check_conditioning(self, network: str) -> None:
        """Check that what depends on the support set is used with networks that are conditioned on it."""
        game, sees = self.game, self.network.sees_support
        conditioned = sees or game.task_encoder is not None
        truth = game.truth if isinstance(game, TranslationGame) else 0.0
        if isinstance(game, GANGame):
            plain = f"when network is {network!r}, which cannot be conditioned"
            fits = game.task_encoder is None or self.network.takes_embedding
            _require(fits, "game.task_encoder", f"'none' {plain}", "task_encoder")
            nearness = game.terms.nearness
            _require(sees or not nearness, "game.terms.nearness", f"0 when network is {network!r}", nearness)
            _require(sees or network != "unet", "network.anchored", "True when game is 'gan'", sees)
        if isinstance(game, (GANGame, FlowGame)):
            wanted = f"0 when network is {network!r} and game.task_encoder is 'none'"
            _require(conditioned or not game.holdout, "game.holdout", wanted, game.holdout)
        if isinstance(game, FlowGame):
            wanted = "0 when network.anchored is False and game.task_encoder is 'none'"
            _require(conditioned or not game.unconditional, "game.unconditional", wanted, game.unconditional)
            guidance = self.network.guidance if isinstance(self.network, UNet) else 1.0
            _require(conditioned or guidance == 1, "network.guidance", wanted.replace("0", "1", 1), guidance)
            if game.teacher:
                # What a student does not use.
                for name, value in (("unconditional", 0.0), ("time_location", 0.0), ("time_scale", 1.0)):
                    own = getattr(game, name)
                    _require(own == value, f"game.{name}", f"{value:g} with game.teacher", own)
                _require(guidance == 1, "network.guidance", "1 with game.teacher", guidance)
                _require(sees, "network.anchored", "True with game.teacher", sees)
            else:
                for name, value in (("teacher_steps", 16), ("teacher_guidance", 2.0)):
                    own = getattr(game, name)
                    _require(own == value, f"game.{name}", f"{value:g} without game.teacher", own)
        _require(
            conditioned or truth > 0 or not isinstance(self.algorithm, Conditional),
            "algorithm",
            f"another one than 'conditional' when network is {network!r} and game.task_encoder is 'none'",
            "conditional",
        )
        # The other algorithms, and the training of a meta-learner, do not use the objective that has this term.
        uses = isinstance(self.algorithm, (Conditional, FOMAML)) and not self.learned
        wanted = "0 unless algorithm is 'conditional', 'fomaml' or 'maml' with a hand-designed meta-learner"
        _require(uses or not truth, "game.truth", wanted, truth)

    def _check_features(self, game: Adversarial) -> None:
        """Check that there is a feature network if and only if something uses it."""
        used = game.feature_weight > 0 or self.learned
        _require(
            used or not game.features, "game.features", "'' unless a term or the meta-learner uses it", game.features
        )
        given = bool(game.features) or not isinstance(game, GANGame) or not game.feature_weight
        _require(given, "game.features", "the name of a feature network when game.terms.features > 0", game.features)


def _require(holds: bool, path: str, wanted: str, received: Any) -> None:
    if not holds:
        raise ValueError(f"{path!r} must be {wanted}. Received: {received!r}")


def build(recipe: Recipe, example_shape: Any, rate: int | None = None) -> MetaModel:
    """Make and compile the model of a recipe.

    Args:
        recipe: from `presets.get`, or of your own.
        example_shape: (height, width, channels); (samples, 1) for sounds; (length, symbols) for texts; or
            `{"source": shape, "target": shape}` for two domains of one shape. A translation needs two domains; any
            other game is then played as a `Transfer` from source to target, whose inner steps take both in turns.
        rate: of sounds, in samples a second.

    Returns:
        A compiled `MetaModel`.

    Raises:
        ValueError: settings that do not suit such examples, a feature network for other examples, or sounds without
            a rate.

    Example:
        >>> model = build(get("fomaml", width=8), (28, 28, 1))
    """
    game, algorithm, outer = recipe.game, recipe.algorithm, recipe.outer
    rates = algorithm.meta_learner.rates(game.players)
    mask = SCALE_AND_SHIFT if recipe.network.wraps else algorithm.mask
    model = MetaModel(
        _game(recipe, example_shape, rate),
        Algorithm(
            recipe.name,
            algorithm.meta_learner.build(rates, game.embedding_dim, recipe.seed),
            algorithm.estimator(game.players),
            recipe.inner_steps,
            mask,
        ),
        averaging=outer.averaging or None,
    )
    meta_rate = getattr(algorithm.meta_learner, "meta_rate", outer.rate)
    optimizers = {group: outer.build(meta_rate if group == META_LEARNER else outer.rate) for group in model.groups}
    model.compile(optimizer=optimizers, clip=outer.clip or None, skip_nonfinite=recipe.learned)
    return model


def _game(recipe: Recipe, shape: Any, rate: int | None) -> Game:
    domains, translates = isinstance(shape, Mapping), isinstance(recipe.game, TranslationGame)
    if domains and len(set(shape.values())) > 1:
        raise ValueError(f"'example_shape' must be the same for both domains. Received: {dict(shape)}")
    if translates and not domains:
        raise ValueError(
            "'example_shape' must be {'source': shape, 'target': shape} when game is 'translation' (on the command "
            f"line: give --target). Received: {shape}"
        )
    if translates or not domains:
        return recipe.game.build(recipe.network, shape, rate, recipe.seed)
    game = recipe.game.build(recipe.network, shape["target"], rate, recipe.seed)
    return Transfer(game, source_steps=max(1, (recipe.inner_steps + 1) // 2))
