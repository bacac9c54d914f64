"""`.keras` files of strangers: damaged ones and ones that name code, refused by name, of which nothing runs."""

import io
import json
import os
import resource
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest

import meta_gan as mg
from meta_gan import serving

CANARY = "canary"


@pytest.fixture(scope="module")
def generator(adapted, tmp_path_factory):
    """A `generator.keras`."""
    file = tmp_path_factory.mktemp("keras") / "generator.keras"
    adapted.generator.save(file)
    return file


def rewritten(file, place, change):
    """A copy of a `.keras` file with its configuration changed."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(place, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, json.dumps(change(json.loads(data))) if name == "config.json" else data)
    return place


def test_a_generator_is_loaded(generator, adapted):
    z = np.random.default_rng(0).normal(size=(2, 2)).astype("float32")
    assert serving.inspect(generator).refused == ()
    np.testing.assert_allclose(serving.load_generator(generator)(z), adapted.generator(z), atol=1e-6)


def test_initial_values_that_depend_on_other_weights_are_loaded(tmp_path):
    """The vectors of a spectral normalisation start from the eigenvectors of its kernel."""
    generator = mg.networks.sagan((28, 28, 1), latent_dim=4, width=4)[0]
    generator.save(tmp_path / "g.keras")
    z = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    np.testing.assert_array_equal(serving.load_generator(tmp_path / "g.keras")(z), generator(z))


@keras.saving.register_keras_serializable("app")
class Application(keras.layers.Layer):
    """A class of the program that loads, which does something when it is made."""

    made = 0

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        Application.made += 1


def in_a_stack(tmp_path, layer):
    """A `.keras` file of a stack of layers, one of which is what a stranger wrote."""
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    plain.save(tmp_path / "plain.keras")

    def change(config):
        config["config"]["layers"].append(layer)
        return config

    return rewritten(tmp_path / "plain.keras", tmp_path / "bad.keras", change)


KERAS = {"module": "keras.layers", "config": {"name": "l"}, "registered_name": None}
OURS = "meta_gan>ConditionedGenerator"
CODE = {
    "a class of the application": {**KERAS, "class_name": "Application", "registered_name": "app>Application"},
    "behind a layer's name": {**KERAS, "class_name": "Dense", "registered_name": "app>Application"},
    "by its registered name alone": {**KERAS, "class_name": "app>Application"},
    "a function of a module": {
        "module": "os",
        "class_name": "function",
        "config": "system",
        "registered_name": "function",
    },
    "a module of ours that is none": {"module": "meta_gan", "class_name": "function", "config": "os.system"},
    "a module that is not ours": {**KERAS, "module": "os", "class_name": "system", "registered_name": OURS},
    "a function of Keras": {"module": "keras.utils", "class_name": "get_file", "config": {}, "registered_name": None},
    "a Lambda": keras.saving.serialize_keras_object(keras.layers.Lambda(lambda x: x)),
    "an older Lambda": {"class_name": "Lambda", "registered_name": OURS, "config": {"name": "l"}},
    "without a module": {"class_name": "Dense", "config": {"units": 2}},
    "a bare lambda": {"module": "meta_gan", "class_name": "__lambda__", "config": {"value": "x"}},
    "another SavedModel": {**KERAS, "class_name": "TFSMLayer", "config": {"filepath": "/tmp"}},
    "a file of words": {**KERAS, "class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}},
}


@pytest.mark.parametrize("name", CODE)
def test_keras_files_that_name_code_are_refused_and_nothing_ran(name, tmp_path):
    bad, before = in_a_stack(tmp_path, CODE[name]), Application.made
    assert serving.inspect(bad).refused
    with pytest.raises(ValueError, match=r"must be a .keras file of Keras's layers and ours"):
        serving.load_generator(bad)
    assert Application.made == before


def test_without_the_inspection_it_would_have_run(tmp_path):
    bad, before = in_a_stack(tmp_path, CODE["behind a layer's name"]), Application.made
    keras.models.load_model(bad)
    assert Application.made > before
    assert serving.inspect(bad, allow=["app>Application"]).refused == ()


def test_a_functional_model_of_keras_is_loaded(tmp_path):
    z = keras.Input((3,))
    model = keras.Model(z, keras.layers.Dense(2, activation="tanh")(z))
    model.compile("adam", "mse")
    model.save(tmp_path / "f.keras")
    given = np.ones((2, 3), np.float32)
    np.testing.assert_allclose(serving.load_generator(tmp_path / "f.keras")(given), model(given))


def test_files_that_unpack_to_far_more_are_refused_before_they_do(generator, tmp_path):
    bad = tmp_path / "bomb.keras"
    with zipfile.ZipFile(generator) as old, zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, b" " * 2**25 if name == "config.json" else old.read(name))
    assert bad.stat().st_size < 2**20
    with pytest.raises(ValueError, match=r"'config.json' of .* must be of at most 16777216 bytes"):
        serving.inspect(bad)


def test_archives_that_climb_out_are_refused(generator, tmp_path):
    for number, name in enumerate(("../canary", "/tmp/canary", "assets/../../canary", "extra.py")):
        bad = tmp_path / f"{number}.keras"
        shutil.copy(generator, bad)
        with zipfile.ZipFile(bad, "a") as archive:
            archive.writestr(name, "ran")
        with pytest.raises(ValueError, match=r"alone. Received: "):
            serving.load_generator(bad)
    assert not (tmp_path.parent / CANARY).exists() and not (tmp_path / CANARY).exists()


@pytest.mark.slow
def test_keras_files_cut_short_or_flipped_are_refused_or_the_same(generator, adapted, tmp_path):
    data = generator.read_bytes()
    z = np.ones((2, 2), np.float32)
    expected = adapted.generator(z).numpy()
    bad = tmp_path / "bad.keras"
    for part in (b"", data[:10], data[: len(data) // 2], data[:-30]):
        bad.write_bytes(part)
        with pytest.raises(ValueError):
            serving.load_generator(bad)
    # Heads and tails of the archive, where its own lists stand; in between here and there.
    ends = [(place, bit) for place in [*range(40), *range(len(data) - 60, len(data))] for bit in (0, 6)]
    for place, bit in [*ends, *((int(p), 2) for p in np.linspace(0, len(data) - 1, 40))]:
        bad.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
        try:
            made = serving.load_generator(bad)(z)
        except ValueError:
            continue
        # Dates and the like may change: not what it makes.
        np.testing.assert_allclose(made, expected, atol=1e-6)


SIZES = [
    ("depth", 10**7),
    ("width", 10**9),
    ("width", 200_000),
    ("width", 9),
    ("latent_dim", 10**9),
    ("example_shape", [20_000, 20_000, 1]),
    ("example_shape", [1024, 1024, 1]),
]


@pytest.mark.parametrize(("key", "value"), SIZES)
def test_models_larger_than_their_weights_are_refused_before_they_are_built(key, value, generator, tmp_path):
    def change(config):
        config["config"][key] = value
        return config

    bad = rewritten(generator, tmp_path / "bad.keras", change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"bad\.keras"):
        serving.load_generator(bad)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 2**10
    assert key not in {"width"} or value < 1000 or f"'config.{key}' of {value}" in serving.inspect(bad).refused[0]


@pytest.mark.parametrize("layer", [{"units": 10**9}, {"units": 10**6}, {"units": 300}])
def test_layers_larger_than_the_weights_are_refused(layer, tmp_path):
    described = keras.saving.serialize_keras_object(keras.layers.Dense(2))
    described["config"].update(layer)
    with pytest.raises(ValueError, match=r"bad\.keras"):
        serving.load_generator(in_a_stack(tmp_path, described))


def test_ten_thousand_layers_are_refused(generator, tmp_path):
    layer = keras.saving.serialize_keras_object(keras.layers.Dense(2))
    bad = rewritten(generator, tmp_path / "bad.keras", lambda config: {**config, "x": [layer] * 10_000})
    assert any("objects, at most 5000" in each for each in serving.inspect(bad).refused)
    with pytest.raises(ValueError, match="objects, at most 5000"):
        serving.load_generator(bad)


@pytest.mark.parametrize("text", ["{", "", "[]", "[" * 5000, '{"a": ' * 200 + "1" + "}" * 200, "\x00"])
def test_a_configuration_that_is_none_names_the_file(text, generator, tmp_path):
    bad = tmp_path / "bad.keras"
    with zipfile.ZipFile(generator) as old, zipfile.ZipFile(bad, "w") as new:
        for name in old.namelist():
            new.writestr(name, text if name == "config.json" else old.read(name))
    for function in (serving.inspect, serving.load_generator):
        with pytest.raises(mg.DamagedFileError, match=r"bad\.keras"):
            function(bad)


def with_weights(generator, place, write):
    """A copy of a `.keras` file with other weights, written by `write(h5py.File)`."""
    made = io.BytesIO()
    with h5py.File(made, "w") as file:
        write(file)
    with zipfile.ZipFile(generator) as old, zipfile.ZipFile(place, "w") as new:
        for name in old.namelist():
            new.writestr(name, made.getvalue() if name.endswith(".h5") else old.read(name))
    return place


WEIGHTS = {
    "a link to another file": lambda file: file.__setitem__("a", h5py.ExternalLink("/etc/passwd", "/")),
    "a soft link": lambda file: file.__setitem__("a", h5py.SoftLink("/b")),
    "values in another file": lambda file: file.create_dataset("a", (8,), "u1", external=[("/etc/passwd", 0, 8)]),
    "far more values than bytes": lambda file: file.create_dataset(
        "a", (2**30,), "f4", compression="gzip", chunks=True
    ),
    "NaN": lambda file: file.create_dataset("a", data=np.full(3, np.nan)),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_strange_weights_are_refused(kind, generator, tmp_path):
    bad = with_weights(generator, tmp_path / "bad.keras", WEIGHTS[kind])
    with pytest.raises(mg.DamagedFileError, match=r"bad\.keras"):
        serving.load_generator(bad)


def test_weights_that_are_not_finite_are_refused(adapted, tmp_path):
    model = adapted.generator
    model.variables[0].assign(model.variables[0] * np.nan)
    model.save(tmp_path / "bad.keras")
    with pytest.raises(mg.DivergenceError, match=r"weights of .*bad\.keras' must be finite"):
        serving.load_generator(tmp_path / "bad.keras")


def test_places_that_are_no_files_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.keras")
    os.symlink("/dev/zero", tmp_path / "zero.keras")
    os.symlink("nowhere", tmp_path / "dangling.keras")
    (tmp_path / "folder.keras").mkdir()
    for file in (*tmp_path.iterdir(), tmp_path / "absent.keras"):
        with pytest.raises(mg.DamagedFileError, match=file.name):
            serving.load_generator(file)
