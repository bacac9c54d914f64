"""The static page's arithmetic in Node.js: pictures become what Python makes of them, and the noise is normal."""

import json
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meta_gan.tasks.media.pictures import load_support
from meta_gan.tasks.pictures import grid
from meta_gan.tasks.pixels import to_uint8
from tests.test_readme import ROOT

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="Node.js is not on this machine")
PROGRAM = """
import { readFileSync } from "node:fs";
import * as noise from "./noise.js";
import * as pixels from "./pixels.js";
const { expression, ...values } = JSON.parse(readFileSync(0, "utf8"));
const packed = (_, value) => (ArrayBuffer.isView(value) ? [...value] : value);
const made = new Function("noise", "pixels", "values", `return ${expression}`)(noise, pixels, values);
process.stdout.write(JSON.stringify(made, packed));
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A function that evaluates an expression of `noise`, `pixels` and the `values` that it is given."""
    folder = tmp_path_factory.mktemp("node")
    for name in ("pixels.js", "noise.js"):
        shutil.copy(ROOT / "docs/browser" / name, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "program.js").write_text(PROGRAM)

    def evaluated(expression, **values):
        content = json.dumps({"expression": expression, **values})
        done = subprocess.run(
            [NODE, "program.js"], input=content, cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return evaluated


def read(node, pictures, folder: Path, invert="auto", shape=(28, 28), polarity="light-on-dark"):
    """Read uint8[height, width, 4] pictures by both readers: `(levels of the page, of Python, note, its note)`.

    What Python's says about the folder and its own argument is left out.
    """
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"picture_{index:02d}.png")
    expected = load_support(folder, (*shape, 1), invert=invert, polarity=polarity)
    values = [{"width": p.shape[1], "height": p.shape[0], "data": p.reshape(-1).tolist()} for p in pictures]
    about = {"height": shape[0], "width": shape[1], "polarity": polarity}
    given = "values.pictures.map((each) => ({ ...each, data: Uint8ClampedArray.from(each.data) }))"
    call = f"pixels.support({given}, values.about, values.invert)"
    found = node(call, pictures=values, about=about, invert=invert)
    levels = np.array(found["levels"], np.uint8).reshape(-1, *shape, 1)
    message = expected.message and expected.message.replace(f"{folder}: ", "").partition(" (invert=")[0]
    return levels, to_uint8(expected.images), found["note"], message


def coloured(seed, height, width, opacity=255):
    """A noisy picture on an even ground, so that its border has a median and its polarity is clear."""
    draw = np.random.default_rng(seed)
    made = np.full((height, width, 4), (*draw.integers(0, 60, 3), opacity), np.uint8)
    inner = made[height // 4 : height - height // 4, width // 4 : width - width // 4]
    inner[..., :3] = draw.integers(0, 256, (*inner.shape[:2], 3))
    inner[..., 3] = 255 if opacity == 255 else draw.integers(0, 256, inner.shape[:2])
    return made


SIZES = [(112, 112), (28, 28), (28, 40), (61, 33), (7, 90), (200, 301), (20, 28), (9, 14), (1, 1), (27, 29)]


@pytest.mark.parametrize("opacity", [255, 0])
def test_pictures_of_any_size_become_what_python_makes_of_them(node, tmp_path, opacity):
    """Equal to the bit: reduced by area, enlarged between pixels, padded, over a ground where they are transparent."""
    pictures = [coloured(seed, *size, opacity) for seed, size in enumerate(SIZES)]
    found, expected, note, message = read(node, pictures, tmp_path)
    np.testing.assert_array_equal(found, expected)
    assert len({picture.tobytes() for picture in found}) >= len(SIZES) - 1
    assert message == note and note.startswith("the model's images are grey: ")


def test_a_blank_among_transparent_pictures_gets_the_other_ground(node, tmp_path):
    """White ink, transparent elsewhere, among black ink would vanish on the white ground of the set."""
    pictures = np.zeros((3, 56, 56, 4), np.uint8)
    pictures[:, 10:40, 20:30, 3] = 255
    pictures[2, ..., :3] = 255
    found, expected, _, _ = read(node, list(pictures), tmp_path, "no")
    np.testing.assert_array_equal(found, expected)
    assert np.ptp(found[2]) == 255


@pytest.mark.parametrize("polarity", ["light-on-dark", "dark-on-light"])
@pytest.mark.parametrize("invert", ["auto", "yes", "no"])
def test_light_and_dark_are_swapped_as_python_does(node, tmp_path, invert, polarity):
    paper = 255 - coloured(3, 50, 50)
    paper[..., 3] = 255
    pictures = [paper, paper, coloured(1, 50, 50)]
    found, expected, note, message = read(node, pictures, tmp_path, invert, polarity=polarity)
    np.testing.assert_array_equal(found, expected)
    assert (found[0, 0, 0, 0] < 128) == ((invert == "auto" and polarity == "light-on-dark") or invert == "yes")
    assert message == note and ("2 of 3 images are dark-on-light, " in note) == (invert == "auto")


def test_an_even_split_inverts_nothing(node, tmp_path):
    light = coloured(1, 40, 40)
    dark = np.concatenate([255 - light[..., :3], light[..., 3:]], axis=-1)
    found, expected, note, message = read(node, [light, dark], tmp_path)
    np.testing.assert_array_equal(found, expected)
    assert note.endswith("; no clear polarity (1 light-on-dark, 1 dark-on-light): not inverted") and note == message


def test_levels_and_floats_are_those_of_python(node):
    floats = node("pixels.floats([Uint8Array.from({length: 256}, (_, i) => i)])")
    np.testing.assert_array_equal(np.float32(floats), (np.arange(256) / 127.5 - 1).astype(np.float32))
    values = np.linspace(-1.2, 1.2, 500, dtype=np.float32)
    found = node("pixels.levels(Float32Array.from(values.floats), 250)", floats=values.tolist())
    np.testing.assert_array_equal(np.array(found).reshape(-1), to_uint8(values))


def test_the_nearest_support_picture(node):
    samples, given = [0.0, 0.0, 1.0, 1.0, 0.9, 0.2], [1.0, 0.9, 0.0, 0.1, 1.0, 0.0]
    assert node("pixels.nearest(values.samples, values.given, 2)", samples=samples, given=given) == [1, 0, 2]


def test_a_grid_is_that_of_python(node):
    pictures = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 1), np.uint8)
    found = node(
        "pixels.grid(values.pictures.map((each) => Uint8Array.from(each)), 3, 4, 2)",
        pictures=pictures.reshape(5, -1).tolist(),
    )
    rows = [pictures[start : start + 2] / 127.5 - 1 for start in (0, 2, 4)]
    expected = grid(rows)
    assert expected.shape == (found["height"], found["width"], 1)
    np.testing.assert_array_equal(np.array(found["levels"]).reshape(expected.shape), expected)


