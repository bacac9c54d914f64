"""Files and folders that appear whole or not at all, whatever kills the process, and the fault points that prove it.

The order is always: write under a temporary name, fsync the content, rename, fsync the folder. A temporary name is
`.NAME.XXXXXXXX.part`, and its writer holds a lock on it. The kernel releases the lock when the process ends, so the
next writer can tell leftovers of killed processes, which it deletes, from work in progress.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from meta_gan.errors import first_line

# Errors of the caller's choice of a place. All others, such as a full disk, are the machine's.
CALLERS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOENT}
CALLERS |= {errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.ENOTEMPTY, errno.EXDEV}
FAULT = "META_GAN_FAULT"
"""The environment variable `POINT[@N][+SECONDS][=ERROR]`: at the N-th passing of a fault point die, or fail.

The process dies by SIGKILL at the point, or that many seconds after it by SIGALRM, also inside compiled code.
"""
_FAULT = re.compile(r"([\w.]+)(?:@(\d+))?(?:\+([\d.]+))?(?:=([A-Z]+))?")
# Beyond these many files, one sync of the whole file system is faster.
_FEW = 64
_AT_FDCWD, _RENAME_EXCHANGE, _RENAME_SWAP = -100, 2, 2
_WORK = re.compile(r"\..*\.[0-9a-f]{8}\.part(\.old)?")
_passed: dict[str, int] = {}


def passed() -> dict[str, int]:
    """Return how often this process has passed each fault point."""
    return dict(_passed)


def fault_point(name: str) -> None:
    """Count the passing of a named point of a write; if `META_GAN_FAULT` names it, die or fail there.

    Raises:
        OSError: the one that `META_GAN_FAULT` asks for.
    """
    _passed[name] = _passed.get(name, 0) + 1
    wanted = _FAULT.fullmatch(os.environ.get(FAULT, ""))
    if wanted is None or wanted[1] != name or int(wanted[2] or 1) != _passed[name]:
        return
    if wanted[4]:
        number = getattr(errno, wanted[4])
        raise OSError(number, os.strerror(number))
    if wanted[3]:
        signal.setitimer(signal.ITIMER_REAL, float(wanted[3]))
    else:
        os.kill(os.getpid(), signal.SIGKILL)


def sync(path: str | os.PathLike[str]) -> None:
    """Wait until a file's content, or a folder's entries, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems cannot sync folders; their entries are written with the next sync of the system.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    finally:
        os.close(handle)


def _inside_work(path: Path) -> bool:
    """Return True if a path lies in the temporary folder of another call, which syncs all of it at its end."""
    return any(_WORK.fullmatch(part) for part in path.parts)


def sync_tree(folder: Path) -> None:
    """Wait until all files and folders below a folder, and its entries, are on the disk."""
    paths = [path for path in folder.rglob("*") if not path.is_symlink()]
    if len(paths) > _FEW:
        os.sync()
        return
    for path in (*paths, folder):
        sync(path)


def swap(work: Path, final: Path) -> bool:
    """Rename `work` to `final`; if that exists, exchange the two in one operation of the kernel.

    A reader then always finds the old or the new one. Only on file systems without such an operation (some network file
    systems) there is a moment with neither: the old one is moved aside first, and `settled` waits for it.

    Returns:
        True if `work` is now what was at `final` before, to be deleted.
    """
    if not os.path.lexists(final):
        os.rename(work, final)
        return False
    library, old, new = ctypes.CDLL(None, use_errno=True), os.fsencode(work), os.fsencode(final)
    if hasattr(library, "renameat2"):  # Linux
        failed = library.renameat2(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_EXCHANGE)
    elif hasattr(library, "renamex_np"):  # macOS
        failed = library.renamex_np(old, new, _RENAME_SWAP)
    else:
        failed = -1
    if failed:
        aside = work.with_name(f"{work.name}.old")
        os.rename(final, aside)
        os.rename(work, final)
        os.rename(aside, work)
    return True


