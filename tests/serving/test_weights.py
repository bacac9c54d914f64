"""Adapted weights as a file: equal samples after it, and refused when anything about it is wrong."""

import hashlib
import json

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional, serving
from meta_gan.serving import weights
from tests.games.nets import support_gan
from tests.toys import conditioned_translation, random_episodes, tiny_gan

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


def test_weights_that_are_single_numbers_are_kept(tmp_path):
    model = mg.load("omniglot")
    adapted = model.adapt(np.full([2, 28, 28, 1], -1.0, np.float32))
    assert any(value.shape.rank == 0 for value in functional.flat(adapted.snapshot))
    serving.save_weights(adapted, tmp_path / "a")
    again = serving.load_weights(model, tmp_path / "a")
    np.testing.assert_array_equal(again.sample(2, seed=3), adapted.sample(2, seed=3))


def test_the_samples_are_the_same(small, file):
    model, adapted = small
    again = serving.load_weights(model, file)
    np.testing.assert_array_equal(again.sample(4, seed=3), adapted.sample(4, seed=3))
    np.testing.assert_array_equal(again.support, SUPPORT)
    assert np.abs(again.sample(4, seed=3) - model.sample(4, seed=3)).max() > 1e-4


@pytest.mark.parametrize("make", [support_gan, conditioned_translation])
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
    assert found.kind == "adapted_weights" and found.about["base"] == small[0].adaptation.fingerprint()
    assert found.about["arrays"]["support"] == ["float32", [3, 2]]


def test_every_single_flipped_bit_is_refused(small, file, tmp_path):
    data = bytearray(file.read_bytes())
    bad = tmp_path / "bad"
    for place in range(len(data)):
        for bit in range(8):
            data[place] ^= 1 << bit
            bad.write_bytes(data)
            with pytest.raises(ValueError, match="must be an undamaged file"):
                serving.load_weights(small[0], bad)
            data[place] ^= 1 << bit
    assert len(data) > 500


def test_every_cut_is_refused(small, file, tmp_path):
    data = file.read_bytes()
    for length in range(0, len(data), 37):
        (tmp_path / "bad").write_bytes(data[:length])
        with pytest.raises(ValueError, match="must be an undamaged file"):
            serving.load_weights(small[0], tmp_path / "bad")


def test_those_of_another_model_are_refused(file, small):
    other = mg.MetaModel(tiny_gan(width=1, seed=5), mg.FOMAML(1, 0.1))
    with pytest.raises(ValueError, match="must belong to this model, with the fingerprint"):
        serving.load_weights(other, file)


