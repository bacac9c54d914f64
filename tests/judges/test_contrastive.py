"""The contrastive loss by hand, and that it learns to tell shapes apart without labels."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.features import NETWORKS
from meta_gan.judges import Judge, JudgeRecipe, train_judge
from meta_gan.judges.contrastive import PROJECTED, contrastive_loss, projection_head
from meta_gan.tasks import Source


def test_the_loss_by_hand():
    """Views at 0, 90, 0 and 60 degrees: cosines 0, 1, .5 from the first, 0, 0, sin 60 from the second, and so on."""
    views = tf.constant([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0], [0.5, 0.75**0.5]])
    loss, accuracy = contrastive_loss(views, temperature=0.5)
    root = 0.75**0.5
    cosines = {0: (1.0, [0.0, 1.0, 0.5]), 1: (root, [0.0, 0.0, root]), 2: (1.0, [1.0, 0.0, 0.5])}
    cosines[3] = (root, [0.5, root, 0.5])
    terms = [np.log(np.exp(2 * np.array(each)).sum()) - 2 * other for other, each in cosines.values()]
    assert float(loss) == pytest.approx(np.mean(terms), rel=1e-6)
    assert float(accuracy) == 1.0


def test_the_other_view_of_another_image_is_wrong():
    views = tf.constant([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    loss, accuracy = contrastive_loss(views, temperature=1.0)
    assert float(accuracy) == 0.0
    assert float(loss) == pytest.approx(np.log(np.e + 2), rel=1e-6)


def test_the_loss_of_an_image_with_itself_alone_is_zero():
    loss, accuracy = contrastive_loss(tf.constant([[1.0, 2.0], [3.0, -1.0]]))
    assert float(loss) == pytest.approx(0.0, abs=1e-6) and float(accuracy) == 1.0


def test_the_head_depends_on_its_seed():
    first, same, other = (projection_head(8, seed)(tf.ones([1, 8])).numpy() for seed in (1, 1, 2))
    assert first.shape == (1, PROJECTED)
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0.01


@pytest.mark.parametrize("method", ["contrastive", "classification"])
def test_symmetries_are_of_episodes_alone(method):
    with pytest.raises(ValueError, match=f"'symmetries' must be False unless .* prototypical. Received: '{method}'"):
        JudgeRecipe(method, symmetries=True)


@pytest.mark.slow
def test_features_tell_shapes_apart_without_labels():
    """Bars of 12 directions at random places, six of them unseen: copies of one are nearer than those of another."""
    draw = np.random.default_rng(0)
    rows, columns = np.indices((16, 16)) - 7.5
    labels = np.repeat(np.arange(12, dtype=np.int32), 20)
    moves = draw.uniform(-2, 2, (len(labels), 2))
    angles = np.pi / 12 * labels
    across = [np.cos(a) * (rows - y) + np.sin(a) * (columns - x) for a, (y, x) in zip(angles, moves, strict=True)]
    images = np.uint8(255 * np.exp(-(np.array(across)[..., None] ** 2) / 2))
    split = np.array([0, 1] * 6, np.int8)
    source = Source(images, labels, [f"direction {index}" for index in range(12)], split, name="bars")
    recipe = JudgeRecipe("contrastive", "conv4", 16, steps=150, batch=60, rate=0.003, purpose="plane")
    judge = train_judge(source, recipe)
    untrained = dataclasses.replace(recipe, steps=1, rate=1e-9)
    assert isinstance(judge, Judge) and judge.card["purpose"] == "plane"
    accuracy, before = (made.card["validation"]["accuracy"] for made in (judge, train_judge(source, untrained)))
    assert before < 0.97 and 1 - accuracy < 0.5 * (1 - before), (accuracy, before)
    assert NETWORKS["conv4"](source.example_shape, 16, 0).count_params() == judge.network.count_params()
