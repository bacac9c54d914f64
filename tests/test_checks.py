"""The checks of arguments: what passes, and the message of what is refused."""

import warnings

import numpy as np
import pytest

from meta_gan.checks import (
    IMAGE_AXES,
    check_bool,
    check_choice,
    check_examples,
    check_finite,
    check_integer,
    check_number,
    check_range,
    check_shape,
    check_support,
    value_range_of,
)
from meta_gan.hints import did_you_mean

SHAPE = (2, 2, 1)
NAN, INFINITY = float("nan"), float("inf")


def test_bytes_become_levels():
    """0, 127.5 and 255 are -1, 0 and 1; the bytes nearest the middle are half a level away from it."""
    levels = np.array([0, 127, 128, 255], np.uint8).reshape(1, *SHAPE)
    got = check_examples(levels, SHAPE)
    np.testing.assert_allclose(got.ravel(), [-1, -1 / 255, 1 / 255, 1], rtol=1e-5)
    assert got.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_kept_and_rounding_errors_clipped(dtype):
    values = np.array([-1.0005, -1, 0.5, 1.0005], dtype).reshape(1, *SHAPE)
    got = check_examples(values, SHAPE)
    np.testing.assert_array_equal(got.ravel(), np.float32([-1, -1, 0.5, 1]))
    assert got.dtype == np.float32


DOMAINS = {"source": SHAPE, "target": (3,)}


def test_each_domain_of_a_support_set_is_checked():
    given = {"target": np.zeros((4, 3)), "source": np.full((2, *SHAPE), 255, np.uint8)}
    got = check_support(given, DOMAINS)
    assert list(got) == ["source", "target"] and got["target"].shape == (4, 3)
    np.testing.assert_array_equal(got["source"], np.ones((2, *SHAPE), np.float32))
    np.testing.assert_array_equal(check_support(given["source"], SHAPE), got["source"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((2, *SHAPE)), "a dict of 'source', 'target'. Received: ndarray"),
        ({"source": np.zeros((2, *SHAPE))}, r"""Received: \["'source'"\]"""),
        (
            {"source": np.zeros((2, *SHAPE)), "target": np.zeros((2, 4))},
            r"support\['target'\]\" must have shape \[n, 3\]",
        ),
    ],
)
def test_a_support_set_of_other_domains_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        check_support(given, DOMAINS)


