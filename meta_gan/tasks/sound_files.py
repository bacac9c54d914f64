"""Sound files: reading those of any rate and length into one form, a user's few sounds, and writing WAV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan.checks import check_integer
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.media import FULL_SCALE, Sounds
from meta_gan.tasks.npz import open_npz, rate_of, read_array

SUFFIXES = (".wav", ".flac", ".ogg")
LONGEST = 16384
"""Samples at most that a sound is kept at, unless a length is asked for."""
_QUIET = 10.0 ** (-40.0 / 20.0)


def sound_files(folder: Path) -> list[Path]:
    """Return the sound files directly in a folder, by suffix, sorted by name; hidden files are left out."""
    files = (file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    return sorted(file for file in files if not file.name.startswith("."))


def _libraries() -> tuple[Any, Any]:
    try:
        import soundfile
        import soxr
    except ImportError as error:
        raise ImportError(
            f"sound files need the extra `sound`, `pip install 'meta-gan[sound]'`. Received: {error}"
        ) from error
    return soundfile, soxr


def read_sound(path: str | Path) -> tuple[np.ndarray, int]:
    """Read one sound file: the mean of its channels, and its rate.

    Args:
        path: a WAV (16, 24 or 32 bits, or float), FLAC or Ogg file, of any rate and number of channels.

    Returns:
        `(float32[samples] in [-1, 1], samples a second)`.

    Raises:
        ImportError: the extra `sound` is not installed.
        DataError: naming the file, if it is no such file, is cut off or holds no sound, or what is not finite.

    Example:
        `sound, rate = read_sound("hello.wav")`
    """
    soundfile, _ = _libraries()
    _require_whole(Path(path))
    try:
        sound, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, ValueError) as error:
        raise DataError(f"{path}: must be a whole WAV, FLAC or Ogg file. Received: {error}") from error
    if not len(sound) or not np.isfinite(sound).all():
        what = "no sample" if not len(sound) else "samples that are NaN or infinite"
        raise DataError(f"{path}: must hold finite samples, at least 1. Received: {what}")
    return np.clip(sound.mean(axis=1), -1.0, 1.0), int(rate)


def _require_whole(path: Path) -> None:
    """Refuse a WAV file that is shorter than it says: what is there would be read without a word."""
    with path.open("rb") as file:
        head = file.read(8)
    said = int.from_bytes(head[4:8], "little") + 8
    # A stream that was written without going back says 0, or the greatest number.
    if head[:4] == b"RIFF" and 8 < said < 2**32 and said > path.stat().st_size:
        raise DataError(f"{path}: must be a whole WAV file, of {said} bytes. Received: {path.stat().st_size}")


def resample(sound: np.ndarray, own: int, rate: int) -> np.ndarray:
    """Return float32[...] at another rate, by a band-limited filter; what is at that rate comes back as it is."""
    return sound if own == rate else np.clip(_libraries()[1].resample(sound, own, rate), -1.0, 1.0)


def trim(sound: np.ndarray) -> np.ndarray:
    """Return a sound without what is 40 dB or more below its loudest sample, at both ends; silence stays as it is."""
    loud = np.flatnonzero(np.abs(sound) > _QUIET * np.abs(sound).max())
    return sound[loud[0] : loud[-1] + 1] if len(loud) else sound


def fit(sound: np.ndarray, samples: int) -> np.ndarray:
    """Return float32[samples]: cut at the end, or with silence after it."""
    return np.pad(sound[:samples], (0, max(0, samples - len(sound))))


def fitted(
    sounds: list[tuple[np.ndarray, int]], rate: int | None, length: int | None, names: Sequence[Any] | None = None
) -> tuple[np.ndarray, Sounds]:
    """Bring sounds to one rate and length: resampled, trimmed, then cut or followed by silence.

    Args:
        sounds: float32[samples] in [-1, 1] and the rate of each.
        rate: samples a second; None for the lowest among them.
        length: samples; None for the least power of 2 that holds all after trimming, at most 16384.
        names: of the sounds, for messages; None for their numbers.

    Returns:
        `(int16[n, length, 1], medium)`.

    Raises:
        DataError: a sound that is too short for a sample at that rate.
    """
    given = min(own for _, own in sounds) if rate is None else check_integer(rate, "rate", 1)
    cut = []
    for number, (sound, own) in enumerate(sounds):
        there = resample(sound, own, given)
        if not len(there):
            what = f"sound {number}" if names is None else names[number]
            raise DataError(f"{what}: must have a sample at {given} Hz. Received: {len(sound)} at {own} Hz")
        cut.append(trim(there))
    longest = max(len(sound) for sound in cut)
    wanted = min(LONGEST, 1 << (longest - 1).bit_length()) if length is None else check_integer(length, "length", 1)
    medium = Sounds(given)
    return medium.levels(np.stack([fit(sound, wanted) for sound in cut])[..., None]), medium


def load_sounds(files: Iterable[Path], rate: int, samples: int) -> np.ndarray:
    """Read files into int16[n, samples, 1]: one channel, at one rate, trimmed, then cut or followed by silence.

    Raises:
        DataError: naming the first file that cannot be read.
    """
    files = list(files)
    return fitted([read_sound(file) for file in files], rate, samples, files)[0]


def load_support_sounds(path: str | Path, rate: int, samples: int) -> np.ndarray:
    """Read a user's few sounds into the rate and length that a model was trained on.

    Args:
        path: a folder of sound files, one sound file, or a `.npz` file with `audio` and `rate`.
        rate: samples a second of the model.
        samples: of its sounds.

    Returns:
        float32[shots, samples, 1] in [-1, 1]; trimmed, then cut or followed by silence, in the order of file names.
        Sounds of a `.npz` that have the model's rate and length are left as they are.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        DataError: if no sound is there, or a file cannot be read; it names the file.

    Example:
        `load_support_sounds("my_takes/", 8000, 8192)`
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"A support set must be a folder of sounds, one, or a .npz file. Received: {path}")
    if path.suffix.lower() == ".npz":
        read, files = _archived(path), None
        if all(own == rate and len(sound) == samples for sound, own in read):
            return np.stack([sound for sound, _ in read])[..., None]  # in the model's own form
    else:
        files = sound_files(path) if path.is_dir() else [path]
        if not files:
            inside = sorted(entry.name for entry in path.iterdir())[:10]
            raise DataError(f"{path}: must hold at least 1 sound file ({', '.join(SUFFIXES)}). Received: {inside}")
        read = [read_sound(file) for file in files]
    stored, medium = fitted(read, rate, samples, files)
    return medium.seen(stored).numpy()


