"""`Evaluation`: models and plain augmentations side by side under few-shot-28, as one report."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan import storage
from meta_gan.augment import class_seed
from meta_gan.judges.judge import Judge
from meta_gan.protocol import allocation as protocol
from meta_gan.protocol import entrants, gains, results, splits
from meta_gan.protocol.entrants import Entry
from meta_gan.protocol.galleries import galleries
from meta_gan.protocol.generation import Contender, Store, Wanted, fill, make
from meta_gan.protocol.results import Row, Table
from meta_gan.protocol.scoring import Deal
from meta_gan.protocol.settings import Settings
from meta_gan.tasks import Source

CLAIM = "evaluation.json"
Progress = Callable[[str, int, int], None]


class Evaluation:
    """One evaluation: checked before any compute, kept on disk class by class, and gone on with where it stopped.

    Args:
        source: labelled images, split by class.
        models: what to evaluate, by name; may be empty.
        judges: at least one.
        settings: what is done.
        out: folder for images and intermediate results: absent, empty, or of this very evaluation.

    Raises:
        ValueError: a model or judge of another image shape, or trained on classes that are to be evaluated; a class
            with fewer than `shots + 2` images; an empty split; a folder of something else.

    Example:
        >>> report = Evaluation(source, {"mine": Entry(model, {})}, [judge], Settings(), "out").run()
    """

    def __init__(
        self,
        source: Source,
        models: Mapping[str, Entry],
        judges: Sequence[Judge],
        settings: Settings,
        out: str | os.PathLike[str],
    ):
        self.source, self.models, self.judges, self.settings = source, dict(models), list(judges), settings
        self.classes = protocol.class_order(source, settings.split)[: settings.classes]
        self.numbers = [int(index) for index in self.classes]
        self.deals = [self._deal(draw) for draw in range(settings.draws)]
        entrants.check(source, self.classes, settings.split, models, judges)
        self.contenders = entrants.contenders(models, settings)
        # A classifier needs two classes to tell apart.
        self.classified = bool(settings.classification_draws) and len(self.classes) > 1
        self.description = self._describe()
        self.folder = Path(out)
        self.store = Store(self.folder / "samples")

    def _deal(self, draw: int) -> Deal:
        parts = [protocol.allocate(self.source, index, self.settings.shots, draw) for index in self.numbers]
        return Deal(self.source, self.classes, parts)

    def _describe(self) -> dict[str, Any]:
        """The report's `protocol`: all that decides the images."""
        settings, source = self.settings, self.source
        classifier = {
            "classes": min(len(self.classes), settings.classification_classes),
            "draws": settings.classification_draws,
            "seeds": settings.classification_seeds,
            "per_class": settings.per_class,
            "ways": min(settings.ways, len(self.classes)),
        }
        return {
            "name": protocol.NAME,
            "task": splits.recognise(source),
            "form": "quick" if settings.quick else "full",
            "data": source.name,
            "data_sha256": hashlib.sha256(source.images.tobytes() + source.labels.tobytes()).hexdigest(),
            "example_shape": list(source.example_shape),
            "split": settings.split,
            "split_sha256": splits.digest(source),
            "allocation_sha256": protocol.allocation_digest(source, self.classes, settings.shots, settings.draws),
            "shots": settings.shots,
            "steps": settings.steps,
            "classes": len(self.classes),
            "draws": settings.draws,
            "seed": settings.seed,
            "samples": settings.samples,
            "ways": min(settings.ways, len(np.unique(source.labels))),
            "pooled_count": sum(self.deals[0].pooled_counts(settings.samples)),
            "classification": classifier if self.classified else None,
            "notes": entrants.notes(source, self.classes, settings, self.models),
        }

    def claim(self) -> None:
        """Takes the folder, or goes on in it.

        Raises:
            ValueError: it holds something else, or an evaluation of other data, models or settings.
        """
        mine = {
            "settings": dataclasses.asdict(self.settings),
            "protocol": self.description,
            "models": {name: dict(entry.card) for name, entry in self.models.items()},
        }
        mine = {**mine, "settings": {**mine["settings"], "curve": list(self.settings.curve)}}
        path = self.folder / CLAIM
        if path.is_file():
            if _read(path) != mine:
                raise ValueError(
                    f"--out must be absent, or the folder of the same evaluation to go on with. "
                    f"Received: {str(self.folder)!r}, of other data, models or settings"
                )
            return
        storage.check_free(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        storage.write_json(path, mine)

    def run(self, progress: Progress = lambda stage, done, total: None) -> dict[str, Any]:
        """Makes what is absent, scores everything, and returns the report.

        Args:
            progress: called with a stage's name, and how much of how much is done.

        Returns:
            JSON values; the same for the same seed but for its `times`.

        Raises:
            ValueError: a folder of something else, or samples that are not finite.
        """
        started = time.perf_counter()
        self.claim()
        for draw in range(self.settings.draws):
            self._fill(draw, progress)
        table = Table(self.rows(), self.deals, self.judges, self.settings)
        report = {"protocol": self.description, **table.report(progress), "models": self._models(table)}
        found = self._gains(table, progress) if self.classified else {}
        results.add_gains(report, found, [judge.name for judge in self.judges])
        report["row_info"] = entrants.info(self.contenders, len(self.classes), self.settings)
        report["times"] = results.times(self.store, self.contenders, self.numbers, time.perf_counter() - started)
        return report

    def galleries(self) -> dict[str, Any]:
        """The pictures of a run that is done; see `galleries.galleries`."""
        return galleries(self.rows(), self.deals[0], self.deals[0].thresholds())

    def _fill(self, draw: int, progress: Progress) -> None:
        settings, deal = self.settings, self.deals[draw]
        supports = deal.images("support")

        def one(position: int, index: int) -> dict[str, np.ndarray]:
            arrays: dict[str, np.ndarray] = {}
            seed = class_seed(class_seed(settings.seed, draw), index)
            classified = self.classified and position < settings.classification_classes
            wanted = Wanted(
                settings.samples,
                settings.per_class if classified and draw == 0 else 0,
                position < settings.stability_classes and draw == 0,
            )
            for number, contender in enumerate(self.contenders):
                if contender.takes_part(position):
                    made = make(contender, supports[position], wanted, seed, deal.names[position])
                    arrays |= {f"{number}/{key}": value for key, value in made.items()}
            return arrays

        if not self.store.path(draw, self.numbers[0]).is_file():
            # Thrown away: the first call traces and compiles, which is no part of a task's time.
            one(0, self.numbers[0])
        stage = f"draw {draw + 1}: images"
        fill(self.store, draw, self.numbers, one, lambda done: progress(stage, done, len(self.classes)))

    def rows(self) -> list[Row]:
        """Every row of the report, in order."""
        rows = [Row(entrants.ORACLE, lambda draw: self.deals[draw].oracle(), "rows")]
        rows += [self._row(number, c) for number, c in enumerate(self.contenders)]
        for number, contender in enumerate(self.contenders):
            if contender.stable:
                rows.append(self._row(number, contender, 0, f"{contender.name}, 0 steps", "rows"))
                rows += [self._row(number, contender, n, f"{n}", "curve") for n in self.settings.curve]
        rows.append(Row(entrants.WRONG, lambda draw: self.deals[draw].wrong(self.settings.samples), "controls"))
        return rows

    def _row(self, number: int, contender: Contender, steps: int | None = None, name: str = "", place: str = "") -> Row:
        key = f"{number}/samples/{contender.row_steps if steps is None else steps}"
        place = place or ("controls" if contender.name == entrants.REPEAT else "rows")
        return Row(name or contender.name, lambda draw: self._stored(draw, key), place, contender.name)

    def _stored(self, draw: int, key: str) -> list[np.ndarray | None]:
        return [self.store.load(draw, index, [key]).get(key) for index in self.numbers]

    def _models(self, table: Table) -> dict[str, Any]:
        found = {}
        for number, contender in enumerate(self.contenders):
            if contender.stable:
                model = self.models[contender.name].model
                found[contender.name] = {
                    "algorithm": model.algorithm.name,
                    "inner_steps": model.algorithm.inner_steps,
                    "parameters": int(model.count_params()),
                    **self.models[contender.name].card,
                    "stability": results.stability(table, self.store, number, self.numbers, self.settings),
                }
        return found

    def _gains(self, table: Table, progress: Progress) -> dict[str, Any]:
        settings, deal = self.settings, self.deals[0]
        count = min(settings.classification_classes, len(self.classes))
        added: dict[str, Any] = {entrants.ORACLE: results.whole(deal.oracle()[:count])}
        for number, contender in enumerate(self.contenders):
            if contender.name != entrants.REPEAT:
                added[contender.name] = results.whole(self._stored(0, f"{number}/extra")[:count])
        return gains.gains(
            deal.images("support")[:count],
            deal.images("references")[:count],
            added,
            settings.classification_draws,
            settings.classification_seeds,
            settings.ways,
            gains.Log(self.folder / "classification.jsonl"),
            lambda done, total: progress("classifiers", done, total),
        )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
