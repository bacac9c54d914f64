"""The fusion discriminator, against a loop over pairs and by its properties."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import check_differentiable
from meta_gan.networks import Discriminator, FusionDiscriminator
from tests.layers.finite_differences import directional_error

SHAPE = (8, 12, 2)
# (normalization, embedding_dim)
KINDS = [("none", 0), ("none", 3), ("meta", 3)]
kinds = pytest.mark.parametrize("kind, embedding_dim", KINDS)


def uniform(*shape, seed=0, dtype="float32"):
    return tf.constant(np.random.default_rng(seed).uniform(-1, 1, shape), dtype)


def discriminator(kind="none", embedding_dim=0, shape=SHAPE, moved=True, **options):
    """A tiny discriminator; `moved` to random weights, so that all of them take part."""
    made = FusionDiscriminator(shape, width=2, embedding_dim=embedding_dim, normalization=kind, **options)
    for index, variable in enumerate(made.trainable_variables if moved else []):
        variable.assign(variable + 0.2 * np.random.default_rng(index).normal(size=variable.shape))
    return made


def given(k, embedding_dim=0, shape=SHAPE, dtype="float32"):
    conditioning = {"support": uniform(k, *shape, seed=1, dtype=dtype)}
    return (
        {**conditioning, "task_embedding": uniform(embedding_dim, seed=2, dtype=dtype)}
        if embedding_dim
        else conditioning
    )


# Numbers


def convolved(x, layer):
    return tf.nn.conv2d(x, layer.kernel.value, 2, "SAME") + layer.bias.value


def leaky(x):
    return tf.maximum(x, 0.2 * x)


@kinds
def test_logits_equal_a_loop_over_pairs(kind, embedding_dim):
    network = discriminator(kind, embedding_dim, dtype="float64")
    images, conditioning = uniform(3, *SHAPE, dtype="float64"), given(4, embedding_dim, dtype="float64")
    for i in range(3):
        pairs = []
        for other in conditioning["support"]:
            # both images at once, by one convolution of their channels side by side
            kernel = tf.concat([network.candidate.kernel.value, network.support.kernel.value], axis=2)
            x = tf.nn.conv2d(tf.concat([images[i], other], axis=-1)[None], kernel, 2, "SAME")
            x = leaky(x + network.candidate.bias.value + network.support.bias.value)
            pairs.append(leaky(convolved(x, network.pair)))
        mean = sum(pairs) / 4
        if kind == "meta":
            mean = network.modulation(mean, conditioning["task_embedding"])
        joint = leaky(convolved(mean, network.joint)).numpy()
        logit = joint.ravel() @ network.readout.kernel.numpy()[:, 0] + network.readout.bias.numpy()[0]
        if embedding_dim:
            direction = conditioning["task_embedding"].numpy() @ network.projection.kernel.numpy()
            logit += np.mean((direction + network.projection.bias.numpy()) * joint[0].mean(axis=(0, 1)))
        ours = network(images, conditioning=conditioning)[i, 0]
        np.testing.assert_allclose(ours, logit, rtol=1e-5)  # slopes of rectifiers are held in float32


def test_parameters_counted_by_hand():
    first = 2 * (4 * 4 * 2 * 2 + 2)
    second, third = 4 * 4 * 2 * 4 + 4, 4 * 4 * 4 * 6 + 6
    readout = 1 * 2 * 6 + 1  # 8x12 halved three times is 1x2
    assert discriminator().count_params() == first + second + third + readout
    assert discriminator("none", 3).count_params() == discriminator().count_params() + 3 * 6 + 6


@pytest.mark.parametrize(
    "shape, size",
    [((28, 28, 1), 4 * 4), ((32, 32, 3), 4 * 4), ((16, 16, 1), 2 * 2), ((16, 32, 2), 2 * 4), ((12, 8, 4), 2 * 1)],
)
def test_sizes(shape, size):
    network = discriminator(shape=shape)
    assert network.readout.kernel.shape == (size * 6, 1) and network.example_shape == shape
    logits = network(uniform(3, *shape), conditioning=given(5, shape=shape))
    assert logits.shape == (3, 1) and logits.dtype == "float32" and np.all(np.isfinite(logits))


# Rows, the support set and the task embedding


@kinds
@pytest.mark.parametrize("k", [1, 5, 7])
def test_any_number_of_support_images(kind, embedding_dim, k):
    logits = discriminator(kind, embedding_dim)(uniform(2, *SHAPE), conditioning=given(k, embedding_dim))
    assert logits.shape == (2, 1) and np.all(np.isfinite(logits))


@kinds
def test_order_of_the_support_set_does_not_matter(kind, embedding_dim):
    network, images, conditioning = (
        discriminator(kind, embedding_dim),
        uniform(3, *SHAPE),
        given(4, embedding_dim),
    )
    logits = network(images, conditioning=conditioning)
    for order in ([3, 2, 1, 0], [1, 3, 0, 2]):
        shuffled = {**conditioning, "support": tf.gather(conditioning["support"], order)}
        np.testing.assert_allclose(network(images, conditioning=shuffled), logits, rtol=1e-4, atol=1e-5)


def test_copies_of_the_support_set_count_as_one():
    network, images, conditioning = discriminator(), uniform(3, *SHAPE), given(2)
    copies = {"support": tf.tile(conditioning["support"], [3, 1, 1, 1])}
    expected = network(images, conditioning=conditioning)
    np.testing.assert_allclose(network(images, conditioning=copies), expected, rtol=1e-4, atol=1e-5)


@kinds
def test_logit_is_of_its_own_row_alone(kind, embedding_dim):
    network, conditioning = (
        discriminator(kind, embedding_dim, dtype="float64"),
        given(3, embedding_dim, dtype="float64"),
    )
    images = uniform(4, *SHAPE, dtype="float64")
    whole = network(images, conditioning=conditioning)
    for i in range(4):
        np.testing.assert_allclose(network(images[i : i + 1], conditioning=conditioning), whole[i : i + 1], atol=1e-10)


@kinds
def test_the_logit_depends_on_every_input(kind, embedding_dim):
    network, images, conditioning = (
        discriminator(kind, embedding_dim),
        uniform(2, *SHAPE),
        given(3, embedding_dim),
    )
    logits = network(images, conditioning=conditioning)
    assert np.max(np.abs(network(-images, conditioning=conditioning) - logits)) > 1e-3
    for i in range(3):
        support = conditioning["support"]
        other = tf.concat([support[:i], -support[i : i + 1], support[i + 1 :]], axis=0)
        assert np.max(np.abs(network(images, conditioning={**conditioning, "support": other}) - logits)) > 1e-4
    if embedding_dim:
        opposite = {**conditioning, "task_embedding": -conditioning["task_embedding"]}
        assert np.max(np.abs(network(images, conditioning=opposite) - logits)) > 1e-4


def test_candidate_and_support_are_compared_by_position_and_not_interchangeable():
    network, one, two = discriminator(), uniform(1, *SHAPE), uniform(1, *SHAPE, seed=1)
    forth = network(one, conditioning={"support": two})
    assert np.abs(network(two, conditioning={"support": one}) - forth) > 1e-4
    # with opposite kernels, equal images cancel in the first convolution, whatever they are
    network.support.kernel.assign(-network.candidate.kernel)
    same = [network(x, conditioning={"support": x}) for x in (one, two)]
    np.testing.assert_allclose(same[0], same[1], atol=1e-5)


def test_without_a_task_embedding_it_ignores_one():
    network, images = discriminator(), uniform(2, *SHAPE)
    with_more = network(images, conditioning={**given(3), "task_embedding": uniform(5)})
    np.testing.assert_array_equal(with_more, network(images, conditioning=given(3)))


# The contract


@kinds
def test_weights_exist_before_the_first_call_and_layers_are_sound(kind, embedding_dim):
    network = discriminator(kind, embedding_dim)
    assert network.built and isinstance(network, Discriminator) and network.sees_support
    count = len(network.variables)
    network(uniform(2, *SHAPE), conditioning=given(3, embedding_dim))
    assert len(network.variables) == count == len({variable.path for variable in network.variables})
    assert check_differentiable(network) is None


@kinds
def test_weights_depend_on_the_seed_alone(kind, embedding_dim):
    keras.utils.set_random_seed(1)
    first = discriminator(kind, embedding_dim, moved=False, seed=7).get_weights()
    keras.utils.set_random_seed(2)
    keras.random.normal((3,))
    again, other = (discriminator(kind, embedding_dim, moved=False, seed=seed).get_weights() for seed in (7, 8))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any(np.any(one != two) for one, two in zip(first, other, strict=True))


@kinds
def test_config_round_trip_gives_the_same_initial_weights(kind, embedding_dim):
    network = discriminator(kind, embedding_dim, moved=False, seed=3, name="mine", dtype="float64")
    again = FusionDiscriminator.from_config(network.get_config())
    assert again.get_config() == network.get_config() and again.dtype_policy.name == "float64"
    for one, two in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@kinds
def test_file_round_trip_gives_equal_outputs(kind, embedding_dim, tmp_path):
    network, images, conditioning = (
        discriminator(kind, embedding_dim),
        uniform(3, *SHAPE),
        given(4, embedding_dim),
    )
    network.save(tmp_path / "discriminator.keras")
    loaded = keras.models.load_model(tmp_path / "discriminator.keras")
    assert type(loaded) is FusionDiscriminator and loaded.get_config() == network.get_config()
    np.testing.assert_array_equal(loaded(images, conditioning=conditioning), network(images, conditioning=conditioning))


def test_stateless_call_in_a_graph_of_unknown_sizes_equals_eager():
    network = discriminator("meta", 3)
    floats = {"support": tf.TensorSpec([None, *SHAPE]), "task_embedding": tf.TensorSpec([3])}

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE]), floats])
    def stateless(images, conditioning):
        weights = [tf.convert_to_tensor(v) for v in network.trainable_variables]
        return network.stateless_call(weights, [], images, conditioning=conditioning, training=True)[0]

    for n, k in [(1, 1), (4, 5)]:
        images, conditioning = uniform(n, *SHAPE), given(k, 3)
        np.testing.assert_allclose(
            stateless(images, conditioning), network(images, conditioning=conditioning), rtol=1e-4, atol=1e-5
        )


# Derivatives


@kinds
def test_gradients_reach_every_weight_and_input(kind, embedding_dim):
    network, images, conditioning = (
        discriminator(kind, embedding_dim),
        uniform(3, *SHAPE),
        given(4, embedding_dim),
    )
    weights = network.trainable_variables
    with tf.GradientTape() as tape:
        tape.watch([images, conditioning])
        loss = tf.reduce_sum(tf.nn.softplus(network(images, conditioning=conditioning)))
    by_weights, by_images, by_conditioning = tape.gradient(loss, [weights, images, conditioning])
    assert not [v.path for v, g in zip(weights, by_weights, strict=True) if g is None or not np.any(g)]
    assert np.all(np.any(by_images, axis=(1, 2, 3))) and np.all(np.any(by_conditioning["support"], axis=(1, 2, 3)))
    assert all(np.any(g) for g in by_conditioning.values())


@kinds
def test_penalty_on_slopes_has_right_derivatives(kind, embedding_dim):
    """R1, the squared slopes of the logits by the images, as a function of the weights and of all that is shown."""
    network = discriminator(kind, embedding_dim, shape=(8, 8, 1), dtype="float64")
    conditioning = given(2, embedding_dim, (8, 8, 1), "float64")
    names = sorted(conditioning)

    @tf.function(autograph=False)
    def penalty(values):
        images, given = values[0], dict(zip(names, values[1:], strict=False))
        with tf.GradientTape() as tape:
            tape.watch(images)
            logits = network.stateless_call(values[1 + len(names) :], [], images, conditioning=given)[0]
            loss = tf.reduce_sum(tf.nn.softplus(logits))  # curved, so that the last bias and the images count
        return tf.reduce_sum(tf.square(tape.gradient(loss, images)))

    start = [uniform(2, 8, 8, 1, dtype="float64"), *(conditioning[name] for name in names)]
    start += [variable.numpy() for variable in network.trainable_variables]
    assert max(directional_error(penalty, start, step=1e-6)) < 1e-5


# Rejected arguments


@pytest.mark.parametrize(
    "conditioning", [None, {}, {"support": np.zeros((2, *SHAPE))}, {"task_embedding": np.zeros(3)}]
)
def test_a_conditioning_that_lacks_something_is_rejected(conditioning):
    message = r"'conditioning' of FusionDiscriminator must be a dict with 'support' and 'task_embedding'"
    with pytest.raises(ValueError, match=message):
        discriminator("meta", 3)(uniform(2, *SHAPE), conditioning=conditioning)


def test_normalisation_by_a_task_embedding_needs_one():
    with pytest.raises(ValueError, match=r"'embedding_dim' must be >= 1 with 'normalization' 'meta'\. Received: 0"):
        FusionDiscriminator(SHAPE, normalization="meta")


@pytest.mark.parametrize("shape", [(4, 8, 1), (10, 8, 1), (8, 30, 1), (68, 8, 1), (8, 8, 5), (8, 8), (8,), (0, 8, 1)])
def test_impossible_shapes_are_rejected(shape):
    with pytest.raises(ValueError, match=r"'example_shape' must .*Received: "):
        FusionDiscriminator(shape)


@pytest.mark.parametrize(
    "options, name",
    [({"width": 0}, "width"), ({"embedding_dim": 1.0}, "embedding_dim"), ({"normalization": "x"}, "normalization")],
)
def test_bad_arguments_are_rejected(options, name):
    with pytest.raises(ValueError, match=rf"'{name}' must be .*Received: "):
        FusionDiscriminator((8, 8, 1), **options)
