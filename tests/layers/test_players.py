"""What a player's layers ask for is honoured, or refused with net and layer."""

import keras
import pytest

import meta_gan as mg
from tests.toys import random_episodes

L = keras.layers


class Adding(L.Layer):
    """Adds a loss in its call."""

    def call(self, x):
        self.add_loss(keras.ops.mean(x))
        return x


class Silent(L.Layer):
    """A user's layer that adds none."""

    def call(self, x):
        return x


class Subclassed(keras.Model):
    """A net of unknown inputs, which cannot be called before a game calls it."""

    def __init__(self):
        super().__init__()
        self.example_shape, self.dense, self.adding = (2,), L.Dense(1), Adding()
        self.dense.build((None, 2))
        self.built = True

    def call(self, x, training=False):
        return self.adding(self.dense(x))


def game(*layers, net=None):
    generator = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    return mg.games.GAN(generator, net or keras.Sequential([keras.Input((2,)), *layers]))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([L.Dense(1, kernel_regularizer="l2")], r"no regularizer.*L2 in the layer '.*dense"),
        ([L.Dense(1, bias_regularizer=keras.regularizers.L1(0.1))], "no regularizer.*L1 in the layer"),
        ([mg.layers.SpectralDense(1, kernel_regularizer="l2")], "no regularizer.*spectral_dense"),
        (
            [keras.Sequential([keras.Input((2,)), L.Dense(1, kernel_regularizer="l2", name="deep")])],
            "no regularizer.*deep",
        ),
        ([L.Dense(1, kernel_constraint="non_neg")], "no constraint.*NonNeg"),
        ([L.Dense(1, bias_constraint=keras.constraints.MaxNorm(1.0))], "no constraint.*MaxNorm"),
        ([L.Dense(1, activity_regularizer="l1", name="busy")], "no activity regularizer.*L1 in the layer 'busy'"),
        ([L.ActivityRegularization(0.1), L.Dense(1)], "no activity regularizer.*activity_regularization"),
        (
            [L.Flatten("channels_first", name="flat"), L.Dense(1)],
            "'data_format' 'channels_last'.*channels_first in the layer 'flat'",
        ),
        ([Adding(name="adds"), L.Dense(1)], "no layer that adds a loss.*'adds'"),
        (
            [keras.Sequential([keras.Input((2,)), Adding(name="inner")]), L.Dense(1)],
            "no layer that adds a loss.*'inner'",
        ),
    ],
)
def test_what_would_be_lost_is_refused(layers, message):
    with pytest.raises(ValueError, match=f"the net 'discriminator' must have {message}"):
        game(*layers)


def test_a_loss_of_a_net_that_was_never_called_is_refused_at_the_first_call():
    model = mg.MetaModel(game(net=Subclassed()), mg.FOMAML(inner_steps=1))
    model.compile()
    with pytest.raises(ValueError, match="a net must add no loss in its call"):
        model.train_on_batch(random_episodes())


@pytest.mark.parametrize("layers", [[Silent(), L.Dense(1)], [L.Dropout(0.1), L.Dense(1)]])
def test_other_layers_are_players(layers):
    assert game(*layers).nets["discriminator"].built


def test_frozen_weights_may_have_what_only_training_uses():
    net = keras.Sequential([keras.Input((2,)), L.Dense(3, kernel_regularizer="l2", trainable=False), L.Dense(1)])
    model = mg.MetaModel(game(net=net), mg.FOMAML(inner_steps=1))
    model.compile()
    assert len(model.groups["discriminator"]) == 2
    assert model.train_on_batch(random_episodes(), return_dict=True)["query/discriminator"] > 0
