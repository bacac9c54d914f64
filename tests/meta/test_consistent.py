"""Consistency across tasks: hand numbers, the exact gradient of the disagreement, and what the wrapper passes on."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional
from meta_gan.games import GAN
from meta_gan.losses import NonSaturating
from meta_gan.meta import Algorithm, Displacement, JointTraining, SplitOpponents, Unrolled
from meta_gan.meta.consistent import PROBE, Consistent, disagreement
from meta_gan.meta_learners import GradientDescent
from meta_gan.types import Episode, MetaWeights, Snapshot
from tests.meta.meta_learners import LearnedRates
from tests.references.plain import fold
from tests.toys import (
    Quadratic,
    TwoPlayers,
    adapt,
    constant_episodes,
    flat_close,
    numbers,
    parts,
    random_episodes,
    tiny_gan,
    weekly,
)

WEIGHTS = {"discriminator": 0.7, "generator": 1.3}
EPISODES = random_episodes(tasks=2, dtype="float64")


class Squares(Quadratic):
    """Its probe is w^2 times the query: the disagreement is that of squares."""

    def probe(self, player, snapshot, episode, seed):
        return tf.square(snapshot.weights["point"][0]) * episode.query


class ProbedGAN(GAN):
    """Samples of the shared seed; logits of the probe's query."""

    def probe(self, player, snapshot, episode, seed):
        z = tf.random.stateless_normal([3, 2], seed, dtype=episode.query.dtype)
        inputs = z if player == "generator" else episode.query
        weights, state = snapshot.weights[player], snapshot.state[player]
        return functional.call(self.nets[player], weights, state, inputs, None, True, seed)[0]


class Seen(TwoPlayers):
    """Its probe is what it was given, whatever the weights."""

    def probe(self, player, snapshot, episode, seed):
        draw = tf.random.stateless_normal([2], seed, dtype=tf.float64)
        return tf.concat([tf.reshape(part, [-1]) for part in (draw, episode.support, episode.query)], axis=0)


def probed_gan(dtype="float64"):
    plain = tiny_gan(dtype)
    return ProbedGAN(plain.nets["generator"], plain.nets["discriminator"], loss=NonSaturating())


def same_tasks(tasks=2):
    return tf.nest.map_structure(lambda t: tf.stack([t[0]] * tasks), EPISODES)


def test_disagreement_by_hand_and_its_mean_takes_no_gradient():
    outputs, mean = tf.constant([[1.0, 3.0], [2.0, -1.0]]), tf.constant([0.0, 1.0])
    with tf.GradientTape() as tape:
        tape.watch([outputs, mean])
        value = disagreement(outputs, mean)
    np.testing.assert_allclose(value, (1 + 4 + 4 + 4) / 4)
    slopes = tape.gradient(value, [outputs, mean])
    np.testing.assert_allclose(slopes[0], [[0.5, 1.0], [1.0, -1.0]])
    assert slopes[1] is None


