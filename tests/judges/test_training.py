"""Training of judges on noisy patterns of 8x8: what it depends on, what it must not see, and that it learns."""

import dataclasses
import functools
import hashlib

import numpy as np
import pytest
import tensorflow as tf

from meta_gan import features
from meta_gan.features import NETWORKS, FeatureNetwork
from meta_gan.judges import Judge, JudgeRecipe, train_judge
from meta_gan.judges.training import PINNED, prototypical_loss, restrict, validate, within_class_distance
from meta_gan.tasks import DataError, Source
from tests.toys import weekly

SIDE, CLASSES, EACH = 8, 20, 12
SPLIT = np.array([0] * 10 + [1] * 6 + [2] * 4, np.int8)
TINY = JudgeRecipe("prototypical", "conv4", 8, False, 3, ways=5, shots=2, queries=3, rate=0.01, purpose="objective")
TINIES = {
    "prototypical": TINY,
    "classification": dataclasses.replace(TINY, method="classification", augmentation=True, batch=30),
    "contrastive": dataclasses.replace(TINY, method="contrastive", augmentation=True, batch=30),
}


def patterns(split=SPLIT, seed=0):
    """A source of CLASSES faint random patterns; every image, EACH of a class, is as much lighter or darker."""
    draw = np.random.default_rng(seed)
    clean = draw.choice([-25.0, 25.0], (CLASSES, SIDE, SIDE, 1))
    labels = draw.permutation(np.repeat(np.arange(CLASSES, dtype=np.int32), EACH))
    light = draw.uniform(-100, 100, (len(labels), 1, 1, 1))
    images = 128 + clean[labels] + light + draw.normal(0, 10, (len(labels), SIDE, SIDE, 1))
    names = [f"pattern {index}" for index in range(CLASSES)]
    return Source(np.clip(images, 0, 255).astype(np.uint8), labels, names, split, name="patterns")


SOURCE = patterns()


@functools.cache
def trained(kind):
    """A judge of a tiny recipe; trainings are shared between tests, because a graph takes a second to make."""
    return train_judge(SOURCE, TINIES[kind], name=kind)


def corrupt(source, split):
    """The same source with other pixels in the classes of a split."""
    other = np.isin(source.labels, source.split_classes(split))
    images = np.where(other[:, None, None, None], 255 - source.images, source.images)
    return dataclasses.replace(source, images=images)


def test_only_the_classes_of_a_split_remain():
    part = restrict(SOURCE, "validation")
    assert part.class_names == [f"pattern {index}" for index in range(10, 16)]
    assert part.class_split.tolist() == [0] * 6 and part.name == "patterns"
    for index in range(6):
        np.testing.assert_array_equal(part.images[part.labels == index], SOURCE.images[SOURCE.labels == 10 + index])


def test_groups_stay_with_their_images():
    groups = np.arange(len(SOURCE.labels), dtype=np.int32)
    part = restrict(dataclasses.replace(SOURCE, groups=groups), "test")
    np.testing.assert_array_equal(part.groups, np.flatnonzero(SOURCE.labels >= 16))


def test_a_split_without_classes_is_refused():
    with pytest.raises(DataError, match=r"patterns: the test split must have at least 1 class. Received: 0"):
        restrict(dataclasses.replace(SOURCE, class_split=np.minimum(SPLIT, 1)), "test")


def test_the_prototypical_loss_by_hand():
    """Prototypes 1 and 4; queries 2 and 3 are at squared distances (1, 4) and (4, 1), 5 at (16, 1)."""
    features = tf.constant([[0.0], [2.0], [2.0], [2.0], [3.0], [5.0], [3.0], [5.0]])
    loss, accuracy = prototypical_loss(features, ways=2, shots=2)
    terms = [np.log1p(np.exp(gap)) for gap in (1 - 4, 1 - 4, 1 - 4, 1 - 16)]
    assert float(loss) == pytest.approx(np.mean(terms), rel=1e-5) and float(accuracy) == 1
    swapped = tf.constant([[0.0], [2.0], [5.0], [2.0], [3.0], [5.0], [3.0], [5.0]])
    loss, accuracy = prototypical_loss(swapped, ways=2, shots=2)
    terms[0] = np.log1p(np.exp(16 - 1))
    assert float(loss) == pytest.approx(np.mean(terms), rel=1e-5) and float(accuracy) == 0.75


@pytest.mark.parametrize("kind", ["prototypical", *weekly("classification", "contrastive")])
def test_only_the_training_classes_decide_the_weights(kind):
    """Negatives of all other images change no bit of the weights or the unit; those of the training classes do."""
    first, recipe = trained(kind), TINIES[kind]
    same = train_judge(corrupt(corrupt(SOURCE, "test"), "validation"), recipe)
    assert (same.sha256, same.card["scale"]) == (first.sha256, first.card["scale"])
    np.testing.assert_array_equal(same.features(SOURCE.images), first.features(SOURCE.images))
    assert same.card["validation"] != first.card["validation"], "the validation classes are measured on"
    assert train_judge(corrupt(SOURCE, "train"), recipe).sha256 != first.sha256


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("prototypical", {"seed": 2}),
        *weekly(("prototypical", {"symmetries": True})),
        *weekly(("classification", {"augmentation": False}), ("classification", {"seed": 2})),
        *weekly(("contrastive", {"seed": 2}), ("prototypical", {"rate": 0.02})),
    ],
)
def test_another_recipe_is_another_judge(kind, change):
    other = train_judge(SOURCE, dataclasses.replace(TINIES[kind], **change))
    assert np.abs(other.features(SOURCE.images) - trained(kind).features(SOURCE.images)).max() > 0.01


