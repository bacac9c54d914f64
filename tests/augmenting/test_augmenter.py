"""`Augmenter` with a tiny model: the same bits two ways, no look at held-out pictures, and what it refuses."""

import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan.augment import class_seed
from meta_gan.augmenting import fitting as module
from meta_gan.augmenting.fine_tuning import FineTuner, generate
from meta_gan.augmenting.models import copy_of, open_model
from meta_gan.metrics import Interval
from meta_gan.protocol.classification import ClassifierRecipe
from meta_gan.protocol.cross_validation import CrossValidation, SmallClassifier, plain_pictures
from meta_gan.protocol.folds import stratified_folds
from meta_gan.protocol.recommendation import ROWS, Recommendation, recommend
from meta_gan.tasks.collection import episode_size
from meta_gan.tasks.pixels import to_uint8
from tests.toys import tiny_dcgan

X = np.random.default_rng(0).integers(0, 256, (11, 8, 8, 1)).astype(np.uint8)
Y = np.array(["b"] * 5 + ["a"] * 6)
HELD = 7
SMALL = {"folds": 3, "classifiers": 1, "per_class": 4}


@pytest.fixture(scope="module")
def model():
    return mg.MetaModel(tiny_dcgan(), mg.FOMAML(inner_steps=1, inner_rate=0.01), averaging=0.9)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "SmallClassifier", lambda: SmallClassifier(ClassifierRecipe(steps=4, width=2)))


@pytest.fixture
def given(monkeypatch):
    """What the cross-validations received as generated pictures, by fold and class."""
    seen, run = [], CrossValidation.run
    monkeypatch.setattr(
        CrossValidation, "run", lambda self, generated, *rest: (seen.append(generated), run(self, generated, *rest))[1]
    )
    return seen


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_and_held_out_pictures_are_not_used(model, given):
    first = mg.Augmenter(model, steps=2, seed=5, rate=0.05, **SMALL).fit(X, Y)
    changed = X.copy()
    changed[HELD] = 255 - changed[HELD]
    other = mg.Augmenter(model, steps=2, seed=5, rate=0.05, **SMALL).fit(changed, Y)
    assert first.fitted_.steps == (2, 2, 2, 2)
    folds = stratified_folds(first.fitted_.comparison.subset.labels, 3, 5)
    for fold in folds:
        same = [np.array_equal(a, b) for a, b in zip(given[0][fold.number], given[1][fold.number], strict=True)]
        # Where the picture is held out nothing differs; elsewhere at least its own class does.
        assert all(same) == (HELD in fold.test)
    assert not np.array_equal(first.sample("a", 4), other.sample("a", 4))
    _check_samples(first)
    _check_report(first)
    _check_final_run(first, model)


def _check_final_run(augmenter, model):
    """The final run, made alone, gives the same bits: it starts from the model's weights, whatever ran before."""
    tuner = FineTuner(model, 0.05, *augmenter.fitted_.episodes)
    assert tuner.run(module._source(X, augmenter.fitted_.pictures.indices), class_seed(5, 0), 2) == 2
    alone = generate(tuner.model, X[Y == "b"], 3, class_seed(5, 1))
    np.testing.assert_array_equal(alone, augmenter.sample("b", 3))


def _check_samples(augmenter):
    """Samples are those of the fine-tuned model that is adapted to the class."""
    for index, label in enumerate(["a", "b"]):
        key = class_seed(5, index)
        direct = augmenter.model_.adapt(X[label == Y], seed=key).sample(4, seed=key)
        np.testing.assert_array_equal(augmenter.sample(label, 4), to_uint8(direct))
        plain = plain_pictures("elastic", X[label == Y], 4, key)
        np.testing.assert_array_equal(augmenter.sample(label, 4, "elastic"), plain)
    assert not np.array_equal(augmenter.sample("a", 4), augmenter.sample("a", 4, seed=6))
    assert augmenter.sample("a", 5, "generated + best plain").shape == (5, 8, 8, 1)


