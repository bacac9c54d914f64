"""Texts: tasks from lists or files of short texts, an example a line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan.checks import check_integer
from meta_gan.tasks.arrays import to_labels, to_split
from meta_gan.tasks.base import Source
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.media import Texts

SUFFIX = ".txt"
LONGEST = 64
"""Characters at most that a text is kept at, unless a length is asked for."""


def text_files(folder: Path) -> list[Path]:
    """Return the text files directly in a folder, sorted by name; hidden files are left out."""
    files = (file for file in folder.iterdir() if file.suffix.lower() == SUFFIX and file.is_file())
    return sorted(file for file in files if not file.name.startswith("."))


def read_lines(path: str | Path) -> list[str]:
    """Read a UTF-8 file of one text a line; empty lines, and white space around a text, are left out.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: naming the file, if it is not UTF-8 or holds no text.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: must be a text file in UTF-8. Received: {error}") from error
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        raise DataError(f"{path}: must hold at least 1 line of text. Received: none")
    return texts


def alphabet_of(texts: Iterable[str]) -> str:
    """Return the characters of texts, sorted."""
    return "".join(sorted(set().union(*texts)))


def from_texts(
    texts: Sequence[str],
    labels: Any,
    *,
    alphabet: str | None = None,
    length: int | None = None,
    class_names: Sequence[str] | None = None,
    class_split: Any = None,
    name: str = "texts",
    shots: int = 20,
    queries: int = 20,
    seed: int = 0,
) -> Tasks:
    """Make tasks from short texts.

    Args:
        texts: n texts of 1 or more characters.
        labels: int[n] or str[n], the class of each text.
        alphabet: the characters that may occur, at most 255; None for those that do.
        length: characters of a text, what is longer is cut; None for the longest's, at most 64.
        class_names: see `from_arrays`.
        class_split: see `from_arrays`.
        name: what messages call the data.
        shots: support texts of a task.
        queries: query texts of a task.
        seed: the key of every draw.

    Returns:
        `Tasks`, of episodes float32[tasks, n, length, characters + 1], one-hot; symbol 0 is the end.

    Raises:
        DataError: an empty text, one of other characters, or arrays that do not fit together.

    Example:
        >>> tasks = from_texts(["ab", "ba"] * 4, ["x"] * 4 + ["y"] * 4, class_split=[0, 2], shots=2, queries=2)
        >>> tasks.example_shape, tasks.source.medium.alphabet
        ((2, 3), 'ab')
    """
    texts = [str(text) for text in texts]
    medium = Texts(alphabet_of(texts) if alphabet is None else alphabet)
    longest = max((len(text) for text in texts), default=1)
    wanted = min(LONGEST, max(1, longest)) if length is None else check_integer(length, "length", 1)
    stored = medium.encode(texts, wanted, name)
    indices, names = to_labels(labels, class_names, len(stored))
    source = Source(stored, indices, names, to_split(class_split, names), name=name, medium=medium)
    return Tasks(source, shots, queries, seed)


def from_text_folder(
    path: str | Path,
    alphabet: str | None = None,
    length: int | None = None,
    *,
    shots: int = 20,
    queries: int = 20,
    seed: int = 0,
) -> Tasks:
    """Make tasks from a folder that holds a text file for each class, named after it: a text a line, in UTF-8.

    The classes are split 80/10/10 by a hash of their names.

    Args:
        path: the folder.
        alphabet: see `from_texts`.
        length: see `from_texts`.
        shots: support texts of a task.
        queries: query texts of a task.
        seed: the key of every draw.

    Returns:
        `Tasks`.

    Raises:
        FileNotFoundError: if there is no such folder.
        DataError: if it has no text files, a class has too few texts, or a file cannot be read; it names it.

    Example:
        `from_text_folder("names/")` for names/Irish.txt, names/Greek.txt, ...
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"A folder of text files must exist. Received: {path}")
    files = text_files(path)
    if not files:
        raise DataError(f"{path}: must hold one {SUFFIX} file for each class. Received: none")
    read = [read_lines(file) for file in files]
    labels = np.repeat([file.stem for file in files], [len(lines) for lines in read])
    texts = [line for lines in read for line in lines]
    episode: dict[str, Any] = {"shots": shots, "queries": queries, "seed": seed}
    return from_texts(texts, labels, alphabet=alphabet, length=length, name=str(path), **episode)
