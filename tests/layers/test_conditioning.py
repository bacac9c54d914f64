"""FiLM and MetaBatchNormalization: by hand, independent rows, second derivatives, saving, refusals."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import FiLM, InstanceNormalization, MetaBatchNormalization, check_differentiable
from tests.layers.finite_differences import directional_error, grad_of_grad_error

TINY = 1e-12  # an epsilon that does not change the numbers
F64 = {"dtype": "float64"}
BOTH = [FiLM, MetaBatchNormalization]
SHAPES = [(3, 4), (3, 5, 4), (3, 4, 6, 4)]
DRAW = np.random.default_rng(0)
IMAGES = DRAW.normal(2.0, 3.0, size=(3, 4, 6, 4))
CODE, CODES = DRAW.normal(size=2), DRAW.normal(size=(3, 2))


def perturbed(kind, shape=IMAGES.shape, **options):
    """A layer whose every weight affects the output."""
    layer = kind(**{**F64, **options})
    layer.build(shape, (2,))
    draw = np.random.default_rng(1)
    for variable in layer.variables:
        variable.assign(variable + draw.normal(0.0, 0.5, variable.shape))
    return layer


class Embedded(keras.layers.Layer):
    """A layer of one input, for the finite differences: the task embedding is a weight."""

    def __init__(self, layer, embedding_shape):
        super().__init__(**F64)
        self.inner, self.embedding_shape = layer, embedding_shape

    def build(self, input_shape):
        self.inner.build(input_shape, self.embedding_shape)
        self.embedding = self.add_weight(name="task_embedding", shape=self.embedding_shape)

    def call(self, x):
        return self.inner(x, self.embedding)


def test_film_by_hand():
    layer = FiLM(**F64)
    layer.build((None, 2), (3,))
    layer.set_weights([np.ones((3, 2)), np.array([0.0, 1.0]), np.eye(3, 2), np.array([0.0, -1.0])])
    # embedding (1, 2, 4): scales 1 + 7 and 1 + 7 + 1, offsets 1 and 2 - 1
    y = layer(tf.constant([[1.0, 1.0], [2.0, 0.0]], tf.float64), tf.constant([1.0, 2.0, 4.0], tf.float64))
    np.testing.assert_allclose(y, [[8 + 1, 9 + 1], [16 + 1, 0 + 1]])


def test_film_starts_as_the_identity():
    np.testing.assert_array_equal(FiLM(**F64)(IMAGES, CODE), IMAGES)


def test_moments_by_hand():
    # positions 0 and 4: mean 2, variance 4; the task's mean 0 and variance 1; a share of one half
    layer = MetaBatchNormalization(TINY, **F64)
    y = layer(tf.constant([[[0.0], [4.0]]], tf.float64), tf.zeros([3], tf.float64))
    np.testing.assert_allclose(np.ravel(y), np.array([-1.0, 3.0]) / np.sqrt(0.5 * 4 + 0.5 * 1 + 0.25 * 4), rtol=1e-9)


def test_predicted_moments_by_hand_without_positions():
    layer = MetaBatchNormalization(TINY, **F64)
    layer.build((None, 1), (2,))
    weights = {variable.path.rpartition("/")[2]: variable for variable in layer.variables}
    assert "blend" not in weights  # an unused weight would have no gradient
    weights["mean_kernel"].assign([[1.0], [0.0]])
    weights["mean_bias"].assign([10.0])
    weights["log_variance_kernel"].assign([[0.0], [1.0]])
    weights["log_variance_bias"].assign([0.5])
    # mean 10 + 3, log variance 6 tanh((1.5 + .5) / 6)
    y = layer(tf.constant([[14.0]], tf.float64), tf.constant([3.0, 1.5], tf.float64))
    np.testing.assert_allclose(y, [[1 / np.sqrt(np.exp(6 * np.tanh(2 / 6)))]], rtol=1e-9)


@pytest.mark.parametrize("blend", [0.1, 0.5, 0.8])
def test_the_moments_are_those_of_a_mixture_of_samples(blend):
    """The row's own values, and a sample of the predicted distribution, weighted by the share."""
    layer = MetaBatchNormalization(TINY, blend, **F64)
    own = np.array([1.0, 5.0, 6.0])
    y = np.ravel(layer(tf.constant(own[None, :, None]), tf.zeros([1], tf.float64)))
    task = np.array([-1.0, 1.0])  # mean 0, variance 1
    values = np.concatenate([own, task])
    weights = np.concatenate([np.full(3, blend / 3), np.full(2, (1 - blend) / 2)])
    mean = np.sum(weights * values)
    # Keras stores the value of a constant initialiser in float32.
    np.testing.assert_allclose(y, (own - mean) / np.sqrt(np.sum(weights * (values - mean) ** 2)), rtol=1e-6)


