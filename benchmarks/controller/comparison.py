"""A trained controller beside hand-designed schedules: `python -m benchmarks.controller --out DIR`.

`benchmarks.controller.schedules` defines the steered game and the hand-designed schedules. Every trained row has the
same number of outer steps of 32 adaptations each, from several seeds, on two cores; the free numbers of a hand-designed
schedule are chosen on 60 tuning tasks. All are measured on the same unseen tasks from unseen networks, 100 tasks for
every seed.

It writes `results.json`, `{method: {mean, low, high, diverged}}`: the mean energy distance after 40 inner steps with
its 95 % bootstrap interval over tasks (which share the training of a seed), and the share of tasks that end farther
away than they began; `about.json`, with the chosen numbers and the discriminator's turns; `controller.md` with every
comparison and its verdict; and `chosen.png`, the controller's choices over time, by the rate of a task. An interrupted
run continues to the same bits. `--quick` does a third of the training, one seed, 40 tasks and a quarter of every grid,
in under ten minutes of two cores: it shows that all parts run, not how good they are.
"""

from __future__ import annotations

import itertools
import math
import os
from pathlib import Path
from typing import Any

import keras
import matplotlib.figure
import numpy as np
import tensorflow as tf

import meta_gan as mg
import trainers
from benchmarks import common
from benchmarks.common import Size
from benchmarks.controller import schedules
from benchmarks.meta_learners import mixtures
from meta_gan import functional, storage
from meta_gan.controller import PolicyGradient
from meta_gan.meta import EvolutionStrategies
from meta_gan.metrics.bootstrap import bootstrap_mean

CONTROLLER, OPEN = "controller", "open loop, by evolution"
BATCH, CHECKPOINT = 4, 20
TUNING_SEED, TEST_SEED = 5555, 7000


# Outer steps of a training, seeds, tuning tasks, test tasks of every seed, and the stride through every grid.
FULL = Size(steps=400, seeds=5, tuning=60, tasks=100, thinned=1)
QUICK = Size(steps=120, seeds=1, tuning=20, tasks=40, thinned=4)


def parts_of(name: str, seed: int) -> tuple[Any, Any, float]:
    """Return the untrained controller of a row, its estimator, and the outer rate; a step has 32 adaptations."""
    if name == CONTROLLER:
        # `adapt` takes the most likely action, so that entropy in training would be lost there.
        estimator = PolicyGradient(rollouts=8, entropy=0.0, spread=schedules.SPREAD)
        return schedules.controller(calm=4.0, seed=seed), estimator, 0.01
    # A calm policy would choose only small changes of the readouts.
    controller = schedules.controller(closed_loop=False, calm=0.1, seed=seed)
    return controller, EvolutionStrategies(0.2, 4, logarithm=True, spread=schedules.SPREAD), 0.03


class Training:
    """The training of one row from one seed, step by step.

    Args:
        name: of the row.
        seed: for the policy's initial weights, the networks and the tasks.
        steps: outer steps in all, over which the outer rate falls along a cosine to a twentieth.
        path: file of the checkpoint; if it exists, the training resumes from it.
    """

    def __init__(self, name: str, seed: int, steps: int, path: Path):
        self.controller, estimator, self.rate = parts_of(name, seed)
        self.seed, self.steps, self.path, self.made = seed, steps, path, 0
        self.game = mixtures.make_game()
        self.model = mg.MetaModel(self.game, mg.Algorithm(name, self.controller, estimator, schedules.STEPS))
        self.model.compile(optimizer=keras.optimizers.Adam(self.rate), clip=1.0, skip_nonfinite=True)
        self._step = tf.function(self.model.meta_step, autograph=False)
        optimizer = self.model.optimizers["meta_learner"]
        self._variables = [*self.controller.trainable_variables, *optimizer.variables]
        if path.is_file():
            with np.load(path) as kept:
                self.made = int(kept["made"])
                for i, variable in enumerate(self._variables):
                    variable.assign(kept[f"variable_{i}"])

    def run(self, until: int | None = None) -> None:
        """Train to the end, or to step `until`."""
        for number in range(self.made, self.steps if until is None else until):
            share = 0.05 + 0.475 * (1 + math.cos(math.pi * number / self.steps))
            self.model.optimizers["meta_learner"].learning_rate.assign(self.rate * share)
            functional.write(self.game.nets, mixtures.initial(100_000 * (self.seed + 1) + number % 500))
            self._step(mixtures.episodes(BATCH, 1_000_000 * (self.seed + 1) + number))
            self.made = number + 1
            if self.made % CHECKPOINT == 0 or self.made == self.steps:
                self.save()

    def save(self) -> None:
        """Write the checkpoint in one replace."""
        kept = {f"variable_{i}": variable.numpy() for i, variable in enumerate(self._variables)}
        part = self.path.with_suffix(".part.npz")
        np.savez(part, made=self.made, **kept)
        os.replace(part, self.path)


