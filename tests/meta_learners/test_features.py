"""Tensors as rows of one length and back, and the features of tensors, parameters and games, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.meta_learners import Adam, AttentionMetaLearner, RecurrentMetaLearner, features, residual
from meta_gan.meta_learners.features import Blocks
from tests.meta_learners.helpers import ready, shake, trajectory

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


def test_features_of_zeros_and_their_slopes_are_finite(blocks):
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
    """A single player has no others; without coupling it does not receive their loss, but keeps its place."""
    alone = features.of_game("generator", ["generator"], SIGNALS, tf.constant(1.0), True, tf.float64)
    np.testing.assert_allclose(alone, [0, *np.arcsinh([4, 5, 0, 0]), 0, 1 / 11, 1], rtol=1e-6)
    twin = features.of_game("generator", list(SIGNALS), SIGNALS, tf.constant(1.0), False, tf.float64)
    np.testing.assert_allclose(twin, [1, *np.arcsinh([4, 5, 0, 0]), 0, 1 / 11, 1], rtol=1e-6)


def test_time_features_converge():
    """After a thousand moves they are nearly those after a hundred."""
    times = [
        features.of_game("generator", list(SIGNALS), SIGNALS, tf.constant(t), True, tf.float64) for t in (1e2, 1e3)
    ]
    np.testing.assert_allclose(times[0][-2:], [100 / 110, 0.01], rtol=1e-6)
    assert np.abs(times[0] - times[1]).max() < 0.1


THREE = [np.array([3.0, -4.0]), np.array([[1.0], [2.0], [2.0]]), np.array(5.0)]
FLAT = [3, -4, 1, 2, 2, 5]


def cut(length=None):
    return Blocks([tf.constant(t) for t in THREE], length)


def joined(length):
    return cut(length).join([tf.constant(t) for t in THREE], tf.float64)


def test_join_by_hand():
    np.testing.assert_array_equal(joined(2), [[3, -4], [1, 2], [2, 0], [5, 0]])
    np.testing.assert_array_equal(joined(4), [[3, -4, 0, 0], [1, 2, 2, 0], [5, 0, 0, 0]])
    np.testing.assert_array_equal(joined(1)[:, 0], FLAT)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_split_is_the_inverse_of_join(length):
    like = [tf.zeros([2], tf.float32), tf.zeros([3, 1], tf.float64), tf.zeros([], tf.float64)]
    # The padding may hold anything.
    noise = tf.where(joined(length) == 0, 99.0, joined(length))
    back = cut(length).split(noise, like)
    assert [t.dtype for t in back] == [tf.float32, tf.float64, tf.float64]
    for t, original in zip(back, THREE, strict=True):
        np.testing.assert_array_equal(t, original)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_means_ignore_the_padding(length):
    np.testing.assert_allclose(cut(length).mean(joined(length)), [-0.5, 5 / 3, 5], rtol=1e-12)


def test_each_repeats_a_tensors_value_for_its_rows():
    np.testing.assert_array_equal(cut(2).each(tf.constant([7.0, 9.0, 1.0])), [7, 9, 9, 1])
    np.testing.assert_array_equal(cut(4).each(tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))[1], [3, 4])


@pytest.mark.parametrize(
    ("sizes", "length"),
    # 64-wide rows of the third: 64 + 64 + 1024 + 64 + 64 + 64 = 1344 of 1218, 128-wide ones 1664.
    [([1], 1), ([5], 2), ([64, 32, 1024, 32, 64, 2], 64), ([300_000, 26], 1024), ([4, 4], 4), ([2, 1], 1)],
)
def test_the_chosen_length(sizes, length):
    assert Blocks([tf.zeros([n]) for n in sizes]).length == length


@pytest.mark.parametrize("kind", [RecurrentMetaLearner, AttentionMetaLearner])
def test_the_length_does_not_change_updates(monkeypatch, kind):
    """Trained weights, tensors of 1 to 6 parameters, rows of 1, 2, 5 and 64."""
    players = ("only",)
    start = {"only": [np.linspace(-1, 1, 6).reshape(2, 3), np.ones(4), np.array(2.0)]}
    ends = []
    for length in (1, 2, 5, 64):
        monkeypatch.setattr(residual, "Blocks", lambda tensors, n=length: features.Blocks(tensors, n))
        meta_learner = shake(ready(kind(0.05, dtype="float64", turned=True), start), 0.3)
        ends.append(trajectory(meta_learner, 4, players=players, start=start)[-1]["only"])
    for end in ends[1:]:
        for own, first in zip(end, ends[0], strict=True):
            np.testing.assert_allclose(own, first, rtol=1e-9)
    plain = trajectory(Adam(0.05, 0.5, 0.99, 1e-6), 4, players=players, start=start)[-1]["only"]
    assert np.abs(plain[0] - ends[0][0]).max() > 1e-3
