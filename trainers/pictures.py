"""The pictures of a run, or lines of texts: real examples, and what a model makes of a few tasks as it learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan.model import MetaModel
from meta_gan.tasks.media import Sounds, Texts, of_card
from meta_gan.tasks.pictures import grid, save_png, waveforms
from meta_gan.types import Episode


def reals(episodes: Episode) -> list[np.ndarray]:
    """Rows of real examples, one a task: support and query; of domains the source's and then the target's.

    Args:
        episodes: a meta-batch.

    Returns:
        A float32[n, height, width, channels] for each task.
    """
    rows = []
    for task in range(len(episodes.task_id)):
        pairs = zip(_sets(episodes.support, task), _sets(episodes.query, task), strict=True)
        rows.append(_apart([np.concatenate(pair) for pair in pairs]))
    return rows


def progress(model: MetaModel, episodes: Episode, steps: Sequence[int]) -> list[np.ndarray]:
    """Rows of what a model makes, one a task: the support images, and after each number of inner steps as many samples.

    Of a model of domains: the source's and the target's support images, and translations of the former, or samples.

    Args:
        model: the model as it is.
        episodes: a meta-batch.
        steps: numbers of inner steps, each >= 0.

    Returns:
        A float32[n, height, width, channels] for each task.
    """
    rows = []
    for task in range(len(episodes.task_id)):
        sets = _sets(episodes.support, task)
        support: Any = dict(zip(episodes.support, sets, strict=True)) if len(sets) > 1 else sets[0]
        parts = list(sets)
        for count in steps:
            adapted = model.adapt(support, steps=count, seed=0)
            translates = "translate" in model.game.endpoints
            made = adapted.translate(sets[0]) if translates else adapted.sample(len(sets[0]), seed=0)
            # A class on which adaptation diverged is drawn grey; the metrics say so.
            parts.append(np.nan_to_num(made))
        rows.append(_apart(parts))
    return rows


def write(folder: Path, name: str, rows: list[np.ndarray], card: Mapping[str, Any]) -> None:
    """Writes rows of `reals` or `progress`: a grid of pictures or waveforms, `NAME.png`, or lines of texts, `NAME.txt`.

    Args:
        folder: where to.
        name: without an ending.
        rows: one a task.
        card: what the examples are, see `tasks.media`.
    """
    medium = of_card(dict(card))
    if not isinstance(medium, Texts):
        sounds = isinstance(medium, Sounds)
        save_png(folder / f"{name}.png", grid([waveforms(row) for row in rows] if sounds else rows))
        return
    lines = [", ".join(text if row[i].any() else "|" for i, text in enumerate(medium.decode(row))) for row in rows]
    (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _sets(examples: Any, task: int) -> list[np.ndarray]:
    """The examples of one task, by domain where there are several."""
    return [np.asarray(e[task]) for e in (examples.values() if isinstance(examples, dict) else [examples])]


def _apart(parts: list[np.ndarray]) -> np.ndarray:
    """The parts in one row, a grey image between two."""
    gap = np.zeros_like(parts[0][:1])
    return np.concatenate([image for part in parts for image in (gap, part)][1:])