def xoshiro(state):
    """Numbers of xoshiro128**, by Python's integers."""
    turned = lambda x, by: (x << by | x >> (32 - by)) & 0xFFFFFFFF  # noqa: E731
    s = list(state)
    while True:
        yield turned(s[1] * 5 & 0xFFFFFFFF, 7) * 9 & 0xFFFFFFFF
        kept = s[1] << 9 & 0xFFFFFFFF
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= kept
        s[3] = turned(s[3], 11)


def test_the_bits_are_those_of_the_generator(node):
    """The first numbers from the state 1, 2, 3, 4 by hand: rotl(2 * 5, 7) * 9 = 11520; then s[1] is 0."""
    found = node("(() => { const draw = noise.bits([1, 2, 3, 4]); return Array.from({length: 50}, draw); })()")
    draws = xoshiro([1, 2, 3, 4])
    assert found == [next(draws) for _ in range(50)] and found[:2] == [11520, 0]


def test_the_noise_is_standard_normal_and_each_seed_has_its_own(node):
    state = node("noise.stateOf(7)")
    draws = xoshiro(state)
    expected = []
    for _ in range(4):
        radius, turn = math.sqrt(-2 * math.log((next(draws) + 1) / 2**32)), 2 * math.pi * next(draws) / 2**32
        expected += [radius * math.cos(turn), radius * math.sin(turn)]
    np.testing.assert_allclose(node("noise.normal(7, 2, 4)"), expected, rtol=1e-6)
    assert node("noise.normal(7, 3, 64)")[:128] == node("noise.normal(7, 2, 64)"), "row i does not depend on the count"
    large = np.array([node(f"noise.normal({seed}, 400, 64)") for seed in (0, 1)])
    # Standard errors: 1 / sqrt(25600) of the mean and of the correlation, sqrt(2) times that of the variance.
    assert np.all(np.abs(large.mean(axis=1)) < 4 / 160) and np.all(np.abs(large.var(axis=1) - 1) < 6 / 160)
    assert abs(np.corrcoef(large)[0, 1]) < 4 / 160
    assert abs((np.abs(large) < 1).mean() - 0.6827) < 0.01
    assert np.all(np.isfinite(node("noise.normal(2147483647, 2, 5)")))


def test_the_noise_walks_to_that_of_the_next_seed(node):
    first, second = (np.array(node(f"noise.normal({seed}, 3, 8)")).reshape(3, 8) for seed in (5, 6))
    here, half, there = (np.array(node(f"noise.walked(5, 3, 8, 2, {share})")).reshape(3, 8) for share in (0, 0.5, 1))
    np.testing.assert_array_equal(here, first)
    np.testing.assert_allclose(there[:, 2:], second[:, 2:], atol=1e-6)
    np.testing.assert_allclose(half[:, 2:], (first + second)[:, 2:] / math.sqrt(2), atol=1e-6)
    np.testing.assert_array_equal(half[:, :2], first[:, :2])
