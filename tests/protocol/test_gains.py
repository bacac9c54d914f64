"""The classification gain: what is trained on what, what is kept on disk, and what is resumed."""

import json

import numpy as np
import pytest

from meta_gan.protocol import gains as gains_module
from meta_gan.protocol.classification import class_draws
from meta_gan.protocol.gains import Log, gains

CLASSES, SHAPE = 6, (8, 8, 1)


def images_of(value, count):
    return [np.full((count, *SHAPE), value + index, np.uint8) for index in range(CLASSES)]


@pytest.fixture
def calls(monkeypatch):
    """Records every training; the accuracy is a hundredth of the number of images of class 0."""
    seen = []

    def accuracy(recipe, images, labels, asked, wanted, ways, seed):
        seen.append((images[:, 0, 0, 0], labels, asked[:, 0, 0, 0], wanted, ways, seed))
        return float((labels == 0).sum()) / 100 + seed / 1000

    monkeypatch.setattr(gains_module, "accuracy", accuracy)
    return seen


def measure(path, added, draws=2, seeds=3, ways=4, report=lambda done, total: None):
    return gains(images_of(0, 5), images_of(100, 8), added, draws, seeds, ways, Log(path), report)


def test_gains_are_counted_from_the_support_alone(tmp_path, calls):
    found = measure(tmp_path / "log", {"more": images_of(50, 10), "fewer": images_of(60, 2)})
    assert found["none"]["classification_accuracy"]["mean"] == pytest.approx(0.051)
    assert found["none"]["classification_gain"] is None
    assert found["more"]["classification_gain"]["mean"] == pytest.approx(0.10)
    assert found["fewer"]["classification_accuracy"]["mean"] == pytest.approx(0.071)
    assert len(calls) == 3 * 2 * 3


def test_every_row_sees_the_same_groups_and_seeds(tmp_path, calls):
    measure(tmp_path / "log", {"more": images_of(50, 10)})
    groups = class_draws(CLASSES, 4, 2, gains_module.DRAW_SEED)
    for row, number in enumerate((5, 15)):
        for draw, group in enumerate(groups):
            for seed in range(3):
                images, labels, asked, wanted, ways, used = calls[row * 6 + draw * 3 + seed]
                np.testing.assert_array_equal(labels, np.repeat(np.arange(4), number))
                np.testing.assert_array_equal(asked, np.repeat(100 + group, 8))
                np.testing.assert_array_equal(wanted, np.repeat(np.arange(4), 8))
                np.testing.assert_array_equal(images[labels == 2][:5], [group[2]] * 5)
                assert (ways, used) == (4, seed)
                assert number == 5 or images[labels == 2][5] == 50 + group[2]


def test_a_row_that_takes_no_part_is_null(tmp_path, calls):
    found = measure(tmp_path / "log", {"absent": None})
    assert found["absent"] is None and len(calls) == 6


def test_few_classes_are_all_ways(tmp_path, calls):
    measure(tmp_path / "log", {}, ways=20)
    assert calls[0][4] == CLASSES


def test_progress_counts_the_classifiers(tmp_path, calls):
    seen = []
    measure(tmp_path / "log", {"more": images_of(50, 1)}, report=lambda *pair: seen.append(pair))
    assert seen == [(n, 12) for n in range(1, 13)]


def test_what_is_on_disk_is_not_trained_again(tmp_path, calls):
    first = measure(tmp_path / "log", {"more": images_of(50, 10)})
    again = measure(tmp_path / "log", {"more": images_of(50, 10)})
    assert again == first and len(calls) == 12


def test_a_line_that_was_cut_off_is_trained_again(tmp_path, calls):
    path = tmp_path / "log"
    first = measure(path, {"more": images_of(50, 10)})
    text = path.read_text()
    path.write_text(text[:-20])
    assert measure(path, {"more": images_of(50, 10)}) == first and len(calls) == 13
    lines = path.read_text().splitlines()
    assert json.loads(lines[-1]) == json.loads(text.splitlines()[-1])
    assert measure(path, {"more": images_of(50, 10)}) == first and len(calls) == 13


def test_a_classifier_learns_from_what_is_added(tmp_path):
    """Noisy patterns: ten more real images a class teach more than noise does."""
    draw = np.random.default_rng(0)
    patterns = draw.choice([60, 195], (4, 1, *SHAPE))

    def drawn(count, amount=90):
        return list(np.clip(patterns + draw.normal(0, amount, (4, count, *SHAPE)), 0, 255).astype(np.uint8))

    noise = [draw.integers(0, 256, (20, *SHAPE)).astype(np.uint8) for _ in range(4)]
    added = {"real": drawn(20), "noise": noise}
    found = gains(drawn(1), drawn(20), added, 1, 2, 4, Log(tmp_path / "log"), lambda done, total: None)
    assert found["real"]["classification_gain"]["mean"] > 0.05
    assert found["real"]["classification_accuracy"]["mean"] > found["noise"]["classification_accuracy"]["mean"]
