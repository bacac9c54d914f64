"""The pictures of a report: samples beside their support, and the generated images nearest to a support image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from meta_gan.metrics import scores as metrics
from meta_gan.protocol.results import Row
from meta_gan.protocol.scoring import Deal

CLASSES = 16
SHOWN_SAMPLES = 10
PAIRS = 16


def galleries(rows: Sequence[Row], deal: Deal, thresholds: Sequence[float]) -> dict[str, Any]:
    """Pictures of every row but those of curves, of the first draw.

    Args:
        rows: of the evaluation.
        deal: its first draw.
        thresholds: of a copy, one a class.

    Returns:
        `{row: {"classes", "support": uint8[n, shots, ...], "samples": uint8[n, m, ...], "nearest": [...]}}`: up to 16
        classes, and one pair for each of the 16 classes with the nearest ones, nearest first.

    Example:
        >>> report.to_html(galleries(rows, deal, thresholds))
    """
    support = deal.images("support")
    return {row.name: _gallery(row.images(0), support, deal.names, thresholds) for row in rows if row.place != "curve"}


def _gallery(
    images: Sequence[np.ndarray | None],
    support: Sequence[np.ndarray],
    names: Sequence[str],
    thresholds: Sequence[float],
) -> dict[str, Any]:
    present = [place for place, made in enumerate(images) if made is not None]
    shown = present[:: max(1, -(-len(present) // CLASSES))]
    made = [np.asarray(images[place])[:SHOWN_SAMPLES] for place in shown]
    fewest = min((len(part) for part in made), default=0)
    pairs = [_nearest(np.asarray(images[p]), support[p], names[p], thresholds[p]) for p in present]
    pairs.sort(key=lambda pair: pair["distance"])
    return {
        "classes": [names[place] for place in shown],
        "support": np.stack([support[place] for place in shown]) if shown else support[0][None, :0],
        "samples": np.stack([part[:fewest] for part in made]) if shown else support[0][None, :0],
        "nearest": pairs[:PAIRS],
    }


def _nearest(made: np.ndarray, support: np.ndarray, name: str, threshold: float) -> dict[str, Any]:
    index, distance = metrics.nearest(made, support)
    first = int(distance.argmin())
    return {
        "class": name,
        "generated": made[first],
        "support": support[index[first]],
        "distance": float(distance[first]),
        "copy": bool(distance[first] < threshold or distance[first] == 0),
    }
