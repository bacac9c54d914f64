"""Fréchet and kernel distances: by hand, against scipy and scikit-learn, their bias, and their bootstrap."""

import math

import numpy as np
import pytest

from meta_gan.metrics.bootstrap import resampled_counts
from meta_gan.metrics.pooled_distances import (
    frechet_distance,
    frechet_from_moments,
    frechet_interval,
    kernel_distance,
    kernel_interval,
)
from tests.metrics.test_distances import golden

DISTANCES = [frechet_distance, kernel_distance]
INTERVALS = [frechet_interval, kernel_interval]


def classes(seed, count=6, spread=1.0, sizes=(4, 5), dimension=3):
    """`count` classes around centres that are the same for every seed, of 4 and 5 rows in turn."""
    centres = spread * np.random.default_rng(99).normal(size=(count, dimension))
    generator = np.random.default_rng(seed)
    return [centre + generator.normal(size=(sizes[i % len(sizes)], dimension)) for i, centre in enumerate(centres)]


def kernel(a, b):
    return (np.dot(a, b) / len(a) + 1) ** 3


def test_frechet_from_moments_by_hand():
    assert frechet_from_moments(np.zeros(1), np.eye(1), np.full(1, 3.0), 4 * np.eye(1)) == pytest.approx(
        3**2 + (2 - 1) ** 2
    )
    first, second = np.diag([1.0, 9.0, 0.0]), np.diag([4.0, 0.0, 25.0])
    expected = 1 + (1 - 2) ** 2 + (3 - 0) ** 2 + (0 - 5) ** 2
    assert frechet_from_moments(np.array([0, 0, 1]), first, np.zeros(3), second) == pytest.approx(expected)


def test_frechet_of_covariances_that_do_not_commute_by_hand():
    # Two lines at an angle of 60 degrees: the optimal map turns one into the other, Tr root = |u.v| = 1/2.
    u, v = np.array([1.0, 0.0]), np.array([0.5, math.sqrt(3) / 2])
    value = frechet_from_moments(np.zeros(2), np.outer(u, u), np.zeros(2), np.outer(v, v))
    np.testing.assert_allclose(value, 1 + 1 - 2 * 0.5, rtol=1e-12)


def test_frechet_distance_by_hand_uses_unbiased_covariances():
    assert frechet_distance([[0.0], [2.0]], [[3.0], [5.0]]) == pytest.approx(9)
    assert frechet_distance([[0.0], [2.0]], [[1.0], [1.0]]) == pytest.approx(2)  # variance 2 and 0


def test_frechet_distance_equals_scipy():
    # scipy 1.17.1, x, y = golden(), c1, c2 = (numpy.cov(rows, rowvar=False) for rows in (x, y)):
    #     np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(c1 + c2 - 2 * scipy.linalg.sqrtm(c1 @ c2)).real
    x, y = golden()
    np.testing.assert_allclose(frechet_distance(x, y), 1.1431188275343278, rtol=1e-6)
    moments = [moment for rows in (x, y) for moment in (rows.mean(axis=0), np.cov(rows, rowvar=False))]
    np.testing.assert_allclose(frechet_from_moments(*moments), 1.1431188275343278, rtol=1e-6)


def test_frechet_of_two_normal_samples_tends_to_one_from_above():
    generator = np.random.default_rng(0)
    means = []
    for count in (8, 64, 50_000):
        draws = 400 if count < 1000 else 4
        x, y = generator.normal(size=(2, draws, count, 1))
        means.append(np.mean([frechet_distance(a, b + 1) for a, b in zip(x, y, strict=True)]))
    assert means[0] > means[1] + 0.1 > 1.1
    assert means[2] == pytest.approx(1, abs=0.02)


def test_frechet_of_equal_distributions_falls_with_the_number_of_rows():
    generator = np.random.default_rng(0)
    values = [frechet_distance(*generator.normal(size=(2, count, 8))) for count in (20, 200, 2000)]
    assert values[0] > 5 * values[1] > 25 * values[2] > 0


