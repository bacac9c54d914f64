"""What a judge must be able to see, on the embedded glyphs and on Omniglot, with the judges that ship."""

import numpy as np
import pytest

from meta_gan import features
from meta_gan.judges import load_judge, shipped_judges
from meta_gan.protocol.allocation import allocate, class_order
from meta_gan.protocol.baselines import Copy, Repeat, Shift
from meta_gan.protocol.scoring import Deal, Scorer, copy_rates
from meta_gan.tasks import from_npz, glyphs
from meta_gan.tasks.pixels import to_uint8

CLASSES = 100


def means(source, judge, classes=CLASSES):
    """The mean of every score of every row that needs no model."""
    order = class_order(source, "test")[:classes]
    deal = Deal(source, order, [allocate(source, int(index), 5) for index in order])
    rows = {"oracle": deal.oracle(), "wrong class": deal.wrong(15)}
    for row, baseline in {"copy": Copy(), "shift": Shift(), "one repeated": Repeat()}.items():
        made = [baseline.adapt(s, seed=place).sample(15, seed=place) for place, s in enumerate(deal.images("support"))]
        rows[row] = [to_uint8(images) for images in made]
    scorer, thresholds, found = Scorer(load_judge(judge), deal), deal.thresholds(), {}
    for row, images in rows.items():
        copies = copy_rates(images, deal.images("support"), thresholds)
        scores = scorer.per_class(scorer.features(images), copies)
        found[row] = {name: float(np.nanmean(v)) for name, v in scores.items() if not np.isnan(v).all()}
    return found


def check(found, shifted=0.8, known_at_least=0.9):
    """The order of the rows, and that `shift` is nearer to its support than `shifted` of what real images are."""
    energy, closeness, copies, known = (
        {row: scores[name] for row, scores in found.items()}
        for name in ("energy_distance", "support_closeness", "copy_rate", "recognisability")
    )
    assert abs(energy["oracle"]) < 0.05
    assert energy["oracle"] < min(energy["copy"], energy["shift"])
    assert max(energy["copy"], energy["shift"]) < energy["one repeated"] < energy["wrong class"]
    assert closeness["copy"] == 0 and closeness["shift"] < shifted and abs(closeness["oracle"] - 1) < 0.1
    assert copies["copy"] == 1 and copies["one repeated"] == 1 and copies["oracle"] < 0.05
    assert known["oracle"] > known_at_least and known["wrong class"] < 0.1, "chance is .05"


@pytest.mark.slow
def test_the_judge_of_glyphs_ranks_the_rows():
    """It has learned to see through the twelve faces, so that new real images are hardly farther than shifted ones."""
    check(means(glyphs().source, "glyphs28"), shifted=1.0)


def test_a_judge_that_never_saw_the_faces_ranks_glyphs_too():
    check(means(glyphs().source, "omniglot28-residual"), known_at_least=0.8)


@pytest.mark.data
@pytest.mark.parametrize("judge", ["omniglot28-conv", pytest.param("omniglot28-residual", marks=pytest.mark.slow)])
def test_the_judges_of_omniglot_rank_the_rows(data_folder, judge):
    check(means(from_npz(data_folder / "omniglot28.npz").source, judge))


def test_the_judges_that_ship_have_seen_training_classes_only():
    source = glyphs().source
    seen = set(load_judge("glyphs28").card["data"]["classes"])
    assert seen == {source.class_names[index] for index in source.split_classes("train")}
    assert set(shipped_judges()) >= {"glyphs28", "omniglot28-conv", "omniglot28-residual"}


@pytest.mark.data
def test_the_judges_of_omniglot_have_seen_813_characters(data_folder):
    source = from_npz(data_folder / "omniglot28.npz").source
    train = {source.class_names[index] for index in source.split_classes("train")}
    for name in ("omniglot28-conv", "omniglot28-residual", "omniglot28-objective"):
        judge = features.load(name)
        assert set(judge.card["data"]["classes"]) == train and len(train) == 813
        assert judge.card["purpose"] == ("objective" if name.endswith("objective") else "judge")
