"""Ablations of the flagship: every row is trained for the same short time and scored on validation classes.

`python -m benchmarks.flagship.ablations --data omniglot28.npz --out DIR` trains every row of `ROWS` with two seeds, for
12 minutes of one core each and two at once, and scores it on 100 validation classes under both shipped judges. It
writes `results.json` and the table `ablations.md`. An interrupted run continues; `--rows` and `--seeds` select a part.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.common import JUDGES
from meta_gan import storage
from meta_gan.judges import load_judge
from meta_gan.protocol import Evaluation, Settings
from meta_gan.tasks import open_source
from trainers import run_folder

CLASSES = 100
AVERAGING = "averaging=0.99"
_PLAIN = ("terms.features=0", "game.features=", "nearness=0", "variety=0", "pixels=0", "adversarial=1")
_ADAPTED = ("inner_steps=3", "mask=", "inner_rate=0.001")

# row: (preset, changes of its recipe, inner steps of the evaluation)
ROWS: dict[str, tuple[str, tuple[str, ...], int]] = {
    "flagship": ("fusion", (), 0),
    "task embedding off": ("fusion", ("task_encoder=none", "mask="), 0),
    "Meta-BN off": ("fusion", ("normalization=none",), 0),
    "attention pooling": ("fusion", ("pooling=attention",), 0),
    "energy off": ("fusion", _PLAIN, 0),
    "adversarial off": ("fusion", ("adversarial=0",), 0),
    "nearness off": ("fusion", ("nearness=0",), 0),
    "variety off": ("fusion", ("variety=0",), 0),
    "coarse pixels off": ("fusion", ("pixels=0",), 0),
    "mode seeking on": ("fusion", ("mode_seeking=0.1",), 0),
    "augmentation on": ("fusion", ("translation=0.125",), 0),
    # Its width gives it as many steps in the time as the flagship has.
    "task embedding only": ("sagan", ("width=16",), 0),
    "context adaptation (CAML)": ("fusion", ("algorithm=fomaml", "inner_steps=3"), 3),
    "full adaptation (FOMAML)": ("fusion", ("algorithm=fomaml", *_ADAPTED), 3),
    "consistency on": ("fusion", ("algorithm=fomaml", "consistency=0.1", *_ADAPTED), 3),
    "pre-training + fine-tuning": ("fusion", ("algorithm=pretraining", *_ADAPTED), 3),
    "figr": ("figr", (), 10),
    "faml": ("faml", ("width=8",), 10),
    "dawson": ("dawson", (), 10),
}
SCRATCH, SCRATCH_STEPS = "full adaptation (FOMAML)", 200
"""The row whose networks and meta-learner are also adapted from fresh weights, as the row *from scratch*, and its inner
steps."""
SCORES = ("energy_distance", "recognisability", "relative_diversity", "copy_rate", "support_closeness")
STOPPED = "training stopped after step"


def run_of(row: str, seed: int, out: Path) -> Path:
    """Return the folder of a training."""
    return out / "runs" / f"{row.replace(' ', '-')}-{seed}"


def train(row: str, seed: int, data: str, out: Path, minutes: float, core: int) -> str:
    """Train a row with a seed in a separate process on one core, or resume its run.

    Returns:
        An empty string; or, for a training that diverged, the line that says so. Its last good checkpoint is evaluated.

    Raises:
        RuntimeError: the training failed; the message holds the end of its output.
    """
    preset, changes, _ = ROWS[row]
    fields = ["symmetries=true", *changes, "checkpoint_every=500"]
    fields += [AVERAGING] if preset in ("fusion", "sagan") else []
    flags = ["--queries", "10", "--seed", str(seed)]
    done = common.train(preset, data, run_of(row, seed, out), minutes, core, fields, *flags)
    lines = [line for line in done.stderr.splitlines() if STOPPED in line]
    if done.returncode == 1 and lines:
        return lines[-1]
    common.check(done, f"training {row!r} with seed {seed}")
    return ""


def measure(row: str, folder: Path, source: Any, out: Path, classes: int) -> dict[str, Any]:
    """Return the scores of one trained model, and of the baselines, by judge."""
    steps, method = ROWS[row][2], common.method("model", folder)
    settings = Settings(
        split="validation",
        classes=classes,
        steps=steps,
        curve=tuple(sorted({0, steps})),
        scratch_steps=SCRATCH_STEPS if row == SCRATCH else 0,
        scratch_classes=classes,
        classification_draws=0,
        stability_classes=0,
    )
    judges = [load_judge(name) for name in JUDGES]
    report = Evaluation(source, [method], judges, settings, out).run()
    return {"rows": report["rows"], "training": method.card["training"]}


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return the Markdown table: a line for each row, both judges, the mean over seeds and each seed."""
    rows = []
    for row, seeds in results.items():
        steps = ", ".join(
            f"{seeds[s]['training'].get('steps')}{' (then diverged)' if seeds[s]['stopped'] else ''}"
            for s in sorted(seeds)
        )
        cells = []
        for score in SCORES:
            parts = []
            for judge in JUDGES:
                each = [seeds[s]["rows"]["model"][judge][score]["mean"] for s in sorted(seeds)]
                spread = ", ".join(f"{value:.3f}" for value in each)
                parts.append(f"{sum(each) / len(each):.3f} ({spread})")
            cells.append(" / ".join(parts))
        rows.append([row, len(seeds), steps, *cells])
    return common.table(["row", "seeds", "outer steps", *SCORES], rows)


