"""Distillation of a flow into few steps: its loss by hand, what stays fixed, refusals, presets, and learning."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional, networks, presets
from meta_gan.games import FlowDistillation, FlowMatching
from meta_gan.types import Settings
from tests.toys import GaussianFlow, PointFlow, conditioned_flow, random_episodes, tiny_dcgan

SEED = tf.constant([3, 4])
CONDITIONING = {"support": tf.zeros([2, 1], tf.float64)}
BATCH = tf.zeros([5, 1], tf.float64)


def loss(game, snapshot=None, batch=BATCH, conditioning=CONDITIONING):
    snapshot = snapshot or functional.read(game.nets)
    return game.loss("generator", snapshot, batch, conditioning, Settings(), SEED)


def gaussian(mean, deviation, steps, solver="euler", **options):
    return GaussianFlow(mean, deviation, anchored=True, solver=solver, solver_steps=steps, **options)


def test_a_student_with_the_steps_of_its_teacher_has_nothing_to_learn():
    game = FlowDistillation(gaussian(0.3, 0.5, 4), gaussian(0.3, 0.5, 16), teacher_steps=4)
    value, _, signals = loss(game)
    assert float(value) == pytest.approx(0.0, abs=1e-28) and signals.shape == (1,)


def test_the_loss_by_hand():
    """One step of the student, two of the teacher, which go from x to (m + x s ...) by the closed form."""
    student, teacher = gaussian(0.1, 1.0, 1), gaussian(0.3, 0.5, 16)
    game = FlowDistillation(student, teacher, teacher_steps=2, draws=3)
    x = tf.random.stateless_normal([15, 1], functional.fold(SEED, 0), dtype=tf.float64).numpy()
    own = 0.1 - x  # m - x at time 0, whatever the deviation
    half = x + 0.5 * (0.3 - x)
    variance = 0.5**2 + (0.5 * 0.5) ** 2
    end = half + 0.5 * (0.3 + (0.5 * 0.25 - 0.5) * (half - 0.5 * 0.3) / variance)
    assert float(loss(game)[0]) == pytest.approx(np.mean((own - (end - x)) ** 2), rel=1e-12)


def test_the_second_step_starts_where_the_student_is():
    """A student that stands still is at the noise at time .5, and so the teacher goes on from there."""
    game = FlowDistillation(gaussian(0.0, 1.0, 2, scale=0.0), gaussian(0.3, 0.5, 16), teacher_steps=2)
    x = tf.random.stateless_normal([5, 1], functional.fold(SEED, 0), dtype=tf.float64).numpy()
    second = 0.3 + (0.5 * 0.25 - 0.5) * (x - 0.5 * 0.3) / (0.5**2 + 0.25**2)
    expected = (np.mean((0.3 - x) ** 2) + np.mean(second**2)) / 2
    assert float(loss(game)[0]) == pytest.approx(expected, rel=1e-12)


def test_the_teacher_is_fixed_and_its_values_are_those_of_the_snapshot():
    game = FlowDistillation(gaussian(0.1, 1.0, 2), gaussian(0.3, 0.5, 16), teacher_steps=4)
    snapshot = functional.read(game.nets)
    assert snapshot.weights["teacher"] == [] and len(snapshot.weights["generator"]) == 2
    with tf.GradientTape() as tape:
        tape.watch([*snapshot.weights["generator"], *snapshot.state["teacher"]])
        value = loss(game, snapshot)[0]
    found = tape.gradient(value, [*snapshot.weights["generator"], *snapshot.state["teacher"]])
    assert found[2:] == [None, None] and float(abs(found[0])) > 0.01
    # Other values than the net's own variables decide.
    moved = snapshot._replace(state={**snapshot.state, "teacher": [value + 1 for value in snapshot.state["teacher"]]})
    assert abs(float(loss(game, moved)[0] - value)) > 0.1


def test_a_student_of_points_comes_nearer_to_its_teacher():
    """Two of its steps end nearer to sixteen of the teacher's than two of the teacher's own steps do."""

    def points(steps, solver="euler"):
        made = PointFlow(solver=solver, solver_steps=steps, anchored=True, seed=1)
        draw = np.random.default_rng(0)
        for variable in made.trainable_variables:
            variable.assign(draw.normal(0.0, 0.8, variable.shape))
        return made

    student, teacher = points(2), points(16, "heun")
    game = FlowDistillation(student, teacher, teacher_steps=16)
    support = {"support": tf.zeros([1, 2])}
    z = tf.random.stateless_normal([500, 3], [1, 2])

    def ends(net, steps):
        return net.advance(z[:, 1:], z[:, 0], support, steps).numpy()

    goal, before = ends(teacher, 16), ends(student, 2)
    optimizer = keras.optimizers.Adam(0.02)

    @tf.function
    def step(seed):
        with tf.GradientTape() as tape:
            snapshot = functional.read(game.nets)
            value = game.loss("generator", snapshot, tf.zeros([64, 2]), support, Settings(), seed)[0]
        optimizer.apply_gradients(
            zip(tape.gradient(value, snapshot.weights["generator"]), student.trainable_variables, strict=True)
        )

    optimizer.build(student.trainable_variables)
    for number in range(300):
        step(tf.constant([number, 0]))
    apart = [np.linalg.norm(made - goal, axis=1).mean() for made in (before, ends(student, 2))]
    assert apart[1] < 0.5 * apart[0], apart


@pytest.mark.slow
def test_images_with_embeddings_saved_and_alone(tmp_path):
    """A student of a guided flow with task embeddings is saved with its teacher, and plays without it."""
    taught = conditioned_flow()
    told = {"anchored": True, "embedding_dim": 2}
    student = networks.UNet((8, 8, 1), width=4, solver_steps=1, **told)
    encoder = networks.TaskEncoder((8, 8, 1), 2, width=2)
    game = FlowDistillation(student, taught.nets["generator"], encoder, taught.nets["encoder"], teacher_steps=2)
    model = mg.MetaModel(game, mg.FOMAML(1, 0.05))
    model.compile()
    history = model.meta_step(random_episodes(tasks=2, shape=(8, 8, 1)))
    assert np.isfinite(float(history["query/generator"]))
    model.save(tmp_path / "model")
    again = mg.load(tmp_path / "model")
    assert isinstance(again.game, FlowDistillation) and again.game.teacher_steps == 2
    support = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    made = model.adapt(support, steps=0).sample(4, seed=0)
    np.testing.assert_array_equal(again.adapt(support, steps=0).sample(4, seed=0), made)
    alone = mg.MetaModel(model.game.student(), mg.FOMAML(1, 0.05))
    assert type(alone.game) is FlowMatching and set(alone.game.nets) == {"generator", "encoder"}
    np.testing.assert_allclose(alone.adapt(support, steps=0).sample(4, seed=0), made, atol=1e-6)


@pytest.mark.parametrize(
    ("student", "teacher", "steps", "message"),
    [
        (gaussian(0, 1, 3), gaussian(0, 1, 16), 16, "multiple of the student's steps, 3. Received: 16"),
        (gaussian(0, 1, 3), gaussian(0, 1, 16), 0, "'teacher_steps' must be an integer >= 1"),
        (gaussian(0, 1, 4, "heun"), gaussian(0, 1, 16), 16, "solver 'euler' and guidance 1. Received: 'heun'"),
        (gaussian(0, 1, 4), GaussianFlow(), 16, "must both see the support set"),
        (GaussianFlow(solver_steps=4), gaussian(0, 1, 4), 16, "must both see the support set"),
        (gaussian(0, 1, 4), networks.UNet((8, 8, 1), 4, True), 16, r"must be a flow of examples of shape \(1,\)"),
    ],
)
def test_what_is_refused(student, teacher, steps, message):
    with pytest.raises(ValueError, match=message):
        FlowDistillation(student, teacher, teacher_steps=steps)


def test_the_settings_that_a_student_is_trained_for_stay(tmp_path):
    game = FlowDistillation(gaussian(0, 1, 4), gaussian(0, 1, 16))
    mg.MetaModel(game, mg.FOMAML(1, 0.05)).save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"'sampling' of a FlowDistillation must leave .*Received: \['guidance'\]"):
        mg.load(tmp_path / "model", sampling={"guidance": 2.0})
    assert mg.load(tmp_path / "model", sampling={"temperature": 2.0}).game.nets["generator"].temperature == 2.0
    net = gaussian(0, 1, 4)
    with pytest.raises(ValueError, match="must be others than the student's"):
        FlowDistillation(net, net)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A saved flow of 8 x 8 images, whose averaged weights are other than the last ones."""
    folder = tmp_path_factory.mktemp("teacher") / "model"
    model = presets.build(presets.get("flow", **TINY), (8, 8, 1))
    for variable in model.game.nets["generator"].trainable_variables:
        variable.assign_add(0.1 * tf.ones_like(variable))
    model.save(folder)
    return folder


