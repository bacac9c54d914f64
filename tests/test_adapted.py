"""The adapted model that a user holds: sampling, refusals, no leaks."""

import gc

import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan.losses import NonSaturating
from tests.toys import numbers, random_episodes, tiny_dcgan, tiny_gan

SUPPORT = random_episodes(shots=4).support[0].numpy()


@pytest.fixture(scope="module")
def model():
    return mg.MetaModel(tiny_gan(loss=NonSaturating()), mg.FOMAML(inner_steps=2, inner_rate=0.1))


@pytest.fixture(scope="module")
def adapted(model):
    return model.adapt(SUPPORT, seed=1)


def test_the_same_seed_gives_the_same_bits(model, adapted):
    again = model.adapt(SUPPORT, seed=1)
    np.testing.assert_array_equal(again.sample(5, seed=2), adapted.sample(5, seed=2))


def test_the_seed_of_adaptation_and_that_of_sampling_both_count(model, adapted):
    reference = adapted.sample(5, seed=2)
    assert np.any(adapted.sample(5, seed=3) != reference)
    assert np.any(model.adapt(SUPPORT, seed=2).sample(5, seed=2) != reference)


def test_what_is_sampled_does_not_depend_on_the_count(adapted):
    many = adapted.sample(9, seed=4)
    for count in (1, 2, 5):
        np.testing.assert_allclose(adapted.sample(count, seed=4), many[:count], atol=1e-5)
    assert many.shape == (9, 2) and many.dtype == np.float32
    assert len(np.unique(many, axis=0)) == 9, "nine different samples"


def test_samples_are_those_of_the_generator(model, adapted):
    """By hand: the adapted weights applied to latents of the documented key."""
    key = tf.random.experimental.stateless_fold_in(tf.constant([2, 0x6D67]), 3)
    z = tf.random.stateless_normal([5, 2], tf.random.experimental.stateless_fold_in(key, 0))
    np.testing.assert_allclose(adapted.generator(z), adapted.sample(5, seed=2), atol=1e-6)


@pytest.mark.parametrize("count", [0, -1, 1.0, True, None, 2**31])
def test_bad_counts_are_refused(adapted, count):
    with pytest.raises(ValueError, match=r"'count' must be an integer >= 1 and < 2\^31. Received"):
        adapted.sample(count)


@pytest.mark.parametrize("seed", [2**31, 0.5, None, False])
def test_bad_seeds_are_refused(adapted, seed):
    with pytest.raises(ValueError, match=r"'seed' must be an integer"):
        adapted.sample(1, seed=seed)


def test_training_on_does_not_change_what_was_adapted(model, adapted):
    """Values, not references to the meta-model's variables."""
    before, variable = adapted.sample(3), model.game.nets["generator"].trainable_variables[0]
    old = variable.numpy()
    try:
        variable.assign_add(tf.ones_like(variable))
        np.testing.assert_array_equal(adapted.sample(3), before)
        assert np.any(model.adapt(SUPPORT, seed=1).sample(3) != before), "a new adaptation starts anew"
    finally:
        variable.assign(old)


def test_nothing_retraces(model, adapted):
    """Neither other counts, seeds, steps nor sizes of support set."""
    adapted.sample(2)
    adaptation = model.adaptation
    for k, steps, seed, count in ((1, 0, 0, 1), (2, 5, 1, 3), (4, 1, -9, 50), (3, 2, 7, 2)):
        model.adapt(SUPPORT[:k], steps=steps, seed=seed).sample(count, seed=seed)
    assert adaptation._adapt.function.experimental_get_tracing_count() == 1
    assert [f.function.experimental_get_tracing_count() for f in adaptation._endpoints.values()] == [1]


def test_no_steps_are_those_of_the_compiled_loop_and_trace_nothing(support=SUPPORT):
    """What a model that is adapted by its task code alone does: its first call must not wait for a loop never run."""
    model = mg.MetaModel(tiny_gan(loss=NonSaturating()), mg.FOMAML(inner_steps=0, inner_rate=0.1))
    none = model.adapt(support, seed=1)
    assert model.adaptation._adapt.function.experimental_get_tracing_count() == 0
    compiled, _ = model.adaptation._adapt(tf.constant(support), tf.constant(0), tf.constant(1))
    tf.nest.map_structure(np.testing.assert_array_equal, numbers(none.snapshot), numbers(compiled))
    with pytest.raises(ValueError, match="support"):
        model.adapt(support[:, :1])


def test_fifty_adaptations_leak_nothing(model):
    """No Keras variable, no trace, and no tensor of an adaptation that was let go."""

    def alive():
        gc.collect()
        objects = gc.get_objects()
        variables = sum(isinstance(o, tf.Variable) for o in objects)
        return variables, sum(isinstance(o, mg.AdaptedModel) for o in objects)

    model.adapt(SUPPORT).sample(1)
    before, traces = alive(), model.adaptation._adapt.function.experimental_get_tracing_count()
    for seed in range(50):
        model.adapt(SUPPORT, steps=1, seed=seed).sample(2, seed=seed)
    assert alive() == before
    assert model.adaptation._adapt.function.experimental_get_tracing_count() == traces


