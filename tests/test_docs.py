"""The documentation site: it builds without a warning, its programs run, and its commands and links are right."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_readme import ROOT, blocks, cache, joined, links, run, text, unparsed

__all__ = ["cache"]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
ALONE = ("docs/quick_start.md", "docs/concepts.md", "docs/demo.md", "docs/flow.md", "docs/own_parts.md")
"""The pages whose programs need nothing that a reader would have to bring."""


def test_there_are_pages():
    assert len(PAGES) > 30 and set(ALONE) < set(PAGES)
    assert all(blocks(text(page), "python") for page in ALONE)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_the_python_and_the_links_of_a_page(page):
    content = text(page)
    assert not unparsed(content)
    for body in blocks(content, "python"):
        compile(body, page, "exec")
    folder = (ROOT / page).parent
    assert not [target for target in links(content) if target and not (folder / target).exists()]


@pytest.mark.slow
@pytest.mark.parametrize("page", ALONE)
def test_the_programs_of_a_page_run(page, tmp_path, cache):
    code, output, _ = run(joined(text(page)), tmp_path, cache)
    assert code == 0, output


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    for tool in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(tool, reason="the extra `docs` is not installed")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(ROOT / "docs")]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    reference = (Path(tmp_path) / "api/games.html").read_text("utf-8")
    assert "meta_gan.games.FlowMatching" in reference and "float[n, *example]" in reference
    # The static page is linked if it is there, and only then.
    place, link = Path(tmp_path) / "browser", 'href="browser/index.html"'
    without = (Path(tmp_path) / "browser.html").read_text("utf-8")
    assert link not in without and "This build of the site is without the page" in without
    place.mkdir()
    (place / "index.html").write_text("the page")
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    found = (Path(tmp_path) / "browser.html").read_text("utf-8")
    assert link in found and "This build of the site is without the page" not in found
    assert (place / "index.html").read_text() == "the page"
