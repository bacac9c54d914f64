"""The products that must hold: games by algorithms, written as one list each and nowhere as a product of classes."""

import pytest

import meta_gan as mg
from meta_gan.controller import PolicyGradient, ScheduleController
from meta_gan.games import Terms, Transfer
from meta_gan.losses import (
    R1,
    Bernoulli,
    DifferentiableAugmentation,
    GradientPenalty,
    Hinge,
    LeastSquares,
    NonSaturating,
    RelativisticAverage,
    Wasserstein,
)
from meta_gan.meta import (
    Consistent,
    Displacement,
    EvolutionStrategies,
    JointTraining,
    SplitOpponents,
    Unrolled,
)
from meta_gan.meta_learners import (
    ALFA,
    Adam,
    AttentionMetaLearner,
    CoordinatewiseLSTM,
    GradientDescent,
    LearnedAdam,
    MetaCurvature,
    MetaLSTM,
    MetaSGD,
    Momentum,
    OptimisticGradient,
    PerStepRates,
    RecurrentMetaLearner,
)
from tests.games.nets import (
    batch_norm_gan,
    point_features,
    sampled_flow,
    support_gan,
    tiny_fusion,
    tiny_sounds,
    tiny_texts,
)
from tests.toys import (
    conditioned_flow,
    conditioned_translation,
    conditioned_vae,
    distilled_flow,
    tiny_dcgan,
    tiny_flow,
    tiny_gan,
    tiny_translation,
    tiny_vae,
)

TOLD, FUSION = "points, told of the support set", "images, told of the support set"
TRANSLATED, TOLD_TRANSLATION = "points, translated there and back", "images, translated, told of the target"
TRANSFERRED = "points, from noise to a target by way of a source"
SOUNDS, TEXTS = "sounds, told of the support set", "texts, told of the support set"
FLOW, TOLD_FLOW = "points, by a flow", "images, by a flow, told of the support set"
DISTILLED, SAMPLED_FLOW = "points, by a flow of few steps", "points, by a flow against a discriminator"
VARIATIONAL, TOLD_VAE = "points, variational", "images, variational, told of the support set"

GAMES = {
    "points, non-saturating": lambda: tiny_gan(loss=NonSaturating()),
    "points, Wasserstein with penalty": lambda: tiny_gan(loss=Wasserstein(), penalty=GradientPenalty(1.0)),
    "points, two discriminator turns": lambda: tiny_gan(loss=LeastSquares(), discriminator_turns=2),
    "points, relativistic with mode seeking": lambda: tiny_gan(
        loss=RelativisticAverage(), terms=Terms(pixels=0.5, mode_seeking=0.1)
    ),
    "batch statistics": batch_norm_gan,
    "images, hinge with R1": lambda: tiny_dcgan(loss=Hinge(), penalty=R1(1.0)),
    TOLD: lambda: support_gan(
        features=point_features(), terms=Terms(features=1.0, nearness=1.0, variety=0.5), holdout=1
    ),
    # Sharp edges make much of a rounding: in float32 eager and graph differ by more than the tolerance.
    FUSION: lambda: tiny_fusion(
        "float64",
        terms=Terms(features=1.0, nearness=1.0),
        augmentation=DifferentiableAugmentation(0.25),
        holdout=1,
    ),
    # Of noise, which episodes are here, a moment is unlike the next: small steps, or a rounding leads elsewhere.
    SOUNDS: lambda: tiny_sounds("float64", terms=Terms(adversarial=0.1, features=0.03, nearness=1.0), holdout=1),
    # A choice of a symbol is an edge, too.
    TEXTS: lambda: tiny_texts("float64", terms=Terms(adversarial=0.5, likelihood=10.0), holdout=1),
    FLOW: tiny_flow,
    TOLD_FLOW: lambda: conditioned_flow(holdout=1),
    DISTILLED: distilled_flow,
    SAMPLED_FLOW: lambda: sampled_flow(penalty=R1(0.5), terms=Terms(pixels=1.0)),
    VARIATIONAL: tiny_vae,
    TOLD_VAE: lambda: conditioned_vae(likelihood=Bernoulli()),
    TRANSLATED: lambda: tiny_translation(cycle=1.0, identity=0.5),
    TOLD_TRANSLATION: lambda: conditioned_translation(content=1.0),
    TRANSFERRED: lambda: Transfer(support_gan(), source_weight=0.5),
}


