"""Rendering: which code points are kept, and how a glyph is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from meta_gan.tasks.readers import glyph_set
from meta_gan.tasks.readers.glyph_set import (
    FACES,
    distinct_code_points,
    inverse_map,
    render,
    shared_code_points,
    variation,
)

FEW = (0x21, 0x41, 0x42, 0x4D, 0x3A9)


def test_the_faces_are_twelve_different_ones():
    assert len(set(FACES)) == 12


def test_shared_code_points_hold_the_alphabets_in_order():
    shared = shared_code_points()
    assert shared == sorted(set(shared))
    assert set(map(ord, "AZaz09ÄßΩжЯ€")) <= set(shared)
    assert len(shared) > 2000


def test_look_alikes_are_merged_into_the_first():
    kept = set(distinct_code_points())
    # A and O in Latin, Greek and Cyrillic; Gamma; ohm and omega; Kelvin and K; micro and mu.
    assert {0x41, 0x4F, 0x393, 0x3A9, 0x4B, 0xB5} <= kept
    assert not {0x391, 0x410, 0x39F, 0x41E, 0x413, 0x2126, 0x212A, 0x3BC} & kept


def test_no_two_classes_look_the_same_in_half_of_the_faces():
    fonts = [glyph_set._load(face, glyph_set.COMPARED_SIZE) for face in FACES[:6]]
    looks = []
    for code_point in distinct_code_points():
        masks = [glyph_set._mask(font, code_point) for font in fonts]
        looks.append(tuple((mask.shape, mask.tobytes()) for mask in masks))
    assert len(set(looks)) == len(looks)


def test_similar_but_different_characters_are_kept():
    assert set(map(ord, "BВ8ßβlI1")) - set(distinct_code_points()) == {ord("В")}


def test_blanks_are_dropped():
    assert not {0x20, 0xA0, 0x2003, 0x200B} & set(distinct_code_points())


def test_rendering_is_a_function_of_its_arguments():
    first, second = render(FEW[:2], 28, 28, 0), render(FEW[:2], 28, 28, 0)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, render(FEW[:2], 28, 28, 1))


def test_a_glyph_does_not_depend_on_the_others():
    together, alone = render(FEW, 20, 20, 3), render(FEW[2:3], 20, 20, 3)
    np.testing.assert_array_equal(together[2], alone[0])


def test_ink_is_centred_up_to_the_shift():
    images = render(FEW[1:4], 28, 28, 0).astype(float)
    rows, columns = np.mgrid[:28, :28] + 0.5
    for axis, middle in ((rows, 14), (columns, 14)):
        centres = (images * axis).sum(axis=(2, 3)) / images.sum(axis=(2, 3))
        # One pixel of shift, and A and B carry more ink on one side.
        assert np.abs(centres - middle).max() < 3.5


def test_bold_has_more_ink():
    # Over many letters, because the scale of each image varies by a tenth either way.
    ink = render(tuple(range(0x41, 0x5B)), 28, 28, 0).astype(float).sum(axis=(0, 2, 3))
    for regular, bold in ((0, 1), (4, 5), (8, 9)):
        assert ink[bold] > 1.2 * ink[regular]


def test_glyphs_fill_every_size_equally():
    small, large = (render((0x4D,), side, side, 0).mean() / 255 for side in (16, 96))
    assert abs(small - large) < 0.25 * large


def test_variation_is_within_its_range_and_fills_it():
    values = np.array([variation(0, point, face) for point in range(60) for face in range(12)])
    low = np.array([-0.08, 0.9, 0.9, -0.05, -1 / 28, -1 / 28])
    high = np.array([0.08, 1.1, 1.1, 0.05, 1 / 28, 1 / 28])
    assert (values >= low).all()
    assert (values <= high).all()
    np.testing.assert_allclose(values.min(axis=0), low, atol=0.02 * (high - low).max())
    np.testing.assert_allclose(values.max(axis=0), high, atol=0.02 * (high - low).max())


def test_variation_is_keyed_by_all_three():
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)]
    assert len({tuple(variation(*key)) for key in keys}) == 5
    np.testing.assert_array_equal(variation(5, 65, 3), variation(5, 65, 3))


STILL = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 0.0])


def test_the_map_without_variation_only_centres():
    # A glyph 4 high and 6 wide in 10 x 20: its left top lands at column 7, row 3.
    assert inverse_map(STILL, (10, 20), (4, 6), 1.0) == pytest.approx((1, 0, -7, 0, 1, -3))


def test_the_map_of_scale_and_shift_by_hand():
    values = np.array([0.0, 2.0, 1.0, 0.0, 0.1, 0.0])
    # Column x shows the glyph's 3 + (x - 10 - .1 * 20) / 2 = x / 2 - 3.
    assert inverse_map(values, (10, 20), (4, 6), 1.0)[:3] == pytest.approx((0.5, 0, -3))


def test_the_map_of_a_quarter_turn_by_hand():
    values = np.array([np.pi / 2, 1.0, 1.0, 0.0, 0.0, 0.0])
    a, b, c, d, e, f = inverse_map(values, (10, 10), (4, 4), 1.0)
    # One to the right of the centre shows what was one above the glyph's centre (rows grow downwards).
    assert (a * 6 + b * 5 + c, d * 6 + e * 5 + f) == pytest.approx((2, 1))


def test_a_glyph_too_large_is_shrunk(monkeypatch):
    monkeypatch.setattr(glyph_set, "EM", 3.0)
    images = render((0x4D,), 28, 28, 0)
    assert images[:, :, 0].sum() == 0
    assert images.max() == 255
