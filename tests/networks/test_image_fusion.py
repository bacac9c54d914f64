"""The fusion generator: choices by hand, dependence on rows and support images, sizes, saving."""

from functools import cache
from statistics import NormalDist

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import check_differentiable
from meta_gan.networks import FusionGenerator, Generator
from meta_gan.networks.anchored import CHOICES, choose
from meta_gan.networks.image_fusion import NORMALIZATIONS

SHAPE = (8, 12, 1)
kinds = pytest.mark.parametrize("kind", NORMALIZATIONS)


def normals(*shape, seed=0, dtype="float32"):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), dtype)


def drawings(k, shape=SHAPE, seed=0, dtype="float32"):
    """Blank images, each with one straight stroke."""
    draw, (height, width, channels) = np.random.default_rng(seed), shape
    rows, columns = np.mgrid[:height, :width]
    images = -np.ones((k, height, width))
    for image in images:
        (r, c), (s, t) = draw.uniform(0.15, 0.85, (2, 2)) * [height, width]
        for share in np.linspace(0, 1, 40):
            distance = np.hypot(rows - r - share * (s - r), columns - c - share * (t - c))
            np.maximum(image, np.clip(2 - 2 * distance, -1, 1), out=image)
    return tf.constant(np.repeat(images[..., None], channels, axis=-1), dtype)


def chosen(anchors, partners, k, rest=3, seed=0, dtype="float32"):
    """z whose first two numbers choose these of k images: the middles of equally likely intervals."""
    u = [[NormalDist().inv_cdf((i + 0.5) / k) for i in pair] for pair in zip(anchors, partners, strict=True)]
    return tf.concat([tf.constant(u, dtype), normals(len(u), rest, seed=seed, dtype=dtype)], axis=1)


def generator(kind="meta", embedding_dim=2, shape=SHAPE, moved=False, **options):
    """A tiny generator; `moved` to random weights, so that all of them take part."""
    made = FusionGenerator(
        shape, latent_dim=5, width=options.pop("width", 1), embedding_dim=embedding_dim, normalization=kind, **options
    )
    for index, variable in enumerate(made.trainable_variables if moved else []):
        variable.assign(variable + 0.1 * normals(*variable.shape, seed=index))
    return made


# For tests that only call them: each takes a third of a second to make.
shared = cache(generator)


def given(k, embedding_dim=2, shape=SHAPE, dtype="float32"):
    """A conditioning of k drawings."""
    conditioning = {"support": drawings(k, shape, dtype=dtype)}
    return (
        {**conditioning, "task_embedding": normals(embedding_dim, seed=9, dtype=dtype)}
        if embedding_dim
        else conditioning
    )


# Choices


