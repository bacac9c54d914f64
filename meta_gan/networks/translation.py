"""Translators: networks from an image of one domain to one of another.

The frame is that of Johnson et al. and of CycleGAN (Zhu et al., 2017): convolutions down, residual blocks, convolutions
up, instance normalisation, tanh out. We depart in what few images and an inner loop ask for:

- At most two halvings, skip connections as in a U-Net (Ronneberger et al., 2015), and no normalisation at full size, so
  that strokes of small drawings survive.
- The image is a correction of what came in, on the scale of the inverse of tanh: a fresh translator all but keeps its
  input, which is where an adaptation of a few steps should start from.
- With a code of the target's support set the normalisation is `MetaBatchNormalization`: one network for all domains.
- Upsampling repeats pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from meta_gan import layers
from meta_gan.checks import check_integer, check_shape
from meta_gan.networks.base import Network, read_task_embedding, refuse_conditioning, seeded_normal
from meta_gan.networks.dcgan import count_levels

_MOST_LEVELS = 2
_SLOPE = 0.2
# A fresh translator's correction of its input, in deviations of He et al.'s start.
_FIRST = 0.1
# As in `networks.sagan`: the readouts of the code, and the share of an image's own moments.
_DEVIATION, _BLEND = 0.02, 0.9
# What is brighter than this counts as this before the inverse of tanh, which is infinite at 1; tanh^-1(.95) = 1.83.
_BRIGHTEST = 0.95


@keras.saving.register_keras_serializable("meta_gan")
class Translator(Network):
    """Down to a quarter, residual blocks, and up again, with skips; the result corrects the input.

    Args:
        example_shape: (height, width, channels) of both domains, see `networks.dcgan.count_levels`.
        width: int >= 1, channels at full size; they double with each halving.
        blocks: int >= 0, residual blocks at the smallest size.
        embedding_dim: int >= 0, the size of the target's code; with 0 the translator is unconditioned.
        seed: int >= 0, the seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range; in a call, if there is no code [embedding_dim], or a conditioning where
            `embedding_dim` is 0.

    Example:
        >>> Translator((28, 28, 1), width=8)(tf.zeros([5, 28, 28, 1])).shape
        TensorShape([5, 28, 28, 1])
    """

    def __init__(
        self,
        example_shape: Sequence[int],
        width: int = 16,
        blocks: int = 2,
        embedding_dim: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.example_shape = check_shape(example_shape)
        self.width, self.blocks = check_integer(width, "width", 1), check_integer(blocks, "blocks", 0)
        self.embedding_dim, self.seed = check_integer(embedding_dim, "embedding_dim", 0), check_integer(seed, "seed", 0)
        self.levels = min(_MOST_LEVELS, count_levels(self.example_shape))
        self._make(seeded_normal(self.seed, "Translator"))
        self.build((None, *self.example_shape))

    def _make(self, normal: Callable[..., Any]) -> None:
        """Make the layers; a convolution whose normalisation would subtract its bias has none."""
        channels, levels = self.example_shape[2], range(self.levels)
        sizes = [self.width * 2**level for level in range(self.levels + 1)]

        def convolution(name: str, inputs: int, filters: int, size: int, stride: int = 1, bias: bool = False) -> Any:
            layer = keras.layers.Conv2D(
                filters,
                size,
                strides=stride,
                padding="same",
                data_format="channels_last",
                use_bias=bias,
                kernel_initializer=normal(size * size * inputs, _SLOPE),
                name=name,
                dtype=self.dtype_policy,
            )
            layer.build((None, None, None, inputs))
            return layer

        last = sizes[-1]
        self.enter = convolution("enter", channels, sizes[0], 5, bias=True)
        self.down = [convolution(f"down_{i}", sizes[i], sizes[i + 1], 4, 2) for i in levels]
        self.first = [convolution(f"block_{i}_first", last, last, 3) for i in range(self.blocks)]
        self.second = [convolution(f"block_{i}_second", last, last, 3, bias=True) for i in range(self.blocks)]
        self.up = [convolution(f"up_{i}", sizes[i + 1] + sizes[i], sizes[i], 3, bias=not i) for i in levels]
        self.leave = convolution("leave", sizes[0], channels, 5, bias=True)
        self.leave.kernel.assign(_FIRST * self.leave.kernel)
        self.doubled = layers.UpsampleNearest(2, name="double", dtype=self.dtype_policy)
        normalized = [(f"down_{i}", sizes[i + 1]) for i in levels] + [(f"block_{i}", last) for i in range(self.blocks)]
        normalized += [(f"up_{i}", sizes[i]) for i in levels if i]
        self.norms = {name: self._normalization(size, name, normal(1).seed) for name, size in normalized}

    def _normalization(self, channels: int, name: str, seed: int) -> keras.layers.Layer:
        options = {"name": f"norm_{name}", "dtype": self.dtype_policy}
        if not self.embedding_dim:
            norm = layers.InstanceNormalization(**options)
            norm.build((None, None, None, channels))
            return norm
        norm = layers.MetaBatchNormalization(blend=_BLEND, initial_deviation=_DEVIATION, seed=seed, **options)
        norm.build((None, None, None, channels), (self.embedding_dim,))
        return norm

    def _normalized(self, x: Any, name: str, code: Any) -> Any:
        return self.norms[name](x) if code is None else self.norms[name](x, code)

    def call(self, images: Any, conditioning: Any = None, training: bool = False) -> Any:
        """Return images float[n, *example_shape] of the other domain, in [-1, 1], for `images` of the one."""
        if not self.embedding_dim:
            refuse_conditioning(self, conditioning)
        code = read_task_embedding(self, conditioning) if self.embedding_dim else None
        images = ops.cast(images, self.compute_dtype)
        x = ops.leaky_relu(self.enter(images), _SLOPE)
        skips = []
        for i, layer in enumerate(self.down):
            skips.append(x)
            x = ops.leaky_relu(self._normalized(layer(x), f"down_{i}", code), _SLOPE)
        for i, (first, second) in enumerate(zip(self.first, self.second, strict=True)):
            x = x + second(ops.leaky_relu(self._normalized(first(x), f"block_{i}", code), _SLOPE))
        for i in reversed(range(self.levels)):
            x = self.up[i](ops.concatenate([self.doubled(x), skips[i]], axis=-1))
            x = ops.leaky_relu(self._normalized(x, f"up_{i}", code) if i else x, _SLOPE)
        start = ops.arctanh(ops.clip(images, -_BRIGHTEST, _BRIGHTEST))
        return ops.tanh(start + self.leave(x))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        own = {name: getattr(self, name) for name in ("example_shape", "width", "blocks", "embedding_dim", "seed")}
        return {**super().get_config(), **own}
