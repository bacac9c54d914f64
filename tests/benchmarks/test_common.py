"""The shared parts of the benchmarks, and the program that runs any of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import common
from benchmarks.__main__ import programs
from benchmarks.common import Size
from tests.toys import weekly

ROOT = Path(__file__).resolve().parents[2]
FIRST = ("flagship",)


def test_a_table_by_hand():
    text = common.table(["row", "score"], [["copy", 0.5], ["mine", "-"]])
    assert text == "| row | score |\n|---|---|\n| copy | 0.5 |\n| mine | - |\n"
    assert common.interval({"mean": 0.12345, "low": 0.1, "high": 0.2}) == "0.123 (0.100 to 0.200)"


def test_a_folder_keeps_its_size(tmp_path):
    size = Size(minutes=1.0, scales=(1.0, 2.0))
    assert common.claimed(tmp_path, size) is None is common.claimed(tmp_path, size)
    assert json.loads((tmp_path / "size.json").read_text()) == {"minutes": 1.0, "scales": [1.0, 2.0]}
    assert common.claimed(tmp_path, size.replaced(minutes=2.0)) == {"minutes": 1.0, "scales": [1.0, 2.0]}
    assert size == Size(minutes=1.0, scales=(1.0, 2.0)) != size.replaced(minutes=2.0)


def test_a_training_is_resumed_if_its_folder_has_a_run(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(common, "meta_gan", lambda arguments, core: seen.append((arguments, core)))
    common.train("vae", "data.npz", tmp_path / "runs", 7.5, 3, ["width=16"], "--queries", "10")
    (tmp_path / "runs" / "00000").mkdir(parents=True)
    common.train("vae", "data.npz", tmp_path / "runs", 7.5, 3, ["width=16"], "--queries", "10")
    (first, core), (second, _) = seen
    assert core == 3 and second == [*first, "--resume"] and first[:3] == ["train", "--preset", "vae"]
    assert first[first.index("--set") + 1 :] == [
        "width=16",
        "minutes=7.5",
        "processor_time=true",
        "validate_every=100000",
    ]


def test_a_failed_process_is_an_error():
    with pytest.raises(RuntimeError, match=r"(?s)failed:.*out of luck"):
        common.python(["-c", "raise SystemExit('out of luck')"], None)


@pytest.mark.slow
def test_a_process_finds_the_benchmarks_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    common.python(["-c", "import benchmarks.common"], None)


def test_jobs_side_by_side_share_no_core(monkeypatch):
    monkeypatch.setattr(common, "cores", lambda: [4, 7, 9])
    seen = []
    common.side_by_side(range(5), lambda job, core: seen.append((job, core)))
    assert sorted(seen) == [(0, 4), (1, 7), (2, 4), (3, 7), (4, 4)]


def test_a_failed_job_is_raised_after_the_other_lane(monkeypatch):
    monkeypatch.setattr(common, "cores", lambda: [0, 1])
    done = []

    def work(job, core):
        if job == 0:
            raise ValueError("the first")
        done.append(job)

    with pytest.raises(ValueError, match="the first"):
        common.side_by_side(range(4), work)
    assert done == [1, 3]


@pytest.mark.slow
def test_a_process_is_pinned_and_its_output_kept():
    core = common.cores()[0]
    done = common.meta_gan(["info", "--model", "no-such-model"], core)
    assert done.returncode == 2 and "no-such-model" in done.stderr


def test_all_programs_are_listed(tmp_path):
    done = subprocess.run([sys.executable, str(ROOT / "benchmarks")], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.split("one of:")[1].split() == programs()
    assert {"quickstart", "flagship", "flagship.ablations", "speed.serving_load"} <= set(programs())
    assert "flagship.evaluation" not in programs() and "common" not in programs()
    done = subprocess.run([sys.executable, str(ROOT / "benchmarks"), "nothing"], capture_output=True, text=True)
    assert done.returncode == 2


@pytest.mark.parametrize("name", [*FIRST, *weekly(*[name for name in programs() if name not in FIRST])])
def test_a_program_can_be_run_from_any_folder(name, tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks"), name, "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith(f"usage: benchmarks.{name} "), done.stderr[-500:]
