"""The demo's calls without a browser: what they answer, what they refuse, and what is never loaded or written."""

import base64
import importlib.util
import io
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import meta_gan as mg
from meta_gan.demo import Demo, Request
from meta_gan.demo.answers import BYTES, IMAGES, sampled
from meta_gan.demo.app import LONGEST, application
from meta_gan.tasks.pixels import to_uint8
from tests.games.nets import tiny_fusion
from tests.toys import tiny_gan


def png(seed, shape=(8, 8)):
    held = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8)).save(held, format="PNG")
    return held.getvalue()


PICTURES = [png(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A saved model of 8 x 8 pictures."""
    model = mg.MetaModel(tiny_fusion(), mg.FOMAML(0))
    model.data_card = {"medium": "pictures", "polarity": "light-on-dark"}
    model.save(tmp_path_factory.mktemp("demo") / "model")
    return str(tmp_path_factory.getbasetemp() / "demo0" / "model")


@pytest.fixture(scope="module")
def client(folder):
    return TestClient(application(Demo([folder])), base_url="http://127.0.0.1")


@pytest.fixture
def ask(client, folder):
    def post(path="samples", **changes):
        content = {"model": folder, "images": PICTURES, "count": 4, **changes}
        content["images"] = [base64.b64encode(each).decode() for each in content["images"]]
        return client.post(f"/api/{path}", json=content)

    return post


def levels(url):
    return np.array(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))[..., None]


def test_the_page_and_the_models(client, folder):
    assert "Draw a few" in client.get("/").text
    described = {"name": folder, "height": 8, "width": 8, "channels": 1}
    assert client.get("/api/models").json() == [described]


def test_the_samples_are_those_of_python(ask, folder):
    found = ask(seed=5, inner_steps=0).json()
    support = np.stack([np.array(Image.open(io.BytesIO(each)))[..., None] for each in PICTURES])
    expected = to_uint8(mg.load(folder).adapt(support, steps=0, seed=5).sample(4, seed=5))
    np.testing.assert_array_equal([levels(url) for url in found["samples"]], expected)
    np.testing.assert_array_equal([levels(url) for url in found["support"]], support)
    assert len(found["shifted"]) == 4 and found["seconds"] > 0
    difference = np.square(expected[:, None].astype(float) - support[None]).sum(axis=(2, 3, 4))
    assert found["nearest"] == difference.argmin(axis=1).tolist()


def test_the_noise_walks_from_one_seed_to_the_next(folder):
    """At its start are the samples of the seed; at its end the noise is that of the next one, and both choices stay."""
    adapted = mg.load(folder).adapt(np.stack([levels_of(each) for each in PICTURES]), steps=0)
    here, there = (Request(folder, (b"",), seed=3, count=3, walk=walk) for walk in (1e-6, 1.0))
    np.testing.assert_allclose(sampled(adapted, here), adapted.sample(3, seed=3), atol=1e-4)
    first, second = (adapted.adaptation.latents(3, seed).numpy() for seed in (3, 4))
    z = np.concatenate([first[:, :2], second[:, 2:]], axis=1)
    np.testing.assert_allclose(sampled(adapted, there), adapted.generator(z), atol=1e-4)
    assert np.abs(sampled(adapted, there) - sampled(adapted, here)).max() > 1e-3


def levels_of(content):
    return np.array(Image.open(io.BytesIO(content)))[..., None]


def test_downloads(ask, tmp_path):
    archive = zipfile.ZipFile(io.BytesIO(ask("download/samples").content))
    found = ask().json()["samples"]
    np.testing.assert_array_equal(levels_of(archive.read("sample_003.png")), levels(found[3]))
    answer = ask("download/keras")
    assert answer.headers["content-disposition"] == 'attachment; filename="generator.keras"'
    (tmp_path / "generator.keras").write_bytes(answer.content)
    assert keras.models.load_model(tmp_path / "generator.keras")(np.zeros((1, 4), np.float32)).shape == (1, 8, 8, 1)
    assert ask("download/weights").json()["error"].startswith("'what' must be one of 'samples', 'keras', 'onnx'")


def test_onnx_without_its_extra_is_one_line(ask, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else find(name))
    answer = ask("download/onnx")
    assert answer.status_code == 400 and "needs the extra `onnx`" in answer.json()["error"]


def test_pictures_are_swapped_on_demand(ask):
    kept, swapped = (ask(invert=invert).json()["support"] for invert in ("no", "yes"))
    np.testing.assert_array_equal(levels(kept[0]), 255 - levels(swapped[0]))


def test_what_goes_wrong_in_the_server_is_answered_too(client, ask, monkeypatch, caplog):
    monkeypatch.setattr(Demo, "answer", lambda self, request: 1 / 0)
    answer = ask()
    assert answer.status_code == 500 and "ZeroDivisionError" in answer.json()["error"]
    assert "the demo failed" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": []}, "'images' must be 1 to 20 pictures. Received: 0"),
        ({"images": PICTURES * 7}, "'images' must be 1 to 20 pictures. Received: 21"),
        ({"images": [bytes(BYTES + 1)]}, f"'images' must be files of at most {BYTES} bytes. Received: {BYTES + 1}"),
        ({"images": [PICTURES[0], b"no picture"]}, "picture_02.png"),
        ({"model": "/etc"}, "'model' must be one of"),
        ({"count": 101}, "'count' must be an integer >= 1 and <= 100. Received: 101"),
        ({"count": "4"}, "'count' must be an integer"),
        ({"seed": -1}, "'seed' must be an integer >= 0"),
        ({"seed": 2**31 - 1}, "'seed' must be an integer >= 0 and <= 2147483646. Received: 2147483647"),
        ({"inner_steps": 101}, "'inner_steps' must be an integer >= 0 and <= 100"),
        ({"walk": 1.5}, "'walk' must be a finite number >= 0 and <= 1. Received: 1.5"),
        ({"invert": "maybe"}, "'invert' must be one of 'auto', 'yes', 'no'. Received: 'maybe'"),
        ({"colour": 1}, "a request must be an object of ['count', 'images', 'inner_steps', 'invert', 'model', 'seed',"),
    ],
)
def test_a_bad_request_is_answered_in_one_line(ask, changes, message):
    answer = ask(**changes)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert message in error and "\n" not in error
    assert "model" in changes or "/tmp" not in error, "no place on the server"


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"model": "m", "images": ["*"]}', "application/json", 400),
        (b'{"model": "m", "images": "a"}', "application/json", 400),
        (b"model=m", "application/x-www-form-urlencoded", 415),
        (b" " * (LONGEST + 1), "application/json", 413),
    ],
)
def test_what_is_no_request_is_refused(client, content, kind, status):
    answer = client.post("/api/samples", content=content, headers={"content-type": kind})
    assert answer.status_code == status and answer.json()["error"]


def test_the_largest_request_is_read(ask):
    answer = ask(images=[PICTURES[0] + bytes(BYTES - len(PICTURES[0]))] * IMAGES)
    assert answer.status_code == 200 and len(answer.json()["support"]) == IMAGES


def test_other_hosts_are_refused_and_nothing_else_is_shown_or_kept(client):
    refused = client.get("/", headers={"host": "example.org"})
    assert refused.status_code == 400
    assert client.get("/%2e%2e/answers.py").status_code == client.get("/..%2fanswers.py").status_code == 404
    for headers in (refused.headers, client.get("/").headers, client.get("/nothing").headers):
        assert "default-src 'self'" in headers["content-security-policy"] and headers["cache-control"] == "no-store"


def test_models_that_make_no_pictures_and_unknown_ones_are_refused(tmp_path):
    mg.MetaModel(tiny_gan(), mg.FOMAML(1, 0.05)).save(tmp_path / "points")
    with pytest.raises(ValueError, match="'model' must sample pictures"):
        Demo([str(tmp_path / "points")]).described()
    with pytest.raises(ValueError, match="Did you mean 'omniglot'"):
        Demo(["omniglott"])
