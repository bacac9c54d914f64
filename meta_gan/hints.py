"""Hints at the end of error messages: what the user may have meant by a wrong name, path or array."""

from __future__ import annotations

import difflib
import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_ALIKE = 0.7
"""The least similarity, in [0, 1], of a name that is suggested; "dcgan" is not suggested for "wgan"."""
_NEIGHBOURS = 1000
"""The largest number of a folder's entries that are compared with a misspelt name."""


def did_you_mean(value: Any, choices: Iterable[Any]) -> str:
    """Return a hint that names the choice most similar to a misspelt value.

    Args:
        value: the value that was received.
        choices: the allowed values; only strings are compared.

    Returns:
        `". Did you mean NAME?"`, or "" if no choice is similar to the value.

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
    """Return a hint for a path that does not exist.

    Args:
        path: the path.
        names: names that are allowed in place of a path.

    Returns:
        `". Did you mean PATH?"` for a home folder that was not expanded, spaces around the path, or a misspelt name;
        else `". There is no FOLDER"` for the first folder of the path that does not exist; or "" if only the last part
        of the path does not exist, and no other name is similar.

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
        found = None  # There is no permission to list the folder.
    if found is not None:
        return f". Did you mean {str(missing.parent / found)!r}?"
    return "" if missing == given else f". There is no {str(missing)!r}"


def shape_hint(received: tuple[int, ...], shape: tuple[int, ...], argument: str) -> str:
    """Return a hint for an array of a wrong shape: the expression that gives it the right one.

    Args:
        received: the shape of the array.
        shape: the shape of one example.
        argument: the name of the array.

    Returns:
        If an axis is missing or in another place, what to do and the expression that does it; else "".

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
