"""Feature networks: features by hand, refused networks, saving and loading."""

import hashlib
import json

import keras
import numpy as np
import pytest

from meta_gan import loading, storage
from meta_gan.errors import DivergenceError
from meta_gan.features import FeatureNetwork, conv4, load, residual, shipped_names
from meta_gan.features.feature_network import BATCH
from meta_gan.networks import DCGANDiscriminator

SHAPE = (8, 8, 1)
LEVELS = np.random.default_rng(0).integers(0, 256, (40, *SHAPE), dtype=np.uint8)
DATA = {"name": "rings", "example_shape": list(SHAPE), "classes": ["a", "b"], "classes_sha256": "0"}
CARD = {
    "data": DATA,
    "recipe": {"network": "conv4", "steps": 7},
    "validation": {"accuracy": 0.9, "ways": 2, "shots": 5},
}


def mean_level():
    """A network whose one feature is the mean of the image."""
    return keras.Sequential([keras.Input(SHAPE), keras.layers.GlobalAveragePooling2D()], name="mean")


def trained(seed=0):
    """A small network whose moving averages are not the initial ones."""
    network = conv4(SHAPE, 6, seed)
    network(LEVELS / 127.5 - 1, training=True)
    return network


@pytest.fixture(scope="module")
def frozen():
    return FeatureNetwork(trained(), "small", CARD, 0.25)


@pytest.fixture
def folder(frozen, tmp_path):
    frozen.save(tmp_path / "rings-judge")
    return tmp_path / "rings-judge"


def test_features_are_those_of_the_network_over_the_scale():
    images = np.stack([np.zeros(SHAPE, np.uint8), np.full(SHAPE, 255, np.uint8)])
    images = np.concatenate([images, np.concatenate([images[:1, :4], images[1:, :4]], axis=1)])
    for scale in (1.0, 4.0):
        features = FeatureNetwork(mean_level(), "mean", scale=scale).features(images)
        np.testing.assert_array_equal(features, np.array([[-1.0], [1.0], [0.0]]) / scale)
        assert features.dtype == np.float32


def test_bytes_and_floats_have_the_same_features(frozen):
    np.testing.assert_array_equal(frozen.features(LEVELS), frozen.features((LEVELS / 127.5 - 1).astype(np.float32)))
    np.testing.assert_allclose(frozen.features(LEVELS), trained()(LEVELS / 127.5 - 1) / 0.25, atol=1e-5)


@pytest.mark.parametrize("make", [conv4, residual])
def test_features_do_not_depend_on_the_other_images(make):
    frozen = FeatureNetwork(make(SHAPE, 6), "small")
    together = frozen.features(LEVELS)
    for part in (slice(0, 1), slice(3, 20), slice(7, 40)):
        np.testing.assert_allclose(frozen.features(LEVELS[part]), together[part], atol=1e-6)
    np.testing.assert_allclose(frozen.features(LEVELS[::-1]), together[::-1], atol=1e-6)


@pytest.mark.parametrize("count", [1, 16, 17, BATCH, BATCH + 1, 2 * BATCH + 30])
def test_the_same_images_give_the_same_bits_in_their_order(frozen, count):
    images = np.random.default_rng(count).uniform(-1, 1, (count, *SHAPE)).astype(np.float32)
    features = frozen.features(images)
    assert features.shape == (count, frozen.dim)
    np.testing.assert_array_equal(features, frozen.features(images))
    last = frozen.features(images[-1:])
    np.testing.assert_allclose(features[-1:], last, atol=1e-6)


