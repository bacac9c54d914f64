"""`load_support`: a user's few pictures, of any size and kind, as the support set of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from meta_gan.checks import IMAGE_AXES, check_choice, check_shape
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.npz import open_npz, read_array
from meta_gan.tasks.photos import SUFFIXES, image_files, load_files
from meta_gan.tasks.pixels import DARK_ON_LIGHT, LIGHT_ON_DARK, check_images, to_channels, to_float, votes

INVERT = ("auto", "yes", "no")
KEYS = ("images", "support")


class Support(NamedTuple):
    """What `load_support` returns.

    Attributes:
        images: float32[shots, height, width, channels] in [-1, 1].
        message: one line that says what "auto" decided about inversion, or None where it had nothing to
            decide.
        files: the names of the files read, in the order of `images`.
    """

    images: np.ndarray
    message: str | None
    files: list[str]


def load_support(
    path: str | Path, image_shape: Any, *, invert: str = "auto", polarity: str | None = LIGHT_ON_DARK
) -> Support:
    """Read a user's pictures into the shape and polarity that a model was trained on.

    A folder's PNG, JPEG, BMP, GIF and WebP files are read in the order of their names: turned upright, laid
    over a contrasting background where transparent, padded with the median colour of the border, resized by
    area, and converted to the model's channels (luminance for one). With `invert="auto"` they are inverted
    when most of them have the other polarity than the model's data, as ink on paper has for a model of white
    strokes on black.

    A `.npz` file holds the array `images` or `support` in the model's own form, so "auto" leaves it as it is.

    Args:
        path: a folder of image files, one image file, or a `.npz` file.
        image_shape: the model's (height, width, channels).
        invert: "auto", "yes" or "no".
        polarity: what the model was trained on, "light-on-dark" or "dark-on-light"; None when it is not
            known, and then "auto" inverts nothing.

    Returns:
        A `Support`.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        DataError: if an argument is out of range, no image is there, or a file cannot be read; it names the
            file.

    Example:
        `images, message, files = load_support("my_five_images/", (28, 28, 1), polarity=tasks.polarity)`
    """
    shape = check_shape(image_shape, "image_shape", IMAGE_AXES)
    check_choice(invert, "invert", INVERT)
    check_choice(polarity, "polarity", (LIGHT_ON_DARK, DARK_ON_LIGHT, None))
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"A support set must be a folder of images or a .npz file. Received: {path}")
    if path.suffix.lower() == ".npz":
        images = _load_arrays(path, shape)
        return Support(-images if invert == "yes" else images, None, [path.name])
    files = _support_files(path)
    levels = to_channels(load_files(files, shape[0], shape[1]), shape[2])
    inverted, message = _decide(levels, path, polarity) if invert == "auto" else (invert == "yes", None)
    return Support(to_float(255 - levels if inverted else levels), message, [file.name for file in files])


def _support_files(path: Path) -> list[Path]:
    files = image_files(path) if path.is_dir() else [path]
    if not files:
        inside = sorted(entry.name for entry in path.iterdir())
        raise DataError(f"{path}: must hold at least 1 image file ({', '.join(SUFFIXES)}). Received: {inside[:10]}")
    return files


def _load_arrays(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    with open_npz(path) as archive:
        found = [key for key in KEYS if key in archive.files]
        if not found:
            raise DataError(f"{path}: must hold the array {' or '.join(KEYS)}. Received: {archive.files}")
        array = read_array(path, archive, found[0])
    if array.ndim == 3 and shape[2] == 1:
        array = array[..., None]
    return check_images(array, shape, f"{path}:{found[0]}")


def _decide(levels: np.ndarray, path: Path, polarity: str | None) -> tuple[bool, str | None]:
    """Return whether to invert, and the line that says so."""
    if polarity is None:
        return False, None
    light, dark = votes(levels)
    if light == dark:
        return False, f"{path}: no clear polarity ({light} light-on-dark, {dark} dark-on-light): not inverted"
    theirs, count = (DARK_ON_LIGHT, dark) if dark > light else (LIGHT_ON_DARK, light)
    found = f"{path}: {count} of {len(levels)} images are {theirs}"
    if theirs == polarity:
        return False, f"{found}, like the model's data: not inverted"
    return True, f"{found}, the model's data are {polarity}: inverted (invert='no' keeps them as they are)"
