"""Folds, the pictures that rows add, and a toy on which one augmentation must win."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from meta_gan.augment import class_seed
from meta_gan.protocol.baselines import Shift
from meta_gan.protocol.classification import ClassifierRecipe
from meta_gan.protocol.cross_validation import (
    CrossValidation,
    KerasClassifier,
    SmallClassifier,
    best_on,
    mixed_pictures,
    plain_augmentation,
    plain_pictures,
)
from meta_gan.protocol.folds import stratified_folds
from meta_gan.protocol.recommendation import GENERATED, MIXED, NOTHING, PLAIN, recommend
from meta_gan.tasks.pixels import to_uint8


def nearest(images, labels, classes, test_images, seed):
    """A classifier without any chance: the class of the nearest training picture, the first of equally near ones."""
    distances = np.square(test_images[:, None] - images[None]).sum(axis=(2, 3, 4))
    return labels[distances.argmin(axis=1)]


def bars(width=8):
    """Six vertical and six horizontal bars, each in a place of its own: int[12] labels and uint8 pictures."""
    images = np.zeros((12, width, width, 1), np.uint8)
    for place in range(6):
        images[place, :, place + 1] = images[place + 6, place + 1] = 255
    return images, np.repeat([0, 1], 6)


def test_shifts_are_in_proportion_to_the_side():
    assert [plain_augmentation("shift", (side, side, 1)).pixels for side in (8, 28, 32, 64)] == [1, 2, 2, 5]
    assert plain_augmentation("affine", (64, 32, 3)).pixels == 2 * 64 / 28
    images = bars()[0][:3]
    made = plain_pictures("shift", images, 5, seed=3)
    np.testing.assert_array_equal(made, to_uint8(Shift(1).adapt(images).sample(5, seed=3)))
    assert plain_pictures("shift", images, 0, seed=3).shape == (0, 8, 8, 1)


@pytest.mark.parametrize(("count", "half"), [(1, 1), (4, 2), (5, 3)])
def test_mixed_pictures_are_half_generated_and_half_real_ones(count, half):
    real, generated = np.full((2, 8, 8, 1), 50, np.uint8), np.full((9, 8, 8, 1), 200, np.uint8)
    made = mixed_pictures("shift", real, generated, count, seed=0)
    assert made[:, 0, 0, 0].tolist() == [200] * half + [50] * (count - half)


def test_what_is_added_is_made_of_the_pictures_to_train_on_alone():
    images, labels = bars()
    seen = []

    def classifier(train, train_labels, classes, test, seed):
        seen.append((to_uint8(train), train_labels, to_uint8(test)))
        return np.zeros(len(test), int)

    folds = stratified_folds(labels, 3)
    generated = [[np.full((4, 8, 8, 1), 10 * fold.number + label, np.uint8) for label in (0, 1)] for fold in folds]
    options = {"per_class": 4, "classifier": classifier, "seeds": 1, "workers": 1}
    CrossValidation(images, labels, folds, **options).run(generated)
    assert len(seen) == (1 + len(PLAIN) + 2) * 3
    for number, (train, train_labels, test) in enumerate(seen):
        fold, row = folds[number % 3], number // 3
        np.testing.assert_array_equal(test, images[fold.test])
        added = 0 if row == 0 else 4
        for label in (0, 1):
            real = images[fold.train[labels[fold.train] == label]]
            own = train[train_labels == label]
            np.testing.assert_array_equal(own[: len(real)], real)
            assert len(own) == len(real) + added
            if row == 1:
                np.testing.assert_array_equal(own[len(real) :], plain_pictures("shift", real, 4, class_seed(0, label)))
            if row == 1 + len(PLAIN):
                assert (own[len(real) :] == 10 * fold.number + label).all()


def test_a_picture_scores_the_share_of_classifiers_that_are_right():
    images, labels = bars()

    def classifier(train, train_labels, classes, test, seed):
        return np.full(len(test), seed % 2)

    folds = stratified_folds(labels, 3)
    correct = CrossValidation(images, labels, folds, 1, classifier, seeds=4).run([]).correct
    for fold in folds:
        odd = np.mean([class_seed(0, fold.number * 4 + index) % 2 for index in range(4)])
        np.testing.assert_allclose(correct[NOTHING][fold.test], np.where(labels[fold.test] == 1, odd, 1 - odd))
    assert set(correct) == {NOTHING, *PLAIN}


def test_shifts_must_win_where_classes_are_the_same_in_all_places():
    """A bar shares a pixel with every bar of the other class, and none with its own, unless it is moved onto it."""
    images, labels = bars()
    cross = CrossValidation(images, labels, stratified_folds(labels, 6), 60, nearest, seeds=1)
    done = []
    correct = cross.run([], lambda *parts: done.append(parts)).correct
    assert correct[NOTHING].mean() == 0
    found = recommend(correct)
    assert found.method == "shift" and found.gain["shift"].mean >= 0.8
    assert done[-1] == (5 * 6, 5 * 6) and len(done) == 5 * 6


def test_generated_pictures_must_win_where_they_are_of_the_classes_and_plain_ones_are_not():
    images, labels = bars()
    folds = stratified_folds(labels, 6)
    # Every bar in every place, as a perfect model would make them; the plain rows are taken out of the race.
    generated = [[images[:6], images[6:]] for _ in folds]
    measured = CrossValidation(images, labels, folds, 6, nearest, seeds=1).run(generated)
    assert measured.correct[GENERATED].mean() == 1
    plain_less = {row: np.zeros(12) if row in PLAIN else value for row, value in measured.correct.items()}
    assert recommend(plain_less).method == GENERATED


def test_the_plain_row_of_a_fold_is_chosen_on_the_other_folds():
    correct = {row: np.zeros(4) for row in PLAIN}
    correct["affine"][:] = [1, 1, 0, 0]
    correct["elastic"][:] = [0, 0, 1, 1]
    assert best_on(correct, np.array([0, 1])) == "affine" and best_on(correct, np.array([2, 3])) == "elastic"
    assert best_on(correct, np.arange(4)) == "affine"
    images, labels = bars()
    folds = stratified_folds(labels, 3)
    generated = [[images[:4], images[6:10]] for _ in folds]
    measured = CrossValidation(images, labels, folds, 4, nearest, seeds=1).run(generated)
    assert measured.plain == tuple(best_on(measured.correct, fold.train) for fold in folds)
    assert set(measured.correct) == {NOTHING, *PLAIN, GENERATED, MIXED}


def test_the_small_classifier_is_the_same_for_the_same_seed_and_learns_two_levels():
    images = np.repeat(np.array([-0.5, 0.5], np.float32), 3)[:, None, None, None] * np.ones((6, 8, 8, 1), np.float32)
    labels = np.repeat(np.arange(2, dtype=np.int32), 3)
    classifier = SmallClassifier(ClassifierRecipe(steps=30, width=4))
    found = classifier(images, labels, 2, images, 0)
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_array_equal(found, classifier(images, labels, 2, images, 0))


def linear(image_shape, classes, seed):
    start = keras.initializers.RandomNormal(seed=seed)
    layers = [keras.Input(image_shape), keras.layers.Flatten(), keras.layers.Dense(classes, kernel_initializer=start)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_a_keras_classifier_learns_and_is_the_same_for_the_same_seed():
    images, labels = bars()
    images = images.astype(np.float32) / 255
    classifier = KerasClassifier(linear, ClassifierRecipe(steps=40, batch=8))
    found = classifier(images, labels.astype(np.int32), 2, images, 1)
    assert (found == labels).mean() == 1
    np.testing.assert_array_equal(found, classifier(images, labels.astype(np.int32), 2, images, 1))


@pytest.mark.parametrize(
    ("build", "received"),
    [
        (lambda *_: None, "NoneType"),
        (
            lambda shape, *_: keras.Sequential([keras.Input(shape), keras.layers.Flatten()]),
            "a model that is not compiled",
        ),
        (lambda shape, classes, seed: linear(shape, classes + 1, seed), r"outputs of shape \[2, 3\]"),
    ],
)
def test_a_function_that_does_not_build_a_classifier_is_refused(build, received):
    images = np.zeros((2, 8, 8, 1), np.float32)
    classifier = KerasClassifier(build, ClassifierRecipe(steps=1, batch=2))
    with pytest.raises(ValueError, match=f"'classifier' must return .*Received: {received}"):
        classifier(images, np.array([0, 1], np.int32), 2, images, 0)


def test_more_workers_change_nothing():
    images, labels = bars()
    recipe = SmallClassifier(ClassifierRecipe(steps=4, width=2))
    folds = stratified_folds(labels, 3)[:1]
    one, two = (
        CrossValidation(images, labels, folds, 2, recipe, seeds=2, workers=workers).run([]) for workers in (1, 2)
    )
    assert all(np.array_equal(one.correct[row], two.correct[row]) for row in one.correct)


def test_a_fold_without_pictures_is_passed_over():
    images, labels = bars()
    folds = [SimpleNamespace(number=0, train=np.arange(12), test=np.arange(0))]
    assert CrossValidation(images, labels, folds, 1, nearest).run([]).correct[NOTHING].sum() == 0
