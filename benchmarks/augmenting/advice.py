"""Whether the advice of `meta-gan augment` holds on photographs that it never saw.

`python -m benchmarks.augmenting --data FOLDER --out DIR` draws folders of 10 traffic signs with 8 photographs each from
`gtsrb64.npz`, and one of the 10 digits with 50 pictures each from `mnist.npz`, and fits on each the `Augmenter` of the
command, which is used from Python because the pictures of every row are needed. Then every row is measured on held-out
photographs: the small classifier is trained on all pictures of the folder and what the row adds. Held-out photographs
of signs come from other tracks, that is, other signs on the road, than those of the folder.

For each folder the advice agrees if

- a row is recommended, and its held-out gain over adding nothing is above 0, or
- none is recommended, and no row has a held-out gain whose 95 % interval, over pictures, is above 0, or
- the advised row (or adding nothing) is within noise of the row that is best there: the 95 % interval, over pictures,
  of their difference includes 0.

The first two and the third are printed apart. Everything is resumable: what a folder has measured stays.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from meta_gan import atomic
from meta_gan.augment import class_seed
from meta_gan.augmenting import Augmenter
from meta_gan.augmenting.pictures import classified
from meta_gan.metrics import bootstrap_mean
from meta_gan.protocol.classification import ClassifierRecipe
from meta_gan.protocol.cross_validation import SmallClassifier
from meta_gan.protocol.recommendation import NOTHING, ROWS
from meta_gan.tasks.media.pictures import resize_images
from meta_gan.tasks.pixels import to_float

SIGNS, PHOTOGRAPHS, SIDE = 10, 8, 32
DIGITS, DIGIT_PICTURES = 10, 50
HELD_OUT = 100
"""Held-out pictures of a class, at most."""
SEEDS = 5
"""Classifiers that are trained for each row."""

Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def signs(archive: dict[str, np.ndarray], seed: int) -> Data:
    """Draw signs, and photographs of half of their tracks; the photographs of the other tracks are held out.

    Args:
        archive: `images` uint8[n, 64, 64, 3], `labels` int[n] and `track` int[n].
        seed: of the draws, >= 0.

    Returns:
        Images uint8[80, 32, 32, 3] and labels int[80] of the folder, then those that are held out.
    """
    draws = np.random.default_rng([seed, 43])
    labels, tracks = archive["labels"], archive["track"]
    chosen, held = [], []
    for sign in draws.choice(np.unique(labels), SIGNS, replace=False):
        own = np.flatnonzero(labels == sign)
        known = draws.permutation(np.unique(tracks[own]))
        known = known[: max(1, len(known) // 2)]
        inside = np.isin(tracks[own], known)
        chosen.append(draws.choice(own[inside], PHOTOGRAPHS, replace=False))
        rest = own[~inside]
        held.append(draws.choice(rest, min(HELD_OUT, len(rest)), replace=False))
    return _data(archive["images"], labels, np.concatenate(chosen), np.concatenate(held))


def digits(archive: dict[str, np.ndarray], seed: int) -> Data:
    """Draw pictures of every digit from the training images, and held-out ones from the test images; see `signs`."""
    draws = np.random.default_rng([seed, 10])
    images = np.concatenate([archive["x_train"], archive["x_test"]])[..., None]
    labels = np.concatenate([archive["y_train"], archive["y_test"]]).astype(int)
    test = np.arange(len(labels)) >= len(archive["y_train"])
    chosen, held = (
        np.concatenate(
            [draws.choice(np.flatnonzero(part & (labels == d)), count, replace=False) for d in range(DIGITS)]
        )
        for part, count in ((~test, DIGIT_PICTURES), (test, HELD_OUT))
    )
    return _data(images, labels, chosen, held)


def _data(images: np.ndarray, labels: np.ndarray, chosen: np.ndarray, held: np.ndarray) -> Data:
    side = min(SIDE, images.shape[1])
    shape = (side, side, images.shape[-1])
    return (
        resize_images(images[chosen], shape),
        labels[chosen].astype(int),
        resize_images(images[held], shape),
        labels[held].astype(int),
    )


def held_out(
    augmenter: Augmenter, data: Data, per_class: int, done: Callable[[str], None], seeds: int = SEEDS
) -> dict[str, np.ndarray]:
    """Return for each row the share of classifiers that are right on every held-out picture.

    Args:
        augmenter: fitted on the pictures of the folder, with a comparison.
        data: see `signs`.
        per_class: pictures that are added to each class.
        done: called with the name of every row that was measured.
        seeds: classifiers of each row.
    """
    images, labels, test, test_labels = data
    places = np.unique(labels)
    found = {}
    for row in ROWS:
        added = [augmenter.sample(f"{label:02d}", per_class, row) for label in places] if row != NOTHING else []
        train = classified(np.concatenate([images, *added]))
        kinds = np.searchsorted(places, np.concatenate([labels, *([label] * per_class for label in places if added)]))
        truth = np.searchsorted(places, test_labels)
        classifier = SmallClassifier(ClassifierRecipe())
        given = (to_float(train), kinds.astype(np.int32), len(places), to_float(classified(test)))
        found[row] = np.mean([classifier(*given, class_seed(7, i)) == truth for i in range(seeds)], axis=0)
        done(row)
    return found


def agreement(method: str | None, correct: dict[str, np.ndarray]) -> dict[str, Any]:
    """Compare advice with what held-out pictures show; see the module.

    Args:
        method: the recommended row; None for none.
        correct: for each row float[m], its scores on held-out pictures.

    Returns:
        {"gain": the advised row's held-out gain as an interval, "best": the best row there, "best_gain", "agrees",
        "within_noise"}.

    Example:
        >>> agreement("shift", {"nothing": np.zeros(4), "shift": np.ones(4)})["agrees"]
        True
    """
    advised = method or NOTHING
    gains = {row: bootstrap_mean(scores - correct[NOTHING]) for row, scores in correct.items()}
    best = max(gains, key=lambda row: gains[row].mean)
    behind = bootstrap_mean(correct[best] - correct[advised])
    agrees = gains[advised].mean > 0 if method else not any(gain.low > 0 for gain in gains.values())
    return {
        "gain": gains[advised].as_dict(),
        "best": best,
        "best_gain": gains[best].as_dict(),
        "agrees": bool(agrees),
        "within_noise": bool(behind.low <= 0),
    }


def measure(data: Data, model: str, flags: dict[str, Any], per_class: int) -> dict[str, Any]:
    """Run the advice on one folder and measure every row on held-out pictures.

    Args:
        data: see `signs`.
        model: see `Augmenter`.
        flags: further arguments of `Augmenter`.
        per_class: pictures that are added to each class.
    """
    images, labels = data[:2]
    start = time.perf_counter()
    names = np.array([f"{label:02d}" for label in labels])
    augmenter = Augmenter(model, per_class=per_class, **flags).fit(images, names)
    seconds = time.perf_counter() - start
    assert augmenter.recommendation_ is not None
    method = augmenter.recommendation_.method
    correct = held_out(augmenter, data, per_class, lambda row: print(f"  held out: {row}", flush=True))
    return {
        "method": method,
        "lines": list(augmenter.recommendation_.lines()),
        "seconds": round(seconds, 1),
        "accuracy": {row: float(scores.mean()) for row, scores in correct.items()},
        **agreement(method, correct),
    }


def summary(results: dict[str, dict[str, Any]]) -> str:
    """Return a Markdown table of the results, and a line on how often the advice agrees."""
    rows = [
        [
            name,
            found["method"] or "nothing",
            common.interval(found["gain"]),
            f"{found['best']} {found['best_gain']['mean']:+.3f}",
            "yes" if found["agrees"] else "no",
            "yes" if found["within_noise"] else "no",
            f"{found['seconds']:.0f}",
        ]
        for name, found in results.items()
    ]
    head = ["folder", "recommended", "its held-out gain", "best there", "agrees", "within noise of the best", "seconds"]
    right = sum(found["agrees"] or found["within_noise"] for found in results.values())
    return common.table(head, rows) + f"\nThe advice holds on {right} of {len(results)} folders.\n"


def main() -> None:
    """Measure the folders that are missing, and print the table."""
    parser = common.parser("augmenting", __doc__, data="folder of gtsrb64.npz and mnist.npz")
    parser.add_argument("--folders", type=int, default=10, help="folders of signs (default: 10)")
    parser.add_argument("--model", default="auto", help="a model for the signs (default: auto)")
    parser.add_argument("--digits-model", default="auto", help="a model for the digits (default: auto)")
    parser.add_argument("--minutes", type=float, help="of fine-tuning (default: that of the command)")
    parser.add_argument("--steps", type=int, help="of every fine-tuning, instead of --minutes")
    parser.add_argument("--per-class", type=int, default=50, help="pictures that are added to a class (default: 50)")
    arguments = parser.parse_args()
    out = Path(arguments.out)
    sizes = {name: getattr(arguments, name) for name in ("model", "digits_model", "minutes", "steps", "per_class")}
    common.claim(parser, out, common.Size(**sizes))
    cases = {f"signs-{seed:02d}": (signs, "gtsrb64.npz", arguments.model, seed) for seed in range(arguments.folders)}
    cases["digits"] = (digits, "mnist.npz", arguments.digits_model, 0)
    results = {}
    for name, (make, archive, model, seed) in cases.items():
        path = out / f"{name}.json"
        if not path.is_file():
            print(f"{name}", flush=True)
            with np.load(Path(arguments.data) / archive) as opened:
                data = make(dict(opened), seed)
            flags = {"minutes": arguments.minutes, "steps": arguments.steps, "seed": seed}
            atomic.write_json(path, measure(data, model, flags, arguments.per_class))
        results[name] = json.loads(path.read_text("utf-8"))
    print(summary(results))
    atomic.write_text(out / "advice.md", summary(results))
