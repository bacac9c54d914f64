"""The convolutional pair: sizes, a count by hand, normalisations, rejected arguments, signal sizes at the start."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.networks import DCGANDiscriminator, DCGANGenerator, dcgan
from meta_gan.networks.convolutional import NORMALIZATIONS, count_groups, count_levels

SHAPES = [
    ((28, 28, 1), 2),
    ((32, 32, 3), 3),
    ((16, 24, 2), 2),
    ((20, 12, 4), 1),
    ((64, 64, 3), 4),
    ((128, 128, 1), 4),
]


def latents(n, size):
    return tf.constant(np.random.default_rng(0).normal(size=(n, size)), tf.float32)


@pytest.mark.parametrize("shape, levels", SHAPES)
def test_count_of_levels_by_hand(shape, levels):
    assert count_levels(shape) == levels


@pytest.mark.parametrize("shape, levels", SHAPES[:4])
def test_sizes_from_base_to_image(shape, levels):
    generator, discriminator = dcgan(shape, latent_dim=3, width=2)
    base = generator.body.get_layer("base").target_shape
    assert base == (shape[0] // 2**levels, shape[1] // 2**levels, 2 * min(2**levels, 4))
    assert generator(latents(2, 3)).shape == (2, *shape)
    assert discriminator(tf.zeros([2, *shape])).shape == (2, 1)


def test_parameters_counted_by_hand():
    # one level, width 2: the base is 4x4 with 4 channels
    generator, discriminator = dcgan((8, 8, 3), latent_dim=5, width=2)
    dense = 5 * 64 + 64
    up = 4 * 4 * 4 * 2 + 2
    norms = 2 * 4 + 2 * 2
    image = 3 * 3 * 2 * 3 + 3
    assert generator.count_params() == dense + up + norms + image
    assert discriminator.count_params() == (4 * 4 * 3 * 2 + 2) + (4 * 4 * 2 + 1)


def test_channels_double_towards_the_base_up_to_four_widths():
    generator, discriminator = dcgan((64, 64, 1), latent_dim=2, width=3)
    up = [generator.body.get_layer(f"up_{level}").filters for level in (3, 2, 1, 0)]
    down = [discriminator.body.get_layer(f"down_{level}").filters for level in (0, 1, 2, 3)]
    assert up == [12, 12, 6, 3] and down == [3, 6, 12, 12]


@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_normalisations_and_their_biases(kind):
    generator = DCGANGenerator((16, 16, 1), latent_dim=3, width=6, normalization=kind)
    discriminator = DCGANDiscriminator((16, 16, 1), width=6, normalization=kind)
    for network, levels in [(generator, (2, 1, 0)), (discriminator, (1,))]:
        names = {layer.name for layer in network.body.layers}
        wanted = set() if kind == "none" else {f"normalize_{level}" for level in levels}
        assert {name for name in names if name.startswith("normalize")} == wanted
    assert generator.body.get_layer("up_1").use_bias is (kind not in ("instance", "batch"))
    assert discriminator.body.get_layer("down_0").use_bias  # the first has no normalisation after it
    assert discriminator(generator(latents(4, 3), training=True), training=True).shape == (4, 1)


@pytest.mark.parametrize("channels, groups", [(1, 1), (2, 1), (3, 1), (4, 2), (6, 3), (9, 3), (14, 7), (64, 8)])
def test_count_of_groups_by_hand(channels, groups):
    assert count_groups(channels) == groups


def test_groups_divide_the_channels():
    generator = DCGANGenerator((16, 16, 1), latent_dim=3, width=6, normalization="group")
    assert [generator.body.get_layer(f"normalize_{level}").groups for level in (2, 1, 0)] == [8, 6, 3]


@pytest.mark.parametrize("kind", ["layer", "instance", "group", "none"])
def test_an_image_does_not_depend_on_its_batch(kind):
    generator = DCGANGenerator((8, 8, 1), latent_dim=3, width=4, normalization=kind)
    z = latents(5, 3)
    np.testing.assert_allclose(generator(z, training=True)[2:3], generator(z[2:3], training=True), atol=1e-5)


def test_batch_normalisation_moves_its_averages_in_training_only():
    generator = DCGANGenerator((8, 8, 1), latent_dim=3, width=4, normalization="batch")
    before = [v.numpy() for v in generator.non_trainable_variables]
    generator(latents(5, 3))
    for one, two in zip(before, generator.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(one, two)
    generator(latents(5, 3), training=True)
    assert all(np.any(one != two.numpy()) for one, two in zip(before, generator.non_trainable_variables, strict=True))


@pytest.mark.parametrize("kind", ["none", "layer"])
@pytest.mark.parametrize("width", [8, 32])
def test_signals_start_of_a_size_that_does_not_depend_on_width(kind, width):
    generator, discriminator = dcgan((32, 32, 1), width=width, normalization=kind)
    images = generator(latents(64, 64))
    assert 0.2 < np.std(images) < 0.8
    assert 0.05 < np.std(discriminator(images)) < 2


def test_half_a_million_parameters_are_within_reach():
    assert sum(network.count_params() for network in dcgan((32, 32, 1), width=26)) == pytest.approx(5e5, rel=0.01)


@pytest.mark.parametrize("shape", [(7, 8, 1), (8, 7, 1), (6, 8, 1), (30, 8, 5), (8, 8), (8,), (0, 8, 1)])
@pytest.mark.parametrize("make", [DCGANGenerator, DCGANDiscriminator])
def test_impossible_shapes_are_rejected(make, shape):
    with pytest.raises(ValueError, match=r"'example_shape' must .*Received: "):
        make(shape)


@pytest.mark.parametrize(
    "options, name",
    [({"width": 0}, "width"), ({"normalization": "weight"}, "normalization"), ({"seed": -1}, "seed")],
)
@pytest.mark.parametrize("make", [DCGANGenerator, DCGANDiscriminator])
def test_bad_arguments_are_rejected(make, options, name):
    with pytest.raises(ValueError, match=rf"'{name}' must be .*Received: "):
        make((8, 8, 1), **options)


def test_bad_latent_dim_is_rejected():
    with pytest.raises(ValueError, match=r"'latent_dim' must be an integer >= 1 and .*\. Received: 0"):
        DCGANGenerator((8, 8, 1), latent_dim=0)
