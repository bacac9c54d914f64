"""The adversarial game: losses and distance by hand, latents, refusals, and serialization."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan import functional, losses, networks
from meta_gan.games import GAN
from meta_gan.types import Settings, Snapshot
from tests.toys import Scalar, flat_close, tiny_dcgan, tiny_gan

PSI, THETA = 0.5, 2.0
SEED = tf.constant([3, 4])


def linear(**options):
    """G(z) = 2, D(x) = x / 2: fake logits are 1 for every draw."""
    game = GAN(Scalar(THETA, ignores_input=True), Scalar(PSI), example_shape=(1,), **options)
    return game, functional.read(game.nets)


REAL = tf.constant([[-1.0], [3.0]], tf.float64)  # logits -.5 and 1.5
SOFTPLUS = {x: float(np.log1p(np.exp(x))) for x in (0.5, -1.5, 1.0, -1.0)}
BY_HAND = {
    "NonSaturating": ((SOFTPLUS[0.5] + SOFTPLUS[-1.5]) / 2 + SOFTPLUS[1.0], SOFTPLUS[-1.0]),
    "Hinge": ((1.5 + 0.0) / 2 + 2.0, -1.0),
    "LeastSquares": (0.5 * (2.25 + 0.25) / 2 + 0.5, 0.0),
    "Wasserstein": (1.0 - 0.5, -1.0),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_losses_and_signals_by_hand(name):
    game, snapshot = linear(loss=getattr(losses, name)())
    got = {p: game.loss(p, snapshot, REAL, None, Settings(), SEED) for p in game.players}
    of_discriminator, of_generator = BY_HAND[name]
    np.testing.assert_allclose(got["discriminator"][0], of_discriminator, rtol=1e-12)
    np.testing.assert_allclose(got["generator"][0], of_generator, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(got["discriminator"][2], [of_discriminator, 0.5, 1.0, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(got["generator"][2], [of_generator, 1.0], rtol=1e-6, atol=1e-7)
    for player, count in game.signals.items():
        assert got[player][2].shape == (count,)
        np.testing.assert_array_equal(game.objective(player, snapshot, REAL, None, SEED), got[player][0])


def test_the_penalty_is_part_of_the_discriminators_loss_only():
    """R1 of a linear critic is weight / 2 psi^2."""
    plain, snapshot = linear(loss=losses.Wasserstein())
    game, _ = linear(loss=losses.Wasserstein(), penalty=losses.R1(weight=8.0))
    values = [
        [float(g.loss(p, snapshot, REAL, None, Settings(), SEED)[0]) for p in game.players] for g in (game, plain)
    ]
    assert values[0][0] - values[1][0] == pytest.approx(4 * PSI**2)
    assert values[0][1] == values[1][1]


def test_the_generators_gradient_by_hand():
    """d/dtheta of softplus(-psi theta) is -psi sigmoid(-psi theta)."""
    game, snapshot = linear()
    with tf.GradientTape() as tape:
        tape.watch(snapshot.weights["generator"])
        value = game.objective("generator", game.own("generator", snapshot), REAL, None, SEED)
    (slope,) = tape.gradient(value, snapshot.weights["generator"])
    np.testing.assert_allclose(slope, -PSI / (1 + np.exp(PSI * THETA)), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [1, 2, 3, 7])
def test_latent_i_does_not_depend_on_the_number_of_latents(width, dtype):
    pair = networks.mlp((2,), width, width=2, depth=1, dtype=dtype)
    game = GAN(*pair)
    many = game.latents(9, SEED).numpy()
    for num in (1, 2, 5):
        np.testing.assert_array_equal(game.latents(num, SEED), many[:num])
    assert many.dtype == dtype and len(np.unique(many)) == 9 * width
    assert np.any(game.latents(9, SEED + 1) != many)


def test_latents_are_standard_normal():
    draws = GAN(*networks.mlp((2,), 8, width=2, depth=1)).latents(4000, SEED).numpy()
    # 32,000 draws: the mean's deviation is 1/179, that of the variance 1/126; five of them.
    assert abs(draws.mean()) < 5 / 179 and abs(draws.var() - 1) < 5 / 126


def test_the_loss_is_a_function_of_the_seed():
    game = tiny_gan(loss=losses.Wasserstein(), penalty=losses.GradientPenalty())
    snapshot = functional.read(game.nets)
    batch = tf.constant(np.random.default_rng(0).uniform(-1, 1, (3, 2)).astype("float32"))
    values = [float(game.loss("discriminator", snapshot, batch, None, Settings(), (seed, 0))[0]) for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


def constant_generator(at):
    game, snapshot = linear()
    return game, Snapshot({**snapshot.weights, "generator": [tf.constant(at, tf.float64)]}, snapshot.state)


def test_distance_by_hand_without_self_pairs():
    """Fakes 2, 2 and queries 0, 6: between (2 + 4)/2 = 3, within fakes 0, within queries 6: 2*3 - 0 - 6 = 0.
    With self pairs the last would be 3, and the distance 3."""
    game, snapshot = constant_generator(2.0)
    query = tf.constant([[0.0], [6.0]], tf.float64)
    assert float(game.distance(snapshot, query, None, SEED)) == 0.0
    # Three queries 0, 6, 3: between (2 + 4 + 1)/3, within them 2 (6 + 3 + 3) / 6 = 4.
    query = tf.constant([[0.0], [6.0], [3.0]], tf.float64)
    np.testing.assert_allclose(game.distance(snapshot, query, None, SEED), 14 / 3 - 4, rtol=1e-12)
    # One query: no pairs within, 2 |2 - 5|.
    np.testing.assert_allclose(game.distance(snapshot, tf.constant([[5.0]], tf.float64), None, SEED), 6.0)


def test_distance_of_the_same_points_is_zero_with_a_finite_derivative():
    game, snapshot = constant_generator(2.0)
    query = tf.constant([[2.0], [2.0], [2.0]], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(snapshot.weights["generator"])
        value = game.distance(snapshot, query, None, SEED)
    assert float(value) == 0.0
    assert float(tape.gradient(value, snapshot.weights["generator"])[0]) == 0.0


def test_distance_is_unbiased_between_equal_distributions():
    """Queries drawn by the same generator: the mean over seeds is 0 within four standard errors."""
    game = tiny_gan("float64")
    snapshot = functional.read(game.nets)
    distance = tf.function(lambda q, s: game.distance(snapshot, q, None, s), autograph=False)
    values = []
    for i in range(60):
        z = game.latents(16, (i, 999))
        values.append(float(distance(game.nets["generator"](z), tf.constant([i, 0]))))
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(60)
    assert np.min(values) < 0, "an unbiased estimate of 0 must fall on both sides"


def test_bad_arguments_are_refused():
    generator, discriminator = networks.mlp((2,), 3, width=2, depth=1)
    other = networks.MLPDiscriminator((3,), width=2)
    with pytest.raises(ValueError, match=r"must take examples of shape \(2,\).*\(3,\)"):
        GAN(generator, other)
    for turns in (0, -1):
        with pytest.raises(ValueError, match=f"'discriminator_turns' must be an integer >= 1.*Received: {turns}"):
            GAN(generator, discriminator, discriminator_turns=turns)
    with pytest.raises(ValueError, match="net 'discriminator' must be a built"):
        GAN(generator, keras.Sequential([keras.layers.Dense(1)]))
    banned = keras.Sequential([keras.Input((2,)), keras.layers.LayerNormalization(), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="LayerNormalization"):
        GAN(generator, banned)


def test_a_plain_keras_discriminator_of_another_shape_is_refused():
    """A functional model has an input shape, so the mismatch is found before the first step."""
    generator, _ = networks.mlp((2,), 3, width=2, depth=1)
    with pytest.raises(ValueError, match="must take examples of shape"):
        GAN(generator, keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]))


def test_a_generator_without_a_size_of_latents_is_refused():
    latents = [keras.Input((2,)), keras.Input((3,))]
    two = keras.Model(latents, keras.layers.Dense(2)(keras.layers.Concatenate()(latents)))
    discriminator = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match=r"must have a 'latent_dim'.*Received: Functional with latent_dim None"):
        GAN(two, discriminator)


def test_plain_keras_models_can_be_players():
    generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    discriminator = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    game = GAN(generator, discriminator)
    assert (game.latent_dim, game.example_shape) == (3, (2,))
    value = game.objective("discriminator", functional.read(game.nets), tf.zeros([4, 2]), None, SEED)
    assert value.shape == () and np.isfinite(value)


@pytest.mark.parametrize("make", [tiny_gan, tiny_dcgan])
def test_round_trip(make):
    """The same architecture, losses, turns and shapes; equal values once the weights are written."""
    game = make(loss=losses.Hinge(), penalty=losses.GradientPenalty(3.0), discriminator_turns=4)
    config = keras.saving.serialize_keras_object(game)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is GAN
    assert again.turns == game.turns and again.example_shape == game.example_shape
    assert again.loss_function == losses.Hinge() and again.penalty == losses.GradientPenalty(3.0)
    functional.write(again.nets, functional.read(game.nets))
    batch = tf.zeros([2, *game.example_shape])
    for player in game.players:
        flat_close(*(g.objective(player, functional.read(g.nets), batch, None, SEED) for g in (game, again)), rtol=1e-6)


def test_endpoints():
    game, snapshot = linear()
    assert set(game.endpoints) == {"sample", "generate", "discriminate"}
    samples = game.endpoints["sample"].fn(snapshot, None, {"num": 3}, SEED)["samples"]
    np.testing.assert_array_equal(samples, np.full((3, 1), THETA))
    assert game.endpoints["sample"].seeded and not game.endpoints["generate"].seeded
    images = tf.constant([[1.0], [3.0]])
    judged, _ = game.call_net("discriminator", snapshot, images, None, False, SEED)
    logits = game.endpoints["discriminate"].fn(snapshot, None, {"images": images}, SEED)["logits"]
    np.testing.assert_array_equal(logits, tf.reshape(judged, [2]))


def test_the_discriminator_reports_the_sign_of_real_logits_and_its_penalty():
    """Logits of -.5, 1.5 and 1: one of three is below 0. D(x) = x / 2 has a slope of .5 everywhere, R1 half its square
    times the weight; a scale of it changes the loss and not the report."""
    game, snapshot = linear(penalty=losses.R1(3.0))
    batch = tf.concat([REAL, [[2.0]]], axis=0)
    plain, scaled = (
        game.loss("discriminator", snapshot, batch, None, Settings(penalty_scale=scale), SEED) for scale in (None, 2.0)
    )
    penalty = float(scaled[0] - plain[0])
    assert penalty > 0
    np.testing.assert_allclose(plain[2][3:], [1 / 3, penalty], rtol=1e-6)
    np.testing.assert_allclose(scaled[2][3:], plain[2][3:], rtol=1e-6)


def test_a_game_lists_the_settings_that_it_supports():
    augmentation = losses.DifferentiableAugmentation(0.25)
    assert tiny_gan().supports == frozenset()
    assert tiny_gan(penalty=losses.R1()).supports == {"penalty_scale"}
    assert tiny_dcgan(penalty=losses.R1(), augmentation=augmentation).supports == {"penalty_scale", "augmentation"}


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_the_augmented_share_ranges_from_none_to_all(player):
    """At 0 the loss is that of the game without augmentation, at 1 that with it, and in between another."""
    batch = tf.random.stateless_uniform([4, 8, 8, 1], [1, 2], -1.0, 1.0)
    game = tiny_dcgan(augmentation=losses.DifferentiableAugmentation(0.25))
    without = tiny_dcgan()
    snapshot = functional.read(game.nets)

    def value(game, share):
        return float(game.loss(player, snapshot, batch, None, Settings(augmentation=share), SEED)[0])

    assert value(game, tf.constant(0.0)) == pytest.approx(value(without, None), rel=1e-6)
    assert value(game, tf.constant(1.0)) == pytest.approx(value(game, None), rel=1e-6)
    assert len({round(value(game, tf.constant(share)), 6) for share in (0.0, 0.5, 1.0)}) == 3


def test_the_biased_distance_includes_self_pairs():
    game, snapshot = linear()
    near = game.distance(snapshot, REAL, None, SEED)
    biased = game.distance(snapshot, REAL, None, SEED, biased=True)
    # Samples are all 2: 2 (3 + 1) / 2 - 0 - 4, or with both self pairs of two examples at a distance of 4, - 2.
    assert (float(near), float(biased)) == (pytest.approx(0.0), pytest.approx(2.0))
