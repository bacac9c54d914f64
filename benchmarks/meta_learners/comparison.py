"""Learned meta-learners beside hand-designed ones: on small min-max games, and on GANs of two-dimensional mixtures.

`python -m benchmarks.meta_learners --out DIR` measures `games` (`benchmarks.meta_learners.toy_games`), `mixtures`
(three seeds, both starts, at equal outer steps and at equal seconds, and the hinge loss without retraining) and
`variants` (the effect of each part of the meta-learners, and other widths); `--only` selects some, and `--quick` takes
under 10 minutes of 2 cores. It writes `results.json`, `{task: {method: {K: {mean, low, high}}}}` with K inner steps or
moves, and `verdicts.md`: every comparison with Adam and Meta-SGD, by an interval of the difference on the same tasks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import trainers
from benchmarks import common
from benchmarks.meta_learners import mixtures, toy_games
from meta_gan import losses, storage
from meta_gan.metrics.bootstrap import bootstrap_mean

HORIZONS = (5, 10, 20, 50)
PARTS = ("games", "mixtures", "variants")
BESIDE = ("Adam", "learned Adam", "Meta-SGD")
Curves = dict[str, np.ndarray]  # method: float64[tasks, 51], the mean over seeds


class Report:
    """The results so far, written after every task, so that an interrupted run leaves them behind."""

    def __init__(self, out: Path):
        head = ["task", "K", "meta-learner", "beside", "difference", "verdict"]
        self.out, self.verdicts = out, common.table(head, []).splitlines()
        self.results: dict[str, dict[str, dict[str, Any]]] = {}
        self.about: dict[str, Any] = {}

    def add(self, task: str, curves: Curves) -> None:
        """Record the distances of all methods on the same tasks, and compare the learned ones with the others."""
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
        """Write the files."""
        storage.write_json(self.out / "results.json", self.results)
        storage.write_json(self.out / "about.json", self.about)
        (self.out / "verdicts.md").write_text("\n".join(self.verdicts) + "\n", encoding="utf-8")


def compared(task: str, k: int, method: str, other: str, curves: Curves) -> str:
    """Return a line of the verdicts: `win` if the difference's interval is below 0, `loss` if above, else `tie`."""
    gap = bootstrap_mean(curves[method][:, k] - curves[other][:, k])
    verdict = "win" if gap.high < 0 else "loss" if gap.low > 0 else "tie"
    return f"| {task} | {k} | {method} | {other} | {gap.mean:+.4f} ({gap.low:+.4f}, {gap.high:+.4f}) | {verdict} |"


def games(report: Report, quick: bool, learned: Sequence[str]) -> None:
    """Measure the games; K is 1,000 moves, the score the common logarithm of the distance to the equilibrium."""
    if quick:  # compiling a second meta-learner takes a quarter of the ten minutes
        learned = learned[:1]
    for name in ("rotated saddle",) if quick else toy_games.GAMES:
        rows = toy_games.measure(
            name, 60 if quick else 1600, toy_games.MOVES, (16, 32) if quick else (64, 100), learned
        )
        for part, title in (("end", name), ("path", f"{name}, mean over the moves")):
            report.results[title] = {method: {str(toy_games.MOVES): row[part]} for method, row in rows.items()}
        order = sorted(rows, key=lambda method: rows[method]["order"])
        report.about[name] = {"order": order, "rows": rows}
        print(f"{name}: nearest to the equilibrium first, then soonest there: {', '.join(order)}", flush=True)
        report.write()


class Tuned:
    """A hand-designed meta-learner with rates tuned on training tasks: one for each K, and one for all."""

    def __init__(self, name: str, game: Any = None, width: int = mixtures.WIDTH):
        self.width = width
        self.curves = mixtures.Curves(game or mixtures.make_game(), mixtures.HAND_DESIGNED[name](1.0))
        self.rates, self.rate = mixtures.best_rates(self.curves, HORIZONS, width)
        print(f"tuned: {name}: {self.rates}, for all {self.rate}", flush=True)

    def measured(self, seeds: Sequence[int], tasks: Any) -> np.ndarray:
        """Return float64[tasks, 51], filled where K is one of `HORIZONS`, each with its own best rate."""
        found = np.full((int(tasks.seed.shape[0]), mixtures.LONGEST + 1), np.nan)
        for k, rate in self.rates.items():
            starts = [mixtures.fresh(seed, self.width) for seed in seeds]
            found[:, k] = np.mean([mixtures.measured(self.curves, s, tasks, rate)[:, k] for s in starts], axis=0)
        return found


def run_mixtures(report: Report, quick: bool) -> None:
    """Measure all methods, from both starts, at equal outer steps and at equal seconds."""
    seeds, steps = ([0], 60) if quick else ([0, 1, 2], 300)
    tasks = mixtures.episodes(100, 5, mixtures.TEST_QUERY)
    tuned = {name: Tuned(name) for name in mixtures.HAND_DESIGNED}
    report.about["rates"] = {name: [{str(k): r for k, r in one.rates.items()}, one.rate] for name, one in tuned.items()}
    made = {name: mixtures.Trainer(name, tuned[method.base].rate) for name, method in mixtures.METHODS.items()}
    for start in mixtures.STARTS:
        found: dict[str, dict[str, list[np.ndarray]]] = {"equal steps": {}, "equal seconds": {}}
        for seed in seeds:
            both = one_seed(made, start, seed, steps, tasks, report)
            for budget, curves in both.items():
                for name, values in curves.items():
                    found[budget].setdefault(name, []).append(values)
        fixed = {name: one.measured(seeds, tasks) for name, one in tuned.items()} if start == "random" else {}
        for budget, lists in found.items():
            report.add(f"mixtures, {start} start, {budget}", {**fixed, **_means(lists)})
    if not quick:
        hinge(report, made, tasks, seeds, steps)


