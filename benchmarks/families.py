"""The families beside few-shot generation: translation between domains by few unpaired images, and meta-learned VAEs.

`python -m benchmarks.families --data FOLDER --out DIR` takes the files that `benchmarks.family_tasks` names from FOLDER
and, for each of `FAMILIES`, trains every row of `family_rows` for so many minutes of one core, two at once; finds on
validation pairs (on training pairs where there are none) the inner steps and the multiple of the inner rate that suit
the row best; and measures it on pairs of classes that no row was trained on, beside no translation at all and the
nearest support image of the target. `benchmarks.meta_vae` is run for the VAEs. It writes `results.json`,
`{family: {row: {score: {mean, low, high}}}}`, `about.json`, `families.md` and a picture of each family; a run that was
cut off goes on where it stopped. `--quick` trains each row for 6 seconds, adapts in 5 steps at most, from the fewest
support images alone, and measures less, within 15 minutes on two cores: it says that all is well, not how well.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

# A program run by its path, not by `-m`, would not find its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import trainers
from benchmarks import lanes
from benchmarks.family_rows import META, ROWS, SCRATCH, asked, fresh
from benchmarks.family_tasks import FAMILIES, Family, judged
from meta_gan import loading, storage
from meta_gan.judges import Judge, JudgeRecipe, load_judge, train_judge
from meta_gan.model import MetaModel
from meta_gan.protocol.translations import (
    evaluate_translations,
    translate_pairs,
    translation_method,
    translations_markdown,
)
from meta_gan.tasks import DomainTasks
from meta_gan.tasks.pictures import grid, save_png
from trainers import MetaTrainer, TrainConfig, run_folder

ENDLESS = 10_000_000
SCALES = (0.3, 1.0, 3.0)
TUNING_TASKS = 6
JUDGES = {
    "conv4": {"method": "prototypical", "network": "conv4", "seed": 1, "augmentation": False, "ways": 10},
    "residual": {"method": "classification", "network": "residual", "width": 16, "seed": 2},
}
COLUMNS = 8


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is done: minutes of training a row, optimizer steps of a judge, tuning pairs, draws, inner steps and
    numbers of support images at most."""

    minutes: float
    judge_steps: int
    tuning: int
    draws: int
    scales: tuple[float, ...]
    longest: int
    measured: int


FULL = Size(10.0, 2000, 3, 10, SCALES, 200, 2)
QUICK = Size(0.1, 200, 1, 1, (1.0,), 5, 1)


def claimed(out: Path, size: Any) -> Any:
    """Writes the size of what a folder is to hold, for results of another would pass for its own; the size that it is
    of already, where it is another, or None."""
    path, own = out / "size.json", json.loads(json.dumps(dataclasses.asdict(size)))
    if not path.is_file():
        storage.write_json(path, own)
    found = json.loads(path.read_text("utf-8"))
    return None if found == own else found


