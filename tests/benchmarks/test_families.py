"""The benchmark of families: one of toys measured whole, its parts collected, and what the real ones take as data."""

from __future__ import annotations

import dataclasses
import json
import sys
import types

import numpy as np
import pytest
from PIL import Image

from benchmarks import families, family_rows, family_tasks
from benchmarks.family_rows import (
    CODE,
    CYCLE,
    JOINT,
    META,
    NOISE,
    NOISE_JOINT,
    NOISE_SCRATCH,
    ROWS,
    SCALED,
    SCRATCH,
    Row,
)
from meta_gan.games import Transfer
from meta_gan.tasks import Source, pair_classes
from meta_gan.tasks.pictures import GAP

TINY = families.Size(minutes=0.02, judge_steps=2, tuning=1, draws=1, scales=(1.0,), longest=1, measured=1)


def toys(folder, shots):
    """Light and dark noise, in two hands."""
    rng = np.random.default_rng(0)
    sources = []
    for name, level in (("light", 100), ("dark", 0)):
        labels = np.repeat(np.arange(4), 12).astype(np.int32)
        images = (level + rng.integers(0, 100, (48, 8, 8, 1))).astype(np.uint8)
        sources.append(Source(images, labels, list("abcd"), np.array([0, 0, 1, 2], np.int8), name=name))
    return pair_classes(*sources, by="name", shots=shots, queries=4)


TOYS = family_tasks.Family(
    3, (2,), toys, {"light to dark": toys}, {"content": 1.0, "width": 2}, "energy_distance", draws=2
)


