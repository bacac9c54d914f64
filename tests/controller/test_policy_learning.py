"""The policy gradient learns bandits and schedules whose best answer is known, through Keras too."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan.controller import PolicyGradient, ScheduleController
from meta_gan.meta import EvolutionStrategies
from tests.meta.meta_learners import Walker
from tests.toys import Quadratic, constant_episodes, weekly

CALM = {"calm": 1e-3, "holdout": 0.0, "hidden": 3}


def trained(estimator, start, actions, steps, outer, rate=0.1, **options):
    """Trains the policy of a walk; the model, and where a greedy walk then ends."""
    meta_learner = ScheduleController(Walker(1.0), horizon=steps, every=1, actions=actions, **{**CALM, **options})
    game = Quadratic(start, 2.0)
    model = mg.MetaModel(game, mg.Algorithm("controller", meta_learner, estimator, steps))
    model.compile(optimizer=keras.optimizers.Adam(rate))
    step = tf.function(model.meta_step, autograph=False)
    for seed in range(outer):
        metrics = step(constant_episodes([0.0] * 4, [0.0] * 4, seed))
    adapted = model.adapt(np.zeros((1, 1), np.float32), seed=5)
    assert float(game.nets["point"].trainable_variables[0]) == start, "the nets' own weights stay"
    return model, float(adapted.snapshot.weights["point"][0]), metrics


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [PolicyGradient(), *weekly(EvolutionStrategies(0.5, 8, logarithm=True))])
def test_a_bandit_of_three_arms_is_learned(estimator):
    """One decision between 1, 2 and 4 moves, from 2: the second arm ends at 0, the others at a distance of 1 and 4."""
    _, end, metrics = trained(estimator, 2.0, ("turns",), 1, 40)
    assert end == 0.0
    if isinstance(estimator, PolicyGradient):
        assert float(metrics["reward"]) > 0.9 * math.log(4 / 1e-3)


@pytest.mark.slow
def test_a_schedule_is_learned_whose_best_answer_is_known():
    """Two decisions about the rate, from 6: only to double it twice (2 + 4) ends at 0. It takes seeing the time, since
    to double it is right now as it was before, and all that is seen else has changed."""
    _, end, metrics = trained(PolicyGradient(), 6.0, ("rates",), 2, 150)
    assert end == 0.0 and float(metrics["diverged"]) == 0.0


@pytest.mark.slow
def test_steps_that_cost_more_than_they_earn_are_not_made():
    """From .5, where the first move leads to -.5, as far away: to stop at once is best, if moving costs anything."""
    _, end, _ = trained(PolicyGradient(cost=0.1), 0.5, ("stop",), 2, 60)
    assert end == 0.5


def test_a_controller_is_fitted_by_keras():
    """What it reports has running means, as in the example of the documentation."""
    meta_learner = ScheduleController(Walker(1.0), horizon=1, every=1, actions=("turns",), **CALM)
    model = mg.MetaModel(Quadratic(2.0, 2.0), mg.Algorithm("controller", meta_learner, PolicyGradient(), 1))
    model.compile(optimizer=keras.optimizers.Adam(0.1), run_eagerly=False)
    batches = tf.data.Dataset.from_tensors(constant_episodes([0.0] * 2, [0.0] * 2)).repeat(4)
    history = model.fit(batches, steps_per_epoch=2, epochs=2, verbose=0).history
    assert {"reward", "entropy", "diverged"} <= set(history) and np.isfinite(history["reward"]).all()