def checkpoint(out: Path, name: str, seed: int) -> Path:
    """Return the checkpoint file of a training."""
    return out / f"{name.replace(', ', '-').replace(' ', '-')}-{seed}.npz"


def trained(out: Path, name: str, seed: int, size: Size) -> schedules.Runs:
    """Return the runs of tasks under a trained row."""
    controller = Training(name, seed, size.steps, checkpoint(out, name, seed)).controller
    return schedules.Runs(controller, lambda numbers: controller.steering)


def best_numbers(name: str, size: Size) -> tuple[schedules.Runs, tuple[float, ...]]:
    """Return the runs of a hand-designed schedule and the numbers with the least mean distance on tuning tasks."""
    script, every, grid = schedules.GRIDS[name]
    controller = schedules.controller()
    runs = schedules.Runs(controller, lambda numbers: schedules.Scripted(controller, script, every, numbers))
    grid = grid[:: size.thinned]
    tasks, starts = mixtures.episodes(size.tuning, TUNING_SEED, mixtures.TEST_QUERY), mixtures.fresh(50)
    return runs, min(grid, key=lambda numbers: schedules.ended(runs(starts, tasks, numbers))[0].mean())


def measure(out: Path, size: Size) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """Return, by method, `schedules.ended` of every seed's tasks; and the choices of each."""
    found: dict[str, list[Any]] = {}
    about: dict[str, Any] = {"size": vars(size), "turns": {}}
    tests = [
        (mixtures.fresh(60 + seed), mixtures.episodes(size.tasks, TEST_SEED + seed, mixtures.TEST_QUERY))
        for seed in range(size.seeds)
    ]
    turns = [knob.name for knob in schedules.KNOBS].index("turns")

    def add(name: str, ends: list[Any]) -> None:
        found[name] = [schedules.ended(end) for end in ends]
        about["turns"][name] = float(np.mean([end["knobs"][..., turns] for end in ends]))
        print(f"{name}: {about.get(name, '')} {np.mean([each[0].mean() for each in found[name]]):.4f}", flush=True)

    for name in (CONTROLLER, OPEN):
        ends = [trained(out, name, seed, size)(*test) for seed, test in enumerate(tests)]
        add(name, ends)
        if name == CONTROLLER:
            picture(out / "chosen.png", ends)
    for name in schedules.GRIDS:
        runs, numbers = best_numbers(name, size)
        about[name] = list(numbers)
        add(name, [runs(*test, numbers) for test in tests])
    untrained = schedules.controller()
    runs = schedules.Runs(untrained, lambda numbers: schedules.Random(untrained))
    add("random policy", [runs(*test) for test in tests])
    return found, about


