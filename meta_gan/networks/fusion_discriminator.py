"""Support-conditioned discriminator, and the pair of fusion networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_choice, check_integer
from meta_gan.layers import MetaBatchNormalization
from meta_gan.networks.base import Discriminator, seeded_normal
from meta_gan.networks.fusion import NORMALIZATIONS, FusionGenerator
from meta_gan.networks.fusion_parts import convolution, dense, leaky, require_sides, require_support


@keras.saving.register_keras_serializable("meta_gan")
class FusionDiscriminator(Discriminator):
    """Judges a candidate beside every support image.

    The first convolution of a pair is the sum of one of the candidate and one of the support image, so each image is
    convolved once, and what is compared are pixels in their places. After a second convolution the pairs of a
    candidate are averaged, which makes the logit the same for every order of the support set; a projection of the
    task code is added to it.

    Args:
        example_shape: (height, width, channels), sides multiples of 4 from 8 to 64.
        width: int >= 1, features at half size.
        embedding_dim: int >= 0, the size of the task code; 0 for none.
        normalization: "meta" for `MetaBatchNormalization` on the code ahead of the last block, which needs a code; or
            "none".
        seed: int >= 0, of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range, or the conditioning lacks an entry.

    Example:
        >>> discriminator = FusionDiscriminator((28, 28, 1), width=8)
        >>> discriminator(tf.zeros([3, 28, 28, 1]), conditioning={"support": tf.zeros([5, 28, 28, 1])}).shape
        TensorShape([3, 1])

    References:
        Antoniou et al., Data Augmentation Generative Adversarial Networks, 2017, for judging pairs of one class;
        Miyato and Koyama, cGANs with Projection Discriminator, 2018.
    """

    sees_support = True

    def __init__(
        self,
        example_shape: Sequence[int],
        width: int = 32,
        embedding_dim: int = 0,
        normalization: str = "none",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, seed, **kwargs)
        sides = require_sides(example_shape)
        self.width, self.embedding_dim = (
            check_integer(width, "width", 1),
            check_integer(embedding_dim, "embedding_dim", 0),
        )
        self.normalization = check_choice(normalization, "normalization", NORMALIZATIONS)
        if normalization == "meta" and not embedding_dim:
            raise ValueError(
                f"`normalization` 'meta' needs a `embedding_dim` >= 1. Received: embedding_dim={embedding_dim!r}"
            )
        make, policy, w = seeded_normal(self.seed, type(self).__name__), self.dtype_policy, self.width
        self.candidate = convolution(make, sides[2], w, "candidate", policy, 4, 2)
        self.support = convolution(make, sides[2], w, "support", policy, 4, 2)
        self.pair = convolution(make, w, 2 * w, "pair", policy, 4, 2)
        self.joint = convolution(make, 2 * w, 3 * w, "joint", policy, 4, 2)
        self.size = -(-sides[0] // 8) * -(-sides[1] // 8) * 3 * w
        self.readout = dense(make, self.size, 1, "readout", policy)
        if self.embedding_dim:
            self.projection = dense(make, self.embedding_dim, 3 * w, "projection", policy)
        if normalization == "meta":
            self.modulation = MetaBatchNormalization(blend=0.9, seed=self.seed, name="modulation", dtype=policy)
            self.modulation.build((None, None, None, 2 * w), (self.embedding_dim,))
        self.build((None, *self.example_shape))

    def call(self, images: Any, conditioning: Any = None, training: bool = False) -> Any:
        """Return logits float[n, 1] of `images` float[n, *example_shape], beside the support set in `conditioning`."""
        support, code = require_support(conditioning, type(self).__name__, self.embedding_dim)
        candidates, others = self.candidate(images), self.support(support)
        count, pairs = tf.shape(images)[0], tf.shape(support)[0]
        both = leaky(candidates[:, None] + others[None])
        merged = tf.reshape(both, [count * pairs, *candidates.shape[1:]])
        compared = leaky(self.pair(merged))
        mean = tf.reduce_mean(tf.reshape(compared, [count, pairs, *compared.shape[1:]]), axis=1)
        if self.normalization == "meta":
            mean = self.modulation(mean, code)
        joint = leaky(self.joint(mean))
        logits = self.readout(tf.reshape(joint, [count, self.size]))
        if code is not None:
            direction = self.projection(code[None])
            logits += tf.reduce_mean(tf.reduce_mean(joint, axis=[1, 2]) * direction, axis=-1, keepdims=True)
        return logits

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        own = {"width": self.width, "embedding_dim": self.embedding_dim, "normalization": self.normalization}
        return {**super().get_config(), **own}


def fusion(
    example_shape: Sequence[int],
    latent_dim: int = 64,
    width: int = 16,
    embedding_dim: int = 0,
    normalization: str = "meta",
    detail: int = 2,
    seed: int = 0,
    temperature: float = 1.0,
) -> tuple[FusionGenerator, FusionDiscriminator]:
    """Return a fusion generator and a discriminator of its width, for a game that gives them the support set.

    Args:
        example_shape: (height, width, channels), sides multiples of 4 from 8 to 64.
        latent_dim: int >= 3.
        width: int >= 1, see `FusionGenerator`.
        embedding_dim: int >= 0, the size of the task code of the game's encoder; 0 for a game without.
        normalization: "meta" or "none"; without a code the discriminator has none.
        detail: int >= 1, see `FusionGenerator`.
        seed: int >= 0.
        temperature: float > 0, see `FusionGenerator`.

    Returns:
        `(generator, discriminator)`.

    Example:
        >>> generator, discriminator = fusion((28, 28, 1), embedding_dim=32)
        >>> game = meta_gan.games.GAN(generator, discriminator, encoder=TaskEncoder((28, 28, 1), 32))
    """
    generator = FusionGenerator(
        example_shape, latent_dim, width, embedding_dim, normalization, detail, seed, temperature
    )
    kind = normalization if embedding_dim else "none"
    return generator, FusionDiscriminator(example_shape, width, embedding_dim, kind, seed)