def test_choices_by_hand():
    # the quartiles of a normal lie at -.674, 0, .674
    u = tf.constant([-3.0, -0.68, -0.67, -0.01, 0.01, 0.67, 0.68, 3.0])
    np.testing.assert_array_equal(choose(u, 4), [0, 0, 1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(choose(u, 2), [0, 0, 0, 0, 1, 1, 1, 1])
    assert choose(u, 4).dtype == "int32"


@pytest.mark.parametrize("count", [1, 2, 5, 7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_evenly_spread_numbers_choose_equally_often(count, dtype):
    shares = (np.arange(12 * count) + 0.5) / (12 * count)
    u = tf.constant([NormalDist().inv_cdf(share) for share in shares], dtype)
    choices = choose(u, tf.constant(count))
    np.testing.assert_array_equal(np.bincount(choices, minlength=count), np.full(count, 12))
    assert np.all(np.diff(choices) >= 0)  # and in their order


def test_random_numbers_choose_about_equally_often():
    counts = np.bincount(choose(normals(7000), 7), minlength=7)
    assert np.all(np.abs(counts - 1000) < 150)  # five deviations


@pytest.mark.parametrize("count", [1, 3, 7, 1000])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_extreme_numbers_choose_the_first_and_the_last(count, dtype):
    u = tf.constant([-1000.0, -40.0, -10.0, 10.0, 40.0, 1000.0], dtype)
    np.testing.assert_array_equal(choose(u, count), [0, 0, 0, count - 1, count - 1, count - 1])


# The contract


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (16, 16, 1), (16, 32, 2), (12, 8, 4)])
def test_sizes_and_range(shape):
    network = FusionGenerator(shape, latent_dim=4, width=2)
    images = network(normals(3, 4), conditioning=given(2, 0, shape))
    assert images.shape == (3, *shape) and images.dtype == "float32"
    assert np.all(np.isfinite(images)) and np.max(np.abs(images)) < 1
    assert isinstance(network, Generator) and network.example_shape == shape and network.latent_dim == 4


@kinds
@pytest.mark.parametrize("k", [1, 5, 7])
@pytest.mark.parametrize("embedding_dim", [0, 2])
def test_any_number_of_support_images(kind, k, embedding_dim):
    network = shared(kind, embedding_dim, moved=True)
    images = network(normals(6, 5), conditioning=given(k, embedding_dim))
    assert images.shape == (6, *SHAPE)
    assert np.all(np.isfinite(images)) and np.max(np.abs(images)) <= 1


@pytest.mark.parametrize("detail", [1, 3])
def test_other_details(detail):
    images = generator(detail=detail)(normals(2, 5), conditioning=given(3))
    assert images.shape == (2, *SHAPE) and np.all(np.isfinite(images))


def test_temperature_widens_z_outside_training():
    """The choices stay as they are, the rest of z is multiplied; in training nothing is."""
    warm, plain = (generator(moved=True, temperature=t) for t in (1.5, 1.0))
    z = normals(6, 5)
    wide = tf.concat([z[:, :2], 1.5 * z[:, 2:]], axis=1)
    np.testing.assert_array_equal(warm(z, conditioning=given(3)), plain(wide, conditioning=given(3)))
    trained = [net(z, conditioning=given(3), training=True) for net in (warm, plain)]
    np.testing.assert_array_equal(*trained)
    assert np.abs(trained[0] - warm(z, conditioning=given(3))).max() > 1e-3


@pytest.mark.parametrize(
    ("count", "factor"), [(1, 1.8), (2, 1.2 + 0.6 * 0.375), (4, 1.2 + 0.6 * 0.0625), (5, 1.2), (9, 1.2)]
)
def test_the_temperature_of_few_support_images(count, factor):
    """From 1.8 with one image to 1.2 with five: the share of the difference is (5 / k - 1) / 4."""
    warm, plain = generator(moved=True, temperature=1.2, one_shot_temperature=1.8), generator(moved=True)
    z = normals(6, 5)
    wide = tf.concat([z[:, :2], factor * z[:, 2:]], axis=1)
    np.testing.assert_allclose(warm(z, conditioning=given(count)), plain(wide, conditioning=given(count)), atol=1e-5)
    trained = [net(z, conditioning=given(count), training=True) for net in (warm, plain)]
    np.testing.assert_array_equal(*trained)


def test_a_temperature_of_one_support_image_is_checked():
    with pytest.raises(ValueError, match="'one_shot_temperature' must be a finite number > 0"):
        generator(one_shot_temperature=0.0)


@kinds
def test_weights_exist_before_the_first_call_and_layers_are_sound(kind):
    network = generator(kind)
    assert network.built
    count = len(network.variables)
    network(normals(2, 5), conditioning=given(3))
    assert len(network.variables) == count and count == len(network.trainable_variables)
    assert len({variable.path for variable in network.variables}) == count
    assert check_differentiable(network) is None


def test_width_and_task_embedding_change_the_number_of_parameters():
    plain, coded = generator(embedding_dim=0), generator(embedding_dim=2)
    assert coded.count_params() - plain.count_params() == 2 * 128  # two more rows of the first dense layer
    assert generator("none").count_params() < coded.count_params() < generator(width=2).count_params()


@kinds
def test_weights_depend_on_the_seed_alone(kind):
    keras.utils.set_random_seed(1)
    first = generator(kind, seed=7).get_weights()
    keras.utils.set_random_seed(2)
    keras.random.normal((3,))
    again, other = (generator(kind, seed=seed).get_weights() for seed in (7, 8))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any(np.any(one != two) for one, two in zip(first, other, strict=True))


@kinds
def test_config_round_trip_gives_the_same_initial_weights(kind):
    network = generator(kind, seed=3, detail=3, temperature=1.2, name="mine", dtype="float64")
    again = FusionGenerator.from_config(network.get_config())
    assert again.get_config() == network.get_config() and (again.detail, again.temperature) == (3, 1.2)
    assert again.dtype_policy.name == "float64"
    for one, two in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@kinds
def test_file_round_trip_gives_equal_outputs(kind, tmp_path):
    network, z = shared(kind, 2, moved=True), normals(4, 5)
    network.save(tmp_path / "generator.keras")
    loaded = keras.models.load_model(tmp_path / "generator.keras")
    assert type(loaded) is FusionGenerator and loaded.get_config() == network.get_config()
    np.testing.assert_array_equal(loaded(z, conditioning=given(3)), network(z, conditioning=given(3)))


@kinds
def test_row_depends_on_its_own_z_alone(kind):
    network, conditioning, z = (
        shared(kind, 2, moved=True, dtype="float64"),
        given(4, dtype="float64"),
        normals(5, 5),
    )
    whole = network(z, conditioning=conditioning)
    for i in range(5):
        np.testing.assert_allclose(network(z[i : i + 1], conditioning=conditioning), whole[i : i + 1], atol=1e-10)
    other = tf.concat([-z[:2], z[2:]], axis=0)
    np.testing.assert_allclose(network(other, conditioning=conditioning)[2:], whole[2:], atol=1e-10)


def test_the_first_numbers_only_choose():
    assert FusionGenerator.stratified == CHOICES == 2 and FusionGenerator.sees_support
    network, z = shared("meta", 2, moved=True), chosen([0, 1, 2], [2, 2, 0], 3)
    within = z + tf.constant([[0.05, -0.05, 0.0, 0.0, 0.0]])  # which stays in the interval
    np.testing.assert_array_equal(choose(within[:, 0], 3), [0, 1, 2])
    one, two = (network(x, conditioning=given(3)) for x in (z, within))
    np.testing.assert_array_equal(one, two)


@kinds
@pytest.mark.parametrize("order", [[2, 0, 1], [1, 0, 2]])
def test_the_order_of_the_support_set_changes_the_choice_alone(kind, order):
    network, conditioning = shared(kind, 2, moved=True, dtype="float64"), given(3, dtype="float64")
    anchors, partners = [0, 1, 2, 0, 2], [0, 2, 1, 1, 2]
    places = np.argsort(order)  # where each image has gone
    shuffled = {**conditioning, "support": tf.gather(conditioning["support"], order)}
    one = network(chosen(anchors, partners, 3, dtype="float64"), conditioning=conditioning)
    two = network(chosen(places[anchors], places[partners], 3, dtype="float64"), conditioning=shuffled)
    np.testing.assert_allclose(one, two, atol=1e-10)
    assert np.max(np.abs(one - network(chosen(anchors, partners, 3, dtype="float64"), conditioning=shuffled))) > 0.1


@kinds
def test_a_row_depends_on_everything_it_receives(kind):
    network, conditioning = shared(kind, 2, moved=True), given(3)
    start = network(chosen([0], [1], 3), conditioning=conditioning)

    def change(z, **entries):
        return np.max(np.abs(network(z, conditioning={**conditioning, **entries}) - start))

    assert change(chosen([2], [1], 3)) > 1e-2  # the anchor
    assert change(chosen([0], [2], 3)) > 1e-3  # the partner
    assert change(chosen([0], [1], 3, seed=5)) > 1e-3  # the rest of z
    assert change(chosen([0], [1], 3), task_embedding=-conditioning["task_embedding"]) > 1e-4
    third = tf.concat([conditioning["support"][:2], -conditioning["support"][2:]], axis=0)
    assert change(chosen([0], [1], 3), support=third) > 1e-4  # an image that is neither anchor nor partner


@kinds
@pytest.mark.parametrize("shape, width", [((16, 16, 1), 2), ((28, 28, 1), 4)])
def test_samples_start_near_the_only_support_image(kind, shape, width):
    network, conditioning = FusionGenerator(shape, 5, width, normalization=kind), given(1, 0, shape)
    images = network(normals(6, 5), conditioning=conditioning)
    distance = np.mean(np.abs(images - conditioning["support"]), axis=(1, 2, 3))
    assert np.all(distance < 0.15), distance  # of a range of 2
    assert np.std(images, axis=0).mean() < 0.05  # nor do they vary much


@pytest.mark.parametrize("shape, width", [((16, 16, 1), 2), ((28, 28, 1), 4)])
def test_without_the_matched_warp_samples_start_near_their_anchor(shape, width):
    network, conditioning = FusionGenerator(shape, 5, width), given(5, 0, shape)
    network.globals.bias.assign([0.0] * 6 + [-0.5, -0.5, 0.0, 0.0])  # both shares of it
    anchors = [0, 1, 2, 3, 4, 0, 2]
    images = network(chosen(anchors, [1, 1, 0, 3, 2, 4, 3], 5), conditioning=conditioning).numpy()
    support = conditioning["support"].numpy()
    distance = np.abs(images[:, None] - support[None]).mean(axis=(2, 3, 4))
    np.testing.assert_array_equal(np.argmin(distance, axis=1), anchors)
    assert np.all(distance.min(axis=1) < 0.1), distance


def test_the_anchor_moves_towards_the_partner():
    # A bar, and the same bar two cells of the matching further down. Positions do not count in the match, and the warp
    # is the whole shift to the partner, without the mean shift.
    upper, lower = (-np.ones((32, 32, 1)) for _ in range(2))
    upper[9:14], lower[17:22] = 1.0, 1.0
    support = tf.constant(np.stack([upper, lower]), "float32")
    network = FusionGenerator((32, 32, 1), 5, 4)
    network.globals.bias.assign([0.0] * 6 + [0.5, -0.5, 0.0, 0.0])
    network.matching.position.assign(tf.zeros_like(network.matching.position))
    moved, still = network(chosen([0, 0], [1, 0], 2), conditioning={"support": support}).numpy()
    assert moved[17:22].mean() > moved[9:14].mean() + 1
    assert still[9:14].mean() > still[17:22].mean() + 1


def test_the_warp_combines_the_shifts_from_the_partner_and_from_all_images(monkeypatch):
    network = generator(embedding_dim=0)
    shifts, seen = normals(3, 3, 2 * 3, 2, dtype="float32"), {}

    def match(quarter):
        return shifts, tf.zeros([3, 2 * 3, 32])

    def shift(x, towards, mean, settings):
        seen.update(towards=towards, mean=mean, settings=settings)
        return FusionGenerator._shift(network, x, towards, mean, settings)

    monkeypatch.setattr(network, "matching", match)
    monkeypatch.setattr(network, "_shift", shift)
    network(chosen([0, 2, 1], [1, 0, 1], 3), conditioning=given(3, 0))
    np.testing.assert_array_equal(seen["towards"], tf.stack([shifts[1, 0], shifts[0, 2], shifts[1, 1]]))
    mean = (shifts[0] + shifts[1] + shifts[2]) / 3  # from all images, to each
    np.testing.assert_allclose(seen["mean"], tf.gather(mean, [0, 2, 1]), atol=1e-6)
    # features of nothing, readouts of nothing: half of each, spread over twice the places, and averaged over 3x3
    x, nothing = tf.zeros([1, 4, 6, 3]), tf.zeros([1, 10])
    flat = [tf.tile(tf.constant([[way]]), [1, 6, 1]) for way in ([0.25, -0.5], [0.5, 0.125])]
    shares = 0.5 + network.globals.bias[6:8]
    whole = network.local_shift.bias + shares[0] * [0.25, -0.5] + shares[1] * [0.5, 0.125]
    drawn = FusionGenerator._shift(network, x, *flat, nothing + network.globals.bias)
    np.testing.assert_allclose(drawn, np.broadcast_to(whole, (1, 4, 6, 2)), atol=1e-6)
    # the affine map alone: (row, column) -> .1 row + .2 column + .3, .4 row + .5 column + .6
    affine = tf.constant([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, -0.5, -0.5, 0.0, 0.0]])
    drawn = FusionGenerator._shift(network, x, *flat, affine) - network.local_shift.bias
    np.testing.assert_allclose(drawn[0, 0, 5], [-0.075 + 0.5 / 3 + 0.3, -0.3 + 1.25 / 3 + 0.6], atol=1e-6)
