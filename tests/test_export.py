"""SavedModels and `.keras` files, used by processes that know nothing of how they were made."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan.losses import NonSaturating
from tests.games.nets import batch_norm_gan
from tests.toys import flat_close, numbers, random_episodes, stored_sizes, tiny_dcgan

EPISODES = random_episodes(tasks=2, shape=(8, 8, 1))
SUPPORTS = {k: random_episodes(shots=k, shape=(8, 8, 1), seed=k).support[0].numpy() for k in (1, 3, 6)}
LIMITS = mg.Limits(shots=6, steps=5, num=9)
Z = np.random.default_rng(0).normal(size=(4, 2)).astype("float32")

WITH_META_GAN = """
import os, sys, keras, numpy as np, meta_gan
given = np.load("inputs.npz")
adapted = meta_gan.load("model").adapt(given["support_3"], steps=2, seed=5)
out = {"adapted": adapted.sample(4, seed=6)}
out["reloaded"] = meta_gan.load_adapted("adapted").sample(4, seed=6)
out["keras"] = keras.models.load_model("adapted/generator.keras")(given["z"]).numpy()
np.savez("with.npz", **out)
"""

WITHOUT = """
import sys, numpy as np, tensorflow as tf
given, out = np.load("inputs.npz"), {}
served, adapted = tf.saved_model.load("served/1"), tf.saved_model.load("adapted/saved_model/1")
call = served.signatures["adapt_and_sample"]
for k in (1, 3, 6):
    for steps in (0, 2):
        inputs = dict(support=given[f"support_{k}"], steps=np.int32(steps), num=np.int32(k), seed=np.int32(-7))
        out[f"{k}_{steps}"] = call(**{n: tf.constant(v) for n, v in inputs.items()})["samples"].numpy()
for name, loaded in (("meta", served), ("adapted", adapted)):
    signature = loaded.signatures["sample"]
    out[name + "_sample"] = signature(num=tf.constant(4), seed=tf.constant(6))["samples"].numpy()
    out[name + "_z"] = loaded.signatures["serving_default"](z=tf.constant(given["z"]))["samples"].numpy()
