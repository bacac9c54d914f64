"""The likelihood term of the generator's loss: its value, its gradients, and refusals."""

import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional
from meta_gan.games import GAN, Terms
from meta_gan.meta_learners import Adam
from meta_gan.tasks.media import Texts
from tests.games.nets import player_loss, tiny_texts
from tests.toys import tiny_gan

AB = Texts("ab")


def texts(*words):
    return tf.cast(AB.seen(AB.encode(words, 8)), "float64")


def conditioning(game, words=("ab", "abb")):
    return game.condition(functional.read(game.nets), texts(*words))


def test_the_value_is_the_mean_of_the_generators_log_likelihood():
    batch, values = texts("aab", "b", "abba"), []
    for weight in (0.0, 2.0):
        game = tiny_texts("float64", terms=Terms(adversarial=1.0, likelihood=weight))
        values.append(player_loss(game, "generator", batch, conditioning(game))[0])
    net, received = game.nets["generator"], conditioning(game)
    nats = -np.mean(net.log_likelihood(batch, received))
    np.testing.assert_allclose(values[1] - values[0], 2.0 * nats, rtol=1e-6)
    assert nats > 1.0


def test_the_discriminators_loss_has_no_likelihood():
    batch = texts("aab", "b")
    losses = []
    for weight in (0.0, 2.0):
        game = tiny_texts("float64", terms=Terms(adversarial=1.0, likelihood=weight))
        losses.append(player_loss(game, "discriminator", batch, conditioning(game))[0])
    np.testing.assert_array_equal(*losses)


@pytest.mark.slow
def test_descent_raises_the_likelihood_of_the_support_set():
    """Thirty steps of adaptation with the likelihood alone."""
    game = tiny_texts(terms=Terms(adversarial=0.0, likelihood=1.0))
    model = mg.MetaModel(game, mg.Algorithm("by likelihood", Adam(0.05), mg.Unrolled(1), 30))
    support = texts("ab", "ab", "abb", "b").numpy().astype(np.float32)
    before, after = (
        float(tf.reduce_mean(_likelihood(model, model.adapt(support, steps=steps).snapshot, support)))
        for steps in (0, 30)
    )
    assert after > before + 1.0


def _likelihood(model, snapshot, support):
    received = model.game.condition(snapshot, support)
    return functional.pure(
        model.game.nets["generator"], "log_likelihood", snapshot.weights["generator"], support, received
    )


def test_generators_without_a_likelihood_are_refused():
    with pytest.raises(ValueError, match="the term 'likelihood' needs a generator with 'log_likelihood'"):
        tiny_gan(terms=Terms(likelihood=1.0))
    with pytest.raises(ValueError, match="likelihood"):
        Terms(likelihood=-1.0)
    with pytest.raises(ValueError, match="one of the terms must be > 0"):
        Terms(adversarial=0.0)
    assert isinstance(tiny_texts(terms=Terms(adversarial=0.0, likelihood=1.0)), GAN)
