"""The benchmark of advice: its data, what counts as agreement, and one small measurement."""

import numpy as np
import pytest

from benchmarks.augmenting import advice
from meta_gan.metrics import Interval
from meta_gan.protocol.classification import ClassifierRecipe
from meta_gan.protocol.recommendation import ROWS


def archive():
    """Twelve signs with four tracks of ten photographs; a photograph shows its sign and its track as levels."""
    labels = np.repeat(np.arange(12), 40)
    track = np.arange(480) // 10
    images = np.zeros((480, 64, 64, 3), np.uint8)
    images[:, :, :, 0], images[:, :, :, 1] = labels[:, None, None] * 20, track[:, None, None] * 5
    return {"images": images, "labels": labels, "track": track}


def test_held_out_photographs_are_of_other_tracks():
    images, labels, test, test_labels = advice.signs(archive(), seed=3)
    assert images.shape == (80, 32, 32, 3) and images.dtype == np.uint8 and test.shape[1:] == (32, 32, 3)
    assert np.unique(labels, return_counts=True)[1].tolist() == [8] * 10
    assert set(labels) == set(test_labels)
    np.testing.assert_array_equal(images[:, 0, 0, 0], labels * 20)
    assert not set(images[:, 0, 0, 1]) & set(test[:, 0, 0, 1])
    assert np.array_equal(advice.signs(archive(), seed=3)[0], images)
    assert not np.array_equal(advice.signs(archive(), seed=4)[1], labels)


def test_digits_are_tested_on_test_images(monkeypatch):
    monkeypatch.setattr(advice, "HELD_OUT", 3)
    known = np.full((600, 28, 28), 1, np.uint8), np.arange(600) % 10
    other = np.full((100, 28, 28), 2, np.uint8), np.arange(100) % 10
    given = {"x_train": known[0], "y_train": known[1], "x_test": other[0], "y_test": other[1]}
    images, labels, test, _ = advice.digits(given, 0)
    assert images.shape == (500, 28, 28, 1) and (images == 1).all() and np.bincount(labels).tolist() == [50] * 10
    assert test.shape == (30, 28, 28, 1) and (test == 2).all()


def scores(**right):
    return {row: (np.arange(20) < right.get(row, 0)).astype(float) for row in ("nothing", "shift", "affine")}


@pytest.mark.parametrize(
    ("method", "right", "agrees", "within"),
    [
        ("shift", {"shift": 12, "affine": 12}, True, True),
        ("shift", {"nothing": 2, "shift": 3, "affine": 18}, True, False),  # a gain, far below the best
        ("shift", {"nothing": 3, "shift": 2}, False, True),  # a loss within noise
        ("shift", {"nothing": 18, "shift": 2}, False, False),
        (None, {"nothing": 5, "shift": 6}, True, True),  # nothing measurable
        (None, {"nothing": 2, "shift": 18}, False, False),
    ],
)
def test_agreement(method, right, agrees, within):
    found = advice.agreement(method, scores(**right))
    assert (found["agrees"], found["within_noise"]) == (agrees, within)


class Fake:
    """An augmenter whose pictures are as dark or light as their class, 0 or 1."""

    recommendation_ = None

    def sample(self, label, count, row):
        return np.full((count, 8, 8, 1), 255 * int(label), np.uint8)


def test_every_row_is_measured_on_the_held_out_pictures(monkeypatch):
    monkeypatch.setattr(advice, "ClassifierRecipe", lambda: ClassifierRecipe(steps=30, width=2))
    test = np.repeat(np.array([20, 230], np.uint8), 4)[:, None, None, None] * np.ones((8, 8, 1), np.uint8)
    data = (test[[0, 7]], np.array([0, 1]), test, np.repeat([0, 1], 4))
    done = []
    found = advice.held_out(Fake(), data, 3, done.append, seeds=1)
    assert list(found) == done == list(ROWS)
    assert all(values.shape == (8,) for values in found.values()) and found["generated"].mean() == 1


def test_the_summary_counts_the_folders_on_which_the_advice_holds():
    entry = Interval(0.5, 0.25, 0.75).as_dict()
    shared = {"gain": entry, "best": "shift", "best_gain": entry, "seconds": 12.3}
    results = {
        "a": {"method": "shift", "agrees": True, "within_noise": False, **shared},
        "b": {"method": None, "agrees": False, "within_noise": False, **shared},
    }
    text = advice.summary(results)
    assert "| a | shift | 0.500 (0.250 to 0.750) | shift +0.500 | yes | no | 12 |" in text
    assert "| b | nothing |" in text and text.endswith("The advice holds on 1 of 2 folders.\n")