def _archived(path: Path) -> list[tuple[np.ndarray, int]]:
    with open_npz(path) as archive:
        if not {"audio", "rate"} <= set(archive.files):
            raise DataError(f"{path}: must hold the arrays `audio` and `rate`. Received: {archive.files}")
        levels, rate = to_int16(read_array(path, archive, "audio"), f"{path}:audio"), rate_of(path, archive)
    return [(sound[:, 0] / np.float32(FULL_SCALE), rate) for sound in levels]


def write_wav(path: str | Path, sound: Any, rate: int) -> None:
    """Write one sound as a WAV file of 16 bits.

    Args:
        path: the file.
        sound: float[samples, 1] or float[samples] in [-1, 1], what lies outside is clipped; or int16, as stored.
        rate: samples a second.

    Raises:
        DataError: another shape or dtype, or what is not finite.
    """
    # The standard library writes what soundfile would, and no extra is needed to hear what was made.
    import wave

    array = np.asarray(sound)
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] != 1) or not array.size:
        raise DataError(f"{path}: a sound must be [samples] or [samples, 1]. Received: shape {array.shape}")
    if array.dtype != np.int16 and not (np.issubdtype(array.dtype, np.floating) and np.isfinite(array).all()):
        raise DataError(f"{path}: a sound must be int16, or finite floats. Received: {array.dtype}")
    levels = array if array.dtype == np.int16 else Sounds(rate).levels(array)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(levels.astype("<i2").tobytes())


def to_int16(audio: Any, argument: str = "audio") -> np.ndarray:
    """Return sounds as int16[n, samples, 1].

    Args:
        audio: int16 or finite floats in [-1, 1], [n, samples] or [n, samples, 1].
        argument: the name that the message uses.

    Raises:
        DataError: anything else.
    """
    array = np.asarray(audio)
    shaped = array[..., None] if array.ndim == 2 else array
    kind = shaped.dtype == np.int16 or np.issubdtype(shaped.dtype, np.floating)
    if shaped.ndim != 3 or shaped.shape[2] != 1 or not shaped.size or not kind:
        raise DataError(
            f"`{argument}` must be int16 or floats in [-1, 1], [n, samples] with nothing of size 0. "
            f"Received: {array.dtype}{list(array.shape)}"
        )
    if shaped.dtype == np.int16:
        return np.ascontiguousarray(shaped)
    if not (np.abs(shaped) <= 1.0).all():
        raise DataError(
            f"`{argument}` of floats must be finite and lie in [-1, 1]. "
            f"Received: {shaped.min():.6g} to {shaped.max():.6g}"
        )
    return Sounds(1).levels(shaped)
