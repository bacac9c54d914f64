"""What each part of the flagship is worth: the same small budget of training for every row, on validation classes.

`python -m benchmarks.ablations --data omniglot28.npz --out DIR` trains every row of `ROWS` for 12 minutes of one core
with two seeds, two rows at once, and measures them on 100 validation classes under both shipped judges. It writes
`results.json` and the table `ablations.md`. A run that was cut off goes on where it stopped; `--rows` and `--seeds`
choose some.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# A program run by its path, not by `-m`, would not find its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import lanes
from meta_gan import loading, storage
from meta_gan.judges import load_judge
from meta_gan.protocol import Evaluation, Method, Settings
from meta_gan.tasks import open_source
from trainers import run_folder

JUDGES = ("omniglot28-conv", "omniglot28-residual")
CLASSES = 100
AVERAGING = "averaging=0.99"
ENDLESS = 10_000_000
_PLAIN = ("energy=0", "features=", "nearness=0", "variety=0", "coarse=0", "adversarial=1")
_ADAPTED = ("inner_steps=3", "mask=", "inner_rate=0.001")

# row: (preset, changes, inner steps of the measurement). Those of the flagship start from its recipe.
ROWS: dict[str, tuple[str, tuple[str, ...], int]] = {
    "flagship": ("fusion", (), 0),
    "task code off": ("fusion", ("embedding_dim=0", "mask="), 0),
    "Meta-BN off": ("fusion", ("normalization=none",), 0),
    "attention pooling": ("fusion", ("pooling=attention",), 0),
    "energy off": ("fusion", _PLAIN, 0),
    "adversarial off": ("fusion", ("adversarial=0",), 0),
    "nearness off": ("fusion", ("nearness=0",), 0),
    "variety off": ("fusion", ("variety=0",), 0),
    "coarse pixels off": ("fusion", ("coarse=0",), 0),
    "mode seeking on": ("fusion", ("mode_seeking=0.1",), 0),
    "augmentation on": ("fusion", ("translation=0.125",), 0),
    # As wide as makes as many steps in the time as the flagship does.
    "code only": ("sagan", ("width=16",), 0),
    "context adaptation (CAML)": ("fusion", ("algorithm=fomaml", "inner_steps=3"), 3),
    "full adaptation (FOMAML)": ("fusion", ("algorithm=fomaml", *_ADAPTED), 3),
    "consistency on": ("fusion", ("algorithm=fomaml", "consistency=0.1", *_ADAPTED), 3),
    "pre-training + fine-tuning": ("fusion", ("algorithm=pretraining", *_ADAPTED), 3),
    "figr": ("figr", (), 10),
    "faml": ("faml", ("width=8",), 10),
    "dawson": ("dawson", (), 10),
}
SCRATCH, SCRATCH_STEPS = "full adaptation (FOMAML)", 200
"""The row whose nets and inner rule also make the row *from scratch*, and the inner steps of that."""
SCORES = ("energy_distance", "recognisability", "relative_diversity", "copy_rate", "support_closeness")


STOPPED = "training stopped after step"


def train(row: str, seed: int, data: str, out: Path, minutes: float, core: int) -> str:
    """Trains a row with a seed in a process of its own, on one core, or goes on with its run.

    Returns:
        Empty; or for a run that diverged the line that says so, and then its last good checkpoint is what is measured.

    Raises:
        RuntimeError: the training failed; the message holds the end of its output.
    """
    preset, changes, _ = ROWS[row]
    folder = out / "runs" / f"{row.replace(' ', '-')}-{seed}"
    fields = [f"minutes={minutes}", "processor_time=true", "symmetries=true", *changes]
    fields += ["validate_every=100000", "checkpoint_every=500"]
    fields += [AVERAGING] if preset in ("fusion", "sagan") else []
    command = ["train", "--preset", preset, "--data", data, "--out", str(folder)]
    command += ["--steps", str(ENDLESS), "--queries", "10", "--seed", str(seed), "--set", *fields]
    command += ["--resume"] if folder.is_dir() and any(folder.iterdir()) else []
    done = lanes.meta_gan(command, core)
    lines = [line for line in done.stderr.splitlines() if STOPPED in line]
    if done.returncode == 1 and lines:
        return lines[-1]
    if done.returncode:
        raise RuntimeError(f"training {row!r} with seed {seed} failed:\n{done.stdout[-500:]}{done.stderr[-2000:]}")
    return ""


def measure(row: str, folder: Path, source: Any, out: Path, classes: int) -> dict[str, Any]:
    """The scores of one trained model, and of the fixed rows beside it, by judge."""
    path = loading.resolve(folder)
    config = storage.read_config(path)
    card = {"weights_sha256": config["weights_sha256"], "training": config.get("training") or {}}
    steps = ROWS[row][2]
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
    method, judges = Method("model", loading.load(path), card), [load_judge(name) for name in JUDGES]
    report = Evaluation(source, [method], judges, settings, out).run()
    return {"rows": report["rows"], "training": card["training"]}


def table(results: dict[str, dict[str, Any]]) -> str:
    """The Markdown table: a line for each row, both judges, the mean over seeds and each seed."""
    lines = ["| row | seeds | outer steps | " + " | ".join(SCORES) + " |", "|" + "---|" * (3 + len(SCORES))]
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
        lines.append(f"| {row} | {len(seeds)} | {steps} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def run(
    rows: Sequence[str], seeds: Sequence[int], data: str, out: Path, minutes: float, classes: int
) -> dict[str, Any]:
    """Trains two at once, each on a core of its own, then measures all; what is there already is not done again."""
    jobs = [(row, seed) for seed in seeds for row in rows]
    stopped: dict[tuple[str, int], str] = {}

    def work(job: tuple[str, int], core: int) -> None:
        row, seed = job
        stopped[job] = train(row, seed, data, out, minutes, core)
        print(f"trained: {row}, seed {seed} {stopped[job]}".rstrip(), flush=True)

    lanes.side_by_side(jobs, work)
    source = open_source(data, shots=1, queries=1).source
    results: dict[str, dict[str, Any]] = {row: {} for row in rows}
    for row, seed in jobs:
        folder = out / "runs" / f"{row.replace(' ', '-')}-{seed}"
        measured = measure(row, folder, source, out / "scores" / folder.name, classes)
        results[row][str(seed)] = {**measured, "stopped": stopped[row, seed]}
        if row == SCRATCH:
            untrained = {"rows": {"model": measured["rows"]["from scratch"]}, "training": {"steps": 0}, "stopped": ""}
            results.setdefault("from scratch", {})[str(seed)] = untrained
        print(f"measured: {row}, seed {seed}, {run_folder.latest_run(folder)}", flush=True)
    return results


def main() -> None:
    """Trains and measures the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="omniglot28.npz")
    parser.add_argument("--out", required=True, help="folder; a run that was cut off goes on")
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
