"""Which augmentation helps a classifier on a user's own classes, measured on held-out pictures by cross-validation.

The pictures are dealt to folds. For each fold a classifier is trained on the pictures of the other folds and what an
augmentation adds to them, and classifies the pictures of the fold. All trainings have the same number of steps.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from meta_gan.augment import class_seed
from meta_gan.protocol.augmentations import Elastic, TrivialAugment
from meta_gan.protocol.baselines import Affine, Baseline, Shift
from meta_gan.protocol.classification import ClassifierRecipe, classify
from meta_gan.protocol.folds import Fold
from meta_gan.protocol.recommendation import GENERATED, MIXED, NOTHING, PLAIN
from meta_gan.tasks.pixels import to_float, to_uint8

SIDE = 28
"""The side, in pixels, at which shifts are as large as in the baselines of the protocol."""

Images = Sequence[np.ndarray]
# (train images float32[n, ...], labels int32[n], number of classes, test images, seed) -> classes int[m]
Classifier = Callable[[np.ndarray, np.ndarray, int, np.ndarray, int], np.ndarray]


def plain_augmentation(row: str, image_shape: Sequence[int]) -> Baseline:
    """Return a plain augmentation whose shifts are in proportion to the pictures' longer side.

    Args:
        row: one of `PLAIN`.
        image_shape: (height, width, channels).

    Example:
        >>> plain_augmentation("shift", (56, 56, 3))
        Shift(pixels=4)
    """
    pixels = 2 * max(image_shape[:2]) / SIDE
    made = {
        "shift": Shift(max(1, round(pixels))),
        "affine": Affine(pixels=pixels),
        "elastic": Elastic(),
        "trivial": TrivialAugment(),
    }
    return made[row]


def plain_pictures(row: str, images: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return pictures of a plain augmentation, uint8[count, height, width, channels], of such pictures of one class."""
    if not count:
        return images[:0]
    return to_uint8(plain_augmentation(row, images.shape[1:]).adapt(images).sample(count, seed))


