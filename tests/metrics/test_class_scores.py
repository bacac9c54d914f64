"""Scores of one class: by hand, against loops and reference code, their bias, and on copies and wrong classes."""

import math

import numpy as np
import pytest

from meta_gan.metrics import (
    copy_rate,
    copy_threshold,
    energy_distance,
    feature_deviation,
    nearest_images,
    precision_recall_density_coverage,
    prototypical_accuracy,
    recognisability,
    relative_diversity,
    support_closeness,
)
from tests.metrics.test_distances import golden

NAN = float("nan")
KEYS = ("precision", "recall", "density", "coverage")


def column(*values):
    return np.array(values, np.float64)[:, None]


def drawings(seed, n=20):
    """uint8[n, 8, 8, 1] of one class: one black and white image, with a tenth of its pixels turned in each."""
    base = np.random.default_rng(99).integers(2, size=(1, 8, 8, 1))
    turned = np.random.default_rng(seed).random((n, 8, 8, 1)) < 0.1
    return (255 * (base ^ turned)).astype(np.uint8)


def test_energy_distance_by_hand():
    assert energy_distance(column(0, 2), column(1, 3)) == 2 * (1 + 3 + 1 + 1) / 4 - 2 - 2
    assert energy_distance(column(0, 0, 3), column(4, 4)) == 2 * (4 + 4 + 1) / 3 - (0 + 3 + 3) / 3 - 0


def test_energy_distance_equals_a_loop_over_pairs():
    def mean(first, second):
        return np.mean([math.dist(a, b) for a in first for b in second if a is not b])

    x, y = (list(rows) for rows in golden())  # lists, so that `is` sees the pairs of a row with itself
    expected = 2 * mean(x, y) - mean(x, x) - mean(y, y)
    np.testing.assert_allclose(energy_distance(x, y), expected, rtol=1e-12)


def test_energy_distance_equals_scipy():
    # scipy.spatial.distance 1.17.1, x, y = golden(): 2 * cdist(x, y).mean() - pdist(x).mean() - pdist(y).mean()
    np.testing.assert_allclose(energy_distance(*golden()), 0.11789301283585418, rtol=1e-6)
    # scipy.stats.energy_distance(x[:, 0], y[:, 0]) ** 2, which counts the pairs of a row with itself
    x, y = (rows[:, :1] for rows in golden())
    n, m = len(x), len(y)
    self_pairs = np.abs(x - x.T).sum() / (n * n * (n - 1)) + np.abs(y - y.T).sum() / (m * m * (m - 1))
    np.testing.assert_allclose(energy_distance(x, y) + self_pairs, 0.08801498335412578, rtol=1e-6)


def test_energy_distance_of_one_distribution_is_zero_on_average():
    generator = np.random.default_rng(0)
    values = [energy_distance(*generator.normal(size=(2, 6, 4))) for _ in range(3000)]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(3000) < 0.03
    assert min(values) < -0.1  # with self pairs the mean would be E|x - x'| / 3, about .9, and nothing below 0


def test_energy_distance_has_no_bias_where_the_distributions_differ():
    # In one dimension it is 2 * integral (F - G)^2: for [0, 1] and [0, 1] + 1 it is 2 * (1/3 + 1/3).
    generator = np.random.default_rng(0)
    values = [energy_distance(generator.random((3, 1)), 1 + generator.random((5, 1))) for _ in range(3000)]
    assert np.mean(values) == pytest.approx(4 / 3, abs=3 * np.std(values) / math.sqrt(3000))


def test_energy_distance_ranks_copies_between_an_oracle_and_the_wrong_class():
    generator = np.random.default_rng(0)
    real, oracle, support = (generator.normal(size=(n, 8)) for n in (200, 200, 5))
    copies = support[generator.integers(5, size=200)]
    scores = [energy_distance(x, real) for x in (oracle, copies, np.repeat(support[:1], 200, axis=0), oracle + 3)]
    assert abs(scores[0]) < 0.05 < scores[1] < scores[2] and scores[3] > scores[1]


def test_recognisability_by_hand_with_ties_as_wrong_and_noise_at_chance():
    prototypes = column(0, 1, 5)
    generated = column(0.1, 0.5, 0.9, 2.9, 3.0, 3.1)
    assert [recognisability(generated, prototypes, i) for i in range(3)] == [1 / 6, 2 / 6, 1 / 6]
    assert recognisability(np.zeros((4, 3)), np.zeros((5, 3)), 0) == 0, "equal features of all images"
    noise = np.random.default_rng(0).normal(size=(4000, 20))
    assert recognisability(noise, np.eye(20), target=3) == pytest.approx(1 / 20, abs=0.012)


