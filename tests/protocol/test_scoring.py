"""Scores of rows by hand, with a judge whose features are the pixels."""

import numpy as np
import pytest

from meta_gan import metrics
from meta_gan.protocol import allocation as allocation_module
from meta_gan.protocol.allocation import allocate, class_order, opponents
from meta_gan.protocol.scoring import CLASS_SCORES, Scorer, class_intervals, copy_rates, mean_over_draws
from tests.protocol.helpers import patterned_source, pixel_judge


def allocation_of(source, shots=5, draw=0):
    return allocate(source, class_order(source, "test"), shots, draw)


@pytest.fixture(scope="module")
def allocation():
    return allocation_of(patterned_source(6))


@pytest.fixture(scope="module")
def scorer(allocation):
    return Scorer(pixel_judge(), allocation)


def scored(scorer, allocation, images):
    return scorer.class_scores(
        scorer.features(images), copy_rates(images, allocation.images("support"), allocation.thresholds())
    )


def floats(images):
    return (images / 127.5 - 1.0).reshape(len(images), -1)


def test_features_are_those_of_each_class(allocation, scorer):
    made = scorer.features([allocation.images("oracle")[0], None, allocation.images("support")[2]])
    np.testing.assert_allclose(made[0], floats(allocation.images("oracle")[0]), atol=1e-6)
    assert made[1] is None
    assert made[2].shape == (5, 64)
    assert scorer.features([None, None]) == [None, None]


def test_every_score_is_its_metric_of_the_class(allocation, scorer):
    images = allocation.images("oracle")
    scores = scored(scorer, allocation, images)
    support, real = floats(allocation.images("support")[3]), floats(allocation.images("references")[3])
    made = floats(images[3])
    near = pytest.approx
    assert scores["energy_distance"][3] == near(metrics.energy_distance(made, real), rel=1e-4, abs=1e-5)
    assert scores["relative_diversity"][3] == near(metrics.relative_diversity(made, real), rel=1e-5)
    assert scores["support_closeness"][3] == near(metrics.support_closeness(made, support, real), rel=1e-5)
    ways = opponents(allocation.names, 3, 20)
    prototypes = np.stack([floats(allocation.images("references")[way]).mean(axis=0) for way in ways])
    assert scores["recognisability"][3] == metrics.recognisability(made, prototypes, 0)
    assert np.isnan(scores["precision"]).all(), "8 references are too few for it"


def test_the_energy_distance_ranks_the_rows(allocation, scorer):
    """Real images, then copies, then one image repeated, then another class."""
    support = allocation.images("support")
    rows = {
        "oracle": allocation.oracle(),
        "copy": [np.tile(images, (3, 1, 1, 1)) for images in support],
        "one": [np.tile(images[:1], (15, 1, 1, 1)) for images in support],
        "wrong": allocation.wrong(15),
    }
    found = {name: scored(scorer, allocation, images) for name, images in rows.items()}
    energy = [found[name]["energy_distance"].mean() for name in rows]
    assert energy == sorted(energy) and abs(energy[0]) < 0.3 < energy[1]
    assert found["copy"]["support_closeness"].max() == 0 and (found["copy"]["copy_rate"] == 1).all()
    assert found["oracle"]["copy_rate"].mean() < 0.1
    assert found["oracle"]["support_closeness"].mean() == pytest.approx(1, abs=0.1)
    assert (found["one"]["relative_diversity"] == 0).all()
    assert found["wrong"]["recognisability"].max() == 0 and found["oracle"]["recognisability"].min() == 1


def test_a_class_without_images_has_no_scores(allocation, scorer):
    images = allocation.oracle()
    images[2] = None
    scores = scored(scorer, allocation, images)
    for name in CLASS_SCORES:
        assert np.isnan(scores[name][2]) and not np.isnan(np.delete(scores[name], 2)).any()


def test_many_references_have_precision_and_recall():
    allocation = allocation_of(patterned_source(2, examples=520))
    scorer = Scorer(pixel_judge(), allocation)
    scores = scored(scorer, allocation, allocation.images("oracle"))
    assert len(allocation.parts[0].references) == 208
    assert scores["precision"].min() > 0.5 and scores["coverage"].max() < 0.9, "15 images cannot cover 208"
    wrong = scored(scorer, allocation, allocation.wrong(15))
    assert wrong["precision"].max() == 0


def test_wrong_images_are_of_the_class_half_way_round_the_order(allocation):
    wrong = allocation.wrong(4)
    np.testing.assert_array_equal(wrong[1], allocation.images("support")[4][:4])
    assert allocation_of(patterned_source(1)).wrong(4) == [None]


