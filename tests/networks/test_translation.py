"""The translator: close to the identity at the start, conditioned on a task embedding or not."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import check_differentiable
from meta_gan.networks import Translator

SHAPE = (28, 28, 1)
EMBEDDING = {"task_embedding": tf.constant([0.5, -1.0, 2.0])}
WAYS = pytest.mark.parametrize(("size", "conditioning"), [(0, None), (3, EMBEDDING)])


def examples(count=4, shape=SHAPE, seed=0):
    return tf.constant(np.random.default_rng(seed).uniform(-1, 1, (count, *shape)).astype(np.float32))


@WAYS
def test_a_new_translator_is_close_to_the_identity(size, conditioning):
    net, x = Translator(SHAPE, width=8, embedding_dim=size), examples()
    made = net(x, conditioning=conditioning)
    assert made.shape == x.shape and np.abs(made).max() < 1
    kept = np.tanh(np.arctanh(np.clip(x, -0.95, 0.95)))
    assert 1e-4 < np.abs(made - kept).mean() < 0.1
    check_differentiable(net)


def test_without_a_correction_it_is_the_clipped_input():
    net, x = Translator(SHAPE, width=4), examples()
    for variable in net.leave.variables:
        variable.assign(tf.zeros_like(variable))
    np.testing.assert_allclose(net(x), np.clip(x, -0.95, 0.95), atol=1e-6)


@WAYS
def test_every_image_is_translated_by_itself(size, conditioning):
    net, x = Translator(SHAPE, width=4, embedding_dim=size), examples(5)
    whole = net(x, conditioning=conditioning)
    np.testing.assert_allclose(net(x[3:4], conditioning=conditioning), whole[3:4], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(net(x, conditioning=conditioning, training=True), whole)


def test_a_task_embedding_changes_the_translation():
    net, x = Translator(SHAPE, width=4, embedding_dim=3), examples()
    other = {"task_embedding": -EMBEDDING["task_embedding"]}
    assert np.abs(net(x, conditioning=EMBEDDING) - net(x, conditioning=other)).max() > 1e-5


def test_every_weight_has_a_gradient():
    """With a task embedding; a bias that a normalisation takes away is not there at all."""
    net = Translator(SHAPE, width=4, embedding_dim=3)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(tf.square(net(examples(), conditioning=EMBEDDING) - 0.3))
    for variable, gradient in zip(net.trainable_variables, tape.gradient(value, net.trainable_variables), strict=True):
        assert gradient is not None and np.abs(gradient).max() > 1e-6, variable.path


def test_weights_by_hand():
    """8 x 8 can be halved once: 5x5 in, 4x4 down, no blocks, 3x3 up over both, 5x5 out, and one normalisation of 4."""
    net = Translator((8, 8, 1), width=2, blocks=0)
    convolutions = 25 * 2 + 2 + 16 * 2 * 4 + 9 * (4 + 2) * 2 + 2 + 25 * 2 + 1
    assert net.levels == 1 and net.count_params() == convolutions + 2 * 4


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (8, 12, 1)])
def test_shapes(shape):
    assert Translator(shape, width=2, blocks=1)(examples(2, shape)).shape == (2, *shape)


@WAYS
def test_round_trip(size, conditioning, tmp_path):
    net, x = Translator(SHAPE, width=4, blocks=2, embedding_dim=size, seed=3), examples()
    if size:
        again = Translator.from_config(net.get_config())
        again.set_weights(net.get_weights())
    else:
        net.save(tmp_path / "net.keras")
        again = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(net(x, conditioning=conditioning), again(x, conditioning=conditioning))
    assert again.get_config() == net.get_config()


def test_seeds_differ_and_repeat():
    first, same, other = (Translator(SHAPE, width=4, seed=seed)(examples()) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1e-3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Translator((27, 28, 1)), "even height and width"),
        (lambda: Translator(SHAPE, width=0), "'width' must be an integer >= 1"),
        (lambda: Translator(SHAPE, blocks=-1), "'blocks' must be an integer >= 0"),
        (lambda: Translator(SHAPE, embedding_dim=-1), "'embedding_dim' must be an integer >= 0"),
        (lambda: Translator(SHAPE, width=2)(examples(), conditioning=EMBEDDING), "is unconditioned"),
        (lambda: Translator(SHAPE, width=2, embedding_dim=3)(examples()), "'task_embedding' of shape"),
    ],
)
def test_bad_arguments_are_rejected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
