"""Sounds: reading files of any rate and length into one form, tasks from arrays or folders of them, and writing WAV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan.checks import check_integer
from meta_gan.tasks.arrays import to_labels, to_split
from meta_gan.tasks.base import Source
from meta_gan.tasks.episodes import Tasks
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
    try:
        sound, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, ValueError) as error:
        raise DataError(f"{path}: must be a whole WAV, FLAC or Ogg file. Received: {error}") from error
    if not len(sound) or not np.isfinite(sound).all():
        what = "no sample" if not len(sound) else "samples that are NaN or infinite"
        raise DataError(f"{path}: must hold finite samples, at least 1. Received: {what}")
    return np.clip(sound.mean(axis=1), -1.0, 1.0), int(rate)


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


def fitted(sounds: list[tuple[np.ndarray, int]], rate: int | None, length: int | None) -> tuple[np.ndarray, Sounds]:
    """Bring sounds to one rate and length: resampled, trimmed, then cut or followed by silence.

    Args:
        sounds: float32[samples] in [-1, 1] and the rate of each.
        rate: samples a second; None for the lowest among them.
        length: samples; None for the least power of 2 that holds all after trimming, at most 16384.

    Returns:
        `(int16[n, length, 1], medium)`.
    """
    given = min(own for _, own in sounds) if rate is None else check_integer(rate, "rate", 1)
    cut = [trim(resample(sound, own, given)) for sound, own in sounds]
    longest = max(len(sound) for sound in cut)
    wanted = min(LONGEST, 1 << (longest - 1).bit_length()) if length is None else check_integer(length, "length", 1)
    medium = Sounds(given)
    return medium.levels(np.stack([fit(sound, wanted) for sound in cut])[..., None]), medium


def load_sounds(files: Iterable[Path], rate: int, samples: int) -> np.ndarray:
    """Read files into int16[n, samples, 1]: one channel, at one rate, trimmed, then cut or followed by silence.

    Raises:
        DataError: naming the first file that cannot be read.
    """
    return fitted([read_sound(file) for file in files], rate, samples)[0]


def load_support_sounds(path: str | Path, rate: int, samples: int) -> np.ndarray:
    """Read a user's few sounds into the rate and length that a model was trained on.

    Args:
        path: a folder of sound files, one sound file, or a `.npz` file with `audio` and `rate`.
        rate: samples a second of the model.
        samples: of its sounds.

    Returns:
        float32[shots, samples, 1] in [-1, 1]; trimmed, then cut or followed by silence, in the order of file names.

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
        read = _archived(path)
    else:
        files = sound_files(path) if path.is_dir() else [path]
        if not files:
            inside = sorted(entry.name for entry in path.iterdir())[:10]
            raise DataError(f"{path}: must hold at least 1 sound file ({', '.join(SUFFIXES)}). Received: {inside}")
        read = [read_sound(file) for file in files]
    stored, medium = fitted(read, rate, samples)
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
        sound: float[samples, 1] or float[samples] in [-1, 1]; what lies outside is clipped.
        rate: samples a second.

    Raises:
        DataError: another shape.
    """
    # The standard library writes what soundfile would, and no extra is needed to hear what was made.
    import wave

    array = np.asarray(sound)
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] != 1) or not array.size:
        raise DataError(f"{path}: a sound must be [samples] or [samples, 1]. Received: shape {array.shape}")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(Sounds(rate).levels(array).astype("<i2").tobytes())


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


def from_sounds(
    audio: Any,
    labels: Any,
    rate: int,
    *,
    class_names: Sequence[str] | None = None,
    class_split: Any = None,
    name: str = "sounds",
    shots: int = 5,
    queries: int = 7,
    seed: int = 0,
) -> Tasks:
    """Make tasks from arrays of sounds.

    Args:
        audio: int16 or floats in [-1, 1], [n, samples] or [n, samples, 1], all of one length and rate.
        labels: int[n] or str[n], the class of each sound.
        rate: samples a second, >= 1.
        class_names: see `from_arrays`.
        class_split: see `from_arrays`.
        name: what messages call the data.
        shots: support sounds of a task.
        queries: query sounds of a task.
        seed: the key of every draw.

    Returns:
        `Tasks`, of episodes float32[tasks, n, samples, 1] in [-1, 1].

    Raises:
        DataError: if the arrays do not fit together or a class has too few examples.

    Example:
        >>> from_sounds(np.zeros((24, 2048)), np.repeat(["a", "b"], 12), 8000, class_split=[0, 2]).image_shape
        (2048, 1)
    """
    levels = to_int16(audio)
    indices, names = to_labels(labels, class_names, len(levels))
    medium = Sounds(check_integer(rate, "rate", 1))
    source = Source(levels, indices, names, to_split(class_split, names), name=name, medium=medium)
    return Tasks(source, shots, queries, seed)


def from_sound_folder(
    path: str | Path,
    rate: int | None = None,
    length: int | None = None,
    *,
    shots: int = 5,
    queries: int = 7,
    seed: int = 0,
) -> Tasks:
    """Make tasks from a folder that holds one folder of sound files for each class, named after it.

    Files are read as `read_sound` does, resampled, trimmed of what is 40 dB below their loudest sample at both ends,
    and cut or followed by silence. The classes are split 80/10/10 by a hash of their names.

    Args:
        path: the folder.
        rate: samples a second to bring all to; None for the lowest among the files.
        length: samples of a sound; None for the least power of 2 that holds all after trimming, at most 16384.
        shots: support sounds of a task.
        queries: query sounds of a task.
        seed: the key of every draw.

    Returns:
        `Tasks`.

    Raises:
        FileNotFoundError: if there is no such folder.
        DataError: if it has no class folders, a class has too few sounds, or a file cannot be read; it names it.

    Example:
        `from_sound_folder("words/", rate=8000, length=8192)` for words/yes/1.wav, words/no/1.wav, ...
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"A folder of class folders must exist. Received: {path}")
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    classes = [(folder.name, sound_files(folder)) for folder in folders]
    empty = [name for name, files in classes if not files]
    if not classes or empty:
        received = f"none in {len(empty)} of {len(classes)} folders, such as {empty[0]!r}" if empty else "no folder"
        raise DataError(f"{path}: must hold one folder of sounds ({', '.join(SUFFIXES)}) a class. Received: {received}")
    levels, medium = fitted([read_sound(file) for _, files in classes for file in files], rate, length)
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), [len(files) for _, files in classes])
    names = [name for name, _ in classes]
    source = Source(levels, labels, names, to_split(None, names), name=str(path), medium=medium)
    return Tasks(source, shots, queries, seed)
