"""Tasks that are shared out over replicas give what one process gives."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.replicas import Replicas

ROOT = Path(__file__).resolve().parents[1]
PAIRS = [
    ("batch statistics", "FOMAML"),
    ("points, non-saturating", "consistent FOMAML"),
    *[("batch statistics", a) for a in ("Reptile", "MAML", "learned Adam", "controller", "Meta-SGD by evolution")],
    *[("points, variational", "MAML"), ("points, non-saturating", "DAWSON"), ("points, non-saturating", "Pretraining")],
    ("images, told of the support set", "conditional"),
]


def differences(pairs):
    words = [word for pair in pairs for word in pair]
    command = [sys.executable, "-m", "tests.two_devices", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS)
def test_two_devices_train_as_one(pair):
    """Weights, state of batch statistics, averages, optimizers and metrics, of three tasks on two replicas."""
    found = differences([pair])
    assert len(found) == 1
    assert max(found.values()) < 1e-5, found


def test_one_replica_gives_the_same_bits_of_every_dtype():
    replicas = Replicas(tf.distribute.MirroredStrategy(["CPU:0"]))
    batch = tf.constant([[1.0, 2.0], [np.pi, -0.0], [1e-40, np.inf]])

    def each(map_tasks):
        kinds = (tf.float32, tf.float64, tf.int32, tf.int64, tf.uint32, tf.float16, tf.bool)
        return map_tasks(lambda x: {kind.name: tf.cast(x > 1.5, kind) * one(kind) for kind in kinds} | {"x": x}, batch)

    def one(kind):
        return tf.cast(True, kind) if kind == tf.bool else tf.cast(3, kind)

    found = tf.function(lambda: replicas.run(each))()
    np.testing.assert_array_equal(found["x"].numpy().view(np.int32), batch.numpy().view(np.int32))
    for name, value in found.items():
        assert name == "x" or value.dtype.name == name
        if name not in ("x", "bool"):
            np.testing.assert_array_equal(value.numpy().astype(int), np.where(batch > 1.5, 3, 0))


def test_gather_of_one_process_is_its_own():
    np.testing.assert_array_equal(Replicas(tf.distribute.MirroredStrategy(["CPU:0"])).gather([1.5, 2.0]), [[1.5, 2.0]])


def test_other_strategies_are_refused():
    with pytest.raises(ValueError, match=r"'strategy' must be a MirroredStrategy .* Received: OneDeviceStrategy"):
        Replicas(tf.distribute.OneDeviceStrategy("CPU:0"))