def _check_report(augmenter):
    report = augmenter.report("mine")
    assert report["data"]["pictures"] == 11 and report["fine_tuning"]["steps"] == [2, 2, 2, 2]
    assert set(report["rows"]) == set(ROWS) == set(augmenter.results_)
    assert augmenter.results_["nothing"]["gain"] is None
    assert report["rows"]["shift"]["gain"] == augmenter.results_["shift"]["gain"].as_dict()
    assert report["lines"] == list(augmenter.recommendation_.lines())


@pytest.mark.slow
def test_the_given_model_does_not_change_and_a_run_starts_from_its_averages(model):
    before = [v.numpy() for v in model.variables]
    copied = copy_of(model)
    for ours, theirs in zip(copied.meta_weights().initial.weights["generator"], model._averages, strict=False):
        assert ours.shape == theirs.shape
    tuner = FineTuner(model, 1e-2, 2, 2, 2)
    start = [v.numpy() for v in tuner._variables()]
    source = module._source(X, (Y == "b").astype(np.int32))
    assert tuner.run(source, 0, 1) == 1
    first = [v.numpy() for v in tuner._variables()]
    assert any(not np.array_equal(a, b) for a, b in zip(start, first, strict=True))
    assert tuner.run(source, 0, 1) == 1
    assert all(np.array_equal(v.numpy(), b) for v, b in zip(tuner._variables(), first, strict=True))
    assert tuner.run(source, 0, seconds=0.0) == 0
    assert all(np.array_equal(v.numpy(), b) for v, b in zip(tuner._variables(), start, strict=True))
    assert all(np.array_equal(v.numpy(), b) for v, b in zip(model.variables, before, strict=True))


def test_episodes_fit_the_smallest_class():
    assert [episode_size(count) for count in (2, 3, 4, 5, 8, 11, 12, 50)] == [
        *((1, 1), (1, 2), (2, 2), (2, 3), (4, 4), (5, 6), (5, 7), (5, 7))
    ]


def test_a_large_class_is_adapted_to_in_groups_that_share_all_pictures(monkeypatch):
    supports = []

    class Fake:
        def adapt(self, support, seed):
            supports.append(support)
            return self

        def sample(self, count, seed):
            return np.full((count, 8, 8, 1), len(supports) / 100)

    images = np.arange(45, dtype=np.uint8)[:, None, None, None] * np.ones((8, 8, 1), np.uint8)
    made = generate(Fake(), images, 7, seed=0)
    assert [len(support) for support in supports] == [15, 15, 15]
    assert sorted(int(level) for support in supports for level in support[:, 0, 0, 0]) == list(range(45))
    assert made.shape == (7, 8, 8, 1) and len(np.unique(made)) == 3
    assert generate(Fake(), images, 0, seed=0).shape == (0, 8, 8, 1)


def plain(**options):
    """An augmenter without fine-tuning and comparison."""
    return mg.Augmenter(**{"steps": 0, "compare": False, **options})


@pytest.mark.parametrize(("strategy", "sizes"), [("auto", [6, 6]), (8, [8, 8]), (3, [6, 5])])
def test_resampling_fills_the_classes_up(model, strategy, sizes):
    augmenter = plain(model=model, sampling_strategy=strategy)
    images, labels = augmenter.fit_resample(X, Y)
    np.testing.assert_array_equal(images[:11], X)
    np.testing.assert_array_equal(labels[:11], Y)
    assert [int((labels == label).sum()) for label in ("a", "b")] == sizes
    new = images[11:][labels[11:] == "b"]
    if len(new):
        np.testing.assert_array_equal(new, augmenter.sample("b", len(new)))
    assert augmenter.recommendation_ is None and augmenter.results_ == {}
    assert augmenter.chosen_method == "generated"


@pytest.mark.parametrize(
    "images",
    [X, X / np.float32(255), (X / 127.5 - 1).astype(np.float32), np.pad(X, [(0, 0), (0, 8), (0, 0), (0, 0)])],
)
def test_samples_have_the_shape_dtype_and_range_of_the_pictures(model, images):
    made = plain(model=model).fit(images, Y).sample("a", 3)
    assert made.shape == (3, *images.shape[1:]) and made.dtype == images.dtype
    assert made.min() >= images.min() - 1e-6 and made.max() <= images.max() + 1e-6


