"""The contract of generators and discriminators, and the base classes of this package's networks.

Any Keras model may be a player of a game if it keeps this contract:

- Its weights exist after construction and depend on its arguments alone (`seed` among them).
- `call` is a function of its arguments and weights: no Python side effects, no draw from a hidden random state.
- A generator maps `z` float[n, latent_dim] to examples float[n, *example_shape], in [-1, 1] for images. It has the
  attributes `latent_dim` and `example_shape`.
- A discriminator maps examples float[n, *example_shape] to unbounded logits float[n, 1], each computed from its own
  example alone. It has the attribute `example_shape`.
- Both accept `conditioning` (None, or the tree that the game made of the support set) and `training`. A network that
  cannot use a conditioning raises ValueError, because ignoring it would hide a bug.
- Its layers pass `meta_gan.layers.check_differentiable`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import ops

from meta_gan.checks import check_integer, check_shape
from meta_gan.layers.portable import exporting
from meta_gan.renames import current_names
from meta_gan.types import Tensor

Shape = Sequence[int]
"""The shape of one example, without the batch axis."""
SLOPE = 0.2
"""The negative slope of the leaky rectifiers."""


def leaky_relu(x: Tensor) -> Tensor:
    """Return the leaky rectifier of slope .2."""
    return ops.leaky_relu(x, SLOPE)


def channels_at(width: int, level: int) -> int:
    """Return the channels at `level` halvings below full size: doubled at each, up to 4 * width."""
    return width * min(2**level, 4)


def seeded_normal(seed: int, stream: str) -> Callable[..., keras.initializers.Initializer]:
    """Return a factory of kernel initializers, each with its own seed.

    The seeds are a function of `seed`, `stream` and the number of initializers made before, not of any global state.

    Args:
        seed: int >= 0, the network's seed.
        stream: separates networks of the same seed, such as a class name.

    Returns:
        `make(fan_in, slope=1.0)`: a normal initializer of variance 2 / ((1 + slope^2) fan_in), which keeps the scale
        of the signals ahead of a rectifier of that negative slope, or with slope 1 of a linear readout.

    Example:
        >>> make = seeded_normal(0, "critic")
        >>> keras.layers.Dense(8, kernel_initializer=make(64, 0.2))

    Reference:
        He et al., Delving Deep into Rectifiers, 2015, equations 10 and 15. The fan-in is an argument because Keras's
        He initializer takes a transposed convolution's fan-in from its outputs.
    """
    made = 0

    def make(fan_in: float, slope: float = 1.0) -> keras.initializers.Initializer:
        nonlocal made
        key = np.random.SeedSequence([seed, *stream.encode(), made]).generate_state(1)[0]
        made += 1
        deviation = math.sqrt(2.0 / ((1.0 + slope**2) * fan_in))
        return keras.initializers.RandomNormal(stddev=deviation, seed=int(key) >> 1)

    return make


class LayerFactory:
    """Make the dense and convolutional layers of a network, of one dtype and with kernels drawn from one seed.

    Args:
        seed: int >= 0, the network's seed.
        stream: separates networks of the same seed, see `seeded_normal`.
        dtype: the layers' dtype policy.
        scale: float > 0, multiplies the standard deviation of the kernels; small for readouts that start near 0.
        build: whether the layers are built at once; False for layers of a `keras.Sequential`, which builds them.

    Example:
        >>> make = LayerFactory(0, "critic", "float32")
        >>> make.dense(64, 8, "hidden").kernel.shape
        (64, 8)
    """

    kinds: Mapping[int, type[keras.layers.Layer]] = MappingProxyType(
        {0: keras.layers.Dense, 1: keras.layers.Conv1D, 2: keras.layers.Conv2D}
    )

    def __init__(self, seed: int, stream: str, dtype: Any, scale: float = 1.0, build: bool = True) -> None:
        self.dtype, self.scale, self.build, self._normal = dtype, scale, build, seeded_normal(seed, stream)

    def draw(self, fan_in: int, slope: float = SLOPE) -> keras.initializers.Initializer:
        """Return the next initializer, for signals ahead of a rectifier of negative slope `slope`; 1 for a readout."""
        return self._normal(fan_in / self.scale**2, slope)

    def dense(self, inputs: int, units: int, name: str, slope: float = SLOPE, **options: Any) -> keras.layers.Layer:
        """Return a dense layer from `inputs` to `units`; see `draw` for `slope`."""
        return self._layer(0, units, (), inputs, inputs, slope, {"name": name, **options})

    def convolution(
        self,
        inputs: int,
        filters: int,
        size: int,
        name: str,
        strides: int = 1,
        slope: float = SLOPE,
        rank: int = 2,
        **options: Any,
    ) -> keras.layers.Layer:
        """Return a convolution with padding over `rank` axes from `inputs` to `filters` channels; see `draw`."""
        options = {"strides": strides, "padding": "same", "data_format": "channels_last", "name": name, **options}
        return self._layer(rank, filters, (size,), size**rank * inputs, inputs, slope, options)

    def _layer(
        self, rank: int, outputs: int, size: tuple[int, ...], fan_in: int, inputs: int, slope: float, options: Any
    ) -> keras.layers.Layer:
        kernel = self.draw(fan_in, slope)
        layer = self.kinds[rank](outputs, *size, kernel_initializer=kernel, dtype=self.dtype, **options)
        if self.build:
            layer.build((None,) * (rank + 1) + (inputs,))
        return layer


def of_policy(model: keras.Model, policy: Any) -> keras.Model:
    """Return a Sequential or functional model after setting its dtype policy, which Keras takes from its global one."""
    model.dtype_policy = policy
    return model


class Network(keras.Model):
    """Base of networks that are built on construction, and whose configuration is their constructor's arguments.

    A subclass keeps each argument in an attribute of the same name, or says in `attribute_names` which one.

    Args:
        example_shape: shape of one example, without the batch axis.
        seed: int >= 0, seed of the initial weights.
        width: int >= 1, for networks that have one.
        embedding_dim: int >= 0, size of the task embedding that it is conditioned on; 0 for none.
        **kwargs: `name`, `dtype` (float32 by default) and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range.
    """

    body: keras.Model
    width: int
    sees_support = False
    attribute_names: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self, example_shape: Shape, seed: int = 0, width: int | None = None, embedding_dim: int = 0, **kwargs: Any
    ) -> None:
        # By default float32, whatever Keras's global policy: a saved network must be the same in every process.
        super().__init__(**{**kwargs, "dtype": kwargs.get("dtype") or "float32"})
        self.example_shape = check_shape(example_shape)
        self.seed, self.embedding_dim = check_integer(seed, "seed", 0), check_integer(embedding_dim, "embedding_dim", 0)
        if width is not None:
            self.width = check_integer(width, "width", 1)

    def stack(self, input_shape: tuple[int, ...], layers: Sequence[keras.layers.Layer]) -> None:
        """Make `layers` this network's `body`, built for `input_shape`; the last step of a constructor."""
        # The input layer builds the stack at once, so that the weights exist before the first call.
        inputs = keras.Input(input_shape, dtype=self.compute_dtype)
        self.body = of_policy(keras.Sequential([inputs, *layers], name="body"), self.dtype_policy)
        self.build((None, *input_shape))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Record `input_shape`, which `export` needs, as Keras does; the weights exist already."""
        self._input_shape = tuple(input_shape)

    def export(self, filepath: Any, format: str = "tf_saved_model", **kwargs: Any) -> None:
        """Export as `keras.Model.export` does; a network that was just loaded, too.

        Raises:
            ValueError: the network is conditioned; `AdaptedModel.generator` holds its conditioning and can be exported.
        """
        if self.sees_support or self.embedding_dim:
            raise ValueError(
                f"a conditioned network must be exported with its conditioning, by adapt(support).generator or "
                f"meta_gan.layers.ConditionedGenerator. Received: {type(self).__name__}"
            )
        with exporting(self, self._input_shape, format):
            super().export(filepath, format=format, **kwargs)

    def read_conditioning(self, conditioning: Any) -> tuple[Tensor | None, Tensor | None]:
        """Return what this network is conditioned on.

        Args:
            conditioning: None, or a dict with `support` float[k, *example_shape] where the network `sees_support`, and
                `task_embedding` float[embedding_dim] where its `embedding_dim` is positive. Other entries are ignored.

        Returns:
            `(support, task_embedding)` in the compute dtype; None for each that the network does not use.

        Raises:
            ValueError: if an entry is missing or the task embedding has another shape; in an unconditioned network, if
                `conditioning` is not None.
        """
        name, needed = type(self).__name__, []
        if self.sees_support:
            needed.append("'support'")
        if self.embedding_dim:
            needed.append(f"'task_embedding' of shape ({self.embedding_dim},)")
        if not needed:
            if conditioning is not None:
                raise ValueError(
                    f"'conditioning' must be None: {name} is unconditioned. Received: {type(conditioning).__name__}"
                )
            return None, None
        entries = conditioning if isinstance(conditioning, dict) else {}
        support = entries.get("support") if self.sees_support else None
        embedding = entries.get("task_embedding") if self.embedding_dim else None
        missing = self.sees_support and support is None
        if missing or (self.embedding_dim and tuple(getattr(embedding, "shape", ())) != (self.embedding_dim,)):
            shapes = keras.tree.map_structure(lambda value: getattr(value, "shape", value), conditioning)
            raise ValueError(
                f"'conditioning' of {name} must be a dict with {' and '.join(needed)}. Received: shapes {shapes}"
            )
        support, embedding = (x if x is None else ops.cast(x, self.compute_dtype) for x in (support, embedding))
        return support, embedding

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        names = [name for name in inspect.signature(type(self).__init__).parameters if name not in ("self", "kwargs")]
        own = {name: getattr(self, self.attribute_names.get(name, name)) for name in names}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Return the network that `get_config` described, in this version or an earlier one."""
        return super().from_config(current_names(config), custom_objects)


