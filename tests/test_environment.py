"""Global settings of Keras and TensorFlow: the same bits under each, or a refusal by name."""

import contextlib
import gc
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import backend, environment
from tests.toys import random_episodes, weekly
from tests.trainers import helpers
from trainers import run_folder

ROOT = Path(__file__).parents[1]
EPISODES = random_episodes(tasks=2, shape=(8, 8, 1))
SUPPORT = EPISODES.support[0].numpy()


def changing(read, write, value):
    """A context in which a global setting has another value."""

    @contextlib.contextmanager
    def changed():
        before = read()
        write(value)
        try:
            yield
        finally:
            write(before)

    return changed


def policy(value):
    return changing(keras.config.dtype_policy, keras.config.set_dtype_policy, value)


def eagerly(value):
    return changing(tf.config.functions_run_eagerly, tf.config.run_functions_eagerly, value)


SETTINGS = {
    "channels_first": changing(keras.config.image_data_format, keras.config.set_image_data_format, "channels_first"),
    **{name: policy(name) for name in ("mixed_bfloat16", "mixed_float16", "float16", "float64")},
    **{
        f"floatx {name}": changing(keras.config.floatx, keras.config.set_floatx, name)
        for name in ("float16", "float64")
    },
    "epsilon": changing(keras.config.epsilon, keras.config.set_epsilon, 0.1),
    "functions run eagerly": eagerly(True),
    "no soft placement": changing(tf.config.get_soft_device_placement, tf.config.set_soft_device_placement, False),
    "no TF32": changing(
        tf.config.experimental.tensor_float_32_execution_enabled,
        tf.config.experimental.enable_tensor_float_32_execution,
        False,
    ),
}


def made():
    """Weights after one outer step, and samples after an inner step; all is made anew."""
    game = mg.games.GAN(*mg.networks.dcgan((8, 8, 1), latent_dim=4, width=2))
    model = mg.MetaModel(game, mg.FOMAML(inner_steps=1, inner_rate=0.1), averaging=0.9)
    model.compile()
    model.train_on_batch(EPISODES)
    adapted = model.adapt(SUPPORT, steps=1)
    samples = [adapted.sample(3), model.sample(2), adapted.generator(np.ones((2, 4), np.float32)).numpy()]
    return [v.numpy() for v in [*model._stored_variables(), *model.optimizer.variables]], samples


@pytest.fixture(scope="module")
def wanted():
    return made()


TOGETHER = (
    ("channels_first", "mixed_bfloat16", "floatx float16", "epsilon", "no soft placement", "no TF32"),
    ("functions run eagerly", "float64", "floatx float64"),
)


@pytest.mark.parametrize("names", [*TOGETHER, *weekly(*SETTINGS)])
def test_settings_change_no_bit(names, wanted):
    with contextlib.ExitStack() as stack:
        for name in [names] if isinstance(names, str) else names:
            stack.enter_context(SETTINGS[name]())
        found = made()
    for a, b in zip((*wanted[0], *wanted[1]), (*found[0], *found[1]), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_the_shipped_model_is_the_same_under_every_format_and_policy():
    support = np.full((3, 28, 28, 1), -1, np.float32)
    support[:, 6:22, 13:15] = 1
    plain = mg.load("omniglot").adapt(support, steps=0).sample(2)
    with SETTINGS["channels_first"](), SETTINGS["mixed_bfloat16"](), SETTINGS["functions run eagerly"]():
        np.testing.assert_array_equal(mg.load("omniglot").adapt(support, steps=0).sample(2), plain)


@pytest.mark.parametrize("name", ["spectrogram", "pairs", "conv4", "residual"])
def test_feature_networks_are_the_same_under_every_format_and_policy(name):
    makers = {
        "spectrogram": lambda: mg.features.spectrogram((1024, 1), 8000),
        "pairs": lambda: mg.features.symbol_pairs((6, 4)),
        "conv4": lambda: mg.features.conv4((8, 8, 1), width=2),
        "residual": lambda: mg.features.residual((8, 8, 1), width=2),
    }
    plain = makers[name]()
    x = np.random.default_rng(0).uniform(-1, 1, (2, *plain.input_shape[1:])).astype(np.float32)
    with SETTINGS["channels_first"](), SETTINGS["mixed_bfloat16"]():
        np.testing.assert_array_equal(makers[name]()(x), plain(x))


def by_hand():
    layers, draw = keras.layers, keras.initializers.RandomNormal
    generator = keras.Sequential(
        [keras.Input((4,)), layers.Dense(64, kernel_initializer=draw(seed=1)), layers.Reshape((8, 8, 1))]
    )
    discriminator = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(1)])
    return mg.MetaModel(mg.games.GAN(generator, discriminator), mg.FOMAML(inner_steps=1))


@pytest.mark.parametrize("name", ["mixed_bfloat16", *weekly("mixed_float16", "float64", "floatx float64")])
def test_users_own_nets_give_and_take_float32(name, tmp_path):
    with SETTINGS[name]():
        model = by_hand()
        adapted = model.adapt(SUPPORT, steps=1)
        assert adapted.sample(2).dtype == np.float32
        model.export(tmp_path / "1")
    signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
    for signature in ("adapt_and_sample", "adapt_and_discriminate", "serving_default"):
        specs = [*signatures[signature].structured_input_signature[1].values()]
        specs += signatures[signature].structured_outputs.values()
        assert {spec.dtype for spec in specs} <= {tf.float32, tf.int32}
    served = signatures["adapt_and_sample"](
        support=tf.constant(SUPPORT), steps=tf.constant(1), num=tf.constant(2), seed=tf.constant(0)
    )
    np.testing.assert_array_equal(served["samples"], adapted.sample(2))
    weights = signatures["adapt"](support=tf.constant(SUPPORT), steps=tf.constant(1), seed=tf.constant(0))
    assert not {value.dtype for value in weights.values()} & {tf.bfloat16, tf.float16}


