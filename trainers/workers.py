"""`Workers`: the processes that train one run together, and what they do apart from computing."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan.replicas import Replicas
from trainers.watchdog import RELAUNCH, Watchdog

# What a collective raises whose peer is gone, by the way in which that became known.
_LOST = (
    *(tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError),
    *(tf.errors.InternalError, tf.errors.FailedPreconditionError, tf.errors.UnknownError),
)
_SETTLING = 12.0  # seconds after which a worker whose connection broke is surely silent


class WorkerLost(RuntimeError):
    """Raised when another worker ended or does not answer; the message names it."""


class Workers:
    """The workers of a strategy: one without a strategy, or with a `MirroredStrategy`.

    Args:
        strategy: see `Replicas`; None for one process and device.
        timeout: seconds > 0 that a worker waits for the others in one step, validation or save.

    Attributes:
        replicas: over which tasks are shared out, or None.

    Raises:
        ValueError: see `Replicas`.

    Example:
        >>> workers = Workers(None)
        >>> workers.chief, workers.gather([1.0]).tolist()
        (True, [[1.0]])
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None, timeout: float = 600.0):
        self.replicas = None if strategy is None else Replicas(strategy)
        self.count = 1 if self.replicas is None else self.replicas.workers
        self.index = 0 if self.replicas is None else self.replicas.worker
        self.timeout = timeout
        self._watchdog: Watchdog | None = None
        self._turns = itertools.count(1)

    @property
    def chief(self) -> bool:
        """True for the worker that writes the run folder."""
        return self.index == 0

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Watch over the other workers until the block ends, and leave it together with them.

        Raises:
            WorkerLost: another worker ended.
        """
        if self.replicas is None or self.count == 1:
            yield
            return
        hosts = [address.rpartition(":")[0].strip("[]") for address in self.replicas.addresses]
        watchdog = Watchdog(self.index, hosts, self.timeout)
        token = secrets.randbits(50)  # exact as float64
        with self._naming():
            found = self.replicas.gather([watchdog.port, token])
        with watchdog.running([int(port) for port in found[:, 0]], int(found[0, 1])):
            self._watchdog = watchdog
            try:
                yield
                self.gather([0.0])  # A worker that ended before the chief has saved would look lost.
            finally:
                self._watchdog = None

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Mark a block in which this worker waits for the others; all workers must come to the same blocks in turn.

        Raises:
            WorkerLost: another worker ended.
        """
        if self.replicas is None or self.count == 1:
            yield
            return
        turn = next(self._turns)
        with self._naming(), self._watchdog.waiting(turn) if self._watchdog else contextlib.nullcontext():
            yield

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except _LOST as error:
            if self._watchdog is None:
                cause = next(iter(error.message.splitlines()), "")
                raise WorkerLost(f"another worker ended or cannot be reached. {RELAUNCH}. Received: {cause}") from error
            if not (lost := self._watchdog.silent(_SETTLING)):
                raise
            raise WorkerLost(
                f"{self._watchdog.name(lost)} ended or does not answer; its own output says more. {RELAUNCH}"
            ) from error

    def gather(self, values: Sequence[float]) -> np.ndarray:
        """Return the values of every worker, float64[workers, n]."""
        if self.replicas is None or self.count == 1:
            return np.array([values], np.float64)
        with self.waiting():
            return self.replicas.gather(values)

    def compare(self, fingerprints: Mapping[str, str]) -> None:
        """Check that all workers have the same fingerprints.

        Args:
            fingerprints: `{what is compared: its fingerprint}`, with the same keys on all workers.

        Raises:
            ValueError: a worker differs from the chief; the message names it and what differs. On all workers.
        """
        if self.replicas is None or self.count == 1:
            return
        digests = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in fingerprints.values()]
        numbers = [float(n) for digest in digests for n in np.frombuffer(digest, np.uint32)]
        found = self.gather(numbers).reshape(self.count, len(digests), -1)
        differs = (found != found[0]).any(axis=2)
        if differs.any():
            names = list(fingerprints)
            worst = int(np.flatnonzero(differs.any(axis=1))[0])
            what = " and ".join(names[i] for i in np.flatnonzero(differs[worst]))
            address = self.replicas.addresses[worst]
            raise ValueError(
                f"all workers must have the same {' and '.join(names)}. Received: another {what} on "
                f"worker {worst} ({address}) than on worker 0"
            )

    def adopt(self, variables: Sequence[Any]) -> None:
        """Assign the chief's values to the variables of every worker."""
        if self.replicas is None or self.count == 1:
            return
        with self.waiting():
            found = self.replicas.gather_tensors([tf.convert_to_tensor(v) for v in variables])
        for variable, value in zip(variables, found, strict=True):
            variable.assign(value[0])
