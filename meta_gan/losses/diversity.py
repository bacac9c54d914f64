"""Mode seeking: latents that lie apart must give samples that lie apart.

Mao et al., Mode Seeking Generative Adversarial Networks for Diverse Image Synthesis, 2019. The paper maximises the
ratio d(I1, I2) / d(z1, z2); as in the authors' code, its inverse 1 / (ratio + epsilon) is minimised, with mean
absolute differences over the whole batch on both sides of one ratio, not a mean of ratios of rows.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_number
from meta_gan.losses.base import Configured


def _require_one_shape(first_name: str, first: Any, second_name: str, second: Any) -> None:
    """Refuse tensors that would be broadcast against each other."""
    if not first.shape.is_compatible_with(second.shape):
        raise ValueError(
            f"`{first_name}` and `{second_name}` must have equal shapes. "
            f"Received: {first_name}.shape={tuple(first.shape)}, {second_name}.shape={tuple(second.shape)}"
        )


@keras.saving.register_keras_serializable("meta_gan")
@dataclasses.dataclass(frozen=True)
class ModeSeeking(Configured):
    """Punishes a generator that gives two latents one sample; part of the generator's loss.

    Args:
        weight: float >= 0, what it is multiplied by; 1 as in the paper.
        epsilon: float > 0, what bounds it by weight / epsilon; 1e-5 as in the authors' code.

    Raises:
        ValueError: if `weight` is not a finite number >= 0, or `epsilon` not one > 0.

    Example:
        >>> first, second = tf.zeros([4, 2]), 0.5 * tf.ones([4, 2])    # samples .5 apart, latents 1 apart
        >>> round(float(ModeSeeking()(first, second, tf.zeros([4, 3]), tf.ones([4, 3]))), 3)
        2.0

    Reference:
        Mao et al., Mode Seeking Generative Adversarial Networks, 2019, inverted as in the authors' code.
        We depart only in form: d(z) / (d(I) + epsilon d(z)) is the same, and stays finite for equal latents.
    """

    weight: float = 1.0
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_number(self.weight, "weight", least=0)
        check_number(self.epsilon, "epsilon", least=0)
        if self.epsilon == 0:
            raise ValueError(f"`epsilon` must be > 0. Received: epsilon={self.epsilon!r}")

    def __call__(self, first: Any, second: Any, z_first: Any, z_second: Any) -> Any:
        """Return weight / (mean|first - second| / mean|z_first - z_second| + epsilon).

        Args:
            first: float[n, *example], samples of `z_first`.
            second: float[n, *example], samples of `z_second`, alike in all but the latents.
            z_first: float[n, latents].
            z_second: float[n, latents], drawn apart from `z_first`.

        Returns:
            float[], in [0, weight / epsilon], of the dtype of `first`; 0 when the latents are equal.

        Raises:
            ValueError: if the two samples, or the two latents, differ in shape.
        """
        first = tf.convert_to_tensor(first)
        second, z_first, z_second = (tf.convert_to_tensor(t, dtype=first.dtype) for t in (second, z_first, z_second))
        _require_one_shape("first", first, "second", second)
        _require_one_shape("z_first", z_first, "z_second", z_second)
        samples = tf.reduce_mean(tf.abs(first - second))
        latents = tf.reduce_mean(tf.abs(z_first - z_second))
        return self.weight * tf.math.divide_no_nan(latents, samples + self.epsilon * latents)
