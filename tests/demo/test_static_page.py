"""The static page, built and served as files, in a headless browser; its samples are those of ONNX Runtime."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.speed.browser_page import READY, draw, measured, served, until
from meta_gan.tasks.media.pictures import load_support
from meta_gan.tasks.pictures import grid
from meta_gan.tasks.pixels import to_float, to_uint8
from tests.test_readme import ROOT

BUILD = ROOT / "docs/browser/build.py"
FILES = {
    *("index.html", "demo.css", "icon.svg", "browser.js", "noise.js", "pixels.js"),
    *("dom.js", "files.js", "pads.js", "page.js", "pictures.js"),
    *("model.json", "omniglot.onnx", "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"),
}


def built(out, **environment):
    """Build the page: `(exit code, what was printed, the last line of what went wrong)`."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, str(BUILD), str(out)],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    return done.returncode, done.stdout, (done.stderr.splitlines() or [""])[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The built page, under a path as of a site with other pages."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not on this machine")
    for name in ("onnx", "tf2onnx", "onnxruntime"):
        pytest.importorskip(name, reason="the extra `onnx` is not installed")
    out = tmp_path_factory.mktemp("site") / "some" / "browser"
    code, printed, error = built(out)
    if code == 1 and "npm could not install" in error:
        pytest.skip(error)
    assert code == 0, error
    assert f": {out}" in printed.splitlines()[-1]
    return out


@pytest.fixture(scope="module")
def address(folder):
    with served(folder.parents[1]) as root:
        yield f"{root}/some/browser/"


@pytest.fixture
def page(browser, address):
    """The loaded page; at the end nothing has failed, and nothing was asked of another place."""
    context = browser.new_context(viewport={"width": 1100, "height": 1000}, accept_downloads=True)
    made, wrong, asked = context.new_page(), [], []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("console", lambda line: wrong.append(line.text) if line.type in ("error", "warning") else None)
    made.on("request", lambda request: asked.append(request.url))
    opened(made, address)
    yield made
    context.close()
    assert not wrong
    assert asked and all(url.startswith((address, "data:", "blob:")) for url in asked), asked


def opened(page, address):
    page.goto(address)
    until(lambda: page.inner_text("#status").startswith(READY))


def made(page, count=50, pictures=5):
    """Wait for samples, and return their levels and those of the support pictures."""
    until(lambda: page.inner_text("#status").startswith(f"{count} sample{'s' * (count > 1)} from {pictures} picture"))
    return levels(page, "#made"), levels(page, "#seen")


def levels(page, where):
    urls = page.eval_on_selector_all(f"{where} img", "all => all.map(each => each.src)")
    return np.stack([opened_png(base64.b64decode(url.split(",")[1])) for url in urls])


def opened_png(content):
    return np.array(Image.open(io.BytesIO(content)).convert("L"))


def download(page, where):
    with page.expect_download() as info:
        page.click(where)
    return info.value.suggested_filename, Path(info.value.path()).read_bytes()


def other(page, old, **expected):
    until(lambda: not np.array_equal(levels(page, "#made")[0], old[0]))
    return made(page, **expected)[0]


def close(found, expected, within=1):
    """Whether grey levels differ by at most one."""
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= within


