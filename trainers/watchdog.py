"""`Watchdog`: a thread of each worker that knows which of the others are alive and how far each has come.

TensorFlow's collectives wait for ever for a worker that lives but does not come, and their errors do not always name
the worker that is lost. So workers send each other a few bytes by UDP every second.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_MESSAGE = struct.Struct("!QIq")
INTERVAL = 1.0
"""Seconds between two messages."""
SILENT = 4.0
"""Seconds without a message after which a worker is silent: several messages may be lost on the way."""
_POLL = 0.25


def end_process(message: str) -> None:
    """Write a message and end the process at once; its main thread waits within TensorFlow and cannot be woken."""
    print(f"meta-gan train: {message}", file=sys.stderr, flush=True)
    os._exit(1)


class Watchdog:
    """Exchange signs of life with the other workers, and end this process if it waits too long for one of them.

    Args:
        worker: this worker's index.
        hosts: host name or address of each worker.
        timeout: seconds > 0 that this worker waits for the others.
        end: called with a message when the time is up.

    Attributes:
        port: where this worker listens; to be told to the others.

    Example:
        >>> watchdog = Watchdog(0, ["127.0.0.1"], timeout=600.0)
        >>> with watchdog.running([watchdog.port], token=1), watchdog.waiting(1):
        ...     pass
    """

    def __init__(self, worker: int, hosts: Sequence[str], timeout: float, end: Callable[[str], Any] = end_process):
        self.worker, self.hosts, self.timeout, self.end = worker, list(hosts), timeout, end
        family = socket.getaddrinfo(self.hosts[worker], None, type=socket.SOCK_DGRAM)[0][0]
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.bind(("", 0))
        self._socket.settimeout(_POLL)
        self.port = int(self._socket.getsockname()[1])
        self._heard = {other: 0.0 for other in range(len(self.hosts)) if other != worker}
        self._turns = dict.fromkeys(self._heard, 0)
        self._turn = 0
        self._since: float | None = None
        self._ending = threading.Event()

    @contextlib.contextmanager
    def running(self, ports: Sequence[int], token: int) -> Iterator[Watchdog]:
        """Watch until the block ends.

        Args:
            ports: those of all workers.
            token: 0 to 2^64 - 1, the same for all workers, which tells their messages from others.
        """
        family = self._socket.family
        places = [
            socket.getaddrinfo(h, p, family, socket.SOCK_DGRAM)[0][4] for h, p in zip(self.hosts, ports, strict=True)
        ]
        self._heard = dict.fromkeys(self._heard, time.monotonic())
        thread = threading.Thread(target=self._watch, args=(places, token), name="watchdog", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ending.set()
            thread.join()
            self._socket.close()

    @contextlib.contextmanager
    def waiting(self, turn: int) -> Iterator[None]:
        """Mark a block in which this worker waits for the others.

        Args:
            turn: a number that grows from block to block, the same for the same block of all workers.
        """
        self._turn, self._since = turn, time.monotonic()
        try:
            yield
        finally:
            self._since = None

    def silent(self, within: float = 0.0) -> list[int]:
        """Return the workers from which nothing has been heard for `SILENT` seconds; wait for one up to `within`."""
        until = time.monotonic() + within
        while True:
            now = time.monotonic()
            found = [other for other, heard in self._heard.items() if now - heard > SILENT]
            if found or now > until:
                return found
            time.sleep(_POLL)

    def _watch(self, places: Sequence[Any], token: int) -> None:
        sent = 0.0
        while not self._ending.is_set():
            if (now := time.monotonic()) - sent >= INTERVAL:
                sent = now
                for other in self._heard:
                    # A name that cannot be reached just now is silent to the others, no error here.
                    with contextlib.suppress(OSError):
                        self._socket.sendto(_MESSAGE.pack(token, self.worker, self._turn), places[other])
            self._receive(token)
            since = self._since
            if since is not None and time.monotonic() - since > self.timeout:
                self.end(self._verdict())
                return

    def _receive(self, token: int) -> None:
        try:
            message = self._socket.recv(64)
        except OSError:  # Nothing has come, or a worker that ended could not be reached.
            return
        if len(message) == _MESSAGE.size:
            given, other, turn = _MESSAGE.unpack(message)
            if given == token and other in self._heard:
                self._heard[other], self._turns[other] = time.monotonic(), turn

    def _verdict(self) -> str:
        """Return a sentence that names the workers for which this one has waited too long."""
        silent = self.silent()
        late = [other for other, turn in self._turns.items() if turn < self._turn]
        if lost := silent or late:
            why = "not answered" if silent else "not come as far as this one, though it answers"
            return f"{self.name(lost)} has {why} for {self.timeout:g} s. {RELAUNCH}"
        return f"all workers are in the same computation, which none has finished in {self.timeout:g} s. {RELAUNCH}"

    def name(self, workers: Sequence[int]) -> str:
        """Return the names of workers for a message."""
        return " and ".join(f"worker {other} on {self.hosts[other]}" for other in workers)


RELAUNCH = "Start all workers again with --resume"
