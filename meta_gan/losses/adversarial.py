"""Adversarial losses of the discriminator and the generator, as functions of logits.

The discriminator's loss is the sum (not the half-sum) of its real and its fake term, as in each paper; only
`LeastSquares` carries the factor one half, which is in its paper's equation.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import keras
import tensorflow as tf

from meta_gan.losses.base import AdversarialLoss
from meta_gan.types import Tensor


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

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return E softplus(-real) + E softplus(fake), >= 0; 2 log 2 when all logits are 0."""
        real, fake = tf.convert_to_tensor(real_logits), tf.convert_to_tensor(fake_logits)
        return tf.reduce_mean(tf.math.softplus(-real)) + tf.reduce_mean(tf.math.softplus(fake))

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Return E softplus(-fake), >= 0."""
        return tf.reduce_mean(tf.math.softplus(-tf.convert_to_tensor(fake_logits)))


@keras.saving.register_keras_serializable("meta_gan")
@dataclasses.dataclass(frozen=True)
class Hinge(AdversarialLoss):
    """The hinge loss: an example beyond the margin of 1 no longer changes the discriminator.

    Example:
        >>> float(Hinge().discriminator(tf.constant([0.5]), tf.constant([-2.0])))
        0.5

    Reference:
        Lim and Ye, Geometric GAN, 2017, equations 6 and 7; Miyato et al., Spectral Normalization, 2018,
        equation 16.
    """

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return E max(0, 1 - real) + E max(0, 1 + fake), >= 0; 2 when all logits are 0."""
        real, fake = tf.convert_to_tensor(real_logits), tf.convert_to_tensor(fake_logits)
        return tf.reduce_mean(tf.nn.relu(1.0 - real)) + tf.reduce_mean(tf.nn.relu(1.0 + fake))

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Return -E fake, unbounded."""
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

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return E (real - 1)^2 / 2 + E fake^2 / 2, >= 0; 0 when real logits are 1 and fake logits are 0."""
        real, fake = tf.convert_to_tensor(real_logits), tf.convert_to_tensor(fake_logits)
        return 0.5 * tf.reduce_mean(tf.square(real - 1.0)) + 0.5 * tf.reduce_mean(tf.square(fake))

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Return E (fake - 1)^2 / 2, >= 0."""
        return 0.5 * tf.reduce_mean(tf.square(tf.convert_to_tensor(fake_logits) - 1.0))


@keras.saving.register_keras_serializable("meta_gan")
@dataclasses.dataclass(frozen=True)
class Wasserstein(AdversarialLoss):
    """The Wasserstein critic's loss; it needs a Lipschitz critic, so combine it with `GradientPenalty`.

    Example:
        >>> float(Wasserstein().discriminator(tf.constant([3.0]), tf.constant([1.0])))
        -2.0

    Reference:
        Arjovsky et al., Wasserstein GAN, 2017, equations 2 and 3. We depart in that no weight is clipped here.
    """

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return E fake - E real, unbounded: minus the critic's estimate of the distance."""
        return tf.reduce_mean(fake_logits) - tf.reduce_mean(real_logits)

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Return -E fake, unbounded."""
        return -tf.reduce_mean(fake_logits)


@keras.saving.register_keras_serializable("meta_gan")
@dataclasses.dataclass(frozen=True)
class RelativisticAverage(AdversarialLoss):
    """The relativistic average loss: real and generated examples are judged against each other's mean logit.

    Adding a number to all logits changes nothing. The generator's loss is the discriminator's with the roles exchanged:
    it also falls when real examples look less real, and so it needs the real logits.

    Example:
        >>> float(RelativisticAverage().discriminator(tf.constant([5.0]), tf.constant([5.0])))  # 2 log 2
        1.3862943649291992
        >>> RelativisticAverage.relativistic
        True

    Reference:
        Jolicoeur-Martineau, The relativistic discriminator: a key element missing from standard GAN, 2018 (RaSGAN),
        with which FAML trains. We depart only in form: softplus(-l) stands for -log(sigmoid(l)), which overflows.
    """

    relativistic: ClassVar[bool] = True

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return E softplus(-(real - E fake)) + E softplus(fake - E real), >= 0; 2 log 2 for equal logits."""
        real, fake = tf.convert_to_tensor(real_logits), tf.convert_to_tensor(fake_logits)
        real_above, fake_above = real - tf.reduce_mean(fake), fake - tf.reduce_mean(real)
        return tf.reduce_mean(tf.math.softplus(-real_above)) + tf.reduce_mean(tf.math.softplus(fake_above))

    def generator(self, fake_logits: Tensor, real_logits: Tensor) -> Tensor:
        """Return E softplus(-(fake - E real)) + E softplus(real - E fake), >= 0; 2 log 2 for equal logits."""
        return self.discriminator(real_logits=fake_logits, fake_logits=real_logits)
