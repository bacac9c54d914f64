"""The presets by name: the numbers of the published methods, and of our own."""

import dataclasses
import warnings

import pytest

from meta_gan import losses, presets
from meta_gan.presets.algorithms import GradientDescent, Reptile
from tests.presets.helpers import flat

NAMES = ["dawson", "dcgan", "faml", "figr", "fomaml", "fusion", "maml", "pretraining", "reptile", "sagan"]
NAMES = [*NAMES, "vae", "translation", "cyclegan", "sound", "text", "flow", "few-step-flow"]
NAMES = sorted([*NAMES, "reptile-flow", "maml-flow"])


ADAM = {"algorithm.meta_learner.discriminator_inner_rate": 2e-3}
TASK_ENCODER = {
    "game.task_encoder.kind": "task_encoder",
    "game.task_encoder.embedding_dim": 64,
    "game.task_encoder.pooling": "mean",
}
CONDITIONAL = {"algorithm.kind": "conditional", "algorithm.inner_steps": None, "algorithm.consistency": None}
FUSION = {
    **{"network.kind": "fusion", "network.normalization": "meta", "network.detail": 2, "network.temperature": 1.0},
    **{"network.one_shot_temperature": None},
    **{"network.scale_and_shift": None, "game.loss.kind": "non_saturating", "game.penalty.weight": 0.1, **CONDITIONAL},
}
OUTER = {
    **{"outer.rate": 1e-3, "outer.first_decay": 0.9, "outer.second_decay": 0.99},
    **{"outer.clip": 0.0, "outer.averaging": 0.999},
}
FIGR = {
    **{"game.loss.kind": "wasserstein", "game.penalty.kind": "gradient", "game.penalty.weight": 10.0},
    **{"game.penalty.target": 1.0, "algorithm.kind": "reptile", "algorithm.meta_learner.kind": "descent"},
    **{"algorithm.meta_learner.inner_rate": 1e-3, "algorithm.meta_learner.discriminator_inner_rate": 1e-3},
    **{"algorithm.inner_steps": 10, "algorithm.consistency": None, "outer.rate": 1e-4, "outer.clip": 0.0},
}
# For every preset what differs from `Recipe()`; None for a setting that its kinds do not have.
CHANGES = {
    "fusion": {
        **{**FUSION, **TASK_ENCODER, **OUTER, "network.width": 16, "network.temperature": 1.15},
        **{"network.one_shot_temperature": 1.75},
        **{"game.features": "omniglot28-objective", "game.holdout": 2, "game.terms.adversarial": 0.3},
        **{"game.terms.features": 1.0, "game.terms.nearness": 2.0, "game.terms.variety": 1.0, "game.terms.pixels": 2.0},
        **{**ADAM, "algorithm.mask": "context$", "algorithm.meta_learner.inner_rate": 1e-2},
    },
    "sagan": {
        **{**TASK_ENCODER, **CONDITIONAL, **ADAM, "network.kind": "sagan", "network.normalization": None},
        **{"game.penalty.kind": "none", "game.penalty.weight": None, "game.features": "omniglot28-objective"},
        **{"game.terms.features": 1.0, "game.terms.pixels": 2.0},
        **{"outer.first_decay": 0.0, "outer.second_decay": 0.9, "outer.averaging": 0.999},
    },
    "sound": {
        **{**FUSION, **OUTER, "network.latent_dim": 32, "network.temperature": 1.6, "game.features": "spectrogram"},
        **{"game.terms.adversarial": 0.6, "game.terms.features": 1.0, "game.terms.nearness": 6.0},
        **{"game.terms.variety": 1.0, "game.holdout": 2, **ADAM, "algorithm.meta_learner.inner_rate": 1e-3},
    },
    "text": {
        **{**FUSION, "network.width": 96, "game.terms.adversarial": 0.02, "game.terms.likelihood": 1.0},
        **{"game.holdout": 10, "algorithm.meta_learner.inner_rate": 1e-3},
        **{"algorithm.meta_learner.discriminator_inner_rate": 1e-3, "outer.rate": 3e-3, "outer.second_decay": 0.99},
        **{"outer.clip": 5.0, "outer.averaging": 0.99},
    },
    "dcgan": ADAM,
    "figr": FIGR,
    "faml": {
        **{**FIGR, **TASK_ENCODER, "network.kind": "sagan", "network.normalization": None},
        **{"game.loss.kind": "relativistic", "game.penalty.kind": "none", "game.penalty.weight": None},
        **{"game.penalty.target": None, "game.terms.mode_seeking": 1.0},
    },
    "dawson": {**FIGR, "algorithm.kind": "dawson"},
    "vae": {
        **{**TASK_ENCODER, **CONDITIONAL, "network.latent_dim": 32, "game.kind": "vae", "game.beta": 1.0},
        **{"game.likelihood.kind": "bernoulli", "game.likelihood.noise": 1e-3},
        **{"algorithm.meta_learner.inner_rate": 2e-4, "outer.rate": 1e-3},
    },
    "translation": {
        **{**ADAM, "network.kind": "translator", "network.width": 16, "game.kind": "translation"},
        **{"game.loss.kind": "least_squares", "game.penalty.weight": 0.1, "game.content": 1.0, "game.cycle": 0.0},
        **{"game.identity": 0.0, "game.truth": 0.0, "game.energy": 0.0, "network.latent_dim": None},
        **{"network.normalization": None, "algorithm.inner_steps": 5, "outer.rate": 1e-3},
    },
    "reptile": {**ADAM, "algorithm.kind": "reptile", "algorithm.consistency": None, "outer.rate": 1e-3},
    "fomaml": ADAM,
    "maml": {**ADAM, "algorithm.kind": "maml", "algorithm.inner_steps": 5},
    "pretraining": {**ADAM, "algorithm.kind": "pretraining", "algorithm.consistency": None},
}
CHANGES["cyclegan"] = {**CHANGES["translation"], "game.content": 0.0, "game.cycle": 10.0, "game.identity": 5.0}
FLOW = {
    **{"network.kind": "unet", "network.anchored": False, "network.solver": "euler", "network.solver_steps": 16},
    **{"network.guidance": 1.0, "network.temperature": 1.0, "network.latent_dim": None, "network.normalization": None},
    **{"network.scale_and_shift": None, "game.kind": "flow", "game.unconditional": 0.0, "game.draws": 4},
    **{"game.time_location": 0.0, "game.time_scale": 1.0, "algorithm.meta_learner.inner_rate": 1e-3},
    **{"game.teacher": "", "game.teacher_steps": 16, "game.teacher_guidance": 2.0},
    **{"outer.rate": 1e-3, "outer.averaging": 0.999},
}
CHANGES |= {
    "few-step-flow": {
        **{**CHANGES["fusion"], "network.kind": "unet", "network.width": 32, "network.anchored": True},
        **{"network.solver": "euler", "network.solver_steps": 4, "network.guidance": 1.0, "network.temperature": 1.0},
        **dict.fromkeys(["network.one_shot_temperature", "network.detail", "network.latent_dim"]),
        **{"network.normalization": None, "algorithm.meta_learner.discriminator_inner_rate": None},
        **{"outer.rate": 5e-4, "outer.clip": 10.0},
    },
    "flow": {
        **{**FLOW, **TASK_ENCODER, **CONDITIONAL, **OUTER, "network.anchored": True, "network.guidance": 2.0},
        **{"game.unconditional": 0.1, "game.draws": 1, "algorithm.meta_learner.inner_rate": 1e-2},
        **{"algorithm.mask": "context$", "outer.clip": 1.0},
    },
    "reptile-flow": {**FLOW, "algorithm.kind": "reptile", "algorithm.consistency": None},
    "maml-flow": {**FLOW, "algorithm.kind": "maml", "algorithm.inner_steps": 5},
}
ONLY_GAN = ("game.terms.", "game.augmentation.", "game.holdout")
ADVERSARIAL = ("game.loss.", "game.penalty.", "game.discriminator_turns", "game.features")
ONLY_ADVERSARIAL = (*ONLY_GAN, *ADVERSARIAL)
ABSENT = dict.fromkeys(("flow", "reptile-flow", "maml-flow"), ("game.terms.", "game.augmentation.", *ADVERSARIAL))
ABSENT |= {"vae": ONLY_ADVERSARIAL, "translation": ONLY_GAN, "cyclegan": ONLY_GAN}