def test_holding_the_mean_fixed_gives_the_gradient_of_the_variance():
    """Over tasks, exactly: the deviations sum to 0."""
    weights = tf.constant(np.random.default_rng(0).normal(size=(5, 3)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(weights)
        outputs = tf.tanh(weights) * tf.reduce_sum(weights)  # each task's outputs depend on all, as on shared weights
        mean = tf.reduce_mean(outputs, axis=0)
        held = disagreement(outputs, mean)
        live = tf.reduce_mean(tf.square(outputs - mean))
    np.testing.assert_allclose(tape.gradient(held, weights), tape.gradient(live, weights), rtol=1e-12)


def test_first_order_by_hand():
    """w_t = r^K w + (1 - r^K) c_t on the tasks' supports c; outputs w_t^2 q with the first task's query q."""
    curvature, start, rate, steps, weight = 2.0, 1.5, 0.1, 2, 4.0
    supports, queries = [0.25, -0.75, 1.0], [0.5, 0.1, -0.3]
    game, kept = Squares(start, curvature), (1 - rate * curvature) ** steps
    ends = kept * start + (1 - kept) * np.array(supports)
    outputs = ends**2 * queries[0]
    deviations = outputs - outputs.mean()
    direct = np.mean(curvature * (ends - queries))
    estimator = Consistent(Unrolled(1), {"learner": weight})
    got = estimator.estimate(*parts(game, rate=rate), constant_episodes(supports, queries), steps)
    expected = direct + weight * np.mean(2 * deviations * 2 * ends * queries[0])
    np.testing.assert_allclose(got.weights["point"][0], expected, rtol=1e-12)
    np.testing.assert_allclose(got.metrics["consistency/learner"], np.mean(deviations**2), rtol=1e-6)
    paid = np.mean(curvature / 2 * (ends - queries) ** 2 + weight * deviations**2)
    np.testing.assert_allclose(got.metrics["query/learner"], paid, rtol=1e-6)
    assert abs(expected - direct) > 0.05 * abs(direct)


def by_full_autodiff(pieces, episodes, steps, order, weights, distance=False):
    """All tasks on one tape, the mean of their outputs left open."""
    loop, meta = pieces
    game = loop.game
    probe = tf.nest.map_structure(lambda t: t[0], episodes)
    with tf.GradientTape() as tape:
        tape.watch(functional.flat((meta.initial.weights, meta.meta_learner)))
        goals, outputs = [], {player: [] for player in weights}
        for t in range(len(episodes.task_id)):
            episode = tf.nest.map_structure(lambda x, t=t: x[t], episodes)
            carry, _ = adapt(pieces, episode, steps, order, partial=not distance)
            end = loop.final(meta, carry)
            values = loop.objectives(end, episode).values()
            goals.append(loop.distance(end, episode) if distance else tf.add_n(list(values)))
            for player in weights:
                seed = fold(probe.seed, PROBE)
                mine = end if distance else game.own(player, end)
                outputs[player].append(game.probe(player, mine, probe, seed))
        total = tf.add_n(goals) / len(goals)
        for player, each in outputs.items():
            total += weights[player] * tf.reduce_mean(tf.math.reduce_variance(tf.stack(each), axis=0))
    return functional.gradient(tape, total, (meta.initial.weights, meta.meta_learner))


@pytest.mark.parametrize("order", [1, *weekly(2)])
def test_gradient_is_that_of_one_tape_over_all_tasks(order):
    pieces = parts(probed_gan(), rate=0.3)
    got = Consistent(Unrolled(order), WEIGHTS).estimate(*pieces, EPISODES, 2)
    expected, _ = tf.function(lambda: by_full_autodiff(pieces, EPISODES, 2, order, WEIGHTS), autograph=False)()
    flat_close(got.weights, expected, rtol=1e-9, atol=1e-13)
    without = Unrolled(order).estimate(*pieces, EPISODES, 2)
    for net in WEIGHTS:
        largest = max(np.abs(a - b).max() for a, b in zip(got.weights[net], without.weights[net], strict=True))
        assert largest > 1e-5, f"the penalty hardly moves the {net}, so nothing would be tested"
    flat_close(got.state, without.state)


@pytest.mark.slow
def test_a_learned_meta_learner_pays_too():
    """It is trained on the distance alone, by total derivatives, so the penalty is added there."""
    pieces = parts(probed_gan(), LearnedRates(-1.0, 0.05))
    estimator = Consistent(Unrolled(2), WEIGHTS)
    assert estimator.trains_meta_learner
    got = estimator.estimate(*pieces, EPISODES, 2)
    expected = tf.function(lambda: by_full_autodiff(pieces, EPISODES, 2, 2, WEIGHTS, True), autograph=False)()
    flat_close((got.weights, got.meta_learner), expected, rtol=1e-9, atol=1e-13)


def test_identical_tasks_agree_and_pay_nothing():
    pieces = parts(probed_gan())
    got = Consistent(Unrolled(1), WEIGHTS).estimate(*pieces, same_tasks(), 2)
    without = Unrolled(1).estimate(*pieces, same_tasks(), 2)
    assert float(got.metrics["consistency/generator"]) == float(got.metrics["consistency/discriminator"]) == 0
    flat_close(got.weights, without.weights, rtol=1e-12, atol=1e-15)
    flat_close({k: v for k, v in got.metrics.items() if k in without.metrics}, without.metrics, rtol=1e-6)


def test_different_tasks_do_not():
    got = Consistent(Unrolled(1), WEIGHTS).estimate(*parts(probed_gan(), rate=0.3), EPISODES, 2)
    assert all(float(got.metrics[f"consistency/{player}"]) > 1e-6 for player in WEIGHTS)


def test_the_probe_is_the_first_episode_for_every_task():
    """Outputs that are the probe and its draw are alike in all tasks, however the episodes differ."""
    losses = dict.fromkeys(("psi", "theta"), lambda psi, theta, c: tf.square(psi + theta - c))
    game, episodes, seen = Seen(0.1, 0.2, losses), constant_episodes([0.5, 0.6, 0.7], [1.0, 2.0, 3.0]), []
    original = game.probe
    game.probe = lambda *given: seen.append(original(*given)) or seen[-1]
    got = Consistent(Unrolled(1), {"psi": 1.0}).estimate(*parts(game), episodes, 1)
    assert float(got.metrics["consistency/psi"]) == 0 and len(seen) == 2, "once in each of the two passes"
    draw = tf.random.stateless_normal([2], fold(episodes.seed[0], PROBE), dtype=tf.float64)
    first = Episode(*(part[0] for part in episodes))
    np.testing.assert_array_equal(original("psi", None, first, fold(first.seed, PROBE)), [*draw, 0.5, 1.0])


def test_only_players_with_a_weight_pay():
    pieces = parts(probed_gan(), rate=0.3)
    got = Consistent(Unrolled(1), {"generator": 1.0, "discriminator": 0.0}).estimate(*pieces, EPISODES, 2)
    without = Unrolled(1).estimate(*pieces, EPISODES, 2)
    assert set(got.metrics) - set(without.metrics) == {"consistency/generator"}
    flat_close(got.weights["discriminator"], without.weights["discriminator"], rtol=1e-12, atol=1e-15)
    assert np.abs(got.weights["generator"][0] - without.weights["generator"][0]).max() > 1e-6


@pytest.mark.parametrize("weights", [{}, {"generator": 0.0}])
def test_no_weight_is_the_wrapped_estimate(weights):
    """Even of a game without a probe."""
    pieces = parts(tiny_gan("float64"))
    got = Consistent(Unrolled(1), weights).estimate(*pieces, EPISODES, 2)
    flat_close(got._asdict(), Unrolled(1).estimate(*pieces, EPISODES, 2)._asdict())


def test_the_same_eagerly_in_a_graph_and_twice():
    pieces = parts(probed_gan())
    estimator = Consistent(Unrolled(1), WEIGHTS)
    graph = tf.function(lambda: estimator.estimate(*pieces, EPISODES, 2), autograph=False)
    once, again = numbers(graph()), numbers(graph())
    flat_close(once._asdict(), again._asdict())
    flat_close(estimator.estimate(*pieces, EPISODES, 2)._asdict(), once._asdict(), rtol=1e-9, atol=1e-12)


def test_outer_steps_make_the_tasks_agree():
    """On the penalty alone, of a game whose players are otherwise indifferent."""
    game = Squares(1.5, 1.0)
    loop, meta = parts(game, rate=0.3)
    game.objective = lambda player, snapshot, *_: 0.0 * snapshot.weights["point"][0]
    estimator, episodes = Consistent(Unrolled(1), {"learner": 1.0}), constant_episodes([0.5, -0.5], [1.0, 1.0])

    @tf.function(autograph=False)
    def step(w):
        start = MetaWeights(Snapshot({"point": [w]}, meta.initial.state), [])
        estimate = estimator.estimate(loop, start, episodes, 1)
        return w - 0.5 * estimate.weights["point"][0], estimate.metrics["consistency/learner"]

    w, values = meta.initial.weights["point"][0], []
    for _ in range(100):
        w, value = step(w)
        values.append(float(value))
    # The ends are .7 w +- .15, and the squares of w = 0 agree.
    np.testing.assert_allclose(values[0], (2 * 0.7 * 1.5 * 0.15) ** 2, rtol=1e-6)
    assert values[-1] < 0.01 * values[0] and abs(float(w)) < 0.15


def test_it_wraps_other_estimators_and_trains_a_model():
    algorithm = Algorithm("DAWSON, consistent", GradientDescent(0.1), Consistent(SplitOpponents(), WEIGHTS), 2)
    model = mg.MetaModel(probed_gan("float32"), algorithm)
    model.compile(optimizer="sgd")
    before = [v.numpy() for v in model.trainable_variables]
    metrics = model.meta_step(random_episodes(tasks=2))
    assert all(np.isfinite(value) for value in metrics.values()) and "consistency/generator" in metrics
    assert all(np.any(a != v) for a, v in zip(before, model.trainable_variables, strict=True))


def test_survives_serialisation():
    estimator = Consistent(Unrolled(1, partial=False), {"generator": 2})
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(estimator))
    assert type(again) is Consistent and again.weights == {"generator": 2.0}
    assert type(again.estimator) is Unrolled
    assert again.estimator.get_config() == Unrolled(1, partial=False).get_config()
    assert again.get_config() == estimator.get_config()
    assert keras.saving.get_registered_name(Consistent) == "meta_gan>Consistent"


def test_what_it_passes_on():
    for wrapped in (Unrolled(2), SplitOpponents()):
        estimator = Consistent(wrapped, {})
        assert estimator.trains_meta_learner is wrapped.trains_meta_learner and estimator.adapts
    for wrapped in (Unrolled(2), Unrolled(2, checkpoint=1), Unrolled(2, last=3)):
        estimator = Consistent(wrapped, {})
        assert estimator.fixed_steps is wrapped.fixed_steps and estimator.least_steps == wrapped.least_steps
    with pytest.raises(ValueError, match="LearnedRates with SplitOpponents"):
        Algorithm("no", LearnedRates(), Consistent(SplitOpponents(), {}), 2)


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf, True, "1", None])
def test_bad_weights_are_refused(weight):
    with pytest.raises(ValueError, match=r"weights\['generator'\]. must be a finite number >= 0. Received: "):
        Consistent(Unrolled(1), {"generator": weight})


@pytest.mark.parametrize("estimator", [JointTraining(), Displacement(), None], ids=lambda e: type(e).__name__)
def test_estimators_that_the_penalty_would_not_train_are_refused(estimator):
    with pytest.raises(ValueError, match=rf"takes no gradient of what adapts\. Received: {type(estimator).__name__}"):
        Consistent(estimator, {"generator": 1.0})


def test_unknown_players_and_single_tasks_are_refused():
    pieces, estimator = parts(probed_gan()), Consistent(Unrolled(1), {"judge": 1.0})
    with pytest.raises(ValueError, match=r"players of \['discriminator', 'generator'\]\. Received: \['judge'\]"):
        estimator.estimate(*pieces, EPISODES, 2)
    with pytest.raises(NotImplementedError, match="no estimate of one task"):
        estimator.task(*pieces, Episode(*(part[0] for part in EPISODES)), 2)
