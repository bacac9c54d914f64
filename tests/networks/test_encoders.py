"""Encoders of examples: shapes, scale of signals, seeds, saving, rejected arguments."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import check_differentiable
from meta_gan.networks import ImageEncoder, MLPEncoder

MADE = {
    "image": lambda **options: ImageEncoder((28, 28, 1), **{"latent_dim": 3, "width": 4, **options}),
    "dense": lambda **options: MLPEncoder((6, 2), **{"latent_dim": 3, "width": 4, **options}),
}
KIND = pytest.mark.parametrize("kind", MADE)


def examples(net, count=64, seed=0):
    return tf.constant(np.random.default_rng(seed).uniform(-1, 1, (count, *net.example_shape)).astype(np.float32))


@KIND
def test_means_and_log_variances_of_every_example_by_itself(kind):
    net = MADE[kind]()
    x = examples(net, 5)
    both = net(x)
    assert both.shape == (5, 6)
    np.testing.assert_allclose(net(x[3:4]), both[3:4], rtol=1e-5, atol=1e-6)
    check_differentiable(net)


@KIND
def test_they_start_near_the_standard_normal(kind):
    """Means, and logarithms of variances, of order 1, each by itself."""
    statistics = MADE[kind](width=32)(examples(MADE[kind]())).numpy()
    for half in (statistics[:, :3], statistics[:, 3:]):
        assert 0.1 < half.std() < 2.5 and np.abs(half).max() < 8


@KIND
def test_seeds_differ_and_repeat(kind):
    first, same, other = (MADE[kind](seed=seed) for seed in (1, 1, 2))
    x = examples(first, 4)
    np.testing.assert_array_equal(first(x), same(x))
    assert np.abs(first(x) - other(x)).max() > 0.1


@KIND
def test_round_trip(kind, tmp_path):
    net = MADE[kind](seed=3)
    net.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    x = examples(net, 4)
    np.testing.assert_array_equal(net(x), again(x))
    assert again.get_config() == net.get_config()


def test_weights_by_hand():
    """Two halvings of 28: 4 and 8 channels, 7 x 7 x 8 inputs; and no hidden layer is a linear map."""
    convolutions = 16 * 1 * 4 + 4 + 16 * 4 * 8 + 8
    assert MADE["image"]().count_params() == convolutions + 7 * 7 * 8 * 6 + 6
    assert MADE["dense"]().count_params() == 12 * 4 + 4 + 4 * 4 + 4 + 4 * 6 + 6
    linear = MLPEncoder((6, 2), 3, depth=0)
    x, y = examples(linear, 2)[:1], examples(linear, 2)[1:]
    np.testing.assert_allclose(linear(x + y), linear(x) + linear(y), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ImageEncoder((27, 28, 1)), "even height and width"),
        (lambda: ImageEncoder((28, 28, 1), latent_dim=0), "'latent_dim' must be an integer >= 1"),
        (lambda: ImageEncoder((28, 28, 1), width=0), "'width' must be an integer >= 1"),
        (lambda: MLPEncoder((2,), depth=-1), "'depth' must be an integer >= 0"),
        (lambda: MLPEncoder((2,), activation="relu"), "'activation' must be"),
        (lambda: MLPEncoder((2,), seed=-1), "'seed' must be an integer >= 0"),
        (lambda: MLPEncoder(()), "'example_shape' must be a tuple"),
    ],
)
def test_bad_arguments_are_rejected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
