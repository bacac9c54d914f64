"""Scores of rows against values computed by hand, with a judge whose features are the pixels."""

import numpy as np
import pytest

from meta_gan import metrics
from meta_gan.protocol import scoring
from meta_gan.protocol.allocation import allocate, class_order, opponents
from meta_gan.protocol.scoring import CURVE_METRICS, Deal, Scorer, copy_rates, intervals, over_draws
from tests.protocol.helpers import patterned_source, pixel_judge


def deal_of(source, shots=5, draw=0):
    classes = class_order(source, "test")
    return Deal(source, classes, [allocate(source, int(index), shots, draw) for index in classes])


@pytest.fixture(scope="module")
def deal():
    return deal_of(patterned_source(6))


@pytest.fixture(scope="module")
def scorer(deal):
    return Scorer(pixel_judge(), deal)


def scored(scorer, deal, images):
    return scorer.per_class(scorer.features(images), copy_rates(images, deal.images("support"), deal.thresholds()))


def floats(images):
    return (images / 127.5 - 1.0).reshape(len(images), -1)


def test_features_are_those_of_each_class(deal, scorer):
    made = scorer.features([deal.images("oracle")[0], None, deal.images("support")[2]])
    np.testing.assert_allclose(made[0], floats(deal.images("oracle")[0]), atol=1e-6)
    assert made[1] is None
    assert made[2].shape == (5, 64)
    assert scorer.features([None, None]) == [None, None]


def test_every_score_is_its_metric_of_the_class(deal, scorer):
    images = deal.images("oracle")
    scores = scored(scorer, deal, images)
    support, real = floats(deal.images("support")[3]), floats(deal.images("references")[3])
    made = floats(images[3])
    near = pytest.approx
    assert scores["energy_distance"][3] == near(metrics.energy_distance(made, real), rel=1e-4, abs=1e-5)
    assert scores["relative_diversity"][3] == near(metrics.relative_diversity(made, real), rel=1e-5)
    assert scores["support_closeness"][3] == near(metrics.support_closeness(made, support, real), rel=1e-5)
    ways = opponents(deal.names, 3)
    prototypes = np.stack([floats(deal.images("references")[way]).mean(axis=0) for way in ways])
    assert scores["recognisability"][3] == metrics.recognisability(made, prototypes, 0)
    assert np.isnan(scores["precision"]).all(), "8 references are too few for it"


def test_the_rows_rank_as_they_should(deal, scorer):
    """Real images, then copies, then one image again and again, then another class."""
    support = deal.images("support")
    rows = {
        "oracle": deal.oracle(),
        "copy": [np.tile(images, (3, 1, 1, 1)) for images in support],
        "one": [np.tile(images[:1], (15, 1, 1, 1)) for images in support],
        "wrong": deal.wrong(15),
    }
    found = {name: scored(scorer, deal, images) for name, images in rows.items()}
    energy = [found[name]["energy_distance"].mean() for name in rows]
    assert energy == sorted(energy) and abs(energy[0]) < 0.3 < energy[1]
    assert found["copy"]["support_closeness"].max() == 0 and (found["copy"]["copy_rate"] == 1).all()
    assert found["oracle"]["copy_rate"].mean() < 0.1
    assert found["oracle"]["support_closeness"].mean() == pytest.approx(1, abs=0.1)
    assert (found["one"]["relative_diversity"] == 0).all()
    assert found["wrong"]["recognisability"].max() == 0 and found["oracle"]["recognisability"].min() == 1


def test_a_class_without_images_has_no_scores(deal, scorer):
    images = deal.oracle()
    images[2] = None
    scores = scored(scorer, deal, images)
    for name in CURVE_METRICS:
        assert np.isnan(scores[name][2]) and not np.isnan(np.delete(scores[name], 2)).any()


def test_many_references_have_precision_and_recall():
    deal = deal_of(patterned_source(2, examples=520))
    scorer = Scorer(pixel_judge(), deal)
    scores = scored(scorer, deal, deal.images("oracle"))
    assert len(deal.parts[0].references) == 208
    assert scores["precision"].min() > 0.5 and scores["coverage"].max() < 0.9, "15 images cannot cover 208"
    wrong = scored(scorer, deal, deal.wrong(15))
    assert wrong["precision"].max() == 0


def test_wrong_images_are_of_the_class_half_way_round(deal):
    wrong = deal.wrong(4)
    np.testing.assert_array_equal(wrong[1], deal.images("support")[4][:4])
    assert deal_of(patterned_source(1)).wrong(4) == [None]


