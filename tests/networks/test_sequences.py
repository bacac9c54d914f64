"""One-dimensional convolutions of sounds and texts: sizes, conditioning, seeds, saving, derivatives."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan import functional
from meta_gan.layers import check_differentiable
from meta_gan.networks import SequenceDiscriminator, TaskEncoder, WaveGenerator
from tests.layers.finite_differences import directional_error


def normals(*shape, seed=0, dtype="float32"):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), dtype)


@pytest.mark.parametrize("shape", [(64, 1), (1024, 1), (8192, 1), (1536, 2)])
def test_sounds_of_all_sizes(shape):
    net = WaveGenerator(shape, latent_dim=3, width=2)
    sounds = net(normals(4, 3))
    assert sounds.shape == (4, *shape) and np.abs(sounds).max() <= 1 and net.latent_dim == 3
    assert check_differentiable(net) is None
    np.testing.assert_allclose(net(normals(4, 3)[:2]), sounds[:2], atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "stride", "size"),
    [((8192, 1), 4, 2 * 8), ((1024, 1), 4, 4 * 8), ((16, 28), 2, 4 * 4), ((9, 3), 2, 5 * 2), ((8, 3), 2, 4 * 2)],
)
def test_the_last_features(shape, stride, size):
    """Places that are left of the length, which is divided until it is below 8, by the last convolution's channels."""
    net = SequenceDiscriminator(shape, width=2, stride=stride)
    assert net.size == size and net(normals(5, *shape)).shape == (5, 1)


@pytest.mark.parametrize("attends", [False, True])
@pytest.mark.parametrize("embedding_dim", [0, 3])
def test_conditioning(attends, embedding_dim):
    net = SequenceDiscriminator((16, 4), width=2, stride=2, attends=attends, embedding_dim=embedding_dim)
    x = normals(5, 16, 4)
    given = {"support": normals(3, 16, 4, seed=1)} if attends else {}
    given |= {"task_embedding": normals(embedding_dim, seed=2)} if embedding_dim else {}
    logits = net(x, conditioning=given or None)
    assert logits.shape == (5, 1) and net.sees_support == attends
    np.testing.assert_allclose(net(x[:2], conditioning=given or None), logits[:2], atol=1e-5)
    for name in given:
        other = {**given, name: given[name] + 1.0}
        assert np.abs(net(x, conditioning=other) - logits).max() > 1e-4
    if attends:
        turned = {**given, "support": given["support"][::-1]}
        np.testing.assert_allclose(net(x, conditioning=turned), logits, atol=1e-5)


def test_a_conditioning_that_does_not_fit_is_rejected():
    with pytest.raises(ValueError, match="is unconditioned"):
        SequenceDiscriminator((16, 4))(normals(1, 16, 4), conditioning={"support": normals(1, 16, 4)})
    with pytest.raises(ValueError, match="must be a dict with 'support'"):
        SequenceDiscriminator((16, 4), attends=True)(normals(1, 16, 4))


def test_shuffling_depends_on_the_key_of_the_call():
    net = SequenceDiscriminator((1024, 1), width=2, shuffle=2)
    weights, state = (
        [tf.convert_to_tensor(v) for v in vs] for vs in (net.trainable_variables, net.non_trainable_variables)
    )
    x = normals(3, 1024, 1)
    calls = [functional.call(net, weights, state, x, None, True, tf.constant([0, seed]))[0] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(calls[0], calls[1])
    assert np.abs(calls[0] - calls[2]).max() > 1e-3
    plain = functional.call(net, weights, state, x, None, False, tf.constant([0, 1]))[0]
    np.testing.assert_array_equal(plain, net(x))


@pytest.mark.parametrize("shape", [(64, 1), (16, 5)])
def test_second_derivatives(shape):
    net = SequenceDiscriminator(shape, width=1, stride=4 if shape[1] == 1 else 2, attends=True, dtype="float64")
    start = [normals(3, *shape, dtype="float64"), *(v.value for v in net.trainable_variables)]
    given = {"support": normals(2, *shape, seed=1, dtype="float64")}

    @tf.function(autograph=False)
    def first(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            logits, _ = functional.call(net, values[1:], [], values[0], given, True, tf.constant([0, 0]))
            loss = tf.reduce_sum(tf.tanh(logits))
        return tf.add_n([tf.reduce_sum(tf.square(g)) for g in tape.gradient(loss, values)])

    assert max(directional_error(first, start, step=1e-6)) < 1e-4


@pytest.mark.parametrize(
    ("make", "given"),
    [(lambda: WaveGenerator((256, 1), 3, 2), (3,)), (lambda: SequenceDiscriminator((64, 2), 2), (64, 2))],
)
def test_saved_and_loaded(tmp_path, make, given):
    net, x = make(), normals(4, *given)
    net.save(tmp_path / "a.keras")
    again = keras.models.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(net(x), again(x))
    assert again.get_config() == net.get_config()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WaveGenerator((60, 1)), "a multiple of 4 and >= 64"),
        (lambda: WaveGenerator((66, 1)), "a multiple of 4 and >= 64"),
        (lambda: WaveGenerator((64, 1, 1)), r"must be \(samples, channels\)"),
        (lambda: SequenceDiscriminator((7, 1)), "a length >= 8"),
        (lambda: SequenceDiscriminator((16, 1), stride=1), "'stride' must be an integer >= 2"),
        (lambda: SequenceDiscriminator((16, 1), shuffle=-1), "'shuffle' must be an integer >= 0"),
        (lambda: SequenceDiscriminator((16, 1), attends=None), "'attends' must be True or False"),
    ],
)
def test_bad_arguments_are_rejected(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("shape", [(8, 1), (16, 28), (8192, 1)])
def test_a_task_encoder_of_sequences(shape):
    net = TaskEncoder(shape, embedding_dim=3, width=2)
    support = normals(4, *shape)
    embedding = net(support)
    assert embedding.shape == (3,)
    np.testing.assert_allclose(net(support[::-1]), embedding, atol=1e-5)
    assert np.abs(net(support + 1.0) - embedding).max() > 1e-4
