"""Dense and convolutional layers of spectral norm 1, in training and at inference.

Miyato et al., Spectral Normalization for Generative Adversarial Networks, 2018. As in the paper, a convolution's kernel
is treated as the matrix [height * width * inputs, filters], its largest singular value sigma is estimated by power
iteration on a stored vector u, and u is a constant to the gradient. We depart in four points:

- sigma = |W u| uses the stored u, and the power iteration follows, for the next call. Training and inference then
  compute the same function of the kernel, and a kernel that moved by d since u was computed is off only by O(d^2),
  because W u is the first half of a power iteration on the present kernel.
- The gradient of v = W u / |W u| is not stopped. The first derivative of sigma = v^T W u is the paper's either way
  (equation 10), because |W u| is the largest value over v; with v stopped the second derivative would be wrong.
- u starts as the exact singular vector of the initial kernel, not at random, so that the first calls are right too.
- The weights are not changed. `keras.layers.SpectralNormalization` overwrites its layer's kernel in training, which is
  lost in `stateless_call`, and does not normalise at inference.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from meta_gan.checks import check_integer
from meta_gan.types import Tensor

_EPSILON = 1e-12  # so small that it matters only for a kernel of zeros


def _norm(x: Any) -> Any:
    """Return the length of `x`; its derivatives at 0 are finite."""
    return ops.sqrt(ops.sum(ops.square(x)) + _EPSILON)


def _unit(x: Any) -> Any:
    """Return `x` scaled to length 1, however short it is."""
    x = x / ops.max(ops.abs(x))  # the squares of tiny numbers would be 0
    return x / ops.sqrt(ops.sum(ops.square(x)))


class _Spectral(keras.layers.Layer):
    """Base of both layers: the vector u, the normalised kernel, the update, saving and the configuration."""

    def __init__(self, *args: Any, iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.iterations = check_integer(iterations, "iterations", 1)
        self.u: Any = None

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the kernel, the bias and u for inputs of `input_shape`, [n, ..., channels]."""
        super().build(input_shape)
        raw = super().kernel

        def leading(shape: Any, dtype: Any = None) -> Any:
            matrix = self._matrix(raw)
            # Eigenvectors come in the order of increasing eigenvalues.
            return ops.cast(ops.linalg.eigh(ops.matmul(ops.transpose(matrix), matrix))[1][:, -1], dtype)

        self.u = self.add_weight(name="u", shape=(raw.shape[-1],), initializer=leading, trainable=False, autocast=False)

    def _matrix(self, kernel: Any) -> Any:
        """Return the kernel as float[rows, filters] in the variables' dtype."""
        return ops.reshape(ops.cast(kernel, self.variable_dtype), (-1, kernel.shape[-1]))

    @property
    def kernel(self) -> Any:
        """The kernel divided by its largest singular value; the trained kernel is in `trainable_weights`."""
        raw = super().kernel
        if self.u is None:
            return raw
        # The mean of several tasks' u is shorter than 1, hence `_unit`.
        sigma = _norm(ops.matmul(self._matrix(raw), _unit(ops.stop_gradient(self.u))[:, None]))
        return ops.cast(ops.cast(raw, self.variable_dtype) / sigma, self.compute_dtype)

    def _next_u(self) -> Any:
        """Return u after `iterations` power iterations on the present kernel, a constant to the gradient."""
        matrix = ops.stop_gradient(self._matrix(super().kernel))
        u = _unit(ops.stop_gradient(self.u))[:, None]
        for _ in range(self.iterations):
            # Adding a share of u changes no direction, and keeps u for a kernel of zeros.
            u = _unit(ops.matmul(ops.transpose(matrix), ops.matmul(matrix, u)) + _EPSILON * u)
        return u[:, 0]

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Return the Keras layer's output with the normalised kernel; in training, also update u.

        A layer with `trainable = False` uses its u and does not update it.
        """
        outputs = super().call(inputs)
        if training and self.trainable:
            self.u.assign(self._next_u())
        return outputs

    def save_own_variables(self, store: Any) -> None:
        """Store all weights unchanged: Keras's own method would store the normalised kernel, and no u."""
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        """Load what `save_own_variables` stored."""
        keras.layers.Layer.load_own_variables(self, store)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "iterations": self.iterations}


@keras.saving.register_keras_serializable("meta_gan")
class SpectralDense(_Spectral, keras.layers.Dense):
    """A dense layer whose kernel is divided by its largest singular value.

    Maps float[n, ..., inputs] to float[n, ..., units]. Training calls update its non-trainable weight `u` float[units],
    of length 1, whose new value `stateless_call` returns.

    Args:
        units: int >= 1.
        iterations: int >= 1, power iterations of a training call.
        **kwargs: the other arguments of `keras.layers.Dense`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> SpectralDense(1, kernel_initializer="ones")(tf.constant([[3.0, 1.0, 0.0, 0.0]])).numpy()
        array([[2.]], dtype=float32)

    Reference:
        Miyato et al., Spectral Normalization for Generative Adversarial Networks, 2018; see the module for
        where we depart.
    """


@keras.saving.register_keras_serializable("meta_gan")
class SpectralConv2D(_Spectral, keras.layers.Conv2D):
    """A convolution whose kernel, as a matrix [height * width * inputs, filters], is divided by its spectral norm.

    Maps float[n, height, width, inputs] to float[n, new height, new width, filters], channels last. Training calls
    update its non-trainable weight `u` float[filters], of length 1, whose new value `stateless_call` returns. The norm
    of the convolution itself may be larger, by up to sqrt(height * width) of the kernel.

    Args:
        filters: int >= 1.
        kernel_size: int or (int, int), >= 1.
        iterations: int >= 1, power iterations of a training call.
        **kwargs: the other arguments of `keras.layers.Conv2D`.

    Raises:
        ValueError: if an argument is out of range, or `data_format` is not "channels_last".

    Example:
        >>> SpectralConv2D(1, 2, kernel_initializer="ones")(tf.ones([1, 2, 2, 1])).numpy().ravel()
        array([2.], dtype=float32)

    Reference:
        Miyato et al., Spectral Normalization for Generative Adversarial Networks, 2018; see the module for
        where we depart.
    """

    def __init__(self, *args: Any, iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, iterations=iterations, **kwargs)
        if self.data_format != "channels_last":
            raise ValueError(f"'data_format' must be 'channels_last'. Received: {self.data_format!r}")
