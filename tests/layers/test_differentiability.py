"""The check finds a banned layer at any depth, names its replacement, and allows all others."""

import keras
import pytest

from meta_gan import layers
from meta_gan.layers import check_differentiable

K = keras.layers
REPLACEMENTS = [
    (lambda: K.BatchNormalization(name="bad"), r"meta_gan\.layers\.BatchNormalization"),
    (lambda: K.LayerNormalization(name="bad"), r"meta_gan\.layers\.LayerNormalization"),
    (lambda: K.GroupNormalization(1, name="bad"), r"meta_gan\.layers\.GroupNormalization"),
    (
        lambda: K.SpectralNormalization(K.Dense(1), name="bad"),
        r"meta_gan\.layers\.SpectralConv2D or SpectralDense",
    ),
    (lambda: K.UpSampling2D(interpolation="bilinear", name="bad"), r"meta_gan\.layers\.UpsampleBilinear"),
    (lambda: K.UpSampling2D(interpolation="bicubic", name="bad"), r"meta_gan\.layers\.UpsampleBilinear"),
    (lambda: K.Resizing(8, 8, name="bad"), r"meta_gan\.layers\.UpsampleBilinear"),
]


class _Subclassed(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.parts = {"inner": [K.Dense(4), layer]}

    def call(self, x):
        return x


class _Derived(K.BatchNormalization):
    pass


def functional(layer):
    inputs = keras.Input((4, 4, 2))
    return keras.Model(inputs, layer(inputs))


NESTS = {
    "alone": lambda layer: layer,
    "sequential": lambda layer: keras.Sequential([K.Dense(2), layer]),
    "functional": functional,
    "subclass": _Subclassed,
    "deep": lambda layer: _Subclassed(keras.Sequential([functional(layer)])),
}


@pytest.mark.parametrize("make, replacement", REPLACEMENTS)
def test_the_message_names_the_layer_and_its_replacement(make, replacement):
    layer = make()
    with pytest.raises(
        ValueError, match=rf"keras\.layers\.{type(layer).__name__} use {replacement}.*Received: layer 'bad'"
    ):
        check_differentiable(keras.Sequential([layer]))


@pytest.mark.parametrize("nest", NESTS)
def test_found_however_nested(nest):
    with pytest.raises(ValueError, match=r"BatchNormalization.*layer 'bad'"):
        check_differentiable(NESTS[nest](K.BatchNormalization(name="bad")))


def test_wrapped_layer_is_found():
    wrapped = K.TimeDistributed(K.LayerNormalization(name="bad"))
    with pytest.raises(ValueError, match=r"LayerNormalization.*layer 'bad'"):
        check_differentiable(keras.Sequential([wrapped]))


def test_derived_class_is_refused_under_its_keras_name():
    with pytest.raises(ValueError, match=r"keras\.layers\.BatchNormalization use.*layer 'mine'"):
        check_differentiable(keras.Sequential([_Derived(name="mine")]))


@pytest.mark.parametrize("nest", NESTS)
def test_our_layer_of_the_same_name_is_allowed(nest):
    assert check_differentiable(NESTS[nest](layers.BatchNormalization())) is None


def test_nearest_upsampling_is_allowed():
    assert check_differentiable(keras.Sequential([K.UpSampling2D(interpolation="nearest")])) is None
