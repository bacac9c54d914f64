"""A support-conditioned generator for pictures in colour and up to 64x64 pixels.

As in `image_fusion`, a sample is a warp of one support image, the anchor, towards another, the partner. Two things are
added for photographs and drawings in colour. Colour and light may come from a third image, the source: where the two
match, the local mean and the local contrast of the anchor move towards those of the source. And images are matched at
two scales: coarse positions by the gist of an object, finer ones by its parts.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import keras
import tensorflow as tf

from meta_gan.checks import check_choice, check_integer
from meta_gan.layers import UpsampleNearest, resampling
from meta_gan.networks.base import LayerFactory, Shape, leaky_relu
from meta_gan.networks.image_fusion import (
    NORMALIZATIONS,
    AnchoredGenerator,
    FusionDiscriminator,
    Matching,
    check_sides,
    choose,
    discriminator_beside,
)
from meta_gan.types import Tensor

CHOICES = 3
"""The leading numbers of z, which choose anchor, partner and source."""
_STYLE, _SUMMARY, _KEY, _VALUE, _NOISE = 128, 64, 32, 32, 8
_SMALL = 0.02  # scale of the readouts: the first samples are support images in mixed colours, matched half way
_FLOOR = 1e-2  # added to the local variance, of levels in [-1, 1], before its logarithm
_SHY = -2.0  # the logit of the residual's gate at the start
_LARGE = 32  # the side above which the scales are one halving coarser


def check_picture(example_shape: Shape) -> tuple[int, int, int]:
    """Return `example_shape` if its sides are multiples of 4 from 8 to 32, or of 8 up to 64, with 1 to 4 channels."""
    height, width, channels = check_sides(example_shape)
    if max(height, width) > _LARGE and (height % 8 or width % 8 or min(height, width) < 16):
        raise ValueError(
            f"'example_shape' must have sides that are multiples of 8 from 16 to 64 where one is above {_LARGE}. "
            f"Received: {tuple(example_shape)}"
        )
    return height, width, channels


class Scales(keras.layers.Layer):
    """Features of images at the fine and the coarse scale.

    Args:
        channels: of the images.
        width: features at full size; twice as many at the fine and four times as many at the coarse scale.
        halvings: from full size to the fine scale; the coarse one has one more.
        make: makes the layers.
        **kwargs: `name` and other arguments of a Keras layer.
    """

    def __init__(self, channels: int, width: int, halvings: int, make: LayerFactory, **kwargs: Any) -> None:
        super().__init__(dtype=make.dtype, **kwargs)
        self.full = make.convolution(channels, width, 3, "full")
        sizes = [width, *[2 * width] * halvings]
        self.down = [make.convolution(a, b, 4, f"down_{i}", 2) for i, (a, b) in enumerate(pairwise(sizes))]
        self.fine = make.convolution(2 * width, 2 * width, 3, "fine")
        self.coarse = make.convolution(2 * width, 4 * width, 4, "coarse", 2)
        self.coarse_again = make.convolution(4 * width, 4 * width, 3, "coarse_again")
        self.built = True

    def call(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return float[n, h/2, w/2, 2 width] and float[n, h/4, w/4, 4 width] of images float[n, h, w, channels] (of a
        side above 32: h/4 and h/8)."""
        x = leaky_relu(self.full(images))
        for layer in self.down:
            x = leaky_relu(layer(x))
        fine = leaky_relu(self.fine(x))
        return fine, leaky_relu(self.coarse_again(leaky_relu(self.coarse(fine))))