def test_computing_features_changes_no_weight(frozen):
    before = [value.copy() for value in frozen.network.get_weights()]
    frozen.features(LEVELS)
    for old, new in zip(before, frozen.network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_attributes_and_the_card(frozen):
    assert (frozen.name, frozen.example_shape, frozen.dim, frozen.scale) == ("small", SHAPE, 6, 0.25)
    assert frozen.card == {**CARD, "purpose": "judge", "scale": 0.25}
    assert json.loads(json.dumps(frozen.card)) == frozen.card
    nothing = {"data": None, "recipe": None, "purpose": "judge", "validation": None, "scale": 1.0}
    assert FeatureNetwork(mean_level(), "mean").card == nothing


def test_wrong_images_are_refused(frozen):
    for images in (LEVELS[0], LEVELS[..., 0], LEVELS[:, :7], LEVELS[:0], np.zeros((2, 8, 8, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"images. must have shape \[n, 8, 8, 1\] with n >= 1. Received"):
            frozen.features(images)
    floats = LEVELS / 127.5 - 1
    for bad, message in ((np.nan, "must be finite"), (np.inf, "must be finite"), (1.5, r"must lie in \[-1, 1\]")):
        floats[3, 2, 1, 0] = bad
        with pytest.raises(ValueError, match=message):
            frozen.features(floats)
    with pytest.raises(ValueError, match=r"uint8 in 0..255 or floating point"):
        frozen.features(LEVELS.astype(np.int64))


def test_features_that_are_not_finite_are_refused():
    network = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(2)])
    frozen = FeatureNetwork(network, "broken")
    network.layers[-1].bias.assign([0.0, np.nan])
    with pytest.raises(ValueError, match=r"features of broken' must be finite"):
        frozen.features(LEVELS)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_the_scale_is_positive(scale):
    with pytest.raises(ValueError, match=r"'scale' must be a finite number > 0. Received"):
        FeatureNetwork(mean_level(), "mean", scale=scale)


def two_inputs():
    images, more = keras.Input(SHAPE), keras.Input(SHAPE)
    return keras.Model([images, more], keras.layers.Flatten()(images + more))


WRONG = {
    "maps": lambda: keras.Sequential([keras.Input(SHAPE), keras.layers.Conv2D(2, 3)]),
    "vectors in": lambda: keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)]),
    "any size": lambda: keras.Sequential([keras.Input((None, None, 1)), keras.layers.GlobalAveragePooling2D()]),
    "unbuilt": lambda: keras.Sequential([keras.layers.Flatten()]),
    "a dict": lambda: keras.Model(image := keras.Input(SHAPE), {"a": keras.layers.Flatten()(image)}),
    "two inputs": two_inputs,
    "one for all": lambda: keras.Sequential([keras.Input(SHAPE), keras.layers.Reshape((8, 8)), Pooled()]),
    "whole numbers": lambda: keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), Rounded()]),
}


class Pooled(keras.layers.Layer):
    """A layer that mixes the images of a batch."""

    def call(self, inputs):
        return keras.ops.mean(inputs, axis=0)


class Rounded(keras.layers.Layer):
    """A layer with integer outputs."""

    def call(self, inputs):
        return keras.ops.cast(inputs, "int32")


@pytest.mark.parametrize("kind", WRONG)
def test_a_model_that_does_not_map_images_to_features_is_refused(kind):
    with pytest.raises(ValueError, match=r"must map images \[n, height, width, channels\].*Received: a model from"):
        load(WRONG[kind]())


def test_any_keras_model_can_be_a_feature_network():
    network = mean_level()
    frozen = load(network)
    assert (frozen.name, frozen.dim, frozen.example_shape) == ("mean", 1, SHAPE)
    np.testing.assert_allclose(frozen.features(LEVELS)[:, 0], (LEVELS / 127.5 - 1).mean(axis=(1, 2, 3)), atol=1e-6)
    subclassed = load(DCGANDiscriminator(SHAPE, width=2))
    assert subclassed.features(LEVELS).shape == (40, 1)


def test_a_keras_file_can_be_a_feature_network(tmp_path):
    network, file = trained(), tmp_path / "mine.keras"
    network.save(file)
    frozen = load(file)
    assert frozen.name == "mine" and frozen.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    np.testing.assert_array_equal(frozen.features(LEVELS), load(network).features(LEVELS))
    file.write_bytes(file.read_bytes()[:300])
    for path in (file, tmp_path / "absent.keras"):
        with pytest.raises(ValueError, match=r"must be a readable Keras model. Received"):
            load(str(path))


def test_the_digest_is_of_the_weights_and_the_scale():
    digest = FeatureNetwork(trained(), "a").sha256
    assert digest == FeatureNetwork(trained(), "b", CARD).sha256
    assert len({digest, FeatureNetwork(trained(1), "a").sha256, FeatureNetwork(trained(), "a", scale=2.0).sha256}) == 3


