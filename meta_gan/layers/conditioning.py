"""Normalisation and modulation layers conditioned on the task embedding.

Both take `x` float[n, ..., channels] and a task embedding, float[d] for all rows or float[n, d] with one for each. No
row depends on another, so that training, adaptation and export compute the same function for any number of images.
Every derivative is right: the variance is mean((x - mean)^2), and no gradient is stopped.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from meta_gan.checks import check_integer, check_number
from meta_gan.renames import current_names
from meta_gan.types import Tensor

_EPSILON = 1e-3  # as in `meta_gan.layers.normalization`
_LIMIT = 6.0  # of a predicted log variance, so that an unusual embedding cannot overflow exp


def _check_shapes(layer: keras.layers.Layer, x_shape: Any, embedding_shape: Any, sizes: tuple[int, int] | None) -> None:
    """Refuse shapes that do not fit each other, or the `sizes` (channels, embedding) that the layer was built for."""
    rows = embedding_shape[0] if len(embedding_shape) == 2 else None
    fits = len(x_shape) >= 2 and len(embedding_shape) in (1, 2) and None not in (x_shape[-1], embedding_shape[-1])
    fits = fits and (rows is None or x_shape[0] is None or rows == x_shape[0])
    if not fits or (sizes is not None and (x_shape[-1], embedding_shape[-1]) != sizes):
        built = "" if sizes is None else f", here {sizes[0]} channels and an embedding of size {sizes[1]}"
        raise ValueError(
            f"the inputs of {type(layer).__name__} must be x [n, ..., channels] and a task embedding [d] or [n, d] of "
            f"known sizes{built}. Received: shapes {tuple(x_shape)} and {tuple(embedding_shape)}"
        )


class _Conditioned(keras.layers.Layer):
    """What both layers share: linear readouts of the embedding, checks, the shape and the configuration."""

    def __init__(self, initial_deviation: float = 0.0, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial_deviation = check_number(initial_deviation, "initial_deviation", least=0)
        self.seed = check_integer(seed, "seed", 0)
        self._sizes: tuple[int, int] | None = None

    def build(self, x_shape: tuple[int | None, ...], embedding_shape: tuple[int | None, ...]) -> None:
        """Check the shapes, x_shape [n, ..., channels] and embedding_shape [d] or [n, d]."""
        _check_shapes(self, x_shape, embedding_shape, None)
        self._sizes = (int(x_shape[-1] or 0), int(embedding_shape[-1] or 0))

    def _add_readout(self, name: str, stream: int, deviation: float) -> tuple[Any, Any]:
        """Make a kernel [d, channels] of seeded normals and a bias [channels] of zeros."""
        channels, size = self._sizes or (0, 0)
        key = int(np.random.SeedSequence([self.seed, stream]).generate_state(1)[0])
        kind = keras.initializers.RandomNormal(stddev=deviation, seed=key >> 1) if deviation else "zeros"
        # `autocast=False`: under a mixed policy Keras would pass the weights in half precision.
        kernel = self.add_weight(name=f"{name}_kernel", shape=(size, channels), initializer=kind, autocast=False)
        return kernel, self.add_weight(name=f"{name}_bias", shape=(channels,), initializer="zeros", autocast=False)

    def _read_out(self, readout: tuple[Any, Any], embedding: Any, rank: int) -> Any:
        """Return embedding @ kernel + bias as float[n or 1, 1, ..., 1, channels] of rank `rank`."""
        kernel, bias = readout
        rows = ops.matmul(ops.reshape(ops.cast(embedding, self.variable_dtype), (-1, kernel.shape[0])), kernel) + bias
        return ops.reshape(rows, (-1, *(1,) * (rank - 2), kernel.shape[1]))

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the layer for the shapes that this version or an earlier one saved."""
        super().build_from_config(current_names(config))

    def compute_output_shape(self, x_shape: Any, embedding_shape: Any) -> tuple[int | None, ...]:
        """Return `x_shape`."""
        return tuple(x_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "initial_deviation": self.initial_deviation, "seed": self.seed}


