"""The terms of a translation that compare sets and rows: by hand, and where they act."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional
from meta_gan.losses import R1, GradientPenalty
from meta_gan.types import Settings
from tests.games.test_translation import SEED, lines
from tests.toys import adapt, parts, random_episodes, tiny_gan, tiny_translation, weekly

# Under WEIGHTS the source becomes (3, 6) and the target (.5, 1).
BATCH = {"source": tf.constant([[1.0], [2.0]], tf.float64), "target": tf.constant([[2.0], [4.0]], tf.float64)}
PAIRED_ENERGY = 2 * (1 + 1 + 4 + 2) / 4 - 3 - 2
BACK_ENERGY = 2 * (0.5 + 1.5 + 0 + 1) / 4 - 0.5 - 1


def doubling():
    layer = keras.layers.Dense(1, use_bias=False, dtype="float64")
    net = keras.Sequential([keras.Input((1,), dtype="float64"), layer])
    layer.kernel.assign([[2.0]])
    return net


def values_of(game):
    """Return `(the translators' loss, their outer objective)` without the adversarial term."""
    snapshot = functional.read(game.nets)
    loss = game.loss("translator", snapshot, BATCH, None, Settings(), SEED)[0]
    return float(loss), float(game.objective("translator", snapshot, BATCH, None, SEED))


def test_energy_by_hand():
    plain, plain_outer = values_of(lines())
    loss, outer = values_of(lines(energy=0.5))
    assert loss - plain == pytest.approx(0.5 * (PAIRED_ENERGY + BACK_ENERGY))
    assert outer - plain_outer == pytest.approx(loss - plain)
    doubled = values_of(lines(energy=0.5, features=doubling()))[0]
    assert doubled - plain == pytest.approx(2 * (loss - plain)), "in features that are twice the examples"


def test_the_truth_is_part_of_the_outer_objective_only():
    """|3 - 2| and |6 - 4| there, |.5 - 1| and |1 - 2| back."""
    plain, paired = values_of(lines()), values_of(lines(truth=2.0))
    assert paired[0] == plain[0]
    assert paired[1] - plain[1] == pytest.approx(2.0 * (1.5 + 0.75))
    one_way = [values_of(lines(("translator", "discriminator"), truth=weight))[1] for weight in (0.0, 2.0)]
    assert one_way[1] - one_way[0] == pytest.approx(2.0 * 1.5)


def test_the_discriminators_objective_has_no_truth():
    found = []
    for weight in (0.0, 2.0):
        game = lines(truth=weight)
        found.append(float(game.objective("discriminator", functional.read(game.nets), BATCH, None, SEED)))
    assert found[0] == found[1]


def test_the_distance_is_between_features_if_there_are_any():
    game = lines(features=doubling())
    found = float(game.distance(functional.read(game.nets), BATCH, None, SEED))
    assert found == pytest.approx(2 * PAIRED_ENERGY)


def test_the_features_are_frozen():
    game = tiny_translation(features=keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]), energy=1.0)
    before = [w.numpy() for w in game.nets["features"].weights]
    model = mg.MetaModel(game, mg.FOMAML(2, 0.1))
    model.compile(optimizer=keras.optimizers.Adam(0.1))
    model.meta_step(random_episodes(tasks=2, shape=game.example_shape))
    for old, new in zip(before, game.nets["features"].weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_energy_in_the_inner_loop_brings_translations_to_the_target():
    """The discriminators' rate is nearly 0, so that the energy alone moves the translator."""
    game = tiny_translation(cyclic=False, energy=10.0)
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(64, 2)), rng.normal(size=(64, 2)) * 0.5 + [2.0, -1.0]
    episode = random_episodes(tasks=1, shape=game.example_shape)
    sets = {"source": tf.constant(source, tf.float32), "target": tf.constant(target, tf.float32)}
    episode = episode._replace(support=sets, query=sets, seed=tf.constant([1, 2]))
    pieces = parts(game, mg.meta_learners.GradientDescent({"translator": 0.05, "discriminator": 1e-6}))
    distances = []
    for steps in (0, 60):
        carry, _ = adapt(pieces, episode, steps)
        snapshot = pieces[0].final(pieces[1], carry)
        distances.append(float(game.distance(snapshot, sets, None, SEED)))
    assert distances[1] < 0.1 * distances[0], distances


def test_features_of_other_examples_are_refused():
    with pytest.raises(ValueError, match=r"the net 'features' must take examples of shape \(1,\). Received: \(2,\)"):
        lines(features=keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]))


@pytest.mark.parametrize("name", ["energy", "truth"])
def test_negative_weights_are_refused(name):
    with pytest.raises(ValueError, match=name):
        lines(**{name: -1.0})


def test_round_trip():
    game = lines(energy=0.25, truth=3.0, features=doubling())
    again = type(game).from_config(game.get_config())
    assert (again.energy, again.truth) == (0.25, 3.0)
    assert again.nets["features"].get_config() == game.nets["features"].get_config()


def test_query_sets_that_are_not_paired_are_refused():
    game = lines(("translator", "discriminator"), truth=1.0)
    query = {"source": BATCH["source"], "target": BATCH["target"][:1]}
    with pytest.raises(tf.errors.InvalidArgumentError, match="the term `truth` needs query sets of as many"):
        game.objective("translator", functional.read(game.nets), query, None, SEED)


@pytest.mark.parametrize("penalty", [R1(1.0), *weekly(GradientPenalty(1.0))])
def test_nets_of_another_dtype_learn_from_float32_episodes_with_every_term(penalty):
    features = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    game = tiny_translation("float64", penalty=penalty, energy=1.0, truth=1.0, cycle=1.0, features=features)
    model = mg.MetaModel(game, mg.MAML(1, 0.05))
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    metrics = model.meta_step(random_episodes(tasks=2, shots=4, queries=4, shape=game.example_shape))
    assert all(np.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize("penalty", [R1(1.0), GradientPenalty(1.0)])
def test_a_gan_of_another_dtype_learns_from_float32_episodes(penalty):
    model = mg.MetaModel(tiny_gan("float64", penalty=penalty), mg.FOMAML(1, 0.05))
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    metrics = model.meta_step(random_episodes(tasks=2))
    assert all(np.isfinite(value) for value in metrics.values())
