"""The demo without its web server: from a request with pictures to samples, and to files for download."""

from __future__ import annotations

import base64
import binascii
import importlib.util
import io
import math
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan import loading
from meta_gan.adapted import AdaptedModel
from meta_gan.checks import LARGEST_INTEGER, check_choice, check_converged, check_integer, check_number
from meta_gan.model import MetaModel
from meta_gan.protocol.baselines import Shift
from meta_gan.tasks.media import Pictures, of_card
from meta_gan.tasks.media.pictures import INVERT
from meta_gan.tasks.pictures import png
from meta_gan.tasks.pixels import to_uint8

IMAGES, SAMPLES, STEPS = 20, 100, 100
"""The largest numbers of pictures, samples and inner steps of a request."""
BYTES = 2**20
"""The largest size of a picture's file."""
FILES = {"samples": "samples.zip", "keras": "generator.keras", "onnx": "generator.onnx"}
"""What can be downloaded, and the names of the files."""


@dataclass(frozen=True)
class Request:
    """A request of the page, checked.

    Args:
        model: name or folder, one of the demo's.
        images: the contents of 1 to `IMAGES` picture files, each of at most `BYTES` bytes.
        inner_steps: int >= 0, or None for the model's own number.
        seed: int in [0, 2^31 - 2], of the noise.
        count: number of samples, >= 1.
        walk: in [0, 1], how far the noise of each sample has moved towards that of the next seed.
        invert: "auto", "yes" or "no", as in `meta-gan adapt`.

    Raises:
        ValueError: an argument out of range.
    """

    model: str
    images: tuple[bytes, ...]
    inner_steps: int | None = None
    seed: int = 0
    count: int = 24
    walk: float = 0.0
    invert: str = "auto"

    def __post_init__(self) -> None:
        if not 1 <= len(self.images) <= IMAGES:
            raise ValueError(f"'images' must be 1 to {IMAGES} pictures. Received: {len(self.images)}")
        if (longest := max(map(len, self.images))) > BYTES:
            raise ValueError(f"'images' must be files of at most {BYTES} bytes. Received: {longest}")
        if self.inner_steps is not None:
            check_integer(self.inner_steps, "inner_steps", 0, STEPS)
        check_integer(self.seed, "seed", 0, LARGEST_INTEGER - 1)  # the walk needs the next one, too
        check_integer(self.count, "count", 1, SAMPLES)
        check_number(self.walk, "walk", least=0, most=1)
        check_choice(self.invert, "invert", INVERT)

    @classmethod
    def from_json(cls, content: Any) -> Request:
        """Return the request of a decoded JSON object, in which `images` are base64 strings.

        Raises:
            ValueError: no object of these fields.
        """
        fields = set(cls.__dataclass_fields__)
        if not isinstance(content, Mapping) or not {"model", "images"} <= set(content) <= fields:
            received = sorted(content) if isinstance(content, Mapping) else type(content).__name__
            raise ValueError(f"a request must be an object of {sorted(fields)}. Received: {received}")
        texts = content["images"]
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"'images' must be a list of base64 strings. Received: {type(texts).__name__}")
        try:
            images = tuple(base64.b64decode(text, validate=True) for text in texts)
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"'images' must be base64. Received: {error}") from error
        return cls(**{**content, "model": str(content["model"]), "images": images})


