"""The quickstart: its scores by hand, its picture, and (slow) a whole run."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from benchmarks.quickstart import picture, scores
from meta_gan.judges import Judge
from meta_gan.tasks import from_arrays
from meta_gan.tasks.pictures import grid

ROOT = Path(__file__).resolve().parents[2]


class Echo:
    """A model whose samples are its support images in turn, `moved` levels (of 255) brighter."""

    def __init__(self, moved=0):
        self.moved = moved

    def adapt(self, support, seed):
        self.support = support
        return self

    def sample(self, count, seed):
        repeats = -(-count // len(self.support))
        return np.concatenate([self.support] * repeats)[:count] + np.float32(2.0 * self.moved / 255.0)


@pytest.fixture(scope="module")
def grey():
    """Twenty classes of twelve even images each, of levels that lie 10 apart."""
    levels = np.arange(20, 220, 10, dtype=np.uint8)
    images = np.repeat(levels, 12)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)
    return from_arrays(images, np.repeat(np.arange(20), 12), class_split=np.full(20, 2, np.int8))


@pytest.fixture(scope="module")
def judge():
    """A judge whose one feature is the mean level."""
    network = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.GlobalAveragePooling2D()])
    return Judge(network, "mean level")


@pytest.mark.parametrize(("moved", "share"), [(0, 1.0), (4, 1.0), (6, 0.05)])
def test_samples_within_half_a_step_of_their_class_are_recognised(grey, judge, moved, share):
    """Of samples 6 levels brighter, every class's are taken for the next one's, but for the brightest class."""
    result = scores(Echo(moved), grey, judge)
    assert result["recognised"] == pytest.approx(share)
    assert result["recognised_real"] == 1.0


def test_closeness_of_copies_is_zero_and_of_other_real_images_one(judge):
    """Classes of two levels in turn: as far from the support as a query is, is 1."""
    draw = np.random.default_rng(0)
    images = np.repeat(np.arange(20) * 10, 12)[:, None, None, None] + draw.integers(0, 12, (240, 1, 1, 1))
    images = (images * np.ones((1, 8, 8, 1))).astype(np.uint8)
    tasks = from_arrays(images, np.repeat(np.arange(20), 12), class_split=np.full(20, 2, np.int8))
    assert scores(Echo(), tasks, judge)["closeness"] == pytest.approx(0.0, abs=1e-6)
    assert scores(Echo(30), tasks, judge)["closeness"] > 1.0


def test_the_picture_has_the_support_a_gap_and_ten_samples_in_a_row(grey):
    supports = grey.episode_batch("test", 0, 3).support.numpy()
    expected = [np.concatenate([support, np.zeros((1, 8, 8, 1), np.float32), support, support]) for support in supports]
    np.testing.assert_array_equal(picture(Echo(), supports), grid(expected))


@pytest.mark.slow
def test_the_whole_workflow(tmp_path):
    """Minutes: meta-training, adaptation to unseen code points, files, and a fresh process that serves."""
    out = tmp_path / "quickstart"
    program = [sys.executable, "-m", "benchmarks.quickstart", "--out", str(out)]
    subprocess.run(program, check=True, cwd=ROOT)
    result = json.loads((out / "result.json").read_text())
    assert 0.6 <= result["recognised"] <= result["recognised_real"] + 0.05
    assert result["closeness"] > 0.5
    assert result["served_difference"] <= 1e-5
    for name in ("quickstart.png", "adapted/generator.keras", "adapted/saved_model/1/saved_model.pb"):
        assert (out / name).is_file()
