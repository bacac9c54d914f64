"""`Sounds`, and sound files: reading those of any rate and length into one form, and writing WAV."""

from __future__ import annotations

import wave
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from meta_gan.checks import check_integer
from meta_gan.tasks import limits
from meta_gan.tasks.archive import Archive
from meta_gan.tasks.errors import DataError, shown
from meta_gan.tasks.files import check_file, join_notes, note_of, read_each, support_files
from meta_gan.tasks.media.medium import Draw, Medium
from meta_gan.tasks.media.wav import readable_wav

SUFFIXES = (".wav", ".flac", ".ogg")
LONGEST = 16384
"""The most samples to which a sound is cut or padded unless a length is given."""
_FULL_SCALE = 32768.0
_BLOCK = 2**18
"""Numbers that are decoded at a time."""
_QUIET = 10.0 ** (-40.0 / 20.0)


@dataclass(frozen=True)
class Sounds(Medium):
    """Stored as int16[n, samples, 1]; received as float32 of that shape in [-1, 1), level x as x / 32768.

    Attributes:
        rate: int >= 1, samples a second.
    """

    rate: int
    kind: ClassVar[str] = "sounds"
    plural: ClassVar[str] = "sounds"
    stored: ClassVar[str] = "int16[n, samples, 1] with n >= 1"
    suffix: ClassVar[str] = ".wav"

    def __post_init__(self) -> None:
        """Check the rate."""
        check_integer(self.rate, "rate", 1)

    def fits(self, examples: np.ndarray) -> bool:
        return examples.dtype == np.int16 and examples.ndim == 3 and examples.shape[2] == 1 and examples.size > 0

    def seen(self, examples: np.ndarray | tf.Tensor) -> tf.Tensor:
        return tf.cast(examples, tf.float32) / _FULL_SCALE

    def levels(self, sounds: np.ndarray) -> np.ndarray:
        """Return floats of any shape in [-1, 1] as stored, int16; values outside are clipped."""
        array = np.asarray(sounds)
        stored, flat = np.empty(array.size, np.int16), array.reshape(-1)
        # In parts, since several arrays of float64 are held.
        for start in range(0, len(flat), _BLOCK):
            scaled = np.rint(flat[start : start + _BLOCK].astype(np.float64) * _FULL_SCALE)
            stored[start : start + _BLOCK] = np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1)
        return stored.reshape(array.shape)

    def describe(self, examples: np.ndarray) -> str:
        return f"{len(examples)} sounds of {examples.shape[1] / self.rate:.3g} s at {self.rate} Hz"

    def describe_card(self, card: Mapping[str, Any]) -> str:
        return f"sounds at {self.rate} Hz"

    def read_support(
        self,
        path: str | Path,
        example_shape: tuple[int, ...],
        card: Mapping[str, Any] = {},
        invert: str = "auto",
        on_bad_file: str = "error",
    ) -> tuple[np.ndarray, str | None]:
        """Read a user's sounds: a folder of sound files, one sound file, or a `.npz` with `audio` and `rate`.

        Each sound is resampled, trimmed, and cut or padded with silence; those of a `.npz` file that have the model's
        rate and length stay as they are. See `Medium`.
        """
        if invert != "auto":
            raise DataError(f"'invert' is for models of pictures. Received: {invert!r} for a model of sounds")
        path, samples = Path(path), example_shape[0]
        files, passed = support_files(path, "sound", SUFFIXES)
        if path.suffix.lower() == ".npz" and path.is_file():
            rated = _read_archive(path)
            if all(own == self.rate and len(sound) == samples for sound, own in rated):
                return np.stack([sound for sound, _ in rated])[..., None], None
            return self.seen(fitted(rated, self.rate, samples)[0]).numpy(), None
        skipped: list[str] = []
        read = read_each(files, lambda file: prepared(file, self.rate, samples), on_bad_file, skipped)
        sounds = [sound for _, sound in read]
        if not sounds:
            received = note_of(skipped, "skipped")
            raise DataError(f"{path}: must hold at least 1 sound that can be read. Received: {received}")
        notes = (
            note_of(skipped, "skipped"),
            note_of(passed, f"{shown(path)}: {len(sounds)} sounds were read; passed over"),
        )
        return self.seen(joined(sounds, self.rate, samples)[0]).numpy(), join_notes(*notes)

    def save(self, path: Path, example: np.ndarray) -> None:
        write_wav(path, example, self.rate)

    def pictures(self, examples: np.ndarray) -> np.ndarray:
        """Draw sounds as `waveforms`."""
        return waveforms(examples)

    def write_samples(
        self,
        folder: Path,
        samples: np.ndarray,
        support: Sequence[np.ndarray] = (),
        draw: Draw | None = None,
        style: str = "",
    ) -> str:
        """Write the samples, the support sets beside them, and a page that plays all; see `Medium`."""
        super().write_samples(folder, samples, support, draw)
        given = []
        for number, examples in enumerate(support):
            (folder / "support").mkdir(exist_ok=True)
            given.append([f"support/{number}_{index:04d}.wav" for index in range(len(examples))])
            for name, example in zip(given[-1], examples, strict=True):
                self.save(folder / name, example)
        made = [f"samples/{index:04d}.wav" for index in range(len(samples))]
        *given, made = (
            [f'<audio controls preload="none" src="{x}"></audio>' for x in names] for names in (*given, made)
        )
        self._write_page(folder, given, made, style)
        return "grid.png and report.html"


