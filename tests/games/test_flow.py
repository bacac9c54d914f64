"""Flow matching: its loss by hand, its optimum in closed form, conditioning, endpoints, refusals, and learning."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional, networks, presets
from meta_gan.games import FlowMatching
from meta_gan.types import Settings
from tests.toys import GaussianFlow, conditioned_flow, one, random_episodes, ring_episodes, tiny_flow, weekly

SEED = tf.constant([3, 4])
MEAN, DEVIATION = 0.3, 0.5
POINTS = MEAN + DEVIATION * np.random.default_rng(0).normal(size=(200_000, 1))


def loss(game, snapshot, x, conditioning=None):
    return game.loss("generator", snapshot, tf.constant(x), conditioning, Settings(), SEED)


def test_the_loss_of_the_velocity_zero_is_the_mean_square_of_example_less_noise():
    """E (x - e)^2 = mean^2 + deviation^2 + 1, of independent x and e."""
    game = FlowMatching(GaussianFlow(MEAN, DEVIATION, scale=0.0))
    value, state, signals = loss(game, functional.read(game.nets), POINTS)
    assert float(value) == pytest.approx(MEAN**2 + DEVIATION**2 + 1, rel=0.01)
    assert list(state) == ["generator"] and signals.dtype == tf.float32 and signals.shape == (1,)
    np.testing.assert_allclose(signals[0], value, rtol=1e-6)


def test_the_velocity_of_gaussian_to_gaussian_is_where_the_loss_is_least():
    """At the closed form the gradient by its mean and deviation is 0 within noise, and elsewhere it is not."""

    def gradient(mean, deviation):
        game = FlowMatching(GaussianFlow(mean, deviation))
        snapshot = functional.read(game.nets)
        with tf.GradientTape() as tape:
            tape.watch(snapshot.weights["generator"])
            value = loss(game, snapshot, POINTS)[0]
        return np.array(tape.gradient(value, snapshot.weights["generator"]))[:2]

    assert np.abs(gradient(MEAN, DEVIATION)).max() < 0.02
    assert gradient(MEAN + 0.2, DEVIATION)[0] > 0.1 and gradient(MEAN, DEVIATION + 0.2)[1] > 0.1


def test_the_times_are_logit_normal():
    seen = {}

    class Clock(GaussianFlow):
        def field(self, x, time, anchor, keep, prepared):
            seen["time"] = time
            return super().field(x, time, anchor, keep, prepared)

    for location, scale, median in ((0.0, 1.0, 0.5), (1.0, 0.5, 1 / (1 + np.exp(-1)))):
        game = FlowMatching(Clock(MEAN, DEVIATION), time_location=location, time_scale=scale)
        loss(game, functional.read(game.nets), POINTS[:20_000])
        logits = np.log(seen["time"] / (1 - seen["time"]))
        assert np.median(seen["time"]) == pytest.approx(median, abs=0.01)
        assert np.std(logits) == pytest.approx(scale, rel=0.03)


def test_draws_lessen_the_noise_of_a_small_batch():
    x = POINTS[:4]

    def spread(draws):
        game = FlowMatching(GaussianFlow(0.0, 1.0), draws=draws)
        snapshot = functional.read(game.nets)
        batch = tf.constant(x)
        values = [
            float(game.loss("generator", snapshot, batch, None, Settings(), tf.constant([0, i]))[0]) for i in range(60)
        ]
        return np.std(values)

    assert spread(16) < 0.5 * spread(1)


def test_the_share_of_unconditional_rows():
    seen = {}

    @keras.saving.register_keras_serializable("toys")
    class Watched(GaussianFlow):
        def __init__(self, **options):
            super().__init__(MEAN, DEVIATION, anchored=True, **options)

        def field(self, x, time, anchor, keep, prepared):
            seen["keep"], seen["anchor"] = keep, anchor
            return super().field(x, time, anchor, keep, prepared)

    for share in (0.0, 0.25):
        game = FlowMatching(Watched(), unconditional=share)
        assert game.conditioned
        support = tf.zeros([5, 1], tf.float64)
        loss(game, functional.read(game.nets), POINTS[:20_000], game.condition(functional.read(game.nets), support))
        assert np.mean(seen["keep"]) == pytest.approx(1 - share, abs=0.01)
        np.testing.assert_allclose(np.bincount(seen["anchor"]) / 20_000, 0.2, atol=0.02)


def test_samples_have_the_distribution_of_the_examples():
    game = FlowMatching(GaussianFlow(0.1, 0.2, solver="heun", solver_steps=32))
    snapshot = functional.read(game.nets)
    made = game.endpoints["sample"].fn(snapshot, None, {"num": tf.constant(20_000)}, SEED)["samples"].numpy()
    assert made.mean() == pytest.approx(0.1, abs=0.01) and made.std() == pytest.approx(0.2, abs=0.01)


def test_a_task_is_conditioned_on_what_it_does_not_train_on():
    game = conditioned_flow(holdout=1)
    episode = one(random_episodes(shape=(8, 8, 1)))
    batch, others = game.view(episode.support, tf.constant(0), SEED)
    assert len(batch) == 1 and len(others) == 2
    made = game.condition(functional.read(game.nets), others)
    assert made["support"].shape == (2, 8, 8, 1) and made["task_embedding"].shape == (2,)


@pytest.mark.slow
def test_reconstructions_and_encodings():
    model = mg.MetaModel(conditioned_flow(), mg.FOMAML(inner_steps=0))
    model.game.nets["generator"].guidance = 1.0
    adapted = model.adapt(np.random.default_rng(0).uniform(-1, 1, (3, 8, 8, 1)).astype(np.float32))
    images = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 8, 8, 1)).astype(np.float32)
    z = adapted.encode(images)["z"]
    assert z.shape == (2, 65) and not np.any(z[:, 0])
    np.testing.assert_allclose(adapted.reconstruct(images), adapted.generator(z), atol=1e-6)


def test_a_model_is_saved_and_loaded(tmp_path):
    model = mg.MetaModel(tiny_flow(time_location=0.5, time_scale=0.75, holdout=1), mg.FOMAML(2, 0.05))
    support = np.random.default_rng(0).uniform(-1, 1, (3, 2)).astype(np.float32)
    model.save(tmp_path / "model")
    loaded = mg.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.adapt(support).sample(3, seed=1), model.adapt(support).sample(3, seed=1))
    assert loaded.game.get_config() == model.game.get_config()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: FlowMatching(networks.dcgan((8, 8, 1), 2, 4)[0]),
            "must have a method 'velocity', see networks.FlowGenerator. Received: DCGANGenerator",
        ),
        (lambda: tiny_flow(unconditional=0.1), "'unconditional' must be 0 without conditioning. Received: 0.1"),
        (lambda: conditioned_flow(unconditional=1.0), "'unconditional' must be a finite number >= 0 and < 1"),
        (lambda: tiny_flow(draws=0), "'draws' must be an integer >= 1 .*Received: 0"),
        (lambda: tiny_flow(time_scale=0.0), "'time_scale' must be a finite number > 0"),
        (
            lambda: FlowMatching(networks.UNet((8, 8, 1), 4), networks.TaskEncoder((8, 8, 1), 2, 2)),
            "the net 'generator' must have the 'embedding_dim' of the task encoder, 2",
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "dcgan"}, "'network' must be one of 'unet' when game is 'flow'"),
        ({"anchored": False, "task_encoder": "none", "algorithm": "fomaml"}, "'game.unconditional' must be 0 when "),
        (
            {"anchored": False, "task_encoder": "none", "algorithm": "fomaml", "unconditional": 0},
            "'network.guidance' must be 1 when network.anchored is False",
        ),
        (
            {"anchored": False, "task_encoder": "none", "unconditional": 0, "guidance": 1},
            "'algorithm' must be another one than 'conditional'",
        ),
    ],
)
def test_settings_that_exclude_one_another(changes, message):
    with pytest.raises(ValueError, match=message):
        presets.get("flow", changes)


@pytest.mark.parametrize("name", ["flow", *weekly("reptile-flow", "maml-flow")])
def test_presets(name):
    model = presets.build(
        presets.get(name, width=4, solver_steps=2, **{"inner_steps": 1} if name != "flow" else {}), (8, 8, 1)
    )
    assert model.game.conditioned == (name == "flow")
    episodes = random_episodes(shape=(8, 8, 1))
    before = [variable.numpy() for variable in model.trainable_variables]
    model.train_step(episodes)
    moved = [not np.array_equal(a, b) for a, b in zip(before, model.trainable_variables, strict=True)]
    assert sum(moved) > 0.8 * len(moved)


@pytest.mark.slow
def test_a_meta_trained_flow_of_points_adapts_to_an_angle_that_it_never_saw():
    """In fifty steps on five points, and from there its samples lie where the task does."""
    model = mg.MetaModel(tiny_flow(draws=8), mg.Reptile(20, meta_learner=mg.meta_learners.Adam(0.02)))
    model.compile(keras.optimizers.Adam(0.02))
    for step in range(150):
        model.train_step(ring_episodes(4, step))
    episode = one(ring_episodes(1, 10_000))
    centre = episode.query.numpy().mean(axis=0)
    made = model.adapt(episode.support.numpy(), steps=50).sample(200, seed=0)
    assert np.linalg.norm(made.mean(axis=0) - centre) < 0.2
