"""From a recipe to a compiled `MetaModel`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

from meta_gan import losses, meta_learners, networks
from meta_gan.games import GAN, VAE, Game, Terms, Transfer, Translation
from meta_gan.meta import Algorithm, Consistent, Displacement, Estimator, JointTraining, SplitOpponents, Unrolled
from meta_gan.model import META_LEARNER, MetaModel
from meta_gan.presets.players import features, kind_of, players
from meta_gan.presets.recipe import LEARNED_RULES, LOSSES, PENALTIES, Recipe

_LOWEST_RATE = 0.02  # of the first rate, at the end of its decay


def build(recipe: Recipe, example_shape: Any, rate: int | None = None) -> MetaModel:
    """Makes and compiles the model of a recipe.

    Args:
        recipe: of `get`.
        example_shape: (height, width, channels), of sounds (samples, 1), of texts (length, symbols); of two domains
            `{"source": shape, "target": shape}`, of one shape: the family translation translates between them, the
            others are `Transfer` from the one to the other, which takes turns for as many steps as in training.
        rate: of sounds, samples a second.

    Returns:
        A compiled `MetaModel`.

    Raises:
        ValueError: a value that the networks or rules refuse, a feature network for other examples, or none, sounds
            without a rate, or one shape of a translation, or two domains of different shapes.

    Example:
        >>> model = build(get("fomaml", width=8), (28, 28, 1))
    """
    model = MetaModel(_game(recipe, example_shape, rate), _algorithm(recipe), averaging=recipe.averaging or None)
    learned = recipe.rule in LEARNED_RULES
    optimizers = {group: _optimizer(recipe, group) for group in model.groups}
    model.compile(optimizer=optimizers, clip=recipe.clip or None, skip_nonfinite=learned)
    return model


def _game(recipe: Recipe, example_shape: Any, rate: int | None) -> Game:
    domains = isinstance(example_shape, Mapping)
    if recipe.family == "translation" and not domains:
        raise ValueError(
            "the family 'translation' needs the shapes of two domains (`DomainTasks`; `--target`). Received: "
            f"{recipe.name!r}, and images of {example_shape}"
        )
    if domains and len(set(example_shape.values())) > 1:
        raise ValueError(f"a recipe needs domains of one shape. Received: {dict(example_shape)}")
    if recipe.family == "translation":
        return _translation(recipe, example_shape)
    if domains:
        turns = max(1, (recipe.inner_steps + 1) // 2)
        return Transfer(_alone(recipe, example_shape["target"], rate), source_steps=turns)
    return _alone(recipe, example_shape, rate)


def _alone(recipe: Recipe, shape: tuple[int, ...], rate: int | None) -> Game:
    return (_gan if recipe.family == "gan" else _vae)(recipe, shape, rate)


def _gan(recipe: Recipe, example_shape: tuple[int, ...], rate: int | None) -> Game:
    kind = PENALTIES[recipe.penalty]
    terms = Terms(
        adversarial=recipe.adversarial,
        features=recipe.energy,
        nearness=recipe.nearness,
        variety=recipe.variety,
        pixels=recipe.coarse,
        mode_seeking=recipe.mode_seeking,
        likelihood=recipe.nats,
    )
    generator, discriminator = _changed(recipe, *players(recipe, example_shape, rate))
    return GAN(
        generator,
        discriminator,
        loss=LOSSES[recipe.loss](),
        penalty=None if kind is None else kind(weight=recipe.penalty_weight),
        discriminator_turns=recipe.discriminator_turns,
        encoder=_encoder(recipe, example_shape),
        features=features(recipe.features, example_shape, rate) if recipe.features else None,
        terms=terms,
        augmentation=losses.DifferentiableAugmentation(recipe.translation) if recipe.translation else None,
        holdout=recipe.holdout,
    )


def _vae(recipe: Recipe, example_shape: tuple[int, ...], rate: int | None) -> Game:
    if recipe.likelihood == "bernoulli" and kind_of(example_shape) in ("sounds", "texts"):
        raise ValueError(
            "a recipe of the family 'vae' needs 'likelihood' gaussian but of pictures, whose two levels are -1 and 1. "
            f"Received: 'bernoulli' of {kind_of(example_shape)}, of shape {example_shape}"
        )
    kind = networks.MLPEncoder if recipe.network == "mlp" else networks.ImageEncoder
    encoder = _changed(recipe, kind(example_shape, recipe.latent_dim, width=recipe.width, seed=recipe.seed))[0]
    likelihood = losses.Bernoulli() if recipe.likelihood == "bernoulli" else losses.Gaussian(recipe.deviation)
    generator = _changed(recipe, players(recipe, example_shape, rate)[0])[0]
    if recipe.embedding_dim and recipe.network != "sagan":
        generator = networks.SetPrior(generator, recipe.embedding_dim, seed=recipe.seed)
    return VAE(
        generator,
        encoder,
        likelihood,
        recipe.beta,
        _encoder(recipe, example_shape),
    )


def _translation(recipe: Recipe, shapes: Mapping[str, tuple[int, ...]]) -> Game:
    shape, kind = shapes["source"], PENALTIES[recipe.penalty]

    def translator(seed: int) -> keras.Model:
        return _changed(
            recipe, networks.Translator(shape, recipe.width, embedding_dim=recipe.embedding_dim, seed=seed)
        )[0]

    def critic(seed: int) -> keras.Model:
        return _changed(recipe, networks.DCGANDiscriminator(shape, recipe.width, seed=seed))[0]

    # Two of a kind of one seed would start as one net.
    there, back = recipe.seed, recipe.seed + 1
    return Translation(
        translator(there),
        critic(there),
        back=translator(back) if recipe.cycle else None,
        back_discriminator=critic(back) if recipe.cycle else None,
        loss=LOSSES[recipe.loss](),
        penalty=None if kind is None else kind(weight=recipe.penalty_weight),
        cycle=recipe.cycle,
        identity=recipe.identity,
        content=recipe.content,
        encoder=_encoder(recipe, shape),
        discriminator_turns=recipe.discriminator_turns,
        features=features(recipe.features, shape, None) if recipe.features else None,
        energy=recipe.energy,
        truth=recipe.truth,
    )


def _optimizer(recipe: Recipe, group: str) -> keras.optimizers.Optimizer:
    """The outer Adam of a player's nets, or of the rule."""
    rate: Any = recipe.rule_rate if group == META_LEARNER else recipe.outer_rate
    if recipe.decay_steps:
        rate = keras.optimizers.schedules.CosineDecay(rate, recipe.decay_steps, alpha=_LOWEST_RATE)
    return keras.optimizers.Adam(rate, beta_1=recipe.outer_first_decay, beta_2=recipe.outer_second_decay)


