"""Folders that are written atomically, and the format of a saved model."""

import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from meta_gan import storage

CONFIG = {
    "kind": "meta_model",
    "algorithm": {"config": {"name": "MAML", "inner_steps": 3}},
    "example_shape": [2],
    "data": {"name": "rings", "splits": {"train": ["a", "b"], "test": ["c"]}, "polarity": "light"},
    "training": {"steps": 7},
}
ARRAYS = {"variable_0000": np.arange(6, dtype=np.float32).reshape(2, 3), "variable_0001": np.float64(2.5)}


@pytest.fixture
def saved(tmp_path):
    storage.write_model(tmp_path / "model", CONFIG, ARRAYS)
    return tmp_path / "model"


def test_a_round_trip_is_exact(saved):
    config, arrays = storage.read_model(saved, "meta_model")
    assert config["format"] == storage.FORMAT and {k: config[k] for k in CONFIG} == CONFIG
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype
    assert sorted(p.name for p in saved.iterdir()) == ["README.md", "config.json", "metadata.json", "weights.npz"]


def test_the_card_describes_the_model(saved):
    card = (saved / "README.md").read_text()
    for words in ("MAML, 3 inner steps", "Stored values: 7", "rings", "2 train, 1 test", "steps: 7", "meta_gan.load"):
        assert words in card


def test_a_callers_card_replaces_the_default(tmp_path):
    storage.write_model(tmp_path / "other", {"kind": "other"}, ARRAYS, card="# Mine\n")
    assert (tmp_path / "other" / "README.md").read_text() == "# Mine\n"
    assert storage.read_config(tmp_path / "other")["kind"] == "other"


