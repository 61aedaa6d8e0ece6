"""Reading names from text, tables and cells."""

import gzip
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

import perturb_jax as pj
from perturb_jax.genes.lists import read_names, read_numbers


def write(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def cells(path: Path, **columns: list[str]) -> Path:
    obs = pd.DataFrame(columns, index=[str(i) for i in range(len(next(iter(columns.values()))))])
    anndata.AnnData(X=np.zeros((len(obs), 2), np.float32), obs=obs).write_h5ad(path)
    return path


def test_text_with_comments_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "genes.txt"
    path.write_bytes(b"\xef\xbb\xbf# my genes\r\nTP53\r\nKLF1+MAP2K6 \r\n\r\n")
    assert read_names(path) == ["TP53", "KLF1+MAP2K6"]


@pytest.mark.parametrize(("name", "separator"), [("t.csv", ","), ("t.tsv", "\t"), ("t.csv.gz", ",")])
def test_tables_by_recognised_column(tmp_path: Path, name: str, separator: str) -> None:
    content = separator.join(["id", "Gene"]) + "\n" + separator.join(["1", "TP53"]) + "\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(content.encode()) if name.endswith("gz") else content.encode())
    assert read_names(path) == ["TP53"]
    assert read_names(path, "id") == ["1"]


def test_a_gene_called_na_survives(tmp_path: Path) -> None:
    assert read_names(write(tmp_path / "t.csv", "gene\nNA\nNAN\n")) == ["NA", "NAN"]


def test_a_table_of_one_column_needs_no_known_name(tmp_path: Path) -> None:
    assert read_names(write(tmp_path / "t.csv", "hits\nTP53\n")) == ["TP53"]


def test_perturbations_of_cells_in_either_form_without_controls(tmp_path: Path) -> None:
    path = cells(
        tmp_path / "c.h5ad", condition=["KLF1+ctrl", "ctrl", "ctrl+MYC", "A+B", "B+A", "non-targeting", "MYC", "MYC"]
    )
    assert read_names(path) == ["A+B", "KLF1", "MYC"]


def test_perturbations_of_real_cells(real_data: Path) -> None:
    names = read_names(real_data / "perturbench_devel_norman19_mcfaline23.h5ad")
    assert len(names) == 33
    assert "KLF1+MAP2K6" in names
    assert "control" not in names


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", "the file is empty"),
        ("a.csv", "", "the file is empty"),
        ("a.csv", "gene\n", "the file is empty"),
        ("a.txt", "TP53\n\nMYC\n", "line 2 is blank"),
        ("a.csv", "gene,x\nTP53,1\n,2\n", "line 3 is blank"),
        ("a.txt", "gene,score\nTP53,1\n", "line 1 has several fields"),
        ("a.txt", "TP53\0\n", "not a text file"),
        ("a.csv", "x,y\n1,2\n", "which column holds the gene names"),
        ("a.csv", "gene,symbol\nA,B\n", "the columns gene, symbol differ"),
        ("a.h5ad", "not hdf5", "not a readable .h5ad file: it is no HDF5 file"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(pj.InputError, match=message) as error:
        read_names(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["none.txt", "none.csv", "none.h5ad"])
def test_missing_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(pj.InputError, match="no such file"):
        read_names(tmp_path / name)


@pytest.mark.parametrize("name", ["b.txt", "b.csv", "b.h5ad"])
def test_binary_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(300))
    with pytest.raises(pj.InputError, match="not a"):
        read_names(tmp_path / name)


def test_columns_that_do_not_exist_or_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(pj.InputError, match="no column 'x'; found gene"):
        read_names(write(tmp_path / "t.csv", "gene\nTP53\n"), "x")
    with pytest.raises(pj.InputError, match="a text file has no columns"):
        read_names(write(tmp_path / "t.txt", "TP53\n"), "gene")


def test_cells_that_are_all_controls(tmp_path: Path) -> None:
    with pytest.raises(pj.InputError, match="only controls"):
        read_names(cells(tmp_path / "c.h5ad", condition=["ctrl", "ctrl"]))


def test_controls_within_combinations_are_left_out_of_text_and_tables(tmp_path: Path) -> None:
    assert read_names(write(tmp_path / "t.txt", "KLF1+ctrl\nctrl+MYC\nA+B\nctrl\n")) == ["KLF1", "MYC", "A+B", "ctrl"]
    assert read_names(write(tmp_path / "t.csv", "condition\nKLF1+ctrl\n")) == ["KLF1"]


def test_comments_alone_are_no_names_and_tables_have_none(tmp_path: Path) -> None:
    with pytest.raises(pj.InputError, match="only comments; expected at least one gene name"):
        read_names(write(tmp_path / "t.txt", "# a\n# b\n"))
    assert read_names(write(tmp_path / "t.csv", "gene\n#1\nTP53\n")) == ["#1", "TP53"]


def test_capital_suffixes(tmp_path: Path) -> None:
    assert read_names(write(tmp_path / "T.CSV", "gene,score\nTP53,1\n")) == ["TP53"]


def test_numbers_beside_names(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "gene,cost\nTP53,2\nKLF1+MAP2K6,0.5\n")
    assert read_numbers(table, "cost") == {"TP53": 2.0, "KLF1+MAP2K6": 0.5}
    assert read_numbers(table, "weight", default=1.0) == {"TP53": 1.0, "KLF1+MAP2K6": 1.0}
    assert read_numbers(write(tmp_path / "t.txt", "TP53\nMYC\n"), "weight", default=3.0) == {"TP53": 3.0, "MYC": 3.0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("gene,cost\nTP53,\n", "line 2: expected a number in column cost"),
        ("gene,cost\nTP53,1\nMYC,x\n", "line 3: expected a number in column cost, got 'x'"),
        ("gene,price\nTP53,1\n", "with the columns gene and cost"),
        ("gene,cost\nTP53,1\nTP53,1\n", "TP53 is listed twice"),
    ],
)
def test_numbers_that_cannot_be_read(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(pj.InputError, match=message):
        read_numbers(write(tmp_path / "t.csv", content), "cost")
