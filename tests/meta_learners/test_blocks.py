"""Tensors as rows of one length: by hand, there and back, and that the length changes nothing."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.meta_learners import Adam, AttentionMetaLearner, RecurrentMetaLearner, blocks, residual
from meta_gan.meta_learners.blocks import Blocks
from tests.meta_learners.helpers import ready, shake, trajectory

TENSORS = [np.array([3.0, -4.0]), np.array([[1.0], [2.0], [2.0]]), np.array(5.0)]
FLAT = [3, -4, 1, 2, 2, 5]


def cut(length=None):
    return Blocks([tf.constant(t) for t in TENSORS], length)


def joined(length):
    return cut(length).join([tf.constant(t) for t in TENSORS], tf.float64)


def test_join_by_hand():
    np.testing.assert_array_equal(joined(2), [[3, -4], [1, 2], [2, 0], [5, 0]])
    np.testing.assert_array_equal(joined(4), [[3, -4, 0, 0], [1, 2, 2, 0], [5, 0, 0, 0]])
    np.testing.assert_array_equal(joined(1)[:, 0], FLAT)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_split_is_the_inverse_of_join(length):
    like = [tf.zeros([2], tf.float32), tf.zeros([3, 1], tf.float64), tf.zeros([], tf.float64)]
    # What stands where rows are filled up is nobody's.
    noise = tf.where(joined(length) == 0, 99.0, joined(length))
    back = cut(length).split(noise, like)
    assert [t.dtype for t in back] == [tf.float32, tf.float64, tf.float64]
    for t, original in zip(back, TENSORS, strict=True):
        np.testing.assert_array_equal(t, original)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_means_do_not_count_what_fills_rows_up(length):
    np.testing.assert_allclose(cut(length).mean(joined(length)), [-0.5, 5 / 3, 5], rtol=1e-12)


def test_each_gives_what_is_of_a_tensor_to_its_rows():
    np.testing.assert_array_equal(cut(2).each(tf.constant([7.0, 9.0, 1.0])), [7, 9, 9, 1])
    np.testing.assert_array_equal(cut(4).each(tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))[1], [3, 4])


@pytest.mark.parametrize(
    ("sizes", "length"),
    # 64-wide rows of the third: 64 + 64 + 1024 + 64 + 64 + 64 = 1344 of 1218, 128-wide ones 1664.
    [([1], 1), ([5], 2), ([64, 32, 1024, 32, 64, 2], 64), ([300_000, 26], 1024), ([4, 4], 4), ([2, 1], 1)],
)
def test_the_length_that_fits(sizes, length):
    assert Blocks([tf.zeros([n]) for n in sizes]).length == length


@pytest.mark.parametrize("kind", [RecurrentMetaLearner, AttentionMetaLearner])
def test_the_length_does_not_matter_to_a_rule(monkeypatch, kind):
    """Trained weights, tensors of 1 to 6 parameters, rows of 1, 2, 5 and 64."""
    players = ("only",)
    start = {"only": [np.linspace(-1, 1, 6).reshape(2, 3), np.ones(4), np.array(2.0)]}
    mask = []
    for length in (1, 2, 5, 64):
        monkeypatch.setattr(residual, "Blocks", lambda tensors, n=length: blocks.Blocks(tensors, n))
        rule = shake(ready(kind(0.05, dtype="float64", turned=True), start), 0.3)
        mask.append(trajectory(rule, 4, players=players, start=start)[-1]["only"])
    for path in mask[1:]:
        for own, first in zip(path, mask[0], strict=True):
            np.testing.assert_allclose(own, first, rtol=1e-9)
    plain = trajectory(Adam(0.05, 0.5, 0.99, 1e-6), 4, players=players, start=start)[-1]["only"]
    assert np.abs(plain[0] - mask[0][0]).max() > 1e-3
