"""`configure_threads`: TensorFlow's thread pools for tasks that run in parallel."""

from __future__ import annotations

import tensorflow as tf

from meta_gan import functional


def configure_threads() -> tuple[int, int]:
    """Set one inter-op thread for each core (at most 8) and one intra-op thread, so that each core runs one task.

    The operations of a few-shot step are too small to split over threads, but whole tasks are not. A single intra-op
    thread also fixes the order of every sum, so that the same seed gives the same bits.

    Returns:
        `(inter_op, intra_op)` as set.

    Raises:
        ValueError: TensorFlow has already started its threads.

    Example:
        >>> configure_threads()   # before any model or tensor
        (2, 1)
    """
    wanted = (functional.cores(), 1)
    threading = tf.config.threading
    if (threading.get_inter_op_parallelism_threads(), threading.get_intra_op_parallelism_threads()) == wanted:
        return wanted
    try:
        threading.set_inter_op_parallelism_threads(wanted[0])
        threading.set_intra_op_parallelism_threads(wanted[1])
    except RuntimeError as error:
        required = "configure_threads() must be called before any TensorFlow operation"
        raise ValueError(f"{required}. Received: a call after it started") from error
    return wanted
