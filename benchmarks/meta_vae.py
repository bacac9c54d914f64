"""A variational autoencoder of a character from few drawings: meta-trained, beside the same one trained jointly.

`python -m benchmarks.meta_vae --data omniglot28.npz --out DIR` makes the drawings black and white (at half intensity),
so that the likelihood is one of drawings, trains every row of `ROWS` for so many minutes of one core (a row of phases
for so many in all), two at once, and measures the negative log-likelihood of ten drawings of unseen characters, in nats
a drawing, by the importance-weighted bound with 100 draws: given K = 1, 5 or 10 other drawings, along the curve of
inner steps. The rate of these steps is, for each row, the best of five multiples of the one in training, for five
drawings of validation characters. It writes `results.json`, `{row: {"K = k, steps n": {mean, low, high}}}` with 95 %
bootstrap intervals over characters, `about.json` with the rates and outer steps, and `meta_vae.md`; a run that was cut
off goes on.

Reference: Burda et al., "Importance Weighted Autoencoders", 2016, for the bound.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

# A program run by its path, not by `-m`, would not find its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import trainers
from benchmarks import lanes
from meta_gan import MetaModel, functional, loading, storage
from meta_gan.metrics.bootstrap import bootstrap_mean
from meta_gan.tasks import open_source
from meta_gan.tasks.base import Source

SHOTS, STEPS = (1, 5, 10), (0, 1, 2, 5, 10, 20)
QUERIES, DRAWS, ENDLESS = 10, 100, 10_000_000
# At a constant rate and with averaged weights: in the same time the rows make other numbers of outer steps, and a rate
# that falls would be at its lowest for most of the steps of one of them.
COMMON = ("width=16", "symmetries=true", "fewest_shots=1", "averaging=0.99")
SCALES = (0.1, 0.3, 1.0, 3.0, 10.0)
_STEPS = ("inner_steps=5", "inner_rate=0.002")
_TOLD = ("algorithm=conditional",)
ROWS: dict[str, tuple[tuple[float, tuple[str, ...]], ...]] = {
    "meta-trained (FOMAML)": ((1.0, ("algorithm=fomaml", "embedding_dim=0", *_STEPS)),),
    "trained jointly": ((1.0, ("algorithm=pretraining", "embedding_dim=0", *_STEPS)),),
    "a prior of the support set": ((1.0, _TOLD),),
    "a prior of the support set, then meta-trained": ((0.7, _TOLD), (0.3, ("algorithm=fomaml", *_STEPS))),
}
"""Of every row its phases, each from where the last one ended: its share of the time, and fields of the recipe."""


def black_and_white(data: str, folder: Path) -> Path:
    """A copy of the drawings in two levels, made once."""
    path = folder / "black_and_white.npz"
    if not path.is_file():
        with np.load(data) as arrays:
            kept = dict(arrays)
        kept["images"] = np.where(kept["images"] > 127, 255, 0).astype(np.uint8)
        np.savez_compressed(path, **kept)
    return path


def train(row: str, data: Path, out: Path, minutes: float, core: int) -> None:
    """Trains a row, every phase in a process of its own, or goes on with its runs.

    Raises:
        RuntimeError: the training failed; the message holds the end of its output.
    """
    start: list[str] = []
    for folder, (share, own) in zip(folders(row, out), ROWS[row], strict=True):
        fields = [*COMMON, *own, f"minutes={share * minutes:g}", "processor_time=true"]
        fields += ["validate_every=100000", "checkpoint_every=200"]
        command = ["train", "--preset", "vae", "--data", str(data), "--out", str(folder), "--steps", str(ENDLESS)]
        command += ["--shots", "10", "--queries", str(QUERIES), *start, "--set", *fields]
        command += ["--resume"] if folder.is_dir() and any(folder.iterdir()) else []
        done = lanes.meta_gan(command, core)
        if done.returncode:
            raise RuntimeError(f"training {row!r} failed:\n{done.stdout[-500:]}{done.stderr[-2000:]}")
        start = ["--start", str(folder)]


def folders(row: str, out: Path) -> list[Path]:
    """Where the runs of every phase of a row go; the last one's model is the row's."""
    return [out / "runs" / row.replace(" ", "-").replace(",", "") / f"{i}" for i in range(len(ROWS[row]))]


def drawings(source: Source, split: str, classes: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Support and query drawings of unseen characters, float32[10, ...] each; a support set is the first K of its ten.

    Args:
        source: of the drawings.
        split: "validation" or "test".
        classes: of that split, >= 1; all where there are fewer.
        seed: of what is drawn.

    Raises:
        ValueError: a class of too few drawings.
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
    """Nats a query drawing after so many inner steps on the first `shots` drawings, float64[characters, len(STEPS)].

    What has diverged, or is worse than a fair coin for every pixel, counts as that coin.
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
    """The multiple of the inner rate by which five drawings bring the least nats, at the best number of steps > 0."""
    found = {scale: curves(model, pairs, 5, scale).mean(axis=0)[1:].min() for scale in SCALES}
    return min(SCALES, key=lambda scale: found[scale])


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """The Markdown table: a line for each row and K, a column for each number of steps."""
    lines = ["| row | K | " + " | ".join(f"{n} steps" for n in STEPS) + " |", "|" + "---|" * (2 + len(STEPS))]
    for row, values in results.items():
        for k in SHOTS:
            cells = [values[f"K = {k}, steps {n}"] for n in STEPS]
            shown = " | ".join(f"{c['mean']:.1f} ({c['low']:.1f} to {c['high']:.1f})" for c in cells)
            lines.append(f"| {row} | {k} | {shown} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Trains and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="omniglot28.npz")
    parser.add_argument("--out", required=True, help="folder; a run that was cut off goes on")
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

    lanes.side_by_side(list(ROWS), work)
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
