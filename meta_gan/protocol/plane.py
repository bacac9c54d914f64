"""`Plane`: one-shot generation as points on the plane of diversity and recognisability.

Each method sees one image of a class and makes 20 samples. Their diversity is the standard deviation of their features,
those of a network that was trained without labels, in units of the people's: the other real images of the class. Their
recognisability is the accuracy with which a 20-way one-shot classifier finds their class, where each class is the one
image that the methods saw. A method has one point for each of its settings, such as guidance weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from meta_gan import metrics
from meta_gan.augment import class_seed
from meta_gan.checks import check_converged, check_integer
from meta_gan.judges import Judge
from meta_gan.metrics import bootstrap_mean
from meta_gan.protocol import methods, splits
from meta_gan.protocol.allocation import Allocation, allocate, allocation_digest, class_order, opponents
from meta_gan.protocol.baselines import Affine, Repeat, Shift
from meta_gan.protocol.methods import Method
from meta_gan.protocol.output_folder import claim, load_arrays, save_arrays
from meta_gan.tasks import Source
from meta_gan.tasks.pixels import to_uint8

PEOPLE = "people"
SCORES = ("diversity", "recognisability")
SHOWN_CLASSES, SHOWN_SAMPLES = 8, 10
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Curve:
    """A method with one point for each of its settings.

    Attributes:
        name: of the method.
        points: by setting, such as "guidance=2", a `MetaModel`, or an object whose `adapt(support, steps=, seed=)` has
            `sample(count, seed=)`.
        card: further JSON values for the report.
    """

    name: str
    points: Mapping[str, Any]
    card: Mapping[str, Any] = field(default_factory=dict)


def _affine(strength: float) -> Affine:
    own = Affine()
    return Affine(*(strength * limit for limit in (own.rotation, own.scale, own.shear, own.pixels)))


PLAIN = (
    Curve("one image repeated", {"": Repeat()}),
    Curve("shift", {f"pixels={pixels}": Shift(pixels) for pixels in (1, 2, 4)}),
    Curve("affine", {f"strength={strength:g}": _affine(strength) for strength in (0.5, 1.0, 1.5, 2.0, 3.0)}),
)
"""The methods without a model."""


@dataclass(frozen=True)
class PlaneSettings:
    """The settings of a plane.

    Attributes:
        split: split of the evaluated classes, train, validation or test.
        classes: number of classes, from the start of the protocol's order, >= 2; None for all.
        draws: number of draws of the image that the methods see, >= 1.
        samples: samples of each class, >= 2.
        ways: number of classes among which a sample is recognised, >= 2; all if fewer are evaluated.
        seed: of adaptation and sampling, >= 0.
        quick: whether this is the quick form, of at most 100 classes; the report is marked accordingly.

    Raises:
        ValueError: a value is out of range.
    """

    split: str = "test"
    classes: int | None = None
    draws: int = 1
    samples: int = 20
    ways: int = 20
    seed: int = 0
    quick: bool = False

    def __post_init__(self) -> None:
        for name, least in (("draws", 1), ("samples", 2), ("ways", 2), ("seed", 0)):
            check_integer(getattr(self, name), name, least)
        if self.classes is not None:
            check_integer(self.classes, "classes", 2)


class Plane:
    """The points of models and plain augmentations; checked before any compute, kept on disk point by point.

    Args:
        source: labelled images, split by class.
        curves: the models, with different names; may be empty.
        diversity: the judge whose features diversity is measured in.
        recognition: the judge that recognises samples.
        settings: of the plane.
        out: folder for results: absent, empty, or of the same plane, which is then resumed.

    Raises:
        ValueError: a model or judge takes other images or was trained on evaluated classes; a class has fewer than
            3 images; or the split has a single class.

    Example:
        >>> curve = Curve("flow", {f"guidance={w}": meta_gan.load("flow", sampling={"guidance": w}) for w in (1, 2)})
        >>> content = Plane(source, [curve], diversity, recognition, PlaneSettings(), "out").run()

    References:
        Boutin et al., Diversity vs. Recognizability: Human-like generalization in one-shot generative models, 2022;
        Boutin et al., Diffusion Models as Artists: Are we Closing the Gap between Humans and Machines?, 2023. The
        departure: judges that this project trained, so a figure here can only be read beside others from here.
    """

    def __init__(
        self,
        source: Source,
        curves: Sequence[Curve],
        diversity: Judge,
        recognition: Judge,
        settings: PlaneSettings,
        out: str | os.PathLike[str],
    ):
        self.source, self.settings, self.folder = source, settings, Path(out)
        self.diversity, self.recognition, self.models = diversity, recognition, list(curves)
        self.curves = [*PLAIN, *curves]
        self.classes = class_order(source, settings.split)[: settings.classes]
        if len(self.classes) < 2:
            raise ValueError(f"{source.name}: the {settings.split} split must have at least 2 classes. Received: 1")
        # The other fixed rows are checked with the models.
        if PEOPLE in [curve.name for curve in curves]:
            raise ValueError(f"models must have other names than the fixed row {PEOPLE!r}. Received: {PEOPLE!r}")
        if empty := [curve.name for curve in curves if not curve.points]:
            raise ValueError(f"'points' of a curve must be one or more. Received: none for {empty[0]!r}")
        first = [Method(curve.name, next(iter(curve.points.values()))) for curve in curves]
        methods.check_comparable(source, self.classes, settings.split, first, [diversity, recognition])
        self.allocations = [allocate(source, self.classes, 1, draw) for draw in range(settings.draws)]
        names = self.allocations[0].names
        self.ways = [opponents(names, place, settings.ways) for place in range(len(names))]
        self.description = self._describe()

    def _describe(self) -> dict[str, Any]:
        settings, source = self.settings, self.source
        return {
            "task": splits.recognise_task(source),
            "form": "quick" if settings.quick else "full",
            "data": source.name,
            "data_sha256": splits.data_digest(source),
            "split": settings.split,
            "split_sha256": splits.split_digest(source),
            "allocation_sha256": allocation_digest(source, self.classes, 1, settings.draws),
            "classes": len(self.classes),
            "draws": settings.draws,
            "samples": settings.samples,
            "ways": len(self.ways[0]),
            "seed": settings.seed,
        }

    def run(self, progress: Progress = lambda stage, done, total: None) -> dict[str, Any]:
        """Measure the points that are absent, and return the content of a `report.PlaneReport`.

        Args:
            progress: called with the name of a point, and the numbers of classes done and of all.

        Raises:
            ValueError: the folder has other contents or another plane, or the images of every class are equal.
            DamagedFileError: a point on disk is damaged.
            DivergenceError: an adapted weight or a sample is not finite.
        """
        cards = {curve.name: {**curve.card, "settings": list(curve.points)} for curve in self.models}
        judges = {name: judge.sha256 for name, judge in zip(SCORES, (self.diversity, self.recognition), strict=True)}
        # Lists: files are named by the positions in them.
        order = [[curve.name, list(curve.points)] for curve in self.curves]
        claim(self.folder, {"protocol": self.description, "models": cards, "judges": judges, "curves": order})
        people = self._point("people", self._people, progress)
        unit = float(people["deviation"].mean())
        if unit == 0:
            raise ValueError(
                f"{self.source.name}: the images of a class must differ in the features of the judge of diversity. "
                "Received: no class whose images do"
            )
        curves: dict[str, Any] = {}
        for number, curve in enumerate(self.curves):
            for place, (setting, model) in enumerate(curve.points.items()):
                label = f"{curve.name} {setting}".strip()
                make = self._maker(model, label)
                found = self._point(f"{number}-{place}", make, progress, label)
                curves.setdefault(curve.name, {})[setting] = _scores(found, unit)
        return {
            "protocol": self.description,
            "judges": judges,
            PEOPLE: _scores(people, unit),
            "curves": curves,
            "models": cards,
        }

    def gallery(self) -> dict[str, dict[str, np.ndarray]]:
        """Return the samples of the first classes at every point of every curve, after `run`.

        Returns:
            {method: {setting: uint8[classes, 1 + samples, height, width, channels]}}, of at most 8 classes the image
            seen and at most 10 samples.

        Raises:
            DamagedFileError: a point is absent or damaged.
        """
        seen = np.stack(self.allocations[0].images("support"))[:SHOWN_CLASSES]
        shown: dict[str, dict[str, np.ndarray]] = {}
        for number, curve in enumerate(self.curves):
            for place, setting in enumerate(curve.points):
                samples = load_arrays(self._path(f"{number}-{place}"))["samples"]
                shown.setdefault(curve.name, {})[setting] = np.concatenate([seen, samples], axis=1)
        return shown

    def _people(self, draw: int, position: int) -> np.ndarray:
        """Return the images of a class that no method saw, as many as there are samples."""
        parts = self.allocations[draw].parts[position]
        return self.source.images[np.concatenate([parts.oracle, parts.references])[: self.settings.samples]]

    def _maker(self, model: Any, label: str) -> Callable[[int, int], np.ndarray]:
        """Return the function from a draw and the position of a class to the samples of a model."""

        def make(draw: int, position: int) -> np.ndarray:
            support = self.source.images[self.allocations[draw].parts[position].support]
            seed = class_seed(class_seed(self.settings.seed, draw), int(self.classes[position]))
            samples = model.adapt(support, seed=seed).sample(self.settings.samples, seed=seed)
            check_converged([samples], f"the samples of {label!r} of {self.allocations[draw].names[position]!r}")
            return to_uint8(np.asarray(samples))

        return make

    def _point(
        self, name: str, make: Callable[[int, int], np.ndarray], progress: Progress, label: str = PEOPLE
    ) -> dict[str, np.ndarray]:
        """Return the values of each class, float64[classes], and the first samples; from disk if they are there."""
        if not self._path(name).is_file():
            each = [self._measure(draw, allocation, make, progress, label) for draw, allocation in self._draws()]
            arrays = {key: np.mean([found[key] for found in each], axis=0) for key in ("deviation", "recognised")}
            save_arrays(self._path(name), {**arrays, "samples": each[0]["samples"]})
        return load_arrays(self._path(name))

    def _draws(self) -> list[tuple[int, Allocation]]:
        return list(enumerate(self.allocations))

    def _measure(
        self,
        draw: int,
        allocation: Allocation,
        make: Callable[[int, int], np.ndarray],
        progress: Progress,
        label: str,
    ) -> dict[str, np.ndarray]:
        """Return the deviation of features and the share of recognised samples of each class, of one draw."""
        seen = self.recognition.features(np.concatenate(allocation.images("support")))
        deviation, recognised, shown = [], [], []
        for position in range(len(self.classes)):
            made = make(draw, position)
            deviation.append(metrics.feature_deviation(self.diversity.features(made)))
            near = self.recognition.features(made)
            recognised.append(metrics.recognisability(near, seen[self.ways[position]], 0))
            if position < SHOWN_CLASSES:
                shown.append(made[:SHOWN_SAMPLES])
            progress(f"draw {draw + 1}: {label}", position + 1, len(self.classes))
        fewest = min(len(made) for made in shown)
        samples = np.stack([made[:fewest] for made in shown])
        return {"deviation": np.array(deviation), "recognised": np.array(recognised), "samples": samples}

    def _path(self, name: str) -> Path:
        return self.folder / "points" / f"{name}.npz"


def _scores(found: Mapping[str, np.ndarray], unit: float) -> dict[str, dict[str, float | None]]:
    """Return the intervals over classes; diversity in units of the mean deviation of people's images."""
    values = {"diversity": found["deviation"] / unit, "recognisability": found["recognised"]}
    return {name: bootstrap_mean(each).as_dict() for name, each in values.items()}
