"""Ends of error messages: what may have been meant instead of a name, a path or an array that is wrong."""

from __future__ import annotations

import difflib
import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_ALIKE = 0.7
"""The similarity, in [0, 1], from which on a name may be what a misspelt one means; "wgan" is none of "dcgan"."""
_NEIGHBOURS = 1000
"""Entries of a folder among which a misspelt name is looked for."""


def did_you_mean(value: Any, choices: Iterable[Any]) -> str:
    """Return the end of an error message that names the choice most like a misspelt value.

    Args:
        value: what was received.
        choices: what is allowed; only strings are compared.

    Returns:
        `". Did you mean NAME?"`, or "" if no choice is like the value.

    Example:
        >>> did_you_mean("flwo", ["fusion", "flow"])
        ". Did you mean 'flow'?"
    """
    found = _closest(value, choices)
    return "" if found is None else f". Did you mean {found!r}?"


def _closest(value: Any, choices: Iterable[Any]) -> str | None:
    names = [choice for choice in choices if isinstance(choice, str)]
    found = difflib.get_close_matches(value, names, n=1, cutoff=_ALIKE) if isinstance(value, str) else []
    return found[0] if found else None


def missing_hint(path: str | os.PathLike[str], names: Iterable[str] = ()) -> str:
    """Return the end of an error message on a path at which there is nothing: what may have been meant.

    Args:
        path: the path.
        names: names that are allowed in place of a path.

    Returns:
        `". Did you mean PATH?"` for a home folder that was not expanded, spaces around a name, or a misspelt name; the
        first folder on the way that does not exist; or "" if the folder exists and has no such name.

    Example:
        >>> missing_hint("/nowhere/at/all")
        ". There is no '/nowhere'"
    """
    text = os.fspath(path)
    if (name := _closest(text.strip(), names)) is not None:
        return f". Did you mean {name!r}?"
    for meant in (os.path.expanduser(text), text.strip()):
        if meant not in ("", text) and os.path.lexists(meant):
            return f". Did you mean {meant!r}?"
    given = missing = Path(text)
    while not os.path.isdir(missing.parent) and missing.parent != missing:
        missing = missing.parent
    try:
        with os.scandir(missing.parent) as entries:
            found = _closest(missing.name.strip(), [entry.name for entry in itertools.islice(entries, _NEIGHBOURS)])
    except OSError:
        found = None  # A folder that may not be listed.
    if found is not None:
        return f". Did you mean {str(missing.parent / found)!r}?"
    return "" if missing == given else f". There is no {str(missing)!r}"


def shape_hint(received: tuple[int, ...], shape: tuple[int, ...], argument: str) -> str:
    """Return the end of an error message on an array of a wrong shape: the expression that gives it the right one.

    Args:
        received: its shape.
        shape: the shape of one example.
        argument: the name of the array.

    Returns:
        For an axis that is missing or elsewhere, `". Do this: EXPRESSION"`; else "".

    Example:
        >>> shape_hint((5, 28, 28), (28, 28, 1), "images")
        '. Add the axis of channels: images[..., None]'
    """
    name = argument if argument.isidentifier() else "array"
    if received == shape:
        return f". For one example pass {name}[None]"
    if shape[-1:] == (1,) and received == shape[:-1]:
        return f". For one example pass {name}[None, ..., None]"
    if shape[-1:] == (1,) and received[1:] == shape[:-1]:
        return f". Add the axis of channels: {name}[..., None]"
    if len(shape) == 3 and len(received) == 4 and (*received[2:], received[1]) == shape:
        return f". Move the channels last: numpy.moveaxis({name}, 1, -1)"
    return ""
