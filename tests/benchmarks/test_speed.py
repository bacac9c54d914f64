"""The alternatives of the speed benchmark compute the same thing; no timing is asserted."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from benchmarks.speed import meta_steps as speed
from meta_gan import functional
from meta_gan.meta.inner_loop import ADAPT
from tests.toys import flat_close, numbers

ROOT = Path(__file__).resolve().parents[2]
SIZES = dataclasses.replace(speed.QUICK, steps=3)


@pytest.fixture(scope="module")
def episode():
    return tf.nest.map_structure(lambda t: t[0], speed.episodes(SIZES, 2))


# LAST_BIAS: the bias of the critic's readout, the one tensor of one element, cancels between real and fake and in the
# penalty's gradient, so it never moves; the generator's image bias of one channel is not compared either.


def reptile():
    return speed.wgan_gp(SIZES, mg.Reptile(SIZES.steps, inner_rate={"discriminator": 0.02, "generator": 0.01}))


def package_draws(game, episode):
    """The draws that the package's inner loop makes, for the loop by hand."""

    def draw(step, player):
        key = functional.fold(functional.fold(episode.seed, ADAPT), step)
        turn = [names for names, _ in game.turns].index((player,))
        for number in (turn, 0, 0):  # the turn, its repeat, the player's place in it
            key = functional.fold(key, number)
        latents = game.latents(episode.support.shape[0], functional.fold(key, 0))
        return latents, functional.fold(functional.fold(key, 4), 1)

    return draw


def test_graph_and_eager_give_the_same_estimate(episode):
    model = reptile()
    graph = tf.function(lambda e: speed.estimate(model, e), autograph=False)(episode)
    flat_close(numbers(graph), numbers(speed.estimate(model, episode)), rtol=1e-4, atol=1e-6)


def test_the_loop_by_hand_is_the_same_algorithm(episode):
    model = reptile()
    before = numbers(functional.read(model.game.nets))
    by_hand = speed.plain_displacement(model, episode.support, package_draws(model.game, episode))
    expected = speed.estimate(model, episode).weights
    assert max(float(tf.reduce_max(tf.abs(t))) for t in tf.nest.flatten(expected)) > 1e-3, "nothing has moved"
    flat_close(numbers(by_hand.weights), numbers(expected), rtol=1e-3, atol=1e-6)
    flat_close(before, numbers(functional.read(model.game.nets)))


def test_graph_and_eager_steps_move_the_weights_alike():
    one, batch = speed.episodes(SIZES, 1), speed.episodes(SIZES, 1)
    graph, eager = reptile(), reptile()
    before = numbers(functional.read(graph.game.nets).weights)
    tf.function(graph.meta_step, autograph=False)(batch)
    speed.eager_step(eager, tf.nest.map_structure(lambda t: t[0], one))
    moved, same = (numbers(functional.read(model.game.nets).weights) for model in (graph, eager))
    # Adam's first step is the sign of a gradient, so elements with hardly any may differ.
    for a, b, start in zip(*(tf.nest.flatten(tree) for tree in (moved, same, before)), strict=True):
        assert np.mean(np.abs(a - b) > 1e-6) < 0.02
        assert a.shape == (1,) or not np.array_equal(a, start), "see LAST_BIAS"


def test_the_step_by_hand_moves_every_weight(episode):
    model = reptile()
    before = numbers(functional.read(model.game.nets).weights)
    speed.plain_step(model, episode.support)
    after = numbers(functional.read(model.game.nets).weights)
    pairs = zip(tf.nest.flatten(before), tf.nest.flatten(after), strict=True)
    assert all(a.shape == (1,) or (a != b).any() for a, b in pairs), "see LAST_BIAS"


def test_side_by_side_is_bit_for_bit_one_by_one():
    model, batch = reptile(), speed.episodes(SIZES, 3)
    pairs, single = (numbers(speed.mapped(model, width)(batch)) for width in (2, 1))
    flat_close(pairs, single)
    for tensor in tf.nest.flatten(pairs):
        differs = tensor.shape[1:] == (1,) or not np.array_equal(tensor[0], tensor[1])
        assert differs, "tasks must differ, or the comparison is empty; see LAST_BIAS"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be held on a core here")
def test_one_core_is_used_and_released():
    before = os.sched_getaffinity(0)
    assert speed.on_one_core(lambda: tf.constant(len(os.sched_getaffinity(0))))() == 1
    assert os.sched_getaffinity(0) == before
    with pytest.raises(ZeroDivisionError):
        speed.on_one_core(lambda: 1 / 0)()
    assert {frozenset(os.sched_getaffinity(int(thread))) for thread in os.listdir("/proc/self/task")} == {
        frozenset(before)
    }


def test_the_model_has_half_a_million_weights():
    model = speed.wgan_gp(speed.Sizes(), mg.Reptile(1))
    assert 480_000 < sum(net.count_params() for net in model.game.nets.values()) < 520_000


def test_alternatives_alternate_and_the_first_run_is_not_counted():
    order = []

    def record(name):
        return lambda: order.append(name) or tf.zeros([])

    result = speed.timed({"a": record("a"), "b": record("b")}, repeats=2)
    assert order == ["a", "b"] * 3 and list(result) == ["a", "b"]
    assert all(r["least"] <= r["seconds"] <= r["most"] and r["first"] > 0 for r in result.values())


@pytest.mark.parametrize(
    ("value", "target", "verdict"),
    [(5.0, (">=", 5), "ok"), (4.9, (">=", 5), "MISS"), (0.65, ("<=", 0.65), "ok"), (0.66, ("<=", 0.65), "MISS")],
)
def test_verdicts(value, target, verdict):
    assert speed.line("what", value, "x", target, {})["verdict"] == verdict
    assert speed.line("what", math.nan, "x", target, {})["verdict"] == "MISS"
    assert speed.line("what", value, "x", None, {})["verdict"] == "no target"


@pytest.mark.slow
def test_the_program_writes_its_figures(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        speed.main(["--help"])
    help_text = capsys.readouterr().out
    assert not stop.value.code and "--out" in help_text and "--quick" in help_text
    out = tmp_path / "new" / "folder"
    command = [sys.executable, "-m", "benchmarks.speed", "--quick", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    written = json.loads((out / "speed.json").read_text())
    assert len(written["lines"]) == 9 and written["sizes"]["tasks"] == speed.QUICK.tasks
    assert all(entry["what"] in done.stdout and entry["value"] == entry["value"] for entry in written["lines"])
    assert {entry["target"] for entry in written["lines"]} >= {">= 5", "<= 10", "<= 0.65", "<= 1"}
    assert {entry["verdict"] for entry in written["lines"]} == {"not judged"}
