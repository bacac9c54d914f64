"""`Sampling`: base of games whose generator maps latents to examples; samples, their distance and copy rate."""

from __future__ import annotations

import keras
import tensorflow as tf

from meta_gan import functional
from meta_gan.games.base import NO_SEED, Endpoint, Game
from meta_gan.losses import energy_distance, pairwise_distances
from meta_gan.types import Episode, Snapshot, Tensor, Tree


class Sampling(Game):
    """A game with a net `generator` from latents float[n, latent_dim] to examples. A subclass sets `latent_dim`."""

    default_endpoint = "generate"
    has_copy_rate = True
    latent_dim: int

    def latents(self, num: Tensor, seed: Tensor) -> Tensor:
        """Draw float[num, latent_dim] from a standard normal; row i does not depend on `num`."""
        dtype = self.nets["generator"].compute_dtype
        return tf.random.stateless_normal(tf.stack([num, self.latent_dim]), seed, dtype=dtype)

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
