"""Normalisation layers: hand numbers, agreement with Keras in the forward pass, state, and refusals."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import (
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
)

TINY = 1e-12  # an epsilon that does not change the numbers
IMAGES = np.random.default_rng(0).normal(2.0, 3.0, size=(3, 4, 5, 6))
ALL = [BatchNormalization, LayerNormalization, InstanceNormalization, lambda **k: GroupNormalization(3, **k)]


def random_scale_and_offset(layer):
    layer.build(IMAGES.shape)
    layer.scale.assign(np.linspace(0.5, 2.0, 6))
    layer.offset.assign(np.linspace(-1.0, 1.0, 6))
    return layer


def test_layer_by_hand():
    # mean 4, variance (9 + 1 + 1 + 9) / 4 = 5, over both positions and both channels
    x = tf.constant([[[[1.0, 3.0], [5.0, 7.0]]]], tf.float64)
    y = LayerNormalization(TINY, dtype="float64")(x)
    np.testing.assert_allclose(np.ravel(y), np.array([-3, -1, 1, 3]) / np.sqrt(5), rtol=1e-9)


def test_instance_by_hand():
    # channel 0 holds 1 and 5 (mean 3, deviation 2), channel 1 holds 3 and 11 (mean 7, deviation 4)
    x = tf.constant([[[[1.0, 3.0], [5.0, 11.0]]]], tf.float64)
    y = InstanceNormalization(TINY, dtype="float64")(x)
    np.testing.assert_allclose(np.ravel(y), [-1, -1, 1, 1], rtol=1e-9)


def test_group_by_hand():
    # two groups of two channels: (1, 5) has mean 3, deviation 2; (10, 30) has mean 20, deviation 10
    x = tf.constant([[1.0, 5.0, 10.0, 30.0]], tf.float64)
    np.testing.assert_allclose(GroupNormalization(2, TINY, dtype="float64")(x), [[-1, 1, -1, 1]], rtol=1e-9)


def test_batch_by_hand_in_training_and_at_inference():
    layer = BatchNormalization(momentum=0.75, epsilon=TINY, dtype="float64")
    x = tf.constant([[1.0], [5.0]], tf.float64)  # mean 3, variance 4
    np.testing.assert_allclose(layer(x, training=True), [[-1.0], [1.0]], rtol=1e-9)
    np.testing.assert_allclose(layer.moving_mean, [0.25 * 3])
    np.testing.assert_allclose(layer.moving_variance, [0.75 * 1 + 0.25 * 4])
    np.testing.assert_allclose(layer(x), (x.numpy() - 0.75) / np.sqrt(1.75), rtol=1e-9)
    np.testing.assert_allclose(layer.moving_mean, [0.25 * 3])  # inference does not update it


def test_scale_and_offset_come_last():
    layer = BatchNormalization(epsilon=TINY, dtype="float64")
    layer.build((2, 1))
    layer.scale.assign([10.0])
    layer.offset.assign([7.0])
    np.testing.assert_allclose(layer(tf.constant([[1.0], [5.0]]), training=True), [[-3.0], [17.0]], rtol=1e-9)


@pytest.mark.parametrize("training", [False, True])
def test_batch_equals_keras_forward_and_state(training):
    ours = random_scale_and_offset(BatchNormalization(dtype="float64"))
    theirs = keras.layers.BatchNormalization(dtype="float64")
    theirs.build(IMAGES.shape)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(IMAGES, training=training), theirs(IMAGES, training=training), rtol=1e-9)
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9)


def test_group_equals_keras_forward():
    ours = random_scale_and_offset(GroupNormalization(3, dtype="float64"))
    theirs = keras.layers.GroupNormalization(3, dtype="float64")
    theirs.build(IMAGES.shape)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(IMAGES), theirs(IMAGES), rtol=1e-9, atol=1e-12)


def test_group_of_all_is_layer_and_group_of_one_is_instance():
    for groups, kind in [(1, LayerNormalization), (6, InstanceNormalization)]:
        group = random_scale_and_offset(GroupNormalization(groups, dtype="float64"))
        other = random_scale_and_offset(kind(dtype="float64"))
        np.testing.assert_allclose(group(IMAGES), other(IMAGES), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ALL[1:])
def test_an_image_does_not_depend_on_its_batch(kind):
    layer = random_scale_and_offset(kind(dtype="float64"))
    np.testing.assert_allclose(layer(IMAGES)[1:2], layer(IMAGES[1:2]), rtol=1e-12)


def test_batch_returns_its_new_state_from_a_stateless_call():
    layer = BatchNormalization(momentum=0.5)
    layer.build((2, 1))
    before = [tf.convert_to_tensor(v) for v in layer.non_trainable_variables]
    weights = [tf.convert_to_tensor(v) for v in layer.trainable_variables]
    _, after = layer.stateless_call(weights, before, tf.constant([[1.0], [5.0]]), training=True)
    np.testing.assert_allclose(np.ravel(after), [1.5, 2.5])
    np.testing.assert_allclose(np.ravel(layer.non_trainable_variables), [0.0, 1.0])


def test_frozen_batch_layer_uses_its_averages():
    layer = BatchNormalization(epsilon=TINY, dtype="float64")
    layer.trainable = False
    np.testing.assert_allclose(layer(tf.constant([[1.0], [5.0]]), training=True), [[1.0], [5.0]], rtol=1e-9)
    np.testing.assert_allclose(layer.moving_mean, [0.0])


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16"])
def test_dtype_shape_and_dynamic_batch(kind, dtype):
    layer = kind(dtype=dtype)
    specs = tf.TensorSpec([None, 4, 5, 6], layer.compute_dtype)
    result = tf.function(lambda x: layer(x), input_signature=[specs])(tf.cast(IMAGES, layer.compute_dtype))
    assert result.shape == IMAGES.shape and result.dtype == layer.compute_dtype
    assert layer.compute_output_shape((None, 4, 5, 6)) == (None, 4, 5, 6)


def test_half_precision_statistics_do_not_overflow():
    layer = LayerNormalization(dtype="mixed_float16")  # the sum of the squares of 300 overflows float16
    np.testing.assert_allclose(layer(tf.constant([[-300.0, 300.0]])), [[-1.0, 1.0]], atol=1e-3)


@pytest.mark.parametrize("kind", ALL)
def test_config_round_trip(kind):
    layer = kind(epsilon=0.01, dtype="float64", name="mine")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer) and again.get_config() == layer.get_config()
    assert again.epsilon == 0.01 and again.dtype_policy.name == "float64"


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: LayerNormalization(0.0), r"'epsilon' must be a finite number > 0\. Received: 0"),
        (
            lambda: BatchNormalization(momentum=1.5),
            r"'momentum' must be a finite number >= 0 and <= 1\. Received: 1.5",
        ),
        (lambda: GroupNormalization(0), r"'groups' must be an integer >= 1 and .*\. Received: 0"),
        (lambda: GroupNormalization(2.0), r"'groups' must be an integer >= 1 and .*\. Received: 2.0"),
        (lambda: GroupNormalization(4).build((None, 6)), r"'groups' must divide.*Received: 4"),
        (lambda: InstanceNormalization().build((None, 6)), r"axes of positions.*Received: "),
        (
            lambda: LayerNormalization().build((None, None)),
            r"last axis of known size.*Received: ",
        ),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
