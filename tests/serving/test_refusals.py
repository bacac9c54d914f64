"""What strangers send: requests, files and programs that are refused by name, and run nothing."""

import json
import shutil
import time
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from meta_gan import export, serving
from tests.serving.conftest import support

GOOD = {"support": support(3), "steps": 1, "num": 2, "seed": 0}
HUGE, LEAST = 2**31 - 1, -(2**31)
ONES = np.ones((2, 8, 8, 1), np.float32)
Z = np.zeros((2, 2), np.float32)


def spoilt(value):
    images = support(3)
    images[1, 2, 3, 0] = value
    return images


# name: (signature, what is other than in a good request, what the refusal names)
HOSTILE = {
    **{f"num {n}": ("adapt_and_sample", {"num": n}, "`num` must lie in [1, 9]") for n in (0, -1, 10, HUGE, LEAST)},
    **{f"steps {n}": ("adapt_and_sample", {"steps": n}, "`steps` must lie in [0, 5]") for n in (6, -1, HUGE, LEAST)},
    **{f"sample num {n}": ("sample", {"num": n}, "`num` must lie in [1, 9]") for n in (0, -1, 10, HUGE, LEAST)},
    **{f"adapt steps {n}": ("adapt", {"steps": n}, "`steps` must lie in [0, 5]") for n in (6, -1, HUGE)},
    "no image": ("adapt_and_sample", {"support": ONES[:0]}, "the length of `support` along axis 0 must lie in [1, 6]"),
    "too many images": (
        "adapt_and_sample",
        {"support": np.zeros((7, 8, 8, 1), np.float32)},
        "the length of `support` along axis 0 must lie in [1, 6]",
    ),
    "very many images": (
        "adapt",
        {"support": np.zeros((20000, 8, 8, 1), np.float32)},
        "the length of `support` along axis 0 must lie in [1, 6]",
    ),
    "a NaN": ("adapt_and_sample", {"support": spoilt(np.nan)}, "`support` must be finite and lie in [-1, 1]"),
    "a NaN to adapt": ("adapt", {"support": spoilt(np.nan)}, "`support` must be finite and lie in [-1, 1]"),
    "an infinity": ("adapt_and_sample", {"support": spoilt(np.inf)}, "`support` must be finite and lie in [-1, 1]"),
    "less than nothing": ("adapt_and_sample", {"support": spoilt(-np.inf)}, "`support` must be finite"),
    "1e30": ("adapt_and_sample", {"support": spoilt(1e30)}, "`support` must be finite and lie in [-1, 1]"),
    "levels of 0 to 255": ("adapt_and_sample", {"support": 255 * ONES}, "`support` must be finite and lie in [-1, 1]"),
    "bytes for floats": ("adapt_and_sample", {"support": ONES.astype(np.uint8)}, "'support' must be float32"),
    "doubles for floats": ("adapt_and_sample", {"support": ONES.astype(np.float64)}, "'support' must be float32"),
    "words": ("adapt_and_sample", {"support": np.array([b"drop table"])}, "'support' must be float32"),
    "a wrong side": ("adapt_and_sample", {"support": np.zeros((2, 8, 9, 1), np.float32)}, "'support' must be float32"),
    "colours": ("adapt_and_sample", {"support": np.zeros((2, 8, 8, 3), np.float32)}, "'support' must be float32"),
    "no batch axis": ("adapt_and_sample", {"support": ONES[0]}, "'support' must be float32"),
    "an axis too many": ("adapt_and_sample", {"support": ONES[None]}, "'support' must be float32"),
    "a list for num": ("adapt_and_sample", {"num": np.array([1, 2], np.int32)}, "'num' must be int32"),
    "a real num": ("adapt_and_sample", {"num": 1.5}, "'num' must be int32"),
    "a num over 32 bits": ("adapt_and_sample", {"num": 2**31}, "'num' must be int32"),
    "a seed over 32 bits": ("adapt_and_sample", {"seed": 2**40}, "'seed' must be int32"),
    "a missing input": ("adapt_and_sample", {"seed": None}, "'adapt_and_sample' must be given ['num', 'seed'"),
    "an input too many": ("adapt_and_sample", {"shell": "rm"}, "'adapt_and_sample' must be given ['num', 'seed'"),
    "an unknown signature": ("system", {}, "the signature must be one of ['adapt', "),
    "no latents": ("serving_default", {"z": Z[:0]}, "the length of `z` along axis 0 must lie in [1, 9]"),
    "many latents": ("serving_default", {"z": np.zeros((10, 2), np.float32)}, "the length of `z` along axis 0"),
    "latents of NaN": ("serving_default", {"z": Z * np.nan}, "`z` must be finite"),
    "latents of infinity": ("serving_default", {"z": Z + np.inf}, "`z` must be finite"),
    "latents of 1e30": ("serving_default", {"z": Z + np.float32(1e30)}, None),
    "pixels of 2": ("discriminate", {"images": 2 * ONES}, "`images` must be finite and lie in [-1, 1]"),
}
INPUTS = {
    "adapt_and_sample": ("support", "steps", "num", "seed"),
    "adapt": ("support", "steps", "seed"),
    "sample": ("num", "seed"),
}