def local_light(images: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """Return the local colour and contrast of images.

    Args:
        images: float[n, h, w, c] in [-1, 1].
        block: side of the blocks; divides h and w.

    Returns:
        `(mean float[n, h/block, w/block, c], contrast float[n, h/block, w/block, 1])`: the mean of each block, and half
        the logarithm of the variance of its levels plus a floor.
    """
    mean = tf.nn.avg_pool2d(images, block, block, "VALID")
    square = tf.nn.avg_pool2d(tf.square(images), block, block, "VALID")
    variance = tf.reduce_mean(tf.nn.relu(square - tf.square(mean)), axis=-1, keepdims=True)
    return mean, 0.5 * tf.math.log(variance + _FLOOR)


@keras.saving.register_keras_serializable("meta_gan")
class ColourFusionGenerator(AnchoredGenerator):
    """New pictures of a class from z and its support images, in grey or colour.

    Args:
        example_shape: (height, width, channels), sides multiples of 4 from 8 to 32, or of 8 from 16 to 64.
        latent_dim: int >= 4; `stratified` = 3 of them choose anchor, partner and source.
        width: int >= 1, features at full size.
        embedding_dim: int >= 0, size of the task embedding; 0 for none.
        normalization: "meta", `MetaBatchNormalization` conditioned on the style, or "none", `FiLM` alone.
        detail: int >= 1, points along each pixel at which the warped image is sampled before they are averaged.
        temperature: float > 0, multiplies z, beyond the choices, outside training.
        one_shot_temperature: float > 0, in its place with one support example; see `AnchoredGenerator`. None for the
            same.
        seed: int >= 0, seed of the initial weights.
        **kwargs: `name`, `dtype` and the other arguments of a Keras model.

    `call(z, conditioning)` takes a dict with `support` float[k, *example_shape], any k >= 1, and with `embedding_dim` >
    0 `task_embedding` float[embedding_dim]. Row i depends on row i of z alone.

    Raises:
        ValueError: if an argument is out of range, or the conditioning lacks an entry.

    Example:
        >>> generator = ColourFusionGenerator((32, 32, 3), latent_dim=16, width=8)
        >>> generator(tf.zeros([3, 16]), conditioning={"support": tf.zeros([5, 32, 32, 3])}).shape
        TensorShape([3, 32, 32, 3])

    References:
        Hong et al., F2GAN: Fusing-and-Filling GAN for Few-shot Image Generation, 2020, for fusing support images by
        attention; Reinhard et al., Color Transfer between Images, 2001, for moving colours by mean and deviation. The
        departures: one image is warped, instead of adding features of several, and colours are moved block by block,
        by learned shares, between positions that match.
    """

    stratified = CHOICES

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
        height, length, self.channels = check_picture(example_shape)
        self.normalization = check_choice(normalization, "normalization", NORMALIZATIONS)
        self.detail = check_integer(detail, "detail", 1)
        self.sides, self.block = (height, length), 4 if max(height, length) > _LARGE else 2
        self.fine_sides = (height // self.block, length // self.block)
        self._make_encoder(LayerFactory(self.seed, "colour_fusion", self.dtype_policy))
        self._make_decoder(LayerFactory(self.seed, "colour_fusion_decoder", self.dtype_policy))
        self._make_matrices()
        self.build((None, self.latent_dim))

    def _make_encoder(self, make: LayerFactory) -> None:
        (height, length), w = self.fine_sides, self.width
        noise, coarse = self.latent_dim - CHOICES, (height // 2, length // 2)
        self.scales = Scales(self.channels, w, self.block // 2, make, name="scales")
        self.down_to_fine = make.dense(4 * w, 2 * w, "down_to_fine")
        self.coarse_matching = Matching(coarse, 4 * w, _KEY, _VALUE, make, name="coarse_matching")
        self.fine_matching = Matching((height, length), 4 * w, _KEY, _VALUE, make, name="fine_matching")
        self.summary = make.dense(4 * w * (coarse[0] // 2) * (coarse[1] // 2), _SUMMARY, "summary")
        inputs = noise + 4 * _SUMMARY + self.embedding_dim
        self.style = [make.dense(inputs, 128, "style_0"), make.dense(128, _STYLE, "style_1")]
        self.noise = make.dense(noise, coarse[0] * coarse[1] * _NOISE, "noise")

    def _make_decoder(self, make: LayerFactory) -> None:
        w, c, convolution = self.width, self.channels, make.convolution
        inputs = 3 * 4 * w + _NOISE + _VALUE + 4
        self.coarse = [convolution(inputs, 4 * w, 3, "coarse_0"), convolution(4 * w, 4 * w, 3, "coarse_1")]
        inputs = 4 * w + 2 * w + _VALUE + 4 + c + 1
        self.fine = [convolution(inputs, 3 * w, 3, "fine_0"), convolution(3 * w, 3 * w, 3, "fine_1")]
        self.to_full = convolution(3 * w, w, 1, "to_full")
        self.full = [convolution(w + 2 * c, w, 3, "full_0"), convolution(w, w, 3, "full_1")]
        modulated, meta = enumerate([*self.coarse, *self.fine, *self.full]), self.normalization == "meta"
        self.modulations = [self._modulation(x.filters, i, _STYLE, 2, meta) for i, x in modulated]
        readouts = LayerFactory(self.seed, "colour_fusion_readouts", self.dtype_policy, _SMALL)
        # At the fine scale: a shift, and the shares of the source's colour and contrast.
        self.local = readouts.convolution(3 * w, 4, 3, "local")
        # At full size: a residual of each channel, and its gate.
        self.correction = readouts.convolution(w, c + 1, 3, "correction")
        # An affine map, four shares of matched shifts, a matrix and an offset of colours, and a sharpness.
        self.globals = readouts.dense(_STYLE, 6 + 4 + c * c + c + 1, "globals")
        self.twice = UpsampleNearest(2, name="twice", dtype=self.dtype_policy)
        self.up = UpsampleNearest(self.block, name="up", dtype=self.dtype_policy)

    def _make_matrices(self) -> None:
        """Make the matrices that enlarge images for the warp, and maps of the scales to full size."""
        detail, block, sides, fine = self.detail, self.block, self.sides, self.fine_sides
        self._enlarge = [resampling.cubic_matrix(side, detail) for side in sides]
        self._spread = [resampling.bilinear_matrix(side, block * detail) for side in fine]
        self._light = [resampling.bilinear_matrix(side, block) for side in fine]
        self._double = [resampling.bilinear_matrix(side // 2, 2) for side in fine]
        self._grid = resampling.grid(sides[0] * detail, sides[1] * detail)

    def call(self, z: Tensor, conditioning: Any = None, training: bool = False) -> Tensor:
        """Return examples float[n, *example_shape] of `z` float[n, latent_dim] and the support set."""
        support, embedding = self.read_conditioning(conditioning)
        anchor, partner, source = (choose(z[:, i], tf.shape(support)[0]) for i in range(CHOICES))
        fine, coarse = self.scales(support)
        noise = self._noise(z, tf.shape(support)[0], training)
        pooled = tf.nn.avg_pool2d(coarse, 2, 2, "VALID")
        each = self.summary(tf.reshape(pooled, [tf.shape(pooled)[0], -1]))
        style = self._style(noise, each, embedding, anchor, partner, source)
        shifts, gathered = self.coarse_matching(coarse)
        towards, mean, matched = self._matched(shifts, gathered, anchor, partner)
        x = self._decode_coarse(noise, coarse, matched, style, (anchor, partner, source))
        finer, difference, contrast = self._match_finely(support, fine, coarse, anchor, partner, source)
        x = self._decode_fine(x, fine, finer, difference, contrast, style, anchor)
        settings, local = self.globals(style), self.local(x)
        images = self._recoloured(tf.gather(support, anchor), difference, contrast, local[..., 2:], settings)
        shift = self._shift(local[..., :2], (towards, mean), finer, settings)
        return self._finish(x, self._warped(images, shift), settings, style)

    @staticmethod
    def _matched(shifts: Tensor, gathered: Tensor, anchor: Tensor, partner: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the anchor's shifts towards the partner and on average, float[n, places, 2], and both beside what was
        gathered for it, float[n, places, values + 4]."""
        towards = tf.gather_nd(shifts, tf.stack([partner, anchor], axis=-1))
        mean = tf.gather(tf.reduce_mean(shifts, axis=0), anchor)
        return towards, mean, tf.concat([tf.gather(gathered, anchor), towards, mean], axis=-1)

    def _match_finely(
        self, support: Tensor, fine: Tensor, coarse: Tensor, anchor: Tensor, partner: Tensor, source: Tensor
    ) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor, Tensor]:
        """Match at the fine scale, with features of both.

        Returns:
            What `_matched` returns, and by how much the source's local colour, float[n, h, w, channels], and contrast,
            float[n, h, w, 1], differ from the anchor's where the two match.
        """
        features = tf.concat([fine, self.twice(self.down_to_fine(coarse))], axis=-1)
        share = self.fine_matching.match(features)
        shifts, gathered = self.fine_matching.read(share, features)
        mean, contrast = local_light(support, self.block)
        light = tf.reshape(tf.concat([mean, contrast], axis=-1), [tf.shape(support)[0], -1, self.channels + 1])
        theirs = tf.einsum("jpiq,iqc->jipc", share, light)
        # The anchor's own light is read through its matches too, so that an anchor differs in nothing from itself.
        both = [tf.gather_nd(theirs, tf.stack([anchor, which], axis=-1)) for which in (source, anchor)]
        difference = tf.reshape(both[0] - both[1], [-1, *self.fine_sides, self.channels + 1])
        found = self._matched(shifts, gathered, anchor, partner)
        return found, difference[..., :-1], difference[..., -1:]

    def _decode_coarse(
        self, noise: Tensor, coarse: Tensor, matched: Tensor, style: Tensor, chosen: tuple[Tensor, ...]
    ) -> Tensor:
        """Return features float[n, h, w, 4 width] at the coarse scale."""
        sides, rows = (side // 2 for side in self.fine_sides), tf.shape(noise)[0]
        height, width = sides
        maps = [tf.reshape(self.noise(noise), [rows, height, width, _NOISE])]
        maps.append(tf.reshape(matched, [rows, height, width, _VALUE + 4]))
        x = tf.concat([*[tf.gather(coarse, which) for which in chosen], *maps], axis=-1)
        for layer, modulate in zip(self.coarse, self.modulations[:2], strict=True):
            x = leaky_relu(modulate(layer(x), style))
        return x

    def _decode_fine(
        self,
        x: Tensor,
        fine: Tensor,
        finer: tuple[Tensor, Tensor, Tensor],
        difference: Tensor,
        contrast: Tensor,
        style: Tensor,
        anchor: Tensor,
    ) -> Tensor:
        """Return features float[n, h, w, 3 width] at the fine scale."""
        matched = tf.reshape(finer[2], [-1, *self.fine_sides, _VALUE + 4])
        x = tf.concat([self.twice(x), tf.gather(fine, anchor), matched, difference, contrast], axis=-1)
        for layer, modulate in zip(self.fine, self.modulations[2:4], strict=True):
            x = leaky_relu(modulate(layer(x), style))
        return x

    def _recoloured(
        self, images: Tensor, difference: Tensor, contrast: Tensor, shares: Tensor, settings: Tensor
    ) -> Tensor:
        """Return the anchors with learned shares of the source's colour and contrast, and in changed colours overall.

        At first half of the source's colour and contrast is taken over.
        """
        c = self.channels
        shares = tf.sigmoid(shares)
        moved = resampling.resize(shares[..., :1] * difference, *self._light)
        gain = tf.exp(resampling.resize(shares[..., 1:] * contrast, *self._light))
        low = resampling.resize(tf.nn.avg_pool2d(images, self.block, self.block, "VALID"), *self._light)
        images = (images - low) * gain + low + moved
        matrix = tf.reshape(settings[:, 10 : 10 + c * c], [-1, 1, 1, c, c])
        offset = settings[:, None, None, 10 + c * c : 10 + c * c + c]
        return images + tf.reduce_sum(matrix * images[..., None, :], axis=-1) + offset

    def _shift(
        self, local: Tensor, coarse: tuple[Tensor, Tensor], finer: tuple[Tensor, Tensor, Tensor], settings: Tensor
    ) -> Tensor:
        """Return the whole warp float[n, h, w, 2] at the fine scale: local, matched and affine."""
        height, width = self.fine_sides
        shares = settings[:, 6:10, None, None] + 0.25
        small = tf.reshape(shares[:, 0] * coarse[0] + shares[:, 1] * coarse[1], [-1, height // 2, width // 2, 2])
        large = tf.reshape(shares[:, 2] * finer[0] + shares[:, 3] * finer[1], [-1, height, width, 2])
        matched = resampling.resize(small, *self._double) + large
        local = tf.nn.avg_pool2d(local + matched, 3, 1, "SAME")  # Averaged over 3x3, a warp folds less.
        grid = tf.cast(resampling.grid(height, width), local.dtype)
        affine = tf.reshape(settings[:, :6], [-1, 1, 1, 2, 3])
        return local + tf.reduce_sum(affine[..., :2] * grid[None, :, :, None, :], axis=-1) + affine[..., 2]

    def _warped(self, images: Tensor, shift: Tensor) -> Tensor:
        """Return images float[n, h, w, c] sampled at a shift float[n, *fine scale, 2], averaged over finer points."""
        enlarged = resampling.resize(images, *self._enlarge) if self.detail > 1 else images
        positions = tf.cast(self._grid, shift.dtype) + resampling.resize(shift, *self._spread)
        warped = resampling.sample_at(enlarged, positions)
        return tf.nn.avg_pool2d(warped, self.detail, self.detail, "VALID") if self.detail > 1 else warped

    def _finish(self, x: Tensor, warped: Tensor, settings: Tensor, style: Tensor) -> Tensor:
        """Return the warped images, sharpened, with the gated residual of the decoder."""
        blurred = tf.nn.avg_pool2d(warped, 3, 1, "SAME")
        sharp = warped + (0.25 + settings[:, -1, None, None, None]) * (warped - blurred)
        y = tf.concat([sharp, blurred, self.up(self.to_full(x))], axis=-1)
        for layer, modulate in zip(self.full, self.modulations[4:], strict=True):
            y = leaky_relu(modulate(layer(y), style))
        change = self.correction(y)
        gate = tf.sigmoid(change[..., -1:] + _SHY)
        return tf.clip_by_value(sharp + 2.0 * gate * tf.tanh(change[..., :-1]), -1.0, 1.0)


def colour_fusion(
    example_shape: Shape,
    latent_dim: int = 64,
    width: int = 16,
    embedding_dim: int = 0,
    normalization: str = "meta",
    detail: int = 2,
    seed: int = 0,
    temperature: float = 1.0,
    one_shot_temperature: float | None = None,
) -> tuple[ColourFusionGenerator, FusionDiscriminator]:
    """Return a colour fusion generator and a fusion discriminator of the same width.

    Args:
        example_shape, latent_dim, width, detail, temperature, one_shot_temperature: see `ColourFusionGenerator`.
        embedding_dim: int >= 0, size of the task embedding of the game's task encoder; 0 for a game without one.
        normalization: "meta" or "none"; without a task embedding the discriminator has none.
        seed: int >= 0; the two networks draw their initial weights from different streams of it.

    Returns:
        `(generator, discriminator)`.

    Example:
        >>> generator, discriminator = colour_fusion((64, 64, 3), embedding_dim=32)
        >>> game = meta_gan.games.GAN(generator, discriminator, encoder=TaskEncoder((64, 64, 3), 32))
    """
    generator = ColourFusionGenerator(
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
