"""The tutorials: each runs as a notebook at a tiny size, to the results that its text promises."""

import importlib.util

import nbclient
import nbformat
import pytest

from tests.test_readme import ROOT, cache

__all__ = ["cache"]
FOLDER = ROOT / "docs/tutorials"
TINY = {
    "quick_tour": "samples_drawn = 12",
    "augment_a_classifier": "class_count, per_class = 2, 4\nminutes = 0.0\nclassifiers = 1\nepochs = 2",
    "serve_a_model": "requests = 2",
    "train_a_recipe": "steps, meta_batch, width = 2, 1, 4",
}
"""What takes the place of each tutorial's cell `parameters`."""
FIRST = {
    "augment_a_classifier": """
from meta_gan.augmenting import fitting
from meta_gan.protocol.classification import ClassifierRecipe
from meta_gan.protocol.cross_validation import SmallClassifier
fitting.SmallClassifier = lambda: SmallClassifier(ClassifierRecipe(steps=5))
"""
}
"""What is run before a tutorial, to make short what its page has no parameter for: the training of 28 classifiers."""
SECONDS = 300


def settings_of_the_site():
    """The module docs/conf.py, which makes notebooks of the tutorials' text."""
    spec = importlib.util.spec_from_file_location("conf", ROOT / "docs/conf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site():
    return settings_of_the_site()


def outputs(notebook):
    """`(all printed text, number of pictures)` of a notebook that was run."""
    found = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    data = [output.get("data", {}) for output in found]
    text = "".join(output.get("text", "") for output in found) + "".join(each.get("text/plain", "") for each in data)
    return text, sum("image/png" in each for each in data)


@pytest.fixture
def ran(site, tmp_path, cache, monkeypatch):
    """Runs a tutorial, with its parameters replaced, in a folder of its own: `(text, pictures, folder)`."""
    monkeypatch.setenv("META_GAN_CACHE", str(cache))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("MPLBACKEND", raising=False)

    def run(name):
        notebook = site.notebook(FOLDER / f"{name}.md")
        (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
        given = {line.split("=")[0].strip() for line in parameters.source.splitlines()}
        assert given == {line.split("=")[0].strip() for line in TINY[name].splitlines()}
        parameters.source = TINY[name]
        notebook.cells.insert(0, nbformat.v4.new_code_cell(FIRST.get(name, "")))
        client = nbclient.NotebookClient(
            notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
        )
        client.execute()
        return *outputs(notebook), tmp_path

    return run


def test_every_tutorial_is_run():
    assert {path.stem for path in FOLDER.glob("*.md")} == set(TINY)


@pytest.mark.parametrize("name", TINY)
def test_a_notebook_installs_the_package_first_and_has_no_outputs(name, site):
    notebook = site.notebook(FOLDER / f"{name}.md")
    assert "%pip install" in notebook.cells[0].source
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) > 4 and not any(cell.outputs or cell.execution_count for cell in code)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


def test_the_quick_tour(ran):
    text, pictures, folder = ran("quick_tour")
    assert pictures == 4 and (folder / "glyph.keras").exists()
    assert "samples to the given images: 0." in text


def test_augmenting_a_classifier(ran):
    text, pictures, _ = ran("augment_a_classifier")
    assert pictures == 1 and "((8, 28, 28, 1), (16, 28, 28, 1))" in text
    rows = ["nothing", "shift", "affine", "elastic", "trivial", "generated", "generated + best plain"]
    assert all(f"\n{row:25} " in f"\n{text}" for row in rows)
    assert "given images alone: " in text


def test_serving_a_model(ran):
    text, _, folder = ran("serve_a_model")
    difference = float(text.split("served against Python: ")[1].split(";")[0])
    assert difference < 1e-5 and "again: 0.0e+00" in text
    assert text.count("Received") == 3, "each of three wrong requests is refused with what was received"
    assert "(16, 28, 28, 1)" in text and (folder / "characters.onnx").exists()


def test_training_a_recipe(ran):
    text, pictures, folder = ran("train_a_recipe")
    assert pictures == 1 and (folder / "runs/00000-vae-reptile-glyphs/model/weights.npz").exists()
    assert [line.split()[0] for line in text.splitlines() if "validation/distance" in line] == ["0", "1", "2"]