def request_of(signature, changes):
    inputs = {name: GOOD[name] for name in INPUTS.get(signature, ())} | changes
    return {name: value for name, value in inputs.items() if value is not None}


def test_there_are_forty_hostile_requests():
    assert len(HOSTILE) >= 40


def test_hostile_requests_are_refused_by_name_and_the_server_lives_on(served):
    """Each in under ten milliseconds (of the best of three, for the machine may be busy), or answered finitely."""
    expected = served.call("adapt_and_sample", **GOOD)["samples"]
    served.call("sample", num=1, seed=0)
    for name, (signature, changes, said) in HOSTILE.items():
        inputs, times = request_of(signature, changes), []
        for _ in range(3):
            start = time.perf_counter()
            if said is None:
                assert all(np.isfinite(value).all() for value in served.call(signature, **inputs).values()), name
                break
            with pytest.raises(ValueError) as refusal:
                served.call(signature, **inputs)
            times.append(time.perf_counter() - start)
            assert said in str(refusal.value) and len(str(refusal.value)) < 500, (name, str(refusal.value))
        assert said is None or min(times) < 0.01, (name, times)
    np.testing.assert_array_equal(served.call("adapt_and_sample", **GOOD)["samples"], expected)


def test_weights_of_strangers_must_be_finite(served):
    weights = served.call("adapt", support=support(3), steps=0, seed=0)
    name = next(iter(weights))
    weights[name] = weights[name] * np.nan
    with pytest.raises(ValueError, match=f"`{name}` must be finite"):
        served.call("sample_adapted", **weights, num=1, seed=0)


@pytest.fixture
def copy(folder, tmp_path):
    """A copy of the export, to spoil."""
    return shutil.copytree(folder, tmp_path / "copy")


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_whole_export_is_loaded(copy):
    assert serving.load(copy).about["limits"] == {"shots": 6, "steps": 5, "num": 9, "tasks": 3}


