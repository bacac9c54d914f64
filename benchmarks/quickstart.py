"""The main job, end to end, on the embedded glyphs: meta-train, adapt to an unseen code point, sample, save, serve.

`python -m benchmarks.quickstart --out DIR` makes DIR with the run, the adapted generator, a SavedModel, the picture
`quickstart.png` (for unseen code points: the 5 support images, then samples after 0, 10 and 50 inner steps) and
`result.json`: over 20 unseen code points, the mean pixel distance of samples to their nearest query image. A fresh
process that knows only `tf.saved_model.load` then adapts the exported model to 5 other images.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import trainers
from meta_gan import presets, storage, tasks
from meta_gan.tasks.pictures import grid, save_png
from trainers import run_folder

CLASSES, SAMPLES, STEPS = 20, 32, (0, 10, 50)

SERVE = """
import sys
import numpy as np
import tensorflow as tf
folder, support, out, inter, intra = sys.argv[1:]
tf.config.threading.set_inter_op_parallelism_threads(int(inter))
tf.config.threading.set_intra_op_parallelism_threads(int(intra))
served = tf.saved_model.load(folder)
answer = served.signatures["adapt_and_sample"](
    support=tf.constant(np.load(support)), steps=tf.constant(50), num=tf.constant(5), seed=tf.constant(0)
)
assert "meta_gan" not in sys.modules
np.save(out, answer["samples"].numpy())
"""


def nearest(samples: np.ndarray, query: np.ndarray) -> float:
    """The mean over samples of the pixel distance (Euclidean, images in [-1, 1]) to the nearest query image.

    Args:
        samples: float32[n, H, W, C].
        query: float32[m, H, W, C].
    """
    flat = samples.reshape(len(samples), 1, -1) - query.reshape(1, len(query), -1)
    return float(np.sqrt((flat**2).sum(-1)).min(axis=1).mean())


def distances(model: Any, source: Any) -> dict[str, float]:
    """Over 20 unseen classes, the mean of `nearest` after each number of inner steps; and of a black image."""
    episodes = source.episode_batch("test", 0, CLASSES)
    result = {}
    for steps in STEPS:
        each = [
            nearest(model.adapt(support, steps=steps, seed=0).sample(SAMPLES, seed=0), query)
            for support, query in zip(episodes.support.numpy(), episodes.query.numpy(), strict=True)
        ]
        result[f"after_{steps}"] = float(np.mean(each))
    # An empty image is near to any thin drawing: a figure that it would beat says nothing.
    empty = -np.ones_like(episodes.query.numpy()[0][:1])
    result["empty_image"] = float(np.mean([nearest(empty, query) for query in episodes.query.numpy()]))
    return result


def picture(model: Any, supports: np.ndarray) -> np.ndarray:
    """A row for each class: its support images, then samples after each number of inner steps."""
    rows = []
    for support in supports:
        parts = [support]
        for steps in STEPS:
            samples = model.adapt(support, steps=steps, seed=0).sample(len(support), seed=0)
            parts += [np.zeros_like(support[:1]), samples]
        rows.append(np.concatenate(parts))
    return grid(rows)


def serve(folder: Path, support: np.ndarray) -> np.ndarray:
    """Adapts the exported model in a fresh process that uses only `tf.saved_model.load`.

    The process has this one's threads: sums of another order differ in the last bit, and 50 steps of two players
    make that visible in single pixels.
    """
    np.save(folder / "other_support.npy", support)
    arguments = [str(folder / "served" / "1"), str(folder / "other_support.npy"), str(folder / "served.npy")]
    arguments += [str(threads) for threads in trainers.configure_threads()]
    subprocess.run([sys.executable, "-c", SERVE, *arguments], check=True)
    return np.load(folder / "served.npy")


def main() -> None:
    """Runs the whole road and prints what it measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder to make; an earlier one is replaced")
    parser.add_argument("--steps", type=int, default=500, help="outer steps (default: 500)")
    arguments = parser.parse_args()
    trainers.configure_threads()
    start = time.monotonic()
    with storage.new_folder(arguments.out, overwrite=True) as out:
        glyphs = tasks.glyphs((28, 28, 1))
        recipe = presets.get("reptile")
        model = presets.build(recipe, glyphs.image_shape)
        config = trainers.TrainConfig(
            steps=arguments.steps, validate_every=arguments.steps, checkpoint_every=arguments.steps
        )
        run = run_folder.new_run(out / "runs", "quickstart")
        print(f"meta-training on {len(glyphs.splits['train'])} code points for {config.steps} steps ...", flush=True)
        trainers.MetaTrainer(model, glyphs, run, config).run()
        result = {"seconds_training": time.monotonic() - start, **distances(model, glyphs)}
        result["ratio_50_to_0"] = result["after_50"] / result["after_0"]
        unseen = glyphs.episode_batch("test", 0, CLASSES).support.numpy()
        save_png(out / "quickstart.png", picture(model, unseen[:8]))
        model.adapt(unseen[0], steps=50, seed=0).save(out / "adapted")
        model.export(out / "served" / "1")
        here = model.adapt(unseen[1], steps=50, seed=0).sample(5, seed=0)
        result["served_difference"] = float(np.abs(serve(out, unseen[1]) - here).max())
        result["seconds"] = time.monotonic() - start
        (out / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
    if result["served_difference"] > 1e-5:
        sys.exit("the served model and the Python model must agree to 1e-5")
    print(f"look at {arguments.out}/quickstart.png; the generator is {arguments.out}/adapted/generator.keras")


if __name__ == "__main__":
    main()
