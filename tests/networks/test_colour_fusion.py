"""The colour fusion generator: light by hand, what anchor, partner and source decide, sizes, derivatives, saving."""

from functools import cache
from statistics import NormalDist

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import check_differentiable
from meta_gan.networks import ColourFusionGenerator, FusionDiscriminator, colour_fusion
from meta_gan.networks.colour_fusion import CHOICES, local_light

SHAPE = (8, 8, 3)


def normals(*shape, seed=0, dtype="float32"):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), dtype)


def pictures(k, shape=SHAPE, seed=0, dtype="float32"):
    return tf.constant(np.random.default_rng(seed).uniform(-0.9, 0.9, (k, *shape)), dtype)


def chosen(*triples, k, rest=3, dtype="float32"):
    """z whose first three numbers choose these of k images, the rest being the same in all rows."""
    u = [[NormalDist().inv_cdf((i + 0.5) / k) for i in triple] for triple in triples]
    return tf.concat([tf.constant(u, dtype), tf.repeat(normals(1, rest, dtype=dtype), len(u), axis=0)], axis=1)


def generator(kind="meta", embedding_dim=0, shape=SHAPE, moved=False, **options):
    made = ColourFusionGenerator(shape, CHOICES + 3, 1, embedding_dim, kind, **options)
    for index, variable in enumerate(made.trainable_variables if moved else []):
        variable.assign(variable + 0.1 * normals(*variable.shape, seed=index))
    return made


shared = cache(generator)


def still(**options):
    """A generator that moves nothing: its readouts are 0, and no share of matched shifts is taken."""
    made = generator(**options)
    for layer in (made.local, made.correction, made.globals):
        for variable in layer.trainable_variables:
            variable.assign(tf.zeros_like(variable))
    made.globals.bias[6:10].assign([-0.25] * 4)  # shares of the shifts
    made.globals.bias[-1:].assign([-0.25])  # sharpness
    made.correction.bias[-1:].assign([-100.0])  # the residual's gate
    return made


def test_local_light_by_hand():
    # Blocks of 2x2: levels 0 and 1 in equal parts have mean 1/2 and variance 1/4; even ones have no variance.
    images = tf.reshape(tf.constant([[0.0, 1.0, 0.5, 0.5], [1.0, 0.0, 0.5, 0.5]]), [1, 2, 4, 1])
    mean, contrast = local_light(images, 2)
    np.testing.assert_allclose(mean[0, 0, :, 0], [0.5, 0.5])
    np.testing.assert_allclose(contrast[0, 0, :, 0], 0.5 * np.log([0.26, 0.01]), rtol=1e-5)


@pytest.mark.parametrize("detail", [1, 2])
def test_without_any_movement_a_sample_whose_source_is_its_anchor_is_the_anchor(detail):
    # Even colours at the fine points too.
    images = pictures(2) if detail == 1 else tf.tile(pictures(2, (1, 1, 3)), [1, 8, 8, 1])
    samples = still(detail=detail)(chosen((0, 1, 0), (1, 0, 1), k=2), conditioning={"support": images})
    np.testing.assert_allclose(samples, images, atol=1e-5)


def test_colours_come_from_the_source():
    red, blue = (
        np.zeros((8, 8, 3), np.float32) + np.float32(colour) for colour in ([0.8, -0.4, -0.4], [-0.4, 0.0, 0.8])
    )
    images = tf.stack([red, blue])
    made = still(detail=1)
    samples = made(chosen((0, 0, 0), (0, 0, 1), k=2), conditioning={"support": images})
    np.testing.assert_allclose(samples[0], red, atol=1e-5)
    # At first half of the source's colour is taken over, and with a share of 1 all of it.
    np.testing.assert_allclose(samples[1], (red + blue) / 2, atol=1e-5)
    made.local.bias[2:3].assign([100.0])
    whole = made(chosen((0, 0, 1), k=2), conditioning={"support": images})
    np.testing.assert_allclose(whole[0], blue, atol=1e-5)


def test_contrast_comes_from_the_source():
    checks = np.indices((8, 8)).sum(axis=0)[..., None] % 2 * 2.0 - 1.0
    weak, strong = (np.repeat(level * checks, 3, axis=-1).astype(np.float32) for level in (0.1, 0.5))
    made = still(detail=1)
    made.local.bias[3:4].assign([100.0])
    sample = made(chosen((0, 0, 1), k=2), conditioning={"support": tf.stack([weak, strong])})[0]
    # The factor is the ratio of the deviations, with the floor .01 on the variances.
    np.testing.assert_allclose(sample, weak * np.sqrt((0.25 + 0.01) / (0.01 + 0.01)), atol=1e-4)


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (32, 32, 3), (12, 32, 4), (64, 64, 3), (48, 16, 3)])
def test_sizes_and_range(shape):
    network = ColourFusionGenerator(shape, latent_dim=4, width=1)
    samples = network(normals(3, 4), conditioning={"support": pictures(2, shape)})
    assert samples.shape == (3, *shape) and np.all(np.isfinite(samples)) and np.max(np.abs(samples)) <= 1


