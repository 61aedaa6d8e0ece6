"""Screens from means: tables, and `.h5ad` files whose rows are conditions."""

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import perturb_jax as pj
from perturb_jax.screen.pseudobulk import read_pseudobulk
from perturb_jax.screen.store import load_screen, save_screen

ROWS = {
    "condition": ["ctrl", "B+A", "A+ctrl", "control", "A"],
    "n_cells": [30, 5, 2, 10, 6],
    "G1": [1.0, 2.0, 0.0, 2.0, 4.0],
    "G2": [0.5, 0.5, 1.0, 0.5, 1.0],
}


def test_rows_of_one_condition_are_averaged_by_their_cells(tmp_path: Path) -> None:
    pd.DataFrame(ROWS).to_csv(tmp_path / "means.csv", index=False)
    for screen in (read_pseudobulk(tmp_path / "means.csv"), read_pseudobulk(pd.DataFrame(ROWS))):
        assert screen.perturbations == ("A", "A+B")
        assert screen.readouts == ("G1", "G2")
        assert screen.cell_counts.tolist() == [8, 5]
        assert screen.mean.tolist() == [[3.0, 1.0], [2.0, 0.5]]
        assert screen.control.cells == 40
        assert screen.control_mean.tolist() == [1.25, 0.5]
        assert not any(part.any() for part in (*screen.perturbed[2:], *screen.control[2:]))
        assert screen.de_genes.tolist() == [[0, 1], [0, 1]]
        assert screen.coexpression.num_edges == 0
        assert screen.source is None
        assert screen.settings["cell_counts"] == "n_cells"
    saved = save_screen(screen, tmp_path / "screen.h5ad")
    assert load_screen(saved).coexpression.num_edges == 0


def test_without_counts_a_row_counts_once() -> None:
    screen = read_pseudobulk(pd.DataFrame(ROWS).drop(columns="n_cells").set_index("condition"), num_de=1)
    assert screen.cell_counts.tolist() == [2, 1]
    assert screen.mean[0].tolist() == [2.0, 1.0]
    assert screen.de_genes.shape == (2, 1)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"G1": [1.0, 2.0, None, 2.0, 4.0]}, {}, "expected finite log1p expression >= 0, got nan for gene G1 in row 3"),
        ({"G1": [1.0, 2.0, "x", 2.0, 4.0]}, {}, "got x for gene G1 in row 3"),
        ({"G2": [-1.0] * 5}, {}, "got -1.0 for gene G2 in row 1"),
        ({"n_cells": [0] * 5}, {}, "whole numbers >= 1 in n_cells"),
        ({"condition": ["ctrl"] * 5}, {}, "at least one perturbation"),
        ({"condition": ["A"] * 5}, {}, "expected rows for control"),
        ({"condition": ["A+", "ctrl", "A", "B", "C"]}, {}, "a part is blank"),
        ({"target": ["A"] * 5}, {}, "condition, target may all name the condition"),
        ({" G1": [1.0] * 5}, {}, "the gene G1 has several columns"),
        ({}, {"condition": "pert"}, "condition: no column 'pert'"),
        ({}, {"cell_counts": "cells"}, "cell_counts: no column 'cells'"),
        ({"cells": [1] * 5}, {}, "n_cells, cells may all hold numbers of cells"),
        ({"G2": [15.0] * 5}, {}, r"whole numbers \(up to 15\), so raw counts"),
        ({"G2": [1.0] * 5}, {}, r"whole numbers \(up to 4\), so raw counts"),
        ({}, {"layer": "means"}, "gene_names, layer, raw, repeated_genes are for .h5ad files"),
        ({}, {"where": {"condition": "D"}}, "where: no cell with condition = 'D'"),
        ({"G1": [0.0] * 5, "G2": [0.0, 1.0, 1.0, 1.0, 1.0]}, {"normalize": True}, "no count in row 1"),
    ],
)
def test_tables_that_do_not_fit_are_refused(change: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(pj.InputError, match=message):
        read_pseudobulk(pd.DataFrame({**ROWS, **change}), **options)


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(pj.InputError, match="no such file"):
        read_pseudobulk(tmp_path / "absent.csv")
    (tmp_path / "genes.csv").write_text("condition\nA\nctrl\n")
    with pytest.raises(pj.InputError, match="a name for every gene, got 0 columns"):
        read_pseudobulk(tmp_path / "genes.csv")


def test_a_table_is_chosen_from_by_a_column_that_is_no_gene(tmp_path: Path) -> None:
    line = ["K562", "K562", "K562", "RPE1", "RPE1"]
    table = pd.DataFrame({**ROWS, "line": line}).rename(columns={"condition": "index"})
    table.to_csv(tmp_path / "means.csv", index=False)
    screen = read_pseudobulk(tmp_path / "means.csv", {"line": "K562"})
    assert (screen.readouts, screen.perturbations, int(screen.control.cells)) == (("G1", "G2"), ("A", "A+B"), 30)
    assert screen.mean.tolist() == [[0.0, 1.0], [2.0, 0.5]]


def write_means(path: Path, layout: str = "dense", layer: str | None = None, **obs: list[str]) -> Path:
    """The rows above as an `.h5ad` file."""
    means = pd.DataFrame(ROWS)
    values = means[["G1", "G2"]].to_numpy()
    stored = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix}.get(layout, np.asarray)(values)
    var = pd.DataFrame({"gene_name": ["G1", "G2"]}, index=["ENSG1", "ENSG2"])
    table = means[["condition", "n_cells"]].assign(**obs).rename(str)
    anndata.AnnData(stored, table, var, layers={layer: stored} if layer else None).write_h5ad(path)
    return path


