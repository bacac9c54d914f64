"""The copy rate of samples: by hand, against the evaluation's measure, and through the games that draw samples."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan import functional, metrics
from meta_gan.games import GAN, VAE, Transfer, Translation
from meta_gan.games.sampling import copied_share
from tests.toys import Scalar, tiny_gan

SEED = tf.constant([3, 4], tf.int32)


def points(*values):
    return tf.constant(values, tf.float32)[:, None]


@pytest.mark.parametrize(
    ("made", "share"),
    [
        # Support 0 and 10, query 4: the nearest two real ones are 4 apart.
        ((0.0, 10.0), 1.0),
        ((3.9, 6.1), 1.0),
        ((4.0, 6.0), 0.0),  # as far apart as real examples are is not nearer
        ((1.0, 5.0, 5.0, 5.0), 0.25),
        ((-3.0, 13.0, 15.0, 5.0), 0.5),
    ],
)
def test_by_hand(made, share):
    assert float(copied_share(points(*made), points(0.0, 10.0), points(4.0))) == share


def test_with_two_equal_real_examples_only_equal_samples_are_copies():
    support, query = points(0.0, 1.0), points(1.0)
    assert float(copied_share(points(0.0, 1.0, 1.001, -0.001), support, query)) == 0.5


def test_examples_near_the_query_set_are_not_copies():
    assert float(copied_share(points(4.0, 4.0), points(0.0, 10.0), points(4.0, 5.0))) == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_finite_gives_nan(bad):
    assert np.isnan(copied_share(points(0.0, bad), points(0.0, 10.0), points(4.0)))


@pytest.mark.parametrize(("shots", "queries"), [(1, 1), (5, 10), (12, 18)])
def test_it_equals_the_evaluations_copy_rate_for_one_task(shots, queries):
    """Up to 100 pairs the threshold is the smallest distance; of 30 examples, 435 pairs, it is the fifth."""
    draw = np.random.default_rng(shots).uniform(-1, 1, (shots + 2 * queries, 2, 2, 1)).astype(np.float32)
    support, query, made = np.split(draw, [shots, shots + queries])
    made[: len(made) // 2] = support[0] + 0.2 * made[: len(made) // 2]
    threshold = metrics.copy_threshold(np.concatenate([support, query]))
    expected = metrics.copy_rate(made, support, threshold)
    assert float(copied_share(*map(tf.constant, (made, support, query)))) == pytest.approx(expected)
    assert shots == 1 or 0 < expected < 1


def test_it_compiles_by_xla():
    compiled = tf.function(copied_share, jit_compile=True)
    assert float(compiled(points(1.0, 5.0), points(0.0, 10.0), points(4.0))) == 0.5


@pytest.mark.parametrize(("value", "rate"), [(0.25, 1.0), (0.75, 0.0)])
def test_a_game_draws_one_sample_per_query_example(value, rate):
    """A generator with a constant output: a support example, or a number far from both."""
    game = GAN(Scalar(value, ignores_input=True), Scalar(1.0), example_shape=(1,))
    snapshot = functional.read(game.nets)
    support, query = (tf.constant(x, tf.float64) for x in ([[0.25], [0.5]], [[0.375], [1.0], [-1.0]]))
    assert game.has_copy_rate
    assert float(game.copy_rate(snapshot, support, query, None, SEED)) == rate


def test_it_uses_the_samples_of_the_endpoint():
    game = tiny_gan()
    snapshot, shape = functional.read(game.nets), game.example_shape
    support, query = (tf.random.stateless_normal([n, *shape], [n, 0]) for n in (5, 7))
    made = game.endpoints["sample"].fn(snapshot, None, {"num": tf.constant(7)}, SEED)["samples"]
    near = made[:3] + 1e-3
    expected = float(copied_share(made, near, query))
    assert float(game.copy_rate(snapshot, near, query, None, SEED)) == expected > 0
    assert float(game.copy_rate(snapshot, support, query, None, SEED)) == float(copied_share(made, support, query))


def test_with_two_domains_it_is_that_of_the_target():
    game = Transfer(tiny_gan())
    snapshot, shape = functional.read(game.nets), game.game.example_shape
    made = game.endpoints["sample"].fn(snapshot, None, {"num": tf.constant(7)}, SEED)["samples"]
    far, query = (tf.random.stateless_normal([n, *shape], [n, 0]) for n in (5, 7))
    queries = {"source": far, "target": query}
    rates = [
        float(game.copy_rate(snapshot, {"source": source, "target": target}, queries, None, SEED))
        for target, source in ((made, far), (far, made))
    ]
    assert rates == [1.0, float(copied_share(made, far, query))] and rates[1] < 1
    assert game.has_copy_rate


def test_games_that_have_a_copy_rate():
    assert GAN.has_copy_rate and VAE.has_copy_rate and not Translation.has_copy_rate
