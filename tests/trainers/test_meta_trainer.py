"""What a run leaves in its folder, and what is refused before it starts."""

import gc
import json
import re
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import meta_gan
from meta_gan.tasks.pictures import GAP
from meta_gan.tasks.pixels import to_uint8
from tests.trainers import helpers
from trainers import run_folder
from trainers.follower_store import NoLog

SIDE = helpers.SHAPE[0] + GAP


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The trainer of a run of 6 steps."""
    out = tmp_path_factory.mktemp("runs")
    folder = run_folder.new_run(out, "toy")
    # As a run leaves it that was killed before its first checkpoint, and which therefore starts over.
    (folder / run_folder.METRICS).write_text('{"step": 0, "validation/old": 1.0}\n{"step": 1, "old": 1.0}\n')
    trained = helpers.trainer(folder, description={"recipe": {"name": "toy"}, "source": "noise"}, keep=2)
    assert trained.run() == folder / "model"
    return trained


def test_config_is_resolved(finished):
    config = json.loads((finished.folder / "config.json").read_text("utf-8"))
    assert config["kind"] == "run" and config["source"] == "noise" and config["recipe"] == {"name": "toy"}
    assert config["train"]["steps"] == 6 and config["train"]["log_every"] == 1 and config["train"]["keep"] == 2
    assert config["train"]["picture_steps"] == [0, 1]
    assert config["episodes"] == {"shots": 3, "queries": 3, "seed": 0}
    assert config["data"]["splits"] == finished.tasks.splits
    assert config["model"]["class_name"] == "MetaModel" and {"keras", "tensorflow"} < set(config["versions"])


def test_metrics_have_every_step_in_order(finished):
    lines = helpers.metrics(finished.folder)
    training = [line for line in lines if "seconds" in line]
    assert [line["step"] for line in training] == [1, 2, 3, 4, 5, 6]
    assert [line["step"] for line in lines] == [0, 1, 2, 3, 3, 4, 5, 6, 6]
    kinds = {f"{kind}/{player}" for kind in ("loss", "query", "gradient_norm") for player in finished.model.groups}
    for line in training:
        assert set(line) == {"step", "seconds", *kinds}
        assert line["gradient_norm/generator"] > 0 and line["gradient_norm/discriminator"] > 0
    seconds = [line["seconds"] for line in training]
    assert seconds[0] > 0 and sorted(seconds) == seconds
    assert seconds[-1] == pytest.approx(float(finished.seconds.numpy()), rel=1e-4)


def test_validation_is_before_and_after(finished):
    validated = [line for line in helpers.metrics(finished.folder) if "validation/distance/after" in line]
    assert [line["step"] for line in validated] == [0, 3, 6]
    names = ("query/generator", "query/discriminator", "distance", "copy_rate")
    keys = {f"validation/{name}/{when}" for name in names for when in ("before", "after")}
    keys |= {"validation/diversity", "validation/discriminator_spread"}
    assert all(set(line) == {"step", *keys} for line in validated)
    assert validated[0]["validation/distance/after"] != validated[0]["validation/distance/before"]
    # The same episodes every time, so that a difference is the model's.
    again = finished._assess(finished.tasks.episode_batch("validation", 0, 2))
    assert validated[-1]["validation/distance/after"] == pytest.approx(float(again["distance/after"]), rel=1e-5)


def test_pictures_have_the_pixels_of_their_images(finished):
    reals = Image.open(finished.folder / "reals.png")
    assert reals.size == ((3 + 3) * SIDE - GAP, 2 * SIDE - GAP)
    names = sorted(path.name for path in finished.folder.glob("samples_*.png"))
    assert names == ["samples_000000.png", "samples_000003.png", "samples_000006.png"]
    # Support, then after 0 steps and after 1 step: a blank and as many samples as support images.
    sizes = {Image.open(finished.folder / name).size for name in names}
    assert sizes == {((3 + 2 * (1 + 3)) * SIDE - GAP, 2 * SIDE - GAP)}
    support = finished.tasks.episode_batch("validation", 0, 2).support.numpy()
    levels = np.asarray(reals)[: helpers.SHAPE[0], : helpers.SHAPE[1]]
    np.testing.assert_array_equal(levels, to_uint8(support[0, 0, ..., 0]))


def test_the_picture_shows_samples_of_adapt(finished):
    support = finished.tasks.episode_batch("validation", 0, 2).support.numpy()
    row = finished.picture()[1]
    np.testing.assert_array_equal(row[:3], support[1])
    np.testing.assert_array_equal(row[3], np.zeros(helpers.SHAPE))
    np.testing.assert_array_equal(row[8:], finished.model.adapt(support[1], steps=1, seed=0).sample(3, seed=0))
    assert not np.array_equal(row[4:7], row[8:])


def test_the_configured_number_of_checkpoints_is_kept(finished):
    names = sorted(path.name for path in (finished.folder / "checkpoints").glob("*.index"))
    assert names == ["ckpt-4.index", "ckpt-6.index"]
    assert run_folder.latest_checkpoint(finished.folder) == str(finished.folder / "checkpoints" / "ckpt-6")


def test_the_saved_model_loads_from_every_folder(finished):
    support = finished.tasks.episode_batch("test", 0, 1).support[0].numpy()
    wanted = finished.model.adapt(support, seed=1).sample(2, seed=1)
    for place in (finished.folder / "model", finished.folder, finished.folder.parent):
        loaded = meta_gan.load(place)
        np.testing.assert_array_equal(loaded.adapt(support, seed=1).sample(2, seed=1), wanted)
    assert loaded.data_card["splits"] == finished.tasks.splits
    saved = json.loads((finished.folder / "model" / "config.json").read_text("utf-8"))
    assert saved["training"]["steps"] == 6 and saved["training"]["meta_batch"] == 2


def test_a_finished_run_is_served(finished):
    """Its version is the number of outer steps, so that a longer run is the newer version."""
    support = finished.tasks.episode_batch("test", 0, 1).support[0].numpy()
    served = tf.saved_model.load(str(finished.folder / "served" / "6")).signatures["adapt_and_sample"]
    inputs = {"support": support, "steps": 2, "num": 2, "seed": 1}
    answer = served(**{name: tf.constant(value) for name, value in inputs.items()})["samples"]
    np.testing.assert_allclose(answer, finished.model.adapt(support, 2, seed=1).sample(2, seed=1), atol=1e-5)


def test_a_run_trains(finished):
    assert int(finished.step.numpy()) == 6
    pairs = zip(helpers.model().variables, finished.model.variables, strict=True)
    # Hinge losses inside their margins give the last bias no gradient; every kernel has one.
    kernels = [(before, after) for before, after in pairs if len(before.shape) == 2]
    assert len(kernels) == 6 and all(not np.array_equal(before, after) for before, after in kernels)


@pytest.mark.slow
def test_a_later_validation_leaves_no_cyclic_garbage(finished):
    """A traced graph is such garbage: a long run would hold many, until Python collects its oldest generation."""
    gc.collect()
    gc.disable()
    try:
        finished.validate(NoLog())
        assert gc.collect() < 100
    finally:
        gc.enable()


def test_without_validation_classes_there_is_no_picture_of_them(tmp_path, capsys):
    folder = run_folder.new_run(tmp_path, "toy")
    helpers.trainer(folder, data=helpers.tasks((0,) * 4 + (2,)), steps=2, validate_every=1).run()
    assert [line["step"] for line in helpers.metrics(folder)] == [1, 2]
    assert sorted(path.name for path in folder.glob("*.png")) == ["reals.png"]
    assert Image.open(folder / "reals.png").size == ((3 + 3) * SIDE - GAP, 2 * SIDE - GAP)
    assert (folder / "model" / "weights.npz").is_file()
    captured = capsys.readouterr()
    assert captured.out == "" and not sys.stdout.isatty()


@pytest.mark.parametrize("progress", [True, False])
def test_a_terminal_gets_a_line_of_progress(tmp_path, capsys, monkeypatch, progress):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    folder, few = run_folder.new_run(tmp_path, "toy"), helpers.tasks((0,) * 4)
    trained = helpers.trainer(folder, data=few, steps=2, progress=progress)
    # A step of no work: the line is in question.
    monkeypatch.setattr(trained, "_meta_step", lambda episodes: {"loss/generator": np.float32(0.25)})
    trained.run()
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.endswith("\n") == progress
    lines = [line.strip() for line in captured.err.split("\r")]
    pattern = r"step 2/2, [\d.e-]+ s/step, 0 s left, loss/generator 0.25"
    if progress:
        assert lines[1] == "step 1/2, loss/generator 0.25" and re.fullmatch(pattern, lines[2])
    else:
        assert lines == [""]


def test_more_tasks_than_classes_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"'meta_batch' must be at most the 6 tasks .* Received: 7"):
        helpers.trainer(tmp_path, meta_batch=7)
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_other_images_is_refused(tmp_path):
    wide = helpers.presets.build(helpers.presets.get("fomaml", network="mlp", width=4), (8, 16, 1))
    with pytest.raises(ValueError, match=r"example shape \(8, 8, 1\).*Received: a model of \(8, 16, 1\)"):
        helpers.trainer(tmp_path, made=wide)


def test_a_model_without_optimizers_is_refused(tmp_path):
    bare = meta_gan.MetaModel(helpers.model().game, meta_gan.FOMAML(inner_steps=1))
    with pytest.raises(ValueError, match=r"must be compiled"):
        helpers.trainer(tmp_path, made=bare)


def test_making_a_trainer_writes_nothing(tmp_path):
    helpers.trainer(tmp_path)
    assert list(tmp_path.iterdir()) == []
