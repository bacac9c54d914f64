"""The recurrent policy of a controller: from what is seen to the probabilities of every knob's options."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_gan.controller.knobs import Knob


class Policy(keras.layers.Layer):
    """A GRU, and readouts that start at 0 beside a bias towards no change.

    Args:
        knobs: what is decided.
        width: how many numbers are seen.
        hidden: units of the GRU.
        calm: the first logit of every option that changes nothing.
        logit_clip: the greatest size of a logit, so that no option dies out.
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

    def step(self, seen: Any, memory: Any) -> tuple[Any, list[Any]]:
        """One decision: the new memory float32[hidden], and the logits float32[options] of every knob."""
        moved, _ = self.cell(seen[None], [memory[None]])
        return moved[0], [each[0] for each in self._logits(moved)]

    def _logits(self, memory: Any) -> list[Any]:
        words = self.readout(memory) + tf.constant(self.calm)
        return tf.split(self.logit_clip * tf.tanh(words / self.logit_clip), self.counts, axis=-1)

    def judge(self, seen: Any, chosen: Any, observed: Any) -> tuple[Any, Any]:
        """What the policy thinks of decisions that were made one after the other, from a memory of nothing.

        Args:
            seen: float32[n, decisions, width], what was seen before each; the number of decisions is static.
            chosen: int32[n, decisions, knobs].
            observed: float32[n, decisions], 0 for rows after a stop: nothing was decided there, and the memory stays.

        Returns:
            `(log probabilities, entropies)`: float32[n, decisions] each, of all knobs together.
        """
        memory, sure, spread = tf.zeros([tf.shape(seen)[0], self.hidden]), [], []
        for number in range(seen.shape[1]):
            moved, _ = self.cell(seen[:, number], [memory])
            memory = tf.where(observed[:, number, None] > 0, moved, memory)
            logs = [tf.nn.log_softmax(each) for each in self._logits(memory)]
            sure.append(tf.add_n([_of(each, chosen[:, number, i]) for i, each in enumerate(logs)]))
            spread.append(-tf.add_n([tf.reduce_sum(tf.exp(each) * each, axis=-1) for each in logs]))
        return tf.stack(sure, axis=1), tf.stack(spread, axis=1)


def _of(logs: Any, chosen: Any) -> Any:
    return tf.gather(logs, chosen, axis=-1, batch_dims=1)


def log_prob(logits: list[Any], chosen: Any) -> Any:
    """The log-probability float32[] of options int32[knobs], of all knobs together."""
    return tf.add_n([tf.nn.log_softmax(each)[chosen[i]] for i, each in enumerate(logits)])


def likeliest(logits: list[Any]) -> Any:
    """The most likely option of every knob, int32[knobs]."""
    return tf.stack([tf.argmax(each, output_type=tf.int32) for each in logits])


def drawn(logits: list[Any], seed: Any) -> Any:
    """An option of every knob by its probabilities, int32[knobs]: the greatest of logits with Gumbel noise."""
    chosen = []
    for number, each in enumerate(logits):
        key = tf.random.experimental.stateless_fold_in(seed, number)
        # Within the open interval of which both logarithms are finite.
        draws = tf.random.stateless_uniform(tf.shape(each), key, 1e-7, 1.0 - 1e-6, alg="philox")
        chosen.append(tf.argmax(each - tf.math.log(-tf.math.log(draws)), output_type=tf.int32))
    return tf.stack(chosen)
