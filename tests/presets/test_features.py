"""The feature network of an objective: who may be one, and how it stands in the game."""

import numpy as np
import pytest

import meta_gan
from meta_gan import presets
from meta_gan.features import FeatureNetwork, conv4
from meta_gan.games import Terms
from tests.presets.helpers import SHAPE, build, copies
from tests.toys import random_episodes

SCALE = 3.0


def saved(folder, purpose, shape=SHAPE):
    """The folder of an untrained judge."""
    FeatureNetwork(conv4(shape, 2, seed=4), "untrained", {"purpose": purpose}, SCALE).save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def objective(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("features") / "objective", "objective")


@pytest.fixture(scope="module")
def model(objective):
    """A tiny model that learns from features as well, after one step on three tasks."""
    made = build(terms_features=0.5, game_features=objective, outer_rate=0.1)
    made.start = {name: copies(net.variables) for name, net in made.game.nets.items()}
    made.meta_step(random_episodes(tasks=3, shape=SHAPE))
    return made


def test_the_features_are_in_units(model, objective):
    """Divided by the judge's scale, as its own are: else a weight would mean another thing with every net."""
    images = np.random.default_rng(0).uniform(-1, 1, (2, *SHAPE)).astype(np.float32)
    judge = meta_gan.features.load(objective)
    assert judge.scale == SCALE
    found = np.asarray(model.game.nets["features"](images))
    np.testing.assert_allclose(found, judge.features(images), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found, np.asarray(judge.network(images)) / SCALE, rtol=1e-5, atol=1e-6)


def test_the_features_are_frozen_to_the_bit(model):
    net = model.game.nets["features"]
    assert net.trainable_variables == [] and len(net.variables) > 8
    for old, variable in zip(model.start["features"], net.variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)
    generator = model.game.nets["generator"].variables
    assert not np.array_equal(generator[0].numpy(), model.start["generator"][0])
    assert len(model.groups["generator"]) == len(model.game.nets["generator"].trainable_variables)


def test_the_weight_reaches_the_game(model):
    assert model.game.terms == Terms(features=0.5)


def test_a_model_carries_its_feature_net(model, tmp_path):
    model.save(tmp_path / "model")
    images = np.random.default_rng(1).uniform(-1, 1, (2, *SHAPE)).astype(np.float32)
    again = meta_gan.load(tmp_path / "model").game.nets["features"]
    assert again.trainable_variables == []
    np.testing.assert_array_equal(np.asarray(again(images)), np.asarray(model.game.nets["features"](images)))


def test_the_seed_of_a_recipe_does_not_touch_the_features(objective, model):
    other = build(terms_features=0.5, game_features=objective, seed=5).game.nets
    for one, two in zip(model.start["features"], other["features"].variables, strict=True):
        np.testing.assert_array_equal(one, two.numpy())
    assert not np.array_equal(model.start["generator"][0], other["generator"].variables[0].numpy())


@pytest.mark.parametrize("purpose", ["judge", None, "Objective"])
def test_what_is_not_of_the_purpose_objective_is_refused(tmp_path, purpose):
    folder = saved(tmp_path / "judge", purpose)
    with pytest.raises(ValueError) as caught:
        build(terms_features=1.0, game_features=folder)
    assert str(caught.value) == (
        "'features' must name a network of the purpose 'objective': a judge must never be an objective. "
        f"Received: {folder!r}, of the purpose {purpose!r}"
    )


@pytest.mark.parametrize("name", ["omniglot28-conv", "omniglot28-residual", "glyphs28"])
def test_a_shipped_judge_is_refused(name):
    with pytest.raises(ValueError, match=rf"a judge must never be an objective. Received: '{name}'"):
        build(shape=(28, 28, 1), terms_features=1.0, game_features=name)


def test_a_keras_file_is_refused(tmp_path):
    """Of a net from elsewhere nobody says that it is no judge."""
    conv4(SHAPE, 2).save(tmp_path / "net.keras")
    with pytest.raises(ValueError, match=r"of the purpose 'objective'.*net.keras', of the purpose 'judge'"):
        build(terms_features=1.0, game_features=str(tmp_path / "net.keras"))


@pytest.mark.parametrize("shape", [(8, 12, 1), (8, 8, 3)])
def test_a_net_for_other_images_is_refused_with_a_hint(objective, shape):
    with pytest.raises(ValueError) as caught:
        build(shape=shape, terms_features=1.0, game_features=objective)
    assert str(caught.value) == (
        f"'features' must name a network for images of {shape}; make one by `meta-gan judge --data SOURCE --purpose "
        f"objective --out NET` and pass --set game.features=NET, or pass --image-shape {'x'.join(map(str, SHAPE))}. "
        f"Received: {objective!r}, for {SHAPE}"
    )


def test_the_shipped_net_is_for_drawings_of_28x28():
    with pytest.raises(ValueError, match=r"for images of \(8, 8, 1\).*'omniglot28-objective', for \(28, 28, 1\)"):
        presets.build(presets.get("sagan", width=2, latent_dim=2, embedding_dim=2), SHAPE)


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_a_net_that_is_not_there_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"must .*Received: "):
        build(terms_features=1.0, game_features=name)


def test_without_a_weight_there_is_no_net():
    assert sorted(build().game.nets) == ["discriminator", "generator"]
