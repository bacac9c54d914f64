"""`Medium`: the interface of the codecs `Pictures`, `Sounds` and `Texts`."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import tensorflow as tf

from meta_gan.tasks.pictures import grid, save_png

if TYPE_CHECKING:
    from meta_gan.tasks.base import Source

COLUMNS = 10
"""Examples in a row of `grid.png`, and in a line of a sheet of texts."""
Draw = Callable[[np.ndarray], np.ndarray]
"""Draws examples, float32[n, *example], as pictures for people, float32[n, height, width, channels] in [-1, 1]."""


@dataclasses.dataclass(frozen=True)
class Medium(abc.ABC):
    """A codec of examples: their storage format, the arrays that a model receives, and their files.

    A subclass's fields are what a model's data card must record of the medium.
    """

    kind: ClassVar[str]  # The name.
    plural: ClassVar[str]  # What descriptions call the examples.
    stored: ClassVar[str]  # The dtype and shape in which a `Source` stores examples.
    suffix: ClassVar[str]  # Of the file of one example.
    sheet_suffix: ClassVar[str] = ".png"  # Of previews and sheets.

    @abc.abstractmethod
    def fits(self, examples: np.ndarray) -> bool:
        """Return True if `examples` has this medium's storage format."""

    def shape_of(self, examples: np.ndarray) -> tuple[int, ...]:
        """Return the shape of one of the stored `examples` as a model receives it."""
        return examples.shape[1:]

    @abc.abstractmethod
    def seen(self, examples: np.ndarray | tf.Tensor) -> tf.Tensor:
        """Return stored examples of any leading shape as float32[..., *example]; a pure function."""

    @abc.abstractmethod
    def describe(self, examples: np.ndarray) -> str:
        """Describe stored examples to people in a few words."""

    @abc.abstractmethod
    def describe_card(self, card: Mapping[str, Any]) -> str:
        """Describe to people what a model's data card records of this medium."""

    def card(self, examples: np.ndarray) -> dict[str, Any]:
        """Return what a model's data card must record so that a user's own examples can be read."""
        return {"medium": self.kind, **dataclasses.asdict(self)}

    def polarity(self, examples: np.ndarray) -> str:
        """Return the polarity of stored pictures, see `pixels.votes`; other media raise a ValueError."""
        raise ValueError(f"only pictures have a polarity. Received: {self.kind}")

    @abc.abstractmethod
    def read_support(
        self,
        path: str | Path,
        example_shape: tuple[int, ...],
        card: Mapping[str, Any],
        invert: str = "auto",
        on_bad_file: str = "error",
    ) -> tuple[np.ndarray, str | None]:
        """Read a user's support set.

        Args:
            path: a folder, a file, or a `.npz` archive; what is allowed depends on the medium.
            example_shape: the shape that the model was built for.
            card: the model's data card.
            invert: "auto", "yes" or "no", for pictures; see `load_support`.
            on_bad_file: "error", or "skip" to pass over files of a folder that cannot be read; the note names them.

        Returns:
            `(float32[n, *example_shape], a note of one line for people, or None)`.

        Raises:
            FileNotFoundError: there is nothing at `path`.
            DataError: the examples cannot be read, or `invert` does not apply.
        """

    @abc.abstractmethod
    def save(self, path: Path, example: np.ndarray) -> None:
        """Write one example, float[*example], as a file."""

    @abc.abstractmethod
    def pictures(self, examples: np.ndarray) -> np.ndarray:
        """Draw float[n, *example] as pictures, float32[n, height, width, channels] in [-1, 1]."""

    def write_samples(
        self,
        folder: Path,
        samples: np.ndarray,
        support: Sequence[np.ndarray] = (),
        draw: Draw | None = None,
        style: str = "",
    ) -> str:
        """Write a file for each sample, and an overview of the support sets and the samples.

        Args:
            folder: receives `samples/NNNN` with this medium's suffix, or `samples.txt`; `grid.png`, a row for each
                support set and then the samples; and for media that need it `report.html`, which plays or lists all.
            samples: float[n, *example].
            support: the support sets, one for each domain.
            draw: how `grid.png` shows examples; None for `pictures`.
            style: the CSS of `report.html`.

        Returns:
            The names of the files beside the samples, in words.
        """
        (folder / "samples").mkdir()
        for index, example in enumerate(samples):
            self.save(folder / "samples" / f"{index:04d}{self.suffix}", example)
        *given, made = map(draw or self.pictures, (*support, samples))
        rows = [made[i : i + COLUMNS] for i in range(0, len(made), COLUMNS)]
        save_png(folder / "grid.png", grid([*(images[:COLUMNS] for images in given), *rows]))
        return "grid.png"

    def _write_page(self, folder: Path, support: Sequence[list[str]], samples: list[str], style: str) -> None:
        """Write `report.html`: the support sets and the samples as lists of HTML items."""
        lists = [(f"Support, {len(items)} {self.kind}", items) for items in support]
        parts = [
            f"<h2>{title}</h2><ol>{''.join(f'<li>{item}</li>' for item in items)}</ol>"
            for title, items in [*lists, (f"Samples, {len(samples)} {self.kind}", samples)]
        ]
        head = f'<meta charset="utf-8"><title>{self.kind}</title><style>{style}</style>'
        page = f"<!doctype html><html lang=en><head>{head}</head><body><h1>Generated {self.kind}</h1>{''.join(parts)}"
        (folder / "report.html").write_text(f"{page}</body></html>\n", encoding="utf-8")

    def preview(self, path: str | Path, rows: Sequence[np.ndarray]) -> Path:
        """Write rows, float[n, *example] each, for people: a grid of pictures, or lines of texts.

        `path` is without a suffix; returns the file.
        """
        written = Path(f"{path}{self.sheet_suffix}")
        save_png(written, grid([self.pictures(row) for row in rows]))
        return written

    def sheet(
        self, source: Source, path: str | Path, draw: Draw | None = None, classes: int = 12, examples: int = 12
    ) -> None:
        """Write a contact sheet: rows of the first examples of evenly spaced classes of each split of a source.

        Args:
            source: of this medium.
            path: the file.
            draw: how examples are shown; None for `pictures`.
            classes: the most rows for each split.
            examples: the most examples of a row.
        """
        rows = []
        for members in source.classes_by_split().values():
            for index in members[:: -(-len(members) // classes) or 1]:
                chosen = source.images[np.flatnonzero(source.labels == index)[:examples]]
                if len(chosen):
                    rows.append((draw or self.pictures)(self.seen(chosen).numpy()))
        save_png(path, grid(rows))
