"""Translation between two domains of examples as a game: translators against the critics of what they make."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_number
from meta_gan.games.base import Endpoint, Game
from meta_gan.games.calls import Calls
from meta_gan.games.shapes import check_task_embedding, generated_shape, input_shape, taken_shape
from meta_gan.losses import LeastSquares, energy_distance, mean_absolute
from meta_gan.types import ByNet, Settings, Snapshot

SOURCE, TARGET = "source", "target"
_NETS = ("translator", "discriminator", "back", "back_discriminator", "encoder", "features")
_NESTED = (*_NETS, "loss", "penalty")
_UNPAIRED = "the term `truth` needs query sets of as many source as target examples, paired row by row"
_WEIGHTS = ("cycle", "identity", "content", "energy", "truth")
# net: (the domain that it reads, the domain that it makes), and net: the domain that it judges.
_TRANSLATORS = {"translator": (SOURCE, TARGET), "back": (TARGET, SOURCE)}
_JUDGES = {"discriminator": TARGET, "back_discriminator": SOURCE}


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
        cycle: weight >= 0 of the mean absolute difference between an example and what comes back of it; needs `back`.
        identity: weight >= 0 of the mean absolute change of what is of the domain already; needs domains of one shape.
        content: weight >= 0 of the mean absolute change by a translation, for domains that show the same things in
            nearly the same places; needs domains of one shape.
        encoder: a task encoder, the same for both domains: built Keras model from examples float[k, *example] to a code
            float[code]; the translator is given the code of the target's support images, `back` that of the source's.
        discriminator_turns: how often the discriminators move before the translators move once, >= 1.
        features: a built Keras model from examples float[n, *example] to features float[n, d], for `energy` and for
            `distance`, which else compare the examples themselves; it is frozen here. Never a judge.
        energy: weight >= 0 of the energy distance between translations and examples of the domain that they are for.
        truth: weight >= 0, in the outer loop only, of the mean absolute difference between translations of the query
            examples of one domain and the query examples of the other, row by row: for episodes whose query sets are
            paired (`DomainTasks(paired=True)`). What few unpaired examples say is so learned from many pairs.

    Raises:
        ValueError: a net that is not built, nets whose shapes do not fit, one net of the way back without the other,
            or a weight that its domains or nets give no meaning.

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
        for name, weight in zip(_WEIGHTS, (cycle, identity, content, energy, truth), strict=True):
            check_number(weight, name, least=0)
        self.cycle, self.identity, self.content = float(cycle), float(identity), float(content)
        self.energy, self.truth = float(energy), float(truth)
        if (back is None) != (back_discriminator is None) or (cycle and back is None):
            raise ValueError(
                "the way back takes both 'back' and 'back_discriminator', and 'cycle' takes the way back. Received: "
                f"back={back!r}, back_discriminator={back_discriminator!r}, cycle={cycle!r}"
            )
        if discriminator_turns < 1:
            raise ValueError(f"'discriminator_turns' must be >= 1. Received: {discriminator_turns!r}")
        self.loss_function = LeastSquares() if loss is None else loss
        self.penalty, self.discriminator_turns = penalty, int(discriminator_turns)
        given = (translator, discriminator, back, back_discriminator, encoder, features)
        nets = {name: net for name, net in zip(_NETS, given, strict=True) if net is not None}
        if features is not None:
            features.trainable = False
        self.ways = [name for name in _TRANSLATORS if name in nets]
        self.judges = [name for name in _JUDGES if name in nets]
        owned = [*self.ways, *(name for name in ("encoder", "features") if name in nets)]
        super().__init__(
            nets=nets,
            players={"discriminator": tuple(self.judges), "translator": tuple(owned)},
            turns=((("discriminator",), self.discriminator_turns), (("translator",), 1)),
            signals={"discriminator": 3, "translator": 2},
            example_shape={SOURCE: taken_shape(translator), TARGET: generated_shape(translator)},
            conditioners=("encoder",) if encoder is not None else (),
        )
        self._check_shapes()

    def _check_shapes(self) -> None:
        wanted = {name: self.example_shape[domains[0]] for name, domains in _TRANSLATORS.items()}
        wanted |= {name: self.example_shape[domain] for name, domain in _JUDGES.items()}
        for name, shape in wanted.items():
            found = input_shape(self.nets[name]) if name in self.nets else None
            if found is not None and tuple(found) != tuple(shape):
                raise ValueError(f"the net {name!r} must take examples of {tuple(shape)}. Received: {tuple(found)}")
        if "back" in self.nets and generated_shape(self.nets["back"]) != self.example_shape[SOURCE]:
            raise ValueError(
                f"the net 'back' must make examples of {self.example_shape[SOURCE]}. "
                f"Received: {generated_shape(self.nets['back'])}"
            )
        for name in ("encoder", "features"):
            found = input_shape(self.nets[name]) if name in self.nets else None
            if found is not None and tuple(found) != self.example_shape[TARGET]:
                raise ValueError(
                    f"the net {name!r} must take examples of {self.example_shape[TARGET]}. Received: {tuple(found)}"
                )
        check_task_embedding(self.nets.get("encoder"), {name: self.nets[name] for name in self.ways})
        same = self.example_shape[SOURCE] == self.example_shape[TARGET]
        if not same and (self.identity or self.content or {"encoder", "features"} & set(self.nets)):
            raise ValueError(
                "'identity', 'content', 'encoder' and 'features' need domains of one shape. Received: "
                f"{self.example_shape[SOURCE]} and {self.example_shape[TARGET]}"
            )

    @property
    def made_shape(self) -> tuple[int, ...]:
        """See `Game.made_shape`."""
        return self.example_shape[TARGET]

    def condition(self, snapshot: Snapshot, support: Any) -> Any:
        """See `Game.condition`: `{net: {"task_embedding": code of the domain that it makes}}`, or None without an encoder."""
        if "encoder" not in self.nets:
            return None
        calls = Calls(self, snapshot, None, False, tf.zeros([2], tf.int32))
        return {name: {"task_embedding": calls("encoder", support[_TRANSLATORS[name][1]])} for name in self.ways}

    def conditioning_of(self, net: str, conditioning: Any) -> Any:
        """See `Game.conditioning_of`."""
        return None if conditioning is None else conditioning.get(net)

    def loss(
        self, player: str, snapshot: Snapshot, batch: Any, conditioning: Any, settings: Settings, seed: Any
    ) -> tuple[Any, ByNet, Any]:
        """See `Game.loss`. Signals: loss, mean real logit (discriminator only), mean fake logit."""
        calls = Calls(self, snapshot, conditioning, True, functional.fold(seed, 0))
        made = {_TRANSLATORS[name][1]: calls(name, batch[_TRANSLATORS[name][0]]) for name in self.ways}
        # Episodes are float32 whatever the nets are.
        batch = {domain: tf.cast(examples, made[TARGET].dtype) for domain, examples in batch.items()}
        if player == "discriminator":
            return self._judgement(snapshot, batch, made, settings, calls, functional.fold(seed, 1))
        value, logits = tf.zeros([], made[TARGET].dtype), []
        for name in self.judges:
            fake = calls(name, made[_JUDGES[name]])
            real = [calls(name, batch[_JUDGES[name]])] if self.loss_function.relativistic else []
            value += self.loss_function.generator(fake, *real)
            logits.append(tf.reduce_mean(fake))
        value += self._likeness(batch, made, calls)
        return value, calls.state, _signals(value, logits)

    def _judgement(
        self, snapshot: Snapshot, batch: Any, made: Any, settings: Settings, calls: Calls, seed: Any
    ) -> tuple[Any, ByNet, Any]:
        value, real_logits, fake_logits = tf.zeros([], made[TARGET].dtype), [], []
        for index, name in enumerate(self.judges):
            real, fake = batch[_JUDGES[name]], made[_JUDGES[name]]
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

    def _likeness(self, batch: Any, made: Any, calls: Calls) -> Any:
        """The weighted terms that tie a translation to what it was made of."""
        value = tf.zeros([], made[TARGET].dtype)
        for name in self.ways:
            domain, other = _TRANSLATORS[name]
            if self.cycle:
                returned = calls("back" if name == "translator" else "translator", made[other])
                value += self.cycle * mean_absolute(returned, batch[domain])
            if self.identity:
                value += self.identity * mean_absolute(calls(name, batch[other]), batch[other])
            if self.content:
                value += self.content * mean_absolute(made[other], batch[domain])
            if self.energy:
                distance = energy_distance(*self._seen(calls, made[other], batch[other]))
                value += self.energy * tf.cast(distance, value.dtype)
        return value

    def _seen(self, calls: Calls, *examples: Any) -> list[Any]:
        """The examples' features where there is a net for them, else the examples."""
        if "features" not in self.nets:
            return list(examples)
        apart = Calls(self, Snapshot(calls.weights, calls.state), None, False, tf.zeros([2], tf.int32))
        return [apart("features", each) for each in examples]

    def objective(self, player: str, snapshot: Snapshot, query: Any, conditioning: Any, seed: Any) -> Any:
        """See `Game.objective`: the loss and, of the translators, the weighted distance to the truth."""
        value = super().objective(player, snapshot, query, conditioning, seed)
        if self.truth and player == "translator":
            calls = Calls(self, snapshot, conditioning, True, functional.fold(seed, 2))
            for name in self.ways:
                domain, other = _TRANSLATORS[name]
                made = calls(name, query[domain])
                truth = tf.cast(query[other], made.dtype)
                rows = [tf.shape(each)[0] for each in (made, truth)]
                with tf.control_dependencies([tf.debugging.assert_equal(*rows, message=_UNPAIRED)]):
                    value += self.truth * mean_absolute(made, truth)
        return value

    def distance(self, snapshot: Snapshot, query: Any, conditioning: Any, seed: Any, biased: bool = False) -> Any:
        """The energy distance between translations of the source's query and the target's query, `biased` as in
        `Game.distance`: in features where the game has a net for them, else in pixels."""
        calls = Calls(self, snapshot, conditioning, True, seed)
        made = calls("translator", query[SOURCE])
        seen, real = self._seen(calls, made, tf.cast(query[TARGET], made.dtype))
        return energy_distance(seen, real, biased)

    def probe(self, player: str, snapshot: Snapshot, episode: Any, seed: Any) -> Any:
        """See `Game.probe`: the translations of shared examples, or the discriminator's logits of them."""
        calls = Calls(self, snapshot, self.condition(snapshot, episode.support), True, seed)
        if player == "discriminator":
            return calls("discriminator", episode.query[TARGET])
        return calls("translator", episode.query[SOURCE])

    @property
    def supports(self) -> frozenset[str]:
        """See `Game.supports`."""
        return frozenset({"penalty_scale"} if self.penalty is not None else ())

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """`translate(images) -> images` from source to target and, with the way back, `translate_back(images)`."""

        def endpoint(net: str) -> Endpoint:
            def translate(snapshot: Snapshot, conditioning: Any, inputs: Any, seed: Any) -> dict[str, Any]:
                return {"images": Calls(self, snapshot, conditioning, False, seed)(net, inputs["images"])}

            shape, dtype = self.example_shape[_TRANSLATORS[net][0]], self.nets[net].compute_dtype
            return Endpoint(translate, {"images": tf.TensorSpec([None, *shape], dtype, name="images")}, False, (net,))

        names = {"translator": "translate", "back": "translate_back"}
        return {names[net]: endpoint(net) for net in self.ways}

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this game again, nets included."""
        serialize = keras.saving.serialize_keras_object
        parts = {**self.nets, "loss": self.loss_function, "penalty": self.penalty}
        return {
            **{name: None if parts.get(name) is None else serialize(parts[name]) for name in _NESTED},
            **{name: getattr(self, name) for name in (*_WEIGHTS, "discriminator_turns")},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Translation:
        """Makes the game that `get_config` described, with freshly initialised nets."""
        make = keras.saving.deserialize_keras_object
        return cls(**{key: make(v) if key in _NESTED and v is not None else v for key, v in config.items()})


def _signals(loss: Any, *logits: list[Any]) -> Any:
    values = [loss, *[tf.add_n([tf.reduce_mean(batch) for batch in each]) / len(each) for each in logits]]
    return tf.stack([tf.cast(value, tf.float32) for value in values])
