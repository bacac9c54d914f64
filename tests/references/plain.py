"""The inner loop once more, as a plain Python loop of gradient descent that shares no code with `meta_gan.meta`.

Its derivative is taken by finite differences, so nothing here can stop or leak a gradient. A *partial* derivative
holds the opponent fixed: here by letting the opponent repeat the moves that it made when nothing was perturbed.
"""

import tensorflow as tf

from meta_gan.types import Settings, Snapshot

ADAPT, QUERY = 0, 2  # the roles of draws, as documented in meta/inner_loop.py


def fold(seed, *numbers):
    for number in numbers:
        seed = tf.random.experimental.stateless_fold_in(seed, number)
    return seed


def descend(game, weights, state, episode, steps, rate, order=1, repeat_moves=None, player=None):
    """Plays `steps` of every player from `weights {net: [t]}`, one net a player.

    With `repeat_moves`, players other than `player` take their values from it in place of stepping.

    Returns:
        `(weights, moves, losses)`; moves and losses one for every turn.
    """
    weights, moves, losses = dict(weights), [], []
    for step in range(steps):
        for turn, ((mover,), repeats) in enumerate(game.turns):
            for repeat in range(repeats):
                seed = fold(episode.seed, ADAPT, step, turn, repeat, 0)
                (net,) = game.players[mover]
                with tf.GradientTape() as tape:
                    tape.watch(weights[net])
                    snapshot = Snapshot(weights, state)
                    loss = game.loss(mover, snapshot, episode.support, None, Settings(), seed)[0]
                if repeat_moves is not None and mover != player:
                    moved = repeat_moves[len(moves)]
                else:
                    slopes = tape.gradient(loss, weights[net])
                    if order == 1:
                        slopes = [tf.stop_gradient(g) for g in slopes]
                    moved = [w - rate * g for w, g in zip(weights[net], slopes, strict=True)]
                weights = {**weights, net: moved}
                moves.append(moved)
                losses.append(loss)
    return weights, moves, losses


def objective(game, player, weights, state, episode):
    """A player's loss on the query set."""
    snapshot = Snapshot(weights, state)
    return game.loss(player, snapshot, episode.query, None, Settings(), fold(episode.seed, QUERY))[0]


def outcome(game, player, partial, initial, episode, steps, rate):
    """A function of the player's own initial weights: its objective after all have moved."""
    (net,) = game.players[player]
    moves = descend(game, *initial, episode, steps, rate)[1] if partial else None

    @tf.function(autograph=False)
    def function(own):
        weights = {**initial.weights, net: own}
        end = descend(game, weights, initial.state, episode, steps, rate, 1, moves, player)[0]
        return objective(game, player, end, initial.state, episode)

    return function