BAD = {
    "no batch axis": (np.zeros(SHAPE), r"shape \[n, 2, 2, 1\] with n >= 1. Received: shape \(2, 2, 1\)"),
    "another size": (np.zeros((3, 2, 3, 1)), r"Received: shape \(3, 2, 3, 1\)"),
    "none": (np.zeros((0, *SHAPE)), r"Received: shape \(0, 2, 2, 1\)"),
    "a NaN": (np.full((1, *SHAPE), np.nan), "finite. Received: 4 values"),
    "an infinity": (np.full((1, *SHAPE), -np.inf), "finite"),
    "levels as floats": (np.full((1, *SHAPE), 255.0), r"\[-1, 1\] .*127.5 - 1.*from 255 to 255"),
    "too low": (np.full((1, *SHAPE), -1.01), "from -1.01 to -1.01"),
    "integers": (np.zeros((1, *SHAPE), np.int32), "uint8 in 0..255 or floating point.*int32"),
    "booleans": (np.zeros((1, *SHAPE), bool), "bool"),
    "text": (np.full((1, *SHAPE), "x"), "floating point"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_examples_are_refused_under_the_name_of_the_argument(name):
    examples, message = BAD[name]
    with pytest.raises(ValueError, match=message) as error:
        check_examples(examples, SHAPE, argument="shots")
    assert str(error.value).startswith("'shots' must ")


def test_bytes_are_refused_for_sounds_and_texts():
    """A one-hot text of uint8 would be read as nearly nothing."""
    with pytest.raises(ValueError, match=r"'support' of sounds or texts must be floating point.*Received: uint8"):
        check_examples(np.ones((2, 8, 3), np.uint8), (8, 3))


@pytest.mark.parametrize("value", [0, np.int64(7), -(2**31), 2**31 - 1])
def test_integers_of_32_bits_pass(value):
    assert check_integer(value, "n") == value and type(check_integer(value, "n")) is int


@pytest.mark.parametrize("value", [True, 1.0, "1", None, 2**31, -(2**31) - 1, np.array([1])])
def test_anything_but_an_int32_is_refused(value):
    with pytest.raises(ValueError, match=r"'n' must be an integer >= -2147483648 and < 2\^31. Received"):
        check_integer(value, "n")


def test_the_range_of_an_integer():
    assert check_integer(0, "steps", 0) == 0 and check_integer(5, "shots", 1, 5) == 5
    with pytest.raises(ValueError, match=r"'steps' must be an integer >= 0 and < 2\^31. Received: -1"):
        check_integer(-1, "steps", 0)
    with pytest.raises(ValueError, match=r"'shots' must be an integer >= 1 and <= 5. Received: 6"):
        check_integer(6, "shots", 1, 5)


@pytest.mark.parametrize("value", [0, 1, 2.5, np.float32(3.0), np.int64(4)])
def test_finite_numbers_pass(value):
    assert check_number(value, "weight", least=0) == value and type(check_number(value, "weight")) is float


@pytest.mark.parametrize("value", [-1, -1e-9, NAN, INFINITY, "1", None, True, [1.0], np.ones(1)])
def test_anything_but_a_finite_number_in_range_is_refused(value):
    with pytest.raises(ValueError, match=r"'weight' must be a finite number >= 0\. Received: "):
        check_number(value, "weight", least=0)


@pytest.mark.parametrize(
    ("bounds", "inside", "outside", "message"),
    [
        ({}, -1e9, -INFINITY, "'x' must be a finite number. Received: -inf"),
        ({"above": 0}, 1e-9, 0, "'x' must be a finite number > 0. Received: 0"),
        ({"least": 0, "below": 1}, 0, 1, "'x' must be a finite number >= 0 and < 1. Received: 1"),
        ({"above": 0, "most": 0.5}, 0.5, 0.6, "'x' must be a finite number > 0 and <= 0.5. Received: 0.6"),
    ],
)
def test_the_bounds_of_a_number(bounds, inside, outside, message):
    assert check_number(inside, "x", **bounds) == inside
    with pytest.raises(ValueError) as error:
        check_number(outside, "x", **bounds)
    assert str(error.value) == message


def test_a_choice():
    assert check_choice("a", "kind", ("a", "b")) == "a" and check_choice(2, "order", {1: "first", 2: "second"}) == 2
    for value in ("c", None, ["a"]):
        with pytest.raises(ValueError, match=r"'kind' must be one of 'a', 'b'\. Received: "):
            check_choice(value, "kind", ("a", "b"))


def test_a_misspelt_choice_is_answered_with_the_nearest_one():
    assert did_you_mean("heune", ("euler", "heun")) == ". Did you mean 'heun'?"
    assert did_you_mean("x", ("euler", "heun")) == did_you_mean(3, (3, 4)) == did_you_mean("a", (1, None)) == ""
    with pytest.raises(ValueError, match=r"Received: 'heune'\. Did you mean 'heun'\?$"):
        check_choice("heune", "solver", ("euler", "heun"))


@pytest.mark.parametrize("value", [0, 1, None, "True"])
def test_a_bool(value):
    assert check_bool(True, "partial") is True and check_bool(False, "partial") is False
    with pytest.raises(ValueError, match=rf"'partial' must be True or False\. Received: {value!r}"):
        check_bool(value, "partial")


@pytest.mark.parametrize("value", [(), (0,), (2.0,), (True, 2), 5, None, "ab"])
def test_a_shape(value):
    assert check_shape([4, np.int32(2)]) == (4, 2) and check_shape((2, 2, 1), axes=IMAGE_AXES) == (2, 2, 1)
    with pytest.raises(ValueError, match=r"'example_shape' must be a tuple of one or more integers >= 1.*Received: "):
        check_shape(value)


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 0), (28, -1, 1), "abc", 28, None, (1, 2, 3, 4), ("a", 1, 1)])
def test_the_shape_of_an_image(shape):
    assert check_shape([28, np.int64(20), 3], "image_shape", IMAGE_AXES) == (28, 20, 3)
    with pytest.raises(ValueError, match=r"'image_shape' must be \(height, width, channels\), 3 integers.*Received: "):
        check_shape(shape, "image_shape", IMAGE_AXES)