@keras.saving.register_keras_serializable("meta_gan")
class FiLM(_Conditioned):
    """Scales and shifts each channel by linear maps of the task embedding e: x * (1 + e A + a) + (e B + b).

    With `initial_deviation` 0 all weights start at 0 and the layer as the identity, so that the embedding has no
    gradient before the first update.

    Args:
        initial_deviation: float >= 0, standard deviation of the initial kernels A and B; the biases start at 0.
        seed: int >= 0, the seed of the initial kernels.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Raises:
        ValueError: if an argument is out of range, or the shapes do not fit.

    Example:
        >>> FiLM()(tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.constant([5.0, 6.0, 7.0])).numpy()
        array([[1., 2.],
               [3., 4.]], dtype=float32)

    Reference:
        Perez et al., FiLM: Visual Reasoning with a General Conditioning Layer, 2018.
    """

    def build(self, x_shape: tuple[int | None, ...], embedding_shape: tuple[int | None, ...]) -> None:
        """Make the weights for x_shape [n, ..., channels] and embedding_shape [d] or [n, d]."""
        super().build(x_shape, embedding_shape)
        self.scale = self._add_readout("scale", 0, self.initial_deviation)
        self.offset = self._add_readout("offset", 1, self.initial_deviation)

    def call(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Return float[n, ..., channels] for x of that shape and a task embedding float[d] or float[n, d]."""
        _check_shapes(self, x.shape, embedding.shape, self._sizes)
        scale, offset = (self._read_out(readout, embedding, len(x.shape)) for readout in (self.scale, self.offset))
        return ops.cast(ops.cast(x, self.variable_dtype) * (1 + scale) + offset, self.compute_dtype)


@keras.saving.register_keras_serializable("meta_gan")
class MetaBatchNormalization(_Conditioned):
    """Normalises by moments predicted from the task embedding, blended with each row's own, and applies a `FiLM`.

    With s = sigmoid(blend), a learned share for each channel, the moments of a row are those of a mixture of two
    distributions: the row's own positions (i), and the task's (t), which the task embedding e predicts::

        mean     = s mean_i + (1 - s) mean_t,            mean_t = e M + m
        variance = s variance_i + (1 - s) variance_t     variance_t = exp(6 tanh((e V + v) / 6))
                   + s (1 - s) (mean_i - mean_t)^2

    M, m, V, v start at 0, so that the predicted moments start at 0 and 1. The tanh keeps the predicted variance
    smoothly between exp(-6) and exp(6). For x of rank 2 there are no positions: s is 0 and has no weight.

    Unlike batch normalisation, the layer never uses the batch's moments, which are noise for a few images, and so has
    one behaviour in training, adaptation and export. Unlike TaskNorm, which blends the moments of the support set with
    a row's own, it needs no support images in the forward pass.

    Args:
        epsilon: float > 0, added to the variance.
        blend: float in (0, 1), the initial share of a row's own moments.
        initial_deviation: float >= 0, standard deviation of the initial kernels of scale and offset, see `FiLM`.
        seed: int >= 0, the seed of the initial kernels.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Raises:
        ValueError: if an argument is out of range, or the shapes do not fit.

    Example:
        >>> layer = MetaBatchNormalization(epsilon=1e-12)  # mean .5 * 2 + .5 * 0, variance .5 * 4 + .5 * 1 + .25 * 4
        >>> layer(tf.constant([[[0.0], [4.0]]]), tf.zeros([3])).numpy().ravel().round(3)  # -1 and 3 by sqrt(3.5)
        array([-0.535,  1.604], dtype=float32)

    Reference:
        The blend is ours, after TaskNorm-I: Bronskill et al., TaskNorm: Rethinking Batch Normalization for
        Meta-Learning, 2020. The modulation: Dumoulin et al., A Learned Representation for Artistic Style, 2017.
    """

    def __init__(
        self,
        epsilon: float = _EPSILON,
        blend: float = 0.5,
        initial_deviation: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(initial_deviation, seed, **kwargs)
        self.epsilon = check_number(epsilon, "epsilon", above=0)
        self.blend = check_number(blend, "blend", above=0, below=1)
        # In the variables' dtype, so that the result is rounded to half precision only once, at the end.
        self.film = FiLM(initial_deviation, seed, name="film", dtype=self.variable_dtype)

    def build(self, x_shape: tuple[int | None, ...], embedding_shape: tuple[int | None, ...]) -> None:
        """Make the weights for x_shape [n, ..., channels] and embedding_shape [d] or [n, d]."""
        super().build(x_shape, embedding_shape)
        self.mean = self._add_readout("mean", 0, 0.0)
        self.log_variance = self._add_readout("log_variance", 0, 0.0)
        logit = keras.initializers.Constant(math.log(self.blend / (1 - self.blend)))
        self.share = None
        if len(x_shape) > 2:
            self.share = self.add_weight(name="blend", shape=(x_shape[-1],), initializer=logit, autocast=False)
        self.film.build(x_shape, embedding_shape)

    def call(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Return float[n, ..., channels] for x of that shape and a task embedding float[d] or float[n, d]."""
        _check_shapes(self, x.shape, embedding.shape, self._sizes)
        rank, x = len(x.shape), ops.cast(x, self.variable_dtype)
        mean = self._read_out(self.mean, embedding, rank)
        variance = ops.exp(_LIMIT * ops.tanh(self._read_out(self.log_variance, embedding, rank) / _LIMIT))
        if self.share is not None:
            axes = tuple(range(1, rank - 1))
            own_mean = ops.mean(x, axis=axes, keepdims=True)
            own_variance = ops.mean(ops.square(x - own_mean), axis=axes, keepdims=True)
            share = ops.sigmoid(self.share)
            between = share * (1 - share) * ops.square(own_mean - mean)
            mean = share * own_mean + (1 - share) * mean
            variance = share * own_variance + (1 - share) * variance + between
        normal = (x - mean) * ops.rsqrt(variance + self.epsilon)
        return ops.cast(self.film(normal, ops.cast(embedding, self.variable_dtype)), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "epsilon": self.epsilon, "blend": self.blend}
