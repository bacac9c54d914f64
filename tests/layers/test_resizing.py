"""Upsampling: hand numbers, equality with TensorFlow's forward pass, shapes, and refusals."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import UpsampleBilinear, UpsampleNearest
from meta_gan.layers.resampling import bilinear_matrix

IMAGES = np.random.default_rng(0).normal(size=(2, 3, 5, 4))
BOTH = [UpsampleNearest, UpsampleBilinear]


def test_nearest_by_hand():
    y = UpsampleNearest(2)(tf.reshape([1.0, 2.0, 3.0, 4.0], [1, 2, 2, 1]))
    np.testing.assert_array_equal(y[0, :, :, 0], [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]])


def test_bilinear_by_hand():
    y = UpsampleBilinear(2)(tf.reshape([0.0, 1.0, 2.0, 3.0], [1, 2, 2, 1]))
    row = np.array([0, 0.25, 0.75, 1.0])  # half-pixel centres at -1/4, 1/4, 3/4, 5/4, clipped to the borders
    np.testing.assert_allclose(y[0, :, :, 0], 2 * row[:, None] + row[None, :])


def test_matrix_by_hand():
    np.testing.assert_allclose(bilinear_matrix(2, 2), [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    np.testing.assert_allclose(bilinear_matrix(2, 3) @ [0.0, 3.0], [0, 0, 1, 2, 3, 3])
    np.testing.assert_array_equal(bilinear_matrix(1, 2), [[1], [1]])


@pytest.mark.parametrize("size, factor", [(1, 3), (4, 2), (7, 5)])
def test_matrix_rows_sum_to_one(size, factor):
    matrix = bilinear_matrix(size, factor)
    assert matrix.shape == (size * factor, size) and matrix.min() >= 0
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0)


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("kind, method", [(UpsampleNearest, "nearest"), (UpsampleBilinear, "bilinear")])
def test_equals_tensorflow_forward(kind, method, factor):
    x = tf.constant(IMAGES, tf.float32)
    reference = tf.image.resize(x, [3 * factor, 5 * factor], method)
    np.testing.assert_allclose(kind(factor)(x), reference, rtol=1e-5, atol=1e-6)


def test_bilinear_by_two_is_nearest_and_a_blur():
    x = tf.constant(IMAGES)
    padded = tf.pad(UpsampleNearest(2, dtype="float64")(x), [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    tall = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    blurred = (tall[:, :, :-2] + 2 * tall[:, :, 1:-1] + tall[:, :, 2:]) / 4
    np.testing.assert_allclose(UpsampleBilinear(2, dtype="float64")(x), blurred, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16"])
def test_dtype_shape_and_dynamic_batch(kind, dtype):
    layer = kind(2, dtype=dtype)
    specs = tf.TensorSpec([None, 3, 5, 4], layer.compute_dtype)
    result = tf.function(lambda x: layer(x), input_signature=[specs])(tf.cast(IMAGES, layer.compute_dtype))
    assert result.shape == (2, 6, 10, 4) and result.dtype == layer.compute_dtype
    assert layer.compute_output_shape((None, 3, 5, 4)) == (None, 6, 10, 4)


def test_nearest_takes_images_of_unknown_size():
    assert UpsampleNearest(3).compute_output_shape((None, None, 5, 1)) == (None, None, 15, 1)
    layer = UpsampleNearest(2)
    grow = tf.function(lambda x: layer(x), input_signature=[tf.TensorSpec([None, None, None, 1])])
    assert grow(tf.zeros([1, 2, 3, 1])).shape == (1, 4, 6, 1)


@pytest.mark.parametrize("kind", BOTH)
def test_config_round_trip(kind):
    layer = kind(3, dtype="float64", name="mine")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is kind and again.get_config() == layer.get_config() and again.factor == 3


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("factor", [0, -1, 1.5, True])
def test_bad_factor_is_refused(kind, factor):
    with pytest.raises(ValueError, match=r"'factor' must be an integer >= 1 and .*\. Received: "):
        kind(factor)


@pytest.mark.parametrize("kind", BOTH)
def test_inputs_other_than_images_are_refused(kind):
    with pytest.raises(ValueError, match=r"must be \(n, height, width, channels\).*Received: \(None, 4\)"):
        kind().build((None, 4))


def test_bilinear_refuses_an_unknown_size():
    with pytest.raises(ValueError, match=r"known height and width.*Received: "):
        UpsampleBilinear().build((None, None, 5, 1))
