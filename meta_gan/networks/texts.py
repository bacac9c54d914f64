"""A generator of short texts: symbol after symbol, by relaxed choices, and told of a support set by copying from it.

A text is float[length, symbols], a row of which is one at the symbol that stands there; symbol 0 ends a text, and all
rows after the first of it are symbol 0 too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_bool, check_choice, check_integer, check_number, check_shape
from meta_gan.networks.base import Generator, read_task_embedding, refuse_conditioning, seeded_normal
from meta_gan.networks.fusion_parts import dense, require_support

RELAXATIONS = ("straight_through", "gumbel_softmax")
_KEY = 32
_LEAST = 1e-6  # of a symbol's probability: its logarithm stays finite


def require_text(text_shape: Sequence[int]) -> tuple[int, int]:
    """Return (length, symbols), refused with a ValueError unless there are two, of at least 1 and 2."""
    shape = check_shape(text_shape)
    if len(shape) != 2 or shape[1] < 2:
        raise ValueError(
            "`example_shape` of texts must be (length, symbols), of at least 2 symbols, the first of which ends a text. "
            f"Received: example_shape={tuple(text_shape)}"
        )
    return shape[0], shape[1]


def gumbel(z: Any) -> Any:
    """Return standard normal numbers as standard Gumbel ones, of the same rank among all."""
    share = tf.clip_by_value(0.5 * tf.math.erfc(-z / math.sqrt(2.0)), 1e-6, 1.0 - 1e-6)
    return -tf.math.log(-tf.math.log(share))


@keras.saving.register_keras_serializable("meta_gan")
class TextGenerator(Generator):
    """Writes a text symbol by symbol: a GRU that reads what it wrote, and where it attends, copies from support texts.

    The probability of a symbol mixes what the GRU expects with what followed in the support set where it looked
    alike: an attention from the GRU's state to a second GRU's state ahead of every support symbol. The mean of these
    states tells the GRU what manner of texts they are. A symbol is the greatest of log-probabilities with Gumbel
    noise, which is z through two quantile functions: so samples are exact draws, and z decides all.

    Args:
        example_shape: (length, symbols); symbol 0 ends a text.
        width: int >= 1, units of the GRUs.
        embedding_dim: int >= 0, the size of the task code; 0 for none.
        attends: whether it sees the support set.
        relaxation: what the gradient is that of: "straight_through", a one-hot choice on the way forward and its
            softmax on the way back; "gumbel_softmax", in training the softmax itself.
        softness: float > 0, the softmax's temperature.
        temperature: float > 0, what z's noise is multiplied by when not training: below 1 likelier texts.
        seed: int >= 0, of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    `latent_dim` is length * symbols. `call(z, conditioning)` takes None, or a dict with `support` float[k, length,
    symbols] where it attends and `code` float[embedding_dim] where there is one. When not training, rows are exactly
    one-hot.

    Raises:
        ValueError: if an argument is out of range, or the conditioning lacks an entry or is not used.

    Example:
        >>> generator = TextGenerator((16, 28), width=32, attends=True)
        >>> generator(tf.zeros([3, 16 * 28]), conditioning={"support": tf.zeros([20, 16, 28])}).shape
        TensorShape([3, 16, 28])

    References:
        Jang et al., Categorical Reparameterization with Gumbel-Softmax, 2017; Bengio et al., Estimating or Propagating
        Gradients Through Stochastic Neurons, 2013, for straight through; Grave et al., Improving Neural Language Models
        with a Continuous Cache, 2017, for copying what followed like states; See et al., Get To The Point, 2017, for
        the learned share of it.
    """

    def __init__(
        self,
        example_shape: Sequence[int],
        width: int = 128,
        embedding_dim: int = 0,
        attends: bool = False,
        relaxation: str = "straight_through",
        softness: float = 1.0,
        temperature: float = 1.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        self.length, self.symbols = require_text(example_shape)
        super().__init__(example_shape, self.length * self.symbols, seed, **kwargs)
        self.width, self.embedding_dim = (
            check_integer(width, "width", 1),
            check_integer(embedding_dim, "embedding_dim", 0),
        )
        check_bool(attends, "attends")
        self.attends = self.sees_support = attends
        self.relaxation = check_choice(relaxation, "relaxation", RELAXATIONS)
        self.softness = check_number(softness, "softness", above=0)
        self.temperature = check_number(temperature, "temperature", above=0)
        make, policy = seeded_normal(self.seed, type(self).__name__), self.dtype_policy
        told = self.embedding_dim + (self.width if attends else 0)
        self.writer = self._cell(self.symbols + told, "writer", make)
        self.expected = dense(make, self.width, self.symbols, "expected", policy)
        if attends:
            self.reader = self._cell(self.symbols, "reader", make)
            self.query = dense(make, self.width, _KEY, "query", policy)
            # A bias would be the same for all keys, and the softmax over them does not see it.
            self.key = keras.layers.Dense(
                _KEY, use_bias=False, kernel_initializer=make(self.width), name="key", dtype=policy
            )
            self.key.build((None, self.width))
            self.share = dense(make, self.width, 1, "share", policy)
        self.build((None, self.latent_dim))

    def _cell(self, inputs: int, name: str, make: Callable[..., Any]) -> keras.layers.GRUCell:
        cell = keras.layers.GRUCell(
            self.width,
            kernel_initializer=make(inputs),
            recurrent_initializer=make(2 * self.width),
            name=name,
            seed=self.seed,
            dtype=self.dtype_policy,
        )
        cell.build((None, inputs))
        return cell

    def call(self, z: Any, conditioning: Any = None, training: bool = False) -> Any:
        """Return texts float[n, length, symbols] of `z` float[n, latent_dim]."""
        noise = gumbel(tf.reshape(z, [-1, self.length, self.symbols]))
        noise = noise if training else self.temperature * noise
        chosen, alive = [], tf.ones([tf.shape(z)[0], 1], noise.dtype)
        end = tf.one_hot(0, self.symbols, dtype=noise.dtype)
        memory = self._remembered(conditioning)

        def choose(logs: Any, position: int) -> Any:
            nonlocal alive
            now = alive * self._chosen(logs + noise[:, position], training) + (1.0 - alive) * end
            alive = alive * (1.0 - now[:, :1])
            chosen.append(now)
            return now

        self._write(memory, tf.shape(z)[0], choose)
        return tf.stack(chosen, axis=1)

    def log_likelihood(self, texts: Any, conditioning: Any = None) -> Any:
        """Return the log-probabilities float[n], in nats, of `texts` float[n, length, symbols], their ends included."""
        texts = tf.clip_by_value(texts, 0.0, 1.0)
        total, alive = tf.zeros([tf.shape(texts)[0]], texts.dtype), tf.ones([tf.shape(texts)[0]], texts.dtype)

        def follow(logs: Any, position: int) -> Any:
            nonlocal total, alive
            now = texts[:, position]
            total += alive * tf.reduce_sum(now * logs, axis=-1)
            alive = alive * (1.0 - now[:, 0])
            return now

        self._write(self._remembered(conditioning), tf.shape(texts)[0], follow)
        return total

    def _chosen(self, scores: Any, training: bool) -> Any:
        hard = tf.one_hot(tf.argmax(scores, axis=-1), self.symbols, dtype=scores.dtype)
        if not training:
            return hard
        soft = tf.nn.softmax(scores / self.softness)
        return soft if self.relaxation == "gumbel_softmax" else soft + tf.stop_gradient(hard - soft)

    def _remembered(self, conditioning: Any) -> tuple[Any, Any]:
        """What it is told, float[told] or None, and of the support symbols `(keys, values, log weights)` or None."""
        if not self.attends:
            if not self.embedding_dim:
                refuse_conditioning(self, conditioning)
                return None, None
            return read_task_embedding(self, conditioning), None
        support, code = require_support(conditioning, type(self).__name__, self.embedding_dim)
        # Examples may be any numbers in [-1, 1]; shares of symbols may not, nor weights made of them.
        support = tf.clip_by_value(tf.cast(support, self.compute_dtype), 0.0, 1.0)
        state, before = tf.zeros([tf.shape(support)[0], self.width], support.dtype), tf.zeros_like(support[:, 0])
        alive = tf.ones([tf.shape(support)[0]], support.dtype)
        states, weights = [], []
        for position in range(self.length):
            state, _ = self.reader(before, [state])
            states.append(state)
            weights.append(alive)
            before = support[:, position]
            alive = alive * (1.0 - before[:, 0])
        read, weight = tf.stack(states, axis=1), tf.stack(weights, axis=1)
        mean = tf.reduce_sum(weight[..., None] * read, axis=[0, 1]) / tf.reduce_sum(weight)
        flat = tf.reshape(read, [-1, self.width])
        kept = (self.key(flat), tf.reshape(support, [-1, self.symbols]), tf.math.log(tf.reshape(weight, [-1]) + 1e-9))
        return mean if code is None else tf.concat([mean, code], axis=0), kept

    def _write(self, memory: tuple[Any, Any], rows: Any, follow: Callable[[Any, int], Any]) -> None:
        """Goes over all positions: `follow` is given log-probabilities float[n, symbols] and says what stands there."""
        told, kept = memory
        state, before = tf.zeros([rows, self.width], self.compute_dtype), tf.zeros([rows, self.symbols])
        before = tf.cast(before, self.compute_dtype)
        for position in range(self.length):
            given = before if told is None else tf.concat([before, tf.repeat(told[None], rows, axis=0)], axis=1)
            state, _ = self.writer(given, [state])
            before = follow(self._expectation(state, kept), position)

    def _expectation(self, state: Any, kept: Any) -> Any:
        """Log-probabilities float[n, symbols] of what comes next."""
        logits = self.expected(state)
        if kept is None:
            return tf.nn.log_softmax(logits)
        keys, values, weights = kept
        scores = tf.matmul(self.query(state), keys, transpose_b=True) / math.sqrt(_KEY) + weights
        copied = tf.matmul(tf.nn.softmax(scores), values)
        share = tf.sigmoid(self.share(state))
        return tf.math.log((1.0 - share) * tf.nn.softmax(logits) + share * copied + _LEAST)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        names = ("width", "embedding_dim", "attends", "relaxation", "softness", "temperature")
        config = {**super().get_config(), **{name: getattr(self, name) for name in names}}
        del config["latent_dim"]
        return config
