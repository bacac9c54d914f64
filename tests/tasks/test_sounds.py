"""Sounds: files of any kind, resampling, trimming, folders, archives, TFDS, and writing."""

import wave

import numpy as np
import pytest

from meta_gan.tasks import (
    DataError,
    from_npz,
    from_sound_folder,
    from_sounds,
    load_support_sounds,
    open_source,
)
from meta_gan.tasks.media import Sounds
from meta_gan.tasks.media.sounds import (
    fit,
    fitted,
    read_sound,
    resample,
    to_int16,
    trim,
    write_wav,
)

soundfile = pytest.importorskip("soundfile", reason="needs the extra 'sound'")
RATE = 8000


def tone(seconds=0.1, rate=RATE, hertz=440.0, loud=0.5):
    return (loud * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def folder_of(path, classes=("high", "low"), count=4, suffix=".wav"):
    for number, name in enumerate(classes):
        (path / name).mkdir()
        for i in range(count):
            sound = tone(0.1 + 0.005 * i, hertz=300.0 * (number + 1))
            soundfile.write(str(path / name / f"{i}{suffix}"), sound, RATE)
    return path


@pytest.mark.parametrize(("subtype", "error"), [("PCM_16", 4e-5), ("PCM_24", 1e-7), ("PCM_32", 1e-7), ("FLOAT", 0)])
def test_bit_depths(tmp_path, subtype, error):
    soundfile.write(str(tmp_path / "a.wav"), tone(), RATE, subtype=subtype)
    sound, rate = read_sound(tmp_path / "a.wav")
    assert rate == RATE and sound.dtype == np.float32
    np.testing.assert_allclose(sound, tone(), atol=error + 1e-9)


def test_stereo_is_averaged(tmp_path):
    both = np.stack([tone(), np.zeros_like(tone())], axis=1)
    soundfile.write(str(tmp_path / "a.wav"), both, RATE, subtype="FLOAT")
    np.testing.assert_allclose(read_sound(tmp_path / "a.wav")[0], tone() / 2, atol=1e-7)


def test_another_rate_is_the_same_tone():
    there = resample(tone(rate=16000), 16000, RATE)
    assert abs(len(there) - 800) <= 1
    middle = slice(200, 600)  # the filter rings at the ends
    np.testing.assert_allclose(there[middle], tone()[middle], atol=5e-3)
    assert resample(there, RATE, RATE) is there


def test_frequencies_above_half_the_rate_are_filtered_out():
    assert np.abs(resample(tone(rate=16000, hertz=6000), 16000, RATE)[200:600]).max() < 0.01


def test_trim_by_hand():
    sound = np.array([0.0, 0.004, 0.5, 0.0, -0.3, 0.004, 0.0], np.float32)  # .004 is 42 dB below .5
    np.testing.assert_array_equal(trim(sound), sound[2:5])
    np.testing.assert_array_equal(trim(np.zeros(4)), np.zeros(4))
    np.testing.assert_array_equal(fit(np.ones(2), 4), [1, 1, 0, 0])
    np.testing.assert_array_equal(fit(np.arange(5.0), 2), [0, 1])


def test_one_rate_and_length_for_all():
    stored, medium = fitted([(tone(0.1), RATE), (tone(0.05, 16000), 16000)], None, None)
    assert stored.shape == (2, 1024, 1) and stored.dtype == np.int16 and medium.rate == RATE
    assert np.flatnonzero(stored[1]).max() < 410  # 400 samples at the lower rate
    assert fitted([(tone(), RATE)], 4000, 300)[0].shape == (1, 300, 1)
    assert fitted([(tone(3.0), RATE)], None, None)[0].shape == (1, 16384, 1)  # no longer than that unasked


def test_a_folder_of_classes(tmp_path):
    tasks = from_sound_folder(folder_of(tmp_path), shots=1, queries=2)
    assert tasks.source.class_names == ["high", "low"] and tasks.example_shape == (1024, 1)
    assert tasks.source.class_sizes.tolist() == [4, 4] and tasks.card == {"medium": "sounds", "rate": RATE}
    again = open_source(str(tmp_path), shots=1, queries=2)
    np.testing.assert_array_equal(again.source.images, tasks.source.images)
    assert open_source(str(tmp_path), shots=1, queries=1, rate=4000, length=256).example_shape == (256, 1)


def test_flac_and_hidden_files(tmp_path):
    folder_of(tmp_path, suffix=".flac")
    (tmp_path / "high" / ".hidden.wav").write_bytes(b"no sound")
    (tmp_path / "high" / "notes.txt").write_text("no sound")
    assert from_sound_folder(tmp_path, shots=1, queries=1).source.class_sizes.tolist() == [4, 4]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "must be a whole"), (b"RIFF....WAVEfmt ", "must be a whole"), (None, "at least 1")],
)
def test_a_bad_file_is_named(tmp_path, content, said):
    path = tmp_path / "bad.wav"
    if content is None:
        soundfile.write(str(path), np.zeros(0, np.float32), RATE)
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"bad.wav: .*{said}"):
        read_sound(path)


