"""The SAGAN pair: counts by hand, conditioning, independent rows, derivatives, saving, rejected arguments."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import InstanceNormalization, MetaBatchNormalization, SpectralConv2D, check_differentiable
from meta_gan.losses import GradientPenalty, Wasserstein
from meta_gan.networks import Discriminator, Generator, SAGANDiscriminator, SAGANGenerator, sagan
from meta_gan.networks.self_attention import attention_level
from tests.layers.finite_differences import directional_error

SHAPE = (8, 8, 1)
DIMS = [0, 3]
CODED = pytest.mark.parametrize("embedding_dim", DIMS)
EACH = pytest.mark.parametrize(
    "embedding_dim, index", [(embedding_dim, index) for embedding_dim in DIMS for index in (0, 1)]
)


def small(embedding_dim, **options):
    return sagan(SHAPE, latent_dim=4, width=2, embedding_dim=embedding_dim, **options)


def inputs_of(network, n=3):
    shape = (network.latent_dim,) if isinstance(network, Generator) else network.example_shape
    return tf.constant(np.random.default_rng(0).normal(size=(n, *shape)), network.compute_dtype)


def conditioning_of(network, seed=1):
    if not network.embedding_dim:
        return {}
    embedding = np.random.default_rng(seed).normal(size=network.embedding_dim)
    return {"conditioning": {"task_embedding": tf.constant(embedding, network.compute_dtype)}}


def values_of(network):
    both = (network.trainable_variables, network.non_trainable_variables)
    return tuple([tf.convert_to_tensor(variable) for variable in variables] for variables in both)


def perturbed(network, size=0.2):
    """Move every trained weight, so that gamma, biases and the task embedding's kernels take part."""
    draw = np.random.default_rng(5)
    for variable in network.trainable_variables:
        variable.assign(variable + draw.normal(0.0, size, variable.shape))
    return network


SIDES = {(8, 8): 0, (16, 16): 0, (28, 28): 1, (30, 30): 1, (32, 32): 1, (64, 64): 2, (128, 64): 3}


@pytest.mark.parametrize("sides, level", SIDES.items())
def test_attention_stands_at_the_size_nearest_to_15(sides, level):
    assert attention_level((*sides, 1)) == level
    for network in sagan((*sides, 1), latent_dim=2, width=1):
        attention = network.body.get_layer("attention")
        assert (attention.height, attention.width) == (sides[0] >> level, sides[1] >> level)


def test_parameters_counted_by_hand():
    # one level, width 2: a base of 4x4 with 4 channels; attention at full size, of 2 channels
    generator, discriminator = sagan((8, 8, 3), latent_dim=5, width=2)
    attention = 2 * 1 + 2 * 1 + 2 * 1 + 1 * 2 + 1
    block = 4 * 2 + 9 * 4 * 2 + 9 * 2 * 2  # the 1x1 convolution past it, and its two
    norms = 2 * 4 + 2 * 2 + 2 * 2
    state = 64 + 2 + 2 + 2 + 3 + (1 + 1 + 1 + 2)  # a u for every spectral layer, as long as its filters
    assert generator.count_params() == (5 * 64 + 64) + block + norms + attention + (9 * 2 * 3 + 3) + state
    block = 2 * 4 + (9 * 2 * 4 + 4) + (9 * 4 * 4 + 4)
    state = 2 + 4 + 4 + 4 + 1 + (1 + 1 + 1 + 2)
    assert discriminator.count_params() == (9 * 3 * 2 + 2) + attention + block + (4 + 1) + state


def test_parameters_of_the_task_embedding_counted_by_hand():
    plain, coded = small(0), small(3)
    # behind each normalisation, of 4, 2 and 2 channels: 4 readouts of 3 + 4 numbers, and a share; scale and offset go
    assert coded[0].count_params() - plain[0].count_params() == (4 + 2 + 2) * (4 * (3 + 4 + 1) + 1 - 2)
    assert coded[1].count_params() - plain[1].count_params() == 3 * 4 + 4  # V and its u


