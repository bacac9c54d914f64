"""The variational autoencoder: exact where it is linear, its bound, endpoints, conditioning, refusals, and learning."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional, losses, networks
from meta_gan.games import VAE
from meta_gan.types import Settings
from tests.toys import conditioned_vae, flat_close, one, random_episodes, ring_episodes, tiny_gan, tiny_vae

SEED = tf.constant([3, 4])
WEIGHTS, OFFSET, DEVIATION = np.array([0.6, -1.1]), np.array([0.2, 0.1]), 0.5
VARIANCE = 1.0 / (1.0 + WEIGHTS @ WEIGHTS / DEVIATION**2)
X = np.array([[0.9, -0.4], [-1.0, 1.0], [0.0, 0.3]])


def linear(exact=True, **options):
    """x = w z + b with normal noise; the encoder gives the exact posterior, or the standard normal."""
    generator = networks.MLPGenerator((2,), 1, depth=0, output="linear", dtype="float64")
    encoder = networks.MLPEncoder((2,), 1, depth=0, dtype="float64")
    game = VAE(generator, encoder, losses.Gaussian(DEVIATION), **options)
    generator.trainable_variables[0].assign(WEIGHTS[None])
    generator.trainable_variables[1].assign(OFFSET)
    slope = VARIANCE * WEIGHTS / DEVIATION**2 if exact else np.zeros(2)
    encoder.trainable_variables[0].assign(np.stack([slope, np.zeros(2)], axis=1))
    encoder.trainable_variables[1].assign([-slope @ OFFSET, np.log(VARIANCE) if exact else 0.0])
    return game, functional.read(game.nets)


def evidence(x):
    """Return log N(x; b, w w' + deviation^2)."""
    covariance = np.outer(WEIGHTS, WEIGHTS) + DEVIATION**2 * np.eye(2)
    gap = x - OFFSET
    quadratic = np.einsum("ni,ij,nj->n", gap, np.linalg.inv(covariance), gap)
    return -0.5 * (quadratic + np.log(np.linalg.det(covariance)) + 2 * np.log(2 * np.pi))


@pytest.mark.parametrize("draws", [1, 7])
def test_with_the_exact_posterior_the_bound_is_the_evidence(draws):
    game, snapshot = linear()
    np.testing.assert_allclose(game.log_evidence(snapshot, tf.constant(X), None, draws, SEED), evidence(X), rtol=1e-10)


def test_with_another_posterior_the_bound_is_lower_and_rises_with_draws():
    game, snapshot = linear(exact=False)
    many = tf.constant(np.repeat(X, 3000, axis=0))
    found = [
        game.log_evidence(snapshot, many, None, draws, SEED).numpy().reshape(3, -1).mean(1) for draws in (1, 5, 100)
    ]
    assert np.all(found[0] < found[1] - 0.1) and np.all(found[1] < found[2]) and np.all(found[2] < evidence(X))
    np.testing.assert_allclose(found[2], evidence(X), atol=0.2)


def loss(game, snapshot, x, settings=None):
    return game.loss("autoencoder", snapshot, tf.constant(x), None, settings or Settings(), SEED)


def test_the_loss_is_the_negative_bound_per_number():
    """40,000 draws of z; the deviation of their mean is below .005."""
    game, snapshot = linear()
    value, state, signals = loss(game, snapshot, np.repeat(X[:1], 40_000, axis=0))
    assert float(value) == pytest.approx(-evidence(X[:1])[0] / 2, abs=0.01)
    assert list(state) == ["generator", "encoder"] and signals.dtype == tf.float32
    np.testing.assert_allclose(signals[0], signals[1] + signals[2], rtol=1e-6)


def test_the_divergence_by_hand_and_its_weights():
    game, snapshot = linear()
    mean = VARIANCE * (X - OFFSET) @ WEIGHTS / DEVIATION**2
    by_hand = 0.5 * np.mean(mean**2 + VARIANCE - 1 - np.log(VARIANCE)) / 2
    _, _, signals = loss(game, snapshot, X)
    np.testing.assert_allclose(signals[1], by_hand, rtol=1e-6)
    for settings, beta, scale in ((None, 3.0, 3.0), (Settings(penalty_scale=0.25), 3.0, 0.75), (None, 0.0, 0.0)):
        weighed, _ = linear(beta=beta)
        got = loss(weighed, snapshot, X, settings)[2]
        np.testing.assert_allclose(got[0], scale * got[1] + got[2], rtol=1e-6)
        np.testing.assert_allclose(got[1:], signals[1:], rtol=1e-6)


def test_reconstruction_and_encoding_by_hand():
    game, snapshot = linear()
    codes = game.endpoints["encode"].fn(snapshot, None, {"images": tf.constant(X)}, SEED)
    mean = VARIANCE * (X - OFFSET) @ WEIGHTS / DEVIATION**2
    np.testing.assert_allclose(codes["mean"][:, 0], mean, rtol=1e-10)
    np.testing.assert_allclose(codes["log_variance"], np.full((3, 1), np.log(VARIANCE)), rtol=1e-10)
    again = game.endpoints["reconstruct"].fn(snapshot, None, {"images": tf.constant(X)}, SEED)["images"]
    np.testing.assert_allclose(again, mean[:, None] * WEIGHTS + OFFSET, rtol=1e-10)


def test_samples_are_generated_from_standard_normal_latents():
    game, snapshot = linear()
    samples = game.endpoints["sample"].fn(snapshot, None, {"num": tf.constant(50_000)}, SEED)["samples"].numpy()
    np.testing.assert_allclose(samples.mean(0), OFFSET, atol=0.02)
    np.testing.assert_allclose(np.cov(samples.T), np.outer(WEIGHTS, WEIGHTS), atol=0.03)
    few = game.endpoints["sample"].fn(snapshot, None, {"num": tf.constant(3)}, SEED)["samples"]
    np.testing.assert_allclose(few, samples[:3], rtol=1e-12)
    z = tf.constant([[0.5]], tf.float64)
    made = game.endpoints["generate"].fn(snapshot, None, {"z": z}, SEED)["samples"]
    np.testing.assert_allclose(made, [0.5 * WEIGHTS + OFFSET], rtol=1e-12)


def test_the_distance_is_that_of_its_samples():
    game, snapshot = linear()
    seed = tf.constant([1, 2])
    found = game.distance(snapshot, tf.constant(X), None, seed)
    samples = game.endpoints["sample"].fn(snapshot, None, {"num": tf.constant(3)}, seed)["samples"]
    np.testing.assert_allclose(found, losses.energy_distance(samples, tf.constant(X)), rtol=1e-12)
    probed = game.probe("autoencoder", snapshot, one(random_episodes(queries=3, dtype="float64")), seed)
    np.testing.assert_allclose(probed, samples, rtol=1e-12)


def test_a_task_encoder_conditions_the_decoder():
    """Two support sets give two generators, and the meta-gradient reaches the task encoder."""
    game = conditioned_vae()
    assert game.conditioned and game.players == {"autoencoder": ("generator", "encoder", "task_encoder")}
    model = mg.MetaModel(game, mg.FOMAML(2, 0.05))
    episodes = random_episodes(shape=(8, 8, 1))
    first, second = (model.adapt(s.numpy(), steps=0).sample(3, seed=1) for s in episodes.support)
    assert np.abs(first - second).max() > 1e-3
    estimate = model.algorithm.estimator.estimate(model.loop, model.meta_weights(), episodes, 2)
    assert max(np.abs(g).max() for g in estimate.weights["task_encoder"]) > 1e-6


def test_adapted_models_reconstruct_and_encode_and_gans_do_not():
    model = mg.MetaModel(tiny_vae(), mg.FOMAML(2, 0.05))
    five = random_episodes(shots=5).support[0].numpy()
    adapted = model.adapt(five, seed=1)
    codes, again = adapted.encode(five), adapted.reconstruct(five)
    assert codes["mean"].shape == codes["log_variance"].shape == (5, 2) and again.shape == five.shape
    np.testing.assert_allclose(adapted.generator(codes["mean"]), again, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(adapted.reconstruct(five[2:3]), again[2:3], rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"'images' must have shape \[n, 2\]"):
        adapted.encode(five[:, :1])
    gan = mg.MetaModel(tiny_gan(), mg.FOMAML(2, 0.05)).adapt(five)
    for ask in (gan.encode, gan.reconstruct):
        with pytest.raises(ValueError, match=r"needs a game with that endpoint\. Received: GAN, which"):
            ask(five)


def test_an_endpoint_that_returns_no_images_is_named():
    class Other(mg.games.VAE):
        @property
        def endpoints(self):
            found = super().endpoints
            return {**found, "reconstruct": found["encode"]}

    vae = tiny_vae()
    adapted = mg.MetaModel(Other(vae.nets["generator"], vae.nets["encoder"]), mg.FOMAML(0, 0.05)).adapt(
        np.zeros((5, 2))
    )
    with pytest.raises(
        ValueError, match=r"'reconstruct' of Other must return 'images'. Received: \['log_variance', 'mean'\]"
    ):
        adapted.reconstruct(np.zeros((5, 2)))


def test_an_exported_model_reconstructs_and_checks_its_images(tmp_path):
    model = mg.MetaModel(tiny_vae(), mg.FOMAML(2, 0.05))
    five = random_episodes(shots=5).support[0].numpy()
    model.adapt(five, seed=1).export(tmp_path / "adapted")
    served = tf.saved_model.load(str(tmp_path / "adapted")).signatures
    assert set(served) == {"sample", "serving_default", "reconstruct", "encode"}
    again = served["reconstruct"](images=tf.constant(five))["images"]
    np.testing.assert_allclose(again, model.adapt(five, seed=1).reconstruct(five), atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"images.* must be finite and lie in"):
        served["encode"](images=tf.constant(five) * 100.0)
    model.export(tmp_path / "meta")
    call = tf.saved_model.load(str(tmp_path / "meta")).signatures["adapt_and_reconstruct"]
    inputs = {"support": tf.constant(five), "steps": tf.constant(2), "seed": tf.constant(1)}
    np.testing.assert_allclose(call(images=tf.constant(five), **inputs)["images"], again, atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"images.* must be finite and lie in"):
        call(images=tf.constant(five) * 100.0, **inputs)


def test_round_trip():
    for game in (tiny_vae(beta=0.5, likelihood=losses.Bernoulli(0.01)), conditioned_vae()):
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(game))
        assert again.get_config() == game.get_config() and type(again) is VAE
        flat_close(functional.read(again.nets), functional.read(game.nets))


def test_bad_parts_are_refused():
    generator, _ = networks.mlp((2,), 2)
    for encoder, message in (
        (networks.MLPEncoder((3,), 2), r"the net 'encoder' must take examples of shape \(2,\)"),
        (networks.MLPEncoder((2,), 3), r"the net 'encoder' must make 4 numbers, .* Received: 6"),
        (
            keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]),
            r"the net 'encoder' must make 4 numbers, .* Received: 3",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            VAE(generator, encoder)
    with pytest.raises(ValueError, match=r"'beta' must be a finite number >= 0"):
        VAE(generator, networks.MLPEncoder((2,), 2), beta=-1.0)
    with pytest.raises(ValueError, match=r"'likelihood' must have a method 'log_likelihood'\. Received: 'gaussian'"):
        VAE(generator, networks.MLPEncoder((2,), 2), likelihood="gaussian")
    with pytest.raises(ValueError, match=r"'draws' must be an integer >= 1 and < 2\^31"):
        game, snapshot = linear()
        game.log_evidence(snapshot, tf.constant(X), None, 0, SEED)


def test_plain_keras_models_are_players():
    """Shapes are read from a model with one input that has no attributes of ours."""
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="tanh")])
    encoder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    game = VAE(decoder, encoder)
    assert (game.latent_dim, game.example_shape) == (2, (3,))
    adapted = mg.MetaModel(game, mg.FOMAML(1, 0.05)).adapt(random_episodes(shape=(3,)).support[0].numpy())
    assert adapted.reconstruct(np.zeros((4, 3), np.float32)).shape == (4, 3)


