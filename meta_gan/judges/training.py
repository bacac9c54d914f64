"""Training of feature networks on the meta-training classes of a source, and their validation.

Only images of the training classes decide the weights, and every draw is a function of (seed, step): the same recipe on
the same source gives the same network.
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
from meta_gan.features import NETWORKS, PURPOSES, FeatureNetwork
from meta_gan.judges.augmentation import random_affine
from meta_gan.judges.contrastive import contrastive_loss, projection_head
from meta_gan.judges.judge import Judge
from meta_gan.metrics import pair_distances, prototypical_accuracy
from meta_gan.networks.base import seeded_normal
from meta_gan.tasks import Source, Tasks
from meta_gan.tasks.errors import DataError
from meta_gan.tasks.pixels import LEVELS
from meta_gan.tasks.sampling import ALGORITHM

METHODS = ("prototypical", "classification", "contrastive")
VALIDATION_WAYS, VALIDATION_SHOTS, VALIDATION_EPISODES = 20, 5, 100
MOST_IMAGES = 20
"""Images of a class that validation uses, at most."""
_DRAW, _WARP, _SECOND_WARP = 1, 2, 3  # streams of draws, so that no two share a key
# Limits of the warps of contrastive views, wider than those of `random_affine`: features that are to tell one image
# from all others under them have to follow its shape.
_VIEW = {"rotation": 0.35, "scale": 0.3, "shear": 0.3, "shift": 3.0}
_VALIDATION_SEED = 0  # fixed, so that all networks of a source are validated on the same episodes


@dataclass(frozen=True)
class JudgeRecipe:
    """The settings with which a feature network is trained.

    Attributes:
        method: "prototypical" (episodes, nearest class mean), "classification" (over all training classes, by distance
            to one learned prototype per class) or "contrastive" (two warped views of every image, without labels).
        network: "conv4" or "residual", see `features`.
        width: width of the network, >= 1.
        augmentation: whether images are warped by `augmentation.random_affine`; contrastive views always are.
        steps: optimizer steps, >= 1. Use some hundreds at least: the moving averages of the normalisation layers, which
            inference uses, lag a hundred steps behind the weights.
        ways: classes of an episode, >= 2 (prototypical).
        shots: images of a class that its prototype is the mean of, >= 1 (prototypical).
        queries: images of a class to classify, >= 1 (prototypical).
        batch: images of a step, >= 2 (classification, contrastive).
        rate: Adam's initial learning rate, > 0; it decays to 0 along a cosine.
        seed: of the weights and of every draw, in [0, 2^31).
        purpose: "judge"; "plane" for a judge of `protocol.plane` alone; or "objective" for a network that may be part
            of a loss and scores nothing.
        symmetries: whether the eight rotations and reflections of a class are classes of their own (prototypical,
            square images).

    Raises:
        ValueError: a field is out of range, or does not fit the method.

    Example:
        >>> JudgeRecipe(network="residual", width=32).method
        'prototypical'

    References:
        Snell et al., Prototypical Networks for Few-shot Learning, 2017; for classification,
        Movshovitz-Attias et al., No Fuss Distance Metric Learning using Proxies, 2017; for contrastive, Chen et al., A
        Simple Framework for Contrastive Learning of Visual Representations, 2020.
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
    symmetries: bool = False

    def __post_init__(self) -> None:
        check_choice(self.method, "method", METHODS)
        check_choice(self.network, "network", tuple(NETWORKS))
        check_choice(self.purpose, "purpose", PURPOSES)
        if not check_bool(self.augmentation, "augmentation") and self.method == "contrastive":
            raise ValueError("'augmentation' must be True when the method is contrastive. Received: False")
        if check_bool(self.symmetries, "symmetries") and self.method != "prototypical":
            raise ValueError(f"'symmetries' must be False unless the method is prototypical. Received: {self.method!r}")
        least = {"width": 1, "steps": 1, "ways": 2, "shots": 1, "queries": 1, "batch": 2, "seed": 0}
        for name, minimum in least.items():
            check_integer(getattr(self, name), name, minimum)
        check_number(self.rate, "rate", above=0)


def restrict(source: Source, split: str) -> Source:
    """Return the classes of one split with their images, labelled 0..k-1, as training classes.

    Raises:
        DataError: `split` is unknown or has no classes.
    """
    chosen = source.split_classes(split)
    if len(chosen) == 0:
        raise DataError(f"{source.name}: the {split} split must have at least 1 class. Received: 0")
    kept = np.isin(source.labels, chosen)
    return Source(
        images=source.images[kept],
        labels=np.searchsorted(chosen, source.labels[kept]).astype(np.int32),
        class_names=[source.class_names[index] for index in chosen],
        class_split=np.zeros(len(chosen), np.int8),
        groups=None if source.groups is None else source.groups[kept],
        name=source.name,
    )


