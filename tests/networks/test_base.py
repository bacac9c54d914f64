"""The contract of networks: attributes, conditioning, saving, seeds and independence of global state."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import check_differentiable
from meta_gan.networks import Discriminator, Generator, dcgan, mlp
from meta_gan.networks.base import LayerFactory, leaky_relu, seeded_normal

PAIRS = {
    "dcgan": lambda **k: dcgan((8, 12, 3), latent_dim=5, width=4, **k),
    "dcgan batch": lambda **k: dcgan((8, 12, 3), latent_dim=5, width=4, normalization="batch", **k),
    "mlp": lambda **k: mlp((2, 3), latent_dim=5, width=6, **k),
    "mlp linear": lambda **k: mlp((2,), latent_dim=5, depth=0, output="linear", activation="tanh", **k),
}


def inputs_of(network, n=3):
    shape = (network.latent_dim,) if isinstance(network, Generator) else network.example_shape
    return tf.constant(np.random.default_rng(0).normal(size=(n, *shape)), network.compute_dtype)


def both(make):
    return pytest.mark.parametrize("name, index", [(name, index) for name in make for index in (0, 1)])


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_contract_of_shapes_and_types(name, dtype):
    generator, discriminator = PAIRS[name](dtype=dtype)
    assert isinstance(generator, Generator) and isinstance(discriminator, Discriminator)
    examples = generator(inputs_of(generator))
    assert examples.shape == (3, *generator.example_shape) and examples.dtype == dtype
    logits = discriminator(examples)
    assert logits.shape == (3, 1) and logits.dtype == dtype
    assert generator.latent_dim == 5 and discriminator.example_shape == generator.example_shape
    if "linear" not in name:
        assert np.max(np.abs(generator(100 * inputs_of(generator)))) <= 1


@both(PAIRS)
def test_weights_exist_before_the_first_call_and_layers_are_sound(name, index):
    network = PAIRS[name]()[index]
    assert network.built and network.trainable_variables
    count = len(network.variables)
    network(inputs_of(network))
    assert len(network.variables) == count
    assert check_differentiable(network) is None


@both(PAIRS)
def test_float64_is_double_all_the_way(name, index):
    network = PAIRS[name](dtype="float64")[index]
    x = inputs_of(network)
    assert np.max(np.abs(network(x * (1 + 1e-12)) - network(x))) > 0  # float32 would round this away


@both(PAIRS)
def test_same_seed_gives_the_same_weights_whatever_the_global_state(name, index):
    keras.utils.set_random_seed(1)
    first = PAIRS[name](seed=7)[index].get_weights()
    keras.utils.set_random_seed(2)
    keras.random.normal((3,))
    again, other = (PAIRS[name](seed=seed)[index].get_weights() for seed in (7, 8))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any(np.any(one != two) for one, two in zip(first, other, strict=True))


@both(PAIRS)
def test_file_round_trip_gives_equal_outputs(name, index, tmp_path):
    network = PAIRS[name](seed=3, dtype="float64")[index]
    for variable in network.variables:  # away from what the seed would give again
        variable.assign(variable + 0.125)
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert type(loaded) is type(network) and loaded.get_config() == network.get_config()
    np.testing.assert_array_equal(loaded(inputs_of(network)), network(inputs_of(network)))


@both(PAIRS)
def test_config_round_trip_gives_the_same_initial_weights(name, index):
    network = PAIRS[name](seed=3)[index]
    again = type(network).from_config(network.get_config())
    for one, two in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@both(PAIRS)
def test_unconditioned_networks_reject_a_conditioning(name, index):
    network = PAIRS[name]()[index]
    x = inputs_of(network)
    np.testing.assert_array_equal(network(x, conditioning=None), network(x))
    with pytest.raises(ValueError, match=r"'conditioning' must be None: .* is unconditioned"):
        network(x, conditioning=x)


@both(PAIRS)
def test_stateless_call_equals_call_in_a_graph_with_an_unknown_batch(name, index):
    network = PAIRS[name]()[index]
    x = inputs_of(network)

    @tf.function(input_signature=[tf.TensorSpec([None, *x.shape[1:]])])
    def stateless(x):
        weights = [tf.convert_to_tensor(v) for v in network.trainable_variables]
        state = [tf.convert_to_tensor(v) for v in network.non_trainable_variables]
        return network.stateless_call(weights, state, x, training=False)[0]

    np.testing.assert_allclose(stateless(x), network(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["dcgan", "mlp"])
def test_one_seed_does_not_make_related_networks(name):
    generator, discriminator = PAIRS[name](seed=0)
    kernels = [
        v.numpy().ravel()[:6] for net in (generator, discriminator) for v in net.weights if v.path[-6:] == "kernel"
    ]
    scaled = np.stack([kernel / np.linalg.norm(kernel) for kernel in kernels])
    overlap = np.abs(scaled @ scaled.T - np.eye(len(scaled)))
    assert overlap.max() < 0.999


def test_two_generators_of_the_base_class_by_hand():
    class Affine(Generator):
        def __init__(self, **kwargs):
            super().__init__(example_shape=(2,), latent_dim=3, **kwargs)
            self.stack((3,), [keras.layers.Dense(2, kernel_initializer="ones", bias_initializer="ones")])

    np.testing.assert_allclose(Affine()(tf.constant([[1.0, 2.0, 3.0]])), [[7.0, 7.0]])


def test_initializers_have_the_documented_variance():
    make = seeded_normal(0, "test")
    for fan_in, slope, variance in [(8, 0.0, 2 / 8), (8, 1.0, 1 / 8), (50, 0.2, 2 / (1.04 * 50))]:
        draws = np.asarray(make(fan_in, slope)((200, 200)))
        np.testing.assert_allclose(draws.var(), variance, rtol=0.05)


def test_initializers_differ_within_a_stream_and_between_streams():
    first, second = seeded_normal(0, "a"), seeded_normal(0, "b")
    seeds = [make(4).seed for make in (first, first, second, seeded_normal(1, "a"))]
    assert len(set(seeds)) == 4
    assert seeded_normal(0, "a")(4).seed == seeds[0]


def test_layers_are_built_and_have_the_given_sizes():
    make = LayerFactory(0, "test", "float64")
    layer = make.convolution(2, 5, 4, "one", 2)
    assert layer.kernel.shape == (4, 4, 2, 5) and layer.name == "one" and layer.kernel.dtype == "float64"
    assert layer(tf.zeros([3, 6, 7, 2])).shape == (3, 3, 4, 5)
    assert make.convolution(2, 5, 3, "two", rank=1).kernel.shape == (3, 2, 5)
    assert make.dense(7, 3, "three").kernel.shape == (7, 3)
    assert not LayerFactory(0, "test", "float32", build=False).dense(7, 3, "four").built


def test_kernels_have_the_deviation_that_keeps_a_signal():
    make, small = (LayerFactory(0, "test", "float32", scale) for scale in (1.0, 0.02))
    deviation = np.sqrt(2 / (1.04 * 3 * 3 * 32))
    np.testing.assert_allclose(make.convolution(32, 64, 3, "one").kernel.numpy().std(), deviation, rtol=0.03)
    np.testing.assert_allclose(make.dense(200, 100, "two").kernel.numpy().std(), 0.098, rtol=0.03)
    np.testing.assert_allclose(make.dense(200, 100, "three", 1.0).kernel.numpy().std(), np.sqrt(1 / 200), rtol=0.03)
    np.testing.assert_allclose(small.dense(200, 100, "four").kernel.numpy().std(), 0.02 * 0.098, rtol=0.03)


def test_leaky_relu_by_hand():
    np.testing.assert_allclose(leaky_relu(tf.constant([-5.0, 0.0, 3.0])), [-1.0, 0.0, 3.0])


def reader(sees_support, embedding_dim):
    network = Discriminator((2,), embedding_dim=embedding_dim)
    network.sees_support = sees_support
    return network.read_conditioning


def test_support_and_task_embedding_are_read():
    tree = {"support": tf.ones([5, 2]), "task_embedding": tf.ones([4]), "more": 3}
    support, embedding = reader(True, 4)(tree)
    assert support.shape == (5, 2) and embedding.shape == (4,)
    support, embedding = reader(True, 0)(tree)  # a network without a task embedding ignores it
    assert support.shape == (5, 2) and embedding is None
    support, embedding = reader(False, 4)(tree)
    assert support is None and embedding.shape == (4,)
    assert reader(False, 0)(None) == (None, None)


@pytest.mark.parametrize(
    "conditioning, sees_support, embedding_dim, message",
    [
        (None, True, 0, r"must be a dict with 'support'\. Received: shapes None$"),
        ({}, True, 2, r"with 'support' and 'task_embedding' of shape \(2,\)\. Received: shapes {}$"),
        ({"support": tf.ones([5, 2])}, True, 2, "'task_embedding' of shape"),
        ({"task_embedding": tf.ones([3])}, False, 2, "'task_embedding' of shape"),
        ({"task_embedding": tf.ones([2])}, True, 0, "with 'support'"),
        (np.zeros((5, 2)), True, 0, r"Received: shapes \(5, 2\)$"),  # not all of its numbers
        ({"support": tf.ones([5, 2])}, False, 0, "is unconditioned. Received: dict$"),
    ],
)
def test_a_conditioning_that_does_not_fit_is_rejected(conditioning, sees_support, embedding_dim, message):
    with pytest.raises(ValueError, match=message):
        reader(sees_support, embedding_dim)(conditioning)


class _Conditioned(Generator):
    """A generator that uses its conditioning, as the contract requires of one that overrides `call`."""

    def __init__(self, **kwargs):
        super().__init__(example_shape=(2,), latent_dim=3, **kwargs)
        self.stack((3,), [keras.layers.Dense(2, kernel_initializer="ones")])

    def call(self, z, conditioning=None, training=False):
        return self.body(z, training=training) + conditioning["task_embedding"]


def test_a_subclass_can_condition_on_any_tree():
    z, embedding = tf.ones([4, 3]), tf.constant([[10.0, 20.0]])
    network = _Conditioned()
    expected = [[13.0, 23.0]] * 4
    np.testing.assert_allclose(network(z, conditioning={"task_embedding": embedding}), expected)
    weights = [tf.convert_to_tensor(v) for v in network.trainable_variables]
    outputs, _ = network.stateless_call(weights, [], z, conditioning={"task_embedding": embedding}, training=True)
    np.testing.assert_allclose(outputs, expected)
