"""Nested frozen dataclasses as configuration: checks of fields, dotted changes, and plain trees for JSON and TOML."""

from __future__ import annotations

import dataclasses
import functools
import re
import types
import typing
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Self, TypeVar

from meta_gan.checks import check_bool, check_choice, check_integer, check_number
from meta_gan.hints import did_you_mean
from meta_gan.renames import SETTINGS

N = TypeVar("N", bound="Node")
Kinds = Mapping[str, Any]
"""`{kind: the node with its default fields, or None}`: what a field that holds a node may be."""


def one_of(kinds: Kinds, default: str) -> Any:
    """Declare a field that holds a node of one of `kinds`; `default` is the name of one."""
    return dataclasses.field(default=kinds[default], metadata={"kinds": kinds})


def always(node: Any) -> Any:
    """Declare a field that holds a node of one kind only."""
    return one_of({"": node}, "")


def integer(default: int, least: int = 0) -> Any:
    """Declare an integer field in [least, 2^31)."""
    return _checked(default, functools.partial(check_integer, least=least))


def number(default: float | None, **bounds: Any) -> Any:
    """Declare a field of a finite number within the `bounds` of `check_number`, or None if that is the default."""

    def check(value: Any, argument: str) -> None:
        if value is not None or default is not None:
            check_number(value, argument, **bounds)

    return _checked(default, check)


def choice(default: str, choices: tuple[str, ...]) -> Any:
    """Declare a field that is one of some words."""
    return _checked(default, functools.partial(check_choice, choices=choices))


def flag(default: bool) -> Any:
    """Declare a field that is True or False."""
    return _checked(default, check_bool)


def text(default: str) -> Any:
    """Declare a field of text."""

    def check(value: Any, argument: str) -> None:
        if not isinstance(value, str):
            raise ValueError(f"{argument!r} must be a string. Received: {value!r}")

    return _checked(default, check)


def _checked(default: Any, check: Any) -> Any:
    return dataclasses.field(default=default, metadata={"check": check})


@dataclasses.dataclass(frozen=True)
class Node:
    """Base of the dataclasses that make up a recipe: every field is checked by what declares it.

    A field that `one_of` or `always` declares holds another node: a subclass of `Node`, any other frozen dataclass that
    checks its own fields, such as those of `meta_gan.losses`, or None.

    Raises:
        ValueError: a field out of its range, or a node of another kind.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Layer(Node):
        ...     units: int = integer(8, least=1)
        >>> Layer(16).to_config()
        {'units': 16}
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if "kinds" in field.metadata:
                kind_of(value, field.metadata["kinds"], field.name)
            elif "check" in field.metadata:
                field.metadata["check"](value, field.name)

    def to_config(self) -> dict[str, Any]:
        """Return the node as nested dicts of JSON values; where there is a choice of kinds, `kind` names it."""
        return _config(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the node that `config` describes.

        Args:
            config: a result of `to_config`. Fields that are left out have their defaults, and a kind alone, such as
                `"r1"` instead of `{"kind": "r1"}`, has all of them.

        Raises:
            ValueError: an unknown field or kind, or a value out of its range, named with its path.
        """
        return _node(cls(), config, "")


def change(node: N, changes: Mapping[str, Any]) -> N:
    """Return a copy of a node with some settings changed.

    Args:
        node: a recipe, or any other node.
        changes: `{setting: value}`. A setting is its path, such as "game.terms.nearness", or any end of the path that
            no other setting has, such as "terms.nearness" or "nearness"; a dot may be written as an underscore. A
            value is of the setting's type, or text of it. The network, the game, its loss and so on take the name of
            another kind, or "none"; settings that both kinds have keep their values. Names of an earlier version are
            read with a warning.

    Raises:
        ValueError: an unknown or ambiguous setting, or a value out of its range.

    Example:
        >>> change(get("fusion"), {"terms.nearness": "3", "outer_rate": 5e-4, "pooling": "attention"}).outer.rate
        0.0005
    """
    tree = _config(node)
    pending = dict(_current(key, value, list(_places(node, tree))) for key, value in changes.items())
    while True:
        # A kind decides which settings there are, so kinds are changed first, from the root on.
        places = list(_places(node, tree))
        found = {key: _matches(key, places) for key in pending}
        kinds = {key: each[0] for key, each in found.items() if len(each) == 1 and each[0].kinds}
        if not kinds:
            break
        key = min(kinds, key=lambda key: kinds[key].path.count("."))
        kinds[key].choose(pending.pop(key))
    for key, value in pending.items():
        if len(found[key]) != 1:
            raise ValueError(_complaint(key, found[key], places))
        found[key][0].set(value)
    return _node(node, tree, "")


