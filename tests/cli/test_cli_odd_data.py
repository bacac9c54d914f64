"""Folders as people have them: damaged files, small classes, names in other encodings; what commands say of them."""

import os

import pytest

from tests.cli.conftest import call, train_arguments
from tests.tasks.helpers import square, write_image


def folder_of(path, **sizes):
    """Write class folders of `sizes` images of 8 x 8."""
    for name, count in sizes.items():
        for index in range(count):
            write_image(path / name / f"{index}.png", square(8, 0, 100 + index))
    return path


@pytest.fixture
def damaged(tmp_path):
    """Three whole classes, one of one image, a damaged file, and a text among the images."""
    folder = folder_of(tmp_path / "data", a=6, b=6, c=7, small=1)
    (folder / "c" / "bad.png").write_bytes(b"no picture")
    (folder / "a" / "notes.txt").touch()
    (folder / "__MACOSX").mkdir()
    return folder


def data(damaged, *more):
    return call("data", "--data", damaged, "--out", damaged.parent / "s.png", "--shots", 3, "--queries", 3, *more)


def test_by_default_a_damaged_file_or_a_small_class_ends_the_command(damaged, capsys):
    assert data(damaged) == 2
    assert "c/bad.png: must be a whole image" in capsys.readouterr().err
    assert data(damaged, "--on-bad-file", "skip") == 2
    assert "class 'small' has 1" in capsys.readouterr().err


def test_both_are_skipped_on_request_and_named(damaged, capsys):
    assert data(damaged, "--on-bad-file", "skip", "--small-classes", "skip") == 0
    said = capsys.readouterr().out
    assert "3 classes, 19 images of 8 x 8 x 1" in said
    assert "skipped: " in said and "c/bad.png: must be a whole image" in said
    assert "skipped: class 'small' of 1, below 6" in said
    assert "passed over 1 file: a/notes.txt (not of images)" in said and "MACOSX" not in said


def test_an_adaptation_skips_and_names(world, tmp_path, capsys):
    folder = folder_of(tmp_path, s=3) / "s"
    (folder / "bad.png").write_bytes(b"no picture")
    (folder / "photo.heic").touch()
    command = ["adapt", "--model", world.runs, "--support", folder, "--sample", 2, "--out"]
    assert call(*command, tmp_path / "one") == 2
    assert "s/bad.png: must be a whole image" in capsys.readouterr().err and not (tmp_path / "one").exists()
    assert call(*command, tmp_path / "two", "--on-bad-file", "skip") == 0
    said = capsys.readouterr().out
    assert "skipped 1 file: " in said and "bad.png" in said
    assert "3 images were read; passed over 1 file: photo.heic (HEIC: save it as JPEG" in said


def test_the_policies_are_recorded_with_a_run(world, damaged, tmp_path, capsys):
    flags = ["--on-bad-file", "skip", "--small-classes", "skip", "--dry-run"]
    assert call(*train_arguments(world, tmp_path / "runs", *flags, data=damaged)) in (0, 2)
    said = capsys.readouterr().out
    assert '"on_bad_file": "skip"' in said and '"small_classes": "skip"' in said


def test_a_class_that_is_not_utf8_is_refused_by_name_before_anything_is_made(world, tmp_path, capfd):
    folder = folder_of(tmp_path / "data", **{f"c{i}": 6 for i in range(4)}, **{os.fsdecode(b"caf\xe9"): 6})
    for more in (["--dry-run"], []):
        assert call(*train_arguments(world, tmp_path / "runs", *more, data=folder)) == 2
        assert "every class folder must have a name in UTF-8; rename it. Received: 'caf\\xe9'" in capfd.readouterr().err
    assert not (tmp_path / "runs").exists()
    assert data(folder) == 2


def test_terminal_escapes_in_names_are_shown_escaped(tmp_path, capsys):
    folder = folder_of(tmp_path / "da\x1b[31mta", **{"a\x1b]0;x\x07": 6, "b\nc": 6, "d\u202ee": 6})
    assert data(folder) == 0
    said = capsys.readouterr().out
    assert r"a\x1b]0;x\x07" in said and r"b\nc" in said and r"d\u202ee" in said
    assert not {"\x1b", "\x07", "\u202e"} & set(said)
    (folder / "b\nc" / "x.png").write_bytes(b"no picture")
    (tmp_path / "s.png").unlink()
    assert data(folder) == 2
    error = capsys.readouterr().err
    assert "\x1b" not in error and r"da\x1b[31mta/b\nc/x.png: must be a whole image" in error


def test_a_configuration_that_is_no_file(world, tmp_path, capsys):
    os.mkfifo(tmp_path / "c.json")
    (tmp_path / "z.json").symlink_to("/dev/zero")
    for name, what in (("c.json", "a FIFO"), ("z.json", "a device")):
        assert call(*train_arguments(world, tmp_path / "runs", "--config", tmp_path / name)) == 2
        assert f"{name}', {what}" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["data", "support"])
def test_special_files_behind_flags_are_refused_at_once(world, tmp_path, capsys, flag):
    for suffix in ("png", "npz", "wav", "txt"):
        path = tmp_path / f"f.{suffix}"
        os.mkfifo(path)
        model = ["adapt", "--model", world.runs, "--support", path, "--out", tmp_path / "o"]
        assert call(*(model if flag == "support" else ["data", "--data", path])) == 2
        assert "a FIFO" in capsys.readouterr().err
