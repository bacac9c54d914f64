"""Two domains from a shell: trained on pairs, adapted to two folders, translating, and what is refused."""

import json

import numpy as np
import pytest
from PIL import Image

import meta_gan
from meta_gan.protocol.translations import evaluate_translations, translation_method
from meta_gan.tasks.pictures import GAP, save_png
from meta_gan.tasks.pixels import to_uint8
from tests.cli.conftest import OFTEN, call
from tests.trainers import helpers

SIDE = helpers.SHAPE[0] + GAP


def train(world, out, *more, target=True):
    start = ["train", "--preset", "translation", "--data", world.data, "--steps", "2"]
    start += ["--out", out] if out else []
    start += ["--target", world.root / "other.npz"] if target else []
    return [*start, "--shots", "3", "--queries", "3", "--set", "width=2", "inner_steps=1", *OFTEN, *more]


@pytest.fixture(scope="module")
def pairs(world):
    """Beside the small world: `other.npz`, a run on its pairs, a folder of the target's images, an adapted model."""
    np.savez(world.root / "other.npz", **helpers.arrays(seed=5))
    runs, target, adapted = (world.root / name for name in ("pairs", "target", "translator"))
    assert call(*train(world, runs, "picture_steps=0,1"), "--pair", "name") == 0
    for index, image in enumerate(helpers.arrays(seed=6)["images"][:4]):
        save_png(target / f"{index}.png", image)
    sets = ["--support", world.support, "--target-support", target, "--invert", "no"]
    assert call("adapt", "--model", runs, *sets, "--out", adapted, "--seed", 7) == 0
    return runs, target, adapted


def test_the_run_knows_both_sources(world, pairs):
    config = json.loads((pairs[0] / "00000-translation-noise" / "config.json").read_text("utf-8"))
    assert config["source"] == str(world.data) and config["target"] == str(world.root / "other.npz")
    assert config["data"]["splits"]["validation"] == ["noise.npz 6 > other.npz 6", "noise.npz 7 > other.npz 7"]


def test_adapt_translates_the_support_images(world, pairs):
    runs, target, adapted = pairs
    support = {
        domain: meta_gan.tasks.load_support(folder, helpers.SHAPE, invert="no").images
        for domain, folder in (("source", world.support), ("target", target))
    }
    made = meta_gan.load(runs).adapt(support, seed=7).translate(support["source"])
    pictures = [np.asarray(Image.open(path)) for path in sorted((adapted / "samples").iterdir())]
    np.testing.assert_array_equal(pictures, to_uint8(made)[..., 0])
    # Five of the source, four of the target, five translations.
    assert Image.open(adapted / "grid.png").size == (5 * SIDE - GAP, 3 * SIDE - GAP)


def test_sample_translates_other_images(pairs, tmp_path, capsys):
    _, target, adapted = pairs
    assert call("sample", "--model", adapted, "--inputs", target, "--out", tmp_path / "more") == 0
    assert "4 translations and grid.png" in capsys.readouterr().out
    assert len(list((tmp_path / "more" / "samples").iterdir())) == 4


def test_info_names_the_nets(pairs, capsys):
    assert call("info", "--model", pairs[0]) == 0
    out = capsys.readouterr().out
    assert "translator: Translator" in out and "'target': (8, 8, 1)" in out


def test_a_run_goes_on_only_with_its_target(world, pairs, refused):
    more = ["picture_steps=0,1", "--pair", "name", "--resume"]
    assert call(*train(world, pairs[0], *more)) == 0
    np.savez(world.root / "third.npz", **helpers.arrays(seed=9))
    message = refused(*train(world, pairs[0], *more), "--target", world.root / "third.npz")
    assert "resuming needs the settings of" in message and "third.npz" in message


