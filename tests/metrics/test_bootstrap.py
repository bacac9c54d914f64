"""Bootstrap intervals: by hand, against the exact distribution of a small bootstrap, and their coverage."""

import itertools
import json
import math

import numpy as np
import pytest

from meta_gan.metrics.bootstrap import Interval, bootstrap_mean, percentile_bounds, resampled_counts

NAN = float("nan")


def test_as_dict_rounds_to_six_digits_and_has_null_for_nan():
    assert Interval(1 / 3, -1234567.8, NAN).as_dict() == {"mean": 0.333333, "low": -1234570.0, "high": None}
    assert json.dumps(Interval(NAN, NAN, NAN).as_dict(), allow_nan=False) == '{"mean": null, "low": null, "high": null}'


def test_as_dict_has_plain_floats_for_all_number_types():
    values = Interval(np.float32(0.5), np.float64(1e-9), 2).as_dict().values()
    assert [type(v) for v in values] == [float] * 3 and list(values) == [0.5, 1e-9, 2.0]


def test_every_resample_draws_as_many_classes_as_there_are():
    counts = resampled_counts(7, 500, seed=3)
    assert counts.shape == (500, 7) and np.issubdtype(counts.dtype, np.integer)
    np.testing.assert_array_equal(counts.sum(axis=1), 7)
    assert counts.min() == 0 and counts.max() > 2, "with replacement"


def test_counts_are_those_of_the_drawn_classes():
    drawn = np.random.default_rng(5).integers(4, size=(6, 4))
    expected = [[list(row).count(c) for c in range(4)] for row in drawn]
    assert resampled_counts(4, 6, seed=5).tolist() == expected


def test_each_class_is_drawn_once_on_average_with_the_variance_of_a_multinomial():
    counts = resampled_counts(10, 20_000, seed=0)
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.03)
    np.testing.assert_allclose(counts.var(axis=0), 1 - 1 / 10, atol=0.05)


def test_bounds_by_hand():
    assert percentile_bounds(range(101), 0.9) == pytest.approx((5, 95))
    assert percentile_bounds([0, 1], 0.5) == (0.25, 0.75), "interpolated"
    assert percentile_bounds([3.0]) == (3.0, 3.0)


def test_equal_values_have_an_interval_of_width_zero():
    assert bootstrap_mean([0.1] * 7) == Interval(pytest.approx(0.1, rel=1e-15), *[pytest.approx(0.1, rel=1e-15)] * 2)
    assert bootstrap_mean([0.5, 0.5]) == (0.5, 0.5, 0.5)


def test_two_classes_by_hand():
    # The mean of two draws from {0, 1} is 0, 1/2, 1 with shares 1/4, 1/2, 1/4.
    assert bootstrap_mean([0.0, 1.0], level=0.95) == (0.5, 0.0, 1.0)
    assert bootstrap_mean([0.0, 1.0], level=0.4) == (0.5, 0.5, 0.5)


def test_approaches_the_exact_bootstrap_of_four_classes():
    values = [0.0, 1.0, 4.0, 10.0]
    exact = [np.mean(draw) for draw in itertools.product(values, repeat=4)]  # all 256 equally likely resamples
    low, high = np.percentile(exact, [10, 90])
    interval = bootstrap_mean(values, resamples=50_000, level=0.8)
    assert interval == pytest.approx((3.75, low, high), abs=0.01)


def test_equals_scipy():
    # g = np.random.default_rng(7); g.normal(size=(60, 5)); g.normal(size=(40, 5)); values = g.normal(size=50)
    # scipy 1.17.1: scipy.stats.bootstrap((values,), np.mean, n_resamples=100000, method="percentile",
    #     rng=np.random.default_rng(0)).confidence_interval
    generator = np.random.default_rng(7)
    generator.normal(size=(60, 5)), generator.normal(size=(40, 5))
    interval = bootstrap_mean(generator.normal(size=50), resamples=100_000)
    expected = (-0.33463530623584425, -0.5401625374366971, -0.12584593658476095)
    assert interval == pytest.approx(expected, rel=1e-6)


def test_undefined_classes_are_left_out():
    values = [1.0, 2.0, 5.0]
    assert bootstrap_mean([1.0, NAN, 2.0, NAN, 5.0]) == bootstrap_mean(values)


def test_no_value_at_all_is_undefined():
    for values in ([], [NAN], [NAN, NAN]):
        assert all(math.isnan(x) for x in bootstrap_mean(values))


def test_one_value_has_no_ends():
    mean, low, high = bootstrap_mean([NAN, 0.25])
    assert mean == 0.25 and math.isnan(low) and math.isnan(high)


def test_is_a_function_of_the_seed():
    values = np.random.default_rng(1).normal(size=30)
    assert bootstrap_mean(values, seed=4) == bootstrap_mean(values, seed=4) != bootstrap_mean(values, seed=5)


def test_the_interval_follows_affine_maps_of_the_values():
    values = np.random.default_rng(2).exponential(size=40)
    moved = bootstrap_mean(3 * values + 7)
    assert moved == pytest.approx([3 * x + 7 for x in bootstrap_mean(values)], rel=1e-12)


def test_a_higher_level_is_wider():
    values = np.random.default_rng(2).exponential(size=40)
    widths = [high - low for _, low, high in (bootstrap_mean(values, level=level) for level in (0.5, 0.8, 0.95))]
    assert 0 < widths[0] < widths[1] < widths[2]


def test_the_interval_contains_the_true_mean_at_its_level():
    generator = np.random.default_rng(0)
    intervals = [bootstrap_mean(generator.normal(size=60), resamples=300, level=0.9, seed=i) for i in range(400)]
    share = np.mean([low < 0 < high for _, low, high in intervals])
    assert 0.84 < share < 0.94  # .9 less the small narrowing of 60 classes; the standard error is .015


@pytest.mark.parametrize("values", [[1.0, math.inf], [[1.0, 2.0]], 3.0])
def test_values_of_another_shape_or_infinite_are_refused(values):
    with pytest.raises(ValueError, match=r"'values' must be numbers of shape \[classes\].*Received: "):
        bootstrap_mean(values)


@pytest.mark.parametrize("scores", [[], [1.0, NAN], [[1.0]], [-math.inf]])
def test_scores_of_another_shape_or_not_finite_are_refused(scores):
    with pytest.raises(ValueError, match=r"'resampled' must be finite numbers of shape \[n\].*Received: "):
        percentile_bounds(scores)


@pytest.mark.parametrize("options", [{"level": 0}, {"level": 1.0}, {"level": NAN}, {"level": 95}])
def test_a_level_outside_its_range_is_refused(options):
    for values in ([1.0, 2.0], [1.0], []):
        with pytest.raises(ValueError, match=r"'level' must be a finite number > 0 and < 1\. Received: "):
            bootstrap_mean(values, **options)


@pytest.mark.parametrize("options", [{"resamples": 0}, {"resamples": 1.5}, {"seed": -1}, {"seed": True}])
def test_options_that_are_not_integers_are_refused(options):
    with pytest.raises(ValueError, match=r"must be an integer >= [01] .*Received: "):
        bootstrap_mean([1.0, 2.0], **options)
    with pytest.raises(ValueError, match=r"classes. must be .* Received: 0"):
        resampled_counts(0, 1, 0)