def test_the_table_of_presets():
    assert sorted(presets.PRESETS) == NAMES
    assert all(recipe.name == name for name, recipe in presets.PRESETS.items())
    assert next(iter(presets.PRESETS)) == "fusion", "the default of the command line comes first"


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_of_a_preset(name):
    """What a model card says of its recipe must not change under it."""
    expected = {**flat(presets.Recipe().to_config()), "name": name, **CHANGES[name]}
    expected = {key: value for key, value in expected.items() if not key.startswith(ABSENT.get(name, "absent"))}
    found = flat(presets.PRESETS[name].to_config())
    assert found == {key: value for key, value in expected.items() if value is not None or found.get(key, 0) is None}


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_as_a_tree_and_back(name):
    assert presets.from_config(presets.get(name).to_config()) == presets.get(name) == presets.PRESETS[name]


def test_figr_is_reptile_with_wgan_gp_and_descent():
    """The protocol: Reptile + WGAN-GP, SGD 1e-3 x 10 inner steps, outer Adam 1e-4."""
    recipe = presets.get("figr")
    assert (recipe.game.loss, recipe.game.penalty) == (losses.Wasserstein(), losses.GradientPenalty(10.0))
    assert recipe.algorithm == Reptile(GradientDescent(1e-3, 1e-3), inner_steps=10) and recipe.outer.rate == 1e-4