def prototypical_loss(features: tf.Tensor, ways: int, shots: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the cross-entropy and accuracy of classifying queries by their squared distances to class means.

    Args:
        features: float[ways * (shots + queries), d], class by class, the shots of each class first.
        ways: number of classes.
        shots: images of a class that its mean is taken of.

    Returns:
        (float[], float[]).

    Reference:
        Snell et al., 2017, equations 1 and 2.
    """
    features = tf.reshape(features, [ways, -1, features.shape[-1]])
    means, queries = tf.reduce_mean(features[:, :shots], 1), features[:, shots:]
    labels = tf.repeat(tf.range(ways), tf.shape(queries)[1])
    return _nearest_loss(tf.reshape(queries, [-1, features.shape[-1]]), means, labels)


def _nearest_loss(queries: tf.Tensor, prototypes: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the cross-entropy and accuracy of softmax(-squared distance)."""
    # The squared norm of the query is left out: it is the same for all prototypes, so softmax cancels it.
    logits = 2.0 * tf.matmul(queries, prototypes, transpose_b=True) - tf.reduce_sum(tf.square(prototypes), 1)
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    hit = tf.equal(tf.argmax(logits, 1, output_type=tf.int32), labels)
    return loss, tf.reduce_mean(tf.cast(hit, tf.float32))


def _key(recipe: JudgeRecipe, step: tf.Tensor, role: int) -> tf.Tensor:
    return tf.random.fold_in(tf.constant([recipe.seed, role], tf.int32), tf.cast(step, tf.int32), alg=ALGORITHM)


def _episodes(data: Source, recipe: JudgeRecipe) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """Yield images float32[ways * (shots + queries), ...] without labels, forever."""
    tasks = Tasks(data, recipe.shots, recipe.queries, recipe.seed)
    for episode in tasks.train(recipe.ways, symmetries=recipe.symmetries):
        images = tf.concat([episode.support, episode.query], axis=1)
        yield tf.reshape(images, [-1, *data.example_shape]), tf.zeros([0], tf.int32)


def _batches(data: Source, recipe: JudgeRecipe) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """Yield images float32[batch, ...] and labels int32[batch], forever."""
    images, labels, levels = tf.constant(data.images), tf.constant(data.labels), tf.constant(LEVELS)

    def draw(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
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
    elif recipe.method == "contrastive":
        head = projection_head(network.output_shape[-1], recipe.seed)
        weights += head.trainable_variables
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(recipe.rate, recipe.steps))
    optimizer.build(weights)

    def objective(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = network(images, training=True)
        if recipe.method == "classification":
            return _nearest_loss(features, prototypes, labels)
        if recipe.method == "contrastive":
            return contrastive_loss(head(features))
        return prototypical_loss(features, recipe.ways, recipe.shots)

    @tf.function(autograph=False)
    def step_of(images: tf.Tensor, labels: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if recipe.method == "contrastive":
            views = [random_affine(images, _key(recipe, step, role), **_VIEW) for role in (_WARP, _SECOND_WARP)]
            images = tf.concat(views, axis=0)
        elif recipe.augmentation:
            images = random_affine(images, _key(recipe, step, _WARP))
        with tf.GradientTape() as tape:
            loss, accuracy = objective(images, labels)
        gradients = tape.gradient(loss, weights)
        optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return loss, accuracy

    return step_of


def train_judge(
    source: Source,
    recipe: JudgeRecipe,
    on_progress: Callable[[int, float, float], None] | None = None,
    name: str = "judge",
) -> FeatureNetwork:
    """Train a feature network on the training classes of a source.

    Args:
        source: images of 8x8 or more. Its validation classes serve for validation only, its test classes for nothing.
        recipe: how to train.
        on_progress: called after each step with the number of steps done, the loss and the accuracy of the step.
        name: the network's name in reports until it is saved, when its folder's name replaces it.

    Returns:
        A `FeatureNetwork` if the recipe's purpose is "objective", else a `Judge`. Its card has the keys "data" (name,
        image shape, polarity and training classes), "recipe", "purpose", "validation" (see `validate`) and "scale".

    Raises:
        DataError: too few training classes or images for the recipe.
        ValueError: images are too small for the network, or the training diverged.

    Example:
        >>> judge = train_judge(glyphs().source, PINNED["glyphs28"][1])
        >>> judge.save("judges/glyphs28")
    """
    data = restrict(source, "train")
    needed = recipe.ways if recipe.method == "prototypical" else 2
    if len(data.class_names) < needed:
        raise DataError(
            f"{source.name}: the source must have at least {needed} training classes. Received: {len(data.class_names)}"
        )
    network = NETWORKS[recipe.network](data.example_shape, recipe.width, recipe.seed)
    step_of = _make_step(network, data, recipe)
    stream = (_episodes if recipe.method == "prototypical" else _batches)(data, recipe)
    for step, (images, labels) in zip(range(recipe.steps), stream, strict=False):
        loss, accuracy = (float(value) for value in step_of(images, labels, tf.constant(step)))
        if not np.isfinite(loss):
            raise ValueError(f"the loss must stay finite; try a smaller 'rate'. Received: {loss} at step {step}")
        if on_progress is not None:
            on_progress(step + 1, loss, accuracy)
    return _with_card(network, source, data, recipe, name)


def _with_card(network: keras.Model, source: Source, data: Source, recipe: JudgeRecipe, name: str) -> FeatureNetwork:
    """Return the trained network with its scale and its card."""
    raw = FeatureNetwork(network, name)
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
    kind = FeatureNetwork if recipe.purpose == "objective" else Judge
    return kind(network, name, card, within_class_distance(raw, data))


def features_by_class(network: FeatureNetwork, source: Source, at_most: int = MOST_IMAGES) -> list[np.ndarray]:
    """Return the features of up to `at_most` images of every class, drawn without replacement.

    Args:
        network: the feature network.
        source: the images, of all splits.
        at_most: images of a class, >= 1.

    Returns:
        For each class float32[n, dim], n >= 0.
    """
    generator = np.random.default_rng(_VALIDATION_SEED)
    order = generator.permutation(len(source.labels))
    chosen = [order[source.labels[order] == index][:at_most] for index in range(len(source.class_names))]
    features = network.features(source.images[np.concatenate(chosen)])
    return np.split(features, np.cumsum([len(indices) for indices in chosen])[:-1])


def validate(network: FeatureNetwork, source: Source) -> dict[str, Any] | None:
    """Return the nearest-prototype accuracy of a network over fixed episodes.

    Args:
        network: the feature network.
        source: the classes to classify, with up to 20 images each.

    Returns:
        {"accuracy": in [0, 1], "ways": 20 or all classes if there are fewer, "shots": 5}, over 100 episodes; None if
        fewer than two classes have more than 5 images.

    Example:
        >>> validate(load_judge("omniglot28-conv"), restrict(source, "validation"))
    """
    enough = [features for features in features_by_class(network, source) if len(features) > VALIDATION_SHOTS]
    ways = min(VALIDATION_WAYS, len(enough))
    if ways < 2:
        return None
    generator, scores = np.random.default_rng(_VALIDATION_SEED), []
    for _ in range(VALIDATION_EPISODES):
        classes = [generator.permutation(enough[index]) for index in generator.permutation(len(enough))[:ways]]
        parts = np.s_[:VALIDATION_SHOTS], np.s_[VALIDATION_SHOTS:]
        scores.append(prototypical_accuracy(*([rows[part] for rows in classes] for part in parts)))
    return {"accuracy": round(float(np.mean(scores)), 6), "ways": ways, "shots": VALIDATION_SHOTS}


def within_class_distance(network: FeatureNetwork, source: Source) -> float:
    """Return the distance between two images of one class, averaged over pairs, then over classes.

    Args:
        network: the feature network.
        source: the classes, with up to 20 images each; classes of one image are left out.

    Returns:
        float >= 0, in the network's present unit.

    Raises:
        ValueError: no class has two images.
    """
    means = [pair_distances(x).mean() for x in features_by_class(network, source) if len(x) > 1]
    if not means:
        raise ValueError(f"{source.name}: a class must have at least 2 images. Received: none that has")
    return float(np.mean(means))


PINNED: dict[str, tuple[str, JudgeRecipe]] = {
    "omniglot28-conv": ("omniglot28.npz", JudgeRecipe(augmentation=False, seed=1)),
    "omniglot28-residual": (
        "omniglot28.npz",
        JudgeRecipe("classification", "residual", width=32, augmentation=True, seed=2),
    ),
    "omniglot28-objective": ("omniglot28.npz", JudgeRecipe(augmentation=True, seed=3, purpose="objective")),
    "glyphs28": ("glyphs", JudgeRecipe(augmentation=True, seed=4)),
    "omniglot28-contrastive": (
        "omniglot28.npz",
        JudgeRecipe("contrastive", "residual", width=32, steps=2000, batch=256, seed=5, purpose="plane"),
    ),
    "omniglot28-one-shot": (
        "omniglot28.npz",
        JudgeRecipe(steps=3000, ways=60, shots=1, augmentation=False, seed=6, purpose="plane", symmetries=True),
    ),
}
"""The shipped networks: the name of the source that each was trained on, and its recipe."""