def run(
    rows: Sequence[str], seeds: Sequence[int], data: str, out: Path, minutes: float, classes: int
) -> dict[str, Any]:
    """Train two rows at once, each on a separate core, then evaluate all rows; skip finished parts."""
    jobs = [(row, seed) for seed in seeds for row in rows]
    stopped: dict[tuple[str, int], str] = {}

    def work(job: tuple[str, int], core: int) -> None:
        row, seed = job
        stopped[job] = train(row, seed, data, out, minutes, core)
        print(f"trained: {row}, seed {seed} {stopped[job]}".rstrip(), flush=True)

    common.side_by_side(jobs, work)
    source = open_source(data, shots=1, queries=1).source
    results: dict[str, dict[str, Any]] = {row: {} for row in rows}
    for row, seed in jobs:
        folder = run_of(row, seed, out)
        measured = measure(row, folder, source, out / "scores" / folder.name, classes)
        results[row][str(seed)] = {**measured, "stopped": stopped[row, seed]}
        if row == SCRATCH:
            untrained = {"rows": {"model": measured["rows"]["from scratch"]}, "training": {"steps": 0}, "stopped": ""}
            results.setdefault("from scratch", {})[str(seed)] = untrained
        print(f"measured: {row}, seed {seed}, {run_folder.latest_run(folder)}", flush=True)
    return results


def main() -> None:
    """Train and evaluate the rows."""
    parser = common.parser("flagship.ablations", __doc__, data="omniglot28.npz")
    parser.add_argument("--rows", nargs="+", choices=tuple(ROWS), default=list(ROWS), help="(default: all)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="of every row (default: 0 1)")
    parser.add_argument("--minutes", type=float, default=12.0, help="of one core for each run (default: 12)")
    parser.add_argument("--classes", type=int, default=CLASSES, help=f"validation classes (default: {CLASSES})")
    arguments = parser.parse_args()
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    results = run(arguments.rows, arguments.seeds, arguments.data, out, arguments.minutes, arguments.classes)
    storage.write_json(out / "results.json", results)
    (out / "ablations.md").write_text(table(results), encoding="utf-8")
    print(json.dumps({row: list(seeds) for row, seeds in results.items()}))
    print(table(results))


if __name__ == "__main__":
    main()
