"""`Recipe`: the range of every setting, and settings that exclude one another."""

import dataclasses
import math
import re

import pytest

from meta_gan import losses, presets
from meta_gan.presets import algorithms, games, networks
from tests.presets.helpers import WITHOUT_FEATURES

COUNTS = [
    *[(kind, field) for kind in networks.NETWORKS.values() for field in ("width", "latent_dim", "detail")],
    *[(kind, "discriminator_turns") for kind in games.GAMES.values()],
    *[(kind, "inner_steps") for kind in algorithms.ALGORITHMS.values()],
    *[(networks.TaskEncoder(), "embedding_dim"), (networks.UNet(), "solver_steps")],
    *[(games.FlowGame(), field) for field in ("draws", "teacher_steps")],
]
COUNTS_OR_NONE = [
    *[(kind, "holdout") for kind in games.GAMES.values()],
    *[(presets.Outer(), "decay_steps"), (presets.Recipe(), "seed")],
]
META_LEARNERS = [*algorithms.HAND_DESIGNED.values(), *algorithms.LEARNED.values()]
POSITIVE = [
    *[(kind, rate) for kind in META_LEARNERS for rate in ("inner_rate", "discriminator_inner_rate", "meta_rate")],
    *[(kind, "temperature") for kind in networks.NETWORKS.values()],
    *[(kind, "one_shot_temperature") for kind in networks.NETWORKS.values()],
    *[(presets.Outer(), "rate"), (games.FlowGame(), "time_scale")],
]
WEIGHTS = [
    *[(games.TranslationGame(), term) for term in ("cycle", "identity", "content", "truth", "energy")],
    *[(games.VAEGame(), "beta"), (presets.Outer(), "clip"), (networks.UNet(), "guidance")],
    (games.FlowGame(), "teacher_guidance"),
    *[(kind, "consistency") for kind in algorithms.ALGORITHMS.values()],
]
SHARES = [(presets.Outer(), field) for field in ("first_decay", "second_decay", "averaging")]
SHARES += [(games.FlowGame(), "unconditional")]
FINITE = [(games.FlowGame(), "time_location")]
CHOICES = [
    *[(kind, "normalization") for kind in networks.NETWORKS.values()],
    *[(networks.TaskEncoder(), "pooling"), (networks.UNet(), "solver")],
    *[(kind, field) for kind in games.GAMES.values() for field in ("loss", "penalty", "likelihood", "task_encoder")],
    *[(games.GANGame(), "augmentation"), (games.GANGame(), "terms")],
    *[(kind, "meta_learner") for kind in algorithms.ALGORITHMS.values()],
    *[(presets.Recipe(), field) for field in ("network", "game", "algorithm", "outer")],
]
FLAGS = [(kind, field) for kind in networks.NETWORKS.values() for field in ("scale_and_shift", "anchored")]
TEXTS = [
    *[(kind, "mask") for kind in algorithms.ALGORITHMS.values()],
    *[(kind, "features") for kind in games.GAMES.values()],
    *[(presets.Recipe(), "name"), (games.FlowGame(), "teacher")],
]
VALUES = [
    (COUNTS, (0, -1, 2**31, 1.0, True, "4", None)),
    (COUNTS_OR_NONE, (-1, 2**31, 0.0, False, None)),
    (POSITIVE, (0.0, -1e-3, math.inf, math.nan, "1", True)),
    (WEIGHTS, (-1.0, math.inf, math.nan, "1", None, True)),
    (FINITE, (math.inf, math.nan, "1", None, True)),
    (SHARES, (-0.1, 1.0, math.nan, "0", False)),
    (CHOICES, ("other", "", 1, losses.Hinge)),
    (FLAGS, (1, "true", None)),
    (TEXTS, (None, 1, b"x")),
]
BAD = [(node, field, value) for places, values in VALUES for node, field in places for value in values]
# Not every kind has every field.
BAD = [(node, field, value) for node, field, value in BAD if hasattr(node, field)]


@pytest.mark.parametrize(("node", "field", "value"), BAD)
def test_what_is_out_of_range_is_refused(node, field, value):
    with pytest.raises(ValueError, match=rf"^'{field}' must be .+\. Received: ") as caught:
        dataclasses.replace(node, **{field: value})
    assert len(str(caught.value)) < 200


