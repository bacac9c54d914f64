"""A check that no layer of a player has a silently wrong second derivative."""

from __future__ import annotations

import keras

_BANNED: dict[type[keras.layers.Layer], str] = {
    keras.layers.BatchNormalization: "meta_gan.layers.BatchNormalization",
    keras.layers.LayerNormalization: "meta_gan.layers.LayerNormalization",
    keras.layers.GroupNormalization: "meta_gan.layers.GroupNormalization",
    keras.layers.SpectralNormalization: "meta_gan.layers.SpectralConv2D or SpectralDense",
    keras.layers.Resizing: "meta_gan.layers.UpsampleBilinear or UpsampleNearest",
}


def _replacement(layer: keras.layers.Layer) -> str | None:
    """Return the layer to use instead of `layer`, or None if `layer` is allowed."""
    if isinstance(layer, keras.layers.UpSampling2D):
        return None if layer.interpolation == "nearest" else "meta_gan.layers.UpsampleBilinear"
    return next((other for banned, other in _BANNED.items() if isinstance(layer, banned)), None)


def check_differentiable(model: keras.layers.Layer) -> None:
    """Raise a ValueError for a model with a Keras layer, at any depth, whose second derivative is wrong.

    The first derivatives of these layers are exact, so nothing else would show the error: a meta-gradient or a
    gradient penalty would be silently off by 0.2 to 50 %. Subclasses of these layers are refused too.

    Args:
        model: a Keras model or layer, which may nest others.

    Raises:
        ValueError: the model has such a layer; the message names the layer and its replacement.

    Example:
        >>> check_differentiable(keras.Sequential([keras.layers.Dense(1)]))
    """
    for layer in model._flatten_layers():
        if (replacement := _replacement(layer)) is not None:
            # A subclass of a banned layer is named by its Keras class.
            name = next(kind.__name__ for kind in type(layer).__mro__ if kind.__module__.startswith("keras."))
            raise ValueError(
                "every layer of a player must have a right second derivative; "
                f"instead of keras.layers.{name} use {replacement}. "
                f"Received: layer {layer.name!r} of model {model.name!r}"
            )
