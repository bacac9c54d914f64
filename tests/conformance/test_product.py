"""Every game with every algorithm: what must hold of each pair, whatever the two are."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import games, losses, meta, meta_learners
from meta_gan.losses import R1, GradientPenalty, Hinge, LeastSquares, NonSaturating, Wasserstein
from meta_gan.meta import FOMAML, MAML, Algorithm, Pretraining, Reptile, Unrolled
from meta_gan.meta_learners import Adam, Momentum
from tests.toys import flat_close, parts, random_episodes, tiny_dcgan, tiny_gan

RATE, STEPS = 0.05, 2
GAMES = {
    "NonSaturating, R1": lambda: tiny_gan(loss=NonSaturating(), penalty=R1(1.0)),
    "Hinge": lambda: tiny_gan(loss=Hinge(), discriminator_turns=2),
    "LeastSquares": lambda: tiny_gan(loss=LeastSquares()),
    "WGAN-GP": lambda: tiny_gan(loss=Wasserstein(), penalty=GradientPenalty(1.0)),
    "DCGAN": lambda: tiny_dcgan(loss=NonSaturating()),
}
ALGORITHMS = {
    "MAML": lambda: MAML(STEPS, RATE),
    "FOMAML": lambda: FOMAML(STEPS, RATE),
    "Reptile": lambda: Reptile(STEPS, RATE),
    "Pretraining": lambda: Pretraining(STEPS, RATE),
    "Reptile with Adam": lambda: Reptile(STEPS, meta_learner=Adam(RATE)),
    "MAML with Momentum": lambda: Algorithm("MAML with Momentum", Momentum(RATE), Unrolled(2), STEPS),
}
# Adaptation knows only the rule, so every game with one algorithm and every algorithm with one game say all.
DEPLOYED = [(g, "FOMAML") for g in GAMES] + [("Hinge", a) for a in ALGORITHMS if a != "FOMAML"]
BASES = {meta_learners.MetaLearner, meta.Estimator, meta.Algorithm, games.Game, games.Endpoint}


def episodes(game):
    return random_episodes(tasks=2, shape=game.example_shape)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("game", GAMES)
def test_the_meta_gradient(game, algorithm):
    """Finite, alike eagerly and in a graph, and not zero for any net."""
    row = ALGORITHMS[algorithm]()
    pieces = parts(GAMES[game](), row.meta_learner)
    batch = episodes(pieces[0])

    def estimate():
        return row.estimator.estimate(*pieces, batch, STEPS)

    eager, graph = estimate(), tf.function(estimate, autograph=False)()
    flat_close(eager, graph, rtol=1e-3, atol=1e-5)
    assert all(np.isfinite(t).all() for t in tf.nest.flatten((graph.weights, graph.metrics)))
    for net, gradients in graph.weights.items():
        assert max(np.abs(g).max() for g in gradients) > 1e-4, net


@pytest.mark.parametrize(("game", "algorithm"), DEPLOYED)
def test_deployment(tmp_path, game, algorithm):
    """Adaptation leaves the model untouched; saved, and exported, the model gives the same samples."""
    model = mg.MetaModel(GAMES[game](), ALGORITHMS[algorithm]())
    support = episodes(model.game).support[0].numpy()
    before = [v.numpy() for v in model.variables]
    samples = model.adapt(support, steps=3, seed=1).sample(4, seed=1)
    assert np.isfinite(samples).all()
    assert np.abs(samples - model.sample(4, seed=1)).max() > 1e-4, "adaptation must change something"
    flat_close([v.numpy() for v in model.variables], before)
    model.save(tmp_path / "model")
    loaded = mg.load(tmp_path / "model").adapt(support, steps=3, seed=1).sample(4, seed=1)
    np.testing.assert_array_equal(loaded, samples)
    model.export(tmp_path / "served")
    call = tf.saved_model.load(str(tmp_path / "served")).signatures["adapt_and_sample"]
    inputs = {"support": support, "steps": 3, "num": 4, "seed": 1}
    served = call(**{name: tf.constant(value) for name, value in inputs.items()})["samples"]
    np.testing.assert_allclose(served, samples, atol=1e-5)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_outer_step_is_traced_once(algorithm):
    """A step that retraced would cost seconds each time."""
    model = mg.MetaModel(GAMES["NonSaturating, R1"](), ALGORITHMS[algorithm]())
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    step = tf.function(model.meta_step, autograph=False)
    start = [v.numpy() for v in model.trainable_variables]
    for seed in range(3):
        metrics = step(random_episodes(tasks=2, seed=seed))
    assert step.experimental_get_tracing_count() == 1
    assert all(np.isfinite(value) for value in metrics.values())
    moved = [np.any(a != v) for a, v in zip(start, model.trainable_variables, strict=True)]
    assert all(moved)


def covered():
    """Types that stand in some case, and the names of the algorithms."""
    types, names = set(), set()
    for make in GAMES.values():
        game = make()
        types |= {type(game), type(game.loss_function), type(game.penalty)}
    for make in ALGORITHMS.values():
        row = make()
        types |= {type(row.meta_learner), type(row.estimator)}
        names.add(row.name)
    return types, names


def test_every_public_class_stands_in_a_case():
    """Whoever adds a loss, a rule, an estimator, an algorithm or a game adds it to the tables above."""
    types, names = covered()
    for room in (losses, meta_learners, meta, games):
        for name in room.__all__:
            thing = getattr(room, name)
            if isinstance(thing, type):
                assert thing in types | BASES, f"no case has {room.__name__}.{name}"
            else:
                assert name in names, f"no case has the algorithm {name}"
