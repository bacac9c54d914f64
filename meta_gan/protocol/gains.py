"""The classification gain: what generated images add to a classifier of few real ones."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan.metrics.bootstrap import bootstrap_mean
from meta_gan.protocol.classification import ClassifierRecipe, accuracy, class_draws

NONE = "none"
"""The row of the support alone, from which the gains are counted."""
DRAW_SEED = 0
"""Of the drawn groups of classes, which are the same ones in every evaluation of the same classes."""


class Log:
    """Accuracies on disk, a line each, so that an evaluation that was cut off does not train them again.

    Args:
        path: of the JSON lines.
    """

    def __init__(self, path: Path):
        self.path, self.values = path, {}
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for line in lines:
            try:
                entry = json.loads(line)
                self.values[entry["row"], entry["draw"], entry["seed"]] = entry["accuracy"]
            except (ValueError, KeyError, TypeError):
                # A line that was cut off by a kill: trained again, and written anew below it.
                continue
        if lines and not path.read_text(encoding="utf-8").endswith("\n"):
            with path.open("a", encoding="utf-8") as file:
                file.write("\n")

    def get(self, row: str, draw: int, seed: int, make: Callable[[], float]) -> float:
        """The accuracy of a row, drawn group and classifier seed, made only if it is not there."""
        key = (row, draw, seed)
        if key not in self.values:
            value = float(make())
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"row": row, "draw": draw, "seed": seed, "accuracy": value}) + "\n")
            self.values[key] = value
        return self.values[key]


def gains(
    support: Sequence[np.ndarray],
    references: Sequence[np.ndarray],
    added: Mapping[str, Sequence[np.ndarray] | None],
    draws: int,
    seeds: int,
    ways: int,
    log: Log,
    report: Callable[[int, int], None],
    recipe: ClassifierRecipe | None = None,
) -> dict[str, dict[str, Any] | None]:
    """Trains a small classifier on the support alone, and on the support with each row's images.

    Args:
        support: for each class uint8[shots, *example].
        references: for each class the images that the accuracy is of.
        added: for each row and class the images that are added; None for a row that takes no part.
        draws: fixed drawn groups of classes.
        seeds: classifiers a group, with the same weights and batches at the start for every row.
        ways: classes of a group; all where there are fewer.
        log: where accuracies are kept.
        report: called with how many classifiers are done, and of how many.
        recipe: of the classifier; None for the pinned one.

    Returns:
        `{row: {"classification_accuracy": Interval, "classification_gain": Interval}}` as dictionaries, and the row
        `none` with its accuracy; intervals are over the groups. None for a row that takes no part.

    Example:
        >>> found = gains(support, references, {"copy": copies}, 20, 3, 20, Log(path), print)
    """
    recipe = recipe or ClassifierRecipe()
    groups = class_draws(len(support), min(ways, len(support)), draws, DRAW_SEED)
    rows: dict[str, Sequence[np.ndarray] | None] = {NONE: [images[:0] for images in support], **added}
    taking = {row: images for row, images in rows.items() if images is not None}
    found, done, total = {}, 0, len(taking) * draws * seeds
    for row, images in taking.items():
        table = np.zeros((draws, seeds))
        for draw, group in enumerate(groups):
            for seed in range(seeds):
                make = functools.partial(_train, recipe, support, images, references, group, seed)
                table[draw, seed] = log.get(row, draw, seed, make)
                done += 1
                report(done, total)
        found[row] = table.mean(axis=1)
    results: dict[str, dict[str, Any] | None] = dict.fromkeys(rows)
    for row, values in found.items():
        results[row] = {
            "classification_accuracy": bootstrap_mean(values).as_dict(),
            "classification_gain": None if row == NONE else bootstrap_mean(values - found[NONE]).as_dict(),
        }
    return results


def _train(
    recipe: ClassifierRecipe,
    support: Sequence[np.ndarray],
    added: Sequence[np.ndarray],
    references: Sequence[np.ndarray],
    group: np.ndarray,
    seed: int,
) -> float:
    shown = [np.concatenate([support[way], added[way]]) for way in group]
    asked = [references[way] for way in group]
    labels, wanted = (np.repeat(np.arange(len(group)), [len(part) for part in parts]) for parts in (shown, asked))
    return accuracy(recipe, np.concatenate(shown), labels, np.concatenate(asked), wanted, len(group), seed)
