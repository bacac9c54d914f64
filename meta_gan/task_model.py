"""A Keras model whose batches are tasks: what `keras.Model` promises about inputs, labels and losses does not apply.

Every method that needs them is refused, with the call that does the same for a meta-model; `docs/keras.md` lists them.
"""

from __future__ import annotations

from typing import Any, NoReturn

import keras
import tensorflow as tf

from meta_gan.environment import check_settings, graphs
from meta_gan.types import Episode

ADAPT = "model.adapt(support).sample(count), or .reconstruct, .encode and .translate"
OF_GAME = "losses belong to the game, such as meta_gan.games.GAN(loss=..., penalty=..., terms=...)"
OF_METRICS = "fit and evaluate report the game's losses and distances; measure others in a callback, by model.adapt"
OF_TASKS = "batches are tasks, `Episode`s of a support and a query set, such as tasks.train(meta_batch=8)"
QUANTIZED = "quantize the copy of one class, model.adapt(support).generator.quantize(mode)"
COMPILE = {
    "loss": OF_GAME,
    "loss_weights": OF_GAME,
    "metrics": OF_METRICS,
    "weighted_metrics": OF_METRICS,
}
"""The arguments of `keras.Model.compile` that do not apply, and what does."""


def refuse(what: str, instead: str) -> NoReturn:
    """Raise the ValueError of something that `keras.Model` has and a meta-model has not.

    Args:
        what: its name.
        instead: what to call or set.
    """
    raise ValueError(f"{what!r} does not apply to a meta-model: {instead}")


class TaskModel(keras.Model):
    """A Keras model of tasks, without a forward pass: a base that refuses by name what needs one.

    Its results do not depend on global settings of Keras and TensorFlow; see `environment`.
    """

    def __init__(self, name: str):
        check_settings()
        # Not of the global policy: a mixed one would have Keras wrap the optimizer and cast what it averages.
        super().__init__(name=name, dtype="float32")

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile as Keras does, after refusing the arguments that do not apply.

        Raises:
            ValueError: `loss`, `loss_weights`, `metrics` or `weighted_metrics`.
        """
        check_settings()
        for argument, instead in COMPILE.items():
            if kwargs.pop(argument, None) is not None:
                refuse(f"compile({argument}=...)", instead)
        super().compile(*args, **{"jit_compile": False, **kwargs})

    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Train as Keras does, on a data set of `Episode`s.

        Raises:
            ValueError: labels or weights, or a strategy of several replicas.
        """
        self._check_data("fit", args, kwargs)
        with graphs():
            return super().fit(*args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Validate as Keras does, on a data set of `Episode`s.

        Raises:
            ValueError: as in `fit`.
        """
        self._check_data("evaluate", args, kwargs)
        with graphs():
            return super().evaluate(*args, **kwargs)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Make one outer step as Keras does, on one `Episode` with a leading axis of tasks."""
        self._check_data("train_on_batch", args, kwargs)
        with graphs():
            return super().train_on_batch(*args, **kwargs)

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Validate as Keras does, on one `Episode` with a leading axis of tasks."""
        self._check_data("test_on_batch", args, kwargs)
        with graphs():
            return super().test_on_batch(*args, **kwargs)

    def _check_data(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        check_settings()
        labels = dict(zip(("x", "y"), args, strict=False)) | kwargs
        if callable(getattr(labels.get("x"), "train", None)):
            received = type(labels["x"]).__name__
            raise ValueError(f"'x' must be batches of tasks; call {received}.train(meta_batch). Received: a {received}")
        for argument in ("y", "sample_weight", "class_weight", "validation_split"):
            value = labels.get(argument)
            if value is not None and not (isinstance(value, (int, float)) and value == 0):
                refuse(f"{method}({argument}=...)", OF_TASKS)
        if self.distribute_strategy.num_replicas_in_sync > 1:
            refuse(f"{method} under a strategy of several replicas", "train with trainers.MetaTrainer(strategy=...)")

    @staticmethod
    def episodes_of(data: Any) -> Episode:
        """Return the tasks that Keras passes to a step: as they come, or as `(tasks, None, None)`.

        Raises:
            ValueError: anything else.
        """
        found = data if isinstance(data, Episode) else data[0] if isinstance(data, tuple) else data
        if not isinstance(found, Episode):
            raise ValueError(f"a batch must be an Episode: {OF_TASKS}. Received: {type(found).__name__}")
        return found

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a meta-model has no forward pass."""
        refuse("model(inputs)", ADAPT)

    def call(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a meta-model has no forward pass."""
        refuse("call", ADAPT)

    def predict(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a meta-model has no forward pass."""
        refuse("predict", ADAPT)

    def predict_on_batch(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a meta-model has no forward pass."""
        refuse("predict_on_batch", ADAPT)

    def predict_step(self, data: Any) -> NoReturn:
        """Refuse: a meta-model has no forward pass."""
        refuse("predict_step", ADAPT)

    def make_predict_function(self, force: bool = False) -> NoReturn:
        """Refuse: a meta-model has no forward pass."""
        refuse("make_predict_function", ADAPT)

    @property
    def input(self) -> NoReturn:
        """Refuse: a meta-model has no forward pass."""
        refuse("input", "model.game.example_shape")

    @property
    def output(self) -> NoReturn:
        """Refuse: a meta-model has no forward pass."""
        refuse("output", "model.game.output_shape")

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a meta-model has no forward pass."""
        refuse("compute_output_shape", "model.game.example_shape and model.game.output_shape")

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a meta-model has no forward pass."""
        refuse("compute_output_spec", "model.game.example_shape and model.game.output_shape")

    def symbolic_call(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a meta-model has no forward pass."""
        refuse("symbolic_call", ADAPT)

    def stateless_call(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a meta-model has no forward pass."""
        refuse("stateless_call", "model.loop and model.meta_weights() are functions of values")

    def compute_loss(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: losses belong to the game."""
        refuse("compute_loss", "model.game.loss and model.game.objective")

    def stateless_compute_loss(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: losses belong to the game."""
        refuse("stateless_compute_loss", "model.game.loss and model.game.objective")

    def compute_metrics(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: there are no predictions to measure."""
        refuse("compute_metrics", "model.assess(episodes)")

    def add_loss(self, loss: Any) -> NoReturn:
        """Refuse: losses belong to the game."""
        refuse("add_loss", OF_GAME)

    def add_metric(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: Keras 3 has no `add_metric`."""
        refuse("add_metric", OF_METRICS)

    def quantize(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: integer weights cannot be adapted."""
        refuse("quantize", QUANTIZED)

    def quantized_build(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: integer weights cannot be adapted."""
        refuse("quantized_build", QUANTIZED)

    def quantized_call(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: integer weights cannot be adapted."""
        refuse("quantized_call", QUANTIZED)

    def get_quantization_layer_structure(self, mode: str | None = None) -> NoReturn:
        """Refuse: integer weights cannot be adapted."""
        refuse("get_quantization_layer_structure", QUANTIZED)

    def rematerialized_call(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a meta-model has no forward pass."""
        refuse("rematerialized_call", "meta_gan.Unrolled(checkpoint=...) trades time for memory")


def of_float32(name: str) -> keras.metrics.Mean:
    """Return a running mean in float32, whatever `keras.config.floatx`."""
    return keras.metrics.Mean(name=name, dtype=tf.float32.name)
