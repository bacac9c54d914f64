"""Dense and convolutional layers of spectral norm 1, in training and at inference alike.

Miyato et al., Spectral Normalization for Generative Adversarial Networks, 2018. As in the paper, a convolution's
kernel stands for the matrix [height * width * inputs, filters], its largest singular value sigma is estimated by
power iteration on a stored vector u, and u is a constant to the gradient. We depart in four things:

- sigma = |W u| with the stored u, and the power iteration comes after, for the next call. So training and
  inference compute the same function of the kernel, and a kernel that moved by d since u was found is off by
  O(d^2) only, because W u is a power iteration's first half on the present kernel.
- v = W u / |W u| is not stopped. The first derivative of sigma = v^T W u is the paper's either way (equation
  10), for |W u| is the greatest value over v; with v stopped the second derivative would be wrong.
- u starts as the exact singular vector of the initial kernel, not at random: the first calls are right too.
- The weights stay as they are. `keras.layers.SpectralNormalization` overwrites its layer's kernel in training,
  which is lost in `stateless_call`, and does not normalise at inference.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from meta_gan.checks import check_integer

_EPSILON = 1e-12  # so small that only a kernel of zeros meets it


def _norm(x: Any) -> Any:
    """Return the length of `x`; its derivatives at 0 are finite."""
    return ops.sqrt(ops.sum(ops.square(x)) + _EPSILON)


def _unit(x: Any) -> Any:
    """Return `x` scaled to length 1, however short it is."""
    x = x / ops.max(ops.abs(x))  # squares of what a tiny kernel leaves would be 0
    return x / ops.sqrt(ops.sum(ops.square(x)))


class _Spectral(keras.layers.Layer):
    """What both layers share: the vector u, the normalised kernel, the update, saving and the configuration."""

    def __init__(self, *args: Any, iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        check_integer(iterations, "iterations", 1)
        self.iterations = iterations
        self.u: Any = None

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the kernel, the bias and u for inputs of `input_shape`, [n, ..., channels]."""
        super().build(input_shape)
        raw = super().kernel

        def leading(shape: Any, dtype: Any = None) -> Any:
            matrix = self._matrix(raw)
            # The eigenvectors come in the order of rising eigenvalues.
            return ops.cast(ops.linalg.eigh(ops.matmul(ops.transpose(matrix), matrix))[1][:, -1], dtype)

        self.u = self.add_weight(name="u", shape=(raw.shape[-1],), initializer=leading, trainable=False, autocast=False)

    def _matrix(self, kernel: Any) -> Any:
        """Return the kernel as float[rows, filters] in the variables' dtype."""
        return ops.reshape(ops.cast(kernel, self.variable_dtype), (-1, kernel.shape[-1]))

    @property
    def kernel(self) -> Any:
        """The kernel divided by its largest singular value; what is trained is the one in `trainable_weights`."""
        raw = super().kernel
        if self.u is None:
            return raw
        # A mean of the u of several tasks is shorter than 1, hence `_unit`.
        sigma = _norm(ops.matmul(self._matrix(raw), _unit(ops.stop_gradient(self.u))[:, None]))
        return ops.cast(ops.cast(raw, self.variable_dtype) / sigma, self.compute_dtype)

    def _next_u(self) -> Any:
        """Return u after `iterations` power iterations on the present kernel, a constant to the gradient."""
        matrix = ops.stop_gradient(self._matrix(super().kernel))
        u = _unit(ops.stop_gradient(self.u))[:, None]
        for _ in range(self.iterations):
            # The share of u itself turns no vector, and leaves u whole where the kernel is 0.
            u = _unit(ops.matmul(ops.transpose(matrix), ops.matmul(matrix, u)) + _EPSILON * u)
        return u[:, 0]

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return what the Keras layer makes of `inputs` with the normalised kernel; in training, also move u.

        A layer with `trainable = False` is frozen: it uses its u and leaves it alone.
        """
        outputs = super().call(inputs)
        if training and self.trainable:
            self.u.assign(self._next_u())
        return outputs

    def save_own_variables(self, store: Any) -> None:
        """Store every weight as it is: Keras's own method would store the normalised kernel, and no u."""
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        """Load what `save_own_variables` has stored."""
        keras.layers.Layer.load_own_variables(self, store)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "iterations": self.iterations}


@keras.saving.register_keras_serializable("meta_gan")
class SpectralDense(_Spectral, keras.layers.Dense):
    """A dense layer whose kernel is divided by its largest singular value.

    Maps float[n, ..., inputs] to float[n, ..., units]. Its non-trainable weight `u` float[units], of length 1, is
    moved by training calls, so `stateless_call` returns its new value.

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
        Miyato et al., Spectral Normalization for Generative Adversarial Networks, 2018; see the module for where
        we depart.
    """


@keras.saving.register_keras_serializable("meta_gan")
class SpectralConv2D(_Spectral, keras.layers.Conv2D):
    """A convolution whose kernel, as a matrix [height * width * inputs, filters], is divided by its spectral norm.

    Maps float[n, height, width, inputs] to float[n, new height, new width, filters], channels last. Its
    non-trainable weight `u` float[filters], of length 1, is moved by training calls, so `stateless_call` returns
    its new value. The norm of the convolution itself may be larger, by up to sqrt(height * width) of the kernel.

    Args:
        filters: int >= 1.
        kernel_size: int or (int, int), >= 1.
        iterations: int >= 1, power iterations of a training call.
        **kwargs: the other arguments of `keras.layers.Conv2D`.

    Raises:
        ValueError: if an argument is out of range, or the channels are to come first.

    Example:
        >>> SpectralConv2D(1, 2, kernel_initializer="ones")(tf.ones([1, 2, 2, 1])).numpy().ravel()
        array([2.], dtype=float32)

    Reference:
        Miyato et al., Spectral Normalization for Generative Adversarial Networks, 2018; see the module for where
        we depart.
    """

    def __init__(self, *args: Any, iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, iterations=iterations, **kwargs)
        if self.data_format != "channels_last":
            raise ValueError(f'`data_format` must be "channels_last". Received: data_format={self.data_format!r}')
