"""Support-conditioned networks for images: samples that fuse support images, and a discriminator of pairs.

Every sample starts from one support image, the anchor, and moves towards another, the partner; the first two numbers of
z choose both. Features of the whole set, matched position by position, describe how these two and the others differ. A
decoder turns them and z into a smooth warp of the anchor, a threshold of its ink, and a correction of what a warp
cannot do. So an unseen class is drawn from its support images, and varied as training classes vary.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import IMAGE_AXES, check_choice, check_integer, check_shape
from meta_gan.layers import MetaBatchNormalization, UpsampleNearest, resampling
from meta_gan.layers.portable import atanh
from meta_gan.networks.anchored import CHOICES, AnchoredGenerator, choose
from meta_gan.networks.base import Discriminator, LayerFactory, Shape, leaky_relu
from meta_gan.types import Tensor

NORMALIZATIONS = ("meta", "none")
_STYLE, _SUMMARY, _KEY, _VALUE, _NOISE = 96, 64, 32, 32, 8
_SMALL = 0.02  # scale of the readouts: the first samples are support images, matched half way
_SHARPNESS = 3.0  # multiplies intensities ahead of tanh: an edge then lies within a pixel of the fine grid
_KEENNESS = 4.0
_SMALLEST, _LARGEST = 8, 64


def check_sides(example_shape: Shape) -> tuple[int, int, int]:
    """Return `example_shape` if both sides are multiples of 4 from 8 to 64, with 1 to 4 channels."""
    height, width, channels = check_shape(example_shape, axes=IMAGE_AXES)
    if channels > 4 or not all(n % 4 == 0 and _SMALLEST <= n <= _LARGEST for n in (height, width)):
        raise ValueError(
            f"'example_shape' must have sides that are multiples of 4 from {_SMALLEST} to {_LARGEST}, and 1 to 4 "
            f"channels. Received: {tuple(example_shape)}"
        )
    return height, width, channels


class Pyramid(keras.layers.Layer):
    """Features of images at full, half and quarter size.

    Args:
        channels: of the images.
        width: features at full size; twice and four times as many at half and quarter size.
        make: makes the layers.
        **kwargs: `name` and other arguments of a Keras layer.
    """

    def __init__(self, channels: int, width: int, make: LayerFactory, **kwargs: Any) -> None:
        super().__init__(dtype=make.dtype, **kwargs)
        self.full = make.convolution(channels, width, 3, "full")
        self.half = make.convolution(width, 2 * width, 4, "half", 2)
        self.half_again = make.convolution(2 * width, 2 * width, 3, "half_again")
        self.quarter = make.convolution(2 * width, 4 * width, 4, "quarter", 2)
        self.quarter_again = make.convolution(4 * width, 4 * width, 3, "quarter_again")
        self.built = True

    def call(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return float[n, h, w, width], [n, h/2, w/2, 2 width] and [n, h/4, w/4, 4 width] of images [n, h, w, c]."""
        full = leaky_relu(self.full(images))
        half = leaky_relu(self.half_again(leaky_relu(self.half(full))))
        return full, half, leaky_relu(self.quarter_again(leaky_relu(self.quarter(half))))


