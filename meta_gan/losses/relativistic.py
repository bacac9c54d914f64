"""The relativistic average loss: real and generated examples are judged against one another's mean logit.

Jolicoeur-Martineau, The relativistic discriminator: a key element missing from standard GAN, 2018; FAML trains
with it. Written here for the non-saturating GAN (the paper's RaSGAN), with the discriminator's loss as the sum of
its two terms and softplus in place of -log(sigmoid), as in `adversarial.py`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import keras
import tensorflow as tf

from meta_gan.losses.adversarial import AdversarialLoss


@keras.saving.register_keras_serializable("meta_gan")
@dataclasses.dataclass(frozen=True)
class RelativisticAverage(AdversarialLoss):
    """How much more real than the average generated example a real one looks, and the other way round.

    A number added to all logits changes nothing, and the generator also gains where the real examples look worse:
    its loss is the discriminator's with the two roles exchanged, so it needs the real logits.

    Example:
        >>> float(RelativisticAverage().discriminator(tf.constant([5.0]), tf.constant([5.0])))  # 2 log 2
        1.3862943649291992
        >>> RelativisticAverage.relativistic
        True

    Reference:
        Jolicoeur-Martineau, The relativistic discriminator, 2018 (RaSGAN). We depart only in form:
        softplus(-l) stands for -log(sigmoid(l)), which overflows.
    """

    relativistic: ClassVar[bool] = True

    def discriminator(self, real_logits: Any, fake_logits: Any) -> Any:
        """Return E softplus(-(real - E fake)) + E softplus(fake - E real).

        Args:
            real_logits: float[n] or [n, 1], logits of real examples.
            fake_logits: float[m] or [m, 1], logits of generated examples.

        Returns:
            float[], >= 0; 2 log 2 when all logits are equal.
        """
        real, fake = tf.convert_to_tensor(real_logits), tf.convert_to_tensor(fake_logits)
        real_above, fake_above = real - tf.reduce_mean(fake), fake - tf.reduce_mean(real)
        return tf.reduce_mean(tf.math.softplus(-real_above)) + tf.reduce_mean(tf.math.softplus(fake_above))

    def generator(self, fake_logits: Any, real_logits: Any) -> Any:
        """Return E softplus(-(fake - E real)) + E softplus(real - E fake).

        Args:
            fake_logits: float[m] or [m, 1], logits of generated examples.
            real_logits: float[n] or [n, 1], logits of real examples.

        Returns:
            float[], >= 0; 2 log 2 when all logits are equal.
        """
        return self.discriminator(real_logits=fake_logits, fake_logits=real_logits)
