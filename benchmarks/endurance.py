"""Measure what a long run costs: growth of memory over many tasks and validations, and the guard against divergence.

The run is that of a small preset, with a step, its checks and now and then a validation, as `MetaTrainer` does them.
"""

from __future__ import annotations

import gc
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import trainers
from benchmarks import common
from meta_gan import atomic, presets, storage, tasks
from trainers import run_folder
from trainers.divergence import BadSteps, bad_values

SHAPE = (16, 16, 1)


def source() -> tasks.Tasks:
    """Return tasks of noise: twelve classes, two of them for validation."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (12 * 14, *SHAPE), np.uint8)
    split = np.array([0] * 9 + [1] * 2 + [2])
    return tasks.from_arrays(images, np.repeat(np.arange(12), 14), class_split=split, shots=3, queries=3)


def megabytes() -> float:
    """Return the resident memory of this process."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def trainer(folder: Path, meta_batch: int, steps: int) -> trainers.MetaTrainer:
    """Return a trainer of a small convolutional model in a new run."""
    recipe = presets.get("fomaml", network="dcgan", width=8, latent_dim=8, inner_steps=2, penalty="none")
    config = trainers.TrainConfig(steps=steps, meta_batch=meta_batch, validation_batches=1, picture_steps=(0,))
    return trainers.MetaTrainer(presets.build(recipe, SHAPE), source(), run_folder.new_run(folder, "long"), config)


def growth(made: trainers.MetaTrainer, count: int, validations: int) -> dict[str, Any]:
    """Return the growth of memory per 1,000 tasks, after a tenth of them to warm up."""
    meta_batch = made.config.meta_batch
    steps, log = count // meta_batch, made.store.metrics(-1)
    episodes = iter(made.config.episodes(made.tasks))
    every, bad, start, marks = max(1, steps // max(1, validations)), BadSteps(made.config.bad_steps), 0.0, []
    for step in range(1, steps + 1):
        bad.add(made._step(next(episodes)))
        made.step.assign(step)
        if validations and step % every == 0:
            made.validate(log)
        if step == steps // 10:
            start = megabytes()
        if step % max(1, steps // 10) == 0:
            marks.append(round(megabytes(), 1))
    return {
        "tasks": count,
        "validations": validations and steps // every,
        "megabytes": marks,
        "megabytes_per_1000_tasks": round((megabytes() - start) / (0.9 * count / 1000), 4),
    }


def guard(made: trainers.MetaTrainer, steps: int) -> dict[str, float]:
    """Return the seconds of a step and of the guard: its part of every step, and its part of every checkpoint."""
    episodes, bad = iter(made.config.episodes(made.tasks)), BadSteps(made.config.bad_steps)
    taken, checked = [], []
    for _ in range(steps):
        episode, start = next(episodes), time.perf_counter()
        metrics = made._step(episode)
        middle = time.perf_counter()
        bad.add(metrics)
        taken.append(middle - start)
        checked.append(time.perf_counter() - middle)
    others = [v for optimizer in made.model.optimizers.values() for v in optimizer.variables]
    values = []
    for _ in range(20):
        start = time.perf_counter()
        bad_values(made.model.variables, others)
        values.append(time.perf_counter() - start)
    step, each = float(np.median(taken)), float(np.median(checked))
    saved = float(np.median(values)) / made.config.checkpoint_every
    return {
        "step": step,
        "each_step": each,
        "each_checkpoint": float(np.median(values)),
        "share": (each + saved) / step,
    }


def main() -> None:
    """Measure both, and write `results.json`."""
    parser = common.parser("endurance", __doc__, quick="a fiftieth of the tasks and validations", out="a new folder")
    parser.add_argument("--tasks", type=int, default=50_000, help="tasks (default: 50000)")
    parser.add_argument("--validations", type=int, default=1_000, help="validations (default: 1000)")
    parser.add_argument("--meta-batch", type=int, default=8, help="tasks of a step (default: 8)")
    arguments = parser.parse_args()
    trainers.configure_threads()
    share = 50 if arguments.quick else 1
    with atomic.new_folder(arguments.out) as out, tempfile.TemporaryDirectory() as folder:
        made = trainer(Path(folder), arguments.meta_batch, arguments.tasks)
        results = {
            "memory": growth(made, arguments.tasks // share, arguments.validations // share),
            "guard": guard(made, 100),
        }
        storage.write_json(out / "results.json", results)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