def mixed_pictures(plain: str, real: np.ndarray, generated: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return pictures of a plain augmentation of which half, rounded up, show generated pictures and half real ones.

    Args:
        plain: one of `PLAIN`.
        real: uint8[k, height, width, channels], of one class.
        generated: uint8[n, height, width, channels], n >= (count + 1) // 2.
        count: number of pictures.
        seed: in the int32 range.

    Returns:
        uint8[count, height, width, channels].
    """
    half = (count + 1) // 2
    changed = plain_pictures(plain, generated[:half], half, seed)
    return np.concatenate([changed, plain_pictures(plain, real, count - half, class_seed(seed, 1))])


@dataclass(frozen=True)
class SmallClassifier:
    """The small network of the classification gain, see `classification`.

    Args:
        recipe: of the network and its training.
    """

    recipe: ClassifierRecipe = field(default_factory=ClassifierRecipe)

    def __call__(
        self, images: np.ndarray, labels: np.ndarray, classes: int, test_images: np.ndarray, seed: int
    ) -> np.ndarray:
        """Train on images and return the classes of test images."""
        return classify(self.recipe, images, labels, classes, test_images, seed)


@dataclass(frozen=True)
class KerasClassifier:
    """A user's Keras classifier, trained for the same number of steps whatever the size of its training set.

    Args:
        build: called with (image shape, number of classes, seed). It returns a compiled `keras.Model` with one output
            for each class, whose loss takes integer labels. It is deterministic if its weights depend on the seed only.
        recipe: of which `steps` and `batch` are used.

    Example:
        >>> def build(image_shape, classes, seed):
        ...     layers = [keras.Input(image_shape), keras.layers.Flatten(), keras.layers.Dense(classes)]
        ...     model = keras.Sequential(layers)
        ...     model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        ...     return model
        >>> classifier = KerasClassifier(build)
    """

    build: Callable[[tuple[int, ...], int, int], Any]
    recipe: ClassifierRecipe = field(default_factory=ClassifierRecipe)

    def __call__(
        self, images: np.ndarray, labels: np.ndarray, classes: int, test_images: np.ndarray, seed: int
    ) -> np.ndarray:
        """Train a new model on images and return the classes of test images.

        Raises:
            ValueError: `build` returned something else than it must.
        """
        shape = tuple(images.shape[1:])
        model = self.build(shape, classes, seed)
        if not isinstance(model, keras.Model) or not model.compiled:
            received = "a model that is not compiled" if isinstance(model, keras.Model) else type(model).__name__
            raise ValueError(f"'classifier' must return a compiled keras.Model. Received: {received}")
        steps, batch = self.recipe.steps, self.recipe.batch
        chosen = np.random.default_rng(seed % 2**32).integers(len(images), size=steps * batch)
        data = tf.data.Dataset.from_tensor_slices(chosen.reshape(steps, batch))
        data = data.map(lambda rows: (tf.gather(images, rows), tf.gather(labels, rows)))
        model.fit(data, epochs=1, shuffle=False, verbose=0)
        outputs = np.asarray(model.predict(test_images, verbose=0))
        if outputs.shape != (len(test_images), classes):
            required = f"must return a model with {classes} outputs, one for each class"
            raise ValueError(f"'classifier' {required}. Received: outputs of shape {list(outputs.shape)}")
        return outputs.argmax(axis=-1)


class Measured(NamedTuple):
    """The result of a cross-validation.

    Attributes:
        correct: by row float64[n]: the share of the trained classifiers that classify each picture right while it is
            held out.
        plain: for each fold the plain row that `generated + best plain` uses; empty without generated pictures.
    """

    correct: dict[str, np.ndarray]
    plain: tuple[str, ...]


@dataclass(frozen=True)
class CrossValidation:
    """A comparison of augmentations on labelled pictures.

    Args:
        images: uint8[n, height, width, channels], sides of 8 or more pixels.
        labels: int32[n] in 0..classes-1, three or more of each.
        folds: see `folds.stratified_folds`.
        per_class: pictures that each row adds to each class, >= 1.
        classifier: trains on images and returns the classes of others.
        seeds: trained classifiers of each row and fold, >= 1.
        seed: of folds, plain augmentations and classifiers, in the int32 range.
        workers: classifiers that are trained side by side, >= 1; the results do not depend on it.
    """

    images: np.ndarray
    labels: np.ndarray
    folds: list[Fold]
    per_class: int
    classifier: Classifier = field(default_factory=SmallClassifier)
    seeds: int = 3
    seed: int = 0
    workers: int = 2

    @property
    def classes(self) -> int:
        """The number of classes."""
        return int(self.labels.max()) + 1

    def split(self, fold: Fold) -> list[np.ndarray]:
        """Return for each class the pictures that a fold trains on."""
        return [self.images[fold.train[self.labels[fold.train] == label]] for label in range(self.classes)]

    def run(
        self, generated: Sequence[Images], progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Measured:
        """Measure every row.

        `generated + best plain` uses in each fold the plain row that is best on the pictures of the other folds, so
        that what a picture scores has no influence on the choice that it is scored with.

        Args:
            generated: for each fold and class uint8[per_class, height, width, channels], made without the fold's own
                pictures; empty to measure the plain rows alone.
            progress: called with the numbers of trained classifiers and of all.

        Returns:
            A `Measured`.
        """
        total = (1 + len(PLAIN) + (2 if generated else 0)) * len(self.folds) * self.seeds
        count = itertools.count(1)

        def measure(added: Callable[[Fold], Images]) -> np.ndarray:
            return self._measured(added, lambda: progress(next(count), total))

        correct = {NOTHING: measure(lambda fold: [self.images[:0]] * self.classes)}
        for row in PLAIN:
            correct[row] = measure(lambda fold, row=row: self._plain(row, fold))  # type: ignore[misc]
        if not generated:
            return Measured(correct, ())
        best = tuple(best_on(correct, fold.train) for fold in self.folds)
        correct[GENERATED] = measure(lambda fold: generated[fold.number])
        correct[MIXED] = measure(lambda fold: self._mixed(best[fold.number], generated[fold.number], fold))
        return Measured(correct, best)

    def _plain(self, row: str, fold: Fold) -> Images:
        pairs = enumerate(self.split(fold))
        return [plain_pictures(row, real, self.per_class, class_seed(self.seed, label)) for label, real in pairs]

    def _mixed(self, plain: str, generated: Images, fold: Fold) -> Images:
        return [
            mixed_pictures(plain, real, made, self.per_class, class_seed(self.seed, label))
            for label, (real, made) in enumerate(zip(self.split(fold), generated, strict=True))
        ]

    def _measured(self, added: Callable[[Fold], Images], done: Callable[[], None]) -> np.ndarray:
        """Return the share of classifiers that are right on every picture, float64[n]."""
        correct = np.zeros(len(self.images))
        for fold in self.folds:
            if not len(fold.test):
                continue
            given = [np.concatenate(pair) for pair in zip(self.split(fold), added(fold), strict=True)]
            labels = np.repeat(np.arange(self.classes, dtype=np.int32), [len(each) for each in given])
            images, test = to_float(np.concatenate(given)), to_float(self.images[fold.test])
            seeds = [class_seed(self.seed, fold.number * self.seeds + index) for index in range(self.seeds)]
            train = functools.partial(self.classifier, images, labels, self.classes, test)
            found = []
            with ThreadPoolExecutor(self.workers) as pool:
                for predicted in pool.map(train, seeds):
                    found.append(predicted == self.labels[fold.test])
                    done()
            correct[fold.test] = np.mean(found, axis=0)
        return correct


def best_on(correct: Mapping[str, np.ndarray], pictures: np.ndarray) -> str:
    """Return the plain row with the highest mean on some pictures, int[k]; the first of equal ones.

    Example:
        >>> best_on({row: np.array([row == "elastic"]) for row in PLAIN}, np.array([0]))
        'elastic'
    """
    return max(PLAIN, key=lambda row: correct[row][pictures].mean())
