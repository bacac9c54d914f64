"""`Method`, a row of an evaluation; the methods of an evaluation, their checks, and the images that they make."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meta_gan.adapted import AdaptedModel
from meta_gan.augment import augment, class_seed
from meta_gan.checks import check_converged
from meta_gan.errors import DivergenceError
from meta_gan.judges import Judge
from meta_gan.model import MetaModel
from meta_gan.protocol.augmentations import Elastic, TrivialAugment
from meta_gan.protocol.baselines import Affine, Copy, Repeat, Shift
from meta_gan.protocol.classification import NONE
from meta_gan.protocol.settings import RATE_SCALES, Settings
from meta_gan.tasks import Source
from meta_gan.tasks.pixels import to_uint8

ORACLE, REPEAT, WRONG, SCRATCH = "oracle", "one image repeated", "wrong class", "from scratch"
BASELINES = {
    "copy": (Copy(), "the support images again"),
    "shift": (Shift(), "the support images, each shifted by up to 2 pixels"),
    "affine": (Affine(), "the support images, each rotated, scaled, sheared and shifted"),
    "elastic": (Elastic(), "the support images, each bent by a smooth random displacement"),
    "trivial": (TrivialAugment(), "the support images, each changed by one operation of TrivialAugment"),
    REPEAT: (Repeat(), "the first support image, again and again"),
}
RESERVED = (ORACLE, *BASELINES, WRONG, NONE, SCRATCH)
"""Names of rows that no model may have."""


@dataclass(frozen=True)
class Method:
    """A model, or a baseline with its interface, that makes examples of a class from a support set.

    The caller of an evaluation gives name, model and card; the evaluation sets the rest.

    Attributes:
        name: name of its row in the report.
        model: a `MetaModel`, or an object whose `adapt(support, steps=, seed=)` has `sample(count, seed=)`.
        card: further JSON values for the report: `weights_sha256`, `training`.
        steps: ascending inner steps after which it is sampled, in one trajectory; `(0,)` if it has no inner steps.
        row_steps: the number of inner steps of its row, one of `steps`.
        classes: largest number of classes that it makes examples of; None for all.
        evaluated: whether it is one of the caller's models, which have a curve and a stability score.
    """

    name: str
    model: Any
    card: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[int, ...] = (0,)
    row_steps: int = 0
    classes: int | None = None
    evaluated: bool = False

    def includes(self, position: int) -> bool:
        """Return True if it makes examples of the class at a position in the evaluation's order."""
        return self.classes is None or position < self.classes


def all_methods(models: Sequence[Method], settings: Settings) -> list[Method]:
    """Return the baselines, the models, and the models' networks trained from scratch."""
    found = [Method(name, baseline) for name, (baseline, _) in BASELINES.items()]
    for model in models:
        own = model.model.algorithm.inner_steps if settings.steps is None else settings.steps
        steps = tuple(sorted({0, own, *settings.curve}))
        found.append(Method(model.name, model.model, model.card, steps, own, evaluated=True))
    # Models that differ only in their meta-training are equal from scratch.
    kinds: list[Any] = []
    for model in models if settings.scratch_steps else ():
        kind = _without_names([model.model.game.get_config(), model.model.algorithm.meta_learner.get_config()])
        if kind not in kinds:
            name = f"{SCRATCH}, as {model.name}" if kinds else SCRATCH
            found.append(from_scratch(name, model.model, settings.scratch_steps, settings.scratch_classes))
            kinds.append(kind)
    return found


def from_scratch(name: str, model: MetaModel, steps: int, classes: int) -> Method:
    """Return the method that trains a model's game from its initial weights on the support alone."""
    fresh = MetaModel.from_config({**model.get_config(), "averaging": None})
    return Method(name, fresh, steps=(steps,), row_steps=steps, classes=classes)


def _without_names(tree: Any) -> Any:
    """Return a configuration without Keras's numbered names, in which equal models can differ."""
    if isinstance(tree, Mapping):
        return {key: _without_names(value) for key, value in tree.items() if key != "name"}
    return [_without_names(value) for value in tree] if isinstance(tree, (list, tuple)) else tree


def check_judges(judges: Sequence[Judge], example_shape: tuple[int, ...], reserved: Collection[str] = ()) -> None:
    """Check that judges have different names, none of them `reserved`, and take images of `example_shape`.

    Raises:
        ValueError: they do not.
    """
    names = [judge.name for judge in judges]
    if len(set(names)) < len(names) or set(names) & set(reserved):
        but = f", other than {', '.join(reserved)}" if reserved else ""
        raise ValueError(f"'judges' must have different names{but}. Received: {names}")
    for judge in judges:
        _check_shape(f"judge {judge.name!r}", judge.example_shape, example_shape)


