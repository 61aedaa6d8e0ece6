"""The co-expression graph against cell-gears' function."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.screen import coexpression
from perturb_jax.screen.coexpression import coexpression_graph


def edges(graph: KnowledgeGraph) -> dict[tuple[str, str], float]:
    """Edges by the names of their ends."""
    genes = graph.genes
    ends = zip(graph.senders, graph.receivers, strict=True)
    return {(genes[s], genes[t]): float(weight) for (s, t), weight in zip(ends, graph.weights, strict=True)}


def dense_edges(values: np.ndarray, neighbors: int, threshold: float) -> dict[tuple[str, str], float]:
    """GEARS' rule in dense NumPy."""
    with np.errstate(invalid="ignore", divide="ignore"):
        strength = np.abs(np.nan_to_num(np.corrcoef(values.T)))
    found = {}
    for target, row in enumerate(strength):
        for source in np.argsort(row)[-(neighbors + 1) :]:
            if row[source] > threshold:
                found[f"G{source}", f"G{target}"] = row[source]
    return found


@pytest.mark.parametrize("sparse_cost", [0.0, np.inf])
@pytest.mark.parametrize("block", [3, 1024])
@pytest.mark.parametrize("neighbors", [2, 50])
def test_each_gene_reads_those_it_correlates_with_most(
    sparse_cost: float, block: int, neighbors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coexpression, "SPARSE_COST", sparse_cost)
    monkeypatch.setattr(coexpression, "BLOCK", block)
    rng = np.random.default_rng(0)
    values = rng.gamma(1.0, 1.0, (40, 3)) @ rng.random((3, 10)) + 0.3 * rng.random((40, 10))
    values[values < 1] = 0
    values[:, 4] = 0  # never expressed
    values[:, 5] = 0.1  # never varies
    genes = tuple(f"G{i}" for i in range(10))
    found = edges(coexpression_graph(sparse.csr_array(values), genes, neighbors, 0.4))
    values[:, 5] = 0
    expected = dense_edges(values, neighbors, 0.4)
    assert found.keys() == expected.keys()
    assert not any(gene in edge for edge in found for gene in ("G4", "G5"))
    np.testing.assert_allclose([found[edge] for edge in expected], list(expected.values()), rtol=1e-6)


@pytest.fixture(params=["norman19", "made here"])
def control(request: pytest.FixtureRequest) -> anndata.AnnData:
    """Control cells, real ones and made ones, of which groups of genes follow one state each."""
    if request.param == "norman19":
        cells = anndata.read_h5ad(request.getfixturevalue("real_data") / "perturbench_devel_norman19_mcfaline23.h5ad")
        return cells[(cells.obs["dataset"] == "norman19") & (cells.obs["condition"] == "control")].copy()
    rng = np.random.default_rng(0)
    states = np.repeat(rng.normal(size=(300, 8)), 8, axis=1)
    values = np.maximum(states + 0.6 * rng.normal(size=states.shape), 0)
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(300)])
    return anndata.AnnData(sparse.csr_matrix(values), obs, pd.DataFrame(index=[f"G{i}" for i in range(64)]))


@pytest.mark.gears
def test_control_cells_give_the_edges_of_gears(
    control: anndata.AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    utils = pytest.importorskip("gears.utils")
    control.obs["condition"] = "ctrl"
    control.var["gene_name"] = control.var_names.to_numpy()
    (tmp_path / "cells").mkdir()
    arguments = (0.4, 20, str(tmp_path), "cells", "simulation", 1, 0.75, {"train": ["ctrl"]})
    with np.errstate(all="ignore"):
        table = utils.get_coexpression_network_from_train(control, *arguments)
    expected = {(row.source, row.target): row.importance for row in table.itertuples()}
    for sparse_cost in (0.0, np.inf):
        monkeypatch.setattr(coexpression, "SPARSE_COST", sparse_cost)
        found = edges(coexpression_graph(sparse.csr_array(control.X), tuple(control.var_names)))
        assert len(found) > 100
        assert found.keys() == expected.keys()
        np.testing.assert_allclose([found[edge] for edge in expected], list(expected.values()), rtol=1e-6)