@CODED
def test_contract_of_shapes_types_and_classes(embedding_dim):
    for dtype in ("float32", "float64"):
        generator, discriminator = sagan((8, 12, 3), latent_dim=5, width=2, embedding_dim=embedding_dim, dtype=dtype)
        assert isinstance(generator, Generator) and isinstance(discriminator, Discriminator)
        condition = conditioning_of(generator)
        examples = generator(100 * inputs_of(generator), **condition)
        assert examples.shape == (3, 8, 12, 3) and examples.dtype == dtype and np.max(np.abs(examples)) <= 1
        logits = discriminator(examples, **condition)
        assert logits.shape == (3, 1) and logits.dtype == dtype
        assert generator.latent_dim == 5 and generator.example_shape == discriminator.example_shape == (8, 12, 3)


@EACH
def test_weights_exist_before_the_first_call_and_layers_are_sound(embedding_dim, index):
    network = small(embedding_dim)[index]
    assert network.built and network.trainable_variables
    count = len(network.variables)
    network(inputs_of(network), **conditioning_of(network))
    assert len(network.variables) == count and check_differentiable(network) is None


@EACH
def test_convolutions_are_spectral_and_normalisation_fits_the_conditioning(embedding_dim, index):
    parts = small(embedding_dim)[index]._flatten_layers()
    kinds = [type(part) for part in parts if part.trainable_variables]
    assert not {keras.layers.Conv2D, keras.layers.Dense} & set(kinds) and SpectralConv2D in kinds
    assert kinds.count(InstanceNormalization) == (3 if index == 0 and not embedding_dim else 0)
    assert kinds.count(MetaBatchNormalization) == (3 if index == 0 and embedding_dim else 0)


@EACH
def test_without_attention_there_is_no_such_layer(embedding_dim, index):
    network = small(embedding_dim, attention=False)[index]
    assert "attention" not in {layer.name for layer in network.body.layers}
    assert network(inputs_of(network), **conditioning_of(network)).shape[0] == 3


@EACH
def test_seed_and_config_alone_decide_the_initial_weights(embedding_dim, index):
    keras.utils.set_random_seed(1)
    first = small(embedding_dim, seed=7)[index]
    keras.utils.set_random_seed(2)
    again, other = (small(embedding_dim, seed=seed)[index].get_weights() for seed in (7, 8))
    rebuilt = type(first).from_config(first.get_config()).get_weights()
    for one, two, three in zip(first.get_weights(), again, rebuilt, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)
    assert any(np.any(one != two) for one, two in zip(again, other, strict=True))


@EACH
@pytest.mark.parametrize("training", [False, True])
def test_a_row_does_not_depend_on_the_others(embedding_dim, index, training):
    network = perturbed(small(embedding_dim, dtype="float64")[index])
    x, condition = inputs_of(network), conditioning_of(network)
    weights, state = values_of(network)

    def call(x):
        return network.stateless_call(weights, state, x, training=training, **condition)[0]

    np.testing.assert_allclose(call(x)[1:2], call(x[1:2]), rtol=1e-9, atol=1e-12)


@EACH
def test_training_computes_what_inference_does_and_moves_only_the_state(embedding_dim, index):
    network = perturbed(small(embedding_dim, dtype="float64")[index])
    x, condition = inputs_of(network), conditioning_of(network)
    before, state = network(x, **condition), [v.numpy() for v in network.non_trainable_variables]
    np.testing.assert_allclose(network(x, training=True, **condition), before, rtol=1e-12)
    assert all(v.path.endswith("/u") for v in network.non_trainable_variables)
    assert any(np.any(one != two.numpy()) for one, two in zip(state, network.non_trainable_variables, strict=True))


