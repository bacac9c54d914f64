"""Adversarial losses against numbers worked out by hand, against each other, and at their extremes."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.losses import Hinge, LeastSquares, NonSaturating, Wasserstein

ALL = [NonSaturating(), Hinge(), LeastSquares(), Wasserstein()]
REAL = [2.0, -1.0, 0.5]
FAKE = [-3.0, 1.0]


def softplus(x):
    return math.log1p(math.exp(x))


BY_HAND = [
    (Hinge(), ((0 + 2 + 0.5) / 3) + ((0 + 2) / 2), 1.0),
    (LeastSquares(), 0.5 * (1 + 4 + 0.25) / 3 + 0.5 * (9 + 1) / 2, 0.5 * (16 + 0) / 2),
    (Wasserstein(), -1.0 - 0.5, 1.0),
    (
        NonSaturating(),
        (softplus(-2) + softplus(1) + softplus(-0.5)) / 3 + (softplus(-3) + softplus(1)) / 2,
        (softplus(3) + softplus(-1)) / 2,
    ),
]


@pytest.mark.parametrize("loss, discriminator, generator", BY_HAND, ids=lambda v: type(v).__name__)
def test_equals_hand_numbers(loss, discriminator, generator):
    real, fake = tf.constant(REAL, tf.float64), tf.constant(FAKE, tf.float64)
    np.testing.assert_allclose(loss.discriminator(real, fake), discriminator, rtol=1e-12)
    np.testing.assert_allclose(loss.generator(fake), generator, rtol=1e-12)


def test_at_the_saddle_point_nonsaturating_is_twice_log_two():
    np.testing.assert_allclose(NonSaturating().discriminator([0.0], [0.0]), 2 * math.log(2), rtol=1e-6)


@pytest.mark.parametrize("loss", ALL, ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_column_of_logits_gives_the_same_scalar(loss, dtype):
    real, fake = tf.constant(REAL, dtype), tf.constant(FAKE, dtype)
    flat = loss.discriminator(real, fake)
    column = loss.discriminator(real[:, None], fake[:, None])
    assert flat.shape == column.shape == () and flat.dtype == dtype
    np.testing.assert_array_equal(flat, column)
    np.testing.assert_array_equal(loss.generator(fake), loss.generator(fake[:, None]))


@pytest.mark.parametrize("loss", ALL, ids=lambda v: type(v).__name__)
def test_discriminator_and_generator_pull_the_fake_logits_apart(loss):
    fake = tf.constant([0.3])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(fake)
        discriminator = loss.discriminator(tf.constant([0.2]), fake)
        generator = loss.generator(fake)
    assert float(tape.gradient(discriminator, fake)[0]) > 0 > float(tape.gradient(generator, fake)[0])


def test_nonsaturating_is_stable_up_to_its_third_derivative_at_huge_logits():
    logits = tf.constant([-1e4, -100.0, 100.0, 1e4])
    with tf.GradientTape() as third:
        third.watch(logits)
        with tf.GradientTape() as second:
            second.watch(logits)
            with tf.GradientTape() as first:
                first.watch(logits)
                loss = 4 * NonSaturating().generator(logits)
            slope = first.gradient(loss, logits)
        curvature = second.gradient(slope, logits)
    np.testing.assert_allclose(loss, 1e4 + 100)
    np.testing.assert_allclose(slope, [-1.0, -1.0, 0.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(curvature, np.zeros(4), atol=1e-6)
    np.testing.assert_allclose(third.gradient(curvature, logits), np.zeros(4), atol=1e-6)


def test_hinge_ignores_examples_beyond_the_margin():
    real, fake = tf.constant([1.5, 9.0]), tf.constant([-1.5, -9.0])
    with tf.GradientTape() as tape:
        tape.watch([real, fake])
        loss = Hinge().discriminator(real, fake)
    assert float(loss) == 0
    for gradient in tape.gradient(loss, [real, fake]):
        np.testing.assert_array_equal(gradient, [0.0, 0.0])


@pytest.mark.parametrize("loss", ALL, ids=lambda v: type(v).__name__)
def test_survives_serialisation_and_is_frozen(loss):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again == loss and type(again) is type(loss)
    assert keras.saving.get_registered_name(type(loss)) == f"meta_gan>{type(loss).__name__}"
    with pytest.raises(dataclasses.FrozenInstanceError):
        loss.margin = 1.0
