"""The renderer of the fusion networks: warps, thresholds and the fine grid, by hand and against plain ways."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.networks.image_fusion import Renderer
from tests.layers.finite_differences import directional_error
from tests.networks.test_fusion_parts import F64, squared_slopes, uniform


def render(images, rows, detail=1, shift=None, threshold=0.0, contrast=0.0, **weights):
    """(sharpened, plain) of the images chosen by `rows`, in float64."""
    height, width = images.shape[1:3]
    layer = Renderer((height, width), detail, **F64)
    for name, value in weights.items():
        getattr(layer, name).assign(value)
    n = len(rows)
    shift = np.zeros((n, height // 2, width // 2, 2)) if shift is None else shift
    each = [tf.fill([n, 1, 1, 1], tf.constant(value, tf.float64)) for value in (threshold, contrast)]
    return layer(images, tf.constant(rows), tf.constant(shift), *each)


def stroke(height=16, width=16):
    """A horizontal bar of full ink, three pixels high, on blank paper."""
    image = -np.ones((1, height, width, 1))
    image[:, 6:9, 3:13] = 1.0
    return tf.constant(image)


def test_no_shift_at_detail_one_returns_the_images():
    images = uniform(3, 6, 8, 2)
    sharp, plain = render(images, [2, 0, 1, 2])
    np.testing.assert_allclose(plain, images.numpy()[[2, 0, 1, 2]], atol=1e-12)
    np.testing.assert_allclose(sharp, np.tanh(3 * images.numpy()[[2, 0, 1, 2]]), atol=1e-12)


def test_threshold_contrast_and_gain_by_hand():
    images = uniform(1, 4, 4, 1)
    sharp, plain = render(images, [0], threshold=0.25, contrast=np.log(2.0), gain=np.log(1.5))
    np.testing.assert_allclose(sharp, np.tanh(3 * (3 * images.numpy() + 0.25)), atol=1e-12)
    np.testing.assert_allclose(plain, images, atol=1e-12)  # which neither of them moves


def test_mix_by_hand():
    layer, one, two = Renderer((4, 4), 1), tf.constant(10.0), tf.constant(20.0)
    share = 1 / (1 + np.exp(-1.0))
    np.testing.assert_allclose(layer.mix(one, two), share * 10 + (1 - share) * 20, rtol=1e-6)
    assert 0.73 < share < 0.74
    layer.share.assign(-1.0)
    np.testing.assert_allclose(layer.mix(one, two), 15.0, rtol=1e-6)
    layer.share.assign(-100.0)
    np.testing.assert_allclose(layer.mix(one, two), 20.0, rtol=1e-6)


@pytest.mark.parametrize("rows, columns", [(1, 0), (0, -2), (2, 1)])
@pytest.mark.parametrize("detail", [1, 2])
def test_shift_by_whole_pixels_is_a_roll(rows, columns, detail):
    images = uniform(1, 8, 12, 1, low=-0.5, high=0.5)
    shift = np.tile([2 * rows / 8, 2 * columns / 12], (1, 4, 6, 1))
    moved_plain, still = render(images, [0], detail, shift)[1], render(images, [0], detail)[1]
    rolled = np.roll(still, (-rows, -columns), axis=(1, 2))
    np.testing.assert_allclose(moved_plain[:, 2:-2, 2:-2], rolled[:, 2:-2, 2:-2], atol=1e-12)


def test_a_shift_points_to_where_the_colour_is_taken():
    images = stroke()
    down = np.zeros((1, 8, 8, 2))
    down[..., 0] = 2 * 4 / 16  # the colour comes from 4 pixels further down, so the bar goes up
    plain = render(images, [0], shift=down)[1].numpy()
    np.testing.assert_allclose(plain[0, 2:5, 3:13, 0], 1.0, atol=1e-12)
    assert plain.mean() == pytest.approx(float(np.mean(images)), abs=1e-12)


def test_each_row_has_its_own_image_and_warp():
    images, rows = uniform(3, 8, 8, 1), [1, 1, 0, 2]
    shift = uniform(4, 4, 4, 2, seed=1, low=-0.2, high=0.2).numpy()
    together = render(images, rows, 2, shift)
    for i, row in enumerate(rows):
        for whole, alone in zip(together, render(images, [row], 2, shift[i : i + 1]), strict=True):
            np.testing.assert_allclose(whole[i : i + 1], alone, atol=1e-12)


@pytest.mark.parametrize("detail", [1, 2, 3])
def test_constant_images_and_straight_ramps_survive_the_fine_grid(detail):
    flat = tf.fill([1, 8, 8, 1], tf.constant(0.3, tf.float64))
    np.testing.assert_allclose(render(flat, [0], detail)[1], flat, atol=1e-12)
    ramp = tf.constant(np.tile(np.linspace(-0.7, 0.7, 8)[:, None, None], (1, 1, 8, 1)))
    plain = render(ramp, [0], detail)[1]
    np.testing.assert_allclose(plain[:, 2:-2], ramp[:, 2:-2], atol=1e-12)


@pytest.mark.parametrize("detail", [1, 2])
def test_a_higher_threshold_draws_thicker(detail):
    ink = [float(np.mean(render(stroke(), [0], detail, threshold=t)[0])) for t in (-0.8, -0.3, 0.0, 0.3, 0.8)]
    assert np.all(np.diff(ink) > 1e-4)


def test_sharpening_brings_a_blurred_edge_back_to_two_levels():
    half = np.full((1, 8, 4, 2), 0.0)
    half[..., 1] = 1 / 16  # by half a pixel: the plain edge is grey
    sharp, plain = render(stroke(), [0], 2, np.tile(half, (1, 1, 2, 1)))
    grey = [float(np.mean(np.abs(x.numpy()) < 0.6)) for x in (sharp, plain)]
    assert grey[0] <= grey[1] and np.std(sharp) > 0.3


def test_output_stays_between_white_and_black():
    images = tf.sign(uniform(4, 8, 8, 3))  # cubic interpolation goes beyond the ends
    shift = uniform(4, 4, 4, 2, seed=1, low=-3.0, high=3.0).numpy()
    for x in render(images, [0, 1, 2, 3], 3, shift, threshold=2.0, contrast=3.0):
        assert x.shape == (4, 8, 8, 3) and np.all(np.isfinite(x)) and np.max(np.abs(x)) <= 1


class Mixed(Renderer):
    """A renderer with its mixture as a third output, so that `share` takes part."""

    def call(self, *inputs):
        outputs = super().call(*inputs)
        return (*outputs, self.mix(*outputs))


def test_second_derivatives_of_rendering_equal_finite_differences():
    layer, rows = Mixed((8, 8), 2, **F64), tf.constant([1, 0, 1])
    function = squared_slopes(layer, lambda inputs: (inputs[0], rows, *inputs[1:]))
    values = [uniform(2, 8, 8, 1, low=-0.6, high=0.6), uniform(3, 4, 4, 2, seed=1, low=-0.1, high=0.1)]
    values += [uniform(3, 1, 1, 1, seed=2), uniform(3, 1, 1, 1, seed=3)]
    weights = {"share": 0.2, "gain": -0.1}
    values += [tf.constant(weights[v.path.split("/")[-1]], tf.float64) for v in layer.trainable_variables]
    assert max(directional_error(lambda v: function(v, 4), values, step=1e-6)) < 1e-5