@CODED
def test_stateless_call_in_a_graph_with_an_unknown_batch_equals_call(embedding_dim):
    for network in small(embedding_dim):
        x, condition = inputs_of(network), conditioning_of(network)

        @tf.function(input_signature=[tf.TensorSpec([None, *x.shape[1:]])])
        def stateless(x, network=network, condition=condition):
            return network.stateless_call(*values_of(network), x, training=False, **condition)[0]

        np.testing.assert_allclose(stateless(x), network(x, **condition), rtol=1e-5, atol=1e-6)
        assert stateless(x[:1]).shape[0] == 1


def test_compiled_equals_eager():
    generator, discriminator = small(3)
    condition, z = conditioning_of(generator), inputs_of(generator)
    both = tf.function(lambda z: discriminator(generator(z, **condition), **condition), jit_compile=True)
    np.testing.assert_allclose(both(z), discriminator(generator(z, **condition), **condition), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("index", [0, 1])
def test_the_task_embedding_matters_and_has_a_gradient_from_the_start(index):
    network = small(3, dtype="float64")[index]
    x, embedding = inputs_of(network), conditioning_of(network)["conditioning"]["task_embedding"]
    other = network(x, **conditioning_of(network, seed=2))
    with tf.GradientTape() as tape:
        tape.watch(embedding)
        outputs = network(x, conditioning={"task_embedding": embedding, "other": tf.zeros([])})
        loss = tf.reduce_sum(tf.square(outputs))
    assert np.max(np.abs(outputs - other)) > 1e-4 and np.all(tape.gradient(loss, embedding) != 0)


def test_the_logit_is_affine_in_the_task_embedding_and_its_slope_the_projection():
    discriminator = small(3, dtype="float64")[1]
    x = inputs_of(discriminator)
    logits = np.stack(
        [
            discriminator(x, conditioning={"task_embedding": tf.constant(embedding)})
            for embedding in [*np.eye(3), np.zeros(3)]
        ]
    )
    embedding = np.array([1.0, -2.0, 0.5])
    expected = logits[3] + np.einsum("c,cno->no", embedding, logits[:3] - logits[3])
    np.testing.assert_allclose(
        discriminator(x, conditioning={"task_embedding": tf.constant(embedding)}), expected, rtol=1e-9
    )
    kernel, bias = (np.asarray(v) for v in discriminator.body.get_layer("logit").trainable_variables)
    features = keras.Model(discriminator.body.inputs, discriminator.body.get_layer("logit").input)(
        [x, tf.zeros([1, 3], tf.float64)]
    )
    np.testing.assert_allclose(logits[3], features @ kernel / np.linalg.norm(kernel) + bias, rtol=1e-6)
    projection = np.asarray(discriminator.body.get_layer("project").kernel)
    np.testing.assert_allclose((logits[:3] - logits[3])[:, :, 0], projection @ np.transpose(features), rtol=1e-6)


@CODED
def test_signals_start_of_a_sound_size(embedding_dim):
    generator, discriminator = sagan((16, 16, 1), latent_dim=16, width=8, embedding_dim=embedding_dim)
    condition = conditioning_of(generator)
    images = generator(inputs_of(generator, 32), **condition)
    assert 0.1 < np.std(images) < 0.8
    assert 0.005 < np.std(discriminator(images, **condition)) < 2


@EACH
def test_every_weight_has_a_gradient(embedding_dim, index):
    network = perturbed(small(embedding_dim)[index])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(network(inputs_of(network, 8), training=True, **conditioning_of(network)) - 0.5))
    gradients = tape.gradient(loss, network.trainable_variables)
    for variable, gradient in zip(network.trainable_variables, gradients, strict=True):
        assert gradient is not None and np.any(gradient != 0) and np.all(np.isfinite(gradient)), variable.path


