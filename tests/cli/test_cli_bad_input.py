"""What `adapt`, `sample`, `export`, `info` and `data` refuse: exit code 2, one line, nothing half-written."""

import errno
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from meta_gan import AdaptedModel
from meta_gan.tasks.media import medium
from tests.trainers import helpers


@pytest.fixture
def adapt(world, tmp_path, refused):
    """Checks that `adapt` with some flags replaced is refused, and leaves nothing."""

    def check(**flags):
        out = tmp_path / "out"
        given = {"model": world.run, "support": world.support_npz, "out": out, "sample": 2, "inner-steps": 1, **flags}
        return refused("adapt", *[part for name, value in given.items() for part in (f"--{name}", value)], out=out)

    return check


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_an_empty_support_folder(adapt, tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "notes.txt").write_text("no image")
    assert "must hold at least 1 image file" in adapt(support=tmp_path / "none")


def test_an_absent_support(adapt, tmp_path):
    assert "must be a folder of images or a .npz file. Received: " in adapt(support=tmp_path / "absent")


@pytest.mark.parametrize("content", [b"no picture", b""])
def test_an_unreadable_image_is_named(adapt, world, tmp_path, content):
    support = Path(shutil.copytree(world.support, tmp_path / "support"))
    (support / "2.png").write_bytes(content)
    message = adapt(support=support)
    assert f"{support / '2.png'}: must be a whole image of PNG, " in message


def test_a_truncated_image_is_named(adapt, world, tmp_path):
    support = Path(shutil.copytree(world.support, tmp_path / "support"))
    whole = (support / "3.png").read_bytes()
    (support / "3.png").write_bytes(whole[: len(whole) // 2])
    assert f"{support / '3.png'}: must be a whole image" in adapt(support=support)


def test_support_of_another_shape(adapt, tmp_path):
    path = saved(tmp_path / "s.npz", support=np.zeros((5, 28, 28, 1), np.uint8))
    assert "must have shape [n, 8, 8, 1] with n >= 1. Received: shape (5, 28, 28, 1)" in adapt(support=path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((2, 8, 8, 1), np.nan, np.float32), "must be finite. Received: 128 values that are NaN or infinite"),
        (np.full((2, 8, 8, 1), 7.0, np.float32), "must lie in [-1, 1]"),
        (np.full((2, 8, 8, 1), 256), "of integers must be levels in 0..255"),
        (np.zeros((2, 8, 8, 1), complex), "must be uint8 in 0..255 or floating point in [-1, 1]"),
        (np.zeros((0, 8, 8, 1), np.float32), "with n >= 1. Received: shape (0, 8, 8, 1)"),
        (np.zeros((8, 8), np.uint8), "Received: shape (8, 8)"),
        (np.array([np.zeros((8, 8)), np.zeros((9, 9))], object), "must be a whole array without pickles"),
    ],
)
def test_support_arrays_that_are_no_images(adapt, tmp_path, array, message):
    assert message in adapt(support=saved(tmp_path / "s.npz", support=array))


def test_a_support_archive_without_the_array(adapt, tmp_path):
    path = saved(tmp_path / "s.npz", pictures=np.zeros((5, 8, 8, 1), np.uint8))
    assert "must hold the array images or support. Received: ['pictures']" in adapt(support=path)


def test_a_damaged_support_archive(adapt, tmp_path):
    (tmp_path / "s.npz").write_bytes(b"PK damaged")
    assert f"{tmp_path / 's.npz'}: must be a NumPy .npz archive" in adapt(support=tmp_path / "s.npz")


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("sample", 0, "'--sample' must be an integer >= 1 and < 2^31. Received: 0"),
        ("sample", -1, "'--sample' must be an integer >= 1 and < 2^31. Received: -1"),
        ("inner-steps", -1, "'--inner-steps' must be an integer >= 0 and < 2^31. Received: -1"),
        ("seed", -1, "'--seed' must be an integer >= 0 and < 2^31. Received: -1"),
        ("seed", 2**31, "'--seed' must be an integer >= 0 and < 2^31. Received: 2147483648"),
    ],
)
def test_numbers_out_of_range(adapt, flag, value, message):
    assert message in adapt(**{flag: value})


@pytest.mark.parametrize(
    ("flag", "value"), [("count", 0), ("count", -2), ("count", 2**31), ("seed", -1), ("seed", 2**31)]
)
def test_numbers_of_sample_out_of_range(world, tmp_path, refused, flag, value):
    given = {"model": world.adapted, "count": 1, "out": tmp_path / "out", flag: value}
    arguments = [part for name, each in given.items() for part in (f"--{name}", each)]
    assert f"'--{flag}' must be an integer >= " in refused("sample", *arguments, out=tmp_path / "out")


MODEL_COMMANDS = {"adapt": ["--support", "s.npz", "--out", "out"], "export": ["--out", "out"], "info": []}


@pytest.fixture(params=sorted(MODEL_COMMANDS))
def load(request, world, tmp_path, refused, monkeypatch):
    """Checks that each command that takes a model refuses a folder."""
    monkeypatch.chdir(tmp_path)

    def check(model):
        flags = [str(world.support_npz) if flag == "s.npz" else flag for flag in MODEL_COMMANDS[request.param]]
        return refused(request.param, "--model", model, *flags, out=tmp_path / "out")

    return check


def test_a_missing_model(load):
    assert "a model must be a folder or one of the shipped names " in load("absent")


