"""`MetaModel`: a game and an algorithm as one Keras model that is compiled, fitted, adapted, saved and exported."""

from __future__ import annotations

import functools
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_gan import atomic, functional, storage
from meta_gan import export as exporting
from meta_gan.adaptation import CompiledAdaptation
from meta_gan.adapted import FORMATS, AdaptedModel
from meta_gan.checks import check_bool, check_converged, check_integer, check_number, check_range
from meta_gan.early_stopping import History, check_steps, fewest_best, held_out_distances
from meta_gan.environment import check_settings, single_precision
from meta_gan.export.onnx import export_onnx
from meta_gan.functional import HERE, TaskMap
from meta_gan.games.base import DIVERSITY, SPREAD, Game
from meta_gan.meta.algorithms import Algorithm
from meta_gan.optimizers import clips_of, optimizers_of
from meta_gan.replicas import Replicas
from meta_gan.task_model import TaskModel, of_float32, refuse
from meta_gan.types import ByNet, Episode, Examples, MetaWeights, Snapshot, Tensor, Tensors

META_LEARNER = "meta_learner"
KERAS_FILE = ".keras"
_COMPILED = ("run_eagerly", "steps_per_execution", "jit_compile")


@keras.saving.register_keras_serializable("meta_gan")
class MetaModel(TaskModel):
    """A generative model that is trained to be adapted to a few examples.

    Args:
        game: nets, players and losses, such as `meta_gan.games.GAN`.
        algorithm: an `Algorithm`, such as `meta_gan.FOMAML(inner_steps=10)`.
        averaging: decay in (0, 1), smaller in the first steps, of a moving average of the meta-weights from which
            `adapt`, `sample` and `export` start; None for no average.
        name: Keras name.

    Attributes:
        loop: the `InnerLoop` of the game and the algorithm's meta-learner.
        source: the address, with the commit, that `meta_gan.load` read the model from; None if from anywhere else.

    Raises:
        ValueError: `averaging` outside (0, 1), or an `algorithm.mask` that selects no weight.

    Example:
        >>> tasks = meta_gan.tasks.glyphs()
        >>> networks = meta_gan.networks.dcgan((28, 28, 1))
        >>> model = meta_gan.MetaModel(meta_gan.games.GAN(*networks), meta_gan.FOMAML(inner_steps=10))
        >>> model.compile(optimizer=keras.optimizers.Adam(1e-4))
        >>> model.fit(tasks.train(meta_batch=8), steps_per_epoch=100)
        >>> images = model.adapt(five_images, steps=20).sample(64, seed=0)
    """

    source: str | None = None

    def __init__(self, game: Game, algorithm: Algorithm, averaging: float | None = None, name: str = "meta_model"):
        super().__init__(name)
        if averaging is not None:
            check_number(averaging, "averaging", above=0, below=1)
        self.game, self.algorithm, self.averaging = game, algorithm, averaging
        self.nets = dict(game.nets)
        self.meta_learner = algorithm.meta_learner
        self.loop = algorithm.loop(game)
        self.data_card: dict[str, Any] = {}
        self.built = True
        self._averages = [self._shadow(i, v) for i, v in enumerate(self._averaged_variables())] if averaging else []
        self._means: dict[str, keras.metrics.Mean] = {}
        self._trained = self._trainable_paths()

    def _trainable_paths(self) -> dict[str, list[str]]:
        return {name: [v.path for v in net.trainable_variables] for name, net in self.game.nets.items()}

    def _check_trainable(self) -> None:
        """Raise a ValueError if `trainable` was changed: the loop's mask and the optimizers are of the old weights."""
        now = self._trainable_paths()
        if changed := sorted(name for name, paths in self._trained.items() if paths != now[name]):
            raise ValueError(
                "'trainable' must be set before the MetaModel is made; make a new one of the same game. Received: "
                f"a change in the nets {changed}"
            )

    def _averaged_variables(self) -> list[keras.Variable]:
        return [v for net in self.game.nets.values() for v in net.trainable_variables]

    def _shadow(self, index: int, variable: keras.Variable) -> keras.Variable:
        shadow = self.add_weight(shape=variable.shape, dtype=variable.dtype, trainable=False, name=f"average_{index}")
        shadow.assign(variable)
        return shadow

    @property
    def groups(self) -> dict[str, list[keras.Variable]]:
        """The variables of each optimizer: one group for each player, and `meta_learner` if it is learned."""
        groups = {
            player: [v for net in nets for v in self.game.nets[net].trainable_variables]
            for player, nets in self.game.players.items()
        }
        if self.meta_learner.trainable_variables:
            groups[META_LEARNER] = list(self.meta_learner.trainable_variables)
        return groups

    def meta_weights(self, averaged: bool = False) -> MetaWeights:
        """Read the meta-weights; with `averaged`, their moving average where there is one."""
        self._check_trainable()
        initial = functional.read(self.game.nets)
        if averaged and self._averages:
            values = iter(self._averages)
            weights = {n: [tf.convert_to_tensor(next(values)) for _ in ts] for n, ts in initial.weights.items()}
            initial = Snapshot(weights, initial.state)
        return MetaWeights(initial, [tf.convert_to_tensor(v) for v in self.meta_learner.trainable_variables])

    def start_at(self, initial: Snapshot) -> None:
        """Assign the values of a snapshot to the nets, and to the averages of their weights."""
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
        """Set the outer optimizers.

        Args:
            optimizer: one Keras optimizer, copied for every group, or `{group: optimizer}`; None for Adam(1e-4).
            clip: greatest global norm > 0 of a group's meta-gradient, one for all or `{group: norm}`; None for no
                clipping.
            skip_nonfinite: whether an outer step whose meta-gradient is not finite is left out, and counted by the
                metric `skipped`, instead of raising an error: a learned meta-learner's may explode now and then.
            **kwargs: `run_eagerly`, `steps_per_execution` and `jit_compile`, as in `keras.Model.compile`. XLA (off by
                default) is faster if nets are small and inner steps many; its random numbers differ.

        Raises:
            ValueError: a group without an optimizer, an unknown group, a clip that is not > 0, an optimizer that scales
                losses, or an argument of `keras.Model.compile` that does not apply, such as `loss`.
        """
        self._check_trainable()
        groups = self.groups
        self._clips, self._skip_nonfinite = clips_of(groups, clip), bool(skip_nonfinite)
        with single_precision():
            chosen = optimizers_of(groups, optimizer)
            super().compile(optimizer=chosen, **kwargs)
            chosen.build_groups(groups)
        # Made here because a metric's variables cannot be made while a step is being traced.
        self._means = {name: of_float32(name) for name in _metric_names(self.game)}

    @property
    def optimizers(self) -> Mapping[str, keras.optimizers.Optimizer]:
        """The optimizer of every group; empty before `compile`. `optimizer` is all of them as one."""
        return self.optimizer.groups if self.compiled else {}

    def get_compile_config(self) -> dict[str, Any]:
        """Return the arguments of `compile` as JSON values, {} before it."""
        if not self.compiled:
            return {}
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "clip": self._clips,
            "skip_nonfinite": self._skip_nonfinite,
            **{name: getattr(self, name) for name in _COMPILED},
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as a saved model was; its optimizers' state follows with the weights."""
        with single_precision():
            optimizer = keras.saving.deserialize_keras_object(config["optimizer"])
        self.compile(**{**config, "optimizer": optimizer})

    def _check_data(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super()._check_data(method, args, kwargs)
        self._check_trainable()  # of a step that was traced before, no other check would run

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Running means over an epoch, reset by Keras."""
        return list(self._means.values())

    def meta_step(self, episodes: Episode, replicas: Replicas | None = None) -> dict[str, Tensor]:
        """Make one outer step: adapt to every task of a meta-batch, and update the meta-weights.

        Args:
            episodes: `Episode` with a static leading `tasks` axis, the same on every worker.
            replicas: over which the tasks are shared out, see `Replicas`; None to compute all of them here.

        Returns:
            Metrics, float32[] each: inner losses, query objectives after adaptation, gradient norms by group.

        Raises:
            tf.errors.InvalidArgumentError: a meta-gradient is not finite and `skip_nonfinite` is off; nothing has been
                changed then.
        """
        steps = self.algorithm.steps_at(self.optimizer.iterations)
        meta, estimator = self.meta_weights(), self.algorithm.estimator
        if replicas is None:
            estimate = estimator.estimate(self.loop, meta, episodes, steps)
        else:
            estimate = replicas.run(lambda map_tasks: estimator.estimate(self.loop, meta, episodes, steps, map_tasks))
        gradients = {
            player: [g for net in nets for g in estimate.weights[net]] for player, nets in self.game.players.items()
        }
        if self.meta_learner.trainable_variables:
            gradients[META_LEARNER] = list(estimate.meta_learner)
        return {**estimate.metrics, **self._apply_if_finite(gradients, estimate.state)}

    def _apply_if_finite(self, gradients: dict[str, Tensors], state: ByNet) -> dict[str, Tensor]:
        """Update all variables, or none if a gradient is not finite: clipping would spread one NaN to all of them.

        Returns:
            `{"gradient_norm/GROUP": float32[]}`, and with `skip_nonfinite` also `"skipped"`, 1 if nothing was updated.
        """
        norms = {group: functional.global_norm(values) for group, values in gradients.items()}
        metrics = {f"gradient_norm/{group}": norm for group, norm in norms.items()}

        def apply() -> Tensor:
            self._apply(gradients, state)
            return tf.constant(0.0)

        if self._skip_nonfinite:
            finite = tf.reduce_all(tf.math.is_finite(list(norms.values())))
            return {**metrics, "skipped": tf.cond(finite, apply, lambda: tf.constant(1.0))}
        checked = {
            f"gradient_norm/{group}": tf.debugging.check_numerics(
                norm, f"the meta-gradient of {group!r} is not finite: lower the inner or outer rate, or set 'clip'"
            )
            for group, norm in norms.items()
        }
        with tf.control_dependencies(list(checked.values())):
            apply()
        return checked

    def _apply(self, gradients: dict[str, Tensors], state: ByNet) -> None:
        for group, variables in self.groups.items():
            clip, values = self._clips[group], gradients[group]
            self.optimizers[group].apply(values if clip is None else functional.clip_by_norm(values, clip), variables)
        for name, net in self.game.nets.items():
            for variable, value in zip(net.non_trainable_variables, state[name], strict=True):
                variable.assign(value)
        if self.averaging is not None:
            self._average(self.averaging)

    def _average(self, averaging: float) -> None:
        """Update the moving averages.

        The decay is `averaging`, but less in the first steps, (1 + steps) / (10 + steps): else an average of a short
        run is mostly of the initial weights, of which .999 keeps 61 % for 500 steps.
        """
        made = tf.cast(self.optimizer.iterations, tf.float32)
        decay = tf.minimum(averaging, (1.0 + made) / (10.0 + made))
        for shadow, variable in zip(self._averages, self._averaged_variables(), strict=True):
            shadow.assign(variable + tf.cast(decay, variable.dtype) * (shadow - variable))

    def train_step(self, data: Episode) -> dict[str, Tensor]:
        """Run one `meta_step`, and update the running means; called by `fit`."""
        return self._track(self.meta_step(self.episodes_of(data)))

    def test_step(self, data: Episode) -> dict[str, Tensor]:
        """Return query objectives and sample-to-query distances before and after adaptation; called by `evaluate`."""
        return self._track(self.assess(self.episodes_of(data)))

    def assess(self, episodes: Episode, replicas: Replicas | None = None) -> dict[str, Tensor]:
        """Return the mean over tasks of `InnerLoop.assess`, from the averaged weights where there are any.

        Args:
            episodes: `Episode` with a static leading `tasks` axis, the same on every worker.
            replicas: over which the tasks are shared out; None to compute all of them here.
        """
        meta, steps = self.meta_weights(averaged=True), self.algorithm.inner_steps

        def mean(map_tasks: TaskMap) -> dict[str, Tensor]:
            return map_tasks.mean(lambda episode: self.loop.assess(meta, episode, steps), episodes)

        return mean(HERE) if replicas is None else replicas.run(mean)

    def _track(self, metrics: dict[str, Tensor]) -> dict[str, Tensor]:
        taken = 1.0 - metrics.get("skipped", 0.0)  # a step that was left out has nothing else to report
        for name, value in metrics.items():
            shown = (value,) if name == "skipped" else (tf.math.multiply_no_nan(value, taken), taken)
            self._means[name].update_state(*shown)
        return {name: self._means[name].result() for name in metrics}

    @functools.cached_property
    def adaptation(self) -> CompiledAdaptation:
        """The compiled adaptation and endpoints, made once."""
        return CompiledAdaptation(self.loop, self.algorithm, lambda: self.meta_weights(averaged=True))

    def adapt(
        self,
        support: Examples,
        steps: int | str | None = None,
        seed: int = 0,
        value_range: tuple[int, int] | None = None,
    ) -> AdaptedModel:
        """Adapt to a few examples; this model does not change.

        Args:
            support: float[k, *example] in [-1, 1], or uint8[k, *example]; any k >= 1. Images without a negative value
                are read as [0, 1], as in data sets, with a UserWarning. Of a game of domains, a dict of such arrays,
                `{"source": ..., "target": ...}`.
            steps: inner steps >= 0; None for the model's own; "auto" for the number after which samples are nearest to
                examples that were held out, see `early_stopping.held_out_distances`. That needs three examples, and
                makes 300 inner steps more.
            seed: int32 range; the same seed gives the same adapted weights.
            value_range: (-1, 1) or (0, 1), the range of float images; None to decide by the values.

        Returns:
            An `AdaptedModel`, to sample from, save or export; its `history` has the losses.

        Raises:
            ValueError: a support set of another shape, range or dtype, with NaN, or empty; steps below 0; "auto" with
                fewer than three examples, or of a game of domains.
            DivergenceError: an adapted weight is NaN or infinite.

        Example:
            >>> adapted = model.adapt(np.zeros((5, 28, 28, 1), np.uint8), steps=20, seed=0)
        """
        number, seed = check_steps(steps, self.algorithm.inner_steps), check_integer(seed, "seed")
        support = check_range(support, self.game.example_shape, "support", value_range)
        distances = held_out_distances(self.adaptation, support, seed) if number is None else {}
        number = fewest_best(distances) if number is None else number
        meta = self.adaptation.values()
        snapshot, losses = self.adaptation.adapt(support, number, seed, meta)
        history = History(number, losses, distances)
        return AdaptedModel(self.adaptation, snapshot, support, dict(self.data_card), meta.initial, history)

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Draw samples before any adaptation, float32[count, *example]; only for games that need no support set.

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
        """Save one folder: `config.json` (with the class split), `weights.npz`, `metadata.json`, and a model card.

        Args:
            path: the folder to make; it must not exist unless `overwrite`. With the ending `.keras` it is one file in
                Keras's format, with the optimizers' state, for `keras.saving.load_model`.
            overwrite: replace a folder or file that is there.
            **extra: entries for `config.json`, such as `training={...}`; none for a `.keras` file. `card_data={...}`
                are fields of the card's header, such as `license`, named as in `huggingface_hub.ModelCardData`.

        Raises:
            ValueError: the place is taken, or cannot be written; nothing is left half-written. Or the ending `.h5`;
                or a class of game or meta-learner that Keras could not find when the model is loaded.
            DivergenceError: a weight is NaN or infinite; nothing is written.
        """
        self._check_converged()
        for part in (self.game, self.meta_learner):
            if keras.saving.get_registered_object(keras.saving.get_registered_name(type(part))) is None:
                raise ValueError(
                    f"the class of every part must be registered with 'keras.saving.register_keras_serializable', or "
                    f"the model could not be loaded. Received: {type(part).__name__}"
                )
        ending = os.path.splitext(os.fspath(path))[1].lower()
        if ending in (".h5", ".hdf5"):
            refuse(f"save({os.fspath(path)!r})", "save to a folder or to a file .keras, or call save_weights")
        if ending == KERAS_FILE:
            return self._save_file(Path(path), overwrite, extra)
        config = {
            "kind": "meta_model",
            **self._settings(),
            **self.game.card,
            "data": self.data_card,
            **extra,
        }
        arrays = {f"variable_{i:04d}": v.numpy() for i, v in enumerate(self._stored_variables())}
        storage.write_model(path, config, arrays, overwrite)

    def _check_converged(self) -> None:
        check_converged(self._stored_variables(), "the model's weights")

    def _save_file(self, path: Path, overwrite: bool, extra: Mapping[str, Any]) -> None:
        if extra:
            raise ValueError(f"a {KERAS_FILE} file must have no further entries. Received: {sorted(extra)}")
        if os.path.lexists(path) and not (overwrite and path.is_file() and zipfile.is_zipfile(path)):
            required = f"be a {KERAS_FILE} file, to be replaced" if overwrite else "not exist yet"
            raise ValueError(f"the output {str(path)!r} must {required}. Received: a path that is taken")
        path.parent.mkdir(parents=True, exist_ok=True)
        # In a folder of its own, because Keras wants the ending and writes beside the file.
        with atomic.work_folder(path) as work:
            made = work / path.name
            keras.saving.save_model(self, made)
            atomic.sync(made)
            os.replace(made, path)
        atomic.sync(path.parent)

    def _stored_variables(self) -> list[keras.Variable]:
        nets = [v for net in self.game.nets.values() for v in net.variables]
        return [*nets, *self.meta_learner.variables, *self._averages]

    @classmethod
    def from_folder(cls, path: str | os.PathLike[str]) -> MetaModel:
        """Load what `save` wrote; `meta_gan.load` also takes run folders and shipped names."""
        check_settings()
        config, arrays = storage.read_model(path, "meta_model")
        check_converged(arrays.values(), f"the weights of {str(path)!r}")
        with storage.rebuilding(path, config, arrays):
            model = cls.from_config({key: config[key] for key in ("game", "algorithm", "averaging")})
            variables = model._stored_variables()
            storage.check_arrays(path, arrays, [tuple(v.shape) for v in variables])
            for i, variable in enumerate(variables):
                variable.assign(arrays[f"variable_{i:04d}"])
            model.data_card = dict(config.get("data") or {})
        return model

    def export(
        self,
        path: str | os.PathLike[str],
        limits: exporting.Limits | None = None,
        format: str = FORMATS[0],
        support: bool = False,
        **options: Any,
    ) -> None:
        """Export a SavedModel for TF Serving, in which the inner loop itself runs.

        Args:
            path: the version folder to make, such as `served/glyphs/1`.
            limits: the greatest `support`, `steps` and `num` that a client may ask for.
            format: "onnx" or "litert" for the plain generator before adaptation, see `AdaptedModel.export`;
                "tf_saved_model", Keras's name, is the same as "saved_model".
            support: with "onnx", write a graph of `(support, z) -> samples` for a model that adapts by seeing its
                support set, of any number of images; it takes no inner steps. It needs the extra `onnx`.
            **options: `verbose`, as in `keras.Model.export`; nothing is printed.

        Raises:
            ValueError: `path` exists, an option of Keras does not apply, the game needs a support set but `format` is
                "onnx" or "litert" without `support`, or `support` does not fit the format or the game.
            DivergenceError: a weight is NaN or infinite; nothing is written.

        Example:
            >>> load("omniglot").export("characters.onnx", format="onnx", support=True)
        """
        if unknown := sorted(set(options) - {"verbose"}):
            refuse(f"export({', '.join(unknown)})", "the signatures are those of the game; see meta_gan.Limits")
        self._check_converged()
        if check_bool(support, "support"):
            if format != "onnx" or limits is not None:
                wanted = "'support' must be False unless 'format' is 'onnx' and 'limits' is None"
                raise ValueError(f"{wanted}. Received: {format!r}, {limits}")
            storage.check_free(path)
            return export_onnx(self.adaptation, path)
        if format not in (FORMATS[0], "tf_saved_model"):
            return self._unadapted("export").export(path, limits, format)
        exporting.export_meta_model(self.adaptation, path, limits or exporting.Limits(), self.data_card)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, and the data card, as JSON values."""
        return {**self._settings(), "name": self.name, "data_card": self.data_card}

    def _settings(self) -> dict[str, Any]:
        kept = keras.saving.serialize_keras_object
        return {"game": kept(self.game), "algorithm": kept(self.algorithm), "averaging": self.averaging}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> MetaModel:
        """Return the model that `get_config` described, with freshly initialised weights."""
        make = keras.saving.deserialize_keras_object
        settings = {key: value for key, value in config.items() if key != "data_card"}
        model = cls(**{**settings, "game": make(config["game"]), "algorithm": make(config["algorithm"])})
        model.data_card = dict(config.get("data_card") or {})
        return model


def _metric_names(game: Game) -> list[str]:
    """Return the names of everything that an outer step or a validation may report."""
    names = [f"{kind}/{when}" for kind in ("distance", "copy_rate") for when in ("before", "after")]
    names += [
        DIVERSITY,
        SPREAD,
        f"gradient_norm/{META_LEARNER}",
        "skipped",
        "reward",
        "entropy",
        "diverged",
    ]
    for player in game.players:
        names += [f"{prefix}/{player}" for prefix in ("query", "loss", "gradient_norm", "consistency")]
        names += [f"query/{player}/{when}" for when in ("before", "after")]
    return names
