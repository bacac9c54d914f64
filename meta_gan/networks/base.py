"""The contract of a generator and a discriminator, and what the networks of this room share.

Any Keras model may be a player of a game if it keeps this contract:

- Its weights exist from construction on, and depend on nothing but its arguments (`seed` among them).
- `call` is a function of its arguments and weights: no Python side effects, and no draw from a hidden random
  state.
- A generator maps `z` float[n, latent_dim] to examples float[n, *example_shape], in [-1, 1] for images; it has
  the attributes `latent_dim` and `example_shape`.
- A discriminator maps examples float[n, *example_shape] to logits float[n, 1], unbounded, each of its own
  example; it has the attribute `example_shape`.
- Both accept `conditioning` (None, or the tree that a task encoder made of the support set) and `training`.
  One that cannot use a conditioning raises ValueError: to ignore it would hide a bug.
- Its layers pass `meta_gan.layers.check_differentiable`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from meta_gan.checks import check_integer, check_shape
from meta_gan.renames import current_names


def seeded_normal(seed: int, stream: str) -> Callable[..., keras.initializers.Initializer]:
    """Return a maker of kernel initialisers, of which every one has a seed of its own.

    The seeds are a function of `seed`, `stream` and the number of initialisers made before, and of no global
    state.

    Args:
        seed: int >= 0, the network's seed.
        stream: what keeps networks of one seed apart, such as a class name.

    Returns:
        `make(fan_in, slope=1.0)`: normal with variance 2 / ((1 + slope^2) fan_in), which keeps the size of
        the signals ahead of a rectifier of that negative slope, or for slope 1 of a linear readout.

    Example:
        >>> make = seeded_normal(0, "critic")
        >>> keras.layers.Dense(8, kernel_initializer=make(64, 0.2))

    Reference:
        He et al., Delving Deep into Rectifiers, 2015, equations 10 and 15. Keras's own He initialiser takes a
        transposed convolution's fan-in from its outputs, hence ours takes it as an argument.
    """
    made = 0

    def make(fan_in: int, slope: float = 1.0) -> keras.initializers.Initializer:
        nonlocal made
        key = np.random.SeedSequence([seed, *stream.encode(), made]).generate_state(1)[0]
        made += 1
        deviation = math.sqrt(2.0 / ((1.0 + slope**2) * fan_in))
        return keras.initializers.RandomNormal(stddev=deviation, seed=int(key) >> 1)

    return make


def refuse_conditioning(network: keras.Model, conditioning: Any) -> None:
    """Refuse what an unconditioned network would otherwise ignore."""
    if conditioning is not None:
        raise ValueError(
            f"`{type(network).__name__}` is unconditioned: `conditioning` must be None. "
            f"Received: conditioning of type {type(conditioning).__name__}"
        )


def read_task_embedding(network: Any, conditioning: Any) -> Any:
    """Return the code float[embedding_dim] out of `conditioning`, refused with a ValueError unless it is there."""
    code = conditioning.get("task_embedding") if isinstance(conditioning, dict) else None
    if tuple(getattr(code, "shape", ())) != (network.embedding_dim,):
        found = keras.tree.map_structure(lambda leaf: getattr(leaf, "shape", leaf), conditioning)
        raise ValueError(
            f'`{type(network).__name__}` needs `conditioning` to be a dict with "task_embedding" float[{network.embedding_dim}]. '
            f"Received: conditioning of shapes {found}"
        )
    return ops.cast(code, network.compute_dtype)


class Network(keras.Model):
    """A Keras model of one `body`, a stack of layers, that is built when it is made."""

    body: keras.Sequential

    def stack(self, input_shape: tuple[int, ...], layers: Sequence[keras.layers.Layer]) -> None:
        """Make `layers` this network's body, built for `input_shape`, as the last act."""
        # The input layer builds the stack at once, so that the weights exist before the first call.
        inputs = keras.Input(input_shape, dtype=self.compute_dtype)
        self.body = keras.Sequential([inputs, *layers], name="body")
        self.build((None, *input_shape))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Let Keras note `input_shape`, which `export` needs; the weights exist since construction."""

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Return the network that `get_config` described, of this version or an earlier one."""
        return super().from_config(current_names(config), custom_objects)


class Generator(Network):
    """Base of generators: an unconditioned one gives its layers to `stack`, others override `call`.

    Args:
        example_shape: the shape of one example, without the batch axis.
        latent_dim: int >= 1, the size of `z`.
        seed: int >= 0, the seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> class Affine(Generator):
        ...     def __init__(self, **kwargs):
        ...         super().__init__(example_shape=(2,), latent_dim=3, **kwargs)
        ...         self.stack((3,), [keras.layers.Dense(2)])
        >>> Affine()(tf.zeros([5, 3])).shape
        TensorShape([5, 2])
    """

    def __init__(self, example_shape: Sequence[int], latent_dim: int, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.example_shape = check_shape(example_shape)
        self.latent_dim = check_integer(latent_dim, "latent_dim", 1)
        self.seed = check_integer(seed, "seed", 0)

    def call(self, z: Any, conditioning: Any = None, training: bool = False) -> Any:
        """Return examples float[n, *example_shape] of `z` float[n, latent_dim]; no conditioning."""
        refuse_conditioning(self, conditioning)
        return self.body(z, training=training)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        own = {"example_shape": self.example_shape, "latent_dim": self.latent_dim, "seed": self.seed}
        return {**super().get_config(), **own}


class Discriminator(Network):
    """Base of discriminators: an unconditioned one gives its layers to `stack`, others override `call`.

    Args:
        example_shape: the shape of one example, without the batch axis.
        seed: int >= 0, the seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> class Linear(Discriminator):
        ...     def __init__(self, **kwargs):
        ...         super().__init__(example_shape=(2,), **kwargs)
        ...         self.stack((2,), [keras.layers.Dense(1)])
        >>> Linear()(tf.zeros([5, 2])).shape
        TensorShape([5, 1])
    """

    def __init__(self, example_shape: Sequence[int], seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.example_shape = check_shape(example_shape)
        self.seed = check_integer(seed, "seed", 0)

    def call(self, images: Any, conditioning: Any = None, training: bool = False) -> Any:
        """Return logits float[n, 1] of `images` float[n, *example_shape]; no conditioning."""
        refuse_conditioning(self, conditioning)
        return self.body(images, training=training)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "example_shape": self.example_shape, "seed": self.seed}
