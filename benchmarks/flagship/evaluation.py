"""The shipped flagship beside real drawings, copies and plain augmentations, under few-shot-28 task A.

`python -m benchmarks.flagship --quick --out DIR` evaluates the model `omniglot` on 100 of the 659 test characters under
both shipped judges. It writes `results.json`: the rows of the table with their intervals, the curve over inner steps,
and the seconds from five images to 64 samples; `flagship.png`: for the first eight characters the five support
drawings, then ten samples; and `report.md`. Without `--quick` all 659 characters are evaluated. `--no-curve` leaves out
the curve and the stability, which take most of the time. `--model omniglot RUN RUN --draws 5` also evaluates further
trainings of the recipe, each with five draws of the support, and adds the mean over trainings. The drawings are read
from `--data`, by default `omniglot28.npz` in the folder named by META_GAN_DATA.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import trainers
from benchmarks import common
from benchmarks.common import JUDGES
from benchmarks.quickstart import picture
from meta_gan import storage
from meta_gan.judges import load_judge
from meta_gan.protocol import Evaluation, Settings
from meta_gan.report import Report
from meta_gan.tasks import open_source
from meta_gan.tasks.pictures import save_png

REPEATS = 20


def drawings(given: str | None) -> str:
    """Return the path of the drawings: as given, or in the folder of META_GAN_DATA.

    Raises:
        ValueError: there is no such file.
    """
    folder = os.environ.get("META_GAN_DATA", "")
    path = Path(given or Path(folder) / "omniglot28.npz")
    if not path.is_file():
        raise ValueError(
            f"--data must be omniglot28.npz, or META_GAN_DATA the folder that holds it. Received: {str(path)!r}"
        )
    return str(path)


def seconds_to_samples(model: Any, support: np.ndarray) -> float:
    """Return the median time of adapting to a support set and drawing 64 samples, in seconds, after one warm-up."""
    model.adapt(support, seed=0).sample(64, seed=0)
    taken = []
    for repeat in range(REPEATS):
        start = time.perf_counter()
        model.adapt(support, seed=repeat).sample(64, seed=repeat)
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def over_trainings(rows: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return `{judge: {score: {"mean", "least", "greatest"}}}` over trainings, for scores that have a value."""
    found: dict[str, Any] = {}
    for judge, scores in rows[names[0]].items():
        found[judge] = {}
        for score, first in scores.items():
            if isinstance(first, dict) and first.get("mean") is not None:
                values = [rows[name][judge][score]["mean"] for name in names]
                spread = {"least": min(values), "greatest": max(values)}
                found[judge][score] = {"mean": float(np.mean(values)), **spread}
    return found


def evaluate(models: Sequence[str], data: str, settings: Settings, out: Path) -> dict[str, Any]:
    """Evaluate, write the picture and the report, and return the content of `results.json`.

    Args:
        models: shipped names or folders; the first is the row `flagship`, the others are `training-2` and so on.
        data: path of the drawings.
        settings: of the evaluation.
        out: folder for images and intermediate results.
    """
    tasks = open_source(data, shots=1, queries=1)
    methods = [common.method(f"training-{i}" if i > 1 else "flagship", path) for i, path in enumerate(models, 1)]
    judges = [load_judge(judge) for judge in JUDGES]
    evaluation = Evaluation(tasks.source, methods, judges, settings, out / "evaluation")
    report = evaluation.run(_print_progress)
    (out / "report.md").write_text(Report.from_dict(report).to_markdown(), encoding="utf-8")
    supports, model = evaluation.allocations[0].images("support"), methods[0].model
    save_png(out / "flagship.png", picture(model, np.float32(supports[:8]) / 127.5 - 1.0))
    return {
        "over_trainings": over_trainings(report["rows"], [each.name for each in methods]),
        **{key: report[key] for key in ("protocol", "rows", "controls", "curve", "none", "models")},
        "adapt_and_sample_64_seconds": seconds_to_samples(model, supports[0]),
        "times": report["times"],
    }


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Return the settings given by the flags.

    Raises:
        ValueError: a number out of range, or several draws of the quick form.
    """
    settings = Settings(steps=arguments.steps, scratch_steps=0, draws=arguments.draws)
    if arguments.quick and arguments.draws > 1:
        raise ValueError(f"--quick is one draw. Received: --draws {arguments.draws}")
    settings = settings.make_quick() if arguments.quick else settings
    return dataclasses.replace(settings, curve=(0,), stability_classes=0) if arguments.no_curve else settings


def _print_progress(stage: str, done: int, total: int) -> None:
    if done == total:
        print(f"{stage}: done", flush=True)


def main() -> None:
    """Evaluate and write the files."""
    parser = common.parser("flagship", __doc__, quick="100 classes and few classifiers")
    models = "shipped names or folders, the flagship first, then further trainings (default: omniglot)"
    parser.add_argument("--model", nargs="+", default=["omniglot"], metavar="MODEL", help=models)
    parser.add_argument("--draws", type=int, default=1, help="draws of the support (default: 1)")
    parser.add_argument("--data", help="omniglot28.npz (default: in the folder of META_GAN_DATA)")
    parser.add_argument("--no-curve", action="store_true", help="no curve over inner steps, and no stability")
    parser.add_argument("--steps", type=int, default=0, help="inner steps of the row (default: 0)")
    arguments = parser.parse_args()
    trainers.configure_threads()
    try:
        data = drawings(arguments.data)
        out = Path(arguments.out)
        out.mkdir(parents=True, exist_ok=True)
        results = evaluate(arguments.model, data, settings_of(arguments), out)
    except ValueError as error:
        print(f"flagship: {error}", file=sys.stderr)
        sys.exit(2)
    storage.write_json(out / "results.json", results)
    print((out / "report.md").read_text(encoding="utf-8"))
    print(json.dumps({"adapt_and_sample_64_seconds": results["adapt_and_sample_64_seconds"]}))
