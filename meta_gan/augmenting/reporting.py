"""The report of an `Augmenter`: its content as JSON values, and its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meta_gan.augmenting.subset import MOST_CLASSES, MOST_PICTURES
from meta_gan.protocol.recommendation import GENERATED
from meta_gan.report.augmentation import AugmentationReport

if TYPE_CHECKING:
    from meta_gan.augmenting.augmenter import Augmenter

SHOWN_CLASSES, SHOWN_REAL, SHOWN_NEW, NEAREST = 8, 5, 10, 12
COPY = 0.02
"""The root mean square difference, in levels of [0, 1], below which a generated picture counts as a copy."""


def content(augmenter: Augmenter, data: str) -> dict[str, Any]:
    """Return the fields of an `AugmentationReport`; see `Augmenter.report`."""
    pictures, found = augmenter._fitted(), augmenter.recommendation_
    rows = {}
    for row, result in augmenter.results_.items():
        over = found.over_plain.get(row) if found else None
        gain = result["gain"]
        rows[row] = {
            "accuracy": result["accuracy"].as_dict(),
            "gain": None if gain is None else gain.as_dict(),
            "over_plain": None if over is None else over.as_dict(),
        }
    sizes = pictures.sizes
    return {
        "data": {
            "name": data,
            "classes": len(sizes),
            "pictures": len(pictures.levels),
            "smallest_class": int(sizes.min()),
            "largest_class": int(sizes.max()),
            "picture_shape": list(pictures.levels.shape[1:]),
        },
        "model": {
            "name": augmenter._name,
            "picture_shape": list(augmenter.model_.game.example_shape),
            "inverted": augmenter._inverted,
        },
        "fine_tuning": {
            "minutes": None if augmenter.steps is not None else augmenter.minutes,
            "steps": [int(steps) for steps in augmenter._made],
            "rate": augmenter.rate,
            "shots": augmenter.shots_,
            "queries": augmenter.queries_,
            "meta_batch": augmenter._tuner.meta_batch,
        },
        "comparison": _comparison(augmenter),
        "rows": rows,
        "method": augmenter.chosen_method,
        "best_plain": found.best_plain if found else None,
        "lines": list(found.lines()) if found else [],
        "seed": augmenter.seed,
        "seconds": round(augmenter._seconds, 1),
    }


def _comparison(augmenter: Augmenter) -> dict[str, Any] | None:
    subset = augmenter._subset
    if subset is None:
        return None
    notes = []
    if len(subset.classes) < len(augmenter.classes_):
        notes.append(f"{MOST_CLASSES} of {len(augmenter.classes_)} classes are compared")
    if len(subset.pictures) < len(augmenter._working) and not notes:
        notes.append(f"at most {MOST_PICTURES} pictures of each class are compared")
    return {
        "folds": min(augmenter.folds, len(subset.labels)),
        "classifiers": augmenter.classifiers,
        "per_class": augmenter.per_class,
        "classes": len(subset.classes),
        "pictures": len(subset.pictures),
        "classifier": "small convolutional network" if augmenter.classifier is None else "the user's Keras model",
        "classifier_shape": list(augmenter._shown_shape),
        "plain_of_folds": list(augmenter._plain_of_folds),
        "notes": notes,
    }


def galleries(augmenter: Augmenter) -> dict[str, dict[str, Any]]:
    """Return for generated pictures, and for what is recommended, the pictures of a few classes and nearest pairs."""
    pictures = augmenter._fitted()
    rows = dict.fromkeys(row for row in (GENERATED, augmenter.chosen_method) if row)
    count = min(SHOWN_CLASSES, len(pictures.classes))
    real = min(SHOWN_REAL, int(pictures.sizes.min()))
    names = [str(pictures.classes[index]) for index in range(count)]
    found = {}
    for row in rows:
        made = [augmenter._class_levels(index, SHOWN_NEW, row) for index in range(count)]
        found[row] = {
            "classes": names,
            "support": np.stack([pictures.of_class(index)[:real] for index in range(count)]),
            "samples": np.stack(made),
            "nearest": [
                {"class": names[i % count], **nearest(made[i % count][i // count], pictures.of_class(i % count))}
                for i in range(min(NEAREST, count * SHOWN_NEW))
            ],
        }
    return found


def nearest(made: np.ndarray, real: np.ndarray) -> dict[str, Any]:
    """Return the picture of a class that is nearest to a new one, by the root mean square difference of pixels.

    Args:
        made: uint8[height, width, channels].
        real: uint8[k, height, width, channels].

    Returns:
        {"generated", "support", "distance", "copy"}, with the distance in levels of [0, 1].

    Example:
        >>> nearest(np.zeros((2, 2, 1), np.uint8), np.full((1, 2, 2, 1), 255, np.uint8))["distance"]
        1.0
    """
    differences = (real.astype(np.float64) - made) / 255
    distances = np.sqrt(np.square(differences).mean(axis=(1, 2, 3)))
    place = int(distances.argmin())
    distance = float(distances[place])
    return {"generated": made, "support": real[place], "distance": distance, "copy": distance < COPY}


def write(augmenter: Augmenter, folder: Path, data: str) -> list[Path]:
    """Write the files of a report; see `Augmenter.write_report`."""
    report = AugmentationReport(**content(augmenter, data))
    return report.write(folder, galleries(augmenter))