def settled(path: Path, seconds: float = 1.0) -> bool:
    """Return whether a path exists, after waiting for a swap that is moving it aside; see `swap`."""
    limit = time.monotonic() + seconds
    while not path.exists():
        swapping = path.parent.is_dir() and any(p.name.endswith(".part.old") for p in leftovers(path))
        if not swapping or time.monotonic() > limit:
            return False
        time.sleep(0.01)
    return True


def leftovers(path: Path) -> list[Path]:
    """Return the temporary files and folders beside `path` of those who are writing or were writing it."""
    pattern = re.compile(rf"{re.escape(_prefix(path))}[0-9a-f]{{8}}\.part(\.old)?")
    try:
        return [entry for entry in path.parent.iterdir() if pattern.fullmatch(entry.name)]
    except OSError:
        return []


def _prefix(path: Path) -> str:
    # A name may have 255 bytes; the rest is for the token and the suffixes.
    return f".{os.fsdecode(os.fsencode(path.name)[:200])}."


def sweep(path: Path) -> None:
    """Delete the leftovers of killed writers of `path`, and nothing that a living process is writing."""
    for entry in leftovers(path):
        delete_unowned(entry)


def sweep_folder(folder: Path, others: re.Pattern[str] | None = None) -> None:
    """Delete the leftovers of all killed writers in a folder, and entries whose names match `others`.

    Use it only for folders that belong to this package as a whole.
    """
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        if _WORK.fullmatch(entry.name) or (others is not None and others.fullmatch(entry.name)):
            delete_unowned(entry)


def delete_unowned(path: Path) -> None:
    """Delete a file or a folder unless another process holds a lock on it; what cannot be deleted stays."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            delete(path)
        finally:
            os.close(handle)


def delete(path: Path) -> None:
    """Delete a file, a link or a folder, if it is there; finish even if a signal arrives in between."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    except KeyboardInterrupt:
        delete(path)
        raise


@contextlib.contextmanager
def work_folder(final: Path) -> Iterator[Path]:
    """Yield a new temporary folder beside `final`, and delete it at the end; for files to be moved one by one."""
    with _owned(final, folder=True) as work:
        yield work


@contextlib.contextmanager
def _owned(final: Path, folder: bool) -> Iterator[Path]:
    """Yield a new temporary file or folder beside `final`, locked; delete what is left of it at the end."""
    sweep(final)
    work = final.with_name(f"{_prefix(final)}{secrets.token_hex(4)}.part")
    handle = -1
    try:
        if folder:
            work.mkdir()
            work.chmod(0o755)
        else:
            work.touch(exist_ok=False)
        handle = os.open(work, os.O_RDONLY)
        with contextlib.suppress(OSError):  # A file system without locks; its leftovers are never swept.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield work
    finally:
        if handle >= 0:
            os.close(handle)
        delete(work)


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str], point: str = "file") -> Iterator[Path]:
    """Yield a temporary path, which replaces `path` when the block ends without an error.

    Args:
        path: the final place.
        point: the prefix of the fault points that are passed: `.written` and `.renamed`.

    Raises:
        OSError: the file cannot be written; `path` is as it was.

    Example:
        >>> with new_file("report.json") as work:
        ...     work.write_text("{}")
    """
    final = Path(path)
    nested = _inside_work(final.parent)
    with _owned(final, folder=False) as work:
        try:
            yield work
            fault_point(f"{point}.written")
            if not nested:
                sync(work)
            os.replace(work, final)
        except OSError as error:
            raise named(error, work, final) from error
        fault_point(f"{point}.renamed")
        if not nested:
            sync(final.parent)


