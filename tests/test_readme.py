"""What README.md and BUILD.md promise: the Python runs, the flags and targets exist, and nothing is linked in vain."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from meta_gan.cli.program import parser

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 60
SHELL = ("bash", "sh", "shell", "console")
# A block that cannot run here (a file of the reader's own, a server) is marked so, just above its fence.
SKIP = "<!-- not run -->"


def text(name):
    return (ROOT / name).read_text("utf-8")


def blocks(markdown, *languages):
    """The fenced blocks of the given languages, in order; those marked as not run are left out."""
    found, lines, skip = [], iter(markdown.splitlines()), False
    for line in lines:
        fence = re.match(r"\s*(`{3,}|~{3,})\s*(\w*)", line)
        if not fence:
            skip = line.strip() == SKIP or (skip and not line.strip())
            continue
        indent, body = line[: len(line) - len(line.lstrip())], []
        for inner in lines:
            if inner.strip() == fence.group(1):
                break
            body.append(inner.removeprefix(indent))
        if fence.group(2) in languages and not skip:
            found.append("\n".join(body) + "\n")
        skip = False
    return found


def commands(markdown):
    """Every shell command: prompts and comments taken off, continued lines joined, pipes and chains taken apart."""
    found = []
    for block in blocks(markdown, *SHELL):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            try:
                words = shlex.split(line.strip().removeprefix("$ "), comments=True)
            except ValueError:  # a program's output, or a quotation over several lines
                continue
            command = []
            for word in [*words, "&&"]:
                if word in ("&&", "||", "|", ";", ">", "&"):
                    found += [command] if command else []
                    command = []
                else:
                    command.append(word)
    return found


def unparsed(markdown):
    """The `meta-gan` commands that the command line's own parser refuses."""
    bad = []
    for command in (c for c in commands(markdown) if c[0] == "meta-gan"):
        try:
            parser().parse_args(command[1:])
        except SystemExit as stop:
            bad += [" ".join(command)] if stop.code else []
    return bad


def make_targets(markdown):
    """The targets of `make TARGET` in shell blocks and in inline code."""
    inline = [shlex.split(code) for code in re.findall(r"`(make [\w -]+)`", markdown)]
    lines = [c for c in [*commands(markdown), *inline] if c[0] == "make"]
    return {word for line in lines for word in line[1:] if re.fullmatch(r"[a-z][\w-]*", word)}


def links(markdown):
    """Relative targets of links and pictures, in Markdown and in HTML, outside of code."""
    prose = re.sub(r"(?ms)^\s*(```+|~~~+).*?^\s*\1\s*$", "", markdown)
    prose = re.sub(r"`[^`\n]+`(?!\])", "", prose)
    found = re.findall(r"\]\(<?([^)\s>]+)", prose) + re.findall(r"(?:src|href)=[\"']([^\"']+)", prose)
    found += re.findall(r"(?m)^\[[^\]]+\]:\s*(\S+)", prose)
    return [target.split("#")[0] for target in found if not re.match(r"[a-z][a-z+.-]*:|#|//", target)]


def run(program, folder, cache):
    """Runs a program in a fresh interpreter with the caller's cache; `(exit code, output, seconds)`."""
    environment = {**os.environ, "META_GAN_CACHE": str(cache), "MPLBACKEND": "Agg", "TF_CPP_MIN_LOG_LEVEL": "3"}
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=5 * SECONDS,
    )
    return done.returncode, done.stdout, time.monotonic() - start


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """The cache that the environment names, so that the glyphs are drawn once; else one of this module's."""
    return os.environ.get("META_GAN_CACHE") or tmp_path_factory.mktemp("cache")


def joined(markdown):
    """All Python blocks as one program, whose tracebacks name the block."""
    parts = [
        f"exec(compile({body!r}, 'README block {i}', 'exec'))" for i, body in enumerate(blocks(markdown, "python"), 1)
    ]
    return "\n".join(parts)


def test_the_python_of_the_readme_runs_in_a_minute(tmp_path, cache):
    assert blocks(text("README.md"), "python"), "README.md must show Python"
    # Drawing the glyphs is paid once a machine; whether this is that time must not decide about the minute.
    code, output, _ = run("import meta_gan; meta_gan.tasks.glyphs()", tmp_path, cache)
    assert code == 0, output
    code, output, seconds = run(joined(text("README.md")), tmp_path, cache)
    assert code == 0, output
    assert seconds < SECONDS * _patience(), f"README.md's Python took {seconds:.0f} s"


def _patience():
    """More than 1 on a machine that others keep busy, so that their work is not taken for ours."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1.0, os.getloadavg()[0] / cores)


@pytest.mark.parametrize(
    "name",
    ["BUILD.md", "CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/evaluation.md", "docs/serving.md"],
)
def test_python_that_is_not_run_is_python_still(name):
    for body in blocks(text(name), "python"):
        compile(body, name, "exec")


@pytest.mark.parametrize("name", ["README.md", "BUILD.md", "CONTRIBUTING.md", "docs/evaluation.md", "docs/serving.md"])
def test_every_command_line_parses(name):
    assert not unparsed(text(name))


def test_the_readme_shows_the_command_line():
    shown = {command[1] for command in commands(text("README.md")) if command[0] == "meta-gan"}
    assert {"train", "adapt"} <= shown


@pytest.mark.parametrize("name", ["README.md", "BUILD.md", "CONTRIBUTING.md"])
def test_every_make_target_exists(name):
    known = set(re.findall(r"(?m)^([a-z][\w-]*):", text("Makefile")))
    assert not make_targets(text(name)) - known


@pytest.mark.parametrize("name", ["README.md", "BUILD.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/evaluation.md"])
def test_every_relative_link_leads_somewhere(name):
    assert not [target for target in links(text(name)) if target and not (ROOT / target).exists()]


@pytest.mark.parametrize("name", ["README.md", "BUILD.md", "CONTRIBUTING.md"])
def test_every_module_run_by_a_command_exists(name):
    modules = [c[i + 1] for c in commands(text(name)) for i, word in enumerate(c[:-1]) if word == "-m"]
    ours = [m for m in modules if m.split(".")[0] in ("meta_gan", "trainers", "benchmarks")]
    places = [ROOT.joinpath(*m.split(".")) for m in ours]
    assert not [p for p in places if not p.with_suffix(".py").exists() and not (p / "__main__.py").exists()]


BAD = """
See [this](nowhere.md#part), [that](https://example.org) and ![a picture](docs/none.png); `make nothing`.

```python
x = 1
```

<!-- not run -->

```python
x = 2
```

- in a list:
  ```python
  assert x == 1
  y = 1 / 0
  ```

```console
$ meta-gan train --preset fomaml --data glyphs --out runs --stepz 3   # a wrong flag
$ cd served && meta-gan export --model runs \\
    --out served/glyphs | tee log
$ make test PYTHON=python3.11
some output
```
"""


def test_the_checkers_see_what_is_wrong():
    assert blocks(BAD, "python") == ["x = 1\n", "assert x == 1\ny = 1 / 0\n"]
    assert len(unparsed(BAD)) == 1 and "--stepz" in unparsed(BAD)[0]
    assert ["meta-gan", "export", "--model", "runs", "--out", "served/glyphs"] in commands(BAD)
    assert make_targets(BAD) == {"nothing", "test"}
    assert links(BAD) == ["nowhere.md", "docs/none.png"]


def test_a_failing_block_fails_and_is_named(tmp_path, cache):
    code, output, _ = run(joined(BAD), tmp_path, cache)
    assert code != 0 and "ZeroDivisionError" in output and "README block 2" in output
