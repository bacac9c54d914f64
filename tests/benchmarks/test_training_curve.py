"""The curve of quality over training time, from the log of a run."""

import json
import sys

import pytest

from benchmarks.flagship import training_curve


def write(folder, *lines):
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_points_are_minutes_and_the_distance_at_the_same_step(tmp_path):
    """Step 0 has no time, and a step without validation no distance."""
    run = write(
        tmp_path,
        {"step": 0, training_curve.DISTANCE: 9.0},
        {"step": 50, "seconds": 30.0},
        {"step": 100, "seconds": 90.0},
        {"step": 100, training_curve.DISTANCE: 0.5},
    )
    assert training_curve.points(run) == [(1.5, 0.5)]


def test_a_run_without_validation_is_refused(tmp_path):
    run = write(tmp_path, {"step": 50, "seconds": 30.0})
    with pytest.raises(ValueError, match="--run must be a run with a validation"):
        training_curve.points(run)


def test_the_picture_is_written(tmp_path, monkeypatch, capsys):
    run = write(tmp_path, {"step": 9, "seconds": 60.0}, {"step": 9, training_curve.DISTANCE: 0.25})
    out = tmp_path / "curve.png"
    monkeypatch.setattr(sys, "argv", ["training_curve", "--run", str(run), "--out", str(out)])
    training_curve.main()
    assert out.read_bytes()[:4] == b"\x89PNG" and capsys.readouterr().out == "1.0 min: 0.2500\n"