def test_pictures_of_the_other_polarity_are_inverted_for_the_model(model):
    light = np.full((6, 8, 8, 1), 255, np.uint8)
    light[:, 2:4, 2:6] = np.arange(6)[:, None, None, None] * 20
    known = copy_of(model)
    known.data_card = {"polarity": "light-on-dark"}
    same, inverted = (plain(model=m).fit(x, ["a", "b"] * 3) for m, x in ((known, 255 - light), (known, light)))
    assert inverted.fitted_.inverted and not same.fitted_.inverted
    np.testing.assert_array_equal(inverted.sample("a", 3), 255 - same.sample("a", 3))


def test_the_data_set_has_the_given_pictures_and_then_new_ones(model):
    augmenter = plain(model=model).fit(X, np.arange(11) % 2)
    data = augmenter.dataset(per_class=2)
    pairs = list(data.as_numpy_iterator())
    assert len(pairs) == int(data.cardinality()) == 15
    assert [int(label) for _, label in pairs[11:]] == [0, 0, 1, 1]
    np.testing.assert_array_equal(np.stack([image for image, _ in pairs[:11]]), X)
    np.testing.assert_array_equal(np.stack([image for image, _ in pairs[13:]]), augmenter.sample(1, 2))
    assert data.element_spec == (tf.TensorSpec((8, 8, 1), tf.uint8), tf.TensorSpec((), tf.int64))
    shifted = list(augmenter.dataset(2, "shift").as_numpy_iterator())
    np.testing.assert_array_equal(np.stack([image for image, _ in shifted[11:13]]), augmenter.sample(0, 2, "shift"))


@pytest.fixture
def compared_with(model, monkeypatch):
    """Fits an augmenter whose comparison finds rows of which a number of eight pictures are right."""

    def fit(options, **right):
        correct = {row: (np.arange(8) < right.get(row, 0)).astype(float) for row in ROWS}
        monkeypatch.setattr(module, "recommend", lambda *_: recommend(correct))
        return mg.Augmenter(model, **{"steps": 0, **SMALL, **options})

    return fit


def test_the_recommended_pictures_are_added(compared_with):
    augmenter = compared_with({}, elastic=8)
    images, labels = augmenter.fit_resample(X, Y)
    assert augmenter.chosen_method == "elastic" and labels[11:].tolist() == ["b"]
    np.testing.assert_array_equal(images[11:], augmenter.sample("b", 1, "elastic"))
    assert isinstance(augmenter.recommendation_, Recommendation)
    assert augmenter.results_["elastic"] == {"accuracy": Interval(1, 1, 1), "gain": Interval(1, 1, 1)}


def test_nothing_is_added_if_nothing_helps_and_a_warning_says_so(compared_with):
    augmenter = compared_with({})
    with pytest.warns(UserWarning, match="no pictures are added, because none of the methods helps measurably"):
        images, labels = augmenter.fit_resample(X, Y)
    np.testing.assert_array_equal(images, X)
    assert labels.tolist() == Y.tolist() and int(augmenter.dataset(3).cardinality()) == 11


def test_a_given_method_is_used_whatever_is_recommended(compared_with):
    augmenter = compared_with({"method": "shift"}, elastic=8)
    images, _ = augmenter.fit_resample(X, Y)
    np.testing.assert_array_equal(images[11:], augmenter.sample("b", 1, "shift"))


def test_a_classifier_of_the_user_is_compared_with_one_worker(compared_with, monkeypatch):
    def build(image_shape, classes, seed):
        raise AssertionError("not called by the fake")

    made, shapes = [], []

    def fake(given):
        made.append(given)
        return lambda images, labels, classes, test, seed: (shapes.append(test.shape[1:]), labels[: len(test)])[1]

    monkeypatch.setattr(module, "KerasClassifier", fake)
    augmenter = compared_with({"classifier": build}, shift=8).fit(X, Y)
    assert made == [build] and set(shapes) == {(8, 8, 1)} and len(shapes) == 7 * 3
    assert augmenter.report()["comparison"]["classifier"] == "the user's Keras model"


