"""Differentiable augmentation: random shifts, cutouts and colours of the discriminator's inputs, real or generated.

Every transform is a sum or product with constants, and shifts are products with one-hot matrices, so derivatives of all
orders are right.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_number
from meta_gan.losses.base import Configured
from meta_gan.types import Tensor

# Columns of the one draw [n, 6] of a call. All are always drawn, so that no setting changes the draws of another.
_BRIGHTNESS, _CONTRAST, _SHIFT, _CUT, _DRAWS = 0, 1, 2, 4, 6


def _whole(share: Tensor, counts: Tensor) -> Tensor:
    """Return int32, uniform in 0 ... counts - 1, from `share` uniform in [0, 1)."""
    return tf.cast(tf.floor(share * tf.cast(counts, share.dtype)), tf.int32)


@keras.saving.register_keras_serializable("meta_gan")
@dataclasses.dataclass(frozen=True)
class DifferentiableAugmentation(Configured):
    """A random transform of each image, which depends only on the seed and the row: alike for real and generated ones.

    Args:
        translation: float in [0, 1], largest shift along each axis as a share of the side, in whole pixels.
        cutout: float in [0, 1], side of the cut-out rectangle as a share of the image's side. Its centre is uniform
            over the image, so that part of it may fall outside.
        brightness: float >= 0, largest number that is added or subtracted; .5 in the paper.
        contrast: float in [0, 1]; an image's distance from its mean is multiplied by 1 - contrast to 1 + contrast;
            .5 in the paper.
        fill: float, the value of pixels that are shifted in or cut out.

    Raises:
        ValueError: if an argument is not a finite number in its range.

    Example:
        >>> augment = DifferentiableAugmentation(translation=0.25)
        >>> seen = [augment(images, seed=(0, 1)) for images in (real, fake)]    # row by row the same shift

    Reference:
        Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training, 2020. Transforms, their order
        (colour, translation, cutout) and their rounding match the authors' code, and values are not clipped to [-1, 1],
        because a clipped pixel has no gradient. We depart in the settings, which are numbers here, in leaving out the
        saturation, and in `fill`, the background of drawings, where the authors fill with 0, which is grey.
    """

    translation: float = 0.125
    cutout: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    fill: float = -1.0

    def __post_init__(self) -> None:
        check_number(self.brightness, "brightness", least=0)
        for name in ("translation", "cutout", "contrast"):
            check_number(getattr(self, name), name, least=0, most=1)
        check_number(self.fill, "fill")

    def __call__(self, images: Tensor, seed: Tensor) -> Tensor:
        """Return the images, each transformed at random.

        Args:
            images: float[n, height, width, channels].
            seed: int32[2], the key of all draws; row i's draw does not depend on n.

        Returns:
            float[n, height, width, channels]; the images themselves where all settings are 0.

        Raises:
            ValueError: if `images` are no float tensor of four axes.
        """
        images = tf.convert_to_tensor(images)
        if images.shape.rank != 4 or not images.dtype.is_floating:
            raise ValueError(
                "'images' must be float[n, height, width, channels]. "
                f"Received: shape {images.shape}, dtype {images.dtype.name}"
            )
        draws = tf.random.stateless_uniform([tf.shape(images)[0], _DRAWS], seed)
        known = images.shape
        if self.brightness:
            images += tf.cast(self.brightness * (2.0 * draws[:, _BRIGHTNESS] - 1.0), images.dtype)[:, None, None, None]
        if self.contrast:
            factor = tf.cast(1.0 + self.contrast * (2.0 * draws[:, _CONTRAST] - 1.0), images.dtype)
            mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
            images = (images - mean) * factor[:, None, None, None] + mean
        if self.translation:
            images = self._translated(images, draws[:, _SHIFT : _SHIFT + 2])
        if self.cutout:
            images = self._cut(images, draws[:, _CUT : _CUT + 2])
        images.set_shape(known)  # products with matrices of a traced size lose it, and a dense layer needs it
        return images

    def _translated(self, images: Tensor, draws: Tensor) -> Tensor:
        """Shift every image by whole pixels: output [i, j] is input [i - dy, j - dx]."""
        sides = tf.shape(images)[1:3]
        furthest = _rounded(sides, self.translation)
        shifts = _whole(draws, 2 * furthest + 1) - furthest
        moves = []
        for axis in (0, 1):
            pixels = tf.range(sides[axis])
            source = pixels[None, :] - shifts[:, axis, None]
            moves.append(tf.cast(source[:, :, None] == pixels, images.dtype))
        down, right = moves
        shifted = tf.einsum("nij,njwc->niwc", down, images)
        shifted = tf.einsum("nwj,nijc->niwc", right, shifted)
        inside = tf.reduce_sum(down, axis=2)[:, :, None, None] * tf.reduce_sum(right, axis=2)[:, None, :, None]
        return shifted + self.fill * (1.0 - inside)

    def _cut(self, images: Tensor, draws: Tensor) -> Tensor:
        """Put `fill` in a rectangle around a centre that is uniform over the image."""
        sides = tf.shape(images)[1:3]
        size = _rounded(sides, self.cutout)
        # A rectangle with an even side lies between pixels, so it has one more place, as in the authors' code.
        start = _whole(draws, sides + 1 - size % 2) - size // 2
        hits = []
        for axis in (0, 1):
            pixels = tf.range(sides[axis])
            hits.append((pixels >= start[:, axis, None]) & (pixels < start[:, axis, None] + size[axis]))
        hit = hits[0][:, :, None, None] & hits[1][:, None, :, None]
        return tf.where(hit, tf.cast(self.fill, images.dtype), images)


def augmented_share(augmentation: Any, images: Tensor, share: Tensor, seed: Tensor) -> Tensor:
    """Return the images, a random share of them augmented.

    Args:
        augmentation: a function of `(images, seed)`, such as a `DifferentiableAugmentation`.
        images: float[n, *example].
        share: float[] in [0, 1]; with 1, all images are augmented.
        seed: int32[2]; row i's draw does not depend on n, so that real and generated images of one seed share it.

    Returns:
        float[n, *example].

    Reference: Karras et al., Training Generative Adversarial Networks with Limited Data, 2020, for augmenting with a
        probability. We depart in one draw for all transforms.
    """
    changed = augmentation(images, seed)
    own = tf.random.experimental.stateless_fold_in(seed, 0)
    draws = tf.random.stateless_uniform([tf.shape(images)[0]], own, alg="philox")
    chosen = draws < tf.cast(share, draws.dtype)
    return tf.where(tf.reshape(chosen, [-1, *[1] * (images.shape.rank - 1)]), changed, images)


def _rounded(sides: Tensor, share: float) -> Tensor:
    """Return int32[2], a share of each side in whole pixels, halves rounded up."""
    return tf.cast(tf.cast(sides, tf.float32) * share + 0.5, tf.int32)
