"""Tasks from folders: `from_folder`, `from_sound_folder` and `from_text_folder`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from meta_gan.checks import IMAGE_AXES, check_integer, check_shape
from meta_gan.hints import missing_hint
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError, shown
from meta_gan.tasks.files import (
    NOTHING,
    Listing,
    advice_of,
    check_name,
    check_policy,
    class_folders_in,
    folders_in,
    is_litter,
    kind_of,
    listing,
    note_of,
    read_each,
)
from meta_gan.tasks.media import pictures, sounds, texts
from meta_gan.tasks.pixels import luminance, to_channels
from meta_gan.tasks.readers.arrays import from_texts, make_source, make_tasks

T = TypeVar("T")
LARGEST, FALLBACK = 128, (32, 32)
"""Without `image_shape`, pictures keep a size that all share and that is not larger than this; else the fallback."""


class ClassFiles(NamedTuple):
    """The files of class folders.

    Attributes:
        files: in the order of their classes.
        labels: int32[files], the class of each.
        names: those of the classes, sorted.
        passed: a line on each file that was passed over.
    """

    files: list[Path]
    labels: np.ndarray
    names: list[str]
    passed: list[str]


def class_files(path: Path, what: str, suffixes: tuple[str, ...], small_classes: str = "error") -> ClassFiles:
    """List the files of a folder's class folders.

    Hidden files and folders, and what systems leave behind (`__MACOSX`, `lost+found`), are ignored. A folder without
    class folders, a name that is not UTF-8, or, unless `small_classes` is "skip", a class folder without such files is
    a DataError, which calls the files `what`, "image" or "sound".
    """
    check_policy(small_classes, "small_classes")
    if (kind := kind_of(path)) != "a folder":
        hint = missing_hint(path) if kind == NOTHING else advice_of(path)
        raise FileNotFoundError(f"A folder of class folders must exist. Received: {shown(path)}, {kind}{hint}")
    entries = sorted(entry for entry in path.iterdir() if not is_litter(entry.name))
    folders = [entry for entry in entries if entry.is_dir()]
    for folder in folders:
        check_name(folder.name, f"{shown(path)}: every class folder")
    listed = {folder.name: listing(folder, what, suffixes) for folder in folders}
    if not listed:
        required = f"must hold one folder of {what}s for each class"
        above = path.parent if path.name else path.resolve().parent
        several = len(class_folders_in(above, what, suffixes)) > 1
        hint = f". Did you mean '{above}', the folder above?" if several else ""
        raise DataError(f"{path}: {required}. Received: {len(entries)} files and no folder{hint}")
    empty = [name for name, found in listed.items() if not found.files]
    if empty and (small_classes == "error" or len(empty) == len(listed)):
        deep = [entry for name in empty for entry in folders_in(path / name)]
        if len(empty) == len(listed) and deep:
            required = f"must hold one folder of {what}s for each class, with the {what}s directly in it"
            raise DataError(
                f"{path}: {required}; give '{path / empty[0]}', or move all class folders into one folder. "
                f"Received: a folder of folders of folders, such as '{deep[0].relative_to(path)}'"
            )
        raise DataError(
            f"{path}: every class folder must hold {what} files ({', '.join(suffixes)}){_advice(listed[empty[0]])}. "
            f"Received: none in {len(empty)} of {len(listed)} folders, such as '{empty[0]}'"
        )
    sizes = [len(found.files) for found in listed.values()]
    labels = np.repeat(np.arange(len(listed), dtype=np.int32), sizes)
    passed = [f"{shown(name)}/{line}" for name, found in listed.items() for line in found.passed]
    return ClassFiles([file for found in listed.values() for file in found.files], labels, list(listed), passed)


def _advice(found: Listing) -> str:
    return f"; passed over: {', '.join(found.passed[:3])}" if found.passed else ""


def _read(
    path: Path, found: ClassFiles, read: Callable[[Path], T], on_bad_file: str
) -> tuple[list[T], np.ndarray, list[str]]:
    """Read files; return what was read, the label of each, and a line on each that was skipped."""
    skipped: list[str] = []
    pairs = list(read_each(found.files, read, on_bad_file, skipped))
    if not pairs:
        received = note_of(skipped, "skipped")
        raise DataError(f"{path}: must hold at least 1 file that can be read. Received: {received}")
    return [made for _, made in pairs], found.labels[[index for index, _ in pairs]], skipped


def from_folder(
    path: str | Path,
    image_shape: Sequence[int] | None = None,
    *,
    shots: int = 5,
    queries: int = 7,
    seed: int = 0,
    on_bad_file: str = "error",
    small_classes: str = "error",
) -> Tasks:
    """Make tasks from a folder that holds one folder of images for each class, named after it.

    PNG, JPEG, BMP, GIF (first frame), WebP, TIFF and AVIF files are read as `load_support` reads them. The classes are
    split 80/10/10 by a hash of their names. Hidden files and what systems leave behind are ignored; other files are
    passed over, and `tasks.describe()` counts and names them.

    Args:
        path: the folder. The names of class folders must be UTF-8.
        image_shape: (height, width, channels). None takes the size that all files share, if there is one and it is at
            most 128 x 128, else 32 x 32; and 1 channel if every pixel is grey, else 3.
        shots, queries, seed: see `Tasks`.
        on_bad_file: "error", or "skip" to go on without the files that cannot be read.
        small_classes: "error", or "skip" to go on without the classes that have fewer than `shots + queries` images.
            What was skipped is listed in `tasks.source.skipped`, in `tasks.describe()` and in the card.

    Returns:
        `Tasks`.

    Raises:
        FileNotFoundError: there is no such folder.
        DataError: it has no class folders, a class has too few images, or a file cannot be read; the message names it.

    Example:
        `from_folder("flags/", (32, 32, 3), shots=3, queries=3)` for flags/france/1.png, flags/france/2.png, ...
    """
    shape = None if image_shape is None else check_shape(image_shape, "image_shape", IMAGE_AXES)
    path = Path(path)
    found = class_files(path, "image", pictures.suffixes(), small_classes)
    height, width = shape[:2] if shape else _shared_size(found.files, on_bad_file)
    levels, indices, skipped = pictures.load_files(found.files, height, width, on_bad_file)
    if shape:
        levels = to_channels(levels, shape[2])
    elif (levels[..., :1] == levels).all():
        levels = luminance(levels)
    notes: dict[str, Any] = {"skipped": skipped, "passed": found.passed}
    labels = found.labels[indices]
    source = make_source(np.ascontiguousarray(levels), labels, found.names, name=str(path), **notes)
    return make_tasks(source, shots, queries, seed, small_classes)


def _shared_size(files: list[Path], on_bad_file: str) -> tuple[int, int]:
    """Return the (height, width) that all files share, or the fallback."""
    sizes = {size for _, size in read_each(files, pictures.read_size, on_bad_file, [])}
    height, width = next(iter(sizes), FALLBACK)
    return (height, width) if len(sizes) == 1 and max(height, width) <= LARGEST else FALLBACK


def from_sound_folder(
    path: str | Path,
    rate: int | None = None,
    length: int | None = None,
    *,
    shots: int = 5,
    queries: int = 7,
    seed: int = 0,
    on_bad_file: str = "error",
    small_classes: str = "error",
) -> Tasks:
    """Make tasks from a folder that holds one folder of sound files for each class, named after it.

    WAV, FLAC and Ogg files are averaged over their channels, resampled, trimmed at both ends of samples 40 dB below the
    loudest sample, and cut or padded with silence. The classes are split 80/10/10 by a hash of their names.

    Args:
        path: the folder. The names of class folders must be UTF-8.
        rate: samples a second to resample to; None for the lowest among the files.
        length: samples of a sound; None for the least power of 2 that holds all after trimming, at most 16384.
        shots, queries, seed: see `Tasks`.
        on_bad_file, small_classes: see `from_folder`.

    Returns:
        `Tasks`.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: `rate` or `length` is not an integer >= 1.
        DataError: it has no class folders, a class has too few sounds, or a file cannot be read; the message names it.

    Example:
        `from_sound_folder("words/", rate=8000, length=8192)` for words/yes/1.wav, words/no/1.wav, ...
    """
    path = Path(path)
    found = class_files(path, "sound", sounds.SUFFIXES, small_classes)
    length = None if length is None else check_integer(length, "length", 1)
    if rate is None:
        rates, _, _ = _read(path, found, sounds.read_rate, on_bad_file)
        rate = min(rates)
    wanted = sounds.Sounds(rate).rate
    read, labels, skipped = _read(path, found, lambda file: sounds.prepared(file, wanted, length), on_bad_file)
    stored, medium = sounds.joined(read, wanted, length)
    notes: dict[str, Any] = {"skipped": skipped, "passed": found.passed}
    source = make_source(stored, labels, found.names, name=str(path), medium=medium, **notes)
    return make_tasks(source, shots, queries, seed, small_classes)


def from_text_folder(
    path: str | Path,
    alphabet: str | None = None,
    length: int | None = None,
    *,
    shots: int = 20,
    queries: int = 20,
    seed: int = 0,
    on_bad_file: str = "error",
    small_classes: str = "error",
) -> Tasks:
    """Make tasks from a folder that holds a text file in UTF-8 for each class, named after it, with one text a line.

    The classes are split 80/10/10 by a hash of their names.

    Args:
        path: the folder. The names of its files must be UTF-8.
        alphabet, length: see `from_texts`.
        shots, queries, seed: see `Tasks`.
        on_bad_file, small_classes: see `from_folder`.

    Returns:
        `Tasks`.

    Raises:
        FileNotFoundError: there is no such folder.
        DataError: it has no text files, a class has too few texts, or a file cannot be read; the message names it.

    Example:
        `from_text_folder("names/")` for names/Irish.txt, names/Greek.txt, ...
    """
    path = Path(path)
    if kind_of(path) != "a folder":
        raise FileNotFoundError(f"A folder of text files must exist. Received: {shown(path)}, {kind_of(path)}")
    files, passed = listing(path, "text", (texts.SUFFIX,))
    if not files:
        raise DataError(f"{path}: must hold one {texts.SUFFIX} file for each class. Received: none")
    for file in files:
        check_name(file.stem, f"{shown(path)}: every text file")
    found = ClassFiles(files, np.arange(len(files), dtype=np.int32), [file.stem for file in files], passed)
    read, numbers, skipped = _read(path, found, texts.read_lines, on_bad_file)
    labels = np.repeat([files[number].stem for number in numbers], [len(lines) for lines in read])
    lines = [line for each in read for line in each]
    options: dict[str, Any] = {"shots": shots, "queries": queries, "seed": seed, "small_classes": small_classes}
    options |= {"skipped": skipped, "passed": passed}
    return from_texts(lines, labels, alphabet=alphabet, length=length, name=str(path), **options)
