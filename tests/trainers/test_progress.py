"""The time left of a run, with numbers worked out by hand."""

import sys
from types import SimpleNamespace

import pytest

from trainers import TrainConfig, progress


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (1146.8, "19 min"),
        (3599, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (24 * 3600, "1 d 0 h"),
        (53 * 3600 + 1000, "2 d 5 h"),
    ],
)
def test_durations(seconds, shown):
    assert progress.duration(seconds) == shown


def left(**changes):
    given = {"step": 120, "steps": 2000, "per_step": 0.5, "trained": 60.0, "per_trained": 0.4, "minutes": 0.0}
    return progress.time_left(**{**given, **changes})


def test_the_time_left_is_that_of_the_steps_or_of_the_minutes():
    assert left() == 1880 * 0.5
    # A minute of training is left: 60 / .4 = 150 steps, which take .5 s each with their validations.
    assert left(minutes=2.0) == 150 * 0.5
    assert left(minutes=1000.0) == 1880 * 0.5, "the steps end first"
    assert left(minutes=0.5) == 0.0, "the minutes are used up"
    assert left(step=2000) == 0.0
    assert left(minutes=2.0, per_trained=0.0) == 1880 * 0.5, "steps that take no time use no minutes up"


@pytest.mark.parametrize(
    ("minutes", "shown"),
    [(0, "step 120/2000, 0.61 s/step, 19 min left"), (2, "step 120/2000, 0.61 s/step, 2 min left")],
)
def test_the_line(monkeypatch, capsys, minutes, shown):
    """119 steps after the first take 72.59 s, .61 s each, of which 47.6 s are training, .4 s each.

    With 2 minutes, 120 - 9 - 47.6 = 63.4 s of training are left, 158.5 steps, which take 96.7 s.
    """
    clock = iter([1000.0, 1000.0 + 119 * 0.61])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    line = progress.ProgressLine(TrainConfig(steps=2000, minutes=minutes))
    line.begin(1, 9.0)
    line.show(120, 9.0 + 119 * 0.4, {"loss/generator": 0.25, "gradient_norm/generator": 3.0})
    line.end()
    line.end()
    text = capsys.readouterr().err
    assert text.startswith(f"\r{shown}, loss/generator 0.25 ") and text.count("\n") == 1
    assert len(text) == 1 + 79 + 1, "of the 80 columns of a terminal that cannot be asked, 79"


def test_a_narrow_terminal_is_not_overrun(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress.ProgressLine(TrainConfig(steps=1000)).show(120, 1.0, {"loss/generator": 0.25})
    assert len(capsys.readouterr().err) == 1 + 19


def test_without_a_terminal_there_is_nothing(capsys):
    line = progress.ProgressLine(TrainConfig(steps=2000))
    line.show(120, 1.0, {})
    line.end()
    assert capsys.readouterr() == ("", "")
