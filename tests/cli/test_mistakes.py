"""Mistakes of newcomers: one line says what is wrong and what to do, and the user's files stay as they were."""

import builtins
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from meta_gan import atomic
from meta_gan.cli import info, launcher
from meta_gan.tasks import load_support
from tests.cli.conftest import SETTINGS, call, train_arguments
from tests.trainers import helpers

ROOT = Path(__file__).parents[2]


def draw(path, count, size=(8, 8), mode="L"):
    """A folder of dark squares on white."""
    path.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        picture = Image.new(mode, size, "white")
        picture.paste("black" if mode == "L" else "#a00000", (size[0] // 3, size[1] // 3, size[0] // 2 + 1, size[1]))
        picture.save(path / f"{index:02d}.png")
    return path


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """A newcomer's folder: data in right and wrong places; no test may change it."""
    root = tmp_path_factory.mktemp("mine")
    for number in range(3):
        draw(root / "classes" / f"c{number}", 7)
        draw(root / "alphabets" / "greek" / f"c{number}", 1)
        draw(root / "few" / f"c{number}", 4)
    shutil.copytree(root / "classes", root / "one_small")
    draw(root / "one_small" / "c9", 1)
    for name in ("c00", "c01"):
        draw(root / "two" / name, 7)
    draw(root / "five", 5)
    (root / "empty").mkdir()
    shutil.copytree(root / "five", root / "corrupt")
    (root / "corrupt" / "9.png").write_bytes(b"broken")
    shutil.make_archive(str(root / "classes"), "zip", root / "classes")
    (root / "words.txt").write_text("no picture")
    before = helpers.files(root)
    yield root
    assert helpers.files(root) == before


@pytest.fixture
def told(mine, monkeypatch, refused):
    """Runs a command in the newcomer's folder; it is refused with one line, which is returned."""
    monkeypatch.chdir(mine)
    return refused


def adapting(world, **flags):
    given = {"model": world.run, "support": "five", "out": "new", "sample": 2, "inner-steps": 1, **flags}
    return ["adapt", *(part for name, value in given.items() for part in (f"--{name}", value))]


def training(*more, data="classes"):
    start = ["train", "--preset", "fomaml", "--data", data, "--out", "new", "--shots", 3, "--queries", 3]
    return [*start, "--set", *SETTINGS, *more]


DATA = {
    "a level too deep": ("classes/c0", "7 files and no folder. Did you mean 'classes', the folder above?"),
    "a level too shallow": ("alphabets", "give 'alphabets/greek', or move all class folders into one folder"),
    "an archive": ("classes.zip", "the file classes.zip (an archive: unpack it and give the folder)"),
    "a picture": ("five/00.png", "a folder of class folders of images"),
    "a space": ("classes ", "'classes ', at which there is nothing. Did you mean 'classes'?"),
    "misspelt": ("clases", "'clases', at which there is nothing. Did you mean 'classes'?"),
    "no such folder": ("there/classes", "There is no 'there'"),
    "a name of TFDS": ("kmnist", "Did you mean 'tfds:kmnist'?"),
    "misspelt in TFDS": ("tfds:omniglto", "must be a data set that TFDS knows. Received: 'omniglto'"),
}


@pytest.mark.parametrize("name", DATA)
def test_data(told, name):
    given, words = DATA[name]
    message = told("data", "--data", given, "--out", "new.png", out="new.png")
    assert words in message
    if name == "misspelt in TFDS":
        assert "Did you mean 'omniglot'?" in message


def test_data_of_tfds_without_a_network_says_how_to_get_them(told, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    message = told("data", "--data", "tfds:kmnist", "--out", "new.png", out="new.png")
    for words in ("that folder as 'archives' (--archives)", "train-images-idx3-ubyte.gz", "`tfds build kmnist`"):
        assert words in message


def test_fewer_pictures_than_shots_and_queries(told):
    message = told("data", "--data", "few")
    assert "shots + queries = 12 examples; class 'c0' has 4 (3 of 3 classes have too few)" in message
    assert "lower shots and queries to 4 together, or leave the small classes out (--small-classes skip)" in message


def test_a_class_of_one_picture(told):
    message = told("data", "--data", "one_small", "--shots", 3, "--queries", 3)
    assert "class 'c9' has 1 (1 of 4 classes have too few)" in message
    assert "Add examples, or leave the small classes out (--small-classes skip)" in message


def test_two_classes_to_train_on(told):
    message = told(*training("meta_batch=8", data="two"), out="new")
    assert "'meta_batch' must be at most the 2 tasks of the train split" in message
    assert "lower it (--set meta_batch=2), or add classes. Received: 8" in message


def test_a_preset_for_another_medium(told):
    message = told("train", "--preset", "text", "--data", "classes", "--out", "new", *training()[7:11], out="new")
    assert "--preset text needs texts in --data. Received: classes, of pictures" in message


SUPPORT = {
    "an empty folder": ("empty", "must hold at least 1 image file (.png, ", "Received: an empty folder"),
    "a folder of classes": ("classes", "give one of its folders", "Did you mean 'classes/c0'?"),
    "a text": ("words.txt", "words.txt: must be a whole image of PNG, JPEG"),
    "a corrupt file": ("corrupt", "corrupt/9.png: must be a whole image of PNG, JPEG"),
    "an archive": ("classes.zip", "(an archive: unpack it and give the folder)"),
    "a space": ("five ", "Did you mean 'five'?"),
    "nothing": ("fife", "fife, nothing. Did you mean 'five'?"),
}


@pytest.mark.parametrize("name", SUPPORT)
def test_support(told, world, name):
    given, *words = SUPPORT[name]
    message = told(*adapting(world, support=given), out="new")
    assert all(each in message for each in words), message


def test_odd_pictures_are_adapted_to_and_every_change_is_said(world, tmp_path, capsys):
    """Three colour pictures of three shapes, dark on light, between files that are none."""
    support = tmp_path / "support"
    for index, size in enumerate([(8, 8), (90, 10), (300, 400)]):
        draw(tmp_path / "one", 1, size, "RGB")
        support.mkdir(exist_ok=True)
        shutil.move(tmp_path / "one" / "00.png", support / f"{index}.png")
    (support / "notes.txt").write_text("mine")
    (support / "photo.heic").write_bytes(b"a photo")
    before = helpers.files(support)
    assert call(*adapting(world, support=support, out=tmp_path / "new")) == 0
    printed = capsys.readouterr().out
    assert "the model's images are grey: colours were converted to grey" in printed
    assert "3 images were read; passed over 2 files: notes.txt (not of images), photo.heic (HEIC: save it as" in printed
    assert "3 support examples: samples are usually closer to the class with 5" in printed
    assert helpers.files(support) == before and len(list((tmp_path / "new" / "samples").iterdir())) == 2


def test_one_file_is_a_support_set_and_grey_pictures_fit_a_colour_model(mine):
    images, message, files = load_support(mine / "five" / "00.png", (8, 8, 3))
    assert images.shape == (1, 8, 8, 3) and files == ["00.png"] and "colours" not in message
    np.testing.assert_array_equal(images[..., 0], images[..., 2])


def test_inverted_pictures_are_inverted_back_and_it_is_said(mine):
    images, message, _ = load_support(mine / "five", (8, 8, 1), polarity="light-on-dark")
    assert images[0, 0, 0, 0] == -1.0
    assert "5 of 5 images are dark-on-light, the model's data are light-on-dark: inverted (invert='no'" in message


def broken(world, path, name):
    shutil.copytree(world.run / "model", path)
    (path / name).unlink()
    return path


@pytest.mark.parametrize("name", ["weights.npz", "config.json"])
def test_a_model_without_a_file(told, world, tmp_path, name):
    message = told(*adapting(world, model=broken(world, tmp_path / "model", name)), out="new")
    assert f"a model folder must hold {name}; copy or save it whole. Received: " in message


def test_a_run_without_a_model(told, world, tmp_path):
    (tmp_path / "runs" / "00000-fomaml-noise" / "checkpoints").mkdir(parents=True)
    for model in (tmp_path / "runs", tmp_path / "runs" / "00000-fomaml-noise"):
        message = told(*adapting(world, model=model), out="new")
        assert "a run without a model yet; train on, by its command with --resume" in message


def test_a_misspelt_model(told, world):
    message = told(*adapting(world, model="omniglott"), out="new")
    assert "the shipped names ['drawings28', 'omniglot', 'omniglot-flow', 'pictures32']." in message
    assert "Received: 'omniglott'. Did you mean 'omniglot'?" in message
    assert "Did you mean 'classes'?" in told(*adapting(world, model="clases"), out="new")


def test_sampling_from_a_model_that_is_not_adapted(told, world):
    for model in ("omniglot", world.runs):
        message = told("sample", "--model", model, "--count", 2, "--out", "new", out="new")
        assert "must be a folder that `meta-gan adapt` or AdaptedModel.save wrote; adapt a meta-model first" in message


def test_an_output_that_exists(told, world):
    message = told(*adapting(world, out="five"))
    assert "'five' must not exist yet; choose another, or delete it. Received: a folder that is not empty" in message
    assert "choose another, or delete it. Received: a file" in told(*adapting(world, out="words.txt"))
    assert "choose another, or delete it. Received: 'words.txt'" in told("data", "--data", "two", "--out", "words.txt")


def test_an_output_in_a_folder_that_may_not_be_written(told, world, tmp_path, monkeypatch):
    """The tests may run as root, who may write everywhere."""
    monkeypatch.setattr(os, "access", lambda place, _: str(tmp_path) not in str(place))
    for command in (adapting(world), training(), ["data", "--data", "two"]):
        given = [*command, "--out", tmp_path / "a" / "new"]
        message = told(*given, out=tmp_path / "a")
        assert f"the folder '{tmp_path}' must be writable. Received: a folder that you may not write in" in message


def test_a_misspelt_flag_is_named_before_the_one_that_it_leaves_out(told, world):
    flags = ["--support", "five", "--out", "new"]
    message = told("adapt", "--modle", "omniglot", *flags, out="new")
    assert "--modle. Did you mean '--model'? (see meta-gan adapt --help)" in message
    message = told("adapt", "--model", "omniglot", *flags, "--smaple=3", out="new")
    assert "--smaple. Did you mean '--sample'? (see meta-gan adapt --help)" in message


def test_flags_that_are_left_out_and_values_of_another_type(told, world):
    message = told("adapt", "--model", "omniglot", "--support", "five", "--sample", 4)
    assert "required: --out (see meta-gan adapt --help)" in message
    assert "--sample must be an integer. Received: 'many'" in told(*adapting(world, sample="many"), out="new")
    assert "--seed must be an integer. Received: '1.5'" in told(*adapting(world, seed=1.5), out="new")
    assert "'--seed' must be an integer >= 0 and < 2^31. Received: 99999999999" in told(
        *adapting(world, seed=99999999999), out="new"
    )
    assert "'--sample' must be an integer >= 1 and < 2^31. Received: -4" in told(*adapting(world, sample=-4), out="new")


def test_no_command(capsys):
    assert call() == 2
    message = capsys.readouterr().err
    assert message == "meta-gan: error: the following arguments are required: COMMAND (see meta-gan --help)\n"
    assert call("adpat") == 2
    assert "Did you mean 'adapt'?" in capsys.readouterr().err


def test_a_misspelt_preset_and_settings(told):
    message = told("train", "--preset", "fusoin", "--data", "two", "--out", "new", out="new")
    assert message.endswith("Received: 'fusoin'. Did you mean 'fusion'?\n")
    message = told(*training("train.stesp=3"), out="new")
    assert message.endswith("'train.stesp' must be a setting. Received: 'train.stesp'. Did you mean 'train.steps'?\n")
    assert "'train.steps' must be an integer. Received: 'many'" in told(*training("train.steps=many"), out="new")
    message = told("train", "--config", "word.txt", "--out", "new", out="new")
    assert "--config must be a file. Received: 'word.txt', nothing. Did you mean 'words.txt'?" in message


def test_home_is_found_within_quotes(told, mine, monkeypatch):
    """`--out '~/new'` must not make a folder `~`, which somebody would later delete by that name."""
    monkeypatch.setenv("HOME", str(mine))
    message = told("data", "--data=~/classes", "--out", "~/words.txt")
    assert f"Received: '{mine}/words.txt'" in message
    assert f"{mine}/few: every class" in told("data", "--data", "~/few")


def test_resuming_nothing_and_with_other_settings(told, world, tmp_path):
    message = told(*train_arguments(world, tmp_path / "none", "--resume"), out=tmp_path / "none")
    assert "leave out --resume to start one. Received: " in message
    before = helpers.files(world.runs)
    message = told(*train_arguments(world, world.runs, "width=8", "--resume"))
    assert "{'recipe.network.width': 4}. Received: {'recipe.network.width': 8}" in message
    assert helpers.files(world.runs) == before


def test_a_port_in_use(told, world):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        message = told("demo", "--model", world.run, "--port", port)
    assert f"a free port of this machine; --port 0 takes one. Received: {port}, Address already in use" in message


def test_a_judge_of_another_shape(told, world):
    given = ["--data", world.data, "--model", world.run, "--judge", "omniglot28-conv", "--classes", 1, "--quick"]
    message = told("evaluate", *given, "--out", "new", out="new")
    assert "judge 'omniglot28-conv' must take images of (8, 8, 1)" in message
    assert "Received: images of (28, 28, 1)" in message


def test_a_full_disk(told, world, tmp_path, monkeypatch):
    passed = atomic.passed().get("folder.written", 0)
    monkeypatch.setenv(atomic.FAULT, f"folder.written@{passed + 1}=ENOSPC")
    out = tmp_path / "new"
    message = told("sample", "--model", world.adapted, "--count", 1, "--out", out, out=out, code=1)
    assert message == f"meta-gan sample: error: No space left on device: {out}\n"
    assert helpers.files(tmp_path) == {}


def test_more_samples_than_the_memory_holds(told, world):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    most = memory // (8 * 8 * 4)
    count = min(2**31 - 1, 10**10)
    if count <= most:
        pytest.skip("this machine's memory holds every number of samples")
    message = told("sample", "--model", world.adapted, "--count", count, "--out", "new", out="new")
    assert f"'--count' must be at most {most}, " in message and f"Received: {count}" in message


@pytest.mark.parametrize("error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")])
def test_out_of_memory(told, monkeypatch, error):
    def fail(_):
        raise error

    monkeypatch.setattr(info, "run", fail)
    message = told("info", "--model", "any", code=1)
    assert "out of memory; ask for fewer samples or tasks at a time, or for smaller pictures" in message


def test_an_extra_that_is_missing(told, tmp_path, monkeypatch):
    (tmp_path / "sounds" / "a").mkdir(parents=True)
    (tmp_path / "sounds" / "a" / "1.flac").write_bytes(b"fLaC")
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.partition(".")[0] in ("soundfile", "tf2onnx"):
            raise ImportError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    message = told("data", "--data", tmp_path / "sounds", "--out", "new.png", out="new.png")
    assert re.search(r"pip install .*sound", message), message


def test_an_old_python(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    monkeypatch.setattr(sys, "argv", ["meta-gan", "--help"])
    with pytest.raises(SystemExit) as stop:
        launcher.main()
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert message == "meta-gan: error: Python must be 3.11 or newer; make an environment of it. Received: 3.9.18\n"
    wanted = ".".join(map(str, launcher.OLDEST))
    assert f'python_requires=">={wanted}"' in (ROOT / "setup.py").read_text()


@pytest.mark.slow
def test_a_machine_without_a_gpu_prints_the_one_line_alone(mine):
    """By the launcher as `setup.py` installs it, a package of its own outside of `meta_gan`."""
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, Path(launcher.__file__).parents[1])))
    script = "import sys, launcher; sys.argv = ['meta-gan', 'data', '--data', 'clases']; launcher.main()"
    ended = subprocess.run([sys.executable, "-c", script], cwd=mine, env=environment, capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.startswith("meta-gan data: error: ") and ended.stderr.count("\n") == 1
