"""The main job as `make quickstart` runs it: its measure by hand, and (slow) the whole of it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quickstart import distances, nearest
from meta_gan.tasks import from_arrays

ROOT = Path(__file__).resolve().parents[1]


def test_nearest_by_hand():
    """Distances 3 and 4 from the first sample, 0 from the second: (3 + 0) / 2."""
    samples = np.zeros((2, 1, 2, 1))
    samples[1, 0, 1] = 4.0
    query = np.zeros((2, 1, 2, 1))
    query[0, 0, 0], query[1, 0, 1] = 3.0, 4.0
    assert nearest(samples, query) == pytest.approx(1.5)


class Echo:
    """A model whose samples are the support set's mean after any step, and black before."""

    def adapt(self, support, steps, seed):
        self.image = support.mean(0) if steps else -np.ones_like(support[0])
        return self

    def sample(self, count, seed):
        return np.repeat(self.image[None], count, axis=0)


def test_distances_compare_steps_with_none_and_with_an_empty_image():
    """Classes of one grey level each: the mean of the support set is every query image."""
    levels = np.arange(20, 220, 10, dtype=np.uint8)
    images = np.repeat(levels, 12)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    tasks = from_arrays(images, np.repeat(np.arange(20), 12), class_split=np.full(20, 2, np.int8))
    result = distances(Echo(), tasks)
    assert result["after_50"] == pytest.approx(0.0, abs=1e-6)
    assert result["after_0"] == pytest.approx(result["empty_image"])
    assert result["after_0"] == pytest.approx(np.mean(levels / 127.5) * 4.0, rel=1e-5)


@pytest.mark.slow
def test_the_whole_road(tmp_path):
    """Minutes: meta-training, adaptation to unseen code points, files, and a fresh process that serves."""
    out = tmp_path / "quickstart"
    program = [sys.executable, "-m", "benchmarks.quickstart", "--out", str(out)]
    subprocess.run(program, check=True, cwd=ROOT)
    result = json.loads((out / "result.json").read_text())
    assert result["ratio_50_to_0"] <= 0.9
    assert result["after_50"] < result["empty_image"]
    assert result["served_difference"] <= 1e-5
    for name in ("quickstart.png", "adapted/generator.keras", "adapted/saved_model/1/saved_model.pb"):
        assert (out / name).is_file()
