"""Learned rules on drawings: how few inner steps bring a DCGAN as near to a character as tuned Adam comes in fifty.

`python -m benchmarks.omniglot_rules --data omniglot28.npz --out DIR` meta-trains a plain DCGAN (or, with `--network
fusion`, the network of the preset `fusion`, of which the context adapts) with every rule of `presets.LEARNED_RULES`,
nets and rule together, second order through ten inner steps, on the energy distance in the features of the shipped
objective net; each for so many minutes of one core, two at once. Beside them
stands Adam, from the weights that these rules have learned to start from, its rate the best of seven at fifty steps on
validation characters.
All are evaluated as few-shot-28 says, under both judges, along the curve of inner steps. It writes `results.json`,
`omniglot_rules.md` and `report.md`; a run that was cut off goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

# A program run by its path, not by `-m`, would not find its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import meta_gan as mg
import trainers
from benchmarks import lanes, mixtures
from benchmarks.flagship import JUDGES
from meta_gan import loading, meta_learners, storage
from meta_gan.judges import load_judge
from meta_gan.presets import LEARNED_RULES
from meta_gan.protocol import Evaluation, Method, Settings
from meta_gan.report import markdown
from meta_gan.tasks import open_source
from meta_gan.types import Episode

INNER = 10
CURVE = (0, 1, 2, 5, 10, 20, 50)
ENDLESS = 10_000_000  # outer steps: the minutes end a training
# Outer steps in a minute of a busy core, as measured: the outer rates fall over as many as fit.
STEPS_A_MINUTE = {"learned_adam": 54, "meta_sgd": 54, "recurrent": 25, "attention": 25}
# A network's meta-gradient has a norm of 5 to 70 here and is clipped to 1: at the usual .003 it walks about.
RULE_RATES = {"recurrent": 1e-3, "attention": 1e-3}
# network: the preset, and what of it is changed. The fusion network adapts its context, as its preset does.
RECIPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "dcgan": (
        "maml",
        (
            *("network=dcgan", "width=16", "loss=non_saturating", "penalty=none", "features=omniglot28-objective"),
            *("inner_rate=0.002", "discriminator_inner_rate=0.002", "outer_rate=0.001", "clip=1.0"),
        ),
    ),
    "fusion": ("fusion", ("algorithm=maml", "clip=1.0", "temperature=1")),
}
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
TUNING_TASKS = 24


def train(rule: str, data: str, out: Path, minutes: float, core: int, network: str = "dcgan") -> None:
    """Trains nets and rule in a process of its own, or goes on with its run.

    Raises:
        RuntimeError: the training failed; the message holds the end of its output.
    """
    folder, decay = out / "runs" / rule, max(1, round(minutes * STEPS_A_MINUTE[rule]))
    preset, changes = RECIPES[network]
    fields = [*changes, f"rule={rule}", f"inner_steps={INNER}", f"decay_steps={decay}"]
    fields += [f"rule_rate={RULE_RATES[rule]}"] if rule in RULE_RATES else []
    fields += [f"minutes={minutes}", "processor_time=true", "validate_every=100000", "checkpoint_every=20"]
    command = ["train", "--preset", preset, "--data", data, "--out", str(folder), "--steps", str(ENDLESS)]
    command += ["--queries", "15", "--set", "meta_batch=4", *fields]
    command += ["--resume"] if folder.is_dir() and any(folder.iterdir()) else []
    done = lanes.meta_gan(command, core)
    if done.returncode:
        raise RuntimeError(f"training {rule!r} failed:\n{done.stdout[-500:]}{done.stderr[-2000:]}")


def with_adam(model: mg.MetaModel, rate: float) -> mg.MetaModel:
    """The same game from the same start, the averaged weights where there are any, adapted by Adam."""
    rule = meta_learners.Adam(rate, 0.5, 0.99)
    game = model.adaptation.copy(model.meta_weights(averaged=True).initial)
    return mg.MetaModel(game, mg.Algorithm("adam", rule, mg.Unrolled(1), INNER, model.algorithm.mask))


def tuned_rate(model: mg.MetaModel, episodes: Episode) -> tuple[float, dict[str, list[float]]]:
    """The rate at which Adam comes nearest in fifty steps, in the objective's features, and every rate's distances.

    Args:
        model: whose nets Adam starts from.
        episodes: validation tasks.
    """
    curves = mixtures.Curves(model.game, meta_learners.Adam(1.0, 0.5, 0.99), False, model.algorithm.mask)
    found = {}
    for rate in RATES:
        values = curves(model.meta_weights(averaged=True).initial, episodes, rate)
        found[rate] = np.where(np.isfinite(values), values, np.inf).mean(axis=0)
    best = min(RATES, key=lambda rate: found[rate][mixtures.LONGEST])
    return best, {str(rate): [round(float(values[k]), 4) for k in CURVE] for rate, values in found.items()}


def entries(rules: Sequence[str], data: str, out: Path) -> tuple[list[Method], dict[str, Any]]:
    """What is evaluated: every rule from its own start, and Adam from each of these; and how Adam was tuned."""
    tasks = open_source(data, shots=5, queries=15)
    episodes = tasks.episode_batch("validation", 0, TUNING_TASKS)
    found, tuning = [], {}
    for rule in rules:
        path = loading.resolve(out / "runs" / rule)
        config = storage.read_config(path)
        card = {"weights_sha256": config["weights_sha256"], "training": config.get("training") or {}}
        model = loading.load(path)
        rate, distances = tuned_rate(model, episodes)
        found += [Method(rule, model, card), Method(f"adam from {rule}", with_adam(model, rate), card)]
        tuning[rule] = {"rate": rate, "distances": distances, "steps": card["training"].get("steps")}
        print(f"tuned: Adam from the start of {rule}: {tuning[rule]}", flush=True)
    return found, tuning


def table(report: dict[str, Any], tuning: dict[str, Any]) -> str:
    """The Markdown table: a line for each row, the energy distance along the curve, both judges."""
    lines = ["| row | " + " | ".join(f"K = {k}" for k in CURVE) + " |", "|" + "---|" * (1 + len(CURVE))]
    for name, judges in report["curve"].items():
        cells = [
            " / ".join(f"{judges[judge]['energy_distance'][str(k)]['mean']:.3f}" for judge in JUDGES) for k in CURVE
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    rates = ", ".join(f"{rule} {entry['rate']} ({entry['steps']} outer steps)" for rule, entry in tuning.items())
    return "\n".join(lines) + f"\n\nAdam's rates: {rates}\n"


def main() -> None:
    """Trains, tunes and evaluates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="omniglot28.npz")
    parser.add_argument("--out", required=True, help="folder; a run that was cut off goes on")
    parser.add_argument("--rules", nargs="+", choices=LEARNED_RULES, default=list(LEARNED_RULES), help="(default: all)")
    parser.add_argument("--network", choices=tuple(RECIPES), default="dcgan", help="(default: dcgan)")
    parser.add_argument("--minutes", type=float, default=15.0, help="of one core for each training (default: 15)")
    parser.add_argument("--classes", type=int, help="evaluation classes (default: all)")
    arguments = parser.parse_args()
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)

    def work(rule: str, core: int) -> None:
        train(rule, arguments.data, out, arguments.minutes, core, arguments.network)
        print(f"trained: {rule}", flush=True)

    lanes.side_by_side(arguments.rules, work)
    trainers.configure_threads()
    models, tuning = entries(arguments.rules, arguments.data, out)
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
    (out / "report.md").write_text(markdown(report), encoding="utf-8")
    (out / "omniglot_rules.md").write_text(table(report, tuning), encoding="utf-8")
    print(json.dumps(tuning))
    print(table(report, tuning))


if __name__ == "__main__":
    main()
