"""The one inner loop, shared by training, evaluation, `adapt` and the exported SavedModel.

Values in, values out: the models' variables never move. The loop is a `tf.while_loop` whose body holds the turns of
one step, unrolled; it can be differentiated, and continued: 2 steps and then 3 are the same as 5.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from meta_gan import functional
from meta_gan.games.base import Game
from meta_gan.meta import masks, steering
from meta_gan.meta_learners.base import MetaLearner
from meta_gan.types import Carry, Episode, Mask, MetaWeights, Snapshot

# Roles of random draws: two draws of one task may share a key only if they share a role.
ADAPT, RULE, QUERY, SAMPLE = 0, 1, 2, 3
# Of a rule's draws in one step: turns have the lower numbers.
_DECISION = 1_000_000


def begin(game: Game, learner: MetaLearner, mask: Mask, meta: MetaWeights) -> Carry:
    """The carry before the first inner step, from the meta-weights."""
    params = masks.take(mask, meta.initial)
    state = {net: list(tensors) for net, tensors in meta.initial.state.items()}
    meta_learner_state = functional.pure(learner, "begin", meta.meta_learner, params)
    signals = {player: tf.zeros([n + learner.embedding_dim]) for player, n in game.signals.items()}
    return Carry(tf.zeros([], tf.int32), params, state, meta_learner_state, signals)


def final(mask: Mask, meta: MetaWeights, carry: Carry) -> Snapshot:
    """The adapted values of all nets."""
    return masks.merge(mask, meta.initial, carry.params, carry.state)


def columns(game: Game, mask: Mask) -> list[str]:
    """The player of each column of `advance`'s records, in the order of their moves within one step."""
    return [p for names, repeats in game.turns for _ in range(repeats) for p in names if mask[p]]


def rule_key(seed: Any, step: Any) -> Any:
    """The key of what a rule draws in one inner step of a task."""
    return functional.fold(functional.fold(seed, RULE), step)


