"""Files from users: what a path is, the files of a folder, and what to do with those that cannot be read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from meta_gan.checks import check_choice
from meta_gan.hints import missing_hint
from meta_gan.tasks.errors import DataError, shown

T = TypeVar("T")
FILE, NOTHING = "a file", "nothing"
POLICIES = ("error", "skip")
"""The values of `on_bad_file` and `small_classes`."""
LITTER = {"__macosx", "__pycache__", "lost+found", "$recycle.bin", "system volume information", "@eadir"}
"""Folders, in lower case, that systems and programs leave behind; hidden ones are passed over as well."""
LITTER_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
ADVICE = {
    **dict.fromkeys((".heic", ".heif"), "HEIC: save it as JPEG, or register `pillow-heif` with Pillow"),
    **dict.fromkeys((".cr2", ".nef", ".arw", ".dng", ".raf"), "a raw photo: export it as JPEG"),
    **dict.fromkeys((".svg", ".pdf", ".psd", ".ai"), "not a bitmap: export it as PNG"),
    **dict.fromkeys((".mp3", ".m4a", ".aac", ".wma", ".aif", ".aiff", ".opus"), "another coding: convert it to WAV"),
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"), "an archive: unpack it and give the folder"),
}
"""What a user can do with a file of a known format that is not read, by its suffix."""
NAMED = 5
"""Files that a note names; it counts the others."""


def kind_of(path: str | Path) -> str:
    """Return what is at a path, links followed: `FILE`, "a folder", "a FIFO", ..., or `NOTHING`; opens nothing.

    Raises:
        OSError: a folder on the way cannot be searched.

    Example:
        >>> kind_of("/dev/null")
        'a device'
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "a broken link" if os.path.islink(path) else NOTHING
    except OSError:
        # The errors of a loop of links, and of a name that is too long, differ between systems.
        if os.path.islink(path):
            return "a loop of links"
        raise
    except ValueError:  # A zero character.
        return NOTHING
    if stat.S_ISREG(mode):
        return FILE
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return "a device"
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a special file")


def check_file(path: Path, what: str) -> Path:
    """Return the path of a regular file; opening a FIFO or a device could wait or read for ever.

    Args:
        path: the path.
        what: what the file must be, such as "a .npz file".

    Raises:
        FileNotFoundError: there is nothing at `path`, or a broken link.
        DataError: it is a folder, a FIFO, a device or a socket.
    """
    kind = kind_of(path)
    if kind == FILE:
        return path
    if kind in (NOTHING, "a broken link"):
        hint = missing_hint(path) if kind == NOTHING else ""
        raise FileNotFoundError(f"{what[0].upper()}{what[1:]} must exist. Received: {shown(path)}, {kind}{hint}")
    raise DataError(f"{path}: must be {what}. Received: {kind}")


def check_name(name: str, what: str) -> str:
    """Return a name that can be encoded in UTF-8, as those of classes and sources must be, or raise a DataError."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(f"{what} must have a name in UTF-8; rename it. Received: '{shown(name)}'") from None
    return name


class Listing(NamedTuple):
    """The files of a folder.

    Attributes:
        files: those to read, sorted by name.
        passed: a line on each of the others, without hidden files and what systems leave behind.
    """

    files: list[Path]
    passed: list[str]


def listing(folder: Path, what: str, suffixes: tuple[str, ...]) -> Listing:
    """List a folder: its files with one of the suffixes, and, named with a reason, what was passed over."""
    files, passed = [], []
    for entry in sorted(folder.iterdir()):
        if is_litter(entry.name):
            continue
        suffix, kind = entry.suffix.lower(), kind_of(entry)
        if kind == FILE and suffix in suffixes:
            files.append(entry)
        else:
            reason = ADVICE.get(suffix, f"not of {what}s") if kind == FILE else kind
            passed.append(f"{shown(entry.name)} ({reason})")
    return Listing(files, passed)


def advice_of(path: Path) -> str:
    """Return the end of an error message: what can be done with a file of a known format, or "".

    Example:
        >>> advice_of(Path("pictures.zip"))
        ' (an archive: unpack it and give the folder)'
    """
    advice = ADVICE.get(path.suffix.lower())
    return f" ({advice})" if advice else ""


def is_litter(name: str) -> bool:
    """Return True for hidden entries and those that systems and archivers leave behind, such as `__MACOSX`."""
    return name.startswith(".") or name.lower() in LITTER | LITTER_FILES


def folders_in(folder: Path) -> list[Path]:
    """Return the folders directly in a folder, sorted by name, without hidden ones and litter."""
    return sorted(entry for entry in folder.iterdir() if not is_litter(entry.name) and entry.is_dir())


def class_folders_in(folder: Path, what: str, suffixes: tuple[str, ...], most: int = 20) -> list[Path]:
    """Return folders in a folder that hold files with one of the suffixes, for a hint: none if it may not be listed.

    No more than the first `most` folders are looked at.
    """
    try:
        return [entry for entry in folders_in(folder)[:most] if listing(entry, what, suffixes).files]
    except OSError:
        return []


def files_in(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files directly in a folder with one of the suffixes, sorted by name, without hidden files."""
    return listing(folder, "file", suffixes).files