def test_an_unknown_target_and_a_single_prototype_are_refused():
    for target in (-1, 2, 1.0, True):
        with pytest.raises(ValueError, match=r"'target' must be an integer >= 0 .*Received: "):
            recognisability(column(0), column(0, 1), target)
    with pytest.raises(ValueError, match=r"'prototypes' must have shape .* n >= 2\. Received: shape \(1, 1\)"):
        recognisability(column(0), column(0), 0)


def test_relative_diversity_by_hand_and_by_scipy():
    assert relative_diversity(column(0, 1, 3), column(0, 1)) == (1 + 3 + 2) / 3
    assert relative_diversity(column(4, 4), column(0, 1)) == 0
    assert math.isnan(relative_diversity(column(0, 1), column(2, 2)))
    # scipy.spatial.distance 1.17.1, x, y = golden(): pdist(x).mean() / pdist(y).mean()
    np.testing.assert_allclose(relative_diversity(*golden()), 0.7949925720396471, rtol=1e-6)


def test_feature_deviation_by_hand_and_as_the_root_of_summed_variances():
    assert feature_deviation(column(1, 2, 3)) == 1
    assert feature_deviation(column(4, 4)) == 0
    x, _ = golden()
    np.testing.assert_allclose(feature_deviation(x), math.sqrt(np.var(x, axis=0, ddof=1).sum()), rtol=1e-12)
    with pytest.raises(ValueError, match="'features' must"):
        feature_deviation(column(1))


def test_relative_diversity_of_an_oracle_is_one_and_of_few_copies_below():
    generator = np.random.default_rng(0)
    real, oracle, support = (generator.normal(size=(n, 8)) for n in (300, 300, 5))
    assert relative_diversity(oracle, real) == pytest.approx(1, abs=0.02)
    copies = np.concatenate([support] * 60)
    expected = relative_diversity(support, real) * (4 / 5) * 300 / 299  # a fifth of all pairs are of one image
    np.testing.assert_allclose(relative_diversity(copies, real), expected, rtol=1e-12)


def test_copy_threshold_by_hand_and_by_scipy():
    # 15 images have 105 pairs. "lower" takes rank floor(.01 * 104) = 1 of 0, 1, ...: the second smallest.
    values = np.cumsum([0.0, *(0.01 * 2.0**-i for i in range(14))])[:, None]
    assert copy_threshold(values) == np.sort(np.abs(values - values.T)[np.triu_indices(15, 1)])[1]
    assert copy_threshold(column(0, 1, 0.25)) == 0.25
    assert copy_threshold(column(0, 0, 1)) == 0
    # scipy.spatial.distance 1.17.1, x, y = golden(): np.sort(pdist(x))[int(.01 * (60 * 59 // 2 - 1))]
    np.testing.assert_allclose(copy_threshold(golden()[0]), 0.9413421050903514, rtol=1e-6)


def test_nearest_images_by_hand_takes_the_first_of_several():
    index, distance = nearest_images(column(0.9, 0.5, -1), column(0, 1, 0))
    assert index.dtype == np.int64 and index.tolist() == [1, 0, 0]
    np.testing.assert_allclose(distance, [0.1, 0.5, 1], rtol=1e-12)
    index, distance = nearest_images(drawings(0)[[3, 0, 4]], drawings(0))
    assert index.tolist() == [3, 0, 4] and distance.tolist() == [0, 0, 0]


def test_copies_have_copy_rate_one_even_where_the_threshold_is_zero():
    support = drawings(0, n=5)
    flat = np.repeat(support[:1], 4, axis=0)
    assert copy_threshold(flat) == 0
    for threshold in (0, copy_threshold(flat), copy_threshold(drawings(1))):
        assert copy_rate(support[[1, 1, 4, 0]], support, threshold) == 1


def test_copies_are_found_in_uint8_and_in_floats():
    support = np.random.default_rng(0).integers(256, size=(5, 4, 4, 3)).astype(np.uint8)
    as_floats = (support / 127.5 - 1.0).astype(np.float32)
    assert copy_rate(as_floats, support, 0) == copy_rate(support, as_floats, 0) == 1
    assert copy_threshold(support) == copy_threshold(as_floats)


def test_the_pair_at_the_threshold_is_no_copy_in_either_order():
    assert copy_rate(column(0.25), column(0, 1), 0.25) == 0
    assert copy_rate(column(0.25), column(0, 1), np.nextafter(0.25, 1)) == 1
    for seed in range(20):
        real = np.random.default_rng(seed).normal(size=(13, 31))  # 78 pairs: the smallest distance is the threshold
        threshold = copy_threshold(real)
        assert copy_rate(real[:6], real[6:], threshold) == copy_rate(real[6:], real[:6], threshold) == 0


