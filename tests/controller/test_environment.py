"""The environment against the inner loop that it wraps: the same weights, rewards and observations; and its API."""

import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
import tensorflow as tf
from gymnasium.utils.env_checker import check_env

import meta_gan as mg
from meta_gan import functional
from meta_gan.controller import AdaptationEnvironment, PolicyGradient, ScheduleController
from meta_gan.losses import NonSaturating
from meta_gan.meta.evolution_strategies import log_distance
from meta_gan.meta_learners import Adam, GradientDescent
from tests.controller.test_schedule_controller import restless
from tests.meta.meta_learners import Walker
from tests.toys import Quadratic, constant_episodes, flat_close, one, random_episodes, tiny_gan


def tasks(number):
    return one(random_episodes(shots=6, seed=number))


def made(**options):
    controller = ScheduleController(Adam(0.02, epsilon=1e-3), horizon=6, every=2, hidden=4)
    return AdaptationEnvironment(mg.InnerLoop.build(tiny_gan(loss=NonSaturating()), controller), tasks, **options)


def walked(start, actions=("rates", "stop"), horizon=3, **options):
    """Down a parabola to 0 by steps of 1."""
    controller = ScheduleController(Walker(1.0), horizon=horizon, every=1, actions=actions, holdout=0.0)
    loop = mg.InnerLoop.build(Quadratic(start, 2.0), controller)
    return AdaptationEnvironment(loop, lambda n: one(constant_episodes([0.0], [0.0], n)), **options)


def test_gymnasium_accepts_it():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not having a spec.*")
        check_env(made())


def test_an_agent_learns_a_bandit():
    """One decision between 1, 2 and 4 moves, from 2: the second arm ends at 0. An agent of three mean rewards."""
    environment, draw = walked(2.0, ("turns",), 1), np.random.default_rng(0)
    means, counts = np.zeros(3), np.zeros(3)
    for episode in range(30):
        environment.reset(seed=episode)
        arm = int(draw.integers(3)) if draw.uniform() < 0.3 or not counts.all() else int(means.argmax())
        _, reward, terminated, truncated, _ = environment.step(np.array([arm]))
        assert truncated and not terminated
        counts[arm] += 1
        means[arm] += (reward - means[arm]) / counts[arm]
    assert means.argmax() == 1 and counts[1] > 15


@pytest.mark.slow
def test_a_policy_that_acts_through_it_ends_where_adapt_does():
    """The controller's own most likely actions, computed from the environment's observations."""
    environment = made()
    controller = restless(environment.controller)
    observation, _ = environment.reset(seed=3)
    memory, over, earned, observations = tf.zeros([4]), False, 0.0, []
    while not over:
        observations.append(observation)
        memory, logits = controller.policy.step(tf.constant(observation), memory)
        action = np.array([int(tf.argmax(each)) for each in logits])
        observation, reward, terminated, truncated, info = environment.step(action)
        over, earned = terminated or truncated, earned + reward
    loop, meta, episode = environment.loop, environment._meta, tasks(3)
    carry, _ = loop.adapt(meta, episode.support, 6, episode.seed)
    flat_close(environment._carry.params, carry.params, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(observations[-1], carry.meta_learner_state["observation"], rtol=1e-4, atol=1e-6)
    ends = [
        float(log_distance(loop, snapshot, episode))
        for snapshot in (functional.read(loop.game.nets), loop.final(meta, carry))
    ]
    made_steps = 6 if not terminated else 2 * (len(observations) - 1)
    assert earned == pytest.approx(ends[0] - ends[1] - 0.0005 * made_steps, abs=1e-4)
    assert info["distance"] == pytest.approx(math.exp(ends[1]), rel=1e-4)


@pytest.mark.slow
def test_rewards_are_those_of_the_policy_gradient():
    environment = made(spread=30.0, cost=0.01)
    estimator = PolicyGradient(spread=30.0, cost=0.01)
    model = mg.MetaModel(environment.loop.game, mg.Algorithm("c", environment.controller, estimator, 6))
    trajectory, _ = estimator.rollout(model.loop, model.meta_weights(), tasks(5), 6, tf.constant(2))
    environment.reset(seed=5)
    for number in range(3):
        _, reward, *over, _ = environment.step(trajectory.actions[number].numpy())
        assert reward == pytest.approx(float(trajectory.rewards[number]), abs=1e-4)
        if any(over):
            break
    assert over == [bool(trajectory.actions[number][-1] == 1), number == 2 and not over[0]]


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


def test_stopping_and_divergence_end_a_task():
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
    assert np.any(first != second) and first.shape == environment.observation_space.shape == (17,)
    np.testing.assert_array_equal(environment.reset(seed=0)[0], first)


def test_the_spaces():
    environment = made()
    assert environment.action_space.nvec.tolist() == [5, 5, 3, 2]
    assert environment.knobs == ("rate/discriminator", "rate/generator", "turns", "stop")
    assert environment.observation_space.high.tolist() == [5.0] * 17


def test_bad_input_is_named():
    environment = made()
    environment.reset()
    for wrong in ([9, 0, 0, 0], [0, 0, 0], [0.5, 0, 0, 0], [-1, 0, 0, 0], "stop"):
        with pytest.raises(ValueError, match=r"'action' must be of MultiDiscrete\(\[5 5 3 2\]\)"):
            environment.step(wrong)
    with pytest.raises(ValueError, match="seed"):
        environment.reset(seed=-1)
    with pytest.raises(ValueError, match="'options' must be None or empty"):
        environment.reset(options={"steps": 5})
    for options, message in (({"steps": 5}, "multiple of the controller's 2"), ({"cost": -1.0}, "cost")):
        with pytest.raises(ValueError, match=message):
            made(**options)
    with pytest.raises(ValueError, match=r"must be a ScheduleController.*GradientDescent"):
        AdaptationEnvironment(mg.InnerLoop.build(tiny_gan(), GradientDescent(0.1)), tasks)


@pytest.mark.slow
def test_only_the_environment_needs_gymnasium():
    program = (
        "import sys; sys.modules['gymnasium'] = None\n"
        "from meta_gan.controller import PolicyGradient\n"
        "try:\n    from meta_gan.controller import AdaptationEnvironment\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'meta-gan[rl]'" in done.stdout
