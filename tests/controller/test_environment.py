"""The environment beside the inner loop that it stands for: the same weights, rewards and observations."""

import math

import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional
from meta_gan.controller import AdaptationEnvironment, PolicyGradient, ScheduleController
from meta_gan.losses import NonSaturating
from meta_gan.meta import inner_loop, outcomes
from meta_gan.meta_learners import Adam, GradientDescent
from tests.controller.test_schedule_controller import restless
from tests.meta.rules import Walker
from tests.toys import Quadratic, constant_episodes, flat_close, one, random_episodes, tiny_gan


def tasks(number):
    return one(random_episodes(shots=6, seed=number))


def made(**options):
    rule = ScheduleController(Adam(0.02, epsilon=1e-3), horizon=6, every=2, hidden=4)
    return AdaptationEnvironment(tiny_gan(loss=NonSaturating()), rule, tasks, **options)


def walked(start, **options):
    rule = ScheduleController(Walker(1.0), horizon=3, every=1, actions=("rates", "stop"), holdout=0.0)
    return AdaptationEnvironment(
        Quadratic(start, 2.0), rule, lambda n: one(constant_episodes([0.0], [0.0], n)), **options
    )


def test_a_policy_that_acts_through_it_ends_where_adapt_does():
    """The controller's own most likely actions, asked of it by what the environment shows."""
    environment = made()
    rule = restless(environment.controller)
    seen, _ = environment.reset(seed=3)
    memory, over, earned, all_seen = tf.zeros([4]), False, 0.0, []
    while not over:
        all_seen.append(seen)
        memory, logits = rule.policy.step(tf.constant(seen), memory)
        seen, reward, terminated, truncated, info = environment.step([int(tf.argmax(each)) for each in logits])
        over, earned = terminated or truncated, earned + reward
    pieces = (environment.game, rule, environment._paths, environment._meta)
    episode = tasks(3)
    carry, _ = inner_loop.advance(*pieces, inner_loop.begin(*pieces), episode.support, 6, 1, episode.seed)
    flat_close(environment._carry.params, carry.params, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(all_seen[-1], carry.meta_learner_state["seen"], rtol=1e-4, atol=1e-6)
    ends = [
        float(outcomes.log_distance(environment.game, snapshot, episode))
        for snapshot in (functional.read(environment.game.nets), inner_loop.final(pieces[2], pieces[3], carry))
    ]
    made_steps = 6 if not terminated else 2 * (len(all_seen) - 1)
    assert earned == pytest.approx(ends[0] - ends[1] - 0.0005 * made_steps, abs=1e-4)
    assert info["distance"] == pytest.approx(math.exp(ends[1]), rel=1e-4)


def test_rewards_are_those_that_the_policy_gradient_trains_by():
    environment = made(spread=30.0, cost=0.01)
    rule = environment.controller
    model = mg.MetaModel(environment.game, mg.Algorithm("c", rule, PolicyGradient(spread=30.0, cost=0.01), 6))
    pieces = (model.game, rule, model.mask, model.meta_weights())
    trajectory, _ = model.algorithm.estimator.rollout(*pieces, tasks(5), 6, tf.constant(2))
    environment.reset(seed=5)
    for number in range(3):
        _, reward, *over, _ = environment.step(trajectory.chosen[number].numpy())
        assert reward == pytest.approx(float(trajectory.rewards[number]), abs=1e-4)
        if any(over):
            break
    assert over == [bool(trajectory.chosen[number][-1] == 1), number == 2 and not over[0]]


def test_a_walk_by_hand():
    """From 3 down by 1, 2 and 2: distances 9, 4, 0 and 4; the bound from below is .001."""
    environment = walked(3.0, cost=0.25)
    _, info = environment.reset()
    assert info == {"distance": pytest.approx(9.0)}
    rewards = [environment.step([rate, 0]) for rate in (2, 4, 2)]
    by_hand = [math.log(9 / 4), math.log(4 / 1e-3), math.log(1e-3 / 4)]
    assert [r[1] for r in rewards] == pytest.approx([earned - 0.25 for earned in by_hand], rel=1e-4)
    assert [r[2:4] for r in rewards] == [(False, False), (False, False), (False, True)]
    assert [r[4]["distance"] for r in rewards] == pytest.approx([4.0, 1e-3, 4.0], rel=1e-4)
    with pytest.raises(ValueError, match=r"begun by reset"):
        environment.step([2, 0])


def test_to_stop_and_to_diverge_end_a_task():
    environment = walked(3.0, cost=0.25)
    environment.reset()
    _, reward, terminated, truncated, info = environment.step([2, 1])
    assert (reward, terminated, truncated, info["diverged"]) == (0.0, True, False, False)
    environment = walked(0.1)
    environment.reset()
    _, reward, terminated, truncated, info = environment.step([2, 0])
    assert (terminated, truncated, info["diverged"]) == (True, False, True)
    assert reward == pytest.approx(-1.0 - math.log(10.0), abs=1e-3)


def test_tasks_follow_one_another_and_a_seed_chooses():
    environment = made()
    first, second = environment.reset()[0], environment.reset()[0]
    again = environment.reset(seed=1)[0]
    np.testing.assert_array_equal(second, again)
    assert np.any(first != second) and first.shape == environment.observation_shape == (17,)
    np.testing.assert_array_equal(environment.reset(seed=0)[0], first)


def test_the_space_of_actions():
    space = made().action_space
    assert space.nvec == (5, 5, 3, 2) and space.names == ("rate/discriminator", "rate/generator", "turns", "stop")
    assert all(space.contains(space.sample(seed)) for seed in range(20))
    assert len({tuple(space.sample(seed)) for seed in range(20)}) > 10
    for wrong in ([5, 0, 0, 0], [0, 0, 0], [0.5, 0, 0, 0], [-1, 0, 0, 0], "stop"):
        assert not space.contains(wrong)


def test_bad_input_is_named():
    environment = made()
    environment.reset()
    with pytest.raises(ValueError, match=r"'action' must be of.*\[9, 0, 0, 0\]"):
        environment.step([9, 0, 0, 0])
    with pytest.raises(ValueError, match="seed"):
        environment.reset(seed=-1)
    for options, message in (({"steps": 5}, "multiple of the controller's 2"), ({"cost": -1.0}, "cost")):
        with pytest.raises(ValueError, match=message):
            made(**options)
    with pytest.raises(ValueError, match=r"must be a rule that steers.*GradientDescent"):
        AdaptationEnvironment(tiny_gan(), GradientDescent(0.1), tasks)
