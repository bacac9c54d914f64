"""Small nets with state, with dropout, and with conditioning, and games of them."""

import keras
import tensorflow as tf

from meta_gan import functional, layers, losses, networks
from meta_gan.games import GAN, Terms
from meta_gan.types import Settings
from tests.toys import PointFlow


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
    """A dense net of an input and a task embedding of size 3."""

    def __init__(self, inputs, outputs, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.inputs_, self.outputs_, self.seed = inputs, outputs, seed
        self.latent_dim, self.example_shape = inputs, (outputs if outputs > 1 else inputs,)
        self.body = sequential(inputs + 3, [dense(4, "tanh"), dense(outputs)], seed)
        self.built = True

    def call(self, x, conditioning=None, training=False):
        embedding = tf.broadcast_to(conditioning, [tf.shape(x)[0], 3])
        return self.body(tf.concat([x, embedding], axis=-1))

    def get_config(self):
        own = {"inputs": self.inputs_, "outputs": self.outputs_, "seed": self.seed}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("toys")
class ConditionedGAN(GAN):
    """A GAN whose conditioning is a tensor, the mean embedding of the support set, float[1, 3]."""

    def condition(self, snapshot, support):
        weights, state = snapshot.weights["encoder"], snapshot.state["encoder"]
        codes, _ = functional.call(self.nets["encoder"], weights, state, support, None, False, (0, 0))
        return tf.reduce_mean(codes, axis=0, keepdims=True)


def conditioned_gan(**options):
    encoder = sequential(2, [dense(4, "tanh"), dense(3)], 5)
    return ConditionedGAN(Conditioned(2, 2, 6), Conditioned(2, 1, 7), encoder=encoder, **options)


@keras.saving.register_keras_serializable("toys")
class Beside(keras.Model):
    """A dense net of its input and, where it declares so, of the mean support example and the task embedding."""

    def __init__(self, inputs, outputs, support=0, task_embedding=0, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.arguments = {
            "inputs": inputs,
            "outputs": outputs,
            "support": support,
            "task_embedding": task_embedding,
            "seed": seed,
        }
        self.latent_dim, self.example_shape, self.sees_support = (
            inputs,
            (outputs if outputs > 1 else inputs,),
            support > 0,
        )
        self.body = sequential(inputs + support + task_embedding, [dense(4, "tanh"), dense(outputs)], seed)
        self.build((None, inputs))

    def build(self, input_shape):
        """Let Keras record the input shape."""

    def call(self, x, conditioning=None, training=False):
        received = [tf.reduce_mean(conditioning["support"], axis=0)] if self.arguments["support"] else []
        received += [conditioning["task_embedding"]] if self.arguments["task_embedding"] else []
        rows = tf.shape(x)[0]
        return self.body(tf.concat([x, *[tf.repeat(t[None], rows, axis=0) for t in received]], axis=-1))

    def get_config(self):
        return {**super().get_config(), **self.arguments}


@keras.saving.register_keras_serializable("toys")
class MeanEncoder(keras.Model):
    """A task encoder float[k, 2] -> float[embedding_dim]: a dense net's mean over examples, and a context."""

    def __init__(self, task_embedding, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.task_embedding, self.seed, self.example_shape = task_embedding, seed, (2,)
        self.body = sequential(2, [dense(task_embedding, "tanh")], seed)
        self.context = self.add_weight(name="context", shape=(task_embedding,), initializer="zeros")
        self.build((None, 2))

    def build(self, input_shape):
        """Let Keras record the input shape."""

    def call(self, support, training=False):
        return tf.reduce_mean(self.body(support), axis=0) + self.context

    def get_config(self):
        return {**super().get_config(), "task_embedding": self.task_embedding, "seed": self.seed}


def support_gan(support=True, embedding_dim=3, **options):
    """A GAN of 2-D points whose nets receive the support set, the task embedding, both, or nothing."""
    seen = 2 if support else 0
    if embedding_dim:
        options["encoder"] = MeanEncoder(embedding_dim, 5)
    return GAN(Beside(2, 2, seen, embedding_dim, 6), Beside(2, 1, seen, embedding_dim, 7), **options)


def sampled_flow(**options):
    """A GAN of 2-D points whose generator is a flow of two steps that sees the support set."""
    return GAN(PointFlow("euler", 2, anchored=True), Beside(2, 1, 2, 0, 7), **options)


def point_features(seed=8):
    """A net float[n, 2] -> float[n, 3]."""
    return sequential(2, [dense(3, "tanh")], seed)


def tiny_fusion(dtype="float32", **options):
    """A fusion pair for 8 x 8 images with a task encoder and frozen features."""
    image, made = (8, 8, 1), {"embedding_dim": 3, "dtype": dtype}
    generator = networks.FusionGenerator(image, latent_dim=4, width=2, detail=1, **made)
    discriminator = networks.FusionDiscriminator(image, width=2, **made)
    encoder = networks.TaskEncoder(image, width=2, **made)
    kernel = keras.initializers.GlorotUniform(seed=0)
    readout = keras.layers.Dense(4, activation="tanh", kernel_initializer=kernel, dtype=dtype)
    stack = [keras.layers.Flatten(dtype=dtype), readout]
    features = keras.Sequential([keras.Input(image, dtype=dtype), *stack])
    return GAN(generator, discriminator, encoder=encoder, features=features, **options)


def tiny_sounds(dtype="float32", **options):
    """A fusion pair for sounds with a task encoder, compared in spectrograms."""
    shape, made = (1024, 1), {"embedding_dim": 2, "dtype": dtype}
    generator = networks.WaveFusionGenerator(shape, latent_dim=4, width=1, bands=3, **made)
    discriminator = networks.WaveFusionDiscriminator(shape, width=1, **made)
    encoder = networks.TaskEncoder(shape, width=1, **made)
    front = [layers.LogMel(8000, hop=256, bands=4, dtype=dtype), keras.layers.Flatten(dtype=dtype)]
    features = keras.Sequential([keras.Input(shape, dtype=dtype), *front])
    return GAN(generator, discriminator, encoder=encoder, features=features, **options)


def tiny_texts(dtype="float32", **options):
    """A generator of texts that copies from the support set, with a task encoder."""
    shape, made = (8, 3), {"embedding_dim": 2, "attends": True, "dtype": dtype}
    generator = networks.TextGenerator(shape, width=3, **made)
    discriminator = networks.SequenceDiscriminator(shape, width=2, stride=2, **made)
    return GAN(generator, discriminator, encoder=networks.TaskEncoder(shape, 2, width=2, dtype=dtype), **options)


EVERYTHING = {
    "loss": losses.RelativisticAverage(),
    "terms": Terms(adversarial=0.5, features=1.0, nearness=0.7, pixels=0.3, mode_seeking=0.2),
    "holdout": 2,
}
"""The arguments of a conditioned game, apart from its nets."""


def everything_gan(**options):
    """A GAN of 2-D points with all terms, conditioned on the support set and the task embedding."""
    return support_gan(**{**EVERYTHING, "features": point_features(), **options})


def player_loss(game, player, batch, conditioning=None, seed=(3, 4)):
    """Return `game.loss` of a player at the nets' present values: `(loss, state, signals)`."""
    snapshot = game.own(player, functional.read(game.nets))
    return game.loss(player, snapshot, batch, conditioning, Settings(), tf.constant(seed))
