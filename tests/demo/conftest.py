"""The browser that drives the pages; without it their tests are skipped."""

import pytest

from benchmarks.speed.browser_page import BROWSERS, executable


@pytest.fixture(scope="package")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="the extra `browser` is not installed")
    found = executable()
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is on this machine")
    with playwright.sync_playwright() as running:
        made = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="package")
def brightness():
    """A function that returns the brightness of a page's ground and of its ink, 0 to 765."""

    def of(page):
        colours = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
        return [sum(int(part) for part in each[4:-1].split(",")) for each in colours]

    return of
