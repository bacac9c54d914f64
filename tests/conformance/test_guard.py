"""A public class that no case covers fails the suite."""

import inspect

import meta_gan as mg
from meta_gan import controller, games, losses, meta, meta_learners
from tests.conformance.cases import ALGORITHMS, GAMES


def public_classes(*modules):
    found = {value for module in modules for value in vars(module).values() if inspect.isclass(value)}
    return {value.__name__ for value in found if value.__module__.startswith("meta_gan")}


PARTS = ("loss_function", "penalty", "augmentation", "terms", "likelihood")
"""What games are made of beside nets; a game has some of them."""


def used():
    """Names of the classes that the cases are made of."""
    names = set()
    for game in GAMES:
        made = GAMES[game]()
        names |= {type(getattr(made, part, None)).__name__ for part in PARTS} | {type(made).__name__}
        # A term that is a loss by itself, which a game makes when the term has a weight.
        names |= {"ModeSeeking"} if getattr(getattr(made, "terms", None), "mode_seeking", 0) > 0 else set()
    for algorithm in ALGORITHMS:
        made = ALGORITHMS[algorithm]()
        names |= {type(part).__name__ for part in (made, made.meta_learner, made.estimator)}
        names.add(type(getattr(made.estimator, "estimator", None)).__name__)
    return names - {"NoneType"}


# Contracts and records, of which no case can be an instance, and classes around a game and a meta-learner.
ABSTRACT = {"AdaptationEnvironment", "AdversarialLoss", "Endpoint", "Estimator", "Game", "InnerLoop", "MetaLearner"}


def test_every_loss_meta_learner_estimator_and_game_is_in_a_case():
    assert public_classes(losses, meta_learners, meta, controller, games) - ABSTRACT - used() == set()


def test_the_guard_sees_a_class_that_is_left_out():
    assert "Hinge" in public_classes(losses)
    assert public_classes(losses) - used() != public_classes(losses)
    assert {
        "GAN",
        "VAE",
        "Gaussian",
        "Terms",
        "Unrolled",
        "Consistent",
        "Displacement",
        "JointTraining",
        "Adam",
    } <= used()


def test_every_term_and_every_way_to_condition_is_in_a_case():
    """Classes are not all that a game is made of."""
    made = [game for game in (GAMES[name]() for name in GAMES) if isinstance(game, games.GAN)]
    weights = [game.terms.get_config() for game in made]
    assert all(any(each[term] for each in weights) for term in weights[0])
    ways = [(game.conditioned, game.sees_support, game.holdout > 0) for game in made]
    assert {(False, False, False), (True, True, True)} <= set(ways)
    assert 0 in {ALGORITHMS[name]().inner_steps for name in ALGORITHMS}


def test_every_row_of_the_table_has_a_case_of_its_kind():
    rows = [mg.MAML(), mg.FOMAML(), mg.Reptile(), mg.Pretraining()]
    kinds = {(type(a.estimator).__name__, str(a.estimator.get_config())) for a in rows}
    cases = {
        (type(a.estimator).__name__, str(a.estimator.get_config())) for a in (ALGORITHMS[name]() for name in ALGORITHMS)
    }
    assert kinds <= cases
