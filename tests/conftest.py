"""What all tests share: quiet TensorFlow, few threads, and the folder of real data."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Before numpy is imported: its small factorisations lose tens of milliseconds each when threads contend for two cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import keras
import pytest
import tensorflow as tf

from meta_gan import functional

# Before TensorFlow's first operation, after which the numbers are fixed; as `trainers.configure_threads` sets them.
tf.config.threading.set_inter_op_parallelism_threads(functional.cores())
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.get_logger().setLevel("ERROR")


def pytest_collection_finish():
    """Leaves what is loaded by now out of every later collection: tracing sets off many, and they find little of it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


@pytest.fixture(autouse=True, scope="session")
def heeded_signals():
    """Signals do what they do in a terminal, whatever started the tests.

    A shell has its background ignore Ctrl-C, and `nohup` SIGHUP.
    """
    terminal = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    terminal[signal.SIGHUP] = signal.SIG_DFL
    ignored = [number for number in terminal if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, terminal[number])
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(autouse=True)
def clean_globals():
    """Every test starts from the same global seed and must leave Keras's global settings alone."""
    keras.utils.set_random_seed(0)
    before = (keras.config.floatx(), keras.config.dtype_policy().name, tf.config.functions_run_eagerly())
    yield
    after = (keras.config.floatx(), keras.config.dtype_policy().name, tf.config.functions_run_eagerly())
    assert after == before, "a test left a global setting of Keras or TensorFlow changed"


@pytest.fixture
def data_folder() -> Path:
    """The folder of real data sets, or a skip that says how to name it."""
    folder = os.environ.get("META_GAN_DATA")
    if not folder:
        pytest.skip("META_GAN_DATA is not set to the folder of the real data sets")
    if not Path(folder).is_dir():
        pytest.skip(f"META_GAN_DATA={folder} is not a folder")
    return Path(folder)
