"""Numbers in short form, and the metrics of a report."""

from __future__ import annotations

import math

import pytest

from meta_gan.report.sections import METRICS, NULL, Cell, Table, decimals, interval, plain, score, short


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
        # A number that rounds to 0 has no sign.
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


def test_the_largest_number_sets_the_decimals():
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
        # A negative end that rounds to 0 has no minus, so that a dash is clear.
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
    assert Table("", list("abcdef"), rows).numeric == [False, True, True, False, True, False]


def test_metrics_have_a_better_direction():
    assert all(metric.better[0] in "↑↓→" and metric.meaning and metric.label for metric in METRICS.values())
    assert len({metric.label for metric in METRICS.values()}) == len(METRICS)
    lower = {name for name, metric in METRICS.items() if metric.better.startswith("↓")}
    assert lower == {"energy_distance", "copy_rate", "frechet_distance", "kernel_distance"}
    assert [name for name, metric in METRICS.items() if metric.signed] == ["classification_gain", "prototypical_gain"]
    assert next(iter(METRICS)) == "energy_distance"


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"mean": 0.12345, "low": 0.1, "high": 2}, "0.123 (0.100 to 2.000)"),
        ({"mean": 1, "low": None, "high": None}, "1.000"),
        (None, NULL),
    ],
)
def test_interval_by_hand(entry, text):
    assert interval(entry) == text
