"""Every preset builds and learns; every field is checked, and reaches the model."""

import dataclasses
import math
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan import losses, meta_learners, networks, presets
from meta_gan.meta import Displacement, JointTraining, Unrolled
from tests.toys import random_episodes

SHAPE = (8, 8, 1)
TINY = {"network": "mlp", "width": 3, "latent_dim": 2, "inner_steps": 1}


def build(name="fomaml", **changes):
    return presets.build(presets.get(name, **{**TINY, **changes}), SHAPE)


@pytest.mark.parametrize("name", sorted(presets.PRESETS))
def test_every_preset_makes_a_step_as_it_is(name):
    # At its own width a preset takes a minute to trace; only the size of the nets is changed.
    recipe = presets.get(name, width=2, latent_dim=2, inner_steps=2)
    model = presets.build(recipe, SHAPE)
    before = [np.array(v) for v in model.variables]
    metrics = tf.function(model.meta_step, autograph=False)(random_episodes(shape=SHAPE))
    assert all(math.isfinite(float(value)) for value in metrics.values())
    assert {"gradient_norm/generator", "gradient_norm/discriminator"} < set(metrics)
    kernels = [(a, np.array(v)) for a, v in zip(before, model.variables, strict=True) if a.ndim > 1]
    assert all(not np.array_equal(a, b) for a, b in kernels)


def test_the_table_of_presets():
    assert sorted(presets.PRESETS) == ["fomaml", "maml", "pretraining", "reptile"]
    assert all(recipe.name == recipe.algorithm == name for name, recipe in presets.PRESETS.items())


def test_get_changes_fields_of_a_copy():
    recipe = presets.get("maml", width=16, seed=3)
    assert (recipe.name, recipe.width, recipe.seed) == ("maml", 16, 3)
    assert dataclasses.replace(recipe, width=32, seed=0) == presets.PRESETS["maml"] == presets.get("maml")


@pytest.mark.parametrize("name", ["wgan", "", "MAML", None])
def test_an_unknown_preset_is_refused(name):
    names = re.escape("['fomaml', 'maml', 'pretraining', 'reptile']")
    with pytest.raises(ValueError, match=rf"a preset must be one of {names}. Received: {name!r}"):
        presets.get(name)


@pytest.mark.parametrize("key", ["steps", "name", "Width"])
def test_an_unknown_key_is_refused(key):
    with pytest.raises(ValueError, match=rf"a recipe has the keys \['algorithm', .*\]. Received: \['{key}'\]"):
        presets.get("maml", width=4, **{key: 1})


