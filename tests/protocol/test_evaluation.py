"""A complete evaluation of a tiny model: its report, its bytes, resuming it, and its errors."""

import dataclasses
import functools
import json

import numpy as np
import pytest

import meta_gan as mg
from meta_gan.protocol import Evaluation, Method, Settings, methods, processes
from meta_gan.protocol.classification import ClassifierRecipe
from meta_gan.protocol.evaluation import Store
from meta_gan.report.sections import BARS
from tests.protocol.helpers import patterned_source, pixel_judge

SETTINGS = Settings(
    steps=2,
    curve=(0, 1),
    samples=6,
    ways=3,
    scratch_steps=3,
    scratch_classes=2,
    classification_draws=2,
    classification_seeds=1,
    classification_classes=3,
    per_class=4,
    prototype_draws=3,
    stability_classes=2,
    draws=2,
)
SCORES = ("energy_distance", "recognisability", "relative_diversity", "copy_rate", "support_closeness")


@pytest.fixture(autouse=True)
def short_classifiers(monkeypatch):
    monkeypatch.setattr("meta_gan.protocol.classification.ClassifierRecipe", lambda: ClassifierRecipe(steps=2, batch=4))


def source():
    return patterned_source(5, split=[2, 2, 0, 2, 2])


@functools.cache
def mine():
    """One model for all tests, so that it is traced once."""
    game = mg.games.GAN(*mg.networks.mlp((8, 8, 1), latent_dim=2, width=4))
    return Method("mine", mg.MetaModel(game, mg.Reptile(inner_steps=2)), {"weights_sha256": "ab" * 32})


def judges():
    return [pixel_judge("first"), pixel_judge("second")]


def evaluation(out, models=None, settings=SETTINGS, data=None):
    models = [mine()] if models is None else models
    return Evaluation(source() if data is None else data, models, judges(), settings, out)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("meta_gan.protocol.classification.ClassifierRecipe", lambda: ClassifierRecipe(steps=2, batch=4))
        made = evaluation(tmp_path_factory.mktemp("evaluation") / "out")
        seen = []
        return made, made.run(lambda *step: seen.append(step)), seen


def test_every_row_is_there_under_every_judge(done):
    report = done[1]
    assert list(report["rows"]) == ["oracle", *BARS, "mine", "from scratch", "mine, 0 steps"]
    assert list(report["controls"]) == ["one image repeated", "wrong class"]
    for row in (*report["rows"].values(), *report["controls"].values()):
        assert list(row) == ["first", "second"]
        assert row["first"] == row["second"], "two judges of one network"
        for name in SCORES:
            assert set(row["first"][name]) == {"mean", "low", "high"}
            assert row["first"][name]["low"] <= row["first"][name]["mean"] <= row["first"][name]["high"]
    assert set(report["row_info"]) == {*report["rows"], *report["controls"]}


def test_baselines_have_their_known_scores(done):
    rows, controls = done[1]["rows"], done[1]["controls"]
    assert rows["copy"]["first"]["copy_rate"]["mean"] == 1 and rows["oracle"]["first"]["copy_rate"]["mean"] < 0.2
    assert rows["copy"]["first"]["support_closeness"]["mean"] == 0
    assert controls["one image repeated"]["first"]["relative_diversity"]["mean"] == 0
    energy = [rows["oracle"], rows["copy"], controls["one image repeated"], controls["wrong class"]]
    means = [row["first"]["energy_distance"]["mean"] for row in energy]
    assert means == sorted(means)


def test_the_curve_has_the_scores_of_the_rows(done):
    report = done[1]
    curve = report["curve"]["mine"]["first"]
    assert set(curve) == set(SCORES) and list(curve["energy_distance"]) == ["0", "1"]
    assert curve["energy_distance"]["0"] == report["rows"]["mine, 0 steps"]["first"]["energy_distance"]


def test_classification_gains_of_the_rows(done):
    rows, none = done[1]["rows"], done[1]["none"]["first"]
    for name in ("oracle", *BARS, "mine"):
        found = rows[name]["first"]
        gain = found["classification_accuracy"]["mean"] - none["classification_accuracy"]["mean"]
        assert found["classification_gain"]["mean"] == pytest.approx(gain, abs=1e-5)
    assert rows["mine, 0 steps"]["first"]["classification_gain"] is None
    assert rows["from scratch"]["first"]["classification_gain"] is None, "it has 2 classes of the 3"
    assert rows["from scratch"]["first"]["frechet_distance"] is None, "its pooled distances would be of fewer images"
    assert rows["mine"]["first"]["frechet_distance"]["mean"] > done[1]["floor"]["first"]["frechet_distance"]


def test_one_group_of_all_classes_has_no_interval(tmp_path):
    settings = dataclasses.replace(SETTINGS, ways=20, draws=1, classification_draws=0)
    found = evaluation(tmp_path / "out", [], settings).run()["rows"]["copy"]["first"]["prototypical_accuracy"]
    assert found["mean"] > 0.9 and found["low"] is None and found["high"] is None


