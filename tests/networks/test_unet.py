"""The U-Net of a flow: what conditions it, rows, sizes, derivatives, and saving."""

from functools import cache
from statistics import NormalDist

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import check_differentiable
from meta_gan.networks import UNet
from tests.layers.finite_differences import directional_error

SHAPE = (8, 8, 1)


def normals(*shape, seed=0, dtype="float32"):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), dtype)


def given(k, seed=1, dtype="float32", embedding_dim=2):
    pictures = np.random.default_rng(seed).uniform(-0.9, 0.9, (k, *SHAPE))
    return {"support": tf.constant(pictures, dtype), "task_embedding": normals(embedding_dim, seed=5, dtype=dtype)}


def network(moved=True, **options):
    made = UNet(SHAPE, **{"width": 4, "anchored": True, "embedding_dim": 2, "solver_steps": 2, **options})
    for index, variable in enumerate(made.trainable_variables if moved else []):
        variable.assign(variable + 0.1 * normals(*variable.shape, seed=index))
    return made


shared = cache(network)


def choices(*indices, k):
    return tf.constant([NormalDist().inv_cdf((index + 0.5) / k) for index in indices], tf.float32)


def velocities(keep=1.0, support=None, choice=None, rows=4, time=0.5):
    own = normals(rows) if choice is None else choice
    arguments = normals(rows, *SHAPE, seed=2), tf.fill([rows], time), own, tf.fill([rows], keep)
    return shared().velocity(*arguments, given(3) if support is None else support).numpy()


def test_a_row_depends_on_its_own_z_alone():
    z, conditioning = normals(5, 65), given(3)
    all_rows, some = shared()(z, conditioning=conditioning), shared()(z[1:3], conditioning=conditioning)
    np.testing.assert_allclose(some, all_rows[1:3], atol=1e-6)


def test_the_order_of_the_support_set_does_not_matter_beside_the_anchor():
    conditioning, order = given(3), [2, 0, 1]
    turned = {**conditioning, "support": tf.gather(conditioning["support"], order)}
    # The anchor of each row is the same picture in both orders.
    first = velocities(choice=choices(0, 1, 2, 2, k=3), support=conditioning)
    second = velocities(choice=choices(1, 2, 0, 0, k=3), support=turned)
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_the_anchor_the_other_images_the_embedding_and_the_time_all_matter():
    base = velocities(choice=choices(0, 0, 0, 0, k=3))
    other = given(3)
    other["support"] = tf.concat([other["support"][:2], -other["support"][2:]], axis=0)
    told = {**given(3), "task_embedding": normals(2, seed=8)}
    for changed in (
        velocities(choice=choices(1, 1, 1, 1, k=3)),
        velocities(choice=choices(0, 0, 0, 0, k=3), support=other),
        velocities(choice=choices(0, 0, 0, 0, k=3), support=told),
        velocities(choice=choices(0, 0, 0, 0, k=3), time=0.6),
    ):
        assert np.abs(changed - base).max() > 1e-3


def test_rows_that_are_not_conditioned_see_nothing_of_the_support_set():
    np.testing.assert_array_equal(velocities(0.0, given(3)), velocities(0.0, given(3, seed=9)))
    np.testing.assert_allclose(velocities(0.0, given(3)), velocities(0.0, given(1)), atol=1e-6)
    assert np.abs(velocities(0.0) - velocities(1.0)).max() > 1e-3


@pytest.mark.parametrize("k", [1, 2, 7])
def test_any_number_of_support_images(k):
    assert shared()(normals(2, 65), conditioning=given(k)).shape == (2, *SHAPE)


@pytest.mark.parametrize("shape", [(8, 12, 1), (32, 32, 3), (16, 8, 4)])
def test_any_size_and_channels(shape):
    made = UNet(shape, width=4, solver_steps=1)
    assert made(normals(2, made.latent_dim)).shape == (2, *shape) and not made.conditioned


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((10, 8, 1), {}, "'example_shape' must have sides that are multiples of 4 from 8 to 64, and 1 to 4 channels"),
        ((68, 8, 1), {}, "'example_shape' must have sides that are multiples of 4 from 8 to 64"),
        ((8, 8, 5), {}, "and 1 to 4 channels"),
        ((8, 8, 1), {"width": 6}, "'width' must be a multiple of 4. Received: 6"),
    ],
)
def test_what_is_refused(shape, options, message):
    with pytest.raises(ValueError, match=message):
        UNet(shape, **options)


@pytest.mark.parametrize("missing", ["support", "task_embedding"])
def test_a_missing_conditioning_is_named(missing):
    conditioning = {name: value for name, value in given(2).items() if name != missing}
    with pytest.raises(ValueError, match="'conditioning' of UNet must be a dict with 'support' and 'task_embedding'"):
        shared()(normals(2, 65), conditioning=conditioning)


def test_gradients_reach_every_weight_and_the_conditioning():
    made, conditioning = network(), given(3)
    with tf.GradientTape() as tape:
        tape.watch(conditioning)
        arguments = normals(4, *SHAPE), tf.constant([0.1, 0.4, 0.6, 0.9]), normals(4), tf.ones([4])
        loss = tf.reduce_sum(made.velocity(*arguments, conditioning) * normals(4, *SHAPE, seed=3))
    by_weights, by_inputs = tape.gradient(loss, [made.trainable_variables, conditioning])
    # A bias that is the same for all keys changes no share, so its gradient is rounding.
    dead = [v.path for v, g in zip(made.trainable_variables, by_weights, strict=True) if g is None or not np.any(g)]
    assert not dead and np.any(by_inputs["support"]) and np.any(by_inputs["task_embedding"])


@pytest.mark.slow
def test_second_derivatives_equal_finite_differences():
    check_differentiable(shared())
    made, conditioning = network(dtype="float64"), given(2, dtype="float64")
    x, time = normals(3, *SHAPE, dtype="float64"), tf.constant([0.2, 0.5, 0.8], tf.float64)
    names = ("enter/kernel", "features_0/kernel", "attention/position", "time_0/kernel", "modulation/scale_bias")
    places = [i for i, v in enumerate(made.trainable_variables) if any(v.path.endswith(name) for name in names)]
    assert len(places) >= len(names)
    variables = [made.trainable_variables[place] for place in places]

    def gradient_norm(weights):
        mapping = list(zip(variables, weights, strict=True))
        with tf.GradientTape() as tape:
            tape.watch(x)
            with keras.StatelessScope(state_mapping=mapping):
                found = made.velocity(x, time, normals(3, dtype="float64"), tf.ones([3], tf.float64), conditioning)
            loss = tf.reduce_sum(found**2)
        return tf.reduce_sum(tape.gradient(loss, x) ** 2)

    weights = [tf.convert_to_tensor(variable) for variable in variables]
    assert max(directional_error(gradient_norm, weights)) < 1e-6


def test_it_is_saved_and_loaded(tmp_path):
    made, z = network(guidance=2.0, solver="midpoint"), normals(2, 65)
    made.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(loaded(z, conditioning=given(3)), made(z, conditioning=given(3)))


def test_the_same_seed_gives_the_same_weights():
    first, second, third = (network(moved=False, seed=seed) for seed in (1, 1, 2))
    pairs = list(zip(first.weights, second.weights, third.weights, strict=True))
    assert all(np.array_equal(a, b) for a, b, _ in pairs)
    assert any(not np.array_equal(a, c) for a, _, c in pairs)
