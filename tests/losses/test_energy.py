"""The energy distance: hand numbers, plain loops, precision in float32, and its derivatives."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.losses import energy_distance, mean_within, pairwise_distances, variety_gap
from tests.layers.finite_differences import directional_error

BOTH = (energy_distance, variety_gap)


def samples(n=4, m=3, shape=(2, 3), seed=0):
    draw = np.random.default_rng(seed)
    return draw.normal(size=(n, *shape)), draw.normal(0.3, 1.0, size=(m, *shape))


def by_loops(x, y):
    """Compute the distance in Python, over pairs of different indices."""

    def norm(a, b):
        return float(np.sqrt(np.sum((a - b) ** 2)))

    def within(points):
        pairs = list(itertools.permutations(range(len(points)), 2))
        return sum(norm(points[i], points[j]) for i, j in pairs) / max(len(pairs), 1)

    return 2 * np.mean([norm(a, b) for a in x for b in y]) - within(x) - within(y)


def test_distances_by_hand():
    got = pairwise_distances([[0.0, 0.0], [1.0, 1.0]], [[3.0, 4.0], [1.0, 1.0], [0.0, 1.0]])
    np.testing.assert_allclose(got, [[5, 2**0.5, 1], [13**0.5, 0, 1]], rtol=1e-6)


def test_energy_by_hand():
    """Cross distances 5 and 3, mean 4; within x one distance of 2; within y none."""
    np.testing.assert_allclose(energy_distance([[0.0], [2.0]], [[5.0]]), 2 * 4 - 2 - 0)
    np.testing.assert_allclose(energy_distance([0.0, 2.0], [5.0, 6.0]), 2 * 4.5 - 2 - 1)
    np.testing.assert_allclose(energy_distance([[1.0]], [[4.0]]), 6.0)


@pytest.mark.parametrize(("n", "m"), [(4, 3), (1, 3), (4, 1), (1, 1)])
def test_equals_plain_loops(n, m):
    x, y = samples(n, m)
    np.testing.assert_allclose(energy_distance(x, y), by_loops(x, y), rtol=1e-12)


def test_no_example_is_paired_with_itself():
    """Two equal samples of two points: 2 * d/2 - d - d = -d, where self pairs would make it 0."""
    points = np.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(energy_distance(points, points), -5.0)


def test_is_zero_on_average_for_one_distribution_and_not_for_two():
    draw = np.random.default_rng(0)
    same = [float(energy_distance(*draw.normal(size=(2, 3, 2)))) for _ in range(300)]
    other = [float(energy_distance(draw.normal(size=(3, 2)), draw.normal(1.5, 1, size=(3, 2)))) for _ in range(300)]
    assert abs(np.mean(same)) < 4 * np.std(same) / 300**0.5 and min(same) < 0
    assert np.mean(other) > 8 * np.std(other) / 300**0.5


def test_does_not_depend_on_order_offset_or_axes():
    x, y = samples()
    value = float(energy_distance(x, y))
    np.testing.assert_allclose(energy_distance(y, x), value, rtol=1e-12)
    np.testing.assert_allclose(energy_distance(x[::-1], y + 0.0), value, rtol=1e-12)
    np.testing.assert_allclose(energy_distance(x + 3.0, y + 3.0), value, rtol=1e-12)
    np.testing.assert_allclose(energy_distance(x.reshape(4, 6), y.reshape(3, 6)), value, rtol=1e-12)


@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-4])
def test_near_points_keep_their_distance_in_float32(spread):
    """Slightly changed copies of two distant images: the matrix-product form is off by up to 700 % here."""
    draw = np.random.default_rng(0)
    centres = np.repeat(draw.choice([-1.0, 1.0], (2, 784)), 4, axis=0)
    x = (centres + spread * draw.normal(size=centres.shape)).astype(np.float32)
    exact = pairwise_distances(x.astype(np.float64), x.astype(np.float64)).numpy()
    got = pairwise_distances(x, x)
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, exact, rtol=1e-6)
    np.testing.assert_array_equal(np.diag(got), np.zeros(8))


@pytest.mark.parametrize("function", [*BOTH, lambda x, y: tf.reduce_sum(pairwise_distances(x, y))])
def test_first_derivatives_equal_finite_differences(function):
    assert max(directional_error(lambda values: function(*values), samples())) < 1e-8


@pytest.mark.parametrize("function", BOTH)
def test_second_derivatives_equal_finite_differences(function):
    def slope(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            distance = function(*values)
        return sum(tf.reduce_sum(tf.square(g)) for g in tape.gradient(distance, values))

    assert max(directional_error(slope, samples())) < 1e-7


def test_derivatives_at_distance_zero_are_zero_not_nan():
    x = tf.constant([[1.0, 2.0], [1.0, 2.0]])
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            total = tf.reduce_sum(pairwise_distances(x, x)) + energy_distance(x, x)
        first = inner.gradient(total, x)
    np.testing.assert_array_equal(first, np.zeros((2, 2)))
    np.testing.assert_array_equal(outer.gradient(first, x), np.zeros((2, 2)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_infinite_samples_have_no_finite_distance(bad):
    """Samples that diverged must not be at a distance of 0."""
    x = tf.constant([[0.0, bad], [1.0, 2.0]])
    found = pairwise_distances(x, tf.constant([[0.0, 0.0], [1.0, 2.0]])).numpy()
    assert not np.isfinite(found[0]).any() and found[1, 1] == 0
    assert not np.isfinite(energy_distance(x, tf.constant([[0.0, 0.0]])))
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = energy_distance(x, tf.constant([[0.0, 0.0]]))
    assert not np.isfinite(tape.gradient(value, x)).all()


def test_sizes_need_not_be_known_when_traced():
    unknown = tf.TensorSpec([None, 2, 3], tf.float64)
    graph = tf.function(energy_distance, input_signature=[unknown] * 2, autograph=False)
    for n, m in [(4, 3), (1, 5), (1, 1)]:
        x, y = samples(n, m)
        np.testing.assert_allclose(graph(tf.constant(x), tf.constant(y)), by_loops(x, y), rtol=1e-12)


def test_examples_of_another_shape_are_refused_when_traced():
    """One column would otherwise be broadcast against all."""
    for function in (energy_distance, pairwise_distances):
        with pytest.raises(ValueError, match=r"one shape\. Received: shapes \(4, 3\) and \(4, 1\)"):
            function(tf.zeros([4, 3]), tf.zeros([4, 1]))
    with pytest.raises(ValueError, match="batches of examples"):
        energy_distance(1.0, 2.0)


def test_examples_of_another_unknown_shape_are_refused_when_run():
    unknown = tf.TensorSpec([None, None])
    graph = tf.function(energy_distance, input_signature=[unknown] * 2, autograph=False)
    np.testing.assert_allclose(graph(tf.zeros([1, 1]), tf.ones([1, 1])), 2.0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must have equal shapes"):
        graph(tf.zeros([4, 3]), tf.zeros([4, 1]))


def test_the_mean_within_by_hand():
    """Distances 3, 4 and 5 of a right triangle; a single example has none."""
    np.testing.assert_allclose(mean_within(np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])), 4.0)
    np.testing.assert_allclose(mean_within([[7.0, 1.0]]), 0.0)


def test_the_variety_gap_by_hand():
    """A triangle of mean distance 4 against a pair 1 apart, both ways, and against its own translation."""
    triangle, pair = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]]), np.array([[9.0, 9.0], [9.0, 10.0]])
    for x, y in ((triangle, pair), (pair, triangle)):
        np.testing.assert_allclose(variety_gap(x, y), 9.0)
    np.testing.assert_allclose(variety_gap(triangle, triangle + 100.0), 0.0, atol=1e-20)
    np.testing.assert_allclose(variety_gap(triangle, pair[:1]), 16.0, err_msg="one example has no pairs")


def test_the_variety_gap_narrows_wide_samples_and_widens_narrow_ones():
    """On a line: x = (0, 2a), y 4 apart, so the slope in a is 2 (2a - 4) * 2."""
    for a in (1.0, 3.0):
        half = tf.constant(a, tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(half)
            value = variety_gap(tf.stack([0.0 * half, 2.0 * half])[:, None], [[1.0], [5.0]])
        np.testing.assert_allclose(tape.gradient(value, half), 4.0 * (2.0 * a - 4.0))


def test_the_biased_distance_by_hand_and_its_sign():
    """{0, 2} against {5}: 2 (5 + 3) / 2 - 4 / 4 with both self pairs; of a set to itself 0."""
    x, y = tf.constant([[0.0], [2.0]]), tf.constant([[5.0]])
    assert float(energy_distance(x, y, biased=True)) == pytest.approx(8.0 - 1.0)
    assert float(energy_distance(x, x, biased=True)) == pytest.approx(0.0, abs=1e-7)
    draw = np.random.default_rng(0)
    for _ in range(20):
        a, b = (tf.constant(draw.normal(size=(4, 3)), tf.float32) for _ in range(2))
        assert float(energy_distance(a, b, biased=True)) >= 0.0
    assert float(mean_within(x, biased=True)) == pytest.approx(1.0)
