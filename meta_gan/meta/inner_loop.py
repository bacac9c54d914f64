"""`InnerLoop`: adaptation to one task, shared by training, evaluation, `adapt` and the exported SavedModel.

Values go in and values come out: the models' variables never change. The loop is a `tf.while_loop` whose body holds the
turns of one step, unrolled. It can be differentiated, and continued: 2 steps and then 3 give the same bits as 5.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from meta_gan import functional
from meta_gan.games.base import Game
from meta_gan.meta import masks
from meta_gan.meta.vital_signs import vital_signs
from meta_gan.meta_learners.base import MetaLearner, Steering
from meta_gan.types import (
    ByNet,
    ByPlayer,
    Carry,
    Episode,
    Examples,
    Mask,
    MetaWeights,
    Settings,
    Snapshot,
    Tensor,
    Tensors,
    Tree,
)

# Roles of random draws: two draws of one task may share a key only if they share a role. Others: consistent 4, DAWSON
# 5, evolution strategies 6 and 10, unrolled 7, `Steering.split` 8, policy gradient 11.
ADAPT, META_LEARNER, QUERY, SAMPLE, SIGNS, VALIDATE = 0, 1, 2, 3, 12, 13
# Of the meta-learner's draws in one step: turns have the lower numbers.
_DECISION, _HELD_OUT = 1_000_000, 1_000_001
_View = tuple[Examples, Examples]  # what `Game.view` returns
# Held-out examples are repeated up to this number: as many samples are drawn, and the distance of few is mostly chance.
_FEWEST = 32


class _Run(NamedTuple):
    """The arguments that all steps of one `InnerLoop.advance` share; see there."""

    meta: MetaWeights
    support: Examples
    held_out: Examples
    seed: Tensor
    order: int
    partial: bool
    rate_scale: Tensor | float | None


@dataclass(frozen=True, eq=False)
class InnerLoop:
    """A game whose params, chosen by a mask, a meta-learner updates step by step.

    Args:
        game: losses and turns.
        meta_learner: emits the updates; prepared for the game and the mask, as by `build`.
        mask: which params are adapted, see `meta.masks.select`.
        steering: decides how adaptation goes on; None for the meta-learner's own, which most do not have.

    Example:
        >>> loop = InnerLoop.build(game, meta_gan.meta_learners.GradientDescent(0.01))
        >>> carry, losses = loop.adapt(meta, episode.support, 10, episode.seed)
        >>> adapted = loop.final(meta, carry)
    """

    game: Game
    meta_learner: MetaLearner
    mask: Mask
    steering: Steering | None = None

    def __post_init__(self) -> None:
        if self.steering is None:
            object.__setattr__(self, "steering", self.meta_learner.steering)

    @classmethod
    def build(cls, game: Game, meta_learner: MetaLearner, pattern: str = "") -> InnerLoop:
        """Select the params to adapt, and prepare the meta-learner for them.

        Args:
            game: the game.
            meta_learner: set up here if it is not yet.
            pattern: regular expression of the params, see `meta.masks.select`; "" for all.

        Raises:
            ValueError: a pattern that is not valid or selects nothing; a meta-learner that was set up for other params;
                or steering that decides a setting which the game does not support, or the repeats of a turn in which
                nothing adapts.
        """
        mask = masks.select(game, pattern)
        supported = game.supports | ({"turns"} if any(mask[player] for player in game.turns[0][0]) else set())
        steering = meta_learner.steering
        if steering is not None and (unsupported := sorted(steering.needs - supported)):
            raise ValueError(
                f"{type(meta_learner).__name__} decides {unsupported}, which needs a game that supports it: one with a "
                f"penalty, with an augmentation, or whose first turn adapts. Received: a {type(game).__name__} that "
                f"supports {sorted(supported)}"
            )
        meta_learner.prepare(masks.infos(game, mask), game.signals)
        return cls(game, meta_learner, mask)

    @property
    def columns(self) -> list[str]:
        """The player of each column of the records, in the order of the moves within one step."""
        return [p for names, repeats in self.game.turns for _ in range(repeats) for p in names if self.mask[p]]

    def begin(self, meta: MetaWeights) -> Carry:
        """Return the carry before the first inner step."""
        params = masks.take(self.mask, meta.initial)
        state = {net: list(tensors) for net, tensors in meta.initial.state.items()}
        started = functional.pure(self.meta_learner, self.meta_learner.begin, meta.meta_learner, params)
        width = self.meta_learner.embedding_dim
        signals = {player: tf.zeros([n + width]) for player, n in self.game.signals.items()}
        return Carry(tf.zeros([], tf.int32), params, state, started, signals)

    def advance(
        self,
        meta: MetaWeights,
        carry: Carry,
        support: Examples,
        steps: int | Tensor,
        seed: Tensor,
        order: int = 1,
        partial: bool = True,
        rate_scale: Tensor | float | None = None,
    ) -> tuple[Carry, Tensor]:
        """Make inner steps on a support set.

        Args:
            meta: values of the meta-learner, and of the weights outside `mask`.
            carry: where to go on from.
            support: float[shots, *example], or whatever else the game's `view` takes.
            steps: int or int32[], >= 0.
            seed: int32[2], the task's key. Step i draws the same however the steps are split over calls.
            order: 1 hides gradients, signals and params from differentiation; 2 lets the meta-gradient pass through.
            partial: whether a player's gradient holds the other players fixed under differentiation (`Game.own`).
            rate_scale: float32[] >= 0 that multiplies every update; None for 1.

        Returns:
            `(carry, records)`: records float32[steps, columns], the losses as the players moved; see `columns`. With
            steering they are 0 for steps after the end, and the last loss of a turn stands in each of its columns.
        """
        trained_on, held_out = (support, support) if self.steering is None else self.steering.split(support, seed)
        run = _Run(meta, trained_on, held_out, seed, order, partial, rate_scale)
        # XLA needs a static bound to differentiate the loop; a number known at trace time gives it one.
        bound = steps if isinstance(steps, int) else None
        width = len(self.columns)
        if bound == 0:
            # Tracing a loop that is never run would cost as much as tracing one that is.
            return carry, tf.zeros([0, width])
        steps = tf.convert_to_tensor(steps, tf.int32)
        records = tf.TensorArray(tf.float32, size=steps, element_shape=[width], clear_after_read=False)

        def body(i: Tensor, carry: Carry, records: tf.TensorArray) -> tuple[Tensor, Carry, tf.TensorArray]:
            carry, losses = self._step(run, carry)
            return i + 1, carry, records.write(i, tf.stop_gradient(tf.stack(losses)))

        _, carry, records = tf.while_loop(
            lambda i, *_: i < steps, body, (tf.constant(0), carry, records), maximum_iterations=bound
        )
        return carry, tf.ensure_shape(records.stack(), [None, width])

    def adapt(self, meta: MetaWeights, support: Examples, steps: int | Tensor, seed: Tensor) -> tuple[Carry, Tensor]:
        """Make inner steps from the initial weights, not differentiated; see `begin`, `advance`."""
        return self.advance(meta, self.begin(meta), support, steps, seed)

    def final(self, meta: MetaWeights, carry: Carry) -> Snapshot:
        """Return the adapted values of all nets."""
        return masks.merge(self.mask, meta.initial, carry.params, carry.state)

    def objective(self, player: str, snapshot: Snapshot, episode: Episode) -> Tensor:
        """Return one player's objective on the query set, conditioned on the support set."""
        conditioning = self.game.condition(snapshot, episode.support)
        return self.game.objective(player, snapshot, episode.query, conditioning, functional.fold(episode.seed, QUERY))

    def objectives(self, snapshot: Snapshot, episode: Episode, own: bool = True) -> dict[str, Tensor]:
        """Return every player's `objective`.

        With `own`, each is differentiable only for the nets that its player owns, so that their sum may be
        differentiated at once: the gradient for a net is then that of its player. A sum of live losses would
        cancel: on a Wasserstein GAN the generator's part of it is exactly 0.
        """
        return {
            player: self.objective(player, self.game.own(player, snapshot) if own else snapshot, episode)
            for player in self.game.players
        }

    def distance(self, snapshot: Snapshot, episode: Episode, biased: bool = False) -> Tensor:
        """Return the game's distance from samples to the query set, conditioned on the support set."""
        conditioning, seed = self.game.condition(snapshot, episode.support), functional.fold(episode.seed, QUERY)
        return self.game.distance(snapshot, episode.query, conditioning, seed, biased=biased)

    def assess(self, meta: MetaWeights, episode: Episode, steps: int | Tensor) -> dict[str, Tensor]:
        """Measure one task before and after adaptation.

        Returns:
            `{"query/PLAYER/before", "query/PLAYER/after", "distance/before", "distance/after"}`: float32[]; for a game
            that `has_copy_rate` also `"copy_rate/before"` and `"copy_rate/after"`, and after adaptation what
            `vital_signs` returns.
        """
        carry, _ = self.adapt(meta, episode.support, steps, episode.seed)
        metrics = {}
        for when, snapshot in (("before", meta.initial), ("after", self.final(meta, carry))):
            for player, value in self.objectives(snapshot, episode).items():
                metrics[f"query/{player}/{when}"] = tf.cast(value, tf.float32)
            metrics[f"distance/{when}"] = tf.cast(self.distance(snapshot, episode), tf.float32)
            if self.game.has_copy_rate:
                conditioning = self.game.condition(snapshot, episode.support)
                metrics[f"copy_rate/{when}"] = self.game.copy_rate(
                    snapshot, episode.support, episode.query, conditioning, functional.fold(episode.seed, SAMPLE)
                )
        return metrics | vital_signs(self.game, snapshot, episode, functional.fold(episode.seed, SIGNS))

    def held_out_distance(
        self, meta: MetaWeights, carry: Carry, support: Examples, held_out: Examples, seed: Tensor
    ) -> Tensor:
        """Return the distance that steering observes before the coming step.

        Args:
            meta: see `advance`.
            carry: before the step.
            support: the examples that are trained on, which condition the samples.
            held_out: the examples to which the distance is measured; see `Steering.split`.
            seed: int32[2], the task's key.

        Returns:
            float32[], the biased `Game.distance`: >= 0 but for rounding.
        """

        key = functional.fold(_draws(seed, carry.step), _HELD_OUT)
        return self.distance_of_few(self.final(meta, carry), support, held_out, key)

    def distance_of_few(self, snapshot: Snapshot, support: Examples, held_out: Examples, key: Tensor) -> Tensor:
        """Return the biased `Game.distance` from samples to a few examples, float32[].

        Args:
            snapshot: adapted values.
            support: conditions the samples.
            held_out: the examples, repeated so that there are at least 32.
            key: int32[2], of the samples.
        """

        def repeated(examples: Tensor) -> Tensor:
            # It stays the same empirical distribution, so that only the number of samples changes.
            count = tf.shape(examples)[0]
            times = tf.math.floordiv(_FEWEST + count - 1, count)
            return tf.reshape(tf.tile(examples[None], [times, *[1] * examples.shape.rank]), [-1, *examples.shape[1:]])

        conditioning = self.game.condition(snapshot, support)
        examples = tf.nest.map_structure(repeated, held_out)
        return tf.cast(self.game.distance(snapshot, examples, conditioning, key, biased=True), tf.float32)

    def _update(
        self,
        meta: MetaWeights,
        state: Tree,
        player: str,
        params: ByPlayer,
        gradients: Tensors,
        signals: dict[str, Tensor],
        seed: Tensor,
    ) -> tuple[Tree, Tensors]:
        """Ask the meta-learner for a player's deltas."""
        received = (state, player, params, gradients, signals, seed)
        return functional.pure(self.meta_learner, self.meta_learner.update, meta.meta_learner, *received)

    def _step(self, run: _Run, carry: Carry) -> tuple[Carry, list[Tensor]]:
        """Make one inner step; return the carry and the losses."""
        steering = self.steering
        if steering is None:
            return self._turns(run, carry)
        state = carry.meta_learner_state

        def decide() -> Tree:
            distance = self.held_out_distance(run.meta, carry, run.support, run.held_out, run.seed)
            seed = functional.fold(_draws(run.seed, carry.step), _DECISION)
            observed = (state, carry.step, carry.signals, distance, seed)
            return functional.pure(self.meta_learner, steering.observe, run.meta.meta_learner, *observed)

        steered = carry._replace(meta_learner_state=tf.cond(steering.due(state, carry.step), decide, lambda: state))

        def rest() -> tuple[Carry, list[Tensor]]:
            return steered._replace(step=carry.step + 1), [tf.zeros([])] * len(self.columns)

        finished = steering.finished(steered.meta_learner_state)
        return tf.cond(finished, rest, lambda: self._turns(run, steered))

    def _turns(self, run: _Run, carry: Carry) -> tuple[Carry, list[Tensor]]:
        """Take all turns of one step."""
        losses: list[Tensor] = []
        seeds = functional.fold(functional.fold(run.seed, ADAPT), carry.step), _draws(run.seed, carry.step)
        view = self.game.view(run.support, carry.step, seeds[0])
        for index, (names, planned) in enumerate(self.game.turns):
            movers = [name for name in names if self.mask[name]]
            turn = functools.partial(self._turn, run, movers, view, [functional.fold(seed, index) for seed in seeds])
            repeats = self.steering.repeats(carry.meta_learner_state, index, planned) if self.steering else None
            if movers and repeats is not None:
                carry, reported = _repeated(turn, carry, repeats, len(movers))
                losses += reported * planned
                continue
            for repeat in range(planned if movers else 0):
                carry, reported = turn(carry, repeat)
                losses += reported
        return carry._replace(step=carry.step + 1), losses

    def _turn(
        self, run: _Run, movers: list[str], view: _View, seeds: list[Tensor], carry: Carry, repeat: int | Tensor
    ) -> tuple[Carry, list[Tensor]]:
        """Move the players of one turn, all from the same values; the seeds are the game's and the meta-learner's."""
        seed, draws = (functional.fold(each, repeat) for each in seeds)
        shown = functional.stop(carry.signals) if run.order == 1 else carry.signals
        seen = functional.stop(carry.params) if run.order == 1 else carry.params
        planned = (carry.meta_learner_state, shown, functional.fold(draws, 0))
        state, settings = functional.pure(self.meta_learner, self.meta_learner.plan, run.meta.meta_learner, *planned)
        moved = carry._replace(params=dict(carry.params), meta_learner_state=state, signals=dict(carry.signals))
        losses = []
        for number, player in enumerate(movers):
            key, before = functional.fold(seed, number), carry._replace(state=moved.state)
            gradients, loss, net_state, report = self._gradients(run, player, before, view, settings, key)
            received = (seen, gradients, {**shown, player: report}, functional.fold(draws, 1 + number))
            state, deltas = self._update(run.meta, moved.meta_learner_state, player, *received)
            for scale in (settings.rate_scale, run.rate_scale):
                if scale is not None:
                    deltas = [tf.cast(scale, d.dtype) * d for d in deltas]
            moved.params[player] = [p + d for p, d in zip(carry.params[player], deltas, strict=True)]
            moved.signals[player] = report
            moved = moved._replace(state=net_state, meta_learner_state=state)
            losses.append(tf.cast(loss, tf.float32))
        return moved, losses

    def _gradients(
        self, run: _Run, player: str, carry: Carry, view: _View, settings: Settings, seed: Tensor
    ) -> tuple[Tensors, Tensor, ByNet, Tensor]:
        """Differentiate one player's loss for its own params: `(gradients, loss, the nets' new state, report)`."""
        batch, condition_on = view
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(carry.params[player])
            snapshot = self.final(run.meta, carry)
            if run.partial:
                snapshot = self.game.own(player, snapshot)
            conditioning = self.game.condition(snapshot, condition_on)
            loss, state, report = self.game.loss(player, snapshot, batch, conditioning, settings, seed)
            report = self._with_embedding(report, conditioning)
        gradients = functional.gradient(tape, loss, carry.params[player])
        if run.order == 1:
            gradients, report = functional.stop(gradients), functional.stop(report)
        return gradients, loss, functional.stop(state), report

    def _with_embedding(self, report: Tensor, conditioning: Tree) -> Tensor:
        """Append the task embedding to a player's report, if the meta-learner asks for it."""
        size = self.meta_learner.embedding_dim
        if not size:
            return report
        given = self.game.conditioning_of(self.game.primary, conditioning)
        embedding = given.get("task_embedding") if isinstance(given, dict) else None
        if embedding is None or tuple(embedding.shape) != (size,):
            raise ValueError(
                f"a meta-learner with 'embedding_dim' {size} needs a game with a task encoder of that size. Received: "
                f"{None if embedding is None else tuple(embedding.shape)}"
            )
        return tf.concat([report, tf.cast(embedding, report.dtype)], axis=0)


def _repeated(
    turn: Callable[[Carry, Tensor], tuple[Carry, list[Tensor]]], carry: Carry, repeats: Tensor, width: int
) -> tuple[Carry, list[Tensor]]:
    """Take a turn a dynamic number of times; return the carry and the last losses."""

    def body(i: Tensor, carry: Carry, losses: list[Tensor]) -> tuple[Tensor, Carry, list[Tensor]]:
        return i + 1, *turn(carry, i)

    first = (tf.constant(0), carry, [tf.zeros([])] * width)
    _, carry, losses = tf.while_loop(lambda i, *_: i < repeats, body, first)
    return carry, list(losses)


def _draws(seed: Tensor, step: Tensor) -> Tensor:
    """Return the key of the meta-learner's draws in one inner step of a task."""
    return functional.fold(functional.fold(seed, META_LEARNER), step)
