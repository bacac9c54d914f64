"""The classifier of the classification gain, the gains, and their log."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.protocol.baselines import Shift
from meta_gan.protocol.classification import (
    GROUP_SEED,
    AccuracyLog,
    ClassifierRecipe,
    class_draws,
    classification_gains,
    classifier_accuracy,
    initial_weights,
    logits,
    make_trainer,
)
from meta_gan.protocol.settings import Settings
from meta_gan.tasks import from_npz

QUICK = ClassifierRecipe(steps=60, batch=16, rate=0.01, width=8)


def by_class(images, labels, ways=4):
    """The images of each class."""
    return [images[np.asarray(labels) == way] for way in range(ways)]


def accuracy(recipe, images, labels, test_images, test_labels, ways, seed):
    return classifier_accuracy(recipe, by_class(images, labels, ways), by_class(test_images, test_labels, ways), seed)


def squares(count, seed, ways=4, noise=0.3, shape=(9, 10, 1)):
    """Noisy images with a light square in the corner of their class: `(float32[n, *shape], int[n])`."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % ways
    images = draw.normal(-0.5, noise, (count, *shape))
    for image, label in zip(images, labels, strict=True):
        row, column = 5 * (label // 2), 5 * (label % 2)
        image[row : row + 4, column : column + 4] += 1.0
    return np.clip(images, -1, 1).astype(np.float32), labels


def test_separable_classes_are_learned():
    assert accuracy(QUICK, *squares(40, 0), *squares(100, 1), ways=4, seed=0) == 1.0


def test_random_labels_stay_at_chance():
    """400 tests with a chance of 1/4: a standard deviation of .022."""
    draw = np.random.default_rng(0)
    images, labels = draw.uniform(-1, 1, (440, 9, 10, 1)), draw.integers(0, 4, 440)
    score = accuracy(QUICK, images[:40], labels[:40], images[40:], labels[40:], ways=4, seed=0)
    assert abs(score - 0.25) < 0.08


def test_classes_without_training_images_are_never_predicted():
    """Trained on classes 0 and 1 of 4, balanced tests: at most half can be right, and half are."""
    images, labels = squares(80, 0)
    known = labels < 2
    assert accuracy(QUICK, images[known], labels[known], *squares(100, 1), ways=4, seed=0) == 0.5


def test_accuracy_is_the_share_that_is_right():
    """Tests of which three in four have the wrong label; and test images in several parts give the same share."""
    images, labels = squares(600, 1)
    wrong = np.where(np.arange(600) % 4 == 0, labels, (labels + 1) % 4)
    assert accuracy(QUICK, *squares(40, 0), images, wrong, ways=4, seed=0) == 0.25
    assert accuracy(QUICK, *squares(40, 0), images[:1], labels[:1], ways=4, seed=0) == 1.0


def test_the_accuracy_is_a_function_of_the_seed():
    train, test = squares(12, 0, noise=0.9), squares(400, 1, noise=0.9)
    scores = [accuracy(QUICK, *train, *test, ways=4, seed=seed) for seed in (0, 0, 1, -5)]
    assert scores[0] == scores[1] and len(set(scores)) == 3
    assert all(type(score) is float and round(score * 400, 6) % 1 == 0 for score in scores)


def test_uint8_and_floats_give_the_same_accuracy():
    (train, labels), (test, wanted) = squares(20, 0, noise=0.9), squares(200, 1, noise=0.9)
    levels = [np.rint((images + 1) * 127.5).astype(np.uint8) for images in (train, test)]
    floats = [(images / 127.5 - 1).astype(np.float32) for images in levels]
    first, second = (accuracy(QUICK, a, labels, b, wanted, ways=4, seed=3) for a, b in (levels, floats))
    assert first == second < 1.0


def test_one_trace_serves_all_numbers_of_images_and_seeds():
    recipe = ClassifierRecipe(steps=2, batch=3, width=1)
    for count, tests, seed in ((4, 4, 0), (9, 5, 1), (50, 300, -2), (1, 1, 2**31 - 1)):
        accuracy(recipe, *squares(count, 0), *squares(tests, 1), ways=4, seed=seed)
    function = make_trainer(ClassifierRecipe(steps=2, batch=3, width=1), (9, 10, 1), 4)
    assert function.experimental_get_tracing_count() == 1
    assert function is not make_trainer(recipe, (9, 10, 1), 5)


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 13, 2), (16, 8, 3), (33, 8, 4)])
def test_images_of_several_shapes(shape):
    """Classes by brightness; the last layer is fed by all the network's cells or channels."""
    draw = np.random.default_rng(0)
    labels = np.arange(20) % 2
    images = draw.uniform(-0.2, 0.2, (20, *shape)) + np.where(labels, 0.7, -0.7)[:, None, None, None]
    assert accuracy(QUICK, images, labels, images, labels, ways=2, seed=0) == 1.0
    assert logits(initial_weights(shape, 2, 4, tf.constant([0, 1])), tf.cast(images, tf.float32)).shape == (20, 2)


