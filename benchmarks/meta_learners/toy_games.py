"""Small min-max games with a known equilibrium: the speed of learned and hand-designed meta-learners.

`python -m benchmarks.meta_learners --only games --out DIR` trains the learned meta-learners on 64 instances of each
game, tunes gradient descent-ascent, the extragradient, the optimistic gradient and Adam on the same instances over
seven rates, and measures all on 100 unseen instances: the distance to the nearest equilibrium after 1,000 moves, and
the mean of its logarithm over the moves.

The games are of x (which minimises) and y (which maximises), who move at once; their numbers are drawn for every
instance, and x and y start in [-1, 1]:

- saddle: a x^2 - b y^2, a and b in [.9, 1];
- rotated saddle: a x^2 - b y^2 + 2 x y;
- seesaw: -b y sin(a pi x), with equilibria wherever y = 0 and a x is an integer;
- matrix: x' A y, A 5x5, half its entries 0 and half uniform in [-1, 1], its least singular value above .05.

Reference: Shen et al., "Learning A Minimax Optimizer: A Pilot Study", 2021, for the games.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional, meta_learners
from meta_gan.games import Game
from meta_gan.meta import InnerLoop, Unrolled
from meta_gan.meta.unrolled import mean_of_last
from meta_gan.metrics.bootstrap import bootstrap_mean
from meta_gan.types import Episode, MetaWeights

RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
MOVES, TRAIN, TEST = 1000, 64, 100
REST, FARTHEST = 1e-6, 1e6  # distances that count as 0, and that of a run that diverged
INNER, WINDOW, BATCH = 100, 20, 8  # moves of a training task, moves of a gradient's window, tasks of an outer step
OUTER_RATE = 5e-3


@keras.saving.register_keras_serializable("meta_gan_benchmarks")
class Point(keras.Model):
    """A vector of weights that are initially 0."""

    def __init__(self, size: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.size = size
        self.value = self.add_weight(shape=(size,), initializer="zeros", name="value")
        self.built = True

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


class Toy(Game):
    """A game of two players that move at once, each from the start that an instance gives.

    An instance is one example, float32[1, numbers + 2 size]: the numbers of its value, then the starts of x and y.

    Args:
        value: `(x float[size], y float[size], numbers float[n]) -> float[]`, which x minimises and y maximises.
        gap: `(x, y, numbers) -> float[...]`, 0 at an equilibrium.
        size: of x and of y.
        count: of the numbers.
    """

    def __init__(self, value: Callable[..., Any], gap: Callable[..., Any], size: int, count: int):
        nets = {"x": Point(size, name="x"), "y": Point(size, name="y")}
        players = {"x": ("x",), "y": ("y",)}
        super().__init__(nets, players, ((("x", "y"), 1),), {"x": 1, "y": 1}, (count + 2 * size,))
        self.value, self.gap, self.size, self.count = value, gap, size, count

    def places(self, snapshot: Any, instance: Any) -> tuple[Any, Any, Any]:
        """Return x, y and the instance's numbers."""
        numbers, start = instance[0, : self.count], instance[0, self.count :]
        x, y = (snapshot.weights[name][0] for name in ("x", "y"))
        return x + start[: self.size], y + start[self.size :], numbers

    def loss(
        self, player: str, snapshot: Any, batch: Any, conditioning: Any, settings: Any, seed: Any
    ) -> tuple[Any, Any, Any]:
        value = self.value(*self.places(snapshot, batch))
        value = value if player == "x" else -value
        return value, snapshot.state, tf.cast(value, tf.float32)[None]

    def distance(self, snapshot: Any, query: Any, conditioning: Any, seed: Any, biased: bool = False) -> Any:
        """Return the common logarithm of the distance to the equilibrium, so that all moves count alike."""
        squares = tf.reduce_sum(tf.square(self.gap(*self.places(snapshot, query))))
        return 0.5 * tf.math.log(squares + REST**2) / math.log(10.0)


def _at_origin(x: Any, y: Any, numbers: Any) -> Any:
    return tf.concat([x, y], axis=0)


def _seesaw_gap(x: Any, y: Any, numbers: Any) -> Any:
    return tf.concat([x - tf.stop_gradient(tf.round(numbers[0] * x)) / numbers[0], y], axis=0)


def _saddle(x: Any, y: Any, numbers: Any) -> Any:
    return numbers[0] * x[0] ** 2 - numbers[1] * y[0] ** 2


def _rotated(x: Any, y: Any, numbers: Any) -> Any:
    return _saddle(x, y, numbers) + 2 * x[0] * y[0]


