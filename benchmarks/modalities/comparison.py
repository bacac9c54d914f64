"""Few-shot sounds and texts through one-dimensional players, beside copies and n-gram models.

`python -m benchmarks.modalities --data FOLDER --out DIR` reads `fsdd_wave8192.npz`, `fsdd_spec32.npz` (for its split of
speakers) and `names18.npz` from FOLDER. It meta-trains the preset `sound` on the digits of four speakers, also faster,
slower and more quietly, and the preset `text` on the names of twelve nationalities, and trains two judges of
spectrograms, two jobs at once. It chooses the inner steps of each model on validation classes, and evaluates both on
unseen classes, each by several draws: ten digits of another speaker from 5 takes, and three nationalities from 20
names.

It writes `results.json`, `{modality: {row: {score: {mean, low, high}}}}` with 95 % bootstrap intervals over classes and
draws; `about.json`; `modalities.md`; `voices.png`, spectrograms of support, held-out takes and samples, a row for each
digit; and `names.txt`. An interrupted run continues. `--quick` trains for less, within 15 minutes of two cores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import trainers
from benchmarks import common
from benchmarks.common import Size
from benchmarks.modalities import names, voices
from meta_gan import loading, storage
from meta_gan.judges import load_judge
from meta_gan.judges.spectrograms import make_spectrograms, upright
from meta_gan.metrics.bootstrap import bootstrap_mean
from meta_gan.tasks.pictures import grid, save_png
from meta_gan.tasks.pixels import to_float

VOICES, NAMES = "spoken digits", "names"


# Outer steps of either preset, steps of a judge, draws of support sets, and candidates for the inner steps.
FULL = Size(voices=5000, names=600, judges=1000, draws=3, steps=(0, 5, 20, 50))
QUICK = Size(voices=1000, names=300, judges=400, draws=1, steps=(0, 20))


def work(job: str, data: Path, out: Path, size: Size) -> None:
    """Run one job in this process: the training of a judge, or of a preset."""
    if job in voices.JUDGES:
        voices.train_judges(data, out, job, size.judges)
    elif job == VOICES:
        voices.train(data, out / "runs" / "voices", size.voices)
    else:
        names.train(data, out / "runs" / "names", size.names)


def measure(data: Path, out: Path, size: Size) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the scores of every row, `{modality: {row: {score: [values]}}}`, and the choices."""
    judges = [load_judge(str(out / "judges" / name)) for name in voices.JUDGES]
    found: dict[str, Any] = {}
    about: dict[str, Any] = {"size": vars(size), "judges": {j.name: j.card["validation"] for j in judges}}
    for modality, room in ((VOICES, voices), (NAMES, names)):
        path = loading.resolve(out / "runs" / room.__name__.rpartition(".")[2])
        model = loading.load(path)
        tried = {steps: room.loss(data, model, judges, steps) for steps in size.steps}
        best = min(tried, key=lambda steps: tried[steps])
        training = storage.read_config(path).get("training", {})
        about[modality] = {"inner steps": best, "on validation classes": tried, "training": training}
        print(f"{modality}: {about[modality]}", flush=True)
        found[modality] = room.rows(data, model, judges, best, size.draws)
        if modality == VOICES:
            picture(out / "voices.png", *voices.shown(data, model, best))
        else:
            lines = [f"{name}: {', '.join(made)}" for name, made in names.shown(data, model, best).items()]
            (out / "names.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return found, about


def picture(path: Path, sets: list[tuple[np.ndarray, ...]], rate: int) -> None:
    """Write a row of spectrograms for each class: support, held-out takes and samples, with grey pictures between."""
    rows = []
    for parts in sets:
        pictures = [to_float(upright(make_spectrograms(part, rate))) for part in parts]
        gap = np.zeros_like(pictures[0][:1])
        rows.append(np.concatenate([each for part in pictures for each in (gap, part)][1:]))
    save_png(path, grid(rows).repeat(2, axis=0).repeat(2, axis=1))


def table(results: dict[str, Any]) -> str:
    """Return the Markdown tables, one for each modality."""
    parts = []
    for modality, rows in results.items():
        scores = list(next(iter(rows.values())))
        cells = [[row, *(common.interval(values[score]) for score in scores)] for row, values in rows.items()]
        parts.append(common.table([modality, *scores], cells))
    return "\n".join(parts)


def main() -> None:
    """Train and evaluate."""
    quick = "within 15 minutes of two cores"
    parser = common.parser("modalities", __doc__, data="folder of the three files", quick=quick)
    parser.add_argument("--job", choices=(*voices.JUDGES, VOICES, NAMES), help="only this one, in this process")
    arguments = parser.parse_args()
    data, out, size = Path(arguments.data), Path(arguments.out), QUICK if arguments.quick else FULL
    if missing := [file for file in (*voices.FILES, names.FILE) if not (data / file).is_file()]:
        parser.error(f"--data must be a folder with the three files. Received: {str(data)!r} without {missing}")
    common.claim(parser, out, size)
    trainers.configure_threads()
    if arguments.job:
        work(arguments.job, data, out, size)
        return
    own = ["--data", str(data), "--out", str(out), *(["--quick"] if arguments.quick else [])]

    def one(job: str, core: int) -> None:
        common.python(["-m", "benchmarks.modalities", *own, "--job", job], core)
        print(f"done: {job}", flush=True)

    # The lanes take alternate jobs: the longest is alone in its lane.
    common.side_by_side([VOICES, NAMES], one)
    common.side_by_side(list(voices.JUDGES), one)
    found, about = measure(data, out, size)
    results = {
        modality: {
            row: {score: bootstrap_mean(np.array(values)).as_dict() for score, values in scores.items()}
            for row, scores in rows.items()
        }
        for modality, rows in found.items()
    }
    storage.write_json(out / "results.json", results)
    storage.write_json(out / "about.json", about)
    (out / "modalities.md").write_text(table(results), encoding="utf-8")
    print(table(results))