@pytest.mark.parametrize("method", ["prototypical", "classification"])  # contrastive: tests/judges/test_contrastive.py
@pytest.mark.slow
def test_training_generalises_to_unseen_classes(method):
    """Six ways, so that chance is .17. Untrained features see little but how light an image is."""
    heard = []
    recipe = dataclasses.replace(TINY, method=method, steps=300, ways=8, shots=3, queries=5, batch=60, width=16)
    recipe = dataclasses.replace(recipe, purpose="judge")
    judge = train_judge(SOURCE, recipe, lambda *news: heard.append(news))
    assert [step for step, _, _ in heard] == list(range(1, 301))
    losses, accuracies = (np.array(values) for values in list(zip(*heard, strict=True))[1:])
    assert losses[-20:].mean() < 0.2 * losses[:5].mean() and accuracies[-20:].mean() > 0.9
    assert isinstance(judge, Judge)
    assert judge.card["validation"]["ways"] == 6 and judge.card["validation"]["accuracy"] > 0.45
    untrained = Judge(NETWORKS["conv4"](SOURCE.example_shape, 16, 0), "untrained")
    assert validate(untrained, restrict(SOURCE, "validation"))["accuracy"] < 0.25


def test_the_scale_is_the_distance_within_a_training_class():
    judge = trained("prototypical")
    assert judge.scale > 0 and judge.card["scale"] == judge.scale
    assert within_class_distance(judge, restrict(SOURCE, "train")) == pytest.approx(1, rel=1e-5)
    features = [judge.features(SOURCE.images[SOURCE.labels == index]) for index in range(10)]
    means = [np.linalg.norm(x[:, None] - x[None], axis=-1)[np.triu_indices(EACH, 1)].mean() for x in features]
    assert np.mean(means) == pytest.approx(1, rel=1e-4)


def test_the_card_has_data_and_recipe(tmp_path):
    judge = trained("prototypical")
    names = [f"pattern {index}" for index in range(10)]
    assert judge.name == "prototypical" and judge.card["purpose"] == "objective"
    assert judge.card["data"] == {
        "name": "patterns",
        "example_shape": [8, 8, 1],
        "polarity": restrict(SOURCE, "train").polarity,
        "classes": names,
        "classes_sha256": hashlib.sha256("\n".join(names).encode()).hexdigest(),
    }
    assert JudgeRecipe(**judge.card["recipe"]) == TINY
    judge.save(tmp_path / "net")
    again = features.load(tmp_path / "net")
    assert type(again) is type(judge) is FeatureNetwork, "its purpose is 'objective'"
    np.testing.assert_array_equal(again.features(SOURCE.images), judge.features(SOURCE.images))
    assert again.card == judge.card and again.sha256 == judge.sha256


def test_without_validation_classes_the_card_has_no_validation():
    no_validation = dataclasses.replace(SOURCE, class_split=np.where(SPLIT == 1, 2, SPLIT).astype(np.int8))
    judge = train_judge(no_validation, TINY)
    assert judge.card["validation"] is None
    assert judge.sha256 == trained("prototypical").sha256


def test_data_too_small_for_the_recipe_is_refused():
    with pytest.raises(DataError, match=r"must have at least 11 training classes. Received: 10"):
        train_judge(SOURCE, dataclasses.replace(TINY, ways=11))
    one = np.array([0] + [1] * 19, np.int8)
    with pytest.raises(DataError, match=r"must have at least 2 training classes. Received: 1"):
        train_judge(patterns(one), TINIES["classification"])
    with pytest.raises(DataError, match=r"every class needs at least shots \+ queries = 13"):
        train_judge(SOURCE, dataclasses.replace(TINY, queries=11))
    small = dataclasses.replace(SOURCE, images=SOURCE.images[:, :7])
    with pytest.raises(ValueError, match=r"at least 8 x 8 pixels"):
        train_judge(small, TINY)


def test_a_diverging_training_raises():
    with pytest.raises(ValueError, match=r"the loss must stay finite.*Received: (nan|inf) at step"):
        train_judge(SOURCE, dataclasses.replace(TINY, rate=1e30, steps=9))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("method", "triplet"), ("network", "inception"), ("purpose", "loss"), ("augmentation", 1), ("width", 0)),
        *(("steps", 0), ("ways", 1), ("shots", 0), ("queries", 0), ("batch", 1), ("seed", -1), ("seed", 2**31)),
        *(("steps", 2.0), ("rate", 0.0), ("rate", float("nan")), ("rate", float("inf"))),
    ],
)
def test_the_fields_are_checked(field, value):
    with pytest.raises(ValueError, match=rf"{field}.* must be .*Received: "):
        dataclasses.replace(TINY, **{field: value})


def test_the_pinned_judges_differ_as_the_protocol_requires():
    """Two judges of Omniglot that differ in seed, network and augmentation, and a third network that is none."""
    assert all(data in ("omniglot28.npz", "glyphs") for data, _ in PINNED.values())
    recipes = {name: recipe for name, (_, recipe) in PINNED.items()}
    judges = [r for name, (data, r) in PINNED.items() if data == "omniglot28.npz" and r.purpose == "judge"]
    assert len(judges) == 2
    for field in ("seed", "network", "augmentation", "method"):
        assert len({getattr(recipe, field) for recipe in judges}) == 2
    assert [name for name, r in recipes.items() if r.purpose == "objective"] == ["omniglot28-objective"]
    plane = [r for r in recipes.values() if r.purpose == "plane"]
    assert sorted((r.method, r.shots) for r in plane) == [("contrastive", 5), ("prototypical", 1)]
    assert len({recipe.seed for recipe in recipes.values()}) == len(recipes)
