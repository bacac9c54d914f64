"""The benchmark of the flagship: its errors, its timing, and (slow) its results on a few characters."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.flagship import evaluation as flagship

ROOT = Path(__file__).resolve().parents[2]


def test_the_drawings_are_given_or_in_the_data_folder(tmp_path, monkeypatch):
    (tmp_path / "omniglot28.npz").touch()
    monkeypatch.setenv("META_GAN_DATA", str(tmp_path))
    assert flagship.drawings(None) == str(tmp_path / "omniglot28.npz")
    (tmp_path / "other.npz").touch()
    assert flagship.drawings(str(tmp_path / "other.npz")) == str(tmp_path / "other.npz")


@pytest.mark.parametrize("given", [None, "absent.npz"])
def test_missing_drawings_are_refused(tmp_path, monkeypatch, given):
    monkeypatch.setenv("META_GAN_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"--data must be omniglot28.npz, or META_GAN_DATA .*Received: '"):
        flagship.drawings(given)


class Slow:
    """A model that records its calls."""

    def __init__(self):
        self.calls = []

    def adapt(self, support, seed):
        self.calls.append(("adapt", len(support), seed))
        return self

    def sample(self, count, seed):
        self.calls.append(("sample", count, seed))


def test_the_first_call_is_not_timed():
    model = Slow()
    taken = flagship.seconds_to_samples(model, np.zeros((5, 28, 28, 1), np.float32))
    assert 0 <= taken < 1
    assert model.calls.count(("adapt", 5, 0)) == 2 == model.calls.count(("sample", 64, 0))
    assert len(model.calls) == 2 * (flagship.REPEATS + 1)


def test_settings_of_the_flags():
    flags = {"steps": 3, "draws": 5, "quick": False, "no_curve": True}
    full = flagship.settings_of(argparse.Namespace(**flags))
    assert (full.steps, full.draws, full.curve, full.stability_classes, full.scratch_steps) == (3, 5, (0,), 0, 0)
    assert full.classes is None
    quick = flagship.settings_of(argparse.Namespace(**{**flags, "draws": 1, "quick": True, "no_curve": False}))
    assert quick.classes == 100 and len(quick.curve) > 1
    with pytest.raises(ValueError, match=r"--quick is one draw\. Received: --draws 5"):
        flagship.settings_of(argparse.Namespace(**{**flags, "quick": True}))


def test_the_mean_and_extremes_over_trainings():
    def row(value):
        return {"judge": {"energy_distance": {"mean": value, "low": 0.0}, "absent": {"mean": None}, "count": 3}}

    rows = {"flagship": row(1.0), "training-2": row(4.0), "copy": row(100.0), "training-3": row(2.5)}
    found = flagship.over_trainings(rows, ["flagship", "training-2", "training-3"])
    assert found == {"judge": {"energy_distance": {"mean": 2.5, "least": 1.0, "greatest": 4.0}}}


@pytest.mark.slow
def test_a_missing_file_ends_with_2_and_one_line(tmp_path):
    program = [sys.executable, "-m", "benchmarks.flagship", "--out", str(tmp_path / "o"), "--data", "absent.npz"]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("flagship: --data must be omniglot28.npz")
    assert not (tmp_path / "o").exists()


@pytest.mark.slow
def test_the_quick_form_on_the_shipped_model(tmp_path, data_folder):
    """Minutes: the rows of the table, under both judges, and samples in under a second."""
    out = tmp_path / "flagship"
    program = [sys.executable, "-m", "benchmarks.flagship", "--quick", "--out", str(out)]
    subprocess.run([*program, "--data", str(data_folder / "omniglot28.npz")], check=True, cwd=ROOT)
    results = json.loads((out / "results.json").read_text())
    for judge in flagship.JUDGES:
        energy = {row: scores[judge]["energy_distance"]["mean"] for row, scores in results["rows"].items()}
        assert energy["flagship"] < min(energy[row] for row in ("copy", "shift", "affine"))
    assert results["adapt_and_sample_64_seconds"] < 1.0