def test_share_of_one_is_instance_normalisation_and_of_zero_a_fixed_map():
    ours = MetaBatchNormalization(blend=1 - 1e-13, **F64)(IMAGES, CODE)
    np.testing.assert_allclose(ours, InstanceNormalization(**F64)(IMAGES), rtol=1e-9, atol=1e-9)
    fixed = MetaBatchNormalization(blend=1e-13, **F64)(IMAGES, CODE)
    np.testing.assert_allclose(fixed, IMAGES / np.sqrt(1 + 1e-3), rtol=1e-9, atol=1e-9)


def test_an_unusual_embedding_cannot_overflow():
    layer = MetaBatchNormalization()
    layer.build((None, 3, 1), (1,))
    for variable in layer.variables:
        if "log_variance_kernel" in variable.path:
            variable.assign([[1e6]])
    for far in (-1e9, 1e9):
        y = layer(tf.constant([[[0.0], [1.0], [2.0]]]), tf.constant([far]))
        assert np.all(np.isfinite(y)) and np.max(np.abs(y)) < 2


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_does_not_depend_on_the_others(kind, shape):
    layer = perturbed(kind, shape)
    x = np.random.default_rng(2).normal(size=shape)
    whole = layer(x, CODES)
    for row in range(3):
        np.testing.assert_allclose(layer(x[row : row + 1], CODES[row : row + 1]), whole[row : row + 1], rtol=1e-12)
        np.testing.assert_allclose(layer(x[row : row + 1], CODES[row]), whole[row : row + 1], rtol=1e-12)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("shape", SHAPES)
def test_one_embedding_equals_the_same_embedding_in_every_row(kind, shape):
    layer = perturbed(kind, shape)
    x = np.random.default_rng(2).normal(size=shape)
    np.testing.assert_allclose(layer(x, CODE), layer(x, np.tile(CODE, (3, 1))), rtol=1e-12)


@pytest.mark.parametrize("kind", BOTH)
def test_training_equals_inference_and_there_is_no_state(kind):
    layer = perturbed(kind)
    assert not layer.non_trainable_variables
    inputs = [keras.Input(IMAGES.shape[1:], **F64), keras.Input((2,), **F64)]
    model = keras.Model(inputs, layer(*inputs))
    np.testing.assert_array_equal(model([IMAGES, CODES], training=True), model([IMAGES, CODES], training=False))


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("embedding_shape", [(2,), (3, 2)])
def test_grad_of_grad_equals_finite_differences(kind, shape, embedding_shape):
    assert grad_of_grad_error(lambda: Embedded(kind(**F64), embedding_shape), shape) < 1e-6


@pytest.mark.parametrize("kind", BOTH)
def test_first_derivatives_by_input_and_embedding_equal_finite_differences(kind):
    layer = perturbed(kind)
    readout = np.random.default_rng(3).normal(size=IMAGES.shape)
    assert max(directional_error(lambda v: tf.reduce_sum(readout * tf.tanh(layer(*v))), [IMAGES, CODES])) < 1e-8


def test_the_embedding_has_an_initial_gradient_only_with_a_deviation():
    for deviation, moves in [(0.0, False), (0.1, True)]:
        layer, embedding = FiLM(deviation, **F64), tf.constant(CODE)
        with tf.GradientTape() as tape:
            tape.watch(embedding)
            loss = tf.reduce_sum(tf.square(layer(IMAGES, embedding)))
        assert bool(np.any(tape.gradient(loss, embedding) != 0)) is moves