def one_seed(
    made: dict[str, mixtures.Trainer], start: str, seed: int, steps: int, tasks: Any, report: Report
) -> dict[str, Curves]:
    """Train every method for `steps`, and again for as many as fit into the seconds of the slowest."""
    by_steps, by_seconds, seconds = {}, {}, {}
    for name, trainer in made.items():
        seconds[name] = trainer.train(start, seed, steps)
        by_steps[name] = mixtures.measured(trainer.curves, trainer.starts(start, seed), tasks)
    fitting = {name: int(max(seconds.values()) * steps / taken) for name, taken in seconds.items()}
    for name, trainer in made.items():
        if fitting[name] > steps:
            trainer.train(start, seed, fitting[name])
            by_seconds[name] = mixtures.measured(trainer.curves, trainer.starts(start, seed), tasks)
        else:
            by_seconds[name] = by_steps[name]
    about = {"seconds_a_step": {name: round(s, 4) for name, s in seconds.items()}, "steps_in_equal_seconds": fitting}
    report.about[f"{start}, seed {seed}, {steps} steps"] = about
    print(f"{start}, seed {seed}: {about}", flush=True)
    return {"equal steps": by_steps, "equal seconds": by_seconds}


def _means(found: dict[str, list[np.ndarray]]) -> Curves:
    return {name: np.mean(each, axis=0) for name, each in found.items()}


def hinge(report: Report, made: dict[str, mixtures.Trainer], tasks: Any, seeds: Sequence[int], steps: int) -> None:
    """Measure, on the hinge loss, meta-learners of the non-saturating loss; Adam is tuned for the hinge loss."""
    game = mixtures.make_game(losses.Hinge())
    found: dict[str, list[np.ndarray]] = {}
    for name, trainer in made.items():
        curves = mixtures.Curves(game, trainer.meta_learner)
        for seed in seeds:
            trainer.train("random", seed, steps)
            found.setdefault(name, []).append(mixtures.measured(curves, mixtures.fresh(seed), tasks))
    report.add("mixtures, hinge loss", {"Adam": Tuned("Adam", game).measured(seeds, tasks), **_means(found)})


def variants(report: Report, quick: bool) -> None:
    """Measure the meta-learners without their parts, and the whole meta-learners on networks of other widths."""
    seeds, steps = ([0], 30) if quick else ([0, 1], 300)
    tasks = mixtures.episodes(100, 5, mixtures.TEST_QUERY)
    rate = Tuned("Adam").rate
    found: dict[str, list[np.ndarray]] = {}
    wider: dict[int, dict[str, list[np.ndarray]]] = {16: {}, 64: {}}
    for name in ["recurrent", "attention", *([] if quick else mixtures.VARIANTS)]:
        trainer = mixtures.Trainer(name, rate)
        games_of = {width: mixtures.make_game(width=width) for width in wider if name in mixtures.METHODS}
        others = {width: mixtures.Curves(game, trainer.meta_learner) for width, game in games_of.items()}
        for seed in seeds:
            trainer.train("random", seed, steps)
            found.setdefault(name, []).append(mixtures.measured(trainer.curves, mixtures.fresh(seed), tasks))
            for width, curves in others.items():
                starts = mixtures.fresh(seed, width)
                wider[width].setdefault(name, []).append(mixtures.measured(curves, starts, tasks))
    report.add("mixtures, variants", _means(found))
    for width, values in wider.items():
        adam = Tuned("Adam", mixtures.make_game(width=width), width).measured(seeds, tasks)
        report.add(f"mixtures, width {width}", {"Adam": adam, **_means(values)})


def main() -> None:
    """Run the selected parts."""
    quick = "one seed, few outer steps, one game and meta-learner"
    parser = common.parser("meta_learners", __doc__, quick=quick, out="folder of results.json and verdicts.md")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="(default: all; with --quick games and mixtures)")
    learned = tuple(toy_games.LEARNED)
    parser.add_argument(
        "--meta-learners", nargs="+", choices=learned, default=list(learned), help="of the games (default: all)"
    )
    arguments = parser.parse_args()
    out = Path(arguments.out)
    if out.is_file():
        print(f"--out must be a folder. Received: {str(out)!r}, a file", file=sys.stderr)
        raise SystemExit(2)
    os.makedirs(out, exist_ok=True)
    trainers.configure_threads()
    report, work = Report(out), {"mixtures": run_mixtures, "variants": variants}
    work["games"] = lambda report, quick: games(report, quick, arguments.meta_learners)
    for part in arguments.only or (PARTS[:2] if arguments.quick else PARTS):
        work[part](report, arguments.quick)
    print("\n".join(report.verdicts))
