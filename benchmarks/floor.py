"""How near five drawings bring a generator that knows the judge: the energy distance that their number costs.

Five images leave the class's mean uncertain, and no generator can place its samples better than the mean is known. This
program asks how much that costs, without a generator: in the features of a judge itself it fits, on 459 of the 659
evaluation characters, a normal model of classes (a mean drawn from one normal, drawings around it from another), and
for the other 200 draws *features* from what that model predicts after five drawings. Such a row knows the judge, the
evaluation characters' statistics and no pixels, so it is no bound in the strict sense, for drawings are not normal; but
a generator that does much better must know something of a character that five drawings do not show on average.

`python -m benchmarks.floor --data omniglot28.npz --out DIR` writes `results.json`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan import storage
from meta_gan.judges import load_judge
from meta_gan.metrics.class_scores import energy_distance
from meta_gan.tasks import open_source

JUDGES = ("omniglot28-conv", "omniglot28-residual")
FITTED, SHOTS, REFERENCES, SAMPLES = 459, 5, 8, 15


def predictions(features: np.ndarray, support: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Draws features for each class from what a normal model of classes predicts.

    Args:
        features: float[classes, images, d], what the model is fitted to.
        support: float[n, 5, d], of other classes.
        seed: of the draws.

    Returns:
        `{row: float[n, 15, d]}`: `keep R`: a support image's own deviation from the estimated class mean, times R, and
        a new one that makes the variance whole. R = 0 draws around the estimated mean alone, R = 1 copies.
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
    """The mean energy distance of every row over the classes that the model was not fitted to.

    Args:
        images: uint8[classes, 20, 28, 28, 1], all evaluation classes.
        judge: gives the features.
        seed: of the order of classes and drawings, and of the draws.
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
    """Measures under both judges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="omniglot28.npz")
    parser.add_argument("--out", required=True, help="folder to make")
    arguments = parser.parse_args()
    source = open_source(arguments.data, shots=1, queries=1).source
    images = np.stack([source.images[source.labels == index] for index in source.split_classes("test")])
    results = {name: measure(images, load_judge(name)) for name in JUDGES}
    with storage.new_folder(arguments.out) as folder:
        storage.write_json(Path(folder) / "results.json", results)
    for name, rows in results.items():
        print(name, {row: round(value, 4) for row, value in rows.items()})


if __name__ == "__main__":
    main()
