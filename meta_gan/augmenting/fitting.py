"""What `Augmenter.fit` does: fine-tuning for each fold and on all pictures, then the comparison; and its result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from meta_gan.augment import class_seed
from meta_gan.augmenting.fine_tuning import MOST_TASKS, FineTuner, generate
from meta_gan.augmenting.models import open_model
from meta_gan.augmenting.pictures import (
    LabelledPictures,
    classified,
    in_model_form,
    is_inverted,
    labelled_pictures,
    restore,
)
from meta_gan.augmenting.subset import Subset, compared
from meta_gan.model import MetaModel
from meta_gan.protocol.cross_validation import (
    CrossValidation,
    KerasClassifier,
    SmallClassifier,
    mixed_pictures,
    plain_pictures,
)
from meta_gan.protocol.folds import Fold, alike, stratified_folds
from meta_gan.protocol.recommendation import GENERATED, PLAIN, Recommendation, recommend
from meta_gan.tasks import Source
from meta_gan.tasks.collection import episode_size
from meta_gan.tasks.readers.arrays import make_source

if TYPE_CHECKING:
    from meta_gan.augmenting.augmenter import Augmenter

Progress = Callable[[str, int, int], None]


class Comparison(NamedTuple):
    """The result of the cross-validation.

    Attributes:
        subset: the compared classes and pictures.
        folds: their number.
        image_shape: of the pictures that the classifiers receive.
        plain: the plain row that `generated + best plain` used in each fold.
        recommendation: the advice.
    """

    subset: Subset
    folds: int
    image_shape: tuple[int, ...]
    plain: tuple[str, ...]
    recommendation: Recommendation


@dataclass(frozen=True, eq=False)
class Fitted:
    """The result of `Augmenter.fit`.

    Attributes:
        pictures: the user's.
        working: uint8[n, *shape of the model's pictures]: the same in the model's size and polarity.
        inverted: whether that polarity is another than the user's.
        name: of the model.
        model: fine-tuned on all pictures.
        steps: of each fine-tuning: that on all pictures, then those of the folds.
        episodes: the shots, queries and tasks of an outer step.
        comparison: None without one.
        seconds: of the whole fit.
    """

    pictures: LabelledPictures
    working: np.ndarray
    inverted: bool
    name: str
    model: MetaModel
    steps: tuple[int, ...]
    episodes: tuple[int, int, int]
    comparison: Comparison | None
    seconds: float

    def new_levels(self, index: int, count: int, method: str, seed: int) -> np.ndarray:
        """Return new pictures of the class of an index, uint8[count, *shape of a picture of X]; see `Augmenter.sample`.

        Raises:
            ValueError: the method needs a comparison that was not made.
            DivergenceError: an adaptation diverged.
        """
        key, real = class_seed(seed, index), self.pictures.of_class(index)
        if method in PLAIN:
            return plain_pictures(method, real, count, key)
        if method != GENERATED and self.comparison is None:
            raise ValueError(f"'compare' must be True for the method {method!r}. Received: False")
        number = count if method == GENERATED else (count + 1) // 2
        made = generate(self.model, self.working[self.pictures.indices == index], number, key)
        made = restore(255 - made if self.inverted else made, real.shape[1:])
        if method == GENERATED or self.comparison is None:
            return made
        return mixed_pictures(self.comparison.recommendation.best_plain, real, made, count, key)


class Fitting:
    """One fit: checks everything when it is made, and then runs.

    Args:
        settings: the augmenter with the settings.
        images, labels: X and y of `Augmenter.fit`.

    Raises:
        ValueError: X, y or the model are not as required.
    """

    def __init__(self, settings: Augmenter, images: Any, labels: Any) -> None:
        """See the class."""
        self.settings, self._start = settings, time.perf_counter()
        self.pictures = labelled_pictures(images, labels)
        self._given, self.name = open_model(settings.model, self.pictures.levels.shape[1:])
        self._shown = in_model_form(self.pictures, self._given.game.example_shape, self.name)
        self.inverted = is_inverted(self._shown, self._given.data_card.get("polarity"))
        self.working = self._polarised(self._shown)
        self.subset = compared(self.pictures.indices, settings.seed) if settings.compare else None
        self.folds: list[Fold] = []
        if self.subset is not None:
            labels, shown = self.subset.labels, classified(self._shown[self.subset.pictures])
            groups = alike(shown, labels)
            self.folds = stratified_folds(labels, min(settings.folds, len(labels)), settings.seed, groups)
        self.episodes = self._episodes()
        self._steps: list[int] = []
        self._left, self._runs = 60.0 * settings.minutes, len(self.folds) + 1

    def _polarised(self, levels: np.ndarray) -> np.ndarray:
        """Return the user's levels for the model, or the model's for the user."""
        return 255 - levels if self.inverted else levels

    def _episodes(self) -> tuple[int, int, int]:
        """Return shots, queries and tasks, which fit the smallest class that any run has."""
        sizes, classes = [self.pictures.sizes], len(self.pictures.classes)
        if self.subset is not None:
            sizes += [np.bincount(self.subset.labels[fold.train]) for fold in self.folds]
            classes = len(self.subset.classes)
        return (*episode_size(int(min(each.min() for each in sizes))), min(MOST_TASKS, classes))

    def run(self, progress: Progress) -> Fitted:
        """Fine-tune and compare.

        Raises:
            DivergenceError: the fine-tuning or an adaptation diverged.
        """
        settings, runs = self.settings, len(self.folds) + 1
        stage = "generated pictures" if 0 in (settings.steps, self._left) else "fine-tuning"
        tuner = FineTuner(self._given, settings.rate, *self.episodes)
        if settings.steps is None and self._left > 0:
            start = time.perf_counter()
            tuner.warm_up(_source(self.working, self.pictures.indices))
            self._left -= time.perf_counter() - start
        # First, because within a time limit the folds then take no more steps than what they stand for.
        self._tune(tuner, self.working, self.pictures.indices, 0)
        progress(stage, 1, runs)
        final, generated = tuner.values(), []
        for fold in self.folds:
            generated.append(self._generated(tuner, fold))
            progress(stage, fold.number + 2, runs)
        tuner.restore(final)
        comparison = self._compared(generated, lambda done, total: progress("classifiers", done, total))
        return Fitted(
            self.pictures,
            self.working,
            self.inverted,
            self.name,
            tuner.model,
            tuple(self._steps),
            self.episodes,
            comparison,
            time.perf_counter() - self._start,
        )

    def _tune(self, tuner: FineTuner, images: np.ndarray, labels: np.ndarray, number: int) -> None:
        """Fine-tune for the given number of steps, or this run's share of the time and the steps of the first run."""
        start, seed, steps = time.perf_counter(), class_seed(self.settings.seed, number), self.settings.steps
        share = None
        if steps is None:
            share, steps = self._left / self._runs, (self._steps[0] if self._steps else None)
        self._steps.append(tuner.run(_source(images, labels), seed, steps, share))
        self._left, self._runs = self._left - (time.perf_counter() - start), self._runs - 1

    def _generated(self, tuner: FineTuner, fold: Fold) -> list[np.ndarray]:
        """Return for each compared class pictures that were made without the fold's own, as classifiers get them."""
        assert self.subset is not None
        images, labels = self.working[self.subset.pictures[fold.train]], self.subset.labels[fold.train]
        self._tune(tuner, images, labels, fold.number + 1)
        key, count = class_seed(self.settings.seed, fold.number + 1), self.settings.per_class
        made = (
            generate(tuner.model, images[labels == index], count, class_seed(key, index))
            for index in range(len(self.subset.classes))
        )
        return [classified(self._polarised(each)) for each in made]

    def _compared(self, generated: list[list[np.ndarray]], progress: Callable[[int, int], None]) -> Comparison | None:
        if self.subset is None:
            return None
        settings, images = self.settings, classified(self._shown[self.subset.pictures])
        build = settings.classifier
        # Keras's training has a global state, so its models are not trained side by side.
        classifier, workers = (SmallClassifier(), 2) if build is None else (KerasClassifier(build), 1)
        options = (settings.per_class, classifier, settings.classifiers, settings.seed, workers)
        measured = CrossValidation(images, self.subset.labels, self.folds, *options).run(generated, progress)
        advice = recommend(measured.correct, settings.seed)
        return Comparison(self.subset, len(self.folds), images.shape[1:], measured.plain, advice)


def _source(images: np.ndarray, labels: np.ndarray) -> Source:
    """Return pictures of which all classes are training classes."""
    split = np.zeros(int(labels.max()) + 1, np.int8)
    return make_source(images, labels, [str(index) for index in range(len(split))], split, "X")