def test_any_flipped_byte_of_the_weights_is_refused(saved):
    file = saved / "weights.npz"
    good = file.read_bytes()
    for place in (0, len(good) // 2, len(good) - 1):
        file.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(ValueError, match="must have the sha256"):
            storage.read_model(saved, "meta_model")
    file.write_bytes(good[:-1])
    with pytest.raises(ValueError, match="sha256"):
        storage.read_model(saved, "meta_model")


def test_pickles_are_never_loaded(saved):
    np.savez(saved / "weights.npz", evil=np.array([{"a": 1}], dtype=object))

    config = json.loads((saved / "config.json").read_text())
    del config[storage.CHECKSUM]
    config["format"] = 1
    config["weights_sha256"] = hashlib.sha256((saved / "weights.npz").read_bytes()).hexdigest()
    (saved / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="pickle"):
        storage.read_model(saved, "meta_model")


def test_missing_and_wrong_files_are_named(saved, tmp_path):
    with pytest.raises(ValueError, match=r"must hold an adapted model, .*Received: a meta-model"):
        storage.read_model(saved, "adapted_model")
    (saved / "weights.npz").unlink()
    with pytest.raises(ValueError, match=r"must hold weights.npz"):
        storage.read_model(saved, "meta_model")
    with pytest.raises(ValueError, match=r"must hold config.json"):
        storage.read_config(tmp_path)
    for text, message in (
        ("{", "readable JSON"),
        ("[]", "configuration of a saved model"),
        ('{"kind": "meta_model", "format": 3}', "format <= 2. Received: 3"),
    ):
        (saved / "config.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            storage.read_config(saved)


def test_check_arrays_compares_shapes_in_order_of_names():
    arrays = {"variable_0001": np.zeros(3), "variable_0000": np.zeros(2)}
    storage.check_arrays("x", arrays, [(2,), (3,)])
    for shapes in ([(3,), (2,)], [(2,)], [(2,), (3,), ()]):
        with pytest.raises(ValueError, match=r"must have shapes of the model, .* at position \d.*Received: "):
            storage.check_arrays("x", arrays, shapes)


def test_taken_places_are_refused_and_kept(tmp_path, saved):
    before = (saved / "config.json").read_bytes()
    with pytest.raises(ValueError, match=r"must not exist yet; .*Received: a folder that is not empty"):
        storage.write_model(saved, {**CONFIG, "example_shape": [9]}, ARRAYS)
    assert (saved / "config.json").read_bytes() == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="must not exist yet"):
        storage.write_model(tmp_path / "file", CONFIG, ARRAYS)
    storage.write_model(saved, {**CONFIG, "example_shape": [9]}, ARRAYS, overwrite=True)
    assert storage.read_config(saved)["example_shape"] == [9]
    (tmp_path / "empty").mkdir()
    storage.write_model(tmp_path / "empty", CONFIG, ARRAYS)
    storage.write_model(tmp_path / "a" / "b" / "c", CONFIG, ARRAYS)
    assert storage.read_config(tmp_path / "a" / "b" / "c")["kind"] == "meta_model"


def others(tmp_path):
    """`{what it is: path}` of places that are no saved models, each with somebody's work."""
    (tmp_path / "file").write_text("mine")
    places = {"a file": tmp_path / "file"}
    for name in ("thesis", "model and notes", "model and folder", "other config", "damaged config", "no config"):
        places[name] = tmp_path / name
        storage.write_model(places[name], CONFIG, ARRAYS)
    for path in places["thesis"].iterdir():
        path.unlink()
    (places["thesis"] / "chapter1.tex").write_text("mine")
    (places["model and notes"] / "notes.txt").write_text("mine")
    (places["model and folder"] / "figures").mkdir()
    (places["other config"] / "config.json").write_text('{"theme": "dark"}')
    (places["damaged config"] / "config.json").write_text("{")
    (places["no config"] / "config.json").unlink()
    places["a judge"] = tmp_path / "judge"
    storage.write_model(places["a judge"], {**CONFIG, "kind": "judge"}, ARRAYS)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    return {**places, "a broken link": tmp_path / "link"}


def test_overwriting_replaces_nothing_but_saved_models(tmp_path):
    before = {}
    for what, place in others(tmp_path).items():
        before[what] = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        with pytest.raises(
            ValueError, match=r"'overwrite' replaces a saved model only, and '.*' must be one(, a meta_model)?. Receive"
        ):
            storage.write_model(place, CONFIG, ARRAYS, overwrite=True)
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before[what], what


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_an_error_inside_leaves_nothing(tmp_path, error):
    with pytest.raises(error, match="no space left on device"), storage.new_folder(tmp_path / "x") as folder:
        (folder / "half").write_text("half")
        raise error("no space left on device")
    assert list(tmp_path.iterdir()) == []


def test_an_error_inside_keeps_what_was_there(saved, tmp_path):
    before = {p.name: p.read_bytes() for p in saved.iterdir()}
    with pytest.raises(RuntimeError), storage.new_folder(saved, overwrite=True) as folder:
        (folder / "config.json").write_text("half")
        raise RuntimeError
    assert {p.name: p.read_bytes() for p in saved.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match="must be writable"), storage.new_folder(tmp_path / "file" / "model"):
        pytest.fail("must not get here")


KILLED = """
import os, pathlib, sys, time
sys.path.insert(0, sys.argv[2])
import importlib.util
spec = importlib.util.spec_from_file_location("storage", sys.argv[2] + "/meta_gan/storage.py")
storage = importlib.util.module_from_spec(spec); spec.loader.exec_module(storage)
with storage.new_folder(sys.argv[1]) as folder:
    (folder / "config.json").write_text("{}")
    print("inside", flush=True)
    time.sleep(60)
"""


def test_a_killed_write_leaves_nothing_that_looks_like_a_model(tmp_path):
    root = str(pathlib.Path(storage.__file__).parents[1])
    command = [sys.executable, "-c", KILLED, str(tmp_path / "model"), root]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        assert process.stdout.readline() == "inside\n"
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert not (tmp_path / "model").exists()
    assert all(p.name.startswith(".") for p in tmp_path.iterdir())
    storage.write_model(tmp_path / "model", CONFIG, ARRAYS)
    assert storage.read_config(tmp_path / "model")["kind"] == "meta_model"


def test_the_folder_may_be_read_by_others(saved):
    """mkdtemp makes folders for the owner only, which another user's server could not read."""
    assert saved.stat().st_mode & 0o777 == 0o755


def test_write_json_replaces_in_one_step(tmp_path, monkeypatch):
    file = tmp_path / "a.json"
    storage.write_json(file, {"a": 1})

    def full(self, *args, **kwargs):
        raise OSError("no space")

    monkeypatch.setattr(pathlib.Path, "write_text", full)
    with pytest.raises(OSError, match="no space"):
        storage.write_json(file, {"a": 2})
    assert json.loads(file.read_bytes()) == {"a": 1}
