"""A trained controller beside schedules by hand: `python -m benchmarks.controller --out DIR`, or with `--quick`.

What is steered, and by which rules of hand, is in `benchmarks.schedules`. Every trained row has so many outer steps of
32 adaptations each, from so many seeds, on two lanes; what a rule of hand leaves open is chosen on 60 tasks of their
own. All are measured on the same tasks, which none has seen, from nets that none has seen: for every seed 100 tasks.

It writes `results.json`, `{method: {mean, low, high, diverged}}`: the mean energy distance after 40 inner steps with
its 95 % bootstrap interval over tasks (which share the seed's training), and the share of tasks that ended further than
they began; `about.json`, with the numbers chosen and the discriminator's turns that were taken; `controller.md` with
every comparison and its verdict; and `chosen.png`, what the controller chose over time, by a task's rate. A run that
was cut off goes on to the same bits. `--quick` does a third of the training, one seed, 40 tasks and a quarter of every
grid, in under ten minutes of two cores: it says that all is well, and little of quality.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import os
import sys
from pathlib import Path
from typing import Any

import keras
import matplotlib.figure
import numpy as np
import tensorflow as tf

# A program run by its path, not by `-m`, would not find its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import meta_gan as mg
import trainers
from benchmarks import lanes, mixtures, schedules
from benchmarks.families import claimed
from meta_gan import functional, storage
from meta_gan.controller import PolicyGradient
from meta_gan.meta import EvolutionStrategies
from meta_gan.metrics.bootstrap import bootstrap_mean

CONTROLLER, OPEN = "controller", "open loop, by evolution"
BATCH, CHECKPOINT = 4, 20
TUNING_SEED, TEST_SEED = 5555, 7000


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is done: outer steps of a training, seeds, tasks for tuning and, of every seed, for measuring, and of
    how many settings of a grid one is tried."""

    steps: int
    seeds: int
    tuning: int
    tasks: int
    thinned: int


FULL, QUICK = Size(400, 5, 60, 100, 1), Size(120, 1, 20, 40, 4)


def parts_of(name: str, seed: int) -> tuple[Any, Any, float]:
    """The untrained rule of a trained row, its estimator, and the outer rate; all make 32 adaptations a step."""
    if name == CONTROLLER:
        # In `adapt` it takes its most likely action: what is gained by drawing for long is lost there.
        estimator = PolicyGradient(rollouts=8, entropy=0.0, spread=schedules.SPREAD)
        return schedules.controller(calm=4.0, seed=seed), estimator, 0.01
    # What is bolder than a small move of the readouts would never be chosen, were it calm.
    rule = schedules.controller(closed_loop=False, calm=0.1, seed=seed)
    return rule, EvolutionStrategies(0.2, 4, logarithm=True, spread=schedules.SPREAD), 0.03


class Training:
    """The training of one row from one seed, step by step.

    Args:
        name: of the row.
        seed: of the policy's first weights, of the nets and of the tasks.
        steps: outer steps in all, over which the outer rate falls along a cosine to a twentieth.
        path: the checkpoint's file; where it exists, the training goes on from it.
    """

    def __init__(self, name: str, seed: int, steps: int, path: Path):
        self.rule, estimator, self.rate = parts_of(name, seed)
        self.seed, self.steps, self.path, self.made = seed, steps, path, 0
        self.game = mixtures.make_game()
        self.model = mg.MetaModel(self.game, mg.Algorithm(name, self.rule, estimator, schedules.STEPS))
        self.model.compile(optimizer=keras.optimizers.Adam(self.rate), clip=1.0, skip_nonfinite=True)
        self._step = tf.function(self.model.meta_step, autograph=False)
        optimizer = self.model.optimizers["meta_learner"]
        self._variables = [*self.rule.trainable_variables, *optimizer.variables]
        if path.is_file():
            with np.load(path) as kept:
                self.made = int(kept["made"])
                for i, variable in enumerate(self._variables):
                    variable.assign(kept[f"variable_{i}"])

    def run(self, until: int | None = None) -> None:
        """Trains to the end, or to so many steps."""
        for number in range(self.made, self.steps if until is None else until):
            share = 0.05 + 0.475 * (1 + math.cos(math.pi * number / self.steps))
            self.model.optimizers["meta_learner"].learning_rate.assign(self.rate * share)
            functional.write(self.game.nets, mixtures.initial(100_000 * (self.seed + 1) + number % 500))
            self._step(mixtures.episodes(BATCH, 1_000_000 * (self.seed + 1) + number))
            self.made = number + 1
            if self.made % CHECKPOINT == 0 or self.made == self.steps:
                self.save()

    def save(self) -> None:
        """Writes the checkpoint, whole or not at all."""
        kept = {f"variable_{i}": variable.numpy() for i, variable in enumerate(self._variables)}
        part = self.path.with_suffix(".part.npz")
        np.savez(part, made=self.made, **kept)
        os.replace(part, self.path)