@pytest.mark.parametrize("policy", ["float64", "mixed_float16", "mixed_bfloat16"])
def test_nets_of_another_dtype_learn_from_float32_episodes(policy):
    model = mg.MetaModel(tiny_vae(policy, likelihood=losses.Bernoulli()), mg.FOMAML(1, 0.05))
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    before = [v.numpy() for v in model.trainable_variables]
    episodes = random_episodes()
    dtype = model.game.nets["generator"].compute_dtype
    cast = episodes._replace(support=tf.cast(episodes.support, dtype), query=tf.cast(episodes.query, dtype))
    metrics = model.meta_step(cast if policy == "float64" else episodes)
    assert all(np.isfinite(value) for value in metrics.values())
    assert any(np.any(a != v.numpy()) for a, v in zip(before, model.trainable_variables, strict=True))


@pytest.mark.slow
def test_meta_training_learns_blobs_on_a_ring():
    """On unseen blobs the few-shot bound is higher after adaptation, and after training, by more than a nat each."""

    def bounds(model):
        found = []
        for episode in (one(ring_episodes(16, 9), i) for i in range(16)):
            for steps in (0, 5):
                adapted = model.adapt(episode.support.numpy(), steps=steps, seed=0)
                found.append(model.game.log_evidence(adapted.snapshot, episode.query, None, 20, SEED).numpy().mean())
        return np.reshape(found, (16, 2)).mean(0)

    model = mg.MetaModel(tiny_vae(likelihood=losses.Gaussian(0.1)), mg.MAML(5, 0.005))
    model.compile(optimizer=keras.optimizers.Adam(1e-2), clip=10.0)
    untrained = bounds(model)
    step = tf.function(model.meta_step, autograph=False)
    for i in range(100):
        step(ring_episodes(8, 100 + i))
    unadapted, adapted = bounds(model)
    assert adapted > unadapted + 1.0 and adapted > untrained.max() + 1.0
