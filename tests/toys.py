"""Games small enough to be solved by hand, and episodes of them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan import functional, networks
from meta_gan.games import GAN, VAE, FlowDistillation, FlowMatching, Game, Translation
from meta_gan.losses import Gaussian
from meta_gan.meta import InnerLoop
from meta_gan.meta_learners import GradientDescent
from meta_gan.types import Episode, MetaWeights


def weekly(*values):
    """Values of a parameter that the weekly run alone asks for; a tuple is the values of several."""
    return [pytest.param(*(v if isinstance(v, tuple) else (v,)), marks=pytest.mark.slow) for v in values]


@keras.saving.register_keras_serializable("toys")
class Scalar(keras.Model):
    """One weight; maps x to weight * x, or with `ignores_input` to the weight itself."""

    latent_dim = 1

    def __init__(self, start=0.0, ignores_input=False, **kwargs):
        super().__init__(**{"dtype": "float64", **kwargs})
        self.start, self.ignores_input = float(start), bool(ignores_input)
        self.weight = self.add_weight(shape=(), name="weight")
        self.weight.assign(np.float64(start))  # Keras's Constant would round it to float32
        self.built = True

    def call(self, x, training=False):
        return tf.zeros_like(x) + self.weight if self.ignores_input else self.weight * x

    def get_config(self):
        return {**super().get_config(), "start": self.start, "ignores_input": self.ignores_input}


class Quadratic(Game):
    """One player with one weight w and the loss a/2 (w - c)^2, c the mean of the examples float64[n, 1]."""

    def __init__(self, start, curvature):
        super().__init__({"point": Scalar(start)}, {"learner": ("point",)}, ((("learner",), 1),), {"learner": 1}, (1,))
        self.curvature = curvature

    def loss(self, player, snapshot, batch, conditioning, settings, seed):
        value = self.distance(snapshot, batch, conditioning, seed)
        return value, snapshot.state, tf.cast(value, tf.float32)[None]

    def distance(self, snapshot, query, conditioning, seed, biased=False):
        (w,) = snapshot.weights["point"]
        return 0.5 * self.curvature * tf.square(w - tf.reduce_mean(query))


class TwoPlayers(Game):
    """Players `psi` and `theta` of one weight each, with losses of (psi, theta, mean of the examples)."""

    def __init__(self, psi, theta, losses, turns=((("psi",), 1), (("theta",), 1))):
        nets = {"psi": Scalar(psi), "theta": Scalar(theta)}
        super().__init__(nets, {"psi": ("psi",), "theta": ("theta",)}, turns, {"psi": 1, "theta": 1}, (1,))
        self.losses = losses

    def loss(self, player, snapshot, batch, conditioning, settings, seed):
        (psi,), (theta,) = snapshot.weights["psi"], snapshot.weights["theta"]
        value = self.losses[player](psi, theta, tf.reduce_mean(batch))
        return value, snapshot.state, tf.cast(value, tf.float32)[None]

    def distance(self, snapshot, query, conditioning, seed, biased=False):
        return self.loss("theta", snapshot, query, conditioning, None, seed)[0]


def constant_episodes(supports, queries, seed=0):
    """Episodes of one float64 number: row i has `supports[i]` to adapt to and `queries[i]` to be judged on."""
    tasks = len(supports)
    seeds = np.random.default_rng(seed).integers(0, 2**31 - 1, (tasks, 2)).astype(np.int32)
    shape = (tasks, 1, 1)
    return Episode(
        tf.constant(np.reshape(supports, shape), tf.float64),
        tf.constant(np.reshape(queries, shape), tf.float64),
        tf.range(tasks),
        tf.constant(seeds),
    )


def random_episodes(tasks=2, shots=3, queries=4, shape=(2,), seed=0, dtype="float32"):
    """Episodes of uniform noise in [-1, 1], of one domain or of those that `shape` names."""
    draw = np.random.default_rng(seed)

    def noise(n):
        made = {name: draw.uniform(-1, 1, (tasks, n, *each)).astype(dtype) for name, each in domains.items()}
        return {name: tf.constant(each) for name, each in made.items()} if shape is domains else tf.constant(made[""])

    domains = shape if isinstance(shape, dict) else {"": shape}
    support, query = noise(shots), noise(queries)
    seeds = draw.integers(0, 2**31 - 1, (tasks, 2)).astype(np.int32)
    return Episode(support, query, tf.range(tasks), tf.constant(seeds))


def ring_episodes(tasks, seed, shots=5, queries=16, dtype="float32"):
    """Each task is a blob of 2-D points, of deviation .08, at a random angle on a ring of radius .7."""
    draw = np.random.default_rng(seed)
    angles = draw.uniform(0, 2 * np.pi, tasks)
    centres = 0.7 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    points = centres[:, None] + 0.08 * draw.normal(size=(tasks, shots + queries, 2))
    points = np.clip(points, -1, 1).astype(dtype)
    seeds = draw.integers(0, 2**31 - 1, (tasks, 2)).astype(np.int32)
    return Episode(tf.constant(points[:, :shots]), tf.constant(points[:, shots:]), tf.range(tasks), tf.constant(seeds))


def one(episodes, index=0):
    """One episode of a meta-batch."""
    return tf.nest.map_structure(lambda t: t[index], episodes)


def tiny_gan(dtype="float32", activation="softplus", seed=0, width=3, **options):
    """A GAN of 2-D points with one hidden layer, smooth unless told otherwise, away from zero biases."""
    pair = networks.mlp((2,), 2, width=width, depth=1, output="linear", activation=activation, seed=seed, dtype=dtype)
    draw = np.random.default_rng(seed + 1)
    for net in pair:
        for variable in net.trainable_variables:
            variable.assign_add(draw.normal(0.0, 0.2, variable.shape).astype(dtype))
    return GAN(*pair, **options)


def tiny_dcgan(**options):
    """A convolutional GAN of 8 x 8 images."""
    return GAN(*networks.dcgan((8, 8, 1), latent_dim=2, width=4), **options)


@keras.saving.register_keras_serializable("toys")
class PointFlow(networks.FlowGenerator):
    """A velocity of 2-D points with one smooth hidden layer; with `anchored`, of points relative to half the anchor."""

    def __init__(self, solver="heun", solver_steps=2, seed=0, anchored=False, **kwargs):
        super().__init__((2,), anchored, solver=solver, solver_steps=solver_steps, seed=seed, **kwargs)
        make = networks.base.LayerFactory(seed, "point_flow", self.dtype_policy)
        self.hidden, self.readout = make.dense(3, 4, "hidden"), make.dense(4, 2, "readout")
        self.build((None, self.latent_dim))

    def prepare(self, support, embedding):
        return support

    def field(self, x, time, anchor, keep, prepared):
        if anchor is not None:
            x = x - 0.5 * keep[:, None] * tf.gather(prepared, anchor)
        return self.readout(tf.math.softplus(self.hidden(tf.concat([x, time[:, None]], axis=-1))))

    def get_config(self):
        return {key: value for key, value in super().get_config().items() if key != "example_shape"}


@keras.saving.register_keras_serializable("toys")
class GaussianFlow(networks.FlowGenerator):
    """The velocity in closed form from a standard normal number to one of a mean and a deviation, which are weights.

    A point at the time t is normal with mean t m and variance v = (1 - t)^2 + (t s)^2, and moves with the velocity
    m + (t s^2 - (1 - t)) (x - t m) / v, here times `scale`.
    """

    def __init__(self, mean=0.0, deviation=1.0, scale=1.0, **options):
        super().__init__((1,), **{"dtype": "float64", **options})
        self.mean, self.deviation, self.scale = mean, deviation, scale
        values = {"m": mean, "s": deviation}
        self.values = [self.add_weight(shape=(), name=name) for name in values]
        for variable, value in zip(self.values, values.values(), strict=True):
            variable.assign(np.float64(value))
        self.build((None, self.latent_dim))

    def prepare(self, support, embedding):
        return None

    def field(self, x, time, anchor, keep, prepared):
        m, s = (tf.convert_to_tensor(value) for value in self.values)
        t = time[:, None]
        variance = tf.square(1.0 - t) + tf.square(t * s)
        return self.scale * (m + (t * s**2 - (1.0 - t)) * (x - t * m) / variance)

    def get_config(self):
        named = ("solver", "solver_steps", "guidance", "temperature", "anchored", "seed")
        own = {name: getattr(self, name) for name in (*named, "mean", "deviation", "scale")}
        return {"dtype": "float64", **own}


def tiny_flow(dtype="float32", seed=0, **options):
    """Flow matching of 2-D points."""
    return FlowMatching(PointFlow(dtype=dtype, seed=seed), **{"draws": 2, **options})


def distilled_flow(dtype="float32", **options):
    """Distillation of a flow of 2-D points into two steps."""
    student = PointFlow("euler", 2, anchored=True, dtype=dtype)
    return FlowDistillation(student, PointFlow(seed=1, anchored=True, dtype=dtype), teacher_steps=4, **options)


def conditioned_flow(dtype="float32", **options):
    """Flow matching of 8 x 8 images that sees the support set and its task embedding."""
    sees = {"anchored": True, "embedding_dim": 2, "solver_steps": 2, "guidance": 2.0}
    generator = networks.UNet((8, 8, 1), width=4, dtype=dtype, **sees)
    encoder = networks.TaskEncoder((8, 8, 1), 2, width=2, dtype=dtype)
    return FlowMatching(generator, encoder, **{"unconditional": 0.25, **options})


def tiny_vae(dtype="float32", seed=0, **options):
    """A VAE of 2-D points with two latents and one hidden layer of four units each."""
    generator, _ = networks.mlp((2,), 2, width=4, depth=1, activation="softplus", seed=seed, dtype=dtype)
    encoder = networks.MLPEncoder((2,), 2, width=4, depth=1, seed=seed, dtype=dtype)
    return VAE(generator, encoder, **{"likelihood": Gaussian(0.5), **options})


def conditioned_vae(**options):
    """A VAE of 8 x 8 images whose decoder is told of the support set by a code."""
    generator, _ = networks.sagan((8, 8, 1), latent_dim=3, width=4, embedding_dim=5)
    encoder = networks.ImageEncoder((8, 8, 1), 3, width=4)
    return VAE(generator, encoder, task_encoder=networks.TaskEncoder((8, 8, 1), embedding_dim=5, width=4), **options)


def dense(inputs, outputs, seed=0, dtype="float32"):
    """A plain Keras model of one hidden layer, away from zero biases."""
    layers = [keras.layers.Dense(n, a, dtype=dtype) for n, a in ((4, "softplus"), (outputs, None))]
    net = keras.Sequential([keras.Input((inputs,), dtype=dtype), *layers])
    draw = np.random.default_rng(seed)
    for variable in net.trainable_variables:
        variable.assign(draw.normal(0.0, 0.4, variable.shape).astype(dtype))
    return net


def tiny_translation(dtype="float32", seed=0, sizes=(2, 2), cyclic=True, **options):
    """A translation between points, there and back unless not `cyclic`, of plain Keras models."""
    source, target = sizes
    back = {"back": dense(target, source, seed + 2, dtype), "back_discriminator": dense(source, 1, seed + 3, dtype)}
    return Translation(
        dense(source, target, seed, dtype), dense(target, 1, seed + 1, dtype), **(back if cyclic else {}), **options
    )


def flat_translation(**options):
    """A translation of 8 x 8 images, one way, by one dense layer a net: for what has nothing to do with networks."""
    layers = keras.layers
    image, norm = (8, 8, 1), keras.initializers.RandomNormal(stddev=0.1, seed=1)
    flat = [keras.Input(image), layers.Flatten()]
    translator = keras.Sequential([*flat, layers.Dense(64, "tanh", kernel_initializer=norm), layers.Reshape(image)])
    return Translation(translator, keras.Sequential([*flat, layers.Dense(1, kernel_initializer=norm)]), **options)


def conditioned_translation(**options):
    """A translation of 8 x 8 images whose translator is told of the target's support set by a code."""
    translator = networks.Translator((8, 8, 1), width=2, blocks=1, embedding_dim=3)
    _, critic = networks.dcgan((8, 8, 1), width=2)
    encoder = networks.TaskEncoder((8, 8, 1), embedding_dim=3, width=2)
    return Translation(translator, critic, encoder=encoder, **options)


