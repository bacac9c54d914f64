"""Parts of the fusion networks: feature pyramid, matching against loops and by hand, shapes."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import resampling
from meta_gan.networks.base import LayerFactory
from meta_gan.networks.image_fusion import Matching, Pyramid, check_sides
from tests.layers.finite_differences import directional_error

F64 = {"dtype": "float64"}


def factory(dtype="float32"):
    return LayerFactory(0, "test", dtype)


def uniform(*shape, seed=0, low=-1.0, high=1.0):
    return tf.constant(np.random.default_rng(seed).uniform(low, high, shape))


def moved(layer):
    """The layer with every weight moved, so that biases take part."""
    for index, variable in enumerate(layer.trainable_variables):
        variable.assign(variable + 0.2 * np.random.default_rng(index).normal(size=variable.shape))
    return layer


# The pyramid


@pytest.mark.parametrize("height, width", [(8, 8), (12, 20), (28, 28)])
def test_pyramid_sizes(height, width):
    full, half, quarter = Pyramid(2, 3, factory())(tf.cast(uniform(4, height, width, 2), "float32"))
    assert full.shape == (4, height, width, 3)
    assert half.shape == (4, height // 2, width // 2, 6)
    assert quarter.shape == (4, height // 4, width // 4, 12)


def test_pyramid_equals_raw_ops():
    layer = moved(Pyramid(2, 2, factory("float64")))
    x = images = uniform(3, 8, 12, 2)
    outputs = []
    for part, stride in [("full", 1), ("half", 2), ("half_again", 1), ("quarter", 2), ("quarter_again", 1)]:
        one = getattr(layer, part)
        x = tf.nn.conv2d(x, one.kernel.value, stride, "SAME") + one.bias.value
        x = tf.maximum(x, 0.2 * x)
        outputs.append(x)
    for ours, theirs in zip(layer(images), (outputs[0], outputs[2], outputs[4]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)


def test_features_of_an_image_are_its_own():
    layer = moved(Pyramid(1, 2, factory("float64")))
    images = uniform(3, 8, 8, 1)
    for whole, alone in zip(layer(images), layer(images[1:2]), strict=True):
        np.testing.assert_allclose(whole[1:2], alone, atol=1e-12)


# Matching

SIDES = (2, 3)


def matching(sides=SIDES, inputs=4, depth=5, values=3):
    return Matching(sides, inputs, depth, values, factory("float64"))


def set_weights(layer, **values):
    """Sets kernels, biases or the positions by name, and all others to 0."""
    named = {
        "key": layer.key.kernel,
        "key_bias": layer.key.bias,
        "value": layer.value.kernel,
        "value_bias": layer.value.bias,
        "position": layer.position,
        "keenness": layer.keenness,  # the log of what scores are multiplied by
    }
    for name, variable in named.items():
        variable.assign(values.get(name, np.zeros(variable.shape)))
    return layer


@pytest.mark.parametrize("k", [1, 2, 5])
def test_matching_shapes(k):
    shifts, gathered = moved(matching())(uniform(k, *SIDES, 4))
    assert shifts.shape == (k, k, 6, 2) and gathered.shape == (k, 6, 3)
    # from a centre to a mean of centres is less than the whole way
    assert np.max(np.abs(shifts)) < 2


def test_positions_start_with_a_deviation_of_one_half():
    layer = Matching((16, 16), 4, 32, 32, factory())
    assert layer.position.shape == (256, 32)
    np.testing.assert_allclose(layer.position.numpy().std(), 0.5, rtol=0.05)


def test_matching_equals_loops():
    layer, features = moved(matching()), uniform(3, *SIDES, 4)
    flat = features.numpy().reshape(3, 6, 4)
    keys = flat @ layer.key.kernel.numpy() + layer.key.bias.numpy()
    keys = keys / np.sqrt(np.mean(keys**2, axis=-1, keepdims=True) + 1e-3) + layer.position.numpy()
    values = flat @ layer.value.kernel.numpy() + layer.value.bias.numpy()
    places = resampling.grid(*SIDES).reshape(6, 2)
    shifts, gathered = np.zeros((3, 3, 6, 2)), np.zeros((3, 6, 3))
    keenness = np.exp(layer.keenness.numpy())
    for j, i, p in np.ndindex(3, 3, 6):
        share = np.exp([keenness * keys[j, p] @ keys[i, q] / np.sqrt(5) for q in range(6)])
        share /= share.sum()
        shifts[j, i, p] = share @ places - places[p]
        gathered[j, p] += share @ values[i] / 3
    ours = layer(features)
    np.testing.assert_allclose(ours[0], shifts, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours[1], gathered, rtol=1e-9, atol=1e-12)


def test_where_nothing_tells_places_apart_the_match_is_the_middle():
    layer = set_weights(matching(), value_bias=[1.0, 2.0, 3.0])
    shifts, gathered = layer(uniform(2, *SIDES, 4))
    places = resampling.grid(*SIDES).reshape(6, 2)
    np.testing.assert_allclose(shifts, np.broadcast_to(-places, (2, 2, 6, 2)), atol=1e-12)
    np.testing.assert_allclose(gathered, np.broadcast_to([1.0, 2.0, 3.0], (2, 6, 3)), atol=1e-12)


def test_keenness_starts_such_that_places_match_themselves_in_their_own_image():
    # keys of the network's size, of images in which no place looks like another
    layer = matching((7, 7), 16, 32)
    shifts, _ = layer(uniform(3, 7, 7, 16))
    own = np.abs(np.einsum("jjpc->jpc", shifts))
    assert own.mean() < 0.01 and np.abs(shifts).mean() > 10 * own.mean()
    layer.keenness.assign(-20.0)
    places = resampling.grid(7, 7).reshape(49, 2)
    np.testing.assert_allclose(layer(uniform(3, 7, 7, 16))[0], np.broadcast_to(-places, (3, 3, 49, 2)), atol=1e-6)


def test_strong_positions_match_every_place_with_itself():
    layer = matching(depth=6)
    set_weights(layer, key=layer.key.kernel.numpy(), value=np.eye(4)[:, :3], position=30 * np.eye(6))
    features = uniform(3, *SIDES, 4)
    shifts, gathered = layer(features)
    np.testing.assert_allclose(shifts, np.zeros((3, 3, 6, 2)), atol=1e-6)
    mean = np.mean(features, axis=0).reshape(6, 4)[:, :3]
    np.testing.assert_allclose(gathered, np.broadcast_to(mean, (3, 6, 3)), atol=1e-6)


def test_same_images_match_alike():
    features = tf.repeat(uniform(1, *SIDES, 4), 3, axis=0)
    shifts, gathered = moved(matching())(features)
    np.testing.assert_allclose(shifts, np.broadcast_to(shifts[:1, :1], shifts.shape), atol=1e-12)
    np.testing.assert_allclose(gathered, np.broadcast_to(gathered[:1], gathered.shape), atol=1e-12)


def test_a_moved_image_is_found_where_it_went():
    # six features that each mark a place, and positions of nothing: only content speaks
    marks = tf.reshape(tf.eye(6, dtype=tf.float64), [1, 2, 3, 6])
    layer = set_weights(matching(inputs=6, depth=6, values=6), key=np.eye(6), value=np.eye(6))
    rolled = tf.concat([marks, tf.roll(marks, 1, axis=2)], axis=0)
    shifts, _ = layer(rolled)
    # one place to the right, 2/3 of half an image; the last place comes back at the left
    share = np.exp(6 / np.sqrt(6) / 1.006)  # of the match, against 1 of each other place; .006 is epsilon's
    full = np.array([[0, 2 / 3], [0, 2 / 3], [0, -4 / 3]] * 2)
    places = resampling.grid(2, 3).reshape(6, 2)
    expected = (share - 1) / (share + 5) * (places + full) - places
    np.testing.assert_allclose(shifts[0, 1], expected, atol=1e-3)
    back = np.array([[0, 4 / 3], [0, -2 / 3], [0, -2 / 3]] * 2)
    np.testing.assert_allclose(shifts[1, 0], (share - 1) / (share + 5) * (places + back) - places, atol=1e-3)


@pytest.mark.parametrize("order", [[2, 0, 1, 3], [3, 2, 1, 0]])
def test_order_of_the_images_is_kept(order):
    layer, features = moved(matching()), uniform(4, *SIDES, 4)
    shifts, gathered = layer(features)
    again, gathered_again = layer(tf.gather(features, order))
    np.testing.assert_allclose(again, shifts.numpy()[np.ix_(order, order)], atol=1e-12)
    np.testing.assert_allclose(gathered_again, gathered.numpy()[order], atol=1e-12)


def test_shifts_between_two_images_do_not_depend_on_a_third():
    layer, features = moved(matching()), uniform(3, *SIDES, 4)
    np.testing.assert_allclose(layer(features)[0][:2, :2], layer(features[:2])[0], atol=1e-12)


def squared_slopes(layer, readout):
    """f([inputs.., weights..]): a weighted sum of squares of the derivatives of a readout of the outputs by all."""

    def function(values, inputs):
        with tf.GradientTape() as tape:
            tape.watch(values)
            outputs = layer.stateless_call(values[inputs:], [], *readout(values[:inputs]))[0]
            terms = [tf.reduce_sum(tf.tanh(y + uniform(*y.shape, seed=5)) * uniform(*y.shape)) for y in outputs]
            loss = tf.add_n(terms)
        gradients = tape.gradient(loss, values)
        return tf.add_n([tf.reduce_sum(tf.square(g) * uniform(*g.shape, seed=6, low=0.5)) for g in gradients])

    return function


def test_second_derivatives_of_matching_equal_finite_differences():
    layer = moved(matching())
    values = [uniform(2, *SIDES, 4), *(v.numpy() for v in layer.trainable_variables)]
    function = tf.function(squared_slopes(layer, lambda inputs: inputs), autograph=False)
    assert max(directional_error(lambda v: function(v, 1), values)) < 1e-6


# Shapes


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (16, 32, 4), (64, 64, 3), [12, 8, 2]])
def test_accepted_shapes(shape):
    assert check_sides(shape) == tuple(shape)


@pytest.mark.parametrize(
    "shape",
    [(4, 8, 1), (8, 4, 1), (10, 8, 1), (8, 30, 1), (68, 8, 1), (8, 128, 1), (8, 8, 5), (8, 8), (8,), (8, 8, 1, 1)],
)
def test_impossible_sides_are_rejected(shape):
    with pytest.raises(ValueError, match="'example_shape' must "):
        check_sides(shape)
