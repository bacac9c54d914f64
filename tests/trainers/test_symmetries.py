"""Runs whose training tasks are turned and mirrored, under a rate that falls: what is refused, and resuming."""

import json

import numpy as np
import pytest

from meta_gan import presets, storage
from meta_gan.tasks import DataError, from_arrays
from tests.trainers import helpers
from trainers import MetaTrainer, run_folder

TRAINING = (0,) * 4
"""Classes without any to validate on: a run then makes no picture, and is short."""


def turning(folder, steps=4, **changes):
    """A trainer with `symmetries` and a decaying rate."""
    made = helpers.model(decay_steps=4, outer_rate=0.1, algorithm="pretraining")  # whose step is traced fastest
    rest = {"symmetries": True, "validate_every": 100, **changes}
    return helpers.trainer(folder, made, helpers.tasks(TRAINING), steps=steps, **rest)


@pytest.fixture(autouse=True)
def no_export(monkeypatch):
    """The SavedModel of a finished run is not in question, and takes longer than the run."""
    monkeypatch.setattr(MetaTrainer, "_export", lambda self: None)


@pytest.mark.slow
def test_two_steps_and_two_more_are_four(tmp_path):
    whole = turning(run_folder.new_run(tmp_path / "whole", "toy"))
    whole.run()
    folder = run_folder.new_run(tmp_path / "halves", "toy")
    turning(folder, steps=2).run()
    resumed = turning(folder)
    resumed.run()
    helpers.assert_same_values(helpers.values(resumed), helpers.values(whole))
    assert helpers.timeless(folder) == helpers.timeless(whole.folder)
    for trained in (whole, resumed):
        for optimizer in trained.model.optimizers.values():
            np.testing.assert_allclose(float(optimizer.learning_rate), 0.1 / 50, rtol=1e-5)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config["train"]["symmetries"] is True


@pytest.mark.parametrize("symmetries", [True, False])
def test_the_steps_are_made_on_the_stream_that_was_asked_for(tmp_path, monkeypatch, symmetries):
    trained, seen = turning(run_folder.new_run(tmp_path, "toy"), symmetries=symmetries), []
    monkeypatch.setattr(trained, "_meta_step", lambda episodes: seen.append(episodes) or {})
    trained.run()
    streams = {kind: list(trained.tasks.train(2, symmetries=kind).take(4)) for kind in (True, False)}
    for step, episodes in enumerate(seen):
        np.testing.assert_array_equal(episodes.support, streams[symmetries][step].support)
        np.testing.assert_array_equal(episodes.query, streams[symmetries][step].query)
    assert any(np.any(a.support != b.support) for a, b in zip(*streams.values(), strict=True))


@pytest.mark.slow
def test_steps_of_other_numbers_of_shots_are_one_trace(tmp_path, monkeypatch):
    """And a run that draws them goes on with the numbers that it would have drawn."""
    whole = turning(run_folder.new_run(tmp_path / "whole", "toy"), fewest_shots=1)
    whole.run()
    assert whole._meta_step.experimental_get_tracing_count() == 1
    counts = {e.support.shape[1] for e in whole.config.episodes(whole.tasks).take(4)}
    assert len(counts) > 1
    folder = run_folder.new_run(tmp_path / "halves", "toy")
    turning(folder, steps=2, fewest_shots=1).run()
    resumed = turning(folder, fewest_shots=1)
    resumed.run()
    helpers.assert_same_values(helpers.values(resumed), helpers.values(whole))
    with pytest.raises(ValueError, match=r"{'train.fewest_shots': 1}. Received: {'train.fewest_shots': 0}"):
        turning(folder).check_resumable()


def oblong(**changes):
    """A model and tasks of images of 8 x 16."""
    images = np.random.default_rng(0).integers(0, 256, (48, 8, 16, 1), np.uint8)
    tasks = from_arrays(images, np.repeat(np.arange(4), 12), class_split=np.zeros(4, int), shots=3, queries=3)
    recipe = presets.get("fomaml", network="mlp", width=4, latent_dim=2, inner_steps=2, penalty="none")
    return presets.build(recipe, (8, 16, 1)), tasks


def test_images_that_are_not_square_are_refused_before_anything_is_written(tmp_path):
    model, tasks = oblong()
    with pytest.raises(DataError, match=r"'symmetries' needs square images. Received: \(8, 16, 1\)"):
        helpers.trainer(tmp_path, model, tasks, symmetries=True)
    assert list(tmp_path.iterdir()) == []
    helpers.trainer(tmp_path, model, tasks)  # without symmetries it is taken


def test_a_run_of_a_version_without_symmetries_names_the_missing_setting(tmp_path):
    """Its config has no such entry: it is not gone on with by guessing."""
    folder = run_folder.new_run(tmp_path, "toy")
    plain = helpers.trainer(folder, data=helpers.tasks(TRAINING), steps=1)
    config = json.loads(json.dumps(plain._resolved()))
    del config["train"]["symmetries"]
    storage.write_json(folder / "config.json", config)
    with pytest.raises(ValueError, match=r"{'train.symmetries': None}. Received: {'train.symmetries': False}"):
        plain.check_resumable()
