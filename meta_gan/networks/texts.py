"""A generator of short texts: symbol by symbol, by relaxed choices, optionally copying from a support set.

A text is float[length, symbols]; each row is one-hot at its symbol. Symbol 0 ends a text, and all rows after the first
symbol 0 are symbol 0 too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_bool, check_choice, check_number, check_shape
from meta_gan.layers.portable import erfc
from meta_gan.networks.base import Generator, LayerFactory, Shape
from meta_gan.types import Tensor

RELAXATIONS = ("straight_through", "gumbel_softmax")
_KEY = 32
_LEAST = 1e-6  # probability of a symbol: its logarithm stays finite


def gumbel(z: Tensor) -> Tensor:
    """Return standard normal numbers as standard Gumbel numbers of the same quantiles."""
    share = tf.clip_by_value(0.5 * erfc(-z / math.sqrt(2.0)), 1e-6, 1.0 - 1e-6)
    return -tf.math.log(-tf.math.log(share))


@keras.saving.register_keras_serializable("meta_gan")
class TextGenerator(Generator):
    """A GRU that writes a text symbol by symbol and, if it attends, copies from support texts.

    The probability of a symbol mixes the GRU's prediction with what followed at similar places of the support set: an
    attention from the GRU's state to a second GRU's states, one ahead of every support symbol. The GRU also receives
    the mean of these states. A symbol is the maximum of log-probabilities plus Gumbel noise, which is z passed through
    two quantile functions. So samples are exact draws, and a function of z.

    Args:
        example_shape: (length, symbols), at least 2 symbols; symbol 0 ends a text.
        width: int >= 1, units of the GRUs.
        embedding_dim: int >= 0, size of the task embedding; 0 for none.
        attends: whether it is conditioned on the support set.
        relaxation: the gradient of a choice: "straight_through", one-hot in the forward pass and the gradient of its
            softmax in the backward pass; "gumbel_softmax", in training the softmax itself.
        softness: float > 0, the softmax's temperature.
        temperature: float > 0, multiplies the noise outside training; below 1 gives likelier texts.
        seed: int >= 0, seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    `latent_dim` is length * symbols. `call(z, conditioning)` takes None, or a dict with `support` float[k, length,
    symbols] if `attends`, and `task_embedding` float[embedding_dim] if `embedding_dim` > 0. Outside training, rows are
    exactly one-hot.

    Raises:
        ValueError: if an argument is out of range, or the conditioning lacks an entry or is not used.

    Example:
        >>> generator = TextGenerator((16, 28), width=32, attends=True)
        >>> generator(tf.zeros([3, 16 * 28]), conditioning={"support": tf.zeros([20, 16, 28])}).shape
        TensorShape([3, 16, 28])

    References:
        Jang et al., Categorical Reparameterization with Gumbel-Softmax, 2017; Bengio et al., Estimating or Propagating
        Gradients Through Stochastic Neurons, 2013, for straight through; Grave et al., Improving Neural Language Models
        with a Continuous Cache, 2017, for copying what followed similar states; See et al., Get To The Point, 2017, for
        the learned share of copying.
    """

    sampling = ("temperature",)

    def __init__(
        self,
        example_shape: Shape,
        width: int = 128,
        embedding_dim: int = 0,
        attends: bool = False,
        relaxation: str = "straight_through",
        softness: float = 1.0,
        temperature: float = 1.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        length, symbols = check_shape(example_shape, axes=("length", "symbols"))
        if symbols < 2:
            raise ValueError(f"'example_shape' must have at least 2 symbols. Received: {example_shape}")
        sizes = {"width": width, "embedding_dim": embedding_dim}
        super().__init__(example_shape, length * symbols, seed, **sizes, **kwargs)
        self.length, self.symbols = length, symbols
        self.attends = self.sees_support = check_bool(attends, "attends")
        self.relaxation = check_choice(relaxation, "relaxation", RELAXATIONS)
        self.softness = check_number(softness, "softness", above=0)
        self.temperature = check_number(temperature, "temperature", above=0)
        make = LayerFactory(self.seed, type(self).__name__, self.dtype_policy)
        self.writer = self._cell(symbols + self.embedding_dim + (self.width if attends else 0), "writer", make)
        self.expected = make.dense(self.width, symbols, "expected")
        if attends:
            self.reader = self._cell(symbols, "reader", make)
            self.query = make.dense(self.width, _KEY, "query")
            # A bias would add the same to all scores, which does not change the softmax over them.
            self.key = make.dense(self.width, _KEY, "key", 1.0, use_bias=False)
            self.share = make.dense(self.width, 1, "share")
        self.build((None, self.latent_dim))

    def _cell(self, inputs: int, name: str, make: LayerFactory) -> keras.layers.GRUCell:
        cell = keras.layers.GRUCell(
            self.width,
            kernel_initializer=make.draw(inputs, 1.0),
            recurrent_initializer=make.draw(2 * self.width, 1.0),
            name=name,
            seed=self.seed,
            dtype=self.dtype_policy,
        )
        cell.build((None, inputs))
        return cell

    def call(self, z: Tensor, conditioning: Any = None, training: bool = False) -> Tensor:
        """Return texts float[n, length, symbols] of `z` float[n, latent_dim]."""
        noise = gumbel(tf.reshape(z, [-1, self.length, self.symbols]))
        noise = noise if training else self.temperature * noise
        chosen, alive = [], tf.ones([tf.shape(z)[0], 1], noise.dtype)
        end = tf.one_hot(0, self.symbols, dtype=noise.dtype)
        context, memory = self._read(conditioning)

        def choose(logs: Tensor, position: int) -> Tensor:
            nonlocal alive
            now = alive * self._chosen(logs + noise[:, position], training) + (1.0 - alive) * end
            alive = alive * (1.0 - now[:, :1])
            chosen.append(now)
            return now

        self._write(context, memory, tf.shape(z)[0], choose)
        return tf.stack(chosen, axis=1)

    def log_likelihood(self, texts: Tensor, conditioning: Any = None) -> Tensor:
        """Return the log-probabilities float[n], in nats, of `texts` float[n, length, symbols] with their ends."""
        texts = tf.clip_by_value(texts, 0.0, 1.0)
        total, alive = tf.zeros([tf.shape(texts)[0]], texts.dtype), tf.ones([tf.shape(texts)[0]], texts.dtype)

        def follow(logs: Tensor, position: int) -> Tensor:
            nonlocal total, alive
            now = texts[:, position]
            total += alive * tf.reduce_sum(now * logs, axis=-1)
            alive = alive * (1.0 - now[:, 0])
            return now

        self._write(*self._read(conditioning), tf.shape(texts)[0], follow)
        return total

    def _chosen(self, scores: Tensor, training: bool) -> Tensor:
        hard = tf.one_hot(tf.argmax(scores, axis=-1), self.symbols, dtype=scores.dtype)
        if not training:
            return hard
        soft = tf.nn.softmax(scores / self.softness)
        return soft if self.relaxation == "gumbel_softmax" else soft + tf.stop_gradient(hard - soft)

    def _read(self, conditioning: Any) -> tuple[Tensor | None, tuple[Tensor, Tensor, Tensor] | None]:
        """Return the context, float[size] or None, and the support symbols' `(keys, values, log weights)` or None."""
        support, embedding = self.read_conditioning(conditioning)
        if support is None:
            return embedding, None
        # Examples may be any numbers in [-1, 1], but shares of symbols and weights computed from them may not.
        support = tf.clip_by_value(support, 0.0, 1.0)
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
        memory = (self.key(flat), tf.reshape(support, [-1, self.symbols]), tf.math.log(tf.reshape(weight, [-1]) + 1e-9))
        return mean if embedding is None else tf.concat([mean, embedding], axis=0), memory

    def _write(self, context: Tensor | None, memory: Any, rows: Any, follow: Callable[[Tensor, int], Tensor]) -> None:
        """Go over all positions; `follow` receives log-probabilities float[n, symbols] and returns the symbols."""
        state, before = tf.zeros([rows, self.width], self.compute_dtype), tf.zeros([rows, self.symbols])
        before = tf.cast(before, self.compute_dtype)
        for position in range(self.length):
            inputs = before if context is None else tf.concat([before, tf.repeat(context[None], rows, axis=0)], axis=1)
            state, _ = self.writer(inputs, [state])
            before = follow(self._log_probabilities(state, memory), position)

    def _log_probabilities(self, state: Tensor, memory: Any) -> Tensor:
        """Return log-probabilities float[n, symbols] of the next symbol."""
        logits = self.expected(state)
        if memory is None:
            return tf.nn.log_softmax(logits)
        keys, values, weights = memory
        scores = tf.matmul(self.query(state), keys, transpose_b=True) / math.sqrt(_KEY) + weights
        copied = tf.matmul(tf.nn.softmax(scores), values)
        share = tf.sigmoid(self.share(state))
        return tf.math.log((1.0 - share) * tf.nn.softmax(logits) + share * copied + _LEAST)
