"""`judge` and `evaluate`: what they write and print, and what they refuse."""

import json

import keras
import numpy as np
import pytest

from meta_gan.cli import evaluate, plane
from meta_gan.judges import load_judge
from meta_gan.protocol.classification import ClassifierRecipe
from meta_gan.report.sections import BARS
from tests.cli.conftest import call
from tests.trainers import helpers

JUDGE = ["--method", "prototypical", "--network", "conv4", "--width", "4", "--steps", "2"]


@pytest.fixture(autouse=True)
def short_classifiers(monkeypatch):
    monkeypatch.setattr("meta_gan.protocol.classification.ClassifierRecipe", lambda: ClassifierRecipe(steps=2, batch=4))


@pytest.fixture(scope="module")
def judge(world):
    out = world.root / "judge"
    assert call("judge", "--data", world.data, "--out", out, *JUDGE, "--seed", 3) == 0
    return out


@pytest.fixture(scope="module")
def evaluated(world, judge):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("meta_gan.protocol.classification.ClassifierRecipe", lambda: ClassifierRecipe(steps=2, batch=4))
        out = world.root / "evaluated"
        arguments = ["--model", world.run, "--judge", judge, "--inner-steps", 1, "--shots", 3, "--quick"]
        assert call("evaluate", "--data", world.data, "--out", out, *arguments) == 0
    return out


def test_judge_writes_a_judge_of_the_training_classes(world, judge):
    made = load_judge(judge)
    assert made.example_shape == helpers.SHAPE
    assert made.card["recipe"]["seed"] == 3 and made.card["recipe"]["width"] == 4
    assert len(made.card["data"]["classes"]) == 6 and made.card["data"]["name"] == "noise.npz"


def test_judge_prints_its_recipe_and_sha256(world, tmp_path, capsys):
    assert call("judge", "--data", world.data, "--out", tmp_path / "j", *JUDGE, "--augmentation") == 0
    captured = capsys.readouterr()
    assert "'augmentation': True" in captured.out and load_judge(tmp_path / "j").sha256 in captured.out
    assert "training: 2 of 2" in captured.err


def test_evaluate_writes_three_reports(evaluated):
    report = json.loads((evaluated / "report.json").read_text())
    assert list(report["rows"]) == ["oracle", *BARS, "model", "model, 0 steps"]
    assert list(report["rows"]["model"]) == ["judge"]
    assert report["protocol"]["form"] == "quick" and report["protocol"]["steps"] == 1
    assert report["models"]["model"]["algorithm"] == "fomaml"
    assert len(report["models"]["model"]["weights_sha256"]) == 64
    text, page = ((evaluated / f"report.{kind}").read_text("utf-8") for kind in ("md", "html"))
    assert "| copy |" in text and "quick" in text.lower() and page.startswith("<!DOCTYPE html>")


def test_evaluate_goes_on_and_gives_the_same_bytes(world, judge, evaluated, capsys):
    before = json.loads((evaluated / "report.json").read_text())
    arguments = ["--model", world.run, "--judge", judge, "--inner-steps", 1, "--shots", 3, "--quick"]
    assert call("evaluate", "--data", world.data, "--out", evaluated, *arguments) == 0
    after = json.loads((evaluated / "report.json").read_text())
    assert json.dumps({**before, "times": None}) == json.dumps({**after, "times": None})
    assert "note: Quick form" in capsys.readouterr().out


def test_without_a_model_there_are_the_plain_rows_only(world, judge, tmp_path):
    arguments = ["--data", world.data, "--judge", judge, "--shots", 3, "--quick", "--out", tmp_path / "o"]
    assert call("evaluate", *arguments) == 0
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    assert list(report["rows"]) == ["oracle", *BARS] and report["models"] == {}


