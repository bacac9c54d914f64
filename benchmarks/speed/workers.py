"""Throughput of two one-core workers beside a single one: `python -m benchmarks.speed.workers --out DIR`.

One worker, then two, then one again and so on, each a new process that is held on one core and makes the same
meta-steps; the medians of their meta-steps a second are compared. `others` is how many cores other programs kept busy
meanwhile, with which the ratio of wall time means little. The ratio of processor time is beside it: how much less each
of two workers computes in a step, waiting for the other left out.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.speed.meta_steps import _busy
from meta_gan import storage

TARGET = 1.7


def measure(preset: str, steps: int, meta_batch: int, workers: int) -> dict[str, float]:
    """Make meta-steps with one or two workers, each held on a core of its own.

    Args:
        preset: name of the recipe, on the built-in glyphs.
        steps: timed steps, >= 1, after two that are not timed.
        meta_batch: tasks in a step, >= 1.
        workers: 1 or 2.

    Returns:
        `{"steps_per_second", "processor_seconds", "others"}`: processor seconds of a step, of the busiest worker.

    Raises:
        RuntimeError: a worker failed.
    """
    cores = sorted(os.sched_getaffinity(0))
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    made = []
    for index in range(workers):
        environment = dict(os.environ)
        environment.pop("TF_CONFIG", None)
        if workers > 1:
            cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            environment["TF_CONFIG"] = json.dumps(cluster)
        words = [preset, str(steps), str(meta_batch), str(cores[index % len(cores)])]
        command = [sys.executable, "-c", "from benchmarks.speed.workers import work; work()", *words]
        made.append(subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True))
    texts = [process.communicate()[0] for process in made]
    if any(process.returncode for process in made):
        raise RuntimeError(f"a worker failed. Received: exit codes {[process.returncode for process in made]}")
    found = [json.loads(text.splitlines()[-1]) for text in texts]
    wall = max(each["wall"] for each in found)
    own = sum(each["own"] for each in found)
    return {
        "steps_per_second": steps / wall,
        "processor_seconds": max(each["own"] for each in found) / steps,
        "others": max(0.0, (found[0]["busy"] - own) / found[0]["wall"]),
    }


def work() -> None:
    """Be one worker: hold one core, make the steps, and print the seconds."""
    preset, steps, meta_batch, core = sys.argv[1], *map(int, sys.argv[2:5])
    os.sched_setaffinity(0, {core})
    import tensorflow as tf

    import trainers
    from meta_gan import presets, tasks
    from meta_gan.replicas import Replicas

    trainers.configure_threads()
    strategy = trainers.make_strategy("multiworker" if "TF_CONFIG" in os.environ else "none")
    data = tasks.open_source("glyphs")
    model = presets.build(presets.get(preset), data.example_shape)
    replicas = None if strategy is None else Replicas(strategy)
    step = tf.function(lambda episodes: model.meta_step(episodes, replicas), autograph=False)
    episodes = iter(data.train(meta_batch))
    for _ in range(2):
        step(next(episodes))
    busy, own, wall = _busy(), time.process_time(), time.perf_counter()
    for _ in range(steps):
        step(next(episodes))
    found = {
        "wall": time.perf_counter() - wall,
        "own": time.process_time() - own,
        "busy": _busy() - busy,
    }
    if replicas is not None:
        replicas.gather([0.0])  # Both leave together.
    print(json.dumps(found), flush=True)


def main() -> None:
    """Measure, and write `workers.json`."""
    parser = common.parser("speed.workers", __doc__, out="folder of workers.json")
    parser.add_argument("--preset", nargs="+", default=["fomaml", "fusion"], help="(default: fomaml fusion)")
    parser.add_argument("--steps", type=int, default=20, help="timed meta-steps, >= 1 (default: 20)")
    parser.add_argument("--meta-batch", type=int, default=8, help="tasks in a step, >= 1 (default: 8)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, >= 1 (default: 3)")
    arguments = parser.parse_args()
    if min(arguments.steps, arguments.meta_batch, arguments.repeats) < 1:
        parser.error(f"--steps, --meta-batch and --repeats must be >= 1. Received: {arguments}")
    results: dict[str, Any] = {}
    for preset in arguments.preset:
        runs: dict[int, list[dict[str, float]]] = {1: [], 2: []}
        for _ in range(arguments.repeats):
            for workers, each in runs.items():
                each.append(measure(preset, arguments.steps, arguments.meta_batch, workers))
        one, two = ({k: statistics.median(run[k] for run in each) for k in each[0]} for each in runs.values())
        ratio = two["steps_per_second"] / one["steps_per_second"]
        saved = one["processor_seconds"] / two["processor_seconds"]
        results[preset] = {"one": one, "two": two, "wall_ratio": ratio, "processor_ratio": saved}
        print(
            f"{preset}: {one['steps_per_second']:.3f} and {two['steps_per_second']:.3f} meta-steps a second, ratio "
            f"{ratio:.2f} (at least {TARGET}: {'yes' if ratio >= TARGET else 'NO'}); of processor time {saved:.2f}; "
            f"others' cores {one['others']:.2f} and {two['others']:.2f}",
            flush=True,
        )
    Path(arguments.out).mkdir(parents=True, exist_ok=True)
    storage.write_json(Path(arguments.out) / "workers.json", results)


if __name__ == "__main__":
    main()
