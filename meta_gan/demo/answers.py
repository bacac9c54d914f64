"""What the demo's page asks for, and the answers: adaptation to uploaded pictures, samples, and files of them."""

from __future__ import annotations

import base64
import binascii
import io
import math
import tempfile
import threading
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from meta_gan import functional, loading
from meta_gan.adapted import AdaptedModel
from meta_gan.checks import check_choice, check_integer, check_number
from meta_gan.meta.inner_loop import SAMPLE
from meta_gan.model import MetaModel
from meta_gan.protocol.baselines import Shift
from meta_gan.tasks.media import Pictures, of_card
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
        seed: int >= 0, of the noise.
        count: number of samples, >= 1.
        walk: in [0, 1], how far the noise of each sample has moved towards that of the next seed.

    Raises:
        ValueError: an argument out of range.
    """

    model: str
    images: tuple[bytes, ...]
    inner_steps: int | None = None
    seed: int = 0
    count: int = 24
    walk: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= len(self.images) <= IMAGES:
            raise ValueError(f"'images' must be 1 to {IMAGES} pictures. Received: {len(self.images)}")
        if (longest := max(map(len, self.images))) > BYTES:
            raise ValueError(f"'images' must be files of at most {BYTES} bytes. Received: {longest}")
        if self.inner_steps is not None:
            check_integer(self.inner_steps, "inner_steps", 0, STEPS)
        check_integer(self.seed, "seed", 0)
        check_integer(self.count, "count", 1, SAMPLES)
        check_number(self.walk, "walk", least=0, most=1)

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
    """Samples and what they are seen beside; pictures are uint8[n, height, width, channels].

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
    """The models of the page, each loaded when it is first asked for. Requests are answered one at a time.

    Args:
        models: names or folders of models that sample pictures.

    Raises:
        ValueError: there is no such model, or it makes no pictures.

    Example:
        >>> answer = Demo(["omniglot"]).answer(Request("omniglot", (png_bytes,)))
    """

    def __init__(self, models: Sequence[str]):
        self.models: dict[str, MetaModel | None] = dict.fromkeys(models)
        self._lock = threading.Lock()
        for name in models:
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
            if not pictures or "sample" not in model.game.endpoints:
                raise ValueError(f"'model' must sample pictures. Received: {name!r}, a {type(model.game).__name__}")
            self.models[name] = model
        return model

    def described(self) -> list[dict[str, Any]]:
        """Return `[{"name", "height", "width", "channels", "polarity"}]` of the models."""
        with self._lock:
            found = []
            for name in self.models:
                model = self.load(name)
                shape = dict(zip(("height", "width", "channels"), model.game.example_shape, strict=True))
                found.append({"name": name, **shape, "polarity": model.data_card.get("polarity")})
            return found

    def answer(self, request: Request) -> Answer:
        """Adapt a model to the pictures of a request, and sample.

        Raises:
            ValueError: a picture that cannot be read, or a model that is not one of these.
            DivergenceError: adaptation diverged.
        """
        with self._lock:
            model = self.load(request.model)
            support, note = read(request.images, model)
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
            ValueError: another file, or as `answer`.
        """
        check_choice(what, "what", tuple(FILES))
        if what == "samples":
            return _zipped(self.answer(request).samples)
        with self._lock, tempfile.TemporaryDirectory() as folder:
            model = self.load(request.model)
            adapted = model.adapt(read(request.images, model)[0], steps=request.inner_steps, seed=request.seed)
            place = Path(folder) / FILES[what]
            if what == "keras":
                adapted.generator.save(place)
            else:
                adapted.export(place, format="onnx")
            return place.read_bytes()


def read(images: Sequence[bytes], model: MetaModel) -> tuple[np.ndarray, str | None]:
    """Read the contents of picture files as `meta-gan adapt --support` reads a folder.

    Returns:
        float32[k, height, width, channels] in [-1, 1], and the reader's note.

    Raises:
        ValueError: a file that cannot be read; the message numbers it, from 1.
    """
    with tempfile.TemporaryDirectory() as folder:
        for index, content in enumerate(images, 1):
            # The reader goes by the content, and a name with an ending of pictures lets it try.
            (Path(folder) / f"picture_{index:02d}.png").write_bytes(content)
        try:
            found, note = Pictures().read_support(folder, model.game.example_shape, model.data_card)
        except ValueError as error:
            raise ValueError(str(error).replace(f"{folder}/", "")) from error
    return found, None if note is None else note.replace(f"{folder}: ", "").replace(folder, "the pictures")


def sampled(adapted: AdaptedModel, request: Request) -> np.ndarray:
    """Return float32[count, *example]: with `walk` 0, the samples of the request's seed; with 1, those of the next one.

    Between them the noise moves on the arc from one to the other, so that it stays as long as noise is. The numbers of
    z that choose support pictures stay as they are.
    """
    if not request.walk or "generate" not in adapted.adaptation.game.endpoints:
        return adapted.sample(request.count, seed=request.seed)
    game, angle = adapted.adaptation.game, 0.5 * math.pi * request.walk
    first, second = (_latents(game, request.count, seed) for seed in (request.seed, request.seed + 1))
    z = math.cos(angle) * first + math.sin(angle) * second
    columns = getattr(game.nets[game.primary], "stratified", 0)
    z = tf.concat([first[:, :columns], z[:, columns:]], axis=1)
    made = adapted.adaptation.run("generate", adapted.snapshot, adapted.conditioning, {"z": z}, request.seed)
    return made["samples"].numpy()


def _latents(game: Any, count: int, seed: int) -> tf.Tensor:
    """Return the z that `AdaptedModel.sample` draws."""
    key = functional.fold(functional.seed_pair(tf.constant(seed)), SAMPLE)
    return game.latents(tf.constant(count), functional.fold(key, 0))


def _url(picture: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(png(picture)).decode("ascii")


def _zipped(pictures: np.ndarray) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for index, picture in enumerate(pictures):
            archive.writestr(f"sample_{index:03d}.png", png(picture))
    return held.getvalue()
