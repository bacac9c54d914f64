"""`meta-gan completion`."""

from __future__ import annotations

import argparse

import shtab

from meta_gan import loading, presets
from meta_gan.cli import console
from meta_gan.judges import shipped_judges

EXAMPLE = "meta-gan completion bash"
SHELLS = ("bash", "zsh", "fish")
FOLDERS = ("DIR", "FOLDER", "ADAPTED_DIR", "[NAME=]DIR")
FILES = ("FILE", "PATH", "SOURCE", "FOLDER_OR_NPZ")
"""Metavars of flags whose values are files or folders."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    main = parser.add_argument_group("main arguments")
    main.add_argument("shell", choices=SHELLS, metavar="SHELL", help=" | ".join(SHELLS))


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the completion script of a shell for commands, flags, choices, shipped names, presets and files.

    The script has all words in it: pressing TAB starts no program.

    Args:
        parser: of all commands; its actions get the attribute `complete` that shtab reads.
        shell: one of `SHELLS`.

    Example:
        >>> script(program.parser(), "bash").splitlines()[-1]
        'complete -o bashdefault -F _shtab_meta_gan meta-gan'
    """
    words = {
        "preset": sorted(presets.PRESETS),
        "model": loading.shipped(),
        "start": loading.shipped(),
        "judge": shipped_judges(),
        "data": ["glyphs"],
        "target": ["glyphs"],
    }
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for action in (action for command in commands.choices.values() for action in command._actions):
        # No shipped model is an adapted one.
        named = [] if action.metavar == "ADAPTED_DIR" else words.get(action.dest, [])
        if named or action.metavar in (*FOLDERS, *FILES):
            setattr(action, "complete", _completion(action, named))  # noqa: B010
    return shtab.complete(parser, shell)


def _completion(action: argparse.Action, words: list[str]) -> dict[str, str | dict[str, str]]:
    """Return shtab's description of a flag's values: words, and files or folders if its metavar says so."""
    folders, files = action.metavar in FOLDERS, action.metavar in FILES
    if not words:
        return shtab.DIRECTORY if folders else shtab.FILE
    # In bash, shtab marks folders by a slash for functions that are named after files or folders.
    name = f"_meta_gan_{action.dest}_{'dir' if folders else 'file' if files else 'word'}"
    listed = " ".join(words)
    bash = [f'compgen -W "{listed}" -- "$1"'] + [f'compgen -{"d" if folders else "f"} -- "$1"'] * (folders or files)
    zsh = [f"'names:name:({listed})'"] + [f"'paths:path:_files{' -/' * folders}'"] * (folders or files)
    path = "__fish_complete_directories" if folders else "__fish_complete_path"
    fish = [f"printf '%s\\n' {listed}"] + [f"{path} (commandline -ct)"] * (folders or files)
    return {
        "bash": name,
        "zsh": name,
        "fish": f"({name})",
        "preamble": {
            "bash": f"{name}() {{\n  {'; '.join(bash)}\n}}",
            "zsh": f"{name}() {{\n  _alternative {' '.join(zsh)}\n}}",
            "fish": f"function {name}\n  {'; '.join(fish)}\nend",
        },
    }


def run(arguments: argparse.Namespace) -> None:
    """Print the script."""
    # Imported here: the parser of all commands imports this module.
    from meta_gan.cli.program import parser

    console.result(script(parser(), arguments.shell))
