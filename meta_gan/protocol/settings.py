"""What an evaluation does, as one frozen record that is written beside its results."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from meta_gan.checks import check_choice, check_integer
from meta_gan.protocol import allocation as protocol
from meta_gan.tasks.base import SPLITS

RATE_SCALES = (0.1, 0.3, 1.0, 3.0, 10.0)
COLLAPSED = 0.3
"""An adaptation whose relative diversity is below this has collapsed."""


@dataclass(frozen=True)
class Settings:
    """The settings of one evaluation; the defaults are the full form of few-shot-28.

    Attributes:
        split: train, validation or test.
        shots: support images, >= 1.
        steps: inner steps of a model's own row, >= 0.
        classes: how many classes, the first ones of the protocol's order, >= 1; None for all.
        draws: how often the support is drawn anew, >= 1.
        seed: of every draw of a model, >= 0.
        quick: whether this is the quick form, which is marked as such in every output.
        curve: inner steps at which the curve is read, ascending.
        samples: images a class and row, >= 2.
        ways: among how many classes samples are recognised, and classifiers choose, >= 2.
        scratch_steps: inner steps of the row *from scratch*, 0 for no such row.
        scratch_classes: the most classes of that row.
        classification_draws: drawn groups of classes of the classification gain, 0 for no gain.
        classification_seeds: classifiers trained for each of them, >= 1.
        classification_classes: from how many classes they are drawn, >= 1.
        per_class: generated images a class that a classifier is given beside the support, >= 1.
        prototype_draws: drawn groups of classes of the prototypical accuracy, >= 1.
        stability_classes: classes on which other inner rates are tried, 0 for no stability score.

    Raises:
        ValueError: a value out of its range.
    """

    split: str = "test"
    shots: int = 5
    steps: int = 20
    classes: int | None = None
    draws: int = 1
    seed: int = 0
    quick: bool = False
    curve: tuple[int, ...] = protocol.CURVE
    samples: int = protocol.SAMPLES
    ways: int = protocol.WAYS
    scratch_steps: int = 500
    scratch_classes: int = 100
    classification_draws: int = 20
    classification_seeds: int = 3
    classification_classes: int = 100
    per_class: int = 100
    prototype_draws: int = 100
    stability_classes: int = 20

    def __post_init__(self) -> None:
        check_choice(self.split, "split", SPLITS)
        least = {"samples": 2, "ways": 2, "steps": 0, "seed": 0, "scratch_steps": 0}
        least |= {"classification_draws": 0, "stability_classes": 0}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in ("split", "quick", "curve") or (field.name == "classes" and value is None):
                continue
            check_integer(value, field.name, least.get(field.name, 1))
        if list(self.curve) != sorted(set(self.curve)) or not self.curve or self.curve[0] < 0:
            raise ValueError(f"`curve` must be ascending numbers of steps >= 0. Received: {self.curve!r}")

    @property
    def read_steps(self) -> tuple[int, ...]:
        """The steps at which a model's one trajectory is read: the curve, 0, and its own row."""
        return tuple(sorted({0, self.steps, *self.curve}))

    def made_quick(self) -> Settings:
        """The quick form: one draw of 100 classes at most, few classifiers, and no row from scratch."""
        return dataclasses.replace(
            self,
            quick=True,
            classes=min(self.classes or protocol.QUICK_CLASSES, protocol.QUICK_CLASSES),
            draws=1,
            scratch_steps=0,
            classification_draws=5,
            classification_seeds=1,
            stability_classes=5,
        )
