"""Loading of models by folder, run folder, name of a shipped model, or address on the hub; and their upload."""

from __future__ import annotations

import math
import os
import re
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan import atomic, hub, storage
from meta_gan.adapted import AdaptedModel
from meta_gan.hints import missing_hint
from meta_gan.model import MetaModel
from meta_gan.types import Snapshot

AUTO = "auto"
GENERAL = {"drawings28": (28, 28, 1), "pictures32": (32, 32, 3)}
"""The shipped models for any pictures, and the shapes of theirs."""


def shipped_root() -> Path:
    """Return the folder of the shipped models: in the installed package, or next to it in a source checkout."""
    package = Path(__file__).parent
    installed = package / "saved_models"
    return installed if installed.is_dir() else package.parent / "saved_models"


def shipped() -> list[str]:
    """Return the names of the pretrained models in the package."""
    return sorted(path.parent.name for path in shipped_root().glob(f"*/{storage.CONFIG}"))


def found_or_shipped(path: str | os.PathLike[str], names: list[str], root: Path) -> Path:
    """Return a user's path, or the shipped folder of that name; if both exist, the path, with a warning.

    Args:
        path: a file, a folder or a name.
        names: the shipped names.
        root: the folder that contains them.

    Returns:
        The given path, whether or not it exists, or a folder below `root`.
    """
    here, ours = Path(path), root / str(path)
    if str(path) not in names:
        return here
    if not here.exists():
        return ours
    warnings.warn(
        f"{str(path)!r} is both a folder here, which is used, and a shipped name, in {str(ours)!r}. Write "
        f"{os.path.join('.', path)!r} or that folder to choose",
        stacklevel=4,
    )
    return here


def resolve(path: str | os.PathLike[str]) -> Path:
    """Return the folder of a model, given by folder, run folder, shipped name or address.

    Args:
        path: a saved model's folder; a run's folder (its `model/`); the folder of several runs (the newest that has a
            model, with a warning if a newer run has none yet); the name of a shipped model, if no such path exists; or
            an address on the Hugging Face hub, `hf://USER/NAME` or `hf://USER/NAME@REVISION`, see `hub.fetch`.

    Returns:
        The folder that contains `config.json` and `weights.npz`.

    Raises:
        ValueError: the folder does not exist or has no model; or as in `hub.fetch`.
        OSError: the hub cannot be reached.
    """
    if hub.is_address(path):
        return hub.fetch(str(path))
    folder = found_or_shipped(path, shipped(), shipped_root())
    if not folder.exists():
        names = shipped()
        hint = missing_hint(path, names)
        raise ValueError(f"a model must be a folder or one of the shipped names {names}. Received: {str(path)!r}{hint}")
    for place in (folder, folder / "model"):
        if os.path.lexists(place / storage.WEIGHTS) or (place != folder and _has_model(place)):
            return place
    if folder.is_dir():
        runs = sorted((p for p in folder.iterdir() if re.match(r"\d{5}-", p.name)), reverse=True)
        for index, run in enumerate(runs):
            if _has_model(run / "model"):
                if index:
                    warnings.warn(
                        f"the newest run {str(runs[0])!r} has no model yet: the model of {str(run)!r} is used",
                        stacklevel=3,
                    )
                return run / "model"
    # A run folder has a configuration, too. In a model, the reader names the file that is missing.
    if _has_model(folder) and not (folder / "checkpoints").exists():
        return folder
    raise ValueError(
        f"a model folder must hold {storage.CONFIG} and {storage.WEIGHTS}, or finished runs. Received: {str(path)!r}"
        f"{_without_model(folder)}"
    )


