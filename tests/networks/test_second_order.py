"""The gradient through one adaptation step of a GAN with WGAN-GP, against finite differences in float64."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.losses import R1, GradientPenalty, NonSaturating, Wasserstein
from meta_gan.networks import dcgan, mlp
from tests.layers.finite_differences import directional_error
from tests.toys import weekly

RATE = 0.05
PAIRS = {
    "dcgan": lambda: dcgan((8, 8, 1), latent_dim=3, width=2, dtype="float64"),
    "dcgan instance": lambda: dcgan((8, 8, 1), 3, 2, normalization="instance", dtype="float64"),
    "dcgan group": lambda: dcgan((8, 8, 1), 3, 2, normalization="group", dtype="float64"),
    "mlp": lambda: mlp((2,), 3, width=4, activation="softplus", output="linear", dtype="float64"),
}
OBJECTIVES = {"wgan-gp": (Wasserstein(), GradientPenalty()), "r1": (NonSaturating(), R1())}


def unrolled_objective(generator, discriminator, loss, penalty):
    """Return f(all weights): both players' losses, weighted, after one gradient step of each."""
    split = len(generator.trainable_variables)
    draw = np.random.default_rng(0)
    z = tf.constant(draw.normal(size=(3, generator.latent_dim)), generator.compute_dtype)
    real = tf.constant(draw.uniform(-1, 1, size=(3, *generator.example_shape)), generator.compute_dtype)

    def losses(weights):
        fake = generator.stateless_call(weights[:split], [], z, training=True)[0]

        def critic(x):
            return discriminator.stateless_call(weights[split:], [], x, training=True)[0]

        logits = critic(fake)
        of_critic = loss.discriminator(critic(real), logits) + penalty(critic, real, fake, (0, 1))
        return loss.generator(logits), of_critic

    def step(weights):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(weights)
            of_generator, of_critic = losses(weights)
        gradients = tape.gradient(of_generator, weights[:split]) + tape.gradient(of_critic, weights[split:])
        return [w - RATE * g for w, g in zip(weights, gradients, strict=True)]

    def objective(weights):
        of_generator, of_critic = losses(step(weights))
        return 2.0 * of_generator + of_critic  # unequal, for on a zero-sum game their plain sum says nothing

    return objective


def away_from_symmetry(variables):
    """Weights at which biases matter: zero biases would put whole layers on the rectifier's kink."""
    draw = np.random.default_rng(5)
    return [tf.convert_to_tensor(v + draw.normal(0.0, 0.1, v.shape)) for v in variables]


@pytest.mark.parametrize("name", ["dcgan", "mlp", *weekly("dcgan instance", "dcgan group")])
@pytest.mark.parametrize("kind", OBJECTIVES)
def test_meta_gradient_equals_finite_differences(name, kind):
    pair = PAIRS[name]()
    objective = tf.function(unrolled_objective(*pair, *OBJECTIVES[kind]), autograph=False)
    weights = away_from_symmetry([v for network in pair for v in network.trainable_variables])
    assert max(directional_error(objective, weights, step=1e-6)) < 1e-4


def test_meta_gradient_is_finite_in_float32_from_the_initial_weights():
    pair = dcgan((8, 8, 1), latent_dim=3, width=4, normalization="layer")
    objective = unrolled_objective(*pair, *OBJECTIVES["wgan-gp"])
    weights = [tf.convert_to_tensor(v) for network in pair for v in network.trainable_variables]

    @tf.function(autograph=False)
    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(weights)
            value = objective(weights)
        return tape.gradient(value, weights)

    gradients = gradient()
    assert all(np.all(np.isfinite(g)) for g in gradients)
    assert sum(np.any(g.numpy() != 0) for g in gradients) == len(weights)