def load_support_sounds(path: str | Path, rate: int, samples: int) -> np.ndarray:
    """Read a user's sounds into the rate and length that a model was trained on.

    Args:
        path: a folder of sound files, one sound file, or a `.npz` file with `audio` and `rate`.
        rate: the model's samples per second, >= 1.
        samples: the length of the model's sounds, >= 1.

    Returns:
        float32[shots, samples, 1] in [-1, 1], in the order of the file names: resampled, trimmed, and cut or padded
        with silence. Sounds of a `.npz` file that have the model's rate and length are unchanged.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: an argument is out of range.
        DataError: there is no sound, or a file cannot be read; the message names it.

    Example:
        `load_support_sounds("my_takes/", 8000, 8192)`
    """
    return Sounds(rate).read_support(path, (check_integer(samples, "samples", 1), 1))[0]


def waveforms(sounds: np.ndarray, height: int = 32, width: int = 64) -> np.ndarray:
    """Draw float[n, samples, 1] in [-1, 1], to the scale of the loudest, as float32[n, height, width, 1] in [-1, 1].

    Each column is a light bar from the least to the greatest of the samples there.

    Example:
        >>> waveforms(np.zeros((2, 640, 1))).shape
        (2, 32, 64, 1)
    """
    array = np.asarray(sounds, np.float64)[..., 0]
    bounds = np.linspace(0, array.shape[1], width + 1).astype(int)[:-1]
    loudest = max(float(np.abs(array).max()), 1e-9)
    low, high = (reduce.reduceat(array, bounds, axis=1) / loudest for reduce in (np.minimum, np.maximum))
    level = np.linspace(1.0, -1.0, height)[None, :, None]
    half = 1.0 / (height - 1)
    drawn = (level >= low[:, None] - half) & (level <= high[:, None] + half)
    return np.where(drawn, 1.0, -1.0).astype(np.float32)[..., None]


