"""The baselines: draws by hand, positions of ink, recognition of drawings, bad arguments."""

import dataclasses

import numpy as np
import pytest

from meta_gan.protocol.baselines import Affine, Baseline, Copy, Repeat, Shift, background, is_drawing, warp
from meta_gan.tasks import from_npz
from meta_gan.tasks.pixels import to_float

BASELINES = [Copy(), Repeat(), Shift(), Affine()]
STILL = Affine(rotation=0, scale=0, shear=0, pixels=0)
NOISE = np.random.default_rng(0).uniform(-1, 1, (3, 9, 10, 2)).astype(np.float32)


def dots(*places, size=9, ground=-1.0):
    """float32[1, size, size, 1] of a ground with pixels of the opposite level."""
    image = np.full((1, size, size, 1), ground, np.float32)
    for row, column in places:
        image[0, row, column] = -ground
    return image


def centre_of_ink(image):
    """(row, column) about the image's centre of the ink of a light-on-dark float32[height, width, 1]."""
    ink = (image[..., 0] + 1) / 2
    grid = np.indices(ink.shape) - (np.array(ink.shape) - 1)[:, None, None] / 2
    return (grid * ink).sum(axis=(1, 2)) / ink.sum()


def first_draw(seed, index):
    return np.random.default_rng([seed, index])


def test_copies_are_the_support_images_in_order():
    samples = Copy().adapt(NOISE).sample(7)
    np.testing.assert_array_equal(samples, NOISE[[0, 1, 2, 0, 1, 2, 0]])
    samples[:] = 0
    np.testing.assert_array_equal(Copy().adapt(NOISE).sample(3), NOISE)


def test_repeat_is_the_first_image_only():
    np.testing.assert_array_equal(Repeat().adapt(NOISE).sample(4), NOISE[[0, 0, 0, 0]])


def test_uint8_becomes_floats():
    levels = np.array([0, 51, 255, 255], np.uint8).reshape(1, 2, 2, 1)
    np.testing.assert_allclose(Copy().adapt(levels).sample(1).ravel(), [-1, -0.6, 1, 1], atol=1e-7)


def test_a_pixel_is_shifted_by_its_draw():
    samples = Shift(pixels=2).adapt(dots((4, 4))).sample(60, seed=3)
    moves = []
    for index, sample in enumerate(samples):
        down, right = first_draw(3, index).integers(-2, 3, 2)
        np.testing.assert_array_equal(sample, dots((4 + down, 4 + right))[0])
        moves.append((int(down), int(right)))
    assert {down for down, _ in moves} == {right for _, right in moves} == {-2, -1, 0, 1, 2}
    assert (0, 0) in moves


def test_shifted_out_pixels_are_lost_and_uncovered_ones_are_background():
    """A corner pixel in an image whose border has the median level .5."""
    image = np.full((1, 6, 6, 1), 0.5, np.float32)
    image[0, 0, 0], image[0, 2:4, 2:4] = 1.0, -1.0
    for index, sample in enumerate(Shift(pixels=1).adapt(image).sample(20, seed=1)):
        down, right = first_draw(1, index).integers(-1, 2, 2)
        wanted = np.full((6, 6, 1), 0.5, np.float32)
        wanted[2 + down : 4 + down, 2 + right : 4 + right] = -1.0
        if min(down, right) >= 0:
            wanted[down, right] = 1.0
        np.testing.assert_array_equal(sample, wanted)


def test_a_shift_by_zero_is_a_copy_and_one_beyond_the_image_is_background():
    np.testing.assert_array_equal(Shift(pixels=0).adapt(NOISE).sample(5), Copy().adapt(NOISE).sample(5))
    far = Shift(pixels=10**6).adapt(NOISE).sample(3)
    np.testing.assert_array_equal(far, np.broadcast_to(background(NOISE)[:, None, None], NOISE.shape))


def test_the_background_is_the_median_of_the_border_by_channel():
    image = np.zeros((2, 3, 3, 2), np.float32)
    image[0, ..., 0], image[0, 1, 1] = np.arange(9).reshape(3, 3) / 10, 1.0
    image[1, ..., 1] = -0.5
    image[1, 0, :, 1] = 1.0
    # The ring of the first: 0 1 2 3 5 6 7 8, whose median is 4; 3 of 8 pixels of the last are light.
    np.testing.assert_allclose(background(image), [[0.4, 0.0], [0.0, -0.5]], atol=1e-7)
    for thin in (image[:, :1], image[:, :, :1]):
        assert background(thin).shape == (2, 2)


