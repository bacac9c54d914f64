"""Every game with every algorithm of `cases.py`: what must hold of each pair, whatever the two are."""

import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import networks
from meta_gan.controller import PolicyGradient
from meta_gan.meta import Consistent, EvolutionStrategies
from tests.conformance.cases import (
    ALGORITHMS,
    DISTILLED,
    FUSION,
    GAMES,
    LEARNED,
    PAIRS,
    PLAIN,
    SAMPLED_FLOW,
    SOUNDS,
    TEXTS,
    TOLD,
    TOLD_FLOW,
    TOLD_TRANSLATION,
    TOLD_VAE,
    TRANSFERRED,
    make,
    marked,
)
from tests.toys import flat_close, numbers, one, random_episodes

POINTS = "points, two discriminator turns"
# Adaptation depends on the meta-learner and the mask only: every game with one algorithm, and every meta-learner and
# mask with one game, cover it.
RARE = (FUSION, SOUNDS, TEXTS, TOLD_FLOW, TOLD_VAE, TOLD_TRANSLATION)
# Those that take longest to export, and have a test of their own that does.
ELSEWHERE = (TOLD, TRANSFERRED, "images, hinge with R1", *RARE)
# And those that differ from others by their losses alone, of which an export knows nothing.
ELSEWHERE += (
    "points, Wasserstein with penalty",
    "points, relativistic with mode seeking",
    PLAIN,
    DISTILLED,
    SAMPLED_FLOW,
)
DEPLOYED = [
    pytest.param(game, "FOMAML", marks=[pytest.mark.conformance] if game in ELSEWHERE else []) for game in GAMES
]
DEPLOYED += [(POINTS, a) for a in ("only the generator", "recurrent")]
# Of the other meta-learners what `make conformance` alone asks.
DEPLOYED += [
    pytest.param(POINTS, a, marks=pytest.mark.conformance)
    for a in ("MAML with momentum", "Reptile with Adam", *LEARNED)
    if a != "recurrent"
]
DEPLOYED += [pytest.param(TOLD, "only the context", marks=pytest.mark.conformance)]
# And everything that meets sounds and texts, whose players are of other tensors.
DEPLOYED += [
    pytest.param(g, a, marks=pytest.mark.conformance) for g, a in PAIRS if g in (SOUNDS, TEXTS) and a != "FOMAML"
]

# Tracing costs seconds a pair. So the two games that say most of an estimator, the plainest and the one whose state
# must be carried along, have a graph of all algorithms (of the costly ones only the plainest); every other game has
# one of each order and one without an inner loop; and the largest one of first order.
COSTLY = ("MAML, total derivatives", "MAML with momentum", "consistent FOMAML", "DAWSON", *LEARNED)
GRAPHED = [
    (g, a)
    for g, a in PAIRS
    if g == PLAIN
    or (g == "batch statistics" and a not in COSTLY)
    or (g not in (FUSION, SOUNDS, TEXTS) and a in ("MAML", "FOMAML", "Pretraining"))
    or (g, a) in ((TOLD, "only the context"), (FUSION, "FOMAML"), (SOUNDS, "FOMAML"), (TEXTS, "FOMAML"))
]


def rarely(pair):
    """A pair whose graph costs much and says little is for `make conformance`."""
    plain = hasattr(pair, "marks") or (pair[0] == PLAIN and pair[1] not in COSTLY)
    often = plain or (pair[1] == "FOMAML" and pair[0] not in RARE)
    return pair if often else pytest.param(*pair, marks=pytest.mark.conformance)


def episodes(game, seed=0):
    dtype = game.nets[game.primary].compute_dtype
    return random_episodes(tasks=2, shape=game.example_shape, seed=seed, dtype=dtype)


def rounded(support):
    """A support set of numbers that float32 holds."""
    return tf.nest.map_structure(lambda x: x.astype(np.float32).astype(x.dtype), support)


def shared(game):
    """Four examples of the source domain."""
    shape = (4, *game.example_shape["source"])
    return np.random.default_rng(7).uniform(-1, 1, shape).astype(game.nets[game.primary].compute_dtype)


def asked(game):
    """How many samples: four are enough of numbers, but a small move changes few choices of a symbol."""
    return 1024 if isinstance(game.nets[game.primary], networks.TextGenerator) else 4


def use(adapted):
    """Examples that an adapted model makes: samples, or translations of the same four."""
    game = adapted.adaptation.game
    return adapted.translate(shared(game)) if "translate" in game.endpoints else adapted.sample(asked(game), seed=1)


def meta_gradients(model, graph):
    """The mean estimate over two tasks: in one graph of both, or task by task and op by op."""
    batch, meta = episodes(model.game), model.meta_weights()
    estimator, steps = model.algorithm.estimator, model.algorithm.inner_steps
    if graph:
        return tf.function(lambda: estimator.estimate(model.loop, meta, batch, steps), autograph=False)()
    if isinstance(estimator, (Consistent, PolicyGradient)):
        # They have no estimate of one task; what they do over tasks is eager, each pass over tasks a graph.
        return estimator.estimate(model.loop, meta, batch, steps)
    each = [estimator.task(model.loop, meta, one(batch, i), steps) for i in range(2)]
    return tf.nest.map_structure(lambda a, b: (a + b) / 2, *each)