@pytest.mark.slow
def test_models_have_names_and_any_keras_model_is_a_judge(world, judge, tmp_path):
    inputs = keras.Input(helpers.SHAPE)
    keras.Model(inputs, keras.layers.Flatten()(inputs)).save(tmp_path / "flat.keras")
    models = [f"first={world.run}", f"second={world.runs}"]
    arguments = ["--shots", 3, "--quick", "--classes", 1, "--out", tmp_path / "o", "--inner-steps", 0]
    judges = ["--judge", judge, tmp_path / "flat.keras"]
    assert call("evaluate", "--data", world.data, "--model", *models, *judges, *arguments) == 0
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    assert {"first", "second"} <= set(report["rows"]) and list(report["judges"]) == ["judge", "flat"]
    assert report["rows"]["first"] == report["rows"]["second"], "the run's folder and its parent are one model"
    assert report["rows"]["first"]["flat"]["classification_gain"] is None, "of one class"


def test_the_protocols_split_is_used(world, judge, tmp_path, refused):
    digits = tmp_path / "digits.npz"
    images = np.random.default_rng(0).integers(0, 256, (120, *helpers.SHAPE), np.uint8)
    np.savez(digits, images=images, labels=np.repeat(np.arange(10), 12))
    arguments = ["--data", digits, "--judge", judge, "--shots", 3, "--quick", "--protocol", "B/4"]
    assert call("evaluate", *arguments, "--out", tmp_path / "o") == 0
    protocol = json.loads((tmp_path / "o" / "report.json").read_text())["protocol"]
    assert protocol["task"] == "B/4" and protocol["classes"] == 1
    message = refused("evaluate", *arguments[:-1], "A", "--out", tmp_path / "p", out=tmp_path / "p")
    assert "must have the 1623 classes of task A" in message


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--shots", "11"], "at least shots + 2 = 13 images to be evaluated. Received: class '"),
        (["--shots", "0"], "'shots' must be an integer >= 1 and < 2^31. Received: 0"),
        (["--classes", "0"], "'classes' must be an integer"),
        (["--draws", "2", "--quick"], "--quick is one draw of at most 100 classes"),
        (["--scratch-steps", "-1"], "'scratch_steps' must be an integer"),
        (["--image-shape", "8x8"], "--image-shape must be HxWxC"),
        (["--judge", "nowhere"], "nowhere"),
        (["--model", "nowhere"], "nowhere"),
    ],
)
def test_evaluate_refuses(world, judge, tmp_path, refused, more, message):
    given = ["evaluate", "--data", world.data, "--out", tmp_path / "o"]
    judges = [] if "--judge" in more else ["--judge", judge]
    assert message in refused(*given, *judges, *more, out=tmp_path / "o")


def test_evaluate_refuses_a_judge_of_another_shape(world, judge, tmp_path, refused):
    inputs = keras.Input((4, 4, 1))
    keras.Model(inputs, keras.layers.Flatten()(inputs)).save(tmp_path / "small.keras")
    given = ["evaluate", "--data", world.data, "--out", tmp_path / "o", "--judge", tmp_path / "small.keras"]
    assert "judge 'small' must take images of (8, 8, 1)" in refused(*given, out=tmp_path / "o")


def test_evaluate_refuses_an_empty_split(tmp_path, judge, refused):
    path = tmp_path / "no_test.npz"
    np.savez(path, **helpers.arrays((0, 0, 0, 0, 0, 0, 0, 0, 0, 1)))
    message = refused("evaluate", "--data", path, "--judge", judge, "--out", tmp_path / "o", out=tmp_path / "o")
    assert "the test split must have a class to evaluate. Received: 0 classes" in message


def test_evaluate_without_a_judge_for_the_data_says_how_to_make_one(world, tmp_path, refused):
    message = refused("evaluate", "--data", world.data, "--out", tmp_path / "o", out=tmp_path / "o")
    assert "--judge must be given" in message and "meta-gan judge --data SOURCE --out DIR" in message


def test_evaluate_refuses_two_models_of_one_name(world, judge, tmp_path, refused):
    given = ["evaluate", "--data", world.data, "--judge", judge, "--out", tmp_path / "o"]
    message = refused(*given, "--model", world.run, world.runs, out=tmp_path / "o")
    assert "two models named 'fomaml'" in message


