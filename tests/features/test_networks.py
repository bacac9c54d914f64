"""The feature networks: sizes by hand, weights by seed, and derivatives of second order."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan import layers
from meta_gan.features.networks import MOST_FEATURES, NETWORKS, conv4, residual
from meta_gan.layers import check_differentiable
from tests.layers.finite_differences import directional_error, weighted_gradient_norm
from tests.toys import weekly

SHAPE = (28, 28, 1)
IMAGES = np.random.default_rng(0).uniform(-1, 1, (6, *SHAPE)).astype(np.float32)


def test_conv4_has_the_weights_of_the_paper():
    """A 3x3 kernel from 1 channel, three from 64 to 64, and four numbers a channel of each normalisation."""
    network = conv4(SHAPE)
    assert network.count_params() == 9 * 64 + 3 * 9 * 64 * 64 + 4 * 4 * 64
    assert sum(np.prod(v.shape) for v in network.trainable_variables) == network.count_params() - 4 * 2 * 64


def test_residual_has_the_expected_number_of_weights():
    """Stem, three blocks of two 3x3 kernels (32, 64, 64), one 1x1 shortcut, the widening, eight normalisations."""
    kernels = 9 * 32 + 18 * 32 * 32 + 9 * (32 * 64 + 64 * 64) + 18 * 64 * 64 + 32 * 64 + 64 * 128
    channels = 32 + 32 + 32 + 64 + 64 + 64 + 64 + 128
    assert residual(SHAPE).count_params() == kernels + 4 * channels
    assert residual(SHAPE).count_params() * 4 < 700_000


@pytest.mark.parametrize(
    ("shape", "maps", "features"),
    [
        ((8, 8, 1), (8, 4, 2, 1), 64),
        ((9, 12, 3), (9, 4, 2, 1), 64),
        ((28, 28, 1), (28, 14, 7, 3), 64),
        ((32, 32, 3), (32, 16, 8, 4), 256),
        ((64, 64, 4), (64, 32, 16, 8), 64),
        ((8, 40, 2), (8, 4, 2, 1), 5 * 64),
    ],
)
def test_conv4_halves_while_it_can_and_keeps_few_features(shape, maps, features):
    """8x40 ends at 1x5: 320 features would be too many, so they are averaged."""
    features = features if features <= MOST_FEATURES else 64
    network = conv4(shape)
    assert network.input_shape == (None, *shape) and network.output_shape == (None, features)
    assert tuple(network.get_layer(f"conv_{block}").output.shape[1] for block in range(4)) == maps
    assert network(np.zeros((3, *shape), np.float32)).shape == (3, features)


@pytest.mark.parametrize(
    ("shape", "sides"), [((8, 8, 1), (4, 2, 1)), ((28, 28, 1), (14, 7, 4)), ((33, 20, 3), (17, 9, 5))]
)
def test_residual_halves_three_times_and_rounds_up(shape, sides):
    network = residual(shape, width=4)
    assert tuple(network.get_layer(f"block_{block}_add").output.shape[1] for block in range(3)) == sides
    assert network(np.zeros((3, *shape), np.float32)).shape == (3, 16)


def test_a_residual_block_with_a_zero_kernel_is_average_pooling():
    """With its last kernel at 0, the middle of a block of equal channels is the 2x2 average of its input."""
    network = residual(SHAPE, width=4)
    network.get_layer("block_0_conv").kernel.assign(tf.zeros([3, 3, 4, 4]))
    stem, block = (network.get_layer(name).output for name in ("stem", "block_0_add"))
    before, after = keras.Model(network.input, [stem, block])(IMAGES)
    average = before.numpy().reshape(6, 14, 2, 14, 2, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(after, average, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_depend_on_the_seed_alone(name):
    first, again, other = (NETWORKS[name](SHAPE, 4, seed).get_weights() for seed in (7, 7, 8))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    kernels = [(a, c) for a, c in zip(first, other, strict=True) if a.ndim == 4]
    assert len(kernels) >= 4 and not any(np.array_equal(a, c) for a, c in kernels)


def test_kernels_of_one_network_differ():
    network = conv4((8, 8, 1), 4)
    second, third = (network.get_layer(f"conv_{block}").kernel.numpy() for block in (1, 2))
    assert second.shape == third.shape and not np.array_equal(second, third)


@pytest.mark.parametrize("name", NETWORKS)
def test_signals_neither_vanish_nor_explode(name):
    """Initial features in training, where batches are normalised, are of order one for all widths."""
    for width in (8, 64):
        spread = np.std(NETWORKS[name](SHAPE, width)(IMAGES, training=True))
        assert 0.02 < spread < 3


@pytest.mark.parametrize("name", NETWORKS)
def test_the_arguments_are_checked(name):
    make = NETWORKS[name]
    for shape in ((7, 28, 1), (28, 7, 1), (28, 28), (28, 28, 5), (28, 28, 0), 28, (28.0, 28, 1)):
        with pytest.raises(ValueError, match=r"example_shape. must be .*Received"):
            make(shape)
    for bad in ({"width": 0}, {"width": 1.5}, {"seed": -1}, {"seed": True}):
        with pytest.raises(ValueError, match=r"must be .* Received"):
            make(SHAPE, **bad)


@pytest.mark.parametrize("name", NETWORKS)
def test_saving_keeps_every_feature(name, tmp_path):
    network = NETWORKS[name](SHAPE, 4, 3)
    network(IMAGES, training=True)
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
    restored.set_weights(network.get_weights())
    np.testing.assert_array_equal(restored(IMAGES), network(IMAGES))
    network.save(tmp_path / "a.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "a.keras")(IMAGES), network(IMAGES))


@pytest.mark.parametrize("name", NETWORKS)
def test_at_inference_images_are_independent(name):
    network = NETWORKS[name](SHAPE, 8)
    alone = np.concatenate([network(IMAGES[i : i + 1]) for i in range(6)])
    np.testing.assert_allclose(network(IMAGES), alone, atol=1e-6)
    assert np.abs(network(IMAGES, training=True) - alone).max() > 0.01, "training normalises over the batch"


@pytest.mark.parametrize("name", NETWORKS)
def test_all_layers_can_be_differentiated_twice(name):
    network = NETWORKS[name](SHAPE, 4)
    check_differentiable(network)
    assert not [layer for layer in network.layers if isinstance(layer, keras.layers.MaxPooling2D)]
    assert [layer for layer in network.layers if isinstance(layer, layers.BatchNormalization)]


@pytest.mark.parametrize("training", [*weekly(False), True])
@pytest.mark.parametrize("name", NETWORKS)
def test_second_derivatives_equal_finite_differences(name, training):
    network = NETWORKS[name]((8, 8, 1), 2, 1, dtype="float64")
    draw = np.random.default_rng(5)
    # Random offsets of the normalisations too: at 0 whole maps sit on the rectifier's kink.
    weights = [v.numpy() + draw.normal(0.0, 0.1, v.shape) for v in network.trainable_variables]
    function = tf.function(weighted_gradient_norm(network, training), autograph=False)
    images = draw.uniform(-1, 1, (3, 8, 8, 1))
    assert max(directional_error(function, [images, *weights], step=1e-6)) < 1e-4
