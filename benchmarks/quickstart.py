"""The whole workflow on the built-in glyphs: meta-train, adapt to an unseen code point, sample, save and serve.

`python -m benchmarks.quickstart --out DIR` creates DIR with the run, the adapted generator, a SavedModel, the picture
`quickstart.png` (for unseen code points: the 5 support images, then samples) and `result.json`: over 20 unseen code
points, the share of samples that the shipped judge of glyphs recognises as their own code point, beside that of real
images; and the distance of samples to the support images, beside that of real ones. A fresh process that uses only
`tf.saved_model.load` then adapts the exported model to 5 other images.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import trainers
from benchmarks import common
from meta_gan import atomic, presets, storage, tasks
from meta_gan.judges import Judge, load_judge
from meta_gan.metrics.class_scores import recognisability, support_closeness
from meta_gan.tasks.pictures import grid, save_png
from trainers import run_folder

CLASSES, SAMPLES, SERVED_STEPS = 20, 32, 3
JUDGE = "glyphs28"
FILES = {"runs", "adapted", "served", "quickstart.png", "other_support.npy", "served.npy", "result.json"}

SERVE = """
import sys
import numpy as np
import tensorflow as tf
folder, support, steps, out, inter, intra = sys.argv[1:]
tf.config.threading.set_inter_op_parallelism_threads(int(inter))
tf.config.threading.set_intra_op_parallelism_threads(int(intra))
served = tf.saved_model.load(folder)
answer = served.signatures["adapt_and_sample"](
    support=tf.constant(np.load(support)), steps=tf.constant(int(steps)), num=tf.constant(5), seed=tf.constant(0)
)
assert "meta_gan" not in sys.modules
np.save(out, answer["samples"].numpy())
"""


def scores(model: Any, source: Any, judge: Judge) -> dict[str, float]:
    """Score, over 20 unseen classes, the samples that are recognised among all 20, and their distance to the support.

    Args:
        model: the model, adapted with its own number of inner steps.
        source: `Tasks`.
        judge: its features are used.

    Returns:
        `recognised` and `recognised_real` in [0, 1], chance .05: the share of samples, and of support images, nearest
        to the mean of their own class's queries; `closeness`: see `metrics.support_closeness`, 1 is that of queries.
    """
    episodes = source.episode_batch("test", 0, CLASSES)
    supports, queries = episodes.support.numpy(), episodes.query.numpy()
    samples = [model.adapt(support, seed=0).sample(SAMPLES, seed=0) for support in supports]
    made, near, real = ([judge.features(images) for images in each] for each in (samples, supports, queries))
    prototypes = np.stack([features.mean(axis=0) for features in real])
    numbers = range(CLASSES)
    return {
        "recognised": float(np.mean([recognisability(made[i], prototypes, i) for i in numbers])),
        "recognised_real": float(np.mean([recognisability(near[i], prototypes, i) for i in numbers])),
        "closeness": float(np.mean([support_closeness(made[i], near[i], real[i]) for i in numbers])),
    }


def picture(model: Any, supports: np.ndarray) -> np.ndarray:
    """Return a picture with a row for each class: its support images, then ten samples."""
    rows = []
    for support in supports:
        samples = model.adapt(support, seed=0).sample(10, seed=0)
        rows.append(np.concatenate([support, np.zeros_like(support[:1]), samples]))
    return grid(rows)


def serve(folder: Path, support: np.ndarray) -> np.ndarray:
    """Adapt the exported model in a fresh process that uses only `tf.saved_model.load`.

    The process has as many threads as this one: sums in another order differ in the last bit, and steps of two players
    amplify that to single pixels.
    """
    np.save(folder / "other_support.npy", support)
    arguments = [str(folder / "served" / "1"), str(folder / "other_support.npy"), str(SERVED_STEPS)]
    arguments.append(str(folder / "served.npy"))
    arguments += [str(threads) for threads in trainers.configure_threads()]
    subprocess.run([sys.executable, "-c", SERVE, *arguments], check=True)
    return np.load(folder / "served.npy")


def main() -> None:
    """Run the whole workflow and print the results."""
    parser = common.parser("quickstart", __doc__, out="folder to create; an earlier one is replaced")
    parser.add_argument("--steps", type=int, default=400, help="outer steps (default: 400)")
    arguments = parser.parse_args()
    trainers.configure_threads()
    start = time.monotonic()
    if other := storage.other_content(Path(arguments.out), FILES):
        sys.exit(f"--out must be a new folder, or an earlier quickstart's, to be replaced. Received: {other}")
    with atomic.new_folder(arguments.out, replaces=True) as out:
        glyphs = tasks.glyphs((28, 28, 1))
        recipe = presets.get("fusion", decay_steps=arguments.steps, averaging=0.99)
        model = presets.build(recipe, glyphs.example_shape)
        config = trainers.TrainConfig(
            steps=arguments.steps, validate_every=arguments.steps, checkpoint_every=arguments.steps
        )
        run = run_folder.new_run(out / "runs", "quickstart")
        print(f"meta-training on {len(glyphs.splits['train'])} code points for {config.steps} steps ...", flush=True)
        trainers.MetaTrainer(model, glyphs, run, config).run()
        result = {"seconds_training": time.monotonic() - start, **scores(model, glyphs, load_judge(JUDGE))}
        unseen = glyphs.episode_batch("test", 0, CLASSES).support.numpy()
        save_png(out / "quickstart.png", picture(model, unseen[:8]))
        model.adapt(unseen[0], seed=0).save(out / "adapted")
        model.export(out / "served" / "1")
        here = model.adapt(unseen[1], steps=SERVED_STEPS, seed=0).sample(5, seed=0)
        result["served_difference"] = float(np.abs(serve(out, unseen[1]) - here).max())
        result["seconds"] = time.monotonic() - start
        (out / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
    if result["served_difference"] > 1e-5:
        sys.exit("the served model and the Python model must agree to 1e-5")
    print(f"look at {arguments.out}/quickstart.png; the generator is {arguments.out}/adapted/generator.keras")


if __name__ == "__main__":
    main()
