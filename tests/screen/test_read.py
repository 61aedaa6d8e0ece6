"""Reading screens from files of cells, and what is said of those that cannot be read."""

import tracemalloc
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import perturb_jax as pj
from perturb_jax.genes.perturbations import condition_name
from perturb_jax.screen import matrix as screen_matrix
from perturb_jax.screen.read import read_screen
from perturb_jax.screen.screen import Screen
from tests.screen_oracles import assert_same_screen, central_moments, random_cells, write_cells

GENES = [f"G{i}" for i in range(12)]


def assert_moments(screen: Screen, values: np.ndarray, conditions: list[str], tolerance: float = 1e-5) -> None:
    """The screen's moments are those of the cells: the m-th to `tolerance` of sigma^m."""
    names = np.array([condition_name(condition) for condition in conditions])
    assert screen.perturbations == tuple(sorted(set(names) - {""}))
    for row, name in enumerate(("", *screen.perturbations)):
        cells = values[names == name]
        count, *found = screen.perturbed.of(row - 1) if row else screen.control
        assert len(cells) == count
        if row:
            np.testing.assert_array_equal(screen.nonzero[row - 1], (cells != 0).any(0))
        for power, (one, other) in enumerate(zip(found, central_moments(cells), strict=True), start=1):
            assert (np.abs(one - other) <= tolerance * cells.std(0) ** power + 1e-15).all()


@pytest.mark.parametrize("chunk", [7, 100, 1 << 22])
@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_moments_are_those_of_the_cells(
    tmp_path: Path, layout: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen_matrix, "CHUNK", chunk)
    values, conditions = random_cells()
    path = write_cells(tmp_path / "cells.h5ad", values, conditions, layout)
    screen = read_screen(path)
    assert_moments(screen, values, conditions)
    assert screen.perturbations == ("A", "A+B", "B")
    assert screen.source == path.absolute()
    assert screen.readouts == tuple(GENES)
    assert screen.de_genes.shape == (3, 12)


@pytest.mark.parametrize("chunk", [30, 1 << 22])
@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_counts_are_scaled_and_logged(tmp_path: Path, layout: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen_matrix, "CHUNK", chunk)
    values, conditions = random_cells(1)
    counts = np.floor(values * 3)
    counts[5] = 0
    path = write_cells(tmp_path / "cells.h5ad", counts, conditions, layout)
    with np.errstate(all="ignore"):
        logged = np.nan_to_num(np.log1p(counts * (1e4 / counts.sum(1, keepdims=True))))
    assert_moments(read_screen(path, normalize=True), logged, conditions)
    with pytest.raises(pj.InputError, match=r"whole numbers .* raw counts.*normalize=True"):
        read_screen(path)


@pytest.mark.parametrize("chunk", [30, 1 << 22])
@pytest.mark.parametrize("layout", ["csr", "csc", "dense", "unsorted"])
def test_cells_in_memory_are_read_as_their_file_is(
    tmp_path: Path, layout: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen_matrix, "CHUNK", chunk)
    values, conditions = random_cells(11)
    types = ["K562", "RPE1"] * 30
    path = write_cells(tmp_path / "cells.h5ad", values, conditions, layout.replace("unsorted", "csr"), cell_type=types)
    cells = anndata.read_h5ad(path)
    cells.layers["counts"] = np.floor(cells.X * 3) if layout == "dense" else (cells.X * 3).floor()
    if layout == "unsorted":
        start, stop = cells.X.indptr[3], cells.X.indptr[4]
        for part in (cells.X.data, cells.X.indices):
            part[start:stop] = part[start:stop][::-1].copy()
    cells.write_h5ad(path)
    before = cells.copy()
    settings: tuple[dict[str, Any], ...] = (
        {}, {"layer": "counts", "normalize": True}, {"where": {"cell_type": "K562"}, "num_de": 3},
    )  # fmt: skip
    for how in settings:
        screen = read_screen(cells, **how)
        assert screen.source is None
        assert_same_screen(screen, read_screen(path, **how))
        assert_same_screen(screen, read_screen(anndata.read_h5ad(path, backed="r"), **how))
    view = cells[cells.obs["cell_type"] == "RPE1"]
    assert_same_screen(read_screen(view), read_screen(path, {"cell_type": "RPE1"}), settings=False)
    for part in ("data", "indices", "indptr") if layout != "dense" else ("T",):
        np.testing.assert_array_equal(getattr(cells.X, part), getattr(before.X, part))


