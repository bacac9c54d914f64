"""The benchmark of sounds and texts: its data, its rows by hand, and a tiny run."""

import json

import numpy as np
import pytest

from benchmarks.common import Size
from benchmarks.modalities import comparison as modalities
from benchmarks.modalities import names, voices
from meta_gan.metrics.ngrams import ngram_distance
from meta_gan.tasks.media import Sounds

LETTERS = "abcdefgh"


@pytest.fixture
def data(tmp_path):
    """The three files, tiny: three speakers of ten digits, six takes; three nationalities of 320 names."""
    draw, takes = np.random.default_rng(0), 50
    labels = np.tile(np.repeat(np.arange(10), takes), 3).astype(np.uint8)
    speaker = np.repeat(np.arange(3), 10 * takes).astype(np.uint8)
    time = np.arange(1024) / 8000
    pitch = 200 + 250 * labels[:, None] + 40 * speaker[:, None] + draw.normal(0, 20, (len(labels), 1))
    audio = (8000 * np.sin(2 * np.pi * pitch * time) * np.sin(np.pi * time / time[-1])).astype(np.int16)
    people = np.array(["ada", "ben", "cy"])
    np.savez(
        tmp_path / voices.FILES[0], audio=audio, labels=labels, speaker=speaker, speakers=people, rate=np.array(8000)
    )
    np.savez(tmp_path / voices.FILES[1], speaker_split=np.array([0, 1, 2], np.int8))
    texts = ["".join(draw.choice(list(LETTERS[2 * c : 2 * c + 4]), 5)) for c in range(3) for _ in range(320)]
    kept = {"names": np.array(texts), "labels": np.repeat(np.arange(3), 320).astype(np.uint8)}
    np.savez(tmp_path / names.FILE, **kept, class_names=np.array(["x", "y", "z"]), class_split=np.array([0, 1, 2]))
    yield tmp_path
    voices.voices.cache_clear()
    names.tasks_of.cache_clear()


def test_one_speaker_is_held_out(data):
    source = voices.voices(data)
    assert [source.class_names[i] for i in source.split_classes("test")] == [f"cy {d}" for d in range(10)]
    assert source.medium == Sounds(8000) and set(source.class_sizes) == {50}


def test_other_speeds_and_levels_are_other_classes(data):
    source = voices.voices(data)
    more = voices.in_manners(source)
    manners = len(voices.MANNERS)
    assert len(more.split_classes("train")) == 10 * (1 + manners) and len(more.split_classes("test")) == 10
    assert len(more.images) == 1500 + manners * 500

    def first(name: str) -> np.ndarray:
        return more.images[more.labels == more.class_names.index(name)][0, :, 0].astype(float)

    slow, fast = first("ada 0 x 0.8 -6 dB"), first("ada 0 x 1.25 -6 dB")
    crossings = [np.sum(np.diff(np.sign(x[100:700])) != 0) for x in (slow, fast)]
    assert crossings[1] / crossings[0] == pytest.approx(1.25 / 0.8, rel=0.15)
    assert np.abs(slow).mean() / np.abs(first("ada 0 x 0.8 -18 dB")).mean() == pytest.approx(10**0.6, rel=0.02)
    np.testing.assert_allclose(first("ada 0 x 1.0 -12 dB"), first("ada 0") * 10**-0.6, atol=1)


def test_takes_are_dealt_once(data):
    parts = voices.dealt(data, 25, 0)
    assert [len(part) for part in parts] == [5, 20, 20]
    rows = {row.tobytes() for part in parts for row in part}
    assert len(rows) == 45
    assert not np.array_equal(parts[0], voices.dealt(data, 25, 1)[0])


def test_augmented_copies_by_hand():
    support = np.zeros((2, 1024, 1), np.float32)
    support[0, 500], support[1, 600] = 0.5, -0.5
    shifted = voices.augmented(support, 0, "shift")
    assert shifted.shape == (20, 1024, 1)
    places = np.abs(shifted[..., 0]).argmax(axis=1)
    np.testing.assert_array_less(np.abs(places[::2] - 500), 201)
    np.testing.assert_array_less(np.abs(places[1::2] - 600), 201)
    np.testing.assert_array_equal(np.sort(np.unique(shifted)), [-0.5, 0, 0.5])
    assert len(np.unique(places)) > 10
    noisy = voices.augmented(support, 0, "all")
    assert 0 < np.median(np.abs(noisy)) < 0.01


def test_names_are_dealt_once_and_classes_differ(data):
    support, held, oracle = names.dealt(data, 2, 0)
    assert len(support) == 20 and len(held) == len(oracle) == 150
    other = names.dealt(data, 0, 0)[1]
    assert ngram_distance(support, held) < ngram_distance(other, held)
    assert len(names.known(data)) == 320


@pytest.mark.slow
def test_a_tiny_run_resumes_and_writes_its_files(data, tmp_path, monkeypatch):
    tiny = Size(voices=2, names=2, judges=8, draws=1, steps=(0, 1))
    monkeypatch.setattr(names, "TASKS", 1)
    monkeypatch.setattr(voices, "JUDGES", {"conv4": {**voices.JUDGES["conv4"], "width": 4, "ways": 5, "shots": 2}})
    out = tmp_path / "out"
    for job in (modalities.VOICES, modalities.NAMES, "conv4"):
        modalities.work(job, data, out, tiny)
        modalities.work(job, data, out, tiny)  # already finished
    found, about = modalities.measure(data, out, tiny)
    assert about["size"] == vars(tiny)
    digits = found[modalities.VOICES]
    assert set(digits) >= {"oracle", "copy", "copy, shifted", "meta-trained, not adapted"}
    assert np.mean(digits["copy"]["copies"]) == 1.0 and np.mean(digits["oracle"]["copies"]) < 0.5
    assert np.mean(digits["oracle"]["energy/conv4"]) < np.mean(digits["copy, shifted"]["energy/conv4"]) + 1.0
    rows = found[modalities.NAMES]
    assert np.mean(rows["copy"]["not in support or training"]) == 0.0
    assert all(0 <= value <= 1 for row in rows.values() for values in row.values() for value in values)
    assert np.mean(rows["oracle"]["n-gram distance"]) < np.mean(rows["copy"]["n-gram distance"])
    assert (out / "voices.png").is_file() and len((out / "names.txt").read_text().splitlines()) == 1
    means = {
        m: {r: {s: {"mean": 1.0, "low": 0.5, "high": 2.0} for s in v} for r, v in rows.items()}
        for m, rows in found.items()
    }
    assert "| oracle | 1.000 (0.500 to 2.000) |" in modalities.table(json.loads(json.dumps(means)))


def test_a_folder_without_the_files_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["modalities", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stop:
        modalities.main()
    assert stop.value.code == 2 and "without ['fsdd_wave8192.npz'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
