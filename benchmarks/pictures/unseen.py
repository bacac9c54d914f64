"""Task E of few-shot-28: models adapted to classes of data sets that they never saw.

`python -m benchmarks.pictures.unseen --data FOLDER --out DIR --models NAME=DIR ...` evaluates models of one picture
shape on every set of `SETS`, at K = 1, 5 and 10 support images, beside the plain augmentations. A set is brought to the
models' shape. Judges are trained on the set's other classes, once, and kept in DIR; digits and kana have the shipped
judges of Omniglot where pictures are 28x28x1, and otherwise judges of the training classes of `glyphs`. An interrupted
run continues. It writes `unseen.json` and the table `unseen.md`.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.common import SCORES
from benchmarks.pictures.data import prepare
from meta_gan import storage, tasks
from meta_gan.judges import Judge, JudgeRecipe, load_judge, train_judge
from meta_gan.protocol import Evaluation, Settings
from meta_gan.report import Report
from meta_gan.tasks.base import Source, without_small_classes
from meta_gan.tasks.media.pictures import resize_images

SHOTS = (1, 5, 10)
PLAIN = ("copy", "shift", "affine", "elastic", "trivial")
RECIPES = {
    "judge-a": JudgeRecipe("prototypical", "conv4", width=48, augmentation=False, steps=800, ways=10, seed=1),
    "judge-b": JudgeRecipe("classification", "residual", width=24, augmentation=True, steps=800, batch=100, seed=2),
}
"""The judges of a set, shorter than the shipped ones, since a set has few classes."""


@dataclass(frozen=True)
class Set:
    """A data set of task E.

    Attributes:
        file: its archive; a name of `data.MADE` for one that is made.
        evaluated: the split whose classes are evaluated; "all" for every class.
        fold: 0 or 1 to evaluate every second class from this one on, with judges of the others; None for no folds.
        own_judges: whether judges are trained on the other classes of the set.
    """

    file: str
    evaluated: str = "all"
    fold: int | None = None
    own_judges: bool = True


SETS = {
    "GTSRB": Set("gtsrb64.npz", "held out"),
    "MNIST": Set("mnist.npz", own_judges=False),
    "USPS": Set("usps.npz", own_judges=False),
    "KMNIST": Set("kmnist_test.npz", own_judges=False),
    "Fashion-MNIST, even": Set("fashion_mnist.npz", fold=0),
    "Fashion-MNIST, odd": Set("fashion_mnist.npz", fold=1),
    "icons": Set("icons32.npz", "held out"),
    "fonts": Set("fonts", "held out"),
}


def source_of(name: str, data: Path, made: dict[str, str], shape: tuple[int, ...]) -> Source:
    """Return a set at a picture shape, whose evaluated classes are the test split and whose others are for training."""
    chosen = SETS[name]
    path = made.get(chosen.file, str(data / chosen.file))
    source = without_small_classes(tasks.open_source(path, shots=1, queries=1).source, max(SHOTS) + 2)
    count = np.arange(len(source.class_names))
    if chosen.fold is not None:
        test = count % 2 == chosen.fold
    else:
        test = source.class_split != 0 if chosen.evaluated == "held out" else count >= 0
    images = resize_images(source.images, shape)
    return dataclasses.replace(source, images=images, class_split=np.where(test, 2, 0).astype(np.int8))


def judges_of(name: str, source: Source, folder: Path) -> list[Judge]:
    """Return the judges of a set, trained and saved if the folder has none."""
    shape = source.example_shape
    if not SETS[name].own_judges:
        if shape == (28, 28, 1):
            return [load_judge(judge) for judge in common.JUDGES]
        source = tasks.glyphs(shape).source
        folder = folder.parent / "glyphs"
    found = []
    for judge, recipe in RECIPES.items():
        path = folder / judge
        if not path.is_dir():
            ways = min(recipe.ways, len(source.split_classes("train")))
            train_judge(source, dataclasses.replace(recipe, ways=ways), name=judge).save(path)
        found.append(load_judge(path))
    return found


def measure(name: str, arguments: Any, shots: int) -> dict[str, Any]:
    """Return the report of a set at a number of support images, from its folder if it is finished there."""
    out = Path(arguments.out)
    folder = out / name.replace(" ", "-").replace(",", "")
    finished = folder / f"report-{shots}" / "report.json"
    if not finished.is_file():
        models = [common.method(*text.split("=", 1)) for text in arguments.models]
        shape = models[0].model.game.example_shape
        source = source_of(name, Path(arguments.data), prepare(Path(arguments.data), out / "data"), shape)
        judges = judges_of(name, source, folder)
        draws, seeds = (2, 1) if arguments.quick else (3, 3)
        settings = Settings(
            shots=shots,
            steps=0,
            curve=(0,),
            classes=min(len(source.split_classes("test")), 50),
            scratch_steps=0,
            stability_classes=0,
            classification_draws=draws,
            classification_seeds=seeds,
            quick=arguments.quick,
        )
        evaluation = Evaluation(source, models, judges, settings, folder / f"evaluation-{shots}")
        report = Report.from_dict(evaluation.run())
        report.write(finished.parent, html=report.to_html(evaluation.galleries()))
    found: dict[str, Any] = json.loads(finished.read_text("utf-8"))
    return found


def table(reports: dict[tuple[str, int], dict[str, Any]]) -> str:
    """Return the Markdown table: the rows of each set and number of support images, under both judges."""
    lines = []
    for (name, shots), report in reports.items():
        for row, scored in report["rows"].items():
            if row.endswith(", 0 steps"):
                continue
            cells = []
            for score in SCORES:
                values = [scores[score] for scores in scored.values()]
                values = values[:1] if score == "classification_gain" else values
                cells.append(" / ".join("-" if value is None else f"{value['mean']:.3f}" for value in values))
            lines.append([name, shots, row, *cells])
    return common.table(["data", "K", "row", *SCORES], lines)


def verdicts(reports: dict[tuple[str, int], dict[str, Any]], model: str) -> str:
    """Return a line for each set: how a model's gain and energy distance stand beside the plain rows."""
    lines = []
    for (name, shots), report in reports.items():
        rows = report["rows"]

        def means(score: str, row: str, rows: Any = rows) -> list[float]:
            return [scores[score]["mean"] for scores in rows[row].values()]

        gain = means("classification_gain", model)[0]
        plain = {row: means("classification_gain", row)[0] for row in PLAIN}
        best = [min(means("energy_distance", row)[judge] for row in PLAIN) for judge in range(len(rows[model]))]
        near = all(own <= bar for own, bar in zip(means("energy_distance", model), best, strict=True))
        cells = [name, shots, f"{gain:+.3f}", f"{max(plain.values()):+.3f} {max(plain, key=lambda row: plain[row])}"]
        cells += [
            f"{min(plain.values()):+.3f}",
            "yes" if gain >= max(plain.values()) else "no",
            "yes" if near else "no",
        ]
        lines.append(cells)
    head = ["data", "K", f"gain of {model}", "best plain", "worst plain", "highest gain", "least energy distance"]
    return common.table(head, lines)


def main() -> None:
    """Evaluate the sets and write the tables."""
    parser = common.parser("pictures.unseen", __doc__, data="folder of the .npz files", quick="fewer classifiers")
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME=DIR", help="models of one picture shape")
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=list(SETS), help="(default: all)")
    parser.add_argument("--shots", nargs="+", type=int, default=list(SHOTS), help="(default: 1 5 10)")
    arguments = parser.parse_args()
    reports: dict[tuple[str, int], dict[str, Any]] = {}
    for name in arguments.sets:
        for shots in arguments.shots:
            reports[name, shots] = measure(name, arguments, shots)
            print(f"{name}, K = {shots}: done", flush=True)
    first = arguments.models[0].split("=", 1)[0]
    text = table(reports) + "\n" + verdicts(reports, first)
    out = Path(arguments.out)
    storage.write_json(out / "unseen.json", {f"{name}, K = {shots}": r for (name, shots), r in reports.items()})
    (out / "unseen.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
