"""Learned meta-learners on drawings: the number of inner steps to match fifty steps of tuned Adam with a DCGAN.

`python -m benchmarks.meta_learners.omniglot --data omniglot28.npz --out DIR` meta-trains a plain DCGAN (or, with
`--network fusion`, the network of the preset `fusion`, of which the context adapts) with every learned meta-learner,
networks and meta-learner together, second order through ten inner steps, on the energy distance in the features of the
shipped objective network; each for the same time of one core, two at once. Adam stands beside them, from the initial
weights of each, with the best of seven rates at fifty steps on validation characters. All are evaluated under
few-shot-28, under both judges, along the curve of inner steps. It writes `results.json`, `omniglot.md` and `report.md`.
An interrupted run continues.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import meta_gan as mg
import trainers
from benchmarks import common
from benchmarks.common import JUDGES
from benchmarks.meta_learners import mixtures
from meta_gan import meta_learners, storage
from meta_gan.judges import load_judge
from meta_gan.presets.algorithms import LEARNED
from meta_gan.protocol import Evaluation, Method, Settings
from meta_gan.report import Report
from meta_gan.tasks import open_source
from meta_gan.types import Episode

INNER = 10
CURVE = (0, 1, 2, 5, 10, 20, 50)
# Measured outer steps in a minute of a busy core; the outer rates fall over as many as fit.
STEPS_A_MINUTE = {"learned_adam": 54, "meta_sgd": 54, "recurrent": 25, "attention": 25}
# The meta-gradient of a network has a norm of 5 to 70 here and is clipped to 1, so that the usual .003 is too large.
META_LEARNER_RATES = {"recurrent": 1e-3, "attention": 1e-3}
# network: the preset and its changes. The fusion network adapts its context, as its preset does.
RECIPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "dcgan": (
        "maml",
        (
            *("network=dcgan", "width=16", "loss=non_saturating", "penalty=none", "game.features=omniglot28-objective"),
            *("inner_rate=0.002", "discriminator_inner_rate=0.002", "outer_rate=0.001", "clip=1.0"),
        ),
    ),
    "fusion": ("fusion", ("algorithm=maml", "clip=1.0", "temperature=1")),
}
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
TUNING_TASKS = 24


def train(meta_learner: str, data: str, out: Path, minutes: float, core: int, network: str = "dcgan") -> None:
    """Train networks and meta-learner in a process of its own, or resume its run.

    Raises:
        RuntimeError: the training failed; the message holds the end of its output.
    """
    decay = max(1, round(minutes * STEPS_A_MINUTE[meta_learner]))
    preset, changes = RECIPES[network]
    fields = [*changes, f"meta_learner={meta_learner}", f"inner_steps={INNER}", f"decay_steps={decay}"]
    fields += [f"meta_rate={META_LEARNER_RATES[meta_learner]}"] if meta_learner in META_LEARNER_RATES else []
    fields += ["meta_batch=4", "checkpoint_every=20"]
    done = common.train(preset, data, out / "runs" / meta_learner, minutes, core, fields, "--queries", "15")
    common.check(done, f"training {meta_learner!r}")


def with_adam(model: mg.MetaModel, rate: float) -> mg.MetaModel:
    """Return a model of the same game and initial weights, averaged where there is an average, adapted by Adam."""
    meta_learner = meta_learners.Adam(rate, 0.5, 0.99)
    game = model.adaptation.copy(model.meta_weights(averaged=True).initial)
    return mg.MetaModel(game, mg.Algorithm("adam", meta_learner, mg.Unrolled(1), INNER, model.algorithm.mask))


def tuned_rate(model: mg.MetaModel, episodes: Episode) -> tuple[float, dict[str, list[float]]]:
    """Return Adam's best rate at fifty steps, in the objective's features, and the distances of every rate.

    Args:
        model: its networks are Adam's start.
        episodes: validation tasks.
    """
    curves = mixtures.Curves(model.game, meta_learners.Adam(1.0, 0.5, 0.99), False, model.algorithm.mask)
    found = {}
    for rate in RATES:
        values = curves(model.meta_weights(averaged=True).initial, episodes, rate)
        found[rate] = np.where(np.isfinite(values), values, np.inf).mean(axis=0)
    best = min(RATES, key=lambda rate: found[rate][mixtures.LONGEST])
    return best, {str(rate): [round(float(values[k]), 4) for k in CURVE] for rate, values in found.items()}


def methods(names: Sequence[str], data: str, out: Path) -> tuple[list[Method], dict[str, Any]]:
    """Return the rows, which are every meta-learner and Adam from its initial weights, and how Adam was tuned."""
    tasks = open_source(data, shots=5, queries=15)
    episodes = tasks.episode_batch("validation", 0, TUNING_TASKS)
    found, tuning = [], {}
    for name in names:
        trained = common.method(name, out / "runs" / name)
        model, card = trained.model, trained.card
        rate, distances = tuned_rate(model, episodes)
        found += [trained, Method(f"adam from {name}", with_adam(model, rate), card)]
        tuning[name] = {"rate": rate, "distances": distances, "steps": card["training"].get("steps")}
        print(f"tuned: Adam from the start of {name}: {tuning[name]}", flush=True)
    return found, tuning


def table(report: dict[str, Any], tuning: dict[str, Any]) -> str:
    """Return the Markdown table: a line for each row, the energy distance along the curve, both judges."""
    rows = []
    for name, judges in report["curve"].items():
        curves = [judges[judge]["energy_distance"] for judge in JUDGES]
        rows.append([name, *(" / ".join(f"{curve[str(k)]['mean']:.3f}" for curve in curves) for k in CURVE)])
    rates = ", ".join(
        f"{meta_learner} {entry['rate']} ({entry['steps']} outer steps)" for meta_learner, entry in tuning.items()
    )
    return common.table(["row", *(f"K = {k}" for k in CURVE)], rows) + f"\nAdam's rates: {rates}\n"


def main() -> None:
    """Train, tune and evaluate."""
    parser = common.parser("meta_learners.omniglot", __doc__, data="omniglot28.npz")
    parser.add_argument(
        "--meta-learners", nargs="+", choices=tuple(LEARNED), default=list(LEARNED), help="(default: all)"
    )
    parser.add_argument("--network", choices=tuple(RECIPES), default="dcgan", help="(default: dcgan)")
    parser.add_argument("--minutes", type=float, default=15.0, help="of one core for each training (default: 15)")
    parser.add_argument("--classes", type=int, help="evaluation classes (default: all)")
    arguments = parser.parse_args()
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)

    def work(meta_learner: str, core: int) -> None:
        train(meta_learner, arguments.data, out, arguments.minutes, core, arguments.network)
        print(f"trained: {meta_learner}", flush=True)

    common.side_by_side(arguments.meta_learners, work)
    trainers.configure_threads()
    models, tuning = methods(arguments.meta_learners, arguments.data, out)
    settings = Settings(
        steps=INNER,
        curve=CURVE,
        classes=arguments.classes,
        scratch_steps=0,
        classification_draws=0,
        stability_classes=0,
    )
    source = open_source(arguments.data, shots=1, queries=1).source
    report = Evaluation(source, models, [load_judge(name) for name in JUDGES], settings, out / "evaluation").run()
    storage.write_json(out / "results.json", {"tuning": tuning, "curve": report["curve"], "rows": report["rows"]})
    (out / "report.md").write_text(Report.from_dict(report).to_markdown(), encoding="utf-8")
    (out / "omniglot.md").write_text(table(report, tuning), encoding="utf-8")
    print(json.dumps(tuning))
    print(table(report, tuning))


if __name__ == "__main__":
    main()
