"""The operations of a SavedModel, read from its file without running them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tensorflow.core.protobuf import saved_model_pb2

from meta_gan import reading
from meta_gan.errors import DamagedFileError

LARGEST = 2**31  # bytes of a graph, the limit of protocol buffers
SAVED_MODEL = "saved_model.pb"
OWN = "__saved_model"  # signatures that TensorFlow runs by itself
KINDS = {"user_object", "function", "bare_concrete_function", "variable", "constant", "captured_tensor"}


def read(folder: Path) -> Any:
    """Return the meta graph of a SavedModel folder.

    Raises:
        DamagedFileError: the folder does not have exactly one graph, or its file is truncated or no SavedModel.
    """
    file = folder / SAVED_MODEL
    if not file.is_file():
        raise DamagedFileError(f"a SavedModel must be a folder with {SAVED_MODEL}. Received: {str(folder)!r}")
    parsed = saved_model_pb2.SavedModel()
    with reading.undamaged(file, "a whole SavedModel"):
        parsed.ParseFromString(reading.read_bytes(file, LARGEST))
    if len(parsed.meta_graphs) != 1:
        raise DamagedFileError(f"{str(file)!r} must hold one graph. Received: {len(parsed.meta_graphs)}")
    return parsed.meta_graphs[0]


def signatures(graph: Any) -> list[str]:
    """Return the names of the signatures that a client can call."""
    return sorted(name for name in graph.signature_def if not name.startswith(OWN))


def served_operations(graph: Any, signature: str) -> set[str]:
    """Return the names of the operations that a request to a signature can run, in functions at any depth."""
    return _reached(graph, [tensor.name for tensor in graph.signature_def[signature].outputs.values()])


def callable_operations(graph: Any) -> set[str]:
    """Return the names of the operations in all functions that a loaded model has as methods.

    They include the signatures: Python calls the function of a signature, even where the graph's list of
    signatures names other outputs.
    """
    return _operations(graph, _closure(graph, graph.object_graph_def.concrete_functions))


def saving_operations(graph: Any) -> set[str]:
    """Return the names of the operations that save and restore variables."""
    saver = graph.saver_def
    return _reached(graph, [name for name in (saver.save_tensor_name, saver.restore_op_name) if name])


def other_operations(graph: Any) -> set[str]:
    """Return the names of all operations except those used only to save and restore variables."""
    saver = graph.saver_def
    saving = _visited(graph, [name for name in (saver.save_tensor_name, saver.restore_op_name) if name])
    called = [each for node in saving for each in _called(node)]
    functions = _functions(graph)
    own = {node.name for node in saving}
    found = {node.op for node in graph.graph_def.node if node.name not in own}
    return (found | _operations(graph, functions.keys() - _closure(graph, called))) - functions.keys()


def odd_objects(graph: Any) -> list[str]:
    """Return descriptions of the objects and operations that would run at loading.

    Objects other than variables, functions and constants, such as assets and resources, run operations when they are
    loaded.
    """
    if not graph.object_graph_def.nodes:
        return ["no object graph"]
    kinds = {node.WhichOneof("kind") for node in graph.object_graph_def.nodes} - KINDS
    first = [name for name in graph.signature_def if name.startswith(OWN)]
    run = {op for name in first for op in served_operations(graph, name)} - {"NoOp"}
    return [f"object: {kind}" for kind in sorted(map(str, kinds))] + [f"at loading: {op}" for op in sorted(run)]


def _reached(graph: Any, tensors: Iterable[str]) -> set[str]:
    nodes = _visited(graph, tensors)
    called = [each for node in nodes for each in _called(node)]
    inside = _operations(graph, _closure(graph, called))
    return ({node.op for node in nodes} | inside) - _functions(graph).keys()


def _visited(graph: Any, tensors: Iterable[str]) -> list[Any]:
    """Return the nodes, outside functions, that tensors depend on."""
    nodes = {node.name: node for node in graph.graph_def.node}
    wanted, seen = [_node(name) for name in tensors], {}
    while wanted:
        name = wanted.pop()
        if name not in seen:
            seen[name] = nodes[name]
            wanted += [_node(source) for source in nodes[name].input]
    return list(seen.values())


def _node(tensor: str) -> str:
    return tensor.removeprefix("^").split(":")[0]


def _operations(graph: Any, names: Iterable[str]) -> set[str]:
    """Return all operations in functions: those with side effects run even if no output depends on them."""
    functions = _functions(graph)
    return {node.op for name in names for node in functions[name].node_def} - functions.keys()


def _functions(graph: Any) -> dict[str, Any]:
    return {function.signature.name: function for function in graph.graph_def.library.function}


def _called(node: Any) -> Iterator[str]:
    """Yield the names of the functions that a node refers to."""
    yield node.op
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (function.name for function in value.list.func)


def _closure(graph: Any, names: Iterable[str]) -> set[str]:
    """Return the names of the given functions and of all functions that they call."""
    functions, wanted, found = _functions(graph), list(names), set()
    while wanted:
        name = wanted.pop()
        if name in functions and name not in found:
            found.add(name)
            wanted += [each for node in functions[name].node_def for each in _called(node)]
    return found