def test_the_initial_weights():
    """Zero biases; kernels of variance 2 over the inputs of a cell, of a convolution, and 1 over them, of the last."""
    weights = initial_weights((28, 28, 1), 20, 32, tf.constant([0, 1]))
    shapes = [(3, 3, 1, 32), (3, 3, 32, 64), (3, 3, 64, 128), (4 * 4 * 128, 20)]
    assert [tuple(w.shape) for w in weights[::2]] == shapes
    assert not any(np.any(bias) for bias in weights[1::2])
    for kernel, gain in zip(weights[::2], (2, 2, 2, 1), strict=True):
        inputs = math.prod(kernel.shape[:-1])
        np.testing.assert_allclose(np.var(kernel) * inputs, gain, rtol=0.25)
    other = initial_weights((28, 28, 1), 20, 32, tf.constant([1, 1]))
    assert all(np.all(a != b) for a, b in zip(weights[::2], other[::2], strict=True))
    assert abs(np.corrcoef(np.ravel(weights[2])[:288], np.ravel(weights[0]))[0, 1]) < 0.3, "no kernel repeats another"


def test_the_network_by_hand():
    """With kernels that pass their centre on, the largest level of each 8 x 8 cell, and of the rest of the last row."""
    image = np.random.default_rng(0).uniform(0, 1, (1, 19, 8, 1)).astype(np.float32)
    delta = np.zeros((3, 3, 1, 1), np.float32)
    delta[1, 1] = 1.0
    zero = np.zeros(1, np.float32)
    weights = [delta, zero, delta, zero - 0.5, delta, zero, np.eye(3, dtype=np.float32), np.zeros(3, np.float32)]
    tensors = [tf.constant(w) for w in weights]
    largest = [image[0, rows].max() for rows in (slice(0, 8), slice(8, 16), slice(16, 19))]
    np.testing.assert_allclose(logits(tensors, image), [np.maximum(np.array(largest) - 0.5, 0)], atol=1e-6)
    assert not np.any(logits(tensors, 0.4 * image)), "what is below zero is cut off"


def test_the_steps_are_those_of_adam_along_half_a_cosine():
    """Of a single image every minibatch is known; three steps by hand, by autodiff and Adam's paper."""
    (image,), _ = squares(1, 0, shape=(8, 8, 1))
    recipe, draw = ClassifierRecipe(steps=3, batch=2, width=2, rate=0.02), np.random.default_rng(0)
    tests = draw.uniform(-1, 1, (300, 8, 8, 1)).astype(np.float32)
    key = tf.random.experimental.stateless_fold_in(tf.constant([4, 0x6D67]), 0)
    weights = initial_weights((8, 8, 1), 3, 2, key)
    first, second = ([np.zeros(w.shape) for w in weights] for _ in range(2))
    for t, pace in ((1, 1.0), (2, 0.75), (3, 0.25)):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = -tf.nn.log_softmax(logits(weights, image[None]))[0, 1]
        gradients = tape.gradient(loss, weights)
        first = [0.9 * m + 0.1 * g.numpy() for m, g in zip(first, gradients, strict=True)]
        second = [0.999 * v + 0.001 * g.numpy() ** 2 for v, g in zip(second, gradients, strict=True)]
        moves = [m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-7) for m, v in zip(first, second, strict=True)]
        weights = [w - tf.cast(0.02 * pace * move, tf.float32) for w, move in zip(weights, moves, strict=True)]
    predicted = np.argmax(logits(weights, tests), axis=-1)
    assert len(set(predicted.tolist())) > 1, "a test that all would pass"
    assert accuracy(recipe, image[None], [1], tests, predicted, ways=3, seed=4) > 0.99


