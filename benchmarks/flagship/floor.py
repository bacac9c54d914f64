"""Energy distance that results from knowing only five drawings of a class, without a generator.

Five images leave the class mean uncertain, and no generator can place its samples better than the mean is known. This
benchmark fits a normal model of classes, in the features of a judge itself, on 459 of the 659 test characters: class
means drawn from one normal distribution, drawings around each mean from another. For the other 200 it draws *features*
from the model's prediction after five drawings. Such a row knows the judge, the statistics of the test characters and
no pixels. It is no strict bound, because drawings are not normal; but a generator that is much better must know
something about a character that five drawings do not show on average.

`python -m benchmarks.flagship.floor --data omniglot28.npz --out DIR` writes `results.json`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.common import JUDGES
from meta_gan import storage
from meta_gan.judges import load_judge
from meta_gan.metrics.class_scores import energy_distance
from meta_gan.tasks import open_source

FITTED, SHOTS, REFERENCES, SAMPLES = 459, 5, 8, 15


def predictions(features: np.ndarray, support: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Draw features for each class from the prediction of a normal model of classes.

    Args:
        features: float[classes, images, d], to which the model is fitted.
        support: float[n, 5, d], of other classes.
        seed: of the draws.

    Returns:
        `{row: float[n, 15, d]}`. The row `keep R` adds to the estimated class mean R times a support image's deviation
        from it, and a new deviation that restores the variance: R = 0 draws around the mean, R = 1 copies.
    """
    images, size = features.shape[1:]
    within = np.mean([np.atleast_2d(np.cov(each.T)) for each in features], axis=0)
    means = features.mean(axis=1)
    between = np.cov(means.T) - within / images
    centre = means.mean(axis=0)
    shrink = between @ np.linalg.inv(between + within / support.shape[1])
    estimate = centre + (support.mean(axis=1) - centre) @ shrink.T
    draw = np.random.default_rng(seed).standard_normal((len(support), SAMPLES, size))
    new = draw @ np.linalg.cholesky(within + 1e-6 * np.eye(size)).T
    anchors = np.repeat(support, SAMPLES // support.shape[1], axis=1)
    kept = anchors - estimate[:, None]
    return {f"keep {r}": estimate[:, None] + r * kept + np.sqrt(1 - r**2) * new for r in (0.0, 0.3, 0.5, 0.7, 0.9, 1.0)}


def measure(images: np.ndarray, judge: Any, seed: int = 0) -> dict[str, float]:
    """Return the mean energy distance of every row over the classes to which the model was not fitted.

    Args:
        images: uint8[classes, 20, 28, 28, 1], all test classes.
        judge: its features are used.
        seed: for the order of classes and drawings, and for the draws.
    """
    order = np.random.default_rng(seed)
    shuffled = order.permuted(images[order.permutation(len(images))].reshape(len(images), 20, -1), axis=1)
    flat = shuffled.reshape(-1, *images.shape[2:])
    features = np.asarray(judge.features(flat), np.float64).reshape(len(images), 20, -1)
    others = features[FITTED:]
    support, references = others[:, :SHOTS], others[:, -REFERENCES:]
    rows = {"oracle": others[:, SHOTS:-REFERENCES], **predictions(features[:FITTED], support, seed)}
    return {
        name: float(np.mean([energy_distance(made, real) for made, real in zip(row, references, strict=True)]))
        for name, row in rows.items()
    }


def main() -> None:
    """Measure under both judges."""
    arguments = common.parser("flagship.floor", __doc__, data="omniglot28.npz").parse_args()
    source = open_source(arguments.data, shots=1, queries=1).source
    images = np.stack([source.images[source.labels == index] for index in source.split_classes("test")])
    results = {name: measure(images, load_judge(name)) for name in JUDGES}
    with storage.new_folder(arguments.out) as folder:
        storage.write_json(Path(folder) / "results.json", results)
    for name, rows in results.items():
        print(name, {row: round(value, 4) for row, value in rows.items()})


if __name__ == "__main__":
    main()
