"""The mixin that reads a configuration from the fields."""

import dataclasses

from meta_gan.losses.base import Configured


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
