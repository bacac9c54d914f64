"""Scores of translations, of methods with known scores and of models."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import meta_gan as mg
from meta_gan.games import Transfer
from meta_gan.judges import Judge
from meta_gan.protocol.translations import (
    _scores,
    evaluate_translations,
    identity,
    nearest,
    translate_pairs,
    translation_method,
)
from meta_gan.report import TranslationReport
from meta_gan.tasks import Source, pair_classes, pair_domains
from tests.toys import conditioned_translation, tiny_dcgan, tiny_gan

SIDE = 8


def hands(names="ab", offset=0, classes=3, count=16, split=(0, 2, 2)):
    """Images of noise around the grey level of their class, each in its own group."""
    rng = np.random.default_rng(offset)
    labels = np.repeat(np.arange(classes), count).astype(np.int32)
    levels = offset + 80 * labels[:, None, None, None] + rng.integers(0, 20, (len(labels), SIDE, SIDE, 1))
    groups = np.tile(np.arange(count), classes).astype(np.int32)
    return Source(levels.astype(np.uint8), labels, ["x", "y", "z"], np.array(split, np.int8), groups, name=names)


def mean_judge(name="mean"):
    """The mean level as the one feature."""
    return Judge(
        keras.Sequential([keras.Input((SIDE, SIDE, 1)), keras.layers.GlobalAveragePooling2D()]), name, scale=1.0
    )


LEFT, RIGHT = hands("left"), hands("right", offset=20)
TASKS = pair_classes(LEFT, RIGHT, by="name", shots=4, queries=6)


def lifted(support, images, seed):
    """What makes the left hand's level the right hand's."""
    return {"images": np.clip(images + 20 / 127.5, -1, 1), "returned": images + 0.25}


@pytest.fixture(scope="module")
def report():
    return evaluate_translations(TASKS, {"lifted": lifted}, [mean_judge()], draws=3)


def mean(report, row, score):
    return report["rows"][row][score]["mean"]


def test_every_pair_is_measured_in_every_draw(report):
    assert (report["tasks"], report["shots"], report["queries"], report["split"]) == (6, 4, 6, "test")
    assert list(report["rows"]) == ["identity", "nearest", "lifted"]
    assert list(report["judges"]) == ["mean"]


def test_energy_distances_of_known_rows(report):
    """Levels 20 / 127.5 apart have about twice that energy distance in the mean; the lifted ones about none."""
    gap = 20 / 127.5
    assert mean(report, "identity", "energy_distance/mean") == pytest.approx(2 * gap, rel=0.1)
    assert abs(mean(report, "lifted", "energy_distance/mean")) < 0.1 * gap
    assert mean(report, "lifted", "energy_distance/pixels") < 0.1 * mean(report, "identity", "energy_distance/pixels")


def test_labels_are_kept_unless_the_image_is_of_another_class(report):
    assert mean(report, "lifted", "label_preservation/mean") == 1.0
    wrong = {"wrong": lambda support, images, seed: {"images": -images}}
    found = evaluate_translations(TASKS, wrong, [mean_judge()])
    assert mean(found, "wrong", "label_preservation/mean") < 1.0
    unnamed = pair_classes(LEFT, RIGHT, shots=4, queries=6)
    mixed = evaluate_translations(unnamed, {"lifted": lifted}, [mean_judge()])
    assert mixed["tasks"] == 4 and mean(mixed, "lifted", "label_preservation/mean") == 1.0, "of the two with one name"


def test_what_comes_back_is_compared_with_what_went(report):
    assert mean(report, "lifted", "cycle_error") == pytest.approx(0.25, abs=1e-6)
    assert "cycle_error" not in report["rows"]["identity"]


def test_the_truth_is_compared_row_by_row():
    """Of one source, whose groups pair: class y is class z but for 80 levels and noise."""
    source = hands("both", count=24)
    tasks = pair_domains(source, shots=4, queries=6, paired=True)
    copied = {"copied": lambda support, images, seed: {"images": images}}
    report = evaluate_translations(tasks, copied)
    assert report["rows"]["copied"] == report["rows"]["identity"]
    levels = source.images.reshape(3, 24, -1).astype(float)
    differences = np.abs(levels[1] - levels[2]).mean(axis=1) / 127.5
    low, high = differences.min(), differences.max()
    assert low < mean(report, "identity", "l1") < high
    perfect = {"perfect": lambda support, images, seed: {"images": images}}
    same = np.concatenate([source.images[24:48], source.images[24:48]])
    labels = np.repeat([0, 1], 24).astype(np.int32)
    twins = Source(same, labels, ["p", "q"], np.array([2, 2], np.int8), np.tile(np.arange(24), 2).astype(np.int32))
    scores = evaluate_translations(pair_domains(twins, 4, 6, paired=True), perfect)["rows"]["perfect"]
    assert scores["l1"]["mean"] == 0.0 and scores["ssim"]["mean"] == pytest.approx(1.0)
    assert mean(report, "identity", "ssim") < 0.9
    assert "l1" not in evaluate_translations(TASKS, {})["rows"]["identity"]


def test_two_flat_greys_are_as_alike_as_the_paper_says():
    """(2 a b + c) / (a^2 + b^2 + c) of intensities from 0 on, here .9 and 1.1 of 2; about 0 it would be negative."""
    query = {d: np.full((2, 8, 8, 1), value, np.float32) for d, value in (("source", -0.1), ("target", 0.1))}
    found = _scores({"images": query["source"]}, query, [], True)["ssim"]
    small = (0.01 * 2) ** 2
    assert found == pytest.approx((2 * 0.9 * 1.1 + small) / (0.9**2 + 1.1**2 + small), rel=1e-4)


def test_what_is_not_finite_counts_as_grey():
    model = mg.MetaModel(conditioned_translation(), mg.FOMAML(1, 1e30))
    episode = TASKS.episode_batch("test", 0, 1)
    support = {d: episode.support[d][0].numpy() for d in ("source", "target")}
    made = translation_method(model, 3)(support, episode.query["source"][0].numpy(), 0)["images"]
    assert np.isfinite(made).all()
    report = evaluate_translations(TASKS, {"diverged": translation_method(model, 3)}, [mean_judge()])
    assert mean(report, "diverged", "energy_distance/mean") > mean(report, "nearest", "energy_distance/mean")


def test_the_nearest_support_image_of_the_target():
    support = {"target": np.stack([np.full((2, 2, 1), v, np.float32) for v in (-1.0, 0.0, 1.0)])}
    images = np.stack([np.full((2, 2, 1), v, np.float32) for v in (0.9, -0.2)])
    np.testing.assert_array_equal(nearest(support, images, 0)["images"][:, 0, 0, 0], [1.0, 0.0])
    assert identity(support, images, 0)["images"] is images


def test_a_models_row_is_what_its_adapted_model_translates():
    model = mg.MetaModel(conditioned_translation(), mg.FOMAML(2, 0.05))
    episode = TASKS.episode_batch("test", 0, 1)
    support = {d: episode.support[d][0].numpy() for d in ("source", "target")}
    images = episode.query["source"][0].numpy()
    for steps, wanted in ((None, 2), (0, 0), (5, 5)):
        made = translation_method(model, steps)(support, images, 3)
        expected = model.adapt(support, steps=wanted, seed=3).translate(images)
        np.testing.assert_allclose(made["images"], expected, atol=1e-6)
        assert set(made) == {"images"}
    slower = translation_method(model, 5, rate_scale=0.5)(support, images, 3)["images"]
    assert np.abs(slower - expected).max() > 1e-5
    report = evaluate_translations(TASKS, {"model": translation_method(model, 1)}, [mean_judge()])
    assert set(report["rows"]["model"]) == set(report["rows"]["identity"])


def test_a_model_from_noise_is_scored_by_its_samples():
    """As many as there are images, compared with the target, and with no truth: they are of no image."""
    model = mg.MetaModel(Transfer(tiny_dcgan()), mg.FOMAML(2, 0.05))
    tasks = pair_domains(hands("both", count=24), shots=4, queries=6, paired=True)
    episode = tasks.episode_batch("test", 0, 1)
    support = {d: episode.support[d][0].numpy() for d in ("source", "target")}
    found = translation_method(model, 3)(support, episode.query["source"][0].numpy(), 5)
    assert set(found) == {"samples"}
    np.testing.assert_allclose(found["samples"], model.adapt(support, steps=3, seed=5).sample(6, seed=5), atol=1e-6)
    report = evaluate_translations(tasks, {"noise": translation_method(model, 3)}, [mean_judge()])
    assert set(report["rows"]["identity"]) - set(report["rows"]["noise"]) == {"l1", "ssim"}
    shown = translate_pairs(tasks, {"noise": translation_method(model, 3)}, count=1, columns=2)
    np.testing.assert_allclose(shown[2], translation_method(model, 3)(support, np.array(shown[0]), 0)["samples"])


def test_the_same_seed_gives_the_same_report():
    again = [evaluate_translations(TASKS, {"lifted": lifted}, [mean_judge()]) for _ in range(2)]
    assert again[0] == again[1]


def test_pictures_are_lines_of_every_set_and_row():
    lines = translate_pairs(TASKS, {"lifted": lifted}, count=2, columns=3)
    assert len(lines) == 2 * 4 and all(len(line) == 3 for line in lines)
    np.testing.assert_allclose(lines[2], np.clip(np.stack(lines[0]) + 20 / 127.5, -1, 1))
    assert len(translate_pairs(TASKS, {}, count=9)) == 2 * 3, "no more pairs than there are"


def test_a_table_has_a_line_for_every_row(report):
    lines = TranslationReport.from_dict(report).to_markdown().splitlines()
    assert lines[0].startswith("| row | energy_distance/pixels | energy_distance/mean |") and len(lines[2:5]) == 3
    assert [line.split(" | ")[0] for line in lines[2:5]] == ["| identity", "| nearest", "| lifted"]
    assert lines[2].endswith("— |") and "6 tasks of the test pairs, 4 support and 6 query" in lines[-1]


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"names other than .* Received: \['nearest'\]"):
        evaluate_translations(TASKS, {"nearest": lifted})
    with pytest.raises(ValueError, match=r"must be at least 2\. Received: 1"):
        evaluate_translations(pair_classes(LEFT, RIGHT, queries=1), {})
    small = Judge(keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()]), "small")
    with pytest.raises(ValueError, match=r"judge 'small' must take images of \(8, 8, 1\)"):
        evaluate_translations(TASKS, {}, [small])
    with pytest.raises(ValueError, match=r"'judges' must have different names.*Received: \['mean', 'mean'\]"):
        evaluate_translations(TASKS, {}, [mean_judge(), mean_judge()])
    with pytest.raises(ValueError, match=r"different names, other than pixels"):
        evaluate_translations(TASKS, {}, [mean_judge("pixels")])
    with pytest.raises(ValueError, match="the validation split needs at least 1 pair"):
        evaluate_translations(TASKS, {}, split="validation")
    with pytest.raises(ValueError, match=r"of two domains and have the endpoint .* one of \(2,\) and"):
        translation_method(mg.MetaModel(tiny_gan(), mg.FOMAML(1, 0.1)))