def test_save_and_load(tmp_path, model):
    adapted = mg.AdaptedModel(model.adaptation, model.adapt(SUPPORT).snapshot, SUPPORT, {"name": "noise"})
    adapted.save(tmp_path / "a")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "README.md",
        "config.json",
        "generator.keras",
        "metadata.json",
        "saved_model",
        "weights.npz",
    ]
    again = mg.load_adapted(tmp_path / "a")
    assert again.data_card == {"name": "noise"}
    np.testing.assert_array_equal(again.support, SUPPORT)
    for a, b in zip(tf.nest.flatten(numbers(adapted.snapshot)), tf.nest.flatten(numbers(again.snapshot)), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(again.sample(3, seed=1), adapted.sample(3, seed=1))
    again.save(tmp_path / "b")
    np.testing.assert_array_equal(mg.load_adapted(tmp_path / "b").sample(3, seed=1), adapted.sample(3, seed=1))


def test_samples_before_adaptation_can_be_saved(tmp_path, model):
    """An adapted model without support set, as `MetaModel.sample` makes one."""
    plain = mg.AdaptedModel(model.adaptation, model.meta_weights().initial, None, {})
    plain.save(tmp_path / "a")
    np.testing.assert_array_equal(mg.load_adapted(tmp_path / "a").sample(2), model.sample(2))


def test_damage_is_refused(tmp_path, adapted):
    adapted.save(tmp_path / "a")
    file = tmp_path / "a" / "weights.npz"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match="sha256"):
        mg.load_adapted(tmp_path / "a")
    with pytest.raises(ValueError, match=r"must be a folder that `meta-gan adapt` or AdaptedModel.save wrote; adapt a"):
        mg.load_adapted(tmp_path)


def test_a_trajectory_passes_through_what_adapt_reaches(model):
    steps = (0, 1, 3, 7)
    for count, snapshot in zip(steps, model.adaptation.trajectory(SUPPORT, steps, seed=5), strict=True):
        reached = model.adapt(SUPPORT, steps=count, seed=5).snapshot
        for ours, theirs in zip(*(tf.nest.flatten(s) for s in (snapshot, reached)), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_trajectory_at_another_rate_is_one_of_a_meta_learner_with_that_rate():
    """Twice the rate of gradient descent is gradient descent at twice the rate."""
    slow, fast = (mg.MetaModel(tiny_gan(), mg.FOMAML(inner_steps=2, inner_rate=rate)) for rate in (0.1, 0.2))
    (scaled,) = slow.adaptation.trajectory(SUPPORT, (3,), seed=1, rate_scale=2.0)
    (direct,) = fast.adaptation.trajectory(SUPPORT, (3,), seed=1)
    (unscaled,) = slow.adaptation.trajectory(SUPPORT, (3,), seed=1)
    for ours, theirs, other in zip(*(tf.nest.flatten(s) for s in (scaled, direct, unscaled)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
        assert np.any(ours.numpy() != other.numpy())


@pytest.mark.parametrize("steps", [(), (1, 0), (2, 2), (-1, 3)])
def test_steps_of_a_trajectory_must_ascend(model, steps):
    with pytest.raises(ValueError, match=r"'steps' must be .* Received"):
        list(model.adaptation.trajectory(SUPPORT, steps))


def test_it_keeps_the_images_that_it_was_given():
    """Whoever gave them may write into the array afterwards."""
    model = mg.MetaModel(tiny_gan(), mg.FOMAML(1, 0.05))
    support = np.random.default_rng(0).uniform(-1, 1, (3, 2)).astype(np.float32)
    before, adapted = support.copy(), model.adapt(support)
    support[:] = 9.0
    np.testing.assert_array_equal(adapted.support, before)


def test_levels_and_floats_of_either_range_adapt_alike():
    levels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1)).astype(np.uint8)
    unsigned = (levels / 255).astype(np.float32)
    model = mg.MetaModel(tiny_dcgan(), mg.FOMAML(inner_steps=1, inner_rate=0.1))
    wanted = model.adapt(levels).sample(4, seed=0)
    with pytest.warns(UserWarning, match="'support' has no negative value"):
        told = model.adapt(unsigned)
    for adapted in (told, model.adapt(unsigned, value_range=(0, 1)), model.adapt(levels.astype(np.int64))):
        np.testing.assert_allclose(adapted.sample(4, seed=0), wanted, atol=1e-5)
    other = model.adapt(unsigned, value_range=(-1, 1)).sample(4, seed=0)
    np.testing.assert_array_equal(other, model.adapt(unsigned * 1.0, value_range=(-1, 1)).sample(4, seed=0))
    assert np.abs(other - wanted).max() > 1e-3
