"""`Recipe`: the range of every field, and the fields that contradict one another."""

import dataclasses
import math
import re

import pytest

from meta_gan import presets
from meta_gan.presets import recipe
from tests.presets.helpers import WITHOUT_FEATURES

COUNTS = ("width", "latent_dim", "discriminator_turns", "detail")
COUNTS_OR_NONE = ("embedding_dim", "inner_steps", "holdout", "decay_steps", "seed")
POSITIVE = ("temperature", "inner_rate", "discriminator_inner_rate", "outer_rate", "rule_rate")
POSITIVE += ("penalty_weight", "deviation")
WEIGHTS = ("adversarial", "energy", "nearness", "coarse", "variety", "mode_seeking", "consistency", "clip", "beta")
WEIGHTS += ("cycle", "identity", "content", "truth", "nats")
SHARES = ("outer_first_decay", "outer_second_decay", "averaging", "translation")
CHOICES = ("family", "likelihood", "network", "normalization", "pooling", "loss", "penalty", "algorithm", "rule")
BAD = [
    *[(field, value) for field in COUNTS for value in (0, -1, 2**31, 1.0, True, "4")],
    *[(field, value) for field in COUNTS_OR_NONE for value in (-1, 2**31, 0.0, False, None)],
    *[(field, value) for field in POSITIVE for value in (0.0, -1e-3, math.inf, math.nan, "1", None, True)],
    *[(field, value) for field in WEIGHTS for value in (-1.0, math.inf, math.nan, "1", None, True)],
    *[(field, value) for field in SHARES for value in (-0.1, 1.0, math.nan, "0", False)],
    *[(field, value) for field in CHOICES for value in ("other", "", None, 1)],
    *[("scale_and_shift", value) for value in (1, "true", None)],
    *[(field, value) for field in ("mask", "features") for value in (None, 1, b"x")],
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_what_is_out_of_range_is_refused(field, value):
    message = rf"'{field}' must be .+\. Received: {re.escape(repr(value))}$"
    with pytest.raises(ValueError, match=message):
        presets.get("fomaml", **{field: value})


def test_every_field_has_a_bad_value_above():
    assert {field for field, _ in BAD} == {field.name for field in dataclasses.fields(presets.Recipe)} - {"name"}


@pytest.mark.parametrize("field", [*COUNTS, *COUNTS_OR_NONE, *WEIGHTS, *SHARES])
def test_the_least_value_is_taken(field):
    least = 1 if field in COUNTS else 0
    base = {"inner_steps": "fusion", "detail": "fusion", "beta": "vae"}.get(field, "fomaml")
    base = "translation" if field in recipe._OF_TRANSLATION else base
    assert getattr(presets.get(base, **{field: least}), field) == least


@pytest.mark.parametrize("field", ["decay_steps", "seed", "width", "detail"])
def test_the_greatest_value_is_taken(field):
    assert getattr(presets.get("fusion", **{field: 2**31 - 1}), field) == 2**31 - 1


@pytest.mark.parametrize("field", CHOICES)
def test_the_message_names_the_choices(field):
    with pytest.raises(ValueError, match=rf"'{field}' must be one of \('.+'\)"):
        presets.get("fomaml", **{field: "other"})


TRUTH = "'truth' 0 but of fomaml, maml and conditional, without a learned 'rule'"
TOGETHER = [
    ("dcgan", {"scale_and_shift": True, "mask": "generator"}, "'mask' empty with 'scale_and_shift'"),
    ("fusion", {"scale_and_shift": True, "mask": ""}, "'scale_and_shift' false of 'fusion'"),
    ("translation", {"truth": 1.0, "algorithm": "reptile"}, TRUTH),
    ("translation", {"truth": 1.0, "algorithm": "pretraining"}, TRUTH),
    ("translation", {"truth": 1.0, "algorithm": "maml", "rule": "recurrent"}, TRUTH),
    ("fomaml", {"inner_steps": 0}, "'inner_steps' >= 1 but of 'conditional'"),
    ("sagan", {"inner_steps": 3}, "'inner_steps' 0 of 'conditional'"),
    ("fomaml", {"algorithm": "conditional"}, "'inner_steps' 0 of 'conditional'"),
    ("fomaml", {"embedding_dim": 4}, "'embedding_dim' 0 of a network without conditioning"),
    ("fomaml", {"embedding_dim": 4, "network": "mlp"}, "'embedding_dim' 0 of a network without conditioning"),
    ("fomaml", {"energy": 1.0}, "'energy' 0 without 'features'"),
    ("maml", {"energy": 1.0, "rule": "recurrent"}, "'energy' 0 without 'features'"),
    ("fusion", {"features": ""}, "'energy' 0 without 'features'"),
    ("fomaml", {"features": "mine"}, "'features' empty without 'energy' or a learned 'rule'"),
    ("fusion", {"energy": 0.0}, "'features' empty without 'energy' or a learned 'rule'"),
    ("fomaml", {"rule": "recurrent"}, "'algorithm' maml of a learned 'rule'"),
    ("reptile", {"rule": "meta_sgd"}, "'algorithm' maml of a learned 'rule'"),
    ("fusion", {"rule": "attention"}, "'algorithm' maml of a learned 'rule'"),
    ("maml", {"rule_rate": 1e-2}, "'rule_rate' left alone without a learned 'rule'"),
    ("sagan", {"nearness": 0.5}, "'nearness' 0 but of 'fusion'"),
    ("fusion", {"energy": 0.0, "features": ""}, "'nearness' 0 without 'energy'"),
    (
        "dcgan",
        {"algorithm": "conditional", "inner_steps": 0},
        "another 'algorithm' than 'conditional' of a network without conditioning",
    ),
    ("sagan", {"embedding_dim": 0}, "another 'algorithm' than 'conditional' of a network without conditioning"),
    ("fomaml", {"detail": 3}, "'detail' 2 but of 'fusion'"),
    ("vae", {"deviation": 0.1}, "'deviation' left alone but of gaussian"),
    ("sagan", {"temperature": 1.2}, "'temperature' 1 but of 'fusion'"),
    ("fomaml", {"pooling": "attention"}, "'pooling' mean without 'embedding_dim'"),
    ("fusion", {"embedding_dim": 0, "pooling": "attention"}, "'pooling' mean without 'embedding_dim'"),
    ("sagan", {"normalization": "batch"}, "'normalization' left alone: it has no say"),
    ("fomaml", {"network": "mlp", "normalization": "none"}, "'normalization' left alone: it has no say"),
    ("fomaml", {"variety": 1.0}, "'variety' 0 without 'energy'"),
    ("fomaml", {"holdout": 1}, "'holdout' 0 of a network without conditioning"),
    ("sagan", {"holdout": 1, "embedding_dim": 0}, "'holdout' 0 of a network without conditioning"),
    ("reptile", {"consistency": 0.1}, "'consistency' 0 but of maml and fomaml"),
    ("fusion", {"consistency": 0.1}, "'consistency' 0 but of maml and fomaml"),
    ("fusion", {"normalization": "layer"}, "'normalization' meta or none"),
    ("fomaml", {"normalization": "meta"}, "'normalization' meta of 'fusion' alone"),
    ("sagan", {"normalization": "meta"}, "'normalization' meta of 'fusion' alone"),
]


@pytest.mark.parametrize(("name", "changes", "sentence"), TOGETHER)
def test_fields_that_contradict_one_another_are_refused(name, changes, sentence):
    with pytest.raises(ValueError) as caught:
        presets.get(name, **changes)
    full = {**dataclasses.asdict(presets.PRESETS[name]), **changes}
    start = f"a recipe of {full['network']!r} and {full['algorithm']!r} needs {sentence}. Received: Recipe("
    assert str(caught.value).startswith(start) and "\n" not in str(caught.value)


FAMILIES = {name: presets.PRESETS[name].family for name in ("fomaml", "vae", "translation")}
MUTE = sorted((name, field) for name, family in FAMILIES.items() for field in recipe._MUTE[family])


@pytest.mark.parametrize(("name", "field"), MUTE)
def test_what_has_no_say_in_a_family_is_left_alone(name, field):
    """Every field that only other families have."""
    changed = {"likelihood": "gaussian", "loss": "wasserstein", "penalty": "none", "features": "mine"}
    changed |= {"holdout": 1, "discriminator_turns": 2, "latent_dim": 3, "normalization": "none"}
    with pytest.raises(ValueError) as caught:
        presets.get(name, **{field: changed.get(field, 0.25)})
    family = presets.PRESETS[name].family
    start = f"a recipe of the family {family!r} needs [{field!r}] left alone. Received: Recipe("
    assert str(caught.value).startswith(start)


@pytest.mark.parametrize("changes", [{"network": "fusion", "normalization": "meta"}, {"algorithm": "dawson"}])
@pytest.mark.parametrize("name", ["vae", "cyclegan"])
def test_other_families_have_no_gan_to_do_with(name, changes):
    changes = {key: value for key, value in changes.items() if name == "vae" or key != "normalization"}
    with pytest.raises(ValueError, match=r"a recipe of the family '\w+' needs another 'network' than 'fusion',"):
        presets.get(name, **changes)


def test_critics_of_a_translation_are_convolutional():
    with pytest.raises(ValueError, match="a recipe of the family 'translation' needs 'network' dcgan"):
        presets.get("translation", network="mlp")


def test_every_sentence_occurs_above():
    assert len({sentence for *_, sentence in TOGETHER}) == 23


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("fusion", WITHOUT_FEATURES),
        ("fusion", {**WITHOUT_FEATURES, "embedding_dim": 0, "normalization": "none", "holdout": 0}),
        ("fusion", {"nearness": 0.0}),
        ("fusion", {"embedding_dim": 0}),
        ("fusion", {"features": "runs/mine", "energy": 2}),
        ("fusion", {"algorithm": "maml", "inner_steps": 1, "consistency": 0.1}),
        ("sagan", {**WITHOUT_FEATURES, "holdout": 1, "algorithm": "reptile", "inner_steps": 2}),
        ("fomaml", {"energy": 1.0, "features": "mine"}),
        ("fomaml", {"consistency": 0.5, "network": "mlp"}),
        ("maml", {"rule": "recurrent", "rule_rate": 1e-2}),
        ("maml", {"rule": "learned_adam", "features": "mine"}),
        ("maml", {"rule": "meta_sgd", "features": "mine", "energy": 1.0}),
        (
            "vae",
            {
                "network": "sagan",
                "embedding_dim": 4,
                "pooling": "attention",
                "likelihood": "gaussian",
                "beta": 0.5,
                "deviation": 0.1,
            },
        ),
        (
            "translation",
            {"embedding_dim": 4, "pooling": "attention", "cycle": 2.0, "algorithm": "conditional", "inner_steps": 0},
        ),
        (
            "cyclegan",
            {"loss": "hinge", "penalty": "none", "algorithm": "maml", "rule": "attention", "consistency": 0.5},
        ),
        ("vae", {"algorithm": "maml", "inner_steps": 1, "rule": "recurrent", "rule_rate": 1e-2, "network": "mlp"}),
        ("fusion", {"rule": "attention", "algorithm": "maml", "inner_steps": 3}),
    ],
)
def test_what_goes_together_is_taken(name, changes):
    taken = presets.get(name, **changes)
    assert all(getattr(taken, field) == value for field, value in changes.items())
