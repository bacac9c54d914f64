"""The benchmark of translations: a toy family from training to tables, and the data of the real families."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import types

import numpy as np
import pytest
from PIL import Image

from benchmarks import common
from benchmarks.families import rows as family_rows
from benchmarks.families import tasks as family_tasks
from benchmarks.families import translations as families
from benchmarks.families.rows import (
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
from meta_gan.presets.algorithms import FOMAML, Conditional
from meta_gan.presets.games import GANGame
from meta_gan.tasks import Source, pair_classes
from meta_gan.tasks.pictures import GAP
from tests.presets.helpers import flat
from tests.toys import weekly

TINY = common.Size(minutes=0.02, judge_steps=2, tuning=1, draws=1, scales=(1.0,), longest=1, measured=1)


def toys(folder, shots):
    """Light and dark noise as two sources."""
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
    """Two rows, with the toy family added."""
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
    """The folder of two rows of the toy family, evaluated once."""
    if not (folder / "parts").is_dir():
        (folder / "parts").mkdir()
        for row in families.ROWS:
            families.measure("toys", row, folder, folder, TINY)
    return folder


@pytest.mark.slow
def test_rows_stand_beside_those_without_a_model(measured):
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
def test_a_finished_training_is_not_repeated(measured):
    folder = measured / "runs" / families.slug(f"toys {META}")
    (run,) = folder.iterdir()
    steps = json.loads((run / "metrics.jsonl").read_text("utf-8").splitlines()[-1])["step"]
    model = families.trained(TOYS, META, folder, measured, TINY.minutes)
    assert len(list(folder.iterdir())) == 1 and model.algorithm.inner_steps == 1
    assert json.loads((run / "metrics.jsonl").read_text("utf-8").splitlines()[-1])["step"] == steps


def test_training_varies_the_number_of_support_images():
    assert TOYS.fewest == 2
    assert dataclasses.replace(TOYS, measured=(3,)).fewest == 0


def test_the_first_judges_score_decides():
    scores = {f"energy_distance/{name}": {"mean": value} for name, value in (("pixels", 3.0), ("a", 1.0), ("b", 2.0))}
    assert families._score(scores, TOYS) == 1.0
    assert families._score({"l1": {"mean": 0.5}, **scores}, dataclasses.replace(TOYS, score="l1")) == 0.5


@pytest.mark.parametrize("name", family_tasks.FAMILIES)
def test_every_row_of_every_family_is_a_recipe(name):
    family = family_tasks.FAMILIES[name]
    recipes = {row: family_rows.recipe_of(family, row) for row in family_rows.rows_of(name)}
    assert [type(recipes[row].algorithm) for row in (META, CODE)] == [FOMAML, Conditional]
    others = (SCRATCH, NOISE, NOISE_JOINT, NOISE_SCRATCH)
    truths = {recipe.game.truth for row, recipe in recipes.items() if row not in others}
    assert truths == {family.fields.get("truth", 0.0)}, "all rows use the true translations alike"
    assert (recipes[SCRATCH].game.truth, recipes[SCRATCH].game.content) == (0.0, 1.0)
    assert all(list(row.steps) == sorted(set(row.steps)) for row in ROWS.values())


def test_rows_differ_from_the_meta_trained_one_in_one_thing():
    fonts = family_tasks.FAMILIES["fonts"]
    assert {SCALED, CYCLE} < set(family_rows.rows_of("fonts")) and NOISE not in family_rows.rows_of("fonts")
    assert family_rows.rows_of("toys") == [META, CODE, JOINT, SCRATCH]
    plain = flat(family_rows.recipe_of(fonts, META).to_config())
    for row, changed in (
        (SCALED, {"network.scale_and_shift"}),
        (CYCLE, {"name", "game.cycle", "game.identity"}),
    ):
        recipe = flat(family_rows.recipe_of(fonts, row).to_config())
        assert {key for key, value in recipe.items() if value != plain[key]} == changed


def test_a_row_from_noise_is_a_transfer():
    """The recipe is the same with and without training."""
    assert family_rows.recipe_of(TOYS, NOISE) == family_rows.recipe_of(TOYS, NOISE_SCRATCH)
    assert isinstance(family_rows.recipe_of(TOYS, NOISE).game, GANGame)
    recipes = [flat(family_rows.recipe_of(TOYS, row).to_config()) for row in (NOISE, NOISE_JOINT)]
    different = {key for key in recipes[0] if recipes[0][key] != recipes[1].get(key)}
    assert different == {"name", "algorithm.kind", "algorithm.consistency"}
    tasks = types.SimpleNamespace(example_shape={"source": (28, 28, 1), "target": (28, 28, 1)})
    assert isinstance(family_rows.fresh(TOYS, NOISE, tasks).game, Transfer)


def test_joint_training_uses_the_true_translations_like_meta_training():
    paired = dataclasses.replace(TOYS, fields={"width": 2, **family_tasks.BY_TRUTH})
    tasks = toys(None, 3)
    plain, knowing = (family_rows.fresh(family, JOINT, tasks) for family in (TOYS, paired))
    assert not plain.algorithm.estimator.adapts
    assert knowing.algorithm.inner_steps == 0 and knowing.game.truth == 10.0 and not knowing.game.conditioned


@pytest.mark.data
@pytest.mark.parametrize("name", ["USPS and MNIST", "fonts", *weekly("MNIST and Fashion-MNIST", "emoji", "writers")])
def test_evaluated_classes_are_unseen_in_training(name, data_folder):
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
    """A fingerprint of a class: the sum of its pictures."""
    return int(source.images[source.labels == label].astype(np.int64).sum())


@pytest.mark.data
def test_judges_are_trained_on_their_classes(data_folder):
    digits = family_tasks.judged(family_tasks.FAMILIES["USPS and MNIST"], data_folder)
    assert digits.class_names == list("0123456789") and len(digits.images) == 7291 + 2007 + 70000
    both = family_tasks.judged(family_tasks.FAMILIES["MNIST and Fashion-MNIST"], data_folder)
    assert len(both.class_names) == 12 and both.class_split.tolist() == [0] * 12
    with pytest.raises(ValueError, match="without judges"):
        family_tasks.judged(family_tasks.FAMILIES["fonts"], data_folder)


def test_finished_parts_are_kept(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(families.common, "python", lambda arguments, core: made.append(arguments))
    (tmp_path / "parts").mkdir()
    families._part(tmp_path, "fonts", META).write_text("{}")
    arguments = argparse.Namespace(quick=False, only=["fonts"])
    families._all(tmp_path, tmp_path, ["fonts"], families.FULL, arguments)
    assert sorted(call[-1] for call in made) == sorted(set(family_rows.rows_of("fonts")) - {META})
    assert all(call[:2] == ["-m", "benchmarks.families"] and "--quick" not in call for call in made)


def refused(monkeypatch, capsys, *arguments):
    """The error message of the program, which must end with 2."""
    monkeypatch.setattr(sys, "argv", ["families", *arguments])
    with pytest.raises(SystemExit) as ended:
        families.main()
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_unknown_families_are_refused(monkeypatch, capsys):
    assert "invalid choice: 'nothing'" in refused(
        monkeypatch, capsys, "--data", "none", "--out", "none", "--only", "nothing"
    )


def test_a_folder_has_one_size(tmp_path, monkeypatch, capsys):
    assert common.claimed(tmp_path, families.QUICK) is None and common.claimed(tmp_path, families.QUICK) is None
    assert common.claimed(tmp_path, families.FULL)["minutes"] == families.QUICK.minutes
    said = refused(monkeypatch, capsys, "--data", "none", "--out", str(tmp_path))
    assert "--out must be empty, or of a run of this size" in said