@pytest.mark.slow
def test_meta_gradient_equals_finite_differences():
    """Of both players' WGAN-GP losses after a step of each; of width 2, for a kernel of one number is its sign."""
    generator, discriminator = (perturbed(net) for net in sagan(SHAPE, 3, 2, embedding_dim=2, dtype="float64"))
    split, condition, loss = len(generator.trainable_variables), conditioning_of(generator), Wasserstein()
    (first, of_generator), (second, of_discriminator) = values_of(generator), values_of(discriminator)
    z, real = inputs_of(generator, 2), tf.tanh(inputs_of(discriminator, 2))

    def losses(weights):
        fake = generator.stateless_call(weights[:split], of_generator, z, training=True, **condition)[0]

        def critic(x):
            return discriminator.stateless_call(weights[split:], of_discriminator, x, training=True, **condition)[0]

        penalty = GradientPenalty()(critic, real, fake, (0, 1))
        return loss.generator(critic(fake)), loss.discriminator(critic(real), critic(fake)) + penalty

    @tf.function(autograph=False)
    def objective(weights):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(weights)
            of_players = losses(weights)
        gradients = tape.gradient(of_players[0], weights[:split]) + tape.gradient(of_players[1], weights[split:])
        of_players = losses([w - 0.05 * g for w, g in zip(weights, gradients, strict=True)])
        return 2.0 * of_players[0] + of_players[1]

    # The penalty jumps where a pixel crosses a rectifier's kink, and one is 5e-7 away, which spoils the long step; the
    # short one is coarse where a derivative is small. A wrong derivative fails both.
    errors = [directional_error(objective, [*first, *second], step) for step in (1e-7, 3e-6)]
    assert max(map(min, *errors)) < 2e-5


@EACH
def test_file_round_trip_gives_equal_outputs(embedding_dim, index, tmp_path):
    network = perturbed(small(embedding_dim, seed=3, dtype="float64", attention=bool(embedding_dim))[index])
    x, condition = inputs_of(network), conditioning_of(network)
    network(x, training=True, **condition)  # the state is not what the seed would give again, either
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert type(loaded) is type(network) and loaded.get_config() == network.get_config()
    np.testing.assert_array_equal(loaded(x, **condition), network(x, **condition))


def test_saved_model_without_our_classes_gives_equal_outputs(tmp_path):
    network = small(0)[0]
    expected = network(inputs_of(network))
    network.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    np.testing.assert_allclose(served.serve(inputs_of(network)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(
    "conditioning",
    [
        None,
        {},
        {"mode": tf.zeros([3])},
        {"task_embedding": tf.zeros([4])},
        {"task_embedding": tf.zeros([1, 3])},
        tf.zeros([3]),
    ],
)
def test_a_missing_or_wrong_task_embedding_is_rejected(index, conditioning):
    network = small(3)[index]
    with pytest.raises(ValueError, match=r"must be a dict with 'task_embedding' of shape \(3,\)\. Received: shapes"):
        network(inputs_of(network), conditioning=conditioning)


@pytest.mark.parametrize("index", [0, 1])
def test_an_unconditioned_network_rejects_a_conditioning(index):
    network = small(0)[index]
    with pytest.raises(ValueError, match=r"'conditioning' must be None: .* is unconditioned\. Received: dict"):
        network(inputs_of(network), conditioning={"task_embedding": tf.zeros([3])})


BAD = [({"width": 0}, "width"), ({"embedding_dim": -1}, "embedding_dim"), ({"seed": -1}, "seed")]
BAD += [({"example_shape": shape}, "example_shape") for shape in [(7, 8, 1), (6, 8, 1), (30, 8, 5), (8, 8)]]


@pytest.mark.parametrize("make", [SAGANGenerator, SAGANDiscriminator])
@pytest.mark.parametrize("options, name", BAD)
def test_bad_arguments_are_rejected(make, options, name):
    with pytest.raises(ValueError, match=rf"'{name}' must .*Received: "):
        make(**{"example_shape": SHAPE, **options})