class _Step:
    """One inner step: every turn of the game, in order."""

    def __init__(
        self,
        game: Game,
        learner: MetaLearner,
        mask: Mask,
        meta: MetaWeights,
        order: int,
        partial: bool,
        rate_scale: Any,
    ):
        self.game, self.learner, self.mask, self.meta = game, learner, mask, meta
        self.order, self.partial, self.rate_scale = order, partial, rate_scale

    def __call__(self, carry: Carry, support: Any, watched: Any, seed: Any) -> tuple[Carry, list[Any]]:
        if not self.learner.steers:
            return self.moves(carry, support, seed)
        carry = self.steered(carry, support, watched, seed)
        width = len(columns(self.game, self.mask))

        def rests() -> tuple[Carry, list[Any]]:
            return carry._replace(step=carry.step + 1), [tf.zeros([])] * width

        finished = self.learner.finished(carry.meta_learner_state)
        return tf.cond(finished, rests, lambda: self.moves(carry, support, seed))

    def steered(self, carry: Carry, support: Any, watched: Any, seed: Any) -> Carry:
        """Lets a rule that steers decide, on the steps where a decision is due."""
        state = carry.meta_learner_state
        due = self.learner.due(state, carry.step)
        key = rule_key(seed, carry.step)

        def decide() -> Any:
            snapshot = masks.merge(self.mask, self.meta.initial, carry.params, carry.state)
            found = steering.watched_distance(self.game, snapshot, support, watched, key)
            told = (state, carry.step, carry.signals, found, functional.fold(key, _DECISION))
            return functional.pure(self.learner, "observe", self.meta.meta_learner, *told)

        return carry._replace(meta_learner_state=tf.cond(due, decide, lambda: state))

    def moves(self, carry: Carry, support: Any, seed: Any) -> tuple[Carry, list[Any]]:
        """Makes all turns of one step."""
        losses: list[Any] = []
        step_seed = functional.fold(functional.fold(seed, ADAPT), carry.step)
        rule_seed = rule_key(seed, carry.step)
        batch, condition_on = self.game.view(support, carry.step, step_seed)
        for index, (names, repeats) in enumerate(self.game.turns):
            movers = [name for name in names if self.mask[name]]

            def once(carry: Carry, repeat: Any, index: int = index, movers: list[str] = movers) -> Any:
                seeds = [functional.fold(functional.fold(s, index), repeat) for s in (step_seed, rule_seed)]
                return self.turn(carry, movers, batch, condition_on, *seeds)

            asked = self.learner.repeats(carry.meta_learner_state, index, repeats) if self.learner.steers else None
            if movers and asked is not None:
                carry, reported = _so_often(once, carry, asked, len(movers))
                losses += reported * repeats
                continue
            for repeat in range(repeats if movers else 0):
                carry, reported = once(carry, repeat)
                losses += reported
        return carry._replace(step=carry.step + 1), losses

    def turn(
        self, carry: Carry, movers: list[str], batch: Any, condition_on: Any, seed: Any, rule_seed: Any
    ) -> tuple[Carry, list[Any]]:
        """Moves the players of one turn, all from the same values."""
        shown = functional.stop(carry.signals) if self.order == 1 else carry.signals
        values = self.meta.meta_learner
        meta_learner_state, settings = functional.pure(
            self.learner, "plan", values, carry.meta_learner_state, shown, functional.fold(rule_seed, 0)
        )
        params, signals, state, losses = dict(carry.params), dict(carry.signals), carry.state, []
        for number, player in enumerate(movers):
            own_seed = functional.fold(seed, number)
            gradients, loss, state, report = self.gradients(
                player, carry._replace(state=state), batch, condition_on, settings, own_seed
            )
            seen = functional.stop(carry.params) if self.order == 1 else carry.params
            told = {**shown, player: report}
            meta_learner_state, deltas = functional.pure(
                self.learner,
                "update",
                values,
                meta_learner_state,
                player,
                seen,
                gradients,
                told,
                functional.fold(rule_seed, 1 + number),
            )
            for scale in (settings.rate_scale, self.rate_scale):
                if scale is not None:
                    deltas = [tf.cast(scale, d.dtype) * d for d in deltas]
            params[player] = [p + d for p, d in zip(carry.params[player], deltas, strict=True)]
            signals[player] = report
            losses.append(tf.cast(loss, tf.float32))
        moved = Carry(carry.step, params, state, meta_learner_state, signals)
        return moved, losses

    def gradients(
        self, player: str, carry: Carry, batch: Any, condition_on: Any, settings: Any, seed: Any
    ) -> tuple[list[Any], Any, Any, Any]:
        """The gradient of one player's loss for its own params, from a fresh tape."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(carry.params[player])
            snapshot = masks.merge(self.mask, self.meta.initial, carry.params, carry.state)
            if self.partial:
                snapshot = self.game.own(player, snapshot)
            conditioning = self.game.condition(snapshot, condition_on)
            loss, state, report = self.game.loss(player, snapshot, batch, conditioning, settings, seed)
            report = self.with_code(report, conditioning)
        gradients = functional.gradient(tape, loss, carry.params[player])
        state = functional.stop(state)
        if self.order == 1:
            gradients, report = functional.stop(gradients), functional.stop(report)
        return gradients, loss, state, report

    def with_code(self, report: Any, conditioning: Any) -> Any:
        """A player's report, and after it the task's code if the rule asks for that."""
        if not self.learner.embedding_dim:
            return report
        told = self.game.conditioning_of(self.game.primary, conditioning)
        code = told.get("task_embedding") if isinstance(told, dict) else None
        if code is None or tuple(code.shape) != (self.learner.embedding_dim,):
            raise ValueError(
                f"a rule with 'embedding_dim' {self.learner.embedding_dim} needs a game with an encoder of codes of that size. "
                f"Received: {None if code is None else tuple(code.shape)}"
            )
        return tf.concat([report, tf.cast(code, report.dtype)], axis=0)


def _so_often(once: Any, carry: Carry, count: Any, width: int) -> tuple[Carry, list[Any]]:
    """Takes a turn as often as is known only when it is run: the carry, and the last losses."""

    def body(repeat: Any, carry: Carry, losses: list[Any]) -> Any:
        carry, losses = once(carry, repeat)
        return repeat + 1, carry, losses

    first = (tf.constant(0), carry, [tf.zeros([])] * width)
    _, carry, losses = tf.while_loop(lambda repeat, *_: repeat < count, body, first)
    return carry, list(losses)


def advance(
    game: Game,
    learner: MetaLearner,
    mask: Mask,
    meta: MetaWeights,
    carry: Carry,
    support: Any,
    steps: Any,
    order: int,
    seed: Any,
    partial: bool = True,
    rate_scale: Any = None,
) -> tuple[Carry, Any]:
    """Makes inner steps on a support set.

    Args:
        game: losses and turns.
        learner: the rule that emits the updates.
        mask: what it moves.
        meta: values outside `mask`, and of the meta-learner.
        carry: where to go on from; of `begin` at first.
        support: float[shots, *example] (or what the game's `view` takes).
        steps: int or int32[], >= 0.
        order: 1 hides gradients, signals and params from differentiation; 2 lets the meta-gradient run through them.
        seed: int32[2], the task's key. Step i draws the same however the steps are split over calls.
        partial: whether a player's gradient holds the other players fixed under differentiation (`Game.own`).
        rate_scale: float32[] >= 0 that multiplies every update, to ask how a rule bears another rate; None for 1.

    Returns:
        `(carry, records)`: records float32[steps, columns], the losses as the players moved; see `columns`. Of a rule
        that steers they are 0 for steps after it stopped, and the last loss of a turn stands in each of its columns.
    """
    step = _Step(game, learner, mask, meta, order, partial, rate_scale)
    support, watched = steering.apart(support, learner.holdout, seed) if learner.steers else (support, None)
    # XLA needs a static bound to differentiate the loop; a number known at trace time gives it one.
    bound = steps if isinstance(steps, int) else None
    width = len(columns(game, mask))
    if bound == 0:
        # Of a loop that is never run, the trace alone would cost as much as that of one that is.
        return carry, tf.zeros([0, width])
    steps = tf.convert_to_tensor(steps, tf.int32)
    records = tf.TensorArray(tf.float32, size=steps, element_shape=[width], clear_after_read=False)

    def body(i: Any, carry: Carry, records: Any) -> Any:
        carry, losses = step(carry, support, watched, seed)
        return i + 1, carry, records.write(i, tf.stop_gradient(tf.stack(losses)))

    _, carry, records = tf.while_loop(
        lambda i, *_: i < steps, body, (tf.constant(0), carry, records), maximum_iterations=bound
    )
    return carry, tf.ensure_shape(records.stack(), [None, width])


def objectives(game: Game, snapshot: Snapshot, episode: Episode, own: bool = True) -> dict[str, Any]:
    """Every player's objective on the query set, conditioned on the support set.

    With `own`, each is differentiable only for the nets that its player owns, so their sum may be differentiated at
    once: the gradient for a net is then that of its own player. A sum of live losses would cancel: on a Wasserstein
    GAN the generator's part of it is exactly 0.
    """
    seed = functional.fold(episode.seed, QUERY)
    values = {}
    for player in game.players:
        mine = game.own(player, snapshot) if own else snapshot
        conditioning = game.condition(mine, episode.support)
        values[player] = game.objective(player, mine, episode.query, conditioning, seed)
    return values


def distance(game: Game, snapshot: Snapshot, episode: Episode, **options: Any) -> Any:
    """The game's sample-to-query distance, conditioned on the support set."""
    conditioning = game.condition(snapshot, episode.support)
    return game.distance(snapshot, episode.query, conditioning, functional.fold(episode.seed, QUERY), **options)


def assess(
    game: Game, learner: MetaLearner, mask: Mask, meta: MetaWeights, episode: Episode, steps: Any
) -> dict[str, Any]:
    """Query objectives, sample-to-query distance and copy rate of one task, before and after adaptation.

    Returns:
        `{"query/PLAYER/before", "query/PLAYER/after", "distance/before", "distance/after"}`: float32[]; of a game that
        `tells_copies` also `"copy_rate/before"` and `"copy_rate/after"`.
    """
    carry = begin(game, learner, mask, meta)
    carry, _ = advance(game, learner, mask, meta, carry, episode.support, steps, 1, episode.seed)
    metrics = {}
    for when, snapshot in (("before", meta.initial), ("after", final(mask, meta, carry))):
        for player, value in objectives(game, snapshot, episode).items():
            metrics[f"query/{player}/{when}"] = tf.cast(value, tf.float32)
        metrics[f"distance/{when}"] = tf.cast(distance(game, snapshot, episode), tf.float32)
        if game.tells_copies:
            conditioning, key = game.condition(snapshot, episode.support), functional.fold(episode.seed, SAMPLE)
            metrics[f"copy_rate/{when}"] = game.copy_rate(snapshot, episode.support, episode.query, conditioning, key)
    return metrics
