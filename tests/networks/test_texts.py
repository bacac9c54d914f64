"""The text generator: exact draws and likelihoods, ends, copying, relaxations, saving, derivatives."""

from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan.layers import check_differentiable
from meta_gan.networks import Generator, TextGenerator
from meta_gan.networks.texts import RELAXATIONS, gumbel
from meta_gan.tasks.media import Texts
from tests.layers.finite_differences import directional_error

LENGTH, SYMBOLS = 3, 3
AB = Texts("ab")


def normals(*shape, seed=0, dtype="float32"):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), dtype)


def generator(attends=False, moved=True, dtype="float32", **options):
    """A tiny generator, moved to random weights, so that all of them take part."""
    made = TextGenerator((LENGTH, SYMBOLS), width=4, attends=attends, dtype=dtype, **options)
    for index, variable in enumerate(made.trainable_variables if moved else []):
        variable.assign(variable + 0.7 * normals(*variable.shape, seed=index, dtype=dtype))
    return made


shared = cache(generator)


def given(texts=("ab", "b"), embedding_dim=0, dtype="float32"):
    support = tf.cast(AB.seen(AB.encode(texts, LENGTH)), dtype)
    return {
        "support": support,
        **({"task_embedding": normals(embedding_dim, seed=9, dtype=dtype)} if embedding_dim else {}),
    }


def every_text():
    """All texts of up to three characters of two, as far as they fit: 1 + 2 + 4 + 8 of them."""
    texts = [""]
    for length in range(1, LENGTH + 1):
        texts += [format(i, f"0{length}b").translate(str.maketrans("01", "ab")) for i in range(2**length)]
    stored = np.zeros((len(texts), LENGTH), np.uint8)
    for row, text in zip(stored, texts, strict=True):
        row[: len(text)] = [1 + "ab".index(character) for character in text]
    return AB.seen(stored)


def test_gumbel_numbers():
    """Rank for rank, and of a Gumbel's mean and variance."""
    z = np.sort(normals(20_000).numpy())
    made = gumbel(tf.constant(z)).numpy()
    assert np.all(np.diff(made) >= 0) and np.all(np.isfinite(gumbel(tf.constant([-40.0, 40.0]))))
    np.testing.assert_allclose([made.mean(), made.var()], [np.euler_gamma, np.pi**2 / 6], rtol=0.05)
    np.testing.assert_allclose(gumbel(tf.constant([0.0])), [-np.log(np.log(2.0))], rtol=1e-6)


@pytest.mark.parametrize("attends", [False, True])
def test_probabilities_of_all_texts_sum_to_one(attends):
    conditioning = given() if attends else None
    logs = shared(attends).log_likelihood(every_text(), conditioning)
    np.testing.assert_allclose(tf.reduce_sum(tf.exp(logs)), 1.0, atol=1e-4)


@pytest.mark.parametrize("attends", [False, True])
def test_samples_have_these_probabilities(attends):
    net, conditioning = shared(attends), given() if attends else None
    count = 20_000
    made = AB.decode(tf.function(net)(normals(count, LENGTH * SYMBOLS), conditioning=conditioning).numpy())
    expected = np.exp(net.log_likelihood(every_text(), conditioning))
    names = AB.decode(every_text().numpy())
    shares = np.array([made.count(name) / count for name in names])
    # Five standard deviations of each share.
    assert np.all(np.abs(shares - expected) < 5 * np.sqrt(expected / count) + 1e-3)
    assert abs(shares.sum() - 1.0) < 1e-9


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_samples_are_one_hot_and_end_once(relaxation):
    made = generator(True, relaxation=relaxation)(normals(50, LENGTH * SYMBOLS), conditioning=given()).numpy()
    assert made.shape == (50, LENGTH, SYMBOLS) and set(np.unique(made)) == {0.0, 1.0}
    np.testing.assert_array_equal(made.sum(axis=-1), 1.0)
    ended = np.cumsum(made[..., 0], axis=1)
    np.testing.assert_array_equal((ended > 0)[:, 1:] & (made[:, 1:, 0] == 0), False)


def test_outputs_in_training():
    z = normals(20, LENGTH * SYMBOLS)
    through, soft = (generator(relaxation=kind)(z, training=True) for kind in RELAXATIONS)
    np.testing.assert_allclose(through, generator()(z), atol=1e-6)
    assert 0.01 < np.abs(soft - np.round(soft)).max() < 0.5 + 1e-6
    np.testing.assert_allclose(tf.reduce_sum(soft, axis=-1), 1.0, atol=1e-5)


