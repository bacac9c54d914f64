"""Hand-designed meta-learners by hand and against Keras's optimizers, over several steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.meta_learners import Adam, GradientDescent, MetaLearner, Momentum, OptimisticGradient
from meta_gan.types import Settings
from tests.meta_learners.helpers import SEED, START, slopes, trajectory

KERAS = {
    "GradientDescent": (lambda: GradientDescent(0.05), lambda: keras.optimizers.SGD(0.05)),
    "Momentum": (lambda: Momentum(0.05, 0.8), lambda: keras.optimizers.SGD(0.05, momentum=0.8)),
    "Adam": (
        lambda: Adam(0.05, 0.6, 0.95, epsilon=1e-12),
        lambda: keras.optimizers.Adam(0.05, 0.6, 0.95, epsilon=1e-12),
    ),
}


@pytest.mark.parametrize("name", KERAS)
def test_five_steps_equal_keras(name):
    """Keras holds its coefficients in float32, hence the tolerance of 1e-6."""
    meta_learner, optimizer = KERAS[name][0](), KERAS[name][1]()
    variables = [keras.Variable(w, dtype="float64") for w in START["a"]]
    for step in trajectory(meta_learner, 5, players=("a",)):
        optimizer.apply([tf.constant(g) for g in slopes([v.numpy() for v in variables])], variables)
        for ours, theirs in zip(step["a"], variables, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-6)
        for untouched, value in zip(step["b"], START["b"], strict=True):
            np.testing.assert_array_equal(untouched, value)


def test_gradient_descent_by_hand():
    (step,) = trajectory(GradientDescent(0.1), 1)
    np.testing.assert_allclose(step["a"][0], [1 - 0.1 * 2, -2 + 0.1 * 7], rtol=1e-12)
    np.testing.assert_allclose(step["a"][1], [[3 - 0.1 * 28]], rtol=1e-12)


def test_momentum_by_hand():
    """m1 = g1, m2 = .5 m1 + g2, with w^3 + 1 from w = 1."""
    start = {"a": [np.array([1.0])]}
    first, second = trajectory(Momentum(0.1, 0.5), 2, start=start)
    assert first["a"][0] == pytest.approx([0.8])
    assert second["a"][0] == pytest.approx([0.8 - 0.1 * (0.5 * 2 + 0.8**3 + 1)])


def test_the_optimistic_gradient_by_hand():
    """The first move is plain; the next goes by 2 g2 - g1, with w^3 + 1 from w = 1."""
    start = {"a": [np.array([1.0])]}
    first, second = trajectory(OptimisticGradient(0.1), 2, start=start)
    assert first["a"][0] == pytest.approx([0.8])
    assert second["a"][0] == pytest.approx([0.8 - 0.1 * (2 * (0.8**3 + 1) - 2)])


@pytest.mark.parametrize(("kind", "converges"), [(OptimisticGradient, True), (GradientDescent, False)])
def test_the_optimistic_gradient_converges_where_gradient_descent_rotates(kind, converges):
    """On f = x y, simultaneous descent in x and ascent in y, from (1, 1)."""
    params = {"a": [tf.constant([1.0], tf.float64)], "b": [tf.constant([1.0], tf.float64)]}
    meta_learner = kind(0.2)
    state = meta_learner.begin(params)
    for _ in range(200):
        (x,), (y,) = params["a"], params["b"]
        state, down = meta_learner.update(state, "a", params, [y], {}, SEED)
        state, up = meta_learner.update(state, "b", params, [-x], {}, SEED)
        params = {"a": [x + down[0]], "b": [y + up[0]]}
    distance = float(tf.norm([params["a"][0], params["b"][0]]))
    assert distance < 0.05 if converges else distance > 10


def test_adam_by_hand():
    """The first step is the rate times the sign; the second follows from the bias-corrected means."""
    start = {"a": [np.array([1.0])]}
    first, second = trajectory(Adam(0.1, 0.5, 0.75, epsilon=1e-9), 2, start=start)
    assert first["a"][0] == pytest.approx([0.9])
    g1, g2 = 2.0, 0.9**3 + 1
    mean = (0.5 * 0.5 * g1 + 0.5 * g2) / (1 - 0.5**2)
    square = (0.75 * 0.25 * g1**2 + 0.25 * g2**2) / (1 - 0.75**2)
    assert second["a"][0] == pytest.approx([0.9 - 0.1 * mean / np.sqrt(square)])


def test_adams_epsilon_is_under_the_root():
    (step,) = trajectory(Adam(0.1, epsilon=1.5), 1, start={"a": [np.array([1.0])]})
    assert step["a"][0] == pytest.approx([1 - 0.1 * 2 / np.sqrt(4 + 1.5**2)])


@pytest.mark.parametrize("make", [lambda: Momentum(0.1), lambda: OptimisticGradient(0.1), lambda: Adam(0.1)])
def test_players_do_not_share_state(make):
    """b's steps are the same with and without a's in between: moments and turn counts are each one's own."""
    alone = trajectory(make(), 4, players=("b",))
    both = trajectory(make(), 4, players=("a", "b"))
    for x, y in zip(alone, both, strict=True):
        np.testing.assert_array_equal(x["b"][0], y["b"][0])