def _seesaw(x: Any, y: Any, numbers: Any) -> Any:
    return -numbers[1] * y[0] * tf.sin(numbers[0] * math.pi * x[0])


def _bilinear(x: Any, y: Any, numbers: Any) -> Any:
    return tf.tensordot(x, tf.linalg.matvec(tf.reshape(numbers, [5, 5]), y), 1)


def _pair(draw: np.random.Generator) -> np.ndarray:
    return draw.uniform(0.9, 1.0, 2)


def _matrix(draw: np.random.Generator) -> np.ndarray:
    """Return a matrix whose game has its only equilibrium at the origin."""
    while True:
        matrix = draw.uniform(-1, 1, (5, 5)) * (draw.uniform(size=(5, 5)) < 0.5)
        if np.linalg.svd(matrix, compute_uv=False)[-1] > 0.05:
            return matrix.ravel()


GAMES: dict[str, tuple[Callable[[], Toy], Callable[[np.random.Generator], np.ndarray]]] = {
    "saddle": (lambda: Toy(_saddle, _at_origin, 1, 2), _pair),
    "rotated saddle": (lambda: Toy(_rotated, _at_origin, 1, 2), _pair),
    "seesaw": (lambda: Toy(_seesaw, _seesaw_gap, 1, 2), _pair),
    "matrix": (lambda: Toy(_bilinear, _at_origin, 5, 25), _matrix),
}


def instances(name: str, count: int, seed: int) -> Episode:
    """Return `count` instances of a game, drawn from a seed."""
    make, draw_numbers = GAMES[name]
    size, draw = make().size, np.random.default_rng(seed)
    rows = [np.concatenate([draw_numbers(draw), draw.uniform(-1, 1, 2 * size)]) for _ in range(count)]
    examples = tf.constant(np.stack(rows)[:, None], tf.float32)
    seeds = tf.constant(draw.integers(0, 2**31 - 1, (count, 2)), tf.int32)
    return Episode(examples, examples, tf.range(count), seeds)


def _bounded(logs: Any) -> np.ndarray:
    """Return logarithms of distances as float64, with NaN and divergence replaced by the greatest value."""
    found, most = logs.numpy().astype(np.float64), math.log10(FARTHEST)
    return np.where(np.isfinite(found), np.minimum(found, most), most)


def played(game: Toy, meta_learner: Any, episodes: Episode, moves: int) -> dict[str, np.ndarray]:
    """Return the logarithm of the distance after all moves and its mean over the moves, float64[instances] each."""
    loop = InnerLoop.build(game, meta_learner)
    meta = MetaWeights(functional.read(game.nets), [tf.convert_to_tensor(v) for v in meta_learner.trainable_variables])

    def one(episode: Episode) -> Any:
        def measure(carry: Any) -> Any:
            return loop.distance(loop.final(meta, carry), episode)

        def run(carry: Any, steps: Any) -> Any:
            return loop.advance(meta, carry, episode.support, steps, episode.seed)

        carry, _, mean = mean_of_last(run, measure, loop.begin(meta), moves, moves)
        return {"end": measure(carry), "path": mean}

    ends = tf.function(lambda episodes: functional.map_tasks(one, episodes), autograph=False)(episodes)
    return {name: _bounded(value) for name, value in ends.items()}


