"""The signatures of an exported model: the name, inputs and function of each.

Each endpoint of the game becomes `adapt_and_NAME`, and, where the game needs no support set, one of its own, the game's
default as `serving_default`. `adapt` by itself returns the adapted weights as named tensors, which `NAME_adapted` takes
back, so that a client may keep an adapted class and the server keeps nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.adaptation import CompiledAdaptation
from meta_gan.export.limits import Input, Limits, asserted
from meta_gan.games.base import Endpoint
from meta_gan.types import Examples, Snapshot, Tensor, Tensors, Tree

Values = Mapping[str, Tensor]
DEFAULT = "serving_default"
SAMPLE = "sample"  # the endpoint that also serves many tasks at once


class Signature(NamedTuple):
    """One signature of an exported model.

    Attributes:
        name: for clients.
        inputs: in order.
        fn: `{input: tensor} -> {output: tensor}`, of values that were checked.
    """

    name: str
    inputs: tuple[Input, ...]
    fn: Callable[[Values], dict[str, Tensor]]


class Signatures:
    """Make signatures; functions that several signatures share are traced and stored once.

    Args:
        served: the adaptation to export, over its own copies of the Keras models.
        limits: the greatest request served.
    """

    def __init__(self, served: CompiledAdaptation, limits: Limits):
        self.served, self.game, self.limits = served, served.game, limits
        self._adapt = tf.function(served.adapt_values, autograph=False)
        self._condition = tf.function(served.condition_values, autograph=False)
        self._endpoints: dict[str, Any] = {}

    def of_meta_model(self) -> list[Signature]:
        """Return all signatures of a meta-model."""
        made = [self._adapting(name) for name in self.game.endpoints]
        if not self.game.conditioned:
            made += [self._plain(name, None) for name in self.game.endpoints]
        if SAMPLE in self.game.endpoints and not isinstance(self.game.example_shape, Mapping):
            made.append(self._many())
        made += self._by_weights()
        if self.game.conditioners:
            made.append(self._encoding())
        return made

    def of_adapted_model(self, conditioning: Tree) -> list[Signature]:
        """Return a signature for each endpoint, of the models' values; `conditioning` becomes constants."""
        # These signatures share no function; a `tf.function` of each endpoint would only be traced and stored besides.
        self._endpoints = {name: partial(self.served.endpoint_values, name) for name in self.game.endpoints}
        return [self._plain(name, conditioning) for name in self.game.endpoints]

    def _support_inputs(self) -> tuple[Input, ...]:
        """Return the inputs of the support set or sets, and `steps`."""
        shots = ((1, self.limits.shots),)
        sets = [Input(spec, shots, True) for spec in tf.nest.flatten(self.served.support_spec)]
        return (*sets, _scalar("steps", (0, self.limits.steps)))

    def _own_inputs(self, name: str) -> tuple[Input, ...]:
        """Return the inputs of an endpoint, its `num` and rows limited."""
        specs = self.served.endpoint_inputs(name)
        return tuple(Input(spec, ((1, self.limits.num),), key == "images") for key, spec in specs.items())

    def _support(self, values: Values) -> Examples:
        sets = [values[spec.name] for spec in tf.nest.flatten(self.served.support_spec)]
        return tf.nest.pack_sequence_as(self.served.support_spec, sets)

    def _adapted(self, values: Values) -> tuple[Snapshot, Tree]:
        """Return adapted values, and the conditioning of the nets."""
        support = self._support(values)
        snapshot = self._adapt(support, values["steps"], values["seed"])
        return snapshot, self._conditioning(snapshot, support)

    def _conditioning(self, snapshot: Snapshot, support: Examples) -> Tree:
        with self._listed("'conditioners' of the game", self.game.conditioners):
            return self._condition(functional.of_nets(snapshot, self.game.conditioners), support)

    def _run(self, name: str, snapshot: Snapshot, conditioning: Tree, values: Values) -> dict[str, Tensor]:
        """Run an endpoint on its own inputs among the values of a request, with the values of its own nets alone."""
        if name not in self._endpoints:
            self._endpoints[name] = tf.function(
                lambda *given: self.served.endpoint_values(name, *given), autograph=False
            )
        endpoint = self.game.endpoints[name]
        own = {key: values[key] for key in endpoint.inputs}
        held = functional.of_nets(snapshot, endpoint.nets)
        with self._listed(f"'nets' of the endpoint '{name}'", endpoint.nets):
            return dict(self._endpoints[name](held, conditioning, own, values.get("seed", tf.constant(0))))

    @contextmanager
    def _listed(self, what: str, names: tuple[str, ...]) -> Iterator[None]:
        """Say which net a list of the game lacks, if a function misses its values."""
        try:
            yield
        except KeyError as error:
            missing = next(iter(error.args), None)
            if missing not in self.game.nets or missing in names:
                raise
            raise ValueError(f"{what} must list the net '{missing}', which it uses. Received: {names}") from error

    def _held(self, names: Iterable[str]) -> Snapshot:
        """Return the values that some of the models hold."""
        return functional.read({name: self.game.nets[name] for name in names})

    def _plain(self, name: str, conditioning: Tree) -> Signature:
        called = DEFAULT if name == self.game.default_endpoint else name
        endpoint = self.game.endpoints[name]
        inputs = (*self._own_inputs(name), *_seed(endpoint))
        return Signature(
            called, inputs, lambda values: self._run(name, self._held(endpoint.nets), conditioning, values)
        )

    def _adapting(self, name: str) -> Signature:
        """Return `adapt_and_NAME`; adaptation draws, so each has a seed."""
        inputs = (*self._support_inputs(), *self._own_inputs(name), _scalar("seed"))
        return Signature(f"adapt_and_{name}", inputs, lambda values: self._run(name, *self._adapted(values), values))

    def _many(self) -> Signature:
        """Return `adapt_and_sample_many`: several classes in one call, each as `adapt_and_sample` with its seed."""
        single, limits = self._adapting(SAMPLE), self.limits
        spec = tf.nest.flatten(self.served.support_spec)[0]
        tasks = (1, limits.tasks)
        inputs = (
            Input(tf.TensorSpec([None, *spec.shape], spec.dtype, name="support"), (tasks, (1, limits.shots)), True),
            _scalar("steps", (0, limits.steps)),
            _scalar("num", (1, limits.num)),
            Input(tf.TensorSpec([None], tf.int32, name="seed"), (tasks,)),
        )

        def run(values: Values) -> dict[str, Tensor]:
            of_each = [values["support"], values["seed"]]
            lengths = [tf.shape(each)[0] for each in of_each]
            said = "`support` and `seed` must have one length along axis 0. Received:"
            with tf.control_dependencies([asserted(tf.equal(*lengths), [said, *lengths])]):
                of_each = [tf.identity(each) for each in of_each]

            def one(given: Tensors) -> Tensor:
                support, seed = given
                return single.fn({**values, "support": support, "seed": seed})["samples"]

            return {"samples": tf.map_fn(one, of_each, fn_output_signature=spec.dtype)}

        return Signature(f"adapt_and_{SAMPLE}_many", inputs, run)

    def _encoding(self) -> Signature:
        """Return `encode_task(support)`: the task embedding of the meta-model, before any inner step."""

        def run(values: Values) -> dict[str, Tensor]:
            named = _named(self._conditioning(self._held(self.game.conditioners), self._support(values)))
            embeddings = {
                name.removeprefix("conditioning_"): functional.as_float32(each)
                for name, each in named.items()
                if name.endswith("_task_embedding")
            }
            return embeddings or {"task_embedding": functional.as_float32(named["conditioning"])}

        return Signature("encode_task", self._support_inputs()[:-1], run)

    def _by_weights(self) -> list[Signature]:
        """Return `adapt`, and `NAME_adapted` of every endpoint that needs no other nets than the default one."""
        game = self.game
        nets = game.endpoints[game.default_endpoint].nets
        names = _names(game.nets, nets)
        trees: list[Tree] = []  # the structure of the conditioning, known once `adapt` was traced

        def adapt(values: Values) -> dict[str, Tensor]:
            snapshot, conditioning = self._adapted(values)
            trees.append(conditioning)
            made = dict(zip(names, _tensors(snapshot, nets), strict=True)) | _named(conditioning)
            return {name: _without_halves(each) for name, each in made.items()}

        signature = Signature("adapt", (*self._support_inputs(), _scalar("seed")), adapt)
        specs = {given.name: given.spec for given in signature.inputs}
        traced = tf.function(lambda **values: adapt(values), autograph=False).get_concrete_function(**specs)
        weights = tuple(
            Input(tf.TensorSpec(out.shape, out.dtype, name=name)) for name, out in traced.structured_outputs.items()
        )

        def of(name: str) -> Signature:
            def run(values: Values) -> dict[str, Tensor]:
                given = iter([values[each.name] for each in weights])
                snapshot = _packed({net: game.nets[net] for net in nets}, given)
                leaves = [tf.cast(next(given), leaf.dtype) for leaf in _named(trees[0]).values()]
                conditioning = keras.tree.pack_sequence_as(trees[0], leaves) if leaves else None
                return self._run(name, snapshot, conditioning, values)

            inputs = (*weights, *self._own_inputs(name), *_seed(game.endpoints[name]))
            return Signature(f"{name}_adapted", inputs, run)

        fitting = [name for name, endpoint in game.endpoints.items() if set(endpoint.nets) <= set(nets)]
        return [signature, *[of(name) for name in fitting]]


