"""The plane of diversity and recognisability, on patterns whose features are their pixels."""

import dataclasses
import json

import numpy as np
import pytest

from meta_gan import metrics
from meta_gan.protocol.allocation import allocate, class_order, opponents
from meta_gan.protocol.plane import PEOPLE, PLAIN, Curve, Plane, PlaneSettings
from tests.protocol.helpers import SHAPE, patterned_source, pixel_judge

CLASSES = 6
SETTINGS = PlaneSettings(samples=4, ways=3)
SOURCE = patterned_source(CLASSES, noise=60)
JUDGE, OTHER = pixel_judge(), pixel_judge("also pixels")


@dataclasses.dataclass(frozen=True)
class Noisy:
    """The one image seen, with noise of a standard deviation on it."""

    deviation: float
    calls: list = dataclasses.field(default_factory=list)

    def adapt(self, support, steps=None, seed=0):
        self.calls.append((seed, support.tobytes()))
        assert support.shape == (1, *SHAPE)
        return _Adapted(support, self.deviation)

    @property
    def game(self):
        return _GAME

    data_card: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class _Game:
    example_shape: tuple = SHAPE


_GAME = _Game()


@dataclasses.dataclass(frozen=True)
class _Adapted:
    support: np.ndarray
    deviation: float

    def sample(self, count, seed=0):
        clean = np.repeat(self.support / 127.5 - 1, count, axis=0)
        noise = np.random.default_rng(seed).normal(0, self.deviation, clean.shape)
        return np.clip(clean + noise, -1, 1).astype(np.float32)


def plane(tmp_path, curves=(), settings=SETTINGS, source=SOURCE, judges=None):
    return Plane(source, curves, *(judges or (JUDGE, OTHER)), settings, tmp_path / "out")


def test_the_scores_are_those_of_their_definitions(tmp_path):
    """People's diversity is 1 and their recognisability that of the other images; both by the metrics themselves."""
    found = plane(tmp_path).run()
    classes = class_order(SOURCE, "test")
    allocation = allocate(SOURCE, classes, 1)
    seen = JUDGE.features(np.concatenate(allocation.images("support")))
    deviations, recognised = [], []
    for place, parts in enumerate(allocation.parts):
        others = JUDGE.features(SOURCE.images[np.concatenate([parts.oracle, parts.references])[:4]])
        deviations.append(metrics.feature_deviation(others))
        ways = opponents(allocation.names, place, 3)
        recognised.append(metrics.recognisability(others, seen[ways], 0))
    people = found[PEOPLE]
    assert people["diversity"]["mean"] == pytest.approx(1, rel=1e-5)
    assert people["recognisability"]["mean"] == pytest.approx(np.mean(recognised), rel=1e-5)
    assert np.mean(recognised) > 0.34
    repeated = found["curves"]["one image repeated"][""]
    assert repeated["diversity"]["mean"] == 0 and repeated["recognisability"]["mean"] == 1


def test_more_noise_is_more_diverse_and_in_people_s_units(tmp_path):
    curve = Curve("noisy", {f"deviation={d}": Noisy(d) for d in (0.05, 0.1, 0.4)}, {"weights_sha256": "0"})
    made = plane(tmp_path, [curve])
    found = made.run()
    points = list(found["curves"]["noisy"].values())
    means = [point["diversity"]["mean"] for point in points]
    assert means == sorted(means) and means[1] == pytest.approx(2 * means[0], rel=0.15), "few values are clipped"
    unit = np.load(tmp_path / "out" / "points" / "people.npz")["deviation"].mean()
    stored = np.load(tmp_path / "out" / "points" / f"{len(PLAIN)}-0.npz")
    assert means[0] == pytest.approx(stored["deviation"].mean() / unit, rel=1e-5)
    shown = made.gallery()["noisy"]["deviation=0.05"]
    assert shown.shape == (CLASSES, 1 + SETTINGS.samples, *SHAPE) and shown.dtype == np.uint8
    first = allocate(SOURCE, class_order(SOURCE, "test"), 1).images("support")[0][0]
    np.testing.assert_array_equal(shown[0, 0], first)
    assert np.abs(shown[0, 1].astype(int) - first).max() < 60


