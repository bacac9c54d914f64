"""Translation between two domains as a game: translators against the discriminators of their outputs."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_integer, check_number
from meta_gan.games.base import (
    NO_SEED,
    SOURCE,
    TARGET,
    Endpoint,
    Game,
    check_input,
    check_task_embedding,
    generated_shape,
    input_shape,
    serialized,
)
from meta_gan.losses import LeastSquares, energy_distance, mean_absolute
from meta_gan.types import ByNet, Episode, Examples, Settings, Snapshot, Tensor, Tree

_NETS = ("translator", "discriminator", "back", "back_discriminator", "encoder", "features")
_UNPAIRED = "the term `truth` needs query sets of as many source as target examples, paired row by row"
_WEIGHTS = ("cycle", "identity", "content", "energy", "truth")
# net: (the domain that it reads, the domain that it makes), and net: the domain that it judges.
_TRANSLATORS = {"translator": (SOURCE, TARGET), "back": (TARGET, SOURCE)}
_DISCRIMINATORS = {"discriminator": TARGET, "back_discriminator": SOURCE}


@keras.saving.register_keras_serializable("meta_gan")
class Translation(Game):
    """A translator from a source to a target domain against a discriminator, one way or there and back.

    A support set, a batch and a query set are dicts `{"source": float[n, *source], "target": float[m, *target]}` of
    unpaired examples. With the nets of the way back this is the cycle-consistent game: the two translators are one
    player and the two discriminators the other.

    Args:
        translator: built Keras model from float[n, *source] to float[n, *target].
        discriminator: built Keras model from float[n, *target] to logits float[n, 1] or float[n].
        back: the translator from the target to the source domain, or None for one way.
        back_discriminator: the discriminator of the source domain; given if and only if `back` is.
        loss: one of `meta_gan.losses`; default `LeastSquares()`.
        penalty: `GradientPenalty`, `R1` or None; part of the discriminators' loss.
        cycle: weight >= 0 of the mean absolute difference between an example and its translation there and back;
            needs `back`.
        identity: weight >= 0 of the mean absolute change of examples that are already of the domain; needs domains of
            one shape.
        content: weight >= 0 of the mean absolute change by a translation, for domains whose examples show the same
            things in nearly the same places; needs domains of one shape.
        encoder: a task encoder, the same for both domains: built Keras model from examples float[k, *example] to a task
            embedding float[embedding_dim]. A translator receives the embedding of the domain that it makes.
        discriminator_turns: how often the discriminators move before the translators move once, >= 1.
        features: a built Keras model from examples float[n, *example] to features float[n, d], for `energy` and for
            `distance`, which otherwise compare the examples themselves. It is frozen here, and must never be a judge.
        energy: weight >= 0 of the energy distance between translations and examples of their domain.
        truth: weight >= 0, in the outer loop only, of the mean absolute difference between translations of the query
            examples of one domain and the query examples of the other, row by row, for episodes with paired query sets
            (`DomainTasks(paired=True)`). Many pairs teach in training what few unpaired examples cannot show.

    Raises:
        ValueError: a net that is not built, nets whose shapes do not fit, one net of the way back without the other,
            or a weight that needs other domains or nets.

    Example:
        >>> translator = meta_gan.networks.Translator((28, 28, 1), width=8)
        >>> _, critic = meta_gan.networks.dcgan((28, 28, 1), width=8)
        >>> game = Translation(translator, critic, identity=1.0)
        >>> model = meta_gan.MetaModel(game, meta_gan.FOMAML(inner_steps=5))

    References: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", 2017,
        with weights of 10 for the cycle and 5 for the identity, beside a translators' loss that is twice our
        `LeastSquares`; we have no buffer of earlier images. Lin et al., "Learning to Transfer: Unsupervised Meta Domain
        Translation", 2020.
    """

    default_endpoint = "translate"
    primary = "translator"

    def __init__(
        self,
        translator: keras.Model,
        discriminator: keras.Model,
        back: keras.Model | None = None,
        back_discriminator: keras.Model | None = None,
        loss: Any = None,
        penalty: Any = None,
        cycle: float = 0.0,
        identity: float = 0.0,
        content: float = 0.0,
        encoder: keras.Model | None = None,
        discriminator_turns: int = 1,
        features: keras.Model | None = None,
        energy: float = 0.0,
        truth: float = 0.0,
    ):
        self.cycle, self.identity, self.content, self.energy, self.truth = (
            check_number(weight, name, least=0)
            for name, weight in zip(_WEIGHTS, (cycle, identity, content, energy, truth), strict=True)
        )
        if (back is None) != (back_discriminator is None) or (cycle and back is None):
            raise ValueError(
                "'back' and 'back_discriminator' must be given together, and for 'cycle' > 0. Received: 'back' "
                f"{type(back).__name__}, 'back_discriminator' {type(back_discriminator).__name__}, 'cycle' {cycle!r}"
            )
        self.loss_function = LeastSquares() if loss is None else loss
        self.penalty = penalty
        self.discriminator_turns = check_integer(discriminator_turns, "discriminator_turns", 1)
        given = (translator, discriminator, back, back_discriminator, encoder, features)
        nets = {name: net for name, net in zip(_NETS, given, strict=True) if net is not None}
        if features is not None:
            features.trainable = False
        self.translators = [name for name in _TRANSLATORS if name in nets]
        self.discriminators = [name for name in _DISCRIMINATORS if name in nets]
        owned = [*self.translators, *(name for name in ("encoder", "features") if name in nets)]
        taken = input_shape(translator)
        if taken is None:
            raise ValueError(
                "'translator' must have an 'example_shape' or inputs of static shape. "
                f"Received: {type(translator).__name__}"
            )
        super().__init__(
            nets=nets,
            players={"discriminator": tuple(self.discriminators), "translator": tuple(owned)},
            turns=((("discriminator",), self.discriminator_turns), (("translator",), 1)),
            signals={"discriminator": 3, "translator": 2},
            example_shape={SOURCE: taken, TARGET: generated_shape(translator)},
            conditioners=("encoder",) if encoder is not None else (),
        )
        self._check_shapes()

    def _check_shapes(self) -> None:
        source, target = self.example_shape[SOURCE], self.example_shape[TARGET]
        needs_one_shape = self.identity or self.content or {"encoder", "features"} & set(self.nets)
        if source != target and needs_one_shape:
            raise ValueError(
                "'identity', 'content', 'encoder' and 'features' need domains of one shape. "
                f"Received: {source} and {target}"
            )
        inputs = {name: reads for name, (reads, _) in _TRANSLATORS.items()}
        for name, domain in {**inputs, **_DISCRIMINATORS, "encoder": TARGET, "features": TARGET}.items():
            check_input(name, self.nets.get(name), self.example_shape[domain])
        if "back" in self.nets and generated_shape(self.nets["back"]) != source:
            raise ValueError(
                f"the net 'back' must make examples of shape {source}. Received: {generated_shape(self.nets['back'])}"
            )
        check_task_embedding(self.nets.get("encoder"), {name: self.nets[name] for name in self.translators})

    @property
    def output_shape(self) -> tuple[int, ...]:
        """See `Game.output_shape`."""
        return self.example_shape[TARGET]

    @property
    def supports(self) -> frozenset[str]:
        """See `Game.supports`."""
        return frozenset({"penalty_scale"} if self.penalty is not None else ())

    def condition(self, snapshot: Snapshot, support: Examples) -> Tree:
        """See `Game.condition`: `{translator: {"task_embedding": embedding}}`, or None without a task encoder."""
        if "encoder" not in self.nets:
            return None
        calls = Calls(self, snapshot, None, False, NO_SEED)
        return {name: {"task_embedding": calls("encoder", support[_TRANSLATORS[name][1]])} for name in self.translators}

    def conditioning_of(self, net: str, conditioning: Tree) -> Tree:
        """See `Game.conditioning_of`."""
        return None if conditioning is None else conditioning.get(net)

    def loss(
        self, player: str, snapshot: Snapshot, batch: Examples, conditioning: Tree, settings: Settings, seed: Tensor
    ) -> tuple[Tensor, ByNet, Tensor]:
        """See `Game.loss`. The signals are the loss, the mean real logit (discriminator only), the mean fake logit."""
        calls = Calls(self, snapshot, conditioning, True, functional.fold(seed, 0))
        made = {_TRANSLATORS[name][1]: calls(name, batch[_TRANSLATORS[name][0]]) for name in self.translators}
        # Episodes are float32 for nets of any dtype.
        batch = {domain: tf.cast(examples, made[TARGET].dtype) for domain, examples in batch.items()}
        if player == "discriminator":
            return self._discriminator_loss(snapshot, batch, made, settings, calls, functional.fold(seed, 1))
        value, logits = tf.zeros([], made[TARGET].dtype), []
        for name in self.discriminators:
            fake = calls(name, made[_DISCRIMINATORS[name]])
            real = [calls(name, batch[_DISCRIMINATORS[name]])] if self.loss_function.relativistic else []
            value += self.loss_function.generator(fake, *real)
            logits.append(tf.reduce_mean(fake))
        value += self._reconstruction(batch, made, calls)
        return value, calls.state, _signals(value, logits)

    def _discriminator_loss(
        self, snapshot: Snapshot, batch: Tree, made: Tree, settings: Settings, calls: Calls, seed: Tensor
    ) -> tuple[Tensor, ByNet, Tensor]:
        value, real_logits, fake_logits = tf.zeros([], made[TARGET].dtype), [], []
        for index, name in enumerate(self.discriminators):
            real, fake = batch[_DISCRIMINATORS[name]], made[_DISCRIMINATORS[name]]
            real_logits.append(calls(name, real))
            fake_logits.append(calls(name, fake))
            value += self.loss_function.discriminator(real_logits[-1], fake_logits[-1])
            if self.penalty is not None:
                draws = functional.fold(seed, index)
                once = Calls(self, snapshot, None, True, functional.fold(draws, 0))
                if getattr(self.penalty, "pairs", True):
                    few = tf.minimum(tf.shape(real)[0], tf.shape(fake)[0])
                    real, fake = real[:few], fake[:few]
                penalty = self.penalty(lambda x, n=name, c=once: c(n, x), real, fake, draws)
                scale = 1.0 if settings.penalty_scale is None else tf.cast(settings.penalty_scale, penalty.dtype)
                value += tf.cast(scale * penalty, value.dtype)
        return value, calls.state, _signals(value, real_logits, fake_logits)

    def _reconstruction(self, batch: Tree, made: Tree, calls: Calls) -> Tensor:
        """Return the weighted terms that tie a translation to its input."""
        value = tf.zeros([], made[TARGET].dtype)
        for name in self.translators:
            domain, other = _TRANSLATORS[name]
            if self.cycle:
                returned = calls("back" if name == "translator" else "translator", made[other])
                value += self.cycle * mean_absolute(returned, batch[domain])
            if self.identity:
                value += self.identity * mean_absolute(calls(name, batch[other]), batch[other])
            if self.content:
                value += self.content * mean_absolute(made[other], batch[domain])
            if self.energy:
                distance = energy_distance(*self._in_features(calls, made[other], batch[other]))
                value += self.energy * tf.cast(distance, value.dtype)
        return value

    def _in_features(self, calls: Calls, *examples: Tensor) -> list[Tensor]:
        """Return the examples' features if there is a net for them, else the examples."""
        if "features" not in self.nets:
            return list(examples)
        apart = Calls(self, Snapshot(calls.weights, calls.state), None, False, NO_SEED)
        return [apart("features", each) for each in examples]

    def objective(self, player: str, snapshot: Snapshot, query: Examples, conditioning: Tree, seed: Tensor) -> Tensor:
        """See `Game.objective`: the loss and, for the translators, the weighted distance from the truth."""
        value = super().objective(player, snapshot, query, conditioning, seed)
        if self.truth and player == "translator":
            calls = Calls(self, snapshot, conditioning, True, functional.fold(seed, 2))
            for name in self.translators:
                domain, other = _TRANSLATORS[name]
                made = calls(name, query[domain])
                truth = tf.cast(query[other], made.dtype)
                rows = [tf.shape(each)[0] for each in (made, truth)]
                with tf.control_dependencies([tf.debugging.assert_equal(*rows, message=_UNPAIRED)]):
                    value += self.truth * mean_absolute(made, truth)
        return value

    def distance(
        self, snapshot: Snapshot, query: Examples, conditioning: Tree, seed: Tensor, biased: bool = False
    ) -> Tensor:
        """Return the energy distance between the target's query set and translations of the source's.

        It is taken between features where the game has a net for them, else in pixels; see `Game.distance` for
        `biased`.
        """
        calls = Calls(self, snapshot, conditioning, True, seed)
        made = calls("translator", query[SOURCE])
        made, real = self._in_features(calls, made, tf.cast(query[TARGET], made.dtype))
        return energy_distance(made, real, biased)

    def probe(self, player: str, snapshot: Snapshot, episode: Episode, seed: Tensor) -> Tensor:
        """See `Game.probe`: the translations of shared examples, or the discriminator's logits of them."""
        calls = Calls(self, snapshot, self.condition(snapshot, episode.support), True, seed)
        if player == "discriminator":
            return calls("discriminator", episode.query[TARGET])
        return calls("translator", episode.query[SOURCE])

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """`translate(images) -> images` from source to target and, with the way back, `translate_back(images)`."""

        def endpoint(net: str) -> Endpoint:
            def translate(snapshot: Snapshot, conditioning: Tree, inputs: Tree, seed: Tensor) -> dict[str, Tensor]:
                return {"images": Calls(self, snapshot, conditioning, False, seed)(net, inputs["images"])}

            shape, dtype = self.example_shape[_TRANSLATORS[net][0]], self.nets[net].compute_dtype
            return Endpoint(translate, {"images": tf.TensorSpec([None, *shape], dtype, name="images")}, False, (net,))

        names = {"translator": "translate", "back": "translate_back"}
        return {names[net]: endpoint(net) for net in self.translators}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, with nets serialised."""
        return serialized(
            **{name: self.nets.get(name) for name in _NETS},
            loss=self.loss_function,
            penalty=self.penalty,
            **{name: getattr(self, name) for name in (*_WEIGHTS, "discriminator_turns")},
        )


class Calls:
    """Calls of nets in sequence: each net's state is carried on, and each call has its own seed.

    Args:
        game: whose nets.
        snapshot: values of all nets.
        conditioning: what `Game.condition` returned.
        training: whether the calls are those of training.
        seed: int32[2], from which every call gets its own.

    Attributes:
        state: of all nets, after the calls so far.

    Example:
        >>> calls = Calls(game, snapshot, None, False, seed)
        >>> logits = calls("discriminator", images)
    """

    def __init__(self, game: Game, snapshot: Snapshot, conditioning: Tree, training: bool, seed: Any):
        self.game, self.weights, self.state = game, snapshot.weights, dict(snapshot.state)
        self.conditioning, self.training, self.seed, self.made = conditioning, training, seed, 0

    def __call__(self, net: str, x: Tensor) -> Tensor:
        """Return the net's output for float[n, ...]."""
        seed, self.made = functional.fold(self.seed, self.made), self.made + 1
        received = self.game.conditioning_of(net, self.conditioning)
        snapshot = Snapshot(self.weights, self.state)
        out, self.state[net] = self.game.call_net(net, snapshot, x, received, self.training, seed)
        return out


def _signals(loss: Tensor, *logits: list[Tensor]) -> Tensor:
    values = [loss, *[tf.add_n([tf.reduce_mean(batch) for batch in each]) / len(each) for each in logits]]
    return tf.stack([tf.cast(value, tf.float32) for value in values])