def test_every_field_has_a_bad_value_above():
    nodes = [*networks.NETWORKS.values(), *games.GAMES.values(), *algorithms.ALGORITHMS.values(), *META_LEARNERS]
    nodes += [networks.TaskEncoder(), presets.Outer(), presets.Recipe()]
    fields = {(type(node), field.name) for node in nodes for field in dataclasses.fields(node)}
    assert fields == {(type(node), field) for node, field, _ in BAD}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *[(name, 1) for name in ("width", "latent_dim", "detail", "embedding_dim", "discriminator_turns")],
        *[(name, 2**31 - 1) for name in ("width", "detail", "seed", "decay_steps")],
        *[(name, 0) for name in ("holdout", "seed", "decay_steps", "clip", "averaging", "first_decay", "pixels")],
    ],
)
def test_the_ends_of_a_range_are_allowed(setting, value):
    assert presets.get("fusion", {setting: value}) != presets.get("fusion", width=17)


CONDITIONAL = "'algorithm' must be another one than 'conditional' when network is"
TRUTH = "'game.truth' must be 0 unless algorithm is 'conditional', 'fomaml' or 'maml' with a hand-designed meta-learner"
UNUSED = "'game.features' must be '' unless a term or the meta-learner uses it"
NAMELESS = "'game.features' must be the name of a feature network when game.terms.features > 0"
UNCONDITIONED = "'game.task_encoder' must be 'none' when network is 'dcgan', which cannot be conditioned"
RATE = "'algorithm.meta_learner.discriminator_inner_rate' must be None when game is 'vae'"
HAND = "'algorithm.meta_learner' must be one of 'descent', 'momentum', 'adam'. Received: "
TOGETHER = [
    ("dcgan", {"scale_and_shift": True, "mask": "x"}, "'algorithm.mask' must be '' with network.scale_and_shift"),
    ("translation", {"truth": 1.0, "algorithm": "reptile"}, TRUTH),
    ("translation", {"truth": 1.0, "algorithm": "pretraining"}, TRUTH),
    ("translation", {"truth": 1.0, "algorithm": "maml", "meta_learner": "recurrent"}, TRUTH),
    ("fomaml", {"algorithm": "conditional"}, f"{CONDITIONAL} 'dcgan' and game.task_encoder is 'none'"),
    ("sagan", {"task_encoder": "none"}, f"{CONDITIONAL} 'sagan' and game.task_encoder is 'none'"),
    ("fomaml", {"embedding_dim": 4}, UNCONDITIONED),
    ("fomaml", {"embedding_dim": 4, "network": "mlp"}, UNCONDITIONED.replace("dcgan", "mlp")),
    ("fomaml", {"terms.features": 1.0}, NAMELESS),
    ("maml", {"terms.features": 1.0, "meta_learner": "recurrent"}, NAMELESS),
    ("fusion", {"game.features": ""}, NAMELESS),
    ("fomaml", {"game.features": "mine"}, UNUSED),
    ("sagan", {"terms.features": 0.0}, UNUSED),
    ("translation", {"features": "mine"}, UNUSED),
    ("fomaml", {"meta_learner": "recurrent"}, HAND + "'recurrent'"),
    ("reptile", {"meta_learner": "meta_sgd"}, HAND + "'meta_sgd'"),
    ("fusion", {"meta_learner": "attention"}, HAND + "'attention'"),
    ("sagan", {"nearness": 0.5}, "'game.terms.nearness' must be 0 when network is 'sagan'. Received: 0.5"),
    ("fomaml", {"holdout": 1}, "'game.holdout' must be 0 when network is 'dcgan' and game.task_encoder is 'none'"),
    ("vae", {"algorithm": "dawson"}, "'algorithm' must be another one than 'dawson' when game is 'vae'"),
    ("cyclegan", {"algorithm": "dawson"}, "'algorithm' must be another one than 'dawson' when game is 'translation'"),
    ("vae", {"network": "fusion", "normalization": "meta"}, "'network' must be one of 'dcgan', 'mlp', 'sagan' when "),
    ("translation", {"network": "mlp"}, "'network' must be one of 'translator' when game is 'translation'"),
    (
        "fomaml",
        {"network": "translator"},
        "'network' must be one of 'dcgan', 'mlp', 'sagan', 'fusion', 'colour_fusion'",
    ),
    ("vae", {"discriminator_inner_rate": 0.1}, RATE),
    ("fusion", {"network": "dcgan"}, "'network.normalization' must be one of 'none', 'layer', "),
]