def test_new_real_images_are_rarely_copies():
    classes = [(drawings(seed), drawings(1000 + seed, 30)) for seed in range(60)]
    rates = [copy_rate(new, images[:5], copy_threshold(images)) for images, new in classes]
    assert 0 < np.mean(rates) < 0.05
    blank = np.random.default_rng(0).normal(size=(2000, 16))
    assert copy_rate(blank[300:], blank[:5], copy_threshold(blank[:300])) == pytest.approx(0.05, abs=0.02)


def test_support_closeness_by_hand():
    assert support_closeness(column(0.5, 1.5), column(0, 9), column(2, 10, 0)) == 1.0
    assert support_closeness(column(0.5), column(0, 9), column(2, 10)) == 1 / 3
    assert math.isnan(support_closeness(column(1), column(0, 9), column(0, 9, 9)))


def test_support_closeness_of_copies_jittered_copies_and_an_oracle():
    generator = np.random.default_rng(0)
    support, real, oracle = (generator.normal(size=(n, 8)) for n in (5, 400, 400))
    copies = support[generator.integers(5, size=400)]
    assert support_closeness(copies, support, real) == 0
    jittered = support_closeness(copies + 0.5 * generator.normal(size=(400, 8)), support, real)
    assert 0.3 < jittered < 0.7
    assert support_closeness(oracle, support, real) == pytest.approx(1, abs=0.05)


def test_prototypical_accuracy_by_hand():
    support = [column(0, 2), column(4)]  # prototypes 1 and 4, so the border is at 2.5
    assert prototypical_accuracy(support, [column(1.5, 2.4), column(2.6, 0)]) == 3 / 4
    assert prototypical_accuracy(support, [column(2.5), column(2.5, 9, 9)]) == 2 / 4, "ties are wrong, all are pooled"


def test_prototypical_accuracy_takes_arrays_as_well_as_lists():
    generator = np.random.default_rng(0)
    centres = 3 * generator.normal(size=(6, 1, 4))
    support, queries = centres + generator.normal(size=(6, 5, 4)), centres + generator.normal(size=(6, 9, 4))
    accuracy = prototypical_accuracy(support, queries)
    assert accuracy == prototypical_accuracy(list(support), [list(rows) for rows in queries])
    shares = [recognisability(rows, support.mean(axis=1), i) for i, rows in enumerate(queries)]
    assert accuracy > 0.8 and accuracy == pytest.approx(np.mean(shares))


def test_prototypical_accuracy_refuses_classes_that_do_not_match():
    for support, received in (([column(0), column(1)], "2 and 1"), ([column(0)], "1 and 1")):
        with pytest.raises(ValueError, match=rf"of the same classes, at least 2\. Received: {received}"):
            prototypical_accuracy(support, [column(0)])
    with pytest.raises(ValueError, match=r"'support\[1\]' must have shape \[n, 1\] .* Received: shape \(1, 2\)"):
        prototypical_accuracy([column(0), np.zeros((1, 2))], [column(0), column(0)])
    with pytest.raises(ValueError, match=r"'queries\[1\]' must have shape \[n, 1\] .* Received: shape \(0, 1\)"):
        prototypical_accuracy([column(0), column(1)], [column(0), column()])


def test_a_single_row_has_no_pairs_and_is_refused():
    two, one = column(0, 1), column(0)
    for score in (energy_distance, relative_diversity):
        for name, pair in (("generated", (one, two)), ("real", (two, one))):
            with pytest.raises(ValueError, match=rf"'{name}' must have shape .* n >= 2\. Received: shape \(1, 1\)"):
                score(*pair)
    with pytest.raises(ValueError, match=r"'real_pixels' must have shape \[n, \.\.\.\] with n >= 2\. Received: shape"):
        copy_threshold(one)


SCORES = {
    "energy_distance": energy_distance,
    "relative_diversity": relative_diversity,
    "recognisability": lambda x, y: recognisability(x, y, 0),
    "nearest_images": nearest_images,
    "copy_rate": lambda x, y: copy_rate(x, y, 1.0),
    "support_closeness": lambda x, y: support_closeness(x, y, y),
    "support_closeness of real": lambda x, y: support_closeness(x, x, y),
    "prototypical_accuracy": lambda x, y: prototypical_accuracy([x, x], [x, y]),
}


@pytest.mark.parametrize("name", SCORES)
def test_nan_and_other_dimensions_are_refused_on_either_side(name):
    good, wide = np.eye(2), np.zeros((2, 3))
    finite, shape = r"must be finite\. Received: 1 values", r"must have shape \[n, [23]\] .* shape \(2, [23]\)"
    for bad, message in (([[NAN, 0], [0, 0]], finite), ([[0, 0], [math.inf, 0]], finite), (wide, shape)):
        for pair in ((bad, good), (good, bad)):
            with pytest.raises(ValueError, match=message):
                SCORES[name](*pair)