@pytest.mark.parametrize("layout", ["dense", "csr", "csc"])
def test_an_h5ad_file_is_read_as_a_table_is(tmp_path: Path, layout: str) -> None:
    path = write_means(tmp_path / "means.h5ad", layout, "log1p", cell_type=["K562"] * 5)
    table = read_pseudobulk(pd.DataFrame(ROWS))
    named: dict[str, Any] = {"layer": "log1p", "gene_names": "gene_name", "condition": "condition"}
    for options in ({}, named):
        screen = read_pseudobulk(path, **options)
        assert (screen.perturbations, screen.readouts) == (table.perturbations, table.readouts)
        assert screen.cell_counts.tolist() == table.cell_counts.tolist()
        np.testing.assert_array_equal(screen.mean, table.mean)
        np.testing.assert_array_equal(screen.control_mean, table.control_mean)
        assert screen.settings["gene_names"] == "gene_name"
    assert read_pseudobulk(path, gene_names="index").readouts == ("ENSG1", "ENSG2")
    assert read_pseudobulk(path, {"n_cells": [30, 6]}).perturbations == ("A",)


def test_rows_without_a_column_for_their_condition_are_called_by_the_index(tmp_path: Path) -> None:
    means = anndata.AnnData(np.array([[0.5, 1.0], [2.0, 0.0]]), pd.DataFrame(index=["KLF1+ctrl", "ctrl"]))
    means.var_names = ["G1", "G2"]
    means.write_h5ad(tmp_path / "means.h5ad")
    screen = read_pseudobulk(tmp_path / "means.h5ad")
    assert (screen.perturbations, screen.settings["condition"]) == (("KLF1",), "index")
    assert screen.effects.tolist() == [[-1.5, 1.0]]


