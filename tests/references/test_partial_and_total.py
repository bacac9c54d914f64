"""Partial and total second-order meta-gradients of a linear-quadratic game, each against its own closed form.

L_psi = psi^2/2 - (theta - c) psi and L_theta = psi theta + theta^2/2, rates a and b. Both players in one turn make
the affine map v' = M v + n of v = (psi, theta) with M = [[1-a, a], [-b, 1-b]]; taking turns, theta answers psi', so
its row is [-b (1-a), 1-b-ab]. Totally, d v_K / d v_0 = M^K; partially, with the opponent held fixed, only
d psi_K / d psi_0 = (1-a)^K and d theta_K / d theta_0 = (1-b)^K are there.
"""

import numpy as np
import pytest

from meta_gan.meta import Unrolled
from meta_gan.meta_learners import GradientDescent
from tests.toys import TwoPlayers, constant_episodes, parts

A, B, PSI, THETA, C, D = 0.3, 0.2, 1.9, 2.8, 0.4, -0.7
LOSSES = {
    "psi": lambda psi, theta, c: 0.5 * psi**2 - (theta - c) * psi,
    "theta": lambda psi, theta, c: psi * theta + 0.5 * theta**2,
}
TURNS = {"together": ((("psi", "theta"), 1),), "in turn": ((("psi",), 1), (("theta",), 1))}
ROWS = {"together": [-B, 1 - B], "in turn": [-B * (1 - A), 1 - B - A * B]}
SHIFTS = {"together": [-A * C, 0.0], "in turn": [-A * C, A * B * C]}


def closed_form(order, steps, partial):
    matrix, v = np.array([[1 - A, A], ROWS[order]]), np.array([PSI, THETA])
    for _ in range(steps):
        v = matrix @ v + SHIFTS[order]
    psi, theta = v
    of_psi = np.array([psi - (theta - D), -psi])  # the query has D where the support had C
    of_theta = np.array([theta, psi + theta])
    if partial:
        return of_psi[0] * (1 - A) ** steps, of_theta[1] * (1 - B) ** steps
    total = np.linalg.matrix_power(matrix, steps)
    return of_psi @ total[:, 0], of_theta @ total[:, 1]


class Coupled(GradientDescent):
    """Gradient descent that says it is coupled, which makes the estimator take one pass a player."""

    coupled = True


def meta_gradient(order, steps, partial, meta_learner=GradientDescent):
    game = TwoPlayers(PSI, THETA, LOSSES, TURNS[order])
    pieces = parts(game, meta_learner({"psi": A, "theta": B}))
    estimate = Unrolled(2, partial=partial).estimate(*pieces, constant_episodes([C], [D]), steps)
    return [float(estimate.weights[net][0]) for net in ("psi", "theta")]


@pytest.mark.parametrize("partial", [True, False])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("order", TURNS)
def test_each_has_its_closed_form(order, steps, partial):
    np.testing.assert_allclose(meta_gradient(order, steps, partial), closed_form(order, steps, partial), rtol=1e-12)


@pytest.mark.parametrize("order", TURNS)
def test_the_two_are_far_apart_here(order):
    """So the test above tells them apart."""
    for steps in (1, 3):
        partial, total = closed_form(order, steps, True), closed_form(order, steps, False)
        assert np.abs(np.subtract(partial, total)).min() > 0.01  # against a tolerance of 1e-12


def test_one_pass_a_player_equals_one_pass_for_both():
    """A meta-learner that only calls itself coupled must not change a partial meta-gradient."""
    np.testing.assert_allclose(meta_gradient("in turn", 3, True, Coupled), closed_form("in turn", 3, True), rtol=1e-12)


def test_order_one_is_the_owners_query_gradient_at_the_end():
    game = TwoPlayers(PSI, THETA, LOSSES, TURNS["in turn"])
    pieces = parts(game, GradientDescent({"psi": A, "theta": B}))
    estimate = Unrolled(1).estimate(*pieces, constant_episodes([C], [D]), 2)
    psi, theta = PSI, THETA
    for _ in range(2):
        psi -= A * (psi - theta + C)
        theta -= B * (psi + theta)
    gradients = [float(estimate.weights[net][0]) for net in ("psi", "theta")]
    np.testing.assert_allclose(gradients, [psi - theta + D, psi + theta], rtol=1e-12)