def checkpoint(out: Path, name: str, seed: int) -> Path:
    """The file of a training."""
    return out / f"{name.replace(', ', '-').replace(' ', '-')}-{seed}.npz"


def trained(out: Path, name: str, seed: int, size: Size) -> schedules.Runs:
    """How tasks end under a trained row."""
    rule = Training(name, seed, size.steps, checkpoint(out, name, seed)).rule
    return schedules.Runs(rule, lambda numbers: rule)


def best_numbers(name: str, size: Size) -> tuple[schedules.Runs, tuple[float, ...]]:
    """A rule of hand, and the numbers by which its mean distance on tuning tasks is least."""
    script, every, grid = schedules.GRIDS[name]
    rule = schedules.controller()
    runs = schedules.Runs(rule, lambda numbers: schedules.Scripted(rule, script, every, numbers))
    grid = grid[:: size.thinned]
    tasks, starts = mixtures.episodes(size.tuning, TUNING_SEED, mixtures.TEST_QUERY), mixtures.fresh(50)
    return runs, min(grid, key=lambda numbers: schedules.ended(runs(starts, tasks, numbers))[0].mean())


def measure(out: Path, size: Size) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """Per method what `schedules.ended` says of every seed's tasks; and what was chosen by whom."""
    found: dict[str, list[Any]] = {}
    about: dict[str, Any] = {"size": dataclasses.asdict(size), "turns": {}}
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
    """What the controller chose over time: means over tasks of low, middling and high rates."""
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


def compared(found: dict[str, list[Any]]) -> list[str]:
    """A line for every comparison of the controller: the ratio of means, and whether the difference is one."""
    lines = ["| beside | controller / it | difference | verdict | diverged, controller / it |", "|---|---|---|---|---|"]
    own, lost = (np.concatenate([each[i] for each in found[CONTROLLER]]) for i in (0, 1))
    for name, ends in found.items():
        if name != CONTROLLER:
            other, theirs = (np.concatenate([each[i] for each in ends]) for i in (0, 1))
            gap = bootstrap_mean(own - other)
            verdict = "win" if gap.high < 0 else "loss" if gap.low > 0 else "tie"
            lines.append(
                f"| {name} | {own.mean() / other.mean():.2f} | {gap.mean:+.4f} ({gap.low:+.4f}, {gap.high:+.4f}) | "
                f"{verdict} | {lost.mean():.3f} / {theirs.mean():.3f} |"
            )
    return lines


def write(out: Path, found: dict[str, list[Any]], about: dict[str, Any]) -> None:
    """Writes the files."""
    results = {}
    for name, ends in found.items():
        distances, lost = (np.concatenate([each[i] for each in ends]) for i in (0, 1))
        results[name] = {**bootstrap_mean(distances).as_dict(), "diverged": float(lost.mean())}
        about.setdefault("by seed", {})[name] = [float(each[0].mean()) for each in ends]
    storage.write_json(out / "results.json", results)
    storage.write_json(out / "about.json", about)
    rows = [
        f"| {name} | {row['mean']:.4f} ({row['low']:.4f} to {row['high']:.4f}) | {row['diverged']:.3f} |"
        for name, row in results.items()
    ]
    text = ["| method | energy distance | diverged |", "|---|---|---|", *rows, "", *compared(found)]
    (out / "controller.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    print("\n".join(text))


def main() -> None:
    """Trains and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder; a run that was cut off goes on")
    parser.add_argument("--quick", action="store_true", help="under 10 minutes; says little of quality")
    parser.add_argument("--train", choices=(CONTROLLER, OPEN), help="one training, in this process")
    parser.add_argument("--seed", type=int, default=0, help="of that training (default: 0)")
    arguments = parser.parse_args()
    out, size = Path(arguments.out), QUICK if arguments.quick else FULL
    out.mkdir(parents=True, exist_ok=True)
    if (other := claimed(out, size)) is not None:
        parser.error(f"--out must be empty, or of a run of this size, {size}. Received: {str(out)!r}, of {other}")
    trainers.configure_threads()
    if arguments.train:
        Training(arguments.train, arguments.seed, size.steps, checkpoint(out, arguments.train, arguments.seed)).run()
        return
    jobs = [(name, seed) for seed in range(size.seeds) for name in (CONTROLLER, OPEN)]
    own = ["--out", str(out), *(["--quick"] if arguments.quick else [])]
    lanes.side_by_side(jobs, lambda job, core: _train(job, core, own))
    write(out, *measure(out, size))


def _train(job: tuple[str, int], core: int, own: list[str]) -> None:
    """Trains one row from one seed in a process of its own."""
    lanes.python(["-m", "benchmarks.controller", *own, "--train", job[0], "--seed", str(job[1])], core)
    print(f"trained: {job[0]}, seed {job[1]}", flush=True)


if __name__ == "__main__":
    main()