def test_what_cannot_be_read_in_memory_is_said(tmp_path: Path) -> None:
    values, conditions = random_cells()
    path = write_cells(tmp_path / "cells.h5ad", values, conditions)
    cells = anndata.read_h5ad(path)
    cells.X = sparse.coo_matrix(values).tocsr()
    with pytest.raises(pj.InputError, match=r"AnnData: expected log1p of scaled counts, got -1"):
        read_screen(anndata.AnnData(values - 1 - values, cells.obs, cells.var))
    with pytest.raises(pj.InputError, match=r"AnnData: no raw here; choose a matrix with layer="):
        read_screen(cells, layer="raw")
    with pytest.raises(pj.InputError, match=r"AnnData: a view of a file cannot be read"):
        read_screen(anndata.read_h5ad(path, backed="r")[:30])
    with pytest.raises(pj.InputError, match=r"AnnData: no matrix X"):
        read_screen(anndata.AnnData(obs=cells.obs, var=cells.var))


def test_a_part_of_the_cells_and_the_rest_may_be_anything(tmp_path: Path) -> None:
    values, conditions = random_cells(2)
    batch = np.where(np.arange(60) % 3 == 0, "bad", np.where(np.arange(60) % 3 == 1, "x", "y"))
    values[batch == "bad"] = np.nan
    conditions = ["" if one == "bad" else name for one, name in zip(batch, conditions, strict=True)]
    for layout in ("csr", "csc", "dense"):
        path = write_cells(tmp_path / f"{layout}.h5ad", values, conditions, layout, batch=batch.tolist())
        for where in ({"batch": ["x", "y"]}, {"batch": "x"}):
            chosen = np.isin(batch, where["batch"])
            screen = read_screen(path, where=where)
            assert_moments(screen, values[chosen], np.array(conditions)[chosen].tolist())
            assert screen.settings["where"] == where