def slug(text: str) -> str:
    """A name as one of a file."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())


def trained(family: Family, row: str, folder: Path, data: Path, minutes: float) -> MetaModel:
    """The model of a row, trained for so many minutes of processor in a run of `folder`, or the rest of them."""
    tasks = family.training(data, family.shots)
    model = fresh(family, row, tasks)
    if not ROWS[row].trained:
        return model
    runs = run_folder.runs(folder)
    place = runs[-1] if runs else run_folder.new_run(folder, slug(row))
    config = TrainConfig(
        steps=ENDLESS,
        minutes=minutes,
        processor_time=True,
        meta_batch=min(4, len(tasks.pairs["train"])),
        validate_every=ENDLESS,
        checkpoint_every=100,
        fewest_shots=family.fewest,
        symmetries=family.symmetries,
    )
    return loading.load(MetaTrainer(model, tasks, place, config, {"recipe": row}).run())


def tuned(model: MetaModel, row: str, family: Family, tests: DomainTasks, judges: list[Judge], size: Size) -> Any:
    """`(steps, scale)`: the inner steps and multiple of the inner rate at which a row scores best on tuning pairs."""
    split = "validation" if len(tests.pairs["validation"]) else "train"
    few = {split: tests.pairs[split][:: max(1, len(tests.pairs[split]) // size.tuning)][: size.tuning]}
    tasks = DomainTasks(tests.source, tests.target, few, tests.shots, tests.queries, tests.seed, tests.paired)
    choices = [(n, s) for n in ROWS[row].steps for s in size.scales if n <= size.longest and (n or s == size.scales[0])]
    rows = {f"{n} {s}": translation_method(model, n, s) for n, s in choices}
    # Of few pairs more draws, or chance chooses.
    draws = -(-TUNING_TASKS // len(few[split])) if len(few[split]) < size.tuning else 1
    found = evaluate_translations(tasks, rows, judges[:1], split, draws=draws)["rows"]
    return min(choices, key=lambda choice: _score(found[f"{choice[0]} {choice[1]}"], family))


def _score(scores: Mapping[str, Any], family: Family) -> float:
    """What decides: the family's score, by the first judge where there are judges."""
    named = [name for name in scores if name.split("/")[0] == family.score]
    return float(scores[min(named, key=lambda name: name.endswith("/pixels"))]["mean"])


def judges_of(name: str, out: Path, data: Path, steps: int, core: int | None = None) -> list[Judge]:
    """The judges of a family, trained once; none of a family that has none."""
    family = FAMILIES[name]
    if not family.judged:
        return []
    found = []
    for judge, fields in JUDGES.items():
        folder = out / "judges" / f"{family.judged}-{judge}"
        if not folder.is_dir():
            train_judge(judged(family, data), JudgeRecipe(**fields, steps=steps)).save(folder)
        found.append(load_judge(folder))
    return found


def measure(name: str, row: str, out: Path, data: Path, size: Size) -> None:
    """Trains, tunes and measures one row of a family, and writes its part and its pictures."""
    trainers.configure_threads()
    family = FAMILIES[name]
    judges = judges_of(name, out, data, size.judge_steps)
    model = trained(family, row, out / "runs" / slug(f"{name} {row}"), data, size.minutes)
    part: dict[str, Any] = {}
    for test, make in family.tests.items():
        for shots in family.measured[: size.measured]:
            tests = make(data, shots)
            steps, scale = tuned(model, row, family, tests, judges, size)
            rows = {row: translation_method(model, steps, scale)}
            report = evaluate_translations(tests, rows, judges, draws=min(size.draws, family.draws))
            called = f"{test}, K = {shots}"
            part[called] = {"report": report, "steps": steps, "rate_scale": scale}
            lines = translate_pairs(tests, rows, columns=min(COLUMNS, shots))
            np.save(out / "parts" / f"{slug(called)}-{slug(row)}.npy", np.array(lines))
            print(f"{called}: {row}: {steps} steps, rate x {scale}\n{translations_markdown(report)}", flush=True)
    storage.write_json(_part(out, name, row), part)


def _part(out: Path, name: str, row: str) -> Path:
    return out / "parts" / f"{slug(name)}-{slug(row)}.json"


