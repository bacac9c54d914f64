"""Energy distances of a model at several temperatures on the data sets of task E, beside the plain augmentations.

`python -m benchmarks.pictures.distances --data FOLDER --out DIR --model NAME --temperatures 1 1.3 --sets MNIST ...` is
quicker than `benchmarks.pictures.unseen`, because it trains no classifiers, and less noisy, because it draws six
support sets of each class (of ten classes, if a set has more). Judges are those of `unseen`, which it leaves in DIR. It
prints each row when it is finished, and writes `distances-NAME.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import meta_gan as mg
from benchmarks import common
from benchmarks.pictures import unseen
from benchmarks.pictures.data import prepare
from meta_gan import metrics
from meta_gan.judges import Judge
from meta_gan.protocol.augmentations import Elastic, TrivialAugment
from meta_gan.protocol.baselines import Affine, Copy, Shift
from meta_gan.tasks.base import Source
from meta_gan.tasks.pixels import to_uint8

DRAWS, CLASSES, SAMPLES, REFERENCES = 6, 10, 100, 80
PLAIN = {"copy": Copy(), "shift": Shift(), "affine": Affine(), "elastic": Elastic(), "trivial": TrivialAugment()}
HEAD = ["data", "row", "energy distance", "relative diversity", "support closeness", "copy rate"]

Pair = tuple[np.ndarray, np.ndarray]


def draws(source: Source, shots: int) -> Iterator[Pair]:
    """Yield support images uint8[shots, ...] and at most 80 other images of a class, for every draw and class."""
    order, classes = np.random.default_rng(0), np.flatnonzero(source.class_split == 2)
    for _ in range(DRAWS):
        for label in classes if len(classes) <= CLASSES else order.choice(classes, CLASSES, replace=False):
            own = np.flatnonzero(source.labels == label)
            order.shuffle(own)
            yield source.images[own[:shots]], source.images[own[shots : shots + REFERENCES]]


def scores(pairs: list[Pair], sample: Callable[[np.ndarray, int], np.ndarray], judges: list[Judge]) -> list[str]:
    """Return the mean scores of samples over all draws, under every judge.

    Args:
        pairs: from `draws`.
        sample: called with support images and a seed; returns 100 images.
        judges: the judges.
    """
    found = []
    for seed, (support, others) in enumerate(pairs):
        made, row = to_uint8(sample(support, seed)), []
        for judge in judges:
            generated, given, real = (judge.features(images) for images in (made, support, others))
            row.append(metrics.energy_distance(generated, real))
            row.append(metrics.relative_diversity(generated, real))
            row.append(metrics.support_closeness(generated, given, real))
        threshold = metrics.copy_threshold(np.concatenate([support, others]))
        found.append([*row, metrics.copy_rate(made, support, threshold)])
    means = np.mean(found, axis=0)
    return [" / ".join(f"{value:.3f}" for value in means[start:-1:3]) for start in range(3)] + [f"{means[-1]:.3f}"]


def main() -> None:
    """Measure a model on some sets."""
    parser = common.parser("pictures.distances", __doc__, data="folder of the .npz files")
    parser.add_argument("--model", required=True, help="a folder or shipped name")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[1.0], help="of z (default: 1)")
    parser.add_argument("--sets", nargs="+", choices=tuple(unseen.SETS), default=list(unseen.SETS), help="data sets")
    parser.add_argument("--shots", type=int, default=5, help="support images (default: 5)")
    arguments = parser.parse_args()
    data, out = Path(arguments.data), Path(arguments.out)
    made, shape, lines = prepare(data, out / "data"), mg.load(arguments.model).game.example_shape, []
    for name in arguments.sets:
        source = unseen.source_of(name, data, made, shape)
        judges = unseen.judges_of(name, source, out / name.replace(" ", "-").replace(",", ""))
        pairs = list(draws(source, arguments.shots))
        rows = {row: lambda s, seed, plain=plain: plain.adapt(s).sample(SAMPLES, seed) for row, plain in PLAIN.items()}
        for temperature in arguments.temperatures:
            model = mg.load(arguments.model)
            model.game.nets["generator"].temperature = temperature
            row = f"temperature {temperature:g}"
            rows[row] = lambda s, seed, model=model: model.adapt(s, steps=0).sample(SAMPLES, seed=seed)
        for row, sample in rows.items():
            lines.append([name, row, *scores(pairs, sample, judges)])
            print(*lines[-1], sep=" | ", flush=True)
    (out / f"distances-{Path(arguments.model).name}.md").write_text(common.table(HEAD, lines), "utf-8")


if __name__ == "__main__":
    main()