TINY = {"network.width": 4, "game.task_encoder.embedding_dim": 2}
FEW = {"network.solver_steps": 2, "network.guidance": 1.0, "game.unconditional": 0.0, "game.teacher_steps": 4}


def test_the_preset_starts_from_the_teacher(trained):
    recipe = presets.get("flow", {**TINY, **FEW, "game.teacher": str(trained), "game.teacher_guidance": 3.0})
    game = presets.build(recipe, (8, 8, 1)).game
    assert isinstance(game, FlowDistillation)
    assert game.nets["teacher"].guidance == 3.0 and game.nets["generator"].guidance == 1.0
    expected = mg.load(trained).meta_weights(averaged=True).initial
    for name, own in (("generator", "generator"), ("teacher", "generator"), ("teacher_encoder", "encoder")):
        values = expected.weights[own]
        assert len(values) > 2
        for variable, value in zip(game.nets[name].weights[: len(values)], values, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value.numpy())
    kept = [variable.numpy() for variable in mg.load(trained).game.nets["generator"].weights]
    assert np.abs(kept[0] - game.nets["generator"].weights[0].numpy()).max() > 0.05, "the average and not the last"


def test_the_preset_refuses_other_teachers(trained, tmp_path):
    wider = {**TINY, **FEW, "game.teacher": str(trained), "network.width": 8}
    with pytest.raises(ValueError, match=r"the generator must be like that of 'teacher'.*differs in width"):
        presets.build(presets.get("flow", wider), (8, 8, 1))
    mg.MetaModel(tiny_dcgan(), mg.FOMAML(1, 0.05)).save(tmp_path / "gan")
    with pytest.raises(ValueError, match=r"'teacher' must be a flow that sees its support set. Received: .*, a GAN"):
        presets.build(presets.get("flow", {**TINY, **FEW, "game.teacher": str(tmp_path / "gan")}), (8, 8, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"game.unconditional": 0.1}, "'game.unconditional' must be 0 with game.teacher. Received: 0.1"),
        ({"network.guidance": 2.0}, "'network.guidance' must be 1 with game.teacher"),
        ({"game.time_scale": 2.0}, "'game.time_scale' must be 1 with game.teacher"),
        ({"network.anchored": False}, "'network.anchored' must be True with game.teacher"),
        ({"game.teacher": ""}, "'game.teacher_steps' must be 16 without game.teacher. Received: 4"),
    ],
)
def test_settings_that_a_student_does_not_use_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        presets.get("flow", {**FEW, "game.teacher": "somewhere", **change})