def test_the_floor_is_the_oracle(done):
    report = done[1]
    floor = report["floor"]["second"]
    assert floor["frechet_distance"] == report["rows"]["oracle"]["second"]["frechet_distance"]["mean"]
    assert floor["count"] == report["protocol"]["pooled_count"] == 4 * 6


def test_the_protocol_describes_the_evaluation(done):
    protocol = done[1]["protocol"]
    assert protocol["name"] == "few-shot-28" and protocol["task"] is None and protocol["form"] == "full"
    assert (protocol["classes"], protocol["draws"], protocol["samples"], protocol["ways"]) == (4, 2, 6, 3)
    assert protocol["classification"] == {"classes": 3, "draws": 2, "seeds": 1, "per_class": 4, "ways": 3}
    assert all(len(protocol[key]) == 64 for key in ("data_sha256", "split_sha256", "allocation_sha256"))
    assert len(done[1]["judges"]["first"]["sha256"]) == 64 and done[1]["judges"]["first"]["features"] == 64


def test_models_have_a_description_and_a_stability(done):
    mine = done[1]["models"]["mine"]
    assert mine["weights_sha256"] == "ab" * 32 and mine["parameters"] > 100 and mine["inner_steps"] == 2
    assert list(mine["stability"]["by_rate"]) == ["0.1", "0.3", "1", "3", "10"]
    rates = mine["stability"]["by_rate"].values()
    assert all(entry["adaptations"] == 2 for entry in rates)
    failed = sum(entry["diverged"] + entry["collapsed"] for entry in rates)
    assert mine["stability"]["share_failed"] == failed / 10


def test_times_of_rows_and_curves(done):
    times = done[1]["times"]
    assert set(times["curve"]["mine"]) == {"0", "1", "2"}
    assert times["rows"]["mine"]["ms_per_class"] == times["curve"]["mine"]["2"] > 0 and times["total_seconds"] > 0


def test_progress_reaches_the_end_of_every_stage(done):
    last = {stage: (done, total) for stage, done, total in done[2]}
    assert set(last) == {"draw 1: images", "draw 2: images", "scores", "classifiers"}
    assert all(done == total for done, total in last.values())


@pytest.mark.slow
def test_a_second_run_elsewhere_gives_the_same_bytes(done, tmp_path):
    again = evaluation(tmp_path / "again").run()
    first, second = ({**report, "times": None} for report in (done[1], again))
    assert json.dumps(first) == json.dumps(second)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 3])
def test_several_processes_give_the_same_bytes(done, tmp_path, workers):
    again = evaluation(tmp_path / "again").run(workers=workers)
    first, second = ({**report, "times": None} for report in (done[1], again))
    assert json.dumps(first) == json.dumps(second)


def test_what_a_process_reads_makes_the_same_images(done, tmp_path):
    """Of a model, of its nets from scratch, and of baselines; what a process does, in this one."""
    making = done[0].making
    processes._write(making, tmp_path)
    read = processes._read(tmp_path)
    assert [method.name for method in read.methods] == [method.name for method in making.methods]
    found, stored = read.make(1, 1), done[0].store.load(1, done[0].numbers[1], [f"{i}/samples/2" for i in range(20)])
    assert len(stored) > 0
    for key, images in stored.items():
        np.testing.assert_array_equal(found[key], images)


def test_a_model_that_a_process_cannot_load_is_refused(done, tmp_path):
    making = dataclasses.replace(done[0].making, methods=[Method("local", lambda: None)])
    with pytest.raises(ValueError, match="models for several 'workers' must be MetaModels or pickle"):
        processes._write(making, tmp_path)


@pytest.mark.parametrize("workers", [0, -1, 1.5, True])
def test_the_number_of_processes_is_checked_first(tmp_path, workers):
    with pytest.raises(ValueError, match="'workers' must be"):
        evaluation(tmp_path / "out").run(workers=workers)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_another_seed_changes_models_but_not_references(done, tmp_path):
    other = evaluation(tmp_path, settings=dataclasses.replace(SETTINGS, seed=1, classification_draws=0)).run()
    assert other["rows"]["oracle"]["first"]["energy_distance"] == done[1]["rows"]["oracle"]["first"]["energy_distance"]
    assert other["rows"]["mine"]["first"]["energy_distance"] != done[1]["rows"]["mine"]["first"]["energy_distance"]
    assert other["protocol"]["classification"] is None
    assert other["rows"]["copy"]["first"]["classification_gain"] is None


@pytest.mark.slow  # the tests of the command line check the same
def test_an_interrupted_evaluation_resumes_to_the_same_report(done, tmp_path, monkeypatch):
    made, real = [], methods.make_examples

    def stopping(method, *args):
        made.append(method.name)
        if len(made) == 40:
            raise KeyboardInterrupt
        return real(method, *args)

    monkeypatch.setattr("meta_gan.protocol.making.make_examples", stopping)
    with pytest.raises(KeyboardInterrupt):
        evaluation(tmp_path / "cut").run()
    kept = len(list((tmp_path / "cut" / "samples").rglob("*.npz")))
    assert 0 < kept < 8
    report = evaluation(tmp_path / "cut").run()
    assert {**report, "times": None} == {**done[1], "times": None}
    before = len(made)
    evaluation(tmp_path / "cut").run()
    assert len(made) == before, "no image is made twice"


