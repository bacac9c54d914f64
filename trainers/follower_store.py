"""`FollowerStore`: what a worker other than the chief has in place of a `RunStore`."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class NoLog:
    """A log that keeps nothing."""

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Do nothing."""


class FollowerStore:
    """A store that reads and writes nothing: the chief owns the run folder, which no other worker needs to reach."""

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock nothing."""
        yield

    def read_config(self) -> None:
        """Return None: there is nothing to compare with."""

    def open(self) -> None:
        """Return None: the chief restores the checkpoint, and the others adopt its values."""

    def write_config(self, config: dict[str, Any]) -> None:
        """Do nothing."""

    def metrics(self, step: int) -> NoLog:
        """Return a log that keeps nothing."""
        return NoLog()

    def save_checkpoint(self, step: int, write: Callable[[str], Any]) -> None:
        """Do nothing."""

    def save_served(self, steps: int, export: Callable[[Path], None]) -> None:
        """Do nothing."""

    @contextlib.contextmanager
    def pictures(self) -> Iterator[Path]:
        """Yield a folder that is deleted when the block ends."""
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)

    def save_model(self, save: Callable[[Path], None]) -> None:
        """Do nothing."""