def _current(key: str, value: Any, places: list[_Place]) -> tuple[str, Any]:
    """Return a setting and its value under its present name; warn if the name is that of an earlier version."""
    if key not in SETTINGS or _matches(key, places):
        return key, value
    present, given = SETTINGS[key], value
    if key == "code_dim" and str(value) == "0":
        present, given = "task_encoder", "none"
    warnings.warn(f"the setting '{key}={value}' is now '{present}={given}'", FutureWarning, stacklevel=3)
    return present, given


def kind_of(value: Any, kinds: Kinds, argument: str) -> str:
    """Return the name of the kind that a node is of.

    Raises:
        ValueError: it is of none of `kinds`.

    Example:
        >>> kind_of(losses.Hinge(), {"none": None, "hinge": losses.Hinge()}, "loss")
        'hinge'
    """
    for name, node in kinds.items():
        if type(node) is type(value):
            return name
    raise ValueError(f"{argument!r} must be one of {', '.join(map(repr, kinds))}. Received: {type(value).__name__}")


def _config(node: Any) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for field in dataclasses.fields(node):
        value, kinds = getattr(node, field.name), field.metadata.get("kinds")
        plain = list(value) if isinstance(value, tuple) else value
        config[field.name] = plain if kinds is None else _tagged(kind_of(value, kinds, field.name), value)
    return config


def _tagged(kind: str, node: Any) -> dict[str, Any]:
    return {**({"kind": kind} if kind else {}), **({} if node is None else _config(node))}


def _node(default: Any, config: Any, path: str) -> Any:
    """Return `default` with the fields that `config` gives, `path` being the place of both."""
    if not isinstance(config, Mapping):
        raise ValueError(f"{path!r} must be a table of settings. Received: {config!r}")
    fields = {field.name: field for field in dataclasses.fields(default)}
    values: dict[str, Any] = {}
    for name, value in config.items():
        place = f"{path}.{name}" if path else name
        if name not in fields:
            hint = did_you_mean(name, fields)
            raise ValueError(f"{place!r} must be a setting, one of {', '.join(fields)}. Received: {name!r}{hint}")
        kinds, chosen = fields[name].metadata.get("kinds"), getattr(default, name)
        if kinds is None:
            values[name] = tuple(value) if isinstance(value, list) else value
            continue
        if "" not in kinds:
            own, inner = kind_of(chosen, kinds, place), dict(value) if isinstance(value, Mapping) else {"kind": value}
            kind, value = check_choice(inner.pop("kind", own), place, kinds), inner
            chosen = chosen if kind == own else kinds[kind]
            if chosen is None and value:
                raise ValueError(f"{place!r} must have no settings when it is 'none'. Received: {', '.join(value)}")
        values[name] = None if chosen is None else _node(chosen, value, place)
    try:
        return dataclasses.replace(default, **values)
    except ValueError as error:
        # A message about a field begins with its name, which becomes the whole path.
        if not path:
            raise
        named = re.sub(r"^'(?=\w)", f"'{path}.", str(error))
        raise ValueError(named if named != str(error) else f"{path}: {error}") from error