COUNTS = ("width", "latent_dim", "discriminator_turns", "inner_steps")
RATES = ("inner_rate", "discriminator_inner_rate", "outer_rate", "penalty_weight")
DECAYS = ("outer_first_decay", "averaging")
CHOICES = ("network", "normalization", "loss", "penalty", "algorithm", "rule")
BAD = [
    *[(field, value) for field in COUNTS for value in (0, -1, 2**31, 1.0, True, "4")],
    *[(field, value) for field in RATES for value in (0.0, -1e-3, math.inf, math.nan, "1", None)],
    *[(field, value) for field in DECAYS for value in (-0.1, 1.0, math.nan, "0")],
    *[(field, value) for field in CHOICES for value in ("other", "", None, 1)],
    *[("clip", value) for value in (-1.0, math.inf, math.nan, None)],
    *[("seed", value) for value in (-1, 2**31, 0.0)],
    ("paths", None),
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_what_is_out_of_range_is_refused(field, value):
    message = rf"'{field}' must be .+\. Received: {re.escape(repr(value))}$"
    with pytest.raises(ValueError, match=message):
        presets.get("fomaml", **{field: value})


def test_every_field_has_a_bad_value_above():
    assert {field for field, _ in BAD} == {field.name for field in dataclasses.fields(presets.Recipe)} - {"name"}


@pytest.mark.parametrize("field", [*COUNTS, *DECAYS, "clip", "seed"])
def test_the_least_value_is_taken(field):
    least = 1 if field in COUNTS else 0
    assert getattr(presets.get("fomaml", **{field: least}), field) == least


@pytest.mark.parametrize("paths", ["(", "no such weight"])
def test_paths_that_choose_nothing_are_refused_by_build(paths):
    with pytest.raises(ValueError, match=r"'paths' must .*Received: "):
        build(paths=paths)


def test_rates_reach_the_inner_rule_and_the_outer_optimizers():
    model = build(inner_rate=0.25, discriminator_inner_rate=0.5, outer_rate=0.125, outer_first_decay=0.75)
    assert model.meta_learner.rates.value == {"generator": 0.25, "discriminator": 0.5}
    assert set(model.optimizers) == {"generator", "discriminator"}
    for optimizer in model.optimizers.values():
        assert type(optimizer) is keras.optimizers.Adam
        assert float(optimizer.learning_rate) == 0.125 and optimizer.beta_1 == 0.75


@pytest.mark.parametrize(
    ("rule", "kind"),
    [("descent", meta_learners.GradientDescent), ("momentum", meta_learners.Momentum), ("adam", meta_learners.Adam)],
)
def test_the_rule(rule, kind):
    assert type(build(rule=rule).meta_learner) is kind


@pytest.mark.parametrize(
    ("algorithm", "kind", "order"),
    [
        ("maml", Unrolled, 2),
        ("fomaml", Unrolled, 1),
        ("reptile", Displacement, None),
        ("pretraining", JointTraining, None),
    ],
)
def test_the_algorithm(algorithm, kind, order):
    model = build(algorithm=algorithm, inner_steps=7)
    assert type(model.algorithm.estimator) is kind and model.algorithm.inner_steps == 7
    assert getattr(model.algorithm.estimator, "order", None) == order
    assert model.algorithm.name == "fomaml", "the name is the preset's, which says where the rest came from"


@pytest.mark.parametrize(
    ("penalty", "wanted"),
    [("none", None), ("gradient", losses.GradientPenalty(weight=2.5)), ("r1", losses.R1(weight=2.5))],
)
def test_the_penalty_and_its_weight(penalty, wanted):
    assert build(penalty=penalty, penalty_weight=2.5).game.penalty == wanted


@pytest.mark.parametrize("loss", sorted(presets.LOSSES))
def test_the_loss(loss):
    assert type(build(loss=loss).game.loss_function) is presets.LOSSES[loss]


def test_turns():
    assert build(discriminator_turns=3).game.turns == ((("discriminator",), 3), (("generator",), 1))


@pytest.mark.parametrize(("clip", "wanted"), [(0.0, None), (0.5, 0.5)])
def test_clip_scales_the_step_of_a_player(clip, wanted):
    model = build(clip=clip)
    assert model._clips == {"generator": wanted, "discriminator": wanted}


@pytest.mark.parametrize("averaging", [0.0, 0.5])
def test_averaging_is_of_all_weights_or_none(averaging):
    model = build(averaging=averaging, outer_rate=0.1)
    assert model.averaging == (averaging or None)
    start = model.meta_weights().initial.weights["generator"][0].numpy()
    model.meta_step(random_episodes(shape=SHAPE))
    end = model.meta_weights().initial.weights["generator"][0].numpy()
    averaged = model.meta_weights(averaged=True).initial.weights["generator"][0].numpy()
    np.testing.assert_allclose(averaged, (start + end) / 2 if averaging else end, rtol=1e-6, atol=1e-7)
    assert not np.array_equal(start, end)


def test_paths_choose_what_adapts():
    model = build(paths="^generator/.*bias")
    assert model.paths["discriminator"] == ()
    assert len(model.paths["generator"]) == 3, "two hidden layers and the image"


@pytest.mark.parametrize(
    ("network", "kinds"),
    [
        ("mlp", (networks.MLPGenerator, networks.MLPDiscriminator)),
        ("dcgan", (networks.DCGANGenerator, networks.DCGANDiscriminator)),
    ],
)
def test_the_networks(network, kinds):
    nets = build(network=network, width=3, latent_dim=5, seed=9).game.nets
    assert (type(nets["generator"]), type(nets["discriminator"])) == kinds
    for net in nets.values():
        assert (net.width, net.seed, tuple(net.image_shape)) == (3, 9, SHAPE)
    assert nets["generator"].latent_dim == 5


@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_normalization_is_the_generators(normalization):
    nets = build(network="dcgan", normalization=normalization).game.nets
    assert nets["generator"].normalization == normalization
    assert len(nets["generator"].non_trainable_variables) == (4 if normalization == "batch" else 0)
    assert nets["discriminator"].non_trainable_variables == []


def test_the_seed_is_the_initial_weights():
    first, same, other = (build(seed=seed).variables for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])
