"""`Augmenter`: more pictures of a user's classes by the method that cross-validation on these classes recommends."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import tensorflow as tf

from meta_gan.augmenting import reporting
from meta_gan.augmenting.fitting import Fitted, Fitting, Progress
from meta_gan.checks import check_bool, check_choice, check_integer, check_number
from meta_gan.loading import AUTO
from meta_gan.model import MetaModel
from meta_gan.protocol.folds import LEAST_FOLDS
from meta_gan.protocol.recommendation import GENERATED, MIXED, PLAIN, Recommendation

MINUTES = 2.0
"""The minutes of fine-tuning unless `minutes` or `steps` are given."""
METHODS = (*PLAIN, GENERATED, MIXED)


class Augmenter:
    """Adds pictures to a few-shot data set, if they help.

    `fit` fine-tunes a saved model on the classes, and compares by cross-validation on their own held-out pictures:
    adding nothing, shifted, affinely or elastically warped pictures, TrivialAugment, generated pictures, and generated
    pictures with the best plain augmentation. The model is fine-tuned anew for each fold, on the pictures of the other
    folds alone.

    The model makes pictures of its own size: X is padded to its proportions and resized, and what it makes is resized
    and cut to the shape of X. Pictures of another polarity than the model's training data are inverted for it. Colour
    models take grey pictures.

    Args:
        model: "auto" for the shipped model for such pictures, a path or shipped name, or a `MetaModel`, which does not
            change.
        minutes: wall time of fine-tuning, summed over the folds and the final one, >= 0; a step that has begun ends.
            0 for no fine-tuning. None for 2 minutes, or for `steps`. The results depend on the machine's speed.
        steps: outer steps of every fine-tuning, >= 0, instead of `minutes`. Everything is then reproducible to the bit
            by `seed`, on one machine and version of TensorFlow.
        seed: of everything that is drawn, >= 0.
        classifier: a function of (image shape, number of classes, seed) that returns a compiled Keras model, see
            `protocol.cross_validation.KerasClassifier`; None for a small convolutional network. It receives the
            pictures at the model's size, reduced to sides of at most 32 pixels.
        compare: whether `fit` makes the comparison. Without it `generated` pictures are added.
        method: what `fit_resample` and `dataset` add, a name of `METHODS`; None for the recommended one.
        sampling_strategy: for `fit_resample`: "auto" to fill every class up to the size of the largest, or the size
            to fill every class up to, >= 1; larger classes stay.
        per_class: pictures that the comparison adds to each class, >= 1.
        folds: of the cross-validation, >= 3.
        classifiers: trained for each row and fold, >= 1; a picture's score is the mean over them.
        rate: learning rate of fine-tuning, > 0.

    Attributes:
        classes_: the distinct labels, sorted.
        model_: the model, fine-tuned on all pictures.
        fitted_: everything else that `fit` found, see `fitting.Fitted`.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> augmenter = Augmenter(minutes=2, seed=0)
        >>> X_more, y_more = augmenter.fit_resample(X, y)
        >>> print("\\n".join(augmenter.recommendation_.lines()))
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | MetaModel = AUTO,
        *,
        minutes: float | None = None,
        steps: int | None = None,
        seed: int = 0,
        classifier: Callable[[tuple[int, ...], int, int], Any] | None = None,
        compare: bool = True,
        method: str | None = None,
        sampling_strategy: str | int = "auto",
        per_class: int = 50,
        folds: int = 4,
        classifiers: int = 3,
        rate: float = 1e-4,
    ) -> None:
        """See the class."""
        self.model, self.classifier = model, classifier
        if minutes is not None and steps is not None:
            raise ValueError(f"'minutes' and 'steps' must not both be given. Received: {minutes!r} and {steps!r}")
        self.steps = None if steps is None else check_integer(steps, "steps", 0)
        self.minutes = check_number(MINUTES if minutes is None else minutes, "minutes", least=0)
        self.seed, self.compare = check_integer(seed, "seed", 0), check_bool(compare, "compare")
        self.method = None if method is None else check_choice(method, "method", METHODS)
        if method == MIXED and not compare:
            raise ValueError(f"'compare' must be True for the method {MIXED!r}. Received: False")
        self.sampling_strategy = sampling_strategy
        if sampling_strategy != "auto":
            check_integer(sampling_strategy, "sampling_strategy", 1)
        if classifier is not None and not callable(classifier):
            raise ValueError(f"'classifier' must be a function or None. Received: {classifier!r}")
        self.per_class = check_integer(per_class, "per_class", 1)
        self.folds = check_integer(folds, "folds", LEAST_FOLDS)
        self.classifiers = check_integer(classifiers, "classifiers", 1)
        self.rate = check_number(rate, "rate", above=0)

    def fit(self, X: Any, y: Any, progress: Progress | None = None) -> Self:
        """Fine-tune the model on labelled pictures, and compare what can be added to them.

        A comparison of more than 100 classes is made on 100 of them, and one of classes of more than 100 pictures on
        100 pictures of each, drawn by the seed.

        Args:
            X: uint8[n, height, width, 1 or 3], or other integers in 0..255, or bool; or floats in [-1, 1], or in
                [0, 1] if none is negative.
            y: int[n] or str[n], of two or more classes with three or more pictures each.
            progress: called with (stage, parts that are finished, all parts).

        Returns:
            The augmenter itself.

        Raises:
            ValueError: X, y or the model are not as required; raised before anything is trained.
            DivergenceError: the fine-tuning or an adaptation diverged.
        """
        self.__dict__.pop("fitted_", None)  # should this fit fail, nothing is fitted
        self.fitted_ = Fitting(self, X, y).run(progress or (lambda stage, done, total: None))
        self.classes_, self.model_ = self.fitted_.pictures.classes, self.fitted_.model
        return self

    @property
    def recommendation_(self) -> Recommendation | None:
        """The advice of the comparison; None without one."""
        comparison = self._fitted().comparison
        return None if comparison is None else comparison.recommendation

    @property
    def results_(self) -> dict[str, dict[str, Any]]:
        """{row: {"accuracy": Interval, "gain": Interval or None}} of the comparison; {} without one."""
        found = self.recommendation_
        if found is None:
            return {}
        return {row: {"accuracy": each, "gain": found.gain.get(row)} for row, each in found.accuracy.items()}

    def sample(self, label: Any, n: int, method: str = GENERATED, seed: int | None = None) -> np.ndarray:
        """Return new pictures of a class.

        Args:
            label: of the class.
            n: number of pictures, >= 1.
            method: how they are made, a name of `METHODS`.
            seed: >= 0; None for the augmenter's. The same seed gives the same pictures.

        Returns:
            [n, height, width, channels], with the shape, dtype and range of X.

        Raises:
            ValueError: `fit` was not called, an unknown label or method, or an argument out of range.
            DivergenceError: an adaptation diverged.
        """
        pictures = self._fitted().pictures
        check_choice(method, "method", METHODS)
        index, count = pictures.index_of(label), check_integer(n, "n", 1)
        return self._new(index, count, method, self.seed if seed is None else check_integer(seed, "seed", 0))

    def _new(self, index: int, count: int, method: str, seed: int) -> np.ndarray:
        """Return new pictures of the class of an index in the form of X."""
        fitted = self._fitted()
        return fitted.pictures.as_given(fitted.new_levels(index, count, method, seed))

    def fit_resample(self, X: Any, y: Any, progress: Progress | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Fit, and fill the classes up to one size; the interface of imbalanced-learn's samplers.

        Args:
            X, y, progress: see `fit`.

        Returns:
            (X, y) with the given pictures first and then the new ones, class by class in the order of `classes_`; y as
            int64[n] or str[n]. If the comparison recommends to add nothing, both as they were given, with a warning.

        Raises:
            ValueError, DivergenceError: see `fit`.

        Warns:
            UserWarning: nothing is added because none of the methods helps measurably.

        Example:
            >>> X_more, y_more = Augmenter(minutes=2, sampling_strategy=50).fit_resample(X, y)
        """
        pictures = self.fit(X, y, progress)._fitted().pictures
        method = self.chosen_method
        if method is None:
            warnings.warn("no pictures are added, because none of the methods helps measurably", stacklevel=2)
            return pictures.given, pictures.labels
        sizes = pictures.sizes
        goal = int(sizes.max()) if self.sampling_strategy == "auto" else int(self.sampling_strategy)
        added = np.maximum(goal - sizes, 0)
        new = [self._new(index, int(count), method, self.seed) for index, count in enumerate(added) if count]
        return np.concatenate([pictures.given, *new]), np.concatenate([pictures.labels, pictures.classes.repeat(added)])

    def dataset(self, per_class: int = 50, method: str | None = None) -> tf.data.Dataset:
        """Return the pictures of `fit` and then new ones of each class, as a `tf.data.Dataset`.

        New pictures are made while the data set is read, with the same result every time; call `.cache()` to make them
        once, and `.shuffle(...)` after it.

        Args:
            per_class: new pictures of each class, >= 0.
            method: a name of `METHODS`; None for that of the constructor, or the recommended one, and then there are
                no new pictures if none helps.

        Returns:
            Pairs of a picture with the shape, dtype and range of X, and an int64[] or string[] label, of known
            cardinality.

        Raises:
            ValueError: `fit` was not called, or an argument is out of range.
        """
        pictures = self._fitted().pictures
        chosen = self.chosen_method if method is None else check_choice(method, "method", METHODS)
        count = check_integer(per_class, "per_class", 0) if chosen else 0

        def pairs() -> Iterator[tuple[np.ndarray, Any]]:
            yield from zip(pictures.given, pictures.labels, strict=True)
            for index, label in enumerate(pictures.classes if chosen and count else ()):
                yield from ((picture, label) for picture in self._new(index, count, str(chosen), self.seed))

        kind = tf.string if pictures.classes.dtype.kind == "U" else tf.int64
        specs = tf.TensorSpec(pictures.given.shape[1:], pictures.given.dtype), tf.TensorSpec([], kind)
        data = tf.data.Dataset.from_generator(pairs, output_signature=specs)
        return data.apply(tf.data.experimental.assert_cardinality(len(pictures.given) + count * len(pictures.classes)))

    @property
    def chosen_method(self) -> str | None:
        """What `fit_resample` and `dataset` add after `fit`; None if the comparison recommends nothing."""
        found = self.recommendation_
        if self.method is not None:
            return self.method
        return GENERATED if found is None else found.method

    def report(self, data: str = "X") -> dict[str, Any]:
        """Return the results of `fit` as JSON values: data, fine-tuning, comparison, rows and recommendation.

        Args:
            data: what the report calls the data.
        """
        return reporting.content(self, self._fitted(), data)

    def write_report(self, folder: str | os.PathLike[str], data: str = "X") -> list[Path]:
        """Write `report.json` and `report.html`, with the comparison, a gallery and nearest neighbours.

        Args:
            folder: where to; it is created if it does not exist.
            data: what the report calls the data.

        Returns:
            The paths of the files.
        """
        return reporting.write(self, self._fitted(), Path(folder), data)

    def _fitted(self) -> Fitted:
        if not hasattr(self, "fitted_"):
            raise ValueError("'fit' must be called first. Received: an Augmenter that is not fitted")
        return self.fitted_
