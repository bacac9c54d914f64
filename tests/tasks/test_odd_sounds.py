"""Sound files of pipes, with odd chunks, cut off, too long, or no files at all."""

from __future__ import annotations

import os
import struct

import numpy as np
import pytest

from meta_gan.tasks import DataError, from_sound_folder, limits, load_support_sounds
from meta_gan.tasks.media.sounds import prepared, read_rate, read_sound
from tests.tasks.helpers import mutant, square, write_image

soundfile = pytest.importorskip("soundfile")

RATE, COUNT = 8000, 1500
LEVELS = (np.sin(np.arange(COUNT) / 9) * 16000).astype("<i2")
FORM = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
BYTES = struct.pack("<HHIIHH", 1, 1, RATE, RATE, 1, 8)


def wav(*chunks: tuple[bytes, bytes], riff: int | None = None, data: int | None = None, padded: bool = True) -> bytes:
    """Write the chunks of a WAV file, with sizes that may be false."""
    body = b"WAVE"
    for name, content in chunks:
        size = data if name == b"data" and data is not None else len(content)
        body += name + struct.pack("<I", size) + content + b"\0" * (padded and len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body) if riff is None else riff) + body


SOUND = ((b"fmt ", FORM), (b"data", LEVELS.tobytes()))


@pytest.mark.parametrize(
    ("riff", "data"),
    [
        (0xFFFFFFFF, 0xFFFFFFFF),  # ffmpeg
        (0x7FFFF024, 0x7FFFF000),  # sox
        (0x80000024, 0x80000000),  # arecord
        (0xFFFFFFFF, 0),
        (0, 0),
        (36, 0),
        (8, 0),
        (0, 2 * COUNT),
        (0x7FFFF024, 2 * COUNT),
        (36, 0xFFFFFFFF),
        (10**6, 2 * COUNT),
        (12, 2 * COUNT),
    ],
)
def test_sizes_that_were_never_filled_in(tmp_path, riff, data):
    (tmp_path / "a.wav").write_bytes(wav(*SOUND, riff=riff, data=data))
    sound, rate = read_sound(tmp_path / "a.wav")
    assert rate == RATE
    np.testing.assert_array_equal(sound, LEVELS / np.float32(32768))


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("content", [b"abc", b"a", b"abcde" * 11])
def test_chunks_of_odd_sizes(tmp_path, padded, content):
    (tmp_path / "a.wav").write_bytes(wav((b"fmt ", FORM), (b"LIST", content), SOUND[1], padded=padded))
    np.testing.assert_array_equal(read_sound(tmp_path / "a.wav")[0], LEVELS / np.float32(32768))


@pytest.mark.parametrize("padded", [True, False])
def test_an_odd_number_of_bytes(tmp_path, padded):
    content = bytes(range(128, 255))
    (tmp_path / "a.wav").write_bytes(wav((b"fmt ", BYTES), (b"data", content), padded=padded))
    np.testing.assert_array_equal(read_sound(tmp_path / "a.wav")[0], np.arange(127, dtype=np.float32) / 128)


def test_a_stream_after_an_odd_chunk(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav((b"fmt ", FORM), (b"LIST", b"abc"), SOUND[1], riff=0xFFFFFFFF, data=0))
    assert len(read_sound(tmp_path / "a.wav")[0]) == COUNT