def write_text(path: str | os.PathLike[str], text: str, point: str = "file") -> None:
    """Write a text file in UTF-8; see `new_file`."""
    with new_file(path, point) as work:
        work.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any, point: str = "file") -> None:
    """Write indented JSON; see `new_file`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n", point)


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str], replaces: bool = False, point: str = "folder") -> Iterator[Path]:
    """Yield a temporary folder, which is moved to `path` when the block ends without an error.

    Args:
        path: the final place. Check first that it is free, or may be replaced.
        replaces: whether to replace what is there, in one swap; see `swap`.
        point: the prefix of the fault points that are passed: `.made`, `.written`, `.synced` and `.renamed`.

    Raises:
        ValueError: the place cannot be written.
        OSError: the disk is full, or failed; nothing was kept and what was there is as it was.
    """
    final = Path(path)
    if _WORK.fullmatch(final.name) and final.is_dir():
        # Inside the block of another call, whose folder this is: that call moves it as one.
        yield final
        return
    nested = _inside_work(final.parent)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _refuse(error, final)
    with contextlib.ExitStack() as stack:
        try:
            work = stack.enter_context(_owned(final, folder=True))
        except OSError as error:
            _refuse(error, final)
        try:
            fault_point(f"{point}.made")
            yield work
            fault_point(f"{point}.written")
            if not nested:
                sync_tree(work)
            fault_point(f"{point}.synced")
            if replaces:
                swap(work, final)
            else:
                os.rename(work, final)
        except Exception as error:
            if isinstance(error, OSError) or machine_error(error):
                raise named(error, work, final) from error
            raise
        fault_point(f"{point}.renamed")
        if not nested:
            sync(final.parent)


@contextlib.contextmanager
def new_files(folder: str | os.PathLike[str], point: str = "files") -> Iterator[Path]:
    """Yield a temporary folder, whose files are moved into `folder` when the block ends without an error.

    Args:
        folder: an existing folder; a file of the same name in it is replaced.
        point: the prefix of the fault points that are passed: `.written` and `.renamed`.

    Raises:
        ValueError: the folder cannot be written in.
        OSError: a file cannot be written.
    """
    final = Path(folder)
    with contextlib.ExitStack() as stack:
        try:
            work = stack.enter_context(work_folder(final / point))
        except OSError as error:
            _refuse(error, final / point)
        try:
            yield work
            fault_point(f"{point}.written")
            sync_tree(work)
            for path in sorted(work.iterdir()):
                os.replace(path, final / path.name)
                fault_point(f"{point}.renamed")
        except OSError as error:
            raise named(error, work, final) from error
        sync(final)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise a ValueError if nothing can be made at a path: a part of it is a file, or its folder may not be written.

    It makes nothing, so that a program can check before it computes. A write can still fail, as on a full disk.

    Example:
        >>> check_writable("runs")
    """
    place = Path(path).absolute()
    while not os.path.lexists(place) and place.parent != place:
        place = place.parent
    if not os.path.isdir(place) or not os.access(place, os.W_OK | os.X_OK):
        received = "a folder that you may not write in" if os.path.isdir(place) else "a file"
        raise ValueError(f"the folder {str(place)!r} must be writable. Received: {received}; choose another place")


def _refuse(error: OSError, final: Path) -> NoReturn:
    if error.errno not in CALLERS:
        raise named(error, final.parent, final) from error
    raise ValueError(f"the folder {str(final.parent)!r} must be writable. Received: {error}") from error


def named(error: Exception, work: Path, final: Path) -> OSError:
    """Return an error of a write with the final place for a temporary one; other files keep their name.

    Args:
        error: an OSError, or the error by which a library, such as TensorFlow, reports one in words.
        work: the temporary place.
        final: the place that the user knows.
    """
    filename = getattr(error, "filename", None)
    if filename is not None and not os.fsdecode(os.fspath(filename)).startswith(str(work)):
        return error if isinstance(error, OSError) else OSError(errno.EIO, str(error), filename)
    text = getattr(error, "strerror", None) or first_line(error)
    number = getattr(error, "errno", None) or machine_error(error)
    return OSError(number or errno.EIO, os.strerror(number) if number else text, str(final))


def machine_error(error: Exception) -> int | None:
    """Return the error number of a full or failing disk that an error reports, or None if it is something else."""
    number, text = getattr(error, "errno", None), str(error)
    if number:
        return None if number in CALLERS else int(number)
    return next((n for n in (errno.ENOSPC, errno.EDQUOT, errno.EIO) if os.strerror(n) in text), None)
