"""The checks at the door."""

import numpy as np
import pytest

from meta_gan.checks import check_examples, check_integer, check_support

SHAPE = (2, 2, 1)


def test_bytes_are_levels():
    """0, 127.5 and 255 are -1, 0 and 1; the nearest bytes to the middle are one half level off it."""
    levels = np.array([0, 127, 128, 255], np.uint8).reshape(1, *SHAPE)
    got = check_examples(levels, SHAPE)
    np.testing.assert_allclose(got.ravel(), [-1, -1 / 255, 1 / 255, 1], rtol=1e-5)
    assert got.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_stay_and_a_rounding_outside_is_clipped(dtype):
    values = np.array([-1.0005, -1, 0.5, 1.0005], dtype).reshape(1, *SHAPE)
    got = check_examples(values, SHAPE)
    np.testing.assert_array_equal(got.ravel(), np.float32([-1, -1, 0.5, 1]))
    assert got.dtype == np.float32


DOMAINS = {"source": SHAPE, "target": (3,)}


def test_a_support_set_of_domains_is_checked_domain_by_domain():
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
            r"`support\['target'\]` must have shape \[n, 3\]",
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
def test_refused_with_the_arguments_name(name):
    examples, message = BAD[name]
    with pytest.raises(ValueError, match=message) as error:
        check_examples(examples, SHAPE, argument="shots")
    assert "`shots`" in str(error.value)


@pytest.mark.parametrize("value", [0, np.int64(7), -(2**31), 2**31 - 1])
def test_integers_of_32_bits_pass(value):
    assert check_integer(value, "n") == value and type(check_integer(value, "n")) is int


@pytest.mark.parametrize("value", [True, 1.0, "1", None, 2**31, -(2**31) - 1, np.array([1])])
def test_others_are_refused(value):
    with pytest.raises(ValueError, match=r"`n` must be a whole number in .*Received"):
        check_integer(value, "n")


def test_the_least_value():
    assert check_integer(0, "steps", 0) == 0
    with pytest.raises(ValueError, match=r"`steps` must be a whole number in \[0, 2\^31\). Received: -1"):
        check_integer(-1, "steps", 0)


def test_levels_are_of_pictures():
    """A one-hot text of uint8 would be read as nearly nothing."""
    with pytest.raises(ValueError, match=r"`support` of sounds or texts must be floating point.*Received: uint8"):
        check_examples(np.ones((2, 8, 3), np.uint8), (8, 3))