def test_faml_is_an_encoder_a_relativistic_average_loss_and_mode_seeking():
    game = presets.get("faml").game
    assert game.task_encoder is not None and game.loss == losses.RelativisticAverage() and game.penalty is None
    assert game.terms.mode_seeking > 0


def test_dawson_is_figr_with_split_opponents():
    figr, dawson = (flat(presets.get(name).to_config()) for name in ("figr", "dawson"))
    assert {key for key in figr if figr[key] != dawson[key]} == {"name", "algorithm.kind"}


def test_no_preset_decays_nor_augments():
    """What depends on the length of a run, or is still to be shown to help, is the user's choice."""
    for name in NAMES:
        settings = flat(presets.get(name).to_config())
        assert settings["outer.decay_steps"] == settings.get("algorithm.consistency", 0) == 0
        assert settings.get("game.augmentation.kind", "none") == "none"


def test_get_changes_settings_of_a_copy():
    recipe = presets.get("maml", {"penalty.weight": "2.5"}, width=16, seed=3)
    assert (recipe.name, recipe.network.width, recipe.seed, recipe.game.penalty) == ("maml", 16, 3, losses.R1(2.5))
    back = presets.change(recipe, {"width": 32, "seed": 0, "game.penalty.weight": 1})
    assert back == presets.PRESETS["maml"] == presets.get("maml")


@pytest.mark.parametrize(
    ("key", "value", "path"),
    [
        ("nearness", 3.0, "game.terms.nearness"),
        ("outer_rate", "1e-4", "outer.rate"),
        ("outer_first_decay", 0.25, "outer.first_decay"),
        ("inner_rate", 0.5, "algorithm.meta_learner.inner_rate"),
        ("penalty_weight", 2.0, "game.penalty.weight"),
        ("embedding_dim", "8", "game.task_encoder.embedding_dim"),
        ("translation", 0.25, "game.augmentation.translation"),
        ("loss", "hinge", "game.loss.kind"),
    ],
)
def test_names_of_earlier_versions_that_are_still_good(key, value, path):
    found = flat(presets.get("fusion", {key: value}).to_config())[path]
    assert str(float(found) if path != "game.loss.kind" else found) == str(
        float(value) if path != "game.loss.kind" else value
    )


@pytest.mark.parametrize("name", ["wgan", "", "MAML", None])
def test_an_unknown_preset_is_refused(name):
    with pytest.raises(ValueError) as caught:
        presets.get(name)
    assert str(caught.value) == f"'preset' must be one of {', '.join(map(repr, NAMES))}. Received: {name!r}"


@pytest.mark.parametrize(("key", "meant"), [("steps", None), ("Width", "width"), ("rate_", "rate"), ("colour", None)])
def test_an_unknown_setting_is_refused(key, meant):
    hint = rf"\. Did you mean '{meant}'\?" if meant else ""
    choices = "" if meant else ", one of name, network, .*"
    refusal = rf"^'{key}' must be a setting{choices}\. Received: '{key}'{hint}$"
    with pytest.raises(ValueError, match=refusal):
        presets.get("maml", {key: 1}, width=4)


def test_features_alone_is_ambiguous():
    """The network and the weight of its term have one name, as in the game."""
    with pytest.raises(
        ValueError, match=r"^'features' must name one setting, 'game.features' or 'game.terms.features'"
    ):
        presets.get("fusion", features="mine")


def test_a_recipe_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        presets.get("maml").network.width = 3


@pytest.mark.parametrize(
    ("preset", "earlier", "present"),
    [
        ("maml", {"rule": "meta_sgd", "rule_rate": "0.01"}, {"meta_learner": "meta_sgd", "meta_rate": "0.01"}),
        ("vae", {"code_dim": 8}, {"embedding_dim": 8, "algorithm": "conditional"}),
        ("vae", {"code_dim": "0", "algorithm": "fomaml"}, {"task_encoder": "none", "algorithm": "fomaml"}),
        ("fusion", {"energy": 2.0, "coarse": 0.5}, {"terms.features": 2.0, "terms.pixels": 0.5}),
    ],
)
def test_settings_of_an_earlier_version_are_read_with_a_warning(preset, earlier, present):
    with pytest.warns(FutureWarning, match=r"the setting '.*' is now '.*'"):
        found = presets.get(preset, **earlier)
    assert found == presets.change(presets.get(preset), present)


def test_a_setting_that_exists_is_no_earlier_name():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert presets.get("cyclegan", energy=2.0).game.energy == 2.0
