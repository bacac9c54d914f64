"""A small run through `RunStore`, killed or failed at every fault point; run as a program, because TensorFlow must be
imported but not used before a fork."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.torture import forks, kills
from meta_gan import atomic, storage
from meta_gan.export import EXTRA, write_manifest
from trainers.run_store import RunStore

STEPS, KEEP = 4, 2
CONFIG = {"kind": "run", "train": {"checkpoint_every": 1}}
MODEL = {"kind": "meta_model", "algorithm": {"config": {"name": "MAML", "inner_steps": 1}}, "example_shape": [2]}


def run(folder):
    """Train a vector by a rule in place of gradients, with every kind of file that a run writes."""
    folder.mkdir(exist_ok=True)
    store = RunStore(folder, KEEP)
    with store.locked():
        prefix = store.open()
        step, value = tf.Variable(0, dtype=tf.int64), tf.Variable([0.1, 0.2, 0.3])
        checkpoint = tf.train.Checkpoint(step=step, value=value)
        checkpoint.save_counter.assign(0)
        if prefix is not None:
            checkpoint.restore(prefix).assert_consumed()
        start = int(step.numpy())
        store.write_config(CONFIG)
        log = store.metrics(-1 if prefix is None else start)
        for number in range(start + 1, STEPS + 1):
            value.assign(value * 1.1 + number)
            step.assign(number)
            log.write(number, {"value": value[0]})
            with store.pictures() as pictures:
                (pictures / f"samples_{number}.png").write_bytes(value.numpy().tobytes())
            store.save_checkpoint(number, checkpoint.write)
            _save(store, number, value)
        if start == STEPS:
            _save(store, STEPS, value)
        store.save_served(STEPS, _export)


def _export(place):
    (place / "saved_model.pb").write_bytes(b"graph")
    (place / EXTRA).mkdir()
    write_manifest(place)


def _save(store, number, value):
    config = {**MODEL, "training": {"steps": number}}
    store.save_model(lambda place: storage.write_model(place, config, {"value": value.numpy()}))


def result(folder):
    """All that two runs must share, byte for byte."""
    same = ["metrics.jsonl", "model/weights.npz", "model/config.json", "served/4/saved_model.pb"]
    same += [f"samples_{number}.png" for number in range(1, STEPS + 1)]
    names = sorted(p.name for p in (folder / "checkpoints").iterdir())
    return {"checkpoints": names, **{name: (folder / name).read_bytes().hex() for name in same}}


def passed(folder, logs):
    """The fault points that an uninterrupted run passes, and how often."""

    def report():
        run(folder / "whole")
        (folder / "points.json").write_text(json.dumps(atomic.passed()))

    assert forks.wait(forks.fork(report, logs), 60) == 0, logs[1].read_text()
    return json.loads((folder / "points.json").read_text())


def main(folder, every):
    logs = [folder / "out", folder / "err"]
    points, rows = passed(folder, logs), []
    wanted = result(folder / "whole")
    # Killed at the last passing, out of disk at the first.
    faults = [fault for name, count in points.items() for fault in (f"{name}@{count}", f"{name}=ENOSPC")]
    if not every:
        # Every point has one of the two faults, in turn.
        faults = [pair[number % 2] for number, pair in enumerate(zip(faults[::2], faults[1::2], strict=True))]
    for number, fault in enumerate(faults):
        place = folder / f"run-{number}"
        os.environ[atomic.FAULT] = fault
        ended = forks.wait(forks.fork(lambda place=place: run(place), logs), 60)
        errors = logs[1].read_text()
        os.environ[atomic.FAULT] = ""
        again = forks.wait(forks.fork(lambda place=place: run(place), logs), 60)
        rows.append(
            {
                "fault": fault,
                "ended": ended,
                "said": "No space left on device" in errors,
                "resumed": again,
                "errors": logs[1].read_text()[-500:],
                "same": again == 0 and result(place) == wanted,
                "left": kills.leftovers(place),
            }
        )
    print(json.dumps({"points": points, "rows": rows}))


if __name__ == "__main__":
    np.seterr(all="raise")
    main(Path(sys.argv[1]), every="every" in sys.argv[2:])
