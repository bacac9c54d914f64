"""Adapted weights as a file: equal samples after it, and refused when anything about it is wrong."""

import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional, serving
from meta_gan.serving import weights
from tests.games.nets import told_gan
from tests.toys import random_episodes, tiny_gan, told_translation

SUPPORT = random_episodes().support[0].numpy()


@pytest.fixture(scope="module")
def small():
    """`(model, adapted)` of few enough weights that every bit can be flipped."""
    model = mg.MetaModel(tiny_gan(width=1), mg.FOMAML(1, 0.1))
    return model, model.adapt(SUPPORT, steps=2, seed=1)


@pytest.fixture(scope="module")
def file(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "a.adapted"
    serving.save_weights(small[1], path)
    return path


def test_the_samples_are_the_same(small, file):
    model, adapted = small
    again = serving.load_weights(model, file)
    np.testing.assert_array_equal(again.sample(4, seed=3), adapted.sample(4, seed=3))
    np.testing.assert_array_equal(again.support, SUPPORT)
    assert np.abs(again.sample(4, seed=3) - model.sample(4, seed=3)).max() > 1e-4


@pytest.mark.parametrize("make", [told_gan, told_translation])
def test_what_conditions_is_kept(tmp_path, make):
    model = mg.MetaModel(make(), mg.FOMAML(1, 0.1))
    shape = model.game.example_shape
    support = random_episodes(shots=3, shape=shape).support
    support = tf.nest.map_structure(lambda x: np.tanh(x[0]).astype("float32"), support)
    adapted = model.adapt(support, steps=1)
    serving.save_weights(adapted, tmp_path / "a")
    again = serving.load_weights(model, tmp_path / "a")
    for a, b in zip(functional.flat(again.snapshot), functional.flat(adapted.snapshot), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(tf.nest.flatten(again.conditioning), tf.nest.flatten(adapted.conditioning), strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_says_what_it_is(small, file):
    found = serving.inspect(file)
    assert found.kind == "adapted_weights" and found.about["base"] == weights.fingerprint(small[0].deployment)
    assert found.about["arrays"]["support"] == ["float32", [3, 2]]


def test_every_single_flipped_bit_is_refused(small, file, tmp_path):
    data = bytearray(file.read_bytes())
    bad = tmp_path / "bad"
    for place in range(len(data)):
        for bit in range(8):
            data[place] ^= 1 << bit
            bad.write_bytes(data)
            with pytest.raises(ValueError, match=r"must have the sha256|another kind of file"):
                serving.load_weights(small[0], bad)
            data[place] ^= 1 << bit
    assert len(data) > 500


def test_every_cut_is_refused(small, file, tmp_path):
    data = file.read_bytes()
    for length in range(0, len(data), 37):
        (tmp_path / "bad").write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"must have the sha256|another kind of file"):
            serving.load_weights(small[0], tmp_path / "bad")


def test_those_of_another_model_are_refused(file, small):
    other = mg.MetaModel(tiny_gan(width=1, seed=5), mg.FOMAML(1, 0.1))
    with pytest.raises(ValueError, match="must be of this model, whose fingerprint is"):
        serving.load_weights(other, file)


def test_numbers_that_are_not_finite_are_neither_written_nor_read(small, tmp_path, monkeypatch):
    model, _ = small
    broken = model.adapt(SUPPORT, steps=0)
    broken.snapshot.weights["generator"][0] *= np.nan
    with pytest.raises(ValueError, match=r"must be finite. Received: others in"):
        serving.save_weights(broken, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
    with monkeypatch.context() as patched:
        patched.setattr(weights, "_check_finite", lambda *_: None)
        serving.save_weights(broken, tmp_path / "a")
    with pytest.raises(ValueError, match=r"must be finite. Received: others in"):
        serving.load_weights(model, tmp_path / "a")


def test_a_file_that_is_there_is_kept(small, tmp_path):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(ValueError, match="must not exist yet"):
        serving.save_weights(small[1], tmp_path / "a")
    assert (tmp_path / "a").read_text() == "mine"
    with pytest.raises(ValueError, match="must be written to a place that can be"):
        serving.save_weights(small[1], tmp_path / "no" / "folder")
    with pytest.raises(ValueError, match="must be a file that can be read"):
        serving.load_weights(small[0], tmp_path / "nothing")