class Generator(Network):
    """Base of generators. An unconditioned one passes its layers to `stack`; others override `call`.

    Args:
        latent_dim: int >= 1, size of `z`.
        example_shape, seed, **kwargs: see `Network`.

    Example:
        >>> class Affine(Generator):
        ...     def __init__(self, **kwargs):
        ...         super().__init__(example_shape=(2,), latent_dim=3, **kwargs)
        ...         self.stack((3,), [keras.layers.Dense(2)])
        >>> Affine()(tf.zeros([5, 3])).shape
        TensorShape([5, 2])
    """

    sampling: tuple[str, ...] = ()
    """The names of the arguments that change samples and nothing in training, such as a temperature."""

    def __init__(self, example_shape: Shape, latent_dim: int, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(example_shape, seed, **kwargs)
        self.latent_dim = check_integer(latent_dim, "latent_dim", 1)

    def change_sampling(self, settings: Mapping[str, Any]) -> None:
        """Change arguments of `sampling`, before the first call of a model that holds the generator.

        Args:
            settings: `{name: value}`.

        Raises:
            ValueError: an unknown name or a value out of range; the generator is then unchanged.
        """
        if unknown := sorted(set(settings) - set(self.sampling)):
            raise ValueError(
                f"'sampling' of a {type(self).__name__} must be settings of {list(self.sampling)}. Received: {unknown}"
            )
        # A generator with these arguments checks them.
        changed = type(self).from_config({**self.get_config(), **settings})
        for name in settings:
            setattr(self, name, getattr(changed, name))

    def call(self, z: Tensor, conditioning: Any = None, training: bool = False) -> Tensor:
        """Return examples float[n, *example_shape] of `z` float[n, latent_dim], without conditioning."""
        self.read_conditioning(conditioning)
        return self.body(z, training=training)


class Discriminator(Network):
    """Base of discriminators. An unconditioned one passes its layers to `stack`; others override `call`.

    Args:
        example_shape, seed, **kwargs: see `Network`.

    Example:
        >>> class Linear(Discriminator):
        ...     def __init__(self, **kwargs):
        ...         super().__init__(example_shape=(2,), **kwargs)
        ...         self.stack((2,), [keras.layers.Dense(1)])
        >>> Linear()(tf.zeros([5, 2])).shape
        TensorShape([5, 1])
    """

    def call(self, images: Tensor, conditioning: Any = None, training: bool = False) -> Tensor:
        """Return logits float[n, 1] of `images` float[n, *example_shape], without conditioning."""
        self.read_conditioning(conditioning)
        return self.body(images, training=training)


class Encoder(Network):
    """Base of a variational autoencoder's encoders of single examples; a subclass passes its layers to `stack`.

    Args:
        latent_dim: int >= 1, size of z; the last layer has `2 * latent_dim` units.
        example_shape, seed, **kwargs: see `Network`.
    """

    def __init__(self, example_shape: Shape, latent_dim: int, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(example_shape, seed, **kwargs)
        self.latent_dim = check_integer(latent_dim, "latent_dim", 1)

    def call(self, examples: Tensor, training: bool = False) -> Tensor:
        """Return float[n, 2 latent_dim], means and log variances of z, of `examples` float[n, *example_shape]."""
        return self.body(examples, training=training)