@pytest.mark.parametrize(("name", "changes", "message"), TOGETHER)
def test_settings_that_exclude_one_another_are_refused(name, changes, message):
    with pytest.raises(ValueError) as caught:
        presets.get(name, changes)
    text = str(caught.value)
    assert text.startswith(message) and ". Received: " in text and "\n" not in text and len(text) < 220


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("fusion", {"inner_steps": 5}, "when algorithm is 'conditional', but only when it is 'dawson' or 'fomaml' or"),
        ("reptile", {"consistency": 0.1}, "when algorithm is 'reptile', but only when it is 'fomaml' or 'maml'"),
        ("fomaml", {"detail": 3}, "when network is 'dcgan', but only when it is 'fusion'"),
        ("sagan", {"temperature": 1.2}, "when network is 'sagan', but only when it is 'fusion'"),
        ("fusion", {"scale_and_shift": True}, "when network is 'fusion', but only when it is 'dcgan' or 'mlp' or"),
        ("vae", {"deviation": 0.1}, "when game.likelihood is 'bernoulli', but only when it is 'gaussian'"),
        ("sagan", {"penalty_weight": 2.0}, "when game.penalty is 'none', but only when it is 'gradient' or 'r1'"),
        ("maml", {"meta_rate": 0.1}, "when algorithm.meta_learner is 'adam', but only when it is 'meta_sgd' or"),
        ("fomaml", {"cycle": 1.0}, "when game is 'gan', but only when it is 'translation'"),
        ("vae", {"penalty": "none"}, "when game is 'vae', but only when it is 'gan' or 'translation'"),
        ("translation", {"latent_dim": 3}, "when network is 'translator', but only when it is 'dcgan' or"),
    ],
)
def test_a_field_that_a_kind_does_not_have_cannot_be_set(name, changes, message):
    (key,) = changes
    with pytest.raises(ValueError, match=rf"^{re.escape(repr(key))} must not be set {re.escape(message)}"):
        presets.get(name, changes)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("fusion", WITHOUT_FEATURES),
        ("fusion", {**WITHOUT_FEATURES, "task_encoder": "none", "normalization": "none", "holdout": 0}),
        ("fusion", {"nearness": 0.0}),
        ("fusion", {"task_encoder": "none"}),
        ("fusion", {"game.features": "runs/mine", "terms.features": 2}),
        ("fusion", {"algorithm": "maml", "inner_steps": 1, "consistency": 0.1}),
        ("sagan", {"terms.features": 0, "game.features": "", "holdout": 1, "algorithm": "reptile", "inner_steps": 2}),
        ("fomaml", {"terms.features": 1.0, "game.features": "mine"}),
        ("fomaml", {"consistency": 0.5, "network": "mlp"}),
        ("maml", {"meta_learner": "recurrent", "meta_rate": 1e-2}),
        ("maml", {"meta_learner": "learned_adam", "game.features": "mine"}),
        ("maml", {"meta_learner": "meta_sgd", "game.features": "mine", "terms.features": 1.0}),
        (
            "vae",
            {"network": "sagan", "embedding_dim": 4, "pooling": "attention", "likelihood": "gaussian", "beta": 0.5},
        ),
        ("vae", {"likelihood": "gaussian", "deviation": 0.1}),
        ("translation", {"embedding_dim": 4, "pooling": "attention", "cycle": 2.0, "algorithm": "conditional"}),
        ("translation", {"algorithm": "conditional", "truth": 1.0}),
        ("cyclegan", {"loss": "hinge", "penalty": "none", "algorithm": "maml", "meta_learner": "attention"}),
        ("vae", {"algorithm": "maml", "inner_steps": 1, "meta_learner": "recurrent", "network": "mlp"}),
        ("fusion", {"meta_learner": "attention", "algorithm": "maml", "inner_steps": 3}),
    ],
)
def test_what_goes_together_is_allowed(name, changes):
    made = presets.get(name, changes)
    assert made == presets.change(made, changes) and made != presets.PRESETS[name]
    assert presets.from_config(made.to_config()) == made


def test_a_recipe_of_parts():
    """A recipe can be made of the same parts as a preset."""
    game = games.GANGame(loss=losses.Hinge(), penalty=losses.R1(0.5))
    recipe = presets.Recipe("mine", networks.DCGAN(width=4), game, algorithms.MAML(inner_steps=3))
    same = presets.get("maml", name="mine", width=4, penalty_weight=0.5, inner_steps=3)
    assert recipe == presets.change(same, {"discriminator_inner_rate": None})


def test_inner_steps_and_learned():
    assert [presets.get(name).inner_steps for name in ("fusion", "maml", "figr")] == [0, 5, 10]
    assert presets.get("maml", meta_learner="attention").learned and not presets.get("maml").learned


def test_rates_of_players():
    rates = algorithms.Adam(0.5).rates(("generator", "discriminator"))
    assert rates == {"generator": 0.5, "discriminator": 0.5}
    rates = algorithms.Adam(0.5, discriminator_inner_rate=0.25).rates(("generator", "discriminator"))
    assert rates == {"generator": 0.5, "discriminator": 0.25}
    assert algorithms.Adam(0.5).rates(("autoencoder",)) == {"autoencoder": 0.5}
