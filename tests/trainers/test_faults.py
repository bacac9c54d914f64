"""Every fault point of a run: killed there, or out of disk, it resumes to the same bytes and leaves nothing behind."""

import json
import os
import subprocess
import sys
import tempfile

import pytest

from benchmarks.__main__ import ROOT
from tests.toys import weekly

FEWEST = {
    *("checkpoint.begun", "checkpoint.written", "checkpoint.verified", "checkpoint.renamed", "checkpoint.pruned"),
    *("manifest.written", "manifest.renamed", "pointer.written", "pointer.renamed", "model.made", "model.written"),
    *("model.synced", "model.renamed", "config.written", "config.renamed", "metrics.written", "metrics.renamed"),
    *("metrics.line", "picture.written", "picture.renamed", "served.made", "served.written", "served.synced"),
    "served.renamed",
}


@pytest.fixture(scope="module", params=[[], *weekly(["every"])], ids=lambda words: " ".join(words) or "half")
def found(request, tmp_path_factory):
    # In memory, where there is such a place: thousands of files are synced.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path_factory.mktemp("faults")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        command = [sys.executable, "-m", "tests.trainers.faults", folder, *request.param]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_a_run_passes_every_fault_point(found):
    assert found["points"].keys() >= FEWEST


def test_every_fault_happened(found):
    kinds = {row["fault"].endswith("=ENOSPC") for row in found["rows"]}
    assert kinds == {True, False} and len(found["rows"]) >= len(found["points"])
    for row in found["rows"]:
        full = row["fault"].endswith("=ENOSPC")
        assert row["ended"] == (99 if full else -9), row
        assert row["said"] == full, row


def test_after_every_fault_the_run_resumes_to_the_same_bytes(found):
    assert [row for row in found["rows"] if row["resumed"] != 0 or not row["same"]] == []


def test_nothing_is_left_behind(found):
    assert [row for row in found["rows"] if row["left"]] == []
