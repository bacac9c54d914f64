"""The rows that `benchmarks.families` trains and measures: a preset, what each changes of it, and where it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.family_tasks import OBJECTIVE, TOLD, Family
from meta_gan import presets
from meta_gan.model import MetaModel
from meta_gan.tasks import DomainTasks

META, CODE, JOINT, SCRATCH = "meta-trained", "told, not meta-trained", "pre-trained and fine-tuned", "from scratch"
SCALED, CYCLE = "scales and shifts alone", "there and back"
NOISE, NOISE_JOINT, NOISE_SCRATCH = "from noise", "from noise, pre-trained and fine-tuned", "from noise and scratch"
STEPS = (0, 1, 5, 20, 50, 200)
FEWER_STEPS = STEPS[:-1]  # of rows that 200 steps would keep busy for half an hour
UNTRAINED_STEPS = (0, 5, 50, 200)
COMMON: dict[str, Any] = {"width": 16, "averaging": 0.99}
# The plain loss knows of no truth, so that this row would be told less: the outer objective after no inner step does.
JOINT_BY_TRUTH: dict[str, Any] = {"algorithm": "conditional", "inner_steps": 0}
_META: dict[str, Any] = {"embedding_dim": TOLD, "algorithm": "fomaml", "inner_steps": 2}
# Compared with the target as the translators of the same families are.
_OF_NOISE: dict[str, Any] = {"energy": 1.0, "features": OBJECTIVE, "coarse": 2.0, "inner_steps": 2}


@dataclass(frozen=True)
class Row:
    """A row.

    Attributes:
        changes: of the recipe of `preset`.
        steps: the numbers of inner steps that it may choose from.
        preset: by name; of a preset of one domain the game is `Transfer`, which makes the target of noise.
        families: that are asked for it; empty for all.
        trained: whether it is trained at all.
    """

    changes: dict[str, Any]
    steps: tuple[int, ...] = STEPS
    preset: str = "translation"
    families: tuple[str, ...] = ()
    trained: bool = True


ROWS: dict[str, Row] = {
    META: Row(_META),
    # The same network and code without an inner step in training: what is left is what adaptation is worth.
    CODE: Row({"embedding_dim": TOLD, "algorithm": "conditional", "inner_steps": 0}),
    JOINT: Row({"algorithm": "pretraining", "inner_steps": 2}),
    # Fresh nets know of no truth: what ties a translation to its image is the preset's own term, the content.
    SCRATCH: Row({"content": 1.0, "truth": 0.0}, UNTRAINED_STEPS, trained=False),
    # The meta-trained row but for one thing each: what a task moves, and the way back.
    SCALED: Row({**_META, "scale_and_shift": True}, FEWER_STEPS, families=("fonts",)),
    CYCLE: Row(_META, FEWER_STEPS, preset="cyclegan", families=("fonts",)),
    NOISE: Row(_OF_NOISE, preset="fomaml", families=("MNIST and Fashion-MNIST",)),
    NOISE_JOINT: Row(_OF_NOISE, preset="pretraining", families=("MNIST and Fashion-MNIST",)),
    NOISE_SCRATCH: Row(
        _OF_NOISE, UNTRAINED_STEPS, preset="fomaml", families=("MNIST and Fashion-MNIST",), trained=False
    ),
}


def asked(family: str) -> list[str]:
    """The names of the rows of a family, or those that every family has."""
    return [name for name, row in ROWS.items() if not row.families or family in row.families]


def recipe_of(family: Family, row: str) -> presets.Recipe:
    """The recipe of a row."""
    chosen = ROWS[row]
    if chosen.preset not in ("translation", "cyclegan"):
        return presets.get(chosen.preset, **{**COMMON, **chosen.changes})
    changes = chosen.changes if row != JOINT or not family.fields.get("truth") else JOINT_BY_TRUTH
    return presets.get(chosen.preset, **{**COMMON, **family.fields, **changes})


def fresh(family: Family, row: str, tasks: DomainTasks) -> MetaModel:
    """The untrained model of a row."""
    return presets.build(recipe_of(family, row), tasks.example_shape)
