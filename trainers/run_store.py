"""`RunStore`: the owner of every byte of a run folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from meta_gan import atomic, storage
from meta_gan.export import is_whole
from trainers import checkpoints, metrics_log
from trainers.checkpoints import Checkpoints
from trainers.metrics_log import MetricsLog

CONFIG, MODEL, SERVED, LOCK = "config.json", "model", "served", ".lock"
# What earlier versions left of killed saves.
_EARLIER = re.compile(r"\.model\..*|\..*\.part")
_EARLIER_SERVED = re.compile(r"\.\d+\..*|\.\.\d+\..*")


class RunStore:
    """Write, verify, find and delete the files of one run; nothing outside its folder is touched.

    Every file appears whole or not at all: it is written under a temporary name, synced, verified where it can be, and
    renamed. A checkpoint is committed by its manifest; a model by its swap with the one before. `open` falls back to
    the newest whole checkpoint, and refuses to start anew where there was one.

    Args:
        folder: an existing run folder.
        keep: the number of checkpoints to keep, >= 1.

    Attributes:
        folder: the folder.
        checkpoints: its `Checkpoints`.
        run: the identifier of the run, which its checkpoints carry; known after `open`.

    Example:
        >>> store = RunStore(folder, keep=3)
        >>> with store.locked():
        ...     prefix = store.open()  # None for a new run
        ...     store.write_config({"kind": "run"})
        ...     store.save_checkpoint(1, tf.train.Checkpoint(variable=variable).write)
    """

    def __init__(self, folder: str | Path, keep: int = 3):
        self.folder, self.keep, self.run, self._earlier = Path(folder), keep, "", False
        self.checkpoints = Checkpoints(self.folder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for one writer, until the block or the process ends, however it ends.

        Raises:
            ValueError: another process has locked it; two writers would destroy each other's files.
        """
        path = self.folder / LOCK
        with path.open("a+", encoding="utf-8", errors="replace") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise OSError(error.errno, error.strerror, str(path)) from error
                handle.seek(0)
                owner = handle.read(200).strip()
                required = f"the run {str(self.folder)!r} must not be written by two trainers at once"
                raise ValueError(f"{required}. Received: a folder in use{f' by {owner}' if owner else ''}") from error
            # For people only. The lock is the kernel's: what a dead process wrote here is no lock.
            handle.truncate(0)
            handle.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            handle.flush()
            yield

    def read_config(self) -> dict[str, Any] | None:
        """Return `config.json`, or None if the run was killed before it was written.

        Raises:
            ValueError: it is damaged, or missing in a folder with checkpoints.
        """
        path = self.folder / CONFIG
        if not os.path.lexists(path) and not self.checkpoints.files():
            return None
        config = storage.read_config(self.folder)
        if config["kind"] != "run":
            raise ValueError(f"{str(path)!r} must be the configuration of a run. Received: a {config['kind']}")
        return config

    def progress(self) -> str | None:
        """Return what shows that the run once had a checkpoint, or None if nothing does."""
        # Files without a manifest are what a kill in the first save leaves, but for runs of earlier versions.
        found = [step for step, files in self.checkpoints.files().items() if "json" in files or self._earlier]
        if found:
            return f"{self.checkpoints.prefix(max(found))}.*, which is damaged"
        if self.checkpoints.pointed() is not None:
            return str(self.checkpoints.root / checkpoints.POINTER)
        for name in (MODEL, SERVED):
            if os.path.lexists(self.folder / name):
                return str(self.folder / name)
        config = self.read_config()
        every = config.get("train", {}).get("checkpoint_every") if config else None
        last = metrics_log.last_step(self.folder)
        if isinstance(every, int) and last is not None and last > every:
            return f"{self.folder / metrics_log.METRICS}, of step {last}"
        return None

    def open(self) -> str | None:
        """Sweep the leftovers of killed processes, and return the newest whole checkpoint.

        Call it with the lock held.

        Returns:
            The checkpoint's path without endings, or None for a run that has none yet.

        Raises:
            ValueError: the run had checkpoints, but none is whole; or `config.json` is damaged.
        """
        self._remember_run()
        newest, pointed = self.checkpoints.newest(self.run or None), self.checkpoints.pointed()
        if newest is None and (shown := self.progress()):
            required = f"resuming needs a whole checkpoint in {str(self.checkpoints.root)!r}"
            cure = "train in a new run folder, or restore the checkpoints from a copy"
            raise ValueError(f"{required}; {cure}. Received: none, though there is {shown}")
        self._sweep()
        self.run = self.run or secrets.token_hex(8)
        if newest is None:
            return None
        if pointed is not None and pointed > newest:
            self._say(f"the newest checkpoint was ckpt-{pointed}; continuing from ckpt-{newest}, the newest whole one")
        return str(self.checkpoints.prefix(newest))

    def _remember_run(self) -> None:
        config = self.read_config()
        self.run = str((config or {}).get("run", ""))
        self._earlier = config is not None and not self.run
        if config is not None and not self.run:
            # A run of an earlier version: its whole checkpoints get manifests.
            self.run = secrets.token_hex(8)
            for step in self.checkpoints.whole():
                self.checkpoints.adopt(step, self.run)
            atomic.write_json(self.folder / CONFIG, {**config, "run": self.run}, point="config")

    def _sweep(self) -> None:
        atomic.sweep_folder(self.folder, _EARLIER)
        atomic.sweep_folder(self.folder / SERVED, _EARLIER_SERVED)
        for note in self.checkpoints.sweep(self.run):
            self._say(note)
        newest = self.checkpoints.newest(self.run)
        if newest is not None:
            # The end of a save that was killed after its files were complete.
            self.checkpoints.adopt(newest, self.run)
            self.checkpoints.settle(newest, self.run, self.keep)

    def _say(self, note: str) -> None:
        print(f"{self.folder}: {note}", file=sys.stderr, flush=True)

    def write_config(self, config: dict[str, Any]) -> None:
        """Write the run's resolved configuration and its identifier."""
        atomic.write_json(self.folder / CONFIG, {**config, "run": self.run}, point="config")

    def metrics(self, step: int) -> MetricsLog:
        """Return the log of metrics, after deleting lines of later steps than `step`, -1 for a new run."""
        return MetricsLog(self.folder, step)

    def save_checkpoint(self, step: int, write: Callable[[str], Any]) -> None:
        """Commit a checkpoint, and delete all but the newest; see `Checkpoints.save`."""
        log = self.folder / metrics_log.METRICS
        if log.is_file():
            atomic.sync(log)  # The lines up to a checkpoint are as safe as the checkpoint.
        self.checkpoints.save(step, write, self.run, self.keep)

    def save_model(self, save: Callable[[Path], None]) -> None:
        """Replace `model/` in one swap: a reader gets the old model or the new one.

        Args:
            save: writes the model into an empty folder.

        Raises:
            ValueError: `model` holds files that are no model's.
            OSError: a file could not be written; the model is the one before.
        """
        place = self.folder / MODEL
        if other := storage.other_content(place, storage.FILES):
            raise ValueError(f"{str(place)!r} must be the run's saved model, to be replaced. Received: {other}")
        with atomic.new_folder(place, replaces=True, point="model") as work:
            save(work)

    @contextlib.contextmanager
    def pictures(self) -> Iterator[Path]:
        """Yield a folder for pictures, which are moved into the run folder when the block ends."""
        with atomic.new_files(self.folder, point="picture") as work:
            yield work

    def save_served(self, steps: int, export: Callable[[Path], None]) -> None:
        """Export a model to `served/STEPS`, unless a whole export is there.

        Args:
            steps: the outer steps of the model.
            export: writes the SavedModel into an empty folder.

        Raises:
            ValueError: something else is there.
        """
        place = self.folder / SERVED / str(steps)
        if place.exists():
            if not is_whole(place):
                raise ValueError(
                    f"the export {str(place)!r} must be whole; delete it to export again. Received: damaged files"
                )
            return
        with atomic.new_folder(place, point="served") as work:
            export(work)
