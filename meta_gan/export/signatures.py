"""The signatures of an exported model: what each is called, what it takes, and the function of tensors that it is.

Each endpoint of the game becomes `adapt_and_NAME`, and, where the game needs no support set, one of its own, the game's
default as `serving_default`. Adaptation by itself, `adapt`, gives the adapted weights as named tensors, which
`NAME_adapted` takes back, so that a client may keep an adapted class and the server keeps nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.export.limits import Input, Limits
from meta_gan.types import Snapshot

Values = Mapping[str, Any]
DEFAULT = "serving_default"
SAMPLE = "sample"  # the endpoint that has the form of many tasks at once


class Signature(NamedTuple):
    """One of an exported model.

    Attributes:
        name: as clients write it.
        inputs: what it takes, in order.
        fn: `{input: tensor} -> {output: tensor}`, of values that were checked.
    """

    name: str
    inputs: tuple[Input, ...]
    fn: Callable[[Values], dict[str, Any]]


def _scalar(name: str, *bounds: tuple[int, int]) -> Input:
    return Input(tf.TensorSpec([], tf.int32, name=name), bounds)


def _own(endpoint: Any, limits: Limits) -> tuple[Input, ...]:
    """An endpoint's own inputs, `num` and rows limited."""
    return tuple(Input(spec, ((1, limits.num),), name == "images") for name, spec in endpoint.inputs.items())


def _seed(endpoint: Any) -> tuple[Input, ...]:
    return (_scalar("seed"),) if endpoint.seeded else ()


class Shared:
    """The functions that signatures share: each is traced once, and stored once for all that call it.

    Args:
        served: the adaptation to export, over Keras models of its own.
        limits: the greatest request served.
    """

    def __init__(self, served: Any, limits: Limits):
        self.served, self.limits = served, limits
        self._adapt = tf.function(served.adapt_values, autograph=False)
        self.condition = tf.function(served.game.condition, autograph=False)
        self._endpoints: dict[str, Any] = {}

    def inputs(self) -> tuple[Input, ...]:
        """The support set or sets, and `steps`."""
        sets = tf.nest.flatten(self.served.support_spec)
        shots = ((1, self.limits.shots),)
        return (*[Input(spec, shots, True) for spec in sets], _scalar("steps", (0, self.limits.steps)))

    def support(self, values: Values) -> Any:
        """The support set among the values of a request."""
        sets = [values[spec.name] for spec in tf.nest.flatten(self.served.support_spec)]
        return tf.nest.pack_sequence_as(self.served.support_spec, sets)

    def adapted(self, values: Values, seed: Any) -> tuple[Snapshot, Any]:
        """Adapted values, and what the nets are conditioned on."""
        support = self.support(values)
        snapshot = self._adapt(support, values["steps"], seed)
        return snapshot, self.condition(snapshot, support)

    def run(self, name: str, snapshot: Snapshot, conditioning: Any, values: Values) -> dict[str, Any]:
        """What an endpoint makes of its own among the values of a request."""
        if name not in self._endpoints:
            self._endpoints[name] = tf.function(
                lambda *given: self.served.endpoint_values(name, *given), autograph=False
            )
        own = {key: values[key] for key in self.served.game.endpoints[name].inputs}
        return dict(self._endpoints[name](snapshot, conditioning, own, values.get("seed", tf.constant(0))))

    def plain(self) -> Snapshot:
        """The values that the models hold."""
        return functional.read(self.served.game.nets)


def of_meta_model(served: Any, limits: Limits) -> list[Signature]:
    """All signatures of a meta-model."""
    game, shared = served.game, Shared(served, limits)
    made = [_adapting(shared, name) for name in game.endpoints]
    if not game.conditioned:
        made += [_plain(shared, name, None) for name in game.endpoints]
    if SAMPLE in game.endpoints and not isinstance(game.example_shape, Mapping):
        made.append(_many(shared))
    made += _by_weights(shared)
    if game.conditioners:
        made.append(_encoding(shared))
    return made


def of_adapted_model(served: Any, conditioning: Any, limits: Limits) -> list[Signature]:
    """A signature for each endpoint, of the values that the models hold; what conditions them becomes constants."""
    shared = Shared(served, limits)
    return [_plain(shared, name, conditioning) for name in served.game.endpoints]


def _plain(shared: Shared, name: str, conditioning: Any) -> Signature:
    game = shared.served.game
    endpoint = game.endpoints[name]
    called = DEFAULT if name == game.default_endpoint else name
    inputs = (*_own(endpoint, shared.limits), *_seed(endpoint))
    return Signature(called, inputs, lambda values: shared.run(name, shared.plain(), conditioning, values))


def _adapting(shared: Shared, name: str) -> Signature:
    """`adapt_and_NAME`; adaptation draws, so each has a seed."""

    def run(values: Values) -> dict[str, Any]:
        return shared.run(name, *shared.adapted(values, values["seed"]), values)

    own = _own(shared.served.game.endpoints[name], shared.limits)
    return Signature(f"adapt_and_{name}", (*shared.inputs(), *own, _scalar("seed")), run)