def test_a_point_that_is_there_is_not_made_again(tmp_path):
    model = Noisy(0.1)
    first = plane(tmp_path, [Curve("noisy", {"": model})]).run()
    count = len(model.calls)
    (tmp_path / "out" / "points" / "people.npz").unlink()
    assert plane(tmp_path, [Curve("noisy", {"": model})]).run() == first
    assert count == CLASSES == len(model.calls)
    with pytest.raises(ValueError, match="of other data, models or settings"):
        plane(tmp_path, [Curve("noisy", {"": model})], dataclasses.replace(SETTINGS, seed=1)).run()
    json.dumps(first)


def test_models_in_another_order_are_another_evaluation(tmp_path):
    curves = [Curve(name, {"": Noisy(deviation)}) for name, deviation in (("few", 0.05), ("many", 0.4))]
    plane(tmp_path, curves).run()
    with pytest.raises(ValueError, match="of other data, models or settings"):
        plane(tmp_path, curves[::-1]).run()


def test_images_that_are_all_equal_have_no_unit(tmp_path):
    same = dataclasses.replace(SOURCE, images=np.zeros_like(SOURCE.images))
    with pytest.raises(ValueError, match="the images of a class must differ in the features of the judge of diversity"):
        plane(tmp_path, source=same).run()


def test_a_damaged_point_is_named(tmp_path):
    plane(tmp_path).run()
    path = tmp_path / "out" / "points" / "people.npz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"people.npz' must be a whole .npz file; delete it to have it made again"):
        plane(tmp_path).run()
    path.unlink()
    plane(tmp_path).run()


def test_with_few_classes_samples_are_recognised_among_all(tmp_path):
    assert plane(tmp_path, settings=PlaneSettings()).run()["protocol"]["ways"] == CLASSES


def test_each_draw_is_another_image_seen(tmp_path):
    model = Noisy(0.1)
    found = plane(tmp_path, [Curve("noisy", {"": model})], dataclasses.replace(SETTINGS, draws=2)).run()
    assert len({seed for seed, _ in model.calls}) == 2 * CLASSES == len({seen for _, seen in model.calls})
    assert found["protocol"]["draws"] == 2
    (tmp_path / "one").mkdir()
    single = plane(tmp_path / "one", [Curve("noisy", {"": model})]).run()
    assert found["curves"]["noisy"][""]["diversity"] != single["curves"]["noisy"][""]["diversity"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 1}, "'samples' must be an integer >= 2"),
        ({"ways": 1}, "'ways' must be an integer >= 2"),
        ({"classes": 1}, "'classes' must be an integer >= 2"),
        ({"draws": 0}, "'draws' must be an integer >= 1"),
        ({"seed": -1}, "'seed' must be an integer >= 0"),
    ],
)
def test_settings_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SETTINGS, **change)


def test_what_cannot_be_compared_is_refused_before_any_file(tmp_path):
    seen = {"data": {"name": "patterns", "classes": ["class 1"]}}
    cases = [
        ({"source": patterned_source(1)}, "the test split must have at least 2 classes. Received: 1"),
        ({"curves": [Curve("mine", {})]}, "'points' of a curve must be one or more. Received: none for 'mine'"),
        ({"curves": [Curve("people", {"": Noisy(0.1)})]}, "other names than the fixed row 'people'"),
        ({"curves": [Curve("shift", {"": Noisy(0.1)})]}, "other than the fixed rows"),
        ({"judges": (JUDGE, pixel_judge("seen", **seen))}, "must not have been trained on evaluated classes"),
        ({"judges": (JUDGE, pixel_judge("other", (8, 9, 1)))}, "must take images of"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            plane(tmp_path, **arguments)
    assert not (tmp_path / "out").exists()
