"""The card of an exported model: its signatures and limits, for people who have the folder and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meta_gan import storage

SHOWN = 8  # inputs of a signature; `NAME_adapted` takes every weight


def markdown(about: Mapping[str, Any]) -> str:
    """What `assets.extra/meta_gan.json` says, as Markdown.

    Args:
        about: its values.

    Returns:
        A page with a table of signatures.

    Example:
        >>> print(markdown(json.loads(Path("served/glyphs/1/assets.extra/meta_gan.json").read_text())))
    """
    data = about.get("data") or {}
    splits = ", ".join(f"{len(names)} {split}" for split, names in (data.get("splits") or {}).items())
    limits = ", ".join(f"{name} {value}" for name, value in about["limits"].items())
    lines = [
        "# A SavedModel of meta_gan",
        "",
        f"- Algorithm: {about['algorithm']}, {about['inner_steps']} inner steps of its own.",
        f"- Examples: {storage.examples(about['example_shape'], data)}.",
        f"- Data: {data.get('name', 'not recorded')}; classes {splits or 'not recorded'}.",
        f"- Limits of a request: {limits}; what is over them is refused by name.",
        "- It keeps nothing between requests: the same request gives the same answer. Never batch requests together.",
        "",
        "| signature | inputs | outputs |",
        "|---|---|---|",
        *[
            f"| `{name}` | {_inputs(signature['inputs'])} | {_outputs(signature['outputs'])} |"
            for name, signature in about["signatures"].items()
        ],
        "",
    ]
    return "\n".join(lines)


def _inputs(inputs: Mapping[str, Any]) -> str:
    shown = [f"`{name}` {_tensor(given)}{_limits(given)}" for name, given in inputs.items()]
    left = len(shown) - SHOWN
    return "; ".join(shown if left <= 1 else [*shown[: SHOWN // 2], f"{left} more", *shown[-SHOWN // 2 :]])


def _outputs(outputs: Mapping[str, Any]) -> str:
    shown = [f"`{name}` {_tensor(made)}" for name, made in outputs.items()]
    return "; ".join(shown if len(shown) <= SHOWN else [*shown[: SHOWN // 2], f"{len(shown) - SHOWN // 2} more"])


def _tensor(described: Mapping[str, Any]) -> str:
    sizes = ", ".join("n" if size is None else str(size) for size in described["shape"])
    return f"{described['dtype']}[{sizes}]"


def _limits(given: Mapping[str, Any]) -> str:
    if "range" in given:
        return " in {} to {}".format(*given["range"])
    lengths = " x ".join("{} to {}".format(*bound) for bound in given.get("lengths", []))
    values = f", {given['values']}" if "values" in given else ""
    return (f", {lengths} of them" if lengths else "") + values
