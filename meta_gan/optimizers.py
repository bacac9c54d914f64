"""The outer optimizers of a meta-model as one Keras optimizer: one for each player, and one for the meta-learner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from meta_gan.checks import check_number

Groups = Mapping[str, Sequence[keras.Variable]]


class Rate(float):
    """A learning rate as a number, with the methods of a Keras variable that callbacks and users call.

    Args:
        optimizer: whose rate it is; `assign` sets that of all its groups.
    """

    optimizer: OuterOptimizer

    def __new__(cls, optimizer: OuterOptimizer) -> Rate:
        """Return the present rate of the first group."""
        rate = super().__new__(cls, float(next(iter(optimizer.groups.values())).learning_rate))
        rate.optimizer = optimizer
        return rate

    def assign(self, value: Any) -> None:
        """Set the rates of all groups, in proportion; see `OuterOptimizer`."""
        self.optimizer.learning_rate = value

    def numpy(self) -> np.float32:
        """Return the rate as a NumPy number."""
        return np.float32(self)


@keras.saving.register_keras_serializable("meta_gan")
class OuterOptimizer(keras.optimizers.Optimizer):
    """The optimizers of all groups of variables, as `model.optimizer` for Keras and its callbacks.

    `learning_rate` is that of the first group. Setting it multiplies the rates of all groups by the same factor, so
    that `LearningRateScheduler`, `ReduceLROnPlateau` and `model.optimizer.learning_rate = x` move all players and keep
    the ratios that were chosen at `compile`. Averages of weights (`use_ema`) belong to each group's own variables.

    Args:
        groups: `{group: optimizer}`, different objects.
        name: Keras name.

    Attributes:
        groups: the same, read-only.
        ratios: `{group: its rate over that of the first group}`, which a rate of 0 leaves as they were.

    Raises:
        ValueError: an option that needs a scaled loss, or options of averages that differ between groups.
    """

    def __init__(self, groups: Mapping[str, keras.optimizers.Optimizer], name: str = "outer_optimizer"):
        _check(groups)
        super().__init__(learning_rate=0.0, name=name)
        # Not a dict, whose optimizers Keras and TensorFlow would track, and save, a second time.
        self.groups: Mapping[str, keras.optimizers.Optimizer] = MappingProxyType(dict(groups))
        self.ratios: dict[str, float] = dict.fromkeys(groups, 1.0)
        first = next(iter(groups.values()))
        self.use_ema, self.ema_momentum = first.use_ema, first.ema_momentum

    def build_groups(self, variables: Groups) -> None:
        """Make the state of every group's optimizer.

        Args:
            variables: `{group: its variables}`, of the same groups.
        """
        for group, optimizer in self.groups.items():
            optimizer.build(list(variables[group]))
        self._owners = {id(v): group for group, each in variables.items() for v in each}
        # What `SwapEMAWeights` exchanges: variables and their averages, in the same order.
        self._trainable_variables = [v for each in variables.values() for v in each]
        if self.use_ema:
            self._model_variables_moving_average = [
                average for optimizer in self.groups.values() for average in optimizer._model_variables_moving_average
            ]
        self.built = True

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Do nothing: `build_groups` has made the state, which Keras's callbacks ask for once more."""

    @property
    def iterations(self) -> Any:
        """The number of steps taken, int64[]: those of the first group."""
        return self._first.iterations

    @property
    def variables(self) -> list[keras.Variable]:
        """The state of all optimizers, group by group."""
        return [v for optimizer in self.groups.values() for v in optimizer.variables]

    @property
    def _first(self) -> keras.optimizers.Optimizer:
        return next(iter(self.groups.values()))

    @property
    def learning_rate(self) -> Rate:
        """The learning rate of the first group; see the class."""
        return Rate(self)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        rate = check_number(_number(value), "learning_rate", least=0)
        scheduled = [group for group, optimizer in self.groups.items() if not _settable(optimizer)]
        if scheduled:
            raise TypeError(
                f"'learning_rate' can be set only where it is a number, not a schedule. Received: schedules for "
                f"{scheduled}"
            )
        rates = {group: float(optimizer.learning_rate) for group, optimizer in self.groups.items()}
        was = next(iter(rates.values()))
        if was > 0:  # at 0 the last ratios hold, so that a rate may be switched off and on
            self.ratios = {group: each / was for group, each in rates.items()}
        for group, optimizer in self.groups.items():
            optimizer.learning_rate = rate * self.ratios[group]

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[keras.Variable] | None = None) -> None:
        """Update the variables of all groups.

        Args:
            grads: one tensor for each of `trainable_variables`.
            trainable_variables: the variables; None for those of `build_groups`, group by group.
        """
        variables = self._trainable_variables if trainable_variables is None else trainable_variables
        pairs = list(zip(grads, variables, strict=True))
        for group, optimizer in self.groups.items():
            own = [(gradient, v) for gradient, v in pairs if self._owners[id(v)] == group]
            optimizer.apply([gradient for gradient, _ in own], [v for _, v in own])

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        """Assign the averages to the weights where `use_ema` is on; Keras calls it at the end of `fit`."""
        for group, optimizer in self.groups.items():
            own = [v for v in self._trainable_variables if self._owners[id(v)] == group]
            optimizer.finalize_variable_values(own)

    def save_own_variables(self, store: Any) -> None:
        """Store the state of all optimizers."""
        for index, variable in enumerate(self.variables):
            store[str(index)] = variable.numpy()

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        groups = {group: keras.saving.serialize_keras_object(each) for group, each in self.groups.items()}
        return {"groups": groups, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> OuterOptimizer:
        """Return the optimizer that `get_config` described, without state."""
        make = keras.saving.deserialize_keras_object
        return cls({group: make(each, custom_objects) for group, each in config["groups"].items()}, config["name"])


def optimizers_of(groups: Groups, optimizer: Any) -> OuterOptimizer:
    """Return an optimizer for every group.

    Args:
        groups: `{group: its variables}`.
        optimizer: one Keras optimizer or its name, copied for every group, or `{group: optimizer}`; None for
            Adam(1e-4); or an `OuterOptimizer`, as a saved model has it.

    Raises:
        ValueError: a group without an optimizer, an unknown group, one object for several groups, or as
            `OuterOptimizer` raises.
    """
    if isinstance(optimizer, OuterOptimizer):
        optimizer = optimizer.groups
    if not isinstance(optimizer, Mapping):
        given = keras.optimizers.get(keras.optimizers.Adam(1e-4) if optimizer is None else optimizer)
        _check(dict.fromkeys(groups, given))
        settings = given.get_config()
        # Names of their own, by which Keras tells the variables of two optimizers apart.
        named = {group: {**settings, "name": f"{given.name}_{group}"} for group in groups}
        return OuterOptimizer({group: type(given).from_config(each) for group, each in named.items()})
    if set(optimizer) != set(groups):
        raise ValueError(f"'optimizer' must be one optimizer or name {sorted(groups)}. Received: {sorted(optimizer)}")
    if len({id(one) for one in optimizer.values()}) < len(optimizer):
        raise ValueError("every group must have its own 'optimizer'. Received: one object for several groups")
    return OuterOptimizer({group: optimizer[group] for group in groups})


def clips_of(groups: Groups, clip: Any) -> dict[str, float | None]:
    """Return the greatest gradient norm of every group, None for no limit; see `MetaModel.compile`."""
    clips: dict[str, Any] = dict.fromkeys(groups)
    clips.update(clip if isinstance(clip, Mapping) else dict.fromkeys(groups, clip))
    bad = {
        g: c for g, c in clips.items() if g not in groups or not (c is None or (isinstance(c, Real) and float(c) > 0))
    }
    if bad:
        raise ValueError(f"'clip' must be > 0 for groups of {sorted(groups)}. Received: {bad}")
    return clips


def _number(value: Any) -> Any:
    """Return a Python number for a tensor, a variable or an array of one number, and anything else as it is."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _settable(optimizer: keras.optimizers.Optimizer) -> bool:
    return any(optimizer.learning_rate is variable for variable in optimizer.variables)


def _check(groups: Mapping[str, Any]) -> None:
    """Raise a ValueError for what the outer step cannot honour."""
    for group, optimizer in groups.items():
        if not isinstance(optimizer, keras.optimizers.Optimizer):
            raise ValueError(f"the 'optimizer' of {group!r} must be a Keras optimizer. Received: {optimizer!r}")
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or optimizer.loss_scale_factor is not None:
            raise ValueError(
                f"the 'optimizer' of {group!r} must not scale a loss, which meta-gradients do not have; use a policy "
                f"such as mixed_bfloat16, which needs no scaling. Received: {type(optimizer).__name__} with "
                f"'loss_scale_factor' {optimizer.loss_scale_factor}"
            )
    for group, optimizer in groups.items():
        rate = optimizer.learning_rate
        if isinstance(rate, keras.Variable) and rate.dtype in ("float16", "bfloat16"):
            raise ValueError(
                f"the 'optimizer' of {group!r} must be made while keras.config.floatx() is 'float32'. "
                f"Received: a learning rate in {rate.dtype}"
            )
    averages = {group: (o.use_ema, o.ema_momentum if o.use_ema else None) for group, o in groups.items()}
    if len(set(averages.values())) > 1:
        raise ValueError(f"'use_ema' and 'ema_momentum' must be the same for every group. Received: {averages}")
