"""`Sampling`: base of games whose generator maps latents to examples; samples, their distance and copy rate."""

from __future__ import annotations

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.checks import check_integer
from meta_gan.games.base import NO_SEED, Endpoint, Game
from meta_gan.losses import energy_distance, pairwise_distances
from meta_gan.types import Episode, Snapshot, Tensor, Tree

_STRIDES = (0.6180339887498949, 0.41421356237309515, 0.7320508075688772)


class Sampling(Game):
    """A game with a net `generator` from latents float[n, latent_dim] to examples.

    A subclass sets `latent_dim`, and `sees_support` and `holdout` where it uses them.
    """

    default_endpoint = "generate"
    has_copy_rate = True
    latent_dim: int
    sees_support: bool = False
    """Whether a net receives the support set itself."""
    holdout: int = 0
    """Support examples that an inner step trains on while it is conditioned on the others; 0 to use all as both."""
    task_encoder = "encoder"
    """The name of the net that makes the task embedding, where there is one."""

    @property
    def conditioned(self) -> bool:
        """See `Game.conditioned`; a net that sees the support set needs no conditioner."""
        return self.sees_support or super().conditioned

    def view(self, support: Tensor, step: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        """See `Game.view`: with `holdout`, a random split of the support set, which differs from step to step."""
        if not self.holdout:
            return support, support
        # Folded far from the numbers of turns, so that no draw of a turn has this key.
        return split(support, self.holdout, functional.fold(seed, 1 << 20))

    def condition(self, snapshot: Snapshot, support: Tensor) -> Tree:
        """See `Game.condition`: `{"support": support set, "task_embedding": embedding}`, each if it is used."""
        made = {"support": support} if self.sees_support else {}
        if self.task_encoder in self.nets:
            made["task_embedding"], _ = self.call_net(self.task_encoder, snapshot, support, None, False, NO_SEED)
        return made or None

    def latents(self, num: Tensor, seed: Tensor) -> Tensor:
        """Draw float[num, latent_dim] from a standard normal; row i does not depend on `num`.

        The first `stratified` numbers of a generator that has them are spread evenly, see `spread`.
        """
        dtype = self.nets["generator"].compute_dtype
        z = tf.random.stateless_normal(tf.stack([num, self.latent_dim]), seed, dtype=dtype)
        columns = getattr(self.nets["generator"], "stratified", 0)
        if not columns:
            return z
        even = tf.cast(spread(num, columns, functional.fold(seed, 0)), z.dtype)
        return tf.concat([even, z[:, columns:]], axis=1)

    def samples(self, snapshot: Snapshot, num: Tensor, conditioning: Tree, training: bool, seed: Tensor) -> Tensor:
        """Draw float[num, *example] from the generator."""
        z = self.latents(num, functional.fold(seed, 0))
        return self.call_net("generator", snapshot, z, conditioning, training, functional.fold(seed, 1))[0]

    def in_features(self, snapshot: Snapshot, x: Tensor) -> Tensor:
        """Return float[n, d], the features of examples where the game has a net `features`, else the examples."""
        return self.call_net("features", snapshot, x, None, False, NO_SEED)[0] if "features" in self.nets else x

    def distance(
        self, snapshot: Snapshot, query: Tensor, conditioning: Tree, seed: Tensor, biased: bool = False
    ) -> Tensor:
        """Return the energy distance between the query set and as many samples.

        It is unbiased, and so may be negative for two samples of one distribution; or, with `biased`, that of the two
        sets as they are. It is taken between features where the game has a net for them, else in pixels.

        Reference: Szekely and Rizzo, "Energy statistics", 2013.
        """
        made = self.samples(snapshot, tf.shape(query)[0], conditioning, True, seed)
        query = tf.cast(query, made.dtype)
        return energy_distance(self.in_features(snapshot, made), self.in_features(snapshot, query), biased)

    def copy_rate(self, snapshot: Snapshot, support: Tensor, query: Tensor, conditioning: Tree, seed: Tensor) -> Tensor:
        """See `Game.copy_rate`."""
        return copied_share(self.samples(snapshot, tf.shape(query)[0], conditioning, False, seed), support, query)

    def probe(self, player: str, snapshot: Snapshot, episode: Episode, seed: Tensor) -> Tensor:
        """See `Game.probe`: samples with shared latents."""
        conditioning = self.condition(snapshot, episode.support)
        return self.samples(snapshot, tf.shape(episode.query)[0], conditioning, True, seed)

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """`sample(num, seed) -> samples` and `generate(z) -> samples`, float[n, *example]."""

        def sample(snapshot: Snapshot, conditioning: Tree, inputs: Tree, seed: Tensor) -> dict[str, Tensor]:
            return {"samples": self.samples(snapshot, inputs["num"], conditioning, False, seed)}

        def generate(snapshot: Snapshot, conditioning: Tree, inputs: Tree, seed: Tensor) -> dict[str, Tensor]:
            return {"samples": self.call_net("generator", snapshot, inputs["z"], conditioning, False, seed)[0]}

        z = tf.TensorSpec([None, self.latent_dim], self.nets["generator"].compute_dtype, name="z")
        return {
            "sample": Endpoint(sample, {"num": tf.TensorSpec([], tf.int32, name="num")}, True, ("generator",)),
            "generate": Endpoint(generate, {"z": z}, False, ("generator",)),
        }


def size_of_latents(generator: keras.Model) -> int:
    """Return the size of z that a generator takes.

    Raises:
        ValueError: the generator has neither a `latent_dim` nor a static input shape.
    """
    # A subclassed model that was never called has no `input_shape`, and one of several inputs has a list of them.
    shape = getattr(generator, "input_shape", None)
    size = getattr(generator, "latent_dim", None) or (shape[-1] if isinstance(shape, tuple) and shape else None)
    if not isinstance(size, int):
        raise ValueError(
            "a generator must have a 'latent_dim' or be a model from float[n, latents]. "
            f"Received: {type(generator).__name__} with latent_dim {getattr(generator, 'latent_dim', None)!r} and "
            f"input_shape {shape!r}"
        )
    return size


def copied_share(made: Tensor, support: Tensor, query: Tensor) -> Tensor:
    """Return the share of examples that are closer to a support example than real examples are to one another.

    A copy is at a distance of 0, or below the first percentile of the distances between all pairs of real examples
    (of up to 100 pairs, the smallest distance). Evaluation uses the same definition for a whole class instead of one
    task. Waveforms are compared sample by sample, so that only verbatim copies of sounds count.

    Args:
        made: float[n, *example], generated examples, n >= 1.
        support: float[k, *example], k >= 1.
        query: float[m, *example], m >= 1, other real examples of the class.

    Returns:
        float32[] in [0, 1]; NaN if a generated example is not finite, because a generator that diverged copies nothing.

    Example:
        >>> made, support, query = tf.constant([[0.1], [0.9]]), tf.constant([[0.0]]), tf.constant([[0.5]])
        >>> float(copied_share(made, support, query))
        0.5
    """
    real = tf.concat([support, tf.cast(query, support.dtype)], axis=0)
    count = tf.shape(real)[0]
    # The distances of examples from themselves come first, as zeros; then every pair comes twice.
    ascending = tf.sort(tf.reshape(pairwise_distances(real, real), [-1]))
    pairs = tf.math.floordiv(count * (count - 1), 2)
    threshold = ascending[count + 2 * tf.math.floordiv(pairs - 1, 100)]
    nearest = tf.reduce_min(pairwise_distances(tf.cast(made, support.dtype), support), axis=1)
    copies = tf.cast(tf.logical_or(nearest < threshold, tf.equal(nearest, 0)), tf.float32)
    return tf.reduce_mean(tf.where(tf.math.is_finite(nearest), copies, tf.constant(float("nan"))))


def split(support: Tensor, holdout: int, seed: Tensor) -> tuple[Tensor, Tensor]:
    """Split a support set at random for an inner step.

    Args:
        support: float[k, *example], any k >= 1.
        holdout: how many images to hold out, >= 1; at most k - 1 are, and a single image is in both parts.
        seed: int32[2].

    Returns:
        `(held out, the others)`: what the step trains on, and what it is conditioned on.
    """
    count = tf.shape(support)[0]
    keys = tf.random.stateless_uniform([count], seed, alg="philox")
    order = tf.argsort(keys, stable=True)
    held = tf.minimum(holdout, count - 1)
    shuffled = tf.gather(support, order)
    return shuffled[: tf.maximum(held, 1)], shuffled[held:]


def spread(num: Tensor, columns: int, seed: Tensor) -> Tensor:
    """Return standard normal numbers that fill each column evenly: consecutive rows have about equal shares everywhere.

    Column j is a Kronecker sequence, with a uniform start and an irrational stride, through the normal's quantile
    function. Each number alone is standard normal, and row i does not depend on `num`.

    Args:
        num: int or int32[], rows.
        columns: 1 to 3.
        seed: int32[2].

    Returns:
        float64[num, columns].

    Raises:
        ValueError: columns out of range.

    Reference: Niederreiter, "Random Number Generation and Quasi-Monte Carlo Methods", 1992, chapter 3.
    """
    check_integer(columns, "columns", 1, len(_STRIDES))
    start = tf.random.stateless_uniform([columns], seed, dtype=tf.float64, alg="philox")
    rows = tf.cast(tf.range(num), tf.float64)[:, None]
    share = tf.math.floormod(start + rows * tf.constant(_STRIDES[:columns], tf.float64), 1.0)
    # The quantiles of 0 and 1 are infinite.
    return tf.math.ndtri(tf.clip_by_value(share, 1e-6, 1.0 - 1e-6))