def test_evaluate_refuses_a_folder_of_something_else(world, judge, refused):
    message = refused("evaluate", "--data", world.data, "--judge", judge, "--out", world.support)
    assert "must not exist yet" in message
    message = refused("evaluate", "--data", world.data, "--judge", judge, "--out", world.data)
    assert "--out must be a folder" in message


def test_judge_refuses_what_is_there_and_bad_recipes(world, judge, tmp_path, refused):
    assert "must not exist yet" in refused("judge", "--data", world.data, "--out", judge)
    given = ["judge", "--data", world.data, "--out", tmp_path / "j"]
    assert "steps" in refused(*given, "--steps", 0, out=tmp_path / "j")


def test_default_judges_are_those_of_the_data(monkeypatch, world, judge):
    shipped = {"fits": load_judge(judge), "other": load_judge(judge)}
    shipped["other"].card["data"] = {"name": "elsewhere", "classes": ["another class"]}
    monkeypatch.setattr(evaluate, "shipped_judges", lambda: list(shipped))
    monkeypatch.setattr(plane, "load_judge", shipped.__getitem__)
    source = helpers.tasks().source
    assert evaluate.default_judges(source) == [shipped["fits"]]


@pytest.mark.slow
def test_the_plane_has_a_curve_of_each_model_a_picture_and_samples(world, judge, tmp_path):
    other, out = tmp_path / "other", tmp_path / "plane"
    assert call("judge", "--data", world.data, "--out", other, *JUDGE, "--purpose", "plane", "--shots", 1) == 0
    arguments = ["--data", world.data, "--judge", judge, other, "--plane", "--classes", 2, "--out", out]
    assert call("evaluate", "--model", f"mine={world.run}", *arguments) == 0
    report = json.loads((out / "report.json").read_text())
    assert list(report["curves"]["mine"]) == [""], "its generator has no setting"
    assert report["curves"]["shift"].keys() == {"pixels=1", "pixels=2", "pixels=4"}
    assert report["protocol"]["ways"] == report["protocol"]["classes"] == 2
    assert report["judges"] == {"diversity": load_judge(judge).sha256, "recognisability": load_judge(other).sha256}
    assert (out / "plane.png").is_file() and (out / "samples-mine.png").is_file()
    assert "| people | | 1.000" in (out / "report.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--shots", "5"], "--shots must be 1 with --plane. Received: 5"),
        (["--scratch-steps", "5"], "--scratch-steps must be left out with --plane"),
        (["--inner-steps", "0"], "--inner-steps must be left out with --plane"),
        (["--workers", "2"], "--workers must be 1 with --plane"),
        (["--judge", "glyphs28"], "--judge with --plane must be two: of diversity, of recognition. Received: 1"),
        (["--classes", "1"], "'classes' must be an integer >= 2"),
        (["--vary", "guidance"], "--vary must be KEY=V,..., each key once. Received: 'guidance'"),
        (["--vary", "guidance=1,,2"], "--vary must be KEY=V,..., each key once. Received: 'guidance=1,,2'"),
        (["--vary", "a=1", "a=2"], "--vary must be KEY=V,..., each key once. Received: 'a=1 a=2'"),
        (["--vary", "guidance=1"], "--vary must name settings of the models, of []. Received: 'guidance'"),
        ([], "--judge must be given for data that no shipped judges of the plane were trained for"),
    ],
)
def test_the_plane_refuses(world, tmp_path, refused, more, message):
    out = tmp_path / "o"
    assert message in refused("evaluate", "--data", world.data, "--plane", *more, "--out", out, out=out)


def test_varied_settings_are_of_the_plane(world, tmp_path, refused):
    message = refused("evaluate", "--data", world.data, "--vary", "guidance=1", "--out", tmp_path / "o")
    assert "--vary must be given with --plane. Received: --vary guidance=1" in message
