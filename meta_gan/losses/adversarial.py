"""Adversarial losses: what each player minimises, as functions of the discriminator's logits.

Every loss has `discriminator(real_logits, fake_logits)` and `generator(fake_logits)`, both means over all
logits, so logits may be [n] or [n, 1], and real and fake batches may differ in size. Weights and penalties
are the caller's. The discriminator's loss is the sum (not the half-sum) of its real and its fake term, as in
each paper; only `LeastSquares` carries the factor one half, which is in its paper's equation. The loss whose
generator needs the real logits too is in `relativistic.py`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import keras
import tensorflow as tf

from meta_gan.losses.base import Configured


class AdversarialLoss(Configured):
    """What all adversarial losses share.

    Attributes:
        relativistic: whether `generator` needs the real logits too, as `generator(fake_logits, real_logits)`, so
            that a game knows what to hand over. It is of the class and no field of the configuration.
    """

    relativistic: ClassVar[bool] = False


@keras.saving.register_keras_serializable("meta_gan")
@dataclasses.dataclass(frozen=True)
class NonSaturating(AdversarialLoss):
    """The original loss with the non-saturating generator, stable for logits of any size.

    Example:
        >>> float(NonSaturating().generator(tf.constant([0.0])))  # log 2
        0.6931471824645996

    Reference:
        Goodfellow et al., Generative Adversarial Nets, 2014, section 3. We depart only in form: softplus(-l)
        stands for -log(sigmoid(l)), which overflows.
    """

    def discriminator(self, real_logits: Any, fake_logits: Any) -> Any:
        """Return E softplus(-real) + E softplus(fake).

        Args:
            real_logits: float[n] or [n, 1], logits of real examples.
            fake_logits: float[m] or [m, 1], logits of generated examples.

        Returns:
            float[], >= 0; 2 log 2 when all logits are 0.
        """
        real, fake = tf.convert_to_tensor(real_logits), tf.convert_to_tensor(fake_logits)
        return tf.reduce_mean(tf.math.softplus(-real)) + tf.reduce_mean(tf.math.softplus(fake))

    def generator(self, fake_logits: Any) -> Any:
        """Return E softplus(-fake), float[] >= 0, for `fake_logits` float[m] or [m, 1]."""
        return tf.reduce_mean(tf.math.softplus(-tf.convert_to_tensor(fake_logits)))


@keras.saving.register_keras_serializable("meta_gan")
@dataclasses.dataclass(frozen=True)
class Hinge(AdversarialLoss):
    """The hinge loss: the discriminator stops caring once an example is beyond the margin of 1.

    Example:
        >>> float(Hinge().discriminator(tf.constant([0.5]), tf.constant([-2.0])))
        0.5

    Reference:
        Lim and Ye, Geometric GAN, 2017, equations 6 and 7; Miyato et al., Spectral Normalization, 2018,
        equation 16.
    """

    def discriminator(self, real_logits: Any, fake_logits: Any) -> Any:
        """Return E max(0, 1 - real) + E max(0, 1 + fake).

        Args:
            real_logits: float[n] or [n, 1], logits of real examples.
            fake_logits: float[m] or [m, 1], logits of generated examples.

        Returns:
            float[], >= 0; 2 when all logits are 0.
        """
        real, fake = tf.convert_to_tensor(real_logits), tf.convert_to_tensor(fake_logits)
        return tf.reduce_mean(tf.nn.relu(1.0 - real)) + tf.reduce_mean(tf.nn.relu(1.0 + fake))

    def generator(self, fake_logits: Any) -> Any:
        """Return -E fake, float[], for `fake_logits` float[m] or [m, 1]."""
        return -tf.reduce_mean(fake_logits)


@keras.saving.register_keras_serializable("meta_gan")
@dataclasses.dataclass(frozen=True)
class LeastSquares(AdversarialLoss):
    """The least-squares loss with targets 1 for real and 0 for generated examples.

    Example:
        >>> float(LeastSquares().discriminator(tf.constant([0.0]), tf.constant([0.0])))
        0.5

    Reference:
        Mao et al., Least Squares Generative Adversarial Networks, 2017, equation 9 (a=0, b=c=1, with its
        halves).
    """

    def discriminator(self, real_logits: Any, fake_logits: Any) -> Any:
        """Return E (real - 1)^2 / 2 + E fake^2 / 2.

        Args:
            real_logits: float[n] or [n, 1], logits of real examples.
            fake_logits: float[m] or [m, 1], logits of generated examples.

        Returns:
            float[], >= 0; 0 when real logits are 1 and fake logits are 0.
        """
        real, fake = tf.convert_to_tensor(real_logits), tf.convert_to_tensor(fake_logits)
        return 0.5 * tf.reduce_mean(tf.square(real - 1.0)) + 0.5 * tf.reduce_mean(tf.square(fake))

    def generator(self, fake_logits: Any) -> Any:
        """Return E (fake - 1)^2 / 2, float[] >= 0, for `fake_logits` float[m] or [m, 1]."""
        return 0.5 * tf.reduce_mean(tf.square(tf.convert_to_tensor(fake_logits) - 1.0))


@keras.saving.register_keras_serializable("meta_gan")
@dataclasses.dataclass(frozen=True)
class Wasserstein(AdversarialLoss):
    """The Wasserstein critic's loss; it needs a Lipschitz critic, so combine it with `GradientPenalty`.

    Example:
        >>> float(Wasserstein().discriminator(tf.constant([3.0]), tf.constant([1.0])))
        -2.0

    Reference:
        Arjovsky et al., Wasserstein GAN, 2017, equations 2 and 3. We depart in that no weight is clipped
        here.
    """

    def discriminator(self, real_logits: Any, fake_logits: Any) -> Any:
        """Return E fake - E real.

        Args:
            real_logits: float[n] or [n, 1], scores of real examples.
            fake_logits: float[m] or [m, 1], scores of generated examples.

        Returns:
            float[], unbounded; minus the critic's estimate of the distance.
        """
        return tf.reduce_mean(fake_logits) - tf.reduce_mean(real_logits)

    def generator(self, fake_logits: Any) -> Any:
        """Return -E fake, float[], for `fake_logits` float[m] or [m, 1]."""
        return -tf.reduce_mean(fake_logits)
