"""An outer step that XLA has compiled is the outer step; on games without draws, for XLA's draws are others."""

import keras
import numpy as np
import pytest

import meta_gan as mg
from meta_gan.meta import Unrolled
from meta_gan.meta_learners import AttentionMetaLearner, MetaLSTM, MetaSGD, RecurrentMetaLearner
from tests.toys import TwoPlayers, constant_episodes, flat_close

LEARNED = {
    "meta-sgd": lambda **k: MetaSGD(0.1, **k),
    "recurrent": lambda **k: RecurrentMetaLearner(0.01, hidden=3, **k),
    "attention": lambda **k: AttentionMetaLearner(0.01, hidden=2, heads=1, **k),
    "lstm": lambda **k: MetaLSTM(0.01, **k),
}
LOSSES = {
    "psi": lambda psi, theta, mean: psi * theta - 0.3 * mean * psi + 0.1 * psi**2,
    "theta": lambda psi, theta, mean: 0.5 * (theta - mean) ** 2 - psi * theta,
}


def trained(name, compiled):
    """Metrics and values after an outer step of two windows of two inner steps."""
    algorithm = mg.Algorithm("learned", LEARNED[name](dtype="float64"), Unrolled(2, last=2, window=2), 4)
    model = mg.MetaModel(TwoPlayers(0.7, -1.3, LOSSES), algorithm)
    # No skipping: the check that a step is finite must compile too. Descent, for Adam would hide an error in a size.
    model.compile(optimizer=keras.optimizers.SGD(0.1), clip=1.0, jit_compile=compiled)
    before = [v.numpy() for v in model.meta_learner.trainable_variables]
    model.make_train_function()
    metrics = model.train_function(iter([constant_episodes([0.5, -0.2], [0.4, -0.3])]))
    after = [v.numpy() for v in model.trainable_variables]
    assert any(np.abs(a - b).max() > 1e-6 for a, b in zip(model.meta_learner.trainable_variables, before, strict=True))
    return {key: float(value) for key, value in metrics.items()}, after


SLOW = pytest.mark.slow(reason="a minute of compiling each")


@pytest.mark.parametrize("name", [n if n == "meta-sgd" else pytest.param(n, marks=SLOW) for n in LEARNED])
def test_the_same_step(name):
    (plain, values), (compiled, compiled_values) = (trained(name, c) for c in (False, True))
    assert plain.keys() == compiled.keys() and "gradient_norm/meta_learner" in plain
    flat_close([compiled[k] for k in plain], list(plain.values()), rtol=1e-5)
    flat_close(compiled_values, values, rtol=1e-5, atol=1e-9)
