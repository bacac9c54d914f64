"""`AugmentationReport`: the results of an `Augmenter`, as JSON and as one self-contained HTML page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from meta_gan import atomic
from meta_gan.report.rendering import augmentation_page
from meta_gan.report.sections import NULL, Section, Table


@dataclass(frozen=True, kw_only=True)
class AugmentationReport:
    """The fields are the keys of `report.json`; intervals are {"mean", "low", "high"} of shares in [0, 1].

    Attributes:
        data: name, numbers of classes and pictures, and their shape.
        model: name, shape of its pictures, and whether the pictures were inverted for it.
        fine_tuning: the limits, the steps of each run (that on all pictures, then those of the folds) and the episodes.
        comparison: folds, classifiers, added pictures; None without a comparison.
        rows: by row "accuracy", "gain" over adding nothing, and "over_plain", both None where they do not apply.
        method: what is added; None for nothing.
        best_plain: the plain augmentation that generated pictures are compared with.
        lines: the two lines for people.
        seed: of everything.
        seconds: of the whole fit.
    """

    data: Mapping[str, Any]
    model: Mapping[str, Any]
    fine_tuning: Mapping[str, Any]
    comparison: Mapping[str, Any] | None
    rows: Mapping[str, Mapping[str, Any]]
    method: str | None
    best_plain: str | None
    lines: list[str]
    seed: int
    seconds: float

    @property
    def title(self) -> str:
        """The title of the page."""
        return f"Augmentation of {self.data['name']}"

    def sections(self) -> list[Section]:
        """Return the parts of the page that have no pictures."""
        made = []
        if self.comparison is not None:
            head = ["row", "accuracy, %", "gain, points", "over the best plain row, points"]
            rows = [
                [name, _percent(row["accuracy"]), _percent(row["gain"], "+"), _percent(row["over_plain"], "+")]
                for name, row in self.rows.items()
            ]
            made.append(Section("Comparison", _facts(self.comparison), [Table("", head, rows)]))
        parts = {"Data": self.data, "Model": self.model, "Fine-tuning": self.fine_tuning}
        return [*made, *(Section(title, _facts(part)) for title, part in parts.items())]

    def to_json(self) -> str:
        """Return the text of `report.json`."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    def to_html(self, galleries: Mapping[str, Mapping[str, Any]]) -> str:
        """Return the text of `report.html`.

        Args:
            galleries: by row {"classes": [...], "support": uint8[classes, k, height, width, channels], "samples":
                likewise, "nearest": [{"class", "generated", "support", "distance", "copy"}]}.
        """
        return augmentation_page(self, self.sections(), galleries)

    def write(self, folder: Path, galleries: Mapping[str, Mapping[str, Any]]) -> list[Path]:
        """Write `report.json` and `report.html` into a folder, each file in one replace, and return their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for name, text in (("report.json", self.to_json()), ("report.html", self.to_html(galleries))):
            paths.append(folder / name)
            atomic.write_text(paths[-1], text)
        return paths


def _facts(values: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    shown = {name.replace("_", " "): value for name, value in values.items() if value not in (None, [])}
    return [(name, value if isinstance(value, list) else [value]) for name, value in shown.items()]


def _percent(entry: Mapping[str, float | None] | None, sign: str = "") -> str:
    """Return an interval of shares in percent, or a dash.

    Example:
        >>> _percent({"mean": 0.5, "low": 0.4, "high": None})
        '50.0 (40.0 to —)'
    """
    if entry is None:
        return NULL
    ends = (entry[key] for key in ("mean", "low", "high"))
    mean, low, high = (NULL if value is None else f"{100 * value:{sign}.1f}" for value in ends)
    return f"{mean} ({low} to {high})"
