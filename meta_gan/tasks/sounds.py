"""Tasks from sounds: from arrays of them, or a folder of class folders of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan.checks import check_integer
from meta_gan.tasks.arrays import to_labels, to_split
from meta_gan.tasks.base import Source
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.media import Sounds
from meta_gan.tasks.sound_files import SUFFIXES, fitted, read_sound, sound_files, to_int16


def from_sounds(
    audio: Any,
    labels: Any,
    rate: int,
    *,
    class_names: Sequence[str] | None = None,
    class_split: Any = None,
    name: str = "sounds",
    shots: int = 5,
    queries: int = 7,
    seed: int = 0,
) -> Tasks:
    """Make tasks from arrays of sounds.

    Args:
        audio: int16 or floats in [-1, 1], [n, samples] or [n, samples, 1], all of one length and rate.
        labels: int[n] or str[n], the class of each sound.
        rate: samples a second, >= 1.
        class_names: see `from_arrays`.
        class_split: see `from_arrays`.
        name: what messages call the data.
        shots: support sounds of a task.
        queries: query sounds of a task.
        seed: the key of every draw.

    Returns:
        `Tasks`, of episodes float32[tasks, n, samples, 1] in [-1, 1].

    Raises:
        DataError: if the arrays do not fit together or a class has too few examples.

    Example:
        >>> from_sounds(np.zeros((24, 2048)), np.repeat(["a", "b"], 12), 8000, class_split=[0, 2]).example_shape
        (2048, 1)
    """
    levels = to_int16(audio)
    indices, names = to_labels(labels, class_names, len(levels))
    medium = Sounds(check_integer(rate, "rate", 1))
    source = Source(levels, indices, names, to_split(class_split, names), name=name, medium=medium)
    return Tasks(source, shots, queries, seed)


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

    Files are read as `read_sound` does, resampled, trimmed of what is 40 dB below their loudest sample at both ends,
    and cut or followed by silence. The classes are split 80/10/10 by a hash of their names.

    Args:
        path: the folder.
        rate: samples a second to bring all to; None for the lowest among the files.
        length: samples of a sound; None for the least power of 2 that holds all after trimming, at most 16384.
        shots: support sounds of a task.
        queries: query sounds of a task.
        seed: the key of every draw.

    Returns:
        `Tasks`.

    Raises:
        FileNotFoundError: if there is no such folder.
        DataError: if it has no class folders, a class has too few sounds, or a file cannot be read; it names it.

    Example:
        `from_sound_folder("words/", rate=8000, length=8192)` for words/yes/1.wav, words/no/1.wav, ...
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"A folder of class folders must exist. Received: {path}")
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    classes = [(folder.name, sound_files(folder)) for folder in folders]
    empty = [name for name, files in classes if not files]
    if not classes or empty:
        received = f"none in {len(empty)} of {len(classes)} folders, such as {empty[0]!r}" if empty else "no folder"
        raise DataError(f"{path}: must hold one folder of sounds ({', '.join(SUFFIXES)}) a class. Received: {received}")
    members = [file for _, files in classes for file in files]
    levels, medium = fitted([read_sound(file) for file in members], rate, length, members)
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), [len(files) for _, files in classes])
    names = [name for name, _ in classes]
    source = Source(levels, labels, names, to_split(None, names), name=str(path), medium=medium)
    return Tasks(source, shots, queries, seed)