def test_images_of_another_shape_or_dtype_and_bad_thresholds_are_refused():
    images = drawings(0, 3)
    for support in (images.reshape(3, 64), images[:0]):
        with pytest.raises(ValueError, match=r"'support' must have shape \[n, 8, 8, 1\] with n >= 1\. Received: shape"):
            nearest_images(images, support)
    with pytest.raises(ValueError, match=r"'generated' must be uint8 or floating point\. Received: dtype int64"):
        copy_rate(images.astype(np.int64), images, 0)
    for threshold in (-0.1, NAN, math.inf):
        with pytest.raises(ValueError, match=r"'threshold' must be a finite number >= 0\. Received: "):
            copy_rate(images, images, threshold)


def test_precision_recall_density_coverage_by_hand():
    # Real balls: [-1, 1], [0, 2], [1, 3]. Generated balls have radius 8.5. The row .5 is in two of the real balls, 9
    # in none; the ball [1, 3] holds nothing; both generated balls reach a real row.
    scores = precision_recall_density_coverage([[0.0], [1.0], [2.0]], [[0.5], [9.0]], nearest=1)
    assert [scores[key] for key in KEYS] == [1 / 2, 1.0, (2 + 0) / 2, 2 / 3]


def test_a_row_is_not_its_own_neighbour_but_its_duplicate_is():
    # Real radii 0, 0, 1, 1; generated ones .5, .5, 1, 1. The row 0 is in both balls of no radius, 7 in that of 6.
    real, generated = [[0.0], [0.0], [5.0], [6.0]], [[0.0], [0.5], [7.0], [8.0]]
    scores = precision_recall_density_coverage(real, generated, nearest=1)
    assert [scores[key] for key in KEYS] == [2 / 4, 3 / 4, (2 + 0 + 1 + 0) / 4, 3 / 4]


@pytest.mark.parametrize(
    ("nearest", "expected"),
    [
        (1, (0.425, 0.6666666666666666, 0.65, 0.3)),
        (5, (0.8, 0.95, 0.635, 0.8)),
    ],
)
def test_precision_recall_density_coverage_equal_the_reference_code(nearest, expected):
    # prdc 0.2 with scikit-learn 1.9.1: prdc.compute_prdc(x, y, nearest) with x, y = golden()
    scores = precision_recall_density_coverage(*golden(), nearest=nearest)
    assert list(scores) == list(KEYS)
    np.testing.assert_allclose(list(scores.values()), expected, rtol=1e-12)


def test_precision_and_recall_swap_with_the_sets():
    x, y = golden()
    one, other = precision_recall_density_coverage(x, y), precision_recall_density_coverage(y, x)
    assert (one["precision"], one["recall"]) == (other["recall"], other["precision"])


def test_density_and_coverage_of_equal_distributions():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 1500, 3))
    scores = precision_recall_density_coverage(x, y, nearest=3)
    assert scores["density"] == pytest.approx(1, abs=0.05)
    assert scores["coverage"] == pytest.approx(1 - 2**-3, abs=0.03)


def test_precision_and_recall_of_copies_are_perfect():
    x, _ = golden()
    scores = precision_recall_density_coverage(x, x.copy())
    assert scores["precision"] == scores["recall"] == scores["coverage"] == 1
    assert scores["density"] > 1


def test_one_image_repeated_has_precision_but_little_coverage():
    x, _ = golden()
    scores = precision_recall_density_coverage(x, np.repeat(x[:1], 20, axis=0))
    assert scores["precision"] == 1
    assert scores["recall"] == 1 / 60 and scores["coverage"] < 0.3


def test_precision_and_recall_of_a_distant_set_are_zero():
    x, y = golden()
    assert set(precision_recall_density_coverage(x, y + 100).values()) == {0.0}


def test_too_few_rows_for_the_nearest_neighbour_are_refused():
    x, y = golden()
    with pytest.raises(ValueError, match=r"'real' must have shape \[n, d\] with n >= 6\. Received: shape \(5, 5\)"):
        precision_recall_density_coverage(x[:5], y)
    with pytest.raises(ValueError, match=r"'generated' must have shape .* n >= 4\. Received: shape \(3, 5\)"):
        precision_recall_density_coverage(x, y[:3], nearest=3)


@pytest.mark.parametrize("nearest", [0, 2.0, True])
def test_a_bad_nearest_is_refused(nearest):
    with pytest.raises(ValueError, match=r"'nearest' must be an integer >= 1 .*Received: "):
        precision_recall_density_coverage(*golden(), nearest=nearest)
