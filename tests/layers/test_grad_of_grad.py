"""The second derivatives of the layers that are allowed in players, and of those that are not."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan import layers
from meta_gan.layers import check_differentiable
from tests.layers.finite_differences import directional_error, grad_of_grad_error

IMAGES = (3, 4, 6, 4)
K = keras.layers
F64 = {"dtype": "float64"}

ALLOWED = {
    "batch": lambda: layers.BatchNormalization(**F64),
    "layer": lambda: layers.LayerNormalization(**F64),
    "instance": lambda: layers.InstanceNormalization(**F64),
    "group": lambda: layers.GroupNormalization(2, **F64),
    "nearest": lambda: layers.UpsampleNearest(2, **F64),
    "bilinear": lambda: layers.UpsampleBilinear(2, **F64),
    "bilinear by 3": lambda: layers.UpsampleBilinear(3, **F64),
    "keras nearest": lambda: K.UpSampling2D(2, interpolation="nearest", **F64),
    "dense": lambda: K.Dense(5, **F64),
    "conv": lambda: K.Conv2D(3, 3, padding="same", **F64),
    "conv by 2": lambda: K.Conv2D(3, 4, strides=2, padding="same", **F64),
    "transposed by 2": lambda: K.Conv2DTranspose(3, 4, strides=2, padding="same", **F64),
    "depthwise": lambda: K.DepthwiseConv2D(3, padding="same", **F64),
    "separable": lambda: K.SeparableConv2D(3, 3, padding="same", **F64),
    "relu": lambda: K.ReLU(**F64),
    "leaky relu": lambda: K.LeakyReLU(0.2, **F64),
    "tanh": lambda: K.Activation("tanh", **F64),
    "softplus": lambda: K.Activation("softplus", **F64),
    "average pooling": lambda: K.AveragePooling2D(2, **F64),
    "global pooling": lambda: K.GlobalAveragePooling2D(**F64),
    "flatten": lambda: K.Flatten(**F64),
    "reshape": lambda: K.Reshape((8, 12), **F64),
    "rms": lambda: K.RMSNormalization(**F64),
    "unit": lambda: K.UnitNormalization(**F64),
}


# Bilinear resizing alone would have no gradient at all; behind a convolution it silently has a wrong one.
def behind_convolution(layer):
    return keras.Sequential([keras.Input(IMAGES[1:], dtype="float64"), K.Conv2D(2, 1, use_bias=False, **F64), layer])


# {name: (layer, an error that it exceeds in training mode)}. If a new Keras corrects a layer, this test fails, and
# the layer can be allowed.
BANNED = {
    "batch": (lambda: K.BatchNormalization(**F64), 1e-4),
    "layer": (lambda: K.LayerNormalization(axis=(1, 2, 3), **F64), 1e-4),
    "group": (lambda: K.GroupNormalization(2, **F64), 1e-4),
    "bilinear": (lambda: behind_convolution(K.UpSampling2D(2, interpolation="bilinear", **F64)), 1e-2),
    "resizing": (lambda: behind_convolution(K.Resizing(8, 12, **F64)), 1e-2),
    "spectral": (lambda: K.SpectralNormalization(K.Conv2D(3, 3, **F64), **F64), 1e-1),
}


@pytest.mark.parametrize("name", ALLOWED)
@pytest.mark.parametrize("training", [False, True])
def test_allowed_layer_equals_finite_differences(name, training):
    assert grad_of_grad_error(ALLOWED[name], IMAGES, training) < 1e-6


@pytest.mark.parametrize("name", BANNED)
def test_banned_layer_fails_the_same_check(name):
    keras.utils.set_random_seed(0)  # spectral normalisation starts its power iteration at random
    make_layer, error = BANNED[name]
    assert grad_of_grad_error(make_layer, IMAGES, training=True) > error


@pytest.mark.parametrize("name", BANNED)
def test_banned_layer_is_refused(name):
    with pytest.raises(ValueError, match="right second derivative"):
        check_differentiable(keras.Sequential([BANNED[name][0]()]))


@pytest.mark.parametrize("name", ALLOWED)
def test_an_allowed_layer_is_accepted(name):
    assert check_differentiable(keras.Sequential([ALLOWED[name]()])) is None


def test_why_the_check_has_weighted_squares():
    """The plain ||dL/dx||^2 at a banned layer's own input passes: dL/dx sums to 0, which hides the error."""
    banned = BANNED["layer"][0]()
    banned.build(IMAGES)
    weights = [tf.convert_to_tensor(v) for v in banned.trainable_variables]
    x = np.random.default_rng(0).normal(size=IMAGES)

    def plain(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = tf.reduce_sum(tf.tanh(banned.stateless_call(weights, [], values[0])[0] + 0.5))
        return tf.reduce_sum(tf.square(tape.gradient(loss, values[0])))

    assert max(directional_error(plain, [x])) < 1e-6
    assert grad_of_grad_error(BANNED["layer"][0], IMAGES) > 1e-3
