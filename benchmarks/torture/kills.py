"""Kill a run again and again, mostly inside a save, resume it, and compare it with a run that nothing interrupted."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.torture import forks
from meta_gan import atomic
from trainers import run_folder
from trainers.checkpoints import Checkpoints

STEPS = 8
TINY = "network=mlp width=4 latent_dim=4 meta_batch=2 log_every=1 checkpoint_every=1 keep=2 validate_every=4"
SMALL = "validation_batches=1 picture_classes=1 picture_steps=0"
SCENARIOS = {
    "maml": ("maml", "inner_steps=1"),
    "reptile": ("reptile", "inner_steps=2"),
    "learned": ("maml", "inner_steps=2 meta_learner=recurrent"),
    "vae": ("vae", "algorithm=fomaml inner_steps=1"),
}
"""`{name: (preset, settings)}` of the runs; the recurrent meta-learner has variables of its own."""
# Points of a save that are passed at every step, and those that are passed at the start, the end or a validation.
EVERY_STEP = [
    *("checkpoint.begun", "checkpoint.written", "checkpoint.verified", "checkpoint.renamed", "manifest.written"),
    *("manifest.renamed", "pointer.written", "pointer.renamed", "checkpoint.pruned", "model.made", "model.written"),
    *("model.synced", "model.renamed"),
]
ONCE = ["config.written", "config.renamed", "metrics.written", "metrics.renamed", "picture.written"]
ONCE += ["picture.renamed", "served.made", "served.written", "served.synced", "served.renamed"]
LEFTOVER = ("*_temp", "*.part", "*.old", "checkpoint.tmp*", ".model.*", ".[0-9]*")


def write_data(path: Path, validation: bool) -> None:
    """Write ten classes of noise as an `.npz` file; two of them for validation, which takes a second to trace."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (140, 8, 8, 1), np.uint8)
    split = np.array([0] * 7 + [1 if validation else 2] * 2 + [2])
    np.savez(path, images=images, labels=np.repeat(np.arange(10), 14), class_split=split)


def train(scenario: str, data: Path, steps: int = STEPS, resume: bool = False, out: str = "runs") -> list[str]:
    """Return the command line of a run of a few steps with a checkpoint at each."""
    preset, settings = SCENARIOS[scenario]
    words = f"train --preset {preset} --data {data} --out {out} --steps {steps} --shots 2 --queries 2"
    words += " --resume" if resume else ""
    return [*words.split(), "--set", *f"{TINY} {SMALL} {settings}".split()]


def the_run(folder: Path) -> Path | None:
    """Return the newest run in `folder/runs`, or None."""
    found = run_folder.runs(folder / "runs")
    return found[-1] if found else None


def result(folder: Path) -> dict[str, Any]:
    """Return what two runs must have in common: the saved model's weights, and the metrics but for seconds."""
    run = the_run(folder)
    if run is None:
        return {}
    config = json.loads((run / "model" / "config.json").read_text("utf-8"))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    timeless = [{key: value for key, value in line.items() if key != "seconds"} for line in lines]
    return {"weights": config["weights_sha256"], "steps": config["training"]["steps"], "metrics": timeless}


def leftovers(folder: Path) -> list[str]:
    """Return the temporary files in a folder of runs."""
    found = {path for pattern in LEFTOVER for path in folder.rglob(pattern)}
    return sorted(str(path.relative_to(folder)) for path in found)


def decoys(folder: Path) -> dict[str, str]:
    """Return the sha256 of files that are not the run's; make them if there are none."""
    places = [
        folder / f"ckpt-{step}{end}" for step in range(1, STEPS + 1) for end in (".index", ".data-00000-of-00001")
    ]
    places += [folder / "checkpoint", folder / "ckpt-3_temp" / "part", folder / ".model.abcdefgh" / "mine"]
    places += [folder / "model" / "thesis.tex", folder.with_name(f"{folder.name}-beside") / "ckpt-2.index"]
    for place in places:
        if not folder.exists() or not (folder / "made").exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(f"somebody's {place.name}")
    (folder / "made").touch()
    gone = "gone"
    return {str(place): hashlib.sha256(place.read_bytes()).hexdigest() if place.is_file() else gone for place in places}


