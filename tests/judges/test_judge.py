"""Judges: feature networks that are never part of a loss."""

import keras
import pytest

from meta_gan import loading, storage
from meta_gan.features import FeatureNetwork, load, shipped_names
from meta_gan.judges import Judge, load_judge, shipped_judges


def mean_level():
    """A network whose one feature is the mean of the image."""
    return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.GlobalAveragePooling2D()], name="mean")


def test_an_objective_is_no_judge(tmp_path, monkeypatch):
    objective = FeatureNetwork(mean_level(), "m", {"purpose": "objective"})
    monkeypatch.setattr(loading, "shipped_root", lambda: tmp_path)
    objective.save(tmp_path / "judges" / "m")
    Judge(mean_level(), "j").save(tmp_path / "judges" / "j")
    assert "is never a judge" in (tmp_path / "judges" / "m" / storage.CARD).read_text()
    assert type(load("m")) is FeatureNetwork and load("m").card["purpose"] == "objective"
    assert shipped_names() == ["j", "m"] and shipped_judges() == ["j"] and shipped_names("objective") == ["m"]
    for make in (lambda: load_judge("m"), lambda: Judge(mean_level(), "m", {"purpose": "objective"})):
        with pytest.raises(ValueError, match=r"a judge must never have been the objective.*Received: 'm'"):
            make()
