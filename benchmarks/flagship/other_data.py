"""The flagship on other data than Omniglot: 20 minutes of one core each, beside copies and plain augmentations.

`python -m benchmarks.other_data --data FOLDER --out DIR` takes `mnist.npz`, `fashion_mnist.npz` and `icons32.npz` from
FOLDER and measures every case of `CASES`, one seed, two at once. It writes `results.json` and the table
`other_data.md`; a run that was cut off goes on where it stopped; `--cases` chooses some.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A program run by its path, not by `-m`, would not find its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import lanes
from meta_gan import storage

SHIPPED = ("omniglot28-conv", "omniglot28-residual")
ENDLESS = 10_000_000
DECAY = 3000  # outer steps; a core makes some 3,500 in 20 minutes
NETWORKS = {
    "judge-a": ("--method", "prototypical", "--network", "conv4", "--seed", "1", "--no-augmentation"),
    "judge-b": ("--method", "classification", "--network", "residual", "--seed", "2"),
    "objective": ("--purpose", "objective", "--method", "classification", "--network", "conv4", "--seed", "3"),
}
ROWS = ("oracle", "copy", "shift", "affine", "fusion")
SCORES = (
    "energy_distance",
    "recognisability",
    "relative_diversity",
    "copy_rate",
    "support_closeness",
    "classification_gain",
)


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        file: of the data.
        protocol: task of few-shot-28 that splits the classes; empty for the file's own split.
        networks: whether judges and objective are trained on its own training classes. Digits have those of Omniglot,
            which saw no digit at all.
        trained: whether a model is; else the shipped one is measured.
        split: of the classes that are measured. Nothing is chosen by validation classes here: the training runs its
            time and its last weights count, so where a file has no test classes they are as unseen as those.
    """

    file: str
    protocol: str = ""
    networks: bool = False
    trained: bool = True
    split: str = "test"


CASES = {
    "MNIST without 1": Case("mnist.npz", "B/1"),
    "MNIST without 4": Case("mnist.npz", "B/4"),
    "MNIST without 8": Case("mnist.npz", "B/8"),
    "Fashion-MNIST, fold 0": Case("fashion_mnist.npz", "C/0", networks=True),
    "Fashion-MNIST, fold 1": Case("fashion_mnist.npz", "C/1", networks=True),
    "Omniglot to MNIST": Case("mnist.npz", "D", trained=False),
    "icons32": Case("icons32.npz", networks=True, split="validation"),
}


def commands(case: Case, data: Path, folder: Path, minutes: float) -> dict[str, list[str]]:
    """The arguments of `meta-gan` that make a case, in their order, by what each of them makes in `folder`."""
    source = ["--data", str(data / case.file), *(["--protocol", case.protocol] if case.protocol else [])]
    made: dict[str, list[str]] = {}
    judges, features, model = list(SHIPPED), "omniglot28-objective", "omniglot"
    if case.networks:
        for name, recipe in NETWORKS.items():
            made[name] = ["judge", *source, "--out", str(folder / name), *recipe]
        judges, features = [str(folder / name) for name in ("judge-a", "judge-b")], str(folder / "objective")
    if case.trained:
        fields = [f"minutes={minutes}", "processor_time=true", "symmetries=true", f"features={features}"]
        fields += [f"decay_steps={DECAY}", "averaging=0.99", "validate_every=100000", "checkpoint_every=500"]
        model = str(folder / "runs")
        made["runs"] = ["train", "--preset", "fusion", *source, "--out", model, "--steps", str(ENDLESS)]
        made["runs"] += ["--queries", "10", "--set", *fields]
    made["report"] = ["evaluate", "--model", f"fusion={model}", *source, "--judge", *judges, "--steps", "0", "--quick"]
    made["report"] += ["--split", case.split, "--out", str(folder / "report")]
    return made


def measure(name: str, data: Path, out: Path, minutes: float, core: int) -> dict[str, Any]:
    """Makes what a case still lacks, and returns its report.

    Raises:
        RuntimeError: a command failed; the message holds the end of its output.
    """
    folder = out / name.replace(" ", "-").replace(",", "")
    for product, arguments in commands(CASES[name], data, folder, minutes).items():
        # A judge's folder is there only when it is whole; the two others go on where they stopped.
        if arguments[0] == "judge" and (folder / product).is_dir():
            continue
        resumed = arguments[0] == "train" and (folder / product).is_dir() and any((folder / product).iterdir())
        done = lanes.meta_gan([*arguments, *(["--resume"] if resumed else [])], core)
        if done.returncode:
            raise RuntimeError(f"{name}: {' '.join(arguments)} failed:\n{done.stdout[-500:]}{done.stderr[-2000:]}")
        print(f"{name}: {product}", flush=True)
    report: dict[str, Any] = json.loads((folder / "report" / "report.json").read_text(encoding="utf-8"))
    return report


def table(reports: dict[str, dict[str, Any]]) -> str:
    """The Markdown table: for each case its rows, both judges."""
    lines = ["| data | row | " + " | ".join(SCORES) + " |", "|" + "---|" * (2 + len(SCORES))]
    for name, report in reports.items():
        for row in ROWS:
            cells = []
            for score in SCORES:
                # A lone class is told from nothing by any classifier: such a score is null.
                values = [scores[score] for scores in report["rows"][row].values()]
                cells.append(" / ".join("-" if value is None else f"{value['mean']:.3f}" for value in values))
            lines.append(f"| {name} | {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def run(cases: Sequence[str], data: Path, out: Path, minutes: float) -> dict[str, dict[str, Any]]:
    """Measures cases, two at once; the reports by name, in the order asked for."""
    reports: dict[str, dict[str, Any]] = {}

    def work(name: str, core: int) -> None:
        reports[name] = measure(name, data, out, minutes, core)

    lanes.side_by_side(cases, work)
    return {name: reports[name] for name in cases}


def main() -> None:
    """Measures and writes `results.json` and `other_data.md`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of the .npz files")
    parser.add_argument("--out", required=True, help="folder; a run that was cut off goes on")
    parser.add_argument("--cases", nargs="+", choices=tuple(CASES), default=list(CASES), help="(default: all)")
    parser.add_argument("--minutes", type=float, default=20.0, help="of one core for each training (default: 20)")
    arguments = parser.parse_args()
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    reports = run(arguments.cases, Path(arguments.data), out, arguments.minutes)
    storage.write_json(out / "results.json", reports)
    (out / "other_data.md").write_text(table(reports), encoding="utf-8")
    print(table(reports))


if __name__ == "__main__":
    main()
