"""What nets say of their shapes, be they of this package or any Keras models."""

from __future__ import annotations

import keras


def generated_shape(generator: keras.Model) -> tuple[int, ...]:
    """The shape of one example that a generator makes: its `image_shape`, or its output's."""
    return tuple(getattr(generator, "image_shape", None) or generator.output_shape[1:])


def latent_dim(generator: keras.Model) -> int:
    """The size of z that a generator says it takes."""
    # A subclassed model that was never called has no `input_shape`, and one of several inputs has a list of them.
    shape = getattr(generator, "input_shape", None)
    size = getattr(generator, "latent_dim", None) or (shape[-1] if isinstance(shape, tuple) and shape else None)
    if not isinstance(size, int):
        raise ValueError(
            f"a generator must say how many latents it takes, by `latent_dim` or as a model from [n, latents]. "
            f"Received: {type(generator).__name__} with latent_dim {getattr(generator, 'latent_dim', None)!r} and "
            f"input_shape {shape!r}"
        )
    return size


def input_shape(net: keras.Model) -> tuple[int, ...] | None:
    """The shape of one example that a net says it takes, or None for one that does not say."""
    shape = getattr(net, "image_shape", None)
    if shape is None and getattr(net, "inputs", None):
        shape = net.inputs[0].shape[1:]
    return None if shape is None or None in shape else tuple(shape)
