"""The task encoder: order and number of the images, scale, context, poolings, seeds and saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import check_differentiable
from meta_gan.networks import TaskEncoder
from meta_gan.networks.task_encoder import POOLINGS
from tests.layers.finite_differences import directional_error

SHAPE = (8, 12, 2)
both = pytest.mark.parametrize("pooling", POOLINGS)


def images(k=5, shape=SHAPE, seed=0, dtype="float32"):
    return tf.constant(np.random.default_rng(seed).uniform(-1, 1, (k, *shape)), dtype)


def encoder(pooling="mean", moved=True, **options):
    """A tiny encoder; `moved` to random weights, so that scores, biases and context take part."""
    made = TaskEncoder(SHAPE, embedding_dim=3, width=2, pooling=pooling, **options)
    for index, variable in enumerate(made.variables if moved else []):
        variable.assign(variable + 0.3 * np.random.default_rng(index).normal(size=variable.shape))
    return made


@both
@pytest.mark.parametrize("k", [1, 2, 5])
def test_one_task_embedding_for_any_number_of_images(pooling, k):
    embedding = encoder(pooling)(images(k))
    assert embedding.shape == (3,) and embedding.dtype == "float32"
    assert np.all(np.isfinite(embedding))


@both
def test_order_of_the_images_does_not_matter(pooling):
    network, support = encoder(pooling), images()
    for order in ([4, 3, 2, 1, 0], [2, 0, 4, 1, 3]):
        np.testing.assert_allclose(network(tf.gather(support, order)), network(support), rtol=1e-5, atol=1e-6)


@both
def test_copies_of_the_whole_set_change_nothing(pooling):
    network, support = encoder(pooling), images(3)
    np.testing.assert_allclose(network(tf.tile(support, [4, 1, 1, 1])), network(support), rtol=1e-5, atol=1e-6)


@both
def test_every_image_has_an_influence(pooling):
    network, support = encoder(pooling), images()
    for i in range(5):
        other = tf.concat([support[:i], -support[i : i + 1], support[i + 1 :]], axis=0)
        assert np.max(np.abs(network(other) - network(support))) > 1e-4


@both
@pytest.mark.parametrize("k", [1, 5])
def test_root_mean_square_is_one_without_context(pooling, k):
    embedding = encoder(pooling, moved=False)(images(k))
    # not quite 1: what keeps a task embedding of 0 finite is added to the mean square
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(embedding))), 1.0, atol=0.02)


def test_task_embedding_is_the_mean_brought_to_its_size():
    network, support = encoder(moved=False, dtype="float64"), images(dtype="float64")
    mean = np.mean(network.body(support), axis=0)
    np.testing.assert_allclose(network(support), mean / np.sqrt(np.mean(mean**2) + 1e-3), rtol=1e-12)


@both
def test_context_starts_at_zero_and_is_added_unscaled(pooling):
    network, support = encoder(pooling, moved=False), images()
    np.testing.assert_array_equal(network.context, np.zeros(3))
    before = network(support)
    network.context.assign([5.0, -7.0, 0.25])
    np.testing.assert_allclose(network(support) - before, [5.0, -7.0, 0.25], atol=1e-6)


def test_the_context_mask_finds_one_weight():
    # the mask of context-only adaptation, see the class
    for pooling in POOLINGS:
        paths = [variable.path for variable in encoder(pooling).trainable_variables]
        assert sum(path.endswith("/context") for path in paths) == 1
        assert len(set(paths)) == len(paths)


def test_attention_of_equal_scores_is_the_mean():
    mean, attention = (encoder(pooling, moved=False) for pooling in ("mean", "attention"))
    np.testing.assert_array_equal(attention.score.kernel, np.zeros((3, 1)))
    np.testing.assert_allclose(attention(images()), mean(images()), rtol=1e-5, atol=1e-6)


def test_attention_equals_numpy():
    network, support = encoder("attention", dtype="float64"), images(dtype="float64")
    embeddings = network.body(support).numpy()
    weights = np.exp(embeddings @ network.score.kernel.numpy())
    embedding = (embeddings * weights / weights.sum()).sum(axis=0)
    expected = embedding / np.sqrt(np.mean(embedding**2) + 1e-3) + network.context.numpy()
    np.testing.assert_allclose(network(support), expected, rtol=1e-10)


def test_a_high_score_selects_one_image():
    network, support = encoder("attention", moved=False), images()
    embeddings = network.body(support).numpy()
    direction = embeddings[3] - embeddings.mean(axis=0)
    scores = embeddings @ direction
    network.score.kernel.assign(1e4 * direction[:, None])
    best = int(np.argmax(scores))
    np.testing.assert_allclose(network(support), network(support[best : best + 1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "shape, levels, channels, size",
    [
        ((8, 8, 1), 1, [3], 4 * 4 * 3),
        ((13, 14, 2), 1 + 1, [3, 6], 4 * 4 * 6),  # 13 becomes 7, which is halved again
        ((28, 28, 1), 3, [3, 6, 12], 4 * 4 * 12),
        ((16, 32, 3), 2, [3, 6], 4 * 8 * 6),
        ((64, 64, 1), 4, [3, 6, 12, 12], 4 * 4 * 12),
    ],
)
def test_sizes_by_hand(shape, levels, channels, size):
    network = TaskEncoder(shape, embedding_dim=5, width=3)
    assert [network.body.get_layer(f"down_{level}").filters for level in range(levels)] == channels
    assert network.body.get_layer("readout").kernel.shape == (size, 5)
    assert network(images(2, shape)).shape == (5,)


def test_parameters_counted_by_hand():
    convolution, readout = 4 * 4 * 2 * 2 + 2, 4 * 6 * 2 * 3 + 3  # 8x12 is halved once
    assert encoder().count_params() == convolution + readout + 3
    assert encoder("attention").count_params() == convolution + readout + 3 + 3


@both
def test_weights_exist_before_the_first_call_and_layers_are_sound(pooling):
    network = encoder(pooling)
    assert network.built
    count = len(network.variables)
    network(images())
    assert len(network.variables) == count and count == len(network.trainable_variables)
    assert check_differentiable(network) is None


@both
def test_weights_depend_on_the_seed_alone(pooling):
    keras.utils.set_random_seed(1)
    first = encoder(pooling, moved=False, seed=7).get_weights()
    keras.utils.set_random_seed(2)
    keras.random.normal((3,))
    again, other = (encoder(pooling, moved=False, seed=seed).get_weights() for seed in (7, 8))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any(np.any(one != two) for one, two in zip(first, other, strict=True))


@both
def test_config_round_trip_gives_the_same_initial_weights(pooling):
    network = encoder(pooling, moved=False, seed=3, name="mine", dtype="float64")
    again = TaskEncoder.from_config(network.get_config())
    assert again.get_config() == network.get_config() and again.dtype_policy.name == "float64"
    for one, two in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@both
def test_file_round_trip_gives_equal_outputs(pooling, tmp_path):
    network = encoder(pooling)
    network.save(tmp_path / "encoder.keras")
    loaded = keras.models.load_model(tmp_path / "encoder.keras")
    assert type(loaded) is TaskEncoder and loaded.get_config() == network.get_config()
    np.testing.assert_array_equal(loaded(images()), network(images()))


@both
def test_stateless_call_equals_call_in_a_graph_of_unknown_k(pooling):
    network = encoder(pooling)

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE])])
    def stateless(support):
        weights = [tf.convert_to_tensor(v) for v in network.trainable_variables]
        return network.stateless_call(weights, [], support, training=True)[0]

    for k in (1, 5):
        np.testing.assert_allclose(stateless(images(k)), network(images(k)), rtol=1e-5, atol=1e-6)


def test_blank_images_give_a_finite_task_embedding_with_finite_slopes():
    network, blank = (
        encoder(moved=False),
        tf.zeros([2, *SHAPE]),
    )  # all embeddings are 0, where a root has no slope
    with tf.GradientTape() as tape:
        tape.watch(blank)
        embedding = network(blank)
    np.testing.assert_array_equal(embedding, np.zeros(3))
    assert np.all(np.isfinite(tape.gradient(embedding, blank)))


@both
def test_second_derivatives_equal_finite_differences(pooling):
    network = encoder(pooling, dtype="float64")
    start = [variable.numpy() for variable in network.trainable_variables]
    readout = np.random.default_rng(5).normal(size=3)

    @tf.function(autograph=False)
    def slopes(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            embedding = network.stateless_call(values[1:], [], values[0])[0]
            loss = tf.reduce_sum(tf.tanh(embedding * readout))
        return sum(tf.reduce_sum(tf.square(g)) for g in tape.gradient(loss, values))

    assert max(directional_error(slopes, [images(3, dtype="float64"), *start], step=1e-6)) < 1e-5


@pytest.mark.parametrize("shape", [(7, 8, 1), (8, 7, 1), (7, 8), (16,), (8, 8, 1, 1), (0, 8, 1), (8.0, 8, 1)])
def test_impossible_shapes_are_rejected(shape):
    with pytest.raises(ValueError, match=r"'example_shape' must be .*Received: "):
        TaskEncoder(shape)


@pytest.mark.parametrize(
    "options, name",
    [
        ({"embedding_dim": 0}, "embedding_dim"),
        ({"width": 1.5}, "width"),
        ({"pooling": "max"}, "pooling"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_arguments_are_rejected(options, name):
    with pytest.raises(ValueError, match=rf"'{name}' must be .*Received: "):
        TaskEncoder((8, 8, 1), **options)
