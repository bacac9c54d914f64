"""Windows, means over the last steps and ramps: by hand, and against sums of known gradients."""

import math

import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan.losses import NonSaturating
from meta_gan.meta import Algorithm, EvolutionStrategies, Unrolled
from meta_gan.meta_learners import GradientDescent, MetaSGD
from tests.meta.meta_learners import LearnedRates
from tests.toys import Quadratic, adapt, constant_episodes, flat_close, one, parts, random_episodes, tiny_gan

CURVATURE, START, SUPPORT, QUERY = 0.8, 1.5, -0.5, 0.25
EPISODE = one(constant_episodes([SUPPORT], [QUERY]))


def estimate(steps, pieces=None, episode=EPISODE, **options):
    pieces = parts(Quadratic(START, CURVATURE), LearnedRates(math.log(0.3), 0.05)) if pieces is None else pieces
    return tf.function(lambda: Unrolled(2, **options).task(*pieces, episode, steps), autograph=False)()


def gradient_by_hand(ends, steps, window, step=1e-6):
    """Central differences of the mean distance after the given steps, averaged over windows. Each window starts where
    the unperturbed meta-learner ended the one before, and is perturbed within itself only."""

    def walk(w, log_rate, decay, count):
        path = []
        for _ in range(count):
            w += -math.exp(log_rate) * CURVATURE * (w - SUPPORT) - decay * w
            path.append(w)
        return path

    at, total = np.array([math.log(0.3), 0.05]), np.zeros(2)
    for number in range(steps // window):
        start = ([START, *walk(START, *at, number * window)])[-1]

        def mean(numbers, start=start):
            path = walk(start, *numbers, window)
            return np.mean([0.5 * CURVATURE * (path[i] - QUERY) ** 2 for i in ends])

        total += [(mean(at + d) - mean(at - d)) / (2 * step) for d in step * np.eye(2)]
    return total / (steps // window)


@pytest.mark.parametrize(
    ("steps", "options", "ends", "window"),
    [
        (4, {}, [3], 4),
        (4, {"last": 1}, [3], 4),
        (4, {"last": 3}, [1, 2, 3], 4),
        (4, {"last": 4}, [0, 1, 2, 3], 4),
        (6, {"window": 2}, [1], 2),
        (6, {"window": 3, "last": 2}, [1, 2], 3),
        (6, {"window": 6}, [5], 6),
        (3, {"window": 1}, [0], 1),
    ],
)
def test_by_hand(steps, options, ends, window):
    expected = gradient_by_hand(ends, steps, window)
    np.testing.assert_allclose(estimate(steps, **options).meta_learner, expected, rtol=1e-6)


def test_only_the_first_window_sees_the_start():
    """The start's gradient of windows of 2 is half of that of the first two steps alone: the second window's is 0."""
    short, long = estimate(2), estimate(4, window=2)
    flat_close(long.weights, tf.nest.map_structure(lambda g: g / 2, short.weights), rtol=1e-12)
    assert abs(float(short.weights["point"][0])) > 0.01


def gan():
    pieces = parts(tiny_gan("float64", loss=NonSaturating()), MetaSGD(0.1, dtype="float64"))
    return pieces, one(random_episodes(dtype="float64"))


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "options"), [(3, {"last": 2}), (6, {"window": 3, "last": 2})])
def test_checkpoints_change_nothing(steps, options):
    """A piece of two steps is cut short by the end of a window, or of all."""
    pieces, episode = gan()
    flat_close(*(estimate(steps, pieces, episode, checkpoint=c, **options) for c in (0, 2)), rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_the_end_is_where_the_loop_ends():
    """Records and state are those of the whole loop, however it is cut."""
    pieces, episode = gan()
    carry, records = adapt(pieces, episode, 6)
    for options in ({"last": 4}, {"window": 2}, {"window": 3, "last": 3}):
        found = estimate(6, pieces, episode, **options)
        flat_close(found.state, carry.state, rtol=1e-12)
        means = [float(found.metrics[f"loss/{player}"]) for player in ("discriminator", "generator")]
        np.testing.assert_allclose(means, records.numpy().mean(0), rtol=1e-6)


def test_a_ramp_by_hand():
    """ceil(10 (made + 1) / 4), at least the last steps that are measured."""
    algorithm = Algorithm("ramp", MetaSGD(0.1), Unrolled(2, last=4), 10, ramp=4)
    assert [int(algorithm.steps_at(tf.constant(i))) for i in range(6)] == [4, 5, 8, 10, 10, 10]
    assert Algorithm("none", MetaSGD(0.1), Unrolled(2), 10).steps_at(tf.constant(0)) == 10


@pytest.mark.slow
def test_a_ramp_is_trained_with():
    """Outer steps of a ramp of 2 to 4 inner steps are those of models with 2 and with 4."""
    episodes, moved = random_episodes(dtype="float64"), {}
    for steps, ramp in ((4, 2), (2, 0), (4, 0)):
        game = tiny_gan("float64", loss=NonSaturating())
        meta_learner = MetaSGD(0.1, dtype="float64")
        model = mg.MetaModel(game, Algorithm("a", meta_learner, Unrolled(2), steps, ramp=ramp))
        model.compile(optimizer="adam")
        norms = []
        for made in range(2):
            model.optimizer.iterations.assign(made)
            start = mg.functional.read(game.nets)
            learned = [v.numpy() for v in meta_learner.trainable_variables]
            norms.append(float(model.meta_step(episodes)["gradient_norm/meta_learner"]))
            mg.functional.write(game.nets, start)
            for variable, value in zip(meta_learner.trainable_variables, learned, strict=True):
                variable.assign(value)
        moved[steps, ramp] = norms
    np.testing.assert_allclose(moved[4, 2], [moved[2, 0][0], moved[4, 0][1]], rtol=1e-6)
    assert abs(moved[2, 0][0] - moved[4, 0][0]) > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"last": 0}, "'last' must be an integer"),
        ({"window": 0}, "'window' must be an integer"),
        ({"window": 2, "last": 3}, "'window' must be an integer"),
        ({"rescale": -0.1}, "'rescale' must be a finite number >= 0"),
        ({"rescale": math.nan}, "'rescale' must be a finite number >= 0"),
        ({"rescale": True}, "'rescale' must be a finite number >= 0"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Unrolled(2, **options)


@pytest.mark.parametrize("options", [{"last": 2}, {"window": 5}, {"rescale": 0.1}])
def test_what_is_for_learned_meta_learners(options):
    with pytest.raises(ValueError, match=r"are for learned meta-learners\. Received: GradientDescent"):
        Algorithm("a", GradientDescent(0.1), Unrolled(2, **options), 5)


@pytest.mark.parametrize(("options", "steps"), [({"last": 4}, 3), ({"window": 2}, 3), ({"window": 2}, 0)])
def test_steps_that_do_not_fit(options, steps):
    with pytest.raises(ValueError, match="'window' must divide the inner steps, and 'last'"):
        Algorithm("a", MetaSGD(0.1), Unrolled(2, **options), steps)


@pytest.mark.parametrize("estimator", [Unrolled(2, checkpoint=1), Unrolled(2, window=5), EvolutionStrategies()])
def test_a_ramp_needs_steps_that_may_vary(estimator):
    with pytest.raises(ValueError, match="'ramp' must be 0 with an estimator that takes a fixed number"):
        Algorithm("a", MetaSGD(0.1), estimator, 5, ramp=3)
