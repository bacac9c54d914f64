"""`Texts`: short texts over an alphabet, one a line in files."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import tensorflow as tf

from meta_gan.tasks import limits
from meta_gan.tasks.errors import DataError, shown
from meta_gan.tasks.files import NOTHING, check_file, kind_of
from meta_gan.tasks.media.medium import COLUMNS, Draw, Medium

if TYPE_CHECKING:
    from meta_gan.tasks.base import Source

SUFFIX = ".txt"


@dataclass(frozen=True)
class Texts(Medium):
    """Stored as uint8[n, length] of symbol numbers, 0 after the end of a text; received one-hot.

    A model receives float32[n, length, symbols].

    Attributes:
        alphabet: the characters numbered 1, 2, ..., all different, at most 255.
    """

    alphabet: str
    kind: ClassVar[str] = "texts"
    plural: ClassVar[str] = "texts"
    stored: ClassVar[str] = "uint8[n, length] of symbols, 0 after the end of a text"
    suffix: ClassVar[str] = SUFFIX
    sheet_suffix: ClassVar[str] = SUFFIX

    def __post_init__(self) -> None:
        """Check the alphabet."""
        if not self.alphabet or len(set(self.alphabet)) != len(self.alphabet) or len(self.alphabet) > 255:
            raise DataError(f"'alphabet' must be 1 to 255 different characters. Received: {self.alphabet!r}")

    @property
    def symbols(self) -> int:
        """The number of symbols: the characters and the end."""
        return len(self.alphabet) + 1

    def fits(self, examples: np.ndarray) -> bool:
        if examples.dtype != np.uint8 or examples.ndim != 2 or not examples.size or examples.max() >= self.symbols:
            return False
        return not ((examples[:, :-1] == 0) & (examples[:, 1:] != 0)).any()

    def shape_of(self, examples: np.ndarray) -> tuple[int, ...]:
        return examples.shape[1], self.symbols

    def seen(self, examples: np.ndarray | tf.Tensor) -> tf.Tensor:
        return tf.one_hot(examples, self.symbols)

    def encode(self, texts: Iterable[str], length: int, where: object = "texts") -> np.ndarray:
        """Return texts as stored, uint8[n, length], longer ones cut; other characters and empty texts are refused."""
        numbers = {character: i + 1 for i, character in enumerate(self.alphabet)}
        texts = list(texts)
        if not texts:
            raise DataError(f"{where}: must hold at least 1 text. Received: none")
        stored = np.zeros((len(texts), length), np.uint8)
        for row, text in zip(stored, texts, strict=True):
            unknown = [character for character in text if character not in numbers]
            if unknown or not text:
                raise DataError(
                    f"{where}: a text must be of 1 or more characters of the alphabet {self.alphabet!r}. "
                    f"Received: {text!r}, with {''.join(dict.fromkeys(unknown))!r}"
                )
            row[: min(len(text), length)] = [numbers[character] for character in text[:length]]
        return stored

    def decode(self, examples: np.ndarray | Sequence[Any]) -> list[str]:
        """Return the texts of stored examples [n, length], or of a model's samples, float[n, length, symbols]."""
        array = np.asarray(examples)
        texts = []
        for row in array.argmax(axis=-1) if array.ndim == 3 else array:
            ends = np.flatnonzero(row == 0)
            texts.append("".join(self.alphabet[i - 1] for i in row[: ends[0] if len(ends) else len(row)]))
        return texts

    def describe(self, examples: np.ndarray) -> str:
        return f"{len(examples)} texts of at most {examples.shape[1]} of {len(self.alphabet)} characters"

    def describe_card(self, card: Mapping[str, Any]) -> str:
        return f"texts of {self.alphabet!r}"

    def read_support(
        self,
        path: str | Path,
        example_shape: tuple[int, ...],
        card: Mapping[str, Any] = {},
        invert: str = "auto",
        on_bad_file: str = "error",
    ) -> tuple[np.ndarray, str | None]:
        """Read a user's texts: a file in UTF-8 of one text a line; see `Medium`."""
        if invert != "auto":
            raise DataError(f"'invert' is for models of pictures. Received: {invert!r} for a model of texts")
        if kind_of(path) in (NOTHING, "a folder"):
            required = "A support set of texts must be a file of one text a line"
            raise FileNotFoundError(f"{required}. Received: {shown(path)}")
        return self.seen(self.encode(read_lines(path), example_shape[0], path)).numpy(), None

    def save(self, path: Path, example: np.ndarray) -> None:
        self._write_lines(path, self.decode(example[None]))

    def pictures(self, examples: np.ndarray) -> np.ndarray:
        """Raise a DataError: texts are listed, not drawn."""
        raise DataError("only pictures and sounds can be drawn. Received: texts")

    def write_samples(
        self,
        folder: Path,
        samples: np.ndarray,
        support: Sequence[np.ndarray] = (),
        draw: Draw | None = None,
        style: str = "",
    ) -> str:
        """Write `samples.txt`, one a line, and a page that lists support sets and samples; see `Medium`."""
        self._write_lines(folder / "samples.txt", self.decode(samples))
        *given, made = ([html.escape(text) for text in self.decode(each)] for each in (*support, samples))
        self._write_page(folder, given, made, style)
        return "report.html"

    def preview(self, path: str | Path, rows: Sequence[np.ndarray]) -> Path:
        """Write a line for each row, with "|" for an example of zeros; see `Medium`."""
        written = Path(f"{path}{self.sheet_suffix}")
        shown = (
            (text if each.any() else "|" for text, each in zip(self.decode(row), row, strict=True)) for row in rows
        )
        self._write_lines(written, map(", ".join, shown))
        return written

    def sheet(
        self, source: Source, path: str | Path, draw: Draw | None = None, classes: int = 12, examples: int = COLUMNS
    ) -> None:
        """Write a line for every class: its name and its first texts; see `Medium`."""
        lines = []
        for index, name in enumerate(source.class_names):
            texts = self.decode(source.images[np.flatnonzero(source.labels == index)[:examples]])
            lines.append(f"{name}: {', '.join(texts)}")
        self._write_lines(path, lines)

    @staticmethod
    def _write_lines(path: str | Path, lines: Iterable[str]) -> None:
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_lines(path: str | Path) -> list[str]:
    """Read a UTF-8 file of one text a line, without empty lines and the white space around each text.

    A line ends at a line feed, a carriage return, or both, and at no other separator of Unicode.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is no file, not in UTF-8, without a text, or beyond `limits.TEXT` and `limits.LINE`.
    """
    path = check_file(Path(path), "a text file")
    if path.stat().st_size > limits.TEXT:
        required = f"must have at most {limits.TEXT} bytes; divide it"
        raise DataError(f"{path}: {required}. Received: {path.stat().st_size} bytes")
    texts = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            # Iteration over a text file would hold a line of any length.
            lines = 0
            while line := file.readline(limits.LINE + 1):
                lines += 1
                if len(line) > limits.LINE and not line.endswith("\n"):
                    raise DataError(
                        f"{path}: a line must have at most {limits.LINE} characters. Received: a longer one"
                    )
                if text := line.strip():
                    texts.append(text)
                if lines > limits.TEXTS:
                    raise DataError(f"{path}: must have at most {limits.TEXTS} lines; divide it. Received: more")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: must be a text file in UTF-8. Received: {error}") from error
    if not texts:
        raise DataError(f"{path}: must hold at least 1 line of text. Received: none")
    return texts


def alphabet_of(texts: Iterable[str]) -> str:
    """Return the characters of texts, sorted."""
    return "".join(sorted(set().union(*texts)))