def support_files(path: Path, what: str, suffixes: tuple[str, ...]) -> Listing:
    """Return the files of a support set: those in the folder `path` with one of the suffixes, or the file `path`.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        DataError: `path` is a FIFO or another special file, or a folder without such files; the message calls them
            `what`, "image" or "sound".
    """
    kind = kind_of(path)
    if kind != "a folder":
        if kind in (NOTHING, "a broken link"):
            received = f"{shown(path)}, {kind}{missing_hint(path) if kind == NOTHING else ''}"
            raise FileNotFoundError(f"A support set must be a folder of {what}s or a .npz file. Received: {received}")
        return Listing([check_file(path, f"a folder, a .npz file or one {what}")], [])
    found = listing(path, what, suffixes)
    if not found.files:
        inner = next((entry for entry in folders_in(path) if files_in(entry, suffixes)), None)
        if inner is not None:
            required = f"must hold the {what}s of one class, and no folders; give one of its folders"
            raise DataError(f"{path}: {required}. Received: a folder of folders. Did you mean '{inner}'?")
        inside = [each.rpartition(" (")[0] for each in found.passed[:10]] or "an empty folder"
        advice = "".join(f"; {each}" for each in found.passed[:10] if "not of" not in each)
        raise DataError(f"{path}: must hold at least 1 {what} file ({', '.join(suffixes)}){advice}. Received: {inside}")
    return found


def read_each(
    files: Iterable[Path], read: Callable[[Path], T], on_bad_file: str, skipped: list[str]
) -> Iterator[tuple[int, T]]:
    """Read files one after the other.

    Args:
        files: the files.
        read: reads one; raises a DataError or an OSError that names a file that cannot be read.
        on_bad_file: "error" to raise that error, "skip" to go on with the next file.
        skipped: receives a line on each file that was skipped.

    Yields:
        `(index among the files, what was read)`.
    """
    check_policy(on_bad_file, "on_bad_file")
    for index, file in enumerate(files):
        try:
            made = read(file)
        except (DataError, OSError) as error:
            if on_bad_file == "error":
                raise
            skipped.append(shown(error))
            continue
        yield index, made


def check_policy(value: str, argument: str) -> str:
    """Return `value`, "error" or "skip", or raise a DataError that names the argument."""
    try:
        return check_choice(value, argument, POLICIES)
    except ValueError as error:
        raise DataError(str(error)) from error


def note_of(entries: Sequence[str], what: str) -> str | None:
    """Return "WHAT 7 files: A, B, C, D, E and 2 more", or None if there are none.

    Example:
        >>> note_of(["a.txt (not of images)"], "passed over")
        'passed over 1 file: a.txt (not of images)'
    """
    if not entries:
        return None
    more = f" and {len(entries) - NAMED} more" if len(entries) > NAMED else ""
    return f"{what} {len(entries)} file{'s' * (len(entries) > 1)}: {', '.join(entries[:NAMED])}{more}"


def join_notes(*notes: str | None) -> str | None:
    """Return the notes that are not None as one line, or None."""
    return "; ".join(note for note in notes if note) or None