def test_the_identity_map_keeps_a_constant_image():
    for level in (-1.0, -0.3, 0.2, 1.0):
        images = np.full((2, 8, 11, 3), level, np.float32)
        np.testing.assert_allclose(STILL.adapt(images).sample(2), images, atol=1e-6)


def test_the_identity_map_is_a_slight_blur():
    """Up by 4 with linear weights and averaged back: 1/8, 3/4, 1/8 along each axis."""
    weights = np.array([0.125, 0.75, 0.125])
    # One channel would be a drawing, three are not.
    image = np.repeat(dots((4, 4)), 3, axis=-1)
    wanted = -np.ones((9, 9))
    wanted[3:6, 3:6] += 2 * np.outer(weights, weights)
    for channel in np.moveaxis(STILL.adapt(image).sample(1)[0], -1, 0):
        np.testing.assert_allclose(channel, wanted, atol=1e-6)


def test_the_identity_map_hardly_changes_a_blurred_image():
    rows, columns = np.indices((16, 16)) / 15
    image = (0.6 * np.sin(3 * rows) * np.cos(2 * columns)).astype(np.float32)[None, ..., None]
    np.testing.assert_allclose(STILL.adapt(image).sample(1), image, atol=0.02)


def test_strokes_of_a_drawing_keep_their_contrast():
    """3/4 of the ink of a stroke of one pixel is left, and 1/8 beside it: (x - .25) / .5 makes it 1 and 0 again."""
    for ground in (-1.0, 1.0):
        stroke = dots(*((row, 4) for row in range(9)), ground=ground)
        np.testing.assert_allclose(STILL.adapt(stroke).sample(1), stroke, atol=1e-6)


def test_a_shift_moves_ink_by_its_draw():
    baseline = Affine(rotation=0, scale=0, shear=0, pixels=2)
    square = dots(*((r, c) for r in range(6, 9) for c in range(6, 9)), size=15)
    for index, sample in enumerate(baseline.adapt(np.repeat(square, 3, axis=-1)).sample(10, seed=5)):
        moved = 2 * first_draw(5, index).uniform(-1, 1, 5)[3:]
        np.testing.assert_allclose(centre_of_ink(sample[..., :1]), moved, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "drawn", "matrix"),
    [
        ({"rotation": 0.25}, 0, lambda a: [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]),
        ({"scale": 0.15}, 1, lambda s: [[1 + s, 0], [0, 1 + s]]),
        ({"shear": 0.2}, 2, lambda s: [[1, 0], [s, 1]]),
    ],
)
def test_ink_moves_as_the_matrix_says(options, drawn, matrix):
    """A square off the centre, right and above: its centre of ink in (row, column), under each map alone."""
    baseline = dataclasses.replace(STILL, **options)
    square = dots(*((r, c) for r in (6, 7) for c in (19, 20)), size=28)
    before = centre_of_ink(square[0])
    np.testing.assert_allclose(before, [-7, 6])
    for index, sample in enumerate(baseline.adapt(np.repeat(square, 3, axis=-1)).sample(8, seed=2)):
        amount = first_draw(2, index).uniform(-1, 1, 5)[drawn] * next(iter(options.values()))
        np.testing.assert_allclose(centre_of_ink(sample[..., :1]), np.array(matrix(amount)) @ before, atol=0.01)


def test_a_positive_angle_turns_counter_clockwise():
    """A quarter: what was right of the centre is above it."""
    image = NOISE[:1, :, :9]
    back = np.array([[[0.0, 1.0], [-1.0, 0.0]]])
    turned = warp(image, back, np.zeros((1, 2)))
    np.testing.assert_allclose(turned, np.rot90(warp(image, np.eye(2)[None], np.zeros((1, 2))), axes=(1, 2)), atol=1e-5)
    turn = dataclasses.replace(STILL, rotation=np.pi / 2).adapt(np.repeat(dots((4, 7)), 3, -1)).sample(40, seed=0)
    angles = np.array([first_draw(0, i).uniform(-1, 1, 5)[0] for i in range(40)])
    assert centre_of_ink(turn[angles.argmax()][..., :1])[0] < -2.5, "above"
    assert centre_of_ink(turn[angles.argmin()][..., :1])[0] > 2.5, "below"


def test_a_shift_beyond_the_image_leaves_its_background():
    gone = warp(NOISE, np.tile(np.eye(2), (3, 1, 1)), np.full((3, 2), 50.0))
    np.testing.assert_allclose(gone, np.broadcast_to(background(NOISE)[:, None, None], NOISE.shape), atol=1e-6)


