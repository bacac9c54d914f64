"""Evolution strategies against closed forms: the smoothed gradient of one step, and of windows; and that they learn."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional
from meta_gan.losses import NonSaturating
from meta_gan.meta import EvolutionStrategies, Unrolled
from meta_gan.meta.evolution_strategies import rate_factor
from meta_gan.meta_learners import GradientDescent, MetaSGD
from tests.meta.meta_learners import LearnedRates
from tests.toys import Quadratic, constant_episodes, flat_close, one, parts, random_episodes, tiny_gan

CURVATURE, START, SUPPORT, QUERY = 0.8, 1.5, -0.5, 0.25
EPISODE = one(constant_episodes([SUPPORT], [QUERY]))


def quadratic(**options):
    return parts(Quadratic(START, CURVATURE), LearnedRates(math.log(0.3), 0.05, **options))


def estimate(pieces, steps, episode=EPISODE, **options):
    strategies = EvolutionStrategies(**options)
    return tf.function(lambda: strategies.task(*pieces, episode, steps), autograph=False)()


def distance_at_ends(log_rate, decay, steps, window):
    """The mean of the distances at the windows' ends, by hand."""
    w, ends = START, []
    for step in range(1, steps + 1):
        w += -math.exp(log_rate) * CURVATURE * (w - SUPPORT) - decay * w
        if step % window == 0:
            ends.append(0.5 * CURVATURE * (w - QUERY) ** 2)
    return np.mean(ends)


def gradient_by_hand(steps, window, step=1e-5):
    at = np.array([math.log(0.3), 0.05])
    return [
        (distance_at_ends(*(at + d), steps, window) - distance_at_ends(*(at - d), steps, window)) / (2 * step)
        for d in step * np.eye(2)
    ]


@pytest.mark.parametrize(("steps", "window"), [(1, None), (4, None), (4, 2), (4, 1)])
def test_many_pairs_find_the_gradient(steps, window):
    """2,000 pairs of small moves: within four deviations of the mean of the estimates of single pairs, and these do
    not hide it."""
    exact = np.array(gradient_by_hand(steps, window or steps))
    seeds = [EPISODE._replace(seed=tf.constant([7, i])) for i in range(20)]
    pieces = quadratic()
    run = tf.function(
        lambda episode: EvolutionStrategies(0.003, 100, window).task(*pieces, episode, steps).meta_learner,
        autograph=False,
    )
    found = np.array([[float(g) for g in run(episode)] for episode in seeds])
    error = np.abs(found.mean(0) - exact)
    deviation = found.std(0) / math.sqrt(len(seeds))
    assert np.all(error < 4 * deviation + 1e-4) and np.all(np.abs(exact) > 6 * deviation)


def test_one_window_agrees_with_the_derivative():
    """The same number that `Unrolled` gets by differentiation."""
    (rate, decay) = Unrolled(2).task(*quadratic(), EPISODE, 3).meta_learner
    np.testing.assert_allclose(gradient_by_hand(3, 3), [rate, decay], rtol=1e-6)


def test_a_pair_is_antithetic_and_by_hand():
    """One pair, one window: (d+ - d-) / (2 sigma^2) times the move that was drawn."""
    pieces = quadratic()
    loop, meta = pieces
    strategies = EvolutionStrategies(0.2, 1)
    seed = functional.fold(functional.fold(EPISODE.seed, 6), 0)
    moves = [float(m) for m in strategies._draw(meta.meta_learner, functional.fold(seed, 0))]
    names = [v.name for v in loop.meta_learner.trainable_variables]
    by_name = dict(zip(names, moves, strict=True))
    ends = [
        distance_at_ends(math.log(0.3) + s * by_name["log_rate_learner"], 0.05 + s * by_name["decay"], 3, 3)
        for s in (1, -1)
    ]
    expected = [(ends[0] - ends[1]) / (2 * 0.2**2) * m for m in moves]
    np.testing.assert_allclose([float(g) for g in estimate(pieces, 3, sigma=0.2, pairs=1).meta_learner], expected)


def test_pairs_are_averaged_and_differ():
    alone, both = (estimate(quadratic(), 2, sigma=0.1, pairs=n).meta_learner for n in (1, 2))
    assert max(abs(float(a) - float(b)) for a, b in zip(alone, both, strict=True)) > 1e-4
    again = estimate(quadratic(), 2, sigma=0.1, pairs=2).meta_learner
    flat_close(both, again)


