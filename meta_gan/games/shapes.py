"""What nets say of their shapes, be they of this package or any Keras models."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import keras


def generated_shape(generator: keras.Model) -> tuple[int, ...]:
    """The shape of one example that a generator makes: its `example_shape`, or its output's."""
    return tuple(getattr(generator, "example_shape", None) or generator.output_shape[1:])


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
    shape = getattr(net, "example_shape", None)
    if shape is None and getattr(net, "inputs", None):
        shape = net.inputs[0].shape[1:]
    return None if shape is None or None in shape else tuple(shape)


def taken_shape(translator: keras.Model) -> tuple[int, ...]:
    """The shape of one example that a translator says it takes.

    Raises:
        ValueError: it does not say.
    """
    shape = input_shape(translator)
    if shape is None:
        raise ValueError(
            "a translator must say what it takes, by `example_shape` or as a model of inputs of static shape. "
            f"Received: {type(translator).__name__}"
        )
    return shape


def check_task_embedding(encoder: keras.Model | None, told: Mapping[str, keras.Model]) -> None:
    """Checks that nets take the codes that an encoder makes, and none without one.

    Args:
        encoder: None for none.
        told: the nets that are given its code, by name.

    Raises:
        ValueError: a net that takes no conditioning, or codes of another size.
    """
    made = 0 if encoder is None else getattr(encoder, "embedding_dim", None)
    for name, net in told.items():
        net = getattr(net, "network", net)  # of one that changes another
        # Plain Keras models swallow a keyword that they do not know: the code would be lost without a word.
        if encoder is not None and "conditioning" not in inspect.signature(net.call).parameters:
            raise ValueError(
                f"the net {name!r} must take `conditioning` to be told of a code. Received: {type(net).__name__}"
            )
        wanted = getattr(net, "embedding_dim", made)
        if made is not None and wanted != made:
            raise ValueError(
                f"the net {name!r} must take codes of the encoder's size, 0 without one. Received: 'embedding_dim' "
                f"{wanted} and codes of {made}"
            )