def picture(path: Path, ends: list[Any]) -> None:
    """Plot the controller's choices over time: means over tasks of low, medium and high rates."""
    knobs, factors = (np.concatenate([end[key] for end in ends]) for key in ("knobs", "factor"))
    names = [knob.name for knob in schedules.KNOBS]
    figure = matplotlib.figure.Figure(figsize=(9, 2.6), layout="constrained")
    times = schedules.EVERY * np.arange(knobs.shape[1])
    bounds = np.quantile(factors, [0.0, 1 / 3, 2 / 3, 1.0])
    for axes, (place, name) in zip(figure.subplots(1, len(names)), enumerate(names), strict=True):
        for low, high in itertools.pairwise(bounds):
            chosen = knobs[(factors >= low) & (factors <= high), :, place].mean(axis=0)
            axes.step(times, chosen, where="post", label=f"x {low:.2g} to {high:.2g}")
        axes.set(title=name, xlabel="inner step", yscale="log" if name.startswith("rate") else "linear")
    axes.legend(title="task's rate", fontsize=7)
    figure.savefig(path, dpi=110)


def compared(found: dict[str, list[Any]]) -> str:
    """Return a table of the controller's comparisons: the ratio of means, and whether the difference is significant."""
    rows = []
    own, lost = (np.concatenate([each[i] for each in found[CONTROLLER]]) for i in (0, 1))
    for name, ends in found.items():
        if name != CONTROLLER:
            other, theirs = (np.concatenate([each[i] for each in ends]) for i in (0, 1))
            gap = bootstrap_mean(own - other)
            verdict = "win" if gap.high < 0 else "loss" if gap.low > 0 else "tie"
            difference = f"{gap.mean:+.4f} ({gap.low:+.4f}, {gap.high:+.4f})"
            failed = f"{lost.mean():.3f} / {theirs.mean():.3f}"
            rows.append([name, f"{own.mean() / other.mean():.2f}", difference, verdict, failed])
    return common.table(["beside", "controller / it", "difference", "verdict", "diverged, controller / it"], rows)


def write(out: Path, found: dict[str, list[Any]], about: dict[str, Any]) -> None:
    """Write the files."""
    results = {}
    for name, ends in found.items():
        distances, lost = (np.concatenate([each[i] for each in ends]) for i in (0, 1))
        results[name] = {**bootstrap_mean(distances).as_dict(), "diverged": float(lost.mean())}
        about.setdefault("by seed", {})[name] = [float(each[0].mean()) for each in ends]
    storage.write_json(out / "results.json", results)
    storage.write_json(out / "about.json", about)
    rows = [[name, common.interval(row, 4), f"{row['diverged']:.3f}"] for name, row in results.items()]
    text = common.table(["method", "energy distance", "diverged"], rows) + "\n" + compared(found)
    (out / "controller.md").write_text(text, encoding="utf-8")
    print(text)


def main() -> None:
    """Train and evaluate."""
    parser = common.parser("controller", __doc__, quick="under 10 minutes; a test run")
    parser.add_argument("--train", choices=(CONTROLLER, OPEN), help="one training, in this process")
    parser.add_argument("--seed", type=int, default=0, help="of that training (default: 0)")
    arguments = parser.parse_args()
    out, size = Path(arguments.out), QUICK if arguments.quick else FULL
    common.claim(parser, out, size)
    trainers.configure_threads()
    if arguments.train:
        Training(arguments.train, arguments.seed, size.steps, checkpoint(out, arguments.train, arguments.seed)).run()
        return
    jobs = [(name, seed) for seed in range(size.seeds) for name in (CONTROLLER, OPEN)]
    own = ["--out", str(out), *(["--quick"] if arguments.quick else [])]
    common.side_by_side(jobs, lambda job, core: _train(job, core, own))
    write(out, *measure(out, size))


def _train(job: tuple[str, int], core: int, own: list[str]) -> None:
    """Train one row from one seed in a separate process."""
    common.python(["-m", "benchmarks.controller", *own, "--train", job[0], "--seed", str(job[1])], core)
    print(f"trained: {job[0]}, seed {job[1]}", flush=True)
