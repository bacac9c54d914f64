"""Fusion of sounds: a new generator, rows and support sets, bounds, saving, derivatives."""

from functools import cache
from statistics import NormalDist

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan import functional
from meta_gan.layers import LogMel, check_differentiable
from meta_gan.networks import WaveFusionDiscriminator, WaveFusionGenerator
from meta_gan.networks.sound_fusion import bounded, pairs
from tests.layers.finite_differences import directional_error

SHAPE, LATENT = (1024, 1), 5


def normals(*shape, seed=0, dtype="float32"):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), dtype)


def hums(k, seed=0, dtype="float32", samples=1024):
    """Tones of several frequencies that swell and fade."""
    draw, time = np.random.default_rng(seed), np.arange(samples) / samples
    sounds = [np.sin(2 * np.pi * draw.uniform(20, 120) * time) * np.sin(np.pi * time) ** 2 for _ in range(k)]
    return tf.constant(0.3 * np.stack(sounds)[..., None], dtype)


def generator(moved=0.0, dtype="float32", **options):
    made = WaveFusionGenerator(SHAPE, LATENT, **{"width": 2, "bands": 5, "dtype": dtype, **options})
    for index, variable in enumerate(made.trainable_variables if moved else []):
        variable.assign(variable + moved * normals(*variable.shape, seed=index, dtype=dtype))
    return made


shared = cache(generator)


def chosen(anchors, partners, k, dtype="float32"):
    u = [[NormalDist().inv_cdf((i + 0.5) / k) for i in pair] for pair in zip(anchors, partners, strict=True)]
    return tf.concat([tf.constant(u, dtype), normals(len(u), LATENT - 2, dtype=dtype)], axis=1)


def test_a_new_generator_returns_nearly_its_anchors():
    """Readouts start small."""
    support = hums(3)
    made = shared()(chosen([0, 1, 2], [0, 1, 2], 3), conditioning={"support": support})
    assert made.shape == (3, *SHAPE)
    front = LogMel(8000.0, hop=32)
    seen, own = (front(x).numpy().reshape(3, -1) for x in (made, support))
    distances = np.linalg.norm(seen[:, None] - own[None], axis=-1)
    np.testing.assert_array_equal(distances.argmin(axis=1), [0, 1, 2])
    assert np.diag(distances).max() < distances[~np.eye(3, dtype=bool)].min()


def test_partners_differ_from_anchors_and_all_pairs_are_equally_likely():
    for count in (2, 5):
        anchor, partner = (x.numpy() for x in pairs(normals(20_000, 2), count))
        assert np.all(anchor != partner)
        seen = np.zeros((count, count))
        np.add.at(seen, (anchor, partner), 1 / 20_000)
        likely = (1 - np.eye(count)) / (count * (count - 1))
        np.testing.assert_allclose(seen, likely, atol=0.02)
    assert not np.any(pairs(normals(9, 2), 1))


def test_a_row_depends_on_its_own_z_alone():
    net, z, given = shared(0.05), normals(6, LATENT), {"support": hums(4)}
    made = net(z, conditioning=given)
    np.testing.assert_allclose(net(z[2:3], conditioning=given), made[2:3], atol=1e-5)
    assert np.abs(made).max() <= 1 and np.all(np.isfinite(made))


@pytest.mark.parametrize("k", [1, 2, 7])
@pytest.mark.parametrize("embedding_dim", [0, 3])
def test_any_number_of_support_sounds_with_a_task_embedding_or_without(k, embedding_dim):
    net, given = shared(0.05, embedding_dim=embedding_dim), {"support": hums(k)}
    given |= {"task_embedding": normals(embedding_dim)} if embedding_dim else {}
    made = net(normals(3, LATENT), conditioning=given)
    assert made.shape == (3, *SHAPE)
    if embedding_dim:
        assert (
            np.abs(
                net(normals(3, LATENT), conditioning={**given, "task_embedding": given["task_embedding"] + 1}) - made
            ).max()
            > 1e-5
        )


