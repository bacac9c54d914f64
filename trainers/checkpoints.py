"""`Checkpoints`: numbered checkpoints of a run, each committed by a manifest and verified before it is used."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from meta_gan import atomic
from meta_gan.errors import first_line

FOLDER, POINTER = "checkpoints", "checkpoint"
_FILE = re.compile(r"ckpt-(\d+)\.(index|json|callbacks|data-\d{5}-of-\d{5})")
# What TensorFlow's own manager left of killed saves, in runs of earlier versions.
_EARLIER = re.compile(r"ckpt-\d+_temp|checkpoint\.tmp.*")


class Checkpoints:
    """The checkpoints of a run folder, in TensorFlow's format.

    A checkpoint `ckpt-N` is `ckpt-N.index` and `ckpt-N.data-*`, as `tf.train.Checkpoint.write` writes them, and the
    manifest `ckpt-N.json` with the run and the sha256 of those files; of a run with Keras callbacks that change the
    training also `ckpt-N.callbacks`, their state. The manifest is written last: it commits the
    checkpoint. `checkpoint` is the pointer by which TensorFlow's tools find the newest one; reading a run does not
    depend on it. Only files with these exact names, in this folder, are ever touched.

    Args:
        folder: the run folder.

    Example:
        >>> checkpoints = Checkpoints(folder)
        >>> checkpoints.save(7, tf.train.Checkpoint(variable=variable).write, run="a1", keep=3)
        >>> checkpoints.newest("a1")
        7
    """

    def __init__(self, folder: Path):
        # TensorFlow must not resolve the name against another current directory.
        self.root = Path(os.path.abspath(folder)) / FOLDER

    def prefix(self, step: int) -> Path:
        """Return the path of a checkpoint without the endings of its files."""
        return self.root / f"ckpt-{step}"

    def files(self) -> dict[int, dict[str, Path]]:
        """Return `{step: {ending: file}}` of all files named like those of checkpoints, whole or not."""
        found: dict[int, dict[str, Path]] = {}
        for path in sorted(self.root.iterdir()) if self.root.is_dir() else ():
            if (match := _FILE.fullmatch(path.name)) and match[1] == str(int(match[1])):
                found.setdefault(int(match[1]), {})[match[2]] = path
        return found

    def fault(self, step: int, run: str | None = None) -> str | None:
        """Return what is wrong with a checkpoint, or None if it is whole.

        Args:
            step: its number.
            run: the run that it must be of; None for any.
        """
        files = self.files().get(step, {})
        if "index" not in files or not any(ending.startswith("data") for ending in files):
            return "files are missing"
        if "json" not in files:
            # Of an earlier version, or a save killed just before its commit; files are renamed only when complete.
            return _unreadable(self.prefix(step), step)
        try:
            manifest = json.loads(files["json"].read_text("utf-8"))
            if run is not None and manifest["run"] != run:
                return f"it is of another run, {manifest['run']}"
            if manifest["step"] != step:
                return f"its manifest is that of step {manifest['step']}"
            for name, digest in manifest["sha256"].items():
                if _sha256(self.root / name) != digest:
                    return f"{name} has another sha256 than in its manifest"
            named = set(manifest["sha256"])
        except OSError as error:
            return f"{error.strerror}: {error.filename}"
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return f"its manifest {files['json'].name} is damaged"
        return None if named == {p.name for e, p in files.items() if e != "json"} else "files are missing"

    def whole(self, run: str | None = None) -> list[int]:
        """Return the steps of all whole checkpoints of a run, oldest first."""
        return [step for step in sorted(self.files()) if self.fault(step, run) is None]

    def newest(self, run: str | None = None) -> int | None:
        """Return the step of the newest whole checkpoint of a run, or None."""
        return next((step for step in sorted(self.files(), reverse=True) if self.fault(step, run) is None), None)

    def pointed(self) -> int | None:
        """Return the step that the pointer names, or None if it names none."""
        try:
            match = re.match(r'model_checkpoint_path: ".*?ckpt-(\d+)"', (self.root / POINTER).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return int(match[1]) if match else None

    def save(self, step: int, write: Callable[[str], Any], run: str, keep: int) -> None:
        """Write, verify and commit a checkpoint, then move the pointer and delete all but the newest.

        Args:
            step: its number, >= 0.
            write: writes a checkpoint to a path, such as `tf.train.Checkpoint(...).write`.
            run: the identifier of the run.
            keep: the number of checkpoints to keep, >= 1.

        Raises:
            OSError: a file could not be written; the checkpoints before are as they were.
        """
        self.root.mkdir(exist_ok=True)
        final = self.prefix(step)
        if step in self.files() and self.fault(step, run) is None:
            return  # The same step of a run always has the same values.
        with atomic.work_folder(final) as work:
            atomic.fault_point("checkpoint.begun")
            try:
                with plain(work / final.name) as path:
                    write(path)
                atomic.fault_point("checkpoint.written")
                atomic.sync_tree(work)
                if fault := _unreadable(work / final.name, step):
                    raise OSError(errno.EIO, f"the checkpoint cannot be read back ({fault})", str(final))
            except (tf.errors.OpError, OSError) as error:
                raise atomic.named(error, work, final) from error
            atomic.fault_point("checkpoint.verified")
            self._commit(step, work, run)
        self.settle(step, run, keep)

    def settle(self, step: int, run: str, keep: int) -> None:
        """Move the pointer to a committed checkpoint, and delete all but the newest `keep` of the run."""
        if self.pointed() != step:
            self._point(step)
        own = [step for step in sorted(self.files()) if self._is_of(step, run)]
        for older in own[:-keep]:
            self.delete(older)
            atomic.fault_point("checkpoint.pruned")

    def _commit(self, step: int, work: Path, run: str) -> None:
        self.delete(step)  # A damaged one, or another run's: no manifest may name files that it was not written for.
        files = sorted(work.iterdir())
        manifest = {"run": run, "step": step, "sha256": {path.name: _sha256(path) for path in files}}
        for path in files:
            os.replace(path, self.root / path.name)
            atomic.fault_point("checkpoint.renamed")
        atomic.write_json(self.root / f"ckpt-{step}.json", manifest, point="manifest")

    def adopt(self, step: int, run: str) -> None:
        """Write the manifest of a whole checkpoint that has none."""
        files = self.files()[step]
        if "json" not in files:
            digests = {path.name: _sha256(path) for path in files.values()}
            atomic.write_json(self.root / f"ckpt-{step}.json", {"run": run, "step": step, "sha256": digests})

    def _point(self, step: int) -> None:
        # Relative to this folder, as TensorFlow's tools resolve them, so that the run may be moved.
        older = [other for other in sorted(self.files()) if other < step]
        lines = [f'model_checkpoint_path: "ckpt-{step}"']
        lines += [f'all_model_checkpoint_paths: "ckpt-{each}"' for each in (*older, step)]
        atomic.write_text(self.root / POINTER, "\n".join(lines) + "\n", point="pointer")

    def _is_of(self, step: int, run: str | None) -> bool:
        """Return True if the checkpoint has a manifest of that run; None for any."""
        try:
            return run in (None, json.loads((self.root / f"ckpt-{step}.json").read_text("utf-8"))["run"])
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return False

    def delete(self, step: int) -> None:
        """Delete the files of a checkpoint, its manifest first."""
        files = self.files().get(step, {})
        for ending in sorted(files, key=lambda ending: ending != "json"):
            files[ending].unlink(missing_ok=True)

    def sweep(self, run: str) -> list[str]:
        """Delete what killed saves left, and damaged checkpoints that are newer than the newest whole one.

        Without a whole checkpoint nothing is deleted but what was never committed. Checkpoints of other runs are left
        alone.

        Returns:
            Notes on damaged checkpoints, one line each.
        """
        atomic.sweep_folder(self.root, _EARLIER)
        newest, notes = self.newest(run), []
        if newest is None:
            for step, files in self.files().items():
                if "json" not in files:
                    self.delete(step)
            return []
        for step, files in self.files().items():
            if self._is_of(step, None) and not self._is_of(step, run):
                if step > newest:
                    notes.append(f"{self.prefix(step)} is left alone: {self.fault(step, run)}")
            elif step > newest or "json" not in files or "index" not in files:
                if step > newest:
                    notes.append(f"{self.prefix(step)} was deleted, because it is damaged: {self.fault(step, run)}")
                if step != newest:
                    self.delete(step)
        return notes


@contextlib.contextmanager
def plain(prefix: str | Path) -> Iterator[str]:
    """Yield a path of the same files without the characters that TensorFlow takes for wildcards."""
    path = Path(prefix)
    if not re.search(r"[*?\[\]\\]", str(path)):
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "link"
        link.symlink_to(Path(os.path.abspath(path.parent)), target_is_directory=True)
        yield str(link / path.name)


def _unreadable(prefix: Path, step: int) -> str | None:
    """Return why a checkpoint cannot be read, with all its checksums, or None."""
    try:
        with plain(prefix) as path:
            reader = tf.train.load_checkpoint(path)
            for name in reader.get_variable_to_shape_map():
                value = reader.get_tensor(name)
                if name.startswith("step/") and int(value) != step:
                    return f"it is of step {int(value)}"
    # A damaged file raises OpError, ValueError or, if truncated, IndexError.
    except (tf.errors.OpError, ValueError, IndexError, RuntimeError) as error:
        return first_line(error)
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