def test_only_the_meta_learner_has_a_gradient():
    """The nets' initial weights do not change; state and metrics are those of the unperturbed meta-learner."""
    pieces = parts(tiny_gan("float64", loss=NonSaturating()), MetaSGD(0.1, dtype="float64"))
    episode = one(random_episodes(dtype="float64"))
    got = estimate(pieces, 4, episode, pairs=2, window=2)
    assert all(not np.any(g) for g in tf.nest.flatten(got.weights))
    assert [g.shape for g in got.meta_learner] == [v.shape for v in pieces[1].meta_learner]
    assert max(np.abs(g).max() for g in got.meta_learner) > 1e-6
    flat_close(got.metrics, Unrolled(1).task(*pieces, episode, 4).metrics, rtol=1e-5)


def test_it_learns_a_rate():
    """From a rate of .01 towards what brings five steps nearest to the query: the distance falls by half and more."""
    game, rates = Quadratic(START, CURVATURE), LearnedRates(math.log(0.01), 0.0)
    model = mg.MetaModel(game, mg.Algorithm("ES", rates, EvolutionStrategies(0.1, 8), 5))
    model.compile(optimizer=keras.optimizers.Adam(0.1))
    episodes = constant_episodes([SUPPORT], [SUPPORT])
    before = float(model.assess(episodes)["distance/after"])
    step = tf.function(model.meta_step, autograph=False)
    for i in range(40):
        step(episodes._replace(seed=tf.constant([[i, 1]])))
    assert float(model.assess(episodes)["distance/after"]) < 0.5 * before
    assert float(game.nets["point"].trainable_variables[0]) == START


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": 0.0}, "'sigma' must be a finite number > 0"),
        ({"sigma": math.inf}, "'sigma' must be a finite number > 0"),
        ({"pairs": 0}, "'pairs' must be an integer"),
        ({"pairs": 2.0}, "'pairs' must be an integer"),
        ({"pairs": None}, "'pairs' must be an integer"),
        ({"window": 0}, "'window' must be an integer"),
        ({"window": True}, "'window' must be an integer"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        EvolutionStrategies(**options)


@pytest.mark.parametrize(("window", "steps"), [(2, 5), (3, 2), (None, 0)])
def test_windows_that_do_not_fit_are_refused(window, steps):
    with pytest.raises(ValueError, match="'window' must divide the inner steps"):
        mg.Algorithm("ES", LearnedRates(), EvolutionStrategies(window=window), steps)


def test_a_meta_learner_without_weights_is_refused():
    with pytest.raises(ValueError, match=r"a learned meta-learner to train\. Received: GradientDescent"):
        mg.Algorithm("ES", GradientDescent(0.1), EvolutionStrategies(), 2)


def test_round_trip():
    made = EvolutionStrategies(0.5, 3, 2, True, 3.0)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert (
        again.get_config()
        == made.get_config()
        == {
            "sigma": 0.5,
            "pairs": 3,
            "window": 2,
            "logarithm": True,
            "spread": 3.0,
        }
    )


def test_of_logarithms_and_spread_rates_by_hand():
    """One pair: the difference of the log distances, capped at ten times the first, at the task's own rate."""
    pieces = quadratic()
    loop, meta = pieces
    strategies = EvolutionStrategies(0.2, 1, logarithm=True, spread=9.0)
    seed = functional.fold(functional.fold(EPISODE.seed, 6), 0)
    moves = [float(m) for m in strategies._draw(meta.meta_learner, functional.fold(seed, 0))]
    names = dict(zip([v.name for v in loop.meta_learner.trainable_variables], moves, strict=True))
    factor = float(rate_factor(9.0, EPISODE.seed))
    first = 0.5 * CURVATURE * (START - QUERY) ** 2

    def log_end(sign):
        w = START
        rate = math.exp(math.log(0.3) + sign * names["log_rate_learner"])
        for _ in range(3):
            w += factor * (-rate * CURVATURE * (w - SUPPORT) - (0.05 + sign * names["decay"]) * w)
        return math.log(np.clip(0.5 * CURVATURE * (w - QUERY) ** 2, 1e-3, 10 * first))

    expected = [(log_end(1) - log_end(-1)) / (2 * 0.2**2) * m for m in moves]
    found = estimate(pieces, 3, sigma=0.2, pairs=1, logarithm=True, spread=9.0).meta_learner
    np.testing.assert_allclose([float(g) for g in found], expected, rtol=1e-4)


@pytest.mark.parametrize("options", [{"logarithm": 1}, {"spread": 0.5}, {"spread": "a"}])
def test_options_are_checked(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        EvolutionStrategies(**options)
