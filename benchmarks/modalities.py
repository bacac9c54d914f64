"""Few-shot voices and names: sounds and texts through one-dimensional players, beside copies and n-gram models.

`python -m benchmarks.modalities --data FOLDER --out DIR` takes `fsdd_wave8192.npz`, `fsdd_spec32.npz` (whose split of
speakers it uses) and `names18.npz` from FOLDER. It meta-trains the presets `sound`, on the digits of four speakers, who
speak faster, slower and more quietly too, and `text`, on the names of twelve nationalities, and two judges of
spectrograms, two jobs at once; it chooses the inner steps of each on validation classes, and measures both on classes
that were never seen: ten digits of another speaker from 5 takes, three nationalities from 20 names, each by several
draws.

It writes `results.json`, `{modality: {row: {score: {mean, low, high}}}}` with 95 % bootstrap intervals over classes and
draws; `about.json`; `modalities.md`; `voices.png`, spectrograms of support, held-out takes and samples, a row a digit;
and `names.txt`. A run that was cut off goes on. `--quick` trains for less, within 15 minutes of two cores.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np

# A program run by its path, not by `-m`, would not find its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import trainers
from benchmarks import lanes, names, voices
from benchmarks.families import claimed
from meta_gan import loading, storage
from meta_gan.judges import load_judge
from meta_gan.judges.spectrograms import make_spectrograms, upright
from meta_gan.metrics.bootstrap import bootstrap_mean
from meta_gan.tasks.pictures import grid, save_png
from meta_gan.tasks.pixels import to_float

VOICES, NAMES = "spoken digits", "names"


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is done: outer steps of either preset, steps of a judge, draws of support sets, inner steps tried."""

    voices: int
    names: int
    judges: int
    draws: int
    steps: tuple[int, ...]


FULL, QUICK = Size(5000, 600, 1000, 3, (0, 5, 20, 50)), Size(1000, 300, 400, 1, (0, 20))


def work(job: str, data: Path, out: Path, size: Size) -> None:
    """One job, in this process: the training of a judge, or of a preset."""
    if job in voices.JUDGES:
        voices.train_judges(data, out, job, size.judges)
    elif job == VOICES:
        voices.train(data, out / "runs" / "voices", size.voices)
    else:
        names.train(data, out / "runs" / "names", size.names)


def measure(data: Path, out: Path, size: Size) -> tuple[dict[str, Any], dict[str, Any]]:
    """The scores of every row, `{modality: {row: {score: [values]}}}`, and what was chosen."""
    judges = [load_judge(str(out / "judges" / name)) for name in voices.JUDGES]
    found: dict[str, Any] = {}
    about: dict[str, Any] = {"size": dataclasses.asdict(size), "judges": {j.name: j.card["validation"] for j in judges}}
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
    """A row of spectrograms a class: support, held-out takes, samples, with a grey picture between."""
    rows = []
    for parts in sets:
        pictures = [to_float(upright(make_spectrograms(part, rate))) for part in parts]
        gap = np.zeros_like(pictures[0][:1])
        rows.append(np.concatenate([each for part in pictures for each in (gap, part)][1:]))
    save_png(path, grid(rows).repeat(2, axis=0).repeat(2, axis=1))


def table(results: dict[str, Any]) -> str:
    """The Markdown tables, one a modality."""
    parts = []
    for modality, rows in results.items():
        scores = list(next(iter(rows.values())))
        lines = [f"| {modality} | " + " | ".join(scores) + " |", "|" + "---|" * (1 + len(scores))]
        for row, values in rows.items():
            cells = [values[score] for score in scores]
            shown = [f"{c['mean']:.3f} ({c['low']:.3f} to {c['high']:.3f})" for c in cells]
            lines.append(f"| {row} | " + " | ".join(shown) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Trains and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of the three files")
    parser.add_argument("--out", required=True, help="folder; a run that was cut off goes on")
    parser.add_argument("--quick", action="store_true", help="within 15 minutes of two cores")
    parser.add_argument("--job", choices=(*voices.JUDGES, VOICES, NAMES), help="that one alone, in this process")
    arguments = parser.parse_args()
    data, out, size = Path(arguments.data), Path(arguments.out), QUICK if arguments.quick else FULL
    if missing := [file for file in (*voices.FILES, names.FILE) if not (data / file).is_file()]:
        parser.error(f"--data must be a folder with the three files. Received: {str(data)!r} without {missing}")
    out.mkdir(parents=True, exist_ok=True)
    if (other := claimed(out, size)) is not None:
        parser.error(f"--out must be empty, or of a run of this size, {size}. Received: {str(out)!r}, of {other}")
    trainers.configure_threads()
    if arguments.job:
        work(arguments.job, data, out, size)
        return
    own = ["--data", str(data), "--out", str(out), *(["--quick"] if arguments.quick else [])]

    def one(job: str, core: int) -> None:
        lanes.python(["-m", "benchmarks.modalities", *own, "--job", job], core)
        print(f"done: {job}", flush=True)

    # The lanes take every other job: the longest is alone in its lane.
    lanes.side_by_side([VOICES, NAMES], one)
    lanes.side_by_side(list(voices.JUDGES), one)
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


if __name__ == "__main__":
    main()
