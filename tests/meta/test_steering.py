"""What a steering rule watches: held-out examples, and how far samples are from them, against numbers by hand."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan import functional
from meta_gan.losses import NonSaturating
from meta_gan.meta import steering
from tests.toys import tiny_gan

SEED = tf.constant([3, 4])


def points(n, start=0.0):
    return tf.reshape(tf.range(2.0 * n) + start, [n, 2])


def rows(x):
    return {tuple(row) for row in np.asarray(x)}


@pytest.mark.parametrize(("k", "share", "held"), [(16, 0.25, 4), (5, 0.25, 1), (3, 0.1, 1), (2, 0.9, 1), (10, 0.45, 4)])
def test_a_share_is_held_out_and_nothing_is_lost(k, share, held):
    kept, watched = steering.apart(points(k), share, SEED)
    assert (len(kept), len(watched)) == (k - held, held)
    assert rows(kept) | rows(watched) == rows(points(k))


def test_a_single_example_and_a_share_of_none_are_both():
    for support, share in ((points(1), 0.25), (points(4), 0.0)):
        kept, watched = steering.apart(support, share, SEED)
        np.testing.assert_array_equal(kept, support)
        np.testing.assert_array_equal(watched, support)


def test_the_split_is_the_tasks_own_and_no_matter_of_whether_the_size_is_known():
    first, again, other = (steering.apart(points(16), 0.25, tf.constant(s))[1] for s in ([3, 4], [3, 4], [3, 5]))
    np.testing.assert_array_equal(first, again)
    assert rows(first) != rows(other)
    traced = tf.function(lambda x: steering.apart(x, 0.25, SEED)[1], input_signature=[tf.TensorSpec([None, 2])])
    np.testing.assert_array_equal(traced(points(16)), first)


def test_domains_are_split_apart():
    support = {"source": points(8), "target": points(12, 100.0)}
    kept, watched = steering.apart(support, 0.25, SEED)
    assert {name: (len(kept[name]), len(watched[name])) for name in support} == {"source": (6, 2), "target": (9, 3)}
    assert rows(kept["target"]) | rows(watched["target"]) == rows(support["target"])


def test_the_distance_is_that_of_samples_from_the_examples_as_they_are():
    """By hand: 33 samples against three examples, every pair of each set, its own included."""
    game = tiny_gan(loss=NonSaturating())
    snapshot, watched = functional.read(game.nets), points(3)
    found = float(steering.watched_distance(game, snapshot, watched, watched, SEED))
    key = functional.fold(SEED, steering.WATCHED)
    z = game.latents(33, functional.fold(key, 0))
    made, real = game.nets["generator"](z).numpy(), watched.numpy()

    def mean(a, b):
        return np.mean(np.linalg.norm(a[:, None] - b[None], axis=-1))

    np.testing.assert_allclose(found, 2 * mean(made, real) - mean(made, made) - mean(real, real), rtol=1e-5)
    assert found > 0
