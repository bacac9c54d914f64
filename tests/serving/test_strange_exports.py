"""SavedModels of strangers: damaged ones and programs, refused by name, of which nothing runs."""

import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import meta_gan as mg
from meta_gan import export, serving
from tests.serving.conftest import support
from tests.test_damaged_folders import DAMAGE
from tests.toys import tiny_dcgan


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
    with pytest.raises(ValueError, match="must contain files only, no links"):
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
    with pytest.raises(ValueError, match=r"must contain allowed operations only. Received: \[.*'WriteFile'"):
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
    with pytest.raises(ValueError, match=r"must contain allowed operations only|must be whole") as refusal:
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
        with pytest.raises(ValueError, match="must be a description that meta_gan wrote"):
            serving.inspect(copy)


def test_a_file_that_is_called_like_the_manifest_is_no_other(copy):
    (copy / "assets").mkdir(exist_ok=True)
    (copy / "assets" / export.MANIFEST).write_text("x")
    with pytest.raises(ValueError, match=r"others in \['assets/sha256.json'\]"):
        serving.load(copy)


def test_no_folder_and_no_saved_model_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'path' must be an existing file or folder"):
        serving.inspect(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"must be a folder with saved_model.pb"):
        serving.load(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"\xff" * 100)
    with pytest.raises(ValueError, match="must be a whole SavedModel"):
        serving.load(tmp_path)


@pytest.mark.parametrize("kind", DAMAGE)
def test_every_damage_of_every_file_names_the_folder(copy, kind):
    files = files_of(copy)
    for file in files:
        aside = shutil.copy(file, copy.parent / "aside")
        if not file.stat().st_size and kind in ("empty", "truncated", "one bit"):
            continue
        DAMAGE[kind](file)
        for function in (serving.load, serving.inspect):
            try:
                function(copy)
            except mg.DamagedFileError as error:
                assert str(copy) in str(error)
            else:
                assert function is serving.inspect, f"{kind} of {file.name} was loaded"
        if file.is_dir():
            file.rmdir()
        file.unlink(missing_ok=True)
        shutil.move(aside, file)
    assert len(files) > 5


def test_the_files_of_another_export_are_refused(copy, tmp_path):
    model = mg.MetaModel(tiny_dcgan(), mg.FOMAML(inner_steps=1))
    model.adapt(support(2)).export(tmp_path / "other")
    for file in files_of(copy):
        other = tmp_path / "other" / file.relative_to(copy)
        if not other.is_file() or other.read_bytes() == file.read_bytes():
            continue
        aside = shutil.copy(file, tmp_path / "aside")
        shutil.copy(other, file)
        with pytest.raises(mg.DamagedFileError, match=re.escape(str(copy))):
            serving.load(copy)
        shutil.move(aside, file)


def test_files_that_would_not_end_are_refused_at_once(copy):
    with open(copy / "variables" / "variables.index", "r+b") as file:
        file.truncate(2**40)
    with pytest.raises(mg.DamagedFileError, match=r"variables.index' must be of at most"):
        serving.load(copy)


def test_an_export_of_an_earlier_version_gives_no_nan_either(served):
    """Its graph has no assertions on outputs; `call` checks them itself."""
    spoiled = serving.Served(served._loaded, serving.Inspection("x", "saved_model", served.signatures))

    spoiled._loaded = SimpleNamespace(signatures={"sample": lambda **_: {"samples": tf.constant([np.nan])}})
    with pytest.raises(mg.DivergenceError, match="the outputs of 'sample' must be finite"):
        spoiled.call("sample", num=1, seed=0)
