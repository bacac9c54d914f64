"""Pinned recipes that train judges on the meta-training classes of a source.

Nothing but the training classes' images reaches the weights, and every draw is a function of (seed, step): the same
recipe on the same source gives the same judge.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan.checks import check_bool, check_choice, check_integer, check_number
from meta_gan.features.networks import NETWORKS
from meta_gan.judges.augmentation import random_affine
from meta_gan.judges.judge import Judge
from meta_gan.judges.validation import validate, within_class_distance
from meta_gan.networks.base import seeded_normal
from meta_gan.tasks import Source, Tasks
from meta_gan.tasks.episodes import ALGORITHM
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.pixels import LEVELS

METHODS = ("prototypical", "classification")
PURPOSES = ("judge", "objective")
_DRAW, _WARP = 1, 2  # what a draw is for, so that no two share a key


@dataclass(frozen=True)
class JudgeRecipe:
    """Everything that decides a judge, but for its data.

    Attributes:
        method: "prototypical" (episodes; nearest class mean) or "classification" (over all training classes, by
            distance to one learned prototype each).
        network: "conv4" or "residual", see `judge_networks`.
        width: int >= 1, the network's.
        augmentation: whether every image is warped, see `augmentation.random_affine`.
        steps: int >= 1, of the optimizer; some hundreds at least, because the normalisations' moving averages, by
            which a judge sees, lag a hundred steps behind the weights.
        ways: int >= 2, classes of an episode (prototypical).
        shots: int >= 1, images of a class that make its prototype (prototypical).
        queries: int >= 1, images of a class to be told apart (prototypical).
        batch: int >= 2, images of a step (classification).
        rate: > 0, Adam's first learning rate, which falls to 0 along a cosine.
        seed: int in [0, 2^31), of the weights and of every draw.
        purpose: "judge", or "objective" for a network that losses may use and no report does.

    Raises:
        ValueError: if a field is out of range.

    Example:
        >>> JudgeRecipe(network="residual", width=32).method
        'prototypical'

    Reference:
        Snell et al., Prototypical Networks for Few-shot Learning, 2017; for classification,
        Movshovitz-Attias et al., No Fuss Distance Metric Learning using Proxies, 2017.
    """

    method: str = "prototypical"
    network: str = "conv4"
    width: int = 64
    augmentation: bool = True
    steps: int = 2000
    ways: int = 20
    shots: int = 5
    queries: int = 5
    batch: int = 200
    rate: float = 0.001
    seed: int = 0
    purpose: str = "judge"

    def __post_init__(self) -> None:
        """Check the fields."""
        check_choice(self.method, "method", METHODS)
        check_choice(self.network, "network", tuple(NETWORKS))
        check_choice(self.purpose, "purpose", PURPOSES)
        check_bool(self.augmentation, "augmentation")
        least = {"width": 1, "steps": 1, "ways": 2, "shots": 1, "queries": 1, "batch": 2, "seed": 0}
        for name, minimum in least.items():
            check_integer(getattr(self, name), name, minimum)
        check_number(self.rate, "rate", above=0)


def restrict(source: Source, split: str) -> Source:
    """Return only the classes of one split and their images, labelled 0..k-1, as training classes.

    Raises:
        DataError: if `split` is no split, or has no classes.
    """
    chosen = source.split_classes(split)
    if len(chosen) == 0:
        raise DataError(f"{source.name}: the {split} split needs at least 1 class. Received: 0")
    kept = np.isin(source.labels, chosen)
    return Source(
        images=source.images[kept],
        labels=np.searchsorted(chosen, source.labels[kept]).astype(np.int32),
        class_names=[source.class_names[index] for index in chosen],
        class_split=np.zeros(len(chosen), np.int8),
        groups=None if source.groups is None else source.groups[kept],
        name=source.name,
    )


def prototypical_loss(features: Any, ways: int, shots: int) -> tuple[Any, Any]:
    """Return cross-entropy and accuracy of the queries by their squared distances to the class means.

    Args:
        features: float[ways * (shots + queries), d], class by class, in each the shots first.
        ways: classes.
        shots: images of a class that make its mean.

    Returns:
        (float[], float[]).

    Reference:
        Snell et al., 2017, equations 1 and 2.
    """
    features = tf.reshape(features, [ways, -1, features.shape[-1]])
    means, queries = tf.reduce_mean(features[:, :shots], 1), features[:, shots:]
    labels = tf.repeat(tf.range(ways), tf.shape(queries)[1])
    return _nearest_loss(tf.reshape(queries, [-1, features.shape[-1]]), means, labels)


def _nearest_loss(queries: Any, prototypes: Any, labels: Any) -> tuple[Any, Any]:
    """Return cross-entropy and accuracy of softmax(-squared distance)."""
    # The squared norm of the query is the same for all prototypes, and softmax does not see it.
    logits = 2.0 * tf.matmul(queries, prototypes, transpose_b=True) - tf.reduce_sum(tf.square(prototypes), 1)
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    hit = tf.equal(tf.argmax(logits, 1, output_type=tf.int32), labels)
    return loss, tf.reduce_mean(tf.cast(hit, tf.float32))


def _key(recipe: JudgeRecipe, step: Any, role: int) -> Any:
    return tf.random.fold_in(tf.constant([recipe.seed, role], tf.int32), tf.cast(step, tf.int32), alg=ALGORITHM)


def _episodes(data: Source, recipe: JudgeRecipe) -> Iterator[tuple[Any, Any]]:
    """Yield (images float32[ways * (shots + queries), ...], no labels) for ever."""
    tasks = Tasks(data, recipe.shots, recipe.queries, recipe.seed)
    for episode in tasks.train(recipe.ways):
        images = tf.concat([episode.support, episode.query], axis=1)
        yield tf.reshape(images, [-1, *data.example_shape]), tf.zeros([0], tf.int32)


def _batches(data: Source, recipe: JudgeRecipe) -> Iterator[tuple[Any, Any]]:
    """Yield (images float32[batch, ...], labels int32[batch]) for ever."""
    images, labels, levels = tf.constant(data.images), tf.constant(data.labels), tf.constant(LEVELS)

    def draw(step: Any) -> tuple[Any, Any]:
        key = _key(recipe, step, _DRAW)
        chosen = tf.random.stateless_uniform([recipe.batch], key, 0, len(data.labels), dtype=tf.int32, alg=ALGORITHM)
        return tf.gather(levels, tf.cast(tf.gather(images, chosen), tf.int32)), tf.gather(labels, chosen)

    yield from tf.data.Dataset.counter().map(draw).prefetch(2)


def _make_step(network: keras.Model, data: Source, recipe: JudgeRecipe) -> Callable[..., Any]:
    """Return one update of `network` as a graph: (images, labels, step) to (loss, accuracy)."""
    weights = list(network.trainable_variables)
    if recipe.method == "classification":
        shape = (len(data.class_names), network.output_shape[-1])
        initial = seeded_normal(recipe.seed, "prototypes")(shape[1])(shape)
        prototypes = keras.Variable(initial, name="prototypes")
        weights.append(prototypes)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(recipe.rate, recipe.steps))
    optimizer.build(weights)

    @tf.function(autograph=False)
    def step_of(images: Any, labels: Any, step: Any) -> Any:
        if recipe.augmentation:
            images = random_affine(images, _key(recipe, step, _WARP))
        with tf.GradientTape() as tape:
            features = network(images, training=True)
            if recipe.method == "classification":
                loss, accuracy = _nearest_loss(features, prototypes, labels)
            else:
                loss, accuracy = prototypical_loss(features, recipe.ways, recipe.shots)
        gradients = tape.gradient(loss, weights)
        optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return loss, accuracy

    return step_of


def train_judge(
    source: Source,
    recipe: JudgeRecipe,
    on_progress: Callable[[int, float, float], None] | None = None,
    name: str = "judge",
) -> Judge:
    """Train a judge on the training classes of a source.

    Args:
        source: images of 8x8 or more; its validation classes are only measured on, its test classes not looked at.
        recipe: how to train.
        on_progress: called after each step with the number of steps done, the loss and the accuracy of the step.
        name: what reports call the judge, until it is saved: then it bears its folder's name.

    Returns:
        A `Judge` whose card has the keys "data" (name, image shape, polarity and classes that it was trained on),
        "recipe", "purpose", "validation" (see `judge_validation.validate`) and "scale".

    Raises:
        DataError: if there are too few training classes or images for the recipe.
        ValueError: if images are too small for the network, or the training diverged.

    Example:
        >>> judge = train_judge(glyphs().source, PINNED["glyphs28"][1])
        >>> judge.save("judges/glyphs28")
    """
    data = restrict(source, "train")
    needed = recipe.ways if recipe.method == "prototypical" else 2
    if len(data.class_names) < needed:
        raise DataError(
            f"{source.name}: this recipe needs at least {needed} training classes. Received: {len(data.class_names)}"
        )
    network = NETWORKS[recipe.network](data.example_shape, recipe.width, recipe.seed)
    step_of = _make_step(network, data, recipe)
    stream = (_episodes if recipe.method == "prototypical" else _batches)(data, recipe)
    for step, (images, labels) in zip(range(recipe.steps), stream, strict=False):
        loss, accuracy = (float(value) for value in step_of(images, labels, tf.constant(step)))
        if not np.isfinite(loss):
            raise ValueError(f"the loss must stay finite; try a smaller `rate`. Received: {loss} at step {step}")
        if on_progress is not None:
            on_progress(step + 1, loss, accuracy)
    return _judge(network, source, data, recipe, name)


def _judge(network: keras.Model, source: Source, data: Source, recipe: JudgeRecipe, name: str) -> Judge:
    """Measure the unit of distance and the accuracy, and put together what is known."""
    raw = Judge(network, name)
    classes = hashlib.sha256("\n".join(data.class_names).encode("utf-8", "surrogatepass")).hexdigest()
    unseen = len(source.split_classes("validation")) > 0
    card = {
        "data": {
            "name": data.name,
            "example_shape": list(data.example_shape),
            "polarity": data.polarity,
            "classes": data.class_names,
            "classes_sha256": classes,
        },
        "recipe": dataclasses.asdict(recipe),
        "purpose": recipe.purpose,
        "validation": validate(raw, restrict(source, "validation")) if unseen else None,
    }
    return Judge(network, name, card, within_class_distance(raw, data))


PINNED: dict[str, tuple[str, JudgeRecipe]] = {
    "omniglot28-conv": ("omniglot28.npz", JudgeRecipe(augmentation=False, seed=1)),
    "omniglot28-residual": (
        "omniglot28.npz",
        JudgeRecipe("classification", "residual", width=32, augmentation=True, seed=2),
    ),
    "omniglot28-objective": ("omniglot28.npz", JudgeRecipe(augmentation=True, seed=3, purpose="objective")),
    "glyphs28": ("glyphs", JudgeRecipe(augmentation=True, seed=4)),
}
"""The judges that ship: the name of the source that each was trained on, and its recipe."""
