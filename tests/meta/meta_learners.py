"""Toy meta-learners with known derivatives."""

import keras
import tensorflow as tf

from meta_gan.meta_learners import GradientDescent, MetaLearner
from meta_gan.types import Settings


@keras.saving.register_keras_serializable("toys")
class LearnedRates(MetaLearner):
    """`delta = -exp(log_rate[player]) gradient - decay param`, log rates and decay trained by the outer loop."""

    learned = True

    def __init__(self, log_rate=-2.0, decay=0.0, **kwargs):
        super().__init__(**{"dtype": "float64", **kwargs})
        self.log_rate, self.decay = float(log_rate), float(decay)

    def setup(self, params, signals):
        self.rates = {player: self._number(self.log_rate, f"log_rate_{player}") for player in sorted(params)}
        self.shrink = self._number(self.decay, "decay")
        super().setup(params, signals)

    def _number(self, value, name):
        variable = self.add_weight(shape=(), name=name)
        variable.assign(tf.constant(value, variable.dtype))
        return variable

    def begin(self, params):
        return {"turns": tf.zeros([], tf.int32)}

    def update(self, state, player, params, gradients, signals, seed):
        rate, decay = tf.exp(self.rates[player] * 1.0), self.shrink * 1.0
        deltas = [
            -tf.cast(rate, g.dtype) * g - tf.cast(decay, g.dtype) * param
            for g, param in zip(gradients, params[player], strict=True)
        ]
        return {"turns": state["turns"] + 1}, deltas

    def get_config(self):
        return {**super().get_config(), "log_rate": self.log_rate, "decay": self.decay}


class Planner(GradientDescent):
    """Gradient descent that decides the settings of every turn."""

    def __init__(self, rate, settings):
        super().__init__(rate)
        self.settings = settings

    def plan(self, state, signals, seed):
        return state, Settings(*[None if s is None else tf.constant(s) for s in self.settings])


class Walker(GradientDescent):
    """Goes down by its rate at every move, whatever the gradient."""

    def update(self, state, player, params, gradients, signals, seed):
        return state, [-self.rates.of(player) * tf.ones_like(g) for g in gradients]


class Recorder(MetaLearner):
    """Moves nothing; its state keeps the signals that the last `plan` and `update` were shown, and all params."""

    def begin(self, params):
        zeros = {player: tf.zeros([1]) for player in params}
        return {"plan": zeros, "update": zeros, "params": params}

    def plan(self, state, signals, seed):
        return {**state, "plan": dict(signals)}, Settings()

    def update(self, state, player, params, gradients, signals, seed):
        seen = {**state, "update": dict(signals), "params": params}
        return seen, [tf.ones_like(g) for g in gradients]
