"""`Evaluation`: models and baselines under few-shot-28, made and scored as one report."""

from __future__ import annotations

import dataclasses
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan import metrics
from meta_gan.checks import check_integer
from meta_gan.judges import Judge
from meta_gan.protocol import methods, splits
from meta_gan.protocol.allocation import Allocation, Images, allocation_digest, class_order
from meta_gan.protocol.classification import NONE, AccuracyLog, classification_gains
from meta_gan.protocol.making import Making
from meta_gan.protocol.methods import Method
from meta_gan.protocol.output_folder import claim, load_arrays, save_arrays
from meta_gan.protocol.processes import make_in_processes
from meta_gan.protocol.scoring import Row, Scorer, score_rows, stability
from meta_gan.protocol.settings import NAME, RATE_SCALES, Settings
from meta_gan.tasks import Source

GALLERY_CLASSES, GALLERY_SAMPLES, GALLERY_PAIRS = 16, 10, 16
Progress = Callable[[str, int, int], None]


class Store:
    """The images of an evaluation on disk: one file for each draw and class, complete or absent.

    Args:
        folder: made at the first `save`.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, draw: int, index: int) -> Path:
        """Return the file of a draw and class."""
        return self.folder / f"draw{draw}" / f"{index:05d}.npz"

    def save(self, draw: int, index: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Write the arrays of one class."""
        save_arrays(self.path(draw, index), arrays)

    def load(self, draw: int, index: int, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """Return those arrays of one class that are there."""
        return load_arrays(self.path(draw, index), keys)


class Evaluation:
    """One evaluation: checked before any compute, kept on disk class by class, and resumed if interrupted.

    Args:
        source: labelled images, split by class.
        models: the models to evaluate, with different names; may be empty.
        judges: at least one.
        settings: of the evaluation.
        out: folder for images and intermediate results: absent, empty, or of the same evaluation.

    Raises:
        ValueError: a model or judge takes other images or was trained on evaluated classes; a class has fewer than
            `shots + 2` images; or the split is empty.

    Example:
        >>> report = Evaluation(source, [Method("mine", model)], [judge], Settings(), "out").run()
    """

    def __init__(
        self,
        source: Source,
        models: Sequence[Method],
        judges: Sequence[Judge],
        settings: Settings,
        out: str | os.PathLike[str],
    ):
        self.source, self.models, self.judges, self.settings = source, list(models), list(judges), settings
        self.classes = class_order(source, settings.split)[: settings.classes]
        self.numbers = [int(index) for index in self.classes]
        methods.check_comparable(source, self.classes, settings.split, models, judges)
        self.methods = methods.all_methods(models, settings)
        # A classifier needs two classes.
        self.classified = bool(settings.classification_draws) and len(self.classes) > 1
        self.making = Making(source, settings, self.classes, self.methods, self.classified)
        self.allocations = self.making.allocations
        self.description = self._describe()
        self.folder = Path(out)
        self.store = Store(self.folder / "samples")

    def _describe(self) -> dict[str, Any]:
        """Return the report's `protocol`: everything that decides the images."""
        settings, source = self.settings, self.source
        classifier = {
            "classes": min(len(self.classes), settings.classification_classes),
            "draws": settings.classification_draws,
            "seeds": settings.classification_seeds,
            "per_class": settings.per_class,
            "ways": min(settings.ways, len(self.classes)),
        }
        return {
            "name": NAME,
            "task": splits.recognise_task(source),
            "form": "quick" if settings.quick else "full",
            "data": source.name,
            "data_sha256": splits.data_digest(source),
            "example_shape": list(source.example_shape),
            "split": settings.split,
            "split_sha256": splits.split_digest(source),
            "allocation_sha256": allocation_digest(source, self.classes, settings.shots, settings.draws),
            "shots": settings.shots,
            "steps": "the model's own" if settings.steps is None else settings.steps,
            "classes": len(self.classes),
            "draws": settings.draws,
            "seed": settings.seed,
            "samples": settings.samples,
            "ways": min(settings.ways, len(np.unique(source.labels))),
            "pooled_count": sum(self.allocations[0].pooled_counts(settings.samples)),
            "classification": classifier if self.classified else None,
            "notes": self._notes(),
        }

    def _notes(self) -> list[str]:
        """Return the sentences that a reader of the report must know."""
        settings, count, notes = self.settings, len(self.classes), []
        if settings.quick:
            notes.append(
                "Quick form: one draw of few classes and few classifiers; for day-to-day work, not for publication."
            )
        if settings.split == "train":
            notes.append("These classes were seen in training: this is no measure of generation from few shots.")
        if count < settings.ways:
            notes.append(
                f"Only {count} classes are evaluated: samples are recognised among classes of other splits too, and "
                f"the few-shot classifier is {count}-way."
            )
        if settings.classification_draws and 1 < count <= settings.ways:
            notes.append("Every classifier has all of the classes: its intervals are those of training alone.")
        for model in self.models:
            polarity = model.model.data_card.get("polarity")
            if polarity not in (None, self.source.polarity):
                notes.append(f"{model.name} was trained on {polarity} images, these are {self.source.polarity}.")
        if settings.draws == 1:
            notes.append("One draw of the support, one training of each model.")
        return notes

    def claim(self) -> None:
        """Make the folder, or resume the evaluation in it.

        Raises:
            ValueError: it has other contents, or an evaluation of other data, models or settings.
        """
        settings = {**dataclasses.asdict(self.settings), "curve": list(self.settings.curve)}
        cards = {model.name: dict(model.card) for model in self.models}
        own = {"settings": settings, "protocol": self.description, "models": cards}
        claim(self.folder, own)

    def run(self, progress: Progress = lambda stage, done, total: None, workers: int = 1) -> dict[str, Any]:
        """Make the images that are absent, score all rows, and return the report.

        Args:
            progress: called with the name of a stage, and the numbers of items done and of all.
            workers: processes that make the images, >= 1; see `processes.make_in_processes`. The report is the same.

        Returns:
            JSON values, the same for the same seed but for `times`.

        Raises:
            ValueError: as `claim`, or samples are not finite.
        """
        started, workers = time.perf_counter(), check_integer(workers, "workers", 1)
        self.claim()
        if workers > 1:
            self._fill_in_processes(workers, progress)
        for draw in range(self.settings.draws):
            self._fill(draw, progress)
        ways = self.settings.ways
        scorers = [[Scorer(judge, each, ways) for each in self.allocations] for judge in self.judges]
        report = {"protocol": self.description, **score_rows(self.rows(), scorers, self.settings, progress)}
        report["models"] = self._describe_models(scorers[0][0])
        self._add_gains(report, self._gains(progress) if self.classified else {})
        report["row_info"] = self.describe_rows()
        report["times"] = self._times(time.perf_counter() - started)
        return report

    def _fill(self, draw: int, progress: Progress) -> None:
        """Make and store the images of the classes that have none yet."""
        if not self.store.path(draw, self.numbers[0]).is_file():
            # Discarded: the first call traces and compiles, which is not part of a task's time.
            self._make(draw, 0)
        for position, index in enumerate(self.numbers):
            if not self.store.path(draw, index).is_file():
                self.store.save(draw, index, self._make(draw, position))
            progress(f"draw {draw + 1}: images", position + 1, len(self.numbers))

    def _fill_in_processes(self, workers: int, progress: Progress) -> None:
        """Make and store in several processes the images of the classes that have none yet."""
        every = [(draw, position) for draw in range(self.settings.draws) for position in range(len(self.numbers))]
        jobs = [(draw, place) for draw, place in every if not self.store.path(draw, self.numbers[place]).is_file()]
        if not jobs:
            return
        for number, ((draw, place), made) in enumerate(make_in_processes(self.making, jobs, workers), 1):
            self.store.save(draw, self.numbers[place], made)
            progress("images", number, len(jobs))

    def _make(self, draw: int, position: int) -> dict[str, np.ndarray]:
        """See `Making.make`."""
        return self.making.make(draw, position)

    def rows(self) -> list[Row]:
        """Return the rows of the report, in order."""
        rows = [Row(methods.ORACLE, lambda draw: self.allocations[draw].oracle(), "rows")]
        for number, method in enumerate(self.methods):
            place = "controls" if method.name == methods.REPEAT else "rows"
            rows.append(self._row(number, method.row_steps, method.name, place))
        for number, method in enumerate(self.methods):
            if method.evaluated:
                rows.append(self._row(number, 0, f"{method.name}, 0 steps", "rows"))
                rows += [self._row(number, steps, f"{steps}", "curve") for steps in self.settings.curve]
        samples = self.settings.samples
        rows.append(Row(methods.WRONG, lambda draw: self.allocations[draw].wrong(samples), "controls"))
        return rows

    def _row(self, number: int, steps: int, name: str, place: str) -> Row:
        return Row(name, lambda draw: self._stored(draw, f"{number}/samples/{steps}"), place, self.methods[number].name)

    def _stored(self, draw: int, key: str, count: int | None = None) -> list[np.ndarray | None]:
        """Return an array of each of the first `count` classes, None where it is absent."""
        return [self.store.load(draw, index, [key]).get(key) for index in self.numbers[:count]]

    def _describe_models(self, scorer: Scorer) -> dict[str, Any]:
        found = {}
        for number, method in enumerate(self.methods):
            if method.evaluated:
                keys = {scale: f"{number}/rate/{scale:g}" for scale in RATE_SCALES}
                count = self.settings.stability_classes
                found[method.name] = {
                    "algorithm": method.model.algorithm.name,
                    "inner_steps": method.model.algorithm.inner_steps,
                    "parameters": int(method.model.count_params()),
                    **method.card,
                    "stability": stability(scorer, {s: _complete(self._stored(0, k, count)) for s, k in keys.items()}),
                }
        return found

    def _gains(self, progress: Progress) -> dict[str, Any]:
        allocation, count = self.allocations[0], self.settings.classification_classes
        added: dict[str, Any] = {methods.ORACLE: allocation.oracle()[:count]}
        for number, method in enumerate(self.methods):
            if method.name != methods.REPEAT:
                added[method.name] = self._stored(0, f"{number}/extra", count)
        return classification_gains(
            allocation.images("support")[:count],
            allocation.images("references")[:count],
            {name: None if any(made is None for made in images) else images for name, images in added.items()},
            self.settings,
            AccuracyLog(self.folder / "classification.jsonl"),
            lambda done, total: progress("classifiers", done, total),
        )

    def _add_gains(self, report: dict[str, Any], found: Mapping[str, Any]) -> None:
        """Write the classification gains into the rows of a report, the same under all judges."""
        for name, row in (*report["rows"].items(), *report["controls"].items()):
            for scores in row.values():
                for key in ("classification_accuracy", "classification_gain"):
                    scores[key] = (found.get(name) or {}).get(key)
        for scores in report[NONE].values():
            scores["classification_accuracy"] = (found.get(NONE) or {}).get("classification_accuracy")

    def describe_rows(self) -> dict[str, dict[str, Any]]:
        """Return a sentence about each row, and its numbers of classes."""
        total, settings = len(self.classes), self.settings
        info: dict[str, dict[str, Any]] = {
            methods.ORACLE: {"what": "real images of the class that no row has seen", "classes": total},
            methods.WRONG: {"what": "real images of another class", "classes": total},
        }
        for method in self.methods:
            count = total if method.classes is None else min(total, method.classes)
            if method.name in methods.BASELINES:
                what = methods.BASELINES[method.name][1]
            elif method.evaluated:
                what = f"adapted by {method.row_steps} inner steps"
                info[f"{method.name}, 0 steps"] = {"what": "before adaptation", "classes": count}
            else:
                what = f"the same nets from fresh weights, {method.row_steps} steps on the support alone"
            info[method.name] = {"what": what, "classes": count}
        limit = min(total, settings.classification_classes) if settings.classification_draws else None
        return {name: {**entry, "classification_classes": limit} for name, entry in info.items()}

    def _times(self, seconds: float) -> dict[str, Any]:
        """Return medians over classes of the milliseconds of adaptation and sampling."""
        machine = f"{os.cpu_count()} cores, {platform.machine()}, TensorFlow {tf.__version__}, "
        machine += f"Python {platform.python_version()}"
        times: dict[str, Any] = {"machine": machine, "total_seconds": round(seconds, 1), "rows": {}, "curve": {}}
        for number, method in enumerate(self.methods):
            keys = {steps: f"{number}/ms/{steps}" for steps in method.steps}
            stored = [self.store.load(0, index, list(keys.values())) for index in self.numbers]
            medians = {
                steps: round(float(np.median([float(made[key]) for made in stored if key in made])), 2)
                for steps, key in keys.items()
            }
            times["rows"][method.name] = {"ms_per_class": medians[method.row_steps]}
            if method.evaluated:
                times["curve"][method.name] = {str(steps): value for steps, value in medians.items()}
        return times

    def galleries(self) -> dict[str, Any]:
        """Return the pictures of a finished evaluation, of all rows but those of curves, from the first draw.

        Returns:
            {row: {"classes", "support": uint8[n, shots, ...], "samples": uint8[n, m, ...], "nearest"}} of up to 16
            classes. "nearest" has for 16 classes the sample that is nearest to a support image, nearest first.
        """
        thresholds = self.allocations[0].thresholds()
        rows = [row for row in self.rows() if row.place != "curve"]
        return {row.name: make_gallery(row.images(0), self.allocations[0], thresholds) for row in rows}


def make_gallery(images: Images, allocation: Allocation, thresholds: Sequence[float]) -> dict[str, Any]:
    """Return the pictures of one row, as `Evaluation.galleries` has them."""
    names, support = allocation.names, allocation.images("support")
    made = {place: each for place, each in enumerate(images) if each is not None}
    shown = list(made)[:: max(1, -(-len(made) // GALLERY_CLASSES))]
    fewest = min((len(made[place][:GALLERY_SAMPLES]) for place in shown), default=0)
    pairs = []
    for place, each in made.items():
        index, distance = metrics.nearest_images(each, support[place])
        first = int(distance.argmin())
        pairs.append(
            {
                "class": names[place],
                "generated": each[first],
                "support": support[place][index[first]],
                "distance": float(distance[first]),
                "copy": bool(distance[first] < thresholds[place] or distance[first] == 0),
            }
        )
    pairs.sort(key=lambda pair: pair["distance"])
    return {
        "classes": [names[place] for place in shown],
        "support": np.stack([support[place] for place in shown]) if shown else support[0][None, :0],
        "samples": np.stack([made[place][:fewest] for place in shown]) if shown else support[0][None, :0],
        "nearest": pairs[:GALLERY_PAIRS],
    }


def _complete(images: Images) -> list[np.ndarray]:
    return [made for made in images if made is not None]
