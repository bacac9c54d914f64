"""Speed of meta-training and adaptation beside alternatives: `python -m benchmarks.speed --out DIR`.

`speed.json` and a table hold, with targets and verdicts, the speed of a meta-step as a graph relative to eager
TensorFlow, and the cost of tracing, of tasks one by one, of adaptation and of the second order. Alternatives take turns
(A B A B ...), so that a drift of the machine affects all alike; medians are compared. `others` is how many cores other
programs kept busy meanwhile: figures with `others` above .1 come from a busy machine and are unreliable.
"""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import meta_gan as mg
import trainers
from benchmarks import common
from meta_gan import functional, presets, storage
from meta_gan.meta.estimators import Estimate

Timed = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """The sizes of the measured networks and tasks.

    Attributes:
        side: height and width of the images, which have one channel.
        width: of the DCGAN; 26 at 32 x 32 gives half a million weights in both networks.
        shots: support images.
        steps: inner steps.
        second_steps: inner steps of the comparison of orders.
        tasks: in a meta-batch.
        repeats: timed runs of each alternative.
        adapt_side: height and width in the adaptation figure.
        adapt_width: width of the DCGAN in the adaptation figure.
    """

    side: int = 32
    width: int = 26
    shots: int = 5
    steps: int = 10
    second_steps: int = 5
    tasks: int = 4
    repeats: int = 9
    adapt_side: int = 28
    adapt_width: int = 32


QUICK = Sizes(side=8, width=2, steps=2, second_steps=1, tasks=2, repeats=2, adapt_side=8, adapt_width=2)


def wgan_gp(sizes: Sizes, algorithm: mg.Algorithm) -> mg.MetaModel:
    """Return a compiled WGAN-GP of `sizes`, with the same initial weights in every call."""
    nets = mg.networks.dcgan((sizes.side, sizes.side, 1), width=sizes.width)
    model = mg.MetaModel(mg.games.GAN(*nets, mg.losses.Wasserstein(), mg.losses.GradientPenalty()), algorithm)
    model.compile(optimizer=keras.optimizers.Adam(1e-4))
    return model


def episodes(sizes: Sizes, tasks: int) -> mg.Episode:
    """Return a meta-batch of uniform noise; the time of a step does not depend on the images."""
    draw, shape = np.random.default_rng(0), (tasks, sizes.shots, sizes.side, sizes.side, 1)
    images = [tf.constant(draw.uniform(-1, 1, shape).astype(np.float32)) for _ in range(2)]
    seeds = draw.integers(0, 2**31 - 1, (tasks, 2)).astype(np.int32)
    return mg.Episode(*images, tf.range(tasks), tf.constant(seeds))


def estimate(model: mg.MetaModel, episode: mg.Episode) -> Estimate:
    """Return the meta-gradient of one task; outside a `tf.function` it runs eagerly."""
    algorithm = model.algorithm
    return algorithm.estimator.task(model.loop, model.meta_weights(), episode, algorithm.inner_steps)


def eager_step(model: mg.MetaModel, episode: mg.Episode) -> Any:
    """Run the package's meta-step on one task eagerly."""
    result = estimate(model, episode)
    for name, net in model.game.nets.items():  # a GAN's networks have the names of their players
        model.optimizers[name].apply(result.weights[name], net.trainable_variables)
    return result.metrics


def plain_displacement(model: mg.MetaModel, images: Any, draw: Callable[[int, str], tuple[Any, Any]]) -> mg.Snapshot:
    """Return Reptile's displacement, written by hand in eager Keras: step the variables, then restore them.

    Args:
        model: a WGAN-GP.
        images: the support set.
        draw: returns the latents and the key of the penalty for a step and a player.

    Returns:
        The outer gradient in `weights`.
    """
    game, rates = model.game, model.meta_learner.rates
    generator, critic = game.nets["generator"], game.nets["discriminator"]
    start = {name: net.get_weights() for name, net in game.nets.items()}

    def descend(tape: tf.GradientTape, loss: Any, net: keras.Model, player: str) -> None:
        variables = net.trainable_variables
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(rates.of(player) * gradient)

    for step in range(model.algorithm.inner_steps):
        latents, key = draw(step, "discriminator")
        with tf.GradientTape() as tape:
            fake = generator(latents, training=True)
            loss = game.loss_function.discriminator(critic(images, training=True), critic(fake, training=True))
            loss += game.penalty(lambda x: critic(x, training=True), images, fake, key)
        descend(tape, loss, critic, "discriminator")
        latents, _ = draw(step, "generator")
        with tf.GradientTape() as tape:
            loss = game.loss_function.generator(critic(generator(latents, training=True), training=True))
        descend(tape, loss, generator, "generator")
    moved = {}
    for name, net in game.nets.items():
        moved[name] = [tf.constant(a - b) for a, b in zip(start[name], net.get_weights(), strict=True)]
        net.set_weights(start[name])
    return mg.Snapshot(moved, {})