def test_a_folder_of_an_earlier_version_is_resumed(done, tmp_path):
    done[0].claim()
    text = (done[0].folder / "evaluation.json").read_text()
    (tmp_path / "evaluation.json").write_text(text.replace('"example_shape"', '"image_shape"'))
    evaluation(tmp_path).claim()


def test_a_folder_of_another_evaluation_is_refused(done, tmp_path):
    folder = done[0].folder
    with pytest.raises(ValueError, match=r"the output folder must be absent, or of the same evaluation.*Received"):
        evaluation(folder, settings=dataclasses.replace(SETTINGS, seed=5)).run()
    (tmp_path / "file").write_text("precious")
    with pytest.raises(ValueError, match="must not exist yet"):
        evaluation(tmp_path).run()
    assert (tmp_path / "file").read_text() == "precious"


def test_a_single_class_is_recognised_among_the_other_splits(tmp_path):
    data = patterned_source(4, split=[0, 2, 0, 1])
    report = evaluation(tmp_path / "out", [], dataclasses.replace(SETTINGS, draws=1), data).run()
    assert report["protocol"]["classification"] is None and report["protocol"]["ways"] == 3
    assert report["rows"]["oracle"]["first"]["recognisability"]["mean"] == 1
    assert report["rows"]["oracle"]["first"]["prototypical_accuracy"] is None
    assert report["controls"]["wrong class"]["first"]["energy_distance"] is None


def test_errors_come_before_anything_is_written(tmp_path):
    few = patterned_source(3, examples=6)
    with pytest.raises(ValueError, match=r"at least shots \+ 2 = 7 images"):
        evaluation(tmp_path / "out", [], data=few)
    with pytest.raises(ValueError, match="the validation split must have a class"):
        evaluation(tmp_path / "out", [], settings=dataclasses.replace(SETTINGS, split="validation"))
    assert not (tmp_path / "out").exists()


def test_galleries_show_every_row(done):
    made, report, _ = done
    galleries = made.galleries()
    assert set(galleries) == {*report["rows"], *report["controls"]}
    copies = galleries["copy"]["nearest"]
    assert all(pair["copy"] and pair["distance"] == 0 for pair in copies)
    np.testing.assert_array_equal(copies[0]["generated"], copies[0]["support"])
    mine = galleries["mine"]
    assert mine["samples"].shape == (4, 6, 8, 8, 1) and mine["support"].shape == (4, 5, 8, 8, 1)
    assert [pair["distance"] for pair in mine["nearest"]] == sorted(pair["distance"] for pair in mine["nearest"])
    assert galleries["from scratch"]["classes"] == made.allocations[0].names[:2]


def test_a_store_has_complete_classes(tmp_path):
    store, support = Store(tmp_path), source().images[:3]
    arrays = {"0/samples/0": support, "1/ms/20": np.array(2.5)}
    store.save(1, 12, arrays)
    assert store.path(1, 12) == tmp_path / "draw1" / "00012.npz"
    read = store.load(1, 12, ["0/samples/0", "absent"])
    assert set(read) == {"0/samples/0"}
    np.testing.assert_array_equal(read["0/samples/0"], support)
    assert float(store.load(1, 12, ["1/ms/20"])["1/ms/20"]) == 2.5
    assert not list(tmp_path.rglob("*.part"))


def notes(tmp_path, settings, models=()):
    data = patterned_source(6, split=[0, 0, 0, 2, 2, 2])
    return data, " ".join(Evaluation(data, models, judges(), settings, tmp_path / "out").description["notes"])


def test_the_notes_of_a_report(tmp_path):
    own, other = (Method("mine", mg.MetaModel.from_config(mine().model.get_config())) for _ in range(2))
    _, text = notes(tmp_path, Settings().make_quick(), [own])
    assert "all of the classes" in text
    assert "Quick form" in text and "is 3-way" in text and "was trained on" not in text
    other.model.data_card = {"polarity": "other"}
    data, text = notes(tmp_path, Settings(split="train", ways=2, draws=2), [other])
    assert "seen in training" in text and f"mine was trained on other images, these are {data.polarity}" in text
    assert "Quick" not in text and "way" not in text and "all of the" not in text and "One draw" not in text
    assert "One draw" in notes(tmp_path, Settings(ways=3))[1]


def test_the_description_of_rows(tmp_path):
    settings = Settings(steps=4, scratch_classes=2, classification_classes=5)
    found = evaluation(tmp_path / "out", settings=settings).describe_rows()
    assert set(found) == {methods.ORACLE, *methods.BASELINES, methods.WRONG, "mine", "mine, 0 steps", "from scratch"}
    assert found["mine"] == {"what": "adapted by 4 inner steps", "classes": 4, "classification_classes": 4}
    assert found["from scratch"]["classes"] == 2 and "500 steps" in found["from scratch"]["what"]
    off = evaluation(tmp_path / "out", [], Settings(classification_draws=0)).describe_rows()
    assert off["oracle"]["classification_classes"] is None
