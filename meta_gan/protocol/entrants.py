"""Who may take part in an evaluation: models and judges that fit the data and have not seen its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meta_gan.judges.judge import Judge
from meta_gan.model import MetaModel
from meta_gan.protocol.baselines import Affine, Copy, Repeat, Shift
from meta_gan.protocol.generation import Contender, from_scratch
from meta_gan.protocol.settings import Settings
from meta_gan.tasks import Source

ORACLE, REPEAT, WRONG, NONE, SCRATCH = "oracle", "one image repeated", "wrong class", "none", "from scratch"
PLAIN = {
    "copy": (Copy(), "the support images again"),
    "shift": (Shift(), "the support images, each shifted by up to 2 pixels"),
    "affine": (Affine(), "the support images, each rotated, scaled, sheared and shifted"),
}
RESERVED = (ORACLE, *PLAIN, REPEAT, WRONG, NONE, SCRATCH)
"""Names of rows that no model may have."""


@dataclass(frozen=True)
class Entry:
    """A model to evaluate.

    Attributes:
        model: the model.
        card: what the report says of it beside what the model knows itself: `weights_sha256`, `training`.
    """

    model: MetaModel
    card: Mapping[str, Any]


def check(
    source: Source, classes: np.ndarray, split: str, models: Mapping[str, Entry], judges: Sequence[Judge]
) -> None:
    """Refuses what cannot be compared.

    Args:
        source: the data.
        classes: int64[n], the evaluated ones.
        split: theirs; classes of the training split have been seen, and are then let through.
        models: by name.
        judges: at least one.

    Raises:
        ValueError: no judge or two of one name, a reserved name, another image shape, a net for objectives as a judge,
            or classes that a model or judge was trained on.
    """
    if not judges or len({judge.name for judge in judges}) < len(judges):
        received = [judge.name for judge in judges]
        raise ValueError(f"`judges` must be one or more, with different names. Received: {received}")
    if bad := sorted(set(models) & set(RESERVED)):
        raise ValueError(f"a model must have a name other than those of the fixed rows, {RESERVED}. Received: {bad}")
    evaluated = set() if split == "train" else {source.class_names[index] for index in classes}
    for judge in judges:
        _same_shape(f"judge {judge.name!r}", judge.example_shape, source)
        if judge.card.get("purpose") == "objective":
            raise ValueError(
                f"a judge must never have been an objective of training. Received: {judge.name!r}, a net for objectives"
            )
        data = judge.card.get("data") or {}
        _unseen(f"judge {judge.name!r}", data.get("name"), data.get("classes") or (), source, evaluated)
    for name, entry in models.items():
        _same_shape(f"model {name!r}", entry.model.game.example_shape, source)
        data = entry.model.data_card
        seen = (data.get("splits") or {}).get("train") or ()
        _unseen(f"model {name!r}", data.get("name"), seen, source, evaluated)


def _same_shape(what: str, shape: Any, source: Source) -> None:
    if tuple(shape) != tuple(source.example_shape):
        raise ValueError(
            f"{what} must take images of {tuple(source.example_shape)}, as {source.name} has them. "
            f"Received: one for {tuple(shape)}"
        )


def _unseen(what: str, name: Any, seen: Sequence[str], source: Source, evaluated: set[str]) -> None:
    both = sorted(evaluated & set(seen)) if name == source.name else []
    if both:
        raise ValueError(
            f"{what} must not have been trained on classes that are evaluated. Received: {len(both)} of "
            f"{len(evaluated)} classes of {source.name} seen in training, such as {both[0]!r}"
        )


def notes(source: Source, classes: np.ndarray, settings: Settings, models: Mapping[str, Entry]) -> list[str]:
    """Sentences that a reader of the results must know."""
    found = []
    if settings.quick:
        found.append(
            "Quick form: one draw of few classes and few classifiers; for day-to-day work, not for publication."
        )
    if settings.split == "train":
        found.append("These classes were seen in training: this is no measure of generation from few shots.")
    if len(classes) < settings.ways:
        found.append(
            f"Only {len(classes)} classes are evaluated: samples are recognised among classes of other splits too, and "
            f"the few-shot classifier is {len(classes)}-way."
        )
    if settings.classification_draws and 1 < len(classes) <= settings.ways:
        found.append("Every classifier has all of the classes: its intervals are those of training alone.")
    for name, entry in models.items():
        polarity = entry.model.data_card.get("polarity")
        if polarity not in (None, source.polarity):
            found.append(f"{name} was trained on {polarity} images, these are {source.polarity}.")
    if settings.draws == 1:
        found.append("One draw of the support, one training of each model.")
    return found


def contenders(models: Mapping[str, Entry], settings: Settings) -> list[Contender]:
    """The rows that make images: plain augmentations, models, the controls, and the models' nets from scratch."""
    found = [Contender(name, model) for name, (model, _) in PLAIN.items()]
    found.append(Contender(REPEAT, Repeat()))
    for name, entry in models.items():
        found.append(Contender(name, entry.model, settings.read_steps, settings.steps, stable=True))
    if not settings.scratch_steps:
        return found
    kinds: list[Any] = []
    for name, entry in models.items():
        kind = _nameless([entry.model.game.get_config(), entry.model.algorithm.meta_learner.get_config()])
        if kind not in kinds:
            # Models that differ only in how they were meta-trained are one and the same from scratch.
            label = f"{SCRATCH}, as {name}" if kinds else SCRATCH
            found.append(from_scratch(label, entry.model, settings.scratch_steps, settings.scratch_classes))
            kinds.append(kind)
    return found


def _nameless(tree: Any) -> Any:
    """A configuration without the names that Keras counts up, in which two models alike may differ."""
    if isinstance(tree, Mapping):
        return {key: _nameless(value) for key, value in tree.items() if key != "name"}
    return [_nameless(value) for value in tree] if isinstance(tree, (list, tuple)) else tree


def info(contenders_: Sequence[Contender], classes: int, settings: Settings) -> dict[str, dict[str, Any]]:
    """What each row is, in a sentence, and over how many classes."""
    found: dict[str, dict[str, Any]] = {
        ORACLE: {"what": "real images of the class that no row has seen", "classes": classes},
        WRONG: {"what": "real images of another class", "classes": classes},
    }
    for contender in contenders_:
        count = classes if contender.classes is None else min(classes, contender.classes)
        if contender.name in PLAIN:
            what = PLAIN[contender.name][1]
        elif contender.name == REPEAT:
            what = "the first support image, again and again"
        elif contender.name.startswith(SCRATCH):
            what = f"the same nets from fresh weights, {contender.row_steps} steps on the support alone"
        else:
            what = f"adapted by {contender.row_steps} inner steps"
            found[f"{contender.name}, 0 steps"] = {"what": "before adaptation", "classes": count}
        found[contender.name] = {"what": what, "classes": count}
    limit = min(classes, settings.classification_classes) if settings.classification_draws else None
    return {name: {**entry, "classification_classes": limit} for name, entry in found.items()}
