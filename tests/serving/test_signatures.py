"""What an exported model can be asked: names held by golden files, and equalities between the ways of asking."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

import meta_gan as mg
from meta_gan import export, serving
from meta_gan.games import Terms, Transfer
from meta_gan.serving import graphs
from tests.games.nets import batch_norm_gan, support_gan
from tests.serving.conftest import LIMITS, support
from tests.toys import conditioned_translation, random_episodes, tiny_vae, weekly

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
GAMES = {
    "conditioned_gan": lambda: support_gan(terms=Terms(mode_seeking=0.1)),
    "vae": tiny_vae,
    "conditioned_translation": conditioned_translation,
    "transfer": lambda: Transfer(batch_norm_gan()),
}
# What TensorFlow calls stateful and changes nothing by itself: control flow, assertions, reading what a variable holds.
HARMLESS = {"While", "If", "StatefulPartitionedCall", "Assert", "ReadVariableOp", "VarHandleOp"}
# "Stateless" there, and yet no function of its inputs alone.
FILES = {"ReadFile", "WriteFile", "MatchingFiles", "SaveV2", "RestoreV2", "MergeV2Checkpoints", "PyFuncStateless"}


@pytest.fixture(scope="module", params=["vae", *weekly("conditioned_translation", "conditioned_gan", "transfer")])
def other(request, tmp_path_factory):
    """`(name, model, folder)` of an export of another family."""
    made = mg.MetaModel(GAMES[request.param](), mg.FOMAML(1, 0.05))
    folder = tmp_path_factory.mktemp(request.param) / "1"
    made.export(folder, LIMITS)
    return request.param, made, folder


def described(folder):
    return json.loads((folder / export.EXTRA / export.ABOUT).read_text())["signatures"]


def test_names_dtypes_and_limits_are_those_that_clients_wrote_down(folder):
    """A change here breaks clients: it is a new version of the format, not a new golden file."""
    assert described(folder) == json.loads((GOLDEN / "signatures_gan.json").read_text())


def test_so_are_those_of_other_families(other):
    name, _, folder = other
    assert described(folder) == json.loads((GOLDEN / f"signatures_{name}.json").read_text())


def test_what_is_described_is_what_is_there(folder, other):
    for place in (folder, other[2]):
        found = serving.inspect(place).signatures
        for name, signature in described(place).items():
            for side in ("inputs", "outputs"):
                there = {key: {k: each[k] for k in ("dtype", "shape")} for key, each in signature[side].items()}
                assert there == found[name][side], (name, side)
        assert set(found) == set(described(place))


def effects(folder):
    """What a request can run that has an effect, or an outcome that the request does not decide; and all it can."""
    graph = graphs.read(folder)
    found = {name: graphs.served_operations(graph, name) for name in graphs.signatures(graph)}
    assert found and all(found.values())
    reached = set().union(*found.values()) | graphs.callable_operations(graph)
    stateful = {op for op in reached if op_def_registry.get(op).is_stateful}
    return (stateful - HARMLESS) | (reached & FILES), reached


def test_no_request_can_change_the_model_or_touch_the_machine(folder, other):
    for place in (folder, other[2]):
        odd, reached = effects(place)
        assert not odd, odd
        assert "ReadVariableOp" in reached, "the walk must reach the weights"
    assert "StatelessRandomNormalV2" in effects(folder)[1], "and the draws"


def test_the_walk_finds_what_it_looks_for(tmp_path):
    """In a function that a function calls, in a loop, in a signature's graph."""
    module = tf.Module()
    module.counter = tf.Variable(0.0)

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def ask(x):
        def body(i, y):
            module.counter.assign_add(y)
            tf.io.write_file(str(tmp_path / "canary"), "ran")
            return i + 1, tf.ensure_shape(tf.random.normal([]) + tf.numpy_function(lambda v: v, [y], tf.float32), [])

        return {"y": tf.while_loop(lambda i, y: i < 3, body, (0, x))[1]}

    tf.saved_model.save(module, str(tmp_path / "m"), signatures=ask)
    wanted = {"AssignAddVariableOp", "RandomStandardNormal", "WriteFile", "PyFunc"}
    assert wanted <= effects(tmp_path / "m")[0]
    assert wanted <= set(serving.inspect(tmp_path / "m").refused)


def test_many_classes_at_once_are_each_as_alone(served):
    supports = np.stack([support(4, seed) for seed in range(3)])
    many = served.call("adapt_and_sample_many", support=supports, steps=2, num=3, seed=[7, 8, 9])["samples"]
    assert many.shape == (3, 3, 8, 8, 1)
    for own, seed, samples in zip(supports, (7, 8, 9), many, strict=True):
        alone = served.call("adapt_and_sample", support=own, steps=2, num=3, seed=seed)["samples"]
        np.testing.assert_allclose(samples, alone, atol=1e-6)
    assert np.abs(many[0] - many[1]).max() > 1e-3