@pytest.mark.parametrize("factor", [1, "cells"])
def test_mean_or_summed_counts_of_replogle_s_populations(tmp_path: Path, factor: Any) -> None:
    """Rows are scaled, averaged by cells over promoters and guides, and only then logarithms are taken."""
    names = ["0_A1BG_P1_ENSG00000121410", "1_A1BG_P2_ENSG00000121410", "2_AAAS_P1P2_ENSG00000094914",
             "9_non-targeting_non-targeting_non-targeting"]  # fmt: skip
    cells = np.array([10, 30, 20, 100])
    counts = np.array([[1.5, 0.5], [3.0, 3.0], [0.0, 7.0], [2.5, 7.5]])
    obs = pd.DataFrame({"num_cells_filtered": cells.astype(float), "core_control": False}, index=names)
    var = pd.DataFrame({"gene_name": ["G1", "G2"]}, index=["ENSG1", "ENSG2"])
    stored = counts * (cells[:, None] if factor == "cells" else factor)
    anndata.AnnData(stored, obs, var).write_h5ad(tmp_path / "raw.h5ad")
    screen = read_pseudobulk(tmp_path / "raw.h5ad", normalize=True)
    assert (screen.perturbations, screen.cell_counts.tolist()) == (("A1BG", "AAAS"), [40, 20])
    assert (int(screen.control.cells), screen.readouts) == (100, ("G1", "G2"))
    expected = np.log1p([[1e4 * (0.75 * 10 + 0.5 * 30) / 40, 1e4 * (0.25 * 10 + 0.5 * 30) / 40], [0.0, 1e4]])
    np.testing.assert_allclose(screen.mean, expected)
    np.testing.assert_allclose(screen.control_mean, np.log1p([2500.0, 7500.0]))


def test_h5ad_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = write_means(tmp_path / "means.h5ad", line=["a"] * 5, cell_line=["K562"] * 3 + ["RPE1"] * 2)
    with pytest.raises(pj.InputError, match=r"one cell type, got 2 in cell_line \(K562, RPE1\)"):
        read_pseudobulk(path)
    assert read_pseudobulk(path, {"cell_line": "K562"}).control.cells == 30
    with pytest.raises(pj.InputError, match="no matrix layers/x"):
        read_pseudobulk(path, layer="x")
    with pytest.raises(pj.InputError, match="condition: no column 'pert'"):
        read_pseudobulk(path, {"cell_line": "K562"}, condition="pert")
    with pytest.raises(pj.InputError, match="no such file"):
        read_pseudobulk(tmp_path / "absent.h5ad")
    scores = anndata.read_h5ad(path)
    scores.X = scores.X - 1.0
    scores.write_h5ad(tmp_path / "scores.h5ad")
    with pytest.raises(pj.InputError, match=r"z-scores"):
        read_pseudobulk(tmp_path / "scores.h5ad", {"cell_line": "K562"})
    saved = save_screen(read_pseudobulk(pd.DataFrame(ROWS)), tmp_path / "screen.h5ad")
    with pytest.raises(pj.InputError, match="got a saved screen"):
        read_pseudobulk(saved)


def test_an_index_out_of_the_matrix_is_refused(tmp_path: Path) -> None:
    import h5py

    path = write_means(tmp_path / "means.h5ad", "csr")
    with h5py.File(path, "r+") as file:
        file["X/indices"][0] = 99
    with pytest.raises(pj.InputError, match=r"damaged \(indices\)"):
        read_pseudobulk(path)


def test_nothing_but_zeros_is_refused() -> None:
    with pytest.raises(pj.InputError, match="all values are 0"):
        read_pseudobulk(pd.DataFrame({"A": [0.0, 0.0], "B": [0.0, 0.0]}, index=["ctrl", "A+ctrl"]))


def test_tables_as_offices_write_them(tmp_path: Path) -> None:
    table = pd.DataFrame({**ROWS, "condition": ["non-targeting", "B_A", "A", "NA", "B"]})
    table.to_csv(tmp_path / "means.CSV", index=False, sep=";", decimal=",")
    screen = read_pseudobulk(tmp_path / "means.CSV")
    assert screen.perturbations == ("A", "A+B", "B")
    assert screen.settings["rows_left_out"] == {"no condition": 1} and screen.settings["separator"] == "_"
    assert screen.control_mean.tolist() == [1.0, 0.5] and screen.mean.tolist() == [[0.0, 1.0], [2.0, 0.5], [4.0, 1.0]]
