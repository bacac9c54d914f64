"""The committed class splits of the tasks of few-shot-28, applied to a source by the names of its classes."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from meta_gan.tasks import Source
from meta_gan.tasks.base import SPLITS

FOLDER = Path(__file__).parent / "class_splits"
SHA256 = {
    "A": "e85a7b64ecee22dbf1f3472c9f9cbf3dd9b714f44aa412aca746c61b65062b52",
    "B": "f1767d6410a46c10b19881132da5c86050775c8900f8fb1d52ad3333f2d0b590",
    "C": "23fca305d5df584091b6ee023899531fbdd50ff9f4058881a745d674619fdad8",
    "D": "ac07e159cf38eaa7e4873aa71f7cbb3567af6da7c58671730b620a8819b2ec38",
    "weak": "e8f02dd4c26a105f912d927cee94af6f275d95ce28ec94488950982f3daebe1f",
}
"""The sha256 of each committed file."""


def read_folds(task: str) -> list[dict[str, str]]:
    """Return the committed split of a task, one of `SHA256`: for each fold {class name: train, validation or test}.

    Raises:
        ValueError: `task` is unknown, or the file is not the committed one.

    Example:
        >>> read_folds("B")[3]["3"]
        'test'
    """
    if task not in SHA256:
        raise ValueError(f"a task of few-shot-28 must be one of {', '.join(SHA256)}. Received: {task!r}")
    data = (FOLDER / f"{task}.txt").read_bytes()
    if (digest := hashlib.sha256(data).hexdigest()) != SHA256[task]:
        raise ValueError(f"the split of task {task} must have the sha256 {SHA256[task]}. Received: {digest}")
    rows = [line.split("\t") for line in data.decode("utf-8").splitlines()]
    folds: list[dict[str, str]] = [{} for _ in range(1 + max(int(fold) for fold, _, _ in rows))]
    for fold, split, name in rows:
        folds[int(fold)][name] = split
    return folds


def parse_task(text: str) -> tuple[str, int]:
    """Return the task and the fold of `A`, `B/3`, `C/0`, `D` or `weak`.

    Raises:
        ValueError: the task or fold is unknown, or the fold is missing where there are several.

    Example:
        >>> parse_task("B/3")
        ('B', 3)
    """
    task, _, fold = text.partition("/")
    count = len(read_folds(task))
    if count == 1 and not fold:
        return task, 0
    if not fold.isdecimal() or not int(fold) < count:
        wanted = f"{task}/0 to {task}/{count - 1}" if count > 1 else task
        raise ValueError(f"a task of few-shot-28 must be {wanted}. Received: {text!r}")
    return task, int(fold)


def apply_split(source: Source, text: str) -> Source:
    """Return a source with the class split of a task.

    Args:
        source: its class names must be those of the task.
        text: the task, as for `parse_task`.

    Raises:
        ValueError: the task is unknown, or the source has other classes.

    Example:
        `apply_split(from_npz("mnist.npz").source, "B/3")` holds out the digit 3.
    """
    task, fold = parse_task(text)
    split, names = read_folds(task)[fold], source.class_names
    if set(split) != set(names) or len(set(names)) != len(names):
        odd = sorted(set(split) ^ set(names))
        raise ValueError(
            f"{source.name}: the source must have the {len(split)} classes of task {task}, each once. "
            f"Received: {len(names)} classes; {len(odd)} differ: {odd[:3]}"
        )
    values = np.array([SPLITS.index(split[name]) for name in names], np.int8)
    return dataclasses.replace(source, class_split=values)


def recognise_task(source: Source) -> str | None:
    """Return the task whose classes and split a source has, such as `B/3`; None for other data."""
    own = dict(zip(source.class_names, [SPLITS[value] for value in source.class_split], strict=True))
    for task in SHA256:
        folds = read_folds(task)
        if own in folds:
            return task if len(folds) == 1 else f"{task}/{folds.index(own)}"
    return None


def data_digest(source: Source) -> str:
    """Return the sha256 of a source's images and labels."""
    return hashlib.sha256(source.images.tobytes() + source.labels.tobytes()).hexdigest()


def split_digest(source: Source) -> str:
    """Return the sha256 of a source's split, as sorted lines `split<TAB>class name`."""
    lines = sorted(f"{SPLITS[s]}\t{name}" for name, s in zip(source.class_names, source.class_split, strict=True))
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