def _many(shared: Shared) -> Signature:
    """`adapt_and_sample_many`: several classes in one call, each as `adapt_and_sample` makes it with its seed."""
    single, limits = _adapting(shared, SAMPLE), shared.limits
    spec = tf.nest.flatten(shared.served.support_spec)[0]
    tasks = (1, limits.tasks)
    inputs = (
        Input(tf.TensorSpec([None, *spec.shape], spec.dtype, name="support"), (tasks, (1, limits.shots)), True),
        _scalar("steps", (0, limits.steps)),
        _scalar("num", (1, limits.num)),
        Input(tf.TensorSpec([None], tf.int32, name="seed"), (tasks,)),
    )

    def run(values: Values) -> dict[str, Any]:
        of_each = [values["support"], values["seed"]]
        lengths = [tf.shape(each)[0] for each in of_each]
        said = "`support` and `seed` must have one length along axis 0. Received:"
        with tf.control_dependencies([tf.debugging.Assert(tf.equal(*lengths), [said, *lengths])]):
            of_each = [tf.identity(each) for each in of_each]

        def one(given: Any) -> Any:
            support, seed = given
            return single.fn({**values, "support": support, "seed": seed})["samples"]

        return {"samples": tf.map_fn(one, of_each, fn_output_signature=spec.dtype)}

    return Signature(f"adapt_and_{SAMPLE}_many", inputs, run)


def _encoding(shared: Shared) -> Signature:
    """`encode_task(support) -> code` of the meta-model, before any inner step."""

    def run(values: Values) -> dict[str, Any]:
        named = _named(shared.condition(shared.plain(), shared.support(values)))
        codes = {
            name.removeprefix("conditioning_"): code for name, code in named.items() if name.endswith("_task_embedding")
        }
        return codes or {"task_embedding": named["conditioning"]}

    return Signature("encode_task", shared.inputs()[:-1], run)


def _named(tree: Any) -> dict[str, Any]:
    """The leaves of what conditions a game, by their places in it; none where nothing does."""
    if tree is None:
        return {}
    return {"_".join(["conditioning", *map(str, path)]): leaf for path, leaf in keras.tree.flatten_with_path(tree)}


def _by_weights(shared: Shared) -> list[Signature]:
    """`adapt`, and `NAME_adapted` of every endpoint that needs no other nets than the default one."""
    game = shared.served.game
    nets = game.endpoints[game.default_endpoint].nets
    names = _names(game, nets)
    trees: list[Any] = []  # the structure of what conditions, known once `adapt` was traced

    def adapt(values: Values) -> dict[str, Any]:
        snapshot, conditioning = shared.adapted(values, values["seed"])
        trees.append(conditioning)
        return dict(zip(names, _leaves(snapshot, nets), strict=True)) | _named(conditioning)

    signature = Signature("adapt", (*shared.inputs(), _scalar("seed")), adapt)
    specs = {given.name: given.spec for given in signature.inputs}
    traced = tf.function(lambda **values: adapt(values), autograph=False).get_concrete_function(**specs)
    weights = tuple(
        Input(tf.TensorSpec(out.shape, out.dtype, name=name)) for name, out in traced.structured_outputs.items()
    )

    def of(name: str) -> Signature:
        endpoint = game.endpoints[name]

        def run(values: Values) -> dict[str, Any]:
            given = [values[each.name] for each in weights]
            conditions = given[len(names) :]
            conditioning = keras.tree.pack_sequence_as(trees[0], conditions) if conditions else None
            return shared.run(name, _with(shared.plain(), nets, given[: len(names)]), conditioning, values)

        return Signature(f"{name}_adapted", (*weights, *_own(endpoint, shared.limits), *_seed(endpoint)), run)

    return [signature, *[of(name) for name, endpoint in game.endpoints.items() if set(endpoint.nets) <= set(nets)]]


def _names(game: Any, nets: tuple[str, ...]) -> list[str]:
    """Of the values of nets, in the order of `_leaves`: `NET_NUMBER_VARIABLE`, the same in every process."""
    variables = {net: [*game.nets[net].trainable_variables, *game.nets[net].non_trainable_variables] for net in nets}
    return [
        f"{net}_{number:03d}_" + re.sub(r"\W", "_", variable.name)
        for net, each in variables.items()
        for number, variable in enumerate(each)
    ]


def _leaves(snapshot: Snapshot, nets: tuple[str, ...]) -> list[Any]:
    return [value for net in nets for value in (*snapshot.weights[net], *snapshot.state[net])]


def _with(snapshot: Snapshot, nets: tuple[str, ...], leaves: list[Any]) -> Snapshot:
    """A snapshot with other values for some nets."""
    weights, state, rest = dict(snapshot.weights), dict(snapshot.state), list(leaves)
    for net in nets:
        learned, kept = len(weights[net]), len(state[net])
        weights[net], state[net] = rest[:learned], rest[learned : learned + kept]
        rest = rest[learned + kept :]
    return Snapshot(weights, state)