def test_large_pictures_are_warped_in_parts_with_the_same_result(monkeypatch):
    whole = Affine().adapt(NOISE).sample(7, seed=4)
    monkeypatch.setattr("meta_gan.protocol.baselines.CHUNK", 2 * 16 * NOISE[0].size)
    np.testing.assert_array_equal(Affine().adapt(NOISE).sample(7, seed=4), whole)


def test_drawings_are_nearly_black_and_white_with_grey_at_edges():
    stroke = dots(*((row, 4) for row in range(9)))
    assert is_drawing(stroke) and is_drawing(-stroke) and is_drawing(np.full((1, 3, 3, 1), -1.0))
    assert not is_drawing(np.repeat(stroke, 3, axis=-1)), "one channel only"
    soft = stroke.copy()
    soft[0, :, (3, 5)] = 0.0
    assert is_drawing(soft), "2 of 9 columns are grey, all beside the stroke"
    assert not is_drawing(np.where(np.indices((9, 9))[1] < 4, 0.0, stroke[0, ..., 0])[None, ..., None]), "4 of 9 are"
    patch = np.pad(np.full((1, 3, 3, 1), -0.2), ((0, 0), (3, 3), (3, 3), (0, 0)), constant_values=-1)
    assert not is_drawing(patch), "9 grey pixels of 81, but no step of half the range"
    assert not is_drawing(NOISE[..., :1]), "steep, but grey"


def test_drawings_are_recognised_by_the_whole_support():
    """A stroke with 18 grey pixels beside it, and a blot of one flat grey pixel: 1 of 19 is away from an edge."""
    soft, blot = dots(*((row, 4) for row in range(9))), dots()
    soft[0, :, (3, 5)], blot[0, 4, 4] = 0.0, -0.2
    assert is_drawing(soft) and not is_drawing(blot)
    assert is_drawing(np.concatenate([soft, blot]))


@pytest.mark.parametrize("baseline", BASELINES, ids=repr)
def test_an_image_depends_on_seed_and_index_only(baseline):
    adapted = baseline.adapt(NOISE, steps=3, seed=1)
    many = adapted.sample(20, seed=2)
    assert many.dtype == np.float32 and many.shape == (20, 9, 10, 2) and np.abs(many).max() <= 1
    for count in (1, 5):
        np.testing.assert_array_equal(adapted.sample(count, seed=2), many[:count])
    np.testing.assert_array_equal(baseline.adapt(NOISE).sample(20, seed=2), many)
    moving = baseline in (Shift(), Affine())
    for seed in (3, -2):
        assert np.any(adapted.sample(20, seed=seed) != many) == moving
    assert (len(np.unique(many[::3], axis=0)) > 1) == moving


def test_equality():
    assert Shift(2) == Shift() != Shift(1) and hash(Affine()) == hash(Affine())
    with pytest.raises(dataclasses.FrozenInstanceError):
        Shift().pixels = 3
    with pytest.raises(TypeError, match="abstract"):
        Baseline()


@pytest.mark.parametrize("baseline", BASELINES, ids=repr)
def test_bad_arguments_are_refused(baseline):
    for bad in (NOISE[0], NOISE[:0], NOISE * 2, np.full_like(NOISE, np.nan), NOISE.astype(int), None):
        with pytest.raises(ValueError, match="Received"):
            baseline.adapt(bad)
    adapted = baseline.adapt(NOISE)
    for count, seed in ((0, 0), (1.5, 0), (1, 2**31), (1, None)):
        with pytest.raises(ValueError, match=r"must be .* Received"):
            adapted.sample(count, seed=seed)


@pytest.mark.parametrize("options", [{"rotation": -0.1}, {"scale": 1.0}, {"shear": np.nan}, {"pixels": np.inf}])
def test_bad_ranges_are_refused(options):
    with pytest.raises(ValueError, match=r"must be a finite number >= 0.*Received"):
        Affine(**options)


@pytest.mark.parametrize("pixels", [-1, 1.5, None])
def test_bad_shifts_are_refused(pixels):
    with pytest.raises(ValueError, match=r"pixels. must be"):
        Shift(pixels)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "drawn"),
    [("omniglot28", 1.0), ("mnist", 1.0), ("kmnist_test", 1.0), ("usps", 1.0), ("fashion_mnist", 0.0)],
)
def test_drawings_are_told_from_photographs(data_folder, name, drawn):
    source = from_npz(data_folder / f"{name}.npz").source
    draw = np.random.default_rng(0)
    supports = [
        draw.choice(np.flatnonzero(source.labels == kind), 5, replace=False)
        for kind in draw.choice(len(source.class_names), 60)
    ]
    assert abs(np.mean([is_drawing(to_float(source.images[chosen])) for chosen in supports]) - drawn) < 0.05
