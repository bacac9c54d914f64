"""What a learned rule sees, by hand, and that none of it depends on how tensors are listed."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.meta_learners import features
from meta_gan.meta_learners.blocks import Blocks

TENSORS = [np.array([3.0, -4.0]), np.array([[1.0], [2.0], [2.0]])]
SIZES = np.array([np.sqrt(12.5), np.sqrt(3.0)])


@pytest.fixture(params=[1, 2, 4], ids="length {}".format)
def blocks(request):
    return Blocks([tf.constant(t) for t in TENSORS], request.param)


def rows(blocks):
    weights = blocks.join([tf.constant(t) for t in TENSORS], tf.float64)
    return 2.0 * weights, -weights, tf.sign(weights), weights


def test_of_tensors_by_hand(blocks):
    """The gradient is twice the weights, so their cosine is 1; momentum is opposite, so that one is -1."""
    got = features.of_tensors(blocks, *rows(blocks)).numpy()
    sizes = np.log(np.stack([2 * SIZES, SIZES, np.ones(2), SIZES], axis=1)) / 5
    np.testing.assert_allclose(got[:, :4], sizes, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(got[:, 4:6], [[1, -1], [1, -1]], rtol=1e-9)
    np.testing.assert_allclose(got[:, 6:], [[0.5, 0, np.log(2) / 5], [1, np.log(3) / 5, np.log(3) / 5]], rtol=1e-9)
    assert got.shape == (2, features.OF_TENSOR)


def by_parameter(blocks, turned=False):
    """[parameters, features], without what fills rows up."""
    got = features.of_parameters(blocks, *rows(blocks), turned=turned)
    each = [tf.concat([tf.reshape(t, [-1]) for t in blocks.split(x, TENSORS)], 0) for x in tf.unstack(got, axis=1)]
    return tf.stack(each, axis=1).numpy()


def test_of_parameters_by_hand(blocks):
    got = by_parameter(blocks)
    relative = np.array([3, -4, 1, 2, 2]) / np.repeat(SIZES, [2, 3])
    expected = [relative, -relative, relative, np.sign(relative)]
    expected += [np.log(np.abs(relative) + 1e-3) / 5] * 2 + [np.sign(relative), -np.sign(relative), np.sign(relative)]
    np.testing.assert_allclose(got, np.stack(expected, axis=1), rtol=1e-6)
    assert got.shape == (5, features.OF_PARAMETER)
    turned = by_parameter(blocks, turned=True)
    np.testing.assert_array_equal(turned[:, :-1], got)
    np.testing.assert_allclose(turned[:, -1], 2 * relative, rtol=1e-6, err_msg="gradients are twice the momentum")


def test_outliers_are_clipped():
    blocks = Blocks([tf.zeros([100])], 100)
    spike = tf.one_hot([3], 100) * 100.0
    got = features.of_parameters(blocks, spike, -spike, spike, spike, turned=True).numpy()
    np.testing.assert_array_equal(got[0, [0, 1, 2, 3, 9], 3], [5, -5, 5, 5, 5])


def test_nothing_at_all_is_finite(blocks):
    """All zeros, and the slope at zero too."""
    zeros = tf.zeros([blocks.rows, blocks.length], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(zeros)
        seen = [f(blocks, zeros, zeros, zeros, zeros) for f in (features.of_tensors, features.of_parameters)]
        total = tf.add_n([tf.reduce_sum(s) for s in seen])
    assert all(np.isfinite(s).all() for s in seen) and np.isfinite(tape.gradient(total, zeros)).all()


SIGNALS = {"discriminator": tf.constant([1.0, -2.0, 3.0]), "generator": tf.constant([4.0, 5.0])}


def test_of_game_by_hand():
    players = ["discriminator", "generator"]
    first = features.of_game("discriminator", players, SIGNALS, tf.constant(1.0), True, tf.float64)
    np.testing.assert_allclose(first, [0, *np.arcsinh([1, -2, 3, 4]), 1, 1 / 11, 1], rtol=1e-6)
    second = features.of_game("generator", players, SIGNALS, tf.constant(8.0), True, tf.float64)
    np.testing.assert_allclose(second, [1, *np.arcsinh([4, 5, 0, 1]), 1, 8 / 18, 1 / 8], rtol=1e-6)
    assert len(first) == features.OF_GAME


def test_of_a_game_alone_or_uncoupled():
    """A single player has no others; one that is not coupled is not told of them, but keeps its place."""
    alone = features.of_game("generator", ["generator"], SIGNALS, tf.constant(1.0), True, tf.float64)
    np.testing.assert_allclose(alone, [0, *np.arcsinh([4, 5, 0, 0]), 0, 1 / 11, 1], rtol=1e-6)
    twin = features.of_game("generator", list(SIGNALS), SIGNALS, tf.constant(1.0), False, tf.float64)
    np.testing.assert_allclose(twin, [1, *np.arcsinh([4, 5, 0, 0]), 0, 1 / 11, 1], rtol=1e-6)


def test_time_stands_still_in_the_end():
    """What a rule sees after a thousand moves is nearly what it saw after a hundred."""
    times = [
        features.of_game("generator", list(SIGNALS), SIGNALS, tf.constant(t), True, tf.float64) for t in (1e2, 1e3)
    ]
    np.testing.assert_allclose(times[0][-2:], [100 / 110, 0.01], rtol=1e-6)
    assert np.abs(times[0] - times[1]).max() < 0.1
