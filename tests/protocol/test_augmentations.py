"""Elastic distortion and TrivialAugment: displacements by hand, operations against their definitions, bad arguments."""

import numpy as np
import pytest
from PIL import Image

from meta_gan.protocol.augmentations import LEVELS, OPERATIONS, Elastic, TrivialAugment
from meta_gan.protocol.baselines import Affine
from meta_gan.tasks.pixels import to_float

GREY = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 1), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (3, 12, 16, 3), dtype=np.uint8)
RAMP = np.broadcast_to(np.linspace(-0.5, 0.5, 32, dtype=np.float32)[None, :, None], (1, 32, 32, 1))


def levels(operation, image, strength=0.0, sign=1, fill=0):
    return np.asarray(OPERATIONS[operation](Image.fromarray(image[..., 0]), strength, sign, fill))


def test_without_displacement_images_stay_as_the_affine_baseline_leaves_them():
    still = Affine(rotation=0, scale=0, shear=0, pixels=0).adapt(COLOUR).sample(3)
    np.testing.assert_allclose(Elastic(displacement=0).adapt(COLOUR).sample(3), still, atol=1e-6)


def test_displacements_are_as_large_as_told_and_smooth():
    # On a ramp the change of a level is the displacement to the right times the slope.
    samples = Elastic(displacement=0.04).adapt(RAMP).sample(400, seed=2)[..., 0]
    slope, inside = 1 / 31, np.s_[:, 8:-8, 8:-8]
    moves = ((samples - RAMP[0, ..., 0]) / slope)[inside]
    assert np.std(moves) == pytest.approx(0.04 * 32, rel=0.05)
    assert abs(np.mean(moves)) < 0.1
    # Neighbours of a Gaussian of 32 / 7 pixels correlate as exp(-1 / (4 * (32 / 7) ** 2)).
    near = np.corrcoef(moves[:, :, 1:].ravel(), moves[:, :, :-1].ravel())[0, 1]
    assert near == pytest.approx(np.exp(-1 / (4 * (32 / 7) ** 2)), abs=5e-3)


def test_samples_depend_on_seed_and_index_alone():
    for baseline, support in ((Elastic(), GREY), (TrivialAugment(), COLOUR)):
        adapted = baseline.adapt(support)
        np.testing.assert_array_equal(adapted.sample(7, seed=4)[:5], adapted.sample(5, seed=4))
        assert not np.array_equal(adapted.sample(7, seed=4), adapted.sample(7, seed=5))


def test_every_operation_is_drawn_equally_often_with_every_strength():
    seen = []
    spy = tuple(lambda image, *given, kind=kind: seen.append((kind, *given)) or image for kind in range(14))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("meta_gan.protocol.augmentations.OPERATIONS", spy)
        TrivialAugment().adapt(GREY).sample(5600)
    counts = np.bincount([kind for kind, *_ in seen], minlength=len(OPERATIONS))
    assert len(seen) == 5600 and np.abs(counts - 400).max() < 5 * np.sqrt(400)
    assert {strength for _, strength, _, _ in seen} == {level / LEVELS for level in range(LEVELS + 1)}
    assert {sign for *_, sign, _ in seen} == {-1, 1}


def test_operations_of_levels():
    image = GREY[0]
    np.testing.assert_array_equal(levels(0, image, 1.0), image[..., 0])
    low, high = int(image.min()), int(image.max())
    np.testing.assert_allclose(levels(1, image), (image[..., 0] - low) * 255.0 / (high - low), atol=1)
    np.testing.assert_array_equal(levels(4, image, 0.5), np.where(image < 128, image, 255 - image)[..., 0])
    np.testing.assert_array_equal(levels(6, image, 1.0), image[..., 0] & 0xF0)
    np.testing.assert_array_equal(levels(5, image, 1.0), image[..., 0])  # grey has no colour to change
    np.testing.assert_allclose(levels(8, image, 0.5), image[..., 0], atol=1)  # a factor of 1
    np.testing.assert_allclose(levels(8, image, 0.0), image[..., 0] * 0.1, atol=1)


@pytest.mark.parametrize(("operation", "axis"), [(12, 1), (13, 0)])
def test_translations_are_of_whole_pixels_and_fill_with_the_background(operation, axis):
    image = GREY[1]
    moved = levels(operation, image, 1.0, sign=1, fill=7)
    pixels = round(10 / 32 * 12)
    expected = np.roll(image[..., 0], -pixels, axis)
    expected[(slice(None),) * axis + (slice(-pixels, None),)] = 7
    np.testing.assert_array_equal(moved, expected)


def test_shear_and_rotation_move_an_upright_line_as_their_slope():
    image = np.zeros((21, 21, 1), np.uint8)
    image[:, 10] = 255
    sheared = levels(10, image, 1.0, sign=-1)
    for row in (0, 10, 20):
        inked = np.flatnonzero(sheared[row] > 100)
        assert np.abs(inked - (10 + 0.3 * (row + 0.5))).min() < 1
    turned = levels(3, image, 1.0, sign=1)  # 30 degrees anticlockwise: the top goes left
    rows, columns = np.nonzero(turned > 100)
    assert np.polyfit(rows, columns, 1)[0] == pytest.approx(np.tan(np.radians(30)), abs=0.05)


def test_colour_images_are_changed_as_a_whole():
    grey = np.asarray(OPERATIONS[5](Image.fromarray(COLOUR[0]), 0.0, 1, (0, 0, 0)), float)
    means = grey.mean(axis=-1, keepdims=True)
    own = COLOUR[0] - COLOUR[0].mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(grey - means, 0.1 * own, atol=2)
    samples = TrivialAugment().adapt(COLOUR).sample(30)
    assert samples.shape == (30, 12, 16, 3) and samples.dtype == np.float32 and np.abs(samples).max() <= 1


def test_two_channels_are_changed_by_the_same_operation():
    pair = np.concatenate([GREY, GREY], axis=-1)
    samples = TrivialAugment().adapt(pair).sample(40, seed=1)
    np.testing.assert_array_equal(samples[..., 0], samples[..., 1])
    np.testing.assert_array_equal(samples[..., :1], TrivialAugment().adapt(to_float(GREY)).sample(40, seed=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"smoothness": 0}, "'smoothness' must be"), ({"displacement": -0.1}, "'displacement' must be")],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        Elastic(**change)