def _scalar(name: str, *bounds: tuple[int, int]) -> Input:
    return Input(tf.TensorSpec([], tf.int32, name=name), bounds)


def _seed(endpoint: Endpoint) -> tuple[Input, ...]:
    return (_scalar("seed"),) if endpoint.seeded else ()


def _named(tree: Tree) -> dict[str, Tensor]:
    """Return the tensors of a conditioning tree by their paths in it; none where there is no conditioning."""
    if tree is None:
        return {}
    return {"_".join(["conditioning", *map(str, path)]): leaf for path, leaf in keras.tree.flatten_with_path(tree)}


def _without_halves(value: Tensor) -> Tensor:
    """Return a tensor as it is, or as float32 if it is of half precision, which few clients can read."""
    return functional.as_float32(value) if value.dtype in (tf.float16, tf.bfloat16) else value


def _names(models: Mapping[str, keras.Model], nets: tuple[str, ...]) -> list[str]:
    """Return names of the values of nets, in the order of `_tensors`: `NET_NUMBER_VARIABLE`, in every process."""
    variables = {net: [*models[net].trainable_variables, *models[net].non_trainable_variables] for net in nets}
    return [
        f"{net}_{number:03d}_" + re.sub(r"\W", "_", variable.name)
        for net, each in variables.items()
        for number, variable in enumerate(each)
    ]


def _tensors(snapshot: Snapshot, nets: tuple[str, ...]) -> Tensors:
    return [value for net in nets for value in (*snapshot.weights[net], *snapshot.state[net])]


def _packed(models: Mapping[str, keras.Model], tensors: Iterator[Tensor]) -> Snapshot:
    """Return a snapshot of the next tensors, which come in the order of `_tensors`, each in its variable's dtype."""
    made = Snapshot({}, {})
    for net, model in models.items():
        made.weights[net] = [tf.cast(next(tensors), variable.dtype) for variable in model.trainable_variables]
        made.state[net] = [tf.cast(next(tensors), variable.dtype) for variable in model.non_trainable_variables]
    return made
