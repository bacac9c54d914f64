"""The mixin that reads a configuration off the fields, and the check of non-negative numbers."""

import dataclasses

import numpy as np
import pytest

from meta_gan.losses.base import Configured, require_nonnegative


@dataclasses.dataclass(frozen=True)
class _Scale(Configured):
    factor: float = 2.0
    name: str = "scale"


def test_config_is_the_fields():
    assert _Scale(3.0).get_config() == {"factor": 3.0, "name": "scale"}


def test_from_config_makes_an_equal_object():
    scale = _Scale(0.5, "half")
    assert _Scale.from_config(scale.get_config()) == scale
    assert _Scale.from_config({}) == _Scale()


@pytest.mark.parametrize("value", [0, 1, 2.5, np.float32(3.0), np.int64(4)])
def test_numbers_pass(value):
    assert require_nonnegative("weight", value) is None


@pytest.mark.parametrize("value", [-1, -1e-9, float("nan"), float("inf"), "1", None, True, [1.0]])
def test_anything_else_is_refused_with_what_was_received(value):
    with pytest.raises(ValueError, match=r"`weight` must be a finite number >= 0\. Received: weight="):
        require_nonnegative("weight", value)
