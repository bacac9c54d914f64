"""The guard at the door of a player: no layer whose second derivative is silently wrong."""

from __future__ import annotations

import keras

_BANNED: dict[type[keras.layers.Layer], str] = {
    keras.layers.BatchNormalization: "meta_gan.layers.BatchNormalization",
    keras.layers.LayerNormalization: "meta_gan.layers.LayerNormalization",
    keras.layers.GroupNormalization: "meta_gan.layers.GroupNormalization",
    keras.layers.SpectralNormalization: "meta_gan.layers.SpectralConv2D or SpectralDense",
    keras.layers.Resizing: "meta_gan.layers.UpsampleBilinear or UpsampleNearest",
}


def _cure(layer: keras.layers.Layer) -> str | None:
    """Return what should stand in place of `layer`, or None if it may stay."""
    if isinstance(layer, keras.layers.UpSampling2D):
        return None if layer.interpolation == "nearest" else "meta_gan.layers.UpsampleBilinear"
    return next((cure for banned, cure in _BANNED.items() if isinstance(layer, banned)), None)


def check_differentiable(model: keras.layers.Layer) -> None:
    """Refuse a model that holds, at any depth, a Keras layer whose second derivative is wrong.

    The first derivatives of these layers are exact, so nothing else would show the fault: a meta-gradient or
    a gradient penalty would be silently off by 0.2 to 50 %. Subclasses of a banned layer are refused too.

    Args:
        model: a Keras model or layer, which may nest others.

    Raises:
        ValueError: if it holds a banned layer; the message names the layer and what to use in its place.

    Example:
        >>> check_differentiable(keras.Sequential([keras.layers.Dense(1)]))
    """
    for layer in model._flatten_layers():
        cure = _cure(layer)
        if cure is not None:
            raise ValueError(
                "Every layer of a player must have a right second derivative; "
                f"in place of keras.layers.{_banned_name(layer)} use {cure}. "
                f"Received: layer {layer.name!r} of model {model.name!r}"
            )


def _banned_name(layer: keras.layers.Layer) -> str:
    """Return the name of the Keras class that `layer` is or is derived from."""
    return next(kind.__name__ for kind in type(layer).__mro__ if kind.__module__.startswith("keras."))
