"""`steps="auto"` beside every fixed number of inner steps.

`python -m benchmarks.flow.early_stopping --model DIR --data omniglot28.npz --shots 5 10 --out DIR` adapts a model to K
images of unseen classes, for each number of steps that "auto" tries and for the one that it chooses, and measures the
energy distance from 60 samples to the other images of the class, in the features of both judges of Omniglot. It writes
`early_stopping.md` and `.json`: the mean of each number, that of "auto" with a 95 % interval of the mean over classes,
and the ratio of "auto" to the best fixed number, which was chosen with knowledge of those other images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import trainers
from benchmarks import common
from meta_gan import loading, storage
from meta_gan.early_stopping import NUMBERS, fewest_best, held_out_distances
from meta_gan.judges import load_judge
from meta_gan.metrics import bootstrap_mean, energy_distance
from meta_gan.tasks import open_source
from meta_gan.tasks.pixels import to_float, to_uint8

SAMPLES = 60
Distances = dict[int, list[float]]


def distances_of(model: Any, judges: list[Any], images: np.ndarray, shots: int, seed: int) -> tuple[Distances, int]:
    """Measure one class: the energy distance under each judge after each number of steps, and what "auto" chooses.

    Args:
        model: a `MetaModel`.
        judges: that measure.
        images: uint8[n, *example] of the class, n > shots; the first are given to the model.
        shots: K >= 3.
        seed: of the adaptation and the samples.
    """
    support, rest = to_float(images[:shots]), images[shots:]
    real = [judge.features(rest) for judge in judges]
    found = {}
    for steps in NUMBERS:
        made = to_uint8(model.adapt(support, steps=steps, seed=seed).sample(SAMPLES, seed=seed))
        found[steps] = [energy_distance(judge.features(made), each) for judge, each in zip(judges, real, strict=True)]
    return found, fewest_best(held_out_distances(model.adaptation, support, seed))


def summary(classes: list[tuple[Distances, int]]) -> dict[str, Any]:
    """Return means over classes, for each judge in turn.

    Example:
        >>> found = summary([({0: [2.0], 1: [1.0]}, 1), ({0: [4.0], 1: [5.0]}, 1)])
        >>> found["fixed"], found["auto"][0]["mean"], found["ratio"]
        ({0: [3.0], 1: [3.0]}, 3.0, [1.0])
    """
    numbers, judges = list(classes[0][0]), range(len(classes[0][0][0]))
    fixed = {n: [float(np.mean([found[n][j] for found, _ in classes])) for j in judges] for n in numbers}
    auto = [bootstrap_mean([found[chosen][j] for found, chosen in classes]).as_dict() for j in judges]
    best = [min(fixed[n][j] for n in numbers) for j in judges]
    return {
        "fixed": fixed,
        "auto": auto,
        "ratio": [float(each["mean"] or 0.0) / least for each, least in zip(auto, best, strict=True)],
        "chosen": sorted(chosen for _, chosen in classes),
    }


def main() -> None:
    """Measure, and write the table."""
    parser = common.parser("flow.early_stopping", __doc__, data="omniglot28.npz")
    parser.add_argument("--model", required=True, help="run or model folder, or shipped name")
    parser.add_argument("--shots", type=int, nargs="+", default=[5, 10], metavar="K", help=">= 3 (default: 5 10)")
    parser.add_argument("--split", default="test", choices=["validation", "test"], help="(default: test)")
    parser.add_argument("--classes", type=int, default=20, help="evenly spaced, >= 2 (default: 20)")
    arguments = parser.parse_args()
    trainers.configure_threads()
    model, source = loading.load(arguments.model), open_source(arguments.data, shots=1, queries=1).source
    judges, every = [load_judge(name) for name in common.JUDGES], source.split_classes(arguments.split)
    chosen = every[np.linspace(0, len(every) - 1, arguments.classes).astype(int)]
    results, rows = {}, []
    for shots in arguments.shots:
        classes = []
        for label in chosen:
            images = source.images[source.labels == label]
            images = images[np.random.default_rng(int(label)).permutation(len(images))]
            classes.append(distances_of(model, judges, images, shots, int(label)))
            print(f"K = {shots}: {len(classes)} of {len(chosen)} classes", flush=True)
        found = results[shots] = summary(classes)
        rows += [[shots, n, *(f"{value:.3f}" for value in each)] for n, each in found["fixed"].items()]
        rows.append([shots, "auto", *(common.interval(each) for each in found["auto"])])
        rows.append([shots, "auto / best", *(f"{ratio:.3f}" for ratio in found["ratio"])])
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    storage.write_json(out / "early_stopping.json", results)
    text = common.table(["K", "inner steps", *common.JUDGES], rows)
    (out / "early_stopping.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
