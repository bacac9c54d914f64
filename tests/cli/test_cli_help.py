"""The flags of every command, exactly, and what `--help` says of them."""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from meta_gan.cli import launcher, program
from tests.cli.conftest import call

FLAGS = {
    "train": "preset data weights out target pair both-ways steps shots queries seed archives image-shape rate length "
    "on-bad-file small-classes protocol set config start strategy resume allow-changed dry-run",
    "finetune": "model data out minutes steps rate seed resume allow-changed archives on-bad-file invert",
    "adapt": "model support out inner-steps sample target-support seed sampling on-bad-file invert",
    "sample": "model count inputs out sampling seed",
    "augment": "data per-class out model minutes steps method no-comparison seed on-bad-file small-classes",
    "evaluate": "data out model judge plane vary target pair both-ways split shots inner-steps classes draws quick "
    "seed scratch-steps workers archives image-shape rate length on-bad-file small-classes protocol",
    "judge": "data out method network width augmentation steps ways shots queries symmetries batch seed purpose "
    "archives image-shape rate length on-bad-file small-classes protocol",
    "export": "model out limits sampling warm-up",
    "info": "model",
    "demo": "model port",
    "data": "data out shots queries archives image-shape rate length on-bad-file small-classes protocol",
    "completion": "",
}
EVERYWHERE = "quiet verbose"
"""The flags of every command, after its own."""
REQUIRED = {
    "train": "out",
    "finetune": "model data out",
    "adapt": "model support out",
    "sample": "model out",
    "augment": "data per_class out",
    "evaluate": "data out",
    "judge": "data out",
    "export": "model out",
    "info": "model",
    "demo": "",
    "data": "data",
    "completion": "shell",
}


@pytest.fixture(scope="module")
def parsers():
    """The sub-parser of every command."""
    actions = program.parser()._actions
    (commands,) = (action for action in actions if isinstance(action, argparse._SubParsersAction))
    return commands.choices


ABOUT = {"--help", "--helpfull"}


def options(parser):
    # absl adds flags to every parser: --helpfull, and others that it does not show.
    own = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    return [action for action in own if action.option_strings and not ABOUT & set(action.option_strings)]


def test_the_commands(parsers):
    assert list(parsers) == list(FLAGS)


@pytest.mark.parametrize("command", FLAGS)
def test_the_flags(parsers, command):
    assert [action.option_strings[0] for action in options(parsers[command])] == [
        f"--{f}" for f in f"{FLAGS[command]} {EVERYWHERE}".split()
    ]
    required = [action.dest for action in parsers[command]._actions if action.required]
    assert required == REQUIRED[command].split()


@pytest.mark.parametrize("command", FLAGS)
def test_help_has_groups_ranges_defaults_and_an_example(parsers, command, capsys):
    assert call(command, "--help") == 0
    text = capsys.readouterr().out
    assert "main arguments:" in text and f"example:\n  meta-gan {command} " in text
    assert ("other arguments:" in text) == bool(set(FLAGS[command].split()) - set(REQUIRED[command].split()))
    for action in options(parsers[command]):
        if action.type is int:
            assert re.search(r">= \d|0 to ", action.help), f"{action.option_strings[0]} has no range"
        if not action.required and action.nargs != 0 and action.dest not in ("set", "archives", "model"):
            assert "(default: " in action.help, f"--{action.dest} has no default"
        if isinstance(action.default, int) and action.nargs != 0:
            assert f"(default: {action.default})" in action.help


@pytest.mark.parametrize("command", FLAGS)
def test_the_example_parses(parsers, command):
    line = parsers[command].epilog.splitlines()[-1].split()
    assert line[:2] == ["meta-gan", command]
    assert program.parser().parse_args(line[1:]).command == command


def test_help_of_the_program(capsys):
    assert call("--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(f" {command} " in text for command in FLAGS)
    assert "Exit codes: 0 success; 2 an error in the request, explained in one line; 1 an error of the program" in text
    assert "4 training or adaptation diverged" in text


def test_the_launcher_prints_help_without_importing_anything_heavy():
    """It runs as the installed script does: as a package of its own, outside of `meta_gan`."""
    script = "import sys; sys.argv = ['meta-gan', '--help']; import launcher; launcher.main(); "
    script += "print(sorted({'tensorflow', 'keras', 'numpy', 'absl', 'meta_gan'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(Path(launcher.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    *lines, imported = run.stdout.splitlines()
    assert imported == "[]" and run.stderr == ""
    shown = " ".join(" ".join(lines).split())
    assert all(what in shown for what in (*launcher.COMMANDS.values(), launcher.DESCRIPTION, launcher.EPILOG))


def test_flags_of_the_last_release_are_accepted_with_a_warning(capsys):
    words = ["adapt", "--steps", "3", "--target_support=a_b", "--invert", "no"]
    assert program.current_spelling(words) == ["adapt", "--inner-steps", "3", "--target-support=a_b", "--invert", "no"]
    warnings = capsys.readouterr().err.splitlines()
    assert warnings == [
        "meta-gan: warning: --steps is now --inner-steps; this spelling goes in the next release",
        "meta-gan: warning: --target_support is now --target-support; this spelling goes in the next release",
    ]
    assert program.current_spelling(["train", "--steps", "3"]) == ["train", "--steps", "3"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "--preset", "maml", "--data", "glyphs", "--out", "o", "--colour"],
            "unrecognized arguments: --colour",
        ),
        (
            ["train", "--preset", "maml", "--data", "glyphs", "--out", "o", "--step", "3"],
            "unrecognized arguments: --step",
        ),
        (["train", "--preset", "maml"], "the following arguments are required: --out"),
        (["sample", "--model", "m", "--out", "o", "--count", "many"], "--count must be an integer. Received: 'many'"),
        (
            ["adapt", "--model", "m", "--support", "s", "--out", "o", "--invert", "x"],
            "argument --invert: invalid choice",
        ),
        (["paint"], "argument COMMAND: invalid choice: 'paint'"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_what_does_not_parse_is_one_line(arguments, message, capsys):
    assert call(*arguments) == 2
    captured = capsys.readouterr()
    assert re.fullmatch(rf"meta-gan( \w+)?: error: {re.escape(message)}.*\(see meta-gan.* --help\)\n", captured.err)
    assert captured.out == ""


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["trian"], "train"),
        (["train", "--out", "o", "--dry-runn"], "--dry-run"),
        (["train", "--out", "o", "--strategy", "miror"], "mirrored"),
        (["train", "--out", "o", "--data", "glyphs", "--preset", "fommal"], "fomaml"),
        (["train", "--out", "o", "--data", "glyphs", "--set", "averagin=0.9"], "averaging"),
        (["info", "--model", "omnigolt"], "omniglot"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_one_that_is_meant(arguments, meant, capsys):
    assert call(*arguments) == 2
    assert f"Did you mean {meant!r}?" in capsys.readouterr().err


def test_what_is_like_nothing_is_answered_without_a_guess(capsys):
    for arguments in (["xyz"], ["train", "--out", "o", "--zzz"], ["info", "--model", "nowhere"]):
        assert call(*arguments) == 2
        assert "Did you mean" not in capsys.readouterr().err
