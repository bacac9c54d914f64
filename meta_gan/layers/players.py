"""The check of a player's layers, when a game is made: nothing that they ask for may be lost without a word."""

from __future__ import annotations

from typing import Any, NoReturn

import keras

CHANNELS_LAST = "channels_last"


def check_honoured(name: str, net: keras.Model) -> None:
    """Check that a game honours all that the layers of a net ask for.

    A player's loss is a pure function of values, to which no layer can add; its weights change by the inner loop's
    updates, after which no constraint is projected. So penalties belong to the game, and bounds to a layer's `call`.

    Args:
        name: of the net in the game.
        net: a built Keras model.

    Raises:
        ValueError: a trainable weight with a regularizer or constraint, a layer with an activity regularizer, or one
            whose data format is not channels_last.

    Example:
        >>> check_honoured("discriminator", keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
    """
    for variable in net.trainable_variables:
        layer = variable.path.rpartition("/")[0] or net.name
        if getattr(variable, "regularizer", None) is not None:
            _refuse(name, layer, "no regularizer; add a penalty to the game", variable.regularizer)
        if getattr(variable, "constraint", None) is not None:
            _refuse(name, layer, "no constraint; bound the weight inside the layer's call", variable.constraint)
    for layer in net._flatten_layers():
        if getattr(layer, "activity_regularizer", None) is not None:
            _refuse(name, layer.name, "no activity regularizer; add a penalty to the game", layer.activity_regularizer)
        if getattr(layer, "data_format", CHANNELS_LAST) != CHANNELS_LAST:
            _refuse(name, layer.name, f"'data_format' {CHANNELS_LAST!r}", layer.data_format)


def _refuse(name: str, layer: str, wanted: str, received: Any) -> NoReturn:
    shown = received if isinstance(received, str) else type(received).__name__
    raise ValueError(f"the net {name!r} must have {wanted}. Received: {shown} in the layer {layer!r}")


def foreign(net: keras.Model) -> list[str]:
    """Return the names of layers that are neither Keras's nor this package's, whose calls may do anything."""
    return [
        layer.name
        for layer in net._flatten_layers(include_self=False)
        if type(layer).__module__.split(".")[0] not in ("keras", "meta_gan")
    ]
