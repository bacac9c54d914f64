"""The products that must hold: games by algorithms, written as one list each and nowhere as a product of classes."""

import meta_gan as mg
from meta_gan.losses import R1, GradientPenalty, Hinge, LeastSquares, NonSaturating, Wasserstein
from meta_gan.meta import Displacement, JointTraining, Unrolled
from meta_gan.meta_learners import Adam, GradientDescent, Momentum
from tests.games.nets import batch_norm_gan
from tests.toys import tiny_dcgan, tiny_gan

GAMES = {
    "points, non-saturating": lambda: tiny_gan(loss=NonSaturating()),
    "points, Wasserstein with penalty": lambda: tiny_gan(loss=Wasserstein(), penalty=GradientPenalty(1.0)),
    "points, two discriminator turns": lambda: tiny_gan(loss=LeastSquares(), discriminator_turns=2),
    "batch statistics": batch_norm_gan,
    "images, hinge with R1": lambda: tiny_dcgan(loss=Hinge(), penalty=R1(1.0)),
}

ALGORITHMS = {
    "MAML": lambda: mg.MAML(2, 0.05),
    "MAML, total derivatives": lambda: mg.MAML(2, 0.05, partial=False),
    "MAML with momentum": lambda: mg.Algorithm("momentum", Momentum(0.05), Unrolled(2), 2),
    "FOMAML": lambda: mg.FOMAML(2, 0.05),
    "Reptile": lambda: mg.Reptile(2, 0.05),
    # A bias before batch statistics has no gradient but rounding noise, and an epsilon below that makes steps of it.
    "Reptile with Adam": lambda: mg.Reptile(2, meta_learner=Adam(0.01, epsilon=1e-3)),
    "only the generator": lambda: mg.Algorithm("half", GradientDescent(0.05), Displacement(), 2, "^generator/"),
    "Pretraining": lambda: mg.Algorithm("joint", GradientDescent(0.05), JointTraining(), 2),
}

PAIRS = [(game, algorithm) for game in GAMES for algorithm in ALGORITHMS]
"""All of them; a new game or algorithm is one line above."""


def make(game, algorithm, **options):
    """The model of one pair."""
    return mg.MetaModel(GAMES[game](), ALGORITHMS[algorithm](), **options)
