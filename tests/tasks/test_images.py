"""`load_support`: a user's pictures in the shape and polarity of a model."""

from __future__ import annotations

import numpy as np
import pytest

from meta_gan.tasks import DataError, load_support
from meta_gan.tasks.pixels import to_float
from tests.tasks.helpers import square, write_image

SHAPE = (12, 12, 1)


@pytest.fixture
def light(tmp_path):
    for index in range(3):
        write_image(tmp_path / "light" / f"{index}.png", square(12, 0, 250 + index))
    return tmp_path / "light"


@pytest.fixture
def dark(tmp_path):
    for index in range(3):
        write_image(tmp_path / "dark" / f"{index}.png", square(12, 255, index))
    return tmp_path / "dark"


def test_pictures_of_the_right_shape_are_read_exactly_and_in_order(light):
    support = load_support(light, SHAPE)
    expected = to_float(np.stack([square(12, 0, 250 + index) for index in range(3)])[..., None])
    assert support.images.dtype == np.float32
    np.testing.assert_array_equal(support.images, expected)
    assert support.files == ["0.png", "1.png", "2.png"]


def test_it_is_a_plain_triple(light):
    images, message, files = load_support(light, SHAPE)
    assert images.shape == (3, 12, 12, 1)
    assert isinstance(message, str)
    assert len(files) == 3


def test_auto_inverts_ink_on_paper_and_reports_it(dark):
    support = load_support(dark, SHAPE, polarity="light-on-dark")
    expected = to_float(np.stack([square(12, 0, 255 - index) for index in range(3)])[..., None])
    np.testing.assert_array_equal(support.images, expected)
    assert support.message == (
        f"{dark}: 3 of 3 images are dark-on-light, the model's data are light-on-dark: inverted "
        "(invert='no', or --invert no, keeps them as they are)"
    )


def test_auto_keeps_the_same_polarity_and_reports_it(dark, light):
    for folder, polarity in ((dark, "dark-on-light"), (light, "light-on-dark")):
        support = load_support(folder, SHAPE, polarity=polarity)
        np.testing.assert_array_equal(support.images, load_support(folder, SHAPE, invert="no").images)
        assert support.message == f"{folder}: 3 of 3 images are {polarity}, like the model's data: not inverted"


def test_auto_inverts_light_on_dark_for_a_model_of_ink_on_paper(light):
    support = load_support(light, SHAPE, polarity="dark-on-light")
    np.testing.assert_array_equal(support.images, -load_support(light, SHAPE, invert="no").images)
    assert "inverted (invert='no'" in support.message


def test_yes_and_no_do_as_they_say_without_a_message(dark):
    kept, inverted = (load_support(dark, SHAPE, invert=invert) for invert in ("no", "yes"))
    assert kept.message is None
    assert inverted.message is None
    np.testing.assert_array_equal(inverted.images, -kept.images)
    assert kept.images[0, 0, 0, 0] == 1.0


def test_the_majority_decides(tmp_path):
    write_image(tmp_path / "a.png", square(12))
    for name in ("b", "c"):
        write_image(tmp_path / f"{name}.png", square(12, 255, 0))
    assert "2 of 3 images are dark-on-light" in load_support(tmp_path, SHAPE).message


def test_no_clear_polarity_is_left_alone_and_said(tmp_path):
    write_image(tmp_path / "a.png", square(12))
    write_image(tmp_path / "b.png", square(12, 255, 0))
    support = load_support(tmp_path, SHAPE)
    assert support.message.endswith("no clear polarity (1 light-on-dark, 1 dark-on-light): not inverted")
    assert support.images[0, 0, 0, 0] == -1.0


def test_an_unknown_polarity_of_the_model_inverts_nothing(dark):
    support = load_support(dark, SHAPE, polarity=None)
    assert support.message is None
    assert support.images[0, 0, 0, 0] == 1.0


def test_a_photo_of_paper(tmp_path):
    # Grey paper, darker at the edges, one dark stroke: padded with paper, shrunk by area, inverted.
    photo = np.full((120, 160, 3), 215, np.uint8)
    photo[:10], photo[-10:] = 190, 190
    photo[30:90, 70:90] = 25
    write_image(tmp_path / "photo.jpg", photo, quality=95)
    support = load_support(tmp_path, (28, 28, 1))
    assert support.images.shape == (1, 28, 28, 1)
    assert "inverted" in support.message
    assert support.images[0, 14, 14, 0] > 0.7
    assert support.images[0, 0, 0, 0] < -0.4
    assert support.images[0, 14, 3, 0] < -0.6


