"""The static page in headless Chromium: the time from five drawings to fifty samples, and what it has to download.

`python -m benchmarks.speed.browser_page --page docs/_build/html/browser --out DIR` serves the folder that
`docs/browser/build.py` made to this machine, draws in the five fields, and asks `--repeats` times for other samples. It
writes `results.json`: `first_s`, the time from opening the page until the model is loaded; `samples_s` and `wait_s`,
the medians of what the page itself measured, and of what one waits from the press of the button to the samples on the
page; `requests`, and the `bytes` of their answers. It needs the extra `browser` and an installed Chromium.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks import common
from meta_gan import storage

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
STROKES = (((0.2, 0.25), (0.8, 0.25)), ((0.5, 0.25), (0.5, 0.85)))
"""The lines of a letter T, as shares of a field's sides."""
READY = "Draw a character"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder to this machine on a free port, as `python -m http.server` does, and yield its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def executable() -> str | None:
    """Return the path of an installed Chromium, or None."""
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


def until(holds: Any, seconds: float = 60.0) -> None:
    """Wait until a function holds. Playwright's own `wait_for_function` needs an `eval`, which the pages forbid.

    Raises:
        TimeoutError: it does not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the page did not get there in {seconds} s")
        time.sleep(0.02)


def draw(page: Any, number: int, jitter: float = 0.0) -> None:
    """Draw a letter T in a field, counted from 0, with the mouse."""
    box = page.locator("#pads canvas").nth(number).bounding_box()

    def at(x: float, y: float) -> tuple[float, float]:
        return box["x"] + box["width"] * x + jitter, box["y"] + box["height"] * y + jitter

    for start, end in STROKES:
        page.mouse.move(*at(*start))
        page.mouse.down()
        page.mouse.move(*at(*end), steps=5)
        page.mouse.up()


def measured(page: Any, address: str, repeats: int) -> dict[str, Any]:
    """Return the results of one page; see the head of this file."""
    answers: list[Any] = []
    page.on("response", lambda answer: answers.append(answer))
    started = time.monotonic()
    page.goto(address)
    until(lambda: page.inner_text("#status").startswith(READY))
    first = time.monotonic() - started
    for number in range(5):
        draw(page, number, 2.0 * number)
    until(lambda: page.inner_text("#status").startswith("50 samples from 5 pictures"))
    own, waited = [], []
    for _ in range(repeats):
        old = page.locator("#made img").first.get_attribute("src")
        started = time.monotonic()
        page.click("#again")
        until(lambda old=old: page.locator("#made img").first.get_attribute("src") != old)
        waited.append(time.monotonic() - started)
        own.append(float(re.search(r"in ([\d.]+) s", page.inner_text("#status"))[1]))  # type: ignore[index]
    return {
        "first_s": first,
        "samples_s": statistics.median(own),
        "wait_s": statistics.median(waited),
        "requests": len(answers),
        "bytes": sum(len(answer.body()) for answer in answers),
    }


def main() -> None:
    """Measure, write the results and print them."""
    parser = common.parser("speed.browser_page", __doc__, out="folder of results.json")
    parser.add_argument("--page", required=True, type=Path, help="the folder that docs/browser/build.py made")
    parser.add_argument("--repeats", type=int, default=20, help="how often to ask for samples (default: 20)")
    arguments = parser.parse_args()
    if not (arguments.page / "model.json").is_file() or arguments.repeats < 1:
        parser.error(f"--page must be a built page, --repeats >= 1. Received: {arguments}")
    if importlib.util.find_spec("playwright") is None or executable() is None:
        parser.error(f"needs the extra `browser`, and one of {', '.join(BROWSERS)} on the PATH")
    Path(arguments.out).mkdir(parents=True, exist_ok=True)
    from playwright.sync_api import sync_playwright

    with served(arguments.page) as address, sync_playwright() as running:
        browser = running.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        results = measured(browser.new_page(), address, arguments.repeats)
        browser.close()
    storage.write_json(Path(arguments.out) / "results.json", results)
    print(
        "ready after {first_s:.1f} s; 50 samples from 5 drawings in {samples_s:.2f} s, on the page after {wait_s:.2f} "
        "s; {requests} requests, {bytes:,} bytes".format(**results)
    )


if __name__ == "__main__":
    main()