assert not [m for m in sys.modules if m.startswith("meta_gan")], "it must not be needed"
np.savez("without.npz", **out)
"""


def run(code, folder, path):
    """Runs a program in a process of its own and returns what it wrote."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if path:
        environment["PYTHONPATH"] = str(pathlib.Path(mg.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return np.load(folder / ("with.npz" if path else "without.npz"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A trained model in every format: `(folder, model, adapted)`."""
    folder = tmp_path_factory.mktemp("formats")
    model = mg.MetaModel(tiny_dcgan(loss=NonSaturating()), mg.FOMAML(2, 0.05), averaging=0.5)
    model.compile(optimizer=keras.optimizers.SGD(0.05))
    model.meta_step(EPISODES)
    adapted = model.adapt(SUPPORTS[3], steps=2, seed=5)
    model.save(folder / "model")
    model.export(folder / "served" / "1", LIMITS)
    adapted.save(folder / "adapted")
    np.savez(folder / "inputs.npz", z=Z, **{f"support_{k}": s for k, s in SUPPORTS.items()})
    return folder, model, adapted


@pytest.fixture(scope="module")
def fresh(made):
    """What two fresh processes computed, with and without the package."""
    return run(WITH_META_GAN, made[0], path=True), run(WITHOUT, made[0], path=False)


@pytest.fixture(scope="module")
def served(made):
    return tf.saved_model.load(str(made[0] / "served" / "1"))


def test_a_fresh_process_adapts_and_samples_the_same_to_the_bit(made, fresh):
    expected = made[2].sample(4, seed=6)
    np.testing.assert_array_equal(fresh[0]["adapted"], expected)
    np.testing.assert_array_equal(fresh[0]["reloaded"], expected)


def test_the_generator_is_an_ordinary_keras_model(made, fresh):
    _, _, adapted = made
    generator = adapted.generator
    assert isinstance(generator, keras.Model)
    flat_close([v.numpy() for v in generator.trainable_variables], numbers(adapted.snapshot.weights["generator"]))
    np.testing.assert_allclose(fresh[0]["keras"], generator(Z), atol=1e-6)


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("k", [1, 3, 6])
def test_the_served_inner_loop_is_pythons(made, fresh, k, steps):
    """At the same seed, for support sets of any size, from TensorFlow alone."""
    expected = made[1].adapt(SUPPORTS[k], steps=steps, seed=-7).sample(k, seed=-7)
    np.testing.assert_allclose(fresh[1][f"{k}_{steps}"], expected, atol=1e-5)
    assert fresh[1][f"{k}_{steps}"].shape == (k, 8, 8, 1)


def test_adaptation_matters_to_what_is_served(fresh):
    assert np.abs(fresh[1]["3_0"] - fresh[1]["3_2"]).max() > 1e-3


def test_plain_sampling_is_served(made, fresh):
    _, model, adapted = made
    np.testing.assert_allclose(fresh[1]["meta_sample"], model.sample(4, seed=6), atol=1e-5)
    np.testing.assert_allclose(fresh[1]["adapted_sample"], adapted.sample(4, seed=6), atol=1e-5)
    np.testing.assert_allclose(fresh[1]["adapted_z"], adapted.generator(Z), atol=1e-5)
    unadapted = model.adaptation.copy(model.meta_weights(averaged=True).initial).nets["generator"]
    np.testing.assert_allclose(fresh[1]["meta_z"], unadapted(Z), atol=1e-5)
    assert np.abs(fresh[1]["meta_z"] - fresh[1]["adapted_z"]).max() > 1e-3


def test_what_signatures_share_is_traced_once(tmp_path, monkeypatch):
    """An export would else take twice as long, and be twice as large."""
    model = mg.MetaModel(tiny_dcgan(loss=NonSaturating()), mg.FOMAML(1, 0.05))
    traced = []
    kind = type(model.adaptation)
    adapt, run = kind.adapt_values, kind.endpoint_values
    monkeypatch.setattr(kind, "adapt_values", lambda self, *given: traced.append("adapt") or adapt(self, *given))
    monkeypatch.setattr(
        kind, "endpoint_values", lambda self, name, *given: traced.append(name) or run(self, name, *given)
    )
    model.export(tmp_path / "1", LIMITS)
    assert sorted(traced) == ["adapt", *sorted(model.game.endpoints)]


def test_every_weight_is_stored_once(made):
    folder, model, _ = made
    assert not model.meta_learner.variables, "FOMAML learns none"
    held = [variable for net in model.game.nets.values() for variable in net.variables]
    assert stored_sizes(folder / "served" / "1") == sorted(int(np.prod(variable.shape)) for variable in held)


def test_signatures_and_their_names(served):
    """Names are what a client writes down: they may not change by accident."""
    names = {
        "adapt_and_sample": {"support", "steps", "num", "seed"},
        "adapt_and_generate": {"support", "steps", "z", "seed"},
        "sample": {"num", "seed"},
        "serving_default": {"z"},
    }
    for name, inputs in names.items():
        signature = served.signatures[name]
        assert set(signature.structured_input_signature[1]) == inputs
        assert set(signature.structured_outputs) == {"samples"}
    support = served.signatures["adapt_and_sample"].structured_input_signature[1]["support"]
    assert support.shape.as_list() == [None, 8, 8, 1] and support.dtype == tf.float32


def test_every_weight_is_a_variable_of_the_archive(made, served):
    """Not a constant of the graph: `archive.track` was called for all nets."""
    counted = sum(len(net.variables) for net in made[1].game.nets.values())
    assert len(served.variables) == counted


GOOD = {"support": SUPPORTS[3], "steps": 1, "num": 2, "seed": 0}
REFUSED = {
    "too many steps": ({"steps": 6}, r"`steps` must lie in \[0, 5\]"),
    "negative steps": ({"steps": -1}, r"`steps` must lie in \[0, 5\]"),
    "too many samples": ({"num": 10}, r"`num` must lie in \[1, 9\]"),
    "no sample": ({"num": 0}, r"`num` must lie in \[1, 9\]"),
    "too many shots": ({"support": np.zeros((7, 8, 8, 1), "float32")}, r"`support` along axis 0 must lie in \[1, 6\]"),
    "no shot": ({"support": np.zeros((0, 8, 8, 1), "float32")}, r"`support` along axis 0 must lie in \[1, 6\]"),
    "a NaN": ({"support": np.where(np.arange(192) == 5, np.nan, 0.0).reshape(3, 8, 8, 1)}, "`support` must be finite"),
    "an infinity": ({"support": SUPPORTS[3] + np.inf}, "`support` must be finite"),
    "levels of 0..255": ({"support": 255 * np.ones((2, 8, 8, 1))}, r"`support` must .* lie in \[-1, 1\]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_strangers_requests_are_refused(served, name):
    """By an assertion in the graph that names the input and the limit, not by running out of memory."""
    changes, message = REFUSED[name]
    inputs = {**GOOD, **changes}
    inputs["support"] = inputs["support"].astype("float32")
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served.signatures["adapt_and_sample"](**{k: tf.constant(v) for k, v in inputs.items()})


def test_limits_hold_for_every_signature(served):
    for num in (0, 10):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"`num` must lie in \[1, 9\]"):
            served.signatures["sample"](num=tf.constant(num), seed=tf.constant(0))
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"length of `z` along axis 0 must lie in \[1, 9\]"):
            served.signatures["serving_default"](z=tf.zeros([num, 2]))


def test_the_limits_themselves_are_allowed(served):
    inputs = {"support": SUPPORTS[6], "steps": 5, "num": 9, "seed": 2**31 - 1}
    samples = served.signatures["adapt_and_sample"](**{k: tf.constant(v) for k, v in inputs.items()})["samples"]
    assert samples.shape == (9, 8, 8, 1) and np.isfinite(samples).all()


def test_another_shape_is_no_request(served):
    with pytest.raises((TypeError, ValueError, tf.errors.InvalidArgumentError)):
        served.signatures["adapt_and_sample"](
            support=tf.zeros([3, 8, 9, 1]), steps=tf.constant(1), num=tf.constant(1), seed=tf.constant(0)
        )


def test_serving_changes_nothing_between_requests(served):
    """A loop that assigned variables would leak one caller's class into the next answer."""
    call = served.signatures["adapt_and_sample"]
    inputs = {k: tf.constant(v) for k, v in GOOD.items()}
    first = call(**inputs)["samples"].numpy()
    call(**{**inputs, "support": tf.constant(SUPPORTS[6]), "steps": tf.constant(5)})
    np.testing.assert_array_equal(call(**inputs)["samples"], first)


def test_an_existing_place_is_refused_and_kept(made):
    folder, model, adapted = made
    before = json.loads((folder / "adapted" / "config.json").read_text())
    for write in (
        lambda: model.export(folder / "served" / "1"),
        lambda: model.save(folder / "model"),
        lambda: adapted.save(folder / "adapted"),
        lambda: adapted.export(folder / "adapted"),
    ):
        with pytest.raises(ValueError, match="must not exist yet"):
            write()
    assert json.loads((folder / "adapted" / "config.json").read_text()) == before


def test_an_interrupted_export_leaves_nothing(made, tmp_path, monkeypatch):
    def interrupted(self, *args, **kwargs):
        raise KeyboardInterrupt

    # Keras makes an object of another class than the one it names.
    monkeypatch.setattr(type(keras.export.ExportArchive()), "write_out", interrupted)
    for write in (made[1].export, made[2].export, made[2].save):
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "new" / "1")
        assert list((tmp_path / "new").iterdir()) == []


BAD_LIMITS = [{"shots": 0}, {"steps": -1}, {"num": 0}, {"tasks": 0}, {"num": 2**31}, {"shots": 2.5}, {"num": True}]


@pytest.mark.parametrize("bad", [*BAD_LIMITS, {"steps": None}, {"shots": "5"}])
def test_bad_limits_are_refused(bad):
    with pytest.raises(ValueError, match=f"'limits.{next(iter(bad))}' must be an integer"):
        mg.Limits(**bad)


def test_limits_may_be_of_numpy():
    assert type(mg.Limits(num=np.int64(5)).num) is int


def test_batch_statistics_are_served(tmp_path):
    """Sampling uses the adapted moving averages, in Python as in the SavedModel."""
    model = mg.MetaModel(batch_norm_gan(), mg.Reptile(2, 0.1))
    support = random_episodes(shots=4).support[0]
    model.export(tmp_path / "1")
    call = tf.saved_model.load(str(tmp_path / "1")).signatures["adapt_and_sample"]
    got = call(support=support, steps=tf.constant(3), num=tf.constant(5), seed=tf.constant(1))["samples"]
    np.testing.assert_allclose(got, model.adapt(support, steps=3, seed=1).sample(5, seed=1), atol=1e-5)
