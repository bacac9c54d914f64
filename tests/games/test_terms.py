"""Terms of the generator's loss, splits of a support set, and evenly spread numbers, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.games import Terms
from meta_gan.games.gan import coarse, feature_terms, with_nearness
from meta_gan.games.sampling import split, spread
from meta_gan.losses import pairwise_distances
from meta_gan.networks.anchored import choose

SEEDS = [tf.constant([i, 7]) for i in range(30)]


def shares(numbers):
    """Return the normal distribution function of standard normal numbers."""
    return 0.5 * (1.0 + tf.math.erf(tf.constant(numbers, tf.float64) / np.sqrt(2.0))).numpy()


def furthest(values):
    """Return the Kolmogorov-Smirnov distance of shares from the uniform distribution."""
    ordered, n = np.sort(values), len(values)
    return max(np.abs(ordered - np.arange(n) / n).max(), np.abs(ordered - np.arange(1, n + 1) / n).max())


@pytest.mark.parametrize("column", [0, 1, 2])
def test_a_column_is_standard_normal_and_evenly_spread(column):
    """200 independent draws would be .1 apart from the quantiles at 5 %; a Kronecker sequence is well below."""
    for seed in SEEDS[:5]:
        assert furthest(shares(spread(200, 3, seed)[:, column])) < 0.03


def test_each_number_alone_is_standard_normal():
    """Over keys; a row that always lies near one place would not be normal. 1.63 / sqrt(n) is the 1 % point."""
    draw = tf.function(lambda seed: spread(2, 2, seed), autograph=False)
    draws = np.stack([draw(tf.constant([i, 0])).numpy() for i in range(400)])
    for row in (0, 1):
        for column in (0, 1):
            assert furthest(shares(draws[:, row, column])) < 1.63 / np.sqrt(400)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_support_images_are_chosen_about_equally_often(count):
    """In 15 samples, each within a factor of 2 of its share; independent draws miss it by a factor of 4."""
    for seed in SEEDS:
        for column in range(2):
            chosen = choose(spread(15, 2, seed)[:, column], count).numpy()
            times = np.bincount(chosen, minlength=count)
            assert len(times) == count and np.abs(times - 15 / count).max() < 2, times


def test_a_row_depends_on_the_key_and_not_on_the_number_of_rows():
    many = spread(40, 2, SEEDS[0]).numpy()
    for num in (1, 2, 15):
        np.testing.assert_array_equal(spread(num, 2, SEEDS[0]), many[:num])
    assert np.isfinite(spread(5000, 3, SEEDS[0])).all()
    assert np.abs(spread(40, 2, SEEDS[1]) - many).min() > 1e-6
    assert abs(np.corrcoef(spread(1000, 2, SEEDS[0]).numpy().T)[0, 1]) < 0.05, "one number says nothing of the other"


@pytest.mark.parametrize("columns", [0, 4])
def test_other_numbers_of_columns_are_refused(columns):
    with pytest.raises(ValueError, match=rf"'columns' must be an integer >= 1 and <= 3. Received: {columns}"):
        spread(3, columns, SEEDS[0])


@pytest.mark.parametrize(
    ("k", "holdout", "sizes"),
    [(1, 1, (1, 1)), (1, 2, (1, 1)), (2, 1, (1, 1)), (2, 2, (1, 1)), (5, 1, (1, 4)), (5, 2, (2, 3)), (5, 9, (4, 1))],
)
def test_the_parts_of_a_split_have_these_sizes_and_are_disjoint(k, holdout, sizes):
    """A single image is in both parts."""
    support = tf.reshape(tf.range(float(k)), [k, 1])
    for seed in SEEDS[:5]:
        held, others = (part.numpy()[:, 0].tolist() for part in split(support, holdout, seed))
        assert (len(held), len(others)) == sizes
        assert sorted(held + others) == ([0.0, 0.0] if k == 1 else list(range(k)))


def test_images_are_held_out_equally_often():
    support = tf.reshape(tf.range(5.0), [5, 1])
    draw = tf.function(lambda seed: split(support, 1, seed)[0], autograph=False)
    held = [int(draw(tf.constant([0, i]))[0, 0]) for i in range(200)]
    # 40 each, of deviation 5.7; four of them.
    assert np.abs(np.bincount(held, minlength=5) - 40).max() < 23


def test_one_graph_splits_support_sets_of_any_size():
    specs = [tf.TensorSpec([None, 2]), tf.TensorSpec([2], tf.int32)]
    graph = tf.function(lambda x, seed: split(x, 2, seed), autograph=False, input_signature=specs)
    for k in (1, 2, 5):
        support = tf.random.stateless_uniform([k, 2], SEEDS[1])
        for ours, theirs in zip(graph(support, SEEDS[2]), split(support, 2, SEEDS[2]), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_coarse_distances_are_root_mean_squares_over_blocks():
    """Two images of 8 x 8: one block of four differs by .8 in the mean, so .8 / sqrt(4)."""
    first = np.zeros((1, 8, 8, 1))
    second = first.copy()
    second[0, 4:, :4] = 0.8 + 0.1 * np.tile([[1.0, -1.0], [-1.0, 1.0]], (2, 2))[..., None]
    rows = coarse(tf.constant(np.concatenate([first, second])))
    assert rows.shape == (2, 4)
    np.testing.assert_allclose(pairwise_distances(rows[:1], rows[1:]), [[0.4]], rtol=1e-12)


def test_coarse_points_are_not_averaged():
    rows = coarse(tf.constant([[3.0, 4.0], [0.0, 0.0]]))
    np.testing.assert_allclose(pairwise_distances(rows[:1], rows[1:]), [[5 / np.sqrt(2)]], rtol=1e-6)


def test_nearness_appends_one_number():
    features, support = tf.constant([[0.0, 0.0], [3.0, 4.0]]), tf.constant([[0.0, 1.0], [3.0, 8.0]])
    np.testing.assert_allclose(with_nearness(features, support, 0.5), [[0, 0, 0.5], [3, 4, 2.0]], rtol=1e-6)


BAD = [
    {"adversarial": -1.0},
    {"features": float("nan")},
    {"pixels": float("inf")},
    {"nearness": True},
    {"variety": -0.5},
]


@pytest.mark.parametrize("weights", BAD, ids=str)
def test_weights_out_of_range_are_refused(weights):
    (name,) = weights
    with pytest.raises(ValueError, match=f"'{name}' must be a finite number >= 0. Received"):
        Terms(**weights)


def test_weights_of_zero_are_refused():
    with pytest.raises(ValueError, match=r"must be > 0\. Received: 0 for all"):
        Terms(adversarial=0.0)


@pytest.mark.parametrize("name", ["nearness", "variety"])
def test_terms_in_features_need_the_features(name):
    with pytest.raises(ValueError, match=r"'features' must be > 0 if 'nearness' or 'variety' is\. Received: 0\.0"):
        Terms(**{name: 1.0})
    assert getattr(Terms(features=1.0, **{name: 1.0}), name) == 1.0


def test_feature_terms_by_hand():
    """Fakes 1 and 3, reals 4 and 8, support 1: distances across 3, 7, 1, 5; within 2 and 4; nearness 0, 2, 3, 7."""
    fake, real, support = (tf.constant(x, tf.float64)[:, None] for x in ([1.0, 3.0], [4.0, 8.0], [1.0]))
    plain = 2 * 4 - 2 - 4
    np.testing.assert_allclose(feature_terms(Terms(features=1.5), fake, real, None), 1.5 * plain)
    np.testing.assert_allclose(feature_terms(Terms(features=1.5, variety=0.5), fake, real, None), 1.5 * plain + 0.5 * 4)
    # One more number, of weight 1: all points then lie on a line of slope 1.
    both = feature_terms(Terms(features=1.5, nearness=1.0, variety=0.5), fake, real, support)
    np.testing.assert_allclose(both, 1.5 * 2**0.5 * plain + 0.5 * 4)
    assert Terms.from_config(Terms(0.5, 1.0, 2.0, 3.0, 4.0).get_config()) == Terms(0.5, 1.0, 2.0, 3.0, 4.0)
