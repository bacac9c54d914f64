"""The fusion generator: derivatives, dtypes, rejected arguments, purity."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.networks import FusionGenerator
from meta_gan.networks.anchored import CHOICES
from tests.layers.finite_differences import directional_error
from tests.networks.test_image_fusion import SHAPE, chosen, drawings, generator, given, kinds, normals, shared


@kinds
def test_gradients_reach_every_weight_the_task_embedding_and_the_support(kind):
    network, conditioning, z = shared(kind, 2, moved=True), given(3), normals(6, 5)
    weights = network.trainable_variables
    with tf.GradientTape() as tape:
        tape.watch([conditioning, z])
        loss = tf.reduce_sum(network(z, conditioning=conditioning) * normals(6, *SHAPE, seed=4))
    by_weights, by_inputs, by_z = tape.gradient(loss, [weights, conditioning, z])
    dead = [v.path for v, g in zip(weights, by_weights, strict=True) if g is None or not np.any(g)]
    assert not dead
    assert all(np.all(np.isfinite(g)) for g in by_weights)
    assert np.any(by_inputs["task_embedding"]) and np.any(by_inputs["support"])
    assert np.all(np.any(by_z[:, CHOICES:], axis=1)) and not np.any(by_z[:, :CHOICES])


def test_task_embedding_has_a_gradient_at_the_initial_weights():
    embedding, z = normals(2, seed=9), normals(6, 5)
    network = shared()
    with tf.GradientTape() as tape:
        tape.watch(embedding)
        images = network(z, conditioning={"support": drawings(3), "task_embedding": embedding})
        loss = tf.reduce_sum(images * normals(6, *SHAPE, seed=4))
    assert np.max(np.abs(tape.gradient(loss, embedding))) > 1e-6


SOME = {
    "meta": [
        *("full/kernel", "matching/position", "matching/keenness", "noise/kernel", "modulation_0/film/scale_bias"),
        *("local_shift/bias", "globals/bias", "correction/bias", "renderer/gain"),
    ],
    "none": ["modulation_0/scale_bias", "globals/bias"],
}


@kinds
def test_second_derivatives_equal_finite_differences(kind):
    network = generator(kind, shape=(8, 8, 1), moved=True, detail=1, dtype="float64")
    network.globals.bias.assign(0.05 * normals(10, dtype="float64"))  # so that few places lie beyond the edges
    start = {variable.path: tf.convert_to_tensor(variable) for variable in network.trainable_variables}
    z = chosen([0, 1], [1, 0], 2, dtype="float64")
    support = tf.constant(np.random.default_rng(0).uniform(-0.8, 0.8, (2, 8, 8, 1)))
    readout = normals(2, 8, 8, 1, seed=4, dtype="float64")

    def slopes(values):
        """The squares of the derivatives by the support set, the task embedding, the rest of z and some weights."""
        support, embedding, rest, *some = values
        with tf.GradientTape() as tape:
            tape.watch(values)
            weights = list({**start, **dict(zip(SOME[kind], some, strict=True))}.values())
            given, rows = {"support": support, "task_embedding": embedding}, tf.concat([z[:, :CHOICES], rest], axis=1)
            images = network.stateless_call(weights, [], rows, conditioning=given)[0]
            loss = tf.reduce_sum(images * readout)
        return tf.add_n([tf.reduce_sum(tf.square(g)) for g in tape.gradient(loss, values)])

    values = [support, normals(2, seed=9, dtype="float64"), z[:, CHOICES:], *(start[path] for path in SOME[kind])]
    # The first call, the one that is differentiated, is eager: tracing its derivatives takes seconds. The many others
    # are compiled, so that the two are held against each other too.
    first, others = iter([slopes]), tf.function(slopes, autograph=False)
    # A gradient that is stopped somewhere shows as a per cent or more.
    assert max(directional_error(lambda values: next(first, others)(values), values, step=1e-7)) < 1e-4


def test_float64_is_double_all_the_way():
    network, conditioning = shared("meta", 2, moved=True, dtype="float64"), given(3, dtype="float64")
    z = chosen([0, 1], [1, 2], 3, dtype="float64")
    images = network(z, conditioning=conditioning)
    assert images.dtype == "float64"
    further = tf.concat([z[:, :2], z[:, 2:] * (1 + 1e-12)], axis=1)
    assert 0 < np.max(np.abs(network(further, conditioning=conditioning) - images)) < 1e-9


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_runs(policy):
    network = generator(dtype=policy)
    images = network(normals(3, 5), conditioning=given(3))
    assert images.dtype == network.compute_dtype and np.all(np.isfinite(tf.cast(images, "float32")))


# Rejected arguments


@pytest.mark.parametrize(
    "conditioning",
    [None, {}, {"support": np.zeros((3, *SHAPE))}, {"task_embedding": np.zeros(2)}, np.zeros((3, *SHAPE))],
)
def test_a_conditioning_that_lacks_something_is_rejected(conditioning):
    message = r"'conditioning' of FusionGenerator must be a dict with 'support' and 'task_embedding' of shape \(2,\)\."
    with pytest.raises(ValueError, match=message):
        shared()(normals(2, 5), conditioning=conditioning)


@pytest.mark.parametrize("shape", [(4, 8, 1), (10, 8, 1), (8, 30, 1), (68, 8, 1), (8, 8, 5), (8, 8), (8,), (0, 8, 1)])
def test_impossible_shapes_are_rejected(shape):
    with pytest.raises(ValueError, match=r"'example_shape' must .*Received: "):
        FusionGenerator(shape)


@pytest.mark.parametrize(
    "options, name",
    [
        ({"latent_dim": 2}, "latent_dim"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"width": 0}, "width"),
        ({"embedding_dim": -1}, "embedding_dim"),
        ({"normalization": "batch"}, "normalization"),
        ({"detail": 0}, "detail"),
        ({"seed": 1.5}, "seed"),
    ],
)
def test_bad_arguments_are_rejected(options, name):
    with pytest.raises(ValueError, match=rf"'{name}' must be .*Received: "):
        FusionGenerator((8, 8, 1), **options)


def test_stateless_call_in_a_graph_of_unknown_sizes_equals_eager():
    network = shared("meta", 2, moved=True)
    floats = {"support": tf.TensorSpec([None, *SHAPE]), "task_embedding": tf.TensorSpec([2])}

    @tf.function(input_signature=[tf.TensorSpec([None, 5]), floats])
    def stateless(z, conditioning):
        weights = [tf.convert_to_tensor(v) for v in network.trainable_variables]
        return network.stateless_call(weights, [], z, conditioning=conditioning, training=True)[0]

    for n, k in [(1, 1), (4, 5)]:
        z, conditioning = normals(n, 5), given(k)
        np.testing.assert_allclose(
            stateless(z, conditioning), network(z, conditioning=conditioning), rtol=1e-4, atol=1e-5
        )