def parts(game, meta_learner=None, pattern="", rate=0.1):
    """`(inner loop, meta-weights)` of a game and a meta-learner, by default gradient descent."""
    loop = InnerLoop.build(game, GradientDescent(rate) if meta_learner is None else meta_learner, pattern)
    values = [tf.convert_to_tensor(v) for v in loop.meta_learner.trainable_variables]
    return loop, MetaWeights(functional.read(game.nets), values)


def adapt(made, episode, steps, order=1, partial=True, carry=None):
    """Inner steps of what `parts` made, from the start or from `carry`: `(carry, records)`."""
    loop, meta = made
    carry = loop.begin(meta) if carry is None else carry
    return loop.advance(meta, carry, episode.support, steps, episode.seed, order, partial)


def flat_close(a, b, rtol=0.0, atol=0.0):
    """Asserts that two trees have one structure and equal (or close) values."""
    tf.nest.assert_same_structure(a, b)
    for x, y in zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=rtol, atol=atol)


def numbers(tree):
    """A tree's tensors as numpy copies."""
    return tf.nest.map_structure(lambda t: np.array(t), tree)


def central_difference(function, values, direction, step=1e-5):
    """The derivative of a scalar `function` of a list of arrays along `direction`, by four points."""

    def along(distance):
        return float(function([v + distance * d for v, d in zip(values, direction, strict=True)]))

    near, far = (along(d) - along(-d) for d in (step, 2 * step))
    return (8 * near - far) / (12 * step)


def directions(values, seed=0):
    """One random direction for every array of a list, each zero in all the other arrays."""
    draw = np.random.default_rng(seed)
    for i in range(len(values)):
        yield [draw.normal(size=np.shape(v)) if i == j else np.zeros(np.shape(v)) for j, v in enumerate(values)]


def stored_sizes(folder):
    """The number of values of every variable that a SavedModel stores."""
    stored = tf.train.list_variables(str(folder / "variables" / "variables"))
    return sorted(int(np.prod(shape)) for name, shape in stored if "OBJECT_GRAPH" not in name)