def test_minutes_are_shared_and_folds_take_no_more_steps_than_the_first_run(compared_with, monkeypatch):
    limits = []

    class Fake(FineTuner):
        def warm_up(self, source):
            pass

        def run(self, source, seed, steps=None, seconds=None):
            limits.append((steps, seconds))
            return 7

    monkeypatch.setattr(module, "FineTuner", Fake)
    augmenter = compared_with({"steps": None, "minutes": 10}).fit(X, Y)
    assert [steps for steps, _ in limits] == [None, 7, 7, 7] and augmenter.fitted_.steps == (7, 7, 7, 7)
    # The fake takes no time, so that what it leaves is shared by the runs that follow.
    np.testing.assert_allclose([seconds for _, seconds in limits], [150, 200, 300, 600], rtol=0.05)


def test_the_report_is_a_page_and_json(compared_with, tmp_path):
    augmenter = compared_with({}, shift=4, generated=8).fit(X, Y)
    json_file, page = augmenter.write_report(tmp_path / "made", "mine <b>")
    text = page.read_text("utf-8")
    assert json_file.name == "report.json" and text.count("<img ") > 4
    assert "mine &lt;b&gt;" in text and "Recommended: generated." in text and "<b>" not in text
    assert "Nearest given pictures" in text and "http:" not in text and "https:" not in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minutes": 1, "steps": 1}, "'minutes' and 'steps' must not both be given. Received: 1 and 1"),
        ({"minutes": -1}, "'minutes' must be"),
        ({"minutes": float("nan")}, "'minutes' must be"),
        ({"steps": -1}, "'steps' must be an integer >= 0"),
        ({"seed": -1}, "'seed' must be an integer >= 0"),
        ({"folds": 2}, "'folds' must be an integer >= 3"),
        ({"per_class": 0}, "'per_class' must be an integer >= 1"),
        ({"classifiers": 0}, "'classifiers' must be an integer >= 1"),
        ({"rate": 0}, "'rate' must be"),
        ({"method": "blur"}, "'method' must be one of"),
        ({"method": "generated + best plain", "compare": False}, "'compare' must be True for the method"),
        ({"sampling_strategy": 0}, "'sampling_strategy' must be an integer >= 1"),
        ({"classifier": 3}, "'classifier' must be a function or None. Received: 3"),
        ({"compare": 1}, "'compare' must be"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        mg.Augmenter(**options)


def test_models_that_do_not_fit_are_refused_before_any_training():
    found, name = open_model("auto", (20, 30, 3))
    assert name == "pictures32" and found.game.example_shape == (32, 32, 3)
    with pytest.raises(ValueError, match=r"one of the shipped names.*Received: 'nowhere'"):
        mg.Augmenter("nowhere").fit(X, Y)
    with pytest.raises(ValueError, match=r"'model' must be a MetaModel, a path or a shipped name. Received: 3"):
        open_model(3, (8, 8, 1))
    with pytest.raises(ValueError, match="'X' must be grey pictures for the model 'omniglot', of 28x28x1"):
        mg.Augmenter("omniglot").fit(np.repeat(X, 3, axis=-1), Y)


def test_what_is_not_fitted_has_no_samples(model):
    augmenter = plain(model=model)
    with pytest.raises(ValueError, match="'fit' must be called first"):
        augmenter.sample("a", 1)
    augmenter.fit(X, Y)
    for arguments, message in ((("c", 1), "'label' must be"), (("a", 0), "'n' must be"), (("a", 1, "x"), "'method'")):
        with pytest.raises(ValueError, match=message):
            augmenter.sample(*arguments)
    with pytest.raises(ValueError, match="'compare' must be True"):
        augmenter.sample("a", 2, "generated + best plain")
    with pytest.raises(ValueError, match="'y' must be"):
        augmenter.fit(X, Y[:3])
    with pytest.raises(ValueError, match="'fit' must be called first"):
        augmenter.sample("a", 1)
