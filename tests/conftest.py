"""Strict mode for every test: shapes are checked at run time, rank promotion raises; and the fixtures.

What XLA compiles is kept for the length of a run: workers and the commands that tests start share it.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # workers have it from the process that starts them
    COMPILED = tempfile.mkdtemp(prefix="perturb_jax_tests_")
    atexit.register(shutil.rmtree, COMPILED, ignore_errors=True)
    os.environ |= {"JAX_COMPILATION_CACHE_DIR": COMPILED, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2"}

import jax
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

PACKAGE = Path(__file__).parents[1] / "perturb_jax"


def _checked_modules() -> list[str]:
    """Every module but those of numba kernels, which numba must see undecorated, and packages' own files."""
    modules = []
    for path in PACKAGE.rglob("*.py"):
        if path.name != "__init__.py" and "@kernel" not in path.read_text():
            modules.append(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    return modules


settings.register_profile("patient", deadline=None)  # on a machine that does other things, too
settings.register_profile("ci", derandomize=True, deadline=None)  # the same examples every time
settings.load_profile("ci" if os.environ.get("CI") else "patient")

install_import_hook(_checked_modules(), "beartype.beartype")
jax.config.update("jax_numpy_rank_promotion", "raise")

import perturb_jax as pj  # noqa: E402  (after the hook)

REAL_DATA = Path(os.environ.get("PERTURB_JAX_REAL_DATA", PACKAGE.parents[1] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The directory of real data sets that are not part of the repository."""
    if not REAL_DATA.is_dir():
        pytest.skip(
            "needs real data sets (Norman's cells, Replogle's libraries, org.Hs.eg.db's tables), which are not part of "
            f"the repository: {REAL_DATA} is not there; PERTURB_JAX_REAL_DATA names their directory"
        )
    return REAL_DATA


@pytest.fixture(scope="session")
def library(real_data: Path) -> list[str]:
    """The 9,890 targets of Replogle et al.'s genome-wide guide library."""
    return (real_data / "replogle_TabA_K562_day8_library_genes.txt").read_text().split()


@pytest.fixture(scope="session")
def library_graph(library: list[str]) -> pj.KnowledgeGraph:
    """The GO graph of the genome-wide library, old symbols resolved."""
    return pj.load_go_graph(library, unknown="drop")


@pytest.fixture(scope="session")
def candidates_1087(real_data: Path, library_graph: pj.KnowledgeGraph) -> list[str]:
    """The first 1,087 in sorted order of the essential library's genes that are in the library graph."""
    essential = (real_data / "replogle_TabB_K562_day6_library_genes.txt").read_text().split()
    return sorted(gene for gene in essential if gene in library_graph.names.position)[:1087]


@pytest.fixture(scope="session", params=["of the library", "made here"])
def at_size(request: pytest.FixtureRequest) -> tuple[pj.KnowledgeGraph, list[str]]:
    """A GO graph of nearly 10,000 genes, and candidates: the library's where there is real data, and one made here."""
    if request.param == "of the library":
        return request.getfixturevalue("library_graph"), request.getfixturevalue("candidates_1087")
    graph = pj.load_go_graph(pj.human_annotation().genes[::2])
    return graph, list(graph.genes[::25])


@pytest.fixture(scope="session", params=["of the library", "made here"])
def symbols(request: pytest.FixtureRequest) -> list[str]:
    """Many gene symbols: the library's where there is real data, and those of the annotation that ships."""
    if request.param == "of the library":
        names: list[str] = request.getfixturevalue("library")
        return names
    return list(pj.human_annotation().genes)


@pytest.fixture(scope="session")
def genome() -> pj.KnowledgeGraph:
    """The GO graph of every annotated human gene."""
    return pj.load_go_graph()
