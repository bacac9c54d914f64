"""A game on pairs of domains: whose step it is, its objective, and that it is saved and served."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional
from meta_gan.games import Transfer
from meta_gan.types import Settings
from tests.games.nets import support_gan
from tests.toys import adapt, flat_close, numbers, one, parts, random_episodes, tiny_gan, tiny_translation, weekly

SEED = tf.constant([1, 2])


def episode_of(game, seed=0):
    """A task of two domains with different examples."""
    task = one(random_episodes(shape=game.example_shape, seed=seed))
    moved = {"source": task.support["source"], "target": task.support["target"] * 0.5 + 0.25}
    return task._replace(support=moved)


def leaves(carry):
    return tf.nest.flatten(carry.params)


def test_with_equal_domains_it_equals_the_game_itself():
    game = Transfer(tiny_gan())
    task = episode_of(game)
    same = task._replace(support=dict.fromkeys(("source", "target"), task.support["source"]))
    alone = same._replace(support=task.support["source"])
    ours, _ = adapt(parts(game), same, 5)
    theirs, _ = adapt(parts(game.game), alone, 5)
    flat_close(ours.params, theirs.params)


def test_the_first_step_is_on_the_source_and_the_second_on_the_target():
    game = Transfer(tiny_gan())
    task, other = episode_of(game), episode_of(game, seed=5)
    mixed = {
        "other target": {"source": task.support["source"], "target": other.support["target"]},
        "other source": {"source": other.support["source"], "target": task.support["target"]},
    }
    changed = {}
    for name, support in mixed.items():
        pair = (task, task._replace(support=support))
        for steps in (1, 2):
            a, b = (leaves(adapt(parts(game), t, steps)[0]) for t in pair)
            changed[name, steps] = any((np.abs(x - y) > 1e-7).any() for x, y in zip(a, b, strict=True))
    assert changed == {
        ("other target", 1): False,
        ("other target", 2): True,
        ("other source", 1): True,
        ("other source", 2): True,
    }


@pytest.mark.parametrize(("source_steps", "whose"), [(None, "stst"), (0, "tttt"), (1, "sttt"), (2, "stst")])
def test_the_number_of_steps_on_the_source(source_steps, whose):
    game = Transfer(tiny_gan(), source_steps=source_steps)
    sets = {"source": tf.zeros((3, 2)), "target": tf.ones((3, 2))}
    batches = [game.view(sets, tf.constant(step), SEED)[0] for step in range(4)]
    assert "".join("st"[int(tf.reduce_max(batch))] for batch in batches) == whose


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_the_objective_is_the_targets_plus_the_weighted_sources(player):
    game = Transfer(support_gan(), source_weight=0.5)
    task, snapshot = episode_of(game), functional.read(game.nets)
    received = game.condition(snapshot, task.support)
    value = float(game.objective(player, snapshot, task.query, received, SEED))

    def alone(domain, seed):
        conditioning = game.game.condition(snapshot, task.support[domain])
        return float(game.game.objective(player, snapshot, task.query[domain], conditioning, seed))

    expected = alone("target", SEED) + 0.5 * alone("source", functional.fold(SEED, 1))
    assert value == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_both_domains_is_their_sum():
    """This is what joint training minimises."""
    game = Transfer(support_gan())
    task, snapshot = episode_of(game), functional.read(game.nets)
    received = game.condition(snapshot, task.support)
    value, state, signals = game.loss("generator", snapshot, task.query, received, Settings(), SEED)
    each = [
        game.game.loss("generator", snapshot, task.query[d], received[d], Settings(), functional.fold(SEED, number))
        for number, d in enumerate(("source", "target"))
    ]
    assert float(value) == pytest.approx(float(each[0][0] + each[1][0]), rel=1e-6)
    np.testing.assert_allclose(signals, each[1][2], rtol=1e-6)
    assert set(state) == set(game.nets)


def test_distance_and_probe_are_of_the_target():
    game = Transfer(tiny_gan())
    task, snapshot = episode_of(game), functional.read(game.nets)
    expected = game.game.distance(snapshot, task.query["target"], None, SEED)
    assert float(game.distance(snapshot, task.query, None, SEED)) == float(expected)
    target = task._replace(support=task.support["target"], query=task.query["target"])
    for player in game.players:
        np.testing.assert_array_equal(
            game.probe(player, snapshot, task, SEED), game.game.probe(player, snapshot, target, SEED)
        )


@pytest.mark.parametrize("make", [support_gan, *weekly(tiny_gan)])
def test_it_samples_is_saved_and_served(make, tmp_path):
    model = mg.MetaModel(Transfer(make(), source_weight=0.5, source_steps=1), mg.FOMAML(2, 0.05))
    support = numbers(episode_of(model.game).support)
    adapted = model.adapt(support, seed=3)
    made = adapted.sample(6, seed=1)
    adapted.save(tmp_path / "adapted")
    np.testing.assert_array_equal(mg.load_adapted(tmp_path / "adapted").sample(6, seed=1), made)
    z = np.random.default_rng(0).normal(size=(3, model.game.game.latent_dim)).astype(np.float32)
    served = tf.saved_model.load(str(tmp_path / "adapted" / "saved_model" / "1")).signatures["serving_default"]
    np.testing.assert_allclose(adapted.generator(z), served(z=tf.constant(z))["samples"], atol=1e-6)
    model.save(tmp_path / "model")
    again = mg.load(tmp_path / "model")
    assert (again.game.source_weight, again.game.source_steps) == (0.5, 1)
    np.testing.assert_array_equal(again.adapt(support, seed=3).sample(6, seed=1), made)
    model.export(tmp_path / "served" / "1")
    run = tf.saved_model.load(str(tmp_path / "served" / "1")).signatures["adapt_and_sample"]
    sets = {f"{domain}_support": tf.constant(each) for domain, each in support.items()}
    numbers_ = {"steps": tf.constant(2), "num": tf.constant(6), "seed": tf.constant(3)}
    found = run(**sets, **numbers_)["samples"]
    np.testing.assert_allclose(found, adapted.sample(6, seed=3), atol=1e-5)


def test_a_meta_learner_receives_the_embedding_of_the_steps_domain():
    meta_learner = mg.meta_learners.AttentionMetaLearner(0.05, hidden=4, heads=2, embedding_dim=3)
    model = mg.MetaModel(Transfer(support_gan(False, 3)), mg.Algorithm("attention", meta_learner, mg.Unrolled(2), 2))
    task = episode_of(model.game)
    adapted = model.adapt(numbers(task.support), seed=1)
    assert np.isfinite(adapted.sample(3)).all()
    game, snapshot = model.game, functional.read(model.game.nets)
    both, alone = game.condition(snapshot, task.support), game.condition(snapshot, task.support["source"])
    np.testing.assert_array_equal(
        game.conditioning_of("generator", both)["task_embedding"], both["target"]["task_embedding"]
    )
    np.testing.assert_array_equal(
        game.conditioning_of("generator", alone)["task_embedding"], both["source"]["task_embedding"]
    )


@pytest.mark.slow
def test_after_meta_training_adaptation_reduces_the_distance():
    """The target lies at a fixed offset from the source."""
    rng = np.random.default_rng(0)

    def task(number):
        centre = rng.uniform(-0.5, 0.5, 2)
        source = (centre + 0.05 * rng.normal(size=(24, 2))).astype(np.float32)
        sets = {"source": source, "target": source[::-1] + np.float32(0.3)}
        support, query = ({d: tf.constant(x[half]) for d, x in sets.items()} for half in (slice(8), slice(8, 24)))
        return mg.Episode(support, query, tf.constant(number), tf.constant([number, 1]))

    game = Transfer(tiny_gan(terms=mg.games.Terms(adversarial=0.1, pixels=5.0)))
    model = mg.MetaModel(game, mg.FOMAML(10, 0.1))
    model.compile(optimizer=keras.optimizers.Adam(3e-3))
    meta_step = tf.function(model.meta_step, autograph=False)
    for step in range(60):
        batch = tf.nest.map_structure(lambda *xs: tf.stack(xs), *[task(4 * step + i) for i in range(4)])
        meta_step(batch)
    held = [task(1000 + i) for i in range(8)]

    def distance(steps):
        found = []
        for each in held:
            (snapshot,) = model.adaptation.trajectory(numbers(each.support), [steps], 0)
            found.append(float(game.distance(snapshot, each.query, None, SEED)))
        return np.mean(found)

    assert distance(10) < 0.9 * distance(0)


def test_a_game_of_two_domains_is_refused():
    with pytest.raises(ValueError, match=r"'game' must have one domain. Received: Translation"):
        Transfer(tiny_translation())
    with pytest.raises(ValueError, match="source_weight"):
        Transfer(tiny_gan(), -1.0)