def test_finite_arrays():
    array = np.arange(3.0)
    assert check_finite(array, "x") is array
    with pytest.raises(ValueError, match=r"'x' must be finite\. Received: 2 values that are NaN or infinite"):
        check_finite(np.array([NAN, 0.0, -INFINITY]), "x")


LIGHT = (np.array([128, 200, 255], np.uint8).reshape(1, 1, 3, 1) / 127.5 - 1).astype(np.float32)


@pytest.mark.parametrize(
    ("images", "value_range", "expected"),
    [
        (np.array([-0.5, 1.0]), None, (-1, 1)),
        (np.array([0.0, 1.0]), None, (0, 1)),
        (np.arange(256, dtype=np.float32) / 255, None, (0, 1)),
        (LIGHT, None, (-1, 1)),
        (np.array([0.3, 0.7]), None, (0, 1)),
        (np.array([0.3, 0.7]), (-1, 1), (-1, 1)),
        (np.array([0.3, 0.7]), [0, 1], (0, 1)),
        (np.append(LIGHT.ravel(), 0.5), None, (0, 1)),
        (np.array([-0.0004, 0.5, 1.0004]), None, (0, 1)),
    ],
)
def test_one_rule_for_the_range_of_floats(images, value_range, expected):
    assert value_range_of(images, "images", value_range) == expected


def test_unsigned_floats_of_a_support_set_are_brought_to_the_range_with_a_warning():
    unsigned = np.linspace(0, 1, 12, dtype=np.float32).reshape(1, 2, 6, 1)
    with pytest.warns(UserWarning, match=r"'support' has no negative value and is read as floats in \[0, 1\]"):
        np.testing.assert_array_equal(check_range(unsigned, (2, 6, 1)), unsigned * 2 - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(check_range(unsigned, (2, 6, 1), value_range=(0, 1)), unsigned * 2 - 1)
        assert check_range(unsigned, (2, 6, 1), value_range=(-1, 1)) is unsigned
        assert check_range(LIGHT, (1, 3, 1)) is LIGHT
        sounds = np.full((2, 8, 1), 0.5)
        assert check_range(sounds, (8, 1)) is sounds
        both = check_range({"a": LIGHT, "b": sounds}, {"a": (1, 3, 1), "b": (8, 1)})
        assert both["a"] is LIGHT and both["b"] is sounds
    with pytest.warns(UserWarning, match="no negative value"):  # as bicubic resizing leaves them
        assert check_range(unsigned * 1.001 - 0.0005, (2, 6, 1)).max() == 1.0
    with pytest.warns(UserWarning, match=r"\"support\['a'\]\" has no negative"):
        check_range({"a": unsigned}, {"a": (2, 6, 1)})


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.int16])
def test_integers_of_a_support_set_are_levels(dtype):
    levels = np.array([0, 7, 255], dtype).reshape(1, 1, 3, 1)
    made = check_range(levels, (1, 3, 1))
    assert made.dtype == np.uint8 and made.ravel().tolist() == [0, 7, 255]
    assert check_range(levels > 7, (1, 3, 1)).ravel().tolist() == [0, 0, 255]
    with pytest.raises(ValueError, match=r"'support' of integers must be levels in 0..255, not all 0 or 1"):
        check_range(np.minimum(levels, 1), (1, 3, 1))
