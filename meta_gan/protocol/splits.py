"""The committed class splits of few-shot-28's tasks A to D, applied to a source by the names of its classes."""

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
}
"""The sha256 of each committed file."""


def folds(task: str) -> list[dict[str, str]]:
    """Reads a committed split.

    Args:
        task: A, B, C or D.

    Returns:
        For each fold `{class name: train | validation | test}`.

    Raises:
        ValueError: an unknown task, or a file that is not the committed one.

    Example:
        >>> folds("B")[3]["3"]
        'test'
    """
    if task not in SHA256:
        raise ValueError(f"a task of few-shot-28 must be one of {', '.join(SHA256)}. Received: {task!r}")
    data = (FOLDER / f"{task}.txt").read_bytes()
    if (digest := hashlib.sha256(data).hexdigest()) != SHA256[task]:
        raise ValueError(f"the split of task {task} must have the sha256 {SHA256[task]}. Received: {digest}")
    rows = [line.split("\t") for line in data.decode("utf-8").splitlines()]
    found: list[dict[str, str]] = [{} for _ in range(1 + max(int(fold) for fold, _, _ in rows))]
    for fold, split, name in rows:
        found[int(fold)][name] = split
    return found


def parse(text: str) -> tuple[str, int]:
    """Reads `A`, `B/3`, `C/0` or `D` as a task and a fold.

    Raises:
        ValueError: an unknown task or fold, or no fold where there are several.

    Example:
        >>> parse("B/3")
        ('B', 3)
    """
    task, _, fold = text.partition("/")
    count = len(folds(task))
    if count == 1 and not fold:
        return task, 0
    if not fold.isdecimal() or not int(fold) < count:
        wanted = f"{task}/0 to {task}/{count - 1}" if count > 1 else task
        raise ValueError(f"a task of few-shot-28 must be {wanted}. Received: {text!r}")
    return task, int(fold)


def apply(source: Source, text: str) -> Source:
    """Splits a source's classes as the protocol does.

    Args:
        source: whose class names are those of the task, no more and no fewer.
        text: as `parse` takes it.

    Returns:
        The same images with the task's split.

    Raises:
        ValueError: an unknown task, or other classes.

    Example:
        `apply(from_npz("mnist.npz").source, "B/3")` holds the digit 3 out.
    """
    task, fold = parse(text)
    split = folds(task)[fold]
    names = source.class_names
    if set(split) != set(names) or len(set(names)) != len(names):
        odd = sorted(set(split) ^ set(names))
        raise ValueError(
            f"{source.name}: task {task} needs its {len(split)} classes, each once. "
            f"Received: {len(names)} classes; {len(odd)} differ: {odd[:3]}"
        )
    values = np.array([SPLITS.index(split[name]) for name in names], np.int8)
    return dataclasses.replace(source, class_split=values)


def recognise(source: Source) -> str | None:
    """Names the task whose classes and split a source has, such as `B/3`; None for data of one's own."""
    held = dict(zip(source.class_names, [SPLITS[value] for value in source.class_split], strict=True))
    for task in SHA256:
        known = folds(task)
        if held in known:
            return task if len(known) == 1 else f"{task}/{known.index(held)}"
    return None


def digest(source: Source) -> str:
    """The sha256 of a source's own split: its lines `split<TAB>class name`, sorted."""
    lines = sorted(f"{SPLITS[s]}\t{name}" for name, s in zip(source.class_names, source.class_split, strict=True))
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