def fault(draw: random.Random, left: int) -> dict[str, str]:
    """Return the environment of a kill: at a point of a save, shortly after one, or anywhere."""
    kind = draw.random()
    if kind < 0.5:
        where = f"{draw.choice(EVERY_STEP)}@{draw.randint(1, max(1, left))}"
    elif kind < 0.65:
        where = draw.choice(ONCE)
    elif kind < 0.85:
        # Inside TensorFlow's writing, or a little later.
        where = f"checkpoint.begun@{draw.randint(1, max(1, left))}+{draw.choice((0.0005, 0.002, 0.01, 0.05))}"
    else:
        where = f"metrics.line@{draw.randint(1, max(1, left))}+{draw.uniform(0.0001, 0.5):.4f}"
    return {atomic.FAULT: where}


def campaign(scenario: str, folder: Path, kills: int, seed: int = 0) -> dict[str, Any]:
    """Kill runs of one scenario, resume each until it ends, and count what went wrong.

    Args:
        scenario: of `SCENARIOS`.
        folder: a new folder for the runs.
        kills: the number of kills.
        seed: of the choice of points.

    Returns:
        Counts by name; all of "unresumable", "lost", "differing", "outside", "leftovers" and "hung" should be 0.
    """
    folder.mkdir(parents=True)
    data, draw, counts = folder / "data.npz", random.Random(f"{scenario} {seed}"), Counter[str]()
    write_data(data, validation=scenario == "maml")
    whole = folder / "whole"
    whole.mkdir()
    ended = forks.command(train(scenario, data), whole)
    if ended.code:
        raise RuntimeError(f"the uninterrupted run of {scenario!r} failed: {ended.errors[-2000:]}")
    wanted, notes = result(whole), []
    number = 0
    while counts["kills"] < kills:
        place = folder / f"run-{number:03d}"
        place.mkdir()
        before, most = decoys(place), min(counts["kills"] + draw.randint(3, 7), kills)
        notes += _one_run(scenario, data, place, most, draw, counts)
        if result(place) != wanted:
            counts["differing"] += 1
            notes.append(f"{place}: another result")
        if decoys(place) != before:
            counts["outside"] += 1
            notes.append(f"{place}: files outside the run were changed")
        if left := leftovers(place / "runs"):
            counts["leftovers"] += 1
            notes.append(f"{place}: left {left}")
        number += 1
        if not notes:
            shutil.rmtree(place)
    return {"runs": number, **counts, "notes": notes[:20]}


def _one_run(scenario: str, data: Path, place: Path, most: int, draw: random.Random, counts: Counter[str]) -> list[str]:
    """Kill one run until there were `most` kills, then let it end; return notes on what went wrong."""
    acknowledged, notes = 0, []
    for _ in range(100):
        run = the_run(place)
        goes_on = run is not None
        environment = fault(draw, STEPS - acknowledged) if counts["kills"] < most else {}
        ended = forks.command(train(scenario, data, resume=goes_on), place, environment)
        run = the_run(place)
        if ended.code is None:
            counts["hung"] += 1
            return [*notes, f"{place}: hung with {environment}"]
        if ended.code < 0:
            counts["kills"] += 1
            counts["kills in a save"] += not environment[atomic.FAULT].startswith("metrics.line")
        elif ended.code:
            counts["unresumable"] += 1
            return [*notes, f"{place}: exit {ended.code}, {ended.errors.strip()[-300:]}"]
        if run is not None:
            checkpoints = Checkpoints(run)
            newest = checkpoints.newest() or 0
            acknowledged = max(acknowledged, checkpoints.pointed() or 0)
            if newest < acknowledged:
                counts["lost"] += 1
                notes.append(f"{place}: ckpt-{acknowledged} was acknowledged, ckpt-{newest} is left")
        if ended.code == 0 and not environment:
            return notes
    return [*notes, f"{place}: did not end"]