def test_a_lone_class_is_recognised_among_nobody():
    deal = deal_of(patterned_source(1))
    scores = scored(Scorer(pixel_judge(), deal), deal, deal.images("oracle"))
    assert np.isnan(scores["recognisability"]).all() and not np.isnan(scores["energy_distance"]).any()


def test_where_few_are_evaluated_the_other_classes_stand_beside_them():
    deal = deal_of(patterned_source(5, split=[0, 2, 1, 2, 0]))
    assert sorted(deal.others()) == [0, 2, 4]
    three, all_ = Scorer(pixel_judge(), deal, 3), Scorer(pixel_judge(), deal, 20)
    assert [len(found) for found in (three.ways[0], all_.ways[0])] == [3, 5]
    np.testing.assert_allclose(all_.prototypes[2], floats(deal.members(deal.others()[0])).mean(axis=0), atol=1e-6)
    images = [deal.members(deal.others()[0])[:3], deal.images("oracle")[1]]
    assert scored(all_, deal, images)["recognisability"].tolist() == [0.0, 1.0]
    assert len(Scorer(pixel_judge(), deal, 2).prototypes) == 2


def test_few_images_are_no_oracle():
    deal = deal_of(patterned_source(2, examples=8))
    assert deal.oracle() == [None, None] and deal.pooled_counts(15) == [0, 0]


def test_pooled_distances_take_as_many_images_of_every_row(deal, scorer):
    assert deal.pooled_counts(15) == [7] * 6 and deal.pooled_counts(5) == [5] * 6
    features = scorer.features(deal.images("oracle"))
    found = scorer.pooled(features, deal.pooled_counts(15))
    longer = [np.concatenate([part, part + 9.0]) for part in features]
    again = scorer.pooled(longer, deal.pooled_counts(15))
    assert found["frechet_distance"].mean == again["frechet_distance"].mean
    assert found["kernel_distance"].low <= found["kernel_distance"].mean <= found["kernel_distance"].high


@pytest.mark.parametrize("spoil", ["absent", "short"])
def test_no_pooled_distance_without_all_of_the_images(deal, scorer, spoil):
    features = scorer.features(deal.images("oracle"))
    features[1] = None if spoil == "absent" else features[1][:3]
    assert scorer.pooled(features, deal.pooled_counts(15)) == {"frechet_distance": None, "kernel_distance": None}
    assert scorer.pooled(features, [0] * 6)["frechet_distance"] is None


def test_the_few_shot_classifier_with_and_without_added_images(deal, scorer):
    draws = np.array([[0, 3, 1], [4, 1, 5]])
    alone = scorer.prototypical(None, draws)
    prototypes = [scorer.support[way] for way in draws[0]]
    expected = metrics.prototypical_accuracy(prototypes, [scorer.references[way] for way in draws[0]])
    assert alone[0] == expected
    wrong = scorer.prototypical(scorer.features(deal.wrong(12)), draws)
    assert wrong.mean() < alone.mean(), "images of another class do harm"
    absent = scorer.features(deal.images("oracle"))
    absent[4] = None
    assert np.isnan(scorer.prototypical(absent, draws)).tolist() == [False, True]


def test_draws_are_averaged_class_by_class():
    values = over_draws([np.array([1.0, np.nan, np.nan]), np.array([3.0, 5.0, np.nan])])
    np.testing.assert_array_equal(values, [2.0, 5.0, np.nan])


def test_a_score_that_is_nowhere_defined_is_null():
    found = intervals({"a": np.array([1.0, 1.0]), "b": np.full(2, np.nan)})
    assert found == {"a": {"mean": 1.0, "low": 1.0, "high": 1.0}, "b": None}


def test_copies_need_no_judge(deal):
    support = deal.images("support")
    images = [support[0], None, *[255 - part for part in support[2:]]]
    rates = copy_rates(images, support, deal.thresholds())
    assert rates[0] == 1 and np.isnan(rates[1]) and (rates[2:] == 0).all()


def test_the_threshold_is_of_all_images_of_a_class(deal, monkeypatch):
    members = deal.source.images[deal.source.labels == deal.classes[0]]
    assert deal.thresholds()[0] == metrics.copy_threshold(members)
    monkeypatch.setattr(scoring, "MOST_REAL_PAIRS", 4)
    assert deal.thresholds()[0] == metrics.copy_threshold(members[:4])