def test_draws_have_different_classes_and_do_not_depend_on_their_count():
    draws = class_draws(30, 20, 40, seed=3)
    assert draws.shape == (40, 20) and draws.dtype == np.int64
    assert all(len(set(draw)) == 20 for draw in draws.tolist())
    np.testing.assert_array_equal(np.unique(draws), np.arange(30))
    np.testing.assert_array_equal(class_draws(30, 20, 7, seed=3), draws[:7])
    assert np.any(class_draws(30, 20, 40, seed=-4) != draws)
    np.testing.assert_array_equal(np.sort(class_draws(5, 5, 1, seed=0)), [[0, 1, 2, 3, 4]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((19, 20, 1, 0), "'classes' must be at least 'ways', 20. Received: 19"),
        ((5, 0, 1, 0), "ways. must be"),
        ((5, 2, 0, 0), "count. must be"),
        ((5, 2, 1, 0.5), "seed. must be"),
        ((5.0, 2, 1, 0), "classes. must be"),
    ],
)
def test_bad_draws_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        class_draws(*arguments)


GOOD = {"train": by_class(*squares(8, 0)), "test": by_class(*squares(8, 1))}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": [np.zeros((2, 7, 9, 1), np.uint8)] * 4}, "'train' must have images .* at least 8"),
        ({"train": [np.zeros((2, 9, 9, 5), np.uint8)] * 4}, "'train' must have images .* most 4 channels"),
        ({"train": [np.zeros((2, 9, 9), np.uint8)] * 4}, "'train' must have images"),
        ({"train": [images * 9 for images in GOOD["train"]]}, "train. must lie in"),
        ({"test": [np.zeros((2, 9, 9, 1), np.uint8)] * 4}, r"test. must have shape \[n, 9, 10, 1\]"),
        ({"test": [images[:0] for images in GOOD["test"]]}, "with n >= 1"),
        ({"test": [images * np.nan for images in GOOD["test"]]}, "test. must be finite"),
        ({"test": GOOD["test"][:3]}, "must have the same classes, 2 or more. Received: 4, 3"),
        ({"train": GOOD["train"][:1], "test": GOOD["test"][:1]}, "must have the same classes, 2 or more"),
        ({"seed": 2**31}, "seed. must be"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        classifier_accuracy(QUICK, **{**GOOD, "seed": 0, **change})


@pytest.mark.parametrize("change", [{"steps": 0}, {"batch": 0}, {"width": 1.5}, {"rate": 0.0}, {"rate": math.inf}])
def test_bad_recipes_are_refused(change):
    with pytest.raises(ValueError, match=rf"{next(iter(change))}. must be .* Received"):
        ClassifierRecipe(**change)


@pytest.mark.data
@pytest.mark.slow
def test_more_drawings_help_on_unseen_characters(data_folder):
    """20 ways, 5 drawings: two in three are right; 7 more drawings or jittered copies gain several points."""
    source = from_npz(data_folder / "omniglot28.npz").source
    scores = {"none": [], "more": [], "shift": []}
    classes = source.split_classes("test")
    for index, draw in enumerate(class_draws(len(classes), 20, 3, seed=0)):
        drawings = np.stack([source.images[source.labels == classes[i]] for i in draw])
        shifted = np.stack([Shift().adapt(own[:5]).sample(100, seed=i) for i, own in enumerate(drawings)])
        five = (drawings[:, :5] / 127.5 - 1).astype(np.float32)
        sets = {"none": drawings[:, :5], "more": drawings[:, :12], "shift": np.concatenate([five, shifted], axis=1)}
        for row, images in sets.items():
            scores[row].append(classifier_accuracy(ClassifierRecipe(), images, drawings[:, 12:], index))
    none, more, shift = (np.mean(scores[row]) for row in ("none", "more", "shift"))
    assert none > 0.65 and more > none + 0.05 and shift > none + 0.05


CLASSES, SHAPE = 6, (8, 8, 1)


def images_of(value, count):
    return [np.full((count, *SHAPE), value + index, np.uint8) for index in range(CLASSES)]


@pytest.fixture
def calls(monkeypatch):
    """Records every training; the accuracy is a hundredth of the number of training images of class 0."""
    seen = []

    def record(recipe, train, test, seed):
        seen.append(([[*images[:, 0, 0, 0]] for images in train], [[*images[:, 0, 0, 0]] for images in test], seed))
        return len(train[0]) / 100 + seed / 1000

    monkeypatch.setattr("meta_gan.protocol.classification.classifier_accuracy", record)
    return seen


def measure(path, added, ways=4, progress=lambda done, total: None):
    settings = Settings(classification_draws=2, classification_seeds=3, ways=ways)
    return classification_gains(images_of(0, 5), images_of(100, 8), added, settings, AccuracyLog(path), progress)


def test_gains_are_relative_to_the_support_alone(tmp_path, calls):
    found = measure(tmp_path / "log", {"more": images_of(50, 10), "fewer": images_of(60, 2)})
    assert found["none"]["classification_accuracy"]["mean"] == pytest.approx(0.051)
    assert found["none"]["classification_gain"] is None
    assert found["more"]["classification_gain"]["mean"] == pytest.approx(0.10)
    assert found["fewer"]["classification_accuracy"]["mean"] == pytest.approx(0.071)
    assert len(calls) == 3 * 2 * 3


def test_all_rows_have_the_same_groups_and_seeds(tmp_path, calls):
    measure(tmp_path / "log", {"more": images_of(50, 10)})
    groups = class_draws(CLASSES, 4, 2, GROUP_SEED)
    for row, number in enumerate((5, 15)):
        for draw, group in enumerate(groups):
            for seed in range(3):
                train, test, used = calls[row * 6 + draw * 3 + seed]
                assert test == [[100 + way] * 8 for way in group] and used == seed
                assert train == [[way] * 5 + [50 + way] * (number - 5) for way in group]


def test_a_row_without_images_has_no_gain(tmp_path, calls):
    found = measure(tmp_path / "log", {"absent": None})
    assert found["absent"] is None and len(calls) == 6


def test_a_group_has_all_classes_if_there_are_few(tmp_path, calls):
    measure(tmp_path / "log", {}, ways=20)
    assert len(calls[0][0]) == CLASSES


def test_progress_counts_the_classifiers(tmp_path, calls):
    seen = []
    measure(tmp_path / "log", {"more": images_of(50, 1)}, progress=lambda *pair: seen.append(pair))
    assert seen == [(n, 12) for n in range(1, 13)]


def test_logged_accuracies_are_not_measured_again(tmp_path, calls):
    first = measure(tmp_path / "log", {"more": images_of(50, 10)})
    again = measure(tmp_path / "log", {"more": images_of(50, 10)})
    assert again == first and len(calls) == 12


def test_an_incomplete_line_is_measured_again(tmp_path, calls):
    path = tmp_path / "log"
    first = measure(path, {"more": images_of(50, 10)})
    text = path.read_text()
    path.write_text(text[:-20])
    assert measure(path, {"more": images_of(50, 10)}) == first and len(calls) == 13
    lines = path.read_text().splitlines()
    assert json.loads(lines[-1]) == json.loads(text.splitlines()[-1])
    assert measure(path, {"more": images_of(50, 10)}) == first and len(calls) == 13


def test_a_classifier_learns_from_added_images(tmp_path):
    """More real images of each class raise the accuracy more than noise does."""
    draw = np.random.default_rng(0)
    patterns = draw.choice([60, 195], (4, 1, *SHAPE))

    def drawn(count, amount=90):
        return list(np.clip(patterns + draw.normal(0, amount, (4, count, *SHAPE)), 0, 255).astype(np.uint8))

    noise = [draw.integers(0, 256, (20, *SHAPE)).astype(np.uint8) for _ in range(4)]
    added = {"real": drawn(20), "noise": noise}
    settings = Settings(classification_draws=1, classification_seeds=2, ways=4)
    log = AccuracyLog(tmp_path / "log")
    found = classification_gains(drawn(1), drawn(20), added, settings, log, lambda done, total: None)
    assert found["real"]["classification_gain"]["mean"] > 0.05
    assert found["real"]["classification_accuracy"]["mean"] > found["noise"]["classification_accuracy"]["mean"]
