"""Builders of reports and galleries with distinct numbers, and a parser of a rendered page."""

from __future__ import annotations

import base64
import copy
import io
from html.parser import HTMLParser
from typing import Any

import numpy as np
from PIL import Image

from meta_gan.report import Report

VOID = {"meta", "img", "br"}
JUDGES = ("proto-a", "class-b")
ROWS = ("oracle", "copy", "shift", "affine", "mine", "mine, 0 steps")
STEPS = ("0", "1", "5", "10", "20", "50", "100")
CURVE_METRICS = ("energy_distance", "recognisability", "relative_diversity", "copy_rate", "support_closeness")
ENERGY = {
    "oracle": -0.005,
    "copy": 0.46,
    "shift": 0.22,
    "affine": 0.62,
    "trivial": 0.1,
    "one image repeated": 5.25,
    "wrong class": 8.26,
}


def entry(mean, half=0.02):
    """A mean with an interval around it."""
    return {"mean": mean, "low": mean - half, "high": mean + half}


def scores(energy):
    """The scores of a row; those that need many references are None."""
    found: dict[str, Any] = {
        "energy_distance": entry(energy),
        "recognisability": entry(0.912),
        "relative_diversity": entry(1.01),
        "copy_rate": {"mean": 0.0, "low": 0.0, "high": 0.0},
        "support_closeness": entry(0.86),
        "classification_gain": entry(0.067),
        "frechet_distance": {"mean": 32.61, "low": None, "high": None},
        "kernel_distance": entry(0.00034, 0.00002),
    }
    return found | dict.fromkeys(("precision", "recall", "density", "coverage"))


def model():
    """The card of a model."""
    rates = {
        rate: {"diverged": place, "collapsed": 2 * place, "adaptations": 20} for place, rate in enumerate(("0.1", "1"))
    }
    return {
        "algorithm": "reptile",
        "inner_steps": 10,
        "parameters": 1234567,
        "weights_sha256": "ab" * 32,
        "training": {"steps": 20000, "rate": 0.001},
        "stability": {"share_failed": 0.075, "by_rate": rates},
    }


def content(judges=JUDGES, models=("mine",), rows=ROWS, form="full"):
    """The JSON object of a report of some judges, models and rows, and both controls."""
    controls = ("one image repeated", "wrong class")
    found: dict[str, Any] = {
        "protocol": {
            **{
                "name": "few-shot-28",
                "task": "A",
                "form": form,
                "data": "omniglot28.npz",
                "example_shape": [28, 28, 1],
            },
            **{"split": "test", "split_sha256": "5" * 64, "allocation_sha256": "a" * 64, "shots": 5, "steps": 20},
            **{"classes": 659, "draws": 1, "seed": 0, "samples": 15, "ways": 20, "pooled_count": 4613},
            "classification": {"classes": 100, "draws": 20, "seeds": 3, "per_class": 100, "ways": 20},
            "notes": ["One draw of the support."],
        },
        "judges": {
            judge: {
                **{"sha256": f"{place}f" * 32, "network": "conv4", "method": "prototypical", "augmentation": not place},
                **{"trained_on": "813 classes of omniglot28.npz", "features": 64, "validation_accuracy": 0.971},
            }
            for place, judge in enumerate(judges)
        },
        "rows": {row: {j: scores(ENERGY.get(row, 0.24 + 0.01 * len(row))) for j in judges} for row in rows},
        "controls": {row: {judge: scores(ENERGY[row]) for judge in judges} for row in controls},
        "floor": {judge: {"frechet_distance": 0.034, "kernel_distance": None, "count": 4613} for judge in judges},
        "row_info": {
            row: {"what": f"what {row} is", "classes": 659, "classification_classes": 100} for row in (*rows, *controls)
        },
        "curve": {name: {judge: curve(0.1 * n + 0.2) for judge in judges} for n, name in enumerate(models)},
        "models": {name: model() for name in models},
        "times": {
            **{"machine": "2 cores", "total_seconds": 1234.5, "rows": {row: {"ms_per_class": 12.3} for row in rows}},
            "curve": {name: {step: 2.0 + int(step) for step in STEPS} for name in models},
        },
    }
    return copy.deepcopy(found)


def report(*arguments, **options):
    """A report with the content of the same arguments."""
    return Report.from_dict(content(*arguments, **options))


def quick_content():
    """The JSON object of a report of the quick form in which many values are None."""
    found = content(form="quick")
    found["protocol"] |= {"classification": None, "notes": None, "split_sha256": None, "task": None}
    found["protocol"]["data_sha256"] = "d" * 64
    found["rows"]["copy"]["proto-a"]["energy_distance"] = None
    found["rows"]["shift"]["proto-a"]["energy_distance"] = {"mean": 0.3, "low": None, "high": None}
    found["models"]["mine"] |= {"weights_sha256": None, "stability": None}
    found["times"] = {"machine": None, "total_seconds": None, "rows": {"copy": None}, "curve": {}}
    found["none"] = {"proto-a": {"prototypical_accuracy": entry(0.87), "classification_accuracy": None}, "class-b": {}}
    found["row_info"]["mine"]["classes"], found["row_info"]["wrong class"]["classes"] = 100, 658
    return found


def curve(last):
    """Scores that fall to `last` over the steps."""
    return {metric: {step: entry(last + 2 / (1 + int(step)), 0.05) for step in STEPS} for metric in CURVE_METRICS}


def gallery(classes, shots=2, samples=3, shape=(8, 8, 1), pairs=2, seed=0):
    """Noise images of some classes, and pairs, the last of which is the nearest and a copy."""
    draw = np.random.default_rng(seed)

    def noise(*leading):
        return draw.integers(0, 256, (*leading, *shape), np.uint8)

    nearest = [
        {
            **{"class": classes[place % len(classes)], "generated": noise(), "support": noise()},
            **{"distance": float(pairs - place), "copy": place == pairs - 1},
        }
        for place in range(pairs)
    ]
    count = len(classes)
    return {
        "classes": list(classes),
        "support": noise(count, shots),
        "samples": noise(count, samples),
        "nearest": nearest,
    }


class Page(HTMLParser):
    """A parsed page: its tags with attributes, and its texts; every tag must be closed where it should be."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        """Record a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Record a tag of SVG that closes itself."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        """Check that the innermost open tag is closed."""
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        """Record a text with the tags around it."""
        if data.strip():
            self.texts.append((tuple(self.open), data.strip()))

    def all(self, tag):
        """The attributes of every tag of this name."""
        return [attributes for name, attributes in self.tags if name == tag]

    def within(self, *tags):
        """The texts inside all of these tags."""
        return [text for around, text in self.texts if set(tags) <= set(around)]

    def images(self):
        """`{alt text: pixels}`"""
        return {image["alt"]: pixels(image["src"]) for image in self.all("img")}


def pixels(uri):
    """The pixels of a data URI, uint8[height, width, channels]."""
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))))
    return found if found.ndim == 3 else found[..., None]
