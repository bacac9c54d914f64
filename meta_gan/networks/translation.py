"""Translators: networks from an image of one domain to an image of another.

The structure is that of Johnson et al. and of CycleGAN (Zhu et al., 2017): convolutions down, residual blocks,
convolutions up, instance normalisation, tanh at the output. The departures serve few images and an inner loop:

- At most two halvings, skip connections as in a U-Net (Ronneberger et al., 2015), and no normalisation at full size, so
  that the strokes of small drawings survive.
- The output is a correction of the input, on the scale of the inverse of tanh: a translator starts close to the
  identity, from where an adaptation of a few steps should start.
- With the task embedding of the target's support set the normalisation is `MetaBatchNormalization`: one network for
  all domains.
- Upsampling repeats pixels.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from meta_gan import layers
from meta_gan.checks import check_integer
from meta_gan.layers.portable import atanh
from meta_gan.networks.base import LayerFactory, Network, Shape, leaky_relu
from meta_gan.networks.convolutional import count_levels
from meta_gan.types import Tensor

_MOST_LEVELS = 2
# The scale of the last kernel, which makes the correction.
_FIRST = 0.1
# As in `networks.self_attention`: the readouts of the task embedding, and the share of an image's own moments.
_DEVIATION, _BLEND = 0.02, 0.9
# Inputs are clipped to this ahead of the inverse of tanh, which is infinite at 1; tanh^-1(.95) = 1.83.
_BRIGHTEST = 0.95


@keras.saving.register_keras_serializable("meta_gan")
class Translator(Network):
    """Down to a quarter, residual blocks, and up again, with skip connections; the result corrects the input.

    Args:
        example_shape: (height, width, channels) of both domains, see `networks.convolutional.count_levels`.
        width: int >= 1, channels at full size; they double with each halving.
        blocks: int >= 0, residual blocks at the smallest size.
        embedding_dim: int >= 0, size of the target's task embedding; with 0 the translator is unconditioned.
        seed: int >= 0, seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range, or in a call, if the conditioning does not fit.

    Example:
        >>> Translator((28, 28, 1), width=8)(tf.zeros([5, 28, 28, 1])).shape
        TensorShape([5, 28, 28, 1])
    """

    def __init__(
        self,
        example_shape: Shape,
        width: int = 16,
        blocks: int = 2,
        embedding_dim: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, seed, width, embedding_dim, **kwargs)
        self.blocks = check_integer(blocks, "blocks", 0)
        self.levels = min(_MOST_LEVELS, count_levels(self.example_shape))
        self._make(LayerFactory(self.seed, "Translator", self.dtype_policy))
        self.build((None, *self.example_shape))

    def _make(self, make: LayerFactory) -> None:
        """Make the layers; a convolution whose normalisation would subtract its bias has none."""
        channels, levels, blocks = self.example_shape[2], range(self.levels), range(self.blocks)
        sizes = [self.width * 2**level for level in range(self.levels + 1)]
        last, convolution = sizes[-1], make.convolution
        self.enter = convolution(channels, sizes[0], 5, "enter")
        self.down = [convolution(sizes[i], sizes[i + 1], 4, f"down_{i}", 2, use_bias=False) for i in levels]
        self.first = [convolution(last, last, 3, f"block_{i}_first", use_bias=False) for i in blocks]
        self.second = [convolution(last, last, 3, f"block_{i}_second") for i in blocks]
        self.up = [convolution(sizes[i + 1] + sizes[i], sizes[i], 3, f"up_{i}", use_bias=not i) for i in levels]
        self.leave = convolution(sizes[0], channels, 5, "leave")
        self.leave.kernel.assign(_FIRST * self.leave.kernel)
        self.doubled = layers.UpsampleNearest(2, name="double", dtype=self.dtype_policy)
        normalized = [(f"down_{i}", sizes[i + 1]) for i in levels] + [(f"block_{i}", last) for i in blocks]
        normalized += [(f"up_{i}", sizes[i]) for i in levels if i]
        self.norms = {name: self._normalization(size, name, make.draw(1, 1.0).seed) for name, size in normalized}

    def _normalization(self, channels: int, name: str, seed: int) -> keras.layers.Layer:
        options = {"name": f"norm_{name}", "dtype": self.dtype_policy}
        if not self.embedding_dim:
            norm = layers.InstanceNormalization(**options)
            norm.build((None, None, None, channels))
            return norm
        norm = layers.MetaBatchNormalization(blend=_BLEND, initial_deviation=_DEVIATION, seed=seed, **options)
        norm.build((None, None, None, channels), (self.embedding_dim,))
        return norm

    def call(self, images: Tensor, conditioning: Any = None, training: bool = False) -> Tensor:
        """Return images float[n, *example_shape] of the other domain, in [-1, 1], for `images` of the first."""
        _, embedding = self.read_conditioning(conditioning)
        given = () if embedding is None else (embedding,)
        images = ops.cast(images, self.compute_dtype)
        x = leaky_relu(self.enter(images))
        skips = []
        for i, layer in enumerate(self.down):
            skips.append(x)
            x = leaky_relu(self.norms[f"down_{i}"](layer(x), *given))
        for i, (first, second) in enumerate(zip(self.first, self.second, strict=True)):
            x = x + second(leaky_relu(self.norms[f"block_{i}"](first(x), *given)))
        for i in reversed(range(self.levels)):
            x = self.up[i](ops.concatenate([self.doubled(x), skips[i]], axis=-1))
            x = leaky_relu(self.norms[f"up_{i}"](x, *given) if i else x)
        start = atanh(ops.clip(images, -_BRIGHTEST, _BRIGHTEST))
        return ops.tanh(start + self.leave(x))
