"""Genes that have several columns, and genes with identifiers."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import perturb_jax as pj
from perturb_jax.screen import matrix as screen_matrix
from perturb_jax.screen.pseudobulk import read_pseudobulk
from perturb_jax.screen.read import read_screen
from perturb_jax.screen.store import load_screen, save_screen
from tests.screen_oracles import random_cells

NAMES = ["A1", "B1", "A1", "C1", "B1", "A1", "D1", "E1", "F1", "G1", "H1", "I1"]


def write(path: Path, values: np.ndarray, conditions: list[str], layout: str) -> Path:
    obs = pd.DataFrame({"condition": conditions}, index=[f"cell{i}" for i in range(len(conditions))])
    var = pd.DataFrame({"gene_name": NAMES}, index=[f"ENSG{i:011}" for i in range(12)])
    stored = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix}.get(layout, np.asarray)(values)
    anndata.AnnData(stored, obs, var).write_h5ad(path)
    return path


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("chunk", [7, 130, 1 << 22])
@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_columns_of_one_gene_are_summed_as_counts(
    tmp_path: Path, layout: str, chunk: int, normalize: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen_matrix, "CHUNK", chunk)
    values, conditions = random_cells()
    values = np.floor(3 * values) if normalize else values
    path = write(tmp_path / "cells.h5ad", values, conditions, layout)
    with pytest.raises(pj.InputError, match=r"2 gene names stand .* \(A1, B1\); sum these with repeated_genes='sum'"):
        read_screen(path, normalize=normalize)
    screen = read_screen(path, normalize=normalize, repeated_genes="sum")
    genes = ["C1", "B1", "A1", "D1", "E1", "F1", "G1", "H1", "I1"]
    assert screen.readouts == tuple(genes) and screen.gene_ids[:3] == tuple(f"ENSG{i:011}" for i in (3, 4, 5))
    plain = values if normalize else np.expm1(values)
    summed = np.stack([plain[:, np.array(NAMES) == gene].sum(1) for gene in genes], 1)
    if normalize:
        summed = summed * (1e4 / np.maximum(summed.sum(1, keepdims=True), 1))
    logged = np.log1p(summed)
    rows = np.array([name in ("A+ctrl",) for name in conditions])
    np.testing.assert_allclose(screen.mean[0], logged[rows].mean(0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(screen.perturbed.fourth[0], ((logged[rows] - logged[rows].mean(0)) ** 4).mean(0), 1e-7)
    cells = pj.read_cells(screen, ["A"])
    own = cells.expression.toarray()[cells.conditions == "A"]
    np.testing.assert_allclose(own.mean(0), screen.mean[0], rtol=1e-5)


def test_names_are_numbered(tmp_path: Path) -> None:
    path = write(tmp_path / "cells.h5ad", *random_cells(), "csr")
    screen = read_screen(path, repeated_genes="unique")
    assert screen.readouts[:6] == ("A1", "B1", "A1-1", "C1", "B1-1", "A1-2")
    np.testing.assert_array_equal(screen.mean, read_screen(path, gene_names="index").mean)
    assert pj.read_cells(screen, ["A"]).expression.shape[1] == 12


def test_means_of_repeated_genes_are_summed(tmp_path: Path) -> None:
    values, _ = random_cells(cells=4)
    path = write(tmp_path / "means.h5ad", values, ["ctrl", "A", "B", "C"], "dense")
    screen = read_pseudobulk(path, repeated_genes="sum")
    assert screen.readouts[2] == "A1"
    np.testing.assert_allclose(screen.control_mean[2], np.log1p(np.expm1(values[0, [0, 2, 5]]).sum()))


def test_identifiers_are_kept_beside_symbols(tmp_path: Path) -> None:
    values, conditions = random_cells()
    cells = anndata.read_h5ad(write(tmp_path / "cells.h5ad", values, conditions, "csr"))
    cells.var["gene_name"] = [f"G{i}" for i in range(11)] + [np.nan]
    screen = read_screen(cells)
    assert screen.readouts[-2:] == ("G10", "ENSG00000000011")
    assert screen.gene_ids == tuple(f"ENSG{i:011}" for i in range(12))
    loaded = load_screen(save_screen(screen, tmp_path / "screen.h5ad"))
    assert loaded.gene_ids == screen.gene_ids
    assert read_screen(cells, gene_names="index").gene_ids == ()
