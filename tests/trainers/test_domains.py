"""A run on pairs of domains: its pictures, its model, and that it goes on to the same bits."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import meta_gan as mg
from meta_gan.tasks import DomainTasks, pair_classes
from meta_gan.tasks.pictures import GAP
from tests.toys import flat_translation
from tests.trainers import helpers
from trainers import MetaTrainer, previews, run_folder

SIDE = helpers.SHAPE[0] + GAP


def pairs():
    source, target = helpers.tasks().source, helpers.tasks().source
    return pair_classes(source, target, by="name", shots=3, queries=3)


def trainer(folder, data=None, **changes):
    model = mg.MetaModel(flat_translation(content=1.0), mg.FOMAML(1, 0.05))
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    return MetaTrainer(model, pairs() if data is None else data, folder, helpers.config(**changes))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The trainer of a run of 4 steps, with all that changes the draws."""
    made = trainer(
        run_folder.new_run(tmp_path_factory.mktemp("runs"), "pairs"), steps=4, symmetries=True, fewest_shots=2
    )
    made.run()
    return made


@pytest.mark.slow
def test_the_run_leaves_a_model_that_translates(finished):
    episode = finished.tasks.episode_batch("test", 0, 1)
    support = {domain: images[0].numpy() for domain, images in episode.support.items()}
    loaded = mg.load(finished.folder)
    made = loaded.adapt(support, seed=1).translate(support["source"])
    np.testing.assert_array_equal(made, finished.model.adapt(support, seed=1).translate(support["source"]))
    card = loaded.data_card
    assert card["name"] == "arrays > arrays" and card["splits"] == finished.tasks.splits
    assert card["example_shape"] == {"source": [8, 8, 1], "target": [8, 8, 1]}
    assert "validation/distance/after" in helpers.metrics(finished.folder)[-1]


@pytest.mark.slow
def test_the_picture_shows_both_sets_and_translations(finished):
    """Three images of the source, three of the target, and three translations after 0 and after 1 step."""
    row = finished.picture()[1]
    episode = finished.tasks.episode_batch("validation", 0, 2)
    support = {domain: images[1].numpy() for domain, images in episode.support.items()}
    np.testing.assert_array_equal(row[:3], support["source"])
    np.testing.assert_array_equal(row[4:7], support["target"])
    np.testing.assert_array_equal(row[12:], finished.model.adapt(support, steps=1, seed=0).translate(support["source"]))
    assert not row[3].any() and len(row) == 15
    assert Image.open(finished.folder / "samples_000003.png").size == (15 * SIDE - GAP, 2 * SIDE - GAP)
    real = previews.real_rows(episode)[0]
    np.testing.assert_array_equal(real[7:10], episode.support["target"][0])
    assert Image.open(finished.folder / "reals.png").size == (13 * SIDE - GAP, 2 * SIDE - GAP)


@pytest.mark.slow
def test_a_run_in_two_parts_ends_in_the_same_bits(finished, tmp_path):
    folder = run_folder.new_run(tmp_path, "pairs")
    trainer(folder, steps=2, symmetries=True, fewest_shots=2).run()
    again = trainer(folder, steps=4, symmetries=True, fewest_shots=2)
    again.run()
    helpers.assert_same_values(helpers.values(again), helpers.values(finished))


def test_both_domains_of_a_task_have_the_same_symmetry():
    """A stroke at the top of all images: wherever it comes to lie, it does so in both domains."""
    plain = helpers.tasks().source
    images = np.zeros_like(plain.images)
    images[:, 0, 2:] = 255
    source = mg.tasks.Source(images, plain.labels, plain.class_names, plain.class_split)
    tasks, seen = pair_classes(source, source, shots=2, queries=2), set()
    for episode in tasks.train(meta_batch=4, symmetries=True).take(8):
        for i in range(4):
            one = episode.support["source"][i, 0].numpy()
            for part in (episode.support["target"][i], episode.query["source"][i], episode.query["target"][i]):
                np.testing.assert_array_equal(part, np.stack([one] * 2))
            seen.add(one.tobytes())
    assert len(seen) == 8


def test_the_number_of_support_images_is_drawn():
    tasks = pairs()
    spec = tasks.train(meta_batch=2, fewest_shots=1).element_spec
    assert spec.support["source"].shape == spec.support["target"].shape == tf.TensorShape([2, None, *helpers.SHAPE])
    counts = []
    for episode in tasks.train(meta_batch=2, fewest_shots=1).take(24):
        counts.append(episode.support["source"].shape[1])
        assert episode.support["target"].shape[1] == counts[-1] and episode.query["target"].shape[1] == 3
    assert set(counts) == {1, 2, 3}


def test_unsuitable_data_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'model' must take the example shape .*'target'.*Received: a model of"):
        MetaTrainer(helpers.model(), pairs(), tmp_path, helpers.config())
    with pytest.raises(ValueError, match="'fewest_shots' must be an integer >= 1 and <= 3"):
        trainer(tmp_path, fewest_shots=4)
    wide = mg.tasks.Source(
        np.zeros((24, 8, 12, 1), np.uint8), np.repeat([0, 1], 12).astype(np.int32), ["a", "b"], np.zeros(2, np.int8)
    )
    with pytest.raises(mg.tasks.DataError, match=r"'symmetries' needs square images. Received: \(8, 12, 1\)"):
        DomainTasks(wide, wide, {"train": [[0, 1]]}).train(1, symmetries=True)


def test_truth_needs_paired_query_sets(tmp_path):
    model = mg.MetaModel(flat_translation(truth=1.0), mg.FOMAML(1, 0.05))
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    with pytest.raises(ValueError, match=r"the term 'truth' needs pairs .* Received: arrays > arrays, which are not"):
        MetaTrainer(model, pairs(), tmp_path, helpers.config())