def plain_step(model: mg.MetaModel, images: Any) -> Any:
    """Run a whole eager meta-step written by hand, with the random draws of plain TensorFlow."""
    shape = [images.shape[0], model.game.latent_dim]
    moved = plain_displacement(model, images, lambda step, player: (tf.random.normal(shape), (step, 0)))
    for name, net in model.game.nets.items():
        model.optimizers[name].apply(moved.weights[name], net.trainable_variables)
    return moved.weights


def mapped(model: mg.MetaModel, side_by_side: int) -> Callable[[mg.Episode], Any]:
    """Return a compiled function of the meta-gradients of a batch, `side_by_side` tasks at a time."""
    return tf.function(
        lambda batch: functional.map_tasks(lambda e: estimate(model, e).weights, batch, side_by_side), autograph=False
    )


def _busy() -> float:
    """Return the core seconds used by all programs since the machine started; NaN if unknown."""
    if not Path("/proc/stat").is_file():
        return math.nan
    fields = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def timed(alternatives: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, Timed]:
    """Time functions in turns `repeats` >= 1 times, after one untimed run of each.

    Returns:
        `{name: {"seconds": median, "least", "most", "first": the untimed run, "cores": mean cores it used,
        "others": mean cores that other programs used, or None}}`.
    """
    records: dict[str, list[tuple[float, float, float]]] = {name: [] for name in alternatives}
    for _ in range(repeats + 1):
        for name, function in alternatives.items():
            before = (time.perf_counter(), time.process_time(), _busy())
            # Copying the result waits for it; on an accelerator a call returns before its work is done.
            tf.nest.map_structure(np.asarray, function())
            wall, own, all_ = np.subtract((time.perf_counter(), time.process_time(), _busy()), before).tolist()
            records[name].append((wall, own, all_ - own))
    result = {}
    for name, ((first, _, _), *rest) in records.items():
        walls, own, others = zip(*rest, strict=True)
        share = sum(others) / sum(walls)
        result[name] = {
            "seconds": statistics.median(walls),
            "least": min(walls),
            "most": max(walls),
            "first": first,
            "cores": sum(own) / sum(walls),
            # The kernel counts in ticks, so that the share may be slightly negative.
            "others": None if math.isnan(share) else max(0.0, round(share, 2)),
        }
    return result


def line(what: str, value: float, unit: str, target: tuple[str, float] | None, beside: dict[str, Timed]) -> Timed:
    """Return one figure with its verdict; `target` is (">=" or "<=", bound), or None."""
    shown, verdict = None, "no target"
    if target is not None:
        shown = f"{target[0]} {target[1]:g}"
        verdict = "ok" if (value >= target[1] if target[0] == ">=" else value <= target[1]) else "MISS"
    return {"what": what, "value": value, "unit": unit, "target": shown, "verdict": verdict, "beside": beside}


def measure_graph(sizes: Sizes) -> list[Timed]:
    """Time a Reptile meta-step on one task as a graph, the same code eagerly, eager Keras by hand, and tracing."""
    models = [wgan_gp(sizes, mg.Reptile(sizes.steps)) for _ in range(3)]
    batch = episodes(sizes, 1)
    episode = tf.nest.map_structure(lambda t: t[0], batch)
    step = tf.function(models[0].meta_step, autograph=False)
    times = timed(
        {
            "graph": lambda: step(batch),
            "the same code, eager": lambda: eager_step(models[1], episode),
            "eager Keras by hand": lambda: plain_step(models[2], episode.support),
        },
        sizes.repeats,
    )
    graph, same, by_hand = (times[name]["seconds"] for name in times)
    return [
        line("meta-step of 1 task: the same code eager / graph", same / graph, "x", (">=", 5), times),
        line("meta-step of 1 task: eager Keras by hand / graph", by_hand / graph, "x", None, times),
        line("tracing that step: first call - later", times["graph"]["first"] - graph, "s", ("<=", 10), times),
    ]


def on_one_core(function: Callable[[], Any]) -> Callable[[], Any]:
    """Return a function that runs with every thread of this process on one core; Linux only."""

    def held() -> Any:
        threads, free = [int(name) for name in os.listdir("/proc/self/task")], os.sched_getaffinity(0)
        try:
            for thread in threads:
                os.sched_setaffinity(thread, {min(free)})
            return tf.nest.map_structure(np.asarray, function())
        finally:
            for thread in threads:
                os.sched_setaffinity(thread, free)

    return held