def test_black_and_white_ink_on_a_transparent_ground_look_the_same(tmp_path):
    for ink in (0, 255):
        pixels = np.zeros((12, 12, 4), np.uint8)
        pixels[3:9, 3:9] = (ink, ink, ink, 255)
        write_image(tmp_path / str(ink) / "a.png", pixels)
    first, second = (load_support(tmp_path / str(ink), SHAPE).images for ink in (0, 255))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first[0, ..., 0], to_float(square(12)))


def test_grey_becomes_three_channels_and_colour_one(tmp_path):
    colour = np.zeros((12, 12, 3), np.uint8)
    colour[3:9, 3:9] = (255, 0, 0)
    write_image(tmp_path / "a.png", colour)
    write_image(tmp_path / "b.png", square(12))
    three = load_support(tmp_path, (12, 12, 3)).images
    assert three[0, 5, 5].tolist() == [1.0, -1.0, -1.0]
    assert three[1, 5, 5].tolist() == [1.0, 1.0, 1.0]
    one = load_support(tmp_path, SHAPE).images
    # Luminance of red: 76 / 127.5 - 1.
    np.testing.assert_allclose(one[0, 5, 5, 0], 76 / 127.5 - 1, atol=1e-6)


def test_pictures_of_different_sizes(tmp_path):
    for side in (8, 12, 100):
        write_image(tmp_path / f"{side:03}.png", square(side))
    images = load_support(tmp_path, SHAPE).images
    assert images.shape == (3, 12, 12, 1)
    assert (images[:, 5, 5, 0] > 0.99).all()
    assert (images[:, 0, 0, 0] == -1).all()


def test_one_file_is_a_support_set_of_one(light):
    support = load_support(light / "1.png", SHAPE)
    assert support.files == ["1.png"]
    assert support.images.shape == (1, 12, 12, 1)


@pytest.mark.parametrize("key", ["images", "support"])
def test_arrays_are_taken_as_they_are(tmp_path, key):
    images = np.random.default_rng(0).uniform(-1, 1, (4, 12, 12, 1)).astype(np.float32)
    images[:, 0] = 1.0
    np.savez(tmp_path / "set.npz", **{key: images})
    support = load_support(tmp_path / "set.npz", SHAPE, polarity="light-on-dark")
    np.testing.assert_array_equal(support.images, images)
    assert support[1:] == (None, ["set.npz"])


def test_arrays_of_bytes_without_a_channel_axis(tmp_path):
    np.savez(tmp_path / "set.npz", images=np.stack([square(12)] * 2))
    support = load_support(tmp_path / "set.npz", SHAPE, invert="yes")
    np.testing.assert_array_equal(support.images[0, ..., 0], -to_float(square(12)))


def test_arrays_of_another_shape(tmp_path):
    np.savez(tmp_path / "set.npz", support=np.zeros((2, 10, 12, 1), np.float32))
    with pytest.raises(DataError, match=r"set.npz:support' must have shape \[n, 12, 12, 1\].*shape \(2, 10, 12, 1\)"):
        load_support(tmp_path / "set.npz", SHAPE)


def test_an_archive_without_the_arrays(tmp_path):
    np.savez(tmp_path / "set.npz", pictures=np.zeros(3))
    with pytest.raises(DataError, match=r"must hold the array images or support. Received: \['pictures'\]"):
        load_support(tmp_path / "set.npz", SHAPE)


def test_a_folder_without_images_lists_its_content(tmp_path):
    (tmp_path / "notes.txt").write_text("no pictures here")
    with pytest.raises(DataError, match=r"must hold at least 1 image file \(.png.*Received: \['notes.txt'\]"):
        load_support(tmp_path, SHAPE)


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must be a folder of images or a .npz file. Received: .*nowhere"):
        load_support(tmp_path / "nowhere", SHAPE)


def test_a_broken_file_among_good_ones_is_named(light):
    (light / "9.png").write_bytes((light / "0.png").read_bytes()[:40])
    with pytest.raises(DataError, match=r"9.png: must be a whole image"):
        load_support(light, SHAPE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"invert": "maybe"}, "'invert' must be one of 'auto', 'yes', 'no'. Received: 'maybe'"),
        ({"invert": True}, "'invert' must be one of"),
        (
            {"polarity": "dark"},
            "'polarity' must be one of 'light-on-dark', 'dark-on-light', None. Received: 'dark'",
        ),
    ],
)
def test_arguments_out_of_range_are_refused_before_anything_is_read(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        load_support(tmp_path / "nowhere", SHAPE, **arguments)
