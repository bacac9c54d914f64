"""Central differences in float64, and comparisons of a layer's second derivative with them."""

import numpy as np
import tensorflow as tf


def directional_error(function, values, step=1e-4):
    """Return, for each of `values`, the relative error of the tape's derivative along one direction.

    A direction per tensor keeps a wrong small gradient from hiding behind a right large one.
    """
    values = [tf.convert_to_tensor(value, tf.float64) for value in values]
    with tf.GradientTape() as tape:
        tape.watch(values)
        result = function(values)
    errors = []
    for index, gradient in enumerate(tape.gradient(result, values)):
        assert gradient is not None, f"no gradient reaches value {index}"
        direction = np.random.default_rng(index).normal(size=values[index].shape)

        def along(distance, index=index, direction=direction):
            moved = list(values)
            moved[index] = values[index] + distance * direction
            return float(function(moved))

        # Four points: the error is of order step^4, so that the step can be large enough for small rounding errors.
        near, far = (along(d) - along(-d) for d in (step, 2 * step))
        measured = (8 * near - far) / (12 * step)
        claimed = float(tf.reduce_sum(gradient * direction))
        assert abs(measured) > 1e-6, f"value {index} hardly matters, so this would test nothing"
        errors.append(abs(claimed - measured) / max(abs(measured), abs(claimed)))
    return errors


def weighted_gradient_norm(layer, training):
    """Return `f([x, *weights])`: a weighted sum of squares of dL/dx and dL/dweights, L a readout.

    The readout L is nonlinear, because a linear layer under a linear one has no second derivative to be
    wrong. The squares are weighted, because the plain ||dL/dx||^2 is blind to a gradient stopped at the mean
    inside a variance: what is lost is proportional to the sum of dL/dx, which is 0 where a shift of x changes
    nothing. In a network, the layers below the normalisation act as the weights.
    """
    state = [tf.convert_to_tensor(variable) for variable in layer.non_trainable_variables]
    options = {"training": training} if "training" in layer._call_signature.parameters else {}

    def function(values):
        x, *weights = values
        with tf.GradientTape() as tape:
            tape.watch(values)
            y, _ = layer.stateless_call(weights, state, x, **options)
            readout = tf.constant(np.random.default_rng(7).normal(size=y.shape), tf.float64)
            loss = tf.reduce_sum(readout * tf.tanh(y + readout))
        gradients = tape.gradient(loss, values)
        metric = [np.random.default_rng(11).uniform(0.5, 2.0, value.shape) for value in values]
        return sum(tf.reduce_sum(m * tf.square(g)) for m, g in zip(metric, gradients, strict=True))

    return function


def grad_of_grad_error(make_layer, shape, training=False):
    """Return the largest relative error of the gradient of a gradient's norm, by x and each weight."""
    generator = np.random.default_rng(0)
    # Between .2 and 1 in size, so that no finite difference crosses the kink of a rectifier at 0.
    x = generator.uniform(0.2, 1.0, shape) * generator.choice([-1.0, 1.0], shape)
    layer = make_layer()
    if not layer.built:
        layer.build(shape)
    weights = [generator.normal(1.0, 0.3, variable.shape) for variable in layer.trainable_variables]
    return max(directional_error(weighted_gradient_norm(layer, training), [x, *weights]))
