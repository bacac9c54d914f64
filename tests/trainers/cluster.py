"""One worker of a cluster on loopback, for `test_several_workers.py`: `python -m tests.trainers.cluster OUT KEY=VALUE`.

Prints `step N` after each step, and at its end `saved`. `TF_CONFIG` makes it one of several. Keys, beside those of
`helpers.config` and of the recipe: `preset`, `tasks_seed`, and `stuck`, a step before which this worker sleeps.
"""

from __future__ import annotations

import ast
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main(out, *words):
    from trainers import MetaTrainer, WorkerLost, configure_threads, make_strategy, run_folder

    configure_threads()
    strategy = make_strategy("multiworker" if "TF_CONFIG" in os.environ else "none")
    from meta_gan import presets
    from tests.trainers import helpers

    given = dict(word.split("=", 1) for word in words)
    given = {key: ast.literal_eval(value) if key != "preset" else value for key, value in given.items()}
    preset, seed, stuck = given.pop("preset", "fomaml"), given.pop("tasks_seed", 0), given.pop("stuck", 0)
    run = {key: given.pop(key) for key in list(given) if key in helpers.config().__dataclass_fields__}
    tiny = {"network": "mlp", "width": 4, "latent_dim": 2, "penalty": "none", "inner_steps": 1}
    changes = {"network.width": 4} if preset == "fusion" else tiny
    shape = (28, 28, 1) if preset == "fusion" else helpers.SHAPE
    model = presets.build(presets.get(preset, **{**changes, "averaging": 0.9, **given}), shape)
    tasks = helpers.tasks(seed=seed) if shape == helpers.SHAPE else glyph_tasks()
    root = Path(out)
    folder = None
    if strategy is None or strategy.cluster_resolver.task_id == 0:
        folder = run_folder.runs(root)[-1] if run_folder.runs(root) else run_folder.new_run(root, "cluster")
    trainer = MetaTrainer(model, tasks, folder, helpers.config(**run), strategy=strategy)
    taken = trainer._step

    def step(episodes):
        if stuck and int(trainer.step.numpy()) == stuck:
            time.sleep(1000)
        metrics = taken(episodes)
        print(f"step {int(trainer.step.numpy()) + 1}", flush=True)
        return metrics

    trainer._step = step
    try:
        trainer.run()
    except WorkerLost as error:
        print(error, file=sys.stderr, flush=True)
        sys.exit(1)
    except ValueError as error:
        print(error, file=sys.stderr, flush=True)
        sys.exit(2)
    except KeyboardInterrupt as stop:
        sys.exit(128 + stop.args[0])
    print("saved", flush=True)


def glyph_tasks():
    from meta_gan.tasks import open_source

    return open_source("glyphs")


if __name__ == "__main__":
    main(*sys.argv[1:])
