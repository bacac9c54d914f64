"""Settings of an evaluation, with the defaults of the protocol few-shot-28."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from meta_gan.checks import check_choice, check_integer
from meta_gan.tasks.base import SPLITS

NAME = "few-shot-28"
QUICK_CLASSES = 100
RATE_SCALES = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Multiples of the inner rates at which stability is measured."""
COLLAPSED = 0.3
"""An adaptation whose relative diversity is below this has collapsed."""


@dataclass(frozen=True)
class Settings:
    """The settings of one evaluation.

    Attributes:
        split: split of the evaluated classes, train, validation or test.
        shots: support images of each class, >= 1.
        steps: inner steps at which a model is compared with other rows, >= 0; None for those of its algorithm.
        classes: number of classes, taken from the start of the protocol's order, >= 1; None for all.
        draws: number of draws of the support sets, >= 1.
        seed: seed of adaptation and sampling, >= 0.
        quick: whether this is the quick form; every output is marked accordingly.
        curve: inner steps at which models are also scored, ascending.
        samples: images of each class in a row, >= 2.
        ways: number of classes for recognisability and for each classifier, >= 2.
        scratch_steps: inner steps of the row "from scratch"; 0 to omit the row.
        scratch_classes: largest number of classes of that row, >= 1.
        classification_draws: number of random groups of classes for the classification gain; 0 to skip it.
        classification_seeds: classifiers trained for each group, >= 1.
        classification_classes: number of classes from which the groups are drawn, >= 1.
        per_class: generated images of each class added to the support set to train a classifier, >= 1.
        prototype_draws: number of random groups of classes for the prototypical accuracy, >= 1.
        stability_classes: number of classes on which stability is measured; 0 to skip it.

    Raises:
        ValueError: a value is out of range.

    Example:
        >>> Settings(shots=1).make_quick().classes
        100
    """

    split: str = "test"
    shots: int = 5
    steps: int | None = None
    classes: int | None = None
    draws: int = 1
    seed: int = 0
    quick: bool = False
    curve: tuple[int, ...] = (0, 1, 5, 10, 20, 50, 100)
    samples: int = 15
    ways: int = 20
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
        for name, value in dataclasses.asdict(self).items():
            if name not in ("split", "quick", "curve") and not (name in ("steps", "classes") and value is None):
                check_integer(value, name, least.get(name, 1))
        if list(self.curve) != sorted(set(self.curve)) or not self.curve or self.curve[0] < 0:
            raise ValueError(f"'curve' must be ascending numbers of steps >= 0. Received: {self.curve!r}")

    def make_quick(self) -> Settings:
        """Return the quick form: one draw of at most 100 classes, few classifiers, and no row "from scratch"."""
        return dataclasses.replace(
            self,
            quick=True,
            classes=min(self.classes or QUICK_CLASSES, QUICK_CLASSES),
            draws=1,
            scratch_steps=0,
            classification_draws=5,
            classification_seeds=1,
            stability_classes=5,
        )
