"""The knobs of a controller, and the recurrent policy that gives the probabilities of their options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.types import Tensor

ACTIONS = ("rates", "turns", "penalty", "augmentation", "stop")
"""The kinds of knobs; "rates" is one knob for every player."""
NEEDS = {"penalty": "penalty_scale", "augmentation": "augmentation"}
"""The setting that a game must support (`Game.supports`) for a knob to have an effect."""
_LARGEST = 16.0


class Knob(NamedTuple):
    """One knob.

    Attributes:
        name: such as `rate/generator`, or an entry of `ACTIONS`.
        options: what one decision chooses from: factors, summands, or the new value itself.
        still: the index of the option that changes nothing at the start.
        start: the value before the first decision, which leaves the game as it is.
        how: "times", "plus" or "is": how an option changes the value.
        low, high: bounds of the value.
    """

    name: str
    options: tuple[float, ...]
    still: int
    start: float
    how: str
    low: float
    high: float

    def turned(self, value: Tensor, option: Tensor) -> Tensor:
        """Return the value float32[] after a decision, from the value float32[] and the index int32[] of an option."""
        chosen = tf.gather(tf.constant(self.options), option)
        changed = {"times": value * chosen, "plus": value + chosen, "is": chosen}[self.how]
        return tf.clip_by_value(changed, self.low, self.high)

    def shown(self, value: Tensor) -> Tensor:
        """Return the value as the policy observes it, of order 1 and 0 at the start."""
        return value - self.start if self.how == "plus" else tf.math.log(value / self.start) / tf.math.log(4.0)


def knobs_of(actions: Sequence[str], players: Sequence[str]) -> tuple[Knob, ...]:
    """Return the knobs of some kinds, in the order of `ACTIONS`.

    Rates and the penalty's weight are multiplied, and stay within 1/16 to 16 times the game's own; the discriminator's
    turns (the game's first turn) are 1, 2 or 4 times the game's own number; the share of augmented examples starts at 1
    and goes down or up by a tenth; stopping is final.

    Args:
        actions: some of `ACTIONS`.
        players: those that adapt.
    """
    bounds = (1.0 / _LARGEST, _LARGEST)
    made = {
        "rates": [Knob(f"rate/{player}", (0.5, 0.8, 1.0, 1.25, 2.0), 2, 1.0, "times", *bounds) for player in players],
        "turns": [Knob("turns", (1.0, 2.0, 4.0), 0, 1.0, "is", 1.0, 4.0)],
        "penalty": [Knob("penalty", (0.5, 1.0, 2.0), 1, 1.0, "times", *bounds)],
        "augmentation": [Knob("augmentation", (-0.1, 0.0, 0.1), 1, 1.0, "plus", 0.0, 1.0)],
        "stop": [Knob("stop", (0.0, 1.0), 0, 0.0, "is", 0.0, 1.0)],
    }
    return tuple(knob for action in ACTIONS if action in actions for knob in made[action])


class Policy(keras.layers.Layer):
    """A GRU, and readouts that start at 0 beside a bias towards no change.

    Args:
        knobs: the knobs to decide on.
        width: size of an observation.
        hidden: units of the GRU.
        calm: the first logit of every option that changes nothing.
        logit_clip: largest absolute logit, so that no option dies out.
        seed: of the initial weights.
    """

    def __init__(
        self, knobs: tuple[Knob, ...], width: int, hidden: int, calm: float, logit_clip: float, seed: int, **kwargs: Any
    ):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.counts, self.hidden, self.logit_clip = [len(knob.options) for knob in knobs], hidden, logit_clip
        self.calm = [calm * (i == knob.still) for knob in knobs for i in range(len(knob.options))]
        self.cell = keras.layers.GRUCell(
            hidden,
            kernel_initializer=keras.initializers.GlorotUniform(seed=1000 * seed),
            recurrent_initializer=keras.initializers.Orthogonal(seed=1000 * seed + 1),
            seed=seed,
            name="cell",
            dtype="float32",
        )
        self.cell.build((None, width))
        self.readout = keras.layers.Dense(sum(self.counts), kernel_initializer="zeros", name="readout", dtype="float32")
        self.readout.build((None, hidden))
        self.built = True

    def step(self, observation: Tensor, memory: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the new memory float32[hidden], and the logits float32[options] of every knob."""
        moved, _ = self.cell(observation[None], [memory[None]])
        return moved[0], [each[0] for each in self._logits(moved)]

    def _logits(self, memory: Tensor) -> list[Tensor]:
        raw = self.readout(memory) + tf.constant(self.calm)
        return tf.split(self.logit_clip * tf.tanh(raw / self.logit_clip), self.counts, axis=-1)

    def judge(self, observations: Tensor, actions: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-probabilities of decisions made one after the other, and the entropies.

        Args:
            observations: float32[n, decisions, width], before each decision; the number of decisions is static.
            actions: int32[n, decisions, knobs].
            observed: float32[n, decisions], 0 for rows after a stop: nothing was decided there, and the memory stays.

        Returns:
            `(log probabilities, entropies)`: float32[n, decisions] each, of all knobs together.
        """
        memory, log_probs, entropies = tf.zeros([tf.shape(observations)[0], self.hidden]), [], []
        for number in range(observations.shape[1]):
            moved, _ = self.cell(observations[:, number], [memory])
            memory = tf.where(observed[:, number, None] > 0, moved, memory)
            logs = [tf.nn.log_softmax(each) for each in self._logits(memory)]
            taken = [tf.gather(each, actions[:, number, i], axis=-1, batch_dims=1) for i, each in enumerate(logs)]
            log_probs.append(tf.add_n(taken))
            entropies.append(-tf.add_n([tf.reduce_sum(tf.exp(each) * each, axis=-1) for each in logs]))
        return tf.stack(log_probs, axis=1), tf.stack(entropies, axis=1)


def log_prob(logits: list[Tensor], action: Tensor) -> Tensor:
    """Return the log-probability float32[] of an action int32[knobs]."""
    return tf.add_n([tf.nn.log_softmax(each)[action[i]] for i, each in enumerate(logits)])


def likeliest(logits: list[Tensor]) -> Tensor:
    """Return the most likely option of every knob, int32[knobs]."""
    return tf.stack([tf.argmax(each, output_type=tf.int32) for each in logits])


def drawn(logits: list[Tensor], seed: Tensor) -> Tensor:
    """Draw an option of every knob by its probability, int32[knobs]: the argmax of logits plus Gumbel noise."""
    action = []
    for number, each in enumerate(logits):
        # Within the open interval on which both logarithms are finite.
        draws = tf.random.stateless_uniform(
            tf.shape(each), functional.fold(seed, number), 1e-7, 1.0 - 1e-6, alg="philox"
        )
        action.append(tf.argmax(each - tf.math.log(-tf.math.log(draws)), output_type=tf.int32))
    return tf.stack(action)
