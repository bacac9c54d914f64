"""Mode seeking: a loss term for samples that differ as their latents differ."""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf

from meta_gan.checks import check_number
from meta_gan.losses.base import Configured, check_same_shape
from meta_gan.types import Tensor


@keras.saving.register_keras_serializable("meta_gan")
@dataclasses.dataclass(frozen=True)
class ModeSeeking(Configured):
    """Penalise a generator that maps two latents to similar samples; a term of the generator's loss.

    Args:
        weight: float >= 0; 1 as in the paper.
        epsilon: float > 0, which bounds the term by weight / epsilon; 1e-5 as in the authors' code.

    Raises:
        ValueError: if `weight` is not a finite number >= 0, or `epsilon` not one > 0.

    Example:
        >>> first, second = tf.zeros([4, 2]), 0.5 * tf.ones([4, 2])    # samples .5 apart, latents 1 apart
        >>> round(float(ModeSeeking()(first, second, tf.zeros([4, 3]), tf.ones([4, 3]))), 3)
        2.0

    Reference:
        Mao et al., Mode Seeking Generative Adversarial Networks for Diverse Image Synthesis, 2019. The paper maximises
        the ratio d(I1, I2) / d(z1, z2); as in the authors' code, 1 / (ratio + epsilon) is minimised, with one ratio of
        mean absolute differences over the whole batch. We depart only in form: d(z) / (d(I) + epsilon d(z)) is the
        same, and is finite for equal latents.
    """

    weight: float = 1.0
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_number(self.weight, "weight", least=0)
        check_number(self.epsilon, "epsilon", above=0)

    def __call__(self, first: Tensor, second: Tensor, z_first: Tensor, z_second: Tensor) -> Tensor:
        """Return weight / (mean|first - second| / mean|z_first - z_second| + epsilon).

        Args:
            first: float[n, *example], samples of `z_first`.
            second: float[n, *example], samples of `z_second`, which differ in nothing but the latents.
            z_first: float[n, latents].
            z_second: float[n, latents], drawn independently of `z_first`.

        Returns:
            float[], in [0, weight / epsilon], of the dtype of `first`; 0 when the latents are equal.

        Raises:
            ValueError: if the two samples, or the two latents, differ in shape.
        """
        first = tf.convert_to_tensor(first)
        second, z_first, z_second = (tf.convert_to_tensor(t, dtype=first.dtype) for t in (second, z_first, z_second))
        check_same_shape(first, second, "'first' and 'second'", at_run_time=False)
        check_same_shape(z_first, z_second, "'z_first' and 'z_second'", at_run_time=False)
        samples = tf.reduce_mean(tf.abs(first - second))
        latents = tf.reduce_mean(tf.abs(z_first - z_second))
        return self.weight * tf.math.divide_no_nan(latents, samples + self.epsilon * latents)