@pytest.mark.parametrize("trailing", [b"", b"x" * 40])
def test_a_file_that_was_cut_off_is_refused_and_one_without_its_tail_is_not(tmp_path, trailing):
    whole = wav(*SOUND, (b"LIST", trailing)) if trailing else wav(*SOUND)
    (tmp_path / "a.wav").write_bytes(whole[: 44 + COUNT])
    with pytest.raises(DataError, match=r"a.wav: must be a whole WAV file, of 3044 bytes. Received: 1544"):
        read_sound(tmp_path / "a.wav")
    (tmp_path / "a.wav").write_bytes(whole[: 44 + 2 * COUNT + len(trailing) // 2])
    assert len(read_sound(tmp_path / "a.wav")[0]) == COUNT


def test_an_empty_chunk_of_samples_is_no_stream(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav((b"fmt ", FORM), (b"data", b""), (b"LIST", b"x" * 100)))
    with pytest.raises(DataError, match=r"a.wav: must hold finite samples, at least 1. Received: no sample"):
        read_sound(tmp_path / "a.wav")


@pytest.mark.parametrize("suffix", ["flac", "ogg"])
def test_other_formats_that_were_cut_off(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(str(path), np.random.default_rng(0).normal(size=20000) / 9, RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"a.{suffix}: must (be a whole WAV|hold finite samples)"):
        read_sound(path)


def test_blocks_give_what_one_read_gives(tmp_path, monkeypatch):
    samples = np.random.default_rng(0).uniform(-1, 1, (5000, 3)).astype(np.float32)
    for suffix in ("wav", "flac", "ogg"):
        soundfile.write(str(tmp_path / f"a.{suffix}"), samples, RATE)
        whole, _ = soundfile.read(str(tmp_path / f"a.{suffix}"), dtype="float32")
        monkeypatch.setattr("meta_gan.tasks.media.sounds._BLOCK", 100)
        read, _ = read_sound(tmp_path / f"a.{suffix}")
        np.testing.assert_array_equal(read, np.clip(whole.mean(axis=1), -1, 1))


def test_limits(tmp_path, monkeypatch):
    path = tmp_path / "a.flac"
    soundfile.write(str(path), np.zeros(5000), RATE)
    monkeypatch.setattr(limits, "SAMPLES", 4999)
    with pytest.raises(DataError, match=r"a.flac: must have at most 4999 samples .*; cut it.*Received: 5000"):
        read_sound(path)
    monkeypatch.setattr(limits, "SAMPLES", 5000)
    assert len(read_sound(path)[0]) == 5000
    assert len(prepared(path, 4000, None)) == 2500
    with pytest.raises(DataError, match=r"a.flac: must have at most 5000 samples at 16000 Hz"):
        prepared(path, 16000, None)
    monkeypatch.setattr(limits, "SAMPLES", 2**23)
    assert len(prepared(path, 16000, None)) == 10000
    monkeypatch.setattr(limits, "CHANNELS", 1)
    soundfile.write(str(tmp_path / "b.wav"), np.zeros((50, 2)), RATE)
    with pytest.raises(DataError, match=r"b.wav: a sound may have at most 1 channels; convert it. Received: 2"):
        read_sound(tmp_path / "b.wav")


@pytest.mark.parametrize("rate", [1, 99, 1_000_001, 2**31 - 1])
def test_sampling_rates_out_of_range(tmp_path, rate):
    content = struct.pack("<HHIIHH", 1, 1, rate, (2 * rate) % 2**32, 2, 16)
    (tmp_path / "a.wav").write_bytes(wav((b"fmt ", content), SOUND[1]))
    for read in (read_sound, read_rate, lambda p: load_support_sounds(p, 8000, 64)):
        with pytest.raises(DataError, match=rf"a.wav: the sampling rate must be 100 to 1000000.*Received: {rate} Hz"):
            read(tmp_path / "a.wav")


def test_special_files(tmp_path):
    os.mkfifo(tmp_path / "f.wav")
    (tmp_path / "z.wav").symlink_to("/dev/zero")
    for name, what in (("f.wav", "a FIFO"), ("z.wav", "a device")):
        for read in (read_sound, lambda p: load_support_sounds(p, 8000, 64)):
            with pytest.raises(DataError, match=rf"{name}: must be .*Received: {what}"):
                read(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"gone.wav, nothing"):
        read_sound(tmp_path / "gone.wav")


def test_a_support_folder_names_what_it_passes_over_and_skips(tmp_path):
    for name in ("a", "c"):
        (tmp_path / f"{name}.wav").write_bytes(wav(*SOUND))
    (tmp_path / "b.wav").write_bytes(b"no sound")
    (tmp_path / "d.mp3").touch()
    from meta_gan.tasks.media import Sounds

    with pytest.raises(DataError, match=r"b.wav: must be a whole WAV"):
        Sounds(RATE).read_support(tmp_path, (64, 1), {})
    sounds, note = Sounds(RATE).read_support(tmp_path, (64, 1), {}, on_bad_file="skip")
    assert sounds.shape == (2, 64, 1)
    assert "b.wav: must be a whole WAV" in note and "2 sounds were read; passed over 1 file: d.mp3 (another" in note


def test_a_folder_of_sounds_with_bad_files_and_a_small_class(tmp_path):
    for name, count in (("high", 3), ("low", 2), ("one", 1)):
        (tmp_path / name).mkdir()
        for index in range(count):
            (tmp_path / name / f"{index}.wav").write_bytes(wav(*SOUND))
    (tmp_path / "high" / "bad.wav").write_bytes(b"RIFF")
    write_image(tmp_path / "high" / "cover.png", square())
    (tmp_path / "lost+found").mkdir()
    options = {"shots": 1, "queries": 1}
    with pytest.raises(DataError, match=r"bad.wav: must be a whole"):
        from_sound_folder(tmp_path, **options)
    source = from_sound_folder(tmp_path, **options, on_bad_file="skip", small_classes="skip").source
    assert source.class_names == ["high", "low"] and source.class_sizes.tolist() == [3, 2]
    assert "bad.wav" in source.skipped[0] and source.skipped[1] == "class 'one' of 1, below 2"
    assert source.passed == ("high/cover.png (not of sounds)",)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_mutants_end_in_a_data_error_that_names_the_file(tmp_path, suffix):
    path, generator = tmp_path / f"mutant.{suffix}", np.random.default_rng(7)
    soundfile.write(str(path), LEVELS, RATE)
    content, refused = path.read_bytes(), 0
    for _ in range(60):
        path.write_bytes(mutant(content, generator))
        try:
            load_support_sounds(path, RATE, 64)
        except DataError as error:
            refused += 1
            assert path.name in str(error)
    assert refused > 0
