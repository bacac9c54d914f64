"""`from_tfds`: tasks from TensorFlow Datasets, without downloads unless requested.

Without a network, `tfds.load` retries for minutes before it raises a ConnectionError. `from_tfds` therefore looks for
prepared data and for a folder of archives first. If neither has the data set, it raises an error at once that lists the
required files with the sha256 that TFDS has registered for them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan.checks import IMAGE_AXES, check_shape
from meta_gan.hints import did_you_mean
from meta_gan.tasks.episodes import Tasks
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.media import Medium, Pictures
from meta_gan.tasks.media.pictures import resize_images
from meta_gan.tasks.media.sounds import fitted
from meta_gan.tasks.readers.arrays import make_source, make_tasks, to_levels

PARTS = ("train", "validation", "test")
BATCH = 1024
Read = tuple[np.ndarray, np.ndarray, np.ndarray, Medium]
"""Stored examples, labels, a boolean array that marks the examples of the TFDS split "test", and the medium."""


def from_tfds(
    name: str,
    *,
    archives: str | Path | None = None,
    split_names: Sequence[str] | None = None,
    image_shape: Sequence[int] | None = None,
    rate: int | None = None,
    length: int | None = None,
    data_dir: str | Path | None = None,
    download: bool = False,
    shots: int = 5,
    queries: int = 7,
    seed: int = 0,
    small_classes: str = "error",
) -> Tasks:
    """Make tasks from a data set of TensorFlow Datasets with class labels and either images or sounds.

    Args:
        name: name for `tfds.builder`, such as "omniglot", including the config if the data set has several.
        archives: folder with the data set's original archives under their original names. The data set is then prepared
            from them once, without a network.
        split_names: the TFDS splits to read; by default those of train, validation and test that exist. Their examples
            are pooled and split anew by class, 80/10/10 by a hash of the class names.
        image_shape: (height, width, channels) to resize to by area; None to keep images that all have one size.
        rate: sampling rate of sounds in Hz to resample to; None for that of the data set.
        length: samples of each sound; None for the least power of 2 that fits the longest, at most 16384.
        data_dir: folder of prepared data sets; None for TFDS_DATA_DIR, or else ~/tensorflow_datasets.
        download: whether TFDS may use the network.
        shots, queries, seed: see `Tasks`.
        small_classes: see `from_arrays`.

    Returns:
        `Tasks`.

    Raises:
        ImportError: tensorflow_datasets, or importlib_resources, which it needs, is not installed.
        FileNotFoundError: the data set is neither prepared nor in `archives`, and `download` is false; the message
            lists the files with their sha256.
        DataError: TFDS does not know the name, an archive has another sha256, or there are no examples or labels.

    Example:
        `from_tfds("omniglot", archives="downloads/", image_shape=(28, 28, 1), shots=5, queries=5)`
    """
    shape = None if image_shape is None else check_shape(image_shape, "image_shape", IMAGE_AXES)
    builder = _builder(name, data_dir)
    if not builder.is_prepared():
        _prepare(builder, archives, download)
    key, label_key = _keys(builder)
    sound = _is_sound(builder, key, shape, rate, length)
    splits = _splits(builder, split_names)
    read, options = (_read_sounds, (rate, length)) if sound else (_read_images, (shape,))
    examples, labels, held_out, medium = read(builder, splits, key, label_key, *options)
    names = builder.info.features[label_key].names
    # TFDS numbers the classes over all splits, so some classes may be absent from the splits that were read.
    present, labels = np.unique(labels, return_inverse=True)
    names = [names[index] for index in present]
    source = make_source(examples, labels, names, name=f"tfds:{name}", medium=medium, held_out=held_out)
    return make_tasks(source, shots, queries, seed, small_classes)


def _builder(name: str, data_dir: str | Path | None) -> Any:
    try:
        # TFDS imports it only when it prepares a data set; importing it here raises the error early.
        import importlib_resources  # noqa: F401
        import tensorflow_datasets as tfds
    except ImportError as error:
        needed = "`pip install tensorflow-datasets importlib_resources`"
        raise ImportError(f"from_tfds needs {needed}. Received: {error}") from error
    folder = data_dir or os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets"
    try:
        return tfds.builder(name, data_dir=str(Path(folder).expanduser()))
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        # With those of communities, TFDS would ask for the names over the network.
        names = tfds.list_builders(with_community_datasets=False)
        reason, hint = str(error).splitlines()[0].rstrip("."), did_you_mean(name, names)
        raise DataError(f"'name' must be a data set that TFDS knows. Received: {name!r} ({reason}){hint}") from error


def is_known(name: str) -> bool:
    """Return True if TFDS is installed and has a data set of that name; reads no data.

    Example:
        >>> is_known("omniglot")
        True
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        return False
    return name in tfds.list_builders(with_community_datasets=False)


def _prepare(builder: Any, archives: str | Path | None, download: bool) -> None:
    """Prepare a data set from `archives`, or from the network if `download` is true; otherwise raise an error."""
    import tensorflow_datasets as tfds

    if not download:
        _require_archives(builder, archives)
    manual = None if archives is None else str(archives)
    config = tfds.download.DownloadConfig(manual_dir=manual, try_download_gcs=download)
    builder.download_and_prepare(download_config=config)


