"""The table of algorithms, the estimators' refusals, and the baseline without meta-learning."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan import MetaModel, meta
from meta_gan.losses import NonSaturating
from meta_gan.meta import (
    FOMAML,
    MAML,
    Algorithm,
    Displacement,
    JointTraining,
    Pretraining,
    Reptile,
    Unrolled,
)
from meta_gan.meta_learners import Adam, GradientDescent
from meta_gan.types import Settings
from tests.meta.meta_learners import LearnedRates
from tests.references.plain import fold
from tests.toys import flat_close, one, parts, random_episodes, tiny_gan

MADE = [
    MAML(3, 0.1, "kernel", partial=False),
    FOMAML(4, {"discriminator": 0.1, "generator": 0.2}),
    Reptile(5, meta_learner=Adam(0.01, second_decay=0.9)),
    Pretraining(6, 0.3),
    Algorithm("mine", LearnedRates(-1.0), Unrolled(1), 2),
    FOMAML(0),
    Algorithm("ramp", LearnedRates(-1.0), Unrolled(2, last=2), 4, ramp=7),
]


@pytest.mark.parametrize("algorithm", MADE, ids=lambda a: f"{a.name}, {a.inner_steps}")
def test_round_trip(algorithm):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(algorithm))
    for name in ("name", "inner_steps", "mask", "ramp"):
        assert getattr(again, name) == getattr(algorithm, name)
    assert type(again.estimator) is type(algorithm.estimator)
    assert again.estimator.get_config() == algorithm.estimator.get_config()
    assert type(again.meta_learner) is type(algorithm.meta_learner)
    assert again.meta_learner.get_config() == algorithm.meta_learner.get_config()


PLAIN = {"partial": True, "checkpoint": 0, "last": 1, "window": None, "rescale": 0.0}


def test_the_table():
    """What each name stands for, as in design.md."""
    rows = {
        "MAML": (MAML(), GradientDescent, Unrolled, {**PLAIN, "order": 2}),
        "FOMAML": (FOMAML(), GradientDescent, Unrolled, {**PLAIN, "order": 1}),
        "Reptile": (Reptile(), GradientDescent, Displacement, {}),
        "Pretraining": (Pretraining(), GradientDescent, JointTraining, {}),
    }
    for name, (algorithm, meta_learner, estimator, config) in rows.items():
        assert algorithm.name == name
        assert type(algorithm.meta_learner) is meta_learner
        assert type(algorithm.estimator) is estimator
        assert algorithm.estimator.get_config() == config
    assert not JointTraining.adapts and Displacement.adapts


@pytest.mark.parametrize("steps", [-1, 2.0, 1.0, None, "2", True, False])
def test_bad_inner_steps_are_refused(steps):
    with pytest.raises(ValueError, match=rf"'inner_steps' must be an integer >= 0 and < 2\^31\. Received: {steps!r}"):
        FOMAML(steps)


def test_without_inner_steps_adapt_changes_nothing():
    """The default of `adapt` is the algorithm's own number; another may still be asked for."""
    model = MetaModel(tiny_gan(), FOMAML(0, 0.1))
    support = random_episodes().support[0].numpy()
    assert model.algorithm.inner_steps == 0
    start = model.meta_weights().initial
    flat_close(model.adapt(support).snapshot, start)
    moved = model.adapt(support, steps=1).snapshot.weights["generator"]
    assert np.any(moved[0] != start.weights["generator"][0])


@pytest.mark.parametrize("estimator", [Unrolled(1), Unrolled(2), Displacement()], ids=["1", "2", "Reptile"])
def test_an_estimate_without_inner_steps(estimator):
    """The gradients are those of the query objectives where they stand; Reptile is displaced by nothing."""
    pieces = parts(tiny_gan("float64", loss=NonSaturating()))
    episodes = random_episodes(tasks=1, dtype="float64")
    got = estimator.estimate(*pieces, episodes, 0)
    (loop, meta), game = pieces, pieces[0].game
    start = meta.initial
    flat_close(got.state, start.state)
    for player, (net,) in game.players.items():
        assert float(got.metrics[f"loss/{player}"]) == 0.0, "of no move there is no loss, and no NaN either"
        with tf.GradientTape() as tape:
            tape.watch(start.weights[net])
            value = loop.objectives(start, one(episodes))[player]
        wanted = tape.gradient(value, start.weights[net])
        if isinstance(estimator, Displacement):
            wanted = [tf.zeros_like(w) for w in wanted]
        flat_close(got.weights[net], wanted, rtol=1e-9, atol=1e-12)


def test_a_learned_meta_learner_that_nothing_would_train_is_refused():
    for estimator in (Displacement(), JointTraining()):
        with pytest.raises(ValueError, match=r"LearnedRates with (Displacement|JointTraining)"):
            Algorithm("no", LearnedRates(), estimator, 2)


@pytest.mark.parametrize("order", [0, 3, "2"])
def test_bad_orders_are_refused(order):
    with pytest.raises(ValueError, match="'order' must be 1 or 2"):
        Unrolled(order)


def test_a_rate_for_every_player_is_required():
    with pytest.raises(ValueError, match=r"without \['generator'\]"):
        parts(tiny_gan(), GradientDescent({"discriminator": 0.1}))


def test_pretraining_is_each_owners_gradient_on_support_and_query_together():
    """By hand: at the initial weights, each player's loss on the seven examples, whatever the inner steps."""
    episodes = random_episodes(tasks=2, shots=3, queries=4, dtype="float64")
    pieces = parts(tiny_gan("float64", loss=NonSaturating()))
    game, start = pieces[0].game, pieces[1]
    got = JointTraining().estimate(*pieces, episodes, 9)
    for number, (player, (net,)) in enumerate(game.players.items()):
        gradients = []
        for task in range(2):
            batch = tf.concat([episodes.support[task], episodes.query[task]], axis=0)
            with tf.GradientTape() as tape:
                tape.watch(start.initial.weights[net])
                seed = fold(episodes.seed[task], 0, number)
                loss = game.loss(player, start.initial, batch, None, Settings(), seed)[0]
            gradients.append([g.numpy() for g in tape.gradient(loss, start.initial.weights[net])])
        flat_close(got.weights[net], [np.mean(g, axis=0) for g in zip(*gradients, strict=True)], rtol=1e-9, atol=1e-12)


def test_every_public_name_is_the_loop_an_algorithm_an_estimator_or_makes_one():
    """A new kind of thing in `meta` should make someone think of its tests here."""
    for name in meta.__all__:
        thing = getattr(meta, name)
        if isinstance(thing, type):
            assert thing in (Algorithm, meta.InnerLoop) or issubclass(thing, meta.Estimator), name
        else:
            assert isinstance(thing(), Algorithm), name
