"""Make the images of an evaluation in several processes, each of which takes one class after another.

Every process loads the models and the images anew, which takes as long as the program's start and as much memory as a
single one; what it makes of a class does not depend on who makes it.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import pickle
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import tensorflow as tf

from meta_gan.model import MetaModel
from meta_gan.protocol.making import Making
from meta_gan.protocol.methods import Method

_MODEL = "model-{}"
_made_here: Making | None = None  # of a worker process


def make_in_processes(
    making: Making, jobs: Sequence[tuple[int, int]], workers: int
) -> Iterator[tuple[tuple[int, int], dict[str, np.ndarray]]]:
    """Yield the job and the arrays of each class as they are finished; see `Making.make`.

    The program's main module is imported by every process, so a script must guard its code by
    `if __name__ == "__main__":`.

    Args:
        making: what to make.
        jobs: pairs of a draw and a position.
        workers: number of processes, >= 1.

    Raises:
        ValueError: a model that is no `MetaModel` cannot be pickled, or samples are not finite.
        OSError: a process ended; its classes can be made by a resumed evaluation.
    """
    with tempfile.TemporaryDirectory(prefix="meta-gan-") as folder:
        _write(making, Path(folder))
        threads = (
            tf.config.threading.get_inter_op_parallelism_threads(),
            tf.config.threading.get_intra_op_parallelism_threads(),
        )
        pool = ProcessPoolExecutor(
            min(workers, len(jobs)), multiprocessing.get_context("spawn"), _start, (folder, threads)
        )
        try:
            futures: dict[Future[dict[str, np.ndarray]], tuple[int, int]] = {pool.submit(_make, *j): j for j in jobs}
            for future in as_completed(futures):
                yield futures.pop(future), future.result()
        except BrokenProcessPool as error:
            raise OSError("a process of --workers ended; the evaluation can be resumed by the same command") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _write(making: Making, folder: Path) -> None:
    """Write what the processes need: models as saved models, the rest as one pickle of this program's own."""
    methods = []
    for number, method in enumerate(making.methods):
        if isinstance(method.model, MetaModel):
            method.model.save(folder / _MODEL.format(number))
            method = dataclasses.replace(method, model=None)
        methods.append(method)
    try:
        text = pickle.dumps(dataclasses.replace(making, methods=methods))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(f"models for several 'workers' must be MetaModels or pickle. Received: {error}") from error
    (folder / "making.pickle").write_bytes(text)


def _read(folder: Path) -> Making:
    making: Making = pickle.loads((folder / "making.pickle").read_bytes())

    def loaded(number: int, method: Method) -> Method:
        place = folder / _MODEL.format(number)
        return dataclasses.replace(method, model=MetaModel.from_folder(place)) if place.exists() else method

    return dataclasses.replace(making, methods=[loaded(*pair) for pair in enumerate(making.methods)])


def _start(folder: str, threads: tuple[int, int]) -> None:
    """Prepare a process: with the threads of its parent, on which the order of sums depends."""
    global _made_here
    # Ctrl-C reaches every process of a terminal; the parent ends the others after the classes that they are at.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tf.config.threading.set_inter_op_parallelism_threads(threads[0])
    tf.config.threading.set_intra_op_parallelism_threads(threads[1])
    _made_here = _read(Path(folder))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


_warm: set[int] = set()


def _make(draw: int, position: int) -> dict[str, np.ndarray]:
    if _made_here is None:
        raise RuntimeError("this process was not started by make_in_processes")
    if draw not in _warm:
        # Discarded: the first call traces and compiles, which is not part of a task's time.
        _made_here.make(draw, position)
        _warm.add(draw)
    return _made_here.make(draw, position)
