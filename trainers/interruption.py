"""`Interruption`: delay Ctrl-C and termination until a step is complete."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
NOTICE = b"\ninterrupted: finishing the step, then saving; a second signal stops at once\n"


class Interruption:
    """A context manager that records the first SIGINT or SIGTERM; a second one raises KeyboardInterrupt.

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
        # Not print(): a handler may run in the middle of another write to the same buffer.
        os.write(2, NOTICE)

    def raise_if_received(self) -> None:
        """Raise KeyboardInterrupt, with the signal's number as its argument, if there was a signal."""
        if self.received is not None:
            raise KeyboardInterrupt(self.received)
