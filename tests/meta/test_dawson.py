"""DAWSON's estimator: by hand, against plain loops, and what it refuses."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan.games import GAN
from meta_gan.losses import NonSaturating
from meta_gan.meta import Algorithm, SplitOpponents, Unrolled
from meta_gan.meta.dawson import OPPONENT
from meta_gan.meta_learners import Adam, GradientDescent
from meta_gan.types import Settings
from tests.games.nets import batch_norm_gan, conditioned_gan
from tests.meta.meta_learners import LearnedRates
from tests.references.plain import QUERY, descend, fold
from tests.toys import (
    Quadratic,
    Scalar,
    TwoPlayers,
    constant_episodes,
    flat_close,
    numbers,
    one,
    parts,
    random_episodes,
    tiny_gan,
)

A, B, PSI, THETA, C, D = 0.3, 0.2, 1.9, 2.8, 0.4, -0.7
LOSSES = {
    "psi": lambda psi, theta, c: 0.5 * psi**2 - (theta - c) * psi,
    "theta": lambda psi, theta, c: psi * theta + 0.5 * theta**2,
}
EPISODES = random_episodes(tasks=2, dtype="float64")


def linear(repeats=1):
    """A linear-quadratic game: psi is the discriminator, theta the generator."""
    return parts(
        TwoPlayers(PSI, THETA, LOSSES, ((("psi",), repeats), (("theta",), 1))), GradientDescent({"psi": A, "theta": B})
    )


@pytest.mark.parametrize("repeats", [1, 2])
@pytest.mark.parametrize("steps", [1, 3])
def test_by_hand(steps, repeats):
    """The support is the number C, the query D; the judge steps on D against the initial generator."""
    psi, theta, judge = PSI, THETA, PSI
    for _ in range(steps):
        for _ in range(repeats):
            psi -= A * (psi - (theta - C))
            judge -= A * (judge - (THETA - D))
        theta -= B * (psi + theta)
    estimator = SplitOpponents("theta", "psi")
    got = estimator.estimate(*linear(repeats), constant_episodes([C], [D]), steps)
    np.testing.assert_allclose(got.weights["psi"][0], psi - (theta - D), rtol=1e-12)
    np.testing.assert_allclose(got.weights["theta"][0], judge + theta, rtol=1e-12)
    np.testing.assert_allclose(got.metrics["query/theta"], judge * theta + theta**2 / 2, rtol=1e-6)
    np.testing.assert_allclose(got.metrics["query/psi"], psi**2 / 2 - (theta - D) * psi, rtol=1e-6)
    assert abs(judge - psi) > 0.1, "the two discriminators are too near to tell which one judges"


def test_the_discriminators_half_is_first_order_maml_and_the_generators_is_not():
    episodes = constant_episodes([C, 0.1], [D, 1.0])
    split, plain = (e.estimate(*linear(), episodes, 2) for e in (SplitOpponents("theta", "psi"), Unrolled(1)))
    flat_close(split.weights["psi"], plain.weights["psi"], rtol=1e-12)
    assert abs(split.weights["theta"][0] - plain.weights["theta"][0]) > 0.01
    assert set(split.metrics) == set(plain.metrics)
    for name in ("loss/psi", "loss/theta", "query/psi"):
        np.testing.assert_allclose(split.metrics[name], plain.metrics[name], rtol=1e-6)


def test_a_dirac_gan_by_hand():
    """One step of the library's own game, in scalar Python."""
    psi0, theta0, real, held_out, rate = 0.4, -0.6, 0.8, 0.3, 0.5

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def discriminator_slope(psi, theta, c):
        return -c * sigmoid(-psi * c) + theta * sigmoid(psi * theta)

    psi = psi0 - rate * discriminator_slope(psi0, theta0, real)
    theta = theta0 + rate * psi * sigmoid(-psi * theta0)
    judge = psi0 - rate * discriminator_slope(psi0, theta0, held_out)
    game = GAN(Scalar(theta0, ignores_input=True), Scalar(psi0), example_shape=(1,), loss=NonSaturating())
    got = SplitOpponents().estimate(*parts(game, rate=rate), constant_episodes([real], [held_out]), 1)
    np.testing.assert_allclose(got.weights["generator"][0], -judge * sigmoid(-judge * theta), rtol=1e-12)
    np.testing.assert_allclose(got.weights["discriminator"][0], discriminator_slope(psi, theta, held_out), rtol=1e-12)


def by_plain_loops(game, initial, episode, steps, rate):
    """`{net: gradients}` from Python loops that share no code with `meta_gan.meta`."""
    start, state = initial
    end = descend(game, start, state, episode, steps, rate)[0]
    alone = copy.copy(game)
    alone.turns = ((("discriminator",), game.discriminator_turns),)
    other = episode._replace(support=episode.query, seed=fold(episode.seed, OPPONENT))
    judge = descend(alone, start, state, other, steps, rate)[0]["discriminator"]
    gradients = {}
    for player, weights in (("discriminator", end), ("generator", {**end, "discriminator": judge})):
        with tf.GradientTape() as tape:
            tape.watch(weights[player])
            seed = fold(episode.seed, QUERY)
            loss = game.loss(player, initial._replace(weights=weights), episode.query, None, Settings(), seed)[0]
        gradients[player] = tape.gradient(loss, weights[player])
    return gradients


