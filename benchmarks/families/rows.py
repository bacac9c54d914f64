"""The rows that `benchmarks.families` trains and evaluates: presets, their changes, and the families they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.families.tasks import OBJECTIVE, TOLD, Family
from meta_gan import presets
from meta_gan.model import MetaModel
from meta_gan.tasks import DomainTasks

META, CODE = "meta-trained", "conditioned, not meta-trained"
JOINT, SCRATCH = "pre-trained and fine-tuned", "from scratch"
SCALED, CYCLE = "scales and shifts alone", "there and back"
NOISE, NOISE_JOINT, NOISE_SCRATCH = "from noise", "from noise, pre-trained and fine-tuned", "from noise and scratch"
STEPS = (0, 1, 5, 20, 50, 200)
FEWER_STEPS = STEPS[:-1]  # of rows for which 200 steps would take half an hour
UNTRAINED_STEPS = (0, 5, 50, 200)
COMMON: dict[str, Any] = {"width": 16, "averaging": 0.99}
# Pretraining ignores the true translations. The outer objective without inner steps uses them, as the other rows do.
JOINT_BY_TRUTH: dict[str, Any] = {"algorithm": "conditional"}
_META: dict[str, Any] = {"embedding_dim": TOLD, "algorithm": "fomaml", "inner_steps": 2}
# The same comparison with the target as for the translators of these families.
_OF_NOISE: dict[str, Any] = {"terms.features": 1.0, "game.features": OBJECTIVE, "pixels": 2.0, "inner_steps": 2}


@dataclass(frozen=True)
class Row:
    """A row.

    Attributes:
        changes: of the recipe of `preset`.
        steps: candidates for the number of inner steps.
        preset: its name; the game of a preset of one domain is `Transfer`, which generates the target from noise.
        families: the families with this row; empty for all.
        trained: whether the row is trained.
    """

    changes: dict[str, Any]
    steps: tuple[int, ...] = STEPS
    preset: str = "translation"
    families: tuple[str, ...] = ()
    trained: bool = True


ROWS: dict[str, Row] = {
    META: Row(_META),
    # The same network and task embedding, trained without inner steps: the difference is the effect of adaptation.
    CODE: Row({"embedding_dim": TOLD, "algorithm": "conditional"}),
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


def rows_of(family: str) -> list[str]:
    """Return the names of the rows of a family; those of every family if it is unknown."""
    return [name for name, row in ROWS.items() if not row.families or family in row.families]


def recipe_of(family: Family, row: str) -> presets.Recipe:
    """Return the recipe of a row."""
    chosen = ROWS[row]
    if chosen.preset not in ("translation", "cyclegan"):
        return presets.get(chosen.preset, {**COMMON, **chosen.changes})
    changes = chosen.changes if row != JOINT or not family.fields.get("truth") else JOINT_BY_TRUTH
    return presets.get(chosen.preset, {**COMMON, **family.fields, **changes})


def fresh(family: Family, row: str, tasks: DomainTasks) -> MetaModel:
    """Return the untrained model of a row."""
    return presets.build(recipe_of(family, row), tasks.example_shape)