def test_singular_covariances_cause_no_rounding_error():
    x = np.random.default_rng(0).normal(size=(5, 64))  # rank 4 of 64
    assert frechet_distance(x, x) < 1e-12
    np.testing.assert_allclose(frechet_distance(x, x + 2), 64 * 4, rtol=1e-12)
    np.testing.assert_allclose(frechet_distance(x, 3 * x), 4 * frechet_distance(x, 0 * x), rtol=1e-10)
    assert frechet_distance(np.ones((3, 4)), np.ones((2, 4))) == 0
    # Tr root is the sum of the singular values of the centred rows' product, which needs no root at all.
    y = 3 * np.random.default_rng(1).normal(size=(300, 64))
    a, b = ((rows - rows.mean(axis=0)) / math.sqrt(len(rows) - 1) for rows in (x, y))
    overlap = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    exact = np.square(x.mean(axis=0) - y.mean(axis=0)).sum() + np.square(a).sum() + np.square(b).sum() - 2 * overlap
    np.testing.assert_allclose(frechet_distance(x, y), exact, rtol=1e-12)  # 1e-8 if rounding is not cut off


def test_kernel_distance_by_hand():
    assert kernel_distance([[0.0], [1.0]], [[1.0], [1.0]]) == 1 + 8 - 2 * (1 + 1 + 8 + 8) / 4
    assert kernel_distance([[1.0, 1.0]] * 3, [[0.0, 0.0]] * 2) == 8 + 1 - 2


def test_kernel_distance_equals_scikit_learn():
    # scikit-learn 1.9.1, x, y = golden(), each k is polynomial_kernel(a, b, degree=3, gamma=None, coef0=1):
    #     (kx.sum() - trace(kx)) / (60 * 59) + (ky.sum() - trace(ky)) / (40 * 39) - 2 * kxy.mean()
    np.testing.assert_allclose(kernel_distance(*golden()), 0.3747484918135213, rtol=1e-6)