@pytest.mark.slow
def test_five_drawings_become_fifty_samples(page, folder, tmp_path):
    """Without a network once it is loaded: the support set is Python's reading of the drawings, the samples its own."""
    page.context.set_offline(True)
    for number in range(5):
        draw(page, number, jitter=2 * number)
    samples, seen = made(page)
    assert len({sample.tobytes() for sample in samples}) == 50
    page.locator("#count").focus()
    for number in range(5):
        url = page.locator("#pads canvas").nth(number).evaluate("each => each.toDataURL()")
        (tmp_path / f"{number}.png").write_bytes(base64.b64decode(url.split(",")[1]))
    support = load_support(tmp_path, (28, 28, 1)).images
    np.testing.assert_array_equal(seen[..., None], to_uint8(support))
    assert seen.max() == 255 and 5 < np.mean(seen > 127) * 100 < 30

    import onnxruntime

    name, content = download(page, "[data-file='samples.json']")
    values = json.loads(content)
    assert name == "samples.json" and values["model"] == "omniglot" and values["example_shape"] == [28, 28, 1]
    z = np.array(values["z"], np.float32)
    assert z.shape == (50, 64) and abs(z.mean()) < 0.1 and abs(z.std() - 1) < 0.1
    given = to_float(np.array(values["support"], np.uint8).reshape(5, 28, 28, 1))
    np.testing.assert_array_equal(given, support)
    page.context.set_offline(False)
    name, model = download(page, "text=omniglot.onnx")
    assert name == "omniglot.onnx" and model == (folder / name).read_bytes() and len(model) < 8e6
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    expected = session.run(None, {"support": given, "z": z})[0]
    close(samples[..., None], to_uint8(expected))
    np.testing.assert_array_equal(np.array(values["samples"]).reshape(samples.shape), samples)

    name, content = download(page, "[data-file='samples.png']")
    rows = np.split(samples[..., None] / 127.5 - 1, 5)
    assert name == "samples.png"
    np.testing.assert_array_equal(opened_png(content), grid(rows)[..., 0])
    nearest = np.square(expected[:, None] - support[None]).sum(axis=(2, 3, 4)).argmin(axis=1)
    labels = page.eval_on_selector_all("#made button", "all => all.map(each => each.getAttribute('aria-label'))")
    assert [int(label.rsplit(" ", 1)[1]) - 1 for label in labels] == nearest.tolist()


@pytest.mark.slow
def test_the_seed_decides_the_samples_and_the_noise_walks(page):
    for number in range(2):
        draw(page, number)
    first, _ = made(page, pictures=2)
    page.click("#again")
    second = other(page, first, pictures=2)
    assert page.input_value("#seed") == "1"
    page.fill("#seed", "0")
    page.click("#make")
    np.testing.assert_array_equal(other(page, second, pictures=2), first)
    page.fill("#count", "3")
    page.evaluate("() => { document.getElementById('walk').value = 100; }")
    page.click("#make")
    assert not np.array_equal(made(page, 3, 2)[0], first[:3]) and page.locator("#made img").count() == 3
    page.fill("#count", "1")
    page.evaluate("() => { document.getElementById('walk').value = 0; }")
    page.click("#make")
    close(made(page, 1, 2)[0], first[:1])
    page.fill("#count", "101")
    draw(page, 2)
    page.wait_for_selector("#status.error")
    assert page.inner_text("#status") == "'count' must be an integer from 1 to 100. Received: '101'"


@pytest.mark.slow
def test_files_are_read_as_python_reads_them(page, tmp_path):
    """Dark ink, a transparent picture, a photograph, also as JPEG, whose decoders differ; and a file that is none."""
    draws = np.random.default_rng(0)
    ink = np.full((90, 60), 250, np.uint8)
    ink[20:70, 25:32] = 10
    clear = np.zeros((64, 64, 4), np.uint8)
    clear[10:50, 20:30] = (0, 0, 0, 255)
    photo = np.full((300, 200, 3), 240, np.uint8)
    photo[100:200, 50:150] = draws.integers(0, 200, (100, 100, 3))
    files = []
    for name, picture in (("0.png", ink), ("1.png", clear), ("2.png", photo), ("3.jpg", photo)):
        files.append(tmp_path / name)
        Image.fromarray(picture).save(files[-1])
    expected = load_support(tmp_path, (28, 28, 1), polarity="light-on-dark")
    page.set_input_files("#files", [str(file) for file in files])
    _, seen = made(page, pictures=4)
    levels_of_python = to_uint8(expected.images)
    np.testing.assert_array_equal(seen[:3, ..., None], levels_of_python[:3])
    close(seen[3:, ..., None], levels_of_python[3:])
    assert "4 of 4 images are dark-on-light, the model's data are light-on-dark: inverted" in page.inner_text("#status")
    page.select_option("#invert", "no")
    until(lambda: np.array_equal(levels(page, "#seen"), 255 - seen))
    (tmp_path / "broken.png").write_bytes(b"this is no picture")
    page.set_input_files("#files", str(tmp_path / "broken.png"))
    page.wait_for_selector("#status.error")
    assert page.inner_text("#status") == "broken.png cannot be read as a picture"
    page.click("[aria-label='remove broken.png']")
    made(page, pictures=4)


