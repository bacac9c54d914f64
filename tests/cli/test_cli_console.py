"""`--quiet` and `--verbose`, and the colour of errors."""

import argparse
import sys

import pytest

from meta_gan.cli import console, launcher
from meta_gan.cli.progress import Progress
from tests.cli.conftest import call


def data(world, tmp_path, *more):
    return call("data", "--data", world.data, "--out", tmp_path / "sheet.png", *more)


def test_a_quiet_command_prints_the_place_of_its_result(world, tmp_path, capsys):
    capsys.readouterr()
    assert data(world, tmp_path, "--quiet") == 0
    assert capsys.readouterr() == (f"contact sheet: {tmp_path / 'sheet.png'}\n", "")


def test_a_normal_command_prints_more_on_standard_output_only(world, tmp_path, capsys):
    capsys.readouterr()
    assert data(world, tmp_path) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) > 1 and captured.err == ""


def test_a_verbose_command_prints_times(world, tmp_path, capsys):
    words = ["--model", world.runs, "--support", world.support, "--out", tmp_path / "made", "--sample", 1]
    assert call("adapt", *words, "--inner-steps", 0, "--verbose") == 0
    names = [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert names == ["loading the model", "adapting", "sampling", "in all"]


@pytest.mark.parametrize(("flags", "traced"), [((), False), (("--verbose",), True), (("--quiet",), False)])
def test_an_error_is_printed_always_and_its_traceback_if_verbose(tmp_path, capsys, flags, traced):
    assert call("info", "--model", tmp_path / "none", *flags) == 2
    lines = capsys.readouterr().err.splitlines()
    assert ("Traceback (most recent call last):" in lines) == traced
    assert any(line.startswith("meta-gan info: error: ") for line in lines)


def test_quiet_and_verbose_exclude_each_other(capsys):
    assert call("info", "--model", "m", "--quiet", "--verbose") == 2
    assert "not allowed with argument" in capsys.readouterr().err


def test_progress_is_quiet_too(capsys):
    quiet = argparse.Namespace(quiet=True, verbose=False)
    with console.level(quiet):
        Progress()("training", 1, 2)
        console.say("something")
        console.result("something else")
    assert capsys.readouterr() == ("something else\n", "")
    Progress()("training", 1, 2)
    assert capsys.readouterr().err == "training: 1 of 2\n", "the level ends with the command"


RED = "\033[31mmeta-gan info:\033[0m error: no: x"


@pytest.mark.parametrize(
    ("terminal", "environment", "shown"),
    [
        (True, {}, RED),
        (False, {}, "meta-gan info: error: no: x"),
        (True, {"NO_COLOR": "1"}, "meta-gan info: error: no: x"),
        (True, {"NO_COLOR": ""}, RED),
        (False, {"FORCE_COLOR": "1"}, RED),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, "meta-gan info: error: no: x"),
        (True, {"TERM": "dumb"}, "meta-gan info: error: no: x"),
    ],
)
def test_errors_are_red_where_colours_are_shown(monkeypatch, capsys, terminal, environment, shown):
    for name, value in {"TERM": "xterm", **dict.fromkeys(("NO_COLOR", "FORCE_COLOR"), ""), **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    launcher.complain("meta-gan info: error: no: x")
    assert capsys.readouterr().err == f"{shown}\n"


def test_errors_of_the_parser_are_red_too(monkeypatch, capsys):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert call("info") == 2
    assert capsys.readouterr().err.startswith("\033[31mmeta-gan info:\033[0m error: the following arguments")
