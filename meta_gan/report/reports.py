"""`Report`, `TranslationReport`, `PlaneReport`: checked results of evaluations, written as JSON, Markdown and HTML."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from meta_gan import atomic
from meta_gan.report.plane import recognised_at
from meta_gan.report.rendering import markdown, page
from meta_gan.report.sections import BARS, interval, sections

INTERVAL = dict.fromkeys(("mean", "low", "high"))
KEYS = {
    "protocol": (
        *("name", "task", "form", "data", "example_shape", "split", "split_sha256", "allocation_sha256", "shots"),
        *("steps", "classes", "draws", "seed", "samples", "ways", "pooled_count", "classification", "notes"),
    ),
    "judges": ("sha256", "network", "method", "augmentation", "trained_on", "features", "validation_accuracy"),
    "models": ("algorithm", "inner_steps", "parameters", "weights_sha256", "training", "stability"),
    "floor": ("frechet_distance", "kernel_distance", "count"),
    "row_info": ("what", "classes", "classification_classes"),
    "times": ("machine", "total_seconds", "rows", "curve"),
}
"""The keys that a report's field, or each of its entries, must have; it may have others."""

Scores = Mapping[str, Mapping[str, Mapping[str, Any]]]


def _check(value: Any, form: Mapping[Any, Any], path: str) -> None:
    """Check that a mapping has the keys of `form`, and each entry the form given there, or under `...` for the rest."""
    if not isinstance(value, Mapping):
        raise ValueError(f"'{path}' must be a dictionary. Received: {type(value).__name__}")
    for key in form:
        if key is not ... and key not in value:
            raise ValueError(f"'{path}' must have the key {key!r}. Received: {sorted(map(str, value))}")
    for key, entry in value.items():
        inner = form.get(key, form.get(...))
        if inner is not None and not (entry is None and inner is INTERVAL):
            _check(entry, inner, f"{path}.{key}")


def _check_galleries(galleries: Mapping[str, Mapping[str, Any]], rows: Iterable[str]) -> None:
    for row, gallery in galleries.items():
        if row not in rows:
            raise ValueError(f"'galleries' must be of rows of the report. Received: {row!r}")
        path, count = f"galleries.{row}", len(gallery.get("classes", ()))
        _check(gallery, dict.fromkeys(("classes", "support", "samples", "nearest")), path)
        for key in ("support", "samples") if count else ():
            _check_images(gallery[key], (count, None), f"{path}.{key}")
        for place, pair in enumerate(gallery["nearest"]):
            keys = ("class", "generated", "support", "distance", "copy")
            _check(pair, dict.fromkeys(keys), f"{path}.nearest.{place}")
            for key in ("generated", "support"):
                _check_images(pair[key], (), f"{path}.nearest.{place}.{key}")


def _check_images(images: np.ndarray, leading: tuple[int | None, ...], path: str) -> None:
    """Check the shape of images; `leading` are the sizes before height, width and channels, None for any."""
    fits = images.ndim == len(leading) + 3 and images.shape[-1] in (1, 3) and images.size > 0
    fits = fits and all(size in (None, have) for size, have in zip(leading, images.shape, strict=False))
    if not fits or images.dtype != np.uint8:
        wanted = ", ".join([*("n" if size is None else str(size) for size in leading), "height, width, 1 or 3"])
        raise ValueError(f"'{path}' must be uint8[{wanted}]. Received: {images.dtype}{list(images.shape)}")