@dataclass(frozen=True)
class Answer:
    """The samples of a request, with what the page shows beside them; pictures are uint8[n, height, width, channels].

    Attributes:
        support: the pictures as the model saw them.
        samples: made by the adapted model.
        nearest: int[n], the index of each sample's nearest support picture, by squared differences of pixels.
        shifted: shifted copies of the support pictures, as many as samples.
        note: what the reader says of the files, such as that it inverted them; or None.
        seconds: taken by adaptation and sampling.
    """

    support: np.ndarray
    samples: np.ndarray
    nearest: np.ndarray
    shifted: np.ndarray
    note: str | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, in which pictures are `data:` URLs."""
        urls = {name: [_url(picture) for picture in getattr(self, name)] for name in ("support", "samples", "shifted")}
        return {**urls, "nearest": self.nearest.tolist(), "note": self.note, "seconds": self.seconds}


class Demo:
    """The models of the page, each loaded when it is first asked for. It is to be called by one thread at a time.

    Args:
        models: names, folders or addresses of models that sample pictures.

    Raises:
        ValueError: there is no such model.

    Example:
        >>> answer = Demo(["omniglot"]).answer(Request("omniglot", (png_bytes,)))
    """

    def __init__(self, models: Sequence[str]):
        # Pinned, because a model is loaded only when it is first asked for.
        self.models: dict[str, MetaModel | None] = dict.fromkeys(str(loading.pinned(name)) for name in models)
        for name in self.models:
            loading.resolve(name)

    def load(self, name: str) -> MetaModel:
        """Return one of the models.

        Raises:
            ValueError: it is not one of them, or makes no pictures.
        """
        check_choice(name, "model", list(self.models))
        model = self.models[name]
        if model is None:
            model = loading.load(name)
            pictures = isinstance(of_card(model.data_card), Pictures) and len(model.game.example_shape) == 3
            if not pictures or not {"sample", "generate"} <= set(model.game.endpoints):
                raise ValueError(f"'model' must sample pictures. Received: {name!r}, a {type(model.game).__name__}")
            self.models[name] = model
        return model

    def described(self) -> list[dict[str, Any]]:
        """Load the models, and return `[{"name", "height", "width", "channels"}]` of them.

        Raises:
            ValueError: one of them makes no pictures.
        """
        axes = ("height", "width", "channels")
        return [
            {"name": name, **dict(zip(axes, self.load(name).game.example_shape, strict=True))} for name in self.models
        ]

    def answer(self, request: Request) -> Answer:
        """Adapt a model to the pictures of a request, and sample.

        Raises:
            ValueError: a picture that cannot be read, or a model that is not one of these.
            DivergenceError: adaptation diverged.
        """
        model = self.load(request.model)
        support, note = read(request, model)
        started = time.monotonic()
        samples = sampled(model.adapt(support, steps=request.inner_steps, seed=request.seed), request)
        seconds = time.monotonic() - started
        shifted = Shift().adapt(support).sample(request.count, seed=request.seed)
        difference = np.square(samples[:, None] - support[None]).reshape(len(samples), len(support), -1).sum(axis=-1)
        seen, made, copies = (to_uint8(pictures) for pictures in (support, samples, shifted))
        return Answer(seen, made, difference.argmin(axis=1), copies, note, seconds)

    def download(self, request: Request, what: str) -> bytes:
        """Return the content of a file of `FILES`: the samples as PNGs, or the adapted generator.

        Raises:
            ValueError: another file, ONNX without the extra `onnx`, or as `answer`.
        """
        check_choice(what, "what", tuple(FILES))
        if what == "samples":
            return _zipped(self.answer(request).samples)
        if what == "onnx" and importlib.util.find_spec("tf2onnx") is None:
            raise ValueError("a generator for ONNX Runtime needs the extra `onnx`, `pip install 'meta-gan[onnx]'`")
        with tempfile.TemporaryDirectory() as folder:
            model = self.load(request.model)
            adapted = model.adapt(read(request, model)[0], steps=request.inner_steps, seed=request.seed)
            place = Path(folder) / FILES[what]
            if what == "keras":
                adapted.generator.save(place)
            else:
                adapted.export(place, format="onnx")
            return place.read_bytes()


def read(request: Request, model: MetaModel) -> tuple[np.ndarray, str | None]:
    """Read the pictures of a request as `meta-gan adapt --support` reads a folder.

    Returns:
        float32[k, height, width, channels] in [-1, 1], and the reader's note.

    Raises:
        ValueError: a file that cannot be read; the message numbers it, from 1.
    """
    with tempfile.TemporaryDirectory() as folder:
        for index, content in enumerate(request.images, 1):
            # The reader goes by the content, and a name with an ending of pictures lets it try.
            (Path(folder) / f"picture_{index:02d}.png").write_bytes(content)
        try:
            found, note = Pictures().read_support(folder, model.game.example_shape, model.data_card, request.invert)
        except ValueError as error:
            raise ValueError(str(error).replace(f"{folder}/", "")) from error
    # The reader's last words are about an argument of Python.
    return found, None if note is None else note.replace(f"{folder}: ", "").partition(" (invert=")[0]


def sampled(adapted: AdaptedModel, request: Request) -> np.ndarray:
    """Return float32[count, *example]: with `walk` 0 the samples of the request's seed, with 1 those of the next noise.

    In between the noise moves along an arc, which keeps its length. The leading numbers of z, which choose support
    pictures, stay those of the request's seed.

    Raises:
        DivergenceError: a sample is not finite.
    """
    if not request.walk:
        return adapted.sample(request.count, seed=request.seed)
    adaptation, angle = adapted.adaptation, 0.5 * math.pi * request.walk
    first, second = (adaptation.latents(request.count, seed) for seed in (request.seed, request.seed + 1))
    z = math.cos(angle) * first + math.sin(angle) * second
    columns = getattr(adaptation.game.nets[adaptation.game.primary], "stratified", 0)
    z = tf.concat([first[:, :columns], z[:, columns:]], axis=1)
    made = adaptation.run("generate", adapted.snapshot, adapted.conditioning, {"z": z}, request.seed)["samples"].numpy()
    check_converged([made], "the samples")
    return made


def _url(picture: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(png(picture)).decode("ascii")


def _zipped(pictures: np.ndarray) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for index, picture in enumerate(pictures):
            archive.writestr(f"sample_{index:03d}.png", png(picture))
    return held.getvalue()
