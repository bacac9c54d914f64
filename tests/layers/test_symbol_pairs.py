"""Counts of symbols and pairs: by hand, against a loop, for relaxed texts, and their derivatives."""

from collections import Counter
from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import SymbolPairs
from tests.layers.finite_differences import directional_error


def test_by_hand():
    counts = SymbolPairs()(tf.one_hot([[1, 2, 1, 0]], 3))[0]
    np.testing.assert_array_equal(counts[:3], [1, 2, 1])
    pairs = counts[3:].numpy().reshape(3, 3)
    np.testing.assert_array_equal(pairs, [[0, 0, 0], [1, 0, 1], [0, 1, 0]])  # a-end, ab, ba


@pytest.mark.parametrize("seed", range(3))
def test_equals_counts_of_a_loop(seed):
    draw = np.random.default_rng(seed)
    texts = [list(draw.integers(1, 5, draw.integers(1, 9))) for _ in range(20)]
    stored = np.array([text + [0] * (9 - len(text)) for text in texts])
    made = SymbolPairs()(tf.one_hot(stored, 5)).numpy()
    for row, text in zip(made, texts, strict=True):
        whole = [*text, 0]
        single, double = Counter(whole), Counter(pairwise(whole))
        np.testing.assert_array_equal(row[:5], [single[i] for i in range(5)])
        np.testing.assert_array_equal(row[5:], [double[i, j] for i in range(5) for j in range(5)])


def test_what_follows_an_end_does_not_count():
    plain, longer = (SymbolPairs()(tf.one_hot([row], 3)) for row in ([1, 0, 0, 0], [1, 0, 2, 1]))
    np.testing.assert_array_equal(plain, longer)


def test_a_relaxed_text_is_the_mean_of_its_texts():
    """One symbol is uncertain, with two equal shares: counts are linear in it."""
    sure = tf.one_hot([[1, 1, 2], [1, 2, 2]], 3)
    mixed = tf.reduce_mean(sure, axis=0, keepdims=True)
    np.testing.assert_allclose(SymbolPairs()(mixed)[0], tf.reduce_mean(SymbolPairs()(sure), axis=0))


def test_second_derivatives():
    texts = tf.nn.softmax(tf.constant(np.random.default_rng(0).normal(size=(2, 5, 4))))

    def first(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = tf.reduce_sum(tf.sin(SymbolPairs(dtype="float64")(values[0])))
        return tf.reduce_sum(tf.square(tape.gradient(loss, values)[0]))

    assert max(directional_error(tf.function(first), [texts], step=1e-6)) < 1e-6


def test_the_gradient_at_a_hard_end():
    """For "a": if the end had a smaller share, what follows it would count by the difference."""
    texts = tf.one_hot([[1, 0, 0]], 3)
    with tf.GradientTape() as tape:
        tape.watch(texts)
        symbols = tf.reduce_sum(SymbolPairs()(texts)[:, :3])
    slopes = tape.gradient(symbols, texts)[0]
    # 1 for each symbol at its own place, and at the first end -1 for the end that follows.
    np.testing.assert_allclose(slopes[:2], [[1 - 1, 1, 1], [1 - 1, 1, 1]])


def test_shapes_and_saving(tmp_path):
    with pytest.raises(ValueError, match=r"'texts' must be \[n, length, symbols\]"):
        SymbolPairs()(tf.zeros([2, 3]))
    net = keras.Sequential([keras.Input((6, 3)), SymbolPairs()])
    assert net.output_shape == (None, 12)
    net.save(tmp_path / "a.keras")
    x = tf.one_hot([[1, 2, 0, 0, 0, 0]], 3)
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "a.keras")(x), net(x))
