"""Warping: hand numbers, equality with TensorFlow's kernels forwards, derivatives of both orders, and the edges."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import UpsampleBilinear
from meta_gan.layers.resampling import cubic_matrix, grid, resize, sample_at
from tests.layers.finite_differences import directional_error

SIZES = [(1, 1), (1, 4), (2, 3), (5, 2), (8, 3), (7, 1)]


def uniform(*shape, seed=0, low=-1.0, high=1.0):
    return np.random.default_rng(seed).uniform(low, high, shape)


def centres(n, height, width):
    """The positions of all pixels' centres, for each of n images."""
    return tf.constant(np.tile(grid(height, width), (n, 1, 1, 1)))


def test_cubic_by_hand():
    # a quarter before a value: distances 1.75, .75, .25, 1.25 in Keys's two polynomials, in 128ths
    matrix = 128 * cubic_matrix(6, 2)
    np.testing.assert_allclose(matrix[4], [-3, 29, 111, -9, 0, 0], atol=1e-12)
    np.testing.assert_allclose(matrix[5], [0, -9, 111, 29, -3, 0], atol=1e-12)
    # at the start, two of the four values are the first one again
    np.testing.assert_allclose(matrix[0], [-3 + 29 + 111, -9, 0, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(matrix[1], [-9 + 111, 29, -3, 0, 0, 0], atol=1e-12)


def test_cubic_of_odd_factor_keeps_the_values():
    matrix = cubic_matrix(5, 3)  # outputs 1, 4, 7, .. lie on the inputs
    np.testing.assert_allclose(matrix[1::3], np.eye(5), atol=1e-12)
    np.testing.assert_allclose(cubic_matrix(5, 1), np.eye(5), atol=1e-12)


@pytest.mark.parametrize("size, factor", SIZES)
def test_cubic_rows_sum_to_one_and_both_ends_are_alike(size, factor):
    matrix = cubic_matrix(size, factor)
    assert matrix.shape == (size * factor, size) and matrix.dtype == np.float64
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-12)
    assert np.count_nonzero(np.abs(matrix) > 1e-12, axis=1).max() <= 4


def interior(size, factor):
    """Where all four values exist, as indices, positions and fractions."""
    places = (np.arange(size * factor) + 0.5) / factor - 0.5
    inside = (places >= 1) & (places <= size - 2)
    return inside, places[inside], places[inside] - np.floor(places[inside])


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_cubic_is_exact_for_polynomials_of_degree_two(factor):
    inside, places, _ = interior(9, factor)
    x = np.arange(9.0)
    for polynomial in ([3.0], [2.0, -1.0], [0.5, -2.0, 4.0]):
        drawn = cubic_matrix(9, factor) @ np.polyval(polynomial, x)
        np.testing.assert_allclose(drawn[inside], np.polyval(polynomial, places), atol=1e-12)


@pytest.mark.parametrize("factor", [2, 5])
def test_the_error_for_a_cube_is_that_of_theory(factor):
    # Slopes are taken as (f(x + 1) - f(x - 1)) / 2, for a cube 3x^2 + 1 in place of 3x^2; in Hermite's form an excess
    # of 1 at both ends adds t(1 - t)^2 - t^2(1 - t).
    inside, places, t = interior(9, factor)
    drawn = (cubic_matrix(9, factor) @ np.arange(9.0) ** 3)[inside]
    np.testing.assert_allclose(drawn, places**3 + t * (1 - t) * (1 - 2 * t), atol=1e-10)


@pytest.mark.parametrize("factor", [2, 4])
def test_resize_equals_tensorflow_bicubic_inside(factor):
    # At the border TensorFlow leaves values out instead of repeating the last one; its weights come from a table of
    # 1024 fractions, which for thirds is off by .001.
    images = tf.constant(uniform(2, 7, 8, 3), tf.float32)
    theirs = tf.image.resize(images, [7 * factor, 8 * factor], "bicubic")
    ours = resize(images, cubic_matrix(7, factor), cubic_matrix(8, factor))
    inside = np.ix_(range(2), interior(7, factor)[0].nonzero()[0], interior(8, factor)[0].nonzero()[0], range(3))
    np.testing.assert_allclose(ours.numpy()[inside], theirs.numpy()[inside], atol=1e-5)


def test_resize_by_hand():
    images = tf.constant([[[[1.0, 10.0], [2.0, 20.0]], [[3.0, 30.0], [4.0, 40.0]]]], tf.float64)
    sums, last = np.array([[1.0, 1.0]]), np.array([[0.0, 1.0], [0.0, 2.0], [1.0, 0.0]])
    drawn = resize(images, sums, last)  # the sum of rows; the last column, twice the last, the first
    np.testing.assert_allclose(drawn, [[[[6.0, 60.0], [12.0, 120.0], [4.0, 40.0]]]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_resize_with_the_identity_changes_nothing(dtype):
    images = tf.constant(uniform(2, 3, 5, 2), dtype)
    same = resize(images, np.eye(3), np.eye(5))
    assert same.dtype == dtype
    np.testing.assert_array_equal(same, images)


def test_grid_by_hand():
    np.testing.assert_allclose(grid(1, 1), [[[0.0, 0.0]]])
    np.testing.assert_allclose(grid(2, 1), [[[-0.5, 0.0]], [[0.5, 0.0]]])
    np.testing.assert_allclose(grid(1, 4)[0, :, 1], [-0.75, -0.25, 0.25, 0.75])
    assert grid(3, 5).shape == (3, 5, 2) and grid(3, 5).dtype == np.float64


def test_grid_lies_evenly_between_the_edges():
    places = grid(4, 6)
    np.testing.assert_allclose(places, -places[::-1, ::-1], atol=1e-12)
    np.testing.assert_allclose(np.diff(places[..., 0], axis=0), 2 / 4)
    np.testing.assert_allclose(np.diff(places[..., 1], axis=1), 2 / 6)
    # a pixel's centre is the mean of the centres of the finer pixels in it
    fine = grid(12, 18).reshape(4, 3, 6, 3, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(fine, places, atol=1e-12)


@pytest.mark.parametrize("height, width", [(4, 4), (3, 7), (1, 5), (28, 28)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_centres_return_the_pixels(height, width, dtype):
    images = tf.constant(uniform(2, height, width, 3), dtype)
    drawn = sample_at(images, tf.cast(centres(2, height, width), dtype))
    assert drawn.dtype == dtype
    np.testing.assert_allclose(drawn, images, atol=1e-5 if dtype == "float32" else 1e-12)


def test_positions_between_pixels_by_hand():
    image = tf.constant([[[[0.0], [1.0]], [[2.0], [5.0]]]], tf.float64)
    places = tf.constant([[[[0.0, 0.0], [-0.5, 0.0], [0.0, 0.5], [0.25, -0.5]]]], tf.float64)
    # the mean of four; of the upper two; of the right two; three quarters of the way down at the left
    np.testing.assert_allclose(np.ravel(sample_at(image, places)), [2.0, 0.5, 3.0, 1.5])


@pytest.mark.parametrize("far", [1.0, 1.5, 30.0, 1e6, 3e9, 1e12])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_beyond_the_edges_the_edge_is_repeated(far, dtype):
    image = tf.reshape(tf.range(12, dtype=dtype), [1, 3, 4, 1])
    places = tf.constant([[[[-far, -far], [-far, far], [far, -far], [far, far]]]], dtype)
    np.testing.assert_allclose(np.ravel(sample_at(image, places)), [0.0, 3.0, 8.0, 11.0], rtol=1e-6)
    along = tf.constant([[[[0.0, far]], [[0.0, -far]]]], dtype)
    np.testing.assert_allclose(np.ravel(sample_at(image, along)), [7.0, 4.0], rtol=1e-6)


def looped(images, positions):
    """Compute bilinear samples one by one, as a sum over all pixels of products of two hat functions."""
    height, width = images.shape[1:3]
    result = np.zeros((*positions.shape[:3], images.shape[3]))
    for index in np.ndindex(*positions.shape[:3]):
        row, column = (
            np.clip((p + 1) * side / 2 - 0.5, 0, side - 1)
            for p, side in zip(positions[index], (height, width), strict=True)
        )
        for i, j in np.ndindex(height, width):
            share = max(0.0, 1 - abs(row - i)) * max(0.0, 1 - abs(column - j))
            result[index] += share * images[index[0], i, j]
    return result


def test_sample_equals_a_loop_over_hats():
    images, positions = uniform(2, 4, 5, 2), uniform(2, 3, 6, 2, seed=1, low=-1.4, high=1.4)
    drawn = sample_at(tf.constant(images), tf.constant(positions))
    np.testing.assert_allclose(drawn, looped(images, positions), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("factor", [2, 3])
def test_sample_on_a_finer_grid_equals_the_bilinear_layer(factor):
    images = tf.constant(uniform(2, 4, 5, 2))
    drawn = sample_at(images, centres(2, 4 * factor, 5 * factor))
    np.testing.assert_allclose(drawn, UpsampleBilinear(factor, dtype="float64")(images), atol=1e-12)


def test_each_image_is_sampled_at_its_own_places():
    images = tf.constant(uniform(3, 4, 4, 1))
    positions = tf.constant(uniform(3, 2, 2, 2, seed=1))
    whole = sample_at(images, positions)
    for i in range(3):
        np.testing.assert_array_equal(whole[i : i + 1], sample_at(images[i : i + 1], positions[i : i + 1]))


def test_slopes_by_hand():
    # value = row * column between the four centres, in pixels; a pixel is 2 / 2 of the unit, so the slopes are too
    image = tf.constant([[[[0.0], [0.0]], [[0.0], [1.0]]]], tf.float64)
    place = tf.constant([[[[-0.25, 0.25]]]], tf.float64)  # a quarter down, three quarters right
    with tf.GradientTape() as outer:
        outer.watch(place)
        with tf.GradientTape() as tape:
            tape.watch(place)
            value = sample_at(image, place)
        slope = tape.gradient(value, place)
        down = slope[0, 0, 0, 0]
    np.testing.assert_allclose(value, [[[[0.1875]]]])
    np.testing.assert_allclose(slope, [[[[0.75, 0.25]]]])
    np.testing.assert_allclose(outer.gradient(down, place), [[[[0.0, 1.0]]]])


def test_beyond_the_edges_positions_have_no_slope():
    image, place = tf.constant(uniform(1, 3, 3, 2)), tf.constant([[[[1.5, -1.2], [-40.0, 7.0]]]], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(place)
        value = sample_at(image, place)
    np.testing.assert_allclose(tape.gradient(value, place), np.zeros((1, 1, 2, 2)), atol=1e-12)


def squared_slopes(images, positions):
    """A weighted sum of the squares of the derivatives by images and by positions of a readout of the samples."""
    with tf.GradientTape() as tape:
        tape.watch([images, positions])
        y = sample_at(images, positions)
        loss = tf.reduce_sum(tf.tanh(y * uniform(*y.shape, seed=7) + uniform(*y.shape, seed=8)))
    gradients = tape.gradient(loss, [images, positions])
    return sum(tf.reduce_sum(tf.square(g) * uniform(*g.shape, seed=9, low=0.5, high=2.0)) for g in gradients)


def test_derivatives_of_both_orders_equal_finite_differences():
    # Positions a fifth to four fifths between centres, so that no difference crosses a kink.
    cells = np.random.default_rng(1).integers(0, 4, (2, 3, 3, 2)) + uniform(2, 3, 3, 2, seed=2, low=0.2, high=0.8)
    values = [uniform(2, 5, 5, 2), (cells + 0.5) * 2 / 5 - 1]

    def first(values):
        y = sample_at(*values)
        return tf.reduce_sum(tf.tanh(y) * uniform(*y.shape, seed=3))

    assert max(directional_error(first, values)) < 1e-7
    assert max(directional_error(lambda v: squared_slopes(*v), values)) < 1e-7


def test_second_derivatives_of_a_resize_equal_finite_differences():
    rows, columns = cubic_matrix(4, 2), cubic_matrix(3, 3)

    def slopes(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            y = tf.reduce_sum(tf.tanh(resize(values[0], rows, columns)))
        return tf.reduce_sum(tf.square(tape.gradient(y, values[0])))

    assert max(directional_error(slopes, [uniform(2, 4, 3, 2)])) < 1e-7


def test_graph_of_unknown_counts_equals_eager():
    signature = [tf.TensorSpec([None, 3, 4, 2], tf.float64), tf.TensorSpec([None, None, None, 2], tf.float64)]
    graph = tf.function(sample_at, input_signature=signature)
    for n, p, q in [(1, 2, 3), (4, 1, 1)]:
        images, positions = tf.constant(uniform(n, 3, 4, 2)), tf.constant(uniform(n, p, q, 2, seed=1))
        np.testing.assert_allclose(graph(images, positions), sample_at(images, positions), atol=1e-12)
        assert graph(images, positions).shape == (n, p, q, 2)
