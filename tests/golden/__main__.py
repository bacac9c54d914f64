"""`python -m tests.golden` writes the golden files of signatures anew, for a change of the format that is meant."""

import json
import tempfile
from pathlib import Path

import meta_gan as mg
from meta_gan import export
from tests.serving.conftest import LIMITS
from tests.serving.test_signatures import GAMES, GOLDEN
from tests.toys import tiny_dcgan

for name, make in {"gan": tiny_dcgan, **GAMES}.items():
    with tempfile.TemporaryDirectory() as root:
        mg.MetaModel(make(), mg.FOMAML(1, 0.05)).export(Path(root) / "1", LIMITS)
        about = json.loads((Path(root) / "1" / export.EXTRA / export.ABOUT).read_text())
    (GOLDEN / f"signatures_{name}.json").write_text(json.dumps(about["signatures"], indent=1) + "\n")