@pytest.mark.slow
def test_by_the_keyboard_alone(page):
    page.keyboard.press("Tab")
    field = page.locator("#pads canvas").first
    for key in ["Space", *["ArrowRight"] * 8, *["ArrowDown"] * 6, "Space"]:
        page.keyboard.press(key)
    assert "drawn, pen up" in field.get_attribute("aria-label")
    made(page, pictures=1)
    while not page.evaluate("document.activeElement.matches('#made button')"):
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert "sample 2, nearest" in page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert page.locator("#seen li.near").count() == 1
    reached = set()
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent"))
    assert {"The model for ONNX Runtime (omniglot.onnx)", "The samples (samples.png)"} <= reached


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (1100, "dark"), (400, "light"), (400, "dark")])
def test_it_fits_wide_and_narrow_in_both_themes(browser, address, brightness, width, scheme, tmp_path):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    opened(page, address)
    draw(page, 0)
    made(page, pictures=1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing has to be scrolled sideways"
    rights = page.eval_on_selector_all("input, button, a", "all => all.map(each => each.getBoundingClientRect().right)")
    assert max(rights) <= width
    ground, ink = brightness(page)
    assert (ground > ink) == (scheme == "light") and abs(ground - ink) > 400
    page.screenshot(path=tmp_path / f"{width}_{scheme}.png", full_page=True)
    context.close()


@pytest.mark.slow
def test_the_files_are_the_listed_ones_and_each_is_needed(browser, address, folder):
    """The benchmark's own figures: all files are loaded, each once, but the runtime, which its worker loads again."""
    assert {path.name for path in folder.iterdir()} == FILES
    page = browser.new_page()
    results = measured(page, address, 2)
    page.close()
    assert 0 < results["samples_s"] <= results["wait_s"] < 60
    assert results["requests"] == len(FILES) + 1
    total = sum(path.stat().st_size for path in folder.iterdir())
    assert total <= results["bytes"] < 20e6


@pytest.mark.slow
def test_the_policy_forbids_other_places(browser, address):
    page, said = browser.new_page(), []
    page.on("console", lambda line: said.append(line.text))
    opened(page, address)
    assert page.evaluate("fetch('http://localhost:9/').then(() => 'loaded', () => 'refused')") == "refused"
    assert any("Content Security Policy" in line for line in said)
    page.close()


@pytest.fixture
def failing_npm(tmp_path):
    """The PATH on which npm is a program that fails."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "npm").write_text("#!/bin/sh\necho npm error the network is away >&2\nexit 1\n")
    (tmp_path / "bin" / "npm").chmod(0o755)
    return f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"


def test_without_npm_the_build_fails_in_one_line(tmp_path):
    code, printed, error = built(tmp_path / "page", PATH=str(tmp_path))
    assert code == 2 and printed == "" and not list(tmp_path.iterdir())
    assert error == "error: the page must be built with npm, of Node.js 20 or newer, on the PATH. Received: no npm"


def test_a_folder_of_something_else_stays(tmp_path, failing_npm):
    pytest.importorskip("tf2onnx", reason="the extra `onnx` is not installed")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("mine")
    code, _, error = built(tmp_path / "mine", PATH=failing_npm)
    assert code == 2 and error.startswith("error: 'OUT' must be a new folder, or a page that this program built.")
    assert (tmp_path / "mine" / "a.txt").read_text() == "mine"


@pytest.mark.slow
def test_a_failure_of_npm_leaves_the_earlier_page(tmp_path, failing_npm):
    pytest.importorskip("tf2onnx", reason="the extra `onnx` is not installed")
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "model.json").write_text("{}")
    code, _, error = built(tmp_path / "page", PATH=failing_npm)
    assert (code, error) == (1, "error: npm could not install onnxruntime-web: the network is away")
    assert [path.name for path in (tmp_path / "page").iterdir()] == ["model.json"]
