"""Self-attention: hand numbers, NumPy, symmetries, second derivatives, both kinds of convolution, saving, refusals."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import SelfAttention2D, SpectralConv2D, check_differentiable
from tests.layers.finite_differences import grad_of_grad_error

F64 = {"dtype": "float64"}
SHAPES = [(3, 4, 6, 4), (3, 3, 4, 4), (2, 5, 3, 16)]  # pooled, not pooled, not pooled with two keys
BOTH = pytest.mark.parametrize("spectral", [False, True])


def images(shape):
    return np.random.default_rng(0).normal(size=shape)


def perturbed(shape, **options):
    """A layer with random gamma and kernels."""
    layer = SelfAttention2D(**{**F64, **options})
    layer.build(shape)
    draw = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(variable + draw.normal(0.0, 0.5, variable.shape))
    return layer


def by_numpy(layer, x):
    """Compute the layer from its kernels, image by image; keys and values are pooled after their convolutions."""
    query, key, value, output = (
        np.asarray(part.kernel)[0, 0] for part in (layer.query, layer.key, layer.value, layer.output_projection)
    )

    def pool(y):
        if y.shape[0] % 2 or y.shape[1] % 2:
            return y
        return (y[::2, ::2] + y[1::2, ::2] + y[::2, 1::2] + y[1::2, 1::2]) / 4

    result = []
    for image in x:
        q = (image @ query).reshape(-1, query.shape[1])
        k = pool(image @ key).reshape(-1, key.shape[1])
        v = pool(image @ value).reshape(-1, value.shape[1])
        weights = np.exp(q @ k.T)
        weights /= weights.sum(axis=1, keepdims=True)
        result.append(image + float(layer.gamma) * (weights @ v @ output).reshape(image.shape))
    return np.stack(result)


def test_by_hand():
    """Two positions, 0 and 1: the first attends to both alike, the second by the weights 1 and 3."""
    layer = SelfAttention2D(**F64)
    layer.build((None, 1, 2, 1))
    for part, number in [
        (layer.query, np.log(3.0)),
        (layer.key, 1.0),
        (layer.value, 4.0),
        (layer.output_projection, 1),
    ]:
        part.set_weights([np.full((1, 1, 1, 1), number)])
    layer.gamma.assign(10.0)
    y = layer(tf.constant([[[[0.0], [1.0]]]], tf.float64))
    np.testing.assert_allclose(np.ravel(y), [10 * 4 / 2, 1 + 10 * 4 * 3 / 4])


@BOTH
@pytest.mark.parametrize("shape", SHAPES)
def test_starts_as_the_identity(spectral, shape):
    x = images(shape)
    np.testing.assert_array_equal(SelfAttention2D(spectral, **F64)(x), x)


@BOTH
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_numpy(spectral, shape):
    layer, x = perturbed(shape, spectral=spectral), images(shape)
    np.testing.assert_allclose(layer(x), by_numpy(layer, x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("channels, narrow, half", [(1, 1, 1), (3, 1, 1), (8, 1, 4), (32, 4, 16)])
def test_sizes_of_the_convolutions(channels, narrow, half):
    layer = SelfAttention2D()
    layer.build((None, 4, 4, channels))
    shapes = [tuple(variable.shape) for variable in layer.trainable_variables if variable.shape != ()]
    assert shapes == [(1, 1, channels, narrow)] * 2 + [(1, 1, channels, half), (1, 1, half, channels)]
    assert layer.count_params() == 2 * channels * narrow + 2 * channels * half + 1


def test_an_image_does_not_depend_on_its_batch():
    layer, x = perturbed((3, 4, 6, 4)), images((3, 4, 6, 4))
    np.testing.assert_allclose(layer(x)[1:2], layer(x[1:2]), rtol=1e-12)


def test_it_is_equivariant_to_permutations_of_positions():
    layer, x = perturbed((2, 3, 5, 4)), images((2, 3, 5, 4))
    order = np.random.default_rng(2).permutation(15)

    def permute(y):
        return np.asarray(y).reshape(2, 15, 4)[:, order].reshape(2, 3, 5, 4)

    np.testing.assert_allclose(layer(permute(x)), permute(layer(x)), rtol=1e-9, atol=1e-12)


def test_every_position_sees_every_other():
    layer, x = perturbed((1, 4, 4, 4)), tf.constant(images((1, 4, 4, 4)))
    with tf.GradientTape() as tape:
        tape.watch(x)
        corner = tf.reduce_sum(layer(x)[0, 0, 0])
    assert np.all(np.any(tape.gradient(corner, x)[0] != 0, axis=-1))


@BOTH
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", SHAPES[:2])
def test_grad_of_grad_equals_finite_differences(spectral, training, shape):
    assert grad_of_grad_error(lambda: SelfAttention2D(spectral, **F64), shape, training) < 1e-6


def test_spectral_kernels_have_norm_one_and_a_state_that_training_updates():
    shape = (3, 4, 6, 4)
    layer = perturbed(shape, spectral=True)
    parts = (layer.query, layer.key, layer.value, layer.output_projection)
    assert all(isinstance(part, SpectralConv2D) for part in parts) and len(layer.non_trainable_variables) == 4
    before = [variable.numpy() for variable in layer.non_trainable_variables]
    layer(images(shape), training=False)
    for one, two in zip(before, layer.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(one, two)
    train = tf.function(lambda x: layer(x, training=True))
    for _ in range(200):
        train(tf.constant(images(shape)))
    for part in parts:
        np.testing.assert_allclose(np.linalg.norm(np.asarray(part.kernel)[0, 0], 2), 1.0, rtol=1e-3)
    assert not perturbed(shape, spectral=False).non_trainable_variables


def test_stateless_call_returns_the_new_state():
    shape = (3, 4, 6, 4)
    layer = perturbed(shape, spectral=True)
    weights = [tf.convert_to_tensor(v) for v in layer.trainable_variables]
    state = [tf.convert_to_tensor(v) for v in layer.non_trainable_variables]
    x = tf.constant(images(shape))
    outputs, moved = layer.stateless_call(weights, state, x, training=True)
    np.testing.assert_allclose(outputs, layer(x, training=True), rtol=1e-12)
    for one, two in zip(moved, layer.non_trainable_variables, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12)


def test_initial_kernels_depend_only_on_the_seed():
    def kernels(seed, state):
        keras.utils.set_random_seed(state)
        layer = SelfAttention2D(seed=seed)
        layer.build((None, 4, 4, 8))
        return layer.get_weights()

    first, again, other = kernels(0, 1), kernels(0, 2), kernels(1, 1)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert all(np.any(one != two) for one, two in zip(first, other, strict=True) if one.ndim)
    assert np.any(first[0] != first[1])  # query and key have one shape and seeds of their own


@BOTH
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16"])
def test_dtype_shape_and_dynamic_batch_in_a_graph(spectral, dtype):
    layer = perturbed((None, 4, 6, 4), spectral=spectral, dtype=dtype)
    x = tf.cast(images((3, 4, 6, 4)), layer.compute_dtype)
    expected = layer(x)
    spec = tf.TensorSpec([None, 4, 6, 4], layer.compute_dtype)
    result = tf.function(lambda x: layer(x), input_signature=[spec])(x)
    assert result.shape == x.shape and result.dtype == layer.compute_dtype
    np.testing.assert_allclose(
        result, expected, rtol=1e-2 if "16" in dtype else 1e-5, atol=1e-2 if "16" in dtype else 1e-5
    )
    assert layer.compute_output_shape((None, 4, 6, 4)) == (None, 4, 6, 4)


@BOTH
def test_config_round_trip(spectral):
    layer = SelfAttention2D(spectral, 5, name="mine", **F64)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is SelfAttention2D and again.get_config() == layer.get_config()
    assert again.spectral is spectral and again.seed == 5


@BOTH
def test_file_round_trip_gives_equal_outputs(spectral, tmp_path):
    x = images((3, 4, 6, 4))
    inputs = keras.Input(x.shape[1:], **F64)
    model = keras.Model(inputs, perturbed((None, 4, 6, 4), spectral=spectral)(inputs))
    model(x, training=True)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(x), model(x))


@BOTH
def test_it_is_allowed_in_a_player(spectral):
    layer = perturbed((None, 4, 4, 2), spectral=spectral)
    assert check_differentiable(layer) is None


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 4), (None, None, 4, 2), (None, 4, 4, None)])
def test_other_than_images_of_known_size_are_refused(shape):
    with pytest.raises(ValueError, match=r"'input_shape' of SelfAttention2D must be .*known height.*Received: "):
        SelfAttention2D().build(shape)


@pytest.mark.parametrize("seed", [-1, 1.0, True])
def test_bad_seed_is_refused(seed):
    with pytest.raises(ValueError, match=r"'seed' must be an integer >= 0 and .*\. Received: "):
        SelfAttention2D(seed=seed)
