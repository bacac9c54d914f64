"""Gradient penalties: closed forms, ways of computing that agree, derivatives up to the third order."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.losses import R1, GradientPenalty
from tests.layers.finite_differences import directional_error

SEED = (3, 4)


def linear(x):
    """A critic whose gradient is (3, 4) everywhere: norm 5."""
    return 3.0 * x[:, 0] + 4.0 * x[:, 1]


def points(dtype=tf.float64, n=5):
    generator = np.random.default_rng(0)
    return tf.constant(generator.normal(size=(n, 2)), dtype), tf.constant(generator.normal(size=(n, 2)), dtype)


def smooth_critic(hidden, readout):
    return lambda x: tf.tanh(x @ hidden) @ readout


def critic_weights():
    generator = np.random.default_rng(1)
    return [tf.constant(generator.normal(size=shape), tf.float64) for shape in [(2, 3), (3, 1)]]


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_linear_critic_by_hand(dtype):
    real, fake = points(dtype)
    one, zero, r1 = GradientPenalty(10.0), GradientPenalty(2.0, target=0.0), R1(4.0)
    for penalty, expected in [(one, 10 * (5 - 1) ** 2), (zero, 2 * 25), (r1, 4 / 2 * 25)]:
        value = penalty(linear, real, fake, SEED)
        assert value.dtype == dtype and value.shape == ()
        np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_defaults_are_those_of_the_papers():
    assert GradientPenalty() == GradientPenalty(weight=10.0, target=1.0)
    assert R1() == R1(weight=10.0)


def test_r1_is_taken_at_the_real_examples():
    real = tf.constant([[1.0], [-2.0]])  # the gradient of x^2 is 2x: squares 4 and 16, mean 10
    value = R1(2.0)(lambda x: tf.square(x), real, 100.0 * real, SEED)
    np.testing.assert_allclose(value, 10.0)


def test_interpolation_uses_one_share_per_image():
    seen = []

    def critic(x):
        seen.append(x)
        return tf.reduce_sum(x, axis=(1, 2, 3))

    real = tf.zeros([64, 2, 2, 1])
    fake = tf.reshape(tf.range(1.0, 65.0), [64, 1, 1, 1]) * tf.ones([1, 2, 2, 1])
    GradientPenalty()(critic, real, fake, SEED)
    share = seen[0] / fake
    np.testing.assert_allclose(share, np.broadcast_to(share[:, :1, :1], share.shape), rtol=1e-6)
    assert 0 <= np.min(share) < 0.1 and 0.9 < np.max(share) < 1
    assert len(np.unique(share[:, 0, 0, 0])) == 64


def test_the_draw_is_a_function_of_the_seed():
    real, fake = points()
    critic = smooth_critic(*critic_weights())
    first, again, other = (float(GradientPenalty()(critic, real, fake, s)) for s in [(1, 2), (1, 2), (1, 3)])
    assert first == again != other


def test_norms_are_per_image_not_per_batch():
    penalty = R1(2.0)
    real, _ = points(n=4)
    critic = smooth_critic(*critic_weights())
    alone = [float(penalty(critic, real[i : i + 1], real[i : i + 1], SEED)) for i in range(4)]
    np.testing.assert_allclose(penalty(critic, real, real, SEED), np.mean(alone), rtol=1e-12)


@pytest.mark.parametrize("penalty", [GradientPenalty(), R1()], ids=lambda v: type(v).__name__)
def test_second_order_gradient_equals_finite_differences(penalty):
    real, fake = points()
    errors = directional_error(lambda w: penalty(smooth_critic(*w), real, fake, SEED), critic_weights())
    assert max(errors) < 1e-7


def stepped_penalty(penalty, weights, real, fake):
    """The penalty after one gradient step on it: its gradient is of third order in the critic."""
    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = penalty(smooth_critic(*weights), real, fake, SEED)
    moved = [w - 0.01 * g for w, g in zip(weights, tape.gradient(loss, weights), strict=True)]
    return penalty(smooth_critic(*moved), real, fake, SEED)


@pytest.mark.parametrize("penalty", [GradientPenalty(), R1()], ids=lambda v: type(v).__name__)
def test_third_order_gradient_equals_finite_differences(penalty):
    real, fake = points()
    errors = directional_error(lambda w: stepped_penalty(penalty, w, real, fake), critic_weights())
    assert max(errors) < 1e-7


def gradient_through_steps(penalty, loop):
    real, fake = points()
    weights = critic_weights()

    def step(*current):
        with tf.GradientTape() as tape:
            tape.watch(current)
            loss = penalty(smooth_critic(*current), real, fake, SEED)
        return [w - 0.01 * g for w, g in zip(current, tape.gradient(loss, current), strict=True)]

    with tf.GradientTape() as tape:
        tape.watch(weights)
        if loop:
            index = tf.constant(0)
            body = lambda i, *w: [i + 1, *step(*w)]  # noqa: E731
            _, *final = tf.while_loop(lambda i, *w: i < 3, body, [index, *weights], maximum_iterations=3)
        else:
            final = weights
            for _ in range(3):
                final = step(*final)
        result = penalty(smooth_critic(*final), real, fake, SEED)
    return tape.gradient(result, weights)


@pytest.mark.parametrize("penalty", [GradientPenalty(), R1()], ids=lambda v: type(v).__name__)
def test_while_loop_in_a_graph_equals_eager_unroll(penalty):
    looped = tf.function(lambda: gradient_through_steps(penalty, loop=True))()
    unrolled = gradient_through_steps(penalty, loop=False)
    for ours, reference in zip(looped, unrolled, strict=True):
        np.testing.assert_allclose(ours, reference, rtol=1e-10)


def test_flat_critic_has_finite_derivatives_of_all_orders():
    real, fake = points(tf.float32)
    hidden, readout = tf.ones([2, 3]), tf.zeros([3, 1])
    with tf.GradientTape() as outer:
        outer.watch(readout)
        with tf.GradientTape() as middle:
            middle.watch(readout)
            with tf.GradientTape() as inner:
                inner.watch(readout)
                value = GradientPenalty(1.0)(smooth_critic(hidden, readout), real, fake, SEED)
            first = inner.gradient(value, readout)
        second = middle.gradient(first, readout)
    np.testing.assert_allclose(value, (1 - 1e-3) ** 2, rtol=1e-5)
    np.testing.assert_array_equal(first, np.zeros([3, 1]))
    assert np.all(np.isfinite(second)) and np.max(np.abs(second)) > 0
    assert np.all(np.isfinite(outer.gradient(second, readout)))


def test_a_loss_elsewhere_on_the_callers_tape_is_not_disturbed():
    real, fake = points()
    weights = critic_weights()
    with tf.GradientTape() as tape:
        tape.watch(weights)
        critic = smooth_critic(*weights)
        total = tf.reduce_mean(critic(real)) + GradientPenalty()(critic, real, fake, SEED)
    together = tape.gradient(total, weights)
    parts = []
    for part in (lambda c: tf.reduce_mean(c(real)), lambda c: GradientPenalty()(c, real, fake, SEED)):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            value = part(smooth_critic(*weights))
        parts.append(tape.gradient(value, weights))
    for whole, one, two in zip(together, *parts, strict=True):
        np.testing.assert_allclose(whole, one + two, rtol=1e-12)


def test_unequal_batches_are_refused_when_traced():
    with pytest.raises(ValueError, match=r"one shape.*Received: shapes \(4, 2\) and \(1, 2\)"):
        GradientPenalty()(linear, tf.zeros([4, 2]), tf.zeros([1, 2]), SEED)


def test_unequal_batches_of_unknown_size_are_refused_when_run():
    unknown = tf.TensorSpec([None, 2])
    penalty = tf.function(lambda r, f: GradientPenalty()(linear, r, f, SEED), input_signature=[unknown] * 2)
    np.testing.assert_allclose(penalty(tf.zeros([4, 2]), tf.ones([4, 2])), 160.0, rtol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="equal shapes"):
        penalty(tf.zeros([4, 2]), tf.ones([1, 2]))


@pytest.mark.parametrize("penalty", [GradientPenalty(), R1()], ids=lambda v: type(v).__name__)
def test_critic_that_ignores_its_examples_is_refused(penalty):
    with pytest.raises(ValueError, match=r"'critic' must be a differentiable function of its examples.*Received: "):
        penalty(lambda x: tf.zeros([5, 1], tf.float64), *points(), SEED)


@pytest.mark.parametrize("options", [{"weight": -1.0}, {"target": -1.0}, {"weight": float("nan")}])
def test_arguments_are_checked_at_construction(options):
    with pytest.raises(ValueError, match=r"must be a finite number >= 0\. Received: "):
        GradientPenalty(**options)


def test_r1_weight_is_checked_at_construction():
    with pytest.raises(ValueError, match=r"'weight' must be a finite number >= 0\. Received: -2"):
        R1(weight=-2)


@pytest.mark.parametrize("penalty", [GradientPenalty(3.0, 0.5), R1(4.0)], ids=lambda v: type(v).__name__)
def test_survives_serialisation(penalty):
    config = keras.saving.serialize_keras_object(penalty)
    assert keras.saving.deserialize_keras_object(config) == penalty