@pytest.fixture(scope="module", autouse=True)
def released():
    """Releases the models that `eager` keeps."""
    yield
    eager.cache_clear()


@functools.cache
def eager(game, algorithm):
    """A model of a pair and its meta-gradients op by op, which two tests look at."""
    model = make(game, algorithm)
    return model, meta_gradients(model, graph=False)


@pytest.mark.parametrize(("game", "algorithm"), marked(PAIRS))
def test_the_meta_gradient_is_finite_and_reaches_every_net(game, algorithm):
    """And the meta-learner, if it is learned. A frozen net has no weights and so no gradient; evolution strategies and
    policy gradients train the meta-learner only."""
    model, estimate = eager(game, algorithm)
    assert all(np.isfinite(t).all() for t in tf.nest.flatten(estimate))
    frozen = {**{key: ["features"] for key in (TOLD, FUSION, SOUNDS)}, DISTILLED: ["teacher"]}
    assert [net for net, gradients in estimate.weights.items() if not gradients] == frozen.get(game, [])
    still = isinstance(model.algorithm.estimator, (EvolutionStrategies, PolicyGradient))
    for net, gradients in estimate.weights.items():
        assert not gradients or still != (max(np.abs(g).max() for g in gradients) > 1e-4), net
    assert model.meta_learner.learned == (max((np.abs(g).max() for g in estimate.meta_learner), default=0) > 1e-6)


@pytest.mark.parametrize(("game", "algorithm"), [rarely(pair) for pair in marked(GRAPHED)])
def test_the_meta_gradient_is_the_same_eagerly_and_in_a_graph(game, algorithm):
    model, estimate = eager(game, algorithm)
    flat_close(estimate, meta_gradients(model, graph=True), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("game", "algorithm"), DEPLOYED)
def test_deployment(tmp_path, game, algorithm):
    """Adaptation leaves the model untouched; saved, and exported, the model gives the same samples."""
    model = make(game, algorithm)
    # As float32 numbers, whatever the nets are, as `adapt` takes them: where inner steps amplify, a rounding is much.
    first, second = (rounded(numbers(one(episodes(model.game), i).support)) for i in range(2))
    before = [v.numpy() for v in model.variables]
    samples = use(model.adapt(first, steps=3, seed=1))
    assert np.isfinite(samples).all()
    unmoved = [use(model.adapt(support, steps=0)) for support in (first, second)]
    assert np.abs(samples - unmoved[0]).max() > 1e-4, "adaptation must change something"
    assert model.game.conditioned == (np.abs(unmoved[1] - unmoved[0]).max() > 1e-4), "and so must a condition"
    flat_close([v.numpy() for v in model.variables], before)
    model.save(tmp_path / "model")
    loaded = use(mg.load(tmp_path / "model").adapt(first, steps=3, seed=1))
    np.testing.assert_array_equal(loaded, samples)
    model.export(tmp_path / "served")
    signatures = tf.saved_model.load(str(tmp_path / "served")).signatures
    if isinstance(first, dict):
        inputs = {f"{domain}_support": examples for domain, examples in first.items()}
    else:
        inputs = {"support": first}
    translates = "translate" in model.game.endpoints
    call = signatures["adapt_and_translate" if translates else "adapt_and_sample"]
    inputs |= {"images": shared(model.game)} if translates else {"num": asked(model.game)}
    # The signature reads float32, whatever the nets are.
    specs = call.structured_input_signature[1]
    given = {**inputs, "steps": 3, "seed": 1}
    served = call(**{name: tf.constant(value, specs[name].dtype) for name, value in given.items()})
    np.testing.assert_allclose(next(iter(served.values())), samples, atol=1e-5)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_is_made_again_from_its_config(algorithm):
    """What `save` writes of one and `load` reads, without the adaptation that `test_deployment` checks."""
    config = keras.saving.serialize_keras_object(ALGORITHMS[algorithm]())
    again = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert keras.saving.serialize_keras_object(again) == config


@pytest.mark.parametrize("algorithm", ["MAML", "Reptile with Adam", "Pretraining"])
def test_an_outer_step_is_traced_once_and_moves_every_net(algorithm):
    """A step that retraced would cost seconds each time."""
    model = make("points, non-saturating", algorithm)
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    step = tf.function(model.meta_step, autograph=False)
    start = [v.numpy() for v in model.trainable_variables]
    for seed in range(3):
        metrics = step(episodes(model.game, seed))
    assert step.experimental_get_tracing_count() == 1
    assert all(np.isfinite(value) for value in metrics.values())
    assert all(np.any(a != v) for a, v in zip(start, model.trainable_variables, strict=True))
