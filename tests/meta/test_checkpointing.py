"""Checkpoints in the inner loop: the same gradients to rounding, for a fraction of the memory."""

import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from meta_gan import functional
from meta_gan.losses import NonSaturating
from meta_gan.meta import Unrolled
from meta_gan.meta.unrolled import recomputed
from meta_gan.meta_learners import MetaSGD, Momentum
from tests.games.nets import batch_norm_gan
from tests.toys import flat_close, one, parts, random_episodes, tiny_gan, weekly

ROOT = Path(__file__).resolve().parents[2]


def test_recomputed_has_the_value_and_the_gradients():
    """x y^2 at (3, 5), with a whole number beside it, which has no gradient."""
    x, y, n = tf.constant(3.0), tf.constant(5.0), tf.constant(2)

    def function(tree, n):
        return {"value": tree["x"] * tree["y"] ** tf.cast(n, tf.float32), "n": n}

    with tf.GradientTape() as tape:
        tape.watch([x, y])
        got = recomputed(function, {"x": x, "y": y}, n)
    assert float(got["value"]) == 75.0 and int(got["n"]) == 2
    assert [float(g) for g in tape.gradient(got["value"], [x, y])] == [25.0, 30.0]


def test_recomputed_runs_twice_and_no_more():
    calls = []

    def function(x):
        calls.append(1)
        return tf.square(x)

    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = recomputed(function, x)
    assert len(calls) == 1
    assert float(tape.gradient(y, x)) == 6.0 and len(calls) == 2


GAMES = {
    "momentum": lambda: parts(tiny_gan("float64", loss=NonSaturating()), Momentum(0.1)),
    "a learned meta-learner": lambda: parts(tiny_gan("float64", loss=NonSaturating()), MetaSGD(0.1, dtype="float64")),
    "batch statistics": lambda: parts(batch_norm_gan()),
}


@pytest.mark.parametrize(
    ("game", "every"),
    [
        ("momentum", 2),
        *weekly(*(("momentum", n) for n in (1, 5, 9)), ("a learned meta-learner", 2), ("batch statistics", 2)),
    ],
)
def test_gradients_and_records_are_the_same(game, every):
    """Pieces that divide the five steps, that leave a rest, that are all of them, and that are longer."""
    pieces = GAMES[game]()
    episode = one(random_episodes(dtype=pieces[0].game.nets["generator"].compute_dtype))
    plain, pieced = (
        tf.function(lambda c=c: Unrolled(2, checkpoint=c).task(*pieces, episode, 5), autograph=False)()
        for c in (0, every)
    )
    double = pieces[0].game.nets["generator"].compute_dtype == "float64"
    flat_close(plain, pieced, rtol=1e-9 if double else 1e-4, atol=1e-12 if double else 1e-6)


def test_no_step_at_all():
    pieces = GAMES["momentum"]()
    episode = one(random_episodes(dtype="float64"))
    flat_close(*(Unrolled(2, checkpoint=c).task(*pieces, episode, 0) for c in (0, 3)))


def peak(checkpoint):
    command = [sys.executable, "-m", "tests.meta.peak_memory", str(checkpoint)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return float(done.stdout.split()[-1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc, which is Linux's")
@pytest.mark.slow
def test_a_third_of_the_memory():
    """24 second-order steps of a GAN of 128 units on 3,000 points: some 600 MB without checkpoints. On one core alone,
    where TensorFlow orders the operations otherwise, it is less than a half (.40 was measured)."""
    plain, pieced = peak(0), peak(1)
    assert plain > 300 and pieced < plain / (3 if functional.cores() > 1 else 2)


@pytest.mark.parametrize("value", [-1, 1.0, True, None])
def test_bad_checkpoints_are_refused(value):
    with pytest.raises(ValueError, match="'checkpoint' must be an integer"):
        Unrolled(2, checkpoint=value)


def test_order_one_keeps_nothing():
    with pytest.raises(ValueError, match="'checkpoint' must be 0 at order 1"):
        Unrolled(1, checkpoint=2)
    assert Unrolled(1).checkpoint == 0 and Unrolled(2, checkpoint=3).get_config()["checkpoint"] == 3
