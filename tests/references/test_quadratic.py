"""The three meta-gradients on a/2 (w - c)^2, where all is known in closed form.

K steps of gradient descent with rate lr give w_K - c = r (w0 - c) with r = (1 - lr a)^K.
"""

import numpy as np
import pytest

from meta_gan.meta import Displacement, Unrolled
from tests.toys import Quadratic, adapt, constant_episodes, one, parts

RATE, START = 0.3, 2.0
CASES = [(0.5, 1), (0.5, 4), (2.0, 3), (2.5, 5)]  # curvature a, steps K
CLOSED_FORMS = {
    "MAML": (Unrolled(2), lambda a, r, gap: a * r**2 * gap),
    "FOMAML": (Unrolled(1), lambda a, r, gap: a * r * gap),
    "Reptile": (Displacement(), lambda a, r, gap: (1 - r) * gap),
}


@pytest.mark.parametrize(("a", "steps"), CASES)
@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_meta_gradient_of_one_task(name, a, steps):
    estimator, formula = CLOSED_FORMS[name]
    pieces = parts(Quadratic(START, a), rate=RATE)
    estimate = estimator.estimate(*pieces, constant_episodes([0.7], [0.7]), steps)
    r = (1 - RATE * a) ** steps
    np.testing.assert_allclose(estimate.weights["point"][0], formula(a, r, START - 0.7), rtol=1e-12)
    assert estimate.meta_learner == []


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_meta_gradient_is_the_mean_over_tasks(name):
    """Three tasks, an odd number, so that a group of two side by side leaves a rest."""
    estimator, formula = CLOSED_FORMS[name]
    centres, a, steps = np.array([-0.9, 0.1, 0.6]), 2.0, 3
    pieces = parts(Quadratic(START, a), rate=RATE)
    estimate = estimator.estimate(*pieces, constant_episodes(centres, centres), steps)
    r = (1 - RATE * a) ** steps
    expected = np.mean([formula(a, r, START - c) for c in centres])
    np.testing.assert_allclose(estimate.weights["point"][0], expected, rtol=1e-12)


def test_the_inner_loop_sees_the_support_and_the_objective_the_query():
    """With c on the support and d on the query, MAML is a r (w_K - d); mixing them up gives another number."""
    a, steps, c, d = 0.5, 2, 0.25, -0.75
    estimate = Unrolled(2).estimate(*parts(Quadratic(START, a), rate=RATE), constant_episodes([c], [d]), steps)
    r = (1 - RATE * a) ** steps
    end = c + r * (START - c)
    np.testing.assert_allclose(estimate.weights["point"][0], a * r * (end - d), rtol=1e-12)
    np.testing.assert_allclose(estimate.metrics["query/learner"], 0.5 * a * (end - d) ** 2, rtol=1e-6)


def test_records_are_the_losses_before_each_step():
    a, c = 2.0, 0.5
    pieces = parts(Quadratic(START, a), rate=RATE)
    carry, records = adapt(pieces, one(constant_episodes([c], [c])), 4)
    gaps = (START - c) * (1 - RATE * a) ** np.arange(5)
    np.testing.assert_allclose(records[:, 0], 0.5 * a * gaps[:4] ** 2, rtol=1e-6)
    np.testing.assert_allclose(carry.params["learner"][0], c + gaps[4], rtol=1e-12)
    assert int(carry.step) == 4
    # The signal is what the player last reported: the loss before the last step.
    np.testing.assert_allclose(carry.signals["learner"], [0.5 * a * gaps[3] ** 2], rtol=1e-6)


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_no_step_is_the_plain_gradient_or_no_displacement(name):
    a = 3.0
    pieces = parts(Quadratic(START, a), rate=RATE)
    estimate = CLOSED_FORMS[name][0].estimate(*pieces, constant_episodes([0.7], [0.2]), 0)
    expected = 0.0 if name == "Reptile" else a * (START - 0.2)
    np.testing.assert_allclose(estimate.weights["point"][0], expected, rtol=1e-12)
