"""Divergence: NaN and infinity raise a `DivergenceError`, and reach neither arrays, files, servers nor data sets."""

import os

import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import checks, serving, storage
from meta_gan.losses import NonSaturating
from tests.toys import random_episodes, tiny_dcgan, tiny_gan

SUPPORT = random_episodes(shots=4).support[0].numpy()
MESSAGE = "must be finite, but training or adaptation diverged: take fewer inner steps"


def made(rate=0.1):
    """A GAN of two numbers; with a rate of 1e30 its adaptation diverges within three steps."""
    return mg.MetaModel(tiny_gan(loss=NonSaturating()), mg.FOMAML(inner_steps=3, inner_rate=rate))


def spoiled(value=np.nan):
    """A model with one weight that is not finite."""
    model = made()
    weight = model.game.nets["generator"].trainable_variables[0]
    numbers = weight.numpy()
    numbers.flat[-1] = value
    weight.assign(numbers)
    return model


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_is_found_in_every_dtype(dtype, value):
    good, bad = tf.zeros([3], dtype), tf.constant([0.0, value, 0.0], dtype)
    checks.check_converged([good, tf.range(3), np.array(["nan"]), np.zeros(0)], "these")
    with pytest.raises(mg.DivergenceError, match=rf"these {MESSAGE}.*in 1 of 3 arrays"):
        checks.check_converged([good, bad, good], "these")


def test_it_is_an_arithmetic_error_and_a_value_error():
    assert issubclass(mg.DivergenceError, ArithmeticError) and issubclass(mg.DivergenceError, ValueError)


def test_an_adaptation_that_diverges_raises():
    model = made(rate=1e30)
    with pytest.raises(mg.DivergenceError, match=rf"the adapted weights {MESSAGE}"):
        model.adapt(SUPPORT)
    assert np.isfinite(model.adapt(SUPPORT, steps=0).sample(3)).all(), "without steps nothing diverges"


def test_finite_weights_can_have_outputs_that_are_not(tmp_path):
    model = made()
    for weight in model.game.nets["generator"].trainable_variables:
        weight.assign(tf.fill(weight.shape, 1e38))
    adapted = model.adapt(SUPPORT, steps=0)
    with pytest.raises(mg.DivergenceError, match=rf"the outputs of 'sample' {MESSAGE}"):
        adapted.sample(3)
    for write in (adapted.save, adapted.export):
        with pytest.raises(mg.DivergenceError, match="the outputs of 'sample'"):
            write(tmp_path / "out")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_that_diverged_is_neither_used_nor_written(tmp_path, value):
    model = spoiled(value)
    calls = {
        "adapt": lambda: model.adapt(SUPPORT, steps=0),
        "sample": lambda: model.sample(2),
        "save": lambda: model.save(tmp_path / "saved"),
        "preset": lambda: mg.save_to_preset(model, tmp_path / "preset"),
        "export": lambda: model.export(tmp_path / "exported"),
        "onnx": lambda: model.export(tmp_path / "m.onnx", format="onnx"),
    }
    for call in calls.values():
        with pytest.raises(mg.DivergenceError, match=MESSAGE):
            call()
    assert not os.listdir(tmp_path)


def test_an_adapted_model_spoiled_later_is_not_written(tmp_path):
    adapted = made().adapt(SUPPORT)
    first = adapted.snapshot.weights["generator"]
    first[0] = first[0] * np.nan
    calls = {
        "save": lambda: adapted.save(tmp_path / "saved"),
        "export": lambda: adapted.export(tmp_path / "exported"),
        "litert": lambda: adapted.export(tmp_path / "m.tflite", format="litert"),
        "weights": lambda: serving.save_weights(adapted, tmp_path / "w"),
        "sample": lambda: adapted.sample(2),
        "generator": lambda: adapted.generator,
    }
    for call in calls.values():
        with pytest.raises(mg.DivergenceError, match=MESSAGE):
            call()
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("kind", ["meta_model", "adapted_model"])
def test_a_folder_with_nan_is_not_loaded(tmp_path, kind):
    """As an earlier version wrote it."""
    model = made()
    (model if kind == "meta_model" else model.adapt(SUPPORT)).save(tmp_path / "good")
    config, arrays = storage.read_model(tmp_path / "good", kind)
    name = min(arrays)
    storage.write_model(tmp_path / "bad", config, {**arrays, name: arrays[name] * np.nan})
    load = mg.load if kind == "meta_model" else mg.load_adapted
    with pytest.raises(mg.DivergenceError, match=r"weights of '.*bad' must be finite"):
        load(tmp_path / "bad")
    load(tmp_path / "good")


def test_a_data_set_ends_at_a_class_that_diverged():
    shape, labels = (8, 8, 1), [0, 0, 0, 0]
    images = np.zeros((4, *shape), np.float32)
    wild = mg.MetaModel(tiny_dcgan(), mg.FOMAML(inner_steps=3, inner_rate=1e30))
    with pytest.raises(tf.errors.InvalidArgumentError, match=MESSAGE):
        list(mg.augment(wild, images, labels, per_class=2))


def test_an_exported_model_refuses_to_answer_with_nan(tmp_path):
    model = made(rate=1e30)
    model.export(tmp_path / "1", mg.Limits(steps=9))
    served = serving.load(tmp_path / "1")
    ask = {"support": SUPPORT, "num": 2, "seed": 0}
    assert np.isfinite(served.call("adapt_and_sample", steps=0, **ask)["samples"]).all()
    with pytest.raises(mg.DivergenceError, match="`samples` must be finite, but the adaptation diverged"):
        served.call("adapt_and_sample", steps=9, **ask)
    with pytest.raises(mg.DivergenceError, match="must be finite, but the adaptation diverged"):
        served.call("adapt", steps=9, support=SUPPORT, seed=0)
    huge = np.full((1, 2), 3e38, np.float32)
    try:
        answer = served.call("serving_default", z=huge)
    except mg.DivergenceError:
        return
    assert all(np.isfinite(each).all() for each in answer.values())