class Matching(keras.layers.Layer):
    """Match every position of each support image with positions of the others.

    Args:
        sides: (height, width) of the features.
        inputs: their channels.
        depth: size of the keys.
        values: size of the gathered values.
        make: makes the layers.
        **kwargs: `name` and other arguments of a Keras layer.
    """

    def __init__(
        self, sides: tuple[int, int], inputs: int, depth: int, values: int, make: LayerFactory, **kwargs: Any
    ) -> None:
        super().__init__(dtype=make.dtype, **kwargs)
        self.places, self.depth, self.values_ = sides[0] * sides[1], depth, values
        self.grid = resampling.grid(*sides).reshape(self.places, 2)
        self.key = make.dense(inputs, depth, "key")
        self.value = make.dense(inputs, values, "value")
        # Near positions match before far ones; a normal of variance 1/4, for keys of length about sqrt(depth).
        self.position = self.add_weight(name="position", shape=(self.places, depth), initializer=make.draw(8, 0.0))
        # The log of the scores' factor: at first each position matches only itself in its own image.
        keenness = keras.initializers.Constant(math.log(_KEENNESS))
        self.keenness = self.add_weight(name="keenness", shape=(), initializer=keenness)
        self.built = True

    def call(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Match all pairs.

        Args:
            features: float[k, h, w, inputs].

        Returns:
            `(shifts float[k, k, h*w, 2], gathered float[k, h*w, values])`: `shifts[j, i]` is the displacement from a
            position in image j to its match in image i, in units of half an image; `gathered[j]` is the mean over all
            images of the values at the matches of j's positions.
        """
        return self.read(self.match(features), features)

    def read(self, share: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the shifts and the gathered values of `call`, by the shares that `match` returned."""
        count, grid = tf.shape(features)[0], tf.cast(self.grid, features.dtype)
        shifts = tf.einsum("jpiq,qc->jipc", share, grid) - grid
        values = tf.reshape(self.value(features), [count, self.places, self.values_])
        gathered = tf.einsum("jpiq,iqc->jpc", share, values) / tf.cast(count, features.dtype)
        return shifts, gathered

    def match(self, features: Tensor) -> Tensor:
        """Return float[k, h*w, k, h*w] of features float[k, h, w, inputs]: `[j, p, i]` are the shares, of sum 1, with
        which position p of image j matches the positions of image i."""
        count = tf.shape(features)[0]
        keys = tf.reshape(self.key(features), [count, self.places, self.depth])
        keys = keys * tf.math.rsqrt(tf.reduce_mean(tf.square(keys), axis=-1, keepdims=True) + 1e-3) + self.position
        flat = tf.reshape(keys, [count * self.places, self.depth])
        scores = tf.matmul(flat, flat, transpose_b=True) * tf.exp(self.keenness) / math.sqrt(self.depth)
        return tf.nn.softmax(tf.reshape(scores, [count, self.places, count, self.places]), axis=-1)


class Renderer(keras.layers.Layer):
    """Warp images on a grid finer than their pixels, sharpen there, and average down again.

    A drawing of 28x28 pixels is a mean over finer pixels of ink or no ink. Warped directly, it blurs, and a network
    spends its capacity on undoing that. Warped on a finer grid and brought back to ink or no ink before the mean is
    taken, it stays a drawing, and the threshold decides how thick its strokes are. The result mixes in a learned share
    of the image that is warped and not sharpened, for pictures of more than two levels.

    Args:
        sides: (height, width) of the images, multiples of 2; the warp is given at half of them.
        detail: int >= 1, fine pixels along a pixel.
        **kwargs: `name`, `dtype` and other arguments of a Keras layer.
    """

    def __init__(self, sides: tuple[int, int], detail: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.detail = detail
        self.fine = [resampling.cubic_matrix(side, detail) for side in sides]
        # Linear at this factor has kinks at every second pixel, which are invisible in a smooth shift.
        self.spread = [resampling.bilinear_matrix(side // 2, 2 * detail) for side in sides]
        self.grid = resampling.grid(sides[0] * detail, sides[1] * detail)
        self.share = self.add_weight(name="share", shape=(), initializer="zeros")
        self.gain = self.add_weight(name="gain", shape=(), initializer="zeros")
        self.built = True

    def call(
        self, images: Tensor, chosen: Tensor, shift: Tensor, threshold: Tensor, contrast: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Render.

        Args:
            images: float[k, h, w, c] in [-1, 1].
            chosen: int32[n], the image of each row.
            shift: float[n, h/2, w/2, 2], from a position to where its colour is taken, in units of half an image.
            threshold: float[n, 1, 1, 1], added to intensities; positive is thicker.
            contrast: float[n, 1, 1, 1], the log of the sharpness's factor.

        Returns:
            `(sharpened, plain)`: float[n, h, w, c] in [-1, 1] each.
        """
        fine = tf.gather(resampling.resize(images, *self.fine), chosen)
        positions = tf.cast(self.grid, shift.dtype) + resampling.resize(shift, *self.spread)
        warped = resampling.sample_at(fine, positions)
        sharp = tf.tanh(_SHARPNESS * (warped * tf.exp(self.gain + contrast) + threshold))
        size = [self.detail, self.detail]
        sharp, plain = (tf.nn.avg_pool2d(x, size, size, "VALID") for x in (sharp, warped))
        return sharp, tf.clip_by_value(plain, -1.0, 1.0)

    def mix(self, sharp: Tensor, plain: Tensor) -> Tensor:
        """Return the learned mean of the two, at first .73 of the sharpened one."""
        share = tf.sigmoid(self.share + 1.0)
        return share * sharp + (1.0 - share) * plain


@keras.saving.register_keras_serializable("meta_gan")
class FusionGenerator(AnchoredGenerator):
    """New examples of a class from z and its support images.

    Args:
        example_shape: (height, width, channels), sides multiples of 4 from 8 to 64.
        latent_dim: int >= 3; `stratified` = 2 of them choose the anchor and the partner.
        width: int >= 1, features at full size.
        embedding_dim: int >= 0, size of the task embedding; 0 for none.
        normalization: "meta", `MetaBatchNormalization` conditioned on the style, or "none", `FiLM` alone.
        detail: int >= 1, fine pixels along a pixel in the renderer.
        temperature: float > 0, multiplies z, beyond the choices, outside training: above 1, samples are farther from
            their anchors and from one another than in training.
        one_shot_temperature: float > 0, in its place with one support image; see `AnchoredGenerator`. None for the
            same.
        seed: int >= 0, seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    `call(z, conditioning)` takes a dict with `support` float[k, *example_shape], any k >= 1, and with `embedding_dim` >
    0 `task_embedding` float[embedding_dim]. Row i depends on row i of z alone.

    Raises:
        ValueError: if an argument is out of range, or the conditioning lacks an entry.

    Example:
        >>> generator = FusionGenerator((28, 28, 1), latent_dim=16, width=8)
        >>> generator(tf.zeros([3, 16]), conditioning={"support": tf.zeros([5, 28, 28, 1])}).shape
        TensorShape([3, 28, 28, 1])

    References:
        Hong et al., F2GAN: Fusing-and-Filling GAN for Few-shot Image Generation, 2020, for fusing support images by
        attention and filling in what is missing. The departures: one image is warped on a fine grid, instead of adding
        features of several, and the warp receives where each position of one image lies in the others.
    """

    def __init__(
        self,
        example_shape: Shape,
        latent_dim: int = 64,
        width: int = 16,
        embedding_dim: int = 0,
        normalization: str = "meta",
        detail: int = 2,
        seed: int = 0,
        temperature: float = 1.0,
        one_shot_temperature: float | None = None,
        **kwargs: Any,
    ) -> None:
        sizes = {"width": width, "embedding_dim": embedding_dim}
        super().__init__(example_shape, latent_dim, seed, temperature, one_shot_temperature, **sizes, **kwargs)
        self.sides = check_sides(example_shape)
        self.normalization = check_choice(normalization, "normalization", NORMALIZATIONS)
        self.detail = check_integer(detail, "detail", 1)
        self._make_encoder(LayerFactory(self.seed, "fusion", self.dtype_policy))
        self._make_decoder(LayerFactory(self.seed, "fusion_decoder", self.dtype_policy))
        self.build((None, self.latent_dim))

    def _make_encoder(self, make: LayerFactory) -> None:
        (height, width, channels), features = self.sides, 4 * self.width
        noise, quarter = self.latent_dim - CHOICES, (height // 4, width // 4)
        self.pyramid = Pyramid(channels, self.width, make, name="pyramid")
        self.matching = Matching(quarter, features, _KEY, _VALUE, make, name="matching")
        self.summary = make.dense(features * (quarter[0] // 2) * (quarter[1] // 2), _SUMMARY, "summary")
        inputs = noise + 3 * _SUMMARY + self.embedding_dim
        self.style = [make.dense(inputs, 128, "style_0"), make.dense(128, _STYLE, "style_1")]
        self.noise = make.dense(noise, quarter[0] * quarter[1] * _NOISE, "noise")

    def _make_decoder(self, make: LayerFactory) -> None:
        w, channels, convolution = self.width, self.sides[2], make.convolution
        inputs = 2 * 4 * w + _NOISE + _VALUE + 4
        self.quarter = [convolution(inputs, 4 * w, 3, "quarter_0"), convolution(4 * w, 4 * w, 3, "quarter_1")]
        self.half = [convolution(4 * w + 2 * w, 3 * w, 3, "half_0"), convolution(3 * w, 3 * w, 3, "half_1")]
        self.to_full = convolution(3 * w, w, 1, "to_full")
        self.full = [convolution(w + 2 * channels, w, 3, "full_0"), convolution(w, w, 3, "full_1")]
        modulated = enumerate([*self.quarter, *self.half, *self.full])
        meta = self.normalization == "meta"
        self.modulations = [self._modulation(x.filters, i, _STYLE, 2, meta) for i, x in modulated]
        readouts = LayerFactory(self.seed, "fusion_readouts", self.dtype_policy, _SMALL)
        self.local_shift = readouts.convolution(3 * w, 2, 3, "local_shift")
        self.correction = readouts.convolution(w, 2 * channels, 3, "correction")
        # Six numbers of an affine map, two shares of the matched shifts, threshold and contrast.
        self.globals = readouts.dense(_STYLE, 10, "globals")
        self.twice = UpsampleNearest(2, name="twice", dtype=self.dtype_policy)
        self.renderer = Renderer(self.sides[:2], self.detail, name="renderer", dtype=self.dtype_policy)

    def call(self, z: Tensor, conditioning: Any = None, training: bool = False) -> Tensor:
        """Return examples float[n, *example_shape] of `z` float[n, latent_dim] and the support set."""
        support, embedding = self.read_conditioning(conditioning)
        count = tf.shape(support)[0]
        anchor, partner = choose(z[:, 0], count), choose(z[:, 1], count)
        _, half, quarter = self.pyramid(support)
        noise = self._noise(z, count, training)
        pooled = tf.nn.avg_pool2d(quarter, 2, 2, "VALID")
        each = self.summary(tf.reshape(pooled, [tf.shape(pooled)[0], -1]))
        style = self._style(noise, each, embedding, anchor, partner)
        shifts, gathered = self.matching(quarter)
        towards = tf.gather_nd(shifts, tf.stack([partner, anchor], axis=-1))
        mean = tf.gather(tf.reduce_mean(shifts, axis=0), anchor)
        matched = tf.concat([tf.gather(gathered, anchor), towards, mean], axis=-1)
        x = self._decode(noise, half, quarter, matched, style, anchor, partner)
        settings = self.globals(style)
        shift = self._shift(x, towards, mean, settings)
        threshold, contrast = (settings[:, i, None, None, None] for i in (8, 9))
        sharp, plain = self.renderer(support, anchor, shift, threshold, contrast)
        return self._finish(x, sharp, plain, style)

    def _decode(
        self,
        noise: Tensor,
        half: Tensor,
        quarter: Tensor,
        matched: Tensor,
        style: Tensor,
        anchor: Tensor,
        partner: Tensor,
    ) -> Tensor:
        """Return features float[n, h/2, w/2, 3 width]."""
        height, width = self.sides[0] // 4, self.sides[1] // 4
        rows = tf.shape(noise)[0]
        maps = [tf.reshape(self.noise(noise), [rows, height, width, _NOISE])]
        maps.append(tf.reshape(matched, [rows, height, width, _VALUE + 4]))
        x = tf.concat([tf.gather(quarter, anchor), tf.gather(quarter, partner), *maps], axis=-1)
        for layer, modulate in zip(self.quarter, self.modulations[:2], strict=True):
            x = leaky_relu(modulate(layer(x), style))
        x = tf.concat([self.twice(x), tf.gather(half, anchor)], axis=-1)
        for layer, modulate in zip(self.half, self.modulations[2:4], strict=True):
            x = leaky_relu(modulate(layer(x), style))
        return x

    def _shift(self, x: Tensor, towards: Tensor, mean: Tensor, settings: Tensor) -> Tensor:
        """Return the whole warp float[n, h/2, w/2, 2]: local, towards partner and mean, and affine."""
        height, width = self.sides[0] // 4, self.sides[1] // 4
        shares = settings[:, 6:8, None, None] + 0.5
        matched = tf.reshape(shares[:, 0] * towards + shares[:, 1] * mean, [-1, height, width, 2])
        doubled = resampling.resize(
            matched, resampling.bilinear_matrix(height, 2), resampling.bilinear_matrix(width, 2)
        )
        # Averaged over 3x3, a warp folds strokes less.
        local = tf.nn.avg_pool2d(self.local_shift(x) + doubled, 3, 1, "SAME")
        grid = tf.cast(resampling.grid(2 * height, 2 * width), x.dtype)
        affine = tf.reshape(settings[:, :6], [-1, 1, 1, 2, 3])
        return local + tf.reduce_sum(affine[..., :2] * grid[None, :, :, None, :], axis=-1) + affine[..., 2]

    def _finish(self, x: Tensor, sharp: Tensor, plain: Tensor, style: Tensor) -> Tensor:
        """Return the rendered image with the decoder's contrast and correction, in logits of the pixel's level."""
        y = tf.concat([sharp, plain, self.twice(self.to_full(x))], axis=-1)
        for layer, modulate in zip(self.full, self.modulations[4:], strict=True):
            y = leaky_relu(modulate(layer(y), style))
        gain, offset = tf.split(self.correction(y), 2, axis=-1)
        # Levels of exactly -1 and 1 have infinite logits.
        level = atanh(0.97 * self.renderer.mix(sharp, plain))
        return tf.tanh(level * (1.0 + gain) + offset)


@keras.saving.register_keras_serializable("meta_gan")
class FusionDiscriminator(Discriminator):
    """Score a candidate beside every support image.

    The first convolution of a pair is the sum of one of the candidate and one of the support image. So each image is
    convolved once, and pixels at the same position are compared. After a second convolution the pairs of a candidate
    are averaged, which makes the logit the same for every order of the support set. A projection of the task embedding
    is added to the logit.

    Args:
        example_shape: (height, width, channels), sides multiples of 4 from 8 to 64.
        width: int >= 1, features at half size.
        embedding_dim: int >= 0, size of the task embedding; 0 for none.
        normalization: "meta" for `MetaBatchNormalization` conditioned on the task embedding ahead of the last block,
            which requires `embedding_dim` >= 1; or "none".
        seed: int >= 0, seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    Raises:
        ValueError: if an argument is out of range, or the conditioning lacks an entry.

    Example:
        >>> discriminator = FusionDiscriminator((28, 28, 1), width=8)
        >>> discriminator(tf.zeros([3, 28, 28, 1]), conditioning={"support": tf.zeros([5, 28, 28, 1])}).shape
        TensorShape([3, 1])

    References:
        Antoniou et al., Data Augmentation Generative Adversarial Networks, 2017, for scoring pairs of one class;
        Miyato and Koyama, cGANs with Projection Discriminator, 2018.
    """

    sees_support = True

    def __init__(
        self,
        example_shape: Shape,
        width: int = 32,
        embedding_dim: int = 0,
        normalization: str = "none",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(example_shape, seed, width, embedding_dim, **kwargs)
        height, length, channels = check_sides(example_shape)
        self.normalization = check_choice(normalization, "normalization", NORMALIZATIONS)
        if normalization == "meta" and not embedding_dim:
            raise ValueError(f"'embedding_dim' must be >= 1 with 'normalization' 'meta'. Received: {embedding_dim!r}")
        make, w = LayerFactory(self.seed, type(self).__name__, self.dtype_policy), self.width
        self.candidate = make.convolution(channels, w, 4, "candidate", 2)
        self.support = make.convolution(channels, w, 4, "support", 2)
        self.pair = make.convolution(w, 2 * w, 4, "pair", 2)
        self.joint = make.convolution(2 * w, 3 * w, 4, "joint", 2)
        self.size = -(-height // 8) * -(-length // 8) * 3 * w
        self.readout = make.dense(self.size, 1, "readout")
        if self.embedding_dim:
            self.projection = make.dense(self.embedding_dim, 3 * w, "projection")
        if normalization == "meta":
            options = {"seed": self.seed, "name": "modulation", "dtype": self.dtype_policy}
            self.modulation = MetaBatchNormalization(blend=0.9, **options)
            self.modulation.build((None, None, None, 2 * w), (self.embedding_dim,))
        self.build((None, *self.example_shape))

    def call(self, images: Tensor, conditioning: Any = None, training: bool = False) -> Tensor:
        """Return logits float[n, 1] of `images` float[n, *example_shape], beside the support set in `conditioning`."""
        support, embedding = self.read_conditioning(conditioning)
        candidates, others = self.candidate(images), self.support(support)
        count, pairs = tf.shape(images)[0], tf.shape(support)[0]
        both = leaky_relu(candidates[:, None] + others[None])
        merged = tf.reshape(both, [count * pairs, *candidates.shape[1:]])
        compared = leaky_relu(self.pair(merged))
        mean = tf.reduce_mean(tf.reshape(compared, [count, pairs, *compared.shape[1:]]), axis=1)
        if self.normalization == "meta":
            mean = self.modulation(mean, embedding)
        joint = leaky_relu(self.joint(mean))
        logits = self.readout(tf.reshape(joint, [count, self.size]))
        if embedding is not None:
            direction = self.projection(embedding[None])
            logits += tf.reduce_mean(tf.reduce_mean(joint, axis=[1, 2]) * direction, axis=-1, keepdims=True)
        return logits


def fusion(
    example_shape: Shape,
    latent_dim: int = 64,
    width: int = 16,
    embedding_dim: int = 0,
    normalization: str = "meta",
    detail: int = 2,
    seed: int = 0,
    temperature: float = 1.0,
    one_shot_temperature: float | None = None,
) -> tuple[FusionGenerator, FusionDiscriminator]:
    """Return a fusion generator and a discriminator of the same width, for a game that conditions on the support set.

    Args:
        example_shape, latent_dim, width, detail, temperature, one_shot_temperature: see `FusionGenerator`.
        embedding_dim: int >= 0, size of the task embedding of the game's task encoder; 0 for a game without one.
        normalization: "meta" or "none"; without a task embedding the discriminator has none.
        seed: int >= 0; the two networks draw their initial weights from different streams of it.

    Returns:
        `(generator, discriminator)`.

    Example:
        >>> generator, discriminator = fusion((28, 28, 1), embedding_dim=32)
        >>> game = meta_gan.games.GAN(generator, discriminator, encoder=TaskEncoder((28, 28, 1), 32))
    """
    generator = FusionGenerator(
        example_shape,
        latent_dim,
        width,
        embedding_dim,
        normalization,
        detail,
        seed,
        temperature,
        one_shot_temperature,
    )
    return generator, discriminator_beside(generator)


def discriminator_beside(generator: Any) -> FusionDiscriminator:
    """Return a discriminator for a fusion generator, of its example shape, width, task embedding and seed."""
    kind = generator.normalization if generator.embedding_dim else "none"
    own = (generator.example_shape, generator.width, generator.embedding_dim)
    return FusionDiscriminator(*own, kind, generator.seed)
