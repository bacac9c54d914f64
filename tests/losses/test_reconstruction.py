"""Likelihoods and divergences: by hand, against sums and integrals, and their slopes for certain decoders."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.losses import Bernoulli, Gaussian, normal_divergence, normal_log_density


def test_bernoulli_by_hand():
    """With negligible noise, an output of .5 gives 1 the probability 3/4."""
    examples = tf.constant([[1.0, 1.0, -1.0], [-1.0, -1.0, -1.0]], tf.float64)
    words = tf.fill([2, 3], tf.constant(0.5, tf.float64))
    found = Bernoulli(noise=1e-6).log_likelihood(examples, words)
    np.testing.assert_allclose(found, [2 * math.log(3 / 4) + math.log(1 / 4), 3 * math.log(1 / 4)], rtol=1e-5)


def test_the_probabilities_of_all_examples_sum_to_one():
    """Three numbers of two levels: eight examples."""
    corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T
    words = np.tile([[0.9, -1.0, 0.1]], (8, 1))
    total = np.exp(Bernoulli(noise=0.1).log_likelihood(tf.constant(corners), tf.constant(words))).sum()
    assert total == pytest.approx(1.0, abs=1e-12)


def test_noise_bounds_the_cost_of_a_certain_and_wrong_output():
    """A certain decoder still has a gradient."""
    wrong = tf.constant([[-1.0]], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(wrong)
        value = Bernoulli(noise=0.01).log_likelihood(tf.ones([1, 1], tf.float64), wrong)
    np.testing.assert_allclose(value, [math.log(0.005)], rtol=1e-12)
    np.testing.assert_allclose(tape.gradient(value, wrong), [[0.99 / 2 / 0.005]], rtol=1e-12)


@pytest.mark.parametrize("noise", [1e-6, 1e-3])
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32])
def test_certain_outputs_are_finite_in_every_precision(noise, dtype):
    """An image of 100 x 100, all right, and all wrong: a sum that overflows half precision."""
    examples, words = tf.ones([1, 10_000], tf.float32), tf.ones([1, 10_000], dtype)
    right, wrong = (Bernoulli(noise).log_likelihood(examples, sign * words) for sign in (1, -1))
    assert right.dtype == tf.float32
    np.testing.assert_allclose(right, [10_000 * np.log1p(-noise / 2)], rtol=0.2, atol=1e-6)
    np.testing.assert_allclose(wrong, [10_000 * np.log(noise / 2)], rtol=1e-5)


def test_outputs_outside_the_range_are_clipped():
    far = Bernoulli().log_likelihood(tf.ones([1, 2]), tf.constant([[1.7, -40.0]]))
    np.testing.assert_array_equal(far, Bernoulli().log_likelihood(tf.ones([1, 2]), tf.constant([[1.0, -1.0]])))
    assert np.isfinite(far).all()


def test_grey_levels_count_as_their_share():
    both = Bernoulli().log_likelihood(tf.constant([[0.5]], tf.float64), tf.constant([[0.2]], tf.float64))
    ends = [
        Bernoulli().log_likelihood(tf.constant([[x]], tf.float64), tf.constant([[0.2]], tf.float64))
        for x in (1.0, -1.0)
    ]
    np.testing.assert_allclose(both, 0.75 * ends[0] + 0.25 * ends[1], rtol=1e-12)


def test_gaussian_by_hand_and_as_a_density():
    found = Gaussian(0.5).log_likelihood(tf.constant([[[1.0], [0.0]]]), tf.constant([[[0.5], [0.0]]]))
    np.testing.assert_allclose(found, [-0.5 - 2 * math.log(0.5 * math.sqrt(2 * math.pi))], rtol=1e-6)
    grid = np.linspace(-5, 5, 20001)
    values = Gaussian(0.3).log_likelihood(tf.constant(grid[:, None]), tf.fill([20001, 1], tf.constant(0.7, tf.float64)))
    assert np.trapezoid(np.exp(values), grid) == pytest.approx(1.0, abs=1e-9)


def test_the_divergence_equals_its_integral():
    """It is 0 only for the standard normal."""
    mean, log_variance = 0.7, math.log(0.4)
    grid = np.linspace(-12, 12, 40001)

    def flat(value):
        return tf.fill([40001, 1], tf.constant(value, tf.float64))

    own = normal_log_density(tf.constant(grid[:, None]), flat(mean), flat(log_variance)).numpy()
    prior = normal_log_density(tf.constant(grid[:, None]), flat(0.0), flat(0.0)).numpy()
    assert np.trapezoid(np.exp(own), grid) == pytest.approx(1.0, abs=1e-9)
    found = normal_divergence(tf.constant([[mean]]), tf.constant([[log_variance]]))
    np.testing.assert_allclose(found, [np.trapezoid(np.exp(own) * (own - prior), grid)], rtol=1e-6)
    assert float(normal_divergence(tf.zeros([1, 3]), tf.zeros([1, 3]))[0]) == 0.0


def test_independent_numbers_add_up():
    x, mean, spread = np.random.default_rng(0).normal(size=(3, 4, 5))
    each = sum(normal_log_density(*(tf.constant(v[:, i : i + 1]) for v in (x, mean, spread))) for i in range(5))
    np.testing.assert_allclose(normal_log_density(*(tf.constant(v) for v in (x, mean, spread))), each, rtol=1e-12)
    each = sum(normal_divergence(tf.constant(mean[:, i : i + 1]), tf.constant(spread[:, i : i + 1])) for i in range(5))
    np.testing.assert_allclose(normal_divergence(tf.constant(mean), tf.constant(spread)), each, rtol=1e-12)


@pytest.mark.parametrize("likelihood", [Bernoulli(0.02), Gaussian(0.7)])
def test_round_trip(likelihood):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(likelihood))
    assert again == likelihood


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Bernoulli(1e-7), r"'noise' must be a finite number >= 1e-06 and < 1. Received: 1e-07"),
        (lambda: Bernoulli(1.0), r"'noise' must be a finite number >= 1e-06 and < 1"),
        (lambda: Bernoulli(float("nan")), "'noise' must be a finite number"),
        (lambda: Gaussian(0), "'deviation' must be a finite number > 0"),
        (lambda: Gaussian(-1.0), "'deviation' must be a finite number > 0"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
