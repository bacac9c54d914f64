"""The Dirac-GAN: the data are one number c, the generator is the number theta, the discriminator psi * x.

Mescheder et al., "Which Training Methods for GANs do actually Converge?", 2018. Here it is the library's own `GAN`
with one-weight nets, and the reference is scalar Python.
"""

import math

import numpy as np
import pytest

from meta_gan.games import GAN
from meta_gan.losses import GradientPenalty, NonSaturating, Wasserstein
from meta_gan.meta import Displacement
from tests.toys import Scalar, TwoPlayers, adapt, constant_episodes, one, parts

PSI, THETA, REAL, RATE_D, RATE_G = 0.4, -0.6, 0.8, 0.3, 0.2
RATES = {"discriminator": RATE_D, "generator": RATE_G}


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def dirac(**options):
    return GAN(Scalar(THETA, ignores_input=True), Scalar(PSI), example_shape=(1,), **options)


def discriminator_slope(psi, theta, c=REAL):
    """d/dpsi of softplus(-psi c) + softplus(psi theta)."""
    return -c * sigmoid(-psi * c) + theta * sigmoid(psi * theta)


def generator_slope(psi, theta):
    """d/dtheta of softplus(-psi theta)."""
    return -psi * sigmoid(-psi * theta)


def by_hand(steps, discriminator_turns=1, psi=PSI, theta=THETA):
    for _ in range(steps):
        for _ in range(discriminator_turns):
            psi -= RATE_D * discriminator_slope(psi, theta)
        theta -= RATE_G * generator_slope(psi, theta)
    return psi, theta


@pytest.mark.parametrize("discriminator_turns", [1, 3])
@pytest.mark.parametrize("steps", [1, 5])
def test_alternating_steps(steps, discriminator_turns):
    """The generator answers the discriminator's new value, after all of its turns."""
    game = dirac(loss=NonSaturating(), discriminator_turns=discriminator_turns)
    carry, records = adapt(parts(game, rate=RATES), one(constant_episodes([REAL], [REAL])), steps)
    moved = carry.params["discriminator"][0], carry.params["generator"][0]
    np.testing.assert_allclose(moved, by_hand(steps, discriminator_turns), rtol=1e-12)
    assert records.shape == (steps, discriminator_turns + 1)


def test_records_are_in_the_order_of_the_moves():
    game = dirac(loss=NonSaturating(), discriminator_turns=2)
    _, records = adapt(parts(game, rate=RATES), one(constant_episodes([REAL], [REAL])), 1)
    psi1 = PSI - RATE_D * discriminator_slope(PSI, THETA)
    psi2 = psi1 - RATE_D * discriminator_slope(psi1, THETA)

    def discriminator_loss(psi):
        return math.log1p(math.exp(-psi * REAL)) + math.log1p(math.exp(psi * THETA))

    expected = [discriminator_loss(PSI), discriminator_loss(psi1), math.log1p(math.exp(-psi2 * THETA))]
    np.testing.assert_allclose(records[0], expected, rtol=1e-6)


@pytest.mark.parametrize("together", [True, False])
def test_players_of_one_turn_step_from_the_same_values(together):
    """Wasserstein Dirac-GAN: simultaneous theta moves by psi0, alternating theta by psi1."""
    losses = {
        "psi": lambda psi, theta, c: psi * (theta - c),
        "theta": lambda psi, theta, c: -psi * theta,
    }
    turns = ((("psi", "theta"), 1),) if together else ((("psi",), 1), (("theta",), 1))
    pieces = parts(TwoPlayers(PSI, THETA, losses, turns), rate=0.5)
    carry, _ = adapt(pieces, one(constant_episodes([REAL], [REAL])), 1)
    psi1 = PSI - 0.5 * (THETA - REAL)
    np.testing.assert_allclose(carry.params["psi"][0], psi1, rtol=1e-12)
    np.testing.assert_allclose(carry.params["theta"][0], THETA + 0.5 * (PSI if together else psi1), rtol=1e-12)


def test_simultaneous_players_do_not_depend_on_the_order_of_their_names():
    losses = {"psi": lambda psi, theta, c: psi * theta**2, "theta": lambda psi, theta, c: -(psi**2) * theta}
    ends = []
    for names in (("psi", "theta"), ("theta", "psi")):
        pieces = parts(TwoPlayers(PSI, THETA, losses, ((names, 2),)), rate=0.2)
        carry, _ = adapt(pieces, one(constant_episodes([REAL], [REAL])), 3)
        ends.append([float(carry.params[p][0]) for p in ("psi", "theta")])
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-14)


def test_gradient_penalty_acts_on_the_discriminator_alone():
    """The critic's slope is psi everywhere: W-loss theta - c, penalty 2 weight (|psi| - 1), up to its epsilon."""
    game = dirac(loss=Wasserstein(), penalty=GradientPenalty(weight=3.0))
    carry, _ = adapt(parts(game, rate=RATES), one(constant_episodes([REAL], [REAL])), 1)
    norm = math.sqrt(PSI**2 + 1e-6)
    psi1 = PSI - RATE_D * (THETA - REAL + 2 * 3.0 * (norm - 1) * PSI / norm)
    np.testing.assert_allclose(carry.params["discriminator"][0], psi1, rtol=1e-12)
    np.testing.assert_allclose(carry.params["generator"][0], THETA + RATE_G * psi1, rtol=1e-12)


def test_displacement_is_the_way_back():
    game = dirac(loss=NonSaturating())
    estimate = Displacement().estimate(*parts(game, rate=RATES), constant_episodes([REAL], [REAL]), 3)
    psi, theta = by_hand(3)
    np.testing.assert_allclose(estimate.weights["discriminator"][0], PSI - psi, rtol=1e-10)
    np.testing.assert_allclose(estimate.weights["generator"][0], THETA - theta, rtol=1e-10)
