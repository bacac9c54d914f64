"""TensorFlow's thread pools, which a process may set but once: so in processes of their own."""

import os
import subprocess
import sys

import pytest

START = "import tensorflow as tf, meta_gan, trainers; threads = tf.config.threading; "
READ = "print(threads.get_inter_op_parallelism_threads(), threads.get_intra_op_parallelism_threads()); "
CONFIGURE = "print(*trainers.configure_threads()); "
AFTER = """
tf.constant(1) + 1
try:
    trainers.configure_threads()
except ValueError as error:
    print(error)
"""
SCRIPTS = {
    # An import sets nothing; the call sets both, may be repeated, and holds once TensorFlow has started.
    "before": START + READ + CONFIGURE + READ + "tf.constant(1) + 1; " + CONFIGURE + READ,
    "after": START + AFTER + READ,
}


@pytest.fixture(scope="module")
def printed():
    """What each script printed; they run side by side."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    children = {name: subprocess.Popen([sys.executable, "-c", script], **pipes) for name, script in SCRIPTS.items()}
    return {name: child.communicate(timeout=300)[0].splitlines() for name, child in children.items()}


def test_every_core_gets_one_task(printed):
    cores = min(len(os.sched_getaffinity(0)), 8)
    assert printed["before"] == ["0 0"] + [f"{cores} 1"] * 4


def test_after_tensorflow_has_started_it_is_refused(printed):
    error, read = printed["after"]
    assert error.startswith("configure_threads() must be called before any TensorFlow operation. Received: ")
    assert read == "0 0"
