"""`MetaModel`: a game and an algorithm as one Keras model that is compiled, fitted, adapted, saved and exported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan import export as exporting
from meta_gan import functional, outer, storage
from meta_gan.adaptation import CompiledAdaptation
from meta_gan.adapted import FORMATS, AdaptedModel
from meta_gan.checks import check_integer, check_number
from meta_gan.games.base import Game
from meta_gan.meta import inner_loop, masks
from meta_gan.meta.algorithms import Algorithm
from meta_gan.types import Episode, MetaWeights, Snapshot

META_LEARNER = "meta_learner"


@keras.saving.register_keras_serializable("meta_gan")
class MetaModel(keras.Model):
    """A generative model that is trained to be adapted to a few examples.

    Args:
        game: nets, players and losses, such as `meta_gan.games.GAN`.
        algorithm: a row of the table, such as `meta_gan.FOMAML(inner_steps=10)`.
        averaging: decay in (0, 1) of a moving average of the meta-weights, less in the first steps, from which
            `adapt`, `sample` and `export` then start; None for none.
        name: Keras name.

    Raises:
        ValueError: `averaging` outside (0, 1), or `algorithm.mask` that choose no weight.

    Example:
        >>> tasks = meta_gan.tasks.glyphs()
        >>> networks = meta_gan.networks.dcgan((28, 28, 1))
        >>> model = meta_gan.MetaModel(meta_gan.games.GAN(*networks), meta_gan.FOMAML(inner_steps=10))
        >>> model.compile(optimizer=keras.optimizers.Adam(1e-4))
        >>> model.fit(tasks.train(meta_batch=8), steps_per_epoch=100)
        >>> images = model.adapt(five_images, steps=20).sample(64, seed=0)
    """

    def __init__(self, game: Game, algorithm: Algorithm, averaging: float | None = None, name: str = "meta_model"):
        super().__init__(name=name)
        if averaging is not None:
            check_number(averaging, "averaging", above=0, below=1)
        self.game, self.algorithm, self.averaging = game, algorithm, averaging
        self.mask = masks.select(game, algorithm.mask)
        self.nets = dict(game.nets)
        self.meta_learner = algorithm.meta_learner
        masks.prepare(game, self.mask, self.meta_learner)
        self.data_card: dict[str, Any] = {}
        self.built = True
        self._averages = [self._shadow(i, v) for i, v in enumerate(self._averaged_variables())] if averaging else []
        self._deployment: CompiledAdaptation | None = None
        self._means: dict[str, keras.metrics.Mean] = {}

    def _averaged_variables(self) -> list[Any]:
        return [v for net in self.game.nets.values() for v in net.trainable_variables]

    def _shadow(self, index: int, variable: Any) -> Any:
        shadow = self.add_weight(shape=variable.shape, dtype=variable.dtype, trainable=False, name=f"average_{index}")
        shadow.assign(variable)
        return shadow

    @property
    def groups(self) -> dict[str, list[Any]]:
        """The variables of each optimizer group: one a player, and `meta_learner` where the rule is learned."""
        groups = {
            player: [v for net in nets for v in self.game.nets[net].trainable_variables]
            for player, nets in self.game.players.items()
        }
        if self.meta_learner.trainable_variables:
            groups[META_LEARNER] = list(self.meta_learner.trainable_variables)
        return groups

    def meta_weights(self, averaged: bool = False) -> MetaWeights:
        """Reads the meta-weights; with `averaged`, their moving average where there is one."""
        initial = functional.read(self.game.nets)
        if averaged and self._averages:
            values = iter(self._averages)
            weights = {n: [tf.convert_to_tensor(next(values)) for _ in ts] for n, ts in initial.weights.items()}
            initial = Snapshot(weights, initial.state)
        return MetaWeights(initial, [tf.convert_to_tensor(v) for v in self.meta_learner.trainable_variables])

    def start_at(self, initial: Snapshot) -> None:
        """Assigns values to the nets, of a snapshot of their shapes; averages of weights start there, too."""
        functional.write(self.game.nets, initial)
        for shadow, variable in zip(self._averages, self._averaged_variables(), strict=False):
            shadow.assign(variable)

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | Mapping[str, keras.optimizers.Optimizer] | None = None,
        clip: float | Mapping[str, float] | None = None,
        skip_nonfinite: bool = False,
        **kwargs: Any,
    ) -> None:
        """Sets the outer optimizers.

        Args:
            optimizer: one Keras optimizer, copied for every group, or `{group: optimizer}` of `groups`; Adam(1e-4).
            clip: greatest global norm > 0 of a group's meta-gradient, one for all or `{group: norm}`; None for no
                clipping.
            skip_nonfinite: whether an outer step whose meta-gradient is not finite is left out, and counted by the
                metric `skipped`, in place of an error: a learned rule's may explode now and then.
            **kwargs: `run_eagerly`, `steps_per_execution` and `jit_compile`, as in `keras.Model.compile`. XLA (off by
                default) pays where nets are small and inner steps many; its normal and uniform draws are others.

        Raises:
            ValueError: a group without an optimizer, an unknown group, or a clip that is not > 0.
        """
        groups = self.groups
        chosen = outer.optimizers_of(groups, optimizer)
        self._clips, self._skip_nonfinite = outer.clips_of(groups, clip), bool(skip_nonfinite)
        for group, variables in groups.items():
            chosen[group].build(variables)
        super().compile(optimizer=chosen[next(iter(groups))], **{"jit_compile": False, **kwargs})
        self.optimizers = chosen
        # Made here because a metric's variables cannot be made while a step is being traced.
        self._means = {n: keras.metrics.Mean(name=n) for n in outer.metric_names(self.game.players, META_LEARNER)}

    @property
    def metrics(self) -> list[Any]:
        """Running means over an epoch, reset by Keras."""
        return list(self._means.values())

    def meta_step(self, episodes: Episode) -> dict[str, Any]:
        """One outer step: adapt to every task of a meta-batch, and move the meta-weights.

        Args:
            episodes: `Episode` with a static leading `tasks` axis.

        Returns:
            Metrics, float32[] each: inner losses, query objectives after adaptation, gradient norms by group.

        Raises:
            tf.errors.InvalidArgumentError: a meta-gradient is not finite, and none is to be left out; nothing has been
                changed then.
        """
        pieces = (self.game, self.meta_learner, self.mask, self.meta_weights(), episodes)
        estimate = self.algorithm.estimator.estimate(*pieces, self.algorithm.steps_at(self.optimizer.iterations))
        gradients = {
            player: [g for net in nets for g in estimate.weights[net]] for player, nets in self.game.players.items()
        }
        if self.meta_learner.trainable_variables:
            gradients[META_LEARNER] = list(estimate.meta_learner)
        norms = outer.applied(lambda: self._apply(gradients, estimate.state), gradients, self._skip_nonfinite)
        return {**estimate.metrics, **norms}

    def _apply(self, gradients: dict[str, list[Any]], state: dict[str, list[Any]]) -> None:
        for group, variables in self.groups.items():
            self.optimizers[group].apply(outer.clipped(gradients[group], self._clips[group]), variables)
        for name, net in self.game.nets.items():
            for variable, value in zip(net.non_trainable_variables, state[name], strict=True):
                variable.assign(value)
        if self.averaging is not None:
            outer.average(self._averages, self._averaged_variables(), self.averaging, self.optimizer.iterations)

    def train_step(self, data: Episode) -> dict[str, Any]:
        """Keras's hook: one `meta_step`, with running means for the progress bar."""
        return self._track(self.meta_step(data))

    def test_step(self, data: Episode) -> dict[str, Any]:
        """Keras's hook: query objectives and sample-to-query distance, before and after adaptation."""
        return self._track(self.assess(data))

    def assess(self, episodes: Episode) -> dict[str, Any]:
        """Mean over tasks of `meta.inner_loop.assess`, from the averaged weights where there are any."""
        meta, steps = self.meta_weights(averaged=True), self.algorithm.inner_steps
        each = functional.map_tasks(
            lambda e: inner_loop.assess(self.game, self.meta_learner, self.mask, meta, e, steps), episodes
        )
        return tf.nest.map_structure(lambda t: tf.reduce_mean(t, axis=0), each)

    def _track(self, metrics: dict[str, Any]) -> dict[str, Any]:
        taken = 1.0 - metrics.get("skipped", 0.0)  # a step that was left out has nothing else to report
        for name, value in metrics.items():
            shown = (value,) if name == "skipped" else (tf.math.multiply_no_nan(value, taken), taken)
            self._means[name].update_state(*shown)
        return {name: self._means[name].result() for name in metrics}

    @property
    def adaptation(self) -> CompiledAdaptation:
        """The compiled adaptation and endpoints, made once."""
        if self._deployment is None:
            self._deployment = CompiledAdaptation(
                self.game, self.algorithm, self.mask, lambda: self.meta_weights(averaged=True)
            )
        return self._deployment

    def adapt(self, support: Any, steps: int | None = None, seed: int = 0) -> AdaptedModel:
        """Adapts to a few examples; this model is left as it was.

        Args:
            support: float[k, *example] in [-1, 1], or uint8[k, *example]; any k >= 1. Of a game of domains, a dict
                of such arrays, `{"source": ..., "target": ...}`.
            steps: inner steps >= 0; None for the model's own.
            seed: int32 range; the same seed gives the same adapted weights.

        Returns:
            An `AdaptedModel`, to sample from, save or export.

        Raises:
            ValueError: a support of another shape, range or dtype, with NaN, or empty; steps below 0.

        Example:
            >>> adapted = model.adapt(np.zeros((5, 28, 28, 1), np.float32), steps=20, seed=0)
        """
        steps = self.algorithm.inner_steps if steps is None else check_integer(steps, "steps", 0)
        snapshot = self.adaptation.adapt(support, steps, check_integer(seed, "seed"))
        return AdaptedModel(self.adaptation, snapshot, support, dict(self.data_card))

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Samples before any adaptation, float32[count, *example]; only of games that need no support.

        Raises:
            ValueError: the game is conditioned on a support set, or `count` is below 1.
        """
        return self._unadapted("sample").sample(count, seed)

    def _unadapted(self, what: str) -> AdaptedModel:
        if self.game.conditioned:
            raise ValueError(
                f"{what!r} without a support set needs a game that is not conditioned on one; call adapt(support) "
                f"first. Received: a conditioned {type(self.game).__name__}"
            )
        return AdaptedModel(self.adaptation, self.meta_weights(averaged=True).initial, None, dict(self.data_card))

    def save(self, path: str | os.PathLike[str], overwrite: bool = False, **extra: Any) -> None:
        """Saves one folder: `config.json` (with the class split), `weights.npz`, and a model card.

        Args:
            path: the folder to make; it must not exist unless `overwrite`.
            overwrite: replace a folder that is there.
            **extra: entries for `config.json`, such as `training={...}`.

        Raises:
            ValueError: the folder exists, or cannot be written; nothing is left half-written.
        """
        config = {
            "kind": "meta_model",
            **{key: value for key, value in self.get_config().items() if key != "name"},
            **self.game.card,
            "data": self.data_card,
            **extra,
        }
        arrays = {f"variable_{i:04d}": v.numpy() for i, v in enumerate(self._stored_variables())}
        storage.write_model(path, config, arrays, overwrite)

    def _stored_variables(self) -> list[Any]:
        nets = [v for net in self.game.nets.values() for v in net.variables]
        return [*nets, *self.meta_learner.variables, *self._averages]

    @classmethod
    def from_folder(cls, path: str | os.PathLike[str]) -> MetaModel:
        """Loads what `save` wrote; `meta_gan.load` also takes run folders and shipped names."""
        config, arrays = storage.read_model(path, "meta_model")
        make = keras.saving.deserialize_keras_object
        model = cls(make(config["game"]), make(config["algorithm"]), config["averaging"])
        variables = model._stored_variables()
        storage.check_arrays(path, arrays, [tuple(v.shape) for v in variables])
        for i, variable in enumerate(variables):
            variable.assign(arrays[f"variable_{i:04d}"])
        model.data_card = dict(config.get("data") or {})
        return model

    def export(
        self, path: str | os.PathLike[str], limits: exporting.Limits | None = None, format: str = FORMATS[0]
    ) -> None:
        """Exports a SavedModel for TF Serving, in which the inner loop itself runs.

        Args:
            path: the version folder to make, such as `served/glyphs/1`.
            limits: the greatest `support`, `steps` and `num` that a stranger may ask for.
            format: "onnx" or "litert" for the plain generator before adaptation, see `AdaptedModel.export`.

        Raises:
            ValueError: the place is taken, or another format of a game that needs a support set.
        """
        if format != FORMATS[0]:
            return self._unadapted("export").export(path, limits, format)
        exporting.export_meta_model(self.adaptation, path, limits or exporting.Limits(), self.data_card)

    def get_config(self) -> dict[str, Any]:
        kept = keras.saving.serialize_keras_object
        game, algorithm = kept(self.game), kept(self.algorithm)
        return {"game": game, "algorithm": algorithm, "averaging": self.averaging, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> MetaModel:
        make = keras.saving.deserialize_keras_object
        return cls(**{**config, "game": make(config["game"]), "algorithm": make(config["algorithm"])})
