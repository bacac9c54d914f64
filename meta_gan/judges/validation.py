"""What is measured of a trained judge: its few-shot accuracy on classes it never saw, and its unit of distance."""

from __future__ import annotations

from typing import Any

import numpy as np

from meta_gan.judges.judge import Judge
from meta_gan.metrics.distances import pair_distances
from meta_gan.metrics.class_scores import prototypical_accuracy
from meta_gan.tasks import Source

WAYS, SHOTS, EPISODES = 20, 5, 100
MOST_IMAGES = 20
_SEED = 0  # fixed, so that all judges of a source are measured on the same episodes


def features_by_class(judge: Judge, source: Source, at_most: int = MOST_IMAGES) -> list[np.ndarray]:
    """Return the features of up to `at_most` images of every class, drawn without replacement.

    Args:
        judge: whose features.
        source: the images; all of its classes count, whatever its split.
        at_most: int >= 1.

    Returns:
        For each class float32[n, dim], n >= 0.
    """
    generator = np.random.default_rng(_SEED)
    order = generator.permutation(len(source.labels))
    chosen = [order[source.labels[order] == index][:at_most] for index in range(len(source.class_names))]
    features = judge.features(source.images[np.concatenate(chosen)])
    return np.split(features, np.cumsum([len(indices) for indices in chosen])[:-1])


def validate(judge: Judge, source: Source) -> dict[str, Any] | None:
    """Return the nearest-prototype accuracy over fixed episodes.

    Args:
        judge: what is measured.
        source: the classes to tell apart; up to 20 images of each are used.

    Returns:
        {"accuracy": in [0, 1], "ways": 20 or the number of classes if that is smaller, "shots": 5}, over 100 episodes;
        None if fewer than two classes have more than 5 images.

    Example:
        >>> validate(load_judge("omniglot28-conv"), restrict(source, "validation"))
    """
    enough = [features for features in features_by_class(judge, source) if len(features) > SHOTS]
    ways = min(WAYS, len(enough))
    if ways < 2:
        return None
    generator, scores = np.random.default_rng(_SEED), []
    for _ in range(EPISODES):
        classes = [generator.permutation(enough[index]) for index in generator.permutation(len(enough))[:ways]]
        scores.append(prototypical_accuracy([c[:SHOTS] for c in classes], [c[SHOTS:] for c in classes]))
    return {"accuracy": round(float(np.mean(scores)), 6), "ways": ways, "shots": SHOTS}


def within_class_distance(judge: Judge, source: Source) -> float:
    """Return the distance between two images of one class: its mean over pairs, then over classes.

    Args:
        judge: whose features.
        source: the classes; up to 20 images of each are used, and classes of one image are left out.

    Returns:
        float >= 0, in the judge's present unit.

    Raises:
        ValueError: if no class has two images.
    """
    means = [pair_distances(x).mean() for x in features_by_class(judge, source) if len(x) > 1]
    if not means:
        raise ValueError(f"{source.name}: a class must have at least 2 images. Received: none that has")
    return float(np.mean(means))