def test_evaluate_measures_what_translates(world, pairs, tmp_path, capsys):
    """Both test pairs of one name, beside the rows that need no model; two images of the picture's lines are known."""
    out = tmp_path / "report"
    where = ["--data", world.data, "--target", world.root / "other.npz", "--pair", "name", "--shots", 3]
    assert call("evaluate", "--model", f"mine={pairs[0]}", *where, "--inner-steps", 1, "--draws", 2, "--out", out) == 0
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert list(report["rows"]) == ["identity", "nearest", "mine"] and report["tasks"] == 4
    assert (report["shots"], report["queries"]) == (3, min(helpers.tasks().source.class_sizes) - 3)
    source, target = (meta_gan.tasks.open_source(str(path)).source for path in (world.data, world.root / "other.npz"))
    tasks = meta_gan.tasks.pair_classes(source, target, "name", shots=3, queries=report["queries"])
    rows = {"mine": translation_method(meta_gan.load(pairs[0]), 1)}
    expected = evaluate_translations(tasks, rows, draws=2)["rows"]
    assert report["rows"]["identity"] == expected["identity"]
    for score, value in expected["mine"].items():
        assert report["rows"]["mine"][score]["mean"] == pytest.approx(value["mean"], rel=1e-4)
    printed = capsys.readouterr().out
    assert (out / "report.md").read_text("utf-8") in printed and "| mine |" in printed
    # Two pairs of four lines: source, support, translations, target; three columns.
    assert Image.open(out / "translations.png").size == (3 * SIDE - GAP, 8 * SIDE - GAP)


def test_one_source_twice_is_one_source(world, tmp_path):
    """No class of it is paired with itself."""
    out = tmp_path / "report"
    assert call("evaluate", "--data", world.data, "--target", world.data, "--shots", 3, "--out", out) == 0
    classes = len(helpers.tasks().splits["test"])
    assert json.loads((out / "report.json").read_text("utf-8"))["tasks"] == classes * (classes - 1)


BAD = {
    "classes of one source by name": (
        lambda w, p: ["evaluate", "--data", w.data, "--target", w.data, "--pair", "name"],
        "must have classes to pair by 'name'",
    ),
    "a flag of few-shot-28": (
        lambda w, p: ["evaluate", "--data", w.data, "--target", w.data, "--classes", 3],
        "--classes must be left out with --target",
    ),
    "a model that does not translate": (
        lambda w, p: ["evaluate", "--model", w.runs, "--data", w.data, "--target", w.root / "other.npz"],
        "a model must be of two domains and have the endpoint",
    ),
    "a way of pairing one domain": (
        lambda w, p: ["evaluate", "--data", w.data, "--both-ways"],
        "--both-ways needs --target",
    ),
    "no target": (
        lambda w, p: ["adapt", "--model", p[0], "--support", w.support],
        "--target-support must be given for",
    ),
    "a target of a GAN": (
        lambda w, p: ["adapt", "--model", w.runs, "--support", w.support, "--target-support", p[1]],
        "for a model of two domains, and for no other",
    ),
    "nothing to do": (lambda w, p: ["sample", "--model", p[2]], "one of --count, of samples, and --inputs"),
    "two things": (lambda w, p: ["sample", "--model", p[2], "--count", 3, "--inputs", p[1]], "one of --count"),
    "samples of a translator": (lambda w, p: ["sample", "--model", p[2], "--count", 3], "'sample' needs a game"),
    "translations of a GAN": (
        lambda w, p: ["sample", "--model", w.adapted, "--inputs", p[1]],
        "'translate' needs a game with that endpoint",
    ),
    "one source": (lambda w, p: train(w, None, target=False), "(on the command line: give --target). Received: "),
    "a pair of one": (lambda w, p: train(w, None, "--pair", "name", target=False), "--pair needs --target"),
    "a protocol": (lambda w, p: train(w, None, "--protocol", "A"), "--protocol must be left out with --target"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused(world, pairs, tmp_path, refused, name):
    arguments, message = BAD[name]
    out = tmp_path / "out"
    assert message in refused(*arguments(world, pairs), "--out", out, out=out)
