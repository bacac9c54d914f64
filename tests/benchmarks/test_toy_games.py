"""The min-max games of the benchmark: their equilibria, plain descent, and the ranking of methods."""

import math

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.meta_learners import toy_games
from meta_gan.meta_learners import GradientDescent, RecurrentMetaLearner
from meta_gan.types import Snapshot


def numbers_of(name, episodes, i):
    game = toy_games.GAMES[name][0]()
    row = episodes.support.numpy()[i, 0]
    return game, row[: game.count], row[game.count : game.count + game.size], row[game.count + game.size :]


@pytest.mark.parametrize("name", toy_games.GAMES)
def test_instances_repeat_and_differ(name):
    one, same, other = (toy_games.instances(name, 3, seed).support.numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.01 and np.abs(one[0] - one[1]).max() > 0.01
    assert np.abs(one[:, :, -2:]).max() <= 1


def test_a_matrix_rests_at_the_origin_alone():
    for row in toy_games.instances("matrix", 20, 0).support.numpy()[:, 0, :25]:
        assert np.linalg.svd(row.reshape(5, 5), compute_uv=False)[-1] > 0.05
        assert np.abs(row).max() <= 1 and 3 < np.sum(row == 0) < 22


@pytest.mark.parametrize("name", toy_games.GAMES)
def test_where_a_game_rests_neither_gains_by_moving(name):
    """At the origin both slopes are 0, and the distance is the least there is."""
    game, numbers, _, _ = numbers_of(name, toy_games.instances(name, 1, 3), 0)
    x, y = tf.zeros([game.size]), tf.zeros([game.size])
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        value = game.value(x, y, tf.constant(numbers))
    assert all(np.abs(g).max() == 0 for g in tape.gradient(value, [x, y]))
    assert np.abs(game.gap(x, y, tf.constant(numbers))).max() == 0


def test_a_seesaw_rests_at_every_whole_number():
    """x = 2 / a and y = 0; a little to the side, that far from it."""
    game = toy_games.GAMES["seesaw"][0]()
    numbers = tf.constant([0.95, 1.0])
    gap = game.gap(tf.constant([2 / 0.95 + 0.01]), tf.constant([-0.02]), numbers)
    np.testing.assert_allclose(gap, [0.01, -0.02], atol=1e-6)


def test_the_distance_is_a_common_logarithm():
    """Weights of 3 and 4 away from a start at rest: log10 5."""
    game = toy_games.GAMES["saddle"][0]()
    snapshot = Snapshot({"x": [tf.constant([3.0])], "y": [tf.constant([4.0])]}, {"x": [], "y": []})
    found = game.distance(snapshot, tf.constant([[0.9, 0.9, 0.0, 0.0]]), None, None)
    assert float(found) == pytest.approx(math.log10(5.0))


def test_descent_on_a_saddle_by_hand():
    """Each player is multiplied by 1 - 2 a rate, both at once."""
    episodes = toy_games.instances("saddle", 3, 5)
    game = toy_games.GAMES["saddle"][0]()
    found = toy_games.played(game, GradientDescent(0.1), episodes, 6)
    for i in range(3):
        _, (a, b), x, y = numbers_of("saddle", episodes, i)
        path = [math.hypot(x[0] * (1 - 0.2 * a) ** n, y[0] * (1 - 0.2 * b) ** n) for n in range(1, 7)]
        assert found["end"][i] == pytest.approx(math.log10(path[-1]), abs=1e-4)
        assert found["path"][i] == pytest.approx(np.mean(np.log10(path)), abs=1e-4)


def test_the_extragradient_on_a_matrix_by_hand():
    """x -= r A (y + r A' x), y += r A' (x - r A y)."""
    episodes = toy_games.instances("matrix", 2, 5)
    game, rate = toy_games.GAMES["matrix"][0](), 0.2
    found = toy_games.extragradient(game, rate, episodes, 5)
    for i in range(2):
        _, numbers, x, y = numbers_of("matrix", episodes, i)
        matrix, path = numbers.reshape(5, 5), []
        for _ in range(5):
            ahead_x, ahead_y = x - rate * matrix @ y, y + rate * matrix.T @ x
            x, y = x - rate * matrix @ ahead_y, y + rate * matrix.T @ ahead_x
            path.append(math.log10(math.hypot(np.linalg.norm(x), np.linalg.norm(y))))
        assert found["end"][i] == pytest.approx(path[-1], abs=1e-4)
        assert found["path"][i] == pytest.approx(np.mean(path), abs=1e-4)


def test_what_diverges_counts_as_far():
    found = toy_games.played(
        toy_games.GAMES["saddle"][0](), GradientDescent(3.0), toy_games.instances("saddle", 2, 0), 200
    )
    assert np.all(found["end"] == 6) and np.all(found["path"] <= 6)


def test_a_learned_rule_starts_as_what_it_corrects():
    """Adam far from rest and descent near it: it comes nearer before any training."""
    episodes = toy_games.instances("saddle", 4, 1)
    meta_learner = toy_games.LEARNED["recurrent"]()
    assert isinstance(meta_learner, RecurrentMetaLearner)
    before = toy_games.played(toy_games.GAMES["saddle"][0](), meta_learner, episodes, 1)["end"]
    after = toy_games.played(toy_games.GAMES["saddle"][0](), meta_learner, episodes, 15)["end"]
    assert np.all(after < before)


def test_the_order_is_by_the_end_and_then_by_the_way():
    def result(end, path):
        return {"end": np.array([end, end]), "path": np.array([path, path])}

    found = {"far": result(-1.0, -3.0), "slow": result(-5.98, -4.0), "soon": result(-6.0, -5.0)}
    assert sorted(found, key=lambda m: toy_games._order(found[m])) == ["soon", "slow", "far"]
