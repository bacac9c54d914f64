"""Random affine warps of a batch of images, for the training of judges.

Every draw is a function of the key that the caller gives. What comes in from outside has the image's own border
level, so that paper stays paper and the edge of a photo does not become a black frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan.checks import check_number

# Pinned: the automatic choice depends on the device, and with it the draws would.
_ALGORITHM = "philox"


@dataclass(frozen=True)
class AffineRanges:
    """How far `random_affine` goes; every amount is uniform within its range.

    Attributes:
        rotation: in [0, pi], radians either way.
        scale: in [0, 1), the relative enlargement or reduction.
        shear: >= 0, the tangent of the angle, either way.
        shift: >= 0, pixels either way, along each axis.

    Raises:
        ValueError: if a range is outside of its bounds.

    Example:
        >>> AffineRanges(rotation=0.0).shift
        2.0
    """

    rotation: float = 0.25
    scale: float = 0.15
    shear: float = 0.2
    shift: float = 2.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, most in {"rotation": np.pi, "scale": 0.999, "shear": np.inf, "shift": np.inf}.items():
            check_number(getattr(self, name), name, least=0, most=most)


def border_level(images: Any) -> Any:
    """Return the median level of each channel over the outermost rows and columns of each image.

    Args:
        images: float[n, height, width, channels], height and width >= 2.

    Returns:
        float[n, 1, 1, channels]; of an even number of pixels, the upper of the two in the middle.

    Example:
        >>> border_level(tf.zeros([5, 8, 8, 1])).shape
        TensorShape([5, 1, 1, 1])
    """
    sides = [images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]]
    border = tf.sort(tf.concat(sides, axis=1), axis=1)
    return border[:, border.shape[1] // 2, None, None, :]


def _matrices(count: Any, key: Any, ranges: AffineRanges, height: int, width: int) -> Any:
    """Draw float32[n, 8]: for each image, the row-major map from an output pixel (x, y, 1) to an input one."""
    draws = tf.random.stateless_uniform([6, count], key, -1.0, 1.0, alg=_ALGORITHM)
    angle, shear = ranges.rotation * draws[0], ranges.shear * draws[1]
    size_x, size_y = 1.0 + ranges.scale * draws[2], 1.0 + ranges.scale * draws[3]
    cos, sin = tf.cos(angle), tf.sin(angle)
    # Rotation times shear times size, about the middle of the image.
    a, b = cos * size_x, (cos * shear - sin) * size_y
    c, d = sin * size_x, (sin * shear + cos) * size_y
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    from_x = middle_x - a * middle_x - b * middle_y + ranges.shift * draws[4]
    from_y = middle_y - c * middle_x - d * middle_y + ranges.shift * draws[5]
    zero = tf.zeros_like(a)
    return tf.stack([a, b, from_x, c, d, from_y, zero, zero], axis=1)


def random_affine(images: Any, key: Any, ranges: AffineRanges | None = None) -> Any:
    """Return each image under an affine warp of its own, sampled bilinearly.

    Args:
        images: float32[n, height, width, channels], height and width >= 2.
        key: int32[2], the key of the draws.
        ranges: how far the warps go; by default those of `AffineRanges`.

    Returns:
        float32[n, height, width, channels]; what comes from outside of an image has its `border_level`.

    Example:
        >>> random_affine(tf.zeros([5, 8, 8, 1]), tf.constant([0, 1])).shape
        TensorShape([5, 8, 8, 1])
    """
    ranges = AffineRanges() if ranges is None else ranges
    height, width = images.shape[1:3]
    background = border_level(images)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=images - background,
        transforms=_matrices(tf.shape(images)[0], key, ranges, height, width),
        output_shape=tf.constant([height, width]),
        fill_value=tf.constant(0.0),
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return warped + background
