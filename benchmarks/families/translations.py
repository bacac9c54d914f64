"""Translation between domains from few unpaired images, and meta-learned VAEs.

`python -m benchmarks.families --data FOLDER --out DIR` reads the files that `benchmarks.families.tasks` names from
FOLDER. For each of `FAMILIES` it trains every row of `benchmarks.families.rows` for the same time of one core, two at
once; chooses the inner steps and the multiple of the inner rate of each row on validation pairs (on training pairs
where there are none); and evaluates it on pairs of classes on which no row was trained, beside no translation at all
and the nearest support image of the target. For the VAEs it runs `benchmarks.families.meta_vae`. It writes
`results.json`, `{family: {row: {score: {mean, low, high}}}}`, `about.json`, `families.md` and a picture of each family.
An interrupted run continues. `--quick` trains each row for 6 seconds, adapts in at most 5 steps, from the fewest
support images only, and evaluates less, within 15 minutes of two cores: it shows that all parts run, not how good they
are.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import trainers
from benchmarks import common
from benchmarks.common import ENDLESS, Size
from benchmarks.families.rows import META, ROWS, SCRATCH, fresh, rows_of
from benchmarks.families.tasks import FAMILIES, Family, judged
from meta_gan import loading, storage
from meta_gan.judges import Judge, JudgeRecipe, load_judge, train_judge
from meta_gan.model import MetaModel
from meta_gan.protocol.translations import evaluate_translations, translate_pairs, translation_method
from meta_gan.report import TranslationReport
from meta_gan.tasks import DomainTasks
from meta_gan.tasks.pictures import grid, save_png
from trainers import MetaTrainer, TrainConfig, run_folder

SCALES = (0.3, 1.0, 3.0)
TUNING_TASKS = 6
JUDGES = {
    "conv4": {"method": "prototypical", "network": "conv4", "seed": 1, "augmentation": False, "ways": 10},
    "residual": {"method": "classification", "network": "residual", "width": 16, "seed": 2},
}
COLUMNS = 8


# Minutes of training a row, optimizer steps of a judge, tuning pairs, draws, candidate multiples of the inner rate, the
# most inner steps, and how many of a family's numbers of support images are evaluated.
FULL = Size(minutes=10.0, judge_steps=2000, tuning=3, draws=10, scales=SCALES, longest=200, measured=2)
QUICK = Size(minutes=0.1, judge_steps=200, tuning=1, draws=1, scales=(1.0,), longest=5, measured=1)


def slug(text: str) -> str:
    """Return a name as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())


