"""`meta-gan augment`: a folder as it is, the pictures and the report that it writes, and what it refuses."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import meta_gan as mg
from meta_gan import atomic
from meta_gan.augmenting import Augmenter
from meta_gan.augmenting import fitting as module
from meta_gan.protocol.classification import ClassifierRecipe
from meta_gan.protocol.cross_validation import SmallClassifier
from meta_gan.protocol.recommendation import MIXED, ROWS, recommend
from meta_gan.tasks.pictures import save_png
from tests.cli.conftest import call
from tests.toys import tiny_dcgan

DRAW = np.random.default_rng(0)


def folder(path, sizes, shapes=((8, 8, 1),)):
    """Class folders `c0`, `c1`, ... with the given numbers of pictures, whose shapes take turns."""
    for index, count in enumerate(sizes):
        for number in range(count):
            levels = DRAW.integers(0, 256, shapes[number % len(shapes)]).astype(np.uint8)
            save_png(path / f"c{index}" / f"{number}.png", levels)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("augment") / "model"
    mg.MetaModel(tiny_dcgan(), mg.FOMAML(inner_steps=1, inner_rate=0.01)).save(path)
    return path


@pytest.fixture
def finds(monkeypatch):
    """Makes every comparison find rows with the given numbers of right pictures out of eight, by tiny classifiers."""
    small = SmallClassifier(ClassifierRecipe(steps=2, width=2))
    monkeypatch.setattr(module, "SmallClassifier", lambda: small)

    def find(**right):
        correct = {row: (np.arange(8) < right.get(row, 0)).astype(float) for row in ROWS}
        monkeypatch.setattr(module, "recommend", lambda *_: recommend(correct))

    return find


def augment(data, model, out, *more):
    return ["augment", "--data", data, "--per-class", 2, "--out", out, "--model", model, "--steps", 0, *more]


def pictures(out):
    """{class: arrays} of the pictures that were written."""
    found = sorted((out / "pictures").rglob("*.png"))
    classes = {path.parent.name: [] for path in found}
    for path in found:
        classes[path.parent.name].append(np.asarray(Image.open(path)))
    return classes


def test_two_classes_of_unequal_sizes_are_enough(tmp_path, model, finds, capsys):
    finds(shift=4, generated=8)
    data, out = folder(tmp_path / "data", [3, 5]), tmp_path / "out"
    assert call(*augment(data, model, out, "--seed", 3)) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{data}: 8 pictures of 2 classes"
    assert printed[1].startswith("It helps to add pictures by 'generated': 100.0 % of 8 held-out pictures")
    assert printed[2].startswith("Recommended: generated. Against shift")
    assert printed[3] == f"4 pictures, by generated, in {out / 'pictures'}"
    assert sorted(path.name for path in out.iterdir()) == ["pictures", "report.html", "report.json"]
    made = pictures(out)
    assert {name: len(each) for name, each in made.items()} == {"c0": 2, "c1": 2}
    tasks = mg.tasks.from_folder(data, shots=2, queries=1)
    own = mg.Augmenter(mg.load(model), steps=0, seed=3, compare=False)
    own.fit(tasks.source.images, np.array(["c0", "c1"])[tasks.source.labels])
    np.testing.assert_array_equal(np.stack(made["c1"]), own.sample("c1", 2)[..., 0])
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert report["method"] == "generated" and report["data"]["smallest_class"] == 3


def test_nothing_is_written_but_the_report_if_nothing_helps(tmp_path, model, finds, capsys):
    finds()
    data, out = folder(tmp_path / "data", [3, 3]), tmp_path / "out"
    assert call(*augment(data, model, out)) == 0
    printed = capsys.readouterr().out
    assert "None of them helps measurably here." in printed and "Recommended: add no pictures." in printed
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "report.json"]


def test_pictures_of_one_size_keep_it_and_others_get_the_model_s(tmp_path, model, finds):
    finds(affine=8)
    one = folder(tmp_path / "one", [3, 3], [(10, 14, 1)])
    assert call(*augment(one, model, tmp_path / "a")) == 0
    assert {each.shape for made in pictures(tmp_path / "a").values() for each in made} == {(10, 14)}
    many = folder(tmp_path / "many", [3, 3], [(10, 14, 1), (40, 9, 1), (8, 8, 1)])
    assert call(*augment(many, model, tmp_path / "b", "--method", "generated")) == 0
    assert {each.shape for made in pictures(tmp_path / "b").values() for each in made} == {(8, 8)}


@pytest.mark.parametrize("method", ["generated", "shift"])
def test_without_a_comparison_the_method_s_pictures_are_written_at_once(tmp_path, model, capsys, method):
    data, out = folder(tmp_path / "data", [3, 4]), tmp_path / "out"
    assert call(*augment(data, model, out, "--no-comparison", "--method", method)) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[1:-1] == [f"4 pictures, by {method}, in {out / 'pictures'}"]
    assert printed.err.splitlines() == ["generated pictures: 1 of 1"]
    tasks = mg.tasks.from_folder(data, shots=2, queries=1)
    own = mg.Augmenter(mg.load(model), steps=0, compare=False)
    own.fit(tasks.source.images, np.array(["c0", "c1"])[tasks.source.labels])
    np.testing.assert_array_equal(np.stack(pictures(out)["c0"]), own.sample("c0", 2, method)[..., 0])
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert report["method"] == method and report["comparison"] is None and report["rows"] == {}


def test_small_classes_and_bad_files_are_skipped_and_named_on_request(tmp_path, model, finds, capsys):
    finds()
    data = folder(tmp_path / "data", [3, 1, 4])
    (data / "c2" / "bad.png").write_text("no picture")
    arguments = augment(data, model, tmp_path / "out", "--small-classes", "skip", "--on-bad-file", "skip")
    assert call(*arguments) == 0
    printed = capsys.readouterr().out
    assert "7 pictures of 2 classes" in printed and "skipped: class 'c1' of 1, below 3" in printed
    assert "bad.png" in printed


@pytest.mark.parametrize(
    ("sizes", "more", "message"),
    [
        ([3], [], "must hold folders of 3 or more pictures for two or more classes. Received: 1 such of 1 folders"),
        ([3, 1], [], "every class must have 3 or more pictures.* Received: 1 of class 'c1' \\(1 of 2 classes"),
        ([3, 2, 1], ["--small-classes", "skip"], "two or more classes. Received: 1 such of 3 folders"),
        ([3, 3], ["--per-class", 0], "'--per-class' must be an integer >= 1"),
        ([3, 3], ["--seed", -1], "'--seed' must be an integer >= 0"),
        ([3, 3], ["--minutes", 1], "--minutes and --steps must not both be given. Received: --minutes 1 "),
        ([3, 3], ["--steps", -2], "'--steps' must be an integer >= 0"),
        ([3, 3], ["--no-comparison"], "needs --method shift, .*, trivial or generated. .* 'recommended'"),
        ([3, 3], ["--no-comparison", "--method", MIXED], "needs --method .* 'generated \\+ best plain'"),
        ([3, 3], ["--model", "nowhere"], "one of the shipped names.*Received: 'nowhere'"),
        ([], [], "must exist. Received: .*, nothing"),
    ],
)
def test_bad_requests_are_refused_in_one_line(tmp_path, model, refused, sizes, more, message):
    data, out = folder(tmp_path / "data", sizes), tmp_path / "out"
    assert re.search(message, refused(*augment(data, model, out, *more), out=out))


def test_pictures_in_colour_are_refused_by_a_grey_model(tmp_path, model, refused):
    data, out = folder(tmp_path / "data", [3, 3], [(8, 8, 3)]), tmp_path / "out"
    error = refused(*augment(data, model, out), out=out)
    assert f"grey pictures for the model '{model}', of 8x8x1" in error and "in colour, of 8x8x3" in error


def test_a_place_that_is_taken_is_refused(tmp_path, model, refused):
    data, out = folder(tmp_path / "data", [3, 3]), tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("mine")
    assert "must not exist yet" in refused(*augment(data, model, out))
    assert [path.name for path in out.iterdir()] == ["mine"]


def test_a_full_disk_leaves_nothing(tmp_path, model, finds, refused, monkeypatch):
    finds(affine=8)
    data, out = folder(tmp_path / "data", [3, 3]), tmp_path / "out"
    monkeypatch.setenv(atomic.FAULT, f"folder.written@{atomic.passed().get('folder.written', 0) + 1}=ENOSPC")
    monkeypatch.setattr(Augmenter, "fit", _quiet(Augmenter.fit))
    assert "No space left on device" in refused(*augment(data, model, out), out=out, code=1)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def _quiet(fit):
    """`fit` without its progress on standard error."""
    return lambda self, images, labels, progress=None: fit(self, images, labels)


@pytest.mark.slow
def test_a_killed_command_leaves_nothing_under_the_final_name(tmp_path, model):
    data, out = folder(tmp_path / "data", [3, 3]), tmp_path / "out"
    words = [str(word) for word in augment(data, model, out, "--method", "shift")]
    script = (
        "from meta_gan.augmenting import fitting as m\n"
        "from meta_gan.protocol.classification import ClassifierRecipe as R\n"
        "from meta_gan.protocol.cross_validation import SmallClassifier as S\n"
        "m.SmallClassifier = lambda: S(R(steps=2, width=2))\n"
        f"from meta_gan.cli import program\nprogram.run(program.parser().parse_args({words!r}))\n"
    )
    environment = {**os.environ, atomic.FAULT: "folder.written"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    assert not out.exists()
