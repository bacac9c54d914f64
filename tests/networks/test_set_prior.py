"""The prior of a support set: by hand, equal to its generator at the start, and in a VAE of known evidence."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional, losses, networks, presets
from meta_gan.games import VAE
from meta_gan.networks import SetPrior
from tests.games.nets import MeanEncoder
from tests.toys import random_episodes

SEED = tf.constant([3, 4])
CODE = {"task_embedding": tf.constant([0.3, -0.2], tf.float64)}
WEIGHTS, OFFSET, NOISE = np.array([0.6, -1.1]), np.array([0.2, 0.1]), 0.5
CENTRE, DEVIATION = 1.5, 0.4
X = np.array([[0.9, -0.4], [-1.0, 1.0], [0.0, 0.3]])


def placed():
    """x = w u + b of a latent u ~ N(CENTRE, DEVIATION^2)."""
    inner = networks.MLPGenerator((2,), 1, depth=0, output="linear", dtype="float64")
    net = SetPrior(inner, embedding_dim=2, width=3)
    inner.trainable_variables[0].assign(WEIGHTS[None])
    inner.trainable_variables[1].assign(OFFSET)
    net.readout.bias.assign([CENTRE, 3.0 * np.arctanh(np.log(DEVIATION) / 3.0)])
    return net


def linear():
    """A VAE of it, whose encoder knows the exact posterior of u."""
    encoder = networks.MLPEncoder((2,), 1, depth=0, dtype="float64")
    variance = 1.0 / (1.0 / DEVIATION**2 + WEIGHTS @ WEIGHTS / NOISE**2)
    slope = variance * WEIGHTS / NOISE**2
    encoder.trainable_variables[0].assign(np.stack([slope, np.zeros(2)], axis=1))
    encoder.trainable_variables[1].assign([variance * CENTRE / DEVIATION**2 - slope @ OFFSET, np.log(variance)])
    game = VAE(placed(), encoder, losses.Gaussian(NOISE), task_encoder=MeanEncoder(2, dtype="float64"))
    return game, functional.read(game.nets)


def evidence(x):
    """log N(x; w CENTRE + b, DEVIATION^2 w w' + noise^2)."""
    covariance = DEVIATION**2 * np.outer(WEIGHTS, WEIGHTS) + NOISE**2 * np.eye(2)
    gap = x - OFFSET - CENTRE * WEIGHTS
    quadratic = np.einsum("ni,ij,nj->n", gap, np.linalg.inv(covariance), gap)
    return -0.5 * (quadratic + np.log(np.linalg.det(covariance)) + 2 * np.log(2 * np.pi))


def test_z_is_moved_and_scaled():
    z = tf.constant([[0.0], [1.0], [-2.0]], tf.float64)
    by_hand = (CENTRE + DEVIATION * z.numpy()) * WEIGHTS + OFFSET
    np.testing.assert_allclose(placed()(z, conditioning=CODE), by_hand, rtol=1e-10)


def test_a_new_prior_equals_its_generator():
    inner, _ = networks.dcgan((8, 8, 1), latent_dim=3, width=4)
    net, z = SetPrior(inner, embedding_dim=2), tf.random.stateless_normal([4, 3], [0, 1])
    for embedding in ([0.0, 0.0], [5.0, -5.0]):
        np.testing.assert_array_equal(net(z, conditioning={"task_embedding": tf.constant(embedding)}), inner(z))


def test_a_deviation_stays_within_twenty():
    net = placed()
    for raw, bound in ((1e6, 3.0), (-1e6, -3.0)):
        net.readout.bias.assign([0.0, raw])
        assert float(net.prior(CODE)[1][0, 0]) == pytest.approx(bound)


@pytest.mark.parametrize("draws", [1, 7])
def test_with_the_exact_posterior_the_bound_is_the_evidence(draws):
    game, snapshot = linear()
    np.testing.assert_allclose(game.log_evidence(snapshot, tf.constant(X), CODE, draws, SEED), evidence(X), rtol=1e-9)


def test_the_loss_is_the_negative_bound_per_number():
    """40,000 draws of z; the deviation of their mean is below .005."""
    game, snapshot = linear()
    many = tf.constant(np.repeat(X[:1], 40_000, axis=0))
    value, _, _ = game.loss("autoencoder", snapshot, many, CODE, mg.types.Settings(), SEED)
    assert float(value) == pytest.approx(-evidence(X[:1])[0] / 2, abs=0.01)


def test_task_embeddings_reconstructions_and_samples_are_of_the_class():
    game, snapshot = linear()
    ask = {name: endpoint.fn for name, endpoint in game.endpoints.items()}
    z = ask["encode"](snapshot, CODE, {"images": tf.constant(X)}, SEED)["mean"]
    again = ask["reconstruct"](snapshot, CODE, {"images": tf.constant(X)}, SEED)["images"]
    np.testing.assert_allclose(again, (CENTRE + DEVIATION * z.numpy()) * WEIGHTS + OFFSET, rtol=1e-10)
    assert set(game.endpoints["encode"].nets) == {"generator", "encoder"}
    samples = ask["sample"](snapshot, CODE, {"num": tf.constant(50_000)}, SEED)["samples"].numpy()
    np.testing.assert_allclose(samples.mean(0), CENTRE * WEIGHTS + OFFSET, atol=0.02)
    np.testing.assert_allclose(np.cov(samples.T), DEVIATION**2 * np.outer(WEIGHTS, WEIGHTS), atol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["dcgan", "mlp"])
def test_a_conditioned_vae_recipe_has_a_prior_and_is_saved_and_loaded(tmp_path, network):
    sizes = {"width": 4, "latent_dim": 3, "embedding_dim": 5}
    recipe = presets.get("vae", network=network, algorithm="fomaml", inner_steps=2, **sizes)
    model = presets.build(recipe, (8, 8, 1))
    assert isinstance(model.game.nets["generator"], SetPrior)
    episodes = random_episodes(shape=(8, 8, 1))
    estimate = model.algorithm.estimator.estimate(model.loop, model.meta_weights(), episodes, 2)
    readout = [i for i, v in enumerate(model.game.nets["generator"].trainable_variables) if "readout" in v.path]
    assert max(np.abs(estimate.weights["generator"][i]).max() for i in readout) > 1e-6
    for _ in range(2):
        model.meta_step(episodes)
    model.save(tmp_path / "model")
    support = episodes.support[0].numpy()
    expected = model.adapt(support, steps=1).reconstruct(support)
    np.testing.assert_array_equal(mg.load(tmp_path / "model").adapt(support, steps=1).reconstruct(support), expected)
    model.adapt(support, steps=1).export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["reconstruct"]
    np.testing.assert_allclose(served(images=tf.constant(support))["images"], expected, atol=1e-5)


def test_round_trip_and_rejected_arguments():
    net = placed()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(net))
    assert again.get_config() == net.get_config()
    assert [v.shape for v in again.variables] == [v.shape for v in net.variables]
    with pytest.raises(
        ValueError, match=r"'conditioning' of SetPrior must be a dict with 'task_embedding' of shape \(2,\)"
    ):
        net(tf.zeros([1, 1], tf.float64))
    with pytest.raises(ValueError, match=r"'embedding_dim' must be an integer >= 1"):
        SetPrior(net.generator, embedding_dim=0)