def test_kernel_distance_is_the_same_over_several_blocks():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(1100, 3)), generator.normal(size=(700, 3))
    kx, ky, kxy = ((a @ b.T / 3 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    within = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (kx, ky)]
    np.testing.assert_allclose(kernel_distance(x, y), sum(within) - 2 * kxy.mean(), rtol=1e-9)


def test_kernel_distance_of_one_distribution_is_zero_on_average():
    generator = np.random.default_rng(0)
    values = [kernel_distance(*generator.normal(size=(2, 6, 4))) for _ in range(2000)]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(2000) < 0.1
    assert min(values) < 0 < max(values)


@pytest.mark.parametrize("distance", DISTANCES)
def test_pooled_distances_detect_neither_copies_nor_wrong_classes(distance):
    real = classes(0, sizes=(200,), spread=3.0)
    pooled, wrong = np.concatenate(real), np.concatenate(real[1:] + real[:1])
    assert distance(wrong, pooled) == pytest.approx(distance(pooled, pooled), abs=1e-9)
    assert distance(pooled + 1, pooled) > 0.5


@pytest.mark.parametrize(("interval", "distance"), zip(INTERVALS, DISTANCES, strict=True))
def test_the_mean_of_an_interval_is_the_distance_of_all_rows(interval, distance):
    generated, real = classes(0), classes(1, sizes=(3, 7))
    expected = distance(np.concatenate(generated), np.concatenate(real))
    mean, low, high = interval(generated, real)
    np.testing.assert_allclose(mean, expected, rtol=1e-10)
    assert low < mean < high


def test_every_class_drawn_once_gives_the_plain_unbiased_kernel_distance(monkeypatch):
    monkeypatch.setattr(
        "meta_gan.metrics.pooled_distances.resampled_counts", lambda c, r, seed: np.ones((r, c), np.int64)
    )
    generated, real = classes(0), classes(1, sizes=(3, 7))
    expected = kernel_distance(np.concatenate(generated), np.concatenate(real))
    np.testing.assert_allclose(kernel_interval(generated, real), [expected] * 3, rtol=1e-10)


def resampled_kernel_distance(generated, real, count):
    """The kernel distance of the rows of the drawn classes, without pairs of a row with itself or with its copy."""
    x, y = ([row for c, times in zip(rows, count, strict=True) for row in [*c] * times] for rows in (generated, real))
    same = lambda a, b: np.array_equal(a, b)  # noqa: E731  rows of different images are never equal here
    within = [np.mean([kernel(a, b) for a in rows for b in rows if not same(a, b)]) for rows in (x, y)]
    return sum(within) - 2 * np.mean([kernel(a, b) for a in x for b in y])


def test_kernel_interval_equals_a_loop_over_the_drawn_images():
    generated, real = classes(0, 4, sizes=(2, 3)), classes(1, 4, sizes=(3, 2))
    counts = resampled_counts(4, 12, seed=3)
    assert counts.max() > 1
    values = np.array([resampled_kernel_distance(generated, real, count) for count in counts])
    whole = kernel_distance(np.concatenate(generated), np.concatenate(real))
    expected = whole - values.mean() + np.percentile(values, [10, 90])
    _, low, high = kernel_interval(generated, real, resamples=12, level=0.8, seed=3)
    np.testing.assert_allclose([low, high], expected, rtol=1e-9)


def test_frechet_interval_equals_a_loop_over_the_drawn_classes():
    generated, real = classes(0, spread=3.0), classes(1)
    values = []
    for count in resampled_counts(6, 15, seed=3):
        drawn = np.repeat(np.arange(6), count)
        values.append(frechet_distance(*(np.concatenate([rows[c] for c in drawn]) for rows in (generated, real))))
    whole = frechet_distance(np.concatenate(generated), np.concatenate(real))
    expected = whole - np.mean(values) + np.percentile(values, [10, 90])
    _, low, high = frechet_interval(generated, real, resamples=15, level=0.8, seed=3)
    np.testing.assert_allclose([low, high], np.maximum(expected, 0), rtol=1e-9)


def test_frechet_interval_contains_a_value_that_all_resamples_exceed():
    generated, real = (classes(seed, 60, dimension=32) for seed in (0, 1))
    whole = frechet_distance(np.concatenate(generated), np.concatenate(real))
    drawn = [np.repeat(np.arange(60), count) for count in resampled_counts(60, 50, seed=0)]
    values = [frechet_distance(*(np.concatenate([s[c] for c in d]) for s in (generated, real))) for d in drawn]
    assert min(values) > whole
    mean, low, high = frechet_interval(generated, real, resamples=50)
    assert 0 <= low < mean < high


@pytest.mark.parametrize("interval", INTERVALS)
def test_an_interval_is_a_function_of_its_seed_and_narrows_with_classes(interval):
    few = classes(0, 10), [rows + 1 for rows in classes(1, 10)]
    assert interval(*few, seed=1) == interval(*few, seed=1) != interval(*few, seed=2)
    few_width, many_width = (high - low for _, low, high in (interval(few[0] * n, few[1] * n) for n in (1, 16)))
    assert 1 / 6 < many_width / few_width < 1 / 3  # 1 / sqrt(16), about


def test_frechet_interval_is_not_negative():
    generated, real = classes(0, 4), classes(1, 4)
    generated[3] = 8 * generated[3]  # drawn zero to four times, so the distance varies more than its size
    mean, low, high = frechet_interval(generated, real)
    assert low == 0 < mean and high - mean > mean


@pytest.mark.parametrize("interval", INTERVALS)
def test_one_class_has_a_value_but_no_ends(interval):
    mean, low, high = interval([[[0.0], [2.0]]], [[[3.0], [5.0]]])
    assert mean > 0 and math.isnan(low) and math.isnan(high)


@pytest.mark.parametrize("score", [*DISTANCES, *(lambda x, y, f=f: f([x], [y]) for f in INTERVALS)])
def test_single_rows_nan_and_other_dimensions_are_refused(score):
    good = np.eye(3)
    for bad, message in (
        (good[:1], r"must have shape \[n, .\] with n >= 2\. Received: shape \(1, 3\)"),
        (np.zeros((2, 4)), r"must have shape \[n, [34]\] with n >= 2\. Received: shape \(., [34]\)"),
        (good * math.nan, r"must be finite\. Received: 9 values"),
    ):
        for pair in ((bad, good), (good, bad)):
            with pytest.raises(ValueError, match=message):
                score(*pair)


@pytest.mark.parametrize("interval", INTERVALS)
def test_classes_and_options_are_checked(interval):
    with pytest.raises(ValueError, match=r"must have the same number of classes\. Received: \(6, 5\)"):
        interval(classes(0), classes(1)[:5])
    with pytest.raises(ValueError, match=r"'generated' must have at least one class\. Received: none"):
        interval([], [])
    with pytest.raises(ValueError, match=r"'real\[2\]' must have shape .* n >= 2\. Received: shape \(1, 3\)"):
        interval(classes(0), [rows[: 1 if i == 2 else 9] for i, rows in enumerate(classes(1))])
    for options in ({"resamples": 0}, {"level": 1.0}, {"seed": -1}):
        with pytest.raises(ValueError, match=r"must be .* Received: "):
            interval(classes(0), classes(1), **options)
