"""The players of a recipe, by what examples are: pictures, sounds or texts, and the features of its objective."""

from __future__ import annotations

from typing import Any

import keras

from meta_gan import networks
from meta_gan.features import load, log_mel, spectrogram, symbol_pairs
from meta_gan.features.fixed import BANDS, FRAMES
from meta_gan.presets.recipe import Recipe

SPECTROGRAM, PAIRS = "spectrogram", "pairs"
_PHASES = 2  # places that a discriminator of sounds is shuffled by, as in Donahue et al., 2019
_TEXT_RATIO = 3  # a text generator's units for a channel of its discriminator


def kind_of(shape: tuple[int, ...]) -> str:
    """What examples of a shape are: `sounds` [samples, 1], `texts` [length, symbols], or `pictures`."""
    if len(shape) != 2:
        return "pictures"
    return "sounds" if shape[1] == 1 else "texts"


def players(recipe: Recipe, shape: tuple[int, ...], rate: int | None) -> tuple[keras.Model, keras.Model]:
    """The generator and discriminator of a recipe.

    Raises:
        ValueError: a network that there is not for such examples, or sounds without a rate.
    """
    latent_dim, width, seed = recipe.latent_dim, recipe.width, recipe.seed
    if recipe.network == "mlp":
        return networks.mlp(shape, latent_dim, width, seed=seed)
    if (kind := kind_of(shape)) != "pictures":
        if recipe.network == "sagan":
            raise ValueError(f"a recipe of 'sagan' needs pictures. Received: {kind}, of shape {shape}")
        _refuse_mute(recipe, kind)
        return _sounds(recipe, shape, required(rate)) if kind == "sounds" else _texts(recipe, shape)
    if recipe.network == "fusion":
        fixed = (recipe.embedding_dim, recipe.normalization, recipe.detail, seed, recipe.temperature)
        return networks.fusion(shape, latent_dim, width, *fixed)
    if recipe.network == "sagan":
        return networks.sagan(shape, latent_dim, width, recipe.embedding_dim, seed=seed)
    return networks.dcgan(shape, latent_dim, width, recipe.normalization, seed=seed)


def _refuse_mute(recipe: Recipe, kind: str) -> None:
    """Refuses fields that have no say of sounds or texts."""
    silent = {"detail": 2, "normalization": "meta" if recipe.network == "fusion" else "layer"}
    if kind == "texts":
        silent["latent_dim"] = Recipe.latent_dim
    if changed := [name for name, default in silent.items() if getattr(recipe, name) != default]:
        raise ValueError(f"a recipe needs {changed} left alone for {kind}: they have no say. Received: {recipe}")


def required(rate: int | None) -> int:
    """A rate of sounds, refused with a ValueError where there is none."""
    if rate is None:
        raise ValueError("sounds need `rate`, samples a second. Received: None")
    return rate


def _sounds(recipe: Recipe, shape: tuple[int, ...], rate: int) -> tuple[keras.Model, keras.Model]:
    latent_dim, width, embedding_dim, seed = recipe.latent_dim, recipe.width, recipe.embedding_dim, recipe.seed
    if recipe.network == "fusion":
        told: dict[str, Any] = {"rate": rate, "embedding_dim": embedding_dim, "seed": seed}
        generator = networks.WaveFusionGenerator(shape, latent_dim, width, temperature=recipe.temperature, **told)
        return generator, networks.WaveFusionDiscriminator(shape, max(1, width // 2), **told)
    discriminator = networks.SequenceDiscriminator(shape, width, shuffle=_PHASES, seed=seed)
    return networks.WaveGenerator(shape, latent_dim, width, seed=seed), discriminator


def _texts(recipe: Recipe, shape: tuple[int, ...]) -> tuple[keras.Model, keras.Model]:
    attends = recipe.network == "fusion"
    told: dict[str, Any] = {"embedding_dim": recipe.embedding_dim, "attends": attends, "seed": recipe.seed}
    generator = networks.TextGenerator(shape, recipe.width, temperature=recipe.temperature, **told)
    narrow = max(1, recipe.width // _TEXT_RATIO)
    return generator, networks.SequenceDiscriminator(shape, narrow, stride=2, **told)


def features(name: str, shape: tuple[int, ...], rate: int | None) -> keras.Model:
    """The frozen network of an objective, its features in units of about two real examples' distance.

    Args:
        name: of a network of the purpose "objective", or `spectrogram` for sounds, or `pairs`, of symbols, for texts.
        shape: of the examples.
        rate: of sounds.

    Raises:
        ValueError: a network of another purpose or of other examples.
    """
    kind = kind_of(shape)
    own = {"sounds": SPECTROGRAM, "texts": PAIRS}.get(kind)
    if name in (SPECTROGRAM, PAIRS):
        if name != own:
            raise ValueError(f"'features' {name!r} is for other examples. Received: {kind}, of shape {shape}")
        return spectrogram(shape, required(rate)) if kind == "sounds" else symbol_pairs(shape)
    judge = load(name)
    if judge.card.get("purpose") != "objective":
        raise ValueError(
            f"'features' must name a network of the purpose 'objective': a judge must never be an objective. "
            f"Received: {name!r}, of the purpose {judge.card.get('purpose')!r}"
        )
    rescaling = keras.layers.Rescaling(1.0 / judge.scale, name="unit")
    if kind == "sounds" and judge.example_shape == (FRAMES, BANDS, 1):
        front = log_mel(shape, required(rate))
        return keras.Sequential([keras.Input(shape), front, judge.network, rescaling], name="features")
    if tuple(judge.example_shape) != tuple(shape):
        raise ValueError(
            f"'features' must name a network for images of {tuple(shape)}; make one by "
            f"`meta-gan judge --purpose objective`. Received: {name!r}, for {tuple(judge.example_shape)}"
        )
    return keras.Sequential([keras.Input(shape), judge.network, rescaling], name="features")