def test_warps_stay_within_the_sound():
    """For any size of the readouts there is a sound, and a gradient."""
    net, given = generator(3.0), {"support": hums(3)}
    with tf.GradientTape() as tape:
        made = net(normals(8, LATENT), conditioning=given)
        loss = tf.reduce_sum(tf.square(made))
    assert np.all(np.abs(made).max(axis=(1, 2)) > 1e-4) and np.all(np.isfinite(made))
    assert any(np.abs(g).max() > 0 for g in tape.gradient(loss, net.trainable_variables) if g is not None)
    np.testing.assert_allclose(bounded(tf.constant([0.0, 1e-3, 1e9, -1e9]), 3.0), [0, 1e-3, 3, -3], atol=1e-6)


def test_temperature_widens_z_outside_training():
    warm, plain, given = generator(0.05, temperature=2.0), generator(0.05), {"support": hums(3)}
    z = normals(4, LATENT)
    wide = tf.concat([z[:, :2], 2.0 * z[:, 2:]], axis=1)
    np.testing.assert_allclose(warm(z, conditioning=given), plain(wide, conditioning=given), atol=1e-6)
    np.testing.assert_array_equal(*(net(z, conditioning=given, training=True) for net in (warm, plain)))


def test_the_discriminator_compares_with_the_support_set():
    net, x = WaveFusionDiscriminator(SHAPE, width=2, embedding_dim=2), hums(4)
    given = {"support": hums(3, seed=1), "task_embedding": normals(2)}
    logits = net(x, conditioning=given)
    assert logits.shape == (4, 1) and net.sees_support
    np.testing.assert_allclose(net(x, conditioning={**given, "support": given["support"][::-1]}), logits, atol=1e-5)
    assert np.abs(net(x, conditioning={**given, "support": hums(3, seed=2)}) - logits).max() > 1e-5
    assert np.abs(net(x, conditioning={**given, "task_embedding": normals(2, seed=5)}) - logits).max() > 1e-5


def test_saved_and_loaded(tmp_path):
    given = {"support": hums(3)}
    for number, (net, x) in enumerate(
        [(generator(0.05, rate=4000.0), normals(3, LATENT)), (WaveFusionDiscriminator(SHAPE, width=2), hums(3))]
    ):
        assert check_differentiable(net) is None
        net.save(tmp_path / f"{number}.keras")
        again = keras.models.load_model(tmp_path / f"{number}.keras")
        np.testing.assert_array_equal(net(x, conditioning=given), again(x, conditioning=given))
        assert again.get_config() == net.get_config()


@pytest.mark.slow
def test_second_derivatives():
    net, given = generator(0.02, dtype="float64"), {"support": hums(2, dtype="float64")}
    z, weights = chosen([0, 1], [1, 0], 2, "float64"), normals(2, *SHAPE, seed=7, dtype="float64")
    start = [v.value for v in net.trainable_variables]

    @tf.function(autograph=False)
    def first(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            made, _ = functional.call(net, values, [], z, given, True, tf.constant([0, 0]))
            loss = tf.reduce_sum(tf.tanh(made * weights))
        return tf.add_n([tf.reduce_sum(tf.square(g)) for g in tape.gradient(loss, values)])

    errors = directional_error(first, start, step=1e-7)
    # A leaky rectifier has a kink, and a step across one measures something else: in few tensors, and by little.
    assert np.median(errors) < 1e-7 and np.mean(np.array(errors) < 1e-5) > 0.9 and max(errors) < 1e-2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WaveFusionGenerator((1000, 1)), "a multiple of 32 >= 1024"),
        (lambda: WaveFusionGenerator((992, 1)), "a multiple of 32 >= 1024"),
        (lambda: WaveFusionGenerator((1024, 2)), r"must be \(samples, 1\)"),
        (lambda: WaveFusionGenerator(SHAPE, latent_dim=2), "'latent_dim' must be an integer >= 3"),
        (lambda: WaveFusionGenerator(SHAPE, rate=0), "'rate' must be a finite number > 0"),
        (lambda: WaveFusionDiscriminator((8192,)), r"must be \(samples, channels\)"),
        (lambda: shared()(normals(1, LATENT)), "must be a dict with 'support'"),
    ],
)
def test_bad_arguments_are_rejected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
