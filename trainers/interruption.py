"""`Interruption`: delay Ctrl-C, termination and the loss of the terminal until a step is complete."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

# Windows has no SIGHUP.
SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
NOTICE = b"\ninterrupted: finishing the step, then saving; a second signal stops at once\n"


class Interruption:
    """A context manager that records the first SIGINT, SIGTERM or SIGHUP; a second one raises KeyboardInterrupt.

    Without it, Python could raise after TensorFlow has updated the weights but before the step is counted. A checkpoint
    saved then would have weights one step ahead of its number. Therefore the training loop checks between steps.

    Attributes:
        received: the signal's number, or None.

    Example:
        >>> with Interruption() as interruption:
        ...     interruption.raise_if_received()
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        # Only the main thread may set handlers. Signals that a shell ignores for its background jobs stay ignored.
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # None is a handler that Python did not set and cannot restore.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt(number)
        self.received = number
        # Not print(): a handler may run in the middle of another write to the same buffer. After SIGHUP the terminal
        # may be gone.
        with contextlib.suppress(OSError):
            os.write(2, NOTICE)

    def raise_if_received(self) -> None:
        """Raise KeyboardInterrupt, with the signal's number as its argument, if there was a signal."""
        if self.received is not None:
            raise KeyboardInterrupt(self.received)


@contextlib.contextmanager
def raising() -> Iterator[None]:
    """Raise KeyboardInterrupt, with the signal's number, for each of `SIGNALS` inside the block.

    A command that receives one of them therefore deletes its temporary files on the way out, as for Ctrl-C.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    kept = {number: signal.getsignal(number) for number in SIGNALS}
    kept = {number: handler for number, handler in kept.items() if handler is not signal.SIG_IGN}
    for number in kept:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
