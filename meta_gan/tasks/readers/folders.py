"""Tasks from folders: `from_folder`, `from_sound_folder` and `from_text_folder`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan.checks import IMAGE_AXES, check_shape
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.files import files_in
from meta_gan.tasks.media import pictures, sounds, texts
from meta_gan.tasks.pixels import luminance, to_channels
from meta_gan.tasks.readers.arrays import from_texts, make_source

LARGEST, FALLBACK = 128, (32, 32)
"""Without `image_shape`, pictures keep a size that all share and that is not larger than this; else the fallback."""


def class_files(path: Path, what: str, suffixes: tuple[str, ...]) -> tuple[list[Path], np.ndarray, list[str]]:
    """Return the files of a folder's class folders, int32[files], the class of each, and the sorted class names.

    Hidden files and folders are ignored. A folder without class folders, or a class folder without such files, is a
    DataError, which calls the files `what`, "image" or "sound".
    """
    if not path.is_dir():
        raise FileNotFoundError(f"A folder of class folders must exist. Received: {path}")
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    classes = {entry.name: files_in(entry, suffixes) for entry in entries if entry.is_dir()}
    if not classes:
        required = f"must hold one folder of {what}s for each class"
        raise DataError(f"{path}: {required}. Received: {len(entries)} files and no folder")
    empty = [name for name, files in classes.items() if not files]
    if empty:
        raise DataError(
            f"{path}: every class folder must hold {what} files ({', '.join(suffixes)}). "
            f"Received: none in {len(empty)} of {len(classes)} folders, such as {empty[0]!r}"
        )
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), [len(files) for files in classes.values()])
    return [file for files in classes.values() for file in files], labels, list(classes)


def from_folder(
    path: str | Path, image_shape: Sequence[int] | None = None, *, shots: int = 5, queries: int = 7, seed: int = 0
) -> Tasks:
    """Make tasks from a folder that holds one folder of images for each class, named after it.

    PNG, JPEG, BMP, GIF (first frame) and WebP files are read as `load_support` reads them. The classes are split
    80/10/10 by a hash of their names. Files beside the class folders, other files in them, and hidden files are
    ignored.

    Args:
        path: the folder.
        image_shape: (height, width, channels). None takes the size that all files share, if there is one and it is at
            most 128 x 128, else 32 x 32; and 1 channel if every pixel is grey, else 3.
        shots, queries, seed: see `Tasks`.

    Returns:
        `Tasks`.

    Raises:
        FileNotFoundError: there is no such folder.
        DataError: it has no class folders, a class has too few images, or a file cannot be read; the message names it.

    Example:
        `from_folder("flags/", (32, 32, 3), shots=3, queries=3)` for flags/france/1.png, flags/france/2.png, ...
    """
    shape = None if image_shape is None else check_shape(image_shape, "image_shape", IMAGE_AXES)
    files, labels, names = class_files(Path(path), "image", pictures.SUFFIXES)
    height, width = shape[:2] if shape else _shared_size(files)
    levels = pictures.load_files(files, height, width)
    if shape:
        levels = to_channels(levels, shape[2])
    elif (levels[..., :1] == levels).all():
        levels = luminance(levels)
    return Tasks(make_source(np.ascontiguousarray(levels), labels, names, name=str(path)), shots, queries, seed)


def _shared_size(files: list[Path]) -> tuple[int, int]:
    """Return the (height, width) that all files share, or the fallback."""
    sizes = {pictures.read_size(file) for file in files}
    height, width = next(iter(sizes))
    return (height, width) if len(sizes) == 1 and max(height, width) <= LARGEST else FALLBACK


def from_sound_folder(
    path: str | Path,
    rate: int | None = None,
    length: int | None = None,
    *,
    shots: int = 5,
    queries: int = 7,
    seed: int = 0,
) -> Tasks:
    """Make tasks from a folder that holds one folder of sound files for each class, named after it.

    WAV, FLAC and Ogg files are averaged over their channels, resampled, trimmed at both ends of samples 40 dB below the
    loudest sample, and cut or padded with silence. The classes are split 80/10/10 by a hash of their names.

    Args:
        path: the folder.
        rate: samples a second to resample to; None for the lowest among the files.
        length: samples of a sound; None for the least power of 2 that holds all after trimming, at most 16384.
        shots, queries, seed: see `Tasks`.

    Returns:
        `Tasks`.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: `rate` or `length` is not an integer >= 1.
        DataError: it has no class folders, a class has too few sounds, or a file cannot be read; the message names it.

    Example:
        `from_sound_folder("words/", rate=8000, length=8192)` for words/yes/1.wav, words/no/1.wav, ...
    """
    files, labels, names = class_files(Path(path), "sound", sounds.SUFFIXES)
    stored, medium = sounds.fitted([sounds.read_sound(file) for file in files], rate, length, files)
    return Tasks(make_source(stored, labels, names, name=str(path), medium=medium), shots, queries, seed)


def from_text_folder(
    path: str | Path,
    alphabet: str | None = None,
    length: int | None = None,
    *,
    shots: int = 20,
    queries: int = 20,
    seed: int = 0,
) -> Tasks:
    """Make tasks from a folder that holds a text file in UTF-8 for each class, named after it, with one text a line.

    The classes are split 80/10/10 by a hash of their names.

    Args:
        path: the folder.
        alphabet, length: see `from_texts`.
        shots, queries, seed: see `Tasks`.

    Returns:
        `Tasks`.

    Raises:
        FileNotFoundError: there is no such folder.
        DataError: it has no text files, a class has too few texts, or a file cannot be read; the message names it.

    Example:
        `from_text_folder("names/")` for names/Irish.txt, names/Greek.txt, ...
    """
    if not Path(path).is_dir():
        raise FileNotFoundError(f"A folder of text files must exist. Received: {path}")
    files = files_in(Path(path), (texts.SUFFIX,))
    if not files:
        raise DataError(f"{path}: must hold one {texts.SUFFIX} file for each class. Received: none")
    read = [texts.read_lines(file) for file in files]
    labels = np.repeat([file.stem for file in files], [len(lines) for lines in read])
    lines = [line for lines in read for line in lines]
    episode: dict[str, Any] = {"shots": shots, "queries": queries, "seed": seed}
    return from_texts(lines, labels, alphabet=alphabet, length=length, name=str(path), **episode)