def test_many_classes_need_as_many_seeds(served):
    supports = np.stack([support(2)] * 2)
    with pytest.raises(ValueError, match="`support` and `seed` must have one length"):
        served.call("adapt_and_sample_many", support=supports, steps=0, num=1, seed=[1])
    with pytest.raises(ValueError, match=r"the length of `support` along axis 0 must lie in \[1, 3\]"):
        served.call("adapt_and_sample_many", support=np.stack([support(1)] * 4), steps=0, num=1, seed=[1] * 4)


def test_adapted_weights_are_data_that_the_server_need_not_keep(served, model):
    weights = served.call("adapt", support=support(3), steps=2, seed=5)
    assert weights and all(name.startswith("generator_0") for name in weights)
    sampled = served.call("sample_adapted", **weights, num=4, seed=5)["samples"]
    whole = served.call("adapt_and_sample", support=support(3), steps=2, num=4, seed=5)["samples"]
    np.testing.assert_array_equal(sampled, whole)
    z = np.random.default_rng(1).normal(size=(2, 2)).astype("float32")
    made = served.call("generate_adapted", **weights, z=z)["samples"]
    np.testing.assert_allclose(made, model.adapt(support(3), steps=2, seed=5).generator(z), atol=1e-5)


def test_so_are_those_of_other_families_and_what_conditions_them(other):
    name, model, folder = other
    served = serving.load(folder)
    sets = model.game.example_shape
    given = random_episodes(shots=3, shape=sets).support
    given = (
        {f"{k}_support": np.tanh(v[0]) for k, v in given.items()}
        if name in ("conditioned_translation", "transfer")
        else {"support": np.tanh(given[0])}
    )
    rest = {"images": given["source_support"]} if name == "conditioned_translation" else {"num": 4}
    what = "translate" if name == "conditioned_translation" else "sample"
    weights = served.call("adapt", **given, steps=2, seed=5)
    seed = {} if what == "translate" else {"seed": 5}
    (by_weights,) = served.call(f"{what}_adapted", **weights, **rest, **seed).values()
    (whole,) = served.call(f"adapt_and_{what}", **given, steps=2, seed=5, **rest).values()
    np.testing.assert_array_equal(by_weights, whole)
    assert any("conditioning" in key for key in weights) == model.game.conditioned


def test_the_code_of_a_task(tmp_path):
    model = mg.MetaModel(support_gan(), mg.FOMAML(1, 0.05))
    model.export(tmp_path / "1", LIMITS)
    images = random_episodes(shots=3).support[0].numpy().clip(-1, 1)
    code = serving.load(tmp_path / "1").call("encode_task", support=images)["task_embedding"]
    np.testing.assert_allclose(code, model.adapt(images, steps=0).conditioning["task_embedding"], atol=1e-6)


def test_a_discriminator_is_served(served, model):
    images = support(4, seed=3)
    game = model.adaptation.copy(model.meta_weights(averaged=True).initial)
    logits = served.call("discriminate", images=images)["logits"]
    np.testing.assert_allclose(logits, game.nets["discriminator"](images)[:, 0], atol=1e-5)
    after = served.call("adapt_and_discriminate", support=support(3), steps=2, images=images, seed=0)["logits"]
    assert logits.shape == after.shape == (4,) and np.abs(after - logits).max() > 1e-3


def test_an_image_does_not_depend_on_how_many_were_asked_for(served):
    ask = {"support": support(3), "steps": 1, "seed": 3}
    many = served.call("adapt_and_sample", **ask, num=9)["samples"]
    np.testing.assert_allclose(served.call("adapt_and_sample", **ask, num=2)["samples"], many[:2], atol=1e-6)
    np.testing.assert_allclose(
        served.call("sample", num=2, seed=4)["samples"], served.call("sample", num=9, seed=4)["samples"][:2], atol=1e-6
    )


def test_the_same_request_is_the_same_bytes_and_another_seed_other_images(served):
    ask = {"support": support(3), "steps": 2, "num": 4}
    first, again, other = (served.call("adapt_and_sample", **ask, seed=s)["samples"] for s in (3, 3, 4))
    assert first.tobytes() == again.tobytes()
    assert np.abs(first - other).max() > 1e-2


def test_the_card_says_what_can_be_asked(folder):
    text = (folder / export.EXTRA / "README.md").read_text()
    assert (
        "`adapt_and_sample` | `support` float32[n, 8, 8, 1], 1 to 6 of them, -1 to 1; `steps` int32[] in 0 to 5" in text
    )
    assert "shots 6, steps 5, num 9, tasks 3" in text
