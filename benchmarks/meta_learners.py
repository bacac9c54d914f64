"""Learned rules beside hand-set ones: on small min-max games, and on GANs of two-dimensional mixtures.

`python benchmarks/meta_learners.py --quick --out DIR` (under 10 minutes on 2 cores) and, without `--quick`, the full
tables: `games` (`benchmarks.toy_games`), `mixtures` (three seeds, both starts, at equal outer steps and at equal
seconds, and the hinge loss without retraining) and `variants` (what the rules' parts are worth, and other widths).
`--only` chooses some. It writes `results.json`, `{task: {method: {K: {mean, low, high}}}}`, K the steps or moves, and
`verdicts.md`: every comparison with Adam and Meta-SGD by an interval of the difference over the same tasks.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import trainers
from benchmarks import mixtures, toy_games
from meta_gan import losses, storage
from meta_gan.evaluation.intervals import bootstrap_mean

HORIZONS = (5, 10, 20, 50)
PARTS = ("games", "mixtures", "variants")
BESIDE = ("Adam", "learned Adam", "Meta-SGD")
Curves = dict[str, np.ndarray]  # method: float64[tasks, 51], the mean over seeds


class Report:
    """What was measured so far, written after every task so that a run that is cut off leaves what it has."""

    def __init__(self, out: Path):
        self.out, self.verdicts = (
            out,
            ["| task | K | rule | beside | difference | verdict |", "|---|---|---|---|---|---|"],
        )
        self.results: dict[str, dict[str, dict[str, Any]]] = {}
        self.about: dict[str, Any] = {}

    def add(self, task: str, curves: Curves) -> None:
        """Notes the distances of all methods on the same tasks, and compares the learned ones with the others."""
        self.results[task] = {
            method: {str(k): bootstrap_mean(values[:, k]).as_dict() for k in HORIZONS}
            for method, values in curves.items()
        }
        for method in curves:
            for other in BESIDE:
                if other in curves and method not in BESIDE:
                    self.verdicts += [compared(task, k, method, other, curves) for k in HORIZONS]
        self.write()

    def write(self) -> None:
        """Writes both files."""
        storage.write_json(self.out / "results.json", self.results)
        storage.write_json(self.out / "about.json", self.about)
        (self.out / "verdicts.md").write_text("\n".join(self.verdicts) + "\n", encoding="utf-8")


def compared(task: str, k: int, method: str, other: str, curves: Curves) -> str:
    """A line of the verdicts: `win` if the interval of the difference lies below 0, `loss` if above, else `tie`."""
    gap = bootstrap_mean(curves[method][:, k] - curves[other][:, k])
    verdict = "win" if gap.high < 0 else "loss" if gap.low > 0 else "tie"
    return f"| {task} | {k} | {method} | {other} | {gap.mean:+.4f} ({gap.low:+.4f}, {gap.high:+.4f}) | {verdict} |"


def games(report: Report, quick: bool) -> None:
    """The games; K is 1,000 moves, the score the common logarithm of the distance to rest."""
    for name in ("rotated saddle",) if quick else toy_games.GAMES:
        rows = toy_games.measure(name, 60 if quick else 400, toy_games.MOVES, (16, 32) if quick else (64, 100))
        for part, title in (("end", name), ("path", f"{name}, mean over the moves")):
            report.results[title] = {method: {str(toy_games.MOVES): row[part]} for method, row in rows.items()}
        order = sorted(rows, key=lambda method: rows[method]["order"])
        report.about[name] = {"order": order, "rows": rows}
        print(f"{name}: nearest to rest first, then soonest there: {', '.join(order)}", flush=True)
        report.write()


class Tuned:
    """The hand-set rules and their rates, tuned on training tasks from fresh nets."""

    def __init__(self, seeds: Iterable[int]):
        self.curves, self.seeds = {}, list(seeds)
        for name, make in mixtures.HAND_SET.items():
            self.curves[name] = mixtures.Curves(mixtures.make_game(), make(1.0))
        tasks = mixtures.episodes(40, 77, mixtures.TEST_QUERY)
        self.rates = {
            name: mixtures.best_rates(curves, mixtures.fresh(99), tasks, HORIZONS)
            for name, curves in self.curves.items()
        }
        print(f"tuned rates: {self.rates}", flush=True)

    def measured(self, name: str, tasks: Any) -> np.ndarray:
        """Float64[tasks, 51], filled where K is one of `HORIZONS`, each with the rate that is best for it."""
        found = np.full((int(tasks.seed.shape[0]), mixtures.LONGEST + 1), np.nan)
        for k, rate in self.rates[name].items():
            each = [mixtures.measured(self.curves[name], mixtures.fresh(s), tasks, rate)[:, k] for s in self.seeds]
            found[:, k] = np.mean(each, axis=0)
        return found


def run_mixtures(report: Report, quick: bool) -> None:
    """All methods, from both starts, at equal outer steps and at equal seconds."""
    seeds, steps = ([0], 60) if quick else ([0, 1, 2], 300)
    tasks = mixtures.episodes(100, 5, mixtures.TEST_QUERY)
    tuned = Tuned(seeds)
    report.about["rates"] = {name: {str(k): r for k, r in rates.items()} for name, rates in tuned.rates.items()}
    trainers_of = {
        name: mixtures.Trainer(name, tuned.rates[method.base][mixtures.INNER])
        for name, method in mixtures.METHODS.items()
    }
    for start in mixtures.STARTS:
        by_steps: dict[str, list[np.ndarray]] = {name: [] for name in trainers_of}
        by_seconds: dict[str, list[np.ndarray]] = {name: [] for name in trainers_of}
        for seed in seeds:
            kept, seconds = {}, {}
            for name, trainer in trainers_of.items():
                trainer.restart(seed)
                seconds[name] = trainer.train(start, seed, 0, steps) / (steps - 1)
                by_steps[name].append(mixtures.measured(trainer.curves, trainer.starts(start, seed), tasks))
                kept[name] = trainer.keep()
            budget = max(seconds.values()) * steps
            for name, trainer in trainers_of.items():
                trainer.put(kept[name])
                trainer.train(start, seed, steps, max(int(budget / seconds[name]) - steps, 0))
                by_seconds[name].append(mixtures.measured(trainer.curves, trainer.starts(start, seed), tasks))
            report.about[f"{start}, seed {seed}"] = {
                "outer_steps": steps,
                "seconds_a_step": {name: round(s, 4) for name, s in seconds.items()},
                "steps_in_equal_seconds": {name: int(budget / s) for name, s in seconds.items()},
            }
            print(f"{start}, seed {seed}: {report.about[f'{start}, seed {seed}']}", flush=True)
        fixed = {name: tuned.measured(name, tasks) for name in tuned.curves} if start == "random" else {}
        for title, found in (("equal steps", by_steps), ("equal seconds", by_seconds)):
            report.add(f"mixtures, {start} start, {title}", {**fixed, **_means(found)})
    if not quick:
        _hinge(report, trainers_of, tasks, seeds, steps)


def _means(found: dict[str, list[np.ndarray]]) -> Curves:
    return {name: np.mean(each, axis=0) for name, each in found.items()}


def _hinge(report: Report, trainers_of: dict[str, Any], tasks: Any, seeds: list[int], steps: int) -> None:
    """Rules trained on the non-saturating loss from random nets, on the hinge loss; Adam is tuned for it."""
    game = mixtures.make_game(losses.Hinge())
    adam = mixtures.Curves(game, mixtures.HAND_SET["Adam"](1.0))
    training = mixtures.episodes(40, 77, mixtures.TEST_QUERY)
    rates = mixtures.best_rates(adam, mixtures.fresh(99), training, HORIZONS)
    values = np.full((int(tasks.seed.shape[0]), mixtures.LONGEST + 1), np.nan)
    for k, rate in rates.items():
        values[:, k] = np.mean([mixtures.measured(adam, mixtures.fresh(s), tasks, rate)[:, k] for s in seeds], axis=0)
    found: dict[str, list[np.ndarray]] = {name: [] for name in trainers_of}
    for name, trainer in trainers_of.items():
        curves = mixtures.Curves(game, trainer.rule)
        for seed in seeds:
            trainer.restart(seed)
            trainer.train("random", seed, 0, steps)
            found[name].append(mixtures.measured(curves, mixtures.fresh(seed), tasks))
    report.add("mixtures, hinge loss, random start", {"Adam": values, **_means(found)})


def variants(report: Report, quick: bool) -> None:
    """The rules without their parts, from random nets; and the whole rules on nets of other widths."""
    seeds, steps = ([0], 30) if quick else ([0, 1], 300)
    tasks = mixtures.episodes(100, 5, mixtures.TEST_QUERY)
    rate = Tuned(seeds).rates["Adam"][mixtures.INNER]
    names = ["recurrent", "attention", *([] if quick else mixtures.VARIANTS)]
    found: dict[str, list[np.ndarray]] = {}
    wider: dict[int, dict[str, list[np.ndarray]]] = {16: {}, 64: {}}
    for name in names:
        trainer = mixtures.Trainer(name, rate)
        others = {width: mixtures.Curves(mixtures.make_game(width=width), trainer.rule) for width in wider}
        for seed in seeds:
            trainer.restart(seed)
            trainer.train("random", seed, 0, steps)
            found.setdefault(name, []).append(mixtures.measured(trainer.curves, mixtures.fresh(seed), tasks))
            for width, curves in others.items() if name in mixtures.METHODS else ():
                starts = mixtures.fresh(seed, width)
                wider[width].setdefault(name, []).append(mixtures.measured(curves, starts, tasks))
        report.add("mixtures, variants", _means(found))
    for width, values in wider.items():
        adam = mixtures.Curves(mixtures.make_game(width=width), mixtures.HAND_SET["Adam"](1.0))
        each = [mixtures.measured(adam, mixtures.fresh(seed, width), tasks, rate) for seed in seeds]
        report.add(f"mixtures, width {width}", {"Adam": np.mean(each, axis=0), **_means(values)})


def main() -> None:
    """Runs the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder for results.json and verdicts.md")
    parser.add_argument("--quick", action="store_true", help="one seed, few outer steps, one game")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="(default: all; with --quick games and mixtures)")
    arguments = parser.parse_args()
    out = Path(arguments.out)
    if out.is_file():
        print(f"--out must be a folder. Received: {str(out)!r}, a file", file=sys.stderr)
        raise SystemExit(2)
    os.makedirs(out, exist_ok=True)
    trainers.configure_threads()
    report, work = Report(out), {"games": games, "mixtures": run_mixtures, "variants": variants}
    for part in arguments.only or (PARTS[:2] if arguments.quick else PARTS):
        work[part](report, arguments.quick)
    print("\n".join(report.verdicts))


if __name__ == "__main__":
    main()