def collect(out: Path, names: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """All parts as `(results, about)`, and a picture of every measured kind of pairs."""
    results: dict[str, Any] = {}
    about: dict[str, Any] = {}
    for name in names:
        for row in asked(name):
            for test, part in json.loads(_part(out, name, row).read_text("utf-8")).items():
                report = part["report"]
                # The rows that need no model are the same in every part.
                results.setdefault(test, {}).update(report["rows"])
                about.setdefault(test, {key: report[key] for key in ("tasks", "shots", "queries", "judges")})
                about[test][row] = {key: part[key] for key in ("steps", "rate_scale")}
        for test in {test for test in results if (out / "parts" / f"{slug(test)}-{slug(META)}.npy").is_file()}:
            save_png(out / f"{slug(test)}.png", picture(out, test))
    return results, about


def picture(out: Path, test: str) -> np.ndarray:
    """A few pairs: source, the target's support, what every row makes, and the target."""
    paths = [out / "parts" / f"{slug(test)}-{slug(row)}.npy" for row in ROWS]
    parts = [np.load(path) for path in paths if path.is_file()]
    lines = []
    for start in range(0, len(parts[0]), 4):
        lines += [*parts[0][start : start + 2], *(part[start + 2] for part in parts), parts[0][start + 3]]
    return grid([list(line) for line in lines])


def table(results: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """Every kind of pairs as Markdown."""
    return "\n".join(
        f"### {test}\n\n" + translations_markdown({"rows": rows, "split": "test", **about[test]})
        for test, rows in results.items()
    )


def main() -> None:
    """Trains and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="the folder of the .npz files")
    parser.add_argument("--out", required=True, help="folder; a run that was cut off goes on")
    parser.add_argument("--only", nargs="+", choices=tuple(FAMILIES), help="families (default: all, and the VAEs)")
    parser.add_argument("--minutes", type=float, help=f"of one core for each training (default: {FULL.minutes:g})")
    parser.add_argument("--quick", action="store_true", help="within 15 minutes; says nothing of quality")
    parser.add_argument("--row", choices=tuple(ROWS), help="one row of one family, in this process (default: all)")
    arguments = parser.parse_args()
    out, data = Path(arguments.out), Path(arguments.data)
    size = QUICK if arguments.quick else FULL
    size = size if arguments.minutes is None else dataclasses.replace(size, minutes=arguments.minutes)
    names = arguments.only or list(FAMILIES)
    (out / "parts").mkdir(parents=True, exist_ok=True)
    if (other := claimed(out, size)) is not None:
        parser.error(f"--out must be empty, or of a run of this size, {size}. Received: {str(out)!r}, of {other}")
    if arguments.row:
        for name in names:
            measure(name, arguments.row, out, data, size)
        return
    _all(out, data, names, size, arguments)
    results, about = collect(out, names)
    if not arguments.only:
        vae = out / "vae"
        results["VAE, Omniglot"] = json.loads((vae / "results.json").read_text("utf-8"))
        about["VAE, Omniglot"] = json.loads((vae / "about.json").read_text("utf-8"))
    storage.write_json(out / "results.json", results)
    storage.write_json(out / "about.json", about)
    text = table({k: v for k, v in results.items() if not k.startswith("VAE")}, about)
    (out / "families.md").write_text(text, encoding="utf-8")
    print(text)


def _all(out: Path, data: Path, names: list[str], size: Size, arguments: argparse.Namespace) -> None:
    """Every part that is not there, each in a process of its own."""
    own = ["--data", str(data), "--out", str(out), "--minutes", str(size.minutes)]
    own += ["--quick"] if arguments.quick else []
    judged_by = {FAMILIES[name].judged: name for name in names if FAMILIES[name].judged}
    # The first row of a family with judges trains them; so that no two do, these rows go first.
    first = [(name, SCRATCH) for name in judged_by.values()]
    rest = [(n, r) for n in names for r in asked(n) if (n, r) not in first]
    for jobs in (first, rest):
        lanes.side_by_side(
            [job for job in jobs if not _part(out, *job).is_file()], lambda job, core: _run(job, core, own)
        )
    if not arguments.only:
        command = ["-m", "benchmarks.meta_vae", "--data", str(data / "omniglot28.npz"), "--out", str(out / "vae")]
        command += ["--minutes", str(size.minutes)]
        command += ["--classes", "5", "--tuning", "2"] if arguments.quick else []
        lanes.python(command, None)


def _run(job: tuple[str, str], core: int, own: list[str]) -> None:
    lanes.python(["-m", "benchmarks.families", *own, "--only", job[0], "--row", job[1]], core)
    print(f"measured: {job[0]}, {job[1]}", flush=True)


if __name__ == "__main__":
    main()
