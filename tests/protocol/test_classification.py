"""The classifier of the classification gain: what it learns, what it does not, seeds, traces, refusals."""

import math

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.protocol.baselines import Shift
from meta_gan.protocol.classification import (
    ClassifierRecipe,
    accuracy,
    class_draws,
    initial_weights,
    logits,
    trainer,
)
from meta_gan.tasks import from_npz

QUICK = ClassifierRecipe(steps=60, batch=16, rate=0.01, width=8)


def squares(count, seed, ways=4, noise=0.3, shape=(9, 10, 1)):
    """Noisy images with a light square in the corner of their class: `(float32[n, *shape], int[n])`."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % ways
    images = draw.normal(-0.5, noise, (count, *shape))
    for image, label in zip(images, labels, strict=True):
        row, column = 5 * (label // 2), 5 * (label % 2)
        image[row : row + 4, column : column + 4] += 1.0
    return np.clip(images, -1, 1).astype(np.float32), labels


def test_what_can_be_told_apart_is():
    assert accuracy(QUICK, *squares(40, 0), *squares(100, 1), ways=4, seed=0) == 1.0


def test_random_labels_stay_at_chance():
    """400 tests with a chance of 1/4: a standard deviation of .022."""
    draw = np.random.default_rng(0)
    images, labels = draw.uniform(-1, 1, (440, 9, 10, 1)), draw.integers(0, 4, 440)
    score = accuracy(QUICK, images[:40], labels[:40], images[40:], labels[40:], ways=4, seed=0)
    assert abs(score - 0.25) < 0.08


def test_untaught_classes_are_never_right():
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


def test_the_same_seed_gives_the_same_number_and_another_another():
    train, test = squares(12, 0, noise=0.9), squares(400, 1, noise=0.9)
    scores = [accuracy(QUICK, *train, *test, ways=4, seed=seed) for seed in (0, 0, 1, -5)]
    assert scores[0] == scores[1] and len(set(scores)) == 3
    assert all(type(score) is float and round(score * 400, 6) % 1 == 0 for score in scores)


def test_levels_and_floats_give_the_same_number():
    (train, labels), (test, wanted) = squares(20, 0, noise=0.9), squares(200, 1, noise=0.9)
    levels = [np.rint((images + 1) * 127.5).astype(np.uint8) for images in (train, test)]
    floats = [(images / 127.5 - 1).astype(np.float32) for images in levels]
    first, second = (accuracy(QUICK, a, labels, b, wanted, ways=4, seed=3) for a, b in (levels, floats))
    assert first == second < 1.0


def test_one_trace_serves_any_counts_and_seeds():
    recipe = ClassifierRecipe(steps=2, batch=3, width=1)
    for count, tests, seed in ((4, 4, 0), (9, 5, 1), (50, 300, -2), (1, 1, 2**31 - 1)):
        accuracy(recipe, *squares(count, 0), *squares(tests, 1), ways=4, seed=seed)
    function = trainer(ClassifierRecipe(steps=2, batch=3, width=1), (9, 10, 1), 4)
    assert function.experimental_get_tracing_count() == 1
    assert function is not trainer(recipe, (9, 10, 1), 5)


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 13, 2), (16, 8, 3), (33, 8, 4)])
def test_images_of_any_shape(shape):
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
        ((19, 20, 1, 0), "`classes` must be at least `ways`, 20. Received: 19"),
        ((5, 0, 1, 0), "'ways' must be an integer"),
        ((5, 2, 0, 0), "'count' must be an integer"),
        ((5, 2, 1, 0.5), "'seed' must be an integer"),
        ((5.0, 2, 1, 0), "'classes' must be an integer"),
    ],
)
def test_bad_draws_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        class_draws(*arguments)


GOOD = {
    **dict(zip(("train_images", "train_labels"), squares(8, 0), strict=True)),
    **dict(zip(("test_images", "test_labels"), squares(8, 1), strict=True)),
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": np.zeros((8, 7, 9, 1), np.uint8)}, "`train_images` must have shape .* at least 8"),
        ({"train_images": np.zeros((8, 9, 9, 5), np.uint8)}, "`train_images` must have shape .* most 4 channels"),
        ({"train_images": np.zeros((8, 9, 9), np.uint8)}, "`train_images` must have shape"),
        ({"train_images": GOOD["train_images"] * 9}, "`train_images` must lie in"),
        ({"test_images": np.zeros((8, 9, 9, 1), np.uint8)}, r"`test_images` must have shape \[n, 9, 10, 1\]"),
        ({"test_images": GOOD["test_images"][:0], "test_labels": []}, "with n >= 1"),
        ({"test_images": GOOD["test_images"] * np.nan}, "`test_images` must be finite"),
        ({"train_labels": np.arange(7) % 4}, "`train_labels` must be 8 integers"),
        ({"train_labels": np.arange(8)}, r"`train_labels` must be 8 integers in 0\.\.3.* Received: .* from 0 to 7"),
        ({"test_labels": np.arange(8) - 1}, r"`test_labels` must be 8 integers in 0\.\.3.* Received: .* from -1 to 6"),
        ({"test_labels": np.zeros(8)}, "`test_labels` must be 8 integers"),
        ({"test_labels": ["a"] * 8}, "`test_labels` must be 8 integers"),
        ({"ways": 1}, "'ways' must be an integer"),
        ({"seed": 2**31}, "'seed' must be an integer"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        accuracy(QUICK, **{**GOOD, "ways": 4, "seed": 0, **change})


@pytest.mark.parametrize("change", [{"steps": 0}, {"batch": 0}, {"width": 1.5}, {"rate": 0.0}, {"rate": math.inf}])
def test_bad_recipes_are_refused(change):
    with pytest.raises(ValueError, match=rf"`{next(iter(change))}` must be .* Received"):
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
            train, test = (np.concatenate(a) for a in (images, drawings[:, 12:]))
            labels, wanted = np.repeat(np.arange(20), images.shape[1]), np.repeat(np.arange(20), 8)
            scores[row].append(accuracy(ClassifierRecipe(), train, labels, test, wanted, ways=20, seed=index))
    none, more, shift = (np.mean(scores[row]) for row in ("none", "more", "shift"))
    assert none > 0.65 and more > none + 0.05 and shift > none + 0.05
