"""The models that an `Augmenter` starts from."""

from __future__ import annotations

import os
from typing import Any

from meta_gan import loading
from meta_gan.model import MetaModel


def open_model(model: Any, image_shape: tuple[int, ...]) -> tuple[MetaModel, str]:
    """Return a model and its name.

    Args:
        model: a `MetaModel`, what `meta_gan.load` takes, or "auto" for that of `loading.nearest`.
        image_shape: of the user's pictures.

    Raises:
        ValueError: there is no such model, or it does not generate pictures of one domain.
    """
    if isinstance(model, MetaModel):
        found, name = model, model.name
    else:
        if not isinstance(model, (str, os.PathLike)):
            raise ValueError(f"'model' must be a MetaModel, a path or a shipped name. Received: {model!r}")
        name = loading.nearest((1, *image_shape)) if model == loading.AUTO else os.fspath(loading.pinned(model))
        found = loading.load(name)
    shape = found.game.example_shape
    pictures = isinstance(shape, tuple) and len(shape) == 3 and shape[-1] in (1, 3)
    if not pictures or "sample" not in found.game.endpoints:
        raise ValueError(
            f"'model' must generate pictures of 1 or 3 channels. Received: {name!r}, of examples of {shape} with the "
            f"endpoints {sorted(found.game.endpoints)}"
        )
    return found, name


def copy_of(model: MetaModel) -> MetaModel:
    """Return a model of new networks with the same weights; averaged weights, where there are any, replace others.

    Args:
        model: it does not change.

    Returns:
        A `MetaModel` with the same game, algorithm, averaging and data card.
    """
    made = MetaModel.from_config(model.get_config())
    made.start_at(model.meta_weights(averaged=True).initial)
    for variable, value in zip(made.meta_learner.variables, model.meta_learner.variables, strict=True):
        variable.assign(value)
    made.data_card = dict(model.data_card)
    return made