@pytest.mark.parametrize("turns", [1, 2])
def test_a_gan_equals_plain_loops(turns):
    game = tiny_gan("float64", loss=NonSaturating(), discriminator_turns=turns)
    pieces = parts(game, rate=0.2)
    got = SplitOpponents().estimate(*pieces, EPISODES, 2)
    each = [numbers(by_plain_loops(game, pieces[1].initial, one(EPISODES, t), 2, 0.2)) for t in range(2)]
    expected = tf.nest.map_structure(lambda *g: np.mean(g, axis=0), *each)
    flat_close(numbers(got.weights), expected, rtol=1e-9, atol=1e-13)


def test_the_same_eagerly_and_in_a_graph_and_twice():
    pieces = parts(tiny_gan("float64", loss=NonSaturating()))
    graph = tf.function(lambda: SplitOpponents().estimate(*pieces, EPISODES, 2), autograph=False)
    once, again = numbers(graph()), numbers(graph())
    flat_close(once._asdict(), again._asdict())
    each = [SplitOpponents().task(*pieces, one(EPISODES, t), 2)._asdict() for t in range(2)]
    eager = tf.nest.map_structure(lambda a, b: (np.asarray(a) + np.asarray(b)) / 2, *each)
    flat_close(eager, once._asdict(), rtol=1e-6, atol=1e-12)  # metrics are float32


@pytest.mark.parametrize("make", [batch_norm_gan, conditioned_gan], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "meta_learner", [pytest.param(None, id="GD"), pytest.param(lambda: Adam(0.01), id="Adam", marks=pytest.mark.slow)]
)
def test_games_with_state_and_with_conditioning(make, meta_learner):
    """The nets' new state is that of the support set's loop: the judge's is not kept."""
    pieces = parts(make(loss=NonSaturating()), meta_learner() if meta_learner else None)
    episodes = random_episodes(tasks=2)
    split, plain = (e.estimate(*pieces, episodes, 2) for e in (SplitOpponents(), Unrolled(1)))
    flat_close(split.state, plain.state, rtol=1e-6)
    for net, gradients in split.weights.items():
        assert all(np.isfinite(g).all() for g in gradients) and max(np.abs(g).max() for g in gradients) > 1e-5, net
        same = np.allclose(gradients[0], plain.weights[net][0], rtol=1e-5, atol=1e-8)
        assert same == (net == "discriminator"), net


def test_only_the_discriminators_paths_matter_to_the_judge():
    """With a generator that does not adapt, G_s is the initial one, and it still gets its gradient."""
    pieces = parts(tiny_gan("float64", loss=NonSaturating()), pattern="^discriminator/")
    got = SplitOpponents().estimate(*pieces, EPISODES, 2)
    assert max(np.abs(g).max() for g in got.weights["generator"]) > 1e-4


def test_it_trains_a_model():
    algorithm = Algorithm("DAWSON", GradientDescent(0.1), SplitOpponents(), 2)
    model = mg.MetaModel(tiny_gan(loss=NonSaturating()), algorithm)
    model.compile(optimizer="sgd")
    before = [v.numpy() for v in model.trainable_variables]
    metrics = model.train_step(random_episodes(tasks=2))
    assert all(np.isfinite(value) for value in metrics.values())
    assert all(np.any(a != v) for a, v in zip(before, model.trainable_variables, strict=True))


def test_survives_serialisation():
    estimator = SplitOpponents("theta", discriminator="psi")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(estimator))
    assert type(again) is SplitOpponents and again.get_config() == {"generator": "theta", "discriminator": "psi"}
    assert SplitOpponents().get_config() == {"generator": "generator", "discriminator": "discriminator"}
    assert keras.saving.get_registered_name(SplitOpponents) == "meta_gan>SplitOpponents"


def test_other_games_are_refused():
    episodes = constant_episodes([C], [D])
    with pytest.raises(ValueError, match=r"players 'generator' and 'discriminator'\. Received: players \['learner'\]"):
        SplitOpponents().estimate(*parts(Quadratic(1.0, 2.0)), episodes, 1)
    with pytest.raises(ValueError, match=r"players 'theta' and 'phi'\. Received: players \['psi', 'theta'\]"):
        SplitOpponents("theta", "phi").estimate(*linear(), episodes, 1)


def test_a_discriminator_that_does_not_adapt_is_refused():
    pieces = parts(tiny_gan("float64"), pattern="^generator/")
    with pytest.raises(ValueError, match="a mask that selects weights of 'discriminator'"):
        SplitOpponents().estimate(*pieces, EPISODES, 1)


def test_one_name_twice_and_learned_meta_learners_are_refused():
    with pytest.raises(ValueError, match=r"two players\. Received: 'psi' twice"):
        SplitOpponents("psi", "psi")
    with pytest.raises(ValueError, match="LearnedRates with SplitOpponents"):
        Algorithm("no", LearnedRates(), SplitOpponents(), 2)
