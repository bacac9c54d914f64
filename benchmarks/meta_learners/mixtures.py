"""GANs of two-dimensional mixtures: the distance to a task's points over inner steps, by meta-learner.

A task is a mixture of three normal blobs, with centres uniform in [-.7, .7]^2 and deviation .08; 16 points support it.
The GAN is an MLP of 2.5 thousand weights with the non-saturating loss. Every learned meta-learner is trained through
ten inner steps on the energy distance between samples and 64 further points, and measured after 1 to 50 steps on unseen
tasks, between 256 samples and 256 points:

- start "random": fresh networks for every outer step and for every 20 test tasks; only the meta-learner is learned;
- start "MAML": the initial weights of the networks are learned with the meta-learner.

Beside them stands Adam, with the best of seven rates for each number of steps on training tasks from random networks;
from the MAML start Adam is `LearnedAdam`, whose rates the outer loop learns.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional, losses, meta_learners, networks
from meta_gan.games import GAN
from meta_gan.meta import Unrolled
from meta_gan.types import Episode, MetaWeights, Snapshot

BLOBS, RADIUS, DEVIATION = 3, 0.7, 0.08
SUPPORT, QUERY, TEST_QUERY = 16, 64, 256
WIDTH, LATENT = 32, 4
INNER, LONGEST, BATCH = 10, 50, 8
RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
STARTS = ("random", "MAML")
TASKS_OF_A_START = 20
NETS_RATE = 1e-3


def episodes(count: int, seed: int, query: int = QUERY) -> Episode:
    """Return `count` tasks, drawn from a seed."""
    draw = np.random.default_rng(seed)
    centres = draw.uniform(-RADIUS, RADIUS, (count, BLOBS, 2))
    points = SUPPORT + query
    which = draw.integers(BLOBS, size=(count, points))
    drawn = np.take_along_axis(centres, which[..., None], axis=1) + DEVIATION * draw.normal(size=(count, points, 2))
    examples = tf.constant(drawn, tf.float32)
    seeds = tf.constant(draw.integers(0, 2**31 - 1, (count, 2)), tf.int32)
    return Episode(examples[:, :SUPPORT], examples[:, SUPPORT:], tf.range(count), seeds)


def make_game(loss: Any = None, width: int = WIDTH) -> GAN:
    """Return the GAN, with the non-saturating loss or another."""
    nets = networks.mlp((2,), LATENT, width, output="linear")
    return GAN(*nets, loss=losses.NonSaturating() if loss is None else loss)


@functools.cache
def initial(seed: int, width: int = WIDTH) -> Snapshot:
    """Return freshly drawn networks."""
    generator, discriminator = networks.mlp((2,), LATENT, width, output="linear", seed=seed)
    return functional.read({"generator": generator, "discriminator": discriminator})


class Method(NamedTuple):
    """A meta-learner made from a rate, which is tuned for the hand-designed `base`, and its training."""

    make: Callable[[float], Any]
    base: str = "Adam"
    outer_rate: float = 3e-3
    order: int = 2
    last: int = 1


def _recurrent(**options: Any) -> Callable[[float], Any]:
    return lambda rate: meta_learners.RecurrentMetaLearner(rate, **options)


def _attention(**options: Any) -> Callable[[float], Any]:
    return lambda rate: meta_learners.AttentionMetaLearner(rate, **options)


METHODS = {
    "learned Adam": Method(lambda rate: meta_learners.LearnedAdam(rate), outer_rate=1e-2),
    "Meta-SGD": Method(lambda rate: meta_learners.MetaSGD(rate), "descent", 1e-2),
    "recurrent": Method(_recurrent()),
    "attention": Method(_attention()),
}
# Ablations of the two meta-learners, one part each.
VARIANTS = {
    "recurrent, without Adam": Method(_recurrent(residual=False)),
    "recurrent, without the game's features": Method(_recurrent(game_features=False)),
    "recurrent, players apart": Method(_recurrent(coupled=False)),
    "recurrent, first order": Method(_recurrent(), order=1),
    "attention, without Adam": Method(_attention(residual=False)),
    "attention, without the game's features": Method(_attention(game_features=False)),
    "attention, players apart": Method(_attention(coupled=False)),
    "attention, mean instead of attention": Method(_attention(attention=False)),
    "attention, first order": Method(_attention(), order=1),
}
HAND_DESIGNED = {
    "Adam": lambda rate: meta_learners.Adam(rate, 0.5, 0.99, 1e-6),
    "descent": lambda rate: meta_learners.GradientDescent(rate),
}


class Curves:
    """The distance after every inner step, compiled once for a meta-learner and a game.

    Args:
        game: the game.
        meta_learner: the meta-learner; its variables are read at every call.
        compiled: whether XLA compiles it, which is faster for small dense networks.
        mask: regular expression of the weights that adapt; empty for all.
    """

    def __init__(self, game: GAN, meta_learner: Any, compiled: bool = True, mask: str = ""):
        self.loop, self.meta_learner = mg.InnerLoop.build(game, meta_learner, mask), meta_learner
        self._run = tf.function(self._curves, autograph=False, jit_compile=compiled)

    def __call__(self, start: Snapshot, tasks: Episode, scale: float = 1.0) -> np.ndarray:
        """Return float64[tasks, 51], the distance before the first step and after each."""
        learned = [tf.convert_to_tensor(v) for v in self.meta_learner.trainable_variables]
        return self._run(MetaWeights(start, learned), tasks, tf.constant(scale)).numpy().astype(np.float64)

    def _curves(self, meta: MetaWeights, tasks: Episode, scale: Any) -> Any:
        loop = self.loop

        def one(episode: Episode) -> Any:
            def measure(carry: Any) -> Any:
                return loop.distance(loop.final(meta, carry), episode)

            def body(i: Any, carry: Any, found: Any) -> Any:
                found = found.write(i, measure(carry))
                carry, _ = loop.advance(meta, carry, episode.support, 1, episode.seed, rate_scale=scale)
                return i + 1, carry, found

            found = tf.TensorArray(tf.float32, size=LONGEST + 1, element_shape=[])
            first = (tf.constant(0), loop.begin(meta), found)
            _, carry, found = tf.while_loop(lambda i, *_: i < LONGEST, body, first, maximum_iterations=LONGEST)
            return found.write(LONGEST, measure(carry)).stack()

        return functional.map_tasks(one, tasks)


def measured(curves: Curves, starts: list[Snapshot], tasks: Episode, scale: float = 1.0) -> np.ndarray:
    """Return float64[tasks, 51], each start used for `TASKS_OF_A_START` tasks in turn; infinity where it diverged."""
    count = int(tasks.seed.shape[0])
    parts = []
    for number, first in enumerate(range(0, count, TASKS_OF_A_START)):
        some = tf.nest.map_structure(lambda t, a=first: t[a : a + TASKS_OF_A_START], tasks)
        parts.append(curves(starts[number % len(starts)], some, scale))
    found = np.concatenate(parts)
    return np.where(np.isfinite(found), found, np.inf)


def best_rates(curves: Curves, horizons: tuple[int, ...], width: int = WIDTH) -> tuple[dict[int, float], float]:
    """Return the rates of the grid with the least mean distance on training tasks; `curves` has a rate of 1.

    Returns:
        The best rate for each number of steps, and the one that is best on average over them.
    """
    tasks, starts = episodes(40, 77, TEST_QUERY), fresh(99, width)
    means = {rate: measured(curves, starts, tasks, rate).mean(axis=0)[list(horizons)] for rate in RATES}
    own = {steps: min(RATES, key=lambda rate: means[rate][i]) for i, steps in enumerate(horizons)}
    return own, min(RATES, key=lambda rate: means[rate].mean())


class Trainer:
    """A learned meta-learner, compiled once, that can be trained repeatedly from different starts."""

    def __init__(self, name: str, rate: float):
        method = {**METHODS, **VARIANTS}[name]
        self.game, self.meta_learner = make_game(), method.make(rate)
        algorithm = mg.Algorithm(name, self.meta_learner, Unrolled(method.order, last=method.last), INNER)
        self.model = mg.MetaModel(self.game, algorithm)
        adam = keras.optimizers.Adam
        optimizers = {player: adam(NETS_RATE) for player in self.game.players}
        optimizers["meta_learner"] = adam(method.outer_rate)
        self.model.compile(optimizer=optimizers, clip=1.0, skip_nonfinite=True)
        self._variables = [
            *self.meta_learner.trainable_variables,
            *(v for o in optimizers.values() for v in o.variables),
        ]
        self._rates = [(o.learning_rate, float(o.learning_rate.numpy())) for o in optimizers.values()]
        self._first = [v.numpy() for v in self._variables]
        self._step = tf.function(self.model.meta_step, autograph=False, jit_compile=True)
        self.curves = Curves(self.game, self.meta_learner)

    def _restart(self, seed: int) -> None:
        """Reset the meta-learner and the optimizers, and set the networks to those of a seed."""
        for variable, value in zip(self._variables, self._first, strict=True):
            variable.assign(value)
        functional.write(self.game.nets, initial(seed))

    def train(self, start: str, seed: int, steps: int) -> float:
        """Train from the beginning, with all rates falling along a cosine to a twentieth.

        Returns:
            Seconds per step, without the first and its compilation.
        """
        self._restart(seed)
        taken = 0.0
        for number in range(steps):
            share = 0.05 + 0.475 * (1 + math.cos(math.pi * number / steps))
            for rate, first in self._rates:
                rate.assign(first * share)
            batch = episodes(BATCH, 1_000_000 * (seed + 1) + number)
            if start == "random":
                functional.write(self.game.nets, initial(100_000 * (seed + 1) + number % 500))
            before = time.perf_counter()
            tf.nest.map_structure(lambda t: t.numpy(), self._step(batch))
            taken += time.perf_counter() - before if number else 0.0
        return taken / max(steps - 1, 1)

    def starts(self, start: str, seed: int) -> list[Snapshot]:
        """Return the initial networks of the test tasks."""
        if start == "MAML":
            return [functional.read(self.game.nets)]
        return fresh(seed)


def fresh(seed: int, width: int = WIDTH) -> list[Snapshot]:
    """Return five freshly drawn pairs of networks that no training uses."""
    return [initial(900_000 + 10 * seed + i, width) for i in range(5)]