def steered():
    """A controller that decides before every step, and that does not stop: some of what is tested is that it moves."""
    meta_learner = Adam(0.05, epsilon=1e-3)
    return ScheduleController(meta_learner, horizon=2, every=1, hidden=4, actions=("rates", "turns"))


ALGORITHMS = {
    "MAML": lambda: mg.MAML(2, 0.05),
    "MAML, total derivatives": lambda: mg.MAML(2, 0.05, partial=False),
    "MAML with momentum": lambda: mg.Algorithm("momentum", Momentum(0.05), Unrolled(2), 2),
    "FOMAML, optimistic": lambda: mg.Algorithm("optimistic", OptimisticGradient(0.05), Unrolled(1), 2),
    "FOMAML": lambda: mg.FOMAML(2, 0.05),
    "Reptile": lambda: mg.Reptile(2, 0.05),
    # A bias before batch statistics has no gradient but rounding noise, and an epsilon below that makes steps of it.
    "Reptile with Adam": lambda: mg.Reptile(2, meta_learner=Adam(0.01, epsilon=1e-3)),
    "only the generator": lambda: mg.Algorithm("half", GradientDescent(0.05), Displacement(), 2, "^generator/"),
    "Pretraining": lambda: mg.Algorithm("joint", GradientDescent(0.05), JointTraining(), 2),
    "consistent FOMAML": lambda: mg.Algorithm(
        "consistent", GradientDescent(0.05), Consistent(Unrolled(1), {"generator": 0.5, "discriminator": 0.5}), 2
    ),
    "DAWSON": lambda: mg.Algorithm("DAWSON", GradientDescent(0.05), SplitOpponents(), 2),
    "conditional": lambda: mg.Algorithm("conditional", GradientDescent(0.05), Unrolled(1), 0),
    "only the context": lambda: mg.Algorithm("context", GradientDescent(0.05), Unrolled(2), 2, "context$"),
}

LEARNED = {
    "Meta-SGD": lambda: mg.Algorithm("Meta-SGD", MetaSGD(0.05), Unrolled(2), 2),
    "rates by step": lambda: mg.Algorithm("LSLR", PerStepRates(0.05, 2), Unrolled(2), 2),
    "learned Adam": lambda: mg.Algorithm("learned Adam", LearnedAdam(0.01, epsilon=1e-3), Unrolled(2), 2),
    "ALFA": lambda: mg.Algorithm("ALFA", ALFA(0.05, hidden=4), Unrolled(2), 2),
    "Meta-Curvature": lambda: mg.Algorithm("MC", MetaCurvature(0.05, largest=8), Unrolled(2), 2),
    # Moves so large that texts, which are made of choices, become other texts.
    "Meta-SGD by evolution": lambda: mg.Algorithm("ES", MetaSGD(0.05), EvolutionStrategies(2.0, 1), 2),
    "controller": lambda: mg.Algorithm("controller", steered(), PolicyGradient(rollouts=2), 2),
    "recurrent": lambda: mg.Algorithm("RNN", RecurrentMetaLearner(0.05, hidden=4, epsilon=1e-3), Unrolled(2), 2),
    "coordinatewise LSTM": lambda: mg.Algorithm("L2L", CoordinatewiseLSTM(5.0, hidden=3), Unrolled(2), 2),
    "meta-LSTM": lambda: mg.Algorithm("meta-LSTM", MetaLSTM(0.05, hidden=3), Unrolled(2), 2),
    "attention": lambda: mg.Algorithm(
        "attention", AttentionMetaLearner(0.05, hidden=4, heads=2, epsilon=1e-3), Unrolled(2), 2
    ),
}
ALGORITHMS |= LEARNED