def test_the_gradient_is_that_of_the_softmax():
    """On the first symbol, where there is no memory yet, both relaxations have one derivative."""
    z, weights = normals(5, LENGTH * SYMBOLS), normals(5, SYMBOLS, seed=3)
    slopes = []
    for kind in RELAXATIONS:
        net = generator(relaxation=kind)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(weights * net(z, training=True)[:, 0])
        slopes.append(tape.gradient(loss, net.expected.bias))
    np.testing.assert_allclose(*slopes, atol=1e-6)
    assert np.abs(slopes[0]).max() > 1e-3


def test_copying_alone_uses_symbols_of_the_support_set_only():
    net = generator(True)
    net.share.kernel.assign(tf.zeros_like(net.share.kernel))
    net.share.bias.assign([50.0])  # all of the share
    logs = net.log_likelihood(every_text(), given(["a", "aa"]))
    for name, log in zip(AB.decode(every_text().numpy()), logs.numpy(), strict=True):
        assert (log > -8) == (set(name) == {"a"} or not name), name


def test_the_order_of_the_support_set_does_not_matter_but_its_texts_do():
    net, z = shared(True), normals(30, LENGTH * SYMBOLS)
    logs = [net.log_likelihood(every_text(), given(texts)) for texts in (["ab", "b", "ba"], ["ba", "ab", "b"], ["a"])]
    np.testing.assert_allclose(logs[0], logs[1], atol=1e-5)
    assert np.abs(logs[0] - logs[2]).max() > 0.05
    np.testing.assert_array_equal(net(z, conditioning=given())[:7], net(z[:7], conditioning=given()))


def test_temperature_below_one_makes_likelier_texts():
    z = normals(2000, LENGTH * SYMBOLS)
    means = [float(tf.reduce_mean(shared().log_likelihood(generator(temperature=t)(z), None))) for t in (0.3, 1.0)]
    assert means[0] > means[1] + 0.3
    trained = [generator(temperature=t)(z, training=True) for t in (0.3, 1.0)]
    np.testing.assert_array_equal(*trained)


def test_the_contract():
    net = generator(True, embedding_dim=2)
    assert isinstance(net, Generator) and net.latent_dim == 9 and net.example_shape == (3, 3) and net.sees_support
    assert check_differentiable(net) is None and not shared().sees_support
    assert len({v.path for v in net.variables}) == len(net.variables)
    assert net(normals(2, 9), conditioning=given(embedding_dim=2)).shape == (2, 3, 3)


@pytest.mark.parametrize("attends", [False, True])
def test_saved_and_loaded(tmp_path, attends):
    net = generator(attends, relaxation="gumbel_softmax", softness=0.5, temperature=0.9)
    net.save(tmp_path / "a.keras")
    again, z = keras.models.load_model(tmp_path / "a.keras"), normals(9, 9)
    conditioning = given() if attends else None
    np.testing.assert_array_equal(net(z, conditioning=conditioning), again(z, conditioning=conditioning))
    assert again.get_config() == net.get_config()


def test_second_derivatives_of_the_likelihood():
    net = generator(True, dtype="float64")
    start, texts = [v.value for v in net.trainable_variables], tf.cast(every_text(), "float64")

    @tf.function(autograph=False)
    def first(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            with keras.StatelessScope(state_mapping=list(zip(net.trainable_variables, values, strict=True))):
                loss = tf.reduce_sum(tf.tanh(net.log_likelihood(texts, given(dtype="float64")) / 3.0))
        return tf.add_n([tf.reduce_sum(tf.square(g)) for g in tape.gradient(loss, values)])

    assert max(directional_error(first, start, step=1e-5)) < 1e-5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"example_shape": (3,)}, "must be \\(length, symbols\\)"),
        ({"example_shape": (3, 1)}, "at least 2 symbols"),
        ({"width": 0}, "'width' must be an integer >= 1"),
        ({"attends": 1}, "'attends' must be True or False"),
        ({"relaxation": "none"}, "'relaxation' must be one of"),
        ({"softness": 0.0}, "'softness' must be a finite number > 0"),
        ({"temperature": -1.0}, "'temperature' must be a finite number > 0"),
    ],
)
def test_bad_arguments_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        TextGenerator(**{"example_shape": (3, 3), **options})


def test_a_conditioning_that_does_not_fit_is_rejected():
    with pytest.raises(ValueError, match="must be a dict with 'support'"):
        shared(True)(normals(1, 9))
    with pytest.raises(ValueError, match="is unconditioned"):
        shared()(normals(1, 9), conditioning=given())
