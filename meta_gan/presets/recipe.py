"""`Recipe`: every number and choice that makes a compiled `MetaModel`, but for the data."""

from __future__ import annotations

from dataclasses import dataclass, fields

from meta_gan import losses
from meta_gan.checks import check_bool, check_choice, check_integer, check_number
from meta_gan.networks.dcgan import NORMALIZATIONS
from meta_gan.networks.task_encoder import POOLINGS

LOSSES = {
    "non_saturating": losses.NonSaturating,
    "hinge": losses.Hinge,
    "least_squares": losses.LeastSquares,
    "wasserstein": losses.Wasserstein,
    "relativistic": losses.RelativisticAverage,
}
PENALTIES = {"none": None, "gradient": losses.GradientPenalty, "r1": losses.R1}
LIKELIHOODS = ("bernoulli", "gaussian")
FAMILIES = ("gan", "vae", "translation")
NETWORKS = ("dcgan", "mlp", "sagan", "fusion")
ALGORITHMS = ("conditional", "dawson", "fomaml", "maml", "pretraining", "reptile")
LEARNED_RULES = ("meta_sgd", "learned_adam", "recurrent", "attention")
RULES = ("descent", "momentum", "adam", *LEARNED_RULES)
_RULE_RATE = 3e-3
_DEVIATION = 0.2
_MOST = 2**31

# What only games with a discriminator have, what only one family has, and what a translation has not.
_ADVERSARIAL = ("loss", "penalty", "penalty_weight", "discriminator_turns", "discriminator_inner_rate")
_OF_GAN = ("adversarial", "nearness", "variety", "coarse", "mode_seeking", "nats", "translation", "holdout")
_IN_FEATURES = ("energy", "features")
_OF_VAE = ("likelihood", "beta", "deviation")
_OF_TRANSLATION = ("cycle", "identity", "content", "truth")
_MUTE = {
    "gan": (*_OF_VAE, *_OF_TRANSLATION),
    "vae": (*_ADVERSARIAL, *_OF_GAN, *_IN_FEATURES, *_OF_TRANSLATION),
    "translation": (*_OF_GAN, *_OF_VAE, "latent_dim", "normalization"),
}

_CHOICES = {
    "family": FAMILIES,
    "network": NETWORKS,
    "normalization": (*NORMALIZATIONS, "meta"),
    "pooling": POOLINGS,
    "loss": tuple(LOSSES),
    "penalty": tuple(PENALTIES),
    "likelihood": LIKELIHOODS,
    "algorithm": ALGORITHMS,
    "rule": RULES,
}
_COUNTS = ("width", "latent_dim", "discriminator_turns", "detail")
_COUNTS_OR_NONE = ("embedding_dim", "inner_steps", "holdout", "decay_steps", "seed")
_POSITIVE: tuple[str, ...] = ("temperature", "inner_rate", "discriminator_inner_rate", "outer_rate", "rule_rate")
_POSITIVE += ("penalty_weight", "deviation")
_WEIGHTS: tuple[str, ...] = ("adversarial", "energy", "nearness", "coarse", "variety", "mode_seeking", "consistency")
_WEIGHTS += ("clip", "beta", "nats", *_OF_TRANSLATION)
_SHARES = ("outer_first_decay", "outer_second_decay", "averaging", "translation")