# There is a context only where there is an encoder. What Consistent compares is a graph even where all else is eager,
# so it meets one game of each kind. And the fusion networks cost ten times as much as any others: all algorithms meet
# the small game that is conditioned as they are, and they meet the algorithms below.
ONLY = {
    "FOMAML, optimistic": {"points, non-saturating"},
    "only the context": {TOLD, FUSION, SOUNDS, TEXTS},
    "consistent FOMAML": {"points, non-saturating", TOLD},
}
# A learned meta-learner depends on params and signals only: one game with state, and one whose players differ in turns.
MET = {"points, non-saturating", "points, two discriminator turns", "batch statistics"}
ONLY |= dict.fromkeys(LEARNED, MET)
FUSED = ("MAML", "FOMAML", "Pretraining", "conditional", "only the context")
# For a game without opponents: an algorithm of each order, one that does not differentiate the loop, and a meta-learner
# of each kind.
ALONE = ("MAML", "FOMAML", "Reptile", "Pretraining", "Meta-SGD", "recurrent", "attention", "controller")
APART = (
    FUSION,
    SOUNDS,
    TEXTS,
    FLOW,
    TOLD_FLOW,
    DISTILLED,
    SAMPLED_FLOW,
    VARIATIONAL,
    TOLD_VAE,
    TRANSLATED,
    TOLD_TRANSLATION,
    TRANSFERRED,
)
PAIRS = [(g, a) for g in GAMES for a in ALGORITHMS if g in ONLY.get(a, GAMES) and g not in APART]
# A meta-learner of many tensors meets every game but the largest.
PAIRS += [(g, "recurrent") for g in GAMES if g not in {*MET, *APART}]
PAIRS += [*((FUSION, a) for a in FUSED), *((VARIATIONAL, a) for a in ALONE), (TOLD_VAE, "FOMAML")]
PAIRS += [*((FLOW, a) for a in (*ALONE, "Reptile with Adam")), *((TOLD_FLOW, a) for a in FUSED)]
PAIRS += [(game, a) for game in (DISTILLED, SAMPLED_FLOW) for a in ("MAML", "FOMAML", "Reptile")]
# Every row of the table on sounds and on texts.
PAIRS += [(g, a) for g in (SOUNDS, TEXTS) for a in ALGORITHMS]
PAIRS += [*((TRANSLATED, a) for a in (*ALONE, "MAML, total derivatives")), (TOLD_TRANSLATION, "FOMAML")]
PAIRS += [(TRANSFERRED, a) for a in ("MAML", "FOMAML", "Reptile", "Pretraining", "recurrent", "controller")]
"""All that make sense; a new game or algorithm is one line above."""

PLAIN = "points, non-saturating"
SLOW = (FUSION, TOLD_FLOW, SOUNDS, TEXTS)
"""Games whose networks take seconds to trace."""


def marked(pairs):
    """Pairs as parameters of a test. Every change must pass those of the plainest game, and those of every other game
    but the `SLOW` ones with FOMAML and the recurrent meta-learner. The rest is marked `conformance`, for `make
    conformance`."""
    known = {a for g, a in PAIRS if g == PLAIN}
    return [
        pair
        if pair[0] not in SLOW and (pair[0] == PLAIN or pair[1] in ("FOMAML", "recurrent") or pair[1] not in known)
        else pytest.param(*pair, marks=pytest.mark.conformance)
        for pair in pairs
    ]


def make(game, algorithm, **options):
    """The model of one pair."""
    return mg.MetaModel(GAMES[game](), ALGORITHMS[algorithm](), **options)
