"""Held-out examples of steering, and the distance to them, against numbers by hand."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan import functional
from meta_gan.losses import NonSaturating
from meta_gan.meta import inner_loop
from meta_gan.meta_learners.base import Steering
from tests.toys import parts, tiny_gan

SEED = tf.constant([3, 4])


def points(n, start=0.0):
    return tf.reshape(tf.range(2.0 * n) + start, [n, 2])


def rows(x):
    return {tuple(row) for row in np.asarray(x)}


def split(support, share, seed=SEED):
    steering = Steering()
    steering.holdout = share
    return steering.split(support, seed)


@pytest.mark.parametrize(("k", "share", "held"), [(16, 0.25, 4), (5, 0.25, 1), (3, 0.1, 1), (2, 0.9, 1), (10, 0.45, 4)])
def test_a_share_is_held_out_and_nothing_is_lost(k, share, held):
    kept, held_out = split(points(k), share)
    assert (len(kept), len(held_out)) == (k - held, held)
    assert rows(kept) | rows(held_out) == rows(points(k))


def test_a_single_example_and_a_share_of_0_give_the_same_examples_twice():
    for support, share in ((points(1), 0.25), (points(4), 0.0)):
        kept, held_out = split(support, share)
        np.testing.assert_array_equal(kept, support)
        np.testing.assert_array_equal(held_out, support)


def test_the_split_depends_on_the_task_and_not_on_whether_the_size_is_known():
    first, again, other = (split(points(16), 0.25, tf.constant(s))[1] for s in ([3, 4], [3, 4], [3, 5]))
    np.testing.assert_array_equal(first, again)
    assert rows(first) != rows(other)
    traced = tf.function(lambda x: split(x, 0.25)[1], input_signature=[tf.TensorSpec([None, 2])])
    np.testing.assert_array_equal(traced(points(16)), first)


def test_domains_are_split_separately():
    support = {"source": points(8), "target": points(12, 100.0)}
    kept, held_out = split(support, 0.25)
    assert {name: (len(kept[name]), len(held_out[name])) for name in support} == {"source": (6, 2), "target": (9, 3)}
    assert rows(kept["target"]) | rows(held_out["target"]) == rows(support["target"])


def test_the_distance_is_that_of_samples_from_the_examples_as_they_are():
    """By hand: 33 samples against three examples, every pair of each set, its own included."""
    loop, meta = parts(tiny_gan(loss=NonSaturating()))
    held_out = points(3)
    found = float(loop.held_out_distance(meta, loop.begin(meta), held_out, held_out, SEED))
    key = functional.fold(functional.fold(SEED, inner_loop.META_LEARNER), 0)
    z = loop.game.latents(33, functional.fold(functional.fold(key, 1_000_001), 0))
    made, real = loop.game.nets["generator"](z).numpy(), held_out.numpy()

    def mean(a, b):
        return np.mean(np.linalg.norm(a[:, None] - b[None], axis=-1))

    np.testing.assert_allclose(found, 2 * mean(made, real) - mean(made, made) - mean(real, real), rtol=1e-5)
    assert found > 0


def test_a_meta_learner_does_not_steer_unless_it_says_so():
    loop, _ = parts(tiny_gan())
    assert loop.steering is None and loop.meta_learner.steering is None
    for call in (lambda: Steering().due(None, 0), lambda: Steering().finished(None)):
        with pytest.raises(NotImplementedError):
            call()
    assert Steering().repeats(None, 0, 3) is None
