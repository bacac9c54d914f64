"""The dataclasses of reports: what they check, and what they write."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from meta_gan.report import Report, TranslationReport
from meta_gan.report.reports import KEYS
from tests.report.reports import content, entry, report

GOLDEN = Path(__file__).parent / "golden"
FIXED = {"low": None, "high": None}


@pytest.mark.parametrize("found", [content(), {**content(form="quick", models=()), "none": {"proto-a": {}}}])
def test_a_report_keeps_its_json_object(found):
    made = Report.from_dict(found)
    assert made.to_dict() == found == json.loads(made.to_json())
    assert Report.from_dict(json.loads(made.to_json())) == made


def test_json_keeps_the_order_of_the_fields():
    keys = ["protocol", "judges", "rows", "controls", "curve", "floor", "none", "models", "row_info", "times"]
    text = Report.from_dict({**content(), "none": {}}).to_json()
    assert list(json.loads(text)) == keys == [field.name for field in dataclasses.fields(Report)]
    assert text.startswith('{\n  "protocol": {\n    "name"') and text.endswith("}\n")


def test_a_report_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        report().rows = {}


def test_files_hold_the_renderings(tmp_path):
    found = report()
    paths = found.write(tmp_path / "new", html="a page")
    assert [path.name for path in paths] == ["report.json", "report.md", "report.html"]
    assert [path.read_text("utf-8") for path in paths] == [found.to_json(), found.to_markdown(), "a page"]
    assert sorted(tmp_path.rglob("*.*")) == sorted(paths)


@pytest.mark.parametrize("key", list(content()))
def test_a_missing_field_is_named(key):
    lacking = content()
    del lacking[key]
    with pytest.raises(ValueError, match=rf"'report' must have the key '{key}'. Received: \["):
        Report.from_dict(lacking)


@pytest.mark.parametrize(
    "path",
    [
        *(("protocol", key) for key in KEYS["protocol"]),
        *(("times", key) for key in KEYS["times"]),
        *(("judges", "proto-a", key) for key in KEYS["judges"]),
        *(("models", "mine", key) for key in KEYS["models"]),
        *(("floor", "class-b", key) for key in KEYS["floor"]),
        *(("row_info", "wrong class", key) for key in KEYS["row_info"]),
        ("floor", "proto-a"),
        ("row_info", "oracle"),
        ("rows", "shift", "class-b"),
        ("controls", "wrong class", "proto-a"),
        ("curve", "mine", "proto-a"),
        ("rows", "copy", "proto-a", "recognisability", "mean"),
        ("controls", "wrong class", "class-b", "energy_distance", "low"),
        ("curve", "mine", "class-b", "copy_rate", "20", "high"),
    ],
)
def test_a_missing_key_is_named_with_its_path(path):
    lacking = content()
    holder = lacking
    for step in path[:-1]:
        holder = holder[step]
    del holder[path[-1]]
    with pytest.raises(ValueError) as caught:
        Report.from_dict(lacking)
    holder = ".".join(("report", *path[:-1]))
    assert f"'{holder}' must have the key {path[-1]!r}. Received: [" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ((), r"'report' must be a dictionary. Received: list"),
        (("judges",), r"'report.judges' must be a dictionary. Received: list"),
        (("rows", "copy"), r"'report.rows.copy' must be a dictionary. Received: list"),
        (("rows", "copy", "proto-a"), r"'report.rows.copy.proto-a' must be a dictionary. Received: list"),
        (("curve", "mine", "proto-a", "copy_rate"), r"'report.curve.mine.proto-a.copy_rate' must be a dictionary"),
    ],
)
def test_a_value_that_must_be_a_dictionary_is_named(path, message):
    broken = {"all": content()}
    holder, last = broken, "all"
    for step in path:
        holder, last = holder[last], step
    holder[last] = []
    with pytest.raises(ValueError, match=message):
        Report.from_dict(broken["all"])


def test_an_unknown_key_is_named():
    with pytest.raises(
        ValueError, match=r"'report' must have no other keys than \['protocol', .*Received: \['extra'\]"
    ):
        Report.from_dict({**content(), "extra": {}})


def test_values_that_were_not_measured_may_be_none():
    found = content()
    found["rows"]["copy"]["proto-a"]["energy_distance"] = None
    found["curve"]["mine"]["class-b"]["copy_rate"]["0"] = None
    found["models"]["mine"]["stability"] = None
    found["protocol"]["task"] = found["protocol"]["classification"] = None
    Report.from_dict(found)


def test_another_form_is_refused():
    with pytest.raises(ValueError, match=r"'report.protocol.form' must be 'full' or 'quick'. Received: 'long'"):
        report(form="long")


@pytest.mark.parametrize(
    ("task", "expected"), [("A", "few-shot-28, task A: omniglot28.npz"), (None, "few-shot-28: omniglot28.npz")]
)
def test_title(task, expected):
    found = content()
    found["protocol"]["task"] = task
    assert Report.from_dict(found).title == expected


def test_the_bar_is_the_best_plain_augmentation():
    found = content()
    assert Report.from_dict(found).best_bar("proto-a") == ("shift", 0.22)
    found["rows"]["shift"]["proto-a"]["energy_distance"] = None
    assert Report.from_dict(found).best_bar("proto-a") == ("copy", 0.46)
    assert Report.from_dict(found).best_bar("class-b") == ("shift", 0.22)
    found = content(rows=("trivial", *found["rows"]))
    assert Report.from_dict(found).best_bar("proto-a") == ("trivial", 0.1)
    assert report(rows=("oracle", "mine")).best_bar("proto-a") is None


TRANSLATIONS = {
    "rows": {
        "identity": {"energy_distance/pixels": {"mean": 0.1234, "low": 0.1, "high": 0.2}, "l1": entry(0.5) | FIXED},
        "nearest": {"energy_distance/pixels": {"mean": -0.0004, "low": -1.0, "high": 2.0}},
        "mine": {"cycle_error": {"mean": 1.0, "low": 1.0, "high": 1.0}},
    },
    **{"tasks": 6, "shots": 4, "queries": 6, "split": "test", "judges": {"j": "ab"}},
}


def test_translations_are_a_table(tmp_path):
    found = TranslationReport.from_dict(TRANSLATIONS)
    assert found.to_markdown() == (GOLDEN / "translations.md").read_text("utf-8")
    assert found.to_dict() == TRANSLATIONS and json.loads(found.to_json()) == TRANSLATIONS
    assert [path.name for path in found.write(tmp_path)] == ["report.json", "report.md"]
    with_models = TranslationReport(**TRANSLATIONS, models={"mine": {"weights_sha256": "ab"}})
    assert with_models.to_dict()["models"] == {"mine": {"weights_sha256": "ab"}}


def test_names_of_translations_are_escaped():
    found = TranslationReport.from_dict({**TRANSLATIONS, "rows": {"a|b": {"l1": entry(0.5)}}})
    assert "| a\\|b | 0.500 (0.480 to 0.520) |" in found.to_markdown()


def test_a_bad_score_of_a_translation_is_named():
    broken = {**TRANSLATIONS, "rows": {"mine": {"l1": {"mean": 1.0, "low": None}}}}
    with pytest.raises(ValueError, match=r"'report.rows.mine.l1' must have the key 'high'"):
        TranslationReport.from_dict(broken)