def test_cell_types_are_merged_and_tested_apart(tmp_path: Path) -> None:
    values, conditions = random_cells(3, cells=90)
    types = np.random.default_rng(0).choice(["K562", "RPE1"], 90)
    path = write_cells(tmp_path / "cells.h5ad", values, conditions, cell_type=types.tolist())
    screen = read_screen(path, num_de=3)
    assert_moments(screen, values, conditions)
    assert screen.settings["cell_type"] == "cell_type"
    assert screen.settings["cell_types"] == ["K562", "RPE1"]
    assert screen.caution.startswith("2 cell types (K562, RPE1): effects are against their control cells pooled; ")
    assert "where={'cell_type': ...} reads one" in repr(screen)
    one = read_screen(path, {"cell_type": "K562"})
    assert one.settings["cell_types"] == ["K562"] and one.caution == "" and "cell types" not in repr(one)
    assert_moments(one, values[types == "K562"], np.array(conditions)[types == "K562"].tolist())
    names = np.array([condition_name(condition) for condition in conditions])
    for row, name in enumerate(screen.perturbations):
        difference, error = np.zeros(12), np.zeros(12)
        for kind in ("K562", "RPE1"):
            perturbed, control = (values[(names == one) & (types == kind)] for one in (name, ""))
            fraction = len(perturbed) / (names == name).sum()
            difference += fraction * (perturbed.mean(0) - control.mean(0))
            error += fraction**2 * sum(cells.var(0, ddof=1) / len(cells) for cells in (perturbed, control))
        t = np.abs(difference) / np.sqrt(error)
        assert screen.de_genes[row].tolist() == np.argsort(-t)[:3].tolist()


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_the_cells_are_never_in_memory_as_a_whole(tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen_matrix, "CHUNK", 1 << 15)
    values = random_cells(9, cells=20_000, genes=400)[0] / 2
    conditions = ["ctrl" if i % 40 == 0 else f"P{i % 7}" for i in range(len(values))]
    path = write_cells(tmp_path / "cells.h5ad", values, conditions, layout)
    read_screen(path)  # what compiling takes does not count
    tracemalloc.start()
    read_screen(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < values.nbytes / 4


def test_unsorted_and_repeated_entries_are_read_as_scipy_reads_them(tmp_path: Path) -> None:
    values, conditions = random_cells(4)
    matrix = sparse.csr_matrix(values)
    path = write_cells(tmp_path / "cells.h5ad", values, conditions)
    with h5py.File(path, "r+") as file:
        start, stop = matrix.indptr[3], matrix.indptr[4]
        for name in ("data", "indices"):
            file["X"][name][start:stop] = file["X"][name][start:stop][::-1]
    assert_moments(read_screen(path), values, conditions)


def test_keys_are_guessed_and_said(tmp_path: Path) -> None:
    values, conditions = random_cells(5)
    table = pd.DataFrame({"perturbation": [condition_name(name) or "control" for name in conditions],
                          "condition": conditions}, index=[f"c{i}" for i in range(60)])  # fmt: skip
    var = pd.DataFrame({"gene_name": GENES}, index=[f"ENSG{i:011}" for i in range(12)])
    anndata.AnnData(sparse.csr_matrix(values), obs=table, var=var).write_h5ad(tmp_path / "cells.h5ad")
    screen = read_screen(tmp_path / "cells.h5ad")
    assert screen.readouts == tuple(GENES)
    assert "guessed condition='perturbation', control=['control'], gene_names='gene_name'" in repr(screen)
    assert "3 perturbations x 12 genes" in repr(screen)
    assert read_screen(tmp_path / "cells.h5ad", gene_names="index").readouts[0] == "ENSG00000000000"


def test_columns_that_disagree_are_not_guessed(tmp_path: Path) -> None:
    values, conditions = random_cells(6)
    path = write_cells(tmp_path / "cells.h5ad", values, conditions, target=conditions[::-1])
    with pytest.raises(pj.InputError, match=r"condition, target differ; choose one with condition=.*"):
        read_screen(path)
    assert_moments(read_screen(path, condition="target"), values, conditions[::-1])


def test_several_kinds_of_control_have_to_be_chosen_from(tmp_path: Path) -> None:
    values, conditions = random_cells(7)
    controls = [i for i, name in enumerate(conditions) if name == "ctrl"]
    for i in controls[::2]:
        conditions[i] = "non-targeting"
    path = write_cells(tmp_path / "cells.h5ad", values, conditions)
    with pytest.raises(pj.InputError, match=r"several kinds of control \(ctrl, non-targeting\)"):
        read_screen(path)
    screen = read_screen(path, control="ctrl")
    assert screen.control.cells == len(controls[1::2])
    assert screen.settings["cells_left_out"] == {"non-targeting": len(controls[::2])}
    assert repr(screen).endswith(f"; left out {len(controls[::2])} cells (non-targeting))")
    assert read_screen(path, control=["ctrl", "non-targeting"]).control.cells == len(controls)


def test_perturbations_of_one_cell_are_refused_or_reported(tmp_path: Path) -> None:
    values, conditions = random_cells(8)
    conditions[conditions.index("A+ctrl")] = "LONELY+ctrl"
    path = write_cells(tmp_path / "cells.h5ad", values, conditions)
    with pytest.raises(pj.InputError, match=r"1 perturbations have fewer than 2 cells \(LONELY\).*too_few='drop'"):
        read_screen(path)
    screen = read_screen(path, too_few="drop")
    assert screen.perturbations == ("A", "A+B", "B")
    assert screen.settings["dropped"] == {"LONELY": "fewer than 2 cells"}
    assert "; left out 1 perturbations)" in repr(screen)


def test_the_progress_bar_goes_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values, conditions = random_cells()
    path = write_cells(tmp_path / "cells.h5ad", values, conditions)
    read_screen(path)
    assert capsys.readouterr() == ("", "")
    read_screen(path, progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "reading" in shown.err


def test_real_cells_have_the_moments_of_numpy(real_data: Path) -> None:
    path = real_data / "perturbench_devel_norman19_mcfaline23.h5ad"
    cells = anndata.read_h5ad(path)
    for dataset in ("norman19", "mcfaline23"):
        chosen = cells[cells.obs["dataset"] == dataset]
        screen = read_screen(path, where={"dataset": dataset})
        assert_moments(screen, chosen.X.toarray().astype(float), chosen.obs["condition"].astype(str).tolist(), 1e-10)
        assert screen.de_genes.shape == (len(screen), 20)