def test_a_sound_that_is_not_finite(tmp_path):
    soundfile.write(str(tmp_path / "a.wav"), np.array([0.0, np.nan], np.float32), RATE, subtype="FLOAT")
    with pytest.raises(DataError, match=r"a.wav: must hold finite samples.*Received: samples that are NaN"):
        read_sound(tmp_path / "a.wav")


def test_folders_without_sounds(tmp_path):
    with pytest.raises(FileNotFoundError, match="must exist"):
        from_sound_folder(tmp_path / "none")
    with pytest.raises(DataError, match="Received: 0 files and no folder"):
        from_sound_folder(tmp_path)
    folder_of(tmp_path)
    (tmp_path / "mute").mkdir()
    with pytest.raises(DataError, match=r"none in 1 of 3 folders, such as 'mute'"):
        from_sound_folder(tmp_path)


def test_arrays_and_archives(tmp_path):
    audio = np.random.default_rng(0).integers(-999, 999, (8, 64)).astype(np.int16)
    labels = np.repeat([0, 1], 4)
    np.savez(tmp_path / "a.npz", audio=audio, labels=labels, rate=np.array(RATE), class_split=np.array([0, 2]))
    tasks = from_npz(tmp_path / "a.npz", shots=1, queries=1)
    np.testing.assert_array_equal(tasks.source.images[..., 0], audio)
    assert tasks.splits == {"train": ["0"], "validation": [], "test": ["1"]} and tasks.card["rate"] == RATE
    same = from_sounds(audio / 32768, labels, RATE, shots=1, queries=1)
    np.testing.assert_array_equal(same.source.images, tasks.source.images)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rate": None}, "sounds need 'rate'"),
        ({"rate": np.array([8000, 1])}, "'rate' must be one integer"),
        ({"rate": np.array(0)}, "'rate' must be one integer"),
        ({"audio": np.zeros((8, 64), np.int64)}, "'audio' must be int16 or floats"),
        ({"audio": np.full((8, 64), 2.0)}, "must be finite and lie in"),
        ({"audio": np.full((8, 64), np.nan)}, "must be finite and lie in"),
    ],
)
def test_archives_that_do_not_fit(tmp_path, changes, said):
    arrays = {"audio": np.zeros((8, 64)), "labels": np.repeat([0, 1], 4), "rate": np.array(RATE), **changes}
    np.savez(tmp_path / "a.npz", **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(DataError, match=said):
        from_npz(tmp_path / "a.npz", shots=1, queries=1)


def test_an_image_shape_is_not_for_sounds(tmp_path):
    np.savez(tmp_path / "a.npz", audio=np.zeros((8, 64)), labels=np.repeat([0, 1], 4), rate=np.array(RATE))
    with pytest.raises(DataError, match="'image_shape' must be None for 'audio'"):
        from_npz(tmp_path / "a.npz", image_shape=(8, 8, 1))
    with pytest.raises(DataError, match="'image_shape' is for images"):
        open_source(str(folder_of(tmp_path)), image_shape=(8, 8, 1))
    with pytest.raises(DataError, match="'rate' and 'length' are for folders of sounds or texts"):
        open_source(str(tmp_path / "a.npz"), rate=8000)


def test_a_written_file_is_read_back(tmp_path):
    write_wav(tmp_path / "a.wav", tone()[:, None], RATE)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
    sound, rate = read_sound(tmp_path / "a.wav")
    assert rate == RATE
    np.testing.assert_array_equal(to_int16(sound[None])[0, :, 0], to_int16(tone()[None])[0, :, 0])
    with pytest.raises(DataError, match=r"b.wav: a sound must be .*Received: shape \(3, 2\)"):
        write_wav(tmp_path / "b.wav", np.zeros((3, 2)), RATE)


def test_stored_levels_are_written_unchanged(tmp_path):
    stored = np.array([[0], [1], [-32768], [32767]], np.int16)
    write_wav(tmp_path / "a.wav", stored, RATE)
    with wave.open(str(tmp_path / "a.wav")) as file:
        np.testing.assert_array_equal(np.frombuffer(file.readframes(4), "<i2"), stored[:, 0])
    for wrong in (np.zeros((4, 1), np.int64), np.full((4, 1), np.nan)):
        with pytest.raises(DataError, match="a sound must be int16, or finite floats"):
            write_wav(tmp_path / "b.wav", wrong, RATE)


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_a_file_that_was_cut_off(tmp_path, subtype):
    path = tmp_path / "a.wav"
    soundfile.write(str(path), tone(), RATE, subtype=subtype)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"a.wav: must be a whole WAV file, of \d+ bytes. Received: \d+"):
        read_sound(path)
    path.write_bytes(whole[:4] + b"\xff\xff\xff\xff" + whole[8:])  # a stream says so
    assert len(read_sound(path)[0]) == 800