def test_a_net_of_another_data_format_is_refused():
    with SETTINGS["channels_first"](), pytest.raises(ValueError, match=r"'discriminator'.*'channels_last'.*flatten"):
        by_hand()


@contextlib.contextmanager
def numbers_checked():
    tf.debugging.enable_check_numerics()
    try:
        yield
    finally:
        tf.debugging.disable_check_numerics()


def test_settings_that_change_bits_are_refused_by_name(monkeypatch, tmp_path):
    model = by_hand()
    model.compile()
    with numbers_checked():
        for refused in (
            by_hand,
            lambda: model.adapt(SUPPORT, steps=0),
            lambda: model.adapt(SUPPORT, steps=1),
            lambda: model.train_on_batch(EPISODES),
            lambda: mg.load("omniglot"),
            lambda: model.compile(),
        ):
            with pytest.raises(ValueError, match=r"'tf\.debugging\.enable_check_numerics' must be off"):
                refused()
    tf.config.optimizer.set_jit(True)
    try:
        with pytest.raises(ValueError, match=r"'tf\.config\.optimizer\.set_jit' must be off"):
            environment.check_settings()
    finally:
        tf.config.optimizer.set_jit(False)
    environment.check_settings()


def test_a_trainer_refuses_what_changes_bits(tmp_path):
    trainer = helpers.trainer(tmp_path)
    with numbers_checked(), pytest.raises(ValueError, match=r"'tf\.debugging\.enable_check_numerics' must be off"):
        trainer.run()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_run_is_the_same_under_settings(tmp_path):
    (plain := helpers.trainer(run_folder.new_run(tmp_path, "plain"), steps=2)).run()
    with SETTINGS["functions run eagerly"](), SETTINGS["mixed_bfloat16"](), SETTINGS["channels_first"]():
        (found := helpers.trainer(run_folder.new_run(tmp_path, "settings"), steps=2)).run()
        assert tf.config.functions_run_eagerly()
    helpers.assert_same_values(helpers.values(found), helpers.values(plain))


@pytest.mark.parametrize(
    ("flags", "refused"),
    [
        ("--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit", True),
        ("--tf_xla_enable_lazy_compilation=false --tf_xla_auto_jit=1", True),
        ("--tf_xla_auto_jit=0", False),
        ("--tf_xla_auto_jit=-1", False),
        ("--tf_xla_cpu_global_jit", False),
        ("", False),
    ],
)
def test_flags_of_xla(flags, refused, monkeypatch):
    monkeypatch.setenv("TF_XLA_FLAGS", flags)
    with pytest.raises(ValueError, match="'TF_XLA_FLAGS'") if refused else contextlib.nullcontext():
        environment.check_settings()


IRREVERSIBLE = """
import tensorflow as tf
from meta_gan import environment

def refused():
    try:
        environment.check_settings()
    except ValueError as error:
        return str(error).split()[0]

print(refused())
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
print(refused())
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
tf.experimental.numpy.experimental_enable_numpy_behavior()
print(refused())
"""


def run(code, **variables):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    command = code if isinstance(code, list) else [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=240)


def test_settings_that_cannot_be_undone_are_refused_by_name():
    printed = run(IRREVERSIBLE).stdout.split()
    names = [
        "'tf.config.optimizer.set_experimental_options'",
        "'tf.experimental.numpy.experimental_enable_numpy_behavior'",
    ]
    assert printed == ["None", *names]


@pytest.mark.parametrize("source", ["variable", "file", "imported"])
def test_another_backend_is_refused_in_one_line(source, tmp_path):
    variables = {"KERAS_BACKEND": "jax"} if source == "variable" else {"KERAS_BACKEND": ""}
    if source == "file":
        (tmp_path / "keras.json").write_text('{"backend": "torch"}')
        variables["KERAS_HOME"] = str(tmp_path)
    first = ""
    if source == "imported":
        first = "import sys, types; k = sys.modules['keras'] = types.ModuleType('keras')\n"
        first += "k.backend = types.SimpleNamespace(backend=lambda: 'jax')\n"
    code = f"{first}try:\n    import meta_gan\nexcept ImportError as error:\n    print(error)\n"
    line = run(code, **variables).stdout
    assert line.startswith("Keras's backend must be 'tensorflow'") and line.count("\n") == 1
    assert {"variable": "'jax'", "file": "'torch'", "imported": "'jax'"}[source] in line


@pytest.mark.parametrize("enabled", [True, False])
def test_an_import_leaves_garbage_collection_as_it_was(enabled):
    (gc.enable if enabled else gc.disable)()
    try:
        backend.import_tensorflow()
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


@pytest.mark.parametrize("command", ["module", "launcher"])
def test_the_command_names_another_backend_and_ends_with_2(command):
    started = {
        "module": [sys.executable, "-m", "meta_gan.cli", "info", "--model", "omniglot"],
        "launcher": [sys.executable, str(ROOT / "meta_gan" / "cli" / "launcher" / "__init__.py")],
    }[command]
    if command == "launcher":
        code = "import importlib.util as u, sys; s = u.spec_from_file_location('meta_gan_command', sys.argv.pop(1)); "
        code += "m = u.module_from_spec(s); s.loader.exec_module(m); m.main()"
        started = [sys.executable, "-c", code, started[1], "info", "--model", "omniglot"]
    ended = run(started, KERAS_BACKEND="jax")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "Keras's backend must be 'tensorflow'" in line and "'jax'" in line
