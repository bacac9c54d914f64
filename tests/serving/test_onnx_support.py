"""ONNX of a model that adapts by seeing its support set: the same samples as in Python, of any number of examples."""

import warnings

import numpy as np
import pytest

import meta_gan as mg
from tests.games.nets import support_gan, tiny_fusion
from tests.toys import conditioned_flow, conditioned_translation, tiny_gan


def session(path):
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def compared(model, path, atol):
    """Check the samples of the file against Python's for several numbers of examples and of samples; return them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model.export(path, format="onnx", support=True)
    graph, draw = session(path), np.random.default_rng(0)
    assert [given.name for given in graph.get_inputs()] == ["support", "z"]
    assert [made.name for made in graph.get_outputs()] == ["samples"]
    found = []
    for shots, num in ((1, 1), (3, 4), (7, 2)):
        support = draw.integers(0, 256, (shots, *model.game.example_shape), np.uint8)
        if len(model.game.example_shape) == 1:
            support = draw.uniform(-1, 1, (shots, *model.game.example_shape)).astype(np.float32)
        z = draw.normal(size=(num, model.game.latent_dim)).astype(np.float32)
        floats = support / np.float32(127.5) - 1 if support.dtype == np.uint8 else support
        (made,) = graph.run(None, {"support": floats.astype(np.float32), "z": z})
        np.testing.assert_allclose(made, model.adapt(support, steps=0).generator(z), atol=atol)
        found.append(made)
    return found


def test_points_told_of_their_support_set(tmp_path):
    made = compared(mg.MetaModel(support_gan(), mg.FOMAML(1, 0.05)), tmp_path / "g.onnx", 1e-5)
    assert np.abs(made[1][0] - made[1][1]).max() > 1e-3


@pytest.mark.slow
def test_images_by_fusion_and_by_a_flow(tmp_path):
    for name, game in (("fusion", tiny_fusion()), ("flow", conditioned_flow())):
        compared(mg.MetaModel(game, mg.FOMAML(1, 0.05)), tmp_path / f"{name}.onnx", 1e-4)


@pytest.mark.slow
def test_the_shipped_model_of_drawings(tmp_path):
    compared(mg.load("omniglot"), tmp_path / "omniglot.onnx", 1e-4)
    assert (tmp_path / "omniglot.onnx").stat().st_size < 8e6


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (tiny_gan, {"format": "onnx"}, "'support' must be False for a game that is not conditioned .*, with a GAN"),
        (conditioned_translation, {"format": "onnx"}, r"'support' must be False .*, with a Translation"),
        (
            support_gan,
            {"format": "litert"},
            "'support' must be False unless .*Received: 'litert', None",
        ),
        (support_gan, {"format": "onnx", "limits": mg.Limits()}, r"False unless .*Received: 'onnx', Limits\("),
        (support_gan, {"format": "onnx", "support": 3}, "'support' must be True or False. Received: 3"),
        (lambda: conditioned_flow("float64"), {"format": "onnx"}, "of other types than float32. Received: .*float64"),
    ],
)
def test_what_is_refused_writes_nothing(make, options, message, tmp_path):
    model = mg.MetaModel(make(), mg.FOMAML(1, 0.05))
    with pytest.raises(ValueError, match=message):
        model.export(tmp_path / "g.onnx", **{"support": True, **options})
    assert not list(tmp_path.iterdir())


def test_a_file_that_exists_stays(tmp_path):
    (tmp_path / "g.onnx").write_text("mine")
    with pytest.raises(ValueError, match=r"g\.onnx"):
        mg.MetaModel(support_gan(), mg.FOMAML(1, 0.05)).export(tmp_path / "g.onnx", format="onnx", support=True)
    assert (tmp_path / "g.onnx").read_text() == "mine"
