"""What examples are: pictures, sounds or texts. A medium knows how they are stored and what a model sees of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from meta_gan.checks import check_integer, check_number
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.pixels import LEVELS, polarity_of

FULL_SCALE = 32768.0


@dataclass(frozen=True)
class Pictures:
    """Stored as uint8[n, height, width, channels], levels 0..255; seen as float32 of that shape in [-1, 1]."""

    kind: ClassVar[str] = "pictures"
    stored: ClassVar[str] = "uint8[n, height, width, channels] with n >= 1"

    def fits(self, examples: np.ndarray) -> bool:
        """Whether examples are stored so."""
        return examples.dtype == np.uint8 and examples.ndim == 4 and examples.size > 0

    def shape_of(self, examples: np.ndarray) -> tuple[int, ...]:
        """The shape of one example as a model sees it."""
        return examples.shape[1:]

    def seen(self, examples: Any) -> Any:
        """What a model sees of stored examples [..., height, width, channels], as a tensor; pure."""
        return tf.gather(tf.constant(LEVELS), tf.cast(examples, tf.int32))

    def described(self, examples: np.ndarray) -> str:
        """A few words on examples, for people."""
        height, width, channels = examples.shape[1:]
        return f"{len(examples)} images of {height} x {width} x {channels}, {polarity_of(examples)}"

    def card(self, examples: np.ndarray) -> dict[str, Any]:
        """What a model card must know to read a user's own examples."""
        return {"medium": self.kind, "polarity": polarity_of(examples)}


@dataclass(frozen=True)
class Sounds:
    """Stored as int16[n, samples, 1]; seen as float32 of that shape in [-1, 1), level x as x / 32768.

    Attributes:
        rate: int >= 1, samples a second.
    """

    rate: int
    kind: ClassVar[str] = "sounds"
    stored: ClassVar[str] = "int16[n, samples, 1] with n >= 1"

    def __post_init__(self) -> None:
        check_integer(self.rate, "rate", 1)

    def fits(self, examples: np.ndarray) -> bool:
        """Whether examples are stored so."""
        return examples.dtype == np.int16 and examples.ndim == 3 and examples.shape[2] == 1 and examples.size > 0

    def shape_of(self, examples: np.ndarray) -> tuple[int, ...]:
        """The shape of one example as a model sees it."""
        return examples.shape[1:]

    def seen(self, examples: Any) -> Any:
        """What a model sees of stored examples [..., samples, 1], as a tensor; pure."""
        return tf.cast(examples, tf.float32) / FULL_SCALE

    def levels(self, sounds: Any) -> np.ndarray:
        """Floats [..., samples, 1] in [-1, 1] as stored; what lies outside is clipped."""
        return np.clip(np.rint(np.asarray(sounds, np.float64) * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(
            np.int16
        )

    def described(self, examples: np.ndarray) -> str:
        """A few words on examples, for people."""
        return f"{len(examples)} sounds of {examples.shape[1] / self.rate:.3g} s at {self.rate} Hz"

    def card(self, examples: np.ndarray) -> dict[str, Any]:
        """What a model card must know to read a user's own examples."""
        return {"medium": self.kind, "rate": self.rate}


@dataclass(frozen=True)
class Texts:
    """Stored as uint8[n, length], the number of each symbol, 0 from a text's end on; seen as float32[n, length,
    symbols], one-hot.

    Attributes:
        alphabet: the characters numbered 1, 2, ..., all different, at most 255.
    """

    alphabet: str
    kind: ClassVar[str] = "texts"
    stored: ClassVar[str] = "uint8[n, length] of symbols, 0 from a text's end on"

    def __post_init__(self) -> None:
        if not self.alphabet or len(set(self.alphabet)) != len(self.alphabet) or len(self.alphabet) > 255:
            raise DataError(f"`alphabet` must be 1 to 255 different characters. Received: {self.alphabet!r}")

    @property
    def symbols(self) -> int:
        """How many there are, the end included."""
        return len(self.alphabet) + 1

    def fits(self, examples: np.ndarray) -> bool:
        """Whether examples are stored so."""
        if examples.dtype != np.uint8 or examples.ndim != 2 or not examples.size or examples.max() >= self.symbols:
            return False
        return not ((examples[:, :-1] == 0) & (examples[:, 1:] != 0)).any()

    def shape_of(self, examples: np.ndarray) -> tuple[int, ...]:
        """The shape of one example as a model sees it."""
        return examples.shape[1], self.symbols

    def seen(self, examples: Any) -> Any:
        """What a model sees of stored examples [..., length], as a tensor; pure."""
        return tf.one_hot(examples, self.symbols)

    def encode(self, texts: Any, length: int, where: str = "texts") -> np.ndarray:
        """Stored texts, uint8[n, length]; what is longer is cut.

        Raises:
            DataError: none, an empty one, or a character that is not in the alphabet; it names the text.
        """
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

    def decode(self, examples: Any) -> list[str]:
        """Texts of stored examples [n, length], or of what a model makes, float[n, length, symbols]."""
        array = np.asarray(examples)
        codes = array.argmax(axis=-1) if array.ndim == 3 else array
        texts = []
        for row in codes:
            ends = np.flatnonzero(row == 0)
            texts.append("".join(self.alphabet[i - 1] for i in row[: ends[0] if len(ends) else len(row)]))
        return texts

    def described(self, examples: np.ndarray) -> str:
        """A few words on examples, for people."""
        return f"{len(examples)} texts of at most {examples.shape[1]} of {len(self.alphabet)} characters"

    def card(self, examples: np.ndarray) -> dict[str, Any]:
        """What a model card must know to read a user's own examples."""
        return {"medium": self.kind, "alphabet": self.alphabet}


Medium = Pictures | Sounds | Texts


def of_card(card: dict[str, Any]) -> Medium:
    """The medium of a model's data card; a card that names none is of pictures.

    Raises:
        DataError: a card of a medium that this version does not know.

    Example:
        >>> of_card({"medium": "sounds", "rate": 8000}).rate
        8000
    """
    kind = card.get("medium", Pictures.kind)
    if kind == Sounds.kind:
        return Sounds(int(check_number(card.get("rate"), "rate", least=1)))
    if kind == Texts.kind:
        return Texts(card.get("alphabet", ""))
    if kind != Pictures.kind:
        raise DataError(f"a model's medium must be pictures, sounds or texts. Received: {kind!r}")
    return Pictures()
