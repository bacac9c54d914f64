"""The networks recomputed from raw TensorFlow ops, exported, compiled, and trained inside a loop."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.losses import GradientPenalty, Wasserstein
from meta_gan.networks import DCGANDiscriminator, DCGANGenerator, Discriminator, dcgan, mlp

EPSILON = 1e-3


def normals(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape))


def perturbed(network):
    """Move every weight, so that biases, scales and offsets take part."""
    for index, variable in enumerate(network.trainable_variables):
        variable.assign(variable + 0.1 * normals(*variable.shape, seed=index))
    return {variable.path.split("body/")[-1]: variable.numpy() for variable in network.variables}


def standardize(x, kind, weights, name):
    """Normalise NumPy images as `kind` does; here all groups are of two channels."""
    if kind == "none":
        return x
    groups = {"layer": 1, "instance": x.shape[-1], "group": x.shape[-1] // 2}[kind]
    split = x.reshape(*x.shape[:3], groups, x.shape[-1] // groups)
    mean = split.mean(axis=(1, 2, 4), keepdims=True)
    whitened = ((split - mean) / np.sqrt(split.var(axis=(1, 2, 4), keepdims=True) + EPSILON)).reshape(x.shape)
    return whitened * weights[f"{name}/scale"] + weights[f"{name}/offset"]


@pytest.mark.parametrize("kind", ["none", "layer", "instance", "group"])
def test_generator_equals_raw_ops(kind):
    network = DCGANGenerator((8, 12, 3), latent_dim=5, width=4, normalization=kind, dtype="float64")
    weights = perturbed(network)
    z = normals(3, 5)
    x = z.numpy() @ weights["project/kernel"] + weights.get("project/bias", 0.0)
    x = np.maximum(standardize(x.reshape(3, 4, 6, 8), kind, weights, "normalize_1"), 0)
    x = tf.nn.conv2d_transpose(x, weights["up_0/kernel"], [3, 8, 12, 4], 2).numpy()
    x = x + weights.get("up_0/bias", 0.0)
    x = standardize(x, kind, weights, "normalize_0")
    image = tf.nn.conv2d(np.maximum(x, 0), weights["image/kernel"], 1, "SAME") + weights["image/bias"]
    np.testing.assert_allclose(network(z), np.tanh(image), rtol=1e-9, atol=1e-12)


def test_discriminator_equals_raw_ops():
    network = DCGANDiscriminator((16, 16, 2), width=3, dtype="float64")
    weights = perturbed(network)
    images = normals(4, 16, 16, 2)
    x = images
    for level in (0, 1):
        x = tf.nn.conv2d(x, weights[f"down_{level}/kernel"], 2, "SAME") + weights[f"down_{level}/bias"]
        x = tf.maximum(x, 0.2 * x)
    logits = tf.reshape(x, [4, -1]) @ weights["logit/kernel"] + weights["logit/bias"]
    # TensorFlow holds the slope of a leaky rectifier in float32, even for float64 inputs.
    np.testing.assert_allclose(network(images), logits, rtol=1e-6)


@pytest.mark.parametrize("index", [0, 1])
def test_saved_model_without_our_classes_gives_equal_outputs(index, tmp_path):
    network = dcgan((8, 8, 1), latent_dim=3, width=4)[index]
    shape = network.example_shape if isinstance(network, Discriminator) else (network.latent_dim,)
    x = tf.cast(normals(5, *shape), tf.float32)
    expected = network(x)  # Keras exports the shapes of the first call
    network.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    np.testing.assert_allclose(served.serve(x), expected, rtol=1e-5, atol=1e-6)


def test_compiled_equals_eager():
    generator, discriminator = dcgan((8, 8, 1), latent_dim=3, width=4)
    both = tf.function(lambda z: discriminator(generator(z)), jit_compile=True)
    z = tf.cast(normals(5, 3), tf.float32)
    np.testing.assert_allclose(both(z), discriminator(generator(z)), rtol=1e-4, atol=1e-5)


def critic_gradient(critic, real, fake, weights, seed):
    """The gradient of a WGAN-GP critic's loss at plain `weights`."""
    with tf.GradientTape() as tape:
        tape.watch(weights)

        def score(x):
            return critic.stateless_call(weights, [], x, training=True)[0]

        loss = Wasserstein().discriminator(score(real), score(fake))
        loss += GradientPenalty()(score, real, fake, seed)
    return tape.gradient(loss, weights)


@pytest.mark.parametrize(
    "critic",
    [DCGANDiscriminator((8, 8, 1), width=2, dtype="float64"), mlp((8, 8, 1), width=4, dtype="float64")[1]],
    ids=["dcgan", "mlp"],
)
def test_inner_loop_in_a_while_loop_equals_python_and_moves_no_variable(critic):
    real, fake = normals(4, 8, 8, 1, seed=1), normals(4, 8, 8, 1, seed=2)
    before = [variable.numpy() for variable in critic.trainable_variables]

    def step(index, weights):
        gradient = critic_gradient(critic, real, fake, weights, tf.stack([index, 1]))
        return index + 1, [w - 0.01 * g for w, g in zip(weights, gradient, strict=True)]

    @tf.function(autograph=False)
    def looped(weights):
        return tf.while_loop(lambda i, w: i < 3, step, (tf.constant(0), weights))[1]

    weights = [tf.constant(value) for value in before]
    unrolled = weights
    for index in range(3):
        unrolled = step(tf.constant(index), unrolled)[1]
    for one, two in zip(looped(weights), unrolled, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)
    assert any(np.any(two.numpy() != start) for two, start in zip(unrolled, before, strict=True))
    for variable, start in zip(critic.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, start)
