"""The flagship on data other than Omniglot, trained for 20 minutes of one core, beside copies and plain augmentations.

`python -m benchmarks.flagship.other_data --data FOLDER --out DIR` reads `mnist.npz`, `fashion_mnist.npz` and
`icons32.npz` from FOLDER and evaluates every case of `CASES` with one seed, two at once. It writes `results.json` and
the table `other_data.md`. An interrupted run continues; `--cases` selects some.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.common import ENDLESS, JUDGES, SCORES
from meta_gan import storage

DECAY = 3000  # outer steps; one core makes about 3,500 in 20 minutes
NETWORKS = {
    "judge-a": ("--method", "prototypical", "--network", "conv4", "--seed", "1", "--no-augmentation"),
    "judge-b": ("--method", "classification", "--network", "residual", "--seed", "2"),
    "objective": ("--purpose", "objective", "--method", "classification", "--network", "conv4", "--seed", "3"),
}
ROWS = ("oracle", "copy", "shift", "affine", "fusion")


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        file: the data's file.
        protocol: task of few-shot-28 that splits the classes; empty for the file's own split.
        networks: whether judges and objective are trained on the case's training classes. Digits use those of Omniglot,
            which were trained on no digits.
        trained: whether a model is trained; otherwise the shipped one is evaluated.
        split: the evaluated classes. Nothing is chosen by validation classes here: a training runs for its time, and
            its last weights count. So validation classes stand in for the test classes where a file has none.
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
    """Return the arguments of the `meta-gan` commands of a case, in order, by the name each creates in `folder`."""
    source = ["--data", str(data / case.file), *(["--protocol", case.protocol] if case.protocol else [])]
    made: dict[str, list[str]] = {}
    judges, features, model = list(JUDGES), "omniglot28-objective", "omniglot"
    if case.networks:
        for name, recipe in NETWORKS.items():
            made[name] = ["judge", *source, "--out", str(folder / name), *recipe]
        judges, features = [str(folder / name) for name in ("judge-a", "judge-b")], str(folder / "objective")
    if case.trained:
        fields = [f"minutes={minutes}", "processor_time=true", "symmetries=true", f"game.features={features}"]
        fields += [f"decay_steps={DECAY}", "averaging=0.99", "validate_every=100000", "checkpoint_every=500"]
        model = str(folder / "runs")
        made["runs"] = ["train", "--preset", "fusion", *source, "--out", model, "--steps", str(ENDLESS)]
        made["runs"] += ["--queries", "10", "--set", *fields]
    made["report"] = [
        "evaluate",
        "--model",
        f"fusion={model}",
        *source,
        "--judge",
        *judges,
        "--inner-steps",
        "0",
        "--quick",
    ]
    made["report"] += ["--split", case.split, "--out", str(folder / "report")]
    return made


def measure(name: str, data: Path, out: Path, minutes: float, core: int) -> dict[str, Any]:
    """Run the commands of a case that are not finished, and return its report.

    Raises:
        RuntimeError: a command failed; the message holds the end of its output.
    """
    folder = out / name.replace(" ", "-").replace(",", "")
    for product, arguments in commands(CASES[name], data, folder, minutes).items():
        # A judge's folder exists only when the judge is complete; the other commands continue.
        if arguments[0] == "judge" and (folder / product).is_dir():
            continue
        resumed = arguments[0] == "train" and common.started(folder / product)
        done = common.meta_gan([*arguments, *(["--resume"] if resumed else [])], core)
        common.check(done, f"{name}: {' '.join(arguments)}")
        print(f"{name}: {product}", flush=True)
    report: dict[str, Any] = json.loads((folder / "report" / "report.json").read_text(encoding="utf-8"))
    return report


def table(reports: dict[str, dict[str, Any]]) -> str:
    """Return the Markdown table: the rows of each case, both judges."""
    lines = []
    for name, report in reports.items():
        for row in ROWS:
            cells = []
            for score in SCORES:
                # A single class has no classification scores.
                values = [scores[score] for scores in report["rows"][row].values()]
                cells.append(" / ".join("-" if value is None else f"{value['mean']:.3f}" for value in values))
            lines.append([name, row, *cells])
    return common.table(["data", "row", *SCORES], lines)


def run(cases: Sequence[str], data: Path, out: Path, minutes: float) -> dict[str, dict[str, Any]]:
    """Evaluate cases, two at once, and return the reports by name, in the order of `cases`."""
    reports: dict[str, dict[str, Any]] = {}

    def work(name: str, core: int) -> None:
        reports[name] = measure(name, data, out, minutes, core)

    common.side_by_side(cases, work)
    return {name: reports[name] for name in cases}


def main() -> None:
    """Evaluate the cases and write the files."""
    parser = common.parser("flagship.other_data", __doc__, data="folder of the .npz files")
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
