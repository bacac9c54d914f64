"""The fully connected pair: a count by hand, linear maps by hand, options, rejected arguments."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.networks import MLPDiscriminator, MLPGenerator, mlp
from meta_gan.networks.dense import ACTIVATIONS


def normal(*shape):
    return tf.constant(np.random.default_rng(0).normal(size=shape), tf.float32)


def test_parameters_counted_by_hand():
    generator, discriminator = mlp((2, 3), latent_dim=4, width=5, depth=2)
    assert generator.count_params() == (4 * 5 + 5) + (5 * 5 + 5) + (5 * 6 + 6)
    assert discriminator.count_params() == (6 * 5 + 5) + (5 * 5 + 5) + (5 + 1)


def test_depth_zero_is_a_linear_map():
    generator, discriminator = mlp((2,), latent_dim=3, depth=0, output="linear")
    for network, size in [(generator, 3), (discriminator, 2)]:
        kernel, bias = network.get_weights()
        network.set_weights([kernel, bias + 1.0])
        x = normal(4, size)
        np.testing.assert_allclose(network(x), x.numpy() @ kernel + 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    "activation, function",
    [
        ("leaky_relu", lambda x: np.where(x > 0, x, 0.2 * x)),
        ("tanh", np.tanh),
        ("softplus", lambda x: np.log1p(np.exp(x))),
    ],
)
def test_one_hidden_layer_by_numpy(activation, function):
    generator = MLPGenerator((2, 2), latent_dim=3, width=4, depth=1, activation=activation)
    hidden, hidden_bias, out, bias = generator.get_weights()
    z = normal(5, 3)
    expected = np.tanh(function(z.numpy() @ hidden + hidden_bias) @ out + bias).reshape(5, 2, 2)
    np.testing.assert_allclose(generator(z), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(2,), (7, 3), (4, 5, 1), (2, 3, 4, 5)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_examples_of_any_rank(shape, activation):
    generator, discriminator = mlp(shape, latent_dim=3, width=4, depth=1, activation=activation)
    examples = generator(normal(6, 3))
    assert examples.shape == (6, *shape) and discriminator(examples).shape == (6, 1)


def test_output_is_bounded_only_by_tanh():
    bounded = MLPGenerator((2,), output="tanh")(100 * normal(8, 16))
    linear = MLPGenerator((2,), output="linear")(100 * normal(8, 16))
    assert np.max(np.abs(bounded)) <= 1 < np.max(np.abs(linear))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_signals_start_of_a_size_that_does_not_depend_on_width(activation):
    deviations = []
    for width in (16, 256):
        critic = MLPDiscriminator((32,), width=width, depth=3, activation=activation)
        deviations.append(float(np.std(critic(normal(512, 32)))))
    assert 1 / 5 < deviations[0] / deviations[1] < 5
    assert 0.05 < deviations[1] < 3


@pytest.mark.parametrize(
    "options, name",
    [
        ({"width": 0}, "width"),
        ({"depth": -1}, "depth"),
        ({"activation": "gelu"}, "activation"),
        ({"seed": 1.5}, "seed"),
    ],
)
@pytest.mark.parametrize("make", [MLPGenerator, MLPDiscriminator])
def test_bad_arguments_are_rejected(make, options, name):
    with pytest.raises(ValueError, match=rf"'{name}' must be .*Received: "):
        make((2,), **options)


def test_bad_output_and_shape_are_rejected():
    with pytest.raises(ValueError, match=r"'output' must be one of 'tanh', 'linear'\. Received: 'relu'"):
        MLPGenerator((2,), output="relu")
    with pytest.raises(ValueError, match=r"'example_shape' must be .*Received: \(\)"):
        mlp(())
