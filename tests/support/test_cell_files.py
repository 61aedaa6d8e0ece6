"""Files of cells in old and new encodings, and what is said of those that are something else."""

import fcntl
import gzip
import re
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest

import perturb_jax as pj
from perturb_jax.genes.lists import read_names
from perturb_jax.screen.read import read_screen
from perturb_jax.screen.reading import open_screen
from perturb_jax.screen.store import save_screen
from tests.screen_oracles import assert_same_screen, random_cells, write_cells

READERS = (read_screen, open_screen, read_names, pj.load_screen)


def said_of(path: Path) -> str:
    """What every reader says, which is one line that begins with the path."""
    said = set()
    for read in READERS:
        with pytest.raises(pj.InputError) as raised:
            read(path)
        said.add(str(raised.value))
    (line,) = said
    assert "\n" not in line and line.startswith(f"{path}: ")
    return line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"it is empty \(0 bytes\)"),
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "a web page: fetch the file itself"),
        (b"\n <HTML lang=en>", "a web page"),
        (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "XML, such as a server's error message"),
        (b'{"message": "Not Found"}', "JSON, such as a server's error message"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "a Git LFS pointer.*git lfs pull"),
        (gzip.compress(b"\x89HDF", mtime=0), r"compressed with gzip: unpack it \(gunzip\)"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"BZh91AY", "compressed with bzip2"),
        (b"\xfd7zXZ\x00", "compressed with xz"),
        (b"RDX3\n", "an R object"),
        (b"gene,value\nA,1\n", "it is no HDF5 file at all"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "it may be truncated"),
    ],
)  # fmt: skip
def test_files_that_are_something_else(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / ("cells.h5ad.gz" if content[:1] == b"\x1f" else "cells.h5ad")
    path.write_bytes(content)

    assert re.search(message, said_of(path))


@pytest.mark.parametrize(
    ("group", "message"),
    [("matrix", "10x Genomics' format"), ("row_attrs", "a loom file"), ("mod", r"a MuData file: .*mdata\['rna'\]")],
)
def test_other_formats_in_hdf5(tmp_path: Path, group: str, message: str) -> None:
    path = tmp_path / "cells.h5ad"
    with h5py.File(path, "w") as file:
        file.create_group(group)
    for read in (read_screen, read_names):
        with pytest.raises(pj.InputError, match=f"obs is missing .found: {group}.; this is {message}"):
            read(path)


def test_a_locked_file(tmp_path: Path) -> None:
    path = write_cells(tmp_path / "cells.h5ad", *random_cells())
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "is locked: another program" in said_of(path)
    read_screen(path)


def test_directories_that_are_no_stores(tmp_path: Path) -> None:
    with pytest.raises(pj.InputError, match="it is a directory, and no zarr store"):
        read_screen(tmp_path)
    (tmp_path / "matrix.mtx.gz").write_bytes(b"")
    with pytest.raises(pj.InputError, match=r"a directory of 10x Genomics' tables: read it with scanpy\.read_10x_mtx"):
        read_screen(tmp_path)
    store = tmp_path / "cells.zarr"
    store.mkdir()
    (store / ".zgroup").write_text("{")
    with pytest.raises(pj.InputError, match=r"not a readable zarr store|obs is missing"):
        read_screen(store)


@pytest.mark.filterwarnings("ignore")  # of zarr, about its own formats
@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_a_zarr_store_is_read_as_the_file_is(tmp_path: Path, layout: str) -> None:
    pytest.importorskip("zarr")
    path = write_cells(tmp_path / "cells.h5ad", *random_cells(), layout)
    store = tmp_path / "cells.zarr"
    anndata.read_h5ad(path).write_zarr(store)
    assert_same_screen(read_screen(store), read_screen(path))
    assert_same_screen(open_screen(str(store)), read_screen(path))
    assert read_names(store) == read_names(path)


def test_tables_as_anndata_wrote_them_before_0_7(tmp_path: Path) -> None:
    values, conditions = random_cells()
    path = write_cells(tmp_path / "cells.h5ad", values, conditions, "dense")
    expected = read_screen(path)
    words, codes = np.unique(conditions, return_inverse=True)
    with h5py.File(path, "r+") as file:
        for name in ("obs", "var"):
            del file[name]
        obs = np.zeros(60, [("index", "S8"), ("condition", "i1")])
        obs["index"], obs["condition"] = [f"cell{i}" for i in range(60)], codes
        var = np.zeros(12, [("index", "S8")])
        var["index"] = [f"G{i}" for i in range(12)]
        file["obs"], file["var"] = obs, var
        file["uns/condition_categories"] = words.astype("S")
    assert_same_screen(read_screen(path), expected)
    assert read_names(path) == list(expected.perturbations)


@pytest.mark.parametrize("table", ["obs", "var"])
def test_tables_in_an_encoding_that_is_not_known(tmp_path: Path, table: str) -> None:
    path = write_cells(tmp_path / "cells.h5ad", *random_cells(), kind=["u", "v"] * 30)
    with h5py.File(path, "r+") as file:
        column = file["obs/condition"] if table == "obs" else file["var/_index"]
        column.attrs["encoding-type"] = "newer-categorical"
    for read in (read_screen, read_names):
        with pytest.raises(pj.InputError, match=f"the table {table} cannot be read .*update the one here") as raised:
            read(path)
        assert "\n" not in str(raised.value)


def test_a_table_that_is_none(tmp_path: Path) -> None:
    path = write_cells(tmp_path / "cells.h5ad", *random_cells())
    with h5py.File(path, "r+") as file:
        del file["obs"]
        file["obs"] = [1, 2]
    for read in (read_screen, read_names):
        with pytest.raises(pj.InputError, match="expected a table called obs, got ndarray"):
            read(path)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_cells(tmp_path / "cells.h5ad", *random_cells())

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(h5py, "File", refused)
    assert "may not be read (permission denied)" in said_of(path)


def test_candidates_are_read_from_a_saved_screen(tmp_path: Path) -> None:
    screen = read_screen(write_cells(tmp_path / "cells.h5ad", *random_cells()))
    path = save_screen(screen, tmp_path / "screen.h5ad")
    assert read_names(path) == list(screen.perturbations)
    with pytest.raises(pj.InputError, match="a saved screen has its perturbations in one place"):
        read_names(path, "condition")


def test_candidates_are_read_by_the_rules_of_screens(tmp_path: Path) -> None:
    values, conditions = random_cells()
    labels = [name.replace("+ctrl", "").replace("ctrl+", "").replace("B+A", "A_B") for name in conditions]
    labels[:2] = ["nan", "NegCtrl0"]
    labels = ["NegCtrl1" if name == "ctrl" else name for name in labels]
    path = write_cells(tmp_path / "cells.h5ad", values, labels, perturbation=[f"{name}" for name in labels])
    assert read_names(path) == list(read_screen(path).perturbations) == ["A", "A+B", "B"]
