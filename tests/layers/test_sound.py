"""Layers for sounds: bands and spectrograms by hand, warping, shuffling, derivatives, refusals."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_gan import functional
from meta_gan.layers import Bands, LogMel, PhaseShuffle
from meta_gan.layers.resampling import sound_at
from meta_gan.layers.sequences import band_matrix, hertz, mel
from tests.layers.finite_differences import directional_error

RATE = 8000


def tones(hertz_, samples=4096, loud=0.5):
    time = np.arange(samples) / RATE
    return np.stack([loud * np.sin(2 * np.pi * f * time) for f in hertz_])[..., None]


def test_mel_by_hand():
    assert mel(0.0) == 0 and abs(mel(700.0) - 2595 * np.log10(2)) < 1e-9
    np.testing.assert_allclose(hertz(mel([10.0, 440.0, 3999.0])), [10.0, 440.0, 3999.0])


@pytest.mark.parametrize(("bins", "bands"), [(2, 2), (65, 20), (257, 32)])
def test_the_bands_of_every_frequency_sum_to_one(bins, bands):
    matrix = band_matrix(bins, RATE, bands)
    assert matrix.shape == (bins, bands) and matrix.min() >= 0
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0)
    assert matrix[0].argmax() == 0 and matrix[-1].argmax() == bands - 1


def test_a_tone_lies_in_its_band():
    layer = LogMel(RATE, hop=256, bands=32)
    found = layer(tones([300.0, 1000.0, 3000.0])).numpy()[:, 4:12, :, 0].mean(axis=1)
    centres = hertz(np.linspace(0.0, mel(RATE / 2), 32))
    nearest = [np.abs(centres - f).argmin() for f in (300.0, 1000.0, 3000.0)]
    assert np.abs(found.argmax(axis=1) - nearest).max() <= 1


def test_ten_decibels_by_hand():
    """Power is a square: a tenth of the amplitude is 20 dB, of the 54.8 that the scale spans."""
    layer = LogMel(RATE)
    loud, soft = (layer(tones([1000.0], loud=a)).numpy().max() for a in (0.1, 0.01))
    span = 10 * np.log10(3e-2 / 1e-7)
    np.testing.assert_allclose(loud - soft, 2 * 20 / span, atol=0.01)


def test_silence_and_loud_tones():
    """A louder tone has a higher level; a clipped one would have no gradient towards a quieter one."""
    layer = LogMel(RATE)
    np.testing.assert_array_equal(layer(np.zeros((1, 1024, 1), np.float32)), -np.ones((1, 4, 32, 1)))
    full, half = (float(np.max(layer(tones([1000.0], loud=a)))) for a in (1.0, 0.5))
    span = 10 * np.log10(3e-2 / 1e-7)
    assert full > 1
    np.testing.assert_allclose(full - half, 2 * 20 * np.log10(2) / span, atol=1e-3)
    sounds = tf.Variable(tones([1000.0], loud=1.0))
    with tf.GradientTape() as tape:
        loss = tf.reduce_max(layer(sounds))
    assert np.abs(tape.gradient(loss, sounds)).max() > 0


@pytest.mark.parametrize("samples", [256, 257, 1000, 8192])
def test_frames(samples):
    assert LogMel(RATE)(np.zeros((2, samples, 1), np.float32)).shape == (2, -(-samples // 256), 32, 1)
    assert LogMel(RATE).compute_output_shape((2, samples, 1)) == (2, -(-samples // 256), 32, 1)


@pytest.mark.parametrize("taps", [17, 129])
def test_bands_sum_to_the_sound(taps):
    sounds = np.random.default_rng(0).normal(size=(2, 500, 1))
    parts = Bands(RATE, 12, taps, dtype="float64")(sounds)
    assert parts.shape == (2, 500, 12)
    np.testing.assert_allclose(tf.reduce_sum(parts, axis=-1), sounds[..., 0], atol=1e-12)


def test_a_tone_is_in_its_band():
    parts = Bands(RATE, 12)(tones([1000.0])).numpy()[0, 500:-500]
    centres = hertz(np.linspace(0.0, mel(RATE / 2), 12))
    assert abs(np.square(parts).sum(axis=0).argmax() - np.abs(centres - 1000.0).argmin()) <= 1


def test_sampling_by_hand():
    sound = tf.constant([[0.0, 1.0, 4.0, 9.0, 16.0]], tf.float64)
    np.testing.assert_allclose(sound_at(sound, tf.constant([[0.0, 1.0, 4.0]], tf.float64)), [[0, 1, 16]], atol=1e-12)
    # Keys's interpolation is exact for squares.
    np.testing.assert_allclose(sound_at(sound, tf.constant([[1.5, 2.25]], tf.float64)), [[2.25, 5.0625]])
    far = tf.constant([[-1.0, -7.0, 6.0, 1e9, -1e9]], tf.float64)
    np.testing.assert_allclose(sound_at(sound, far), np.zeros((1, 5)), atol=1e-12)


def test_a_delay_is_a_delay():
    sound = tones([440.0])[..., 0]
    late = sound_at(tf.constant(sound), tf.range(4096.0, dtype=tf.float64)[None] - 3.5)
    exact = 0.5 * np.sin(2 * np.pi * 440.0 * (np.arange(4096) - 3.5) / RATE)
    np.testing.assert_allclose(late[0, 10:], exact[10:], atol=2e-3)


@pytest.mark.parametrize("kind", ["levels", "bands", "warped"])
def test_second_derivatives(kind):
    """A spectrogram is flat at silence, so the sound is not silent."""
    make = {"levels": LogMel(RATE, hop=8, bands=4, dtype="float64"), "bands": Bands(RATE, 3, 5, dtype="float64")}
    sounds = tf.constant(0.05 * np.random.default_rng(0).normal(size=(2, 32, 1)))
    weights = tf.constant(np.random.default_rng(1).normal(size=(2, 32)))

    def first(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            x, shift = values
            if kind == "warped":
                made = sound_at(x[..., 0], tf.range(32.0, dtype=tf.float64) + tf.tanh(shift)) * weights
            else:
                made = tf.tanh(make[kind](x * shift[..., None]))
            loss = tf.reduce_sum(tf.square(made))
        return sum(tf.reduce_sum(tf.square(g)) for g in tape.gradient(loss, values))

    start = [sounds, tf.constant(0.3 + 0.01 * np.random.default_rng(2).normal(size=(2, 32)))]
    assert max(directional_error(tf.function(first), start, step=1e-6)) < 1e-4


def test_a_shuffle_by_hand():
    x = tf.reshape(tf.range(8.0), [1, 8, 1]) + tf.zeros([64, 1, 1])
    made = PhaseShuffle(2)(x, training=True).numpy()[..., 0]
    ways = {tuple(row) for row in made}
    expected = np.pad(np.arange(8.0), 2, mode="reflect")
    assert ways == {tuple(expected[i : i + 8]) for i in range(5)}, "all five shifts occur, mirrored at the ends"
    np.testing.assert_array_equal(PhaseShuffle(2)(x), x)


def test_a_shuffle_is_a_function_of_the_calls_key():
    net = keras.Sequential([keras.Input((16, 1)), PhaseShuffle(3)])
    x = tf.constant(np.random.default_rng(0).normal(size=(5, 16, 1)), tf.float32)
    state = [tf.convert_to_tensor(v) for v in net.non_trainable_variables]
    calls = [functional.call(net, [], state, x, None, True, tf.constant([1, seed])) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(calls[0][0], calls[1][0])
    assert np.abs(calls[0][0] - calls[2][0]).max() > 0
    assert all(np.array_equal(a, b) for a, b in zip(calls[0][1], state, strict=True)), "the state comes back as it was"


def test_saved_and_loaded(tmp_path):
    net = keras.Sequential([keras.Input((512, 1)), PhaseShuffle(2, seed=3), Bands(RATE, 4, 9)])
    net.save(tmp_path / "a.keras")
    again = keras.models.load_model(tmp_path / "a.keras")
    x = tones([300.0, 900.0], 512)
    np.testing.assert_array_equal(net(x, training=True), again(x, training=True))
    spectrum = keras.Sequential([keras.Input((512, 1)), LogMel(RATE, 64, 8)])
    spectrum.save(tmp_path / "b.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "b.keras")(x), spectrum(x))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LogMel(0), "'rate' must be a finite number > 0"),
        (lambda: LogMel(RATE, hop=1), "'hop' must be an integer >= 2"),
        (lambda: Bands(RATE, 1), "'bands' must be an integer >= 2"),
        (lambda: Bands(RATE, 4, 8), "'taps' must be odd"),
        (lambda: Bands(float("nan"), 4), "'rate' must be a finite number > 0"),
        (lambda: PhaseShuffle(0), "'most' must be an integer >= 1"),
        (lambda: PhaseShuffle(True), "'most' must be an integer >= 1"),
    ],
)
def test_bad_arguments_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
