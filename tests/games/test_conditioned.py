"""The adversarial game conditioned on the support set: conditioning, terms, augmentation, and refusals."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan import functional, losses
from meta_gan.games import GAN, Terms
from meta_gan.games.sampling import spread
from meta_gan.meta import Consistent, Unrolled
from meta_gan.types import Settings
from tests.games.nets import (
    EVERYTHING,
    Beside,
    MeanEncoder,
    everything_gan,
    player_loss,
    point_features,
    support_gan,
    tiny_fusion,
)
from tests.toys import dense, flat_close, one, parts, random_episodes, tiny_gan

SEED = tf.constant([3, 4])
EPISODE = one(random_episodes(shots=5))


# Conditioning.

WAYS = {"neither": (False, 0), "encoder": (False, 3), "support": (True, 0), "both": (True, 3)}


@pytest.mark.parametrize("way", WAYS)
def test_the_conditioning_is_what_the_nets_use(way):
    support, embedding_dim = WAYS[way]
    game = support_gan(support, embedding_dim)
    snapshot = functional.read(game.nets)
    conditioning = game.condition(snapshot, EPISODE.support)
    assert game.conditioned == (way != "neither")
    assert set(game.nets) == {"generator", "discriminator"} | ({"encoder"} if embedding_dim else set())
    if way == "neither":
        assert conditioning is None
        return
    assert set(conditioning) == ({"support"} if support else set()) | ({"task_embedding"} if embedding_dim else set())
    if support:
        np.testing.assert_array_equal(conditioning["support"], EPISODE.support)
    if embedding_dim:
        np.testing.assert_allclose(conditioning["task_embedding"], game.nets["encoder"](EPISODE.support), rtol=1e-6)
    fake = game.endpoints["generate"].fn(snapshot, conditioning, {"z": tf.ones([4, 2])}, SEED)["samples"]
    assert np.abs(fake - game.nets["generator"](tf.ones([4, 2]), conditioning=conditioning)).max() < 1e-6


def test_the_task_encoder_belongs_to_the_generator():
    game = everything_gan()
    assert game.players == {"discriminator": ("discriminator",), "generator": ("generator", "encoder", "features")}
    assert game.conditioners == ("encoder",)


@pytest.mark.parametrize("name", ["NonSaturating", "Wasserstein", "RelativisticAverage"])
def test_the_task_encoder_learns_only_from_the_generators_loss(name):
    """The discriminator receives the embedding as a constant: its gradient for the encoder is exactly 0."""
    game = support_gan(loss=getattr(losses, name)())
    largest = {}
    for player in game.players:
        snapshot = functional.read(game.nets)
        with tf.GradientTape() as tape:
            tape.watch(snapshot.weights)
            mine = game.own(player, snapshot)
            conditioning = game.condition(mine, EPISODE.support)
            value = game.loss(player, mine, EPISODE.query, conditioning, Settings(), SEED)[0]
        gradients = functional.gradient(tape, value, snapshot.weights)
        largest[player] = {net: max(np.abs(g).max() for g in gs) for net, gs in gradients.items()}
    assert largest["discriminator"]["encoder"] == largest["discriminator"]["generator"] == 0
    assert largest["generator"]["discriminator"] == 0
    assert min(largest["generator"][net] for net in ("encoder", "generator")) > 1e-4
    assert largest["discriminator"]["discriminator"] > 1e-4


def test_an_inner_step_trains_on_examples_on_which_it_is_not_conditioned():
    game = support_gan(holdout=2)
    halves = [game.view(EPISODE.support, 0, tf.constant([i, 0])) for i in range(8)]
    for batch, rest in halves:
        assert (batch.shape[0], rest.shape[0]) == (2, 3)
        together = np.concatenate([batch, rest])
        np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(EPISODE.support, axis=0))
    assert len({batch.numpy().tobytes() for batch, _ in halves}) > 3, "another split for another key"
    again = game.view(EPISODE.support, 0, tf.constant([3, 0]))
    np.testing.assert_array_equal(again[0], halves[3][0])
    assert support_gan().view("all", 0, SEED) == ("all", "all")


def test_stratified_numbers_are_spread_and_the_others_drawn():
    generator = Beside(5, 2, 0, 0)
    generator.stratified = 2
    game = GAN(generator, Beside(2, 1, 0, 0))
    z = game.latents(9, SEED).numpy()
    np.testing.assert_allclose(z[:, :2], spread(9, 2, functional.fold(SEED, 0)), rtol=1e-6)
    np.testing.assert_array_equal(z[:, 2:], tf.random.stateless_normal([9, 5], SEED)[:, 2:])
    for num in (1, 4):
        np.testing.assert_array_equal(game.latents(num, SEED), z[:num])
    assert tiny_fusion(terms=Terms(features=1.0)).nets["generator"].stratified == 2


# Probes, graphs, and configurations.


def test_a_probe_is_the_same_for_every_player():
    game = everything_gan()
    snapshot = functional.read(game.nets)
    shapes = {"generator": (4, 2), "discriminator": (4, 1)}
    for player, shape in shapes.items():
        outputs = game.probe(player, snapshot, EPISODE, SEED)
        assert outputs.shape == shape
        np.testing.assert_array_equal(outputs, game.probe(player, snapshot, EPISODE, SEED))
        other = game.probe(player, snapshot, EPISODE._replace(support=EPISODE.support[:2]), SEED)
        assert np.abs(other - outputs).max() > 1e-4, "it is conditioned on the support set"
    conditioning = game.condition(snapshot, EPISODE.support)
    logits = game.nets["discriminator"](EPISODE.query, conditioning=conditioning)
    np.testing.assert_allclose(game.probe("discriminator", snapshot, EPISODE, SEED), logits, rtol=1e-5)


@pytest.mark.slow
def test_conditioned_players_can_be_regularised_for_consistency():
    """`Consistent` probes every task; equal tasks do not differ."""
    pieces, episodes = parts(support_gan()), random_episodes(tasks=2)
    estimator = Consistent(Unrolled(1), {"generator": 1.0})
    metrics = estimator.estimate(*pieces, episodes, 1).metrics
    assert metrics["consistency/generator"] > 1e-8
    same = tf.nest.map_structure(lambda t: tf.stack([t[0], t[0]]), episodes)
    assert estimator.estimate(*pieces, same, 1).metrics["consistency/generator"] < 1e-12


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_loss_with_all_terms_is_the_same_in_a_graph(player):
    game = everything_gan(penalty=losses.R1(0.5))
    snapshot = functional.read(game.nets)

    def run(support):
        with tf.GradientTape() as tape:
            tape.watch(snapshot.weights)
            mine = game.own(player, snapshot)
            batch, rest = game.view(support, 0, SEED)
            value, state, signals = game.loss(player, mine, batch, game.condition(mine, rest), Settings(), SEED)
        return value, state, signals, functional.gradient(tape, value, snapshot.weights)

    graph = tf.function(run, autograph=False, input_signature=[tf.TensorSpec([None, 2])])
    for k in (1, 2, 5):
        eager, traced = run(EPISODE.support[:k]), graph(EPISODE.support[:k])
        assert all(np.isfinite(t).all() for t in tf.nest.flatten(eager))
        flat_close(eager, traced, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("make", [everything_gan, tiny_fusion], ids=lambda f: f.__name__)
def test_round_trip_with_everything_set(make):
    options = {**EVERYTHING, "penalty": losses.R1(2.0), "discriminator_turns": 3}
    if make is tiny_fusion:
        options["augmentation"] = losses.DifferentiableAugmentation(0.25, cutout=0.5)
    game = make(**options)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(game))
    assert type(again) is GAN and list(again.nets) == list(game.nets) and again.players == game.players
    for name in ("turns", "example_shape", "holdout", "terms", "augmentation", "penalty", "loss_function"):
        assert getattr(again, name) == getattr(game, name), name
    assert again.conditioned and again.sees_support and not again.nets["features"].trainable_variables
    functional.write(again.nets, functional.read(game.nets))
    batch = tf.reshape(tf.linspace(-1.0, 1.0, 3 * int(np.prod(game.example_shape))), [3, *game.example_shape])
    for player in game.players:
        values = [player_loss(g, player, batch, g.condition(functional.read(g.nets), batch))[0] for g in (game, again)]
        np.testing.assert_array_equal(*values)


def test_a_configuration_without_terms_is_read():
    """Models saved before there were terms still load."""
    config = tiny_gan().get_config()
    for name in ("encoder", "features", "terms", "augmentation", "holdout"):
        config.pop(name)
    again = GAN.from_config(config)
    assert again.terms == Terms() and again.holdout == 0 and not again.conditioned


def dense_of(inputs):
    return keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(3)])


REFUSED = {
    "a weight without a net": ({"terms": Terms(features=1.0)}, "needs the net 'features'.*weight 1.0"),
    "a negative holdout": ({"holdout": -1}, "'holdout' must be an integer >= 0 .*Received: -1"),
    "an encoder of another shape": (
        {"encoder": lambda: dense_of(3)},
        r"net 'encoder' must take .*\(2,\)\. .*\(3,\)",
    ),
    "features of another shape": (
        {"features": lambda: dense_of(3), "terms": Terms(features=1.0)},
        r"net 'features' must take .*\(2,\)\. .*\(3,\)",
    ),
    "an encoder that is not built": (
        {"encoder": lambda: keras.Sequential([keras.layers.Dense(3)])},
        "net 'encoder' must be a built",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_arguments_are_refused(name):
    changes, message = REFUSED[name]
    made = {key: value() if callable(value) else value for key, value in changes.items()}
    with pytest.raises(ValueError, match=message):
        GAN(Beside(2, 2), Beside(2, 1), **made)


def test_nearness_needs_a_net_that_sees_the_support_set():
    terms = Terms(features=1.0, nearness=1.0)
    assert support_gan(support=True, terms=terms, features=point_features()).terms == terms
    with pytest.raises(ValueError, match=r"'nearness' needs a net that sees the support set\. Received"):
        support_gan(support=False, terms=terms, features=point_features())


def test_a_banned_layer_is_refused_in_every_net():
    banned = keras.Sequential([keras.Input((2,)), keras.layers.LayerNormalization(), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="LayerNormalization"):
        GAN(Beside(2, 2), Beside(2, 1), encoder=banned)
    assert MeanEncoder(3)(EPISODE.support).shape == (3,)


def test_plain_nets_cannot_receive_a_task_embedding():
    """A plain Keras model accepts any keyword, and would silently ignore the embedding."""
    with pytest.raises(ValueError, match="the net 'generator' must take 'conditioning' with a task embedding"):
        GAN(dense(2, 2, 0), dense(2, 1, 1), encoder=dense(2, 3, 2))
