"""How the shipped judges rank baselines and controls, on the embedded glyphs and on Omniglot."""

import numpy as np
import pytest

from meta_gan import features
from meta_gan.judges import JudgeRecipe, load_judge, shipped_judges
from meta_gan.judges.training import PINNED
from meta_gan.protocol.allocation import allocate, class_order
from meta_gan.protocol.baselines import Copy, Repeat, Shift
from meta_gan.protocol.scoring import Scorer, copy_rates
from meta_gan.tasks import from_npz, glyphs
from meta_gan.tasks.pixels import to_uint8

CLASSES = 100


def means(source, judge, classes=CLASSES):
    """The mean of every score of every row that needs no model."""
    order = class_order(source, "test")[:classes]
    allocation = allocate(source, order, 5)
    rows = {"oracle": allocation.oracle(), "wrong class": allocation.wrong(15)}
    for row, baseline in {"copy": Copy(), "shift": Shift(), "one repeated": Repeat()}.items():
        made = [
            baseline.adapt(s, seed=place).sample(15, seed=place) for place, s in enumerate(allocation.images("support"))
        ]
        rows[row] = [to_uint8(images) for images in made]
    scorer, thresholds, found = Scorer(load_judge(judge), allocation), allocation.thresholds(), {}
    for row, images in rows.items():
        copies = copy_rates(images, allocation.images("support"), thresholds)
        scores = scorer.class_scores(scorer.features(images), copies)
        found[row] = {name: float(np.nanmean(v)) for name, v in scores.items() if not np.isnan(v).all()}
    return found


def check(found, shifted=0.8, known_at_least=0.9):
    """Check the order of the rows, and that the support closeness of `shift` is below `shifted`."""
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
    """It is trained to ignore the twelve faces, so new real images are hardly farther away than shifted ones."""
    check(means(glyphs().source, "glyphs28"), shifted=1.0)


@pytest.mark.slow
def test_a_judge_of_other_data_ranks_glyphs_too():
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


@pytest.mark.data
def test_the_judges_of_the_plane_have_seen_the_same_and_are_no_judges_of_energy(data_folder):
    source = from_npz(data_folder / "omniglot28.npz").source
    train = {source.class_names[index] for index in source.split_classes("train")}
    names = features.shipped_names("plane")
    assert names == ["omniglot28-contrastive", "omniglot28-one-shot"] and not set(names) & set(shipped_judges())
    for name in names:
        judge = features.load(name)
        assert set(judge.card["data"]["classes"]) == train
        assert JudgeRecipe(**judge.card["recipe"]) == PINNED[name][1]
