"""The operations of a SavedModel, read from its file and not run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

SAVED_MODEL = "saved_model.pb"


def read(folder: Path) -> Any:
    """The one meta graph of a SavedModel folder.

    Raises:
        ValueError: there is none, or the file is no SavedModel or cut short.
    """
    file = folder / SAVED_MODEL
    if not file.is_file():
        raise ValueError(f"a SavedModel must be a folder with {SAVED_MODEL}. Received: {str(folder)!r}")
    parsed = saved_model_pb2.SavedModel()
    try:
        parsed.ParseFromString(file.read_bytes())
    except DecodeError as error:
        raise ValueError(f"{str(file)!r} must be a whole SavedModel. Received: {error}") from error
    if len(parsed.meta_graphs) != 1:
        raise ValueError(f"{str(file)!r} must hold one graph. Received: {len(parsed.meta_graphs)}")
    return parsed.meta_graphs[0]


def all_operations(graph: Any) -> set[str]:
    """Names of all operations anywhere in a meta graph."""
    bodies = [graph.graph_def.node, *(function.node_def for function in graph.graph_def.library.function)]
    return {node.op for body in bodies for node in body} - _functions(graph).keys()


def served_operations(graph: Any, signature: str) -> set[str]:
    """Names of the operations that a request to a signature can run: those that its outputs need, at any depth."""
    nodes = {node.name: node for node in graph.graph_def.node}
    functions = _functions(graph)
    wanted = [tensor.name.split(":")[0] for tensor in graph.signature_def[signature].outputs.values()]
    found: set[str] = set()
    seen: set[str] = set()
    called: list[str] = []
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        found.add(nodes[name].op)
        called += _called(nodes[name])
        wanted += [source.removeprefix("^").split(":")[0] for source in nodes[name].input]
    for name in _closure(called, functions):
        # Of a function everything that has an effect runs, needed or not.
        found |= {node.op for node in functions[name].node_def}
    return found - functions.keys()


def _functions(graph: Any) -> dict[str, Any]:
    return {function.signature.name: function for function in graph.graph_def.library.function}


def _called(node: Any) -> Iterator[str]:
    """Names of the functions that a node refers to."""
    yield node.op
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (function.name for function in value.list.func)


def _closure(names: Iterable[str], functions: dict[str, Any]) -> set[str]:
    """Those functions, and all that they call."""
    wanted, found = list(names), set()
    while wanted:
        name = wanted.pop()
        if name in functions and name not in found:
            found.add(name)
            wanted += [each for node in functions[name].node_def for each in _called(node)]
    return found