@dataclass(frozen=True)
class Recipe:
    """All that makes a compiled `MetaModel`, but for the data.

    Attributes:
        name: the preset's name, for folders and cards.
        family: gan; vae: a decoder (the network's generator) and an encoder of its width; or translation between two
            domains: a `Translator` of that width and the network's discriminator.
        network: `mlp`; `dcgan`, of sounds a `WaveGenerator` and of texts a `TextGenerator`; `sagan`, of pictures; or
            `fusion`, whose players see the support set, of pictures, sounds or texts.
        width: channels (units, of `mlp`) of the narrowest hidden layer, >= 1.
        latent_dim: size of z, >= 1.
        embedding_dim: size of the task encoder's code, which conditions `sagan`, `fusion` and translators, and is the prior
            of other vaes (`networks.SetPrior`); 0 for no encoder.
        pooling: of the task encoder over the support set: mean or attention.
        normalization: of the generator: none, layer, instance, group or batch (`dcgan`), meta or none (`fusion`).
        detail: fine pixels along a pixel in the renderer of `fusion`, >= 1.
        temperature: what z is multiplied by in sampling, not in training, by `fusion`, > 0.
        likelihood: of a vae: bernoulli, for drawings of two levels, or gaussian.
        deviation: of a gaussian likelihood, > 0, in units of images, which span 2.
        beta: of a vae: weight of the divergence, >= 0.
        cycle: of a translation: weight of what there and back changes, >= 0; 0 for no way back.
        identity: of a translation: weight of what it changes of the target's own images, >= 0.
        content: of a translation: weight of what it changes at all, >= 0.
        truth: of a translation: weight of the difference to the truth of paired query sets in the outer loop, >= 0.
        loss: non_saturating, hinge, least_squares, wasserstein or relativistic.
        penalty: none, gradient (WGAN-GP) or r1.
        penalty_weight: > 0.
        discriminator_turns: discriminator moves before one generator move, >= 1.
        adversarial: weight of the adversarial term of the generator, >= 0.
        energy: weight of the energy distance in the features of the net `features`, >= 0; not of a vae.
        features: the frozen feature network: the folder of a judge of the purpose "objective" or a shipped one's name;
            `spectrogram` for sounds, `pairs` (of symbols) for texts; empty for none. Used when `energy` > 0, and by the
            distance that a learned rule is trained on (which, of a vae, is one in pixels).
        nearness: see `games.Terms`, >= 0.
        variety: see `games.Terms`, >= 0.
        coarse: weight of the energy distance in coarse pixels, >= 0.
        mode_seeking: weight of the mode-seeking regulariser, >= 0.
        nats: of texts: weight of the negative log-likelihood of an example, >= 0.
        translation: of the differentiable augmentation, a share of the side in [0, 1); 0 for no augmentation.
        holdout: support images that an inner step trains on while it conditions on the others; 0 for all as both.
        consistency: weight of the penalty on adapted players that differ across tasks, >= 0.
        algorithm: maml, fomaml, reptile, dawson, pretraining, or conditional: no adaptation in training.
        mask: regular expression of the weights that adapt; empty for all.
        rule: the inner rule: descent, momentum or adam; or a learned one, which starts as descent (meta_sgd) or as Adam
            (learned_adam, recurrent, attention) at the inner rates and is trained with the nets, by maml.
        inner_steps: steps of a task in meta-training, and the default of `adapt`, >= 0; 0 if `conditional` only.
        inner_rate: of the generator, > 0.
        discriminator_inner_rate: > 0.
        outer_rate: of the outer Adam, > 0.
        rule_rate: of the outer Adam of a learned rule's own weights, > 0.
        outer_first_decay: of the outer Adam, in [0, 1).
        outer_second_decay: of the outer Adam, in [0, 1).
        decay_steps: outer steps over which the rate falls to a fiftieth along a cosine; 0 for a constant rate.
        clip: greatest norm of a player's meta-gradient, > 0, or 0 for none.
        averaging: decay of the averaged meta-weights in (0, 1), or 0 for none.
        scale_and_shift: whether a task moves only a scale and a shift of every channel of the nets, see
            `networks.ScaleAndShift`; `mask` is then left empty. Not of `fusion`.
        seed: of the initial weights.
    """

    name: str
    family: str = "gan"
    network: str = "dcgan"
    width: int = 32
    latent_dim: int = 64
    embedding_dim: int = 0
    pooling: str = "mean"
    normalization: str = "layer"
    detail: int = 2
    temperature: float = 1.0
    likelihood: str = "bernoulli"
    deviation: float = _DEVIATION
    beta: float = 1.0
    cycle: float = 0.0
    identity: float = 0.0
    content: float = 0.0
    truth: float = 0.0
    loss: str = "hinge"
    penalty: str = "r1"
    penalty_weight: float = 1.0
    discriminator_turns: int = 1
    adversarial: float = 1.0
    energy: float = 0.0
    features: str = ""
    nearness: float = 0.0
    variety: float = 0.0
    coarse: float = 0.0
    mode_seeking: float = 0.0
    nats: float = 0.0
    translation: float = 0.0
    holdout: int = 0
    consistency: float = 0.0
    algorithm: str = "fomaml"
    mask: str = ""
    rule: str = "adam"
    inner_steps: int = 10
    inner_rate: float = 2e-3
    discriminator_inner_rate: float = 2e-3
    outer_rate: float = 3e-4
    rule_rate: float = _RULE_RATE
    outer_first_decay: float = 0.5
    outer_second_decay: float = 0.999
    decay_steps: int = 0
    clip: float = 10.0
    averaging: float = 0.0
    scale_and_shift: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for field, allowed in _CHOICES.items():
            check_choice(getattr(self, field), field, allowed)
        for field in (*_COUNTS, *_COUNTS_OR_NONE):
            check_integer(getattr(self, field), field, 1 if field in _COUNTS else 0)
        for field in _POSITIVE:
            check_number(getattr(self, field), field, above=0)
        for field in _WEIGHTS:
            check_number(getattr(self, field), field, least=0)
        for field in _SHARES:
            check_number(getattr(self, field), field, least=0, below=1)
        for field, wanted in (
            ("mask", "a regular expression"),
            ("features", "the name or folder of a feature network"),
        ):
            if not isinstance(getattr(self, field), str):
                raise ValueError(f"{field!r} must be {wanted}. Received: {getattr(self, field)!r}")
        check_bool(self.scale_and_shift, "scale_and_shift")
        self._check_family()
        self._check_together()

    def _check_family(self) -> None:
        """Refuses fields that have no say in a family of games."""
        mute = {field.name: field.default for field in fields(self) if field.name in _MUTE[self.family]}
        if changed := [name for name, default in mute.items() if getattr(self, name) != default]:
            raise ValueError(f"a recipe of the family {self.family!r} needs {changed} left alone. Received: {self}")
        if self.family == "gan":
            return
        if self.network == "fusion" or self.algorithm == "dawson":
            raise ValueError(
                f"a recipe of the family {self.family!r} needs another 'network' than 'fusion', whose nets see the "
                f"support images, and another 'algorithm' than 'dawson', which is about a GAN. Received: {self}"
            )
        if self.family == "translation" and self.network != "dcgan":
            raise ValueError(f"a recipe of the family 'translation' needs 'network' dcgan. Received: {self}")

    def _check_together(self) -> None:
        """Refuses fields that contradict one another, or that would be passed over in silence."""
        conditioned = self.network in ("sagan", "fusion") or self.family in ("translation", "vae")
        learned = self.rule in LEARNED_RULES
        demands = (
            (self.inner_steps > 0 or self.algorithm == "conditional", "'inner_steps' >= 1 but of 'conditional'"),
            (self.inner_steps == 0 or self.algorithm != "conditional", "'inner_steps' 0 of 'conditional'"),
            (conditioned or not self.embedding_dim, "'embedding_dim' 0 of a network without conditioning"),
            # A translation is compared in pixels where there are no features.
            (bool(self.features) or not self.energy or self.family == "translation", "'energy' 0 without 'features'"),
            (not self.features or self.energy > 0 or learned, "'features' empty without 'energy' or a learned 'rule'"),
            # The others do not ask for the outer objective, or train a rule on the distance in its place.
            (
                not self.truth or (self.algorithm in ("fomaml", "maml", "conditional") and not learned),
                "'truth' 0 but of fomaml, maml and conditional, without a learned 'rule'",
            ),
            # At order 1 the discriminator's half of a rule would learn nothing.
            (not learned or self.algorithm == "maml", "'algorithm' maml of a learned 'rule'"),
            (learned or self.rule_rate == _RULE_RATE, "'rule_rate' left alone without a learned 'rule'"),
            (not self.nearness or self.network == "fusion", "'nearness' 0 but of 'fusion'"),
            (not self.nearness or self.energy > 0, "'nearness' 0 without 'energy'"),
            (not self.variety or self.energy > 0, "'variety' 0 without 'energy'"),
            # `sagan` sees nothing of the support set but its code.
            (
                not self.holdout or self.network == "fusion" or bool(self.embedding_dim),
                "'holdout' 0 of a network without conditioning",
            ),
            # Without a conditioning it is joint training, which knows of the truth only so.
            (
                self.algorithm != "conditional"
                or self.network == "fusion"
                or bool(self.embedding_dim)
                or self.truth > 0,
                "another 'algorithm' than 'conditional' of a network without conditioning",
            ),
            (not self.scale_and_shift or not self.mask, "'mask' empty with 'scale_and_shift'"),
            (not self.scale_and_shift or self.network != "fusion", "'scale_and_shift' false of 'fusion'"),
            (self.likelihood == "gaussian" or self.deviation == _DEVIATION, "'deviation' left alone but of gaussian"),
            (self.network == "fusion" or self.detail == 2, "'detail' 2 but of 'fusion'"),
            (self.network == "fusion" or self.temperature == 1, "'temperature' 1 but of 'fusion'"),
            (bool(self.embedding_dim) or self.pooling == "mean", "'pooling' mean without 'embedding_dim'"),
            (self.network == "fusion" or self.normalization != "meta", "'normalization' meta of 'fusion' alone"),
            (
                self.network in ("dcgan", "fusion") or self.normalization == "layer",
                "'normalization' left alone: it has no say",
            ),
            (not self.consistency or self.algorithm in ("maml", "fomaml"), "'consistency' 0 but of maml and fomaml"),
            (self.network != "fusion" or self.normalization in ("meta", "none"), "'normalization' meta or none"),
        )
        for holds, wanted in demands:
            if not holds:
                raise ValueError(
                    f"a recipe of {self.network!r} and {self.algorithm!r} needs {wanted}. Received: {self}"
                )
