"""A public class that no case covers fails the suite."""

import inspect

import meta_gan as mg
from meta_gan import games, losses, meta, meta_learners
from tests.conformance.cases import ALGORITHMS, GAMES, make


def public_classes(*modules):
    found = {value for module in modules for value in vars(module).values() if inspect.isclass(value)}
    return {value.__name__ for value in found if value.__module__.startswith("meta_gan")}


def used():
    """Names of the classes that the cases are made of."""
    names = set()
    for game in GAMES:
        made = GAMES[game]()
        names |= {type(part).__name__ for part in (made, made.loss_function, made.penalty) if part is not None}
    for algorithm in ALGORITHMS:
        made = ALGORITHMS[algorithm]()
        names |= {type(part).__name__ for part in (made, made.meta_learner, made.estimator)}
    return names


# Contracts and records, which no case can be an instance of.
ABSTRACT = {"Endpoint", "Estimator", "Game", "MetaLearner"}


def test_every_loss_rule_estimator_and_game_is_in_a_case():
    assert public_classes(losses, meta_learners, meta, games) - ABSTRACT - used() == set()


def test_the_guard_sees_a_class_that_is_left_out():
    assert "Hinge" in public_classes(losses)
    assert public_classes(losses) - used() != public_classes(losses)
    assert {"GAN", "Unrolled", "Displacement", "JointTraining", "Adam"} <= used()


def test_every_row_of_the_table_has_a_case_of_its_kind():
    rows = [mg.MAML(), mg.FOMAML(), mg.Reptile(), mg.Pretraining()]
    kinds = {(type(a.estimator).__name__, str(a.estimator.get_config())) for a in rows}
    cases = {
        (type(m.algorithm.estimator).__name__, str(m.algorithm.estimator.get_config()))
        for m in (make("points, non-saturating", name) for name in ALGORITHMS)
    }
    assert kinds <= cases