def extragradient(game: Toy, rate: float, episodes: Episode, moves: int) -> dict[str, np.ndarray]:
    """Return the same for the extragradient method, which is no meta-learner because it looks one move ahead."""

    def slopes(x: Any, y: Any, numbers: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch([x, y])
            value = game.value(x, y, numbers)
        down, up = tape.gradient(value, [x, y])
        return -down, up

    def log_distance(x: Any, y: Any, numbers: Any) -> Any:
        squares = tf.reduce_sum(tf.square(game.gap(x, y, numbers)))
        return 0.5 * tf.math.log(squares + REST**2) / math.log(10.0)

    def one(instance: Any) -> Any:
        numbers, start = instance[0, : game.count], instance[0, game.count :]

        def body(i: Any, x: Any, y: Any, total: Any) -> Any:
            ahead = [p + rate * d for p, d in zip((x, y), slopes(x, y, numbers), strict=True)]
            x, y = (p + rate * d for p, d in zip((x, y), slopes(*ahead, numbers), strict=True))
            return i + 1, x, y, total + log_distance(x, y, numbers)

        first = (tf.constant(0), start[: game.size], start[game.size :], tf.constant(0.0))
        _, x, y, total = tf.while_loop(lambda i, *_: i < moves, body, first)
        return {"end": log_distance(x, y, numbers), "path": total / moves}

    ends = tf.function(lambda rows: functional.map_tasks(one, rows), autograph=False)(episodes.support)
    return {name: _bounded(value) for name, value in ends.items()}


def _with(make: Callable[[float], Any]) -> Callable[..., dict[str, np.ndarray]]:
    return lambda game, rate, episodes, moves: played(game, make(rate), episodes, moves)


HAND_DESIGNED: dict[str, Callable[[Toy, float, Episode, int], dict[str, np.ndarray]]] = {
    "gradient descent-ascent": _with(meta_learners.GradientDescent),
    "extragradient": extragradient,
    "optimistic gradient": _with(meta_learners.OptimisticGradient),
    "Adam": _with(lambda rate: meta_learners.Adam(rate, 0.5, 0.99)),
}
# Near an equilibrium gradients are small beside epsilon, so that the initial direction of the learned meta-learners is
# the gradient times the rate, and they stay there. The memory is short because a step along the gradient and the mean
# of earlier ones follows a rotation better the less the mean lags.
_STARTED: dict[str, Any] = {"rate": 0.1, "first_decay": 0.3, "second_decay": 0.9, "epsilon": 1.0, "turned": True}
LEARNED: dict[str, Callable[[], Any]] = {
    "recurrent": lambda: meta_learners.RecurrentMetaLearner(**_STARTED),
    "attention": lambda: meta_learners.AttentionMetaLearner(**_STARTED),
}


def tuned(game: Toy, method: str, train: Episode, moves: int) -> float:
    """Return the rate with the least final distance on training instances; of equal ones, the fastest."""
    found = [HAND_DESIGNED[method](game, rate, train, moves) for rate in RATES]
    return RATES[min(range(len(RATES)), key=lambda i: _order(found[i]))]


def _order(result: dict[str, np.ndarray]) -> tuple[float, float]:
    """Return the sort key of a method: the mean logarithm at the end, to a tenth, then the mean over the moves."""
    return round(float(result["end"].mean()), 1), float(result["path"].mean())


def trained(game: Toy, meta_learner: Any, train: Episode, outer_steps: int, seed: int = 0) -> float:
    """Meta-train a meta-learner on batches of training instances.

    Returns:
        The seconds it took, with compilation.
    """
    estimator = Unrolled(2, window=WINDOW, last=WINDOW)
    model = mg.MetaModel(game, mg.Algorithm("toy", meta_learner, estimator, INNER))
    rates = keras.optimizers.schedules.CosineDecay(OUTER_RATE, outer_steps, alpha=0.05)
    # Instances give the starts, so the initial points are not learned.
    still = {player: keras.optimizers.SGD(0.0) for player in game.players}
    model.compile(optimizer={**still, "meta_learner": keras.optimizers.Adam(rates)}, clip=1.0, skip_nonfinite=True)
    # Players have one to five weights: dispatching single operations would be most of the work.
    step = tf.function(model.meta_step, autograph=False, jit_compile=True)
    draw, start = np.random.default_rng(seed), time.perf_counter()
    for _ in range(outer_steps):
        rows = draw.choice(train.seed.shape[0], BATCH, replace=False)
        step(tf.nest.map_structure(lambda t, rows=rows: tf.gather(t, rows), train))
    return time.perf_counter() - start


def measure(
    name: str, outer_steps: int, moves: int, counts: tuple[int, int], learned: Sequence[str] = tuple(LEARNED)
) -> dict[str, dict[str, Any]]:
    """Measure all hand-designed methods and the `learned` meta-learners on one game.

    Returns:
        `{method: {"end", "path": intervals of log10, "rate" or "seconds", "order"}}`.
    """
    train, test = instances(name, counts[0], 1), instances(name, counts[1], 2)
    rows: dict[str, dict[str, Any]] = {}

    def note(method: str, result: dict[str, np.ndarray], **more: Any) -> None:
        values = {part: bootstrap_mean(result[part]).as_dict() for part in ("end", "path")}
        rows[method] = {**values, **more, "order": list(_order(result))}
        print(f"{name}: {method}: {json.dumps(rows[method])}", flush=True)

    game = GAMES[name][0]()
    for method, play in HAND_DESIGNED.items():
        rate = tuned(game, method, train, moves)
        note(method, play(game, rate, test, moves), rate=rate)
    for method in learned:
        game, meta_learner = GAMES[name][0](), LEARNED[method]()
        seconds = trained(game, meta_learner, train, outer_steps)
        note(method, played(game, meta_learner, test, moves), seconds=round(seconds, 1))
    return rows
