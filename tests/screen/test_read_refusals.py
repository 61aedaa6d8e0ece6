"""What is said of files of cells that cannot be read."""

from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pytest

import perturb_jax as pj
from perturb_jax.screen.read import read_screen
from tests.screen_oracles import random_cells, write_cells

GENES = [f"G{i}" for i in range(12)]


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        ((3, 2), np.nan, "expected finite values, got nan for gene G2 in cell 4"),
        ((0, 0), np.inf, "expected finite values, got inf for gene G0 in cell 1"),
        ((59, 11), -1.5, "got -1.5 for gene G11 in cell 60; negative values come from"),
    ],
)
@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_bad_values_are_named(
    tmp_path: Path, layout: str, position: tuple[int, int], value: float, message: str
) -> None:
    values, conditions = random_cells()
    values[position] = value
    with pytest.raises(pj.InputError, match=message):
        read_screen(write_cells(tmp_path / "cells.h5ad", values, conditions, layout))


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_cells_that_express_nothing_are_refused(tmp_path: Path, layout: str, normalize: bool) -> None:
    values, conditions = random_cells()
    path = write_cells(tmp_path / "cells.h5ad", 0 * values, conditions, layout)
    with pytest.raises(pj.InputError, match="all values of these cells are 0; expected their expression"):
        read_screen(path, normalize=normalize)


def test_fractions_are_no_counts(tmp_path: Path) -> None:
    values, conditions = random_cells()
    path = write_cells(tmp_path / "cells.h5ad", values, conditions)
    with pytest.raises(pj.InputError, match=r"normalize=True expects raw counts"):
        read_screen(path, normalize=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"condition": "guide"}, "condition: no column 'guide'; found condition, kind"),
        ({"control": "NTC"}, "control: no cell with condition = 'NTC'; found A\\+ctrl"),
        ({"gene_names": "symbol"}, "gene_names: no column 'symbol'"),
        ({"cell_type": "line"}, "cell_type: no column 'line'"),
        ({"layer": "counts"}, "no matrix layers/counts; choose one with layer=... .layers: none."),
        ({"where": {"kind": "z"}}, "where: no cell with kind = 'z'; found u, v"),
        ({"where": {"sort": "z"}}, "where: no column 'sort'"),
        ({"where": {"condition": "ctrl"}}, "only control cells"),
        ({"where": {"condition": ["A+ctrl", "ctrl+B"]}}, "no control cells in 'condition'"),
        ({"num_de": 0}, "expected num_de >= 1"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    values, conditions = random_cells()
    path = write_cells(tmp_path / "cells.h5ad", values, conditions, kind=["u", "v"] * 30)
    with pytest.raises(pj.InputError, match=message) as raised:
        read_screen(path, **options)
    assert "\n" not in str(raised.value)


def test_tables_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    values, conditions = random_cells()
    path = tmp_path / "cells.h5ad"
    with pytest.warns(UserWarning, match="not unique"):
        write_cells(path, values, conditions, genes=["G0", *GENES[:11]])
    with pytest.raises(pj.InputError, match=r"1 gene names stand for several columns \(G0\)"):
        read_screen(path)
    write_cells(path, values, ["A+" if name == "A+ctrl" else name for name in conditions])
    with pytest.raises(pj.InputError, match="a part is blank"):
        read_screen(path)
    kinds = ["K562" if name == "ctrl" else "RPE1" for name in conditions]
    write_cells(path, values, conditions, cell_type=kinds)
    with pytest.raises(pj.InputError, match="at least 2 control cells of 'RPE1', which has perturbed ones, got 0"):
        read_screen(path)
    write_cells(path, values, conditions).rename(tmp_path / "other.h5ad")
    with h5py.File(tmp_path / "other.h5ad", "r+") as file:
        file.move("obs/condition", "obs/what")
        file["obs"].attrs["column-order"] = ["what"]
    with pytest.raises(pj.InputError, match=r"condition\? Name it with condition=\.\.\.; found what"):
        read_screen(tmp_path / "other.h5ad")


def test_files_that_are_no_screens_are_refused_in_one_line(tmp_path: Path) -> None:
    values, conditions = random_cells(cells=400)
    path = write_cells(tmp_path / "cells.h5ad", values, conditions)
    content = path.read_bytes()
    truncated, text, empty, group = (
        tmp_path / name for name in ("truncated.h5ad", "text.h5ad", "empty.h5ad", "g.h5ad")
    )
    truncated.write_bytes(content[: len(content) // 2])
    text.write_text("gene,value\nA,1\n")
    empty.write_bytes(b"")
    with h5py.File(group, "w") as file:
        file["table"] = [1]
    for wrong, message in (
        (tmp_path / "absent.h5ad", "no such file"),
        (tmp_path, "not a readable .h5ad file"),
        (truncated, "not a readable .h5ad file .*truncated"),
        (text, "not a readable .h5ad file"),
        (empty, "not a readable .h5ad file"),
        (group, "expected an .h5ad file with X, obs and var; obs is missing .found: table."),
    ):
        with pytest.raises(pj.InputError, match=message) as raised:
            read_screen(wrong)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("layout", ["csr", "csc"])
def test_damaged_matrices_are_refused(tmp_path: Path, layout: str) -> None:
    values, conditions = random_cells()

    def damaged(name: str, position: int, value: int) -> Path:
        path = write_cells(tmp_path / "cells.h5ad", values, conditions, layout)
        with h5py.File(path, "r+") as file:
            file["X"][name][position] = value
        return path

    for name, position, value in (("indices", 5, 10**6), ("indices", 0, -1), ("indptr", 2, 10**6), ("indptr", -1, 3)):
        with pytest.raises(pj.InputError, match="the sparse matrix is damaged"):
            read_screen(damaged(name, position, value))
    path = write_cells(tmp_path / "cells.h5ad", values, conditions, layout)
    with h5py.File(path, "r+") as file:
        file["X"].attrs["shape"] = (60, 13)
    with pytest.raises(pj.InputError, match=r"X has the shape \(60, 13\), obs and var say \(60, 12\)"):
        read_screen(path)


def test_cut_off_compressed_data_is_refused(tmp_path: Path) -> None:
    values, conditions = random_cells()
    path = write_cells(tmp_path / "cells.h5ad", values, conditions)
    cells = anndata.read_h5ad(path)
    cells.write_h5ad(path, compression="gzip")
    with h5py.File(path) as file:
        offset = file["X/data"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[offset : offset + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(pj.InputError, match=r"not a readable \.h5ad file"):
        read_screen(path)