@dataclass(frozen=True, kw_only=True)
class _Results:
    """Conversions and files of a report, whose fields are the keys of the JSON object, in their order."""

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return the report that a mapping holds, as an evaluation returns it or as read from `report.json`.

        Args:
            content: a value for every field; those that default to None may be absent.

        Raises:
            ValueError: a key is missing, unknown or of another form; the message names it with its path.
        """
        names = {field.name: field.default is MISSING for field in fields(cls)}
        _check(content, dict.fromkeys(name for name, required in names.items() if required), "report")
        if unknown := sorted(set(content) - set(names)):
            raise ValueError(f"'report' must have no other keys than {list(names)}. Received: {unknown}")
        return cls(**content)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of `report.json`, without fields that are None."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def to_json(self) -> str:
        """Return the text of `report.json`."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    def to_markdown(self) -> str:
        """Return the text of `report.md`."""
        raise NotImplementedError

    def write(self, folder: str | os.PathLike[str], **others: str) -> list[Path]:
        """Write `report.json`, `report.md` and other renderings, each file in one replace.

        Args:
            folder: where to; it is created if it does not exist.
            others: text by file extension, such as `html=report.to_html(galleries)`.

        Returns:
            The paths of the files.
        """
        paths = []
        Path(folder).mkdir(parents=True, exist_ok=True)
        for extension, text in {"json": self.to_json(), "md": self.to_markdown(), **others}.items():
            paths.append(Path(folder) / f"report.{extension}")
            atomic.write_text(paths[-1], text)
        return paths


@dataclass(frozen=True, kw_only=True)
class Report(_Results):
    """The results of an evaluation under few-shot-28.

    Attributes:
        protocol: what was evaluated, and how.
        judges: `{judge: card}`.
        rows: scores of models and baselines, `{row: {judge: {metric: {"mean", "low", "high"} or None}}}`.
        controls: scores of rows that a judge must call bad, in the same form.
        curve: scores by adaptation steps, `{model: {judge: {metric: {steps: {"mean", "low", "high"} or None}}}}`.
        floor: pooled distances between real images, `{judge: {metric: number or None, "count": N}}`.
        none: scores of classifiers without generated images, `{judge: {metric: {"mean", "low", "high"} or None}}`.
        models: `{model: card}`, with the counts of failed adaptations.
        row_info: `{row: what it is, and on how many classes it was scored}`.
        times: the machine, and the milliseconds of adapting and sampling.

    Raises:
        ValueError: a key that is shown is missing, or `form` is neither 'full' nor 'quick'.

    Example:
        >>> report = Report.from_dict(evaluation.run())
        >>> report.write("out", html=report.to_html(evaluation.galleries()))
    """

    protocol: Mapping[str, Any]
    judges: Mapping[str, Mapping[str, Any]]
    rows: Scores
    controls: Scores
    curve: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]
    floor: Mapping[str, Mapping[str, Any]]
    none: Mapping[str, Mapping[str, Any]] | None = None
    models: Mapping[str, Mapping[str, Any]]
    row_info: Mapping[str, Mapping[str, Any]]
    times: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Check that the report has everything that is shown."""
        _check(self.to_dict(), {name: {} for name in self.to_dict()}, "report")
        keys = {field: dict.fromkeys(names) for field, names in KEYS.items()}
        scores = {...: {judge: {...: INTERVAL} for judge in self.judges}}
        form = {
            "protocol": keys["protocol"],
            "judges": {...: keys["judges"]},
            "rows": scores,
            "controls": scores,
            "curve": {...: {judge: {...: {...: INTERVAL}} for judge in self.judges}},
            "floor": dict.fromkeys(self.judges, keys["floor"]),
            "models": {...: keys["models"]},
            "row_info": dict.fromkeys(self.scored, keys["row_info"]),
            "times": keys["times"],
        }
        _check(self.to_dict(), form, "report")
        if self.protocol["form"] not in ("full", "quick"):
            raise ValueError(f"'report.protocol.form' must be 'full' or 'quick'. Received: {self.protocol['form']!r}")

    @property
    def title(self) -> str:
        """The protocol's name, its task and the data."""
        task = f", task {self.protocol['task']}" if self.protocol["task"] else ""
        return f"{self.protocol['name']}{task}: {self.protocol['data']}"

    @property
    def quick(self) -> bool:
        """Whether the quick form was evaluated, which is not for publication."""
        return self.protocol["form"] == "quick"

    @property
    def scored(self) -> dict[str, Mapping[str, Mapping[str, Any]]]:
        """The scores of all rows, then of all controls."""
        return {**self.rows, **self.controls}

    def best_bar(self, judge: str) -> tuple[str, float] | None:
        """Return which plain augmentation has the lowest energy distance under a judge, and that distance.

        A model "beats augmentation" when its own is lower.

        Returns:
            The row, one of `BARS`, and its mean; None if none of them was scored.
        """
        entries = {row: self.rows.get(row, {}).get(judge, {}).get("energy_distance") for row in BARS}
        means = {row: entry["mean"] for row, entry in entries.items() if entry and entry["mean"] is not None}
        return min(means.items(), key=lambda item: item[1]) if means else None

    def to_markdown(self) -> str:
        """Return the report as Markdown.

        Returns:
            The protocol, a table of scores for each judge (rows, then controls; means with 95 % intervals), what the
            columns mean, the floor, the curve, models, judges and times. A dash stands for what was not measured.
        """
        return markdown("report.md", report=self, sections=sections(self))

    def to_html(self, galleries: Mapping[str, Mapping[str, Any]]) -> str:
        """Return the report as one HTML page that loads nothing and runs no script.

        Args:
            galleries: pictures of some or all rows and controls, `{row: {"classes": n names, "support": uint8[n, k,
                height, width, channels], "samples": uint8[n, m, height, width, channels], "nearest": [{"class": name,
                "generated": uint8[height, width, channels], "support": likewise, "distance": pixel distance, "copy":
                bool}]}}`, of 1 or 3 channels.

        Returns:
            The content of `to_markdown` with plots, samples beside their support, and the generated images nearest to
            a support image. The same arguments give the same text.

        Raises:
            ValueError: a gallery of no row, or of other arrays.
        """
        _check_galleries(galleries, self.scored)
        return page(self, galleries)


