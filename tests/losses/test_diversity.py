"""Mode seeking: hand numbers, the authors' own form, its extremes, and its derivatives."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.losses import ModeSeeking
from tests.layers.finite_differences import directional_error


def batch(dtype=np.float64, seed=0):
    draw = np.random.default_rng(seed)
    return [draw.normal(size=shape).astype(dtype) for shape in [(3, 2, 2, 1), (3, 2, 2, 1), (3, 5), (3, 5)]]


def test_equals_hand_numbers():
    """Samples 1 and 3 apart, mean 2; latents 4 and 0 apart, mean 2, and then 12 and 0, mean 6."""
    first, second = np.array([[0.0], [0.0]]), np.array([[1.0], [-3.0]])
    for latents, expected in [([[4.0], [0.0]], 2 / 2), ([[12.0], [0.0]], 6 / 2)]:
        value = ModeSeeking(0.5)(first, second, np.zeros((2, 1)), np.array(latents))
        np.testing.assert_allclose(value, 0.5 / (1 / expected + 1e-5), rtol=1e-12)


def test_equals_the_form_of_the_authors_code():
    first, second, z_first, z_second = batch()
    ratio = np.mean(np.abs(second - first)) / np.mean(np.abs(z_second - z_first))
    np.testing.assert_allclose(ModeSeeking(3.0)(*batch()), 3.0 / (ratio + 1e-5), rtol=1e-12)
    np.testing.assert_allclose(ModeSeeking(epsilon=0.5)(*batch()), 1 / (ratio + 0.5), rtol=1e-12)


def test_it_is_a_ratio_of_means_not_a_mean_of_ratios():
    first, second = np.zeros((2, 1)), np.array([[1.0], [3.0]])
    value = ModeSeeking()(first, second, np.zeros((2, 1)), np.ones((2, 1)))
    np.testing.assert_allclose(value, 1 / 2, rtol=1e-4)  # the mean of 1/1 and 1/3 would be 2/3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_returns_a_scalar_of_the_samples_dtype(dtype):
    value = ModeSeeking()(*batch(dtype))
    assert value.shape == () and value.dtype == dtype and float(value) > 0


def test_more_diverse_samples_have_a_lower_loss():
    first, second, *latents = batch()
    near, far = (float(ModeSeeking()(first, first + s * (second - first), *latents)) for s in (0.5, 2.0))
    np.testing.assert_allclose(near / far, 4.0, rtol=1e-4)


def test_a_collapsed_generator_has_the_largest_loss():
    first, _, *latents = batch()
    np.testing.assert_allclose(ModeSeeking(2.0, 0.1)(first, first, *latents), 20.0)


@pytest.mark.parametrize("collapsed", [True, False])
def test_equal_latents_give_zero_and_no_nan(collapsed):
    first, second, z, _ = [tf.constant(t) for t in batch()]
    second = first if collapsed else second
    with tf.GradientTape() as tape:
        tape.watch([first, z])
        value = ModeSeeking()(first, second, z, z)
    assert float(value) == 0
    assert all(np.isfinite(g).all() for g in tape.gradient(value, [first, z]))


def test_a_descent_step_drives_samples_apart():
    first, second, *latents = [tf.constant(t) for t in batch()]
    with tf.GradientTape() as tape:
        tape.watch(second)
        value = ModeSeeking()(first, second, *latents)
    moved = second - 0.1 * tape.gradient(value, second)
    assert float(tf.reduce_mean(tf.abs(moved - first))) > float(tf.reduce_mean(tf.abs(second - first)))


def test_first_and_second_derivatives_equal_finite_differences():
    def slope(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            value = ModeSeeking()(*values)
        return sum(tf.reduce_sum(tf.square(g)) for g in tape.gradient(value, values))

    assert max(directional_error(lambda values: ModeSeeking()(*values), batch(), step=1e-5)) < 1e-7
    assert max(directional_error(slope, batch(), step=1e-5)) < 1e-6


def test_tensors_that_would_be_broadcast_are_refused():
    first, second, z_first, z_second = batch()
    with pytest.raises(ValueError, match=r"'first' and 'second' must be .*one shape\. Received: shapes \(3, 2"):
        ModeSeeking()(first, second[:1], z_first, z_second)
    with pytest.raises(ValueError, match=r"'z_first' and 'z_second'.*Received: shapes \(3, 5\)"):
        ModeSeeking()(first, second, z_first, z_second[:, :1])


@pytest.mark.parametrize("options", [{"weight": -1.0}, {"epsilon": -1.0}, {"weight": float("nan")}, {"epsilon": 0.0}])
def test_arguments_are_checked_at_construction(options):
    (name,) = options
    with pytest.raises(ValueError, match=rf"'{name}' must be .*> ?=? ?0\. Received: "):
        ModeSeeking(**options)


def test_survives_serialisation_and_is_frozen():
    penalty = ModeSeeking(0.3, 1e-4)
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(penalty)) == penalty
    assert ModeSeeking() == ModeSeeking(weight=1.0, epsilon=1e-5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        penalty.weight = 1.0
