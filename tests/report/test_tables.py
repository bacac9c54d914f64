"""Numbers in short form, columns, and the check of a report."""

from __future__ import annotations

import json
import math

import pytest

from meta_gan.report.tables import (
    COLUMNS,
    NULL,
    REQUIRED,
    Cell,
    Table,
    check_report,
    decimals,
    numeric,
    plain,
    score,
    short,
)
from tests.report.reports import report


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.24, ".24"),
        (0.034, ".034"),
        (-0.005, "-.0050"),
        (1.01, "1.01"),
        (5.251, "5.25"),
        (32.64, "32.6"),
        (154.21, "154"),
        (12345.6, "12,346"),
        (0.00034, ".00034"),
        (0, ".00"),
        (1, "1.00"),
        (-1.5, "-1.50"),
        (None, NULL),
        (math.nan, NULL),
        (-math.inf, NULL),
    ],
)
def test_short_by_hand(value, text):
    assert short(value) == text


@pytest.mark.parametrize(
    ("value", "places", "signed", "text"),
    [
        (0.067, 3, True, "+.067"),
        (-0.067, 3, True, "-.067"),
        (6.7, 1, True, "+6.7"),
        # What rounds to nothing has no sign.
        (-0.001, 2, False, ".00"),
        (0.001, 2, True, ".00"),
        (10.04, 1, False, "10.0"),
        (0.4, 0, False, "0"),
    ],
)
def test_short_with_given_places(value, places, signed, text):
    assert short(value, places, signed) == text


def test_short_reads_back_as_the_number():
    for power in range(-5, 6):
        for digits in (1.0, 2.345, 9.87):
            value = digits * 10.0**power
            # Two digits below 1, at least three from 1 on.
            assert math.isclose(float(short(value).replace(",", "")), value, rel_tol=0.05 if value < 1 else 0.005)


def test_decimals_are_of_the_largest():
    assert decimals([0.001, 0.24, -0.1]) == 2
    assert decimals([-32.6, 0.24]) == 1
    assert decimals([0.0, 0.0]) == 2


@pytest.mark.parametrize(
    ("entry", "signed", "cell"),
    [
        ({"mean": 0.24, "low": 0.22, "high": 0.26}, False, (".24", "(.22–.26)")),
        ({"mean": -0.0051, "low": -0.012, "high": 0.0021}, False, ("-.005", "(-.012 to .002)")),
        ({"mean": 0.067, "low": 0.051, "high": 0.083}, True, ("+.067", "(+.051 to +.083)")),
        ({"mean": 5.25, "low": 5.1, "high": 5.4}, False, ("5.25", "(5.10–5.40)")),
        ({"mean": 0.98, "low": 0.96, "high": 1.01}, False, (".98", "(.96–1.01)")),
        ({"mean": 0.0, "low": 0.0, "high": 0.0}, False, (".00", "(.00–.00)")),
        # An end that rounds to 0 from below needs no minus, and then a dash will do.
        ({"mean": 0.2, "low": -0.0001, "high": 0.4}, False, (".20", "(.00–.40)")),
        ({"mean": 0.4, "low": None, "high": None}, False, (".40", "")),
        ({"mean": 0.4, "low": 0.3, "high": math.nan}, False, (".40", "")),
        ({"mean": None, "low": None, "high": None}, False, (NULL, "")),
        ({"mean": math.nan, "low": 0.0, "high": 1.0}, False, (NULL, "")),
        (None, False, (NULL, "")),
    ],
)
def test_score_by_hand(entry, signed, cell):
    assert score(entry, signed) == Cell(*cell)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, NULL),
        (True, "yes"),
        (False, "no"),
        (1234567, "1,234,567"),
        (0.001, "0.001"),
        ("conv4", "conv4"),
        ([28, 28, 1], "28, 28, 1"),
        ({"steps": 20000, "loss": {"name": "hinge"}, "clip": None}, "steps 20,000; loss name hinge; clip —"),
        ({}, ""),
    ],
)
def test_plain_by_hand(value, text):
    assert plain(value) == text


def test_only_columns_of_numbers_are_numeric():
    rows = [
        [Cell("a"), Cell(".24", "(.22–.26)"), Cell("1,234"), Cell("yes"), Cell(NULL), Cell("", "", "ab")],
        [Cell("1"), Cell(NULL), Cell("-.5"), Cell("1"), Cell("+.1"), Cell("", "", "cd")],
    ]
    assert numeric(Table("", list("abcdef"), rows)) == [False, True, True, False, True, False]


def test_columns_say_which_way_is_better():
    assert all(column.better[0] in "↑↓→" and column.meaning and column.label for column in COLUMNS.values())
    assert len({column.label for column in COLUMNS.values()}) == len(COLUMNS)
    lower = {name for name, column in COLUMNS.items() if column.better.startswith("↓")}
    assert lower == {"energy_distance", "copy_rate", "frechet_distance", "kernel_distance"}
    assert [name for name, column in COLUMNS.items() if column.signed] == ["classification_gain", "prototypical_gain"]
    assert next(iter(COLUMNS)) == "energy_distance"


def test_a_whole_report_passes_also_through_json():
    check_report(report())
    check_report(json.loads(json.dumps(report(form="quick", models=()))))


@pytest.mark.parametrize("key", REQUIRED["report"])
def test_a_missing_part_is_named(key):
    lacking = report()
    del lacking[key]
    with pytest.raises(ValueError, match=rf"`report` must have the key '{key}'. Received: \["):
        check_report(lacking)


@pytest.mark.parametrize(
    "path",
    [
        *(("protocol", key) for key in REQUIRED["protocol"]),
        *(("times", key) for key in REQUIRED["times"]),
        *(("judges", "proto-a", key) for key in REQUIRED["judges"]),
        *(("models", "mine", key) for key in REQUIRED["models"]),
        *(("floor", "class-b", key) for key in REQUIRED["floor"]),
        *(("row_info", "wrong class", key) for key in REQUIRED["row_info"]),
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
    lacking = report()
    holder = lacking
    for step in path[:-1]:
        holder = holder[step]
    del holder[path[-1]]
    with pytest.raises(ValueError) as caught:
        check_report(lacking)
    assert f"`report` must have the key {'.'.join(path)!r}. Received: [" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ((), r"`report` must be a dictionary. Received: list"),
        (("judges",), r"`report.judges` must be a dictionary. Received: list"),
        (("rows", "copy"), r"`report.rows.copy` must be a dictionary. Received: list"),
        (("rows", "copy", "proto-a"), r"`report.rows.copy.proto-a` must be a dictionary. Received: list"),
        (("curve", "mine", "proto-a", "copy_rate"), r"`report.curve.mine.proto-a.copy_rate` must be a dictionary"),
    ],
)
def test_what_is_no_dictionary_is_named(path, message):
    broken = {"all": report()}
    holder, last = broken, "all"
    for step in path:
        holder, last = holder[last], step
    holder[last] = []
    with pytest.raises(ValueError, match=message):
        check_report(broken["all"])


def test_nulls_are_no_fault():
    found = report()
    found["rows"]["copy"]["proto-a"]["energy_distance"] = None
    found["curve"]["mine"]["class-b"]["copy_rate"]["0"] = None
    found["models"]["mine"]["stability"] = None
    found["protocol"]["task"] = found["protocol"]["classification"] = None
    check_report(found)


def test_another_form_is_refused():
    with pytest.raises(ValueError, match=r"`protocol.form` must be 'full' or 'quick'. Received: 'long'"):
        check_report(report(form="long"))
