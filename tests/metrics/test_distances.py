"""Distances between rows of features, to the last bit, and the checks of features."""

import math
import tracemalloc

import numpy as np
import pytest

from meta_gan.metrics.distances import check_features, pair_distances
from meta_gan.metrics.distances import pairwise_distances as pairwise

DIMENSIONS = [1, 2, 3, 7, 64, 100, 784]


def golden():
    """The inputs of the golden values: float[60, 5] and float[40, 5]."""
    generator = np.random.default_rng(7)
    return generator.normal(size=(60, 5)), 0.3 + 1.2 * generator.normal(size=(40, 5))


def test_distances_by_hand():
    x, y = [[0.0, 0.0], [3.0, 4.0]], [[0.0, 0.0], [6.0, 8.0], [0.0, 1.0]]
    np.testing.assert_array_equal(pairwise(x, y), [[0, 10, 1], [5, 5, math.sqrt(18)]])
    np.testing.assert_array_equal(pair_distances([[0.0], [1.0], [3.0]]), [1, 3, 2])


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_distances_equal_a_loop_over_pairs(dimension):
    generator = np.random.default_rng(dimension)
    x, y = generator.normal(size=(9, dimension)), generator.normal(size=(5, dimension))
    expected = [[math.dist(a, b) for b in y] for a in x]
    np.testing.assert_allclose(pairwise(x, y), expected, rtol=1e-13)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_equal_rows_are_at_distance_zero(dimension):
    x = 1e6 + np.random.default_rng(0).normal(size=(40, dimension)).astype(np.float32)
    distances = pairwise(x, np.array(x))
    np.testing.assert_array_equal(np.diag(distances), 0)
    assert not pair_distances(np.repeat(x[:1], 6, axis=0)).any()


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_a_distance_has_the_same_bits_in_either_order_and_in_any_batch(dimension):
    generator = np.random.default_rng(dimension)
    x, y = generator.normal(size=(130, dimension)), generator.normal(size=(110, dimension))
    distances = pairwise(x, y)
    np.testing.assert_array_equal(pairwise(y, x).T, distances)
    np.testing.assert_array_equal(pairwise(x[::3], np.asfortranarray(y)[5:]), distances[::3, 5:])
    alone = [pairwise(x[i : i + 1], y[i : i + 1])[0, 0] for i in range(9)]
    np.testing.assert_array_equal(alone, np.diag(distances)[:9])
    np.testing.assert_array_equal(pair_distances(x), pairwise(x, x)[np.triu_indices(130, 1)])


def test_a_small_difference_of_large_rows_does_not_cancel():
    x = np.full((1, 64), 1e6)
    assert pairwise(x, x + 2**-10)[0, 0] == 8 * 2**-10  # x.x + y.y - 2 x.y has errors of .01 here


def test_distances_of_long_rows():
    x = np.zeros((3, 100_000))
    x[1] = 1.0
    np.testing.assert_allclose(pairwise(x, x)[:, 1], [math.sqrt(1e5), 0, math.sqrt(1e5)], rtol=1e-12)


def test_float32_is_widened_before_it_is_subtracted():
    x, y = np.array([[16777216.0]], np.float32), np.array([[0.25]], np.float32)
    assert pairwise(x, y)[0, 0] == 16777215.75


def test_memory_is_of_the_order_of_the_distances_and_not_of_all_differences():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(5000, 64)), generator.normal(size=(5000, 64))
    tracemalloc.start()
    distances = pairwise(x, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < distances.nbytes + 20e6  # 200 MB and a little; the differences are 12.8 GB
    np.testing.assert_allclose(distances[4999, 4998], math.dist(x[4999], y[4998]), rtol=1e-13)


def test_check_features_widens_and_leaves_its_argument_alone():
    given = np.array([[1, 2], [3, 4]], np.uint8)
    checked = check_features(given, "x", least=2, dimension=2)
    assert checked.dtype == np.float64 and given.dtype == np.uint8
    np.testing.assert_array_equal(checked, given)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1.0, 2.0], r"'x' must have shape \[n, d\] with n >= 1\. Received: shape \(2,\)"),
        (np.zeros((0, 3)), r"'x' must have shape \[n, d\] with n >= 1\. Received: shape \(0, 3\)"),
        (np.zeros((3, 0)), r"'x' must have shape \[n, d\] with n >= 1\. Received: shape \(3, 0\)"),
        ([["a"]], r"'x' must be real numbers\. Received: dtype <U1"),
        ([[1j]], r"'x' must be real numbers\. Received: dtype complex128"),
        ([[True]], r"'x' must be real numbers\. Received: dtype bool"),
        ([[0.0, math.nan], [math.inf, 1.0]], r"'x' must be finite\. Received: 2 values that are NaN or infinite"),
    ],
)
def test_invalid_features_are_refused(value, message):
    with pytest.raises(ValueError, match=message):
        pairwise(value, [[0.0, 0.0]])


def test_another_dimension_and_single_rows_are_refused():
    with pytest.raises(ValueError, match=r"'y' must have shape \[n, 2\] with n >= 1\. Received: shape \(1, 3\)"):
        pairwise([[0.0, 0.0]], [[0.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match=r"'x' must have shape \[n, d\] with n >= 2\. Received: shape \(1, 2\)"):
        pair_distances([[0.0, 0.0]])
