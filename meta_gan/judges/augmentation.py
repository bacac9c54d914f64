"""Random affine warps of images for the training of judges."""

from __future__ import annotations

import tensorflow as tf

# Fixed, because the algorithm that TensorFlow chooses automatically, and so the draws, would depend on the device.
_ALGORITHM = "philox"


def border_level(images: tf.Tensor) -> tf.Tensor:
    """Return the median level of each channel over the border pixels of each image.

    Args:
        images: float[n, height, width, channels], height and width >= 2.

    Returns:
        float[n, 1, 1, channels]; the upper median if the number of border pixels is even.

    Example:
        >>> border_level(tf.zeros([5, 8, 8, 1])).shape
        TensorShape([5, 1, 1, 1])
    """
    sides = [images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]]
    border = tf.sort(tf.concat(sides, axis=1), axis=1)
    return border[:, border.shape[1] // 2, None, None, :]


def random_affine(
    images: tf.Tensor,
    key: tf.Tensor,
    rotation: float = 0.25,
    scale: float = 0.15,
    shear: float = 0.2,
    shift: float = 2.0,
) -> tf.Tensor:
    """Warp each image by an independent random affine map, with bilinear sampling.

    Args:
        images: float32[n, height, width, channels], height and width >= 2.
        key: int32[2], the seed of the draws; each amount is uniform in [-limit, limit] for the limits below.
        rotation: limit of the angle in radians, >= 0.
        scale: limit of the relative change of each axis, in [0, 1).
        shear: limit of the tangent of the shear angle, >= 0.
        shift: limit of the shift along each axis in pixels, >= 0.

    Returns:
        float32[n, height, width, channels]. Pixels from outside the image have its `border_level`, so that a light
        background stays light and no black frame appears.

    Example:
        >>> random_affine(tf.zeros([5, 8, 8, 1]), tf.constant([0, 1])).shape
        TensorShape([5, 8, 8, 1])
    """
    height, width = images.shape[1:3]
    draws = tf.random.stateless_uniform([6, tf.shape(images)[0]], key, -1.0, 1.0, alg=_ALGORITHM)
    angle, slant = rotation * draws[0], shear * draws[1]
    size_x, size_y = 1.0 + scale * draws[2], 1.0 + scale * draws[3]
    cos, sin = tf.cos(angle), tf.sin(angle)
    # Rotation times shear times scale about the image's centre, as a map from output pixels (x, y, 1) to input pixels.
    a, b = cos * size_x, (cos * slant - sin) * size_y
    c, d = sin * size_x, (sin * slant + cos) * size_y
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    from_x = middle_x - a * middle_x - b * middle_y + shift * draws[4]
    from_y = middle_y - c * middle_x - d * middle_y + shift * draws[5]
    zero = tf.zeros_like(a)
    background = border_level(images)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=images - background,
        transforms=tf.stack([a, b, from_x, c, d, from_y, zero, zero], axis=1),
        output_shape=tf.constant([height, width]),
        fill_value=tf.constant(0.0),
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return warped + background
