"""`augment`: order, seeds, laziness, refusals; with a counted fake and with a real model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan.augment import augment, class_seed
from tests.toys import tiny_dcgan

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype(np.uint8)
FLOATS = (IMAGES / 127.5 - 1).astype(np.float32)
LABELS = [7, 3, 7, 9, 3]


class Fake:
    """Adapts to the mean of a support set; sample i is that mean, of which the first pixel is i / 100."""

    def __init__(self, shape=None):
        self.calls, self.shape = [], shape

    def adapt(self, support, steps=None, seed=0):
        self.calls.append(("adapt", np.array(support), steps, seed))
        return FakeAdapted(self, np.asarray(support).mean(axis=0))


class FakeAdapted:
    def __init__(self, model, mean):
        self.model, self.mean = model, mean

    def sample(self, count, seed=0):
        self.model.calls.append(("sample", count, seed))
        samples = np.repeat(self.mean[None], count, axis=0)
        samples[:, 0, 0, 0] = np.arange(count) / 100
        return samples if self.model.shape is None else np.zeros(self.model.shape, np.float32)


def read(data):
    """`(images, labels)` of a data set, as arrays."""
    pairs = list(data.as_numpy_iterator())
    return np.stack([image for image, _ in pairs]), [label for _, label in pairs]


def test_each_class_has_its_images_and_then_its_samples_in_order_of_first_appearance():
    images, labels = read(augment(Fake(), IMAGES, LABELS, per_class=2))
    assert labels == [7] * 4 + [3] * 4 + [9] * 3
    np.testing.assert_array_equal(images[[0, 1, 4, 5, 8]], FLOATS[[0, 2, 1, 4, 3]])
    for first, members in ((2, [0, 2]), (6, [1, 4]), (9, [3])):
        for i in range(2):
            wanted = FLOATS[members].mean(axis=0)
            wanted[0, 0, 0] = i / 100
            np.testing.assert_allclose(images[first + i], wanted, atol=1e-6)


def test_a_class_is_adapted_to_its_images_with_its_seed():
    model = Fake()
    read(augment(model, FLOATS, LABELS, per_class=2, steps=4, seed=6))
    assert [call[0] for call in model.calls] == ["adapt", "sample"] * 3
    for index, members in enumerate(([0, 2], [1, 4], [3])):
        (_, support, steps, seed), (_, count, sample_seed) = model.calls[2 * index : 2 * index + 2]
        np.testing.assert_array_equal(support, FLOATS[members])
        assert (steps, count) == (4, 2) and seed == sample_seed == class_seed(6, index)


def test_floats_without_a_negative_value_are_read_as_in_data_sets():
    unsigned = (IMAGES / 255).astype(np.float32)
    with pytest.warns(UserWarning, match=r"'images' has no negative value and is read as floats in \[0, 1\]"):
        read_images, _ = read(augment(Fake(), unsigned, LABELS, per_class=0))
    np.testing.assert_allclose(read_images, read(augment(Fake(), FLOATS, LABELS, per_class=0))[0], atol=1e-6)
    settled, _ = read(augment(Fake(), unsigned, LABELS, per_class=0, value_range=(-1, 1)))
    np.testing.assert_allclose((settled + 1) / 2, (read_images + 3) / 4, atol=1e-6)


def test_the_light_images_of_a_class_are_not_rescaled_again():
    class Ranged(Fake):
        def adapt(self, support, steps=None, seed=0, value_range=None):
            assert value_range == (-1, 1)
            return super().adapt(support, steps, seed)

    model = Ranged()
    read(augment(model, FLOATS, LABELS, per_class=1))
    np.testing.assert_array_equal(model.calls[0][1], FLOATS[[0, 2]])


def test_labels_in_other_forms():
    for labels in (np.array(LABELS, object), np.array(LABELS)[:, None]):
        assert read(augment(Fake(), IMAGES, labels, per_class=0))[1] == [7, 7, 3, 3, 9]


def test_the_seeds_of_classes():
    """By hand: a word of a seed sequence, without its lowest bit."""
    assert class_seed(5, 2) == np.random.SeedSequence([5, 2]).generate_state(1)[0] // 2
    seeds = [class_seed(seed, index) for seed in (-1, 0, 1) for index in range(100)]
    assert len(set(seeds)) == 300 and min(seeds) >= 0 and max(seeds) < 2**31
    assert all(type(seed) is int for seed in seeds)
    for seed, index in ((2**31, 0), (0.5, 0), (0, -1), (0, None)):
        with pytest.raises(ValueError, match=r"must be an integer.* Received"):
            class_seed(seed, index)


def test_nothing_is_adapted_before_the_data_are_read_and_then_a_class_at_a_time():
    model = Fake()
    data = augment(model, IMAGES, LABELS, per_class=2)
    assert not model.calls and int(data.cardinality()) == 5 + 3 * 2
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False  # tf.data's own, which reads ahead
    iterator = iter(data.with_options(options))
    counts = []
    for _ in range(11):
        next(iterator)
        counts.append(sum(call[0] == "adapt" for call in model.calls))
    assert counts == [0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3]
    with pytest.raises(StopIteration):
        next(iterator)


def test_every_iteration_is_the_same_and_a_cache_adapts_once():
    model = Fake()
    data = augment(model, IMAGES, LABELS, per_class=3)
    first, again = read(data), read(data)
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1] and len(model.calls) == 12
    cached, model.calls = augment(model, IMAGES, LABELS, per_class=3).cache(), []
    for _ in range(3):
        np.testing.assert_array_equal(read(cached)[0], first[0])
    assert len(model.calls) == 6


def test_no_samples_are_the_images_alone_and_no_adaptation():
    model = Fake()
    data = augment(model, IMAGES, LABELS, per_class=0)
    images, labels = read(data)
    np.testing.assert_array_equal(images, FLOATS[[0, 2, 1, 4, 3]])
    assert labels == [7, 7, 3, 3, 9] and not model.calls and int(data.cardinality()) == 5


def test_labels_may_be_names():
    data = augment(Fake(), IMAGES, ["beta", "α", "beta", "c", "α"], per_class=1)
    assert data.element_spec == (tf.TensorSpec([8, 8, 1], tf.float32), tf.TensorSpec([], tf.string))
    assert [label.decode() for label in read(data)[1]] == ["beta"] * 3 + ["α"] * 3 + ["c"] * 2


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64])
def test_numbers_become_int64(kind):
    data = augment(Fake(), IMAGES, np.array(LABELS, kind), per_class=1)
    assert data.element_spec[1] == tf.TensorSpec([], tf.int64)
    assert read(data)[1] == [7, 7, 7, 3, 3, 3, 9, 9]


def test_a_real_model():
    """The samples are those of the adapted model by hand, and a classifier can be fitted to them."""
    model = mg.MetaModel(tiny_dcgan(), mg.FOMAML(inner_steps=1, inner_rate=0.1))
    data = augment(model, IMAGES, [0, 1, 0, 1, 1], per_class=3, seed=2)
    images, labels = read(data)
    assert labels == [0] * 5 + [1] * 6
    for index, members, first in ((0, [0, 2], 2), (1, [1, 3, 4], 8)):
        key = class_seed(2, index)
        wanted = model.adapt(FLOATS[members], seed=key).sample(3, seed=key)
        np.testing.assert_array_equal(images[first : first + 3], wanted)
    classifier = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)])
    classifier.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    batches = data.cache().shuffle(int(data.cardinality()), seed=0).batch(4)
    losses = classifier.fit(batches, epochs=5, verbose=0).history["loss"]
    assert int(batches.cardinality()) == 3 and losses[-1] < losses[0]


def test_images_of_another_shape_than_the_model_are_refused_at_once():
    model = mg.MetaModel(tiny_dcgan(), mg.FOMAML())
    with pytest.raises(ValueError, match=r"'images' must have shape \[n, 8, 8, 1\] .*Received: shape \(5, 9, 8, 1\)"):
        augment(model, np.zeros((5, 9, 8, 1), np.uint8), LABELS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": FLOATS[0]}, r"'images' must have shape \[n, height, width, channels\]"),
        ({"images": FLOATS[:0], "labels": []}, "with n >= 1"),
        ({"images": FLOATS * 3}, r"'images' must lie in \[-1, 1\]"),
        ({"images": np.where(FLOATS > 0, np.nan, FLOATS)}, "'images' must be finite"),
        ({"images": IMAGES.astype(int) + 256}, "'images' of integers must be levels in 0..255"),
        ({"images": IMAGES.astype(complex)}, "'images' must be uint8"),
        ({"labels": LABELS[:4]}, "'labels' must be 5 integers or strings"),
        ({"labels": np.array(LABELS, float)}, "'labels' must be 5 integers or strings"),
        ({"labels": [LABELS]}, "'labels' must be 5 integers or strings"),
        ({"per_class": -1}, "'per_class' must be an integer"),
        ({"per_class": 2.0}, "'per_class' must be an integer"),
        ({"steps": -1}, "'steps' must be an integer"),
        ({"seed": 2**31}, "'seed' must be an integer"),
        ({"model": object()}, r"'model' must have 'adapt\("),
    ],
)
def test_bad_arguments_are_refused_before_any_adaptation(change, message):
    model = Fake()
    with pytest.raises(ValueError, match=rf"{message}.* Received"):
        augment(**{"model": model, "images": FLOATS, "labels": LABELS, **change})
    assert not model.calls


def test_samples_of_another_shape_are_refused():
    data = augment(Fake(shape=(2, 8, 9, 1)), IMAGES, LABELS, per_class=2)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"samples must have shape \[2, 8, 8, 1\]. Received"):
        read(data)