@pytest.mark.parametrize("shape", [(10, 8, 3), (68, 64, 3), (36, 36, 3), (64, 8, 3), (8, 8, 5)])
def test_other_sizes_are_refused(shape):
    with pytest.raises(ValueError, match=r"'example_shape' must have .*Received: \("):
        ColourFusionGenerator(shape, latent_dim=4, width=1)


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("kind", ["meta", "none"])
def test_a_row_depends_on_its_own_z_alone(kind, k):
    network, given = shared(kind, moved=True), {"support": pictures(k)}
    z = normals(6, CHOICES + 3)
    together = network(z, conditioning=given)
    np.testing.assert_allclose(network(z[2:4], conditioning=given), together[2:4], atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_the_order_of_the_support_set_only_renames_the_choices():
    network, images = shared(moved=True), pictures(3)
    samples = network(chosen((0, 1, 2), k=3), conditioning={"support": images})
    reversed_ = network(chosen((2, 1, 0), k=3), conditioning={"support": images[::-1]})
    np.testing.assert_allclose(samples, reversed_, atol=1e-5)


def test_temperature_multiplies_all_but_the_choices_outside_training():
    cold, hot = generator(moved=True), generator(moved=True, temperature=2.0)
    z, given = normals(4, CHOICES + 3), {"support": pictures(3)}
    stretched = tf.concat([z[:, :CHOICES], 2.0 * z[:, CHOICES:]], axis=1)
    np.testing.assert_allclose(hot(z, conditioning=given), cold(stretched, conditioning=given), atol=1e-6)
    kept = hot(z, conditioning=given, training=True)
    np.testing.assert_allclose(kept, cold(z, conditioning=given, training=True), atol=1e-6)


def test_every_weight_has_a_gradient_and_the_layers_may_be_differentiated_twice():
    network = generator(moved=True, embedding_dim=2)
    check_differentiable(network)
    given = {"support": pictures(3), "task_embedding": normals(2)}
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(tf.square(network(normals(4, CHOICES + 3), conditioning=given)))
    for variable, gradient in zip(
        network.trainable_variables, tape.gradient(value, network.trainable_variables), strict=True
    ):
        assert gradient is not None and np.all(np.isfinite(gradient)), variable.path
        # Of the keys a constant drops out of the matching.
        assert np.any(gradient != 0) or "bias" in variable.path, variable.path


def test_second_derivatives_equal_finite_differences():
    network = generator("meta", shape=(8, 8, 1), moved=True, dtype="float64", detail=1)
    # Nothing is clipped, and a bend of a leaky rectifier is unlikely to be met at this scale.
    given = {"support": 0.3 * pictures(2, (8, 8, 1), dtype="float64")}
    z, weights = normals(2, CHOICES + 3, dtype="float64"), network.style[0].kernel
    way = normals(*weights.shape, seed=5, dtype="float64")

    def slope():
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(tf.square(network(z, conditioning=given)))
        return tape.gradient(value, weights.value)

    with tf.GradientTape() as tape:
        tape.watch(weights.value)
        with tf.GradientTape() as inner:
            inner.watch(weights.value)
            value = tf.reduce_sum(tf.square(network(z, conditioning=given)))
        product = tf.reduce_sum(inner.gradient(value, weights.value) * way)
    exact = tape.gradient(product, weights.value)
    step, slopes, start = 1e-6, [], tf.identity(weights.value)
    for sign in (1, -1):
        weights.assign(start + sign * step * way)
        slopes.append(slope())
    weights.assign(start)
    difference = (slopes[0] - slopes[1]) / (2 * step)
    np.testing.assert_allclose(exact, difference, rtol=1e-4, atol=1e-6 * np.abs(difference).max())


def test_saving(tmp_path):
    network = generator(moved=True, embedding_dim=2, temperature=1.5)
    network.save(tmp_path / "made.keras")
    loaded = keras.models.load_model(tmp_path / "made.keras")
    z, given = normals(4, CHOICES + 3), {"support": pictures(3), "task_embedding": normals(2)}
    np.testing.assert_array_equal(loaded(z, conditioning=given), network(z, conditioning=given))
    assert loaded.get_config() == network.get_config()


def test_the_pair():
    made, discriminator = colour_fusion(SHAPE, 6, 2, 3, "meta", 1, 4, 1.5)
    assert type(discriminator) is FusionDiscriminator and made.stratified == CHOICES
    for net in (made, discriminator):
        assert (net.width, net.embedding_dim, net.seed, tuple(net.example_shape)) == (2, 3, 4, SHAPE)
    assert (made.latent_dim, made.detail, made.temperature, discriminator.normalization) == (6, 1, 1.5, "meta")