def trained(family: Family, row: str, folder: Path, data: Path, minutes: float) -> MetaModel:
    """Return the model of a row, trained for minutes of processor time in a run of `folder`, which is resumed."""
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
    """Return the inner steps and the multiple of the inner rate at which a row scores best on tuning pairs."""
    split = "validation" if len(tests.pairs["validation"]) else "train"
    few = {split: tests.pairs[split][:: max(1, len(tests.pairs[split]) // size.tuning)][: size.tuning]}
    tasks = DomainTasks(tests.source, tests.target, few, tests.shots, tests.queries, tests.seed, tests.paired)
    choices = [(n, s) for n in ROWS[row].steps for s in size.scales if n <= size.longest and (n or s == size.scales[0])]
    rows = {f"{n} {s}": translation_method(model, n, s) for n, s in choices}
    # Few pairs get more draws, or chance would choose.
    draws = -(-TUNING_TASKS // len(few[split])) if len(few[split]) < size.tuning else 1
    found = evaluate_translations(tasks, rows, judges[:1], split, draws=draws)["rows"]
    return min(choices, key=lambda choice: _score(found[f"{choice[0]} {choice[1]}"], family))


def _score(scores: Mapping[str, Any], family: Family) -> float:
    """Return the family's score, by the first judge if there are judges."""
    named = [name for name in scores if name.split("/")[0] == family.score]
    return float(scores[min(named, key=lambda name: name.endswith("/pixels"))]["mean"])


def judges_of(name: str, out: Path, data: Path, steps: int, core: int | None = None) -> list[Judge]:
    """Return the judges of a family, trained unless they exist; none for a family without judges."""
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
    """Train, tune and evaluate one row of a family, and write its part and pictures."""
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
            print(
                f"{called}: {row}: {steps} steps, rate x {scale}\n{TranslationReport.from_dict(report).to_markdown()}",
                flush=True,
            )
    storage.write_json(_part(out, name, row), part)


def _part(out: Path, name: str, row: str) -> Path:
    return out / "parts" / f"{slug(name)}-{slug(row)}.json"


def collect(out: Path, names: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return all parts as `(results, about)`, and write a picture of every kind of pairs."""
    results: dict[str, Any] = {}
    about: dict[str, Any] = {}
    for name in names:
        for row in rows_of(name):
            for test, part in json.loads(_part(out, name, row).read_text("utf-8")).items():
                report = part["report"]
                # The rows without a model are the same in every part.
                results.setdefault(test, {}).update(report["rows"])
                about.setdefault(test, {key: report[key] for key in ("tasks", "shots", "queries", "judges")})
                about[test][row] = {key: part[key] for key in ("steps", "rate_scale")}
        for test in {test for test in results if (out / "parts" / f"{slug(test)}-{slug(META)}.npy").is_file()}:
            save_png(out / f"{slug(test)}.png", picture(out, test))
    return results, about


def picture(out: Path, test: str) -> np.ndarray:
    """Return a picture of a few pairs: source, the target's support, the output of every row, and the target."""
    paths = [out / "parts" / f"{slug(test)}-{slug(row)}.npy" for row in ROWS]
    parts = [np.load(path) for path in paths if path.is_file()]
    lines = []
    for start in range(0, len(parts[0]), 4):
        lines += [*parts[0][start : start + 2], *(part[start + 2] for part in parts), parts[0][start + 3]]
    return grid([list(line) for line in lines])


def table(results: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """Return the Markdown tables, one for each kind of pairs."""
    parts = []
    for test, rows in results.items():
        shared = {key: about[test][key] for key in ("tasks", "shots", "queries", "judges")}
        parts.append(f"### {test}\n\n" + TranslationReport(rows=rows, split="test", **shared).to_markdown())
    return "\n".join(parts)


def main() -> None:
    """Train and evaluate."""
    parser = common.parser("families", __doc__, data="folder of the .npz files", quick="within 15 minutes; a test run")
    parser.add_argument("--only", nargs="+", choices=tuple(FAMILIES), help="families (default: all, and the VAEs)")
    parser.add_argument("--minutes", type=float, help=f"of one core for each training (default: {FULL.minutes:g})")
    parser.add_argument("--row", choices=tuple(ROWS), help="one row of one family, in this process (default: all)")
    arguments = parser.parse_args()
    out, data = Path(arguments.out), Path(arguments.data)
    size = QUICK if arguments.quick else FULL
    size = size if arguments.minutes is None else size.replaced(minutes=arguments.minutes)
    names = arguments.only or list(FAMILIES)
    common.claim(parser, out, size)
    (out / "parts").mkdir(exist_ok=True)
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
    """Create the missing parts, each in a separate process."""
    own = ["--data", str(data), "--out", str(out), "--minutes", str(size.minutes)]
    own += ["--quick"] if arguments.quick else []
    judged_by = {FAMILIES[name].judged: name for name in names if FAMILIES[name].judged}
    # The first row of a family with judges trains them, so these rows go first, lest two rows do.
    first = [(name, SCRATCH) for name in judged_by.values()]
    rest = [(n, r) for n in names for r in rows_of(n) if (n, r) not in first]
    for jobs in (first, rest):
        common.side_by_side(
            [job for job in jobs if not _part(out, *job).is_file()], lambda job, core: _run(job, core, own)
        )
    if not arguments.only:
        command = ["-m", "benchmarks.families.meta_vae", "--data", str(data / "omniglot28.npz")]
        command += ["--out", str(out / "vae")]
        command += ["--minutes", str(size.minutes)]
        command += ["--classes", "5", "--tuning", "2"] if arguments.quick else []
        common.python(command, None)


def _run(job: tuple[str, str], core: int, own: list[str]) -> None:
    common.python(["-m", "benchmarks.families", *own, "--only", job[0], "--row", job[1]], core)
    print(f"measured: {job[0]}, {job[1]}", flush=True)
