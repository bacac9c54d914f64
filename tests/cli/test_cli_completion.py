"""`meta-gan completion`: bash runs its script, as does fish where it is, and all shells parse theirs."""

import shutil
import subprocess

import pytest

from meta_gan.cli import completion, program
from meta_gan.loading import shipped
from meta_gan.presets import PRESETS
from tests.cli.conftest import call

# What bash does when TAB is pressed: the words so far, the number of the last one, then the function of the command.
TAB = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_shtab_meta_gan 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """`{shell: file}`."""
    folder = tmp_path_factory.mktemp("completion")
    made = {shell: folder / f"meta-gan.{shell}" for shell in completion.SHELLS}
    for shell, file in made.items():
        file.write_text(completion.script(program.parser(), shell))
    return made


@pytest.fixture
def tab(scripts, tmp_path):
    """What bash offers for a command line, in a folder with a file `x.npz` and a folder `xs`."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not on this machine")
    (tmp_path / "x.npz").touch()
    (tmp_path / "xs").mkdir()

    def tab(line):
        words = ["bash", "--norc", "-c", TAB, "bash", str(scripts["bash"]), *line.split(" ")]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
        assert done.stderr == ""
        return sorted(done.stdout.split())

    return tab


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("meta-gan tr", ["train"]),
        ("meta-gan e", ["evaluate", "export"]),
        ("meta-gan train --pre", ["--preset"]),
        ("meta-gan train --preset fu", ["fusion"]),
        ("meta-gan train --preset fusion --data gly", ["glyphs"]),
        ("meta-gan train --data x", ["x.npz", "xs"]),
        ("meta-gan train --out x", ["xs"]),
        ("meta-gan train --strategy m", ["mirrored", "multiworker"]),
        ("meta-gan train --config x", ["x.npz", "xs"]),
        ("meta-gan adapt --model omni", ["omniglot", "omniglot-flow"]),
        ("meta-gan sample --model omni", []),
        ("meta-gan augment --method reco", ["recommended"]),
        ("meta-gan info --verb", ["--verbose"]),
        ("meta-gan completion f", ["fish"]),
    ],
)
def test_bash_completes(tab, line, offered):
    assert tab(line) == offered


def test_all_presets_shipped_models_and_commands_are_offered(tab):
    assert set(tab("meta-gan train --preset ")) == set(PRESETS)
    assert set(shipped()) <= set(tab("meta-gan adapt --model "))
    assert set(tab("meta-gan ")) == set(program.MODULES)


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_the_scripts_are_of_their_shells(scripts, shell):
    text = scripts[shell].read_text()
    assert all(word in text for word in ("fusion", "omniglot", "glyphs", "small-classes", "multiworker"))
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not on this machine")
    done = subprocess.run([shell, "-n", str(scripts[shell])], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_fish_completes(scripts, tmp_path):
    if shutil.which("fish") is None:
        pytest.skip("fish is not on this machine")
    (tmp_path / "xs").mkdir()
    models = [name for name in shipped() if name.startswith("om")]
    for line, offered in (("train --preset fu", ["fusion"]), ("train --out x", ["xs/"]), ("adapt --model om", models)):
        code = f"source {scripts['fish']}; complete -C 'meta-gan {line}'"
        done = subprocess.run(["fish", "-N", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        found = [each.split("\t")[0] for each in done.stdout.splitlines()]
        assert sorted(found) == offered, done.stderr


def test_the_command_prints_the_script(scripts, capsys):
    assert call("completion", "bash") == 0
    assert capsys.readouterr().out == scripts["bash"].read_text() + "\n"
    assert call("completion", "tcsh") == 2
    assert "invalid choice: 'tcsh'" in capsys.readouterr().err