def test_a_single_class_has_no_recognisability():
    allocation = allocation_of(patterned_source(1))
    scores = scored(Scorer(pixel_judge(), allocation), allocation, allocation.images("oracle"))
    assert np.isnan(scores["recognisability"]).all() and not np.isnan(scores["energy_distance"]).any()


def test_classes_of_other_splits_are_added_if_few_are_evaluated():
    allocation = allocation_of(patterned_source(5, split=[0, 2, 1, 2, 0]))
    assert sorted(allocation.others()) == [0, 2, 4]
    three, all_ = Scorer(pixel_judge(), allocation, 3), Scorer(pixel_judge(), allocation, 20)
    assert [len(found) for found in (three.ways[0], all_.ways[0])] == [3, 5]
    np.testing.assert_allclose(
        all_.prototypes[2], floats(allocation.members(allocation.others()[0])).mean(axis=0), atol=1e-6
    )
    images = [allocation.members(allocation.others()[0])[:3], allocation.images("oracle")[1]]
    assert scored(all_, allocation, images)["recognisability"].tolist() == [0.0, 1.0]
    assert len(Scorer(pixel_judge(), allocation, 2).prototypes) == 2


def test_too_few_images_give_no_oracle():
    allocation = allocation_of(patterned_source(2, examples=8))
    assert allocation.oracle() == [None, None] and allocation.pooled_counts(15) == [0, 0]


def test_pooled_distances_use_equal_numbers_of_images(allocation, scorer):
    assert allocation.pooled_counts(15) == [7] * 6 and allocation.pooled_counts(5) == [5] * 6
    features = scorer.features(allocation.images("oracle"))
    found = scorer.pooled_scores(features, allocation.pooled_counts(15))
    longer = [np.concatenate([part, part + 9.0]) for part in features]
    again = scorer.pooled_scores(longer, allocation.pooled_counts(15))
    assert found["frechet_distance"].mean == again["frechet_distance"].mean
    assert found["kernel_distance"].low <= found["kernel_distance"].mean <= found["kernel_distance"].high


@pytest.mark.parametrize("spoil", ["absent", "short"])
def test_no_pooled_distance_if_images_are_missing(allocation, scorer, spoil):
    features = scorer.features(allocation.images("oracle"))
    features[1] = None if spoil == "absent" else features[1][:3]
    assert scorer.pooled_scores(features, allocation.pooled_counts(15)) == {
        "frechet_distance": None,
        "kernel_distance": None,
    }
    assert scorer.pooled_scores(features, [0] * 6)["frechet_distance"] is None


def test_prototypical_accuracy_with_and_without_added_images(allocation, scorer):
    draws = np.array([[0, 3, 1], [4, 1, 5]])
    alone = scorer.prototypical_accuracy(None, draws)
    prototypes = [scorer.support[way] for way in draws[0]]
    expected = metrics.prototypical_accuracy(prototypes, [scorer.references[way] for way in draws[0]])
    assert alone[0] == expected
    wrong = scorer.prototypical_accuracy(scorer.features(allocation.wrong(12)), draws)
    assert wrong.mean() < alone.mean(), "images of another class lower the accuracy"
    absent = scorer.features(allocation.images("oracle"))
    absent[4] = None
    assert np.isnan(scorer.prototypical_accuracy(absent, draws)).tolist() == [False, True]


def test_draws_are_averaged_class_by_class():
    values = mean_over_draws([np.array([1.0, np.nan, np.nan]), np.array([3.0, 5.0, np.nan])])
    np.testing.assert_array_equal(values, [2.0, 5.0, np.nan])


def test_a_score_without_values_is_none():
    found = class_intervals({"a": np.array([1.0, 1.0]), "b": np.full(2, np.nan)})
    assert found == {"a": {"mean": 1.0, "low": 1.0, "high": 1.0}, "b": None}


def test_copy_rates_by_hand(allocation):
    support = allocation.images("support")
    images = [support[0], None, *[255 - part for part in support[2:]]]
    rates = copy_rates(images, support, allocation.thresholds())
    assert rates[0] == 1 and np.isnan(rates[1]) and (rates[2:] == 0).all()


def test_the_threshold_is_of_all_images_of_a_class(allocation, monkeypatch):
    members = allocation.source.images[allocation.source.labels == allocation.classes[0]]
    assert allocation.thresholds()[0] == metrics.copy_threshold(members)
    monkeypatch.setattr(allocation_module, "THRESHOLD_IMAGES", 4)
    assert allocation.thresholds()[0] == metrics.copy_threshold(members[:4])