def pinned(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Return an address with the commit that it stands for now, see `hub.pinned`; any other path as it is.

    Example:
        >>> pinned("omniglot")
        'omniglot'
    """
    return hub.pinned(str(path)) if hub.is_address(path) else path


def _without_model(folder: Path) -> str:
    """Return the end of the message on a path without a model: what there is, and what to do with it."""
    if not folder.is_dir():
        ways = {".keras": ", for keras.saving.load_model", ".zip": "; unpack it and give the folder"}
        return f", a file{ways.get(folder.suffix.lower(), '')}"
    if (folder / "checkpoints").is_dir() or any(re.match(r"\d{5}-", entry.name) for entry in folder.iterdir()):
        return ", a run without a model yet; train on, by its command with --resume"
    return ""


def _has_model(folder: Path) -> bool:
    """Return True if a folder has a file of a model; its reader then finds out whether it is whole."""
    return atomic.settled(folder) and any(os.path.lexists(folder / name) for name in (storage.CONFIG, storage.WEIGHTS))


def load(path: str | os.PathLike[str], like: Any = None, sampling: Mapping[str, Any] | None = None) -> MetaModel:
    """Load a meta-model by folder, run folder, shipped name or address.

    Args:
        path: see `resolve`; or "auto" for the shipped model whose pictures are most like given ones, see `nearest`.
        like: with "auto", pictures [n, height, width] or [n, height, width, channels]; otherwise None.
        sampling: arguments of the generator that change samples and nothing in training, such as `temperature` or a
            flow's `guidance` and `solver_steps`; None for the saved ones. The model keeps them when it is saved.

    Returns:
        A `MetaModel`, ready to adapt; compile it to continue training. Its `source` is the address that it was read
        from, with the commit.

    Raises:
        ValueError: there is no model at `path`, or its files are damaged; or `like` does not fit `path`; or the
            generator has no such settings.
        OSError: the hub cannot be reached.

    Example:
        >>> images = load("runs/omniglot").adapt(five_images, steps=20, seed=0).sample(64, seed=0)
        >>> bolder = load("omniglot", sampling={"temperature": 1.5})
        >>> model = load("auto", like=photographs)
        >>> load("hf://user/name").source
        'hf://user/name@6c1f5c3e0a3b9a1d6a0ff3c65f2cf2f9d0f6a3b1'
    """
    if (like is None) == (str(path) == AUTO):
        received = "none" if like is None else f"{type(like).__name__}, with {str(path)!r}"
        raise ValueError(f"'like' must be pictures with the path {AUTO!r}, and None with others. Received: {received}")
    place = pinned(path if like is None else nearest(np.shape(like)))
    model = MetaModel.from_folder(resolve(place))
    model.source = str(place) if hub.is_address(place) else None
    _change_sampling(model.game, sampling)
    return model


def _change_sampling(game: Any, settings: Mapping[str, Any] | None) -> None:
    if not settings:
        return
    if fixed := sorted(set(settings) & set(game.fixed_sampling)):
        kind, names = type(game).__name__, list(game.fixed_sampling)
        raise ValueError(f"'sampling' of a {kind} must leave {names} as they are. Received: {fixed}")
    net = game.nets[game.primary]
    net = getattr(net, "network", net)  # the network inside a wrapper
    if not callable(getattr(net, "change_sampling", None)):
        raise ValueError(f"'sampling' must be None for a {type(net).__name__}. Received: {dict(settings)}")
    net.change_sampling(settings)


def nearest(shape: tuple[int, ...]) -> str:
    """Return the name of the shipped model of `GENERAL` whose pictures are most like those of a shape.

    Its pictures are grey or in colour like the given ones; of several such models, the one with the ratio of areas
    nearest to 1.

    Args:
        shape: [n, height, width] or [n, height, width, channels], with 1 or 3 channels.

    Raises:
        ValueError: another shape, or no shipped model has that number of channels.

    Example:
        >>> nearest((5, 48, 48, 3)) in GENERAL
        True
    """
    shape = (*shape, 1) if len(shape) == 3 else tuple(shape)
    models = {name: own for name, own in GENERAL.items() if len(shape) == 4 and own[-1] == shape[-1]}
    if not models or 0 in shape:
        channels = " or ".join(str(n) for n in sorted({own[-1] for own in GENERAL.values()}))
        raise ValueError(f"'like' must be pictures [n, height, width, {channels}]. Received: shape {tuple(shape)}")
    area = shape[1] * shape[2]
    return min(models, key=lambda name: abs(math.log(area / (models[name][0] * models[name][1]))))


def from_preset(name: str | os.PathLike[str]) -> MetaModel:
    """Load a model that `save_to_preset` wrote, by folder, shipped name or address; the same as `load`."""
    return load(name)


def start_from(model: MetaModel, path: str | os.PathLike[str]) -> list[str]:
    """Initialise a model's nets with the weights of a saved model, to continue training with any algorithm.

    If the saved model has averaged weights, they are used, as for adaptation. The meta-learner's own variables do not
    change. Nets that the saved model does not have, such as a discriminator that is to be trained beside the generator
    of a flow, keep their initial weights.

    Args:
        model: a `MetaModel`; its averaged weights, if it has them, start from the same values.
        path: the saved model, see `resolve`.

    Returns:
        The names of the nets that the saved model does not have, sorted.

    Raises:
        ValueError: there is no model at `path`, it does not have the net that makes examples, or it has a net that
            `model` does not have, or of other shapes; `model` is then unchanged.

    Example:
        >>> start_from(model, "runs/trained-jointly")
        []
    """
    snapshot = load(path).meta_weights(averaged=True).initial
    own = model.meta_weights().initial
    given, wanted = _shapes(snapshot), _shapes(own)
    if differing := sorted(name for name in {*given, model.game.primary} if given.get(name) != wanted.get(name)):
        raise ValueError(
            f"a model to start from must have the same nets, of the same shapes. Received: {str(path)!r}, which "
            f"differs in {differing} (it has {sorted(given)}, and this model {sorted(wanted)})"
        )
    model.start_at(Snapshot({**own.weights, **snapshot.weights}, {**own.state, **snapshot.state}))
    return sorted(set(wanted) - set(given))


def _shapes(snapshot: Snapshot) -> dict[str, list[tuple[int, ...]]]:
    return {name: [tuple(t.shape) for t in [*ts, *snapshot.state[name]]] for name, ts in snapshot.weights.items()}


def save_to_preset(
    model: MetaModel,
    path: str | os.PathLike[str],
    training: Mapping[str, Any] | None = None,
    about: Mapping[str, str] | None = None,
    card_data: Mapping[str, Any] | None = None,
) -> None:
    """Save a model for adaptation, without what further training needs: averaged weights replace the trained ones.

    Args:
        model: a trained `MetaModel`; it does not change.
        path: the folder to create; it must not exist.
        training: entries for the model card on the training, such as steps and seconds.
        about: further entries for the model card, such as recipe, metrics and licence.
        card_data: fields of the card's header, strings or lists of strings, by their names in
            `huggingface_hub.ModelCardData`: `license`, `datasets`, `metrics` and the others of `storage.CARD_FIELDS`.

    Raises:
        ValueError: the folder exists, or cannot be written, or there are no such fields; nothing is left half-written.

    Example:
        >>> save_to_preset(load("runs/omniglot"), "omniglot", card_data={"license": "mit"})
    """
    game = model.adaptation.copy(model.meta_weights(averaged=True).initial)
    plain = MetaModel(game, model.algorithm, name=model.name)
    plain.data_card = dict(model.data_card)
    extra: dict[str, Any] = {"training": dict(training or {}), "about": dict(about or {})}
    if card_data:
        extra[storage.CARD_DATA] = dict(card_data)
    plain.save(path, **extra)


def load_adapted(path: str | os.PathLike[str], sampling: Mapping[str, Any] | None = None) -> AdaptedModel:
    """Load an adapted model, as saved by `AdaptedModel.save` or `meta-gan adapt`.

    Args:
        path: its folder, or its address on the Hugging Face hub, see `resolve`.
        sampling: see `load`.

    Returns:
        An `AdaptedModel` that draws the same samples as the saved one, unless `sampling` differs. Its `source` is the
        address that it was read from, with the commit.

    Raises:
        ValueError: the folder has no adapted model, or its files are damaged, or there are no such settings; or as in
            `hub.fetch`.
        OSError: the hub cannot be reached.
    """
    place = pinned(path)
    address = str(place) if hub.is_address(place) else None
    if not address and not any(os.path.lexists(Path(place) / name) for name in (storage.CONFIG, storage.WEIGHTS)):
        # A path of a meta-model, or of nothing: the next step is to adapt, whatever there is.
        hint = "" if Path(path).exists() or str(path) in shipped() else missing_hint(path)
        raise ValueError(
            "a model to sample from must be a folder that `meta-gan adapt` or AdaptedModel.save wrote; adapt a "
            f"meta-model first. Received: {str(path)!r}, without {storage.CONFIG}{hint}"
        )
    adapted = AdaptedModel.from_folder(hub.fetch(address, "adapted_model") if address else place)
    adapted.source = address
    game = adapted.adaptation.game
    _change_sampling(game, sampling)
    return adapted


def upload(
    model: MetaModel | AdaptedModel | str | os.PathLike[str],
    address: str,
    private: bool = True,
    revision: str | None = None,
    message: str | None = None,
) -> str:
    """Upload a model to the Hugging Face hub, in one commit.

    Only the files that `load` and `load_adapted` read are sent: `config.json`, `weights.npz`, `metadata.json` and the
    model card. Other files of the repository stay. The token is that of `hf auth login`, or of the variable HF_TOKEN.

    Args:
        model: a model, or the folder, run folder or shipped name of a saved one.
        address: `hf://USER/NAME`; the repository is created if it does not exist.
        private: whether a repository that is created is private; one that exists stays as it is.
        revision: the branch, which is created if it does not exist; None for `main`.
        message: the subject of the commit; None for a general one.

    Returns:
        The address with the commit, for `load` or `load_adapted`.

    Raises:
        ValueError: there is no model, or it is damaged, or could not be loaded from the hub because it has classes of
            your own (nothing is sent); the address is malformed; there is no access to the repository; the extra
            `hub` is not installed; or HF_HUB_OFFLINE is set.
        DivergenceError: a weight is NaN or infinite; nothing is sent.
        OSError: the hub cannot be reached.

    Example:
        >>> upload("runs", "hf://user/name", private=False)
        'hf://user/name@6c1f5c3e0a3b9a1d6a0ff3c65f2cf2f9d0f6a3b1'
    """
    if hub.is_address(model):
        raise ValueError(f"'model' must be a model or the folder of one, on this machine. Received: {model!r}")
    if isinstance(model, (str, os.PathLike)):
        return hub.send(resolve(model), address, private, revision, message)
    if not isinstance(model, (MetaModel, AdaptedModel)):
        raise ValueError(f"'model' must be a MetaModel, an AdaptedModel or a folder. Received: {type(model).__name__}")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "model"
        if isinstance(model, MetaModel):
            model.save(folder)
        else:
            folder.mkdir()
            model.write_into(folder, programs=False)
        return hub.send(folder, address, private, revision, message)