def _require_archives(builder: Any, archives: str | Path | None) -> None:
    wanted = {info.filename: info for info in (builder.url_infos or {}).values() if info.filename}
    folder = None if archives is None else Path(archives)
    if folder is not None and not folder.is_dir():
        raise FileNotFoundError(f"'archives' must be a folder. Received: {archives}")
    missing = [name for name in wanted if folder is None or not (folder / name).is_file()]
    if folder is None or missing:
        raise FileNotFoundError(_where_to_put(builder, wanted, missing, folder))
    for name, info in wanted.items():
        with (folder / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != info.checksum:
            required = f"must be the archive of {builder.name} with sha256 {info.checksum}"
            raise DataError(f"{folder / name}: {required}. Received: sha256 {found}")


def _where_to_put(builder: Any, wanted: dict[str, Any], missing: list[str], folder: Path | None) -> str:
    """Return the message that lists the missing files and where to put them."""
    lines = [f"tfds:{builder.name} is not prepared in {builder.data_path}, and no download was requested."]
    if wanted:
        lines.append(
            f"Put these files into {folder or 'a folder'}, unchanged, and pass that folder as 'archives' (--archives):"
        )
        lines += [f"  {name}  {wanted[name].size}  sha256 {wanted[name].checksum}" for name in missing]
    else:
        lines.append(
            "TFDS has no archives registered for it: prepare it with `tfds build` on a machine with a network."
        )
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        lines.append(str(builder.MANUAL_DOWNLOAD_INSTRUCTIONS).strip())
    lines.append(f"Or, on a network, prepare it by `tfds build {builder.name}`, or pass download=True in Python.")
    lines.append(f"Received: archives={None if folder is None else str(folder)!r}, lacking {len(missing)} files")
    return "\n".join(lines)


def _keys(builder: Any) -> tuple[str, str]:
    """Return the names of the image or sound feature and of the label feature."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    found = []
    examples = (tfds.features.Image, tfds.features.Audio)
    for kind, usual in ((examples, "image"), (tfds.features.ClassLabel, "label")):
        keys = [key for key in features if isinstance(features[key], kind)]
        if not keys:
            required = "must have a feature of images or sounds, and a class label"
            raise DataError(f"tfds:{builder.name} {required}. Received: {', '.join(features)}")
        found.append(usual if usual in keys else keys[0])
    return found[0], found[1]


def _splits(builder: Any, split_names: Sequence[str] | None) -> list[str]:
    have = list(builder.info.splits)
    wanted = [part for part in PARTS if part in have] if split_names is None else list(split_names)
    unknown = [part for part in wanted if part not in have]
    if not wanted or unknown:
        raise DataError(f"'split_names' must be among {have} for tfds:{builder.name}. Received: {split_names!r}")
    return wanted


def _read_images(builder: Any, splits: list[str], key: str, label_key: str, shape: tuple[int, ...] | None) -> Read:
    """Read the images, resized if `shape` is not None."""
    import tensorflow_datasets as tfds

    own = builder.info.features[key].shape
    if shape is None and None in own:
        raise DataError(f"'image_shape' is required: tfds:{builder.name} has images of several sizes. Received: None")
    images, labels, held_out = [], [], []
    for split in splits:
        examples = builder.as_dataset(split=split, shuffle_files=False)
        examples = examples.map(lambda example: (example[key], example[label_key]))
        # Images of several sizes cannot be stacked before they are resized.
        for image, label in tfds.as_numpy(examples.batch(1 if None in own else BATCH)):
            levels = to_levels(image, f"tfds:{builder.name}:{key}")
            images.append(levels if shape is None else resize_images(levels, shape))
            labels.append(label)
            held_out.append(np.full(len(label), split == "test"))
    return np.concatenate(images), np.concatenate(labels), np.concatenate(held_out), Pictures()


def _is_sound(builder: Any, key: str, shape: tuple[int, ...] | None, rate: int | None, length: int | None) -> bool:
    """Return True if the examples are sounds; raise a DataError for an argument of the other kind of example."""
    import tensorflow_datasets as tfds

    sound = isinstance(builder.info.features[key], tfds.features.Audio)
    if (shape is not None) if sound else (rate, length) != (None, None):
        what = "sounds, and 'image_shape' must be None" if sound else "images, and 'rate' and 'length' must be None"
        raise DataError(f"tfds:{builder.name} has {what}. Received: {shape if sound else (rate, length)}")
    return sound


def _read_sounds(
    builder: Any, splits: list[str], key: str, label_key: str, rate: int | None, length: int | None
) -> Read:
    """Read the sounds and convert them as `from_sound_folder` does."""
    import tensorflow_datasets as tfds

    own = builder.info.features[key].sample_rate
    if not own:
        raise DataError(f"tfds:{builder.name} must record the sampling rate of its sounds. Received: {own}")
    sounds, labels, held_out = [], [], []
    for split in splits:
        for example in tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False)):
            levels = np.asarray(example[key])
            # TFDS gives 16-bit levels as int64.
            scale = 1.0 if np.issubdtype(levels.dtype, np.floating) else 32768.0
            sounds.append((levels.reshape(len(levels), -1).mean(axis=1) / scale).astype(np.float32))
            labels.append(example[label_key])
            held_out.append(split == "test")
    stored, medium = fitted([(sound, int(own)) for sound in sounds], rate, length)
    return stored, np.array(labels), np.array(held_out), medium