@pytest.mark.parametrize("kind", [GradientDescent, Momentum, OptimisticGradient, Adam])
def test_rates_by_player(kind):
    both = trajectory(kind({"a": 0.1, "b": 0.01}), 3, players=("a", "b"))
    for player, rate in (("a", 0.1), ("b", 0.01)):
        same = trajectory(kind(rate), 3, players=(player,))
        np.testing.assert_array_equal(both[-1][player][0], same[-1][player][0])


@pytest.mark.parametrize("epsilon", [1e-7, 1e-3])
def test_adam_has_a_finite_second_order_derivative_at_a_zero_gradient(epsilon):
    """A textbook Adam gives NaN: sqrt has an infinite slope at 0. Here d delta / d g = -rate / epsilon at g = 0."""
    meta_learner, param = Adam(0.1, 0.0, 0.5, epsilon), tf.constant([0.0], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(param)
        params = {"a": [param]}
        _, (delta,) = meta_learner.update(meta_learner.begin(params), "a", params, [2.0 * param], {}, SEED)
    assert float(delta[0]) == 0.0
    np.testing.assert_allclose(tape.gradient(delta, param), [-0.1 * 2 / epsilon], rtol=1e-6)


@pytest.mark.parametrize("kind", [GradientDescent, Momentum, OptimisticGradient, Adam])
@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), {}, {"a": 0.0}])
def test_bad_rates_are_rejected(kind, rate):
    with pytest.raises(ValueError, match=r"'?rate('|\[).* must .* > 0.*Received"):
        kind(rate)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Momentum(0.1, 1.0), "'decay' must be a finite number >= 0 and < 1"),
        (lambda: Momentum(0.1, -0.1), "'decay'"),
        (lambda: Adam(first_decay=1.0), "'first_decay'"),
        (lambda: Adam(second_decay=float("nan")), "'second_decay'"),
        (lambda: Adam(epsilon=0.0), "'epsilon' must be a finite number > 0"),
    ],
)
def test_bad_coefficients_are_rejected(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "meta_learner",
    [
        GradientDescent({"a": 0.1, "b": 0.2}),
        Momentum(0.1, 0.3),
        OptimisticGradient(0.3),
        Adam(0.1, 0.2, 0.3, 0.4),
    ],
    ids=lambda meta_learner: type(meta_learner).__name__,
)
def test_round_trip(meta_learner):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(meta_learner))
    assert type(again) is type(meta_learner) and again.get_config() == meta_learner.get_config()
    rates = {"a": meta_learner.rates.of("a"), "b": meta_learner.rates.of("b")}
    assert {p: again.rates.of(p) for p in "ab"} == rates


def test_the_base_class_has_no_settings_and_no_update():
    meta_learner = MetaLearner()
    assert meta_learner.plan("state", {}, SEED) == ("state", Settings())
    for call in (lambda: meta_learner.begin({}), lambda: meta_learner.update(None, "a", {}, [], {}, SEED)):
        with pytest.raises(NotImplementedError):
            call()
    assert meta_learner.steering is None