def test_files_cut_short_or_flipped_are_refused(copy):
    """In every file of the export, at five places each."""
    for file in files_of(copy):
        data = file.read_bytes()
        spoils = [data[: len(data) // 2]]
        for place in np.linspace(0, len(data) - 1, 5).astype(int) if data else []:
            spoils.append(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        for spoil in spoils if data else [b"x"]:
            file.write_bytes(spoil)
            with pytest.raises(ValueError):
                serving.load(copy)
        file.write_bytes(data)
    serving.load(copy)


def test_files_added_taken_away_or_linked_are_refused(copy, tmp_path):
    (copy / "assets").mkdir(exist_ok=True)
    (copy / "assets" / "more").write_text("x")
    with pytest.raises(ValueError, match=r"must be those that were exported. Received: others in \['assets/more'\]"):
        serving.load(copy)
    (copy / "assets" / "more").unlink()
    weights = copy / "variables" / "variables.data-00000-of-00001"
    shutil.move(weights, tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="others in"):
        serving.load(copy)
    weights.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="must hold files of its own"):
        serving.load(copy)


CANARY = "canary"


def foreign(tmp_path, ours=None):
    """A SavedModel that writes a file when it is asked, dressed up as one of ours if a card is given."""
    module = tf.Module()
    path = str(tmp_path / CANARY)

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def ask(x):
        tf.io.write_file(path, "ran")
        return {"y": x}

    folder = tmp_path / "foreign"
    tf.saved_model.save(module, str(folder), signatures=ask)
    if ours:
        shutil.copytree(ours / export.EXTRA, folder / export.EXTRA, dirs_exist_ok=True)
        export.write_manifest(folder)
    return folder


def test_a_strangers_program_is_refused_and_nothing_of_it_ran(tmp_path, folder):
    with pytest.raises(ValueError, match="must be a SavedModel that meta_gan exported"):
        serving.load(foreign(tmp_path))
    shutil.rmtree(tmp_path / "foreign")
    dressed = foreign(tmp_path, folder)
    assert "WriteFile" in serving.inspect(dressed).refused
    with pytest.raises(ValueError, match=r"must hold what our models are made of. Received: \[.*'WriteFile'"):
        serving.load(dressed)
    assert not (tmp_path / CANARY).exists()
    tf.saved_model.load(str(dressed)).signatures["serving_default"](tf.constant(0.0))
    assert (tmp_path / CANARY).read_text() == "ran", "it would have"


def rewritten_graph(folder, change):
    """Changes the graph of an export in its place, and its manifest with it."""
    file = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    change(saved.meta_graphs[0])
    file.write_bytes(saved.SerializeToString())
    export.write_manifest(folder)


def refused_by_load(folder):
    with pytest.raises(ValueError, match=r"must hold what our models are made of|must be whole") as refusal:
        serving.load(folder)
    return str(refusal.value)


def test_a_program_that_hides_behind_another_signature_is_refused(tmp_path, folder):
    """The graph's list of signatures names a harmless tensor; Python would call the function all the same."""
    dressed = foreign(tmp_path, folder)

    def hide(graph):
        signature = graph.signature_def["serving_default"]
        signature.outputs["y"].name = signature.inputs["x"].name

    rewritten_graph(dressed, hide)
    assert "WriteFile" in refused_by_load(dressed) and not (tmp_path / CANARY).exists()


def test_a_program_that_runs_at_loading_is_refused(tmp_path, folder):
    class Resource(tf.saved_model.experimental.TrackableResource):
        def _create_resource(self):
            return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[])

        def _initialize(self):
            written = tf.raw_ops.SaveV2(
                prefix=str(tmp_path / CANARY), tensor_names=["a"], shape_and_slices=[""], tensors=[tf.zeros([1])]
            )
            with tf.control_dependencies([written]):
                tf.debugging.Assert(tf.constant(True), ["x"])

    module = tf.Module()
    module.resource = Resource()
    module.resource.resource_handle  # noqa: B018  (made when it is first asked for)
    ask = tf.function(lambda x: {"y": x + 1.0}, input_signature=[tf.TensorSpec([], tf.float32)])
    tf.saved_model.save(module, str(tmp_path / "resource"), signatures=ask)
    for path in tmp_path.glob(f"{CANARY}*"):
        path.unlink()
    shutil.copytree(folder / export.EXTRA, tmp_path / "resource" / export.EXTRA)
    export.write_manifest(tmp_path / "resource")
    assert "SaveV2" in refused_by_load(tmp_path / "resource")
    assert not list(tmp_path.glob(f"{CANARY}*"))
    tf.saved_model.load(str(tmp_path / "resource"))
    assert list(tmp_path.glob(f"{CANARY}*")), "it would have"


def test_a_graph_of_the_old_form_is_refused(copy):
    """Without its objects TensorFlow would load it another way, and run its first operation."""
    rewritten_graph(copy, lambda graph: graph.ClearField("object_graph_def"))
    assert "no object graph" in refused_by_load(copy)


def test_graphs_with_something_missing_are_refused_by_name(copy):
    def change(graph):
        del graph.graph_def.node[: len(graph.graph_def.node) // 2]

    rewritten_graph(copy, change)
    with pytest.raises(ValueError, match="must be whole"):
        serving.inspect(copy)


def test_cards_that_are_none_are_refused(copy):
    for bad in ('{"limits": [1], "signatures": {}}', '{"limits": {}, "signatures": {"a": {}}}', "[]", "[" * 10000):
        (copy / export.EXTRA / export.ABOUT).write_text(bad)
        with pytest.raises(ValueError, match="must be what an export says of itself"):
            serving.inspect(copy)


def test_a_file_that_is_called_like_the_manifest_is_no_other(copy):
    (copy / "assets").mkdir(exist_ok=True)
    (copy / "assets" / export.MANIFEST).write_text("x")
    with pytest.raises(ValueError, match=r"others in \['assets/sha256.json'\]"):
        serving.load(copy)


def test_inputs_may_be_called_anything(served):
    for name in ("self", "signature"):
        with pytest.raises(ValueError, match="must be given"):
            served.call("sample", **{"num": 1, "seed": 0, name: 1})
    with pytest.raises(ValueError, match="'support' must be float32"):
        served.call("adapt", support=[[1.0], [1.0, 2.0]], steps=0, seed=0)


def test_no_folder_and_no_saved_model_are_refused(tmp_path):
    with pytest.raises(ValueError, match="there must be a file or folder"):
        serving.inspect(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"must be a folder with saved_model.pb"):
        serving.load(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"\xff" * 100)
    with pytest.raises(ValueError, match="must be a whole SavedModel"):
        serving.load(tmp_path)


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