def measure_tasks(sizes: Sizes) -> list[Timed]:
    """Time the tasks of a meta-batch two at a time, and one by one with the cores shared by a task's operations."""
    model, batch = wgan_gp(sizes, mg.Reptile(sizes.steps)), episodes(sizes, sizes.tasks)
    pairs, single = mapped(model, 2), mapped(model, 1)
    alternatives = {"two at a time": lambda: pairs(batch), "one by one": lambda: single(batch)}
    if hasattr(os, "sched_setaffinity"):
        alternatives["one by one, on one core"] = on_one_core(alternatives["one by one"])
    times = timed(alternatives, sizes.repeats)
    two, bounds = times["two at a time"]["seconds"], [("<=", 0.65), None]
    return [
        line(f"{sizes.tasks} tasks: two at a time / {name}", two / times[name]["seconds"], "x", bound, times)
        for name, bound in zip(list(times)[1:], bounds, strict=False)
    ]


def measure_adaptation(sizes: Sizes) -> list[Timed]:
    """Time adapting the `reptile` preset to a few images and drawing 64 samples, the first time and later."""
    shape = (sizes.adapt_side, sizes.adapt_side, 1)
    model = presets.build(presets.get("reptile", width=sizes.adapt_width), shape)
    images = np.random.default_rng(0).uniform(-1, 1, (sizes.shots, *shape)).astype(np.float32)
    times = timed({"adapt": lambda: model.adapt(images, steps=sizes.steps, seed=0).sample(64, seed=0)}, sizes.repeats)
    what = f"adapt by {sizes.steps} steps and sample 64"
    return [
        line(f"{what}, warm", times["adapt"]["seconds"], "s", ("<=", 1), times),
        line(f"{what}, the first call of a process", times["adapt"]["first"], "s", None, times),
    ]


def measure_orders(sizes: Sizes) -> list[Timed]:
    """Time a second-order and a first-order MAML step on one task."""
    batch, steps = episodes(sizes, 1), {}
    for name, algorithm in (("second order", mg.MAML), ("first order", mg.FOMAML)):
        steps[name] = tf.function(wgan_gp(sizes, algorithm(sizes.second_steps)).meta_step, autograph=False)
    times = timed({name: lambda step=step: step(batch) for name, step in steps.items()}, sizes.repeats)
    second, first = times["second order"], times["first order"]["seconds"]
    return [
        line("meta-step of 1 task: second / first order", second["seconds"] / first, "x", None, times),
        line("tracing the second-order step", second["first"] - second["seconds"], "s", ("<=", 10), times),
    ]


def figures_as_text(lines: list[Timed]) -> str:
    """Return the figures as text, a line for each, and below the first of a comparison its alternatives."""
    rows, shown = [], None
    for entry in lines:
        target = f"target {entry['target']}" if entry["target"] else ""
        rows.append(f"{entry['what']:<62} {entry['value']:8.3f} {entry['unit']:<2} {target:<14} {entry['verdict']}")
        for name, record in entry["beside"].items() if entry["beside"] is not shown else ():
            rows.append(
                f"    {name:<58} {record['seconds']:8.3f} s  cores: {record['cores']:.2f}, others' {record['others']}"
            )
        shown = entry["beside"]
    return "\n".join(rows)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table and write `speed.json`."""
    quick = "tiny sizes: a test run that measures nothing"
    parser = common.parser("speed", __doc__, quick=quick, out="folder of speed.json, which is replaced")
    options = parser.parse_args(arguments)
    threads = trainers.configure_threads()
    sizes = QUICK if options.quick else Sizes()
    measures = (measure_graph, measure_tasks, measure_adaptation, measure_orders)
    lines = [entry for measure in measures for entry in measure(sizes)]
    if options.quick:
        lines = [{**entry, "verdict": "not judged"} for entry in lines]
    environment = {
        "versions": {"python": platform.python_version(), "tensorflow": tf.__version__, "keras": keras.__version__},
        "threads": {"cores": functional.cores(), "inter_op": threads[0], "intra_op": threads[1]},
        "devices": [device.device_type for device in tf.config.list_physical_devices()],
    }
    (file := Path(options.out) / "speed.json").parent.mkdir(parents=True, exist_ok=True)
    storage.write_json(file, {"environment": environment, "sizes": asdict(sizes), "lines": lines})
    print(figures_as_text(lines), f"written: {file}", sep="\n")
