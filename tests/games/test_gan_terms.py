"""The generator's terms, the relativistic loss and augmentation in the adversarial game, by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional, losses
from meta_gan.games import GAN, Terms
from meta_gan.games.gan import with_nearness
from tests.games.nets import everything_gan, player_loss
from tests.toys import Scalar, numbers, one, random_episodes, tiny_dcgan

SEED = tf.constant([3, 4])
EPISODE = one(random_episodes(shots=5))


@keras.saving.register_keras_serializable("toys")
class Seeing(Scalar):
    """A `Scalar` that sees the support set and ignores it."""

    sees_support = True

    def call(self, x, conditioning=None, training=False):
        assert set(conditioning) == {"support"}
        return super().call(x)


class Recorded:
    """Adds 1 and records its inputs."""

    def __init__(self):
        self.calls = []

    def __call__(self, images, seed):
        self.calls.append((images.numpy(), np.array(seed)))
        return images + 1.0


# Terms, by hand: fakes of 2 have features 6; reals of 3 and 5 have 9 and 15.

REAL = tf.constant([[3.0], [5.0]], tf.float64)
SUPPORT = {"support": tf.constant([[3.0]], tf.float64)}
DISTANCE = 2 * (3 + 9) / 2 - 6
NEAR = (np.hypot(3, 1.5) + np.hypot(9, 1.5)) - np.hypot(6, 3)
BY_HAND = {
    "adversarial": (Terms(adversarial=0.25), 0.25 * np.log1p(np.exp(-1.0))),
    "features": (Terms(adversarial=0.0, features=2.0), 2.0 * DISTANCE),
    "nearness": (Terms(adversarial=0.0, features=2.0, nearness=0.5), 2.0 * NEAR),
    "variety": (Terms(adversarial=0.0, features=2.0, variety=0.25), 2.0 * DISTANCE + 0.25 * 6.0**2),
    "variety beside nearness": (
        Terms(adversarial=0.0, features=2.0, nearness=0.5, variety=0.25),
        2.0 * NEAR + 0.25 * 6.0**2,
    ),
    "pixels": (Terms(adversarial=0.0, pixels=0.5), 0.5 * ((1 + 3) - 2)),
    "all": (
        Terms(adversarial=1.0, features=2.0, nearness=0.5, pixels=0.5),
        np.log1p(np.exp(-1.0)) + 2.0 * NEAR + 0.5 * 2.0,
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_terms_by_hand(name):
    """G(z) = 2, D(x) = x / 2, features 3 x, one support image of 3."""
    terms, expected = BY_HAND[name]
    features = Scalar(3.0) if terms.features else None
    pair = (Seeing(2.0, ignores_input=True), Seeing(0.5))
    game = GAN(*pair, example_shape=(1,), terms=terms, features=features)
    value, _, signals = player_loss(game, "generator", REAL, SUPPORT)
    np.testing.assert_allclose(value, expected, rtol=1e-9)
    np.testing.assert_allclose(signals, [expected, 1.0], rtol=1e-6)
    plain = GAN(*pair, example_shape=(1,))
    got = [player_loss(g, "discriminator", REAL, SUPPORT)[0] for g in (game, plain)]
    assert got[0] == got[1], "terms are the generator's"


def test_mode_seeking_by_hand():
    """G(z) = 2 z: samples lie twice as far apart as latents, so weight / (2 + epsilon)."""
    game = GAN(Scalar(2.0), Scalar(0.5), example_shape=(1,), terms=Terms(adversarial=0.0, mode_seeking=3.0))
    np.testing.assert_allclose(player_loss(game, "generator", REAL)[0], 3.0 / (2.0 + 1e-5), rtol=1e-9)
    still = GAN(Scalar(2.0, ignores_input=True), Scalar(0.5), example_shape=(1,), terms=Terms(mode_seeking=3.0))
    assert player_loss(still, "generator", REAL)[0] > 1e5, "one image for every z"


def test_the_features_term_is_the_energy_distance_of_features():
    game = everything_gan(loss=None, terms=Terms(adversarial=0.0, features=1.5, nearness=0.7))
    snapshot, net = functional.read(game.nets), game.nets["features"]
    conditioning = game.condition(snapshot, EPISODE.support)
    z = game.latents(4, functional.fold(SEED, 0))
    fake = game.nets["generator"](z, conditioning=conditioning)
    pair = [with_nearness(net(x), net(EPISODE.support), 0.7) for x in (fake, EPISODE.query)]
    value = player_loss(game, "generator", EPISODE.query, conditioning)[0]
    np.testing.assert_allclose(value, 1.5 * losses.energy_distance(*pair), rtol=1e-4)
    expected = losses.energy_distance(net(fake), net(EPISODE.query))
    got = game.distance(snapshot, EPISODE.query, conditioning, SEED)
    np.testing.assert_allclose(got, expected, rtol=1e-4, err_msg="the distance of a game with features is theirs")


@pytest.mark.parametrize("tasks", [3, 6])
def test_the_features_net_is_frozen_exactly(tasks):
    """The mean of three or six equal numbers has a rounding error, by which the net would drift in training."""
    model = mg.MetaModel(everything_gan(loss=None, terms=Terms(features=1.0)), mg.FOMAML(1, 0.05))
    net = model.game.nets["features"]
    assert not net.trainable_variables and not model.meta_weights().initial.weights["features"]
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    before = numbers([v.value for v in model.game.nets["features"].variables])
    step, moving = tf.function(model.meta_step, autograph=False), [v.numpy() for v in model.trainable_variables]
    for seed in range(3):
        step(random_episodes(tasks=tasks, seed=seed))
    for variable, value in zip(net.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert all(np.any(a != v) for a, v in zip(moving, model.trainable_variables, strict=True))


def test_a_relativistic_generator_receives_real_logits():
    """D(x) = x / 2 of reals 3 and 5 and fakes of 2: real 1.5 and 2.5, fake 1."""
    game = GAN(Scalar(2.0, ignores_input=True), Scalar(0.5), example_shape=(1,), loss=losses.RelativisticAverage())

    def softplus(x):
        return np.log1p(np.exp(x))

    of_generator = softplus(2.0 - 1.0) + (softplus(1.5 - 1.0) + softplus(2.5 - 1.0)) / 2
    of_discriminator = (softplus(1.0 - 1.5) + softplus(1.0 - 2.5)) / 2 + softplus(1.0 - 2.0)
    np.testing.assert_allclose(player_loss(game, "generator", REAL)[0], of_generator, rtol=1e-9)
    np.testing.assert_allclose(player_loss(game, "discriminator", REAL)[0], of_discriminator, rtol=1e-9)


# Augmentation.


@pytest.mark.parametrize("relativistic", [False, True])
def test_real_and_generated_examples_are_augmented_with_one_seed(relativistic):
    """By adding 1: D(x) = x / 2 gives .5 more, and features are those of plain examples."""
    made = losses.RelativisticAverage() if relativistic else losses.Wasserstein()
    nets = (Scalar(2.0, ignores_input=True), Scalar(0.5))
    terms, recorded = Terms(adversarial=0.5, features=2.0), Recorded()
    options = {"example_shape": (1,), "loss": made, "terms": terms}
    game = GAN(*nets, features=Scalar(3.0), augmentation=recorded, **options)
    plain = GAN(*nets, features=Scalar(3.0), **options)
    expected = {
        "discriminator": [[[3.0], [5.0]], [[2.0], [2.0]]],
        "generator": [[[2.0], [2.0]], *([[[3.0], [5.0]]] if relativistic else [])],
    }
    for player, seen in expected.items():
        recorded.calls.clear()
        value, _, signals = player_loss(game, player, REAL)
        without, _, unshifted = player_loss(plain, player, REAL)
        assert [images.tolist() for images, _ in recorded.calls] == seen
        assert len({seed.tobytes() for _, seed in recorded.calls}) == 1
        np.testing.assert_allclose(signals[1:3], unshifted[1:3] + 0.5, rtol=1e-6)
        # A shift of all logits drops out but for the generator's plain Wasserstein loss, of weight .5.
        shift = -0.25 if player == "generator" and not relativistic else 0.0
        np.testing.assert_allclose(value, without + shift, rtol=1e-9)


def test_images_are_augmented_in_training_but_not_in_sampling():
    augmentation = losses.DifferentiableAugmentation(translation=0.5, brightness=0.5)
    game, plain = tiny_dcgan(augmentation=augmentation), tiny_dcgan()
    functional.write(plain.nets, functional.read(game.nets))
    images = random_episodes(shape=(8, 8, 1)).query[0]
    for player in game.players:
        values = [float(player_loss(g, player, images, seed=s)[0]) for g in (game, plain) for s in ((1, 2), (1, 2))]
        assert values[0] == values[1] != values[2] == values[3]
    samples = [
        g.endpoints["sample"].fn(functional.read(g.nets), None, {"num": 2}, SEED)["samples"] for g in (game, plain)
    ]
    np.testing.assert_array_equal(*samples)


def test_a_features_net_without_a_term_affects_only_the_distance():
    """Twice the pixel is its feature: the distance is twice that of pixels, and the losses are the same."""
    twice = keras.Sequential([keras.Input((1,)), keras.layers.Rescaling(2.0, dtype="float64")])
    made = {"generator": Scalar(2.0), "discriminator": Scalar(0.5), "example_shape": (1,)}
    plain, with_features = GAN(**made), GAN(**made, features=twice)
    for player in plain.players:
        assert float(player_loss(plain, player, REAL)[0]) == float(player_loss(with_features, player, REAL)[0])
    distances = [float(game.distance(functional.read(game.nets), REAL, None, SEED)) for game in (plain, with_features)]
    np.testing.assert_allclose(distances[1], 2.0 * distances[0], rtol=1e-6)
    assert distances[0] != 0
