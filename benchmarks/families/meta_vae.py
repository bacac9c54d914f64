"""A variational autoencoder of a character from few drawings, meta-trained and trained jointly.

`python -m benchmarks.families.meta_vae --data omniglot28.npz --out DIR` makes the drawings black and white (at half
intensity), so that the likelihood is one of drawings. It trains every row of `ROWS` for the same time of one core, two
at once; the phases of a row share its time. It measures the negative log-likelihood of ten drawings of unseen
characters, in nats per drawing, by the importance-weighted bound with 100 draws, given K = 1, 5 or 10 other drawings,
along the curve of inner steps. The rate of these steps is, for each row, the best of five multiples of the training
rate, for five drawings of validation characters. It writes `results.json`, `{row: {"K = k, steps n": {mean, low,
high}}}` with 95 % bootstrap intervals over characters, `about.json` with the rates and outer steps, and `meta_vae.md`.
An interrupted run continues.

Reference: Burda et al., "Importance Weighted Autoencoders", 2016, for the bound.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import trainers
from benchmarks import common
from meta_gan import MetaModel, functional, loading, storage
from meta_gan.metrics.bootstrap import bootstrap_mean
from meta_gan.tasks import open_source
from meta_gan.tasks.base import Source

SHOTS, STEPS = (1, 5, 10), (0, 1, 2, 5, 10, 20)
QUERIES, DRAWS = 10, 100
# A constant rate with averaged weights: the rows make different numbers of outer steps in the same time, so that a
# falling rate would treat them differently.
COMMON = ("width=16", "symmetries=true", "fewest_shots=1", "averaging=0.99")
SCALES = (0.1, 0.3, 1.0, 3.0, 10.0)
_STEPS = ("inner_steps=5", "inner_rate=0.002")
_TOLD = ("algorithm=conditional",)
ROWS: dict[str, tuple[tuple[float, tuple[str, ...]], ...]] = {
    "meta-trained (FOMAML)": ((1.0, ("algorithm=fomaml", "task_encoder=none", *_STEPS)),),
    "trained jointly": ((1.0, ("algorithm=pretraining", "task_encoder=none", *_STEPS)),),
    "a prior of the support set": ((1.0, _TOLD),),
    "a prior of the support set, then meta-trained": ((0.7, _TOLD), (0.3, ("algorithm=fomaml", *_STEPS))),
}
"""The phases of every row, each started from the previous one: its share of the time, and changes of the recipe."""


def black_and_white(data: str, folder: Path) -> Path:
    """Write a copy of the drawings in two levels, unless it exists, and return its path."""
    path = folder / "black_and_white.npz"
    if not path.is_file():
        with np.load(data) as arrays:
            kept = dict(arrays)
        kept["images"] = np.where(kept["images"] > 127, 255, 0).astype(np.uint8)
        np.savez_compressed(path, **kept)
    return path


def train(row: str, data: Path, out: Path, minutes: float, core: int) -> None:
    """Train a row, every phase in a separate process, or resume its runs.

    Raises:
        RuntimeError: the training failed; the message holds the end of its output.
    """
    flags = ["--shots", "10", "--queries", str(QUERIES)]
    for folder, (share, own) in zip(folders(row, out), ROWS[row], strict=True):
        fields = [*COMMON, *own, "checkpoint_every=200"]
        done = common.train("vae", data, folder, share * minutes, core, fields, *flags)
        common.check(done, f"training {row!r}")
        flags = [*flags[:4], "--start", str(folder)]


def folders(row: str, out: Path) -> list[Path]:
    """Return the folders of the runs of a row's phases; the model of the last one is the row's."""
    return [out / "runs" / row.replace(" ", "-").replace(",", "") / f"{i}" for i in range(len(ROWS[row]))]


def drawings(source: Source, split: str, classes: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return support and query drawings of unseen characters, float32[10, ...] each.

    Args:
        source: the drawings.
        split: "validation" or "test".
        classes: how many classes of the split, >= 1; all if it has fewer.
        seed: for the choice of classes and drawings.

    Raises:
        ValueError: a class has too few drawings.
    """
    draw = np.random.default_rng(seed)
    chosen, most = draw.permutation(source.split_classes(split))[:classes], max(SHOTS)
    found = []
    for index in chosen:
        members = draw.permutation(np.flatnonzero(source.labels == index))[: most + QUERIES]
        if len(members) < most + QUERIES:
            raise ValueError(
                f"a class needs {most + QUERIES} drawings. Received: {len(members)} of {source.class_names[index]!r}"
            )
        images = source.images[members].astype(np.float32) / 127.5 - 1.0
        found.append((images[:most], images[most:]))
    return found


