"""`Making`: the images of an evaluation, class by class; each depends on its class, draw and seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from meta_gan.augment import class_seed
from meta_gan.protocol.allocation import Allocation, allocate
from meta_gan.protocol.methods import Method, make_examples
from meta_gan.protocol.settings import Settings
from meta_gan.tasks import Source


@dataclass(frozen=True)
class Making:
    """What the images of an evaluation depend on.

    Attributes:
        source: labelled images.
        settings: of the evaluation.
        classes: int64[n], the evaluated classes, in order.
        methods: the methods, in the order of their rows.
        classified: whether images for classifiers are made.
    """

    source: Source
    settings: Settings
    classes: np.ndarray
    methods: Sequence[Method]
    classified: bool

    @cached_property
    def allocations(self) -> list[Allocation]:
        """The parts of each class's images, for each draw."""
        settings = self.settings
        return [allocate(self.source, self.classes, settings.shots, draw) for draw in range(settings.draws)]

    def make(self, draw: int, position: int) -> dict[str, np.ndarray]:
        """Return the arrays of one class, of all methods; further images and other rates in the first draw only.

        Args:
            draw: number of the draw of support sets.
            position: of the class in `classes`.

        Raises:
            ValueError: samples are not finite.
        """
        settings, allocation = self.settings, self.allocations[draw]
        seed = class_seed(class_seed(settings.seed, draw), int(self.classes[position]))
        support = self.source.images[allocation.parts[position].support]
        extra = settings.per_class if self.classified and position < settings.classification_classes else 0
        arrays: dict[str, np.ndarray] = {}
        for number, method in enumerate(self.methods):
            if method.includes(position):
                made = make_examples(
                    method,
                    support,
                    settings.samples,
                    seed,
                    allocation.names[position],
                    extra if draw == 0 else 0,
                    draw == 0 and position < settings.stability_classes,
                )
                arrays |= {f"{number}/{key}": value for key, value in made.items()}
        return arrays