def _encoder(recipe: Recipe, example_shape: tuple[int, ...]) -> keras.Model | None:
    if not recipe.embedding_dim:
        return None
    return networks.TaskEncoder(example_shape, recipe.embedding_dim, pooling=recipe.pooling, seed=recipe.seed)


def _algorithm(recipe: Recipe) -> Algorithm:
    maker = {"gan": "generator", "vae": "autoencoder", "translation": "translator"}[recipe.family]
    rates = {maker: recipe.inner_rate}
    if recipe.family != "vae":
        rates["discriminator"] = recipe.discriminator_inner_rate
    made: dict[str, Callable[[], meta_learners.MetaLearner]] = {
        "descent": lambda: meta_learners.GradientDescent(rates),
        "momentum": lambda: meta_learners.Momentum(rates),
        "adam": lambda: meta_learners.Adam(rates),
        "meta_sgd": lambda: meta_learners.MetaSGD(rates),
        "learned_adam": lambda: meta_learners.LearnedAdam(rates),
        "recurrent": lambda: meta_learners.RecurrentMetaLearner(rates, seed=recipe.seed),
        "attention": lambda: meta_learners.AttentionMetaLearner(
            rates, seed=recipe.seed, embedding_dim=recipe.embedding_dim
        ),
    }
    estimators: dict[str, Estimator] = {
        "conditional": Unrolled(1),
        "dawson": SplitOpponents(),
        "fomaml": Unrolled(1),
        "maml": Unrolled(2),
        "reptile": Displacement(),
        "pretraining": JointTraining(),
    }
    estimator = estimators[recipe.algorithm]
    if recipe.consistency:
        estimator = Consistent(estimator, dict.fromkeys(rates, recipe.consistency))
    mask = networks.SCALE_AND_SHIFT if recipe.scale_and_shift else recipe.mask
    return Algorithm(recipe.name, made[recipe.rule](), estimator, recipe.inner_steps, mask)


def _changed(recipe: Recipe, *nets: keras.Model) -> list[keras.Model]:
    """The nets, told apart by scales and shifts where the recipe says so."""
    return [networks.ScaleAndShift(net) for net in nets] if recipe.scale_and_shift else list(nets)