def test_initial_kernels_depend_only_on_the_seed():
    def kernels(seed, state):
        keras.utils.set_random_seed(state)
        layer = MetaBatchNormalization(initial_deviation=0.3, seed=seed)
        layer.build((None, 5, 200), (100,))
        return {variable.path.rpartition("/")[2]: variable.numpy() for variable in layer.variables}

    first, again, other = kernels(0, 1), kernels(0, 2), kernels(1, 1)
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
    for name in ("scale_kernel", "offset_kernel"):
        np.testing.assert_allclose(first[name].std(), 0.3, rtol=0.05)
        assert np.abs(np.corrcoef(first[name].ravel(), other[name].ravel())[0, 1]) < 0.05
    assert np.abs(np.corrcoef(first["scale_kernel"].ravel(), first["offset_kernel"].ravel())[0, 1]) < 0.05
    for name in ("mean_kernel", "mean_bias", "log_variance_kernel", "log_variance_bias", "scale_bias"):
        assert not np.any(first[name])


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16"])
def test_dtype_shape_and_dynamic_batch_in_a_graph(kind, dtype):
    layer = perturbed(kind, dtype=dtype)
    kinds = layer.compute_dtype
    specs = [tf.TensorSpec([None, None, 6, 4], kinds), tf.TensorSpec([2], kinds)]
    compiled = tf.function(lambda x, embedding: layer(x, embedding), input_signature=specs)
    x, embedding = tf.cast(IMAGES, kinds), tf.cast(CODE, kinds)
    result = compiled(x, embedding)
    assert result.shape == IMAGES.shape and result.dtype == kinds
    np.testing.assert_allclose(result, layer(x, embedding), rtol=1e-2 if "16" in kinds else 1e-5, atol=1e-5)
    assert layer.compute_output_shape((None, 4, 6, 4), (2,)) == (None, 4, 6, 4)


def test_half_precision_moments_do_not_overflow():
    layer = MetaBatchNormalization(blend=0.999, dtype="mixed_float16")  # the squares of 300 are beyond float16
    y = layer(tf.constant([[[-300.0], [300.0]]]), tf.zeros([2]))
    np.testing.assert_allclose(np.ravel(y), [-1.0, 1.0], atol=2e-3)


@pytest.mark.parametrize("layer", [FiLM(0.1, 3, **F64), MetaBatchNormalization(0.01, 0.3, 0.1, 3, name="mine")])
def test_config_round_trip(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer) and again.get_config() == layer.get_config()
    assert again.initial_deviation == 0.1 and again.seed == 3 and again.dtype_policy.name == layer.dtype_policy.name


@pytest.mark.parametrize("kind", BOTH)
def test_file_round_trip_gives_equal_outputs(kind, tmp_path):
    inputs = [keras.Input(IMAGES.shape[1:], **F64), keras.Input((2,), **F64)]
    model = keras.Model(inputs, perturbed(kind)(*inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded([IMAGES, CODES]), model([IMAGES, CODES]))


@pytest.mark.parametrize("kind", BOTH)
def test_shapes_saved_by_earlier_versions_are_read(kind):
    layer = kind()
    layer.build_from_config({"shapes_dict": {"x_shape": [None, 4, 6, 4], "code_shape": [2]}})
    assert layer.built and layer(IMAGES, CODE).shape == IMAGES.shape


@pytest.mark.parametrize("kind", BOTH)
def test_it_is_allowed_in_a_player(kind):
    assert check_differentiable(kind()) is None


@pytest.mark.parametrize(
    "x_shape, embedding_shape",
    [((3,), (2,)), ((3, 4), ()), ((3, 4), (1, 3, 2)), ((3, None), (2,)), ((3, 4), (None,)), ((3, 4), (2, 5))],
)
@pytest.mark.parametrize("kind", BOTH)
def test_bad_shapes_are_refused(kind, x_shape, embedding_shape):
    with pytest.raises(
        ValueError, match=rf"inputs of {kind.__name__} must be x \[n.*embedding \[d\] or.*Received: shapes"
    ):
        kind().build(x_shape, embedding_shape)


@pytest.mark.parametrize("kind", BOTH)
def test_a_call_with_other_sizes_is_refused(kind):
    layer = perturbed(kind)
    with pytest.raises(ValueError, match=r"here 4 channels and an embedding of size 2.*Received: .*\(5,\)"):
        layer(IMAGES, np.zeros(5))
    with pytest.raises(ValueError, match=r"Received: shapes \(3, 4, 6, 4\) and \(2, 2\)"):
        layer(IMAGES, np.zeros((2, 2)))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: FiLM(-1.0), r"'initial_deviation' must be a finite number >= 0\. Received: -1"),
        (lambda: FiLM(seed=1.5), r"'seed' must be an integer >= 0 and .*\. Received: 1.5"),
        (lambda: MetaBatchNormalization(0.0), r"'epsilon' must be a finite number > 0\. Received: 0"),
        (lambda: MetaBatchNormalization(blend=1.0), r"'blend' must be a finite number > 0 and < 1\. Received: 1.0"),
        (lambda: MetaBatchNormalization(seed=-1), r"'seed' must be an integer >= 0 and .*\. Received: -1"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
