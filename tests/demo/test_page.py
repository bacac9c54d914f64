"""The demo's page in a headless browser: drawn on, driven by the keyboard alone, and its downloads opened."""

import io
import threading
import time
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image

import meta_gan  # noqa: F401  registers the classes of the downloaded generator
from benchmarks.speed.browser_page import draw, until
from meta_gan.demo import Demo
from meta_gan.demo.answers import BYTES
from meta_gan.demo.app import application

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address():
    """The page of the shipped models, served on a free port."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(application(Demo(["omniglot", "pictures32"])), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def page(browser, address):
    context = browser.new_context(viewport={"width": 1100, "height": 1000}, accept_downloads=True)
    made, errors = context.new_page(), []
    made.on("pageerror", lambda error: errors.append(str(error)))
    made.on("requestfailed", lambda request: errors.append(f"{request.url}: {request.failure}"))
    made.goto(address)
    ready(made)
    yield made
    context.close()
    assert not [error for error in errors if "ERR_ABORTED" not in error], "the page itself cancels what is out of date"


def ready(page):
    until(lambda: page.locator("#model option").count() == 2)


def made(page, count=24, pictures=1):
    """Wait for samples, and return their addresses."""
    until(lambda: page.inner_text("#status").startswith(f"{count} samples from {pictures} "))
    return page.eval_on_selector_all("#made img", "all => all.map(each => each.src)")


def others(page, old):
    """Wait for samples other than `old`, and return their addresses."""
    until(lambda: page.locator("#made img").first.get_attribute("src") != old[0])
    return made(page, pictures=5)


def download(page, what):
    with page.expect_download(timeout=120_000) as info:
        page.click(f"[data-file={what}]")
    return info.value


def test_five_drawings_become_samples_that_can_be_taken_away(page, tmp_path):
    for number in range(5):
        draw(page, number, jitter=2 * number)
    samples = made(page, pictures=5)
    assert len(samples) == len(set(samples)) == 24
    assert page.locator("#seen img").count() == 5 and page.locator("#shifted img").count() == 24

    page.locator("#made button").nth(3).hover()
    label = page.locator("#made button").nth(3).get_attribute("aria-label")
    nearest = int(label.rsplit(" ", 1)[1]) - 1
    assert page.locator("#seen li.near").count() == 1
    assert "near" in page.locator("#seen li").nth(nearest).get_attribute("class")

    archive = zipfile.ZipFile(download(page, "samples").path())
    assert len(archive.namelist()) == 24
    assert Image.open(io.BytesIO(archive.read("sample_000.png"))).size == (28, 28)
    download(page, "keras").save_as(tmp_path / "generator.keras")
    generator = keras.models.load_model(tmp_path / "generator.keras")
    assert generator(np.zeros((2, 64), np.float32)).shape == (2, 28, 28, 1)
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(download(page, "onnx").path(), providers=["CPUExecutionProvider"])
    assert session.run(None, {session.get_inputs()[0].name: np.zeros((2, 64), np.float32)})[0].shape == (2, 28, 28, 1)

    page.click("#again")
    other = others(page, samples)
    assert page.input_value("#seed") == "1" and not set(samples) & set(other)
    page.fill("#seed", "0")
    page.evaluate("() => { document.getElementById('walk').value = 100; }")
    page.click("#make")
    walked = others(page, other)
    assert not set(walked) & set(samples), "the noise is that of the next seed, the choices are this one's"


def test_by_the_keyboard_alone(page):
    """One can draw, look at the samples and clear a field; labels and the status line say what happened."""
    page.keyboard.press("Tab")
    field = page.locator("#pads canvas").first
    assert field.evaluate("each => document.activeElement === each")
    assert "empty, pen up" in field.get_attribute("aria-label")
    for key in ["Space", *["ArrowRight"] * 8, *["ArrowDown"] * 6, "Space"]:
        page.keyboard.press(key)
    assert "drawn, pen up" in field.get_attribute("aria-label")
    assert len(made(page, pictures=1)) == 24
    assert page.locator("#status").get_attribute("aria-live") == "polite"
    while not page.evaluate("document.activeElement.matches('#made button')"):
        page.keyboard.press("Tab")
    assert "sample 1, nearest to your picture 1" in page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert page.locator("#seen li.near").count() == 1
    page.keyboard.press("ArrowRight")
    assert "sample 2, nearest" in page.evaluate("document.activeElement.getAttribute('aria-label')")
    field.focus()
    page.keyboard.press("Delete")
    assert "empty" in field.get_attribute("aria-label") and page.inner_text("#status") == "Field 1: cleared."
    page.wait_for_selector("#results", state="hidden")


def test_files_and_their_faults(page, tmp_path):
    draw_file = tmp_path / "leaf.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 40, 3), np.uint8)).save(draw_file)
    page.select_option("#model", "pictures32")
    page.set_input_files("#files", [str(draw_file)] * 3)
    assert len(made(page, pictures=3)) == 24
    (tmp_path / "broken.png").write_bytes(b"this is no picture")
    page.set_input_files("#files", str(tmp_path / "broken.png"))
    page.wait_for_selector("#status.error")
    assert "broken.png" in page.inner_text("#status")
    page.click("[aria-label='remove broken.png']")
    assert len(made(page, pictures=3)) == 24
    large = tmp_path / "large.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (900, 700, 3), np.uint8)).save(large)
    assert large.stat().st_size > BYTES
    page.set_input_files("#files", str(large))
    assert len(made(page, pictures=4)) == 24
    page.click("#clear")
    page.wait_for_selector("#results", state="hidden")


@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (1100, "dark"), (400, "light")])
def test_it_fits_wide_and_narrow_in_both_themes(browser, address, brightness, width, scheme, tmp_path):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(address)
    ready(page)
    draw(page, 0)
    made(page, pictures=1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing has to be scrolled sideways"
    rights = page.eval_on_selector_all("input, button", "all => all.map(each => each.getBoundingClientRect().right)")
    assert max(rights) <= width
    assert not page.locator("#ink").is_visible(), "a model of grey pictures has no use for colours"
    ground, ink = brightness(page)
    assert (ground > ink) == (scheme == "light") and abs(ground - ink) > 400
    page.screenshot(path=tmp_path / f"{width}_{scheme}.png", full_page=True)
    context.close()
