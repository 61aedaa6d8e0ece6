"""The public face: every name is there, is loaded when it is used, and is all that documents need."""

import json
import re
import subprocess
import sys
from pathlib import Path

import perturb_jax as pj

ROOT = Path(__file__).parents[1]


def test_every_public_name_is_there() -> None:
    for name in dir(pj):
        assert getattr(pj, name) is not None, name
    for registry in (pj.STRATEGIES, pj.PREDICTORS):
        for name, reference in registry.built_in.items():
            assert getattr(pj, reference.partition(":")[2]) is registry.get(name)


def test_strategies_that_read_a_predictor_are_named() -> None:
    from perturb_jax.strategies.registry import MODEL_BASED
    from perturb_jax.strategies.strategy import is_one_shot

    assert [name for name in pj.STRATEGIES.built_in if not is_one_shot(pj.STRATEGIES.get(name))] == [*MODEL_BASED]


def test_the_package_is_imported_without_what_computes() -> None:
    code = "import sys, perturb_jax; sys.exit(repr({'jax', 'numpy', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stderr.strip() == "set()"


def test_documents_import_the_public_face_alone() -> None:
    texts = {path: path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        texts[path] = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    imports = r"^\s*(?:>>> |\.\.\. )?((?:from|import) perturb_jax\b.*)$"
    others = {
        str(path.relative_to(ROOT)): found
        for path, text in texts.items()
        if (found := [one for one in re.findall(imports, text, re.MULTILINE) if one != "import perturb_jax as pj"])
    }
    assert others == {}