def _libraries() -> tuple[Any, Any]:
    try:
        import soundfile
        import soxr
    except ImportError as error:
        needed = "sound files need the extra 'sound', `pip install 'meta-gan[sound]'`"
        raise ImportError(f"{needed}. Received: {error}") from error
    return soundfile, soxr


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file as a `SoundFile` after checks of its header; any error of its content becomes a DataError."""
    soundfile, _ = _libraries()
    check_file(path, "a sound file")
    try:
        with soundfile.SoundFile(readable_wav(path)) as file:
            limits.check_rate(path, file.samplerate)
            if file.channels > limits.CHANNELS:
                required = f"a sound may have at most {limits.CHANNELS} channels; convert it"
                raise DataError(f"{path}: {required}. Received: {file.channels}")
            yield file
    except (DataError, PermissionError):
        raise
    except (soundfile.SoundFileError, OSError, ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"{path}: must be a whole WAV, FLAC or Ogg file. Received: {error}") from error


def read_rate(path: Path) -> int:
    """Return the sampling rate of a sound file, without decoding its samples."""
    with _opened(path) as file:
        return int(file.samplerate)


def read_sound(path: str | Path) -> tuple[np.ndarray, int]:
    """Read one sound file: the mean of its channels, and its rate.

    Args:
        path: a WAV (16, 24 or 32 bits, or float), FLAC or Ogg file of 100 Hz to 1 MHz, at most 64 channels, and at most
            8,388,608 samples and 10 minutes.

    Returns:
        `(float32[samples] in [-1, 1], samples a second)`.

    Raises:
        ImportError: the extra `sound` is not installed.
        FileNotFoundError: there is no such file.
        DataError: it is not such a file, is truncated, has no sample, or has samples that are not finite.

    Example:
        `sound, rate = read_sound("hello.wav")`
    """
    path = Path(path)
    with _opened(path) as file:
        rate, claimed = int(file.samplerate), int(file.frames)
        most = min(limits.SAMPLES, limits.SECONDS * rate)
        if claimed > most:
            raise DataError(f"{path}: {_too_long()}. Received: {claimed} samples at {rate} Hz")
        sound, count = np.empty(claimed, np.float32), 0
        while len(block := file.read(max(1, _BLOCK // file.channels), dtype="float32", always_2d=True)):
            if not np.isfinite(block).all():
                received = "samples that are NaN or infinite"
                raise DataError(f"{path}: must hold finite samples, at least 1. Received: {received}")
            sound[count : count + len(block)] = np.clip(block.mean(axis=1), -1.0, 1.0)
            count += len(block)
    if count < claimed:
        raise DataError(f"{path}: must be a whole WAV, FLAC or Ogg file. Received: {count} of {claimed} samples")
    if not count:
        raise DataError(f"{path}: must hold finite samples, at least 1. Received: no sample")
    return sound, rate


def _too_long() -> str:
    return f"must have at most {limits.SAMPLES} samples and {limits.SECONDS} s; cut it into parts"


def resample(sound: np.ndarray, own: int, rate: int) -> np.ndarray:
    """Return float32[...] at another rate, by a band-limited filter; a sound of that rate is returned unchanged."""
    if own == rate:
        return sound
    made = _libraries()[1].resample(sound, own, rate)
    return np.clip(made, -1.0, 1.0, out=made)


def trim(sound: np.ndarray) -> np.ndarray:
    """Cut off both ends of a sound that are 40 dB or more below its loudest sample; silence is returned unchanged."""
    level = _QUIET * max(sound.max(), -sound.min())
    loud = (sound > level) | (sound < -level)
    return sound[loud.argmax() : len(sound) - loud[::-1].argmax()] if loud.any() else sound


def fit(sound: np.ndarray, samples: int) -> np.ndarray:
    """Return float32[samples]: cut at the end, or padded there with silence."""
    return np.pad(sound[:samples], (0, max(0, samples - len(sound))))


def _shaped(what: object, sound: np.ndarray, own: int, rate: int, most: int) -> np.ndarray:
    """Return a sound resampled, trimmed, and cut to at most `most` samples, or raise a DataError that names it."""
    if rate > own and len(sound) * rate > limits.SAMPLES * own:
        required = f"must have at most {limits.SAMPLES} samples at {rate} Hz; cut it into parts"
        raise DataError(f"{what}: {required}. Received: {len(sound)} at {own} Hz")
    resampled = resample(sound, own, rate)
    if not len(resampled):
        raise DataError(f"{what}: must have a sample at {rate} Hz. Received: {len(sound)} at {own} Hz")
    return trim(resampled)[:most].copy()


def prepared(path: Path, rate: int, length: int | None) -> np.ndarray:
    """Read one file as float32[<= samples] of a rate, trimmed, and cut to the length, or to 16384 if that is None."""
    sound, own = read_sound(path)
    return _shaped(path, sound, own, rate, length or LONGEST)


def joined(sounds: Sequence[np.ndarray], rate: int, length: int | None) -> tuple[np.ndarray, Sounds]:
    """Pad sounds as `prepared` returns them to one length; see `fitted`."""
    medium, longest = Sounds(rate), max(len(sound) for sound in sounds)
    wanted = min(LONGEST, 1 << (longest - 1).bit_length()) if length is None else check_integer(length, "length", 1)
    stored = np.empty((len(sounds), wanted, 1), np.int16)
    for row, sound in zip(stored, sounds, strict=True):
        row[:, 0] = medium.levels(fit(sound, wanted))
    return stored, medium


def fitted(
    sounds: Sequence[tuple[np.ndarray, int]], rate: int | None, length: int | None, names: Sequence[Path] | None = None
) -> tuple[np.ndarray, Sounds]:
    """Bring sounds to one rate and length: resampled, trimmed, then cut or padded with silence.

    Args:
        sounds: float32[samples] in [-1, 1] and the rate of each.
        rate: samples a second; None for the lowest among them.
        length: samples; None for the least power of 2 that holds all after trimming, at most 16384.
        names: of the sounds, for the DataError on one that is too short; None for their numbers.

    Returns:
        `(int16[n, length, 1], medium)`.
    """
    wanted = Sounds(min(own for _, own in sounds) if rate is None else rate).rate
    most = LONGEST if length is None else check_integer(length, "length", 1)
    shaped = [
        _shaped(f"sound {number}" if names is None else names[number], sound, own, wanted, most)
        for number, (sound, own) in enumerate(sounds)
    ]
    return joined(shaped, wanted, length)


def _read_archive(path: Path) -> list[tuple[np.ndarray, int]]:
    with Archive(path) as archive:
        if not {"audio", "rate"} <= set(archive.names):
            raise DataError(f"{path}: must hold the arrays 'audio' and 'rate'. Received: {archive.names}")
        levels, rate = to_int16(archive["audio"], f"{path}:audio"), archive.rate()
    return [(sound[:, 0] / np.float32(_FULL_SCALE), rate) for sound in levels]


def write_wav(path: str | Path, sound: np.ndarray, rate: int) -> None:
    """Write one sound as a WAV file of 16 bits: finite float[samples(, 1)], clipped to [-1, 1], or int16 as stored."""
    array = np.asarray(sound)
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] != 1) or not array.size:
        raise DataError(f"{path}: a sound must be [samples] or [samples, 1]. Received: shape {array.shape}")
    if array.dtype != np.int16 and not (np.issubdtype(array.dtype, np.floating) and np.isfinite(array).all()):
        raise DataError(f"{path}: a sound must be int16, or finite floats. Received: {array.dtype}")
    levels = array if array.dtype == np.int16 else Sounds(rate).levels(array)
    # The standard library writes the same bytes as soundfile, and works without the extra.
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(levels.astype("<i2").tobytes())


def to_int16(audio: ArrayLike, argument: str = "audio") -> np.ndarray:
    """Return int16 or finite floats in [-1, 1], [n, samples] or [n, samples, 1], as int16[n, samples, 1]."""
    array = np.asarray(audio)
    shaped = array[..., None] if array.ndim == 2 else array
    kind = shaped.dtype == np.int16 or np.issubdtype(shaped.dtype, np.floating)
    if shaped.ndim != 3 or shaped.shape[2] != 1 or not shaped.size or not kind:
        raise DataError(
            f"'{argument}' must be int16 or floats in [-1, 1], [n, samples] with nothing of size 0. "
            f"Received: {array.dtype}{list(array.shape)}"
        )
    if shaped.dtype == np.int16:
        return np.ascontiguousarray(shaped)
    low, high = shaped.min(), shaped.max()
    if not -1.0 <= low <= high <= 1.0:
        received = f"{low:.6g} to {high:.6g}"
        raise DataError(f"'{argument}' of floats must be finite and lie in [-1, 1]. Received: {received}")
    return Sounds(1).levels(shaped)