@pytest.fixture
def toy_rows(monkeypatch):
    """Two rows, and the toys among the families."""
    monkeypatch.setitem(families.FAMILIES, "toys", TOYS)
    rows = {META: Row({"embedding_dim": 3, "inner_steps": 1}, (0, 1)), SCRATCH: Row({}, (1,), trained=False)}
    for module in (families, family_rows):
        monkeypatch.setattr(module, "ROWS", rows)
    monkeypatch.setattr(families.trainers, "configure_threads", lambda: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("families")


@pytest.fixture
def measured(toy_rows, folder):
    """Two rows of the toys, measured once: the folder."""
    if not (folder / "parts").is_dir():
        (folder / "parts").mkdir()
        for row in families.ROWS:
            families.measure("toys", row, folder, folder, TINY)
    return folder


@pytest.mark.slow
def test_every_row_is_measured_beside_those_that_need_no_model(measured):
    results, about = families.collect(measured, ["toys"])
    assert list(results) == ["light to dark, K = 2"]
    for test, rows in results.items():
        assert set(rows) == {"identity", "nearest", META, SCRATCH}
        assert rows["identity"]["energy_distance/pixels"]["mean"] > 1.0
        assert about[test]["shots"] == int(test[-1]) and about[test]["tasks"] == 1
        assert about[test][META]["steps"] in (0, 1) and about[test][SCRATCH] == {"steps": 1, "rate_scale": 1.0}
    text = families.table(results, about)
    assert text.count("### light to dark") == 1 and text.count(f"| {META} |") == 1
    # Source, support, two rows and target; the columns are those of the support.
    side = 8 + GAP
    assert Image.open(measured / "light-to-dark-k-2.png").size == (2 * side - GAP, 5 * side - GAP)


@pytest.mark.slow
def test_a_training_that_has_used_its_time_is_not_begun_anew(measured):
    folder = measured / "runs" / families.slug(f"toys {META}")
    (run,) = folder.iterdir()
    steps = json.loads((run / "metrics.jsonl").read_text("utf-8").splitlines()[-1])["step"]
    model = families.trained(TOYS, META, folder, measured, TINY.minutes)
    assert len(list(folder.iterdir())) == 1 and model.algorithm.inner_steps == 1
    assert json.loads((run / "metrics.jsonl").read_text("utf-8").splitlines()[-1])["step"] == steps


def test_a_step_has_any_number_of_support_images_that_is_measured():
    assert TOYS.fewest == 2
    assert dataclasses.replace(TOYS, measured=(3,)).fewest == 0


def test_what_decides_is_the_first_judges_score():
    scores = {f"energy_distance/{name}": {"mean": value} for name, value in (("pixels", 3.0), ("a", 1.0), ("b", 2.0))}
    assert families._score(scores, TOYS) == 1.0
    assert families._score({"l1": {"mean": 0.5}, **scores}, dataclasses.replace(TOYS, score="l1")) == 0.5


@pytest.mark.parametrize("name", family_tasks.FAMILIES)
def test_every_row_of_every_family_is_a_recipe(name):
    family = family_tasks.FAMILIES[name]
    recipes = {row: family_rows.recipe_of(family, row) for row in family_rows.asked(name)}
    assert {row: recipes[row].algorithm for row in (META, CODE)} == {META: "fomaml", CODE: "conditional"}
    untold = (SCRATCH, NOISE, NOISE_JOINT, NOISE_SCRATCH)
    truths = {recipe.truth for row, recipe in recipes.items() if row not in untold}
    assert truths == {family.fields.get("truth", 0.0)}, "no row is told of the truth that another is not"
    assert (recipes[SCRATCH].truth, recipes[SCRATCH].content) == (0.0, 1.0)
    assert all(list(row.steps) == sorted(set(row.steps)) for row in ROWS.values())


def test_a_row_beside_the_meta_trained_one_differs_from_it_in_one_thing():
    fonts = family_tasks.FAMILIES["fonts"]
    assert {SCALED, CYCLE} < set(family_rows.asked("fonts")) and NOISE not in family_rows.asked("fonts")
    assert family_rows.asked("toys") == [META, CODE, JOINT, SCRATCH]
    plain = dataclasses.asdict(family_rows.recipe_of(fonts, META))
    for row, changed in ((SCALED, {"scale_and_shift"}), (CYCLE, {"name", "cycle", "identity"})):
        recipe = dataclasses.asdict(family_rows.recipe_of(fonts, row))
        assert {key for key, value in recipe.items() if value != plain[key]} == changed


def test_a_row_from_noise_is_a_transfer():
    """Trained or not, one recipe, in the objective's features; a toy of its features would need a toy of its images."""
    assert family_rows.recipe_of(TOYS, NOISE) == family_rows.recipe_of(TOYS, NOISE_SCRATCH)
    assert family_rows.recipe_of(TOYS, NOISE).family == "gan"
    recipes = [dataclasses.asdict(family_rows.recipe_of(TOYS, row)) for row in (NOISE, NOISE_JOINT)]
    assert {key for key in recipes[0] if recipes[0][key] != recipes[1][key]} == {"name", "algorithm"}
    tasks = types.SimpleNamespace(image_shape={"source": (28, 28, 1), "target": (28, 28, 1)})
    assert isinstance(family_rows.fresh(TOYS, NOISE, tasks).game, Transfer)


def test_joint_training_is_told_of_the_truth_where_meta_training_is():
    told = dataclasses.replace(TOYS, fields={"width": 2, **family_tasks.BY_TRUTH})
    tasks = toys(None, 3)
    plain, knowing = (family_rows.fresh(family, JOINT, tasks) for family in (TOYS, told))
    assert not plain.algorithm.estimator.adapts
    assert knowing.algorithm.inner_steps == 0 and knowing.game.truth == 10.0 and not knowing.game.conditioned


@pytest.mark.data
@pytest.mark.parametrize("name", family_tasks.FAMILIES)
def test_no_class_that_is_measured_is_trained_on(name, data_folder):
    family = family_tasks.FAMILIES[name]
    training = family.training(data_folder, family.shots)
    sides = [(training.source, 0), (training.target, 1)]
    seen = {_pictures(side, rows) for side, i in sides for rows in training.pairs["train"][:, i]}
    for make in family.tests.values():
        tests = make(data_folder, min(family.measured))
        for side, i in ((tests.source, 0), (tests.target, 1)):
            for rows in tests.pairs["test"][:, i]:
                assert _pictures(side, rows) not in seen
        assert len(tests.pairs["test"]) > 0 and tests.shots == min(family.measured)


def _pictures(source, label):
    """What tells the classes of any two sources apart: the sum of its pictures."""
    return int(source.images[source.labels == label].astype(np.int64).sum())


@pytest.mark.data
def test_judges_see_the_classes_that_they_should(data_folder):
    digits = family_tasks.judged(family_tasks.FAMILIES["USPS and MNIST"], data_folder)
    assert digits.class_names == list("0123456789") and len(digits.images) == 7291 + 2007 + 70000
    both = family_tasks.judged(family_tasks.FAMILIES["MNIST and Fashion-MNIST"], data_folder)
    assert len(both.class_names) == 12 and both.class_split.tolist() == [0] * 12
    with pytest.raises(ValueError, match="without judges"):
        family_tasks.judged(family_tasks.FAMILIES["fonts"], data_folder)


def test_a_part_that_fails_is_told(monkeypatch):
    with pytest.raises(RuntimeError, match=r"(?s)failed:.*out of luck"):
        families.lanes.python(["-c", "raise SystemExit('out of luck')"], None)


def test_parts_that_are_there_are_not_made_again(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(families.lanes, "python", lambda arguments, core: made.append(arguments))
    (tmp_path / "parts").mkdir()
    families._part(tmp_path, "fonts", META).write_text("{}")
    arguments = families.argparse.Namespace(quick=False, only=["fonts"])
    families._all(tmp_path, tmp_path, ["fonts"], families.FULL, arguments)
    assert sorted(call[-1] for call in made) == sorted(set(family_rows.asked("fonts")) - {META})
    assert all(call[:2] == ["-m", "benchmarks.families"] and "--quick" not in call for call in made)


def refused(monkeypatch, capsys, *arguments):
    """What the program says when it ends with 2."""
    monkeypatch.setattr(sys, "argv", ["families", *arguments])
    with pytest.raises(SystemExit) as ended:
        families.main()
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_the_program_says_what_it_takes(monkeypatch, capsys):
    assert "invalid choice: 'nothing'" in refused(monkeypatch, capsys, "--only", "nothing")


def test_a_folder_is_of_one_size(tmp_path, monkeypatch, capsys):
    assert families.claimed(tmp_path, families.QUICK) is None and families.claimed(tmp_path, families.QUICK) is None
    assert families.claimed(tmp_path, families.FULL)["minutes"] == families.QUICK.minutes
    said = refused(monkeypatch, capsys, "--data", "none", "--out", str(tmp_path))
    assert "--out must be empty, or of a run of this size" in said
