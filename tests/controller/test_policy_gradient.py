"""The policy gradient against finite differences and sums over all trajectories, and what is refused."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional
from meta_gan.controller import PolicyGradient, ScheduleController
from meta_gan.controller.policy import log_prob
from meta_gan.controller.policy_gradient import Trajectory, reward_of
from meta_gan.controller.schedule_controller import PolicySteering
from meta_gan.meta import Unrolled
from meta_gan.meta.evolution_strategies import first_log_distance, log_distance, rate_factor
from meta_gan.meta_learners import GradientDescent
from tests.meta.meta_learners import Walker
from tests.toys import Quadratic, constant_episodes, one, parts

CALM = {"calm": 1e-3, "holdout": 0.0, "hidden": 3}
PLAIN = {"epochs": 1, "normalize": False, "entropy": 0.0, "cost": 0.0}


def walk(start, actions, steps, **options):
    """Down a parabola to 0 by steps of 1; the controller decides before every one."""
    meta_learner = ScheduleController(Walker(1.0), horizon=steps, every=1, actions=actions, **{**CALM, **options})
    loop, meta = parts(Quadratic(start, 2.0), meta_learner)
    draw = np.random.default_rng(0)
    for variable in meta_learner.policy.trainable_variables:
        variable.assign_add(draw.normal(0, 0.3, variable.shape).astype("float32"))
    return loop, meta._replace(meta_learner=[tf.identity(v) for v in meta_learner.trainable_variables])


EPISODE = one(constant_episodes([0.0], [0.0]))


def returns(pieces, steps):
    """All trajectories of a walk: their decisions and rewards, by taking every one."""
    loop, meta = pieces
    meta_learner = loop.meta_learner
    options, found = [len(knob.options) for knob in meta_learner.knobs], []
    singles = list(itertools.product(*[range(n) for n in options]))
    for actions in itertools.product(singles, repeat=steps):
        carry = loop.begin(meta)
        first = last = log_distance(loop, meta.initial, EPISODE)
        rows = []
        for action in actions:
            following = PolicySteering(meta_learner, lambda *_, action=action: tf.constant(action))
            steered = dataclasses.replace(loop, steering=following)
            carry, _ = steered.advance(meta, carry, EPISODE.support, 1, EPISODE.seed)
            now = log_distance(loop, loop.final(meta, carry), EPISODE)
            reward, now, lost = reward_of(first, last, now, tf.constant(False), 0.0)
            rows.append((carry.meta_learner_state["observation"], action, reward, 1.0, lost, 1.0))
            last = now
        found.append([tf.stack([tf.convert_to_tensor(row[i]) for row in rows]) for i in range(6)])
    return Trajectory(*[tf.stack([each[i] for each in found]) for i in range(6)])


def judged(meta_learner, values, trajectory):
    """Log-probabilities and entropies of decisions that were made."""
    return functional.pure(
        meta_learner, meta_learner.judge, values, trajectory.observations, trajectory.actions, trajectory.observed
    )


def expected_return(meta_learner, values, trajectory):
    """Sum over trajectories of probability times what they earn."""
    logs, _ = judged(meta_learner, values, trajectory)
    chances = tf.exp(tf.reduce_sum(logs, axis=1))
    return float(tf.reduce_sum(chances * tf.reduce_sum(trajectory.rewards, axis=1))), chances


@pytest.fixture(scope="module")
def two_steps():
    """Nine trajectories of two decisions between 1, 2 and 4 moves, from 3.5."""
    pieces = walk(3.5, ("turns",), 2)
    return pieces, returns(pieces, 2)


def by_differences(meta_learner, values, trajectory, step=2e-2):
    """The gradient of the expected return, number by number."""
    found = []
    for place, value in enumerate(values):
        gradient = np.zeros(value.shape)
        for index in np.ndindex(*value.shape):
            ends = []
            for sign in (1, -1):
                moved = value.numpy()
                moved[index] += sign * step
                ends.append(
                    expected_return(
                        meta_learner, [*values[:place], tf.constant(moved), *values[place + 1 :]], trajectory
                    )
                )
            gradient[index] = (ends[0][0] - ends[1][0]) / (2 * step)
        found.append(gradient)
    return found


def test_the_gradient_of_the_objective_is_that_of_finite_differences(two_steps):
    """Every trajectory in the measure of its probability: then the surrogate's gradient is that of the expected return,
    to the last digit that a finite difference of float32 has."""
    (loop, meta), trajectory = two_steps
    meta_learner = loop.meta_learner
    values = meta.meta_learner
    value, chances = expected_return(meta_learner, values, trajectory)
    assert float(tf.reduce_sum(chances)) == pytest.approx(1.0, abs=1e-5) and abs(value) > 0.1
    left = tf.cumsum(trajectory.rewards, axis=1, reverse=True) * chances[:, None] * len(chances)
    gradient, _ = PolicyGradient(**PLAIN)._ascent(meta_learner, values, trajectory, left)
    exact = by_differences(meta_learner, values, trajectory)
    for found, number in zip(gradient, exact, strict=True):
        np.testing.assert_allclose(-found, number, atol=2e-3)
    assert max(np.abs(number).max() for number in exact) > 0.1


@pytest.mark.slow
def test_the_estimate_has_no_bias(two_steps):
    """The mean of estimates from 600 tasks of rollouts that are drawn, a baseline of theirs included: within four
    deviations of the sum over all trajectories."""
    pieces, trajectory = two_steps
    loop, meta = pieces
    meta_learner = loop.meta_learner
    value, chances = expected_return(meta_learner, meta.meta_learner, trajectory)
    left = tf.cumsum(trajectory.rewards, axis=1, reverse=True) * chances[:, None] * len(chances)
    exact, _ = PolicyGradient(**PLAIN)._ascent(meta_learner, meta.meta_learner, trajectory, left)
    estimator = PolicyGradient(rollouts=4, **PLAIN)
    run = tf.function(lambda episodes: estimator.estimate(*pieces, episodes, 2), autograph=False)
    found, earned = [], []
    for seed in range(20):
        estimate = run(constant_episodes([0.0] * 30, [0.0] * 30, seed))
        found.append(np.concatenate([np.ravel(g) for g in estimate.meta_learner]))
        earned.append(float(estimate.metrics["reward"]))
    exact = np.concatenate([np.ravel(g) for g in exact])
    deviation = np.std(found, axis=0) / math.sqrt(len(found))
    assert np.all(np.abs(np.mean(found, axis=0) - exact) < 4 * deviation + 1e-4)
    assert np.abs(exact).max() > 6 * deviation[np.abs(exact).argmax()]
    assert np.mean(earned) == pytest.approx(value, abs=4 * np.std(earned) / math.sqrt(len(earned)))


def test_advantages_by_hand():
    """Two rollouts of two decisions: what is left, less what the other has left."""
    rewards = tf.constant([[1.0, 2.0], [0.0, -1.0]])
    trajectory = Trajectory(None, None, rewards, tf.ones([2, 2]), None, None)
    found = PolicyGradient(rollouts=2, normalize=False).advantages(trajectory, 1)
    np.testing.assert_allclose(found, [[4.0, 3.0], [-4.0, -3.0]])
    normal = PolicyGradient(rollouts=2).advantages(trajectory, 1)
    np.testing.assert_allclose(normal, found / math.sqrt((16 + 9) / 2), rtol=1e-6)
    alone = trajectory._replace(made=tf.constant([[1.0, 0.0], [1.0, 0.0]]))
    np.testing.assert_allclose(PolicyGradient(rollouts=2).advantages(alone, 1), found / 4.0, rtol=1e-6)


def test_the_surrogate_by_hand():
    """Ratios of 1.5 and .5: a good decision counts up to 1.2, a bad one is not let off; those not made do not count."""
    before = tf.zeros([1, 4])
    judged = (tf.math.log([[1.5, 1.5, 0.5, 0.5]]), tf.fill([1, 4], 2.0))
    advantages = tf.constant([[1.0, -1.0, 1.0, -1.0]])
    for made, expected in (([1, 1, 1, 1], 1.2 - 1.5 + 0.5 - 0.8 + 4 * 0.2), ([1, 0, 0, 0], 1.2 + 0.2)):
        trajectory = Trajectory(None, None, None, tf.constant([made], tf.float32), None, None)
        found = PolicyGradient(entropy=0.1).surrogate(judged, before, trajectory, advantages)
        assert float(found) == pytest.approx(expected, rel=1e-5)


def test_epochs_follow_one_another(two_steps):
    """The gradients of two epochs, the second where a step along the first leads."""
    (loop, meta), trajectory = two_steps
    meta_learner = loop.meta_learner
    advantages = PolicyGradient(rollouts=9).advantages(trajectory, 1)

    def ascent(epochs, values):
        return PolicyGradient(rollouts=9, epochs=epochs, rate=0.05, entropy=0.0)._ascent(
            meta_learner, values, trajectory, advantages
        )[0]

    first, both = ascent(1, meta.meta_learner), ascent(2, meta.meta_learner)
    moved = [v - 0.05 * g for v, g in zip(meta.meta_learner, first, strict=True)]
    before, _ = judged(meta_learner, meta.meta_learner, trajectory)
    with tf.GradientTape() as tape:
        tape.watch(moved)
        now = judged(meta_learner, moved, trajectory)
        goal = -PolicyGradient(rollouts=9, entropy=0.0).surrogate(now, before, trajectory, advantages)
    for total, one_, other in zip(both, first, tape.gradient(goal, moved), strict=True):
        np.testing.assert_allclose(total, one_ + other, atol=1e-5)


def test_a_task_that_diverges_ends_and_costs_one_more():
    """Steps of 1 from .1: the distance grows from .01 to .81, which is more than tenfold."""
    pieces = walk(0.1, ("rates",), 3)
    estimator = PolicyGradient(rollouts=2, **PLAIN)
    trajectory, metrics = estimator.rollout(*pieces, EPISODE, 3, tf.constant(0))
    assert float(metrics["diverged"]) == 1.0
    earned, made = trajectory.rewards.numpy(), trajectory.made.numpy()
    end = int(made.sum())
    assert earned[end - 1] <= -1.0 and not earned[end:].any()
    np.testing.assert_allclose(earned.sum(), -1.0 - math.log(10.0), rtol=1e-5)


def test_rollouts_differ_by_the_policys_draws_alone():
    pieces = walk(3.5, ("turns",), 2)
    rollouts = [PolicyGradient(**PLAIN).rollout(*pieces, EPISODE, 2, tf.constant(n))[0] for n in (0, 0, 1, 2, 3)]
    np.testing.assert_array_equal(rollouts[0].actions, rollouts[1].actions)
    assert len({tuple(np.ravel(r.actions)) for r in rollouts}) > 1
    for rollout in rollouts:
        np.testing.assert_array_equal(rollout.observations[0], rollouts[0].observations[0])


@pytest.mark.parametrize("actions", [("turns",), ("turns", "stop")])
def test_another_trial_starts_anew_and_remembers(actions):
    """Two attempts: the second begins from the same distance, and what its decisions are judged by is the memory that
    they were drawn with, whether or not the first stopped."""
    pieces = walk(3.5, actions, 3)
    loop, meta = pieces
    meta_learner = loop.meta_learner
    estimator, stopped = PolicyGradient(trials=2, **PLAIN), set()
    run = tf.function(lambda number: estimator.rollout(*pieces, EPISODE, 3, number)[0], autograph=False)
    kept = []
    for number in range(8):
        trajectory = run(tf.constant(number))
        assert trajectory.observations.shape[0] == 6
        np.testing.assert_allclose(trajectory.observations[0], trajectory.observations[3], atol=1e-6)
        both, _ = judged(meta_learner, meta.meta_learner, tf.nest.map_structure(lambda t: t[None], trajectory))
        memory, drawn = tf.zeros([meta_learner.hidden]), []
        for row in range(6):
            if trajectory.observed[row]:
                memory, logits = meta_learner.policy.step(trajectory.observations[row], memory)
                drawn.append(float(both[0, row] - log_prob(logits, trajectory.actions[row])))
        np.testing.assert_allclose(drawn, 0.0, atol=1e-5)
        stopped.add(bool(tf.reduce_any(trajectory.observed[:3] == 0)))
        kept.append(both[0, 3:])
    assert stopped == ({True, False} if "stop" in actions else {False})
    second = (trajectory.observations[None, 3:], trajectory.actions[None, 3:], tf.ones([1, 3]))
    fresh, _ = functional.pure(meta_learner, meta_learner.judge, meta.meta_learner, *second)
    assert np.abs(kept[-1] - fresh[0]).max() > 1e-4, "the first attempt is remembered"


def test_an_end_that_is_not_finite_has_diverged_from_any_start():
    for first in (0.0, math.log(150.0), math.log(1e6)):
        reward, now, lost = reward_of(first, first, tf.constant(math.inf), tf.constant(False), 0.0)
        assert (float(reward), float(lost)) == (pytest.approx(-1.0 - math.log(10.0), rel=1e-5), 1.0)
        assert float(now) == pytest.approx(first + math.log(10.0))
    loop, meta = parts(Quadratic(float("nan"), 2.0))
    assert float(log_distance(loop, meta.initial, EPISODE)) == math.inf
    assert np.isfinite(first_log_distance(loop, meta.initial, EPISODE))


def test_rates_are_spread_over_tasks():
    factors = [float(rate_factor(30.0, tf.constant([i, 3]))) for i in range(300)]
    logs = np.log(factors) / math.log(30.0)
    assert -0.5 < logs.min() < -0.45 and 0.45 < logs.max() < 0.5 and abs(logs.mean()) < 0.05
    assert rate_factor(1.0, tf.constant([0, 3])) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rollouts": 1}, "rollouts"),
        ({"epochs": 0}, "epochs"),
        ({"trials": 0}, "trials"),
        ({"rate": 0.0}, "rate"),
        ({"clip": 1.0}, "clip"),
        ({"entropy": -1.0}, "entropy"),
        ({"cost": float("nan")}, "cost"),
        ({"spread": 0.5}, "spread"),
        ({"normalize": 1}, "normalize"),
        ({"rate": "a"}, "'rate' must be a finite number > 0"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        PolicyGradient(**options)


def test_pairs_that_would_train_nothing_are_refused():
    meta_learner = ScheduleController(GradientDescent(0.1), every=5)
    with pytest.raises(ValueError, match=r"trains policies.*ScheduleController with Unrolled"):
        mg.Algorithm("no", meta_learner, Unrolled(2), 10)
    with pytest.raises(ValueError, match=r"must be a ScheduleController.*GradientDescent"):
        mg.Algorithm("no", GradientDescent(0.1), PolicyGradient(), 10)
    with pytest.raises(ValueError, match=r"multiple.*12 of 5"):
        mg.Algorithm("no", meta_learner, PolicyGradient(), 12)
