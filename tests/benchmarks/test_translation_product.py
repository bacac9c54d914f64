"""A model of two domains as its user meets it: fitted on pairs, adapted, translating, saved, exported."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan.games import Translation
from meta_gan.tasks import Source, pair_classes
from tests.toys import conditioned_translation, numbers, one, random_episodes, tiny_gan, tiny_translation

MADE = {
    "there and back": lambda: tiny_translation(cycle=1.0),
    "conditioned": lambda: conditioned_translation(content=1.0),
}


@pytest.fixture(scope="module", params=MADE)
def adapted(request):
    """An adapted model, its support set, and translations of the source's support images."""
    model = mg.MetaModel(MADE[request.param](), mg.FOMAML(2, 0.05))
    support = numbers(one(random_episodes(shape=model.game.example_shape)).support)
    found = model.adapt(support, seed=1)
    return found, support, found.translate(support["source"])


def test_the_generator_is_a_keras_model_that_translates(adapted, tmp_path):
    """It carries the code of its target's support images inside, where it is told of one."""
    model, support, made = adapted
    np.testing.assert_allclose(model.generator(support["source"]), made, atol=1e-6)
    model.generator.save(tmp_path / "translator.keras")
    loaded = keras.saving.load_model(tmp_path / "translator.keras")
    np.testing.assert_allclose(loaded(support["source"]), made, atol=1e-6)


def test_saved_and_loaded_it_translates_the_same(adapted, tmp_path):
    model, support, made = adapted
    model.save(tmp_path / "adapted")
    loaded = mg.load_adapted(tmp_path / "adapted")
    np.testing.assert_array_equal(loaded.translate(support["source"]), made)
    tf.nest.map_structure(np.testing.assert_array_equal, loaded.support, support)
    served = tf.saved_model.load(str(tmp_path / "adapted" / "saved_model" / "1")).signatures["serving_default"]
    np.testing.assert_allclose(served(images=tf.constant(support["source"]))["images"], made, atol=1e-6)
    assert ".translate(images)" in (tmp_path / "adapted" / "README.md").read_text("utf-8")


def test_without_a_support_set_it_is_saved_and_loaded(tmp_path):
    model = mg.MetaModel(tiny_translation(), mg.FOMAML(1, 0.05))
    unadapted = mg.AdaptedModel(model.adaptation, model.meta_weights().initial, None, {})
    unadapted.save(tmp_path / "start")
    loaded, x = mg.load_adapted(tmp_path / "start"), np.zeros((2, 2), np.float32)
    assert loaded.support is None
    np.testing.assert_array_equal(loaded.translate(x), unadapted.translate(x))


def test_the_way_back_is_translated_where_there_is_one(adapted):
    model, support, _ = adapted
    if "back" in model.adaptation.game.nets:
        assert model.translate(support["target"], back=True).shape == support["target"].shape
    else:
        with pytest.raises(
            ValueError, match=r"'translate_back' needs a game with that endpoint. Received: Translation"
        ):
            model.translate(support["target"], back=True)


def test_what_a_game_cannot_do_is_said(adapted):
    with pytest.raises(ValueError, match=r"'sample' needs a game .* which has \['translate'"):
        adapted[0].sample(3)
    gan = mg.MetaModel(tiny_gan(), mg.FOMAML(0, 0.1)).adapt(np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match=r"'translate' needs a game .* Received: GAN"):
        gan.translate(np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match=r"'images' must have shape"):
        adapted[0].translate(np.zeros((2, 5), np.float32))


def test_an_exported_model_limits_both_support_sets(tmp_path):
    model = mg.MetaModel(tiny_translation(cyclic=False, sizes=(2, 3)), mg.FOMAML(2, 0.05))
    model.export(tmp_path / "served", mg.export.Limits(shots=3, steps=4, num=4))
    call = tf.saved_model.load(str(tmp_path / "served")).signatures["adapt_and_translate"]
    good = {"source_support": np.zeros((3, 2)), "target_support": np.zeros((2, 3)), "images": np.zeros((4, 2))}

    def served(**changed):
        given = {name: tf.constant(value, tf.float32) for name, value in {**good, **changed}.items()}
        return call(**given, steps=tf.constant(1), seed=tf.constant(0))["images"]

    assert served().shape == (4, 3)
    for name, value in (("source_support", np.zeros((4, 2))), ("target_support", np.zeros((0, 3)))):
        with pytest.raises(tf.errors.InvalidArgumentError, match=rf"{name}.*must lie in \[1, 3\]"):
            served(**{name: value})
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"target_support.*finite"):
        served(target_support=np.full((1, 3), 2.0))


def shades(first, count=24):
    """Images 8 x 8 of one level: classes at `first`, `first + 10`, ..., of two splits."""
    labels = np.repeat(np.arange(4), count).astype(np.int32)
    images = np.tile((first + 10 * labels).astype(np.uint8)[:, None, None, None], (1, 8, 8, 1))
    return Source(images, labels, list("abcd"), np.array([0, 0, 0, 2], np.int8), name=f"from {first}")


@pytest.mark.slow
def test_meta_training_on_pairs_makes_an_unseen_pair_nearer():
    """Dark classes to light ones: fitted on three pairs of one name, asked for the fourth's."""
    tasks = pair_classes(shades(20), shades(200), by="name", shots=4, queries=4)
    translator = mg.networks.Translator((8, 8, 1), width=4, blocks=0)
    _, critic = mg.networks.dcgan((8, 8, 1), width=4)
    model = mg.MetaModel(Translation(translator, critic, loss=mg.losses.NonSaturating()), mg.FOMAML(2, 0.02))
    model.compile(optimizer=keras.optimizers.Adam(3e-3, beta_1=0.5))
    episode = one(tasks.episode_batch("test", 0, 1))

    def gap():
        made = model.adapt(numbers(episode.support), seed=0).translate(episode.query["source"].numpy())
        return float(np.abs(made.mean() - episode.query["target"].numpy().mean()))

    before = gap()
    model.fit(tasks.train(meta_batch=3), steps_per_epoch=150, epochs=1, verbose=0)
    assert before > 1.0 and gap() < 0.25 * before
