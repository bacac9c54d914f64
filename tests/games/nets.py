"""Small nets with state, with dropout, and with conditioning, and games of them."""

import keras
import tensorflow as tf

from meta_gan import functional, layers
from meta_gan.games import GAN


def sequential(inputs, stack, seed):
    net = keras.Sequential([keras.Input((inputs,)), *stack])
    for i, variable in enumerate(net.trainable_variables):
        if variable.name in ("kernel", "bias"):
            variable.assign(0.5 * tf.random.stateless_normal(variable.shape, (seed, i)))
    return net


def dense(units, activation=None):
    return keras.layers.Dense(units, activation=activation)


def batch_norm_gan(**options):
    """Batch normalisation in both players; the moving averages move a tenth of the way."""
    generator = sequential(2, [dense(3), layers.BatchNormalization(momentum=0.9), dense(2, "tanh")], 1)
    discriminator = sequential(2, [dense(3), layers.BatchNormalization(momentum=0.9), dense(1)], 2)
    return GAN(generator, discriminator, **options)


def dropout_gan(**options):
    generator = sequential(2, [dense(8, "tanh"), keras.layers.Dropout(0.5, seed=3), dense(2, "tanh")], 1)
    discriminator = sequential(2, [dense(8, "tanh"), keras.layers.Dropout(0.5, seed=4), dense(1)], 2)
    return GAN(generator, discriminator, **options)


@keras.saving.register_keras_serializable("toys")
class Conditioned(keras.Model):
    """A dense net of an input and a code of width 3."""

    def __init__(self, inputs, outputs, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.inputs_, self.outputs_, self.seed = inputs, outputs, seed
        self.latent_dim, self.image_shape = inputs, (outputs if outputs > 1 else inputs,)
        self.body = sequential(inputs + 3, [dense(4, "tanh"), dense(outputs)], seed)
        self.built = True

    def call(self, x, conditioning=None, training=False):
        code = tf.broadcast_to(conditioning, [tf.shape(x)[0], 3])
        return self.body(tf.concat([x, code], axis=-1))

    def get_config(self):
        own = {"inputs": self.inputs_, "outputs": self.outputs_, "seed": self.seed}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("toys")
class ConditionedGAN(GAN):
    """A GAN whose nets take a code of the support set from an encoder that the generator's player owns."""

    def __init__(self, generator, discriminator, encoder, **options):
        super().__init__(generator, discriminator, **options)
        self.nets["encoder"] = encoder
        self.players["generator"] = ("generator", "encoder")
        self.conditioners = ("encoder",)
        self._check()

    def condition(self, snapshot, support):
        weights, state = snapshot.weights["encoder"], snapshot.state["encoder"]
        codes, _ = functional.call(self.nets["encoder"], weights, state, support, None, False, (0, 0))
        return tf.reduce_mean(codes, axis=0, keepdims=True)

    def get_config(self):
        encoder = keras.saving.serialize_keras_object(self.nets["encoder"])
        return {**super().get_config(), "encoder": encoder}

    @classmethod
    def from_config(cls, config):
        names = ("generator", "discriminator", "encoder", "loss", "penalty")
        made = {key: keras.saving.deserialize_keras_object(config[key]) for key in names if config[key]}
        rest = {key: value for key, value in config.items() if key not in names}
        return cls(**made, **rest)


def conditioned_gan(**options):
    encoder = sequential(2, [dense(4, "tanh"), dense(3)], 5)
    return ConditionedGAN(Conditioned(2, 2, 6), Conditioned(2, 1, 7), encoder, **options)