def test_a_sound_of_no_sample_at_the_rate(tmp_path):
    with pytest.raises(DataError, match=r"short.wav: must have a sample at 8000 Hz. Received: 1 at 48000 Hz"):
        fitted([(np.ones(1, np.float32), 48000)], RATE, None, ["short.wav"])


def test_an_archive_in_the_form_of_the_model_is_unchanged(tmp_path):
    audio = np.zeros((2, 64), np.int16)
    audio[:, 40:50] = 1000
    np.savez(tmp_path / "own.npz", audio=audio, rate=np.array(RATE))
    np.testing.assert_array_equal(
        Sounds(RATE).read_support(tmp_path / "own.npz", (64, 1), {})[0][..., 0], audio / 32768
    )
    np.testing.assert_array_equal(load_support_sounds(tmp_path / "own.npz", RATE, 64)[..., 0], audio / 32768)
    longer, _ = Sounds(RATE).read_support(tmp_path / "own.npz", (80, 1), {})
    np.testing.assert_array_equal(np.flatnonzero(longer[0, :, 0]), np.arange(10))  # of another form: trimmed


def test_a_missing_split(tmp_path):
    arrays = {"audio": np.zeros((8, 64)), "labels": np.repeat([0, 1], 4), "rate": np.array(RATE)}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match="'split_key' must be one of"):
        from_npz(tmp_path / "a.npz", split_key="speaker_spilt")
    np.savez(tmp_path / "b.npz", **{**arrays, "labels": np.zeros(3)})
    with pytest.raises(DataError, match=r"b.npz: 'labels' must be 8 integers or strings"):
        from_npz(tmp_path / "b.npz")


@pytest.mark.data
def test_the_spoken_digits(data_folder):
    tasks = from_npz(data_folder / "fsdd_wave8192.npz", shots=5, queries=10)
    assert tasks.example_shape == (8192, 1) and tasks.source.class_sizes.tolist() == [300] * 10
    assert "3000 sounds of 1.02 s at 8000 Hz" in tasks.describe()
