"""Meta-steps on two logical devices beside the same on one, for `tests/test_replicas.py`: devices are fixed at start.

`python -m tests.two_devices "GAME" "ALGORITHM" ...` prints the relative difference of all values as JSON.
"""

from __future__ import annotations

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

STEPS, TASKS = 3, 3  # tasks that two replicas cannot share evenly


def main(pairs):
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    # Imported after the devices are made, because the games make variables.
    from meta_gan.replicas import Replicas
    from tests.conformance.cases import make
    from tests.toys import random_episodes

    replicas = Replicas(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    assert (replicas.count, replicas.workers, replicas.chief) == (2, 1, True)
    found = {}
    for game, algorithm in pairs:
        trained = []
        for over in (None, replicas):
            model = make(game, algorithm, averaging=0.9)
            model.compile(keras.optimizers.SGD(0.1, momentum=0.9), clip=1.0)
            shape = model.game.example_shape
            step = tf.function(lambda e, model=model, over=over: model.meta_step(e, over), autograph=False)
            for number in range(STEPS):
                metrics = step(random_episodes(TASKS, shape=shape, seed=number))
            metrics |= (
                model.assess(random_episodes(TASKS, shape=shape)) if over is None else assessed(model, over, shape)
            )
            optimizers = [v for group in sorted(model.optimizers) for v in model.optimizers[group].variables]
            trained.append([*(np.array(v, np.float64) for v in [*model.variables, *optimizers]), *metrics.values()])
        found[f"{game}, {algorithm}"] = difference(*trained)
    print(json.dumps(found))


def assessed(model, replicas, shape):
    from tests.toys import random_episodes

    return tf.function(lambda e: model.assess(e, replicas), autograph=False)(random_episodes(TASKS, shape=shape))


def difference(one, other):
    # Of all values together: some, such as a bias before batch statistics, have no gradient but rounding.
    one, other = (np.concatenate([np.ravel(np.asarray(v, np.float64)) for v in each]) for each in (one, other))
    return float(np.linalg.norm(one - other) / np.linalg.norm(one))


if __name__ == "__main__":
    main(list(zip(sys.argv[1::2], sys.argv[2::2], strict=True)))