@dataclass(frozen=True, kw_only=True)
class TranslationReport(_Results):
    """The results of an evaluation of translations between two domains.

    Attributes:
        rows: `{row: {score: {"mean", "low", "high"}}}`; the ends are None where there is no interval.
        tasks: how many tasks were scored.
        shots: support images of each domain in a task.
        queries: query images of each domain in a task.
        split: the split of the pairs of classes.
        judges: `{judge: sha256}`.
        models: `{model: card}`.

    Raises:
        ValueError: a score without mean, low or high.

    Example:
        >>> TranslationReport.from_dict(evaluate_translations(tasks, rows, judges)).write("out")
    """

    rows: Mapping[str, Mapping[str, Any]]
    tasks: int
    shots: int
    queries: int
    split: str
    judges: Mapping[str, str]
    models: Mapping[str, Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        """Check the scores."""
        _check(self.rows, {...: {...: INTERVAL}}, "report.rows")

    def to_markdown(self) -> str:
        """Return the report as a Markdown table with a line for each row, and a sentence on what was scored."""
        scores = list(dict.fromkeys(score for row in self.rows.values() for score in row))
        return markdown("translations.md", report=self, scores=scores, interval=interval)


@dataclass(frozen=True, kw_only=True)
class PlaneReport(_Results):
    """The points of one-shot generation on the plane of diversity and recognisability.

    Attributes:
        protocol: what was evaluated.
        judges: `{"diversity": sha256, "recognisability": sha256}`.
        people: the scores of real images, `{"diversity": {"mean", "low", "high"}, "recognisability": likewise}`.
        curves: the scores of every method by setting, `{method: {setting: scores}}`.
        models: `{model: card}`.

    Raises:
        ValueError: a score without mean, low or high.

    Example:
        >>> PlaneReport.from_dict(plane.run()).write("out")
    """

    protocol: Mapping[str, Any]
    judges: Mapping[str, str]
    people: Mapping[str, Any]
    curves: Mapping[str, Mapping[str, Mapping[str, Any]]]
    models: Mapping[str, Mapping[str, Any]]

    def __post_init__(self) -> None:
        """Check the scores."""
        scores = {"diversity": INTERVAL, "recognisability": INTERVAL}
        _check(self.people, scores, "report.people")
        _check(self.curves, {...: {...: scores}}, "report.curves")
        keys = ("task", "form", "data", "split", "classes", "draws", "samples", "ways", "seed")
        _check(self.protocol, dict.fromkeys(keys), "report.protocol")

    def to_markdown(self) -> str:
        """Return the report as a Markdown table with a line for each point, and what the scores are."""
        at_people = {name: recognised_at(points) for name, points in self.curves.items() if len(points) > 1}
        return markdown("plane.md", report=self, at_people=at_people, interval=interval)
