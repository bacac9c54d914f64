"""The flags of every command, exactly, and what `--help` says of them."""

import argparse
import re

import pytest

from meta_gan.cli import program
from tests.cli.conftest import call

FLAGS = {
    "train": "preset data out target pair both_ways steps shots queries seed archives image_shape rate length "
    "protocol set config start resume dry_run",
    "adapt": "model support out steps sample target_support seed invert",
    "sample": "model count inputs out seed",
    "evaluate": "data out model judge target pair both_ways split shots steps classes draws quick seed scratch_steps "
    "archives image_shape rate length protocol",
    "judge": "data out method network width augmentation steps ways shots queries seed purpose archives "
    "image_shape rate length protocol",
    "export": "model out limits warm_up",
    "info": "model",
    "data": "data out shots queries archives image_shape rate length protocol",
}
REQUIRED = {
    "train": "out",
    "adapt": "model support out",
    "sample": "model out",
    "evaluate": "data out",
    "judge": "data out",
    "export": "model out",
    "info": "model",
    "data": "data",
}


@pytest.fixture(scope="module")
def parsers():
    """The sub-parser of every command."""
    actions = program._parser()._actions
    (commands,) = (action for action in actions if isinstance(action, argparse._SubParsersAction))
    return commands.choices


def options(parser):
    # absl adds flags to every parser: --helpfull, and others that it does not show.
    own = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    return [action for action in own if not {"--help", "--helpfull"} & set(action.option_strings)]


def test_the_commands(parsers):
    assert list(parsers) == list(FLAGS)


@pytest.mark.parametrize("command", FLAGS)
def test_the_flags(parsers, command):
    assert [action.option_strings[0] for action in options(parsers[command])] == [
        f"--{f}" for f in FLAGS[command].split()
    ]
    required = [action.dest for action in options(parsers[command]) if action.required]
    assert required == REQUIRED[command].split()


@pytest.mark.parametrize("command", FLAGS)
def test_help_has_groups_ranges_defaults_and_an_example(parsers, command, capsys):
    assert call(command, "--help") == 0
    text = capsys.readouterr().out
    assert "main arguments:" in text and f"example:\n  meta-gan {command} --" in text
    assert ("other arguments:" in text) == (set(FLAGS[command].split()) != set(REQUIRED[command].split()))
    for action in options(parsers[command]):
        if action.type is int:
            assert re.search(r">= \d|0 to ", action.help), f"--{action.dest} has no range"
        if not action.required and action.nargs != 0 and action.dest not in ("set", "archives", "model"):
            assert "(default: " in action.help, f"--{action.dest} has no default"
        if isinstance(action.default, int) and action.nargs != 0:
            assert f"(default: {action.default})" in action.help


@pytest.mark.parametrize("command", FLAGS)
def test_the_example_parses(parsers, command):
    line = parsers[command].epilog.splitlines()[-1].split()
    assert line[:2] == ["meta-gan", command]
    assert program._parser().parse_args(line[1:]).command == command


def test_help_of_the_program(capsys):
    assert call("--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(f" {command} " in text for command in FLAGS)
    assert "Exit codes: 0 done; 2 an error of yours, named in one line; 1 an error of ours, or divergence." in text


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
        (["sample", "--model", "m", "--out", "o", "--count", "many"], "argument --count: invalid int value: 'many'"),
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