def test_a_folder_without_a_model(load, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "must hold config.json and weights.npz, or finished runs. Received: " in load("empty")


def test_a_damaged_model(load, world, tmp_path):
    model = Path(shutil.copytree(world.run / "model", tmp_path / "model"))
    content = bytearray((model / "weights.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (model / "weights.npz").write_bytes(bytes(content))
    assert "must have the sha256 in config.json, " in load(model)
    (model / "config.json").write_text("{")
    assert "must be readable JSON. Received: " in load(model)


@pytest.mark.parametrize("command", ["adapt", "export"])
def test_an_adapted_model_is_no_meta_model(command, world, tmp_path, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = [str(world.support_npz) if flag == "s.npz" else flag for flag in MODEL_COMMANDS[command]]
    message = refused(command, "--model", world.adapted, *flags, out=tmp_path / "out")
    assert "must hold a meta-model, as `meta-gan train` and MetaModel.save write. Received: an adapted model" in message


def test_a_meta_model_is_no_adapted_one(world, tmp_path, refused):
    arguments = ["--model", world.run / "model", "--count", 1, "--out", tmp_path / "out"]
    assert (
        "must hold an adapted model, as `meta-gan adapt` and AdaptedModel.save write. Received: a meta-model"
        in refused("sample", *arguments, out=tmp_path / "out")
    )
    assert "adapt a meta-model first. Received: " in refused("sample", "--model", tmp_path, *arguments[2:])


def taken(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").write_text("keep")
    return tmp_path / "taken"


@pytest.mark.parametrize("command", ["adapt", "sample"])
def test_an_existing_output_is_kept(world, tmp_path, refused, command):
    out = taken(tmp_path)
    rest = {"adapt": ["--support", world.support_npz], "sample": ["--count", 1]}[command]
    model = {"adapt": world.run, "sample": world.adapted}[command]
    message = refused(command, "--model", model, *rest, "--out", out)
    assert f"the output {str(out)!r} must not exist yet" in message
    assert helpers.files(out) == {"mine": b"keep"}


def test_an_existing_sheet_is_kept(world, tmp_path, refused):
    out = taken(tmp_path) / "mine"
    assert "--out must not exist yet" in refused("data", "--data", world.data, "--out", out)
    assert out.read_text() == "keep"


def test_exporting_over_a_file_is_refused(world, tmp_path, refused):
    out = taken(tmp_path) / "mine"
    assert "--out must be a folder. Received: the file " in refused("export", "--model", world.run, "--out", out)
    assert out.read_text() == "keep"


@pytest.mark.parametrize("command", ["adapt", "sample", "export"])
def test_an_output_below_a_file_is_refused(world, tmp_path, refused, command):
    out = taken(tmp_path) / "mine" / "out"
    rest = {"adapt": ["--support", world.support_npz], "sample": ["--count", 1], "export": []}[command]
    model = world.adapted if command == "sample" else world.run
    assert "must be writable. Received: " in refused(command, "--model", model, *rest, "--out", out)
    assert helpers.files(tmp_path) == {"taken/mine": b"keep"}


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


# What fails is late in the work: the last picture, or the SavedModel itself.
FULL = {
    "adapt": (medium, "grid"),
    "sample": (medium, "grid"),
    "export": (type(keras.export.ExportArchive()), "write_out"),
}


@pytest.mark.parametrize("command", FULL)
def test_a_full_disk_leaves_no_file(world, tmp_path, refused, monkeypatch, command):
    monkeypatch.setattr(*FULL[command], full)
    monkeypatch.setattr(AdaptedModel, "export", lambda *_: None)
    rest = {"adapt": ["--support", world.support_npz], "sample": ["--count", 1], "export": []}[command]
    model = world.adapted if command == "sample" else world.run
    message = refused(command, "--model", model, *rest, "--out", tmp_path / "out", code=1)
    place = tmp_path / "out" / "1" if command == "export" else tmp_path / "out"
    assert message == f"meta-gan {command}: error: No space left on device: {place}\n"
    assert helpers.files(tmp_path) == {}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((24, 8, 8), np.uint8)}, "must hold 'images' and 'labels'"),
        (helpers.arrays() | {"labels": np.arange(120)}, "'class_split' must be"),
        (helpers.arrays() | {"images": np.full((120, 8, 8), np.nan)}, "must be finite"),
        (
            {"images": np.zeros((13, 8, 8), np.uint8), "labels": np.array([0] * 12 + [1])},
            "class '1' has 1 (1 of 2 classes",
        ),
    ],
)
def test_data_that_cannot_be_tasks(tmp_path, refused, arrays, message):
    path, out = saved(tmp_path / "d.npz", **arrays), tmp_path / "sheet.png"
    assert message in refused("data", "--data", path, "--out", out, out=out)


def test_data_of_one_class_cannot_be_trained_on_in_pairs(tmp_path, refused):
    path = saved(tmp_path / "d.npz", **helpers.arrays((0,)))
    flags = ["--preset", "fomaml", "--data", path, "--out", tmp_path / "runs", "--set", "meta_batch=2"]
    assert "'meta_batch' must be at most the 1 tasks of the train split" in refused(
        "train", *flags, out=tmp_path / "runs"
    )


@pytest.mark.parametrize(("flag", "value"), [("shots", 0), ("queries", -1), ("shots", 12)])
def test_data_with_bad_episodes(world, tmp_path, refused, flag, value):
    out = tmp_path / "sheet.png"
    assert flag in refused("data", "--data", world.data, "--out", out, f"--{flag}", value, out=out)


def test_data_that_is_not_there(tmp_path, refused):
    assert "at which there is nothing" in refused("data", "--data", tmp_path / "absent")


def test_a_source_with_a_broken_image_is_named(tmp_path, refused):
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for index in range(12):
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "set" / name / f"{index}.png")
    (tmp_path / "set" / "b" / "5.png").write_bytes(b"broken")
    message = refused("data", "--data", tmp_path / "set", "--out", tmp_path / "s.png", out=tmp_path / "s.png")
    assert f"{tmp_path / 'set' / 'b' / '5.png'}: must be a whole image" in message
