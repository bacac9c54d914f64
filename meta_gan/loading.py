"""Load saved models: from their folders, from run folders, and by the names of the models that ship."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meta_gan import storage
from meta_gan.adapted import AdaptedModel
from meta_gan.model import MetaModel
from meta_gan.types import Snapshot


def shipped_root() -> Path:
    """Return the folder of what ships: inside the installed package, or beside it in a source checkout."""
    package = Path(__file__).parent
    installed = package / "saved_models"
    return installed if installed.is_dir() else package.parent / "saved_models"


def shipped() -> list[str]:
    """Return the names of the pretrained models in the package."""
    return sorted(path.parent.name for path in shipped_root().glob(f"*/{storage.CONFIG}"))


def found_or_shipped(path: str | os.PathLike[str], names: list[str], root: Path) -> Path:
    """Return the path that a user names, or what ships under that name; if both exist, the path, with a warning.

    Args:
        path: a file, a folder or a name.
        names: what ships.
        root: the folder that holds it.

    Returns:
        The given path, whether or not it exists, or a folder below `root`.
    """
    here, ours = Path(path), root / str(path)
    if str(path) not in names:
        return here
    if not here.exists():
        return ours
    warnings.warn(
        f"{str(path)!r} is a folder here, which is used, and also ships with the package, in {str(ours)!r}. Write "
        f"{os.path.join('.', path)!r} or that folder to choose",
        stacklevel=4,
    )
    return here


def resolve(path: str | os.PathLike[str]) -> Path:
    """Find the model folder that a user means.

    Args:
        path: a saved model's folder; a run's folder (its `model/`); the folder of several runs (the newest that has a
            model); or the name of a shipped model, if no such path exists.

    Returns:
        The folder that holds `config.json` and `weights.npz`.

    Raises:
        ValueError: the folder does not exist, or holds no model.
    """
    folder = found_or_shipped(path, shipped(), shipped_root())
    if not folder.exists():
        raise ValueError(f"a model must be a folder or one of the shipped names {shipped()}. Received: {str(path)!r}")
    if (folder / storage.WEIGHTS).is_file():
        return folder
    if (folder / "model" / storage.CONFIG).is_file():
        return folder / "model"
    if folder.is_dir():
        runs = sorted((p for p in folder.iterdir() if re.match(r"\d{5}-", p.name)), reverse=True)
        for run in runs:
            if (run / "model" / storage.CONFIG).is_file():
                return run / "model"
    raise ValueError(
        f"a model folder must hold {storage.CONFIG} and {storage.WEIGHTS}, or finished runs. Received: {str(path)!r}"
    )


def load(path: str | os.PathLike[str]) -> MetaModel:
    """Load a meta-model by folder, run folder or shipped name.

    Args:
        path: see `resolve`.

    Returns:
        A `MetaModel`, ready to adapt; compile it to train on.

    Raises:
        ValueError: no model is there, or its files are damaged.

    Example:
        >>> images = load("runs/omniglot").adapt(five_images, steps=20, seed=0).sample(64, seed=0)
    """
    return MetaModel.from_folder(resolve(path))


def from_preset(name: str | os.PathLike[str]) -> MetaModel:
    """Load a model that `save_to_preset` wrote, by its folder, or by name if it ships; the same as `load`."""
    return load(name)


def start_from(model: MetaModel, path: str | os.PathLike[str]) -> None:
    """Copy the weights of a saved model's nets into a model, to train on from there by any algorithm.

    Where the saved model has averaged weights, they are taken, as for adaptation. The meta-learner's own variables do
    not change.

    Args:
        model: a `MetaModel`; its averages, where it has them, start from the same weights.
        path: of the saved one, see `resolve`.

    Raises:
        ValueError: no model is there, or it has other nets, or nets of other shapes; `model` is then unchanged.

    Example:
        >>> start_from(model, "runs/trained-jointly")
    """
    snapshot = load(path).meta_weights(averaged=True).initial
    given, wanted = _shapes(snapshot), _shapes(model.meta_weights().initial)
    if differing := sorted(name for name in {*given, *wanted} if given.get(name) != wanted.get(name)):
        raise ValueError(
            f"a model to start from must have the same nets, of the same shapes. Received: {str(path)!r}, which "
            f"differs in {differing} (it has {sorted(given)}, and this model {sorted(wanted)})"
        )
    model.start_at(snapshot)


def _shapes(snapshot: Snapshot) -> dict[str, list[tuple[int, ...]]]:
    return {name: [tuple(t.shape) for t in [*ts, *snapshot.state[name]]] for name, ts in snapshot.weights.items()}


def save_to_preset(
    model: MetaModel,
    path: str | os.PathLike[str],
    training: Mapping[str, Any] | None = None,
    about: Mapping[str, str] | None = None,
) -> None:
    """Save a model for adaptation, not for further training: where weights are averaged, the averages only.

    Args:
        model: a trained `MetaModel`; it does not change.
        path: the folder to make; it must not exist.
        training: entries of the card on the training, such as steps and seconds.
        about: further entries of the card, such as recipe, metrics and licence.

    Raises:
        ValueError: the folder exists, or cannot be written; nothing is left half-written.

    Example:
        >>> save_to_preset(load("runs/omniglot"), "omniglot", about={"licence": "MIT"})
    """
    game = model.adaptation.copy(model.meta_weights(averaged=True).initial)
    plain = MetaModel(game, model.algorithm, name=model.name)
    plain.data_card = dict(model.data_card)
    plain.save(path, training=dict(training or {}), about=dict(about or {}))


def load_adapted(path: str | os.PathLike[str]) -> AdaptedModel:
    """Load an adapted model, as saved by `AdaptedModel.save` or `meta-gan adapt`.

    Args:
        path: its folder.

    Returns:
        An `AdaptedModel`, whose samples equal those of the one that was saved.

    Raises:
        ValueError: no adapted model is there, or its files are damaged.
    """
    return AdaptedModel.from_folder(path)