def test_numbers_that_are_not_finite_are_neither_written_nor_read(small, tmp_path, monkeypatch):
    model, _ = small
    broken = model.adapt(SUPPORT, steps=0)
    broken.snapshot.weights["generator"][0] *= np.nan
    with pytest.raises(mg.DivergenceError, match=r"must be finite, but .*Received: NaN or infinity in"):
        serving.save_weights(broken, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
    with monkeypatch.context() as patched:
        patched.setattr(weights, "check_converged", lambda *_: None)
        serving.save_weights(broken, tmp_path / "a")
    with pytest.raises(mg.DivergenceError, match=r"must be finite, but .*Received: NaN or infinity in"):
        serving.load_weights(model, tmp_path / "a")


def written(path, base, arrays):
    """Write a file of adapted weights with any contents, and the sha256 that belongs to them."""
    path.write_bytes(weights._to_bytes(base, arrays))
    return path


def written_earlier(path, base, arrays):
    """Write the same in the format of version 0.1."""
    header = {"format": 1, "base": base, "arrays": {name: [str(a.dtype), list(a.shape)] for name, a in arrays.items()}}
    text = json.dumps(header).encode()
    parts = [weights.EARLIER_NAME, len(text).to_bytes(8, "little"), text, *[a.tobytes() for a in arrays.values()]]
    body = b"".join(parts)
    path.write_bytes(body + hashlib.sha256(body).digest())
    return path


def values_of(adapted):
    return {f"value_{i:04d}": t.numpy() for i, t in enumerate(functional.flat(adapted.snapshot))}


def test_a_file_of_the_earlier_format_loads(small, tmp_path):
    model, adapted = small
    file = written_earlier(tmp_path / "a", adapted.base, {**values_of(adapted), "support": SUPPORT})
    again = serving.load_weights(model, file)
    np.testing.assert_array_equal(again.sample(4, seed=3), adapted.sample(4, seed=3))
    np.testing.assert_array_equal(again.support, SUPPORT)
    data = bytearray(file.read_bytes())
    for place in range(0, len(data), 7):
        data[place] ^= 1
        (tmp_path / "bad").write_bytes(data)
        with pytest.raises(ValueError, match=r"must have the sha256|must be an undamaged file"):
            serving.load_weights(model, tmp_path / "bad")
        data[place] ^= 1


@pytest.mark.parametrize("write", [written, written_earlier])
def test_other_dtypes_and_other_arrays_are_refused(small, tmp_path, write):
    """1e300 is finite in float64, and infinite in the weight that it would become."""
    model, adapted = small
    good = values_of(adapted)
    assert serving.load_weights(model, write(tmp_path / "good", adapted.base, good)).support is None
    wide = {**good, "value_0000": np.full(good["value_0000"].shape, 1e300)}
    fewer = {name: a for name, a in good.items() if name != "value_0001"}
    for bad in (wide, fewer, {**good, "more": np.zeros(3, np.float32)}):
        with pytest.raises(ValueError, match="must hold arrays of this model's names, dtypes and shapes"):
            serving.load_weights(model, write(tmp_path / "bad", adapted.base, bad))


def test_headers_that_lie_are_refused(small, tmp_path):
    for arrays in ({"a": ["float32", [2**70]]}, {"a": ["object", [1]]}, {"a": ["float32", [-1]]}, [1], "x"):
        text = json.dumps({"format": 1, "base": "x", "arrays": arrays}).encode()
        body = weights.EARLIER_NAME + len(text).to_bytes(8, "little") + text
        (tmp_path / "bad").write_bytes(body + hashlib.sha256(body).digest())
        with pytest.raises(ValueError, match="must be an undamaged file from `save_weights`"):
            serving.inspect(tmp_path / "bad")
    for header in ({}, [], {"__metadata__": {}}, {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}):
        text = json.dumps(header).encode()
        (tmp_path / "bad").write_bytes(len(text).to_bytes(8, "little") + text)
        with pytest.raises(ValueError, match="must be an undamaged file from `save_weights`"):
            serving.inspect(tmp_path / "bad")


def test_the_safetensors_library_reads_the_arrays(small, file):
    found = safetensors.numpy.load_file(file)
    assert set(found) == {*values_of(small[1]), "support"}
    np.testing.assert_array_equal(found["support"], SUPPORT)


def test_what_was_saved_and_loaded_still_belongs_to_its_model(small, tmp_path):
    model, adapted = small
    adapted.save(tmp_path / "adapted")
    serving.save_weights(mg.load_adapted(tmp_path / "adapted"), tmp_path / "a")
    again = serving.load_weights(model, tmp_path / "a")
    np.testing.assert_array_equal(again.sample(4, seed=3), adapted.sample(4, seed=3))


def test_a_model_that_was_trained_since_is_another(tmp_path):
    model = mg.MetaModel(tiny_gan(width=1), mg.FOMAML(1, 0.1))
    adapted = model.adapt(SUPPORT, steps=1)
    model.compile()
    model.meta_step(random_episodes())
    serving.save_weights(adapted, tmp_path / "a")
    with pytest.raises(ValueError, match="must belong to this model"):
        serving.load_weights(model, tmp_path / "a")


def test_a_file_that_is_there_is_kept(small, tmp_path):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(ValueError, match="must not exist yet"):
        serving.save_weights(small[1], tmp_path / "a")
    assert (tmp_path / "a").read_text() == "mine"
    with pytest.raises(ValueError, match="must be a place that can be written to"):
        serving.save_weights(small[1], tmp_path / "no" / "folder")
    with pytest.raises(ValueError, match="must be a readable file"):
        serving.load_weights(small[0], tmp_path / "nothing")