@dataclasses.dataclass(frozen=True)
class _Place:
    """A field of a tree: its path, the dict that holds it by its name, its type, and its kinds if it is a node."""

    path: str
    holder: dict[str, Any]
    name: str
    hint: Any
    kinds: Kinds | None
    # For a field of an optional node that is absent: the place of that node, which comes to be when the field is set.
    absent: _Place | None

    def choose(self, value: Any) -> None:
        """Change the kind of this node, or replace it by another node."""
        kinds = self.kinds or {}
        if value is not None and not isinstance(value, str):
            self.holder[self.name] = _tagged(kind_of(value, kinds, self.path), value)
            return
        if "" in kinds:
            raise ValueError(f"{self.path!r} must be changed field by field. Received: {value!r}")
        kind, old = check_choice("none" if value is None else value, self.path, kinds), self.holder[self.name]
        new = _tagged(kind, kinds[kind])
        self.holder[self.name] = {**new, **{key: old[key] for key in new if key in old and key != "kind"}}

    def set(self, value: Any) -> None:
        """Set the field here to a value, or to what a text says."""
        self.holder[self.name] = _parsed(value, self.hint, self.path) if isinstance(value, str) else value
        if self.absent is not None:
            self.absent.holder[self.absent.name] = self.holder


def _places(node: Any, tree: dict[str, Any], path: str = "", absent: _Place | None = None) -> Iterator[_Place]:
    """Yield every field of a node and of the nodes below it, whose kinds are those in its configuration `tree`."""
    hints = typing.get_type_hints(type(node))
    for field in dataclasses.fields(node):
        kinds = field.metadata.get("kinds")
        place = _Place(f"{path}{field.name}", tree, field.name, hints[field.name], kinds, absent)
        yield place
        if kinds is None:
            continue
        present, optional = tree[field.name], [kind for kind in kinds if kinds[kind] is not None]
        inner = kinds[present.get("kind", "")]
        if inner is not None:
            yield from _places(inner, present, f"{place.path}.", absent)
        elif len(optional) == 1:
            new = _tagged(optional[0], kinds[optional[0]])
            yield from _places(kinds[optional[0]], new, f"{place.path}.", place)


def _matches(key: str, places: list[_Place]) -> list[_Place]:
    """Return the places whose path is `key`, or else those whose path ends in it; those of absent nodes come last."""
    whole = [place for place in places if place.path == key]
    ends = [place for place in places if key.replace(".", "_") in _ends(place.path)]
    return whole or [place for place in ends if place.absent is None] or ends


def _ends(path: str) -> set[str]:
    names = path.split(".")
    return {"_".join(names[start:]) for start in range(len(names))}


def _complaint(key: str, found: list[_Place], places: list[_Place]) -> str:
    """Return why a key is refused, with the settings that it may mean, the kinds that have it, or all settings."""
    if found:
        several = " or ".join(repr(place.path) for place in found)
        return f"{key!r} must name one setting, {several}. Received: {key!r}"
    choices = [place for place in places if len(place.kinds or {}) > 1]
    for place in sorted(choices, key=lambda place: place.path.count("."), reverse=True):
        own, having = place.holder[place.name]["kind"], []
        for kind, node in (place.kinds or {}).items():
            if node is not None and kind != own and _matches(key, list(_places(node, _config(node), f"{place.path}."))):
                having.append(repr(kind))
        if having:
            wanted = f"must not be set when {place.path} is {own!r}, but only when it is {' or '.join(having)}"
            return f"{key!r} {wanted}. Received: {key!r}"
    paths = [place.path for place in places]
    hint = did_you_mean(key, [*paths, *(end for path in paths for end in _ends(path))])
    # The list is long, so it stands only where there is nothing better to say.
    return f"{key!r} must be a setting{'' if hint else ', one of ' + ', '.join(paths)}. Received: {key!r}{hint}"


def _parsed(value: str, hint: Any, path: str) -> Any:
    """Return text as a value of the type `hint`."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if types.NoneType in options and value.lower() == "none":
        return None
    kind = typing.get_origin(options[0]) or options[0]
    try:
        if kind is bool:
            return {"true": True, "false": False}[value.lower()]
        if kind is tuple:
            return tuple(int(part) for part in value.split(","))
        return kind(value)
    except (ValueError, KeyError) as error:
        wanted = {bool: "true or false", int: "an integer", tuple: "integers separated by commas"}
        raise ValueError(f"{path!r} must be {wanted.get(kind, 'a number')}. Received: {value!r}") from error
