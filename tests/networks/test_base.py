"""What all networks keep: the contract's attributes, saving, refusals, and independence of global state."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import check_differentiable
from meta_gan.networks import Discriminator, Generator, dcgan, mlp
from meta_gan.networks.base import seeded_normal

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
def test_conditioning_is_refused(name, index):
    network = PAIRS[name]()[index]
    x = inputs_of(network)
    np.testing.assert_array_equal(network(x, conditioning=None), network(x))
    with pytest.raises(ValueError, match=r"unconditioned: `conditioning` must be None\. Received: conditioning of"):
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


def test_initialiser_has_the_variance_it_says():
    make = seeded_normal(0, "test")
    for fan_in, slope, variance in [(8, 0.0, 2 / 8), (8, 1.0, 1 / 8), (50, 0.2, 2 / (1.04 * 50))]:
        draws = np.asarray(make(fan_in, slope)((200, 200)))
        np.testing.assert_allclose(draws.var(), variance, rtol=0.05)


def test_initialisers_differ_within_a_stream_and_between_streams():
    first, second = seeded_normal(0, "a"), seeded_normal(0, "b")
    seeds = [make(4).seed for make in (first, first, second, seeded_normal(1, "a"))]
    assert len(set(seeds)) == 4
    assert seeded_normal(0, "a")(4).seed == seeds[0]


class _Conditioned(Generator):
    """A generator that uses its conditioning, as the contract asks of one that overrides `call`."""

    def __init__(self, **kwargs):
        super().__init__(example_shape=(2,), latent_dim=3, **kwargs)
        self.stack((3,), [keras.layers.Dense(2, kernel_initializer="ones")])

    def call(self, z, conditioning=None, training=False):
        return self.body(z, training=training) + conditioning["task_embedding"]


def test_a_subclass_may_condition_on_any_tree():
    z, code = tf.ones([4, 3]), tf.constant([[10.0, 20.0]])
    network = _Conditioned()
    expected = [[13.0, 23.0]] * 4
    np.testing.assert_allclose(network(z, conditioning={"task_embedding": code}), expected)
    weights = [tf.convert_to_tensor(v) for v in network.trainable_variables]
    outputs, _ = network.stateless_call(weights, [], z, conditioning={"task_embedding": code}, training=True)
    np.testing.assert_allclose(outputs, expected)
