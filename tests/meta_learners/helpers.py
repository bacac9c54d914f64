"""Trajectories of meta-learners on a small problem of two players."""

import numpy as np
import tensorflow as tf

from meta_gan.types import ParamInfo

SEED = (0, 0)
START = {
    "a": [np.array([1.0, -2.0]), np.array([[3.0]])],
    "b": [np.array([0.5]), np.linspace(-0.9, 1.0, 24).reshape(1, 2, 3, 4)],
}


def infos(start=None):
    """The `ParamInfo` of each tensor."""
    start = START if start is None else start
    return {
        player: [ParamInfo(f"{player}/{i}", w.shape, int(np.prod(w.shape[:-1]))) for i, w in enumerate(ws)]
        for player, ws in start.items()
    }


def ready(meta_learner, start=None):
    """The meta-learner after `setup`."""
    if not meta_learner.built:
        meta_learner.setup(infos(start), dict.fromkeys(START if start is None else start, 2))
    return meta_learner


def shake(meta_learner, scale=0.1, seed=0):
    """Move every learned number away from its start, because a start at 0 hides mistakes."""
    draw = np.random.default_rng(seed)
    for variable in meta_learner.trainable_variables:
        variable.assign_add(scale * draw.normal(size=variable.shape))
    return meta_learner


def slopes(params):
    """Gradients of the sum of w^4 / 4 + w: far apart in size, and changing sign."""
    return [w**3 + 1.0 for w in params]


def trajectory(meta_learner, steps, players=None, start=None):
    """The params after each step, `{player: [array]}`, all players in turn, each from the other's new values."""
    start = START if start is None else start
    players = tuple(start) if players is None else players
    params = {p: [tf.constant(w) for w in ws] for p, ws in start.items()}
    state, path = ready(meta_learner, start).begin(params), []
    signals = {player: tf.zeros([2]) for player in start}
    for _ in range(steps):
        for player in players:
            state, deltas = meta_learner.update(state, player, params, slopes(params[player]), signals, SEED)
            params = {**params, player: [w + d for w, d in zip(params[player], deltas, strict=True)]}
        path.append({p: [w.numpy() for w in ws] for p, ws in params.items()})
    return path
