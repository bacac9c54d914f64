"""The presets by name: the numbers of the published recipes, and of our own."""

import dataclasses
import re

import pytest

from meta_gan import presets
from meta_gan.presets.recipe import Recipe

NAMES = ["dawson", "dcgan", "faml", "figr", "fomaml", "fusion", "maml", "pretraining", "reptile", "sagan"]
NAMES = sorted([*NAMES, "vae", "translation", "cyclegan", "sound", "text"])
DEFAULTS = {field.name: field.default for field in dataclasses.fields(Recipe) if field.name != "name"}
FIGR = {
    **{"loss": "wasserstein", "penalty": "gradient", "penalty_weight": 10.0, "rule": "descent", "inner_steps": 10},
    **{"inner_rate": 1e-3, "discriminator_inner_rate": 1e-3, "outer_rate": 1e-4, "clip": 0.0},
}
TRANSLATION = {
    **{"family": "translation", "width": 16, "loss": "least_squares", "penalty_weight": 0.1, "inner_steps": 5},
    "outer_rate": 1e-3,
}
CHANGES = {
    "translation": {**TRANSLATION, "content": 1.0},
    "cyclegan": {**TRANSLATION, "cycle": 10.0, "identity": 5.0},
    "fusion": {
        **{"network": "fusion", "width": 16, "embedding_dim": 64, "normalization": "meta", "temperature": 1.15},
        "loss": "non_saturating",
        **{"penalty_weight": 0.1, "adversarial": 0.3, "energy": 1.0, "features": "omniglot28-objective"},
        **{
            "nearness": 2.0,
            "variety": 1.0,
            "coarse": 2.0,
            "algorithm": "conditional",
            "inner_steps": 0,
            "inner_rate": 1e-2,
        },
        **{"mask": "context$", "holdout": 2, "outer_rate": 1e-3, "outer_first_decay": 0.9},
        **{"outer_second_decay": 0.99, "clip": 0.0, "averaging": 0.999},
    },
    "sagan": {
        **{
            "network": "sagan",
            "embedding_dim": 64,
            "penalty": "none",
            "energy": 1.0,
            "features": "omniglot28-objective",
        },
        **{"coarse": 2.0, "algorithm": "conditional", "inner_steps": 0, "outer_first_decay": 0.0},
        **{"outer_second_decay": 0.9, "averaging": 0.999},
    },
    "sound": {
        **{"network": "fusion", "width": 32, "latent_dim": 32, "normalization": "meta", "features": "spectrogram"},
        **{"loss": "non_saturating", "penalty_weight": 0.1, "adversarial": 0.6, "energy": 1.0, "nearness": 6.0},
        **{"variety": 1.0, "algorithm": "conditional", "inner_steps": 0, "inner_rate": 1e-3, "holdout": 2},
        **{"outer_rate": 1e-3, "outer_first_decay": 0.9, "outer_second_decay": 0.99, "clip": 0.0, "averaging": 0.999},
        **{"temperature": 1.6},
    },
    "text": {
        **{"network": "fusion", "normalization": "meta", "width": 96, "loss": "non_saturating", "penalty_weight": 0.1},
        **{"adversarial": 0.02, "nats": 1.0, "algorithm": "conditional", "inner_steps": 0, "inner_rate": 1e-3},
        **{"discriminator_inner_rate": 1e-3, "holdout": 10, "outer_rate": 3e-3, "outer_second_decay": 0.99},
        **{"clip": 5.0, "averaging": 0.99},
    },
    "dcgan": {},
    "figr": {**FIGR, "algorithm": "reptile"},
    "faml": {
        **{**FIGR, "algorithm": "reptile", "network": "sagan", "embedding_dim": 64},
        **{"loss": "relativistic", "penalty": "none", "mode_seeking": 1.0},
    },
    "dawson": {**FIGR, "algorithm": "dawson"},
    "vae": {
        **{"family": "vae", "latent_dim": 32, "embedding_dim": 64, "algorithm": "conditional", "inner_steps": 0},
        **{"inner_rate": 2e-4, "outer_rate": 1e-3},
    },
    "reptile": {"algorithm": "reptile", "outer_rate": 1e-3},
    "fomaml": {},
    "maml": {"algorithm": "maml", "inner_steps": 5},
    "pretraining": {"algorithm": "pretraining"},
}


def test_the_table_of_presets():
    assert sorted(presets.PRESETS) == NAMES
    assert all(recipe.name == name for name, recipe in presets.PRESETS.items())
    assert next(iter(presets.PRESETS)) == "fusion", "the default of the command line comes first"


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_of_a_preset(name):
    """What a model card says of its recipe must not change under it."""
    found = dataclasses.asdict(presets.PRESETS[name])
    assert found == {"name": name, **DEFAULTS, **CHANGES[name]}


def test_figr_is_reptile_with_wgan_gp_and_descent():
    """The protocol: Reptile + WGAN-GP, SGD 1e-3 x 10 inner steps, outer Adam 1e-4."""
    recipe = presets.get("figr")
    assert (recipe.algorithm, recipe.loss, recipe.penalty) == ("reptile", "wasserstein", "gradient")
    assert (recipe.rule, recipe.inner_rate, recipe.discriminator_inner_rate) == ("descent", 1e-3, 1e-3)
    assert (recipe.inner_steps, recipe.outer_rate) == (10, 1e-4)


def test_faml_is_an_encoder_a_relativistic_average_loss_and_mode_seeking():
    recipe = presets.get("faml")
    assert recipe.embedding_dim > 0 and recipe.network == "sagan"
    assert (recipe.loss, recipe.penalty) == ("relativistic", "none") and recipe.mode_seeking > 0


def test_dawson_is_figr_with_split_opponents():
    figr, dawson = (dataclasses.asdict(presets.get(name)) for name in ("figr", "dawson"))
    assert {key for key in figr if figr[key] != dawson[key]} == {"name", "algorithm"}
    assert dawson["algorithm"] == "dawson"


def test_no_preset_decays_nor_augments():
    """What depends on the length of a run, or is still to be shown to help, is the user's to ask for."""
    assert all(r.decay_steps == 0 and r.translation == 0 and r.consistency == 0 for r in presets.PRESETS.values())


def test_get_changes_fields_of_a_copy():
    recipe = presets.get("maml", width=16, seed=3)
    assert (recipe.name, recipe.width, recipe.seed) == ("maml", 16, 3)
    assert dataclasses.replace(recipe, width=32, seed=0) == presets.PRESETS["maml"] == presets.get("maml")


@pytest.mark.parametrize("name", ["wgan", "", "MAML", None])
def test_an_unknown_preset_is_refused(name):
    with pytest.raises(ValueError, match=rf"a preset must be one of {re.escape(str(NAMES))}. Received: {name!r}"):
        presets.get(name)


@pytest.mark.parametrize("key", ["steps", "name", "Width"])
def test_an_unknown_key_is_refused(key):
    with pytest.raises(ValueError, match=rf"a recipe has the keys \['adversarial', .*\]. Received: \['{key}'\]"):
        presets.get("maml", width=4, **{key: 1})


def test_all_unknown_keys_are_named():
    with pytest.raises(ValueError, match=r"Received: \['colour', 'size'\]"):
        presets.get("maml", size=1, colour=2)


def test_a_recipe_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        presets.get("maml").width = 3
