"""The report of a plane: where a curve crosses people's diversity, the table, and the picture."""

import json

import numpy as np
import pytest
from PIL import Image

from meta_gan.report import PlaneReport, save_plane
from meta_gan.report.plane import recognised_at


def scores(diversity, recognisability):
    ends = {"low": None, "high": None}
    return {"diversity": {"mean": diversity, **ends}, "recognisability": {"mean": recognisability, **ends}}


CONTENT = {
    "protocol": {
        "task": "A", "form": "full", "data": "drawings", "split": "test", "classes": 30, "draws": 1, "samples": 20,
        "ways": 20, "seed": 0,
    },
    "judges": {"diversity": "d" * 64, "recognisability": "r" * 64},
    "people": scores(1.0, 0.97),
    "curves": {
        "shift": {"pixels=1": scores(0.3, 0.99)},
        "flow": {"guidance=1": scores(1.4, 0.7), "guidance=2": scores(0.9, 0.95)},
        "narrow": {"temperature=1": scores(0.5, 1.0), "temperature=2": scores(0.75, 0.9)},
    },
    "models": {"flow": {}, "narrow": {}},
}  # fmt: skip


@pytest.mark.parametrize(("diversity", "value"), [(1.0, 0.9), (0.9, 0.95), (1.4, 0.7), (0.89, None), (1.41, None)])
def test_recognisability_is_interpolated_within_a_curve(diversity, value):
    assert recognised_at(CONTENT["curves"]["flow"], diversity) == (value and pytest.approx(value))


def test_two_points_of_one_diversity_do_not_divide_by_zero():
    assert recognised_at({"a": scores(1.0, 0.5), "b": scores(1.0, 0.7)}) is None


def test_the_table(tmp_path):
    report = PlaneReport.from_dict(CONTENT)
    text = report.to_markdown()
    assert "| flow | guidance=2 | 0.900 | 0.950 |" in text and "| people | | 1.000 | 0.970 |" in text
    assert "- flow at people's diversity, interpolated: recognisability 0.900." in text
    assert "- narrow at people's diversity, interpolated: outside of its curve." in text
    assert "- shift at" not in text, "a single point is no curve"
    paths = report.write(tmp_path)
    assert json.loads(paths[0].read_text("utf-8")) == CONTENT


def test_a_score_without_its_ends_is_refused():
    broken = {**CONTENT, "people": {"diversity": {"mean": 1.0}, "recognisability": {"mean": 1.0}}}
    with pytest.raises(ValueError, match=r"'report.people.diversity' must have the key 'low'"):
        PlaneReport.from_dict(broken)


def test_the_picture_has_a_colour_for_each_model(tmp_path):
    save_plane(tmp_path / "plane.png", PlaneReport.from_dict(CONTENT))
    levels = np.asarray(Image.open(tmp_path / "plane.png").convert("RGB")).reshape(-1, 3)
    colours = {tuple(int(value) for value in colour) for colour in np.unique(levels, axis=0)}
    assert {(0x2F, 0x7D, 0xE1), (0xD9, 0x69, 0x0F)} <= colours and (0x15, 0x9A, 0x50) not in colours