def test_a_loaded_network_equals_the_saved_one_to_the_bit(frozen, folder):
    again = load(folder)
    np.testing.assert_array_equal(again.features(LEVELS), frozen.features(LEVELS))
    assert again.name == "rings-judge"
    assert (again.card, again.scale, again.sha256) == (frozen.card, frozen.scale, frozen.sha256)
    assert frozen.sha256 == hashlib.sha256((folder / storage.WEIGHTS).read_bytes()).hexdigest()
    text = (folder / storage.CARD).read_text()
    for words in ("A judge", "[8, 8, 1]", "features: 6", "2 classes of rings", "0.900 (2 ways, 5 shots)", "steps: 7"):
        assert words in text
    with pytest.raises(ValueError, match="must not exist yet"):
        frozen.save(folder)
    FeatureNetwork(trained(1), "other").save(folder, overwrite=True)
    assert load(folder).sha256 != frozen.sha256
    assert "is never part of a loss" in text and "not recorded" in (folder / storage.CARD).read_text()


def as_earlier(text):
    """A configuration of format 1, which has no checksum."""
    return {**{k: v for k, v in json.loads(text).items() if k != storage.CHECKSUM}, "format": 1}


def test_a_damaged_folder_is_refused(folder):
    weights, config = folder / storage.WEIGHTS, folder / storage.CONFIG
    good, text = weights.read_bytes(), config.read_text()
    weights.write_bytes(good[:-200] + bytes([good[-200] ^ 1]) + good[-199:])
    with pytest.raises(ValueError, match="must have the sha256"):
        load(folder)
    weights.write_bytes(good)
    for key in ("network", "card"):
        config.write_text(json.dumps({k: v for k, v in as_earlier(text).items() if k != key}))
        with pytest.raises(ValueError, match="must be a complete feature network"):
            load(folder)
    wider = {**as_earlier(text), "network": keras.saving.serialize_keras_object(conv4(SHAPE, 7))}
    config.write_text(json.dumps(wider))
    with pytest.raises(ValueError, match="must have shapes"):
        load(folder)


def test_a_folder_of_another_kind_is_refused(tmp_path):
    storage.write_model(tmp_path / "m", {"kind": "meta_model"}, {"a": np.zeros(2)}, card="a model")
    with pytest.raises(ValueError, match=r"m' must hold a judge. Received: a meta-model, as `meta-gan train` "):
        load(tmp_path / "m")


def test_a_missing_network_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in ("no-such-judge", tmp_path / "file", str(tmp_path / "absent")):
        with pytest.raises(ValueError, match=r"a folder, a .keras file, a Keras model or one of the shipped names"):
            load(path)
    with pytest.raises(ValueError, match=r"must hold config.json"):
        load(tmp_path)


def test_shipped_networks_are_found_by_name(frozen, tmp_path, monkeypatch):
    assert all(load(name).name == name for name in shipped_names())
    monkeypatch.setattr(loading, "shipped_root", lambda: tmp_path)
    assert shipped_names() == []
    frozen.save(tmp_path / "judges" / "b")
    frozen.save(tmp_path / "judges" / "a")
    (tmp_path / "judges" / "notes").mkdir()
    assert shipped_names() == ["a", "b"] and loading.shipped() == []
    assert load("b").name == "b" and load("b").sha256 == frozen.sha256
    with pytest.raises(ValueError, match=r"shipped names \['a', 'b'\]. Received: 'c'"):
        load("c")


def test_weights_that_are_not_finite_are_neither_written_nor_read(folder, tmp_path):
    config, arrays = storage.read_model(folder, "judge")
    name = min(arrays)
    storage.write_model(tmp_path / "bad", config, {**arrays, name: arrays[name] * np.nan}, card="a judge")
    with pytest.raises(DivergenceError, match=r"weights of .*bad' must be finite"):
        load(tmp_path / "bad")
    network = load(folder)
    network.network.weights[0].assign(network.network.weights[0] * np.inf)
    with pytest.raises(DivergenceError, match="must be finite"):
        network.save(tmp_path / "out")
    assert not (tmp_path / "out").exists()
