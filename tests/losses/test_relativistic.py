"""The relativistic average loss: hand numbers, its symmetries, its derivatives, and which losses are relativistic."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.losses import Hinge, LeastSquares, NonSaturating, RelativisticAverage, Wasserstein
from tests.layers.finite_differences import directional_error

REAL, FAKE = [2.0, -1.0, 0.5], [-3.0, 1.0]  # means .5 and -1
LOSS = RelativisticAverage()


def softplus(x):
    return math.log1p(math.exp(x))


def logits(dtype=tf.float64):
    return tf.constant(REAL, dtype), tf.constant(FAKE, dtype)


def test_equals_hand_numbers():
    """Real logits are above the fake mean by 3, 0, 1.5; fake ones above the real mean by -3.5, .5."""
    real, fake = logits()
    discriminator = (softplus(-3) + softplus(0) + softplus(-1.5)) / 3 + (softplus(-3.5) + softplus(0.5)) / 2
    generator = (softplus(3.5) + softplus(-0.5)) / 2 + (softplus(3) + softplus(0) + softplus(1.5)) / 3
    np.testing.assert_allclose(LOSS.discriminator(real, fake), discriminator, rtol=1e-12)
    np.testing.assert_allclose(LOSS.generator(fake, real), generator, rtol=1e-12)


def test_equal_logits_give_twice_log_two_to_both():
    for value in (LOSS.discriminator([7.0], [7.0, 7.0]), LOSS.generator([7.0], [7.0, 7.0])):
        np.testing.assert_allclose(value, 2 * math.log(2), rtol=1e-6)


def test_the_generators_loss_is_the_discriminators_with_roles_exchanged():
    real, fake = logits()
    np.testing.assert_array_equal(LOSS.generator(fake, real), LOSS.discriminator(fake, real))
    assert float(LOSS.generator(fake, real)) != float(LOSS.discriminator(real, fake))


def test_only_differences_of_logits_matter():
    real, fake = logits()
    np.testing.assert_allclose(LOSS.discriminator(real + 5, fake + 5), LOSS.discriminator(real, fake), rtol=1e-12)
    np.testing.assert_allclose(LOSS.generator(fake + 5, real + 5), LOSS.generator(fake, real), rtol=1e-12)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_column_of_logits_gives_the_same_scalar(dtype):
    real, fake = logits(dtype)
    flat, column = LOSS.discriminator(real, fake), LOSS.discriminator(real[:, None], fake[:, None])
    assert flat.shape == column.shape == () and flat.dtype == dtype
    np.testing.assert_array_equal(flat, column)
    np.testing.assert_array_equal(LOSS.generator(fake, real), LOSS.generator(fake[:, None], real[:, None]))


def test_the_players_pull_the_logits_apart():
    real, fake = logits()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([real, fake])
        discriminator, generator = LOSS.discriminator(real, fake), LOSS.generator(fake, real)
    assert max(tape.gradient(discriminator, real)) < 0 < min(tape.gradient(discriminator, fake))
    assert max(tape.gradient(generator, fake)) < 0 < min(tape.gradient(generator, real))


def test_second_derivatives_equal_finite_differences():
    def slope(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = LOSS.discriminator(*values)
        return sum(tf.reduce_sum(tf.square(g)) for g in tape.gradient(loss, values))

    assert max(directional_error(slope, [REAL, FAKE])) < 1e-8


def test_is_stable_at_huge_logits():
    real, fake = tf.constant([-1e4, 1e4]), tf.constant([3e4])
    with tf.GradientTape() as tape:
        tape.watch([real, fake])
        loss = LOSS.discriminator(real, fake)
    np.testing.assert_allclose(loss, 6e4)  # real below the fake mean by 4e4 and 2e4, fake above the real mean by 3e4
    assert all(np.isfinite(g).all() for g in tape.gradient(loss, [real, fake]))


def test_only_this_loss_needs_real_logits():
    assert RelativisticAverage.relativistic and LOSS.relativistic
    for kind in (NonSaturating, Hinge, LeastSquares, Wasserstein):
        assert kind.relativistic is False and kind().relativistic is False


@pytest.mark.parametrize("kind", [RelativisticAverage, NonSaturating, Hinge, LeastSquares, Wasserstein])
def test_being_relativistic_is_no_field(kind):
    assert dataclasses.fields(kind) == () and kind().get_config() == {}


def test_survives_serialisation_and_is_frozen():
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(LOSS))
    assert again == LOSS and type(again) is RelativisticAverage
    assert keras.saving.get_registered_name(RelativisticAverage) == "meta_gan>RelativisticAverage"
    with pytest.raises(dataclasses.FrozenInstanceError):
        LOSS.relativistic = False