def check_comparable(
    source: Source, classes: np.ndarray, split: str, models: Sequence[Method], judges: Sequence[Judge]
) -> None:
    """Check that models and judges fit the data and were not trained on the evaluated `classes` of a split.

    Classes of the training split may be evaluated all the same.

    Raises:
        ValueError: no judge, equal names of judges or of models, a reserved name, another image shape, or a model or
            judge that was trained on an evaluated class.
    """
    if not judges:
        raise ValueError("'judges' must be one or more. Received: none")
    check_judges(judges, source.example_shape)
    names = [model.name for model in models]
    if len(set(names)) < len(names) or set(names) & set(RESERVED):
        raise ValueError(f"models must have different names, other than the fixed rows {RESERVED}. Received: {names}")
    evaluated = set() if split == "train" else {source.class_names[index] for index in classes}
    for judge in judges:
        data = judge.card.get("data") or {}
        _check_unseen(f"judge {judge.name!r}", data.get("name"), data.get("classes") or (), source, evaluated)
    for model in models:
        _check_shape(f"model {model.name!r}", model.model.game.example_shape, source.example_shape)
        data = model.model.data_card
        seen = (data.get("splits") or {}).get("train") or ()
        _check_unseen(f"model {model.name!r}", data.get("name"), seen, source, evaluated)


def _check_shape(what: str, shape: Any, wanted: tuple[int, ...]) -> None:
    if tuple(shape) != tuple(wanted):
        raise ValueError(f"{what} must take images of {tuple(wanted)}. Received: images of {tuple(shape)}")


def _check_unseen(what: str, name: Any, seen: Sequence[str], source: Source, evaluated: set[str]) -> None:
    both = sorted(evaluated & set(seen)) if name == source.name else []
    if both:
        raise ValueError(
            f"{what} must not have been trained on evaluated classes. Received: {len(both)} of {len(evaluated)} "
            f"classes of {source.name} were training classes, such as {both[0]!r}"
        )


def make_examples(
    method: Method, support: np.ndarray, samples: int, seed: int, what: str, extra: int = 0, stability: bool = False
) -> dict[str, np.ndarray]:
    """Make a method's images of one class, from a support set uint8[shots, *example].

    Args:
        method: the method.
        support: the support set.
        samples: number of images after each of the method's numbers of steps.
        seed: of the class.
        what: the class's name in messages.
        extra: number of images for a classifier; 0 for none.
        stability: whether a model is also adapted at other inner rates.

    Returns:
        uint8 images and float64[] milliseconds: {"samples/STEPS", "ms/STEPS", "extra", "rate/SCALE"}. There are no
        images at a rate at which the adaptation diverged.

    Raises:
        DivergenceError: an adapted weight or a sample is not finite.
    """
    key = class_seed(seed, 0)
    try:
        made = _samples(method, support, samples, key)
    except DivergenceError as error:
        raise DivergenceError(f"the adaptation of {method.name!r} to class {what!r} failed: {error}") from error
    if extra:
        labels = np.zeros(len(support), np.int32)
        pairs = augment(method.model, support, labels, extra, method.row_steps, seed)
        images = np.stack([image for image, _ in pairs.as_numpy_iterator()])
        made["extra"] = to_uint8(images[len(support) :])
    if stability and method.evaluated:
        for scale in RATE_SCALES:
            made[f"rate/{scale:g}"] = _at_rate(method, support, samples, key, scale)
    return made


def _samples(method: Method, support: np.ndarray, count: int, key: int) -> dict[str, np.ndarray]:
    """Return the images and times of a method after each of its numbers of steps."""
    made: dict[str, np.ndarray] = {}
    adapting, start = 0.0, time.perf_counter()
    for steps, adapted in _trajectory(method, support, key):
        adapting += time.perf_counter() - start
        start = time.perf_counter()
        images = adapted.sample(count, seed=key)
        # The time of a row includes one sampling, not those at earlier stops of the trajectory.
        made[f"ms/{steps}"] = np.array(1e3 * (adapting + time.perf_counter() - start))
        check_converged([images], f"the samples after {steps} inner steps")
        made[f"samples/{steps}"] = to_uint8(images)
        start = time.perf_counter()
    return made


def _trajectory(method: Method, support: np.ndarray, key: int) -> Iterator[tuple[int, Any]]:
    """Yield the numbers of steps and the adapted models of one adaptation."""
    if not isinstance(method.model, MetaModel):
        for steps in method.steps:
            yield steps, method.model.adapt(support, steps=steps, seed=key)
        return
    adaptation = method.model.adaptation
    snapshots = adaptation.trajectory(support, method.steps, key)
    for steps, snapshot in zip(method.steps, snapshots, strict=True):
        yield steps, AdaptedModel(adaptation, snapshot, support, {})


def _at_rate(method: Method, support: np.ndarray, count: int, key: int, scale: float) -> np.ndarray:
    """Return samples after adaptation at another inner rate; none if an image or a parameter is not finite."""
    adaptation = method.model.adaptation
    (snapshot,) = adaptation.trajectory(support, (method.row_steps,), key, rate_scale=scale)
    try:
        return to_uint8(AdaptedModel(adaptation, snapshot, support, {}).sample(count, seed=key))
    except DivergenceError:
        return np.zeros((0, *adaptation.game.example_shape), np.uint8)
