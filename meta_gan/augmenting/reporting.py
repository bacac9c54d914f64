"""The report of an `Augmenter`: its content as JSON values, and its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meta_gan.augmenting.subset import MOST_CLASSES, MOST_PICTURES
from meta_gan.protocol.recommendation import GENERATED, Recommendation
from meta_gan.report.augmentation import AugmentationReport

if TYPE_CHECKING:
    from meta_gan.augmenting.augmenter import Augmenter
    from meta_gan.augmenting.fitting import Fitted

SHOWN_CLASSES, SHOWN_REAL, SHOWN_NEW, NEAREST = 8, 5, 10, 12
COPY = 0.02
"""The root mean square difference, in levels of [0, 1], below which a generated picture counts as a copy."""


def content(settings: Augmenter, fitted: Fitted, data: str) -> dict[str, Any]:
    """Return the fields of an `AugmentationReport`; see `Augmenter.report`."""
    pictures, found = fitted.pictures, settings.recommendation_
    shots, queries, meta_batch = fitted.episodes
    return {
        "data": {
            "name": data,
            "classes": len(pictures.classes),
            "pictures": len(pictures.levels),
            "smallest_class": int(pictures.sizes.min()),
            "largest_class": int(pictures.sizes.max()),
            "picture_shape": list(pictures.levels.shape[1:]),
        },
        "model": {
            "name": fitted.name,
            "picture_shape": list(fitted.working.shape[1:]),
            "inverted": fitted.inverted,
        },
        "fine_tuning": {
            "minutes": None if settings.steps is not None else settings.minutes,
            "steps": list(fitted.steps),
            "rate": settings.rate,
            "shots": shots,
            "queries": queries,
            "meta_batch": meta_batch,
        },
        "comparison": _comparison(settings, fitted),
        "rows": {} if found is None else {row: _row(found, row) for row in found.accuracy},
        "method": settings.chosen_method,
        "best_plain": None if found is None else found.best_plain,
        "lines": [] if found is None else list(found.lines()),
        "seed": settings.seed,
        "seconds": round(fitted.seconds, 1),
    }


def _row(found: Recommendation, row: str) -> dict[str, Any]:
    parts = {"accuracy": found.accuracy, "gain": found.gain, "over_plain": found.over_plain}
    return {name: each[row].as_dict() if row in each else None for name, each in parts.items()}


def _comparison(settings: Augmenter, fitted: Fitted) -> dict[str, Any] | None:
    made = fitted.comparison
    if made is None:
        return None
    notes, count = [], len(fitted.pictures.classes)
    if len(made.subset.classes) < count:
        notes.append(f"{MOST_CLASSES} of {count} classes are compared")
    if fitted.pictures.sizes[made.subset.classes].max() > MOST_PICTURES:
        notes.append(f"at most {MOST_PICTURES} pictures of each class are compared")
    return {
        "folds": made.folds,
        "classifiers": settings.classifiers,
        "per_class": settings.per_class,
        "classes": len(made.subset.classes),
        "pictures": len(made.subset.pictures),
        "classifier": "small convolutional network" if settings.classifier is None else "the user's Keras model",
        "classifier_shape": list(made.image_shape),
        "plain_of_folds": list(made.plain),
        "notes": notes,
    }


def galleries(settings: Augmenter, fitted: Fitted) -> dict[str, dict[str, Any]]:
    """Return for generated pictures, and for what is recommended, the pictures of a few classes and nearest pairs."""
    pictures = fitted.pictures
    rows = dict.fromkeys(row for row in (GENERATED, settings.chosen_method) if row)
    count = min(SHOWN_CLASSES, len(pictures.classes))
    real = min(SHOWN_REAL, int(pictures.sizes.min()))
    names = [str(pictures.classes[index]) for index in range(count)]
    found = {}
    for row in rows:
        made = [fitted.new_levels(index, SHOWN_NEW, row, settings.seed) for index in range(count)]
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


def write(settings: Augmenter, fitted: Fitted, folder: Path, data: str) -> list[Path]:
    """Write the files of a report; see `Augmenter.write_report`."""
    report = AugmentationReport(**content(settings, fitted, data))
    return report.write(folder, galleries(settings, fitted))
