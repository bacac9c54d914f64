"""The presets: recipes by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from meta_gan import losses
from meta_gan.checks import check_choice
from meta_gan.games import Terms
from meta_gan.presets.algorithms import DAWSON, FOMAML, MAML, Adam, Conditional, GradientDescent, Pretraining, Reptile
from meta_gan.presets.games import FlowGame, GANGame, TranslationGame, VAEGame
from meta_gan.presets.networks import DCGAN, SAGAN, Fusion, TaskEncoder, Translator, UNet
from meta_gan.presets.nodes import change
from meta_gan.presets.recipe import Outer, Recipe

OBJECTIVE = "omniglot28-objective"
"""The shipped feature network for 28x28 drawings, light on dark; for objectives only, never a judge."""

_ADAM = Adam(2e-3, discriminator_inner_rate=2e-3)
_FUSION = Recipe(
    "fusion",
    # Of the multiples of .05, the lowest temperature at which at most 4.5 % of validation samples are copies; with one
    # support image, that of the least energy distance on validation classes.
    Fusion(width=16, temperature=1.15, one_shot_temperature=1.75),
    GANGame(
        TaskEncoder(64),
        losses.NonSaturating(),
        losses.R1(0.1),
        features=OBJECTIVE,
        terms=Terms(adversarial=0.3, features=1.0, nearness=2.0, variety=1.0, pixels=2.0),
        holdout=2,
    ),
    # Inner steps adapt only the task embedding: adapting all weights at 1e-3 was measured to be worse.
    Conditional(Adam(1e-2, discriminator_inner_rate=2e-3), mask="context$"),
    Outer(1e-3, first_decay=0.9, second_decay=0.99, clip=0.0, averaging=0.999),
)
_SAGAN = Recipe(
    "sagan",
    SAGAN(),
    GANGame(TaskEncoder(64), penalty=None, features=OBJECTIVE, terms=Terms(features=1.0, pixels=2.0)),
    Conditional(_ADAM),
    Outer(first_decay=0.0, second_decay=0.9, averaging=0.999),
)
# As `fusion`, but in features of spectrograms.
_SOUND = Recipe(
    "sound",
    # At this temperature a sample of the validation speaker is as rarely a copy as another take by a speaker is.
    Fusion(width=32, latent_dim=32, temperature=1.6),
    GANGame(
        loss=losses.NonSaturating(),
        penalty=losses.R1(0.1),
        features="spectrogram",
        terms=Terms(adversarial=0.6, features=1.0, nearness=6.0, variety=1.0),
        holdout=2,
    ),
    Conditional(Adam(1e-3, discriminator_inner_rate=2e-3)),
    _FUSION.outer,
)
_TEXT = Recipe(
    "text",
    Fusion(width=96),
    GANGame(
        loss=losses.NonSaturating(),
        penalty=losses.R1(0.1),
        # The adversarial gradient is noisy, because symbols are chosen: its weight keeps the likelihood in the lead.
        terms=Terms(adversarial=0.02, likelihood=1.0),
        holdout=10,
    ),
    Conditional(Adam(1e-3, discriminator_inner_rate=1e-3)),
    Outer(3e-3, second_decay=0.99, clip=5.0, averaging=0.99),
)

# The published methods, re-implemented on the networks of this package. The algorithm, the loss and the rates are
# those of the papers, as far as the papers give them.
_DESCENT = GradientDescent(1e-3, discriminator_inner_rate=1e-3)
_FIGR = Recipe(  # Clouatre and Demers, "FIGR: Few-shot Image Generation with Reptile", 2019
    "figr",
    game=GANGame(loss=losses.Wasserstein(), penalty=losses.GradientPenalty(10.0)),
    algorithm=Reptile(_DESCENT),
    outer=Outer(1e-4, clip=0.0),
)
_DAWSON = replace(_FIGR, name="dawson", algorithm=DAWSON(_DESCENT))  # Liang, Liu and Liu, "DAWSON", 2020
_FAML = replace(  # Phaphuangwittayakul, Guo and Ying, "Fast Adaptive Meta-Learning for Few-shot Image Generation", 2021
    _FIGR,
    name="faml",
    network=SAGAN(),
    game=GANGame(TaskEncoder(64), losses.RelativisticAverage(), None, terms=Terms(mode_seeking=1.0)),
)

# Conditioning on the support set brings it closer, in equal time, than inner steps in training do.
_VAE = Recipe(
    "vae", DCGAN(latent_dim=32), VAEGame(TaskEncoder(64)), algorithm=Conditional(Adam(2e-4)), outer=Outer(1e-3)
)
# One way, where the content term ties a translation to its input.
_ONE_WAY = TranslationGame(loss=losses.LeastSquares(), penalty=losses.R1(0.1), content=1.0)
_TRANSLATION = Recipe("translation", Translator(width=16), _ONE_WAY, FOMAML(_ADAM, inner_steps=5), Outer(1e-3))
# There and back: Zhu et al., 2017.
_CYCLEGAN = replace(_TRANSLATION, name="cyclegan", game=replace(_ONE_WAY, content=0.0, cycle=10.0, identity=5.0))

_FLOW = Recipe(
    "flow",
    UNet(anchored=True, guidance=2.0),
    FlowGame(TaskEncoder(64), unconditional=0.1),
    # As in `fusion`, inner steps adapt only the task embedding.
    Conditional(Adam(1e-2), mask="context$"),
    Outer(1e-3, first_decay=0.9, second_decay=0.99, clip=1.0, averaging=0.999),
)
# A trained flow in four steps: `--start` gives its weights to the generator, and `fusion`'s losses, of the samples
# themselves, do the rest.
_FEW_STEP_FLOW = replace(
    _FUSION,
    name="few-step-flow",
    network=UNet(anchored=True, solver_steps=4),
    algorithm=_FLOW.algorithm,
    outer=replace(_FUSION.outer, rate=5e-4, clip=10.0),
)
# A meta-learned initialisation of an unconditional flow.
_ADAPTED_FLOW = Recipe("reptile-flow", UNet(), FlowGame(draws=4), Reptile(Adam(1e-3)), Outer(1e-3, averaging=0.999))
_MAML_FLOW = replace(_ADAPTED_FLOW, name="maml-flow", algorithm=MAML(Adam(1e-3), inner_steps=5))

PRESETS = {
    recipe.name: recipe
    for recipe in (
        _FUSION,
        _SAGAN,
        _SOUND,
        _TEXT,
        Recipe("dcgan", algorithm=FOMAML(_ADAM)),
        _FIGR,
        _FAML,
        _DAWSON,
        _VAE,
        _TRANSLATION,
        _CYCLEGAN,
        _FLOW,
        _FEW_STEP_FLOW,
        _ADAPTED_FLOW,
        _MAML_FLOW,
        Recipe("reptile", algorithm=Reptile(_ADAM), outer=Outer(1e-3)),
        Recipe("fomaml", algorithm=FOMAML(_ADAM)),
        Recipe("maml", algorithm=MAML(_ADAM, inner_steps=5)),
        Recipe("pretraining", algorithm=Pretraining(_ADAM)),
    )
}


def get(name: str, changes: Mapping[str, Any] | None = None, /, **more: Any) -> Recipe:
    """Return a preset, with some settings changed.

    Args:
        name: one of `PRESETS`.
        changes: `{setting: value}`, as for `change`.
        **more: further changes, of settings whose names are Python names.

    Raises:
        ValueError: an unknown preset or setting, or a value out of its range.

    Example:
        >>> get("fomaml", {"penalty.weight": 2.0}, width=16).network.width
        16
    """
    return change(PRESETS[check_choice(name, "preset", sorted(PRESETS))], {**(changes or {}), **more})
