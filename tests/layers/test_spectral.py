"""Spectral layers: norms by hand and by NumPy, the state, derivatives of both orders, saving, refusals."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import SpectralConv2D, SpectralDense, check_differentiable
from tests.layers.finite_differences import directional_error, grad_of_grad_error

F64 = {"dtype": "float64"}
IMAGES = np.random.default_rng(0).normal(size=(3, 4, 6, 4))
LAYERS = {
    "dense": lambda **k: SpectralDense(5, **{**F64, **k}),
    "conv": lambda **k: SpectralConv2D(5, 3, padding="same", **{**F64, **k}),
    "conv by 2": lambda **k: SpectralConv2D(3, 4, strides=2, padding="same", use_bias=False, **{**F64, **k}),
}
EACH = pytest.mark.parametrize("name", LAYERS)


def built(name, **options):
    layer = LAYERS[name](**options)
    layer.build(IMAGES.shape)
    return layer


def raw(layer):
    return layer.trainable_variables[0]


def norm(kernel):
    """Return the largest singular value of a kernel as a matrix [-1, filters]."""
    kernel = np.asarray(kernel)
    return np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]


def test_dense_by_hand():
    layer = SpectralDense(2, use_bias=False, kernel_initializer=lambda *_, **__: tf.constant([[4.0, 0.0], [0.0, 2.0]]))
    np.testing.assert_allclose(layer(tf.constant([[1.0, 1.0]])), [[1.0, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(np.abs(layer.u), [1.0, 0.0], atol=1e-6)


def test_convolution_by_hand():
    # the matrix is [4, 1] of ones, its norm is 2
    layer = SpectralConv2D(1, 2, kernel_initializer="ones", use_bias=False)
    np.testing.assert_allclose(layer(tf.reshape([1.0, 2.0, 3.0, 4.0], [1, 2, 2, 1])), [[[[5.0]]]])


def test_power_iteration_by_hand():
    layer = SpectralDense(2, use_bias=False, **F64)
    layer.build((None, 2))
    raw(layer).assign([[3.0, 0.0], [0.0, 1.0]])
    layer.u.assign([0.6, 0.8])
    before = np.hypot(3 * 0.6, 0.8)  # |W u|: a training call uses the stored u
    y = layer(tf.eye(2, dtype=tf.float64), training=True)
    np.testing.assert_allclose(y, np.diag([3.0, 1.0]) / before)
    np.testing.assert_allclose(layer.u, np.array([9 * 0.6, 0.8]) / np.hypot(9 * 0.6, 0.8))


@EACH
def test_the_norm_is_one_from_the_start_and_inference_keeps_the_state(name):
    layer = built(name)
    u = layer.u.numpy()
    np.testing.assert_allclose(norm(layer.kernel), 1.0, rtol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(u), 1.0, rtol=1e-12)
    layer(IMAGES)
    np.testing.assert_array_equal(layer.u, u)


@EACH
def test_the_norm_returns_to_one_after_the_kernel_has_moved(name):
    layer = built(name)
    raw(layer).assign(np.random.default_rng(1).normal(size=raw(layer).shape))
    assert abs(norm(layer.kernel) - 1) > 1e-3
    for _ in range(60):
        layer(IMAGES, training=True)
    np.testing.assert_allclose(norm(layer.kernel), 1.0, rtol=1e-3)
    np.testing.assert_array_equal(layer(IMAGES, training=False), layer(IMAGES, training=True))
    np.testing.assert_allclose(layer.kernel, raw(layer) / norm(raw(layer)), rtol=1e-3)


@EACH
def test_a_small_step_of_the_kernel_is_off_by_its_square(name):
    """The stored u belongs to the previous kernel, which gives an error of second order."""
    layer = built(name)
    start, move = raw(layer).numpy(), np.random.default_rng(1).normal(size=raw(layer).shape)
    errors = []
    for size in (1e-2, 1e-3):
        raw(layer).assign(start + size * move)
        errors.append(norm(layer.kernel) - 1)
    assert 0 < errors[1] < errors[0] < 1e-2
    np.testing.assert_allclose(errors[0] / errors[1], 100, rtol=0.5)


@EACH
def test_equals_the_keras_layer_of_the_divided_kernel(name):
    layer = built(name)
    kind = keras.layers.Dense if name == "dense" else keras.layers.Conv2D
    config = {key: value for key, value in layer.get_config().items() if key != "iterations"}
    plain = kind.from_config(config)
    plain.build(IMAGES.shape)
    weights = layer.get_weights()[: 1 + layer.use_bias]
    plain.set_weights([weights[0] / norm(weights[0]), *weights[1:]])
    np.testing.assert_allclose(layer(IMAGES), plain(IMAGES), rtol=1e-9, atol=1e-12)


@EACH
def test_scale_of_the_kernel_does_not_matter(name):
    layer = built(name)
    before = layer(IMAGES)
    raw(layer).assign(1e3 * raw(layer))
    np.testing.assert_allclose(layer(IMAGES), before, rtol=1e-9, atol=1e-12)


def test_more_iterations_in_a_call_equal_more_calls():
    kernel = np.random.default_rng(1).normal(size=(4, 5))
    ends = []
    for iterations, calls in [(1, 6), (3, 2), (6, 1)]:
        layer = built("dense", iterations=iterations)
        layer.u.assign(np.full(5, 5**-0.5))
        raw(layer).assign(kernel)
        for _ in range(calls):
            layer(IMAGES, training=True)
        ends.append(layer.u.numpy())
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-9)
    np.testing.assert_allclose(ends[0], ends[2], rtol=1e-9)


@EACH
def test_stateless_call_returns_the_new_state_and_moves_no_variable(name):
    layer, other = built(name), built(name)
    kernel = np.random.default_rng(1).normal(size=raw(layer).shape)
    weights = [tf.constant(kernel), *map(tf.convert_to_tensor, layer.trainable_variables[1:])]
    state, before = [tf.convert_to_tensor(layer.u)], layer.u.numpy()
    outputs, (u,) = tf.function(lambda w, s, x: layer.stateless_call(w, s, x, training=True))(weights, state, IMAGES)
    np.testing.assert_array_equal(layer.u, before)
    other.u.assign(before)
    raw(other).assign(kernel)
    np.testing.assert_allclose(outputs, other(IMAGES, training=True), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(u, other.u, rtol=1e-9)
    assert np.any(np.abs(u - before) > 1e-3)
    _, (kept,) = layer.stateless_call(weights, state, IMAGES, training=False)
    np.testing.assert_array_equal(kept, before)


@EACH
def test_a_frozen_layer_keeps_its_state(name):
    layer = built(name)
    raw(layer).assign(np.random.default_rng(1).normal(size=raw(layer).shape))
    before, layer.trainable = layer.u.numpy(), False
    layer(IMAGES, training=True)
    np.testing.assert_array_equal(layer.u, before)


@EACH
@pytest.mark.parametrize("training", [False, True])
def test_grad_of_grad_equals_finite_differences(name, training):
    assert grad_of_grad_error(LAYERS[name], IMAGES.shape, training) < 1e-6


def test_gradient_is_that_of_the_papers_equation_10():
    """d(W / sigma) = (dW - (u v^T . dW) W / sigma) / sigma, here for a readout that is linear."""
    layer = built("dense", use_bias=False)
    readout, kernel = np.random.default_rng(1).normal(size=(4, 5)), raw(layer).numpy()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(readout * layer(tf.eye(4, dtype=tf.float64)))
    left, values, right = np.linalg.svd(kernel)
    inner = np.sum(readout * kernel) / values[0]
    expected = (readout - inner * np.outer(left[:, 0], right[0])) / values[0]
    np.testing.assert_allclose(tape.gradient(loss, raw(layer)), expected, rtol=1e-6, atol=1e-9)


def test_no_gradient_passes_through_the_state():
    layer = built("dense")
    state = tf.convert_to_tensor(layer.u)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(state)
        weights = [tf.convert_to_tensor(v) for v in layer.trainable_variables]
        tape.watch(weights)
        outputs, (u,) = layer.stateless_call(weights, [state], tf.constant(IMAGES), training=True)
        of_outputs = tf.reduce_sum(tf.square(outputs))
        of_state = tf.reduce_sum(u)
    assert tape.gradient(of_outputs, state) is None
    assert tape.gradient(of_state, [state, *weights]) == [None, None, None]


def test_first_derivative_along_the_unstopped_norm_equals_the_exact_norms():
    layer = built("dense", use_bias=False)

    def normalised(values):
        exact = tf.linalg.svd(values[0], compute_uv=False)[0]
        return tf.reduce_sum(tf.tanh(tf.matmul(tf.constant(IMAGES[0, 0]), values[0] / exact)))

    kernel = tf.convert_to_tensor(raw(layer))
    assert max(directional_error(normalised, [kernel])) < 1e-8
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(kernel)
        mine = tf.reduce_sum(
            tf.tanh(layer.stateless_call([kernel], [tf.constant(layer.u.numpy())], tf.constant(IMAGES[0, 0]))[0])
        )
        exact = normalised([kernel])
    np.testing.assert_allclose(tape.gradient(mine, kernel), tape.gradient(exact, kernel), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("training", [False, True])
def test_a_kernel_of_zeros_stays_finite_and_keeps_its_state(training):
    layer = built("dense", kernel_initializer="zeros", dtype="float32")
    before = layer.u.numpy()
    with tf.GradientTape() as tape:
        y = layer(tf.cast(IMAGES, tf.float32), training=training)
        loss = tf.reduce_sum(y)
    np.testing.assert_array_equal(y, np.zeros_like(y))
    assert np.all(np.isfinite(tape.gradient(loss, raw(layer))))
    np.testing.assert_allclose(np.abs(layer.u), np.abs(before))


def test_length_of_the_state_does_not_matter():
    """The mean of several tasks' u is shorter than 1."""
    layer = built("conv")
    before = layer(IMAGES)
    layer.u.assign(0.3 * layer.u)
    np.testing.assert_allclose(layer(IMAGES), before, rtol=1e-9, atol=1e-12)