def curves(
    model: MetaModel, pairs: list[tuple[np.ndarray, np.ndarray]], shots: int, rate_scale: float = 1.0
) -> np.ndarray:
    """Return nats per query drawing after each number of `STEPS`, on the first `shots` support drawings.

    Returns:
        float64[characters, len(STEPS)]. Values above those of a fair coin for every pixel, and diverged ones, count as
        that coin.
    """
    game: Any = model.game
    coin = math.prod(game.example_shape) * math.log(2.0)

    @tf.function(autograph=False)
    def nats(snapshot: Any, query: Any, conditioning: Any, seed: Any) -> Any:
        bound = game.log_evidence(snapshot, query, conditioning, DRAWS, functional.seed_pair(seed))
        return -tf.reduce_mean(bound)

    found = np.zeros((len(pairs), len(STEPS)))
    for i, (support, query) in enumerate(pairs):
        given = support[:shots]
        for j, snapshot in enumerate(model.adaptation.trajectory(given, STEPS, i, rate_scale)):
            conditioning = model.adaptation.condition(snapshot, given) if game.conditioned else None
            found[i, j] = nats(snapshot, tf.constant(query), conditioning, tf.constant(i))
    return np.where(np.isfinite(found), np.minimum(found, coin), coin)


def best_scale(model: MetaModel, pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return the multiple of the inner rate with the fewest nats from five drawings, at the best steps > 0."""
    found = {scale: curves(model, pairs, 5, scale).mean(axis=0)[1:].min() for scale in SCALES}
    return min(SCALES, key=lambda scale: found[scale])


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return the Markdown table: a line for each row and K, a column for each number of steps."""
    rows = [
        [row, k, *(common.interval(values[f"K = {k}, steps {n}"], 1) for n in STEPS)]
        for row, values in results.items()
        for k in SHOTS
    ]
    return common.table(["row", "K", *(f"{n} steps" for n in STEPS)], rows)


def main() -> None:
    """Train and evaluate the rows."""
    parser = common.parser("families.meta_vae", __doc__, data="omniglot28.npz")
    parser.add_argument("--minutes", type=float, default=10.0, help="of one core for each training (default: 10)")
    parser.add_argument("--classes", type=int, default=100, help="test characters (default: 100)")
    parser.add_argument("--tuning", type=int, default=24, help="validation characters (default: 24)")
    arguments = parser.parse_args()
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    data = black_and_white(arguments.data, out)

    def work(row: str, core: int) -> None:
        train(row, data, out, arguments.minutes, core)
        print(f"trained: {row}", flush=True)

    common.side_by_side(list(ROWS), work)
    trainers.configure_threads()
    source = open_source(str(data), shots=1, queries=1).source
    tuning, pairs = drawings(source, "validation", arguments.tuning), drawings(source, "test", arguments.classes)
    results: dict[str, dict[str, Any]] = {}
    about: dict[str, Any] = {}
    for row in ROWS:
        path = loading.resolve(folders(row, out)[-1])
        model = loading.load(path)
        about[row] = {**storage.read_config(path)["training"], "rate_scale": best_scale(model, tuning)}
        print(f"{row}: {about[row]}", flush=True)
        for k in SHOTS:
            for n, values in zip(STEPS, curves(model, pairs, k, about[row]["rate_scale"]).T, strict=True):
                results.setdefault(row, {})[f"K = {k}, steps {n}"] = bootstrap_mean(values).as_dict()
    storage.write_json(out / "results.json", results)
    storage.write_json(out / "about.json", about)
    (out / "meta_vae.md").write_text(table(results), encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