@EACH
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16"])
def test_dtype_shape_and_dynamic_batch_in_a_graph(name, dtype):
    layer = built(name, dtype=dtype)
    spec = tf.TensorSpec([None, 4, 6, 4], layer.compute_dtype)
    x = tf.cast(IMAGES, layer.compute_dtype)
    expected = layer(x)
    result = tf.function(lambda x: layer(x, training=True), input_signature=[spec])(x)
    assert result.dtype == layer.compute_dtype and layer.u.dtype == layer.variable_dtype
    assert result.shape == layer.compute_output_shape(IMAGES.shape)
    coarse = "16" in dtype
    np.testing.assert_allclose(result, expected, rtol=1e-2 if coarse else 1e-5, atol=1e-3 if coarse else 1e-5)


@EACH
def test_config_round_trip(name):
    layer = LAYERS[name](iterations=3, name="mine")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer) and again.get_config() == layer.get_config() and again.iterations == 3


@EACH
def test_file_round_trip_gives_equal_outputs_and_state(name, tmp_path):
    layer = LAYERS[name]()
    inputs = keras.Input(IMAGES.shape[1:], **F64)
    model = keras.Model(inputs, layer(inputs))
    raw(layer).assign(np.random.default_rng(1).normal(size=raw(layer).shape))  # so that u is not build's
    model(IMAGES, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES))
    for one, two in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(loaded(IMAGES, training=True), model(IMAGES, training=True))
    np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES))


@EACH
def test_it_is_allowed_in_a_player(name):
    assert check_differentiable(LAYERS[name]()) is None


@EACH
@pytest.mark.parametrize("iterations", [0, 1.0, True])
def test_bad_iterations_are_refused(name, iterations):
    with pytest.raises(ValueError, match=r"'iterations' must be an integer >= 1 and .*\. Received: "):
        LAYERS[name](iterations=iterations)


def test_channels_first_are_refused():
    with pytest.raises(ValueError, match="'data_format' must be 'channels_last'"):
        SpectralConv2D(3, 1, data_format="channels_first")
